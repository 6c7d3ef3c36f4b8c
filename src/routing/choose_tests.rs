//! The choice against a reference that is slow and obviously right, and each strategy's order.

use proptest::prelude::*;
use proptest::strategy::Strategy as Strategy_;

use super::*;
use crate::domain::agent::{Claim, CoolDown};
use crate::domain::queue::Strategy;

const NOW: Timestamp = Timestamp(1_767_000_000_000_000);

fn agent(id: &str, skills: &[&str], weight: i32) -> Agent {
    let value = serde_json::json!({"id": id, "name": id, "extension": "1", "skills": skills, "weight": weight});
    serde_json::from_value(value).expect("an agent")
}

fn stage(strategy: Strategy, levels: &[(&[&str], i64)]) -> Stage {
    let levels = levels.iter().map(|(ids, after_s)| Level { agents: ids.iter().map(|i| (*i).to_owned()).collect(), after_s: *after_s });
    Stage { levels: levels.collect(), strategy, ring_at_once: 10, again: true, ..Stage::group("queue:q", Vec::new()) }
}

/// Free since so many seconds before now.
fn free(id: &str, idle_s: i64) -> AgentState {
    AgentState { engaged_since: NOW.plus_s(-idle_s), ..AgentState::new(id, ManualStatus::Available, NOW.plus_s(-10_000)) }
}

struct World {
    agents: Vec<Agent>,
    states: HashMap<String, AgentState>,
    tallies: HashMap<String, Tally>,
    tries: BTreeMap<String, u32>,
}

impl World {
    fn new(states: Vec<AgentState>) -> World {
        let agents = states.iter().map(|s| agent(&s.agent, &[], 1)).collect();
        let states = states.into_iter().map(|s| (s.agent.clone(), s)).collect();
        World { agents, states, tallies: HashMap::new(), tries: BTreeMap::new() }
    }

    fn choose(&self, stage: &Stage, waited_s: i64, seed: &str) -> Choice {
        let find = |id: &str| self.agents.iter().find(|a| a.id == id);
        let people = People { agent: &find, states: &self.states, tallies: &self.tallies };
        choose(
            stage,
            &people,
            &Seeker {
                caller: "+79990001101",
                tries: &self.tries,
                waited_us: waited_s * 1_000_000,
                seed,
                only_reachable: false,
                extensions_only: false,
                now: NOW,
            },
        )
    }

    fn order(&self, strategy: Strategy) -> Vec<String> {
        let ids: Vec<&str> = self.agents.iter().map(|a| a.id.as_str()).collect();
        self.choose(&stage(strategy, &[(&ids, 0)]), 0, "seed").eligible
    }
}

#[test]
fn each_strategy_has_its_order() {
    let mut world = World::new(vec![free("a", 10), free("b", 30), free("c", 20)]);
    world.states.get_mut("b").unwrap().last_offered_at = NOW.plus_s(-1);
    world.states.get_mut("c").unwrap().last_offered_at = NOW.plus_s(-500);
    for (id, calls, talk_us) in [("a", 3, 10), ("b", 1, 30), ("c", 2, 5)] {
        world.tallies.insert(id.into(), Tally { calls, talk_us });
    }
    // Whoever was offered a call a second ago is not the one who is idle longest, however long he has not talked.
    assert_eq!(world.order(Strategy::LongestIdle), ["c", "a", "b"]);
    assert_eq!(world.order(Strategy::RoundRobin), ["a", "c", "b"]);
    assert_eq!(world.order(Strategy::TopDown), ["a", "b", "c"]);
    assert_eq!(world.order(Strategy::FewestCalls), ["b", "c", "a"]);
    assert_eq!(world.order(Strategy::LeastTalkTime), ["c", "a", "b"]);
    assert_eq!(world.order(Strategy::Random), world.order(Strategy::Random));
}

#[test]
fn every_strategy_s_order_is_total() {
    let offered = |id: &str, ago: i64| AgentState { last_offered_at: NOW.plus_s(-ago), ..free(id, 10) };
    let world = World::new(vec![offered("a", 30), offered("b", 40), offered("c", 40), offered("d", 20)]);
    for way in Strategy::ALL {
        let order = |ids: &[&str]| world.choose(&stage(*way, &[(ids, 0)]), 0, "seed").eligible;
        let (one, other) = (order(&["a", "b", "c", "d"]), order(&["d", "c", "b", "a"]));
        match way {
            Strategy::TopDown => assert_eq!((one.concat(), other.concat()), ("abcd".to_owned(), "dcba".to_owned())),
            Strategy::Random | Strategy::WeightedRandom => assert_eq!(one, other, "{way}: the lot is the agent's own"),
            // All alike by the strategy: whose last offer lies further back, then the id.
            _ => assert_eq!((one.concat(), other.concat()), ("bcad".to_owned(), "bcad".to_owned()), "{way}"),
        }
        // The level goes before all of that.
        let levels = stage(*way, &[(&["d"], 0), (&["a", "b", "c"], 0)]);
        assert_eq!(world.choose(&levels, 0, "seed").eligible[0], "d", "{way}");
    }
}

