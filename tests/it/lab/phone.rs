//! Telephones: SIPp, one program each, with a scenario that is put together from the parts in `sipp/`.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::eventually;

/// What has to be at its end within this time, seconds: SIPp gives up then, and fails.
const LONGEST_S: &str = "90";

const PORT: u16 = 5060;

const PARTS: &[(&str, &str)] = &[
    ("abandons", include_str!("sipp/abandons.xml")),
    ("answers", include_str!("sipp/answers.xml")),
    ("called", include_str!("sipp/called.xml")),
    ("called_showing", include_str!("sipp/called_showing.xml")),
    ("caller_hangs_up", include_str!("sipp/caller_hangs_up.xml")),
    ("dials", include_str!("sipp/dials.xml")),
    ("hangs_up", include_str!("sipp/hangs_up.xml")),
    ("holds", include_str!("sipp/holds.xml")),
    ("is_answered", include_str!("sipp/is_answered.xml")),
    ("is_cancelled", include_str!("sipp/is_cancelled.xml")),
    ("is_refused", include_str!("sipp/is_refused.xml")),
    ("is_let_go", include_str!("sipp/is_let_go.xml")),
    ("joins", include_str!("sipp/joins.xml")),
    ("notes", include_str!("sipp/notes.xml")),
    ("presses", include_str!("sipp/presses.xml")),
    ("refers", include_str!("sipp/refers.xml")),
    ("refuses", include_str!("sipp/refuses.xml")),
    ("rings", include_str!("sipp/rings.xml")),
    ("speaks", include_str!("sipp/speaks.xml")),
    ("stays", include_str!("sipp/stays.xml")),
];

/// A scenario: parts, one after another, and what stands for the names in them.
#[derive(Clone, Default)]
pub struct Scenario {
    parts: Vec<String>,
    /// The number that is called.
    to: String,
}

impl Scenario {
    /// A telephone that is called.
    pub fn called() -> Scenario {
        Scenario::default().then("called", &[])
    }

    /// Picks up after so long.
    pub fn answers(ms: u32) -> Scenario {
        Scenario::called().picks_up(ms)
    }

    pub fn picks_up(self, ms: u32) -> Scenario {
        self.then("rings", &[("ring_ms", &ms.to_string())]).then("answers", &[])
    }

    /// Never picks up.
    pub fn rings_out() -> Scenario {
        Scenario::called().then("rings", &[("ring_ms", "0")]).then("is_cancelled", &[])
    }

    pub fn refuses(code: u32) -> Scenario {
        Scenario::called().then("refuses", &[("code", &code.to_string())])
    }

    /// A call to a number, made by whom [`Scenario::by_number`] says.
    pub fn dials(to: &str) -> Scenario {
        Scenario { to: to.to_owned(), ..Scenario::default() }.then("dials", &[])
    }

    /// The caller is answered within half a minute, and then hangs up after so long.
    pub fn talks(self, talk_ms: u32) -> Scenario {
        self.answered().then("caller_hangs_up", &[("talk_ms", &talk_ms.to_string())])
    }

    /// The caller is answered within half a minute.
    pub fn answered(self) -> Scenario {
        self.then("is_answered", &[("patience_ms", "30000")])
    }

    /// The caller gives up.
    pub fn abandons(self, after_ms: u32) -> Scenario {
        self.then("abandons", &[("after_ms", &after_ms.to_string())])
    }

    /// By whose number it is called.
    pub fn by_number(self, from: &str) -> Scenario {
        let to = self.to.clone();
        self.filled(&[("from", from), ("to", &to)])
    }

    pub fn stays(self) -> Scenario {
        self.then("stays", &[])
    }

    pub fn hangs_up(self, talk_ms: u32) -> Scenario {
        self.then("hangs_up", &[("talk_ms", &talk_ms.to_string())])
    }

    pub fn then(mut self, part: &str, values: &[(&str, &str)]) -> Scenario {
        let (_, text) = PARTS.iter().find(|(name, _)| *name == part).unwrap_or_else(|| panic!("a part {part}"));
        self.parts.push((*text).to_owned());
        let last = self.parts.len() - 1;
        for (name, value) in values {
            self.parts[last] = self.parts[last].replace(&format!("%{name}%"), value);
        }
        self
    }

    /// Fills names in all the parts that are there.
    fn filled(mut self, values: &[(&str, &str)]) -> Scenario {
        for part in &mut self.parts {
            for (name, value) in values {
                *part = part.replace(&format!("%{name}%"), value);
            }
        }
        self
    }

