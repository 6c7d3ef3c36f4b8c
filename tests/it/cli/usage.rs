use super::*;

#[test]
fn every_command_helps_and_wrong_usage_is_status_2() {
    let house = House::sqlite();
    let commands: [&[&str]; 11] = [
        &[],
        &["apply"],
        &["check"],
        &["tail"],
        &["explain"],
        &["replay"],
        &["import"],
        &["import", "contacts"],
        &["token"],
        &["token", "create"],
        &["token", "revoke"],
    ];
    for command in commands {
        let help = house.run(&[command, &["--help"]].concat()).ok();
        assert!(help.contains("Usage: hookflash"), "{help}");
        assert!(help.contains("--config <FILE>"), "{help}");
        house.run(&[command, &["--nonsense"]].concat()).failed(2);
    }
    house.run(&[]).failed(2);
    house.run(&["apply"]).failed(2);
    house.run(&["tail", "shop"]).failed(2);
    assert!(house.run(&["--version"]).ok().starts_with("hookflash "));
    assert_eq!(std::fs::read_dir(house.path()).unwrap().count(), 0, "nothing of this opens a database");
}

#[test]
fn settings_that_are_wrong_are_told_with_their_places() {
    let house = House::sqlite();
    house.write("s.toml", "[server]\nbnid = \"127.0.0.1:1\"\n");
    let before = house.run(&["--config", "s.toml", "check"]).failed(1);
    assert_eq!(before, "s.toml:2: server.bnid: unknown key; the nearest known one is server.bind\n");
    assert_eq!(house.run(&["check", "--config", "s.toml"]).failed(1), before);
    assert_eq!(house.run(&["token", "list", "--config", "s.toml"]).failed(1), before);
}

#[test]
fn an_output_that_nobody_reads_is_no_failure() {
    let house = House::sqlite();
    house.run(&["token", "create", "--role", "admin"]).ok();
    let mut child = house.command(&["token", "list"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}
