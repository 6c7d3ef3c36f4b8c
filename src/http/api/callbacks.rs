//! Click-to-call.

use actix_web::http::header;
use actix_web::web::Json as Answer;
use actix_web::{HttpRequest, HttpResponse, get, post};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::auth::Action;
use crate::dial::{self, Click, DialError, Lines};
use crate::domain::callback::CallbackStatus;
use crate::domain::time::Timestamp;
use crate::http::body::Json;
use crate::http::error::{Failure, FieldError};
use crate::http::extract::{AppPath, Id};
use crate::http::query::{Items, Page, Query};
use crate::roster::App;
use crate::store::callbacks::{self, Callback};

/// An idempotency key has at most so many characters.
const LONGEST_KEY: usize = 200;

pub fn configure(cfg: &mut ServiceConfig) {
    cfg.service(list).service(create).service(read);
}

/// A call to place: the source is rung first, then the destination.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct CallbackRequest {
    /// The extension that clicked, or an outside number (E.164) together with `on_behalf`.
    #[schema(example = "101")]
    src_num: String,
    /// A number in E.164, or an extension.
    #[schema(example = "+79990001122")]
    dst_num: String,
    /// The extension that places the call for an outside `src_num`.
    #[serde(skip_serializing_if = "Option::is_none")]
    on_behalf: Option<String>,
    /// Shown to the source; the destination without it, so that the agent sees whom he is about to speak with.
    #[serde(skip_serializing_if = "Option::is_none")]
    caller_id_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller_id_number: Option<String>,
    /// Record the call, where the PBX decides it by call; Telphin decides by extension.
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<bool>,
    /// Anything of the client's own; kept with the callback.
    #[serde(skip_serializing_if = "Option::is_none")]
    custom: Option<Value>,
}

/// A click-to-call and how far it has come.
#[derive(Debug, Serialize, ToSchema)]
struct CallbackView {
    id: String,
    status: CallbackStatus,
    /// Our id of the call; null until the PBX has named it.
    call_id: Option<String>,
    src_num: String,
    dst_num: String,
    caller_id_name: Option<String>,
    caller_id_number: Option<String>,
    /// Why it failed; `unclear` while the PBX's reply was none.
    reason: Option<String>,
    custom: Option<Value>,
    created_at: String,
}

impl From<Callback> for CallbackView {
    fn from(c: Callback) -> Self {
        let request: Option<CallbackRequest> = serde_json::from_str(&c.request).ok();
        CallbackView {
            id: c.id,
            status: CallbackStatus::parse(&c.status).unwrap_or(CallbackStatus::Failed),
            call_id: c.call_id,
            src_num: c.src_num,
            dst_num: c.dst_num,
            caller_id_name: c.caller_id_name,
            caller_id_number: c.caller_id_number,
            reason: c.reason,
            custom: request.and_then(|r| r.custom),
            created_at: Timestamp(c.created_at).rfc3339(),
        }
    }
}

/// Place a call
///
/// The same `Idempotency-Key` with the same body returns the callback that is there. A call is never placed twice, also when the PBX gave no
/// clear reply: it then stays `accepted` with the reason `unclear` until a matching call is seen, for two minutes at most.
#[utoipa::path(
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes sending the request again safe")),
    request_body = CallbackRequest,
    responses((status = 202, body = CallbackView))
)]
#[post("/apps/{app}/callbacks")]
async fn create(at: AppPath, request: HttpRequest, body: Json<CallbackRequest>) -> Result<HttpResponse, Failure> {
    at.must(Action::Callback(placer(&at.app, body.0.on_behalf.as_deref().unwrap_or(&body.0.src_num))))?;
    let click = click(&request, body.0)?;
    let server = &at.hookflash;
    let lines = Lines { gateway: &server.gateway, link: &server.link };
    let placed = dial::place(&server.db, &lines, &server.clock, &at.app, click).await.map_err(failure)?;
    let location = format!("{}/apps/{}/callbacks/{}", crate::http::openapi::BASE, at.id(), placed.id);
    Ok(HttpResponse::Accepted().insert_header((header::LOCATION, location)).json(CallbackView::from(placed)))
}

