//! `hookflash provision` and `hookflash check --live`, the real program against the simulated PBX.

use hookflash::simulator::telphin::{Conditions, Config, Simulator};

use super::House;

const SHOP: &str = r#"
[[application]]
id = 807
name = "Flower shop"
pbx = "telphin"
login = "TLP55522"
key = "k7"
[application.telphin]
api_url = "URL"
client_id = "app"
client_secret = "secret"
client_prefix = "0047"
provision_ivr = ["099"]
[[application.agent]]
id = "ann"
name = "Ann Lee"
extension = "101"
[[application.agent]]
id = "bob"
name = "Bob Ray"
extension = "102"
[[application.agent]]
id = "eve"
name = "Eve Fox"
extension = "103"
[[application.extension]]
number = "099"
type = "ivr"
[[application.extension]]
number = "200"
type = "queue"
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pbx_is_planned_set_up_checked_and_left_again() {
    for house in House::each() {
        let pbx = Simulator::start(Config { conditions: Conditions::instant(), seed: Some(1), ..Config::default() }).await.unwrap();
        let house = with_shop(house, &pbx);
        tokio::task::block_in_place(|| one_after_another(&house, &pbx));
        pbx.stop().await;
    }
}

fn with_shop(mut house: House, pbx: &Simulator) -> House {
    house.set("HOOKFLASH__SERVER__PUBLIC_URL", "https://pbx.example.com");
    house.set("HOOKFLASH__OUTBOUND__ALLOW_PRIVATE", "127.0.0.0/8");
    house.write("shop.toml", SHOP.replace("URL", &pbx.base_url()));
    tokio::task::block_in_place(|| house.run(&["apply", "shop.toml"]).ok());
    house
}

