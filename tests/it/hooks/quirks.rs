//! What a vendor writes in its own way, and what nobody would write.

use hookflash::domain::id;
use hookflash::domain::spec::{Agent, Application};
use hookflash::store::calls::LegRow;
use hookflash::store::journal::Entry;
use hookflash::store::{Durability, calls, decisions, journal, log};
use rstest::rstest;

use super::refused;
use crate::support::Backend::{Postgres, Sqlite};
use crate::support::hooks::*;
use crate::support::{Backend, House, SHOP};

async fn logged(house: &House) -> Vec<LegRow> {
    let now = house.clock.now().plus_s(10);
    house.read(move |conn| log::legs(conn, SHOP, &log::Filter::default(), None, now, 500)).await
}

async fn legs(house: &House, call: &str) -> Vec<LegRow> {
    let call = id::call_id(SHOP, call);
    house.read(move |conn| calls::legs_of(conn, SHOP, &[call])).await
}

/// Text that no database compresses.
fn noise(length: usize) -> String {
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b"0123456789abcdefghijklmnopqrstuvwxyz"[(state >> 33) as usize % 36])
    };
    (0..length).map(|_| next()).collect()
}

#[rstest]
#[actix_web::test]
async fn an_event_is_read_however_it_is_spelled(#[values(Sqlite, Postgres)] backend: Backend) {
    let house = House::open(backend).await;
    let client = house.client().await.without_token();
    let common = "SubCallID=700101-1&CallerIDNum=+79995550101&CalledDID=74955550100&CalledExtension=0047%2A101%40sip.example";
    // Mixed case, quoted digits, literal null, a decoded plus, unknown fields, a repeated parameter of which the first counts.
    let begin = format!(
        "eventtype=dial-in&EVENTTIME=%221767000000000000%22&callid=AbC&CallID=other&callflow=in&CallBackID=null&RemoteNumber=NULL&RemoteNumber=null&Weather=rain&{common}"
    )
    .replace("&RemoteNumber=NULL&RemoteNumber=null", "&RemoteNumber=null&RemoteNumber=%2B79995550199");
    assert_eq!(client.tell(&begin).await.status, 200);
    house.pass_s(5);
    // By GET, and the fields divided between the query and the body.
    assert_eq!(
        client.hook_get(EVENT, &format!("EventType=answer&EventTime=1767000005000000&CallID=abc&CallFlow=In&{common}")).await.status,
        200
    );
    let path = format!("{EVENT}?EventType=hangup&CallStatus=answer");
    let end = client.hook_post(
        &path,
        "text/plain",
        format!("EventTime=1767000065000000&CallID=ABC&CallFlow=IN&Duration=%2265000000%22&{common}"),
    );
    assert_eq!(end.await.status, 200);
    let [leg] = &logged(&house).await[..] else { panic!("one row") };
    assert_eq!((leg.status.as_str(), leg.number.as_deref(), leg.did.as_deref()), ("answered", Some("+79995550101"), Some("+74955550100")));
    assert_eq!(
        (leg.extension.as_deref(), leg.agent.as_deref(), leg.duration_us, leg.talk_us),
        (Some("101"), Some("ann"), 65_000_000, 60_000_000)
    );
    let call = id::call_id(SHOP, "abc");
    assert_eq!(house.read(move |conn| calls::get(conn, SHOP, &call)).await.unwrap().pbx_call_id, "AbC");
    let first = &house.journal().await[0];
    assert!(String::from_utf8_lossy(&first.raw).contains("Weather=rain"), "unknown fields are kept");
}

#[rstest]
#[actix_web::test]
async fn a_byte_that_is_no_text_spoils_the_field_that_holds_it(#[values(Sqlite, Postgres)] backend: Backend) {
    let house = House::open(backend).await;
    let client = house.client().await.without_token();
    for (kind, time) in [("dial-in", 0), ("answer", 5), ("hangup", 65)] {
        // A name in the letters of a code page of old.
        let mut form = leg(kind, "c1", "101", time, "&CallStatus=ANSWER&CallerIDName=").into_bytes();
        form.extend([0xc8, 0xe2, 0xe0, 0xed]);
        assert_eq!(client.hook_post(EVENT, FORM, form).await.status, 200);
    }
    let [row] = &logged(&house).await[..] else { panic!("one row") };
    assert_eq!((row.status.as_str(), row.number.as_deref(), row.talk_us), ("answered", Some("+79995550101"), 60_000_000));
    let first = &house.journal().await[0];
    assert!(first.raw.ends_with(&[0xc8, 0xe2, 0xe0, 0xed]), "kept as it came");
    assert_eq!(refused(&house.journal().await).len(), 0);
}

