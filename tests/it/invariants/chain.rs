//! Invariant 18: a responsible manager who cannot take the call, whatever the reason, is passed over for the first in the chain who can; the
//! decision names each who was passed over, with his reason. For a PBX that asks once, and for one whose calls wait.
//!
//! Each trial is an application of its own: a chain in any order, a contact, a group and a queue of agents in any state.

use hookflash::acd;
use hookflash::domain::agent::{AgentState, Claim, CoolDown, ManualStatus};
use hookflash::domain::decision::Decision;
use hookflash::domain::time::Timestamp;
use hookflash::ingest;
use hookflash::ingest::queue::FORM;
use hookflash::lookup::{self, Mode};
use hookflash::pbx::action::Action;
use hookflash::pbx::{HookKind, Raw, RoutingRequest};
use hookflash::store::{Conn, Durability, agents};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::test_runner::{Config, TestRunner};
use rstest::rstest;
use serde_json::json;

use crate::support::{Backend, House};

const CALLER: &str = "+79995550101";
const DID: &str = "+74955550100";
const PEOPLE: usize = 7;

/// How an agent is when the call comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
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
    fn reason(self) -> Option<&'static str> {
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
struct Trial {
    people: Vec<Is>,
    owner: Option<usize>,
    deputy: Option<usize>,
    /// Who spoke with the caller last; he had a phone.
    last_agent: Option<usize>,
    group: Vec<usize>,
    queue: Vec<usize>,
    is_open: bool,
    is_blocked: bool,
    chain: Vec<&'static str>,
}

fn any_trial() -> impl Strategy<Value = Trial> {
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

fn agent(n: usize) -> String {
    format!("a{n}")
}

/// What must come of it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Must {
    chosen: Option<String>,
    /// Each who was passed over: the step, the agent, the reason.
    refused: Vec<(String, String, String)>,
    /// Steps that name nobody.
    empty: Vec<String>,
    /// The caller is not let in.
    turned_away: bool,
}

impl Trial {
    /// `once`: who was refused at a step is not told of again at a later one, and nobody is turned away.
    fn must(&self, once: bool) -> Must {
        let mut must = Must::default();
        if self.is_blocked && !once {
            must.turned_away = true;
            return must;
        }
        for step in &self.chain {
            let people: Vec<usize> = match *step {
                "owner" => self.owner.into_iter().collect(),
                "deputy" => self.deputy.into_iter().collect(),
                "last_agent" => self.last_agent.into_iter().collect(),
                "group:g" => self.group.clone(),
                _ => self.queue.clone(),
            };
            if people.is_empty() {
                must.empty.push((*step).to_owned());
            }
            for n in &people {
                let closed = (*step == "queue:q" && !self.is_open).then_some("works for a queue that is closed at this hour");
                let told = once && must.refused.iter().any(|(_, a, _)| *a == agent(*n));
                if let Some(reason) = closed.or(self.people[*n].reason()).filter(|_| !told) {
                    must.refused.push(((*step).to_owned(), agent(*n), reason.to_owned()));
                }
            }
            let free = |n: &&usize| self.people[**n] == Is::Free && (self.is_open || *step != "queue:q");
            // In the order of idleness, which is that of the numbers.
            let passed = |n: &&usize| !once || !must.refused.iter().any(|(s, a, _)| *a == agent(**n) && s != step);
            if let Some(n) = people.iter().filter(free).find(passed) {
                must.chosen = Some(agent(*n));
                break;
            }
        }
        must.refused.sort();
        must
    }

    async fn declare(&self, house: &House, id: i64, pbx: &str) {
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

/// What has come of it, as a decision and the agents' rows tell.
async fn came(house: &House, id: i64, decision: &Decision, steps: &[&str]) -> Must {
    let now = house.clock.now();
    let states = house.read(move |conn| agents::all(conn, id)).await;
    let bound: Vec<String> =
        states.into_iter().filter(|s| s.live_claim(now).is_some_and(|c| c.call != "another")).map(|s| s.agent).collect();
    assert_eq!(bound, decision.agents, "who is named is bound, and nobody else");
    let refused = decision.candidates.iter().filter(|c| !c.eligible);
    let mut refused: Vec<_> = refused.map(|c| (c.step.clone(), c.agent.clone(), c.reason.clone())).collect();
    refused.sort();
    let told_empty = |step: &&&str| decision.reason.contains(&format!("The step {step} names nobody"));
    Must {
        chosen: decision.agents.first().cloned(),
        refused,
        empty: steps.iter().filter(told_empty).map(|s| (*s).to_owned()).collect(),
        turned_away: decision.reason.contains("on the blacklist"),
    }
}

#[rstest]
#[case(Backend::Sqlite, 50)]
#[case(Backend::Postgres, 12)]
fn whoever_cannot_is_passed_over_for_the_first_who_can_with_his_reason(#[case] backend: Backend, #[case] cases: u32) {
    let system = actix_web::rt::System::new();
    let house = system.block_on(House::shop(backend));
    let next = std::cell::Cell::new(1_000);
    let mut runner = TestRunner::new(Config { cases, max_shrink_iters: 200, failure_persistence: None, ..Config::default() });
    let result = runner.run(&any_trial(), |trial| {
        system.block_on(async {
            let id = next.replace(next.get() + 2);
            let (db, clock) = (&house.hookflash.db, &house.clock);
            let request = RoutingRequest {
                call: Some("call".into()),
                caller: CALLER.into(),
                did: Some(DID.into()),
                dialled: Some(DID.into()),
                ..RoutingRequest::default()
            };
            trial.declare(&house, id, "telphin").await;
            let app = house.hookflash.roster.app(id).expect("the application");
            let answer = lookup::decide(db, clock, &app, &request, Mode::Live { claim_s: 20 }).await.expect("decided");
            let found = came(&house, id, &answer.decision.expect("a decision"), &[]).await;
            let must = Must { empty: Vec::new(), ..trial.must(true) };
            let phone = must.chosen.as_ref().map(|a| format!("10{}", 1 + a[1..].parse::<usize>().expect("a number")));
            proptest::prop_assert_eq!((answer.extension, found), (phone, must), "by a lookup");

            trial.declare(&house, id + 1, "asterisk").await;
            let app = house.hookflash.roster.app(id + 1).expect("the application");
            let answer = acd::ask(db, clock, &app, &request).await.expect("answered");
            let found = came(&house, id + 1, &answer.decision.expect("a decision"), &trial.chain).await;
            let mut must = trial.must(false);
            // A queue is there without agents too.
            must.empty.retain(|step| step != "queue:q");
            let action = answer.action.expect("an action");
            let fits = match &action {
                Action::Dial(dial) => Some(&dial.agents) == must.chosen.clone().map(|a| vec![a]).as_ref(),
                Action::Hangup { cause: 21 } => must.turned_away,
                Action::Default => must.chosen.is_none() && !must.turned_away,
                _ => false,
            };
            proptest::prop_assert!(fits, "{:?} for {:?}", action, must);
            proptest::prop_assert_eq!(found, must, "by a question");
            Ok(())
        })
    });
    if let Err(e) = result {
        panic!("{e}");
    }
}
