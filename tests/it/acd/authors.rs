//! A status is by who chose it, however long the work in hand keeps it from showing.

use hookflash::auth::Role;
use serde_json::{Value, json};

use super::support::{APP, Caller, Desk, MAIN, queue, with_desk};
use super::{ONE, TWO};

/// The times of an agent in one state: by whom, and why.
async fn in_state(desk: &Desk<'_>, agent: &str, state: &str) -> Vec<(Value, Value)> {
    let told = desk.client.get(&format!("/api/v1/apps/808/agents/{agent}/times")).await.ok();
    let times = told["times"].as_array().expect("times");
    times.iter().filter(|t| t["state"] == state).map(|t| (t["by"].clone(), t["reason"].clone())).collect()
}

#[actix_web::test]
async fn a_status_that_waits_for_the_end_of_work_is_by_who_chose_it() {
    for wrap_up_s in [0, 10] {
        with_desk(
            |app| queue(app, "main", &format!("wrap_up_time_limit = {wrap_up_s}")),
            async |desk| {
                let lead = desk.client.with(&desk.house.token(Role::Supervisor, Some(APP), None).await);
                for (agent, extension, when, call) in [("ann", "101", "now", ("c1", ONE)), ("bob", "102", "next", ("c2", TWO))] {
                    let mut caller = desk.caller(call.0, call.1, MAIN);
                    assert_eq!(Caller::dialled(&caller.ask().await), agent);
                    caller.answered_by(extension).await;
                    desk.pass_s(10).await;
                    let status = json!({"manual_status": "NOT_AVAILABLE", "reason": "lunch", "when": when});
                    lead.put(&format!("/api/v1/apps/808/agents/{agent}/status"), status).await.ok();
                    desk.pass_s(10).await;
                    caller.hangs_up("ANSWER", 20).await;
                    assert_eq!(desk.is(agent).await, if wrap_up_s > 0 { "wrap_up" } else { "not_available" });
                    desk.pass_s(30).await;
                    let breaks = in_state(desk, agent, "not_available").await;
                    assert!(!breaks.is_empty() && breaks.iter().all(|b| *b == (json!("supervisor"), json!("lunch"))), "{breaks:?}");
                }
            },
        )
        .await;
    }
}
