//! The command line, as the real program with real databases: SQLite, and PostgreSQL when HOOKFLASH_TEST_POSTGRES names a server.

mod apply;
mod check;
mod import;
mod journal;
mod provision;
mod serve;
mod simulate;
mod token;
mod usage;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hookflash::secrets::Vault;
use hookflash::store::{Db, Options};
use tempfile::TempDir;

/// The sample of a declaration file, as the documentation shows it.
pub const SAMPLE: &str = include_str!("files/sample.toml");

/// A folder with a database of its own, and the program to run on it.
pub struct House {
    pub dir: TempDir,
    url: String,
    env: Vec<(String, String)>,
}

/// How a run of the program ended.
#[derive(Debug)]
pub struct Run {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl Run {
    /// The output of a run that succeeded without a word on standard error.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!((self.status, self.err.as_str()), (0, ""), "{}", self.out);
        self.out
    }

    /// What a run said that failed; nothing is on standard output.
    #[track_caller]
    pub fn failed(self, status: i32) -> String {
        assert_eq!((self.status, self.out.as_str()), (status, ""), "{}", self.err);
        self.err
    }
}

impl House {
    pub fn sqlite() -> House {
        let dir = TempDir::new().unwrap();
        let url = format!("sqlite://{}", dir.path().join("hookflash.db").display());
        House { dir, url, env: Vec::new() }
    }

    /// A house on each database that is at hand.
    pub fn each() -> Vec<House> {
        let mut houses = vec![House::sqlite()];
        if let Ok(server) = std::env::var("HOOKFLASH_TEST_POSTGRES") {
            let name = format!("cli_{}", hookflash::domain::id::fresh(hookflash::domain::time::Clock::system().now()));
            let admin = hookflash::store::Url::parse(&server).unwrap();
            hookflash::store::Conn::open(&admin).unwrap().execute(&format!("CREATE DATABASE {name}")).unwrap();
            let (base, _) = server.rsplit_once('/').unwrap();
            let key = "0f".repeat(32);
            houses.push(House {
                dir: TempDir::new().unwrap(),
                url: format!("{base}/{name}"),
                env: vec![("HOOKFLASH__SECRETS__KEY".into(), key)],
            });
        }
        houses
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.env.push((name.into(), value.into()));
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The program with these arguments, its folder being ours, so that files are named without one.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookflash"));
        command.args(args).current_dir(self.dir.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("HOOKFLASH__")) {
            command.env_remove(name);
        }
        command.env("HOOKFLASH__DATABASE__URL", &self.url).envs(self.env.iter().cloned());
        command
    }

    pub fn run(&self, args: &[&str]) -> Run {
        let output = self.command(args).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Run { status: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    pub fn db(&self) -> Db {
        Db::open(&Options { url: self.url.clone(), pool_size: 2 }).unwrap()
    }

    pub fn vault(&self) -> Vault {
        let key = self.env.iter().find(|(name, _)| name == "HOOKFLASH__SECRETS__KEY").map(|(_, key)| key.clone().into());
        Vault::open(&self.url, key.as_ref()).unwrap()
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}
