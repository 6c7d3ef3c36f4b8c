//! OAuth 2 (section 9.2): a token for each type of application by its own grant, and no other.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Pbx;
use super::reply::Reply;
use super::rest::Request;
use super::state::{State, Token};

/// The type of an application: the grants that it may use (section 9.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppType {
    /// client_credentials.
    Trusted,
    /// authorization_code.
    Public { redirect_uri: String },
    /// password and refresh_token.
    Password { username: String, password: String },
}

/// An application registered at the PBX.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OauthApp {
    pub id: String,
    pub secret: String,
    pub kind: AppType,
    /// Requests of the whole client in an hour beyond which this application is refused; `None` leaves it to the client's limit.
    pub hourly_limit: Option<u64>,
}

impl OauthApp {
    pub fn trusted(id: &str, secret: &str) -> OauthApp {
        OauthApp { id: id.into(), secret: secret.into(), kind: AppType::Trusted, hourly_limit: None }
    }
}

/// Life of an authorization code, seconds.
const CODE_LIFE_S: i64 = 60;
/// Requests to `/oauth` in a second (section 9.3).
const PER_SECOND: u32 = 20;

pub(super) fn answer(pbx: &Pbx, request: &Request, path: &[&str]) -> Reply {
    if !matches!((request.method.as_str(), path), ("POST", ["token"]) | ("GET", ["authorize"])) {
        return Reply::not_found();
    }
    let second = request.now.micros().div_euclid(1_000_000);
    let mut state = pbx.state();
    if state.oauth_second.0 != second {
        state.oauth_second = (second, 0);
    }
    state.oauth_second.1 += 1;
    if state.oauth_second.1 > PER_SECOND {
        return Reply::error(429, "rate_limit_exceeded", "Rate limit exceeded");
    }
    let done = if path == ["token"] { token(pbx, &mut state, request) } else { authorize(pbx, &mut state, request) };
    done.unwrap_or_else(|refused| refused)
}

/// The application whose living token the request bears.
pub(super) fn bearer(pbx: &Pbx, request: &Request) -> Option<String> {
    let token = request.header("authorization").strip_prefix("Bearer ")?;
    let state = pbx.state();
    state.tokens.get(token).filter(|t| t.expires > request.now).map(|t| t.app.clone())
}

fn error(status: u16, name: &str, description: &str) -> Reply {
    Reply::json(status, &json!({"error": name, "error_description": description}))
}

/// Parameters of the form and of the query string, which is accepted too; a repeated one is refused.
fn parameters(request: &Request) -> Result<BTreeMap<String, String>, Reply> {
    let mut pairs = request.query.clone();
    if !request.body.is_empty() {
        if !request.header("content-type").starts_with("application/x-www-form-urlencoded") {
            return Err(error(400, "invalid_request", "Content-Type must be application/x-www-form-urlencoded"));
        }
        let form: Vec<(String, String)> =
            serde_urlencoded::from_bytes(&request.body).map_err(|e| error(400, "invalid_request", &e.to_string()))?;
        pairs.extend(form);
    }
    let count = pairs.len();
    let parameters: BTreeMap<_, _> = pairs.into_iter().collect();
    if parameters.len() != count { Err(error(400, "invalid_request", "A parameter is repeated")) } else { Ok(parameters) }
}

fn token(pbx: &Pbx, state: &mut State, request: &Request) -> Result<Reply, Reply> {
    let parameters = parameters(request)?;
    let get = |name: &str| {
        let value = parameters.get(name).filter(|v| !v.is_empty());
        value.ok_or_else(|| error(400, "invalid_request", &format!("Missing parameter: {name}")))
    };
    let grant = get("grant_type")?;
    let (id, secret) = (get("client_id")?, get("client_secret")?);
    let app = pbx.apps.iter().find(|a| a.id == *id && a.secret == *secret);
    let app = app.ok_or_else(|| error(401, "invalid_client", "Unknown client or wrong secret"))?;
    let with_refresh = match (grant.as_str(), &app.kind) {
        ("client_credentials", AppType::Trusted) => false,
        ("authorization_code", AppType::Public { redirect_uri }) => {
            // Single use: it is gone even when the rest does not fit.
            let code = state.codes.remove(get("code")?).filter(|c| c.app == app.id && c.expires > request.now);
            if code.is_none() || get("redirect_uri")? != redirect_uri {
                return Err(error(400, "invalid_grant", "Unknown code, or another redirect_uri"));
            }
            false
        }
        ("password", AppType::Password { username, password }) => {
            if get("username")? != username || get("password")? != password {
                return Err(error(400, "invalid_grant", "Wrong user name or password"));
            }
            true
        }
        ("refresh_token", AppType::Password { .. }) => {
            if state.refresh.get(get("refresh_token")?) != Some(&app.id) {
                return Err(error(400, "invalid_grant", "Unknown refresh token"));
            }
            state.refresh.remove(get("refresh_token")?);
            true
        }
        ("client_credentials" | "authorization_code" | "password" | "refresh_token", _) => {
            return Err(error(400, "unauthorized_client", "This type of application may not use this grant"));
        }
        _ => return Err(error(400, "unsupported_grant_type", grant)),
    };
    let life = state.conditions.token_life_s;
    let mut body = json!({"access_token": state.ids.hex(32), "token_type": "Bearer", "expires_in": life, "scope": "all"});
    let token = Token { app: app.id.clone(), expires: request.now.plus_s(life) };
    if let Some(name) = body["access_token"].as_str() {
        state.tokens.insert(name.to_owned(), token);
    }
    if with_refresh {
        let refresh = state.ids.hex(32);
        state.refresh.insert(refresh.clone(), app.id.clone());
        body["refresh_token"] = Value::String(refresh);
    }
    Ok(Reply::json(200, &body))
}

/// The user is asked, answers as the conditions say, and the browser is sent back.
fn authorize(pbx: &Pbx, state: &mut State, request: &Request) -> Result<Reply, Reply> {
    let get = |name: &str| request.param(name).ok_or_else(|| error(400, "invalid_request", &format!("Missing parameter: {name}")));
    let id = get("client_id")?;
    let app = pbx.apps.iter().find(|a| a.id == id).ok_or_else(|| error(401, "invalid_client", "Unknown client"))?;
    let AppType::Public { redirect_uri } = &app.kind else {
        return Err(error(400, "unauthorized_client", "Not a public application"));
    };
    if get("redirect_uri")? != redirect_uri {
        return Err(error(400, "invalid_request", "redirect_uri differs from the registered one"));
    }
    if get("response_type")? != "code" || get("scope")? != "all" {
        return Err(error(400, "invalid_request", "response_type must be code, scope must be all"));
    }
    let answer = if state.conditions.user_consents {
        let code = state.ids.hex(24);
        state.codes.insert(code.clone(), Token { app: app.id.clone(), expires: request.now.plus_s(CODE_LIFE_S) });
        format!("code={code}")
    } else {
        "error=access_denied".to_owned()
    };
    let joint = if redirect_uri.contains('?') { '&' } else { '?' };
    Ok(Reply::no_content().with_status(302).header("location", format!("{redirect_uri}{joint}{answer}")))
}
