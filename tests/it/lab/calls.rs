//! Calls that come in: answered, not answered, in turn, given up, and several for one agent.

use rstest::rstest;

use super::Lab;
use super::phone::Scenario;
use super::street::DID;
use crate::support::Backend::{self, Postgres, Sqlite};

/// Everybody who is called in these tests has at most so many calls; who gives up does it after he has been rung once.
fn client() -> Scenario {
    Scenario::dials(DID)
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_answers_and_the_caller_hangs_up(#[values(Sqlite, Postgres)] backend: Backend) {
    let lab = Lab::without_server(backend, |_| {}).await;
    lab.serve().await;
    let ann = lab.agent(101, &Scenario::answers(600).stays(), 1).await;
    let caller = lab.caller(1, &client().talks(1_500)).await;
    lab.until("ann", "on_call").await;
    caller.done().await;
    ann.done().await;
    lab.comes_to_say(&[&["in 101 answered"]]).await;
    lab.at_rest().await;
    lab.never_two_at_once();
    let leg = &lab.log().await[0]["legs"][0];
    assert_eq!((&leg["number"], &leg["did"], &leg["agent"]), (&"+79995550101".into(), &DID.into(), &"ann".into()), "{leg}");
    let states = lab.states("ann").await;
    assert_eq!(states[states.len() - 4..], ["reserved", "ringing", "on_call", "available"], "{states:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_provision_prints_is_what_it_finds_there() {
    let lab = Lab::open().await;
    let said = lab.hookflash(&["provision", "808"]);
    let checked = said.lines().find(|l| l.starts_with("; Checked: ")).expect("a check");
    for proved in
        ["AMI lets hookflash in, Asterisk 22.", "8 of 8 contexts are loaded as they must be", "the PBX reaches http", "3 of 3 phones"]
    {
        assert!(checked.contains(proved), "{proved}: {checked}");
    }
    assert!(!said.contains("; ! "), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_hangs_up() {
    let lab = Lab::open().await;
    let ann = lab.agent(101, &Scenario::answers(100).hangs_up(700), 1).await;
    let caller = lab.caller(1, &client().answered().stays()).await;
    caller.done().await;
    ann.done().await;
    lab.comes_to_say(&[&["in 101 answered"]]).await;
    lab.at_rest().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_who_does_not_answer_is_left_alone_and_the_caller_is_missed_once() {
    let lab = Lab::open().await;
    let ann = lab.agent(101, &Scenario::rings_out(), 1).await;
    let caller = lab.caller(1, &client().abandons(4_500)).await;
    ann.done().await;
    caller.done().await;
    lab.comes_to_say(&[&["missed main", "in 101 no_answer"]]).await;
    lab.at_rest().await;
}

#[rstest]
#[case::busy(486)]
#[case::declined(603)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_who_refuses_is_left_alone_and_the_caller_is_missed_once(#[case] code: u32) {
    let lab = Lab::open().await;
    let ann = lab.agent(101, &Scenario::refuses(code), 1).await;
    let caller = lab.caller(1, &client().abandons(1_500)).await;
    ann.done().await;
    caller.done().await;
    lab.comes_to_say(&[&["missed main", "in 101 busy"]]).await;
    lab.at_rest().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_agents_are_asked_in_turn(#[values(Sqlite, Postgres)] backend: Backend) {
    let lab = Lab::without_server(backend, |app| Lab::group_of(app, &["ann", "bob", "eve"])).await;
    lab.serve().await;
    let ann = lab.agent(101, &Scenario::rings_out(), 1).await;
    let bob = lab.agent(102, &Scenario::refuses(486), 1).await;
    let eve = lab.agent(103, &Scenario::answers(200).stays(), 1).await;
    let caller = lab.caller(1, &client().talks(500)).await;
    for phone in [caller, ann, bob, eve] {
        phone.done().await;
    }
    lab.comes_to_say(&[&["in 101 no_answer", "in 102 busy", "in 103 answered"]]).await;
    lab.at_rest().await;
    let offers = lab.log().await[0]["offers"].as_array().unwrap().clone();
    let told: Vec<_> = offers.iter().map(|o| (o["agent"].as_str().unwrap(), o["state"].as_str().unwrap())).collect();
    assert_eq!(told, [("ann", "no_answer"), ("bob", "busy"), ("eve", "accepted")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_rings_to_the_end_after_another_has_declined_has_not_declined() {
    let lab = Lab::with(|app| {
        Lab::group_of(app, &["ann", "bob"]);
        app["routing"]["cool_down_s"].as_table_mut().unwrap()["rejected"] = 30.into();
    })
    .await;
    let ann = lab.agent(101, &Scenario::refuses(603), 1).await;
    let bob = lab.agent(102, &Scenario::rings_out(), 1).await;
    let caller = lab.caller(1, &client().abandons(4_500)).await;
    for phone in [ann, bob, caller] {
        phone.done().await;
    }
    lab.comes_to_say(&[&["missed main", "in 101 busy", "in 102 no_answer"]]).await;
    lab.at_rest().await;
    let offers = lab.log().await[0]["offers"].as_array().unwrap().clone();
    let told: Vec<_> = offers.iter().map(|o| (o["agent"].as_str().unwrap(), o["state"].as_str().unwrap())).collect();
    assert_eq!(told[..2], [("ann", "rejected"), ("bob", "no_answer")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_gives_up_in_the_queue_is_missed_once() {
    let lab = Lab::open().await;
    lab.set_status("ann", "NOT_AVAILABLE").await;
    let caller = lab.caller(1, &client().abandons(1_500)).await;
    caller.done().await;
    lab.comes_to_say(&[&["missed main"]]).await;
    lab.at_rest().await;
    assert_eq!(lab.is("ann").await, "not_available");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_gives_up_while_it_rings_is_no_miss_of_the_agent() {
    let lab = Lab::open().await;
    let ann = lab.agent(101, &Scenario::rings_out(), 1).await;
    let caller = lab.caller(1, &client().abandons(2_000)).await;
    lab.until("ann", "ringing").await;
    caller.done().await;
    ann.done().await;
    lab.comes_to_say(&[&["missed main", "in 101 cancelled"]]).await;
    lab.at_rest().await;
    // He is asked again at once.
    let ann = lab.agent(101, &Scenario::answers(0).stays(), 1).await;
    let caller = lab.caller(2, &client().talks(300)).await;
    caller.done().await;
    ann.done().await;
    lab.comes_to_say(&[&["missed main", "in 101 cancelled"], &["in 101 answered"]]).await;
    lab.at_rest().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_callers_have_one_agent_one_after_the_other(#[values(Sqlite, Postgres)] backend: Backend) {
    let lab = Lab::without_server(backend, |_| {}).await;
    lab.serve().await;
    let ann = lab.agent(101, &Scenario::answers(200).stays(), 2).await;
    let one = lab.caller(1, &client().talks(1_000)).await;
    let two = lab.caller(2, &client().talks(1_000)).await;
    for phone in [one, two, ann] {
        phone.done().await;
    }
    lab.comes_to_say(&[&["in 101 answered"], &["in 101 answered"]]).await;
    lab.at_rest().await;
    lab.never_two_at_once();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_rung_in_wrap_up() {
    let lab = Lab::with(|app| app["queue"][0].as_table_mut().unwrap()["wrap_up_time_limit"] = 2.into()).await;
    let ann = lab.agent(101, &Scenario::answers(600).stays(), 2).await;
    let one = lab.caller(1, &client().talks(1_500)).await;
    lab.until("ann", "on_call").await;
    let two = lab.caller(2, &client().talks(1_500)).await;
    for phone in [one, two, ann] {
        phone.done().await;
    }
    lab.comes_to_say(&[&["in 101 answered"], &["in 101 answered"]]).await;
    let mut legs: Vec<_> = lab.channels().into_values().filter(|c| c.line() == "101").collect();
    legs.sort_by_key(|c| c.begun);
    let pause_us = legs[1].begun - legs[0].ended.unwrap();
    // Asterisk's end of the first, and ours, are not the same instant.
    assert!(pause_us > 1_900_000, "after {} ms", pause_us / 1_000);
    lab.until("ann", "available").await;
    lab.at_rest().await;
    let states = lab.states("ann").await;
    // That he is free after it, the mark of the wrap-up says.
    let once = ["reserved", "ringing", "on_call", "wrap_up"];
    let twice: Vec<String> = [once, once].concat().into_iter().map(String::from).collect();
    assert!(states.ends_with(&twice), "{states:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_are_rung_and_the_first_who_answers_has_the_call() {
    let lab = Lab::with(|app| {
        Lab::group_of(app, &["ann", "bob", "eve"]);
        app["queue"][0].as_table_mut().unwrap()["strategy"] = "ring_all".into();
    })
    .await;
    let ann = lab.agent(101, &Scenario::rings_out(), 1).await;
    let bob = lab.agent(102, &Scenario::rings_out(), 1).await;
    let eve = lab.agent(103, &Scenario::answers(500).stays(), 1).await;
    let caller = lab.caller(1, &client().talks(2_000)).await;
    lab.until("eve", "on_call").await;
    for freed in ["ann", "bob"] {
        lab.until(freed, "available").await;
    }
    for phone in [caller, ann, bob, eve] {
        phone.done().await;
    }
    lab.at_rest().await;
    let mut rows = lab.rows().await.concat();
    rows.sort();
    assert_eq!(rows, ["in 101 cancelled", "in 102 cancelled", "in 103 answered"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_on_hold_is_still_on_the_call() {
    let lab = Lab::open().await;
    let holds = Scenario::answers(100).then("holds", &[("talk_ms", "300"), ("hold_ms", "600")]).hangs_up(300);
    let ann = lab.agent(101, &holds, 1).await;
    let caller = lab.caller(1, &client().answered().stays()).await;
    for phone in [caller, ann] {
        phone.done().await;
    }
    lab.comes_to_say(&[&["in 101 answered"]]).await;
    lab.at_rest().await;
    let states = lab.states("ann").await;
    assert_eq!(states.iter().filter(|s| *s == "on_call").count(), 1, "{states:?}");
}

#[rstest]
#[case::up(101, "ann", 102, "bob")]
#[case::down(102, "bob", 101, "ann")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blind_transfer_is_one_more_leg_of_the_call(
    #[case] first: u32,
    #[case] who: &'static str,
    #[case] second: u32,
    #[case] next: &'static str,
) {
    let lab = Lab::with(|app| Lab::group_of(app, &[who])).await;
    let to = format!("{second}@{}", lab.pbx.at(1));
    let passes = Scenario::answers(100).then("refers", &[("talk_ms", "500"), ("refer_to", &to)]).then("is_let_go", &[]).hangs_up(0);
    let one = lab.agent(first, &passes, 1).await;
    let two = lab.agent(second, &Scenario::answers(200).stays(), 1).await;
    let caller = lab.caller(1, &client().talks(2_500)).await;
    lab.until(next, "on_call").await;
    lab.until(who, "available").await;
    for phone in [one, caller, two] {
        phone.done().await;
    }
    lab.comes_to_say(&[&[&format!("in {first} answered"), &format!("in {second} answered passed on")]]).await;
    lab.at_rest().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attended_transfer_is_one_more_leg_of_the_call() {
    let lab = Lab::open().await;
    let ann = lab.agent(101, &Scenario::answers(100).then("notes", &[]).stays(), 1).await;
    let bob = lab.agent(102, &Scenario::answers(200).stays(), 1).await;
    let caller = lab.caller(1, &client().talks(4_000)).await;
    lab.until("ann", "on_call").await;
    let replaces = ann.noted().await;
    let joins = Scenario::dials("102").answered().then("joins", &[("talk_ms", "500"), ("replaces", &replaces)]).then("is_let_go", &[]);
    let joins = joins.then("caller_hangs_up", &[("talk_ms", "0")]);
    let asks = lab.agent_dials(101, &joins).await;
    lab.until("bob", "on_call").await;
    lab.until("ann", "available").await;
    for phone in [asks, ann, caller, bob] {
        phone.done().await;
    }
    lab.at_rest().await;
    let rows = lab.rows().await;
    assert!(rows.contains(&vec!["in 101 answered".into(), "in 102 answered passed on".into()]), "{rows:?}");
}
