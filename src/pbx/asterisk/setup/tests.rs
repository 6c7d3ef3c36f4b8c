//! The dialplan as it is printed.

use super::*;

fn dialplan(settings: &Settings, plain: bool) -> String {
    let hooks = Hooks::new("https://pbx.example.com", 808, "pbx1", Some("a&b,c;(".into()));
    Dialplan { application: 808, settings, hooks: &hooks, plain }.text()
}

fn every_form() -> Vec<(Settings, bool)> {
    let default = Settings::default;
    let mut forms = Vec::new();
    for plain in [false, true] {
        forms.push((default(), plain));
        forms.push((Settings { record: true, outside_device: "PJSIP/{number}@trunk".into(), ..default() }, plain));
        forms.push((
            Settings {
                outbound_context: "from-internal".into(),
                default_context: "from-pstn".into(),
                ivr_context: "my-ivr".into(),
                ..default()
            },
            plain,
        ));
    }
    forms
}

#[test]
fn nothing_of_the_template_is_left_over() {
    for (settings, plain) in every_form() {
        let text = dialplan(&settings, plain);
        for line in text.lines() {
            let left = line.split('@').skip(1).any(is_name);
            assert!(!left && !line.starts_with('?'), "{line}");
        }
        assert!(text.contains("[hookflash-808-hangup]") && text.contains("/cid/808/event/pbx1?key=a%26b%2Cc%3B%28,event="), "{text}");
        assert_eq!(text.contains("JSON_DECODE"), !plain);
        assert_eq!(text.contains("CUT(HF_REPLY,|,"), plain);
        assert_eq!(text.matches(",MixMonitor(").count(), 1 + usize::from(settings.record), "clicks say it themselves");
    }
}

/// Brackets are in pairs on every line, and what is jumped to is there.
#[test]
fn every_line_is_whole_and_every_label_is_there() {
    for (settings, plain) in every_form() {
        let text = dialplan(&settings, plain);
        let contexts: Vec<&str> = text.lines().filter_map(|l| l.strip_prefix('[')?.strip_suffix(']')).collect();
        for line in text.lines() {
            for (open, close) in [('(', ')'), ('{', '}')] {
                assert_eq!(line.matches(open).count(), line.matches(close).count(), "{line}");
            }
            let jump = line
                .split_once("Goto(hookflash-")
                .or_else(|| line.split_once("push)=hookflash-"))
                .or_else(|| line.split_once("U(hookflash-"));
            if let Some((_, rest)) = jump {
                let name = format!("hookflash-{}", rest.split([',', ')']).next().unwrap_or_default());
                assert!(contexts.contains(&name.as_str()), "{line}");
            }
        }
    }
}

#[test]
fn a_call_whose_answer_does_not_come_goes_to_the_pbx_s_own_route() {
    assert!(dialplan(&Settings::default(), false).contains("Goto(default,${HF_TO},1)"));
    let settings = Settings { default_context: "from-pstn".into(), ..Settings::default() };
    assert!(dialplan(&settings, false).contains("Goto(from-pstn,${HF_TO},1)"));
}

#[test]
fn a_field_stands_in_the_plain_line_where_the_dialplan_looks_for_it() {
    for (action, fields) in reply::PLAIN {
        for (at, field) in fields.iter().enumerate() {
            assert_eq!(reply::position(action, field), Some(at + 2));
        }
    }
    assert!(dialplan(&Settings::default(), true).contains("Dial(${CUT(HF_REPLY,|,2)},${CUT(HF_REPLY,|,3)},"));
}

#[test]
fn the_manager_s_user_may_place_calls_and_ask() {
    let text = manager("hookflash", "s3cret", Some("192.0.2.7"));
    assert_eq!(
        text,
        "[hookflash]\nsecret = s3cret\ndeny = 0.0.0.0/0.0.0.0\ndeny = ::/0\npermit = 192.0.2.7/255.255.255.255\nread = system,call,agent\nwrite = originate,reporting\n"
    );
    assert!(manager("hookflash", "s3cret", None).contains("\n; permit = "));
    assert!(manager("hookflash", "s3;cret", None).contains("secret = s3\\;cret\n"), "what follows a bare semicolon is a remark");
}

/// The page shows what is printed for the declaration at its top.
#[test]
fn the_page_shows_the_dialplan_as_it_is_printed() {
    let page = include_str!("../../../../docs/ASTERISK.md");
    let settings =
        Settings { default_context: "from-pstn".into(), outbound_context: "from-internal".into(), record: true, ..Settings::default() };
    let hooks = Hooks::new("https://pbx.example.com", 808, "pbx1", Some("HOOK-KEY".into()));
    let text = Dialplan { application: 808, settings: &settings, hooks: &hooks, plain: false }.text();
    let shown = page.split("```ini\n").find(|block| block.starts_with("; Hookflash, application 808")).expect("the dialplan");
    let shown = shown.split("```").next().unwrap_or_default();
    for (n, (printed, shown)) in text.lines().zip(shown.lines()).enumerate() {
        assert_eq!(printed, shown, "line {n} of the dialplan");
    }
    assert_eq!(text, shown);
    for line in ["read = system,call,agent", "write = originate,reporting"] {
        assert!(page.contains(line) && manager("hookflash", "x", None).contains(line));
    }
}
