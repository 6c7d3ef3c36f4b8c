//! What the dialplan plays and listens for, and where calls go that no agent takes: in both of its forms.

use rstest::rstest;
use toml::Value;

use super::Lab;
use super::phone::Scenario;
use super::street::DID;
use crate::support::eventually;

const OUTSIDE: &str = "+79995550177";

/// A number with a menu: 1 is the queue, 3 a number outside, no key in time the menu again, and any other its end.
fn menu(app: &mut toml::Table) {
    let table: toml::Table = toml::from_str(
        r#"number = [ { number = "+74955550100", enable_ivr = true, ivr_menu = "menu" } ]
        ivr_tree = [ { id = "menu", tree_name = "Menu", root_node = "hello" } ]
        ivr_node = [
            { id = "hello", tree = "menu", node_name = "Hello", node_play_mode = "play", node_play_content = "/lab/menu", keypress_timeout = 2, loop_count = 1 },
            { id = "slow", tree = "menu", node_name = "Slow", node_play_mode = "play", node_play_content = "/lab/menu", barge_in = false, keypress_timeout = 2, loop_count = 2 },
        ]
        ivr_key = [
            { id = "k1", node = "hello", node_key = "1", action = 2, queue_id = "main" },
            { id = "k2", node = "hello", node_key = "2", action = 4, next_node = "slow" },
            { id = "k3", node = "slow", node_key = "3", action = 3, to_phone_number = "+79995550177" },
            { id = "k4", node = "hello", node_key = "INVALID_KEY", action = 6 },
        ]"#,
    )
    .expect("TOML");
    app.extend(table);
}

/// A caller whose telephone sends sound all the time, as telephones do: a key has its length in it.
fn caller(lab: &Lab) -> Scenario {
    let sound = lab.pbx.folder.join("silence.ulaw");
    std::fs::write(&sound, [0xffu8; 80_000]).expect("written");
    Scenario::dials(DID).answered().then("speaks", &[("sound", sound.to_str().expect("a path"))])
}

fn presses(scenario: Scenario, n: u32, key: &str, after_ms: u32) -> Scenario {
    scenario.then("presses", &[("key", key), ("after_ms", &after_ms.to_string()), ("cseq", &(10 + n).to_string())])
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_lead_to_a_queue_to_a_number_outside_and_to_the_end(#[values(false, true)] plain: bool) {
    let lab = Lab::with_plain(plain, menu).await;
    // While the prompt plays.
    let ann = lab.agent(101, &Scenario::answers(200).stays(), 1).await;
    let one = presses(caller(&lab), 1, "1", 200).then("caller_hangs_up", &[("talk_ms", "1500")]);
    for phone in [lab.caller(1, &one).await, ann] {
        phone.done().await;
    }
    lab.comes_to_say(&[&["in 101 answered"]]).await;
    let decisions = lab.log().await[0]["decisions"].as_array().cloned().unwrap_or_default();
    assert!(decisions.iter().any(|d| d["reason"].as_str().unwrap_or_default().contains("pressed 1 at hello")), "{decisions:?}");
    // A second menu, whose prompt is heard to its end, and a number outside.
    let outside = lab.outside(&Scenario::answers(100).stays()).await;
    let two = presses(presses(caller(&lab), 1, "2", 200), 2, "3", 900).then("caller_hangs_up", &[("talk_ms", "1500")]);
    for phone in [lab.caller(2, &two).await, outside] {
        phone.done().await;
    }
    let shown = lab.channels().into_values().filter(|c| c.name.contains("trunk")).count();
    assert_eq!(shown, 3, "two callers, and the one outside");
    // A key that is none of the menu's.
    let three = presses(caller(&lab), 1, "9", 200).stays();
    lab.caller(3, &three).await.done().await;
    lab.is_quiet().await;
    let statuses: Vec<_> = lab.log().await.iter().map(|call| call["status"].as_str().unwrap_or_default().to_owned()).collect();
    assert_eq!(statuses, ["answered", "answered", "missed"]);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_greeting_is_played_once_and_the_agent_who_is_free_then_takes_the_call(#[values(false, true)] plain: bool) {
    let lab = Lab::with_plain(plain, |app| {
        app["queue"][0].as_table_mut().unwrap().insert("wait_greeting".into(), "/lab/menu".into());
    })
    .await;
    lab.set_status("ann", "NOT_AVAILABLE").await;
    let ann = lab.agent(101, &Scenario::answers(200).stays(), 1).await;
    let caller = lab.caller(1, &Scenario::dials(DID).talks(4_000)).await;
    eventually(async || lab.get("/queues/main/waiting").await["waiting"] == 1).await;
    lab.set_status("ann", "AVAILABLE").await;
    lab.until("ann", "on_call").await;
    for phone in [caller, ann] {
        phone.done().await;
    }
    lab.comes_to_say(&[&["in 101 answered"]]).await;
    lab.at_rest().await;
    let played = lab.pbx.console("core show channels count");
    assert!(played.contains("0 active channels"), "{played}");
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outside_business_hours_a_call_leaves_a_message_and_without_a_mailbox_goes_the_pbx_s_own_way(#[values(false, true)] plain: bool) {
    let lab = Lab::with_plain(plain, |app| {
        let hours: toml::Table = toml::from_str("business_hours = [ { id = \"never\", name = \"Never\" } ]").unwrap();
        app.extend(hours);
        let queue = app["queue"][0].as_table_mut().unwrap();
        queue.extend(
            [("schedule", Value::from(2)), ("business_hours_id", "never".into()), ("enable_voicemail", true.into())]
                .map(|(k, v)| (k.to_owned(), v)),
        );
    })
    .await;
    let caller = lab.caller(1, &Scenario::dials(DID).answered().stays()).await;
    caller.done().await;
    lab.is_quiet().await;
    let call = lab.log().await.remove(0);
    assert_eq!((call["status"].as_str(), call["number"].as_str()), (Some("missed"), Some("+79995550101")), "{call}");
    assert!(lab.channels().values().all(|c| c.answered.is_some()));
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_responsible_is_asked_first_then_a_number_outside_then_the_queue(#[values(false, true)] plain: bool) {
    let lab = Lab::with_plain(plain, |app| {
        let chain: toml::Table = toml::from_str(
            r#"number = [ { number = "+74955550100", responsible = true, queue = "main" } ]
            contact = [ { name = "Client One", phones = ["+79995550101"], owner = "bob" } ]"#,
        )
        .unwrap();
        app.extend(chain);
        let steps: toml::Table =
            toml::from_str(r#"responsible = [ { to = "owner", wait_s = 2 }, { to = "number:+79995550177", wait_s = 5 } ]"#).unwrap();
        app["routing"].as_table_mut().unwrap().extend(steps);
    })
    .await;
    let bob = lab.agent(102, &Scenario::rings_out(), 1).await;
    let outside = lab.outside(&Scenario::refuses(486)).await;
    let ann = lab.agent(101, &Scenario::answers(100).stays(), 1).await;
    let caller = lab.caller(1, &Scenario::dials(DID).talks(1_000)).await;
    for phone in [caller, bob, outside, ann] {
        phone.done().await;
    }
    lab.comes_to_say(&[&["in 102 no_answer", "in 101 answered"]]).await;
    lab.at_rest().await;
    assert!(lab.channels().values().any(|c| c.name.contains("trunk") && c.answered.is_none()), "{OUTSIDE} was rung");
}
