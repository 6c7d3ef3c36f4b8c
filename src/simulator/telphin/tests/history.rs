use serde_json::json;

use super::*;

const RANGE: &str = "start_datetime=2025-12-01%2000:00:00&end_datetime=2026-01-31%2023:59:59";

#[actix_web::test]
async fn is_written_in_the_vendors_own_ways() {
    let b = bench().await;
    let events = b.pbx.play(Row::ManagerAnswers, "+79995550101", 4).await;
    let id = events[0].event.get("CallID").unwrap().to_owned();
    let (_, page) = b.get(&format!("/client/@me/call_history/?{RANGE}&per_page=5")).await;
    assert_eq!((&page["page"], &page["per_page"], &page["order"]), (&json!(1), &json!(5), &json!("desc")));
    let call = &page["call_history"][0];
    assert_eq!((&call["call_uuid"], &call["result"]), (&json!(id.to_uppercase()), &json!("bridged")));
    let leg = call["cdr"].as_array().unwrap().iter().find(|l| l["extension_type"] == "phone").unwrap();
    assert_eq!((&leg["flow"], &leg["result"], &leg["extension_name"]), (&json!("in"), &json!("answered"), &json!("0047*101@sip.example")));
    let duration: i64 = events.iter().find_map(|s| s.event.get("RecID").and(s.event.get("Duration"))).unwrap().parse().unwrap();
    assert!(leg["duration"].as_i64().unwrap() < duration / 1_000_000, "talk, in seconds: {leg}");
    assert!(leg["record_uuid"].is_string() && leg.get("SubCallID").is_none());
    assert_eq!(b.get(&format!("/client/@me/call_history/{id}")).await, (200, call.clone()));
    assert_eq!(b.get("/client/@me/call_history/0AF").await.0, 404);
    b.pbx.stop().await;
}

#[actix_web::test]
async fn is_paged_filtered_and_refuses_what_is_wrong() {
    let b = bench().await;
    for (n, row) in [Row::OutgoingAnswered, Row::HangupInGreeting, Row::MissedInQueue].into_iter().enumerate() {
        b.pbx.play(row, "+79995550101", n as u64).await;
        b.clock.advance(60_000_000);
    }
    let count = async |query: &str| {
        let (status, page) = b.get(&format!("/client/@me/call_history/?{RANGE}{query}")).await;
        (status, page["call_history"].as_array().map_or(0, Vec::len))
    };
    assert_eq!(count("").await, (200, 3));
    assert_eq!(count("&per_page=2&page=2").await, (200, 1));
    assert_eq!(count("&flow=out").await, (200, 1));
    assert_eq!(count("&extension_id=700200").await, (200, 1));
    b.pbx.change(|c| c.history_page = 2);
    assert_eq!((count("&per_page=100").await, count("&per_page=100&page=2").await), ((200, 2), (200, 1)));
    for bad in ["&flow=sideways", "&order=up", "&page=0", "&extension_id=x", "&limit=3"] {
        assert_eq!(count(bad).await.0, 400, "{bad}");
    }
    assert_eq!(b.get("/client/@me/call_history/").await.0, 400);
    b.pbx.stop().await;
}
