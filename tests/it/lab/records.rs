//! What MixMonitor records is listed and played.

use std::path::PathBuf;

use actix_web::{App, HttpResponse, HttpServer, web};
use hookflash::net::Request;

use super::Lab;
use super::phone::Scenario;
use super::street::DID;
use crate::support::ADMIN;

/// The PBX's web server over its recordings.
async fn recordings(folder: web::Data<PathBuf>, name: web::Path<String>) -> HttpResponse {
    match std::fs::read(folder.join(name.as_str())) {
        Ok(bytes) => HttpResponse::Ok().content_type("audio/x-wav").body(bytes),
        Err(_) => HttpResponse::NotFound().finish(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recorded_call_can_be_played() {
    let files = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/monitor", files.local_addr().unwrap());
    let lab = Lab::with(|app| {
        let asterisk = app["asterisk"].as_table_mut().unwrap();
        asterisk.insert("record".into(), true.into());
        asterisk.insert("recordings_url".into(), url.into());
    })
    .await;
    let folder = web::Data::new(lab.pbx.folder.join("spool/monitor"));
    let app = move || App::new().app_data(folder.clone()).route("/monitor/{name}", web::get().to(recordings));
    let server = HttpServer::new(app).workers(1).disable_signals().listen(files).unwrap().run();
    let handle = server.handle();
    let serving = tokio::spawn(server);

    let sound = lab.pbx.folder.join("sound.ulaw");
    std::fs::write(&sound, (0..24_000u32).map(|n| (n * 37 % 128) as u8).collect::<Vec<_>>()).unwrap();
    let ann = lab.agent(101, &Scenario::answers(100).then("speaks", &[("sound", sound.to_str().unwrap())]).stays(), 1).await;
    let speaks = Scenario::dials(DID).answered().then("speaks", &[("sound", sound.to_str().unwrap())]);
    let caller = lab.caller(1, &speaks.then("caller_hangs_up", &[("talk_ms", "1500")])).await;
    for phone in [caller, ann] {
        phone.done().await;
    }
    lab.comes_to_say(&[&["in 101 answered"]]).await;
    lab.at_rest().await;
    let leg = lab.log().await[0]["legs"][0].clone();
    let listed = lab.get("/records").await;
    let record = &listed["items"][0];
    assert_eq!(record["id"], leg["record_id"], "{listed} {leg}");
    let path = lab.api(&format!("/records/{}/audio", record["id"].as_str().unwrap()));
    let whole = lab.send(Request::get(path.clone())).await;
    assert_eq!((whole.status, &whole.body[..4]), (200, &b"RIFF"[..]));
    // 1.5 s of 8,000 samples of two bytes, or near it.
    assert!((16_000..40_000).contains(&whole.body.len()), "{} bytes", whole.body.len());
    let part = lab.send(Request::get(path).header("range", "bytes=4-11")).await;
    assert_eq!((part.status, &part.body[..]), (206, &whole.body[4..12]));
    let link = lab.get(&format!("/records/{}/storage_url", record["id"].as_str().unwrap())).await;
    let by_link = lab.send(Request::get(link["record_url"].as_str().unwrap())).await;
    assert!(by_link.status == 200 && by_link.body == whole.body, "without {ADMIN:?} it is the same");
    handle.stop(false).await;
    serving.await.unwrap().unwrap();
}