/// One callback
#[utoipa::path(responses((status = 200, body = CallbackView)))]
#[get("/apps/{app}/callbacks/{id}")]
async fn read(at: AppPath, id: Id) -> Result<Answer<CallbackView>, Failure> {
    let (app, name) = (at.id(), id.0.clone());
    let found = at.read(move |conn| callbacks::get(conn, app, &name)).await?;
    let own = |c: &Callback| at.may(Action::Callback(placer(&at.app, &c.extension))) || at.may(Action::ReadCalls(None));
    found.filter(own).map(|c| Answer(c.into())).ok_or_else(|| Failure::missing("callback", &id.0))
}

/// List the callbacks, newest first
///
/// An agent's token lists those of his own extension.
#[utoipa::path(params(Page), responses((status = 200, body = Items<CallbackView>)))]
#[get("/apps/{app}/callbacks")]
async fn list(at: AppPath, page: Query<Page>) -> Result<Answer<Items<CallbackView>>, Failure> {
    let only = at.principal.only_agent();
    at.must(Action::ReadCalls(only))?;
    // Of one who has no extension there are none.
    let own = only.map(|agent| at.app.agent(agent).and_then(|a| a.extension.clone()).unwrap_or_default());
    let (app, before, limit) = (at.id(), page.0.after::<String>()?, page.0.limit);
    let rows = at.read(move |conn| callbacks::list(conn, app, own.as_deref(), before.as_deref(), limit.rows())).await?;
    Ok(Answer(Items::page(rows, limit, |c| c.id.clone()).map(CallbackView::from)))
}

/// The agent whose extension places the call.
fn placer<'a>(app: &'a App, extension: &str) -> Option<&'a str> {
    let short = app.with_context(|c| c.numbering.own_extension(extension).map(str::to_owned));
    short.and_then(|e| app.agent_of(&e)).map(|a| a.id.as_str())
}

fn click(request: &HttpRequest, body: CallbackRequest) -> Result<Click, Failure> {
    let idempotency_key = match request.headers().get("idempotency-key").map(|v| v.to_str()) {
        None => None,
        Some(Ok(key)) if (1..=LONGEST_KEY).contains(&key.len()) => Some(key.to_owned()),
        Some(_) => return Err(Failure::field("Idempotency-Key", format!("must be 1 to {LONGEST_KEY} printable ASCII characters"))),
    };
    let text = |field: &str, value: &Option<String>| match value {
        Some(v) if v.is_empty() || v.chars().count() > 100 || v.chars().any(char::is_control) => {
            Err(Failure::field(field, "must be 1 to 100 characters without control characters"))
        }
        _ => Ok(()),
    };
    text("caller_id_name", &body.caller_id_name)?;
    text("caller_id_number", &body.caller_id_number)?;
    let whole = serde_json::to_string(&body).map_err(|e| Failure::Internal(e.to_string()))?;
    if whole.contains("\\u0000") {
        return Err(Failure::field("custom", "must not contain the character U+0000"));
    }
    Ok(Click {
        src_num: body.src_num,
        dst_num: body.dst_num,
        on_behalf: body.on_behalf,
        caller_id_name: body.caller_id_name,
        caller_id_number: body.caller_id_number,
        request: whole,
        idempotency_key,
    })
}

fn failure(error: DialError) -> Failure {
    match error {
        DialError::Invalid { field, reason } => Failure::Invalid(vec![FieldError::new(field, reason)]),
        DialError::Conflict(reason) => Failure::Conflict(reason),
        DialError::Pbx { words, .. } => Failure::BadGateway(words),
        DialError::Store(error) => Failure::Store(error),
    }
}
