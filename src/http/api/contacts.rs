//! The built-in directory: who is responsible for whom, for those without a CRM.

use actix_web::web::Json as Answer;
use actix_web::{HttpRequest, HttpResponse, delete, get, post, put};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::crud::created;
use crate::auth::Action;
use crate::domain::id;
use crate::domain::spec::Contact;
use crate::domain::validate;
use crate::http::body::Json;
use crate::http::error::Failure;
use crate::http::extract::{AppPath, Id};
use crate::http::query::{Items, Limit, Phone, Query, after};
use crate::store::contacts;
use crate::store::roster::Origin;
use crate::store::{Conn, StoreError};

pub fn configure(cfg: &mut ServiceConfig) {
    cfg.service(list).service(create).service(read).service(replace).service(remove);
}

#[derive(Debug, Serialize, ToSchema)]
struct ContactView {
    id: String,
    name: String,
    /// E.164; a phone belongs to one contact.
    phones: Vec<String>,
    /// The responsible agent.
    owner: Option<String>,
    deputy: Option<String>,
    external_id: Option<String>,
}

impl From<(String, Contact)> for ContactView {
    fn from((id, c): (String, Contact)) -> Self {
        ContactView { id, name: c.name, phones: c.phones, owner: c.owner, deputy: c.deputy, external_id: c.external_id }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ContactQuery {
    /// Only the contact with this phone, E.164.
    #[param(value_type = Option<String>, example = "+79990001122")]
    phone: Option<Phone>,
    /// Items in one answer: 1 to 500, 50 without it.
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// List the contacts
#[utoipa::path(params(ContactQuery), responses((status = 200, body = Items<ContactView>)))]
#[get("/apps/{app}/contacts")]
async fn list(at: AppPath, Query(query): Query<ContactQuery>) -> Result<Answer<Items<ContactView>>, Failure> {
    at.must(Action::ReadSettings)?;
    let last = after::<String>(query.cursor.as_deref())?;
    let (app, limit, phone) = (at.id(), query.limit, query.phone.map(|p| p.0));
    let rows = at.read(move |conn| contacts::list(conn, app, last.as_deref(), phone.as_deref(), limit.rows())).await?;
    Ok(Answer(Items::page(rows, limit, |(id, _)| id.clone()).map(ContactView::from)))
}

/// Add a contact
#[utoipa::path(request_body = Contact, responses((status = 201, body = ContactView)))]
#[post("/apps/{app}/contacts")]
async fn create(request: HttpRequest, at: AppPath, Json(contact): Json<Contact>) -> Result<HttpResponse, Failure> {
    let view = put(&at, id::fresh(at.hookflash.clock.now()), contact, |_, _, _| Ok(())).await?;
    Ok(created(&request, &view.id, &view))
}

/// One contact
#[utoipa::path(responses((status = 200, body = ContactView)))]
#[get("/apps/{app}/contacts/{id}")]
async fn read(at: AppPath, id: Id) -> Result<Answer<ContactView>, Failure> {
    at.must(Action::ReadSettings)?;
    let (app, wanted) = (at.id(), id.0.clone());
    let found = at.read(move |conn| contacts::get(conn, app, &wanted)).await?;
    found.map(|c| Answer(c.into())).ok_or_else(|| Failure::missing("contact", &id.0))
}

/// Replace one contact
#[utoipa::path(request_body = Contact, responses((status = 200, body = ContactView)))]
#[put("/apps/{app}/contacts/{id}")]
async fn replace(at: AppPath, id: Id, Json(contact): Json<Contact>) -> Result<Answer<ContactView>, Failure> {
    let must_exist = |conn: &mut Conn, app: i64, id: &str| match contacts::get(conn, app, id)? {
        Some(_) => Ok(()),
        None => Err(Failure::missing("contact", id)),
    };
    Ok(Answer(put(&at, id.0, contact, must_exist).await?))
}

/// Delete one contact
#[utoipa::path(responses((status = 204)))]
#[delete("/apps/{app}/contacts/{id}")]
async fn remove(at: AppPath, id: Id) -> Result<HttpResponse, Failure> {
    at.must(Action::WriteSettings)?;
    let app = at.id();
    at.write(move |conn| match contacts::delete(conn, app, &id.0)? {
        true => Ok(()),
        false => Err(Failure::missing("contact", &id.0)),
    })
    .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Validates a contact and writes it under its id, once `check` agrees. A phone or key of another contact is in the way.
async fn put(
    at: &AppPath,
    id: String,
    contact: Contact,
    mut check: impl FnMut(&mut Conn, i64, &str) -> Result<(), Failure> + Send + 'static,
) -> Result<ContactView, Failure> {
    at.must(Action::WriteSettings)?;
    let problems = validate::contact(&contact, &|agent| at.app.agent(agent).is_some());
    if !problems.is_empty() {
        return Err(problems.into());
    }
    let (app, clock) = (at.id(), at.hookflash.clock.clone());
    at.write(move |conn| {
        check(conn, app, &id)?;
        contacts::put(conn, app, Some(&id), &contact, Origin::Rest, clock.now()).map_err(|e| match e {
            StoreError::Refused(taken) => Failure::Conflict(taken),
            other => other.into(),
        })?;
        Ok((id.clone(), contact.clone()).into())
    })
    .await
}
