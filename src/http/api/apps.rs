//! Applications: one a customer's installation. Their lists (agents, groups, …) are resources of their own.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::web::Json as Answer;
use actix_web::{HttpResponse, delete, get, put};
use serde_json::Value;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::auth::Action;
use crate::declare::{edit, seal};
use crate::domain::spec::Application;
use crate::http::body::{Json, decode};
use crate::http::error::{Failure, FieldError};
use crate::http::extract::{AppPath, Caller, NewAppId};
use crate::http::query::{Force, Items, Page, Query};
use crate::store::roster;
use crate::store::{Conn, Durability};

/// Rows that one transaction of a deletion takes: other writes come in between.
const PURGE_ROWS: usize = 2_000;

pub fn configure(cfg: &mut ServiceConfig) {
    cfg.service(list).service(read).service(put_one).service(remove);
}

/// List the applications that the token reaches
#[utoipa::path(params(Page), responses((status = 200, body = Items<Application>)))]
#[get("/apps")]
async fn list(caller: Caller, Query(page): Query<Page>) -> Result<Answer<Items<Value>>, Failure> {
    let snapshot = caller.hookflash.roster.snapshot();
    let seen = snapshot.apps.values().filter(|app| caller.may(Action::ReadSettings, app.id())).cloned().collect();
    let page: Items<Arc<_>> = Items::of_all(seen, &page, |app| app.id())?;
    let items = page.items.iter().map(|app| shown(&app.spec)).collect::<Result<_, _>>()?;
    Ok(Answer(Items { items, next_cursor: page.next_cursor }))
}

/// One application
///
/// Secrets are not shown: they read as null.
#[utoipa::path(responses((status = 200, body = Application)))]
#[get("/apps/{app}")]
async fn read(at: AppPath) -> Result<Answer<Value>, Failure> {
    at.must(Action::ReadSettings)?;
    Ok(Answer(shown(&at.app.spec)?))
}

/// Declare an application
///
/// Makes it, or replaces its own settings; its agents, groups, queues, numbers, extensions and contacts stay. A secret that is left out or
/// null stays as it is; an empty one is removed.
#[utoipa::path(request_body = Application, responses((status = 200, body = Application), (status = 201, body = Application)))]
#[put("/apps/{app}")]
async fn put_one(at: NewAppId, Json(body): Json<Value>) -> Result<HttpResponse, Failure> {
    at.must(Action::WriteSettings, at.id)?;
    let app = application(at.id, body)?;
    let (vault, clock) = (at.hookflash.vault.clone(), at.hookflash.clock.clone());
    // Who administers one application has no business in the server's environment and files.
    let references = at.principal.application.is_none();
    let put = move |conn: &mut Conn| Ok(edit::put_application(conn, &vault, app.clone(), references, clock.now())?);
    let (stored, is_new) = at.declare(put).await?;
    let mut response = if is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    if is_new {
        response.insert_header((header::LOCATION, format!("/api/v1/apps/{}", at.id)));
    }
    Ok(response.json(shown(&stored)?))
}

/// Delete an application
///
/// Refused while it has agents, contacts, calls or anything else, unless forced: then all of that goes too, and its tokens are revoked.
#[utoipa::path(params(Force), responses((status = 204)))]
#[delete("/apps/{app}")]
async fn remove(at: NewAppId, Query(query): Query<Force>) -> Result<HttpResponse, Failure> {
    at.must(Action::WriteSettings, at.id)?;
    let (id, clock) = (at.id, at.hookflash.clock.clone());
    if query.force && at.read(move |conn| roster::exists(conn, id)).await? {
        // The history first, a little at a time. What is interrupted here can be asked for again: the application is still there.
        while at.hookflash.db.write(Durability::Process, move |conn| roster::purge(conn, id, PURGE_ROWS)).await? > 0 {}
    }
    at.declare(move |conn| Ok(edit::remove_application(conn, id, query.force, clock.now())?)).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn shown(app: &Application) -> Result<Value, Failure> {
    seal::shown(app).map_err(|e| Failure::Internal(format!("application {}: {e}", app.id)))
}

/// Reads the body of a PUT: the id stands in the path, and lists are resources of their own.
fn application(id: i64, mut body: Value) -> Result<Application, Failure> {
    if let Some(fields) = body.as_object_mut() {
        let lists = seal::LISTS.iter().filter(|name| fields.contains_key(**name));
        let errors: Vec<_> = lists.map(|name| FieldError::new(*name, "is a resource of its own and not part of this one")).collect();
        if !errors.is_empty() {
            return Err(Failure::Invalid(errors));
        }
        if fields.entry("id").or_insert_with(|| id.into()) != id {
            return Err(Failure::field("id", format!("is not {id}, which the path names; it cannot be changed")));
        }
    }
    decode(body)
}
