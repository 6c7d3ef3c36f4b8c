//! What a connection tells, on its way into the journal.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use metrics::counter;
use tokio::sync::{mpsc, watch};

use super::{Link, LinkError, Session};
use crate::domain::agent::QueueLogin;
use crate::domain::event::Direction;
use crate::domain::id;
use crate::domain::phone::Party;
use crate::ingest::{self, Accepted, presence};
use crate::pbx::asterisk::ami::board::{self, Believed, Board, Note, Open, Rules};
use crate::pbx::asterisk::ami::{Action, Block, HOOK};
use crate::pbx::{AgentReport, HookKind, Raw};
use crate::roster::App;
use crate::store::{Durability, StoreError, calls, live};
use crate::telemetry::metric;

/// How many calls are written of at once.
const AT_ONCE: usize = 64;
/// How many events are looked at before what they tell is written.
pub const BATCH: usize = 512;
/// A store that cannot keep an event is tried again after so long, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(2));
/// Calls that began earlier are not looked for, seconds: the watchdog has given them up.
const OPEN_S: i64 = 4 * 3_600;
const CONTENT_TYPE: &str = "text/plain";

/// One connection's way into the journal.
pub struct Feed {
    pub link: Link,
    /// The application as it is declared at each moment.
    pub declared: watch::Receiver<Arc<App>>,
    pub board: Board,
    /// Whether the phone of an extension was last told to be reached.
    pub phones: HashMap<String, Option<bool>>,
    /// It was said that events come without their time.
    pub is_timeless: bool,
}

impl Feed {
    fn app(&self) -> Arc<App> {
        self.declared.borrow().clone()
    }

    /// Takes what has come until now, and waits for nothing.
    pub async fn drain(&mut self, events: &mut mpsc::Receiver<Block>) {
        let mut batch = Vec::new();
        while let Ok(event) = events.try_recv() {
            batch.push(event);
        }
        self.follow(&batch).await;
    }

    /// Takes events in their order; returns when all that they tell is durable.
    pub async fn follow(&mut self, events: &[Block]) {
        let mut notes = Vec::new();
        let mut reports = Vec::new();
        if !self.is_timeless && events.iter().any(|event| event.event() == "Newchannel" && event.get("Timestamp").is_none()) {
            self.is_timeless = true;
            let mend = "set timestampevents = yes in [general] of manager.conf";
            tracing::warn!(
                app = self.app().id(),
                mend,
                "the PBX does not say when its events happened; they count from when they reach us"
            );
        }
        {
            let (app, board) = (self.app(), &mut self.board);
            app.with_context(|context| {
                let Some(settings) = app.pbx.asterisk() else { return };
                let rules = Rules { settings, context };
                for event in events {
                    notes.extend(board.look(event, &rules));
                    if event.event() == "DeviceStateChange" {
                        reports.extend(board::device(event, &rules));
                    }
                }
            });
        }
        self.keep(notes).await;
        self.phones_follow(reports).await;
    }

    /// Makes the board follow what the PBX has up. Events that come meanwhile are taken.
    pub async fn compare(&mut self, session: &Session, events: &mut mpsc::Receiver<Block>, open: Vec<Open>) -> Result<(), LinkError> {
        let before = self.board.ids();
        let listed = self.ask(session, events, &Action::channels()).await?;
        self.drain(events).await;
        let (app, now) = (self.app(), self.link.clock.now());
        let board = &mut self.board;
        let notes = app.with_context(|context| {
            let Some(settings) = app.pbx.asterisk() else { return Vec::new() };
            board.compare(&listed, &before, &open, &Rules { settings, context }, now)
        });
        if !notes.is_empty() {
            tracing::info!(app = self.app().id(), notes = notes.len(), up = listed.len(), "what is up at the PBX was compared");
        }
        self.keep(notes).await;
        Ok(())
    }

    /// Asks for a list, and takes the events that come meanwhile: the answer comes behind them.
    async fn ask(&mut self, session: &Session, events: &mut mpsc::Receiver<Block>, action: &Action) -> Result<Vec<Block>, LinkError> {
        let mut asking = std::pin::pin!(session.send(action));
        loop {
            let mut batch = Vec::new();
            tokio::select! {
                reply = &mut asking => return Ok(reply?.events),
                _ = events.recv_many(&mut batch, BATCH), if !events.is_closed() => self.follow(&batch).await,
            }
        }
    }

