//! What an operator should know about an application, with the mend of each.

use actix_web::get;
use actix_web::web::Json as Answer;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::auth::Action;
use crate::domain::health::{Condition, Finding};
use crate::domain::time::Timestamp;
use crate::http::error::Failure;
use crate::http::extract::AppId;
use crate::store::ami_links::{self, AmiLink};
use crate::store::journal;
use crate::store::lines::{self, Line};
use crate::store::reconciliations::{self, Reconciliation};

/// How far back trouble with events is told.
const LATELY_S: i64 = 24 * 3600;

pub fn configure(cfg: &mut ServiceConfig) {
    cfg.service(read);
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// The worst of the findings.
    pub status: Condition,
    pub findings: Vec<Finding>,
    /// Since when the PBX tells of its calls over a connection of ours, and what it says that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connected: Option<Connected>,
    /// When `hookflash check --live` last looked at the PBX; its findings are among these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checked_at: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Connected {
    pub since: String,
    pub version: Option<String>,
}

impl Health {
    fn of(findings: Vec<Finding>, checked_at: Option<i64>, connected: Option<Connected>) -> Health {
        let status = findings.iter().map(|f| f.severity).max().unwrap_or(Condition::Ok);
        Health { status, findings, connected, checked_at: checked_at.map(|at| Timestamp(at).rfc3339()) }
    }
}

/// Health of an application
///
/// What could not be applied, what we wait for, and what `hookflash check --live` found last, each with its mend.
#[utoipa::path(responses((status = 200, body = Health)))]
#[get("/apps/{app}/health")]
async fn read(at: AppId) -> Result<Answer<Health>, Failure> {
    at.must(Action::ReadSettings, at.id)?;
    let mut findings = broken(&at);
    findings.extend(writer(&at));
    findings.extend(events(&at).await?);
    let id = at.id;
    let (line, compared, link) =
        at.read(move |conn| Ok((lines::get(conn, id)?, reconciliations::get(conn, id)?, ami_links::get(conn, id)?))).await?;
    let has_ami = at.hookflash.roster.app(id).is_some_and(|app| app.pbx.ami().is_some());
    let ailing = if has_ami { ami(link.as_ref(), at.hookflash.clock.now()) } else { None };
    let up = link.filter(|_| has_ami && ailing.is_none());
    let connected = up.and_then(|l| Some(Connected { since: Timestamp(l.up_since?).rfc3339(), version: l.version }));
    findings.extend(ailing);
    findings.extend(compared.as_ref().and_then(gaps));
    findings.extend(pbx(&line, at.hookflash.clock.now()));
    findings.extend(line.findings()?);
    Ok(Answer(Health::of(findings, line.checked_at, connected)))
}

fn broken(at: &AppId) -> Vec<Finding> {
    let snapshot = at.hookflash.roster.snapshot();
    let own = snapshot.broken.iter().filter(|(id, _)| *id == at.id);
    own.map(|(_, reason)| Finding {
        severity: Condition::Failing,
        what: "declaration".into(),
        detail: reason.clone(),
        mend: "correct it with PUT on the application, or with hookflash apply".into(),
    })
    .collect()
}

fn writer(at: &AppId) -> Option<Finding> {
    (!at.hookflash.db.is_alive()).then(|| Finding {
        severity: Condition::Failing,
        what: "database".into(),
        detail: "nothing can be written: the writer has stopped".into(),
        mend: "see the server's log and restart it; meanwhile events are answered 503 and lookups with the safe reply".into(),
    })
}

async fn events(at: &AppId) -> Result<Option<Finding>, Failure> {
    let (app, since) = (at.id, at.hookflash.clock.now().plus_s(-LATELY_S));
    let (count, last) = at.read(move |conn| journal::errors_since(conn, app, since)).await?;
    Ok((count > 0).then(|| Finding {
        severity: Condition::Warning,
        what: "events".into(),
        detail: format!(
            "{count} events of the last 24 hours could not be read or applied; the newest: {}",
            last.unwrap_or_else(|| "no reason is known".into())
        ),
        mend: "they are kept as they came; hookflash replay applies them once this version can read them".into(),
    }))
}

/// What may be missing from the call log, because the PBX's history was not read to its end.
fn gaps(compared: &Reconciliation) -> Option<Finding> {
    let error = compared.error.as_deref()?;
    let until = Timestamp(compared.settled_until);
    let reached = if until == Timestamp(0) { "it was never".to_owned() } else { format!("up to {} it was", until.rfc3339()) };
    let detail = format!("the call log could not be compared with the PBX's call history ({reached}): {error}");
    Some(Finding::warning("call history", detail, "nothing: it is tried again by itself, or at once by hookflash reconcile"))
}

/// How the connection fares over which the PBX tells of its calls.
fn ami(link: Option<&AmiLink>, now: Timestamp) -> Option<Finding> {
    let held = link.is_some_and(|link| link.holder.is_some() && link.held_until > now.0);
    let mend = "check asterisk.ami_address, ami_user and ami_secret against manager.conf, that the PBX lets this server in (permit), and \
                outbound.allow_private; meanwhile the dialplan tells of calls, and what was missed is read when the connection is back";
    match link {
        Some(link) if held && link.up_since.is_some() => None,
        Some(AmiLink { down_since: Some(since), down_why: Some(why), .. }) => {
            Some(Finding::failing("AMI", format!("no connection since {}: {why}", Timestamp(*since).rfc3339()), mend))
        }
        _ => Some(Finding::failing("AMI", "no connection yet", mend)),
    }
}

/// What we wait for.
fn pbx(line: &Line, now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some((until, why)) = line.waits(now) {
        let detail = format!("the PBX is not asked before {}: {why}", until.rfc3339());
        let mend =
            "nothing: it is asked again then; calls, events and lookups go on. If it happens often, see which integration asks so much";
        findings.push(Finding::warning("PBX waits", detail, mend));
    }
    if let (Some(since), Some(why)) = (line.down_since, &line.down_why) {
        let detail = format!("the PBX's API has not answered since {}: {why}", Timestamp(since).rfc3339());
        let mend = "wait until it is back; calls, events and lookups go on, what is only read is asked again, a call is never placed twice";
        findings.push(Finding::warning("PBX away", detail, mend));
    }
    findings
}
