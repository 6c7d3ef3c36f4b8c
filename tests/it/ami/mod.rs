//! Calls told by AMI: a simulated PBX says what a real one has said, and breaks as one breaks.

mod broken;
mod support;

use hookflash::link::LinkError;
use hookflash::pbx::asterisk::ami::Action;
use hookflash::simulator::asterisk::{block, value};
use serde_json::json;

use crate::support::eventually;
use support::{APP, SECRET, channel, stream, wired};

#[actix_web::test]
async fn an_answered_call_is_followed_and_logged_to_the_millisecond() {
    wired(async |wired| {
        let running = wired.start();
        wired.up().await;
        let told = stream("answered", 1);
        let (leg, call) = channel(&told, "PJSIP/101");
        let hangup = told.find("Event: HangupRequest").expect("an end");
        wired.ami.tell_bytes(&told.as_bytes()[..hangup]);
        wired.until("ann", "on_call").await;
        assert_eq!(wired.call(&call).await.expect("a call").status, "talking");
        assert_eq!(wired.is("bob").await, "available");
        wired.ami.tell_bytes(&told.as_bytes()[hangup..]);
        wired.until("ann", "available").await;
        eventually(async || wired.is_over(&call).await).await;
        let legs = wired.legs(&call).await;
        assert_eq!(legs.len(), 1, "{legs:?}");
        assert_eq!((legs[0].sub_call_id.as_deref(), legs[0].agent.as_deref()), (Some(leg.as_str()), Some("ann")));
        assert_eq!((legs[0].status.as_str(), legs[0].number.as_deref()), ("answered", Some("+79995550199")));
        assert_eq!((legs[0].talk_us / 1_000, legs[0].duration_us / 1_000), (1_505, 2_111), "{legs:?}");
        let row = wired.call(&call).await.expect("a call");
        assert_eq!((row.direction.as_str(), row.status.as_str(), row.did.as_deref()), ("in", "answered", Some("+74955550101")));
        // The same again is no news.
        let before = wired.journalled().await;
        wired.ami.tell_bytes(told.as_bytes());
        wired.ami.tell_bytes(stream("busy", 2).as_bytes());
        let (_, busy) = channel(&stream("busy", 2), "PJSIP/101");
        eventually(async || wired.is_over(&busy).await).await;
        assert_eq!(wired.legs(&call).await, legs);
        assert!(wired.journalled().await > before);
        running.stop().await;
        wired.all_is_well().await;
    })
    .await;
}

#[actix_web::test]
async fn transfers_are_legs_of_one_call_and_missed_calls_are_missed_once() {
    wired(async |wired| {
        let running = wired.start();
        wired.up().await;
        let rows = async |call: &str| -> Vec<String> {
            let told = |l: &hookflash::store::calls::LegRow| {
                let on = l.extension.clone().or_else(|| l.place.clone()).unwrap_or_default();
                format!("{} {on} {}{}", l.kind, l.status, if l.transferred { " transferred" } else { "" })
            };
            wired.legs(call).await.iter().filter(|l| l.logged_at.is_some()).map(told).collect()
        };
        for (n, (name, expected)) in [
            ("blind_transfer", vec!["leg 101 answered", "leg 102 answered transferred"]),
            ("attended_transfer", vec!["leg 101 answered", "leg 102 answered transferred"]),
            ("forwarded_by_phone", vec!["leg 102 answered transferred"]),
            ("three_in_turn", vec!["leg 103 answered"]),
            ("ring_all", vec!["leg 103 answered"]),
            ("abandoned_while_ringing", vec!["missed 101 missed"]),
            ("queue_abandoned", vec!["missed main missed"]),
            ("declined", vec!["missed 101 missed"]),
        ]
        .into_iter()
        .enumerate()
        {
            let told = stream(name, n + 1);
            let (_, call) = channel(&told, "PJSIP/trunk");
            wired.ami.tell_bytes(told.as_bytes());
            eventually(async || wired.is_over(&call).await && rows(&call).await == expected).await;
        }
        running.stop().await;
        wired.all_is_well().await;
    })
    .await;
}

