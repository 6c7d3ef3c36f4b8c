use wiremock::matchers::{any, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

async fn receiver(status: u16) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(status).set_body_string("OK")).mount(&server).await;
    server
}

/// `EventType` and `CalledExtension` of what arrived, from the body or the query.
async fn arrived(server: &MockServer) -> Vec<(String, String)> {
    let requests = server.received_requests().await.unwrap();
    let form = |r: &wiremock::Request| match r.method.as_str() {
        "GET" => r.url.query().unwrap_or_default().to_owned(),
        _ => String::from_utf8_lossy(&r.body).into_owned(),
    };
    let read = |text: String| serde_urlencoded::from_str::<std::collections::BTreeMap<String, String>>(&text).unwrap();
    let pick = |mut f: std::collections::BTreeMap<String, String>| {
        (f.remove("EventType").unwrap(), f.remove("CalledExtension").unwrap_or_default())
    };
    requests.iter().map(|r| pick(read(form(r)))).collect()
}

#[actix_web::test]
async fn a_row_reaches_those_who_subscribed_in_order() {
    let (b, ours) = (bench().await, receiver(200).await);
    b.pbx.subscribe_all(&format!("{}/ev", ours.uri()));
    b.pbx.play(Row::ManagerAnswers, "+79995550101", 1).await;
    let phone = "0047*101@sip.example".to_owned();
    let expected = [
        ("dial-in", phone.clone()),
        ("answer", phone.clone()),
        ("hangup", phone),
        // The IVR's own dial-in is not subscribed to.
        ("hangup", "0047*099@sip.example".to_owned()),
    ];
    assert_eq!(arrived(&ours).await, expected.map(|(kind, who)| (kind.to_owned(), who)));
    let deliveries = b.pbx.deliveries();
    assert!(deliveries.iter().all(|d| d.outcome == Outcome::Answered { status: 200 }));
    assert!(deliveries[0].form.contains("CalledExtension=0047%2A101%40sip.example"));
    b.pbx.stop().await;
}

#[actix_web::test]
async fn get_carries_the_event_in_the_query_and_keeps_what_is_there() {
    let (b, ours) = (bench().await, receiver(200).await);
    b.pbx.subscribe_to("101", &format!("{}/ev?key=k", ours.uri()), "dial-out", Method::Get);
    b.pbx.play(Row::OutgoingAnswered, "+79995550101", 1).await;
    let requests = ours.received_requests().await.unwrap();
    assert_eq!(requests.len(), 1);
    let query = requests[0].url.query().unwrap();
    assert!(query.starts_with("key=k&EventType=dial-out&EventTime="), "{query}");
    assert!(query.contains("CallerIDNum=0047%2A101"), "{query}");
    b.pbx.stop().await;
}

#[actix_web::test]
async fn what_is_not_taken_is_not_sent_again() {
    let (b, ours) = (bench().await, receiver(503).await);
    b.pbx.subscribe("101", &ours.uri());
    b.pbx.subscribe("102", "http://127.0.0.1:1/");
    b.pbx.play(Row::Internal, "+79995550101", 1).await;
    assert_eq!(arrived(&ours).await.len(), 3);
    let deliveries = b.pbx.deliveries();
    assert_eq!(deliveries.iter().filter(|d| d.outcome == Outcome::Answered { status: 503 }).count(), 3);
    assert_eq!(deliveries.iter().filter(|d| matches!(d.outcome, Outcome::Failed { .. })).count(), 3);
    b.pbx.stop().await;
}

#[actix_web::test]
async fn delivers_exactly_what_the_pure_faults_say() {
    let (b, ours) = (bench().await, receiver(200).await);
    b.pbx.subscribe_all(&ours.uri());
    let faulty = Conditions { fault_seed: 4, loss: 0.2, duplicate: 0.4, reorder: 0.3, ..Conditions::instant() };
    b.pbx.change(|c| *c = faulty.clone());
    let list: Vec<Scheduled> = scenario(Row::ParallelRing, &Cast::sample(), T0, 9).into_iter().filter(|s| !s.optional).collect();
    let expected = disturb(&list, &faulty);
    b.pbx.deliver(list.clone()).await;
    let sent = b.pbx.deliveries();
    let forms = |events: &[Scheduled]| events.iter().map(|s| s.event.form(Spelling::default())).collect::<Vec<_>>();
    assert_ne!(forms(&expected), forms(&list));
    assert_eq!(sent.iter().filter(|d| d.outcome != Outcome::Lost).map(|d| d.form.clone()).collect::<Vec<_>>(), forms(&expected));
    assert_eq!(arrived(&ours).await.len(), expected.len());
    b.pbx.stop().await;
}

#[actix_web::test]
async fn a_late_event_arrives_after_younger_ones() {
    let (b, ours) = (bench().await, receiver(200).await);
    b.pbx.subscribe_all(&ours.uri());
    b.pbx.change(|c| *c = Conditions { delay: 0.5, delay_ms: 600_000, fault_seed: 2, ..Conditions::instant() });
    b.pbx.play(Row::ParallelRing, "+79995550101", 9).await;
    let sent: Vec<String> = b.pbx.deliveries().iter().map(|d| d.form.split('&').nth(1).unwrap().to_owned()).collect();
    assert_eq!(sent.len(), 9);
    assert!(!sent.is_sorted(), "{sent:?}");
    b.pbx.stop().await;
}

#[actix_web::test]
async fn natural_pace_keeps_the_order_too() {
    let (b, ours) = (bench().await, receiver(200).await);
    b.pbx.subscribe_all(&ours.uri());
    b.pbx.change(|c| c.speed = 10_000.0);
    b.pbx.play(Row::ManagerThenQueue, "+79995550101", 1).await;
    let sent: Vec<String> = b.pbx.deliveries().iter().map(|d| d.form.split('&').nth(1).unwrap().to_owned()).collect();
    assert_eq!(sent.len(), 7);
    assert!(sent.is_sorted());
    b.pbx.stop().await;
}

#[actix_web::test]
async fn the_spelling_may_change() {
    let b = bench().await;
    let ours = MockServer::start().await;
    Mock::given(method("POST")).respond_with(ResponseTemplate::new(200)).mount(&ours).await;
    b.pbx.subscribe("101", &ours.uri());
    b.pbx.change(|c| c.lower_flow = true);
    b.pbx.play(Row::OutgoingAnswered, "+79995550101", 1).await;
    assert!(b.pbx.deliveries().iter().all(|d| d.is_accepted() && d.form.contains("CallFlow=out")));
    b.pbx.stop().await;
}