fn one_after_another(house: &House, pbx: &Simulator) {
    let rules = "rules of IVR 099\n  \
                 + 1. Call interactive https://pbx.example.com/cid/807/getmanager/TLP55522?key=… (POST)\n  \
                 + 2. Transfer from variable managerExt\n";
    let planned = house.run(&["provision", "807", "--dry-run"]).ok();
    assert!(
        planned.starts_with("events of ivr 099\n  + hangup to https://pbx.example.com/cid/807/event/TLP55522?key=… (POST)\n"),
        "{planned}"
    );
    assert!(planned.ends_with(&format!("{rules}22 to add, 0 to change, 0 to remove; nothing was done\n")), "{planned}");
    assert_eq!(pbx.subscriptions().len(), 0);

    let before = house.run(&["check", "--live"]);
    assert_eq!((before.status, before.err.as_str()), (1, ""));
    assert!(before.out.contains("application 807: rules of IVR 099: missing: 1. Call interactive"), "{}", before.out);
    assert!(before.out.ends_with("9 findings\n"), "{}", before.out);

    let done = house.run(&["provision", "807"]).ok();
    assert_eq!(done, planned.replace("22 to add, 0 to change, 0 to remove; nothing was done", "22 added, 0 changed, 0 removed"));
    assert_eq!(house.run(&["provision", "807"]).ok(), "nothing changed\n");
    assert_eq!(house.run(&["provision", "807", "--dry-run"]).ok(), "nothing to change\n");
    let proved = house.run(&["check", "--live"]).ok();
    assert!(
        proved.starts_with("application 807: the credentials are taken, a token lives 3600 s, the PBX knows us as TLP55522, "),
        "{proved}"
    );
    assert!(proved.ends_with("settings, database, secrets and applications are in order\n"), "{proved}");

    pbx.change(|c| c.forbidden = vec!["ivr".into()]);
    let refused = house.run(&["provision", "807", "--off"]);
    assert_eq!((refused.status, refused.err.as_str()), (1, ""));
    assert!(
        refused
            .out
            .contains("  ! the PBX does not allow it: its settings: Access denied\n    In the panel, in the Main context of IVR 099"),
        "{}",
        refused.out
    );
    assert!(refused.out.contains("https://pbx.example.com/cid/807/getmanager/TLP55522?key=k7,"), "the exact value: {}", refused.out);
    pbx.change(|c| c.forbidden = vec![]);
    assert!(house.run(&["provision", "807", "--off"]).ok().ends_with("0 added, 0 changed, 2 removed\n"));
    assert_eq!(house.run(&["provision", "807", "--off"]).ok(), "nothing changed\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_keeps_it_from_the_pbx_is_said_with_its_mend() {
    let pbx = Simulator::start(Config { conditions: Conditions::instant(), ..Config::default() }).await.unwrap();
    let mut house = with_shop(House::sqlite(), &pbx);
    tokio::task::block_in_place(|| {
        assert!(house.run(&["provision", "900"]).failed(1).contains("there is no application 900; there is 807"));
        let wrong = SHOP.replace("URL", &pbx.base_url()).replace("\"secret\"", "\"wrong\"");
        house.write("shop.toml", wrong);
        house.run(&["apply", "shop.toml"]).ok();
        let refused = house.run(&["provision", "807"]);
        assert!(refused.status == 1 && refused.err.contains("the PBX gave no token (401)"), "{refused:?}");
        let live = house.run(&["check", "--live"]);
        assert!(live.out.contains("correct telphin.client_id and telphin.client_secret"), "{live:?}");
        house.set("HOOKFLASH__OUTBOUND__ALLOW_PRIVATE", "");
        let private = house.run(&["provision", "807"]);
        assert!(private.err.contains("list its network in outbound.allow_private"), "{private:?}");
        house.set("HOOKFLASH__SERVER__PUBLIC_URL", "");
        assert!(house.run(&["provision", "807"]).failed(1).starts_with("server.public_url is not set"), "no address, no work");
        assert!(house.run(&["check", "--live"]).out.contains("settings: server.public_url: is not set; set it to where the PBX reaches"));
    });
    pbx.stop().await;
}

const BY_POST: &str = r#"
[[application]]
id = 808
name = "Flower shop by post"
pbx = "asterisk"
login = "pbx1"
key = "k8"
[application.asterisk]
default_context = "from-pstn"
"#;

#[test]
fn what_an_administrator_of_an_asterisk_pastes_is_printed_filled_in() {
    for mut house in House::each() {
        house.set("HOOKFLASH__SERVER__PUBLIC_URL", "https://pbx.example.com");
        house.write("post.toml", BY_POST);
        house.run(&["apply", "post.toml"]).ok();
        let printed = house.run(&["provision", "808"]).ok();
        let dialplan = house.run(&["provision", "808", "--part", "dialplan"]).ok();
        assert!(dialplan.contains("\n[hookflash-808]\n") && dialplan.contains("CURL(https://pbx.example.com/cid/808/route/pbx1?key=k8&"));
        assert!(printed.contains(&dialplan), "the part stands in the whole");
        let plain = house.run(&["provision", "808", "--part", "dialplan", "--plain"]).ok();
        assert!(plain.contains("&format=plain)") && !plain.contains("JSON_DECODE"));
        assert!(printed.contains("FreePBX: extensions_custom.conf") && printed.contains("FreePBX: manager_custom.conf"));
        let secret = printed.lines().find_map(|l| l.strip_prefix("secret = ")).expect("a secret");
        assert!(
            secret.len() == 32 && printed.contains(&format!("ami_secret = \"{secret}\"")),
            "what is made now has to be declared: {printed}"
        );

        house.write("post.toml", format!("{BY_POST}ami_address = \"127.0.0.1:1\"\nami_user = \"desk\"\nami_secret = \"s3cret\"\n"));
        house.run(&["apply", "post.toml"]).ok();
        let manager = house.run(&["provision", "808", "--part", "manager"]).ok();
        assert_eq!(
            manager,
            "[desk]\nsecret = s3cret\ndeny = 0.0.0.0/0.0.0.0\ndeny = ::/0\npermit = 127.0.0.1/255.255.255.255\nread = system,call,agent\nwrite = originate,reporting\n"
        );
        let off = house.run(&["provision", "808", "--off"]).ok();
        assert!(off.contains("[hookflash-808-route]") && off.contains("Remove [desk] from manager.conf"), "{off}");
        // It checks after it has printed, and says what is wrong with its mend.
        let checked = house.run(&["provision", "808"]);
        assert_eq!((checked.status, checked.err.as_str()), (1, ""));
        assert!(checked.out.starts_with("; 1. The dialplan") && checked.out.contains("; ! PBX: "), "{}", checked.out);
        assert!(checked.out.contains("outbound.allow_private"), "{}", checked.out);
    }
}
