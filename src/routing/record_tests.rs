//! What is kept of a choice is enough to make it again, and never more than so much.

use proptest::prelude::*;
use proptest::strategy::Strategy as Strategy_;

use super::*;
use crate::domain::queue::{BackupMode, Strategy};
use crate::routing::choose::Level;
use crate::routing::entrance::Limits;

const NOW: Timestamp = Timestamp(1_767_000_000_000_000);
const CALLER: &str = "+79990001101";

#[derive(Clone, Debug)]
struct Room {
    agents: HashMap<String, Agent>,
    states: HashMap<String, AgentState>,
    tallies: HashMap<String, Tally>,
    tries: BTreeMap<String, u32>,
    stage: Stage,
    waited_us: i64,
    only_reachable: bool,
    extensions_only: bool,
}

impl Room {
    fn seeing<T>(&self, see: impl FnOnce(&People<'_>, &Seeker<'_>) -> T) -> T {
        let people = People { agent: &|id| self.agents.get(id), states: &self.states, tallies: &self.tallies };
        let seeker = Seeker {
            caller: CALLER,
            tries: &self.tries,
            waited_us: self.waited_us,
            seed: "lot.1",
            only_reachable: self.only_reachable,
            extensions_only: self.extensions_only,
            now: NOW,
        };
        see(&people, &seeker)
    }
}

fn any_person(id: String) -> impl Strategy_<Value = (Agent, Option<AgentState>, Tally, u32)> {
    let status = || {
        prop_oneof![
            4 => Just((ManualStatus::Available, None)),
            1 => Just((ManualStatus::NotAvailable, Some("lunch".to_owned()))),
            1 => Just((ManualStatus::NotAvailable, None)),
            1 => Just((ManualStatus::Offline, None)),
        ]
    };
    let next = prop_oneof![6 => Just(None), 1 => status().prop_map(Some)];
    let near = || prop_oneof![3 => Just(-100i64), 1 => -2..3i64];
    let login = prop_oneof![
        3 => Just(None),
        1 => prop::sample::select(QueueLogin::ALL).prop_map(|l| Some((l, Timestamp(7)))),
    ];
    let cause = prop::option::of(prop::sample::select(CoolDown::ALL));
    let declared =
        (prop::option::weighted(0.9, Just("101".to_owned())), prop::option::of(Just(CALLER.to_owned())), 1..3i32, 1..4i32, 0..4i64);
    let engaged = (0..8i32, 0..8i32, near(), near(), near(), -50..0i64, -50..0i64);
    let lately = (0..3i64, 0..3i64, prop_oneof![3 => Just(0u32), 1 => 1..3u32]);
    (declared, status(), next, engaged, (login, cause), lately, prop::bool::weighted(0.95)).prop_map(
        move |((extension, phone_number, routing_type, weight, skill), (status, reason), next, engaged, (login, cause), lately, known)| {
            let (ringing, talking, claim, wrap, cool, idle, offered) = engaged;
            let agent = Agent {
                id: id.clone(),
                name: id.clone(),
                extension,
                phone_number,
                routing_type,
                manual_status: ManualStatus::Available,
                skills: if skill == 0 { Vec::new() } else { vec![format!("roses:{skill}")] },
                weight,
                crm_user: None,
            };
            let state = AgentState {
                manual_reason: reason,
                next_status: next,
                ringing: i32::from(ringing == 0),
                talking: i32::from(talking == 0),
                claim: (claim > -50).then(|| Claim { call: "other".into(), until: NOW.plus_s(claim) }),
                wrap_until: NOW.plus_s(wrap),
                cool_until: NOW.plus_s(cool),
                cool_cause: cause,
                last_offered_at: NOW.plus_s(offered),
                engaged_since: NOW.plus_s(idle),
                queue_login: login,
                ..AgentState::new(id.clone(), status, NOW.plus_s(-1_000))
            };
            (agent, known.then_some(state), Tally { calls: lately.0, talk_us: lately.1 }, lately.2)
        },
    )
}

fn any_room(sizes: std::ops::Range<usize>) -> impl Strategy_<Value = Room> {
    let people = sizes.prop_flat_map(|n| (0..n).map(|i| any_person(format!("a{i:03}"))).collect::<Vec<_>>());
    let ways = (prop::sample::select(Strategy::ALL), prop::sample::select(BackupMode::ALL), any::<bool>(), 1..4usize, 0..3i64);
    let flags = (any::<bool>(), any::<bool>(), prop::bool::weighted(0.05), prop::bool::weighted(0.05));
    (people, 0.0..1.0f64, ways, flags, 0..40i64).prop_map(
        |(people, split, (strategy, mode, again, ring_at_once, skill), flags, waited_s)| {
            let ids: Vec<String> = people.iter().map(|(a, ..)| a.id.clone()).collect();
            let (first, second) = ids.split_at((ids.len() as f64 * split) as usize);
            let levels = vec![Level { agents: first.to_vec(), after_s: 0 }, Level { agents: second.to_vec(), after_s: 20 }];
            let skills = if skill == 0 { Vec::new() } else { vec![format!("roses:{skill}")] };
            let (only_reachable, extensions_only, closed, regardless) = flags;
            Room {
                stage: Stage {
                    levels,
                    mode,
                    strategy,
                    skills,
                    ring_at_once,
                    again,
                    closed,
                    regardless,
                    ..Stage::group("queue:q", Vec::new())
                },
                agents: people.iter().map(|(a, ..)| (a.id.clone(), a.clone())).collect(),
                states: people.iter().filter_map(|(a, s, ..)| Some((a.id.clone(), s.clone()?))).collect(),
                tallies: people.iter().map(|(a, _, t, _)| (a.id.clone(), *t)).collect(),
                tries: people.iter().filter(|(.., n)| *n > 0).map(|(a, .., n)| (a.id.clone(), *n)).collect(),
                waited_us: waited_s * 1_000_000,
                only_reachable,
                extensions_only,
            }
        },
    )
}

