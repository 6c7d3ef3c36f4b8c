use serde_json::json;

use super::*;

const RANGE: &str = "start_datetime=2025-12-01%2000:00:00&end_datetime=2026-01-31%2023:59:59";

/// A bench with the recordings of three calls on 101, a day apart, and their ids.
async fn recorded() -> (Bench, Vec<String>) {
    let conditions = Conditions { token_life_s: 10 * 86_400, ..Conditions::instant() };
    let b = bench_with(Config { conditions, ..Config::default() }).await;
    for day in 0..3 {
        if day > 0 {
            b.clock.advance(86_400_000_000);
        }
        b.pbx.play(Row::OutgoingAnswered, "+79995550101", day).await;
    }
    let (_, list) = b.get(&format!("/client/@me/record/?{RANGE}&order=asc")).await;
    let ids = list.as_array().unwrap().iter().map(|r| r["record_uuid"].as_str().unwrap().to_owned()).collect();
    (b, ids)
}

#[actix_web::test]
async fn are_listed_by_time_and_extension() {
    let (b, ids) = recorded().await;
    assert_eq!(ids.len(), 3);
    let listed = |value: Value| value.as_array().unwrap().iter().map(|r| r["record_uuid"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let newest_first: Vec<String> = ids.iter().rev().cloned().collect();
    assert_eq!(listed(b.get(&format!("/extension/700101/record/?{RANGE}")).await.1), newest_first);
    assert_eq!(listed(b.get(&format!("/extension/700101/record/?{RANGE}&page=2&per_page=2")).await.1), ids[..1]);
    assert_eq!(b.get(&format!("/extension/700102/record/?{RANGE}")).await, (200, json!([])));
    let day = "start_datetime=2025-12-30%2000:00:00&end_datetime=2025-12-30%2023:59:59";
    let (_, one) = b.get(&format!("/client/@me/record/?{day}")).await;
    assert_eq!((&one[0]["flow"], &one[0]["extension_name"], one.as_array().map(Vec::len)), (&json!("out"), &json!("0047*101"), Some(1)));
    assert!(one[0]["call_uuid"].as_str().is_some_and(|id| id.to_uppercase() == id && id.len() == 32));
    b.pbx.stop().await;
}

#[actix_web::test]
async fn a_list_needs_dates_within_two_months() {
    let b = bench().await;
    for bad in [
        "",
        "start_datetime=2025-12-01%2000:00:00",
        "start_datetime=2025-12-01&end_datetime=2025-12-02",
        "start_datetime=2025-12-01T00:00:00&end_datetime=2025-12-02T00:00:00",
        "start_datetime=2025-12-01%2000:00:00&end_datetime=2026-02-01%2000:00:00",
        "start_datetime=2025-12-02%2000:00:00&end_datetime=2025-12-01%2000:00:00",
        &format!("{RANGE}&order=up"),
        &format!("{RANGE}&per_page=0"),
        &format!("{RANGE}&from=x"),
    ] {
        assert_eq!(b.get(&format!("/client/@me/record/?{bad}")).await.0, 400, "{bad}");
    }
    assert_eq!(b.get(&format!("/client/@me/record/?{RANGE}")).await, (200, json!([])));
    b.pbx.stop().await;
}

#[actix_web::test]
async fn a_second_list_at_the_same_time_is_refused() {
    let b = bench().await;
    b.pbx.change(|c| c.list_ms = 1_500);
    let path = format!("/client/@me/record/?{RANGE}");
    let (first, second) = futures_util::join!(b.get(&path), b.get(&path));
    let mut replies = [first, second];
    replies.sort_by_key(|(status, _)| *status);
    assert_eq!(replies[0].0, 200);
    assert_eq!(replies[1], (429, json!({"message": "Stats request already exists, concurrent request not allowed"})));
    b.pbx.change(|c| c.list_ms = 0);
    assert_eq!(b.get(&path).await.0, 200);
    b.pbx.stop().await;
}

#[actix_web::test]
async fn a_file_comes_with_a_token_when_it_is_ready() {
    let b = bench().await;
    b.pbx.change(|c| c.record_delay_ms = 60_000);
    b.pbx.subscribe("101", "http://127.0.0.1:1/");
    b.pbx.play(Row::OutgoingAnswered, "+79995550101", 1).await;
    let hangup = b.pbx.deliveries().pop().unwrap();
    let id = hangup.form.split("RecID=").nth(1).unwrap();
    let path = format!("/extension/700101/record/{id}");
    assert_eq!(b.get(&path).await, (404, json!({"message": "Record not found"})));
    assert_eq!(b.get(&format!("{path}/storage_url/")).await.0, 404);
    b.clock.advance(60_000_000);
    let file = b.send(b.request("GET", &path, None)).await;
    assert_eq!((file.status, file.header("content-type")), (200, Some("audio/mpeg")));
    assert_eq!(file.header("content-disposition"), Some(format!("attachment; filename={id}.mp3").as_str()));
    assert_eq!(&file.body[..2], [0xff, 0xfb]);
    assert_eq!(b.get(&format!("/extension/700102/record/{id}")).await.0, 404);
    assert_eq!(b.send(Request::get(format!("{}/api/ver1.0{path}", b.pbx.base_url()))).await.status, 401);
    b.pbx.stop().await;
}

#[actix_web::test]
async fn a_storage_link_needs_no_token_and_expires() {
    let (b, ids) = recorded().await;
    let ask = format!("/client/@me/record/{}/storage_url/", ids[0]);
    let (status, reply) = b.get(&ask).await;
    let link = reply["record_url"].as_str().unwrap().to_owned();
    assert_eq!(status, 200);
    let whole = b.send(Request::get(&link)).await;
    assert_eq!(whole.status, 200);
    let part = b.send(Request::get(&link).header("range", "bytes=4-7")).await;
    assert_eq!((part.status, &part.body[..]), (206, &whole.body[4..8]));
    assert_eq!(part.header("content-range"), Some(format!("bytes 4-7/{}", whole.body.len()).as_str()));
    assert_eq!(b.send(Request::get(&link).header("range", "bytes=99999999-")).await.status, 416);
    b.pbx.change(|c| c.honour_range = false);
    assert_eq!(b.send(Request::get(&link).header("range", "bytes=4-7")).await.body, whole.body);
    b.clock.advance(3_600_000_000);
    assert_eq!(b.send(Request::get(&link)).await.status, 403);
    assert_eq!(b.send(Request::get(format!("{}/storage/none", b.pbx.base_url()))).await.status, 404);
    b.pbx.stop().await;
}

#[actix_web::test]
async fn without_a_storage_server_there_are_no_links() {
    let (b, ids) = recorded().await;
    b.pbx.change(|c| c.storage = false);
    assert_eq!(b.get(&format!("/client/@me/record/{}/storage_url/", ids[0])).await.0, 404);
    assert_eq!(b.send(b.request("GET", &format!("/client/@me/record/{}", ids[0]), None)).await.status, 200);
    b.pbx.stop().await;
}

#[actix_web::test]
async fn one_or_a_range_is_deleted() {
    let (b, ids) = recorded().await;
    let one = format!("/client/@me/record/{}", ids[1]);
    assert_eq!(b.api("DELETE", &one, None).await.0, 204);
    assert_eq!(b.api("DELETE", &one, None).await, (404, json!({"message": "Record not found"})));
    assert_eq!(b.api("DELETE", "/client/@me/record/", None).await.0, 400);
    let day = "start_datetime=2025-12-29%2000:00:00&end_datetime=2025-12-29%2023:59:59";
    assert_eq!(b.api("DELETE", &format!("/client/@me/record/?{day}"), None).await.0, 204);
    let (_, left) = b.get(&format!("/client/@me/record/?{RANGE}")).await;
    assert_eq!((left.as_array().map(Vec::len), &left[0]["record_uuid"]), (Some(1), &json!(ids[2])));
    b.pbx.stop().await;
}