#[actix_web::test]
async fn who_talks_outside_the_router_or_has_no_phone_is_not_offered_a_call() {
    wired(async |wired| {
        wired.ami.set_devices(&[("PJSIP/101", "UNAVAILABLE"), ("PJSIP/102", "NOT_INUSE"), ("PJSIP/103", "UNKNOWN")]);
        let running = wired.start();
        wired.up().await;
        let reach = async |agent: &str| wired.client.get(&format!("/api/v1/apps/808/agents/{agent}")).await.ok()["reachability"].clone();
        eventually(async || reach("ann").await == "offline").await;
        assert_eq!((reach("bob").await, reach("eve").await), (json!("online"), json!("unknown")));
        // Bob places a call by himself.
        let outside = stream("outside_call_by_agent", 1);
        let talks = outside.find("Event: HangupRequest").expect("an end");
        wired.ami.tell_bytes(&outside.as_bytes()[..talks]);
        wired.until("bob", "on_call").await;
        let dial = wired.route("call=9.1&from=%2B79990001101&to=%2B74955550100").await;
        assert_eq!(dial["agent"], "eve", "{dial}");
        let wait = wired.route("call=9.2&from=%2B79990001102&to=%2B74955550100").await;
        assert_eq!(wait["action"], "wait");
        wired.house.hookflash.db.flush().await;
        let decisions = wired.house.read(|conn| hookflash::store::decisions::since(conn, APP, &"0".repeat(32), 10)).await;
        let last = decisions.iter().find(|d| d.pbx_call_id.as_deref() == Some("9.2")).expect("decided");
        let ann = last.candidates.iter().find(|c| c.agent == "ann").expect("looked at");
        assert_eq!(ann.reason, "has a phone that the PBX cannot reach: it is not registered");
        assert_eq!(last.candidates.iter().find(|c| c.agent == "bob").map(|c| c.reason.as_str()), Some("is on a call"));
        wired.ami.tell_bytes(&outside.as_bytes()[talks..]);
        wired.until("bob", "available").await;
        wired.ami.tell("Event: DeviceStateChange\nDevice: PJSIP/101\nState: NOT_INUSE");
        eventually(async || reach("ann").await == "online").await;
        // Without a connection nothing is known of phones, and nobody is kept from calls by it.
        wired.ami.tell("Event: DeviceStateChange\nDevice: PJSIP/102\nState: UNAVAILABLE");
        eventually(async || reach("bob").await == "offline").await;
        wired.ami.set_open(false);
        wired.ami.drop_connections();
        eventually(async || reach("bob").await == "unknown").await;
        running.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn the_hook_and_ami_tell_of_the_same_leg_and_it_is_logged_once() {
    wired(async |wired| {
        let running = wired.start();
        wired.up().await;
        let told = stream("answered", 1);
        let (_, call) = channel(&told, "PJSIP/trunk");
        // The queue is a ring-all of three: the ring of one withdraws nobody else's offer.
        let dial = wired.route(&format!("call={call}&from=%2B79995550199&to=%2B74955550200")).await;
        assert_eq!(dial["agent"], "ann,bob,eve", "{dial}");
        let offer = dial["offer"].as_str().expect("an offer").to_owned();
        let answer = told.find("Event: DialEnd").expect("an answer");
        let rings = told.find("ChannelStateDesc: Up").and_then(|at| told[..at].rfind("Event: Newstate")).expect("it rings before");
        wired.ami.tell_bytes(&told.as_bytes()[..rings]);
        wired.until("ann", "ringing").await;
        assert_eq!((wired.is("bob").await, wired.is("eve").await), ("reserved", "reserved"));
        wired.ami.tell_bytes(&told.as_bytes()[rings..answer]);
        wired.until("ann", "on_call").await;
        wired.hook(&format!("event=answer&call={call}&offer={offer}&peer=PJSIP/101-00000001&from=%2B79995550199")).await;
        for freed in ["bob", "eve"] {
            wired.until(freed, "available").await;
        }
        wired.ami.tell_bytes(&told.as_bytes()[answer..]);
        eventually(async || wired.is_over(&call).await).await;
        wired
            .hook(&format!(
                "call={call}&from=%2B79995550199&to=%2B74955550200&place=all&offer={offer}&peer=PJSIP/101-00000001&dialstatus=ANSWER&answeredtime=1&dialedtime=2"
            ))
            .await;
        let legs = wired.legs(&call).await;
        assert_eq!(legs.iter().map(|l| (l.extension.as_deref(), l.status.as_str())).collect::<Vec<_>>(), [(Some("101"), "answered")]);
        assert_eq!(legs[0].talk_us / 1_000, 1_505, "by the times of the events, not in whole seconds");
        running.stop().await;
        wired.all_is_well().await;
    })
    .await;
}

#[actix_web::test]
async fn what_is_heard_late_of_one_phone_does_not_withdraw_the_offer_of_the_next() {
    wired(async |wired| {
        let running = wired.start();
        wired.up().await;
        let told = stream("three_in_turn", 1);
        let (leg, call) = channel(&told, "PJSIP/101");
        let asked = format!("call={call}&from=%2B79995550199&to=%2B74955550100");
        let first = wired.route(&asked).await;
        let second = wired.route(&format!("{asked}&offer={}&status=BUSY", first["offer"].as_str().expect("an offer"))).await;
        assert_eq!((&first["agent"], &second["agent"]), (&json!("ann"), &json!("bob")));
        let bob = told.find("PJSIP/102").and_then(|at| told[..at].rfind("Event: ")).expect("the second rings");
        wired.ami.tell_bytes(&told.as_bytes()[..bob]);
        eventually(async || wired.legs(&call).await.iter().any(|l| l.sub_call_id.as_deref() == Some(leg.as_str()) && l.ended_at.is_some()))
            .await;
        assert_eq!(wired.is("bob").await, "reserved");
        wired.ami.tell_bytes(&told.as_bytes()[bob..]);
        eventually(async || wired.is_over(&call).await).await;
        running.stop().await;
    })
    .await;
}

#[actix_web::test]
async fn an_action_is_done_once_and_its_answer_told_as_it_is() {
    wired(async |wired| {
        let (link, app) = (wired.link_with(support::limits()), wired.house.hookflash.roster.app(APP).expect("declared"));
        wired.ami.on("GetVar", |asked| {
            let secret = format!("of {}", value(asked, "Channel").unwrap_or("nobody"));
            vec![vec![("Response".into(), "Success".into()), ("Value".into(), secret)]]
        });
        wired.ami.on("Originate", |_| vec![block("Response: Error\nMessage: Extension does not exist.")]);
        let getvar = Action::new("GetVar").field("Variable", "X").field("Channel", "PJSIP/101-1");
        for standing in [false, true] {
            let running = if standing {
                let running = hookflash::link::start(link.clone(), wired.house.hookflash.roster.clone());
                wired.up().await;
                Some(running)
            } else {
                None
            };
            assert_eq!(link.send(&app, &getvar).await.expect("answered").response.get("Value"), Some("of PJSIP/101-1"));
            assert_eq!(link.send(&app, &Action::channels()).await.expect("a list").events, vec![]);
            let refused = link.send(&app, &Action::new("Originate").field("Exten", "1")).await;
            assert_eq!(refused, Err(LinkError::Refused("Extension does not exist.".into())));
            let unknown = link.send(&app, &Action::new("Dance")).await;
            assert_eq!(unknown, Err(LinkError::Refused("Invalid/unknown command".into())));
            let before = wired.ami.actions().len();
            let broken = link.send(&app, &Action::new("Originate").field("CallerID", "x\r\nAction: Command")).await;
            assert!(matches!(&broken, Err(LinkError::Refused(words)) if words.contains("CallerID")), "{broken:?}");
            let since: Vec<String> = wired.ami.actions()[before..].iter().filter_map(|a| value(a, "Action").map(str::to_owned)).collect();
            assert!(since.iter().all(|name| name == "Logoff"), "{since:?}");
            if let Some(running) = running {
                assert_eq!(wired.ami.connections(), 1, "over the connection that stands");
                running.stop().await;
            }
        }
        assert!(!format!("{:?}", wired.ami.actions()).contains(SECRET));
    })
    .await;
}
