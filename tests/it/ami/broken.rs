//! Connections that end, say nothing, or say nonsense.

use std::time::Duration;

use hookflash::link::{Limits, LinkError, start};
use hookflash::pbx::asterisk::ami::Action;

use super::support::{APP, SECRET, channel, limits, stream, wired};
use crate::support::eventually;

#[actix_web::test]
async fn a_connection_that_ends_at_any_place_is_made_again_and_nobody_is_left_behind() {
    wired(async |wired| {
        let running = wired.start();
        wired.up().await;
        // Cut in the middle of blocks, at blocks' ends, before and after the answer.
        let names = ["answered", "attended_transfer", "ring_all", "outside_call_by_agent", "abandoned_while_ringing", "queue_abandoned"];
        for (n, name) in names.iter().cycle().take(18).enumerate() {
            let told = stream(name, n + 1);
            let cut = told.len() * (n * 7 % 19 + 1) / 20;
            let logins = wired.ami.logins();
            wired.ami.tell_bytes(&told.as_bytes()[..cut]);
            wired.ami.drop_connections();
            eventually(async || wired.ami.logins() > logins).await;
            wired.up().await;
            for agent in ["ann", "bob", "eve"] {
                wired.until(agent, "available").await;
            }
            let first = told.split("\r\n\r\n").find(|b| b.starts_with("Event: Newchannel")).expect("a channel");
            let call = first.lines().find_map(|l| l.strip_prefix("Linkedid: ")).expect("a call").trim().to_owned();
            if wired.call(&call).await.is_some() {
                eventually(async || wired.is_over(&call).await).await;
                let missed = wired.legs(&call).await.iter().filter(|l| l.kind == "missed").count();
                assert!(missed <= 1, "{name} cut at {cut}: {missed} missed rows");
            }
        }
        running.stop().await;
        wired.all_is_well().await;
    })
    .await;
}

#[actix_web::test]
async fn what_is_up_when_the_connection_comes_back_goes_on_and_ends_as_told() {
    wired(async |wired| {
        let running = wired.start();
        wired.up().await;
        let told = stream("answered", 1);
        let ((leg, call), (caller, _)) = (channel(&told, "PJSIP/101"), channel(&told, "PJSIP/trunk"));
        let hangup = told.find("Event: HangupRequest").expect("an end");
        wired.ami.tell_bytes(&told.as_bytes()[..hangup]);
        wired.until("ann", "on_call").await;
        let leg_up = format!(
            "Channel: PJSIP/101-00000001\nUniqueid: {leg}\nLinkedid: {call}\nChannelState: 6\nApplication: AppDial\nBridgeId: b\nDuration: 00:00:09"
        );
        let caller_up = format!(
            "Channel: PJSIP/trunk-00000000\nUniqueid: {caller}\nLinkedid: {call}\nChannelState: 6\nApplication: Dial\nBridgeId: b\nDuration: 00:00:09"
        );
        // Eve's phone talks too, and nobody has heard of it.
        let eve = "Channel: PJSIP/103-00000077\nUniqueid: 1800000000.77\nLinkedid: 1800000000.77\nChannelState: 6\nExten: 89995550188\nApplication: Dial\nBridgeId: c\nDuration: 00:02:00";
        wired.ami.set_channels(&[&leg_up, &caller_up, eve]);
        let logins = wired.ami.logins();
        wired.ami.drop_connections();
        eventually(async || wired.ami.logins() > logins).await;
        wired.up().await;
        wired.until("eve", "on_call").await;
        assert_eq!(wired.is("ann").await, "on_call");
        let rows = wired.legs("1800000000.77").await;
        assert_eq!((rows[0].direction.as_str(), rows[0].number.as_deref()), ("out", Some("+79995550188")));
        wired.ami.tell_bytes(&told.as_bytes()[hangup..]);
        wired.until("ann", "available").await;
        eventually(async || wired.is_over(&call).await).await;
        let legs = wired.legs(&call).await;
        assert_eq!((legs.len(), legs[0].talk_us / 1_000), (1, 1_505), "{legs:?}");
        // A comparison finds what ended unheard.
        wired.ami.set_channels(&[]);
        wired.ami.drop_connections();
        wired.until("eve", "available").await;
        wired.up().await;
        running.stop().await;
        wired.all_is_well().await;
    })
    .await;
}

