//! What people of the company do with calls among themselves: pick them up, speak in a conference, call from telephones of no agent.

use super::Lab;
use super::phone::Scenario;
use super::street::DID;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_picks_up_a_call_that_rings_elsewhere_has_it() {
    let lab = Lab::open().await;
    let ann = lab.agent(101, &Scenario::rings_out(), 1).await;
    let caller = lab.caller(1, &Scenario::dials(DID).talks(2_000)).await;
    lab.until("ann", "ringing").await;
    let bob = lab.agent_dials(102, &Scenario::dials("*8101").answered().stays()).await;
    lab.until("bob", "on_call").await;
    lab.until("ann", "available").await;
    for phone in [caller, bob, ann] {
        phone.done().await;
    }
    lab.at_rest().await;
    let rows = lab.rows().await;
    assert!(rows.contains(&vec!["in 101 cancelled".into(), "in 102 answered".into()]), "{rows:?}");
    let call = lab.log().await.into_iter().find(|call| call["number"] == "+79995550101").expect("the caller's call");
    assert_eq!(call["status"], "answered", "{call}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_talks_on_in_a_conference_after_the_caller_has_gone_is_on_a_call() {
    let lab = Lab::open().await;
    let to = format!("600@{}", lab.pbx.at(1));
    let passes = Scenario::answers(100).then("refers", &[("talk_ms", "300"), ("refer_to", &to)]).then("is_let_go", &[]).hangs_up(0);
    let ann = lab.agent(101, &passes, 1).await;
    let caller = lab.caller(1, &Scenario::dials(DID).talks(3_000)).await;
    lab.until("ann", "on_call").await;
    lab.until("ann", "available").await;
    let bob = lab.agent_dials(102, &Scenario::dials("600").talks(5_000)).await;
    let eve = lab.agent_dials(103, &Scenario::dials("600").talks(5_000)).await;
    lab.until("eve", "on_call").await;
    caller.done().await;
    ann.done().await;
    // Both are still there.
    for agent in ["bob", "eve"] {
        assert_eq!(lab.is(agent).await, "on_call", "{agent}");
    }
    for phone in [bob, eve] {
        phone.done().await;
    }
    lab.at_rest().await;
    let rows = lab.rows().await.concat();
    assert!(rows.contains(&"in 101 answered".to_owned()), "{rows:?}");
    let talked = |extension: &str| rows.iter().any(|row| row.contains(&format!("{extension} answered")));
    assert!(talked("102") && talked("103"), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_telephone_of_no_agent_is_no_caller_from_outside() {
    let lab = Lab::open().await;
    // Nobody is at 140, nor outside; then bob is called and answers.
    for (to, code) in [("140", "404"), ("+79995550177", "603")] {
        let refused = Scenario::dials(to).then("is_refused", &[("code", code), ("patience_ms", "30000")]);
        lab.agent_dials(150, &refused).await.done().await;
    }
    let bob = lab.agent(102, &Scenario::answers(100).stays(), 1).await;
    let kitchen = lab.agent_dials(150, &Scenario::dials("102").talks(700)).await;
    lab.until("bob", "on_call").await;
    for phone in [kitchen, bob] {
        phone.done().await;
    }
    lab.is_quiet().await;
    let calls = lab.log().await;
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert_eq!((calls[0]["direction"].as_str(), calls[0]["legs"].as_array().map(Vec::len)), (Some("internal"), Some(1)), "{calls:?}");
    assert_eq!(lab.get("/legs").await["items"].as_array().map(Vec::len), Some(0), "between extensions nothing is logged");
}