#[rstest]
#[actix_web::test]
async fn a_leg_without_an_id_of_its_own_is_known_by_call_and_extension(#[values(Sqlite, Postgres)] backend: Backend) {
    let house = House::open(backend).await;
    let client = house.client().await.without_token();
    for phone in ["101", "102"] {
        for (kind, time) in [("dial-in", 0), ("answer", 5), ("hangup", 65)] {
            let form = leg(kind, "c1", phone, time, "&CallStatus=ANSWER").replace(&format!("SubCallID=7001{phone}-c1"), "SubCallID=null");
            assert_eq!(client.tell(&form).await.status, 200);
        }
    }
    let mut rows = logged(&house).await;
    rows.sort_by_key(|r| r.extension.clone());
    assert_eq!(
        rows.iter().map(|r| (r.extension.as_deref(), r.sub_call_id.as_deref(), r.talk_us)).collect::<Vec<_>>(),
        [(Some("101"), None, 60_000_000), (Some("102"), None, 60_000_000)]
    );
    // Neither a leg's id nor an extension: nobody can say what this is about.
    let nobody = client.tell("EventType=answer&EventTime=1767000005000000&CallID=c1").await;
    assert_eq!((nobody.status, refused(&house.journal().await).len()), (400, 1));
}

#[rstest]
#[case::far_past("1")]
#[case::far_future("253402127999999999")]
#[case::beyond_every_calendar("9223372036854775807")]
#[case::too_long("99999999999999999999999")]
#[case::negative("-5")]
#[case::zero("0")]
#[case::seconds("1767000000")]
#[case::nonsense("yesterday")]
#[case::null("null")]
#[case::fraction("1767000000.25")]
#[actix_web::test]
async fn no_time_of_an_event_is_too_strange(#[case] time: &str, #[values(Sqlite, Postgres)] backend: Backend) {
    let house = House::open(backend).await;
    let client = house.client().await;
    let at = |kind, second, time: &str| {
        leg(kind, "c1", "101", second, "&CallStatus=ANSWER")
            .replace(&format!("EventTime={}", 1_767_000_000_000_000i64 + second * 1_000_000), &format!("EventTime={time}"))
    };
    for form in [at("dial-in", 0, time), leg("answer", "c1", "101", 5, ""), at("hangup", 65, time)] {
        house.clock.advance(1_000_000);
        assert_eq!(client.tell(&form).await.status, 200, "{form}");
        assert_eq!(client.tell(&form).await.status, 200, "{form}");
    }
    assert_eq!(house.journal().await.len(), 3);
    let rows = logged(&house).await;
    assert_eq!(rows.len(), 1);
    assert!(rows[0].talk_us >= 0 && rows[0].duration_us >= 0, "{rows:?}");
    // The API writes it too.
    let page = client.get("/api/v1/apps/807/legs").await.ok();
    assert_eq!(page["items"].as_array().map(Vec::len), Some(1), "{page}");
    assert!(house.state("ann").await.talking == 0);
}

#[rstest]
#[actix_web::test]
async fn ends_come_before_answers_and_for_calls_that_nobody_knows(#[values(Sqlite, Postgres)] backend: Backend) {
    let house = House::open(backend).await;
    let client = house.client().await.without_token();
    assert_eq!(client.tell(&leg("answer", "c1", "101", 5, "")).await.status, 200, "the first that is heard of this call");
    assert_eq!(client.tell(&leg("hangup", "c2", "102", 65, "&CallStatus=ANSWER")).await.status, 200);
    assert_eq!(client.tell(&leg("answer", "c2", "102", 5, "")).await.status, 200, "its answer comes last");
    assert_eq!((house.state("ann").await.talking, house.state("bob").await.talking), (1, 0));
    assert_eq!(logged(&house).await.len(), 1);
}

#[rstest]
#[actix_web::test]
async fn the_same_event_a_thousand_times_is_one(#[values(Sqlite, Postgres)] backend: Backend) {
    let house = House::open(backend).await;
    let client = house.client().await.without_token();
    client.tell(&leg("answer", "c1", "101", 5, "")).await;
    let end = leg("hangup", "c1", "101", 65, "&CallStatus=ANSWER&RecID=700101-1");
    let sent = (0..1_000).map(|n| {
        let (client, end) = (client.clone(), end.clone());
        // The PBX may write the same in another order, and as GET or POST.
        let turned = end.split('&').rev().collect::<Vec<_>>().join("&");
        async move {
            // Whoever is refused, where a machine has too much to do, sends it again.
            loop {
                let status = match n % 3 {
                    0 => client.tell(&end).await.status,
                    1 => client.tell(&turned).await.status,
                    _ => client.hook_get(EVENT, &end).await.status,
                };
                if status != 503 {
                    return status;
                }
            }
        }
    });
    let answers: Vec<u16> = futures_util::future::join_all(sent).await;
    assert!(answers.iter().all(|s| *s == 200));
    assert_eq!((house.journal().await.len(), logged(&house).await.len()), (2, 1));
}

