use super::*;
use hookflash::store::{contacts, roster};

const SECRETS: [(&str, &str); 2] = [("TELPHIN_ID", "id"), ("TELPHIN_SECRET", "secret")];

fn sample_houses() -> Vec<House> {
    let mut houses = House::each();
    for house in &mut houses {
        SECRETS.iter().for_each(|(name, value)| house.set(name, value));
        house.write("shop.toml", SAMPLE);
    }
    houses
}

#[test]
fn the_sample_of_the_documentation_applies_once() {
    for house in sample_houses() {
        let first = house.run(&["apply", "shop.toml"]).ok();
        assert_eq!(
            first,
            "application 807\n  + settings\n  + agent ann\n  + agent bob\n  + extension 099\n  + group sales\n  + queue main\n  \
             + number +74955550100\n  + contact +79990001122\n8 added, 0 changed, 0 removed\n"
        );
        assert_eq!(house.run(&["apply", "shop.toml"]).ok(), "nothing changed\n");
        assert_eq!(house.run(&["apply", "--prune", "shop.toml"]).ok(), "nothing changed\n");
        let responsible = house.db().read_blocking(|conn| contacts::responsible(conn, 807, "+79990001122")).unwrap().unwrap();
        assert_eq!((responsible.owner.as_deref(), responsible.deputy.as_deref()), (Some("ann"), Some("bob")));
    }
}

#[test]
fn a_dry_run_shows_the_change_and_writes_nothing() {
    for house in sample_houses() {
        let told = house.run(&["apply", "--dry-run", "shop.toml"]).ok();
        assert!(told.contains("  + agent ann\n") && told.ends_with("8 to add, 0 to change, 0 to remove; nothing was written\n"), "{told}");
        assert!(house.db().read_blocking(roster::applications).unwrap().is_empty());
    }
}

#[test]
fn changes_and_prunes_are_shown() {
    for house in sample_houses() {
        house.run(&["apply", "shop.toml"]).ok();
        let changed = SAMPLE.replace("Ann Lee", "Ann Law").replace("only_available = true", "only_available = false");
        let changed = changed.replace("agents = [\"ann\"]", "agents = [\"ann\", \"bob\"]");
        let cut = changed.find("[[application.contact]]").unwrap();
        house.write("shop.toml", &changed[..cut]);
        let kept = house.run(&["apply", "shop.toml"]).ok();
        assert_eq!(kept, "application 807\n  ~ settings\n  ~ agent ann\n  ~ group sales\n0 added, 3 changed, 0 removed\n");
        let pruned = house.run(&["apply", "shop.toml", "--prune"]).ok();
        assert_eq!(pruned, "application 807\n  - contact +79990001122\n0 added, 0 changed, 1 removed\n");
    }
}

#[test]
fn many_files_apply_together_or_not_at_all() {
    for house in House::each() {
        let app = |id: i64, more: &str| {
            format!(
                "[[application]]\nid = {id}\nname = \"n\"\npbx = \"telphin\"\nlogin = \"L\"\n[application.telphin]\nextension_form = \"short\"\n{more}"
            )
        };
        house.write("a.toml", app(1, ""));
        house.write("b.toml", app(2, "[[application.group]]\nid = \"g\"\nname = \"G\"\nagents = [\"eve\"]\n"));
        let told = house.run(&["apply", "a.toml", "b.toml"]).failed(1);
        assert_eq!(
            told,
            "b.toml:11: application[0].group[0].agents[0]: there is no agent \"eve\"; declare it first\nnothing was applied\n"
        );
        assert!(house.db().read_blocking(roster::applications).unwrap().is_empty());

        let told = house.run(&["apply", "a.toml", "a.toml"]).failed(1);
        assert_eq!(
            told,
            "a.toml:2: application[0].id: application 1 is declared at a.toml:2 already; keep one of the two\nnothing was applied\n"
        );
        house.write("b.toml", app(2, ""));
        house.run(&["apply", "b.toml", "a.toml"]).ok();
        assert_eq!(house.db().read_blocking(roster::applications).unwrap().len(), 2);
    }
}

