//! One question about a call, from its row to the answer.

use std::collections::{BTreeMap, BTreeSet};

use super::position::{Left, Place, Position, digest};
use super::turn::{self, Turn};
use super::{GREETING_S, PROMPT_S, SLACK_S, USER_BUSY};
use super::{ivr, offer};
use crate::domain::agent::OfferState;
use crate::domain::decision::{Candidate, Decision, Outcome};
use crate::domain::id;
use crate::domain::queue::Queue;
use crate::domain::time::Timestamp;
use crate::ingest;
use crate::pbx::action::{Action, Dial, Line, Report};
use crate::roster::App;
use crate::routing::record::{self, Look};
use crate::store::offers::{self, Offer};
use crate::store::routed::{self, RoutedCall};
use crate::store::{Conn, Result};

/// A call that has been in more places than this since it was asked about goes in circles.
const MOST_HOPS: u32 = 40;

/// A question, read.
#[derive(Clone, Debug)]
pub struct Asked {
    pub call: String,
    pub pbx_call_id: String,
    /// The caller in E.164, else as written.
    pub caller: String,
    /// The caller as written.
    pub from: String,
    pub did: Option<String>,
    pub dialled: Option<String>,
    pub report: Report,
    /// The id of the decision, should there be one.
    pub decision: String,
}

/// What is answered.
#[derive(Clone, Debug)]
pub struct Said {
    pub action: Action,
    pub decision_id: String,
    /// `None`: the same as an earlier one.
    pub decision: Option<Decision>,
    /// The call, when agents were bound to it now.
    pub claimed: Option<String>,
}

/// A call on its way, with what was read of it.
pub struct Walk<'a> {
    pub conn: &'a mut Conn,
    pub app: &'a App,
    pub asked: &'a Asked,
    pub row: RoutedCall,
    pub position: Position,
    pub offers: Vec<Offer>,
    /// The queues that it has come into since the question, each with the step of the chain as which it is one.
    pub queues: BTreeSet<(String, Option<usize>)>,
    /// Reasons of the places that the call has passed since the question.
    pub passed: Vec<String>,
    /// Who was looked at in those places, and could not take it.
    pub refused: Vec<Candidate>,
    /// What the decision is made from.
    pub looks: Vec<Look>,
    pub now: Timestamp,
}

/// What was decided, before it is written down.
pub struct Decided {
    pub action: Action,
    pub reason: String,
    pub candidates: Vec<Candidate>,
    pub agents: Vec<String>,
    /// The call was told so before.
    pub again: bool,
}

impl Decided {
    pub fn plain(action: Action, reason: impl Into<String>) -> Decided {
        Decided { action, reason: reason.into(), candidates: Vec::new(), agents: Vec::new(), again: false }
    }

    pub fn again(action: Action) -> Decided {
        Decided { again: true, ..Decided::plain(action, "") }
    }
}

pub fn answer(conn: &mut Conn, app: &App, asked: &Asked, now: Timestamp) -> Result<Said> {
    offers::lock_call(conn, &asked.call)?;
    let (row, offers) = match routed::get(conn, app.id(), &asked.call)? {
        Some(row) => (row, offers::in_hand(conn, app.id(), &asked.call)?),
        None => (arrive(conn, app, asked, now)?, Vec::new()),
    };
    let position = Position { hops: 0, ..Position::read(&row.place) };
    let mut walk = Walk {
        conn,
        app,
        asked,
        row,
        position,
        offers,
        queues: BTreeSet::new(),
        passed: Vec::new(),
        refused: Vec::new(),
        looks: Vec::new(),
        now,
    };
    walk.reopen();
    let decided = walk.decide()?;
    walk.finish(decided)
}

/// The first question about a call: its row, and its entry in the journal and the call log.
fn arrive(conn: &mut Conn, app: &App, asked: &Asked, now: Timestamp) -> Result<RoutedCall> {
    let row = RoutedCall {
        application: app.id(),
        call_id: asked.call.clone(),
        pbx_call_id: asked.pbx_call_id.clone(),
        caller: asked.caller.clone(),
        did: asked.did.clone(),
        place: Position { since: now, ..Position::default() }.write(),
        queue: None,
        entry: 0,
        entered_at: now.0,
        joined_at: now.0,
        rank_at: now.0,
        silent_at: now.plus_s(SLACK_S).0,
        waiting: false,
        ended_at: None,
    };
    routed::insert(conn, &row)?;
    ingest::queue::arrived(conn, app, &asked.pbx_call_id, &asked.from, asked.dialled.as_deref(), now)?;
    Ok(row)
}

/// How often a call has tried each agent in vain.
pub fn tries_of(offers: &[Offer]) -> BTreeMap<String, u32> {
    let mut tries = BTreeMap::new();
    for offer in offers.iter().filter(|o| o.state().counts_as_tried()) {
        *tries.entry(offer.agent.clone()).or_default() += 1;
    }
    tries
}

impl<'a> Walk<'a> {
    /// The queue that the call is in.
    pub fn queue(&self) -> Option<&'a Queue> {
        match &self.position.place {
            Place::Queue(at) => self.app.spec.queue.iter().find(|q| q.id == at.id),
            _ => None,
        }
    }
}

