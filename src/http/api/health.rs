//! What an operator should know about an application, with the mend of each.

use actix_web::get;
use actix_web::web::Json as Answer;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;

use crate::auth::Action;
use crate::http::error::Failure;
use crate::http::extract::AppId;
use crate::store::journal;
use crate::text_enum;

/// How far back trouble with events is told.
const LATELY_S: i64 = 24 * 3600;

pub fn configure(cfg: &mut ServiceConfig) {
    cfg.service(read);
}

text_enum! {
    /// How bad it is, from good to worst.
    pub enum Condition {
        Ok = "ok",
        /// It works; something wants looking at.
        Warning = "warning",
        /// Something does not work.
        Failing = "failing",
    }
}

/// One thing to know.
#[derive(Debug, Serialize, ToSchema)]
pub struct Finding {
    pub severity: Condition,
    /// In a word or two.
    pub what: String,
    pub detail: String,
    /// What to do about it.
    pub mend: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// The worst of the findings.
    pub status: Condition,
    pub findings: Vec<Finding>,
}

impl Health {
    fn of(findings: Vec<Finding>) -> Health {
        let status = findings.iter().map(|f| f.severity).max().unwrap_or(Condition::Ok);
        Health { status, findings }
    }
}

/// Health of an application
#[utoipa::path(responses((status = 200, body = Health)))]
#[get("/apps/{app}/health")]
async fn read(at: AppId) -> Result<Answer<Health>, Failure> {
    at.must(Action::ReadSettings, at.id)?;
    let mut findings = broken(&at);
    findings.extend(writer(&at));
    findings.extend(events(&at).await?);
    Ok(Answer(Health::of(findings)))
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
