//! API tokens. The secret is shown once, when a token is made.

use actix_web::web::Json as Answer;
use actix_web::{HttpRequest, HttpResponse, delete, get, post};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use super::crud::created;
use crate::auth::{self, Action, Principal, Role, may};
use crate::domain::time::Timestamp;
use crate::http::body::Json;
use crate::http::error::{Failure, FieldError};
use crate::http::extract::{Caller, Id};
use crate::http::query::{Items, Page, Query};
use crate::store::roster;
use crate::store::tokens::{self, Token};

pub fn configure(cfg: &mut ServiceConfig) {
    cfg.service(list).service(create).service(remove);
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewToken {
    /// Whose or what for, for people.
    name: String,
    role: Role,
    /// The only application that it reaches; needed for the roles agent and integration.
    app: Option<i64>,
    /// The agent whose token it is; for the role agent.
    agent: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct TokenView {
    id: String,
    name: String,
    #[schema(value_type = Role)]
    role: String,
    app: Option<i64>,
    agent: Option<String>,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<String>,
    /// The secret; only in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

impl From<Token> for TokenView {
    fn from(t: Token) -> Self {
        let time = |us| Timestamp(us).rfc3339();
        TokenView {
            id: t.id,
            name: t.name,
            role: t.role,
            app: t.application,
            agent: t.agent,
            created_at: time(t.created_at),
            revoked_at: t.revoked_at.map(time),
            token: None,
        }
    }
}

/// List the tokens
///
/// Revoked ones too. An administrator of one application sees those of that application.
#[utoipa::path(params(Page), responses((status = 200, body = Items<TokenView>)))]
#[get("/tokens")]
async fn list(caller: Caller, Query(page): Query<Page>) -> Result<Answer<Items<TokenView>>, Failure> {
    must_manage(&caller, caller.principal.application)?;
    let mut all = caller.read(tokens::all).await?;
    all.retain(|t| manages(&caller, t.application));
    Ok(Answer(Items::of_all(all, &page, |t| t.id.clone())?.map(TokenView::from)))
}

/// Make a token
///
/// The answer has its secret, which cannot be had again.
#[utoipa::path(request_body = NewToken, responses((status = 201, body = TokenView)))]
#[post("/tokens")]
async fn create(request: HttpRequest, caller: Caller, Json(new): Json<NewToken>) -> Result<HttpResponse, Failure> {
    must_manage(&caller, caller.principal.application)?;
    let principal = principal(&caller, new)?;
    must_manage(&caller, principal.application)?;
    let auth::Issued { token, secret } = auth::issue(&principal, caller.hookflash.clock.now());
    let row = token.clone();
    caller
        .declare(move |conn| {
            tokens::insert(conn, &row)?;
            Ok(roster::bump_revision(conn)?)
        })
        .await?;
    let view = TokenView { token: Some(secret.expose_secret().to_owned()), ..TokenView::from(token) };
    Ok(created(&request, &view.id, &view))
}

/// Revoke a token
#[utoipa::path(responses((status = 204)))]
#[delete("/tokens/{id}")]
async fn remove(caller: Caller, id: Id) -> Result<HttpResponse, Failure> {
    must_manage(&caller, caller.principal.application)?;
    let (principal, now) = (caller.principal.clone(), caller.hookflash.clock.now());
    caller
        .declare(move |conn| {
            // Of another application's token nothing is told, not even that it is there.
            let known = tokens::get(conn, &id.0)?.filter(|t| principal.application.is_none() || t.application == principal.application);
            if known.is_none() || !tokens::revoke(conn, &id.0, now)? {
                return Err(Failure::missing("token", &id.0));
            }
            Ok(roster::bump_revision(conn)?)
        })
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// True for tokens of an application that the caller manages; those of all applications are managed by those of all applications.
fn manages(caller: &Caller, application: Option<i64>) -> bool {
    match application {
        Some(id) => caller.may(Action::ManageTokens, id),
        None => caller.principal.application.is_none() && may(&caller.principal, Action::ManageTokens, 0),
    }
}

fn must_manage(caller: &Caller, application: Option<i64>) -> Result<(), Failure> {
    if manages(caller, application) { Ok(()) } else { Err(Failure::Forbidden) }
}

/// Whom a new token shall stand for.
fn principal(caller: &Caller, new: NewToken) -> Result<Principal, Failure> {
    let mut errors = Vec::new();
    if !(1..=100).contains(&new.name.trim().chars().count()) {
        errors.push(FieldError::new("name", "must be 1 to 100 characters"));
    }
    let app = new.app.map(|id| caller.hookflash.roster.app(id));
    match (&app, new.role) {
        (Some(None), _) => errors.push(FieldError::new("app", "there is no such application; declare it first")),
        (None, Role::Agent | Role::Integration) => errors.push(FieldError::new("app", format!("is needed for the role {}", new.role))),
        _ => {}
    }
    match (&new.agent, new.role) {
        (None, Role::Agent) => errors.push(FieldError::new("agent", "is needed for the role agent")),
        (Some(id), Role::Agent) => {
            if let Some(Some(app)) = &app
                && app.agent(id).is_none()
            {
                errors.push(FieldError::new("agent", format!("there is no agent {id:?}; declare it first")));
            }
        }
        (Some(_), role) => errors.push(FieldError::new("agent", format!("is not for the role {role}"))),
        (None, _) => {}
    }
    if !errors.is_empty() {
        return Err(Failure::Invalid(errors));
    }
    Ok(Principal { name: new.name.trim().to_owned(), role: new.role, application: new.app, agent: new.agent })
}
