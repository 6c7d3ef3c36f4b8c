//! One Asterisk, on addresses of its own.

use std::io::Write as _;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use crate::support::eventually;

pub struct Pbx {
    /// `127.1.2`: what all addresses of this Asterisk and its people begin with.
    pub net: String,
    name: String,
    /// Its files, seen from outside the chroot.
    pub folder: PathBuf,
    child: Option<Child>,
}

/// The provider's line, on which callers come in and numbers outside are called; a second one that leads to app_queue; and the PBX's own
/// route and rules, as a company would have them.
const OWN: &str = "
[from-pstn]
exten => _[+0-9]!,1,Answer()
 same => n,Wait(0.2)
 same => n,Hangup()

[from-internal]
exten => _1XX,1,Dial(PJSIP/${EXTEN},20)
 same => n,Hangup()
exten => _[+0-9]!,1,Dial(PJSIP/${EXTEN}@trunk,20)
 same => n,Hangup()
exten => _*8XXX,1,PickupChan(PJSIP/${EXTEN:2},p)
 same => n,Hangup()
exten => 600,1,Answer()
 same => n,ConfBridge(600)

[plain-queue]
exten => _[+0-9]!,1,Queue(plain,,,,60)
 same => n,Hangup()
";

impl Pbx {
    /// Its files, without users, telephones and dialplan.
    pub fn new() -> Pbx {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let (pid, n) = (std::process::id(), NEXT.fetch_add(1, SeqCst));
        let (net, name) = (format!("127.{}.{n}", 64 + pid % 128), format!("test-{pid}-{n}"));
        let made = script(&["new", &name, &format!("{net}.1")]).output().expect("scripts/asterisk.sh");
        assert!(
            made.status.success(),
            "there is no Asterisk to test with, and these tests are run by `make test-asterisk` alone: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let folder = PathBuf::from(String::from_utf8(made.stdout).expect("a path").trim());
        let pbx = Pbx { net, name, folder, child: None };
        pbx.add("extensions.conf", OWN);
        pbx
    }

    /// An address of this lab: 1 is the PBX.
    pub fn at(&self, last: u32) -> String {
        format!("{}.{last}", self.net)
    }

    /// Adds to one of its files.
    pub fn add(&self, file: &str, text: &str) {
        let path = self.folder.join(file);
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::write(&path, before + "\n" + text).expect("written");
    }

    /// Half a second of silence, which the dialplan plays as `/lab/{name}`.
    pub fn sound(&self, name: &str) {
        let lab = self.folder.parent().expect("the folder of all");
        std::fs::write(lab.join(format!("{name}.ulaw")), [0xffu8; 4_000]).expect("written");
    }

    /// A line of its own without registration: who calls from there comes in at a context, and what is dialled goes there.
    pub fn line(&self, name: &str, context: &str, contact: &str, from: &str) {
        self.add(
            "pjsip.conf",
            &format!(
                "[{name}]\ntype = aor\ncontact = {contact}\n\n[{name}]\ntype = endpoint\ncontext = {context}\ndisallow = all\n\
                 allow = ulaw\ndirect_media = no\ndtmf_mode = info\naors = {name}\n\n[{name}-from]\ntype = identify\nendpoint = {name}\nmatch = {from}\n"
            ),
        );
    }

    pub async fn start(&mut self) {
        let log = std::fs::File::create(self.folder.join("console")).expect("a file");
        let child = script(&["run", &self.name]).stdout(Stdio::null()).stderr(log).spawn().expect("scripts/asterisk.sh");
        self.child = Some(child);
        let manager = format!("{}:5038", self.at(1));
        eventually(async || {
            let ended = self.child.as_mut().expect("started").try_wait().expect("a child");
            assert!(ended.is_none(), "Asterisk ended: {}", std::fs::read_to_string(self.folder.join("console")).unwrap_or_default());
            TcpStream::connect(&manager).is_ok()
        })
        .await;
        // It lets managers in before it has read its dialplan.
        self.console("core waitfullybooted");
    }

    /// With HOOKFLASH_RECORD_AMI set to a folder, all that AMI tells from here on is kept there in a file called like the test: the streams in
    /// `tests/fixtures/asterisk` can be made anew so.
    pub fn record(&self, user: &str, secret: &str) {
        let Some(folder) = std::env::var_os("HOOKFLASH_RECORD_AMI").map(PathBuf::from) else { return };
        let test = std::thread::current().name().unwrap_or("test").replace("::", "-");
        let mut stream = TcpStream::connect(format!("{}:5038", self.at(1))).expect("AMI");
        write!(stream, "Action: Login\r\nUsername: {user}\r\nSecret: {secret}\r\nEvents: on\r\n\r\n").expect("sent");
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut file = std::fs::File::create(folder.join(format!("{test}.ami"))).expect("a file");
        std::thread::spawn(move || std::io::copy(&mut stream, &mut file));
    }

    /// What its administrator types at its console.
    pub fn console(&self, words: &str) -> String {
        let conf = format!("/lab/{}/asterisk.conf", self.name);
        let root = self.folder.parent().and_then(Path::parent).expect("the chroot");
        let said = Command::new("chroot").arg(root).args(["asterisk", "-C", &conf, "-rx", words]).output().expect("chroot");
        String::from_utf8_lossy(&said.stdout).into_owned()
    }

    /// Warnings and errors of its log, for a test that failed.
    pub fn complaints(&self) -> String {
        let log = std::fs::read_to_string(self.folder.join("log/messages")).unwrap_or_default();
        log.lines().filter(|l| l.contains("WARNING") || l.contains("ERROR")).collect::<Vec<_>>().join("\n")
    }
}

fn script(args: &[&str]) -> Command {
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/asterisk.sh"));
    command.args(args).env("LC_ALL", "C").stdin(Stdio::null());
    command
}

impl Drop for Pbx {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("Asterisk's own complaints:\n{}", self.complaints());
        }
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
