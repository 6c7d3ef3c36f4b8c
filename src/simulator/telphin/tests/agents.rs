use serde_json::json;

use super::*;

#[actix_web::test]
async fn an_agent_logs_in_and_out_and_only_a_change_is_told() {
    let b = bench().await;
    let agents = "/client/@me/agent/local/";
    let listed = json!([{"id": 800101, "extension_id": 700101, "extension_name": "0047*101", "status": "available"}]);
    assert_eq!(b.get(&format!("{agents}?extension_id=700101")).await, (200, listed.clone()));
    assert_eq!(b.get("/extension/700101/agent/").await, (200, listed));
    let subscription = |kind: &str| Some(json!({"url": "http://127.0.0.1:1/", "event_type": kind, "method": "POST"}));
    let (status, made) = b.api("POST", &format!("{agents}800101/event/"), subscription("agent-logout")).await;
    assert_eq!(status, 201);
    assert_eq!(b.api("POST", &format!("{agents}800101/event/"), subscription("hangup")).await.0, 400);
    for (status, code) in [("logged_out", 200), ("logged_out", 200), ("asleep", 400)] {
        assert_eq!(b.api("PUT", &format!("{agents}800101"), Some(json!({"status": status}))).await.0, code, "{status}");
    }
    let told: Vec<String> = b.pbx.deliveries().into_iter().map(|d| d.form).collect();
    assert_eq!(told, ["agent_id=800101&agent_status=logged_out&agent_type=local&extension_name=0047%2A101%40sip.example&event_source=api"]);
    assert_eq!(b.pbx.available_agents(), ["102", "103"]);
    assert_eq!(b.api("DELETE", &format!("{agents}800101/event/{}", made["id"]), None).await.0, 204);
    assert_eq!(b.get(&format!("{agents}800101/event/")).await, (200, json!([])));
    for unknown in [format!("{agents}1"), format!("{agents}x"), "/client/@me/agent/remote/".into()] {
        assert_eq!(b.get(&unknown).await.0, 404, "{unknown}");
    }
    b.pbx.stop().await;
}

#[actix_web::test]
async fn no_queue_rings_an_agent_who_is_logged_out() {
    let b = bench().await;
    assert!(b.pbx.agent_login("101", false).await && !b.pbx.agent_login("101", false).await);
    let call = b.pbx.incoming_call(Incoming::new("+79995550101", "74955550100")).unwrap();
    assert_eq!(call.finished().await.and_then(|r| r.answered_by).as_deref(), Some("102"));
    b.pbx.stop().await;
}