proptest! {
    /// Invariant 15: the same inputs, as they were stored, give the same choice, in a stage of any size.
    #[test]
    fn a_stored_choice_is_made_again(room in any_room(1..90), older in 0..5usize, lost in 0..3usize) {
        let mut choice = room.seeing(|people, seeker| choose(&room.stage, people, seeker));
        let kept: BTreeSet<String> = choice.eligible.iter().take(older).cloned().collect();
        keep(&mut choice, &kept);
        let mut look = room.seeing(|people, seeker| Look::new(&room.stage, people, seeker, &choice, &kept));
        let order = choice.eligible.clone();
        let at_once = room.stage.at_once();
        let lost: Vec<String> = order.iter().take(if at_once > 1 { at_once.min(lost) } else { lost }).cloned().collect();
        for agent in &lost {
            look.taken(agent);
            take(&mut choice, agent);
        }
        let named: Vec<String> = match at_once {
            1 => choice.eligible.iter().take(1).cloned().collect(),
            _ => order.iter().take(at_once).filter(|a| !lost.contains(a)).cloned().collect(),
        };
        let limits = Limits { wait_s: 30, room: 1, needs_staff: true };
        let gate = Gate {
            limits,
            closed: room.stage.closed,
            waited_us: room.waited_us,
            waiting: 0,
            is_new: false,
            someone_free: !order.is_empty(),
            staffed: choice.staffed,
        };
        look.gate = Some(gate);
        let stored = write(&[look]);
        let replayed = replay(CALLER, &stored).expect("readable");
        let told: Vec<Candidate> = choice.candidates.iter().take(MOST).cloned().collect();
        prop_assert_eq!(replayed, Replayed { candidates: told, agents: named, doors: door(&gate).into_iter().collect() });
    }
}

#[test]
fn what_is_kept_of_a_large_stage_is_bounded() {
    let ids: Vec<String> = (0..10_000).map(|n| format!("agent-{n:05}")).collect();
    let declared = |id: &String| (id.clone(), Person { id: id.clone(), extension: Some("101".into()), ..Person::default() }.agent());
    let mut room = Room {
        agents: ids.iter().map(declared).collect(),
        states: ids.iter().map(|id| (id.clone(), AgentState::new(id.clone(), ManualStatus::Available, NOW))).collect(),
        tallies: HashMap::new(),
        tries: BTreeMap::new(),
        stage: Stage::group("queue:q", ids),
        waited_us: 0,
        only_reachable: false,
        extensions_only: false,
    };
    for talking in [0, 1] {
        room.states.values_mut().for_each(|s| s.talking = talking);
        let choice = room.seeing(|people, seeker| choose(&room.stage, people, seeker));
        let look = room.seeing(|people, seeker| Look::new(&room.stage, people, seeker, &choice, &BTreeSet::new()));
        let stored = write(&[look]);
        assert!(stored.len() < 200 * MOST, "{} bytes", stored.len());
        assert_eq!(replay(CALLER, &stored).map(|r| r.agents), Some(choice.eligible.into_iter().take(1).collect()));
    }
}

#[test]
fn one_who_is_named_takes_little_room() {
    let agent = Person { id: "ann".into(), extension: Some("101".into()), ..Person::default() }.agent();
    let room = Room {
        agents: HashMap::from([("ann".to_owned(), agent)]),
        states: HashMap::from([("ann".to_owned(), AgentState::new("ann", ManualStatus::Available, NOW))]),
        tallies: HashMap::new(),
        tries: BTreeMap::new(),
        stage: Stage::persons("owner", vec!["ann".into()]),
        waited_us: 0,
        only_reachable: false,
        extensions_only: true,
    };
    let choice = room.seeing(|people, seeker| choose(&room.stage, people, seeker));
    let stored = write(&[room.seeing(|people, seeker| Look::new(&room.stage, people, seeker, &choice, &BTreeSet::new()))]);
    assert_eq!(
        stored,
        r#"[{"stage":{"name":"owner","levels":[{"agents":["ann"]}],"strategy":"top_down"},"now":1767000000000000,"extensions_only":true,"people":[{"id":"ann","extension":"101","engaged":1767000000000000}]}]"#
    );
}

#[test]
fn what_cannot_be_read_is_not_made_again() {
    assert_eq!((write(&[]), replay(CALLER, ""), replay(CALLER, "[{\"now\":1}]")), (String::new(), None, None));
}

/// Whoever cannot take this call anyway is refused for his own reason, also when an older call would have him.
#[test]
fn only_those_who_could_be_had_are_kept_for_others() {
    let candidate = |agent: &str, eligible: bool, reason: &str| Candidate {
        agent: agent.into(),
        eligible,
        reason: reason.into(),
        ..serde_json::from_value(serde_json::json!({"step": "queue:main", "agent": "", "eligible": false, "reason": ""}))
            .expect("a candidate")
    };
    let mut choice = Choice {
        candidates: vec![candidate("ann", true, "is free"), candidate("bob", false, "is on a call"), candidate("eve", true, "is free")],
        eligible: vec!["ann".into(), "eve".into()],
        ..Choice::default()
    };
    keep(&mut choice, &BTreeSet::from(["ann".to_owned(), "bob".to_owned()]));
    assert_eq!(choice.eligible, ["eve"]);
    let told: Vec<&str> = choice.candidates.iter().map(|c| c.reason.as_str()).collect();
    assert_eq!(told, ["is kept for a caller who has waited longer", "is on a call", "is free"]);
}