#[rstest]
#[actix_web::test]
async fn names_of_ten_thousand_characters_break_nothing(#[values(Sqlite, Postgres)] backend: Backend) {
    let house = House::open(backend).await;
    let client = house.client().await.without_token();
    let long = noise(10_000);
    let first = client.hook_get(ASK, &asked(&long)).await;
    assert_eq!(first.named().map(|(_, e)| e).as_deref(), Some("0047*101"));
    let again = client.hook_get(ASK, &asked(&long)).await;
    assert_eq!(again.decision(), first.decision(), "it is one call");
    house.hookflash.db.flush().await;
    let id = first.decision();
    let kept = house.read(move |conn| decisions::get(conn, SHOP, &id)).await.expect("recorded");
    assert!(kept.pbx_call_id.is_some_and(|c| c.len() <= 300 && long.starts_with(&c)));
    // Each field that names something, in turn.
    let plain = |kind: &str, n: usize| leg(kind, &format!("c{n}"), "101", 65, "&CallStatus=ANSWER&RecID=r&CallBackID=null&Bridged=null");
    let fields = [
        "CallID",
        "SubCallID",
        "CallerIDNum",
        "CallerExtension",
        "CalledExtension",
        "CalledNumber",
        "CalledDID",
        "RecID",
        "RemoteNumber",
        "CallStatus",
        "CallFlow",
        "Duration",
        "EventType",
        "CallBackID",
        "Foo",
    ];
    for (n, field) in fields.into_iter().enumerate() {
        for kind in ["dial-in", "answer", "hangup"] {
            for form in [
                format!("{field}={long}&{}", plain(kind, n)),
                format!("{field}={long}&{}", plain(kind, n).replace("0047%2A101%40sip.example", "0047%2A200")),
            ] {
                let status = client.tell(&form).await.status;
                assert!([200, 400].contains(&status), "{status}: {kind} {field}");
            }
        }
        assert!(client.hook_get(ASK, &format!("{field}={long}&{}", asked(&format!("q{n}")))).await.status == 200, "{field}");
    }
    let call = id::call_id(SHOP, &long);
    let row = house.read(move |conn| calls::get(conn, SHOP, &call)).await.expect("the call is known by its whole name");
    assert!(row.pbx_call_id.len() <= 300 && long.starts_with(&row.pbx_call_id));
    for row in logged(&house).await {
        let texts = [&row.sub_call_id, &row.extension, &row.record_id, &row.place];
        assert!(texts.into_iter().flatten().all(|t| t.len() <= 300), "{row:?}");
    }
}

#[rstest]
#[actix_web::test]
async fn zero_bytes_come_into_no_table(#[values(Sqlite, Postgres)] backend: Backend) {
    let house = House::open(backend).await;
    let client = house.client().await.without_token();
    let sound = leg("hangup", "c1", "101", 65, "&CallStatus=ANSWER&RecID=r1&CallerIDName=Ann");
    for name in
        ["CallID", "SubCallID", "CallerIDNum", "CallerExtension", "CalledExtension", "RecID", "EventType", "CallStatus", "CallerIDName"]
    {
        for zero in ["%00", "\0"] {
            let pairs: Vec<String> =
                sound.split('&').map(|p| if p.starts_with(&format!("{name}=")) { format!("{p}{zero}") } else { p.to_owned() }).collect();
            let form = pairs.join("&");
            let refusal = client.tell(&form).await;
            assert_eq!((refusal.status, refusal.body["title"].as_str()), (400, Some("a parameter holds a zero byte")), "{name}");
            let lookup = client.hook_post(ASK, FORM, form).await;
            assert_eq!(lookup.named(), None, "{name}");
        }
    }
    house.hookflash.db.flush().await;
    assert_eq!(refused(&house.journal().await).len(), 18);
    // Nothing of it stands in the way of what comes after.
    let after = client.hook_get(ASK, &asked("c2")).await;
    house.hookflash.db.flush().await;
    let id = after.decision();
    assert!(house.read(move |conn| decisions::get(conn, SHOP, &id)).await.is_some());
    assert_eq!(client.tell(&sound).await.status, 200);
}

