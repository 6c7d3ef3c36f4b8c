//! Repairing gaps from the PBX's own call history.
//!
//! The PBX never repeats an event: what was lost while we were away, or on its way, is lost. Its history still has it. [`Reconciler::run`]
//! reads the history of a period and gives each record to [`crate::ingest::history`], which adds what no event told and leaves the rest.
//! In this order: the lease (one request for a list at a time, on all nodes), page by page the oldest calls first, each record by itself in
//! a transaction of its own, then how far it came. What it promises:
//! - it may be run at any time, as often as one likes, while events come in: a record joins the call's facts as an event does;
//! - whatever stops it, what was read until then stays repaired, and the report says from where to go on;
//! - it leaves the PBX's hourly limit alone when little is left: click-to-call and recordings need it too.
//!
//! [`schedule`] runs it after a start and from time to time. It looks [`OVERLAP_S`] back each time, because a call is in the history when it
//! is over, and was missed if it began before the last look and ended after it.

mod period;
pub mod schedule;

use std::sync::Arc;

use serde_json::Value;

use crate::domain::id;
use crate::domain::time::{Clock, Timestamp};
use crate::gateway::{Gateway, GatewayError};
use crate::ingest::history::{self, Repair, Told};
use crate::net::Response;
use crate::pbx::telphin::{self, api};
use crate::roster::App;
use crate::store::{Db, Durability, StoreError, reconciliations};
use period::periods;

/// A call that began before the last look may have ended after it: as long as a call may last.
pub const OVERLAP_S: i64 = 4 * 3_600;
/// How long the lease lives without news.
const LEASE_S: i64 = 120;
/// Of the hourly limit, one part in so many is left to others.
const LEFT_TO_OTHERS: i64 = 10;

/// Why a run ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    #[error("the history of application {0} is being read already; try again when that has ended")]
    Held(i64),
    #[error("{0}")]
    Pbx(String),
    /// Seconds until the PBX counts anew.
    #[error("the PBX's hourly limit is nearly used up, and what is left is for calls; go on in {0} s")]
    Limit(i64),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a run did, or would do.
#[derive(Debug, Default)]
pub struct Report {
    /// Records read.
    pub records: usize,
    pub new_calls: usize,
    pub added: usize,
    pub missed: usize,
    pub corrected: usize,
    pub withdrawn: usize,
    /// Calls about which something else was learned than a row of the log: an unanswered ring, its end.
    pub other: usize,
    pub unreadable: usize,
    /// Every call that began before was seen.
    pub reached: Timestamp,
}

impl Report {
    fn count(&mut self, repair: &Repair) {
        let missed = repair.added.iter().filter(|l| l.is_missed_row()).count();
        self.missed += missed;
        self.added += repair.added.len() - missed;
        self.corrected += repair.corrected.len();
        self.withdrawn += repair.withdrawn.len();
        self.new_calls += usize::from(repair.new_call);
        let rows = repair.added.len() + repair.corrected.len() + repair.withdrawn.len();
        self.other += usize::from(rows == 0);
    }

    /// True when the log was whole.
    pub fn is_quiet(&self) -> bool {
        self.new_calls + self.added + self.missed + self.corrected + self.withdrawn + self.other == 0
    }
}

/// What a run is told to do.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub from: Timestamp,
    pub to: Timestamp,
    /// Only say what would be repaired.
    pub dry_run: bool,
}

/// Hears of a run while it goes on.
pub trait Listener: Send {
    fn repaired(&mut self, _: &Repair) {}
    fn unreadable(&mut self, _: &str) {}
    /// How far it has come of the whole period, a share.
    fn at(&mut self, _: f64) {}
}

/// Nobody listens.
impl Listener for () {}

#[derive(Clone)]
pub struct Reconciler {
    db: Db,
    gateway: Gateway,
    clock: Clock,
}

impl Reconciler {
    pub fn new(db: Db, gateway: Gateway, clock: Clock) -> Reconciler {
        Reconciler { db, gateway, clock }
    }

