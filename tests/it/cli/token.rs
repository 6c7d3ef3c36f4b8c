use super::*;
use hookflash::store::{roster, tokens};

#[test]
fn a_token_is_shown_once_and_its_hash_kept_until_it_is_revoked() {
    for house in House::each() {
        house.write("shop.toml", SAMPLE);
        house.run(&["apply", "shop.toml"]).ok();
        let before = house.db().read_blocking(roster::current_revision).unwrap();
        let args = ["token", "create", "--role", "agent", "--app", "807", "--agent", "ann", "--name", "widget"];
        let secret = house.run(&args).ok();
        let secret = secret.strip_suffix('\n').unwrap();
        assert!(secret.starts_with("hf_") && secret.len() == 46 && !secret.contains('\n'), "{secret}");

        let row = house.db().read_blocking(tokens::all).unwrap().remove(0);
        use sha2::Digest;
        assert_eq!(row.hash, hookflash::domain::id::hex(&sha2::Sha256::digest(secret.as_bytes())));
        assert_eq!(
            (row.role.as_str(), row.application, row.agent.as_deref(), row.name.as_str()),
            ("agent", Some(807), Some("ann"), "widget")
        );
        assert_eq!(house.db().read_blocking(roster::current_revision).unwrap(), before + 1, "servers read it");

        let list = house.run(&["token", "list"]).ok();
        assert!(list.contains(&row.id) && list.contains("widget") && !list.contains(secret) && !list.contains(&row.hash), "{list}");
        assert_eq!(house.run(&["token", "revoke", &row.id]).ok(), format!("revoked {}\n", row.id));
        assert_eq!(house.db().read_blocking(roster::current_revision).unwrap(), before + 2);
        let again = house.run(&["token", "revoke", &row.id]).failed(1);
        assert!(again.contains("no token"), "{again}");
    }
}

#[rstest::rstest]
#[case(&["--role", "integration"], 2, "--app")]
#[case(&["--role", "agent", "--app", "807"], 2, "--agent")]
#[case(&["--role", "admin", "--agent", "ann"], 2, "--agent is for the role agent alone")]
#[case(&["--role", "boss"], 2, "possible values: admin, supervisor, agent, integration")]
#[case(&[], 2, "--role")]
#[case(&["--role", "integration", "--app", "5"], 1, "there is no application 5")]
#[case(&["--role", "agent", "--app", "807", "--agent", "eve"], 1, "has no agent \"eve\"")]
fn a_token_for_nobody_is_not_made(#[case] args: &[&str], #[case] status: i32, #[case] told: &str) {
    let house = House::sqlite();
    house.write("shop.toml", SAMPLE);
    house.run(&["apply", "shop.toml"]).ok();
    let err = house.run(&[&["token", "create"], args].concat()).failed(status);
    assert!(err.contains(told), "{err}");
    assert!(house.db().read_blocking(tokens::all).unwrap().is_empty());
}
