//! The real program, serving the database of a house.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use super::House;

/// A running `hookflash serve`.
pub struct Program {
    child: Child,
    /// `http://127.0.0.1:PORT`
    pub url: String,
    lines: Receiver<String>,
}

/// The server of another build, where `HOOKFLASH_TEST_PROGRAM` names one: a release build, to be measured.
pub fn other_build() -> Option<std::ffi::OsString> {
    std::env::var_os("HOOKFLASH_TEST_PROGRAM")
}

/// The program with a command, for the database of a house.
pub fn command(house: &House, args: &[&str]) -> Command {
    command_of(env!("CARGO_BIN_EXE_hookflash").as_ref(), house, args)
}

fn command_of(program: &std::ffi::OsStr, house: &House, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HOOKFLASH__")) {
        command.env_remove(name);
    }
    command
        .args(args)
        .env("HOOKFLASH__DATABASE__URL", house.hookflash.settings.database.url.as_str())
        .env("HOOKFLASH__SECRETS__KEY", "00".repeat(32))
        .env("HOOKFLASH__SERVER__BIND", "127.0.0.1:0")
        .stdin(Stdio::null());
    command
}

impl Program {
    /// Starts, and returns when it serves.
    pub fn serve(house: &House, settings: &[(&str, &str)]) -> Program {
        let program = other_build().unwrap_or_else(|| env!("CARGO_BIN_EXE_hookflash").into());
        let mut child =
            command_of(&program, house, &["serve"]).envs(settings.iter().copied()).stdout(Stdio::piped()).spawn().expect("started");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, lines) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok()));
        let mut program = Program { child, url: String::new(), lines };
        let line = program.said("hookflash serves");
        let (_, rest) = line.split_once("address").expect("an address");
        let address: String =
            rest.trim_start_matches(['"', ':', '=']).chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
        program.url = format!("http://{address}");
        program
    }

    /// The next line of its log that holds this.
    pub fn said(&self, what: &str) -> String {
        self.lines.iter().find(|line| line.contains(what)).unwrap_or_else(|| panic!("it ended and never said {what:?}"))
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("dead");
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        let killed = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().expect("kill");
        assert!(killed.success());
    }

    /// Waits for its end; the rest of its log, and its exit code.
    pub fn ended(mut self) -> (Vec<String>, Option<i32>) {
        let status = self.child.wait().expect("its end");
        (self.lines.iter().collect(), status.code())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // A test that failed leaves no program behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
