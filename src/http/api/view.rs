//! Agents, legs, calls and decisions as clients see them (contract, section 3: the fields that they rely on).

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::agent::{AgentState, CoolDown, ManualStatus, OfferState, Reachability, State};
use crate::domain::call_log::{CallDirection, CallStatus, LegStatus};
use crate::domain::decision::{Candidate, Decision, Outcome};
use crate::domain::spec::{Agent, Group};
use crate::domain::time::Timestamp;
use crate::store::calls::{CallRow, LegRow};
use crate::store::live::LiveLeg;
use crate::store::offers::Offer;
use crate::text_enum;

fn time(us: i64) -> String {
    Timestamp(us).rfc3339()
}

/// An agent with what he does now.
#[derive(Debug, Serialize, ToSchema)]
pub struct AgentView {
    pub id: String,
    pub name: String,
    pub extension: Option<String>,
    pub phone_number: Option<String>,
    /// 1: an app or a SIP phone; 2: his own phone number.
    pub routing_type: i32,
    pub manual_status: ManualStatus,
    pub manual_reason: Option<String>,
    /// Holds when the work in hand ends.
    pub next_status: Option<ManualStatus>,
    /// 0 on a call or about to be, 1 free, 2 wrap-up.
    pub system_status: i32,
    pub state: State,
    /// Since when `state` holds.
    #[schema(format = DateTime)]
    pub since: String,
    /// Only in wrap-up: until when it lasts.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrap_up_until: Option<String>,
    /// Only while he is left alone after an offer that failed: until when, and why.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cool_down_until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cool_down_cause: Option<CoolDown>,
    /// Whether the PBX's queues ring him, as they last told.
    pub reachability: Reachability,
    /// Since when that is known; null while nothing is.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub reachability_since: Option<String>,
    /// The call that he is on, rung by or named to.
    pub call_id: Option<String>,
    pub groups: Vec<String>,
    pub skills: Vec<String>,
    /// His share where a queue chooses by `weighted_random`.
    pub weight: i32,
    pub crm_user: Option<String>,
}

impl AgentView {
    /// `legs`: every live leg of the application, answered ones first.
    pub fn new(agent: &Agent, groups: &[Group], state: Option<&AgentState>, legs: &[LiveLeg], now: Timestamp) -> AgentView {
        let fresh = || AgentState::new(&agent.id, agent.manual_status, now);
        let state = state.cloned().unwrap_or_else(fresh);
        let (word, since) = state.at(now);
        let leg = legs.iter().find(|l| agent.lines().any(|line| line == l.extension));
        // A claim for a callback of his own is held under a name that is no call's.
        let claimed = || state.live_claim(now).map(|c| c.call.clone()).filter(|call| is_call_id(call));
        AgentView {
            id: agent.id.clone(),
            name: agent.name.clone(),
            extension: agent.extension.clone(),
            phone_number: agent.phone_number.clone(),
            routing_type: agent.routing_type,
            manual_status: state.manual_status,
            manual_reason: state.manual_reason.clone(),
            next_status: state.next_status.as_ref().map(|(next, _)| *next),
            system_status: word.system_status(),
            state: word,
            since: since.rfc3339(),
            wrap_up_until: Some(state.wrap_until).filter(|_| word == State::WrapUp).map(Timestamp::rfc3339),
            cool_down_until: Some(state.cool_until).filter(|until| *until > now).map(Timestamp::rfc3339),
            cool_down_cause: state.cool_cause.filter(|_| state.cool_until > now),
            reachability: state.reachability().0,
            reachability_since: state.reachability().1.map(Timestamp::rfc3339),
            call_id: leg.map(|l| l.call_id.clone()).or_else(claimed),
            groups: groups.iter().filter(|g| g.agents.contains(&agent.id)).map(|g| g.id.clone()).collect(),
            skills: agent.skills.clone(),
            weight: agent.weight,
            crm_user: agent.crm_user.clone(),
        }
    }
}

fn is_call_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

text_enum! {
    pub enum LegKind {
        Leg = "leg",
        /// The row of a call that nobody took.
        Missed = "missed",
    }
}

/// One leg of a call, or the row of a missed one.
#[derive(Debug, Serialize, ToSchema)]
pub struct LegView {
    pub id: String,
    /// Our id of the call.
    pub call_id: String,
    /// The PBX's id of the call, as it wrote it.
    pub pbx_call_id: String,
    /// The PBX's id of the leg; null for a missed call.
    pub sub_call_id: Option<String>,
    #[schema(value_type = LegKind)]
    pub kind: String,
    /// `in` or `out`: the leg's own.
    #[schema(value_type = String, example = "in")]
    pub direction: String,
    #[schema(value_type = LegStatus)]
    pub status: String,
    /// The outside party of this leg, E.164.
    pub number: Option<String>,
    pub did: Option<String>,
    pub extension: Option<String>,
    pub agent: Option<String>,
    /// For a missed call: the queue, the IVR or the phone that lost it.
    pub place: Option<String>,
    #[schema(format = DateTime)]
    pub started_at: String,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub answered_at: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<String>,
    pub talk_ms: i64,
    pub duration_ms: i64,
    pub transferred: bool,
    pub record_id: Option<String>,
    pub callback_id: Option<String>,
    /// `events`, or `history`: read back from the PBX.
    #[schema(example = "events")]
    pub source: String,
}

