use proptest::prelude::*;

use super::*;
use crate::domain::agent::ManualStatus;
use crate::domain::spec::{PbxKind, Strategy};

const SAMPLE: &str = include_str!("../../tests/it/cli/files/sample.toml");

fn read_text(text: &str) -> Result<Vec<Declared>, Vec<String>> {
    parse("shop.toml".into(), text.into()).map_err(|found| found.iter().map(ToString::to_string).collect())
}

fn mistakes(text: &str) -> Vec<String> {
    read_text(text).err().unwrap_or_default()
}

#[test]
fn the_contracts_sample_is_read_whole() {
    let [declared] = &read_text(SAMPLE).unwrap()[..] else { panic!("one application") };
    let app = &declared.spec;
    assert_eq!((app.id, app.pbx, app.login.as_str(), app.country.as_deref()), (807, PbxKind::Telphin, "TLP55522", Some("RU")));
    assert_eq!(
        app.routing.responsible.iter().map(|s| s.to()).collect::<Vec<_>>(),
        ["owner", "deputy", "last_agent", "group:sales", "queue:main"]
    );
    assert_eq!(
        app.agent.iter().map(|a| (a.id.as_str(), a.manual_status)).collect::<Vec<_>>(),
        [("ann", ManualStatus::Available), ("bob", ManualStatus::Available)]
    );
    assert_eq!((app.queue[0].strategy, app.queue[0].wait_agent_answer_timeout), (Strategy::LongestIdle, 15));
    assert_eq!((app.extension.len(), app.group.len(), app.number.len(), app.contact.len()), (1, 1, 1, 1));
    assert_eq!(crate::domain::validate::application(app), []);
}

#[test]
fn numbers_are_read_with_the_country_and_an_empty_key_is_none() {
    let text = "[[application]]\nid = 1\nname = \"n\"\npbx = \"telphin\"\nlogin = \"L\"\ncountry = \"RU\"\nkey = \"\"\n\
                [[application.contact]]\nphones = [\"8 (916) 123-45-67\", \"nobody\"]\n";
    let app = &read_text(text).unwrap()[0].spec;
    assert_eq!(app.contact[0].phones, ["+79161234567", "nobody"]);
    assert_eq!(app.key, None);
}

#[test]
fn every_mistake_of_a_file_is_told_with_line_and_key() {
    let text = "[[application]]\nid = \"807\"\nname = \"n\"\npbx = \"tlphin\"\nlogin = \"L\"\nlogn = \"L\"\n\
                [application.routing]\nwrap_up = 5\nresponsible = [\"owner\", 5]\n\n\
                [[application.agent]]\nid = \"ann\"\nextention = \"101\"\n\n\
                [[application.agent]]\nid = \"bob\"\nname = 5\nmanual_status = \"AVAILBLE\"\n\
                [[application.extension]]\nnumber = \"099\"\ntype = \"fone\"\n";
    assert_eq!(
        mistakes(text),
        [
            "shop.toml:2: application[0].id: expected a whole number, found a string; write it without quotes",
            "shop.toml:4: application[0].pbx: is none of telphin, exotel, stringee, asterisk; the nearest is telphin",
            "shop.toml:6: application[0].logn: unknown key; the nearest known one is login",
            "shop.toml:8: application[0].routing.wrap_up: unknown key; the nearest known one is wrap_up_s",
            "shop.toml:9: application[0].routing.responsible[1]: expected a step: a word such as \"owner\", or { to = \"queue:main\", wait_s = 10 }",
            "shop.toml:11: application[0].agent[0].name: is missing; it has no default",
            "shop.toml:13: application[0].agent[0].extention: unknown key; the nearest known one is extension",
            "shop.toml:17: application[0].agent[1].name: expected a string, found a whole number; put it in quotes",
            "shop.toml:18: application[0].agent[1].manual_status: is none of AVAILABLE, NOT_AVAILABLE, OFFLINE; the nearest is AVAILABLE",
            "shop.toml:21: application[0].extension[0].type: is none of phone, ivr, queue, fax; the nearest is phone",
        ]
    );
}

#[test]
fn a_file_of_another_shape_says_what_is_expected() {
    assert_eq!(mistakes(""), ["shop.toml:1: application: is missing; a file declares at least one [[application]]"]);
    assert_eq!(
        mistakes("\n[aplication]\nid = 1"),
        ["shop.toml:2: aplication: unknown key; the nearest known one is application: a file is [[application]] tables"]
    );
    assert_eq!(mistakes("[application]\nid = 1"), ["shop.toml:1: application: expected a list of tables; write [[application]]"]);
    let agent = mistakes("[[application]]\nid = 1\nname = \"n\"\npbx = \"telphin\"\nlogin = \"L\"\n[application.agent]\nid = \"a\"\n");
    assert_eq!(agent, ["shop.toml:6: application[0].agent: expected a list of tables; write [[application.agent]]"]);
    assert_eq!(mistakes("application = [5]"), ["shop.toml:1: application[0]: expected a table, found a whole number"]);
}