    fn gives_up(&self) -> bool {
        self.parts.iter().any(|part| part.contains("CANCEL sip:"))
    }

    fn text(&self) -> String {
        let mut text = String::from("<?xml version=\"1.0\" encoding=\"ISO-8859-1\" ?>\n<scenario name=\"telephone\">\n");
        let body = self.parts.concat();
        let open = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        assert!(!body.split('%').skip(1).any(open), "a name is not filled, as numbers are by by_number: {body}");
        text.push_str(&body);
        // SIPp refuses names that are set and never used.
        let kept: Vec<&str> = ["cseq", "contact", "final", "shown", "them", "us"]
            .into_iter()
            .filter(|v| body.contains(&format!("assign_to=\"{v}\"")))
            .collect();
        if !kept.is_empty() {
            writeln!(text, "<Reference variables=\"{}\"/>", kept.join(",")).expect("written");
        }
        text.push_str("</scenario>\n");
        text
    }
}

/// One running SIPp.
pub struct Phone {
    address: String,
    child: Child,
    dir: TempDir,
}

impl Phone {
    /// Starts one that takes or makes so many calls and then ends; returns when its telephone is plugged in.
    pub async fn start(address: &str, scenario: &Scenario, calls: u32, args: &[&str]) -> Phone {
        Phone::on_port(address, PORT, scenario, calls, args).await
    }

    pub async fn on_port(address: &str, port: u16, scenario: &Scenario, calls: u32, args: &[&str]) -> Phone {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("scenario.xml"), scenario.text()).expect("written");
        let (count, port_text) = (calls.to_string(), port.to_string());
        let out = std::fs::File::create(dir.path().join("out")).expect("a file");
        let errors = out.try_clone().expect("a file");
        let child = Command::new("sipp")
            .current_dir(dir.path())
            .args(["-sf", "scenario.xml", "-i", address, "-mi", address, "-p", &port_text, "-m", &count, "-nostdin"])
            .args(["-timeout", LONGEST_S, "-timeout_error", "-trace_err", "-error_file", "errors"])
            // Who gives up may hear it ring any number of times before, and where there are many calls some things are said twice.
            .args(if scenario.gives_up() || calls > 10 { &["-default_behaviors", "all,-abortunexp"] } else { &[][..] })
            .args(if calls > 10 { &[][..] } else { &["-trace_msg", "-message_file", "messages"] })
            .args(args)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(errors)
            .spawn()
            .expect("SIPp, which scripts/asterisk.sh build installs");
        let mut phone = Phone { address: address.to_owned(), child, dir };
        eventually(async || is_plugged_in(&phone.address, port) || phone.child.try_wait().expect("a child").is_some()).await;
        phone
    }

    /// All its calls went as its scenario says.
    #[track_caller]
    pub fn done(mut self) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let mut status = None;
            eventually(async || {
                status = self.child.try_wait().expect("a child");
                status.is_some()
            })
            .await;
            let code = status.and_then(|s| s.code());
            assert_eq!(code, Some(0), "the telephone at {}, {caller}: {}", self.address, self.said());
        }
    }

    /// What a call of its own is called by others, once its scenario has noted it: the value of Replaces, as it stands in an address.
    pub async fn noted(&self) -> String {
        let read = || std::fs::read_to_string(self.dir.path().join("call")).unwrap_or_default();
        eventually(async || read().ends_with('\n')).await;
        let note = read();
        let (call, rest) = note.trim().split_once(' ').expect("a call id");
        let (them, own_tag) = rest.rsplit_once(' ').expect("a tag");
        let (_, their_tag) = them.split_once("tag=").expect("a tag of theirs");
        format!("{call}%3Bto-tag%3D{their_tag}%3Bfrom-tag%3D{own_tag}")
    }

    fn said(&self) -> String {
        let read =
            |file: &str| std::fs::read(self.dir.path().join(file)).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
        let errors = read("errors");
        let messages = Some(read("messages")).filter(|m| !m.is_empty()).unwrap_or_else(|| read("out"));
        let last: Vec<&str> = messages.lines().rev().take(60).collect();
        format!("{errors}\n{}", last.into_iter().rev().collect::<Vec<_>>().join("\n"))
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the telephone at {} said: {}", self.address, self.said());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The kernel knows who listens.
fn is_plugged_in(address: &str, port: u16) -> bool {
    let ip: Ipv4Addr = address.parse().expect("an address");
    let listens = format!(" {:08X}:{:04X} ", u32::from_le_bytes(ip.octets()), port);
    std::fs::read_to_string("/proc/net/udp").expect("/proc/net/udp").contains(&listens)
}