impl LegView {
    pub fn new(row: LegRow, pbx_call_id: String) -> LegView {
        LegView {
            id: row.id(),
            call_id: row.call_id,
            pbx_call_id,
            sub_call_id: row.sub_call_id,
            kind: row.kind,
            direction: row.direction,
            status: row.status,
            number: row.number,
            did: row.did,
            extension: row.extension,
            agent: row.agent,
            place: row.place,
            started_at: time(row.started_at),
            answered_at: row.answered_at.map(time),
            ended_at: row.ended_at.map(time),
            talk_ms: row.talk_us / 1_000,
            duration_ms: row.duration_us / 1_000,
            transferred: row.transferred,
            record_id: row.record_id,
            callback_id: row.callback_id,
            source: row.source,
        }
    }
}

/// A call as a whole.
#[derive(Debug, Serialize, ToSchema)]
pub struct CallView {
    pub id: String,
    /// The PBX's id, as it wrote it.
    pub pbx_call_id: String,
    #[schema(value_type = CallDirection)]
    pub direction: String,
    #[schema(value_type = CallStatus)]
    pub status: String,
    /// The client's number, E.164.
    pub number: Option<String>,
    pub did: Option<String>,
    #[schema(format = DateTime)]
    pub started_at: String,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<String>,
    /// All of them, also those that nobody answered, in the order of their begin.
    pub legs: Vec<LegView>,
    pub offers: Vec<OfferView>,
    pub decisions: Vec<DecisionView>,
    pub recordings: Vec<RecordingView>,
}

impl CallView {
    /// `legs`, `offers` and `decisions` are the call's own; recordings whose id is in `deleted` are left out.
    pub fn new(row: CallRow, legs: Vec<LegRow>, offers: Vec<Offer>, decisions: Vec<Decision>, deleted: &[String]) -> CallView {
        let recordings = legs.iter().filter_map(RecordingView::of).filter(|r| !deleted.contains(&r.id)).collect();
        let pbx_call_id = row.pbx_call_id.clone();
        CallView {
            id: row.id,
            pbx_call_id: row.pbx_call_id,
            direction: row.direction,
            status: row.status,
            number: row.number,
            did: row.did,
            started_at: time(row.started_at),
            ended_at: row.ended_at.map(time),
            legs: legs.into_iter().map(|leg| LegView::new(leg, pbx_call_id.clone())).collect(),
            offers: offers.into_iter().map(OfferView::from).collect(),
            decisions: decisions.into_iter().map(DecisionView::from).collect(),
            recordings,
        }
    }
}

/// A recording of a call; its audio is a resource of its own.
#[derive(Debug, Serialize, ToSchema)]
pub struct RecordingView {
    pub id: String,
    pub leg_id: String,
    pub agent: Option<String>,
    #[schema(format = DateTime)]
    pub started_at: String,
    pub talk_ms: i64,
}

impl RecordingView {
    fn of(leg: &LegRow) -> Option<RecordingView> {
        Some(RecordingView {
            id: leg.record_id.clone()?,
            leg_id: leg.id(),
            agent: leg.agent.clone(),
            started_at: time(leg.started_at),
            talk_ms: leg.talk_us / 1_000,
        })
    }
}

/// An agent who was named to a call, and what became of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct OfferView {
    /// That of the decision that made it.
    pub id: String,
    pub agent: String,
    pub extension: String,
    #[schema(value_type = OfferState)]
    pub state: String,
    #[schema(format = DateTime)]
    pub made_at: String,
    /// When the claim ends if no leg follows.
    #[schema(format = DateTime)]
    pub until: String,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<String>,
}

impl From<Offer> for OfferView {
    fn from(o: Offer) -> Self {
        OfferView {
            id: o.id,
            agent: o.agent,
            extension: o.extension,
            state: o.state,
            made_at: time(o.made_at),
            until: time(o.until),
            ended_at: o.ended_at.map(time),
        }
    }
}

/// Why a call went where it went.
#[derive(Debug, Serialize, ToSchema)]
pub struct DecisionView {
    pub id: String,
    #[schema(format = DateTime)]
    pub at: String,
    /// As the PBX wrote him.
    pub caller: String,
    pub outcome: Outcome,
    /// Who was named, in order.
    pub agents: Vec<String>,
    /// One sentence.
    pub reason: String,
    /// Who was looked at, those who can take the call first; at most 50 of a step.
    pub candidates: Vec<Candidate>,
    pub took_us: i64,
    /// The answer came after the deadline.
    pub late: bool,
}

impl From<Decision> for DecisionView {
    fn from(d: Decision) -> Self {
        DecisionView {
            id: d.id,
            at: d.at.rfc3339(),
            caller: d.caller,
            outcome: d.outcome,
            agents: d.agents,
            reason: d.reason,
            candidates: d.candidates,
            took_us: d.took_us,
            late: d.late,
        }
    }
}