    /// What the store says is up: legs that were told of by their channels, and calls that are not over.
    pub async fn beliefs(&self) -> (Vec<Believed>, Vec<Open>) {
        let (id, since) = (self.app().id(), self.link.clock.now().plus_s(-OPEN_S));
        let mut pause = PAUSES.0;
        loop {
            let read = self.link.db.read(move |conn| {
                let mut legs = Vec::new();
                for leg in live::all(conn, id)? {
                    let Some(facts) = calls::facts(conn, id, &leg.call_id)? else { continue };
                    let Some((_, call)) = facts.spelled.clone() else { continue };
                    let Some(told) = facts.legs.get(&leg.leg).filter(|told| told.exact) else { continue };
                    let Some((_, name)) = &told.sub_call_id else { continue };
                    let calls = told.direction.is_some_and(|d| d.value == Direction::Out);
                    let id = name.strip_suffix("/source").unwrap_or(name).to_owned();
                    legs.push(Believed { id, call, line: leg.extension, calls, answered: leg.answered });
                }
                let open = calls::open(conn, id, since)?;
                Ok((legs, open))
            });
            match read.await {
                Ok((legs, open)) => {
                    let open = open.into_iter().map(|(call, waits)| Open { call, waits }).collect();
                    return (legs, open);
                }
                Err(error) => {
                    tracing::warn!(app = id, %error, "what is up by the store could not be read; it is tried again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
    }

    /// Asks for the states of all devices. Without the right to, they are heard of when they change.
    pub async fn ask_devices(&mut self, session: &Session, events: &mut mpsc::Receiver<Block>) -> Result<(), LinkError> {
        let app = self.app();
        let listed = match self.ask(session, events, &Action::devices()).await {
            Ok(listed) => listed,
            Err(LinkError::Refused(words)) => {
                tracing::warn!(app = app.id(), words, "the PBX does not tell its devices' states");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let reports = app.with_context(|context| {
            let Some(settings) = app.pbx.asterisk() else { return Vec::new() };
            let rules = Rules { settings, context };
            listed.iter().filter_map(|block| board::device(block, &rules)).collect()
        });
        self.phones_follow(reports).await;
        Ok(())
    }

    /// Writes what the journal has to know: of a call in its order, of calls beside each other. Returns when all of it is durable.
    pub async fn keep(&self, notes: Vec<Note>) {
        // What goes from one call into another must be there before it is gone here.
        if notes.iter().any(|note| note.block.event() == "Joined") {
            for note in &notes {
                self.write(note).await;
            }
            return;
        }
        let mut calls: BTreeMap<String, Vec<Note>> = BTreeMap::new();
        for note in notes {
            calls.entry(id::call_id(self.app().id(), &note.call)).or_default().push(note);
        }
        let write = async |notes: Vec<Note>| {
            for note in notes {
                self.write(&note).await;
            }
        };
        futures_util::stream::iter(calls.into_values()).for_each_concurrent(AT_ONCE, write).await;
    }

    /// Writes one note, however long the store is away: the PBX waits meanwhile.
    async fn write(&self, note: &Note) {
        let body = note.block.encode();
        let raw = Raw { hook: HOOK, query: "", content_type: CONTENT_TYPE, body: &body };
        let (db, clock, app) = (&self.link.db, &self.link.clock, self.app());
        let id = app.id();
        let mut pause = PAUSES.0;
        loop {
            match ingest::accept(db, &app, raw, HookKind::Event, clock).await {
                Ok(delivery) => {
                    let outcome = match &delivery.accepted {
                        Accepted::Applied => "applied",
                        Accepted::Duplicate => "duplicate",
                        Accepted::Unreadable(_) => "unreadable",
                    };
                    counter!(metric::EVENTS, "pbx" => "asterisk", "outcome" => outcome).increment(1);
                    let path = format!("/cid/{id}/{HOOK}/{}", app.spec.login);
                    tracing::info!(
                        path,
                        app = id,
                        login = app.spec.login,
                        call = note.call,
                        leg = delivery.leg.as_deref(),
                        hook = HOOK,
                        kind = delivery.kind,
                        outcome,
                        "event"
                    );
                    return;
                }
                Err(error) => {
                    counter!(metric::EVENTS, "pbx" => "asterisk", "outcome" => "failed").increment(1);
                    tracing::warn!(app = id, call = note.call, %error, "an event of AMI could not be stored; the PBX waits");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
    }

    /// Phones can be reached, or not, or nobody knows: news only when it was otherwise.
    async fn phones_follow(&mut self, reports: Vec<(String, Option<bool>)>) {
        for (extension, reached) in reports {
            if self.phones.insert(extension.clone(), reached) == Some(reached) {
                continue;
            }
            let (app, clock) = (self.app(), self.link.clock.clone());
            let told = self.link.db.write(Durability::Process, move |conn| {
                let Some(reached) = reached else { return presence::forget(conn, &app, Some(&extension), clock.now()) };
                let login = if reached { QueueLogin::Available } else { QueueLogin::Unreachable };
                let report = AgentReport { party: Party::Internal(extension.clone()), login };
                presence::report(conn, &app, &report, clock.now()).map(drop)
            });
            if said(&self.app(), "whether a phone can be reached could not be kept", told.await).is_none() {
                self.phones.clear();
            }
        }
    }
}

pub fn said<T>(app: &App, what: &str, result: Result<T, StoreError>) -> Option<T> {
    result.map_err(|error| tracing::warn!(app = app.id(), %error, "{what}")).ok()
}