#[test]
fn skills_are_needed_at_their_level_and_the_best_goes_first() {
    let mut world = World::new(vec![free("a", 10), free("b", 20), free("c", 30)]);
    world.agents = vec![agent("a", &["english:5"], 1), agent("b", &["english", "roses"], 1), agent("c", &["english:2"], 1)];
    let wanted = Stage { skills: vec!["english:2".into()], ..stage(Strategy::HighestSkill, &[(&["a", "b", "c"], 0)]) };
    let choice = world.choose(&wanted, 0, "s");
    assert_eq!(choice.eligible, ["a", "c"]);
    assert_eq!(choice.candidates[2].reason, "lacks the skill english:2");
}

#[test]
fn lots_fall_in_proportion_to_the_weights() {
    let mut world = World::new(vec![free("a", 0), free("b", 0)]);
    world.agents = vec![agent("a", &[], 3), agent("b", &[], 1)];
    let weighted = stage(Strategy::WeightedRandom, &[(&["a", "b"], 0)]);
    let wins = |stage: &Stage| (0..4_000).filter(|n| world.choose(stage, 0, &n.to_string()).eligible[0] == "a").count();
    let (lots, even) = (wins(&weighted), wins(&Stage { strategy: Strategy::Random, ..weighted.clone() }));
    assert!((2_850..3_150).contains(&lots) && (1_850..2_150).contains(&even), "{lots} {even}");
}

#[test]
fn a_backup_level_opens_with_time_or_when_nobody_of_the_first_is_on_duty() {
    let levels = stage(Strategy::TopDown, &[(&["a"], 0), (&["b"], 15)]);
    let busy = AgentState { talking: 1, ..free("a", 10) };
    let world = World::new(vec![busy.clone(), free("b", 10)]);
    let early = world.choose(&levels, 14, "s");
    assert_eq!(
        (early.eligible.as_slice(), early.candidates[1].reason.as_str()),
        (&[][..], "belongs to a backup group that is asked later")
    );
    assert_eq!(world.choose(&levels, 15, "s").eligible, ["b"]);
    let on_break = AgentState { manual_status: ManualStatus::NotAvailable, ..free("a", 10) };
    assert_eq!(World::new(vec![on_break, free("b", 10)]).choose(&levels, 0, "s").eligible, ["b"]);
    // Widened, both ring; replaced, only the backup does, unless nobody is logged in there.
    let world = World::new(vec![free("a", 10), free("b", 10)]);
    assert_eq!(world.choose(&levels, 20, "s").eligible, ["a", "b"]);
    let replaced = Stage { mode: BackupMode::Replace, ..levels };
    assert_eq!(world.choose(&replaced, 20, "s").eligible, ["b"]);
    let gone = AgentState { manual_status: ManualStatus::Offline, ..free("b", 10) };
    assert_eq!(World::new(vec![free("a", 10), gone]).choose(&replaced, 20, "s").eligible, ["a"]);
}

#[test]
fn nobody_is_tried_again_while_somebody_untried_is_free_in_an_open_level() {
    let levels = stage(Strategy::TopDown, &[(&["a", "b"], 0), (&["c"], 0)]);
    let mut world = World::new(vec![free("a", 10), free("b", 10), free("c", 10)]);
    world.tries = [("a".to_owned(), 1), ("b".to_owned(), 1)].into();
    let choice = world.choose(&levels, 0, "s");
    assert_eq!(choice.eligible, ["c"]);
    assert_eq!(choice.candidates[1].reason, "was tried by this call already");
    world.tries.insert("c".into(), 1);
    assert_eq!(world.choose(&levels, 0, "s").eligible, ["a", "b", "c"], "a new round");
}

#[test]
fn older_calls_take_what_they_want_first() {
    let wish = |ids: &[&str], n| (ids.iter().map(|i| (*i).to_owned()).collect::<Vec<_>>(), n);
    let kept = kept_for_older(&[wish(&["a", "b"], 1), wish(&["a", "b"], 1), wish(&["a"], 1), wish(&["d", "e", "f"], 2)]);
    assert_eq!(kept.into_iter().collect::<Vec<_>>(), ["a", "b", "d", "e"]);
}

fn any_state(id: String) -> impl Strategy_<Value = AgentState> {
    let status = prop_oneof![4 => Just(ManualStatus::Available), 1 => Just(ManualStatus::NotAvailable), 1 => Just(ManualStatus::Offline)];
    let near = || prop_oneof![3 => Just(-100i64), 1 => -2..3i64];
    (status, 0..8i32, 0..8i32, near(), near(), near(), -50..0i64, -50..0i64).prop_map(
        move |(status, ringing, talking, claim, wrap, cool, idle, offered)| AgentState {
            ringing: i32::from(ringing == 0),
            talking: i32::from(talking == 0),
            claim: Some(Claim { call: "other".into(), until: NOW.plus_s(claim) }),
            wrap_until: NOW.plus_s(wrap),
            cool_until: NOW.plus_s(cool),
            cool_cause: Some(CoolDown::Busy),
            last_offered_at: NOW.plus_s(offered),
            engaged_since: NOW.plus_s(idle),
            ..AgentState::new(id.clone(), status, NOW.plus_s(-1_000))
        },
    )
}