#[test]
fn an_agent_is_pruned_whose_contacts_the_same_file_gives_to_others() {
    for house in House::each() {
        let app = |agents: &str, owner: &str| {
            format!(
                "[[application]]\nid = 1\nname = \"n\"\npbx = \"telphin\"\nlogin = \"L\"\nagent = [ {agents} ]\n\
                 contact = [ {{ name = \"Jane\", phones = [\"+79160001122\"], owner = \"{owner}\" }} ]\n[application.telphin]\nextension_form = \"short\"\n"
            )
        };
        let (ann, bob) = ("{ id = \"ann\", name = \"Ann\" }", "{ id = \"bob\", name = \"Bob\" }");
        house.write("a.toml", app(&format!("{ann}, {bob}"), "bob"));
        house.run(&["apply", "a.toml"]).ok();
        house.write("b.toml", app(ann, "bob"));
        assert!(house.run(&["apply", "--prune", "b.toml"]).failed(1).contains("bob"), "nobody else is named");
        house.write("c.toml", app(ann, "ann"));
        house.run(&["apply", "--prune", "c.toml"]).ok();
        let agents = house.db().read_blocking(|conn| hookflash::store::agents::all(conn, 1)).unwrap();
        assert_eq!(agents.len(), 1);
    }
}

#[rstest::rstest]
#[case(
    "routing_type = 1",
    "routing_type = 3",
    "shop.toml:40: application[0].agent[0].routing_type: must be 1 (app or SIP phone) or 2 (own phone number)"
)]
#[case("name = \"Ann Lee\"", "nam = \"Ann Lee\"", "shop.toml:37: application[0].agent[0].nam: unknown key; the nearest known one is name")]
#[case(
    "cool_down_s = {",
    "cool_down_s = { bizzy = 1,",
    "shop.toml:28: application[0].routing.cool_down_s.bizzy: unknown key; the nearest known one is busy"
)]
#[case(
    "client_prefix = \"0047\"",
    "client_prefx = \"0047\"",
    "shop.toml:17: application[0].telphin.client_prefx: unknown key; the nearest known one is client_prefix"
)]
#[case(
    "client_prefix = \"0047\"",
    "client_prefix = 47",
    "shop.toml:17: application[0].telphin.client_prefix: expected a string, found a whole number; put it in quotes"
)]
#[case(
    "\"+79990001122\"",
    "\"101\"",
    "shop.toml:74: application[0].contact[0].phones[0]: \"101\" is not a number of the form +79990001122"
)]
#[case(
    "deputy = \"bob\"",
    "deputy = \"rob\"",
    "shop.toml:76: application[0].contact[0].deputy: there is no agent \"rob\"; declare it first"
)]
#[case(
    "primary_groups = [\"sales\"]",
    "primary_groups = [\"sails\"]",
    "shop.toml:64: application[0].queue[0].primary_groups[0]: there is no group \"sails\"; declare it first"
)]
#[case(
    "to = \"queue:main\"",
    "to = \"queue:man\"",
    "shop.toml:23: application[0].routing.responsible[4]: there is no queue \"man\"; declare it first"
)]
#[case("queue = \"main\"", "queue = \"man\"", "shop.toml:69: application[0].number[0].queue: there is no queue \"man\"; declare it first")]
#[case(
    "timezone = \"Europe/Moscow\"",
    "timezone = \"Moscow\"",
    "shop.toml:7: application[0].timezone: \"Moscow\" is no time zone; use a name such as Europe/Moscow"
)]
#[case("[\"ann\"]", "[\"ann\"", "shop.toml:58: is not TOML: ")]
fn each_mistake_names_its_place_and_mend(#[case] good: &str, #[case] bad: &str, #[case] told: &str) {
    let house = House::sqlite();
    house.write("shop.toml", SAMPLE.replacen(good, bad, 1));
    let err = house.run(&["apply", "shop.toml"]).failed(1);
    assert!(err.starts_with(told), "{err}");
    assert!(err.ends_with("\nnothing was applied\n"), "{err}");
    assert_eq!(err.lines().count(), 2, "{err}");
}

#[test]
fn secrets_are_nowhere_in_the_output_and_not_readable_in_the_database() {
    for house in House::each() {
        let text = SAMPLE.replace("env:TELPHIN_SECRET", "hunter2").replace("# key = \"env:HOOK_KEY\"", "key = \"hunter3\"");
        house.write("shop.toml", text);
        let out = house.run(&["apply", "shop.toml"]).ok();
        assert!(!out.contains("hunter"), "{out}");
        let app = house.db().read_blocking(roster::applications).unwrap().remove(0);
        assert!(!serde_json::to_string(&app).unwrap().contains("hunter"));
        let context = hookflash::roster::secret_context(807, "telphin.client_secret");
        assert!(house.vault().holds(&context, app.telphin.unwrap()["client_secret"].as_str().unwrap(), "hunter2"));
        assert_eq!(house.run(&["apply", "shop.toml"]).ok(), "nothing changed\n");
    }
}
