//! Extensions, the user behind the token, limits (section 10).

use serde_json::{Value, json};

use super::Pbx;
use super::directory::Extension;
use super::reply::Reply;
use super::rest::Request;

/// `GET /user/`.
pub(super) fn user(pbx: &Pbx, _request: &Request) -> Reply {
    let state = pbx.state();
    let access = if state.conditions.forbidden.is_empty() { "all" } else { "call_api" };
    Reply::json(
        200,
        &json!({
            "id": 1, "login": state.directory.login, "client_id": state.directory.client_id, "extension_id": null,
            "extension_group_id": null, "admin": true, "access": access, "timezone": "Europe/Moscow", "dealer_id": null,
        }),
    )
}

/// `GET /client/{id}/extension/` with `type`, `name` (a part of it), `page`, `per_page`.
pub(super) fn list(pbx: &Pbx, request: &Request) -> Reply {
    let (skip, take) = match request.only_params(&["type", "name", "page", "per_page"]).and_then(|()| request.paging()) {
        Ok(range) => range,
        Err(refused) => return refused,
    };
    let kind = request.param("type").filter(|t| !t.is_empty());
    if let Some(kind) = kind
        && !["phone", "ivr", "queue", "fax"].contains(&kind)
    {
        return Reply::bad_request(format!("Unknown type: {kind}"));
    }
    let name = request.param("name").unwrap_or_default();
    let state = pbx.state();
    let all = state.directory.extensions.iter().map(|e| object(e, state.directory.client_id));
    let wanted = all.filter(|e| kind.is_none_or(|k| e["type"] == k) && e["name"].as_str().is_some_and(|n| n.contains(name)));
    Reply::ok(&wanted.skip(skip).take(take).collect::<Vec<_>>())
}

/// `GET /client/{id}/extension/{ext_id}`.
pub(super) fn one(pbx: &Pbx, id: u64) -> Option<Reply> {
    let state = pbx.state();
    state.directory.by_id(id).map(|e| Reply::ok(&object(e, state.directory.client_id)))
}

/// `GET /client/{id}/limit/`. The page names the resource and not its fields: these are ours.
pub(super) fn limits(pbx: &Pbx) -> Reply {
    let c = pbx.conditions();
    Reply::json(200, &json!({"extension_event": c.subscription_limit, "api_requests_per_hour": c.hourly_limit}))
}

/// Section 10.1.
fn object(e: &Extension, client_id: u64) -> Value {
    json!({
        "id": e.id, "name": e.name(), "type": e.kind, "status": if e.blocked { "blocked" } else { "active" }, "label": e.label, "caller_id_name": e.label, "domain": e.domain,
        "client_id": client_id, "extension_group_id": null, "create_date": "2024-02-03 08:00:00", "dial_rule_id": null, "dial_rule_limit": null,
        "message_did": null, "ani_rfc3325": false, "did_as_transfer_caller_id": null, "extra_params": null,
    })
}