proptest! {
    /// The reference looks for the best by going over everybody again and again.
    #[test]
    fn the_choice_is_that_of_a_slow_reference(
        states in (1usize..14).prop_flat_map(|n| (0..n).map(|i| any_state(format!("a{i:02}"))).collect::<Vec<_>>()),
        split in 0usize..14, tried in prop::collection::vec((0usize..14, 1u32..3), 0..5), waited_s in 0i64..40,
    ) {
        let ids: Vec<String> = states.iter().map(|s| s.agent.clone()).collect();
        let (first, second) = ids.split_at(split.min(ids.len()));
        let levels = vec![Level { agents: first.to_vec(), after_s: 0 }, Level { agents: second.to_vec(), after_s: 20 }];
        let stage = Stage { levels, ..stage(Strategy::LongestIdle, &[]) };
        let mut world = World::new(states.clone());
        world.tries = tried.into_iter().filter_map(|(i, n)| Some((ids.get(i)?.clone(), n))).collect();
        let choice = world.choose(&stage, waited_s, "s");

        let on_duty = |id: &String| world.states[id].manual_status == ManualStatus::Available;
        let second_open = waited_s >= 20 || !first.iter().any(on_duty);
        let can = |id: &String| {
            let s = &world.states[id];
            on_duty(id) && s.talking == 0 && s.ringing == 0 && s.claim.as_ref().is_none_or(|c| c.until <= NOW)
                && s.wrap_until <= NOW && s.cool_until <= NOW && (first.contains(id) || second_open)
        };
        let tries = |id: &String| world.tries.get(id).copied().unwrap_or(0);
        let mut left: Vec<&String> = ids.iter().filter(|id| can(id)).collect();
        let fewest = left.iter().map(|id| tries(id)).min();
        left.retain(|id| Some(tries(id)) == fewest);
        let mut expected = Vec::new();
        while !left.is_empty() {
            let mut best = left[0];
            for id in &left {
                let level = |i: &String| usize::from(!first.contains(i));
                let (a, b) = (&world.states[*id], &world.states[best]);
                let earlier = level(id) < level(best) || level(id) == level(best) && (
                    a.idle_since() < b.idle_since() || a.idle_since() == b.idle_since() && (
                        a.last_offered_at < b.last_offered_at || a.last_offered_at == b.last_offered_at && *id < best));
                if earlier {
                    best = id;
                }
            }
            expected.push(best.clone());
            left.retain(|id| *id != best);
        }
        prop_assert_eq!(&choice.eligible, &expected);
        // Everybody is told of once, with a reason.
        let mut told: Vec<&String> = choice.candidates.iter().map(|c| &c.agent).collect();
        told.sort();
        prop_assert_eq!(told, ids.iter().collect::<Vec<_>>());
        prop_assert!(choice.candidates.iter().all(|c| !c.reason.is_empty() && c.eligible == expected.contains(&c.agent)));
        prop_assert_eq!(choice.staffed, ids.iter().any(on_duty));
        prop_assert_eq!(world.choose(&stage, waited_s, "s"), choice);
    }
}

#[test]
fn a_queue_s_stage_is_as_the_queue_is_declared() {
    let app: Application = serde_json::from_value(serde_json::json!({
        "id": 1, "name": "Shop", "pbx": "asterisk", "login": "p",
        "agent": [{"id": "ann", "name": "Ann"}, {"id": "bob", "name": "Bob"}],
        "group": [{"id": "first", "name": "First", "agents": ["ann"]}, {"id": "second", "name": "Second", "agents": ["bob", "ann"]}],
        "queue": [{
            "id": "main", "name": "Main", "primary_groups": ["first"], "backup_groups": ["second"], "route_to_backup_groups_after": 15,
            "backup_mode": "replace", "strategy": "ring_all", "skills": ["german:2"], "ring_at_once": 3, "schedule": 2, "business_hours_id": "h",
        }],
        "business_hours": [{"id": "h", "name": "Never"}],
    }))
    .expect("an application");
    let levels = vec![Level { agents: vec!["ann".into()], after_s: 0 }, Level { agents: vec!["bob".into()], after_s: 15 }];
    let stage = Stage {
        name: "queue:main".into(),
        levels,
        mode: BackupMode::Replace,
        strategy: Strategy::RingAll,
        skills: vec!["german:2".into()],
        ring_at_once: 3,
        closed: true,
        again: true,
        regardless: false,
    };
    assert_eq!(Stage::queue(&app, &app.queue[0], Timestamp(1_767_000_000_000_000)), stage);
}
