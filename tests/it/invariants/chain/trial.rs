//! A trial: who is there, how each of them is, and in which order they are asked.

use hookflash::domain::agent::{AgentState, Claim, CoolDown, ManualStatus};
use hookflash::domain::time::Timestamp;
use hookflash::ingest;
use hookflash::ingest::queue::FORM;
use hookflash::pbx::{HookKind, Raw};
use hookflash::store::{Conn, Durability, agents};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::json;

use crate::support::House;

pub(super) const CALLER: &str = "+79995550101";
pub(super) const DID: &str = "+74955550100";
const PEOPLE: usize = 7;

/// How an agent is when the call comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Is {
    Free,
    Offline,
    OnABreak,
    OnACall,
    Rung,
    Named,
    WrappingUp,
    CoolingDown,
    WithoutAPhone,
    TheCaller,
}

impl Is {
    const ALL: [Is; 10] = [
        Is::Free,
        Is::Offline,
        Is::OnABreak,
        Is::OnACall,
        Is::Rung,
        Is::Named,
        Is::WrappingUp,
        Is::CoolingDown,
        Is::WithoutAPhone,
        Is::TheCaller,
    ];

    /// Why he cannot take the call, in the words of a decision.
    pub(super) fn reason(self) -> Option<&'static str> {
        Some(match self {
            Is::Free => return None,
            Is::Offline => "is offline",
            Is::OnABreak => "is not available (lunch)",
            Is::OnACall => "is on a call",
            Is::Rung => "is being rung",
            Is::Named => "was just named to another call",
            Is::WrappingUp => "is in wrap-up",
            Is::CoolingDown => "rejected a call a moment ago",
            Is::WithoutAPhone => "has no extension",
            Is::TheCaller => "is the caller himself",
        })
    }

    fn state(self, agent: &str, n: usize, now: Timestamp) -> AgentState {
        let soon = now.plus_s(5);
        let mut state = AgentState::new(agent, ManualStatus::Available, now.plus_s(-3_600));
        // The earlier in the list the longer idle.
        state.engaged_since = now.plus_s(-1_000 + n as i64);
        match self {
            Is::Offline => state.manual_status = ManualStatus::Offline,
            Is::OnABreak => (state.manual_status, state.manual_reason) = (ManualStatus::NotAvailable, Some("lunch".into())),
            Is::OnACall => state.talking = 1,
            Is::Rung => state.ringing = 1,
            Is::Named => state.claim = Some(Claim { call: "another".into(), until: soon }),
            Is::WrappingUp => state.wrap_until = soon,
            Is::CoolingDown => (state.cool_until, state.cool_cause) = (soon, Some(CoolDown::Rejected)),
            Is::Free | Is::WithoutAPhone | Is::TheCaller => {}
        }
        state
    }
}

/// Agents are numbers in `people`.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    pub(super) people: Vec<Is>,
    pub(super) owner: Option<usize>,
    pub(super) deputy: Option<usize>,
    /// Who spoke with the caller last; he had a phone.
    pub(super) last_agent: Option<usize>,
    pub(super) group: Vec<usize>,
    pub(super) queue: Vec<usize>,
    pub(super) is_open: bool,
    pub(super) is_blocked: bool,
    pub(super) chain: Vec<&'static str>,
}

pub(super) fn any_trial() -> impl Strategy<Value = Trial> {
    let one = || prop::option::weighted(0.8, 0..PEOPLE);
    let some = || subsequence((0..PEOPLE).collect::<Vec<_>>(), 0..4);
    let people = vec(prop_oneof![1 => Just(Is::Free), 4 => select(Is::ALL.to_vec())], PEOPLE);
    let chain = subsequence(vec!["owner", "deputy", "last_agent", "group:g", "queue:q"], 1..=5).prop_shuffle();
    (people, (one(), one(), one()), (some(), some()), prop::bool::weighted(0.8), prop::bool::weighted(0.1), chain).prop_map(
        |(people, (owner, deputy, last_agent), (group, queue), is_open, is_blocked, chain)| {
            let last_agent = last_agent.filter(|n| people[*n] != Is::WithoutAPhone);
            Trial { people, owner, deputy, last_agent, group, queue, is_open, is_blocked, chain }
        },
    )
}