    /// Reads a period's history and repairs what is not as it says. What stopped it comes with how far it came.
    pub async fn run(&self, app: &Arc<App>, asked: Asked, listener: &mut dyn Listener) -> (Report, Option<Stopped>) {
        let mut report = Report { reached: asked.from, ..Report::default() };
        let holder = id::fresh(self.clock.now());
        let stopped = match self.hold(app.id(), &holder).await {
            Ok(()) => {
                let stopped = self.read(app, asked, &holder, &mut report, listener).await.err();
                // What began a short while ago may be on still, and is then in no history yet.
                let end = report.reached.min(self.clock.now().plus_s(-OVERLAP_S));
                let settled = (!asked.dry_run && end > asked.from).then_some((asked.from, end));
                let (app, error) = (app.id(), stopped.as_ref().map(Stopped::to_string));
                let give_back = move |conn: &mut _| reconciliations::release(conn, app, &holder, settled, error.as_deref());
                stopped.or(self.db.write(Durability::Process, give_back).await.err().map(Stopped::Store))
            }
            Err(stopped) => Some(stopped),
        };
        (report, stopped)
    }

    async fn hold(&self, app: i64, holder: &str) -> Result<(), Stopped> {
        let (clock, holder) = (self.clock.clone(), holder.to_owned());
        let hold = move |conn: &mut _| {
            let now = clock.now();
            reconciliations::hold(conn, app, &holder, now, now.plus_s(LEASE_S))
        };
        if self.db.write(Durability::Process, hold).await? { Ok(()) } else { Err(Stopped::Held(app)) }
    }

    async fn read(
        &self,
        app: &Arc<App>,
        asked: Asked,
        holder: &str,
        report: &mut Report,
        listener: &mut dyn Listener,
    ) -> Result<(), Stopped> {
        let settings = app.pbx.telphin().ok_or_else(|| Stopped::Pbx("this PBX has no call history that can be read".into()))?;
        let whole = asked.to.since(asked.from).max(1) as f64;
        for (from, to) in periods(asked.from, asked.to) {
            let mut page = 1;
            let left = loop {
                let reply = self.page(app, settings, (from, to), page).await?;
                let found: api::HistoryPage = reply.json().map_err(|e| Stopped::Pbx(format!("the call history: {e}")))?;
                for record in &found.call_history {
                    self.record(app, record, asked.dry_run, report, listener).await?;
                    // The oldest come first: all that began before this one have been seen.
                    report.reached = telphin::history::span(record).map_or(report.reached, |(begun, _)| begun.max(report.reached));
                }
                listener.at(report.reached.since(asked.from) as f64 / whole);
                if found.call_history.len() < found.per_page.unwrap_or(api::HISTORY_PAGE).max(1) {
                    break limit_left(&reply);
                }
                limit_left(&reply)?;
                self.hold(app.id(), holder).await?;
                page += 1;
            };
            report.reached = to.max(report.reached);
            if to < asked.to {
                left?;
                self.hold(app.id(), holder).await?;
            }
            listener.at(report.reached.since(asked.from) as f64 / whole);
        }
        Ok(())
    }

    async fn page(&self, app: &App, settings: &telphin::Settings, period: (Timestamp, Timestamp), page: u32) -> Result<Response, Stopped> {
        match self.gateway.statistics(app, api::call_history(settings, period.0, period.1, page)).await {
            Ok(reply) => Ok(reply),
            Err(GatewayError::Waiting { until, .. }) => Err(Stopped::Limit(until.since(self.clock.now()) / 1_000_000 + 1)),
            Err(error) => Err(Stopped::Pbx(error.to_string())),
        }
    }

    async fn record(
        &self,
        app: &Arc<App>,
        record: &Value,
        dry_run: bool,
        report: &mut Report,
        listener: &mut dyn Listener,
    ) -> Result<(), Stopped> {
        report.records += 1;
        // Most records tell nothing new, and reading says so without the writer.
        let (seen_by, seen, now) = (app.clone(), record.clone(), self.clock.now());
        let mut told = self.db.read(move |conn| history::look(conn, &seen_by, &seen, now)).await?;
        if !dry_run && told != Told::NoNews {
            told = history::accept(&self.db, app, record, &self.clock).await?;
        }
        match told {
            Told::NoNews => {}
            Told::News(repair) => {
                report.count(&repair);
                listener.repaired(&repair);
            }
            Told::Unreadable(reason) => {
                report.unreadable += 1;
                listener.unreadable(&reason);
            }
        }
        Ok(())
    }
}

/// Stops when what the PBX says is left of the hour should be left to others.
fn limit_left(reply: &Response) -> Result<(), Stopped> {
    let number = |name: &str| reply.header(name).and_then(|v| v.trim().parse::<i64>().ok());
    match (number("x-ratelimit-limit"), number("x-ratelimit-remaining")) {
        (Some(limit), Some(left)) if left * LEFT_TO_OTHERS < limit => Err(Stopped::Limit(number("x-ratelimit-reset").unwrap_or(3_600))),
        _ => Ok(()),
    }
}
