//! Group routing: which groups serve a queue, and whether first or as backup. A view of the queues' own lists, one entry a pair.

use actix_web::web::Json as Answer;
use actix_web::{HttpRequest, HttpResponse, delete, get, post, put};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;

use super::crud;
use crate::auth::Action;
use crate::declare::edit::{self, Routing};
use crate::domain::spec::Application;
use crate::http::body::Json;
use crate::http::error::Failure;
use crate::http::extract::{AppPath, Id};
use crate::http::query::{Items, Limit, Page, Query};

pub fn configure(cfg: &mut ServiceConfig) {
    cfg.service(list).service(create).service(read).service(replace).service(remove);
}

/// A group that serves a queue.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
struct GroupRouting {
    /// `QUEUE.GROUP`
    id: String,
    queue_id: String,
    group_id: String,
    /// 1: asked first, 0: backup.
    primary_group: u8,
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewRouting {
    queue_id: String,
    group_id: String,
    /// 1: asked first, 0: backup.
    primary_group: u8,
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Rank {
    /// 1: asked first, 0: backup.
    primary_group: u8,
}

/// Of which queue.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Wanted {
    queue: Option<String>,
    /// Items in one answer: 1 to 500, 50 without it.
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 500, default = 50)]
    limit: Limit,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

fn all(app: &Application) -> Vec<GroupRouting> {
    let entry = |queue: &str, group: &str, primary_group| GroupRouting {
        id: format!("{queue}.{group}"),
        queue_id: queue.to_owned(),
        group_id: group.to_owned(),
        primary_group,
    };
    let mut found: Vec<GroupRouting> = Vec::new();
    for queue in &app.queue {
        found.extend(queue.primary_groups.iter().map(|g| entry(&queue.id, g, 1)));
        found.extend(queue.backup_groups.iter().filter(|g| !queue.primary_groups.contains(g)).map(|g| entry(&queue.id, g, 0)));
    }
    found
}

fn one(app: &Application, id: &str) -> Result<GroupRouting, Failure> {
    all(app).into_iter().find(|r| r.id == id).ok_or_else(|| Failure::missing("group routing", id))
}

fn primary(flag: u8) -> Result<bool, Failure> {
    match flag {
        0 | 1 => Ok(flag == 1),
        _ => Err(Failure::field("primary_group", "must be 1 (asked first) or 0 (backup)")),
    }
}

/// List the groups that serve queues
#[utoipa::path(params(Wanted), responses((status = 200, body = Items<GroupRouting>)))]
#[get("/apps/{app}/group-routing")]
async fn list(at: AppPath, query: Query<Wanted>) -> Result<Answer<Items<GroupRouting>>, Failure> {
    at.must(Action::ReadSettings)?;
    let Wanted { queue, limit, cursor } = query.0;
    let wanted = all(&at.app.spec).into_iter().filter(|r| queue.as_ref().is_none_or(|q| *q == r.queue_id)).collect();
    Ok(Answer(Items::of_all(wanted, &Page { limit, cursor }, |r| r.id.clone())?))
}

/// Let a group serve a queue
#[utoipa::path(request_body = NewRouting, responses((status = 201, body = GroupRouting)))]
#[post("/apps/{app}/group-routing")]
async fn create(request: HttpRequest, at: AppPath, Json(new): Json<NewRouting>) -> Result<HttpResponse, Failure> {
    let routing = change(&at, &new.queue_id, &new.group_id, Routing::Add(primary(new.primary_group)?)).await?;
    let id = format!("{}.{}", new.queue_id, new.group_id);
    let made = GroupRouting { id, queue_id: new.queue_id, group_id: new.group_id, primary_group: routing.into() };
    Ok(crud::created(&request, &made.id, &made))
}

/// One group of one queue
#[utoipa::path(responses((status = 200, body = GroupRouting)))]
#[get("/apps/{app}/group-routing/{id}")]
async fn read(at: AppPath, id: Id) -> Result<Answer<GroupRouting>, Failure> {
    at.must(Action::ReadSettings)?;
    Ok(Answer(one(&at.app.spec, &id.0)?))
}

/// Make a group of a queue primary, or backup
#[utoipa::path(request_body = Rank, responses((status = 200, body = GroupRouting)))]
#[put("/apps/{app}/group-routing/{id}")]
async fn replace(at: AppPath, id: Id, Json(new): Json<Rank>) -> Result<Answer<GroupRouting>, Failure> {
    let known = one(&at.app.spec, &id.0)?;
    change(&at, &known.queue_id, &known.group_id, Routing::Set(primary(new.primary_group)?)).await?;
    Ok(Answer(GroupRouting { primary_group: new.primary_group, ..known }))
}

/// Let a group serve a queue no more
#[utoipa::path(responses((status = 204)))]
#[delete("/apps/{app}/group-routing/{id}")]
async fn remove(at: AppPath, id: Id) -> Result<HttpResponse, Failure> {
    let known = one(&at.app.spec, &id.0)?;
    change(&at, &known.queue_id, &known.group_id, Routing::Remove).await?;
    Ok(HttpResponse::NoContent().finish())
}

async fn change(at: &AppPath, queue: &str, group: &str, to: Routing) -> Result<bool, Failure> {
    at.must(Action::WriteSettings)?;
    let (app, clock, queue, group) = (at.id(), at.hookflash.clock.clone(), queue.to_owned(), group.to_owned());
    at.declare(move |conn| Ok(edit::route_group(conn, app, &queue, &group, to, clock.now())?)).await?;
    Ok(!matches!(to, Routing::Add(false) | Routing::Set(false)))
}