#[test]
fn an_unreadable_line_is_told_without_quoting_it() {
    let told = mistakes("[[application]]\nkey = \"hunter2\n");
    assert!(told.len() == 1 && told[0].starts_with("shop.toml:2: is not TOML: ") && !told[0].contains("hunter2"), "{told:?}");
    let told = mistakes("[[application]]\nid = 1\nname = \"n\"\npbx = \"telphin\"\nlogin = \"L\"\nkey = 471100\n");
    assert!(
        told.len() == 1 && told[0].starts_with("shop.toml:6: application[0].key: expected a string") && !told[0].contains("471100"),
        "{told:?}"
    );
}

#[test]
fn an_application_that_is_declared_twice_is_told_with_both_places() {
    let dir = tempfile::TempDir::new().unwrap();
    let app = |id: i64| format!("# one\n[[application]]\nid = {id}\nname = \"n\"\npbx = \"telphin\"\nlogin = \"L\"\n");
    let (a, b) = (dir.path().join("a.toml"), dir.path().join("b.toml"));
    std::fs::write(&a, app(2) + &app(1)).unwrap();
    std::fs::write(&b, app(1)).unwrap();
    let told = read(&[&a, &b]).unwrap_err();
    let reason = format!("application 1 is declared at {}:9 already; keep one of the two", a.display());
    assert_eq!(told, [Mistake { place: format!("{}:3", b.display()), key: "application[0].id".into(), reason }]);
    std::fs::write(&b, app(3)).unwrap();
    assert_eq!(read(&[&a, &b]).unwrap().iter().map(|d| d.spec.id).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn a_file_that_is_not_there_or_not_text_is_told() {
    let dir = tempfile::TempDir::new().unwrap();
    let binary = dir.path().join("b.toml");
    std::fs::write(&binary, b"id = \xff\xfe").unwrap();
    let told = read(&[Path::new("/nowhere/a.toml"), &binary]).unwrap_err();
    assert!(told[0].to_string().starts_with("/nowhere/a.toml: cannot be read: "), "{told:?}");
    assert_eq!(told[1].to_string(), format!("{}: byte 6 is not UTF-8; save the file as UTF-8", binary.display()));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
        let _ = read_text(&text);
    }

    /// Any edit of a good file: what is read then has lines that exist.
    #[test]
    fn a_damaged_file_is_read_or_refused_with_lines_of_its_own(at in 0..SAMPLE.len(), cut in 0usize..40, put in "[\\[\\]={}\"a-z0-9.\n ]{0,12}") {
        let (start, end) = (SAMPLE.floor_char_boundary(at), SAMPLE.floor_char_boundary((at + cut).min(SAMPLE.len())));
        let text = format!("{}{put}{}", &SAMPLE[..start], &SAMPLE[end..]);
        if let Err(found) = parse("f".into(), text.clone()) {
            prop_assert!(!found.is_empty());
            for mistake in found {
                let line: usize = mistake.place.strip_prefix("f:").and_then(|l| l.parse().ok()).unwrap_or(0);
                prop_assert!(line >= 1 && line <= text.lines().count() + 1, "{mistake}");
            }
        }
    }
}

/// Every key that a table takes is in the reference, docs/DECLARATIONS.md.
#[test]
fn the_reference_names_every_key() {
    fn keys<T: DeserializeOwned>() -> Vec<String> {
        let error = serde_json::from_value::<T>(serde_json::json!({ "?": 0 })).err().map(|e| e.to_string()).unwrap_or_default();
        error.split('`').skip(3).step_by(2).map(str::to_owned).collect()
    }
    use crate::domain::hours::BusinessHours;
    use crate::domain::ivr::{IvrKey, IvrNode, IvrTree};
    use crate::domain::spec::*;
    let reference = include_str!("../../docs/DECLARATIONS.md");
    let all = [
        keys::<Application>(),
        keys::<Routing>(),
        keys::<CrmChoice>(),
        keys::<Agent>(),
        keys::<Extension>(),
        keys::<Group>(),
        keys::<Queue>(),
        keys::<Number>(),
        keys::<BusinessHours>(),
        keys::<IvrTree>(),
        keys::<IvrNode>(),
        keys::<IvrKey>(),
        keys::<Blacklisted>(),
        keys::<Contact>(),
        keys::<crate::pbx::telphin::Settings>(),
    ];
    for keys in all {
        assert!(keys.len() >= 2, "{keys:?}");
        for key in keys {
            let named = reference.contains(&format!("`{key}`"))
                || reference.contains(&format!("[[application.{key}]]"))
                || reference.contains(&format!("[application.{key}]"));
            assert!(named, "{key} is not in docs/DECLARATIONS.md");
        }
    }
}