impl Walk<'_> {
    /// A call that counted as gone and asks again was only slow: it goes on where it was, as a new entry of its queue.
    fn reopen(&mut self) {
        if self.row.ended_at.is_some() && !matches!(self.position.place, Place::Left(_)) {
            self.row.ended_at = None;
            if matches!(self.position.place, Place::Queue(_)) {
                self.row.queue = None;
            }
        }
    }

    fn decide(&mut self) -> Result<Decided> {
        if let Place::Left(left) = &self.position.place {
            return Ok(Decided::again(left_action(left)));
        }
        let open = |o: &&Offer| o.ended_at.is_none() && (o.state() == OfferState::Accepted || o.until > self.now.0);
        let standing: Vec<Offer> = self.offers.iter().filter(open).cloned().collect();
        if standing.iter().any(|o| o.state() == OfferState::Accepted) {
            // The talk is over for the PBX, and the news of it is on its way.
            return Ok(Decided::again(Action::Hangup { cause: super::NORMAL_CLEARING }));
        }
        if !standing.is_empty() {
            return offer::ring_on(self, standing);
        }
        if let Place::Node(node) = self.position.place.clone()
            && let Some(decided) = ivr::keys(self, &node)?
        {
            return Ok(decided);
        }
        while self.position.hops <= MOST_HOPS {
            match turn::next(self)? {
                Turn::Say(decided) => return Ok(decided),
                Turn::Go(place, why) => {
                    self.passed.push(why);
                    self.position.go(place, self.now);
                }
            }
        }
        self.leave(Left::Hangup(USER_BUSY), "The call goes in circles.".into())
    }

    /// The call goes on from a stage that rings nobody, free or not.
    pub fn goes_on(&mut self, mut look: Look, candidates: Vec<Candidate>) {
        look.over();
        self.looks.push(look);
        self.refused.extend(candidates.into_iter().take(record::MOST));
    }

    /// Sends the call away for good.
    pub fn leave(&mut self, left: Left, why: String) -> Result<Decided> {
        let action = left_action(&left);
        self.position.go(Place::Left(left), self.now);
        (self.row.waiting, self.row.ended_at) = (false, Some(self.now.0));
        Ok(Decided::plain(action, why))
    }

    /// How long the greeting of a queue may take before the call asks again: it is heard before the first wait there, and who asks at once has
    /// not got the answer.
    fn greeting_s(&mut self, queue: String, wait_s: i64) -> i64 {
        match &self.position.greeted {
            Some((last, at)) if *last == queue && self.now > at.plus_s(wait_s) => 0,
            Some((last, _)) if *last == queue => GREETING_S,
            _ => {
                self.position.greeted = Some((queue, self.now));
                GREETING_S
            }
        }
    }

    /// Writes down where the call is now, and the decision unless it says what the last one said.
    fn finish(mut self, decided: Decided) -> Result<Said> {
        let Decided { action, reason, candidates: last, agents, again } = decided;
        let mut candidates = std::mem::take(&mut self.refused);
        candidates.extend(last.into_iter().take(record::MOST));
        let claimed = !agents.is_empty();
        let patience_s = match &action {
            Action::Dial(dial) => dial.timeout_s,
            Action::Wait { seconds, greeting: None, .. } => *seconds,
            Action::Wait { seconds, place, .. } => seconds + self.greeting_s(place.clone(), *seconds),
            Action::Prompt(_) => PROMPT_S,
            _ => 0,
        };
        self.row.silent_at = self.now.plus_s(patience_s + SLACK_S).0;
        let reason = self.passed.iter().chain([&reason]).map(String::as_str).filter(|r| !r.is_empty()).collect::<Vec<_>>().join(" ");
        let told = serde_json::to_string(&candidates).unwrap_or_default();
        // A number in the line that changes is not news for the record; who can take the call, and why not, is.
        let said = digest(&[action.name(), &told, if candidates.is_empty() { &reason } else { "" }]);
        let repeated = self.position.decision.clone().filter(|(_, before)| again || (*before == said && !claimed));
        let decision_id = repeated.as_ref().map_or_else(|| self.asked.decision.clone(), |(id, _)| id.clone());
        if repeated.is_none() {
            self.position.decision = Some((decision_id.clone(), said));
        }
        self.row.place = self.position.write();
        routed::save(self.conn, &self.row)?;
        let record = repeated.is_none().then(|| Decision {
            id: decision_id.clone(),
            at: self.now,
            call: Some(self.asked.call.clone()),
            pbx_call_id: Some(self.asked.pbx_call_id.clone()),
            caller: self.asked.caller.clone(),
            outcome: match agents.len() {
                0 => Outcome::Nobody,
                1 => Outcome::Agent,
                _ => Outcome::List,
            },
            agents,
            reason,
            candidates,
            inputs: record::write(&self.looks),
            took_us: 0,
            late: false,
        });
        Ok(Said { action, decision_id, decision: record, claimed: claimed.then(|| self.asked.call.clone()) })
    }

    /// The dialling of some offers for `timeout_s` from now, under the token that the PBX says back.
    pub fn dial(&mut self, offers: &[Offer], timeout_s: i64, place: String, caller_id: Option<String>, token: String) -> Action {
        self.position.token = Some(token.clone());
        let line =
            |o: &Offer| if o.extension.starts_with('+') { Line::Number(o.extension.clone()) } else { Line::Extension(o.extension.clone()) };
        Action::Dial(Dial {
            lines: offers.iter().map(line).collect(),
            agents: offers.iter().map(|o| o.agent.clone()).collect(),
            timeout_s,
            offer: token,
            record: self.queue().is_none_or(|q| q.record_calls),
            place,
            caller_id,
        })
    }

    pub fn fresh_token(&mut self) -> String {
        let token = id::fresh(self.now);
        self.position.token = Some(token.clone());
        token
    }
}

fn left_action(left: &Left) -> Action {
    match left {
        Left::Forward(number) => Action::Forward { number: number.clone(), place: String::new() },
        Left::Voicemail(place) => Action::Voicemail { place: place.clone() },
        Left::Hangup(cause) => Action::Hangup { cause: *cause },
        Left::Default => Action::Default,
    }
}
