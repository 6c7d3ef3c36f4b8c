//! The filters that the list of calls and the call log have in common.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::{IntoParams, ToSchema};

use crate::auth::Action;
use crate::domain::call_log::CallDirection;
use crate::http::error::Failure;
use crate::http::extract::AppPath;
use crate::http::query::{Limit, Period, Phone, pairs, read, with_period};
use crate::roster::App;
use crate::store::log::Filter;

/// What begins the parameters that ask for the tags of public numbers: `tag.team=sales`.
const TAG: &str = "tag.";

/// The parameters other than tags and the period in which calls or legs began; `S` is the statuses that the list knows.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, bound(deserialize = "S: DeserializeOwned"))]
#[into_params(parameter_in = Query)]
pub struct Filters<S: ToSchema> {
    #[param(inline)]
    direction: Option<CallDirection>,
    #[param(inline)]
    status: Option<S>,
    /// With a leg of this agent.
    agent: Option<String>,
    /// The outside party, E.164.
    #[param(value_type = Option<String>, example = "+79990001122")]
    number: Option<Phone>,
    /// The public number, E.164. Those with a tag: `tag.team=sales`, more than one tag narrows.
    #[param(value_type = Option<String>, example = "+74955550100")]
    did: Option<Phone>,
    /// Items in one answer: 1 to 500, 50 without it.
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 500, default = 50)]
    pub limit: Limit,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// Filters with tags.
pub struct Tagged<S: ToSchema> {
    pub filters: Filters<S>,
    period: Period,
    tags: Vec<(String, String)>,
}

impl<S: DeserializeOwned + ToSchema> FromRequest for Tagged<S> {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let split = |all: Vec<(String, String)>| {
            let (tags, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|(name, _)| name.starts_with(TAG));
            let tags = tags.into_iter().map(|(name, value)| (name[TAG.len()..].to_owned(), value)).collect();
            let (period, others) = Period::split(others)?;
            Ok(Tagged { filters: read(others).map_err(with_period)?, period, tags })
        };
        ready(pairs(request).and_then(split))
    }
}

impl<S: std::fmt::Display + ToSchema> Tagged<S> {
    /// The filter for the store. An agent sees his own calls only.
    pub fn allowed(&self, at: &AppPath) -> Result<Filter, Failure> {
        let f = &self.filters;
        let agent = f.agent.as_deref().or(at.principal.only_agent());
        at.must(Action::ReadCalls(agent))?;
        let (from, to) = self.period.ends(&at.app.spec.timezone)?;
        Ok(Filter {
            from,
            to,
            direction: f.direction.map(|d| d.to_string()),
            status: f.status.as_ref().map(S::to_string),
            agent: agent.map(str::to_owned),
            number: f.number.clone().map(|n| n.0),
            dids: self.dids(&at.app),
        })
    }

    /// The public numbers that are asked for: with every tag, and the one that is named. `None`: all.
    fn dids(&self, app: &App) -> Option<Vec<String>> {
        let did = self.filters.did.as_ref().map(|d| d.0.clone());
        if self.tags.is_empty() {
            return did.map(|d| vec![d]);
        }
        let tagged = app.spec.number.iter().filter(|n| self.tags.iter().all(|(key, value)| n.tags.get(key) == Some(value)));
        Some(tagged.map(|n| n.number.clone()).filter(|n| did.as_ref().is_none_or(|d| d == n)).collect())
    }
}
