use std::io::{BufRead, BufReader};
use std::sync::mpsc::channel;
use std::time::Duration;

use super::*;

/// A bound for a test that hangs when what it waits for never comes.
const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_server_writes_its_log_while_it_runs() {
    let mut house = House::sqlite();
    house.set("HOOKFLASH__SERVER__BIND", "127.0.0.1:0");
    let mut server = house.command(&["serve"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let out = BufReader::new(server.stdout.take().unwrap());
    let (said, heard) = channel();
    let reader = std::thread::spawn(move || {
        let started = out.lines().map_while(Result::ok).find(|line| line.contains("hookflash serves"));
        let _ = said.send(started);
    });
    let started = heard.recv_timeout(LONG);
    server.kill().unwrap();
    server.wait().unwrap();
    reader.join().unwrap();
    let line = started.expect("a line while the server runs").expect("the line of the start");
    assert!(line.contains("level=INFO") && line.contains("address=127.0.0.1:"), "{line}");
}
