//! Where a call would go now, and why.

use actix_web::get;
use actix_web::web::Json as Answer;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_actix_web::service_config::ServiceConfig;

use super::view::DecisionView;
use crate::acd;
use crate::auth::Action;
use crate::http::error::Failure;
use crate::http::extract::AppPath;
use crate::http::query::{Phone, Query};
use crate::lookup::{self, Mode};
use crate::pbx::RoutingRequest;

pub fn configure(cfg: &mut ServiceConfig) {
    cfg.service(explain);
}

/// Whose call.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Caller {
    /// The caller, E.164.
    #[param(value_type = String, example = "+79990001122")]
    number: Phone,
    /// The public number that is called, where the PBX's calls can wait; the application's first without it.
    #[param(value_type = Option<String>)]
    to: Option<Phone>,
}

/// Where a call from a number would go now, and why
///
/// Nothing is claimed and nothing recorded.
#[utoipa::path(params(Caller), responses((status = 200, body = DecisionView)))]
#[get("/apps/{app}/explain")]
async fn explain(at: AppPath, query: Query<Caller>) -> Result<Answer<DecisionView>, Failure> {
    at.must(Action::Explain)?;
    let (server, caller, to) = (&at.hookflash, query.0.number.0, query.0.to.map(|to| to.0));
    let answer = if at.app.pbx.asks_again() {
        acd::dry_run(&server.db, &server.clock, &at.app, &caller, to.as_deref()).await?
    } else {
        let request = RoutingRequest { caller, ..RoutingRequest::default() };
        lookup::decide(&server.db, &server.clock, &at.app, &request, Mode::DryRun).await?
    };
    let decision = answer.decision.ok_or_else(|| Failure::Internal("a dry run has a decision".into()))?;
    Ok(Answer(decision.into()))
}