#[rstest]
#[case::persian("+٧٩٩٩٥٥٥٠١٠١")]
#[case::full_width("+７９９９５５５０１０１")]
#[case::devanagari("+७९९९५५५०१०१")]
#[case::half("+7999555०101")]
#[case::letters("+7-FLOWERS-55")]
#[case::right_to_left("\u{202e}+79995550101")]
#[case::tag("<b>79995550101</b>")]
#[case::emoji("🌹")]
#[actix_web::test]
async fn a_number_in_other_signs_is_matched_by_its_digits_or_not_at_all(#[case] number: &str) {
    let house = House::open(Sqlite).await;
    let client = house.client().await.without_token();
    let number: String = number.bytes().map(|b| format!("%{b:02X}")).collect();
    let reply = client.hook_get(ASK, &format!("CallID=c1&CallerIDNum={number}")).await;
    assert!([None, Some("0047*101".to_owned())].contains(&reply.named().map(|(_, e)| e)));
    let form = leg("dial-out", "c2", "101", 0, "&CallFlow=OUT&CallerExtension=0047*101")
        .replace("CallerIDNum=%2B79995550101", &format!("CallerIDNum={number}&CalledNumber={number}"));
    assert_eq!(client.tell(&form).await.status, 200);
    for leg in legs(&house, "c2").await {
        assert!(leg.number.as_deref().is_none_or(|n| n.starts_with('+') && n[1..].bytes().all(|b| b.is_ascii_digit())), "{leg:?}");
    }
}

#[rstest]
#[case("🌹", "101")]
#[case("managerExt", "شركة")]
#[case("a\"b<c>&'d", "0047*<101>&\"'")]
#[case("\u{202e}x", "\u{202e}101\u{2066}")]
#[case("managerExt", "]]>&amp;")]
fn a_reply_is_escaped(#[case] variable: &str, #[case] extension: &str) {
    use hookflash::pbx::telphin::{ExtensionForm, Settings, webhook};
    let settings = Settings { variable: variable.into(), extension_form: ExtensionForm::Short, ..Settings::default() };
    let reply = webhook::reply(&settings, Some(extension));
    assert_eq!(named(&reply.body), Some((variable.to_owned(), extension.to_owned())));
}

/// Such names cannot be declared in the first place.
#[actix_web::test]
async fn what_cannot_be_dialled_cannot_be_declared() {
    let house = House::open(Sqlite).await;
    let refuses = async |edit: &dyn Fn(&mut Application)| {
        let mut app = house.app().spec.clone();
        edit(&mut app);
        let app = std::sync::Arc::new(app);
        let now = house.clock.now();
        let write = move |conn: &mut hookflash::store::Conn| {
            Ok(hookflash::declare::store(conn, None, &app, hookflash::store::roster::Origin::Apply, now).is_err())
        };
        house.hookflash.db.write(hookflash::store::Durability::Full, write).await.unwrap()
    };
    let telphin = |variable: &str| serde_json::json!({"client_prefix": "0047", "variable": variable});
    assert!(refuses(&|app| app.telphin = Some(telphin("🌹"))).await);
    assert!(refuses(&|app| app.telphin = Some(telphin("a\" b=\"c"))).await);
    assert!(refuses(&|app| app.routing.fallback = "شركة".into()).await);
    assert!(refuses(&|app| app.routing.fallback = "<101>".into()).await);
    assert!(refuses(&|app| app.login = "TLP\u{0}".into()).await);
    assert!(refuses(&|app| app.agent.push(Agent { id: "ivy".into(), extension: Some("١٠١".into()), ..app.agent[0].clone() })).await);
}

#[rstest]
#[actix_web::test]
async fn what_is_no_extension_is_not_learned(#[values(Sqlite, Postgres)] backend: Backend) {
    let house = House::open(backend).await;
    let client = house.client().await.without_token();
    for name in ["abc", "0047*", "%00", "🌹", &noise(300), "0047*12345678901"] {
        client.hook_get(ASK, &format!("CallID=c&CallerIDNum=x&CalledExtension={}", name.replace('🌹', "%F0%9F%8C%B9"))).await;
    }
    client.hook_get(ASK, "CallID=c&CallerIDNum=x&CalledExtension=0047*098").await;
    crate::support::eventually(async || house.app().extension_type("098").is_some()).await;
    assert_eq!(house.app().spec.extension.len(), 4, "{:?}", house.app().spec.extension);
}

/// Such as an event that names one leg more than a call can have.
#[rstest]
#[actix_web::test]
async fn what_could_not_be_applied_is_refused_again(#[values(Sqlite, Postgres)] backend: Backend) {
    let applied = House::open(backend).await;
    let event = leg("dial-in", "c1", "101", 0, "");
    assert_eq!(applied.client().await.without_token().tell(&event).await.status, 200);
    let entry = Entry { error: Some("too many legs".into()), ..applied.journal().await.remove(0) };
    let house = House::open(backend).await;
    house.hookflash.db.write(Durability::Full, move |conn| journal::insert(conn, &entry)).await.unwrap();
    let again = house.client().await.without_token().tell(&event).await;
    assert_eq!((again.status, again.body["title"].as_str()), (400, Some("too many legs")));
}