#[actix_web::test]
async fn nonsense_halves_and_floods_do_no_harm() {
    wired(async |wired| {
        let running = wired.start();
        wired.up().await;
        wired.ami.tell_bytes(b"\r\n\r\n:\r\nno colon\r\n\r\nEvent:\r\n\r\nEvent: Hangup\r\n\r\nEvent: DialBegin\r\nDestUniqueid: \r\n\r\n");
        wired.ami.tell_bytes(&[0xff, 0xfe, 0, b'\r', b'\n', b'\r', b'\n']);
        wired.ami.tell_bytes(&vec![b'x'; 300_000]);
        wired.ami.tell_bytes(b"\r\n\r\n");
        let told = stream("answered", 1);
        let (_, call) = channel(&told, "PJSIP/101");
        for part in told.as_bytes().chunks(61) {
            wired.ami.tell_bytes(part);
        }
        eventually(async || wired.is_over(&call).await).await;
        assert_eq!(wired.legs(&call).await.len(), 1);
        assert_eq!(wired.ami.logins(), 1, "the connection held");
        // Fifty calls at once are all there, each whole.
        for n in 2..52 {
            wired.ami.tell_bytes(stream("three_in_turn", n).as_bytes());
        }
        for n in 2..52 {
            let (_, call) = channel(&stream("three_in_turn", n), "PJSIP/101");
            eventually(async || wired.is_over(&call).await && wired.legs(&call).await.len() == 3).await;
        }
        running.stop().await;
        wired.all_is_well().await;
    })
    .await;
}

#[actix_web::test]
async fn a_pbx_that_says_nothing_more_is_left_and_tried_again() {
    wired(async |wired| {
        let quick = Limits { silence: Duration::from_secs(1), answer: Duration::from_secs(1), ..limits() };
        let running = start(wired.link_with(quick), wired.house.hookflash.roster.clone());
        eventually(async || wired.ami.listening() >= 1).await;
        wired.ami.set_answering(false);
        eventually(async || wired.row().await.is_some_and(|row| row.down_why.is_some())).await;
        wired.ami.set_answering(true);
        eventually(async || wired.row().await.is_some_and(|row| row.up_since.is_some())).await;
        running.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn who_is_not_let_in_is_told_in_health_and_no_secret_is() {
    wired(async |wired| {
        let health = async || wired.client.get("/api/v1/apps/808/health").await.ok();
        assert_eq!(health().await["findings"][0]["detail"], "no connection yet");
        let running = wired.start();
        wired.up().await;
        let good = health().await;
        assert_eq!((good["status"].as_str(), good["connected"]["version"].as_str()), (Some("ok"), Some("22.0.0-simulated")), "{good}");
        wired.ami.on("CoreShowChannels", |_| vec![hookflash::simulator::asterisk::block("Response: Error\nMessage: Permission denied")]);
        wired.ami.drop_connections();
        eventually(async || wired.row().await.and_then(|row| row.down_why).is_some_and(|why| why.contains("Permission"))).await;
        let bad = health().await;
        assert_eq!((bad["status"].as_str(), bad["findings"][0]["what"].as_str()), (Some("failing"), Some("AMI")), "{bad}");
        assert!(bad["findings"][0]["detail"].as_str().is_some_and(|d| d.ends_with("Permission denied")), "{bad}");
        running.stop().await;
        let shown = wired.client.get("/api/v1/apps/808").await.ok();
        assert_eq!(shown["asterisk"]["ami_secret"], serde_json::Value::Null, "{shown}");
        assert!(!format!("{shown}{bad}{good}").contains(SECRET));
    })
    .await;
}

#[actix_web::test]
async fn an_address_that_is_not_allowed_is_not_connected_to() {
    wired(async |wired| {
        let h = &wired.house.hookflash;
        let guarded = hookflash::net::Http::new(Vec::new(), Duration::from_secs(1));
        let link = hookflash::link::Link::new(guarded, h.db.clone(), h.vault.clone(), h.clock.clone(), limits());
        let app = h.roster.app(APP).expect("declared");
        let error = link.send(&app, &Action::channels()).await.expect_err("forbidden");
        assert!(matches!(&error, LinkError::Forbidden(why) if why.contains("outbound.allow_private")), "{error}");
        assert_eq!(wired.ami.logins(), 0);
    })
    .await;
}

#[actix_web::test]
async fn of_two_servers_one_takes_the_events_and_the_other_takes_over() {
    wired(async |wired| {
        let first = wired.start();
        wired.up().await;
        let second = wired.start();
        let told = stream("answered", 1);
        let (_, call) = channel(&told, "PJSIP/101");
        let hangup = told.find("Event: HangupRequest").expect("an end");
        wired.ami.tell_bytes(&told.as_bytes()[..hangup]);
        wired.until("ann", "on_call").await;
        assert_eq!((wired.ami.listening(), wired.ami.logins()), (1, 1), "the second has no connection of its own");
        // It stops, and the call ends before the other has come.
        first.stop().await;
        eventually(async || wired.ami.logins() == 2).await;
        wired.up().await;
        wired.until("ann", "available").await;
        eventually(async || wired.is_over(&call).await).await;
        assert_eq!(wired.legs(&call).await.len(), 1);
        second.stop().await;
        wired.all_is_well().await;
    })
    .await;
}