pub(super) fn agent(n: usize) -> String {
    format!("a{n}")
}

impl Trial {
    pub(super) async fn declare(&self, house: &House, id: i64, pbx: &str) {
        let declared = |n: usize| {
            let is = self.people[n];
            let mut agent = json!({"id": agent(n), "name": format!("Agent {n}")});
            if is != Is::WithoutAPhone {
                agent["extension"] = json!((101 + n).to_string());
            }
            if is == Is::TheCaller {
                agent["phone_number"] = json!(CALLER);
            }
            agent
        };
        let names = |these: &[usize]| these.iter().map(|n| agent(*n)).collect::<Vec<_>>();
        let hours = if self.is_open { json!([{"day": 1, "from": "00:00", "to": "24:00"}]) } else { json!([]) };
        let value = json!({
            "id": id, "name": "Shop", "pbx": pbx, "login": "shop", "country": "RU", "timezone": "Europe/Moscow",
            "telphin": if pbx == "telphin" { json!({"client_prefix": "0047"}) } else { json!(null) },
            "routing": {"responsible": self.chain},
            "agent": (0..PEOPLE).map(declared).collect::<Vec<_>>(),
            "group": [{"id": "g", "name": "G", "agents": names(&self.group)}, {"id": "h", "name": "H", "agents": names(&self.queue)}],
            "business_hours": [{"id": "day", "name": "Day", "weekly": hours}],
            "queue": [{"id": "q", "name": "Q", "primary_groups": ["h"], "schedule": 2, "business_hours_id": "day"}],
            "number": [{"number": DID, "responsible": true}],
            "blacklist": if self.is_blocked { json!([{"number": CALLER}]) } else { json!([]) },
            "contact": [{"name": "Client", "phones": [CALLER], "owner": self.owner.map(agent), "deputy": self.deputy.map(agent)}],
        });
        house.declare_application(serde_json::from_value(value).expect("an application")).await;
        if let Some(n) = self.last_agent {
            self.has_spoken(house, id, pbx, 101 + n).await;
        }
        house.pass_s(1);
        let now = house.clock.now();
        let states: Vec<(Option<String>, AgentState)> = (0..PEOPLE)
            .map(|n| {
                let line = (self.people[n] != Is::WithoutAPhone).then(|| (101 + n).to_string());
                (line, self.people[n].state(&agent(n), n, now))
            })
            .collect();
        let write = move |conn: &mut Conn| states.iter().try_for_each(|(line, state)| agents::save(conn, id, line.as_deref(), state));
        house.hookflash.db.write(Durability::Process, write).await.expect("written");
    }

    /// The agent of this phone has spoken with the caller.
    async fn has_spoken(&self, house: &House, id: i64, pbx: &str, phone: usize) {
        let app = house.hookflash.roster.app(id).expect("the application");
        let forms = match pbx {
            "telphin" => ["dial-in", "answer", "hangup"]
                .map(|kind| {
                    let status = if kind == "hangup" { "&CallStatus=ANSWER" } else { "" };
                    crate::support::hooks::leg(kind, "before", &phone.to_string(), 0, status)
                })
                .to_vec(),
            _ => vec![format!("call=before&from=%2B{}&dialstatus=ANSWER&answeredtime=5&peer=PJSIP/{phone}-00000001", &CALLER[1..])],
        };
        for form in forms {
            let raw = Raw { hook: "event", query: "", content_type: FORM, body: form.as_bytes() };
            ingest::accept(&house.hookflash.db, &app, raw, HookKind::Event, &house.clock).await.expect("stored");
        }
    }
}
