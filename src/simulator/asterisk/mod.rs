//! A simulator of an Asterisk's AMI (protocol page, section 3), to be embedded in tests.
//!
//! It is strict: whatever comes before a login but a login is refused and the connection closed, an action that it does not know, a line
//! without a colon, an `ActionID` that is used twice are errors, and events go only to who has asked for them. What is up at it is what the
//! test says ([`Ami::set_channels`], [`Ami::set_devices`]); what it says is what the test has it say ([`Ami::tell`], or raw bytes).

mod talk;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};
use tokio_util::task::AbortOnDropHandle;

/// `Key: value` lines of a message.
pub type Lines = Vec<(String, String)>;

/// How an action of a name is answered: the whole blocks, without `ActionID`, which is added.
pub type Script = Arc<dyn Fn(&Lines) -> Vec<Lines> + Send + Sync>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Say {
    Bytes(Vec<u8>),
    HangUp,
}

#[derive(Default)]
struct State {
    channels: Vec<Lines>,
    devices: BTreeMap<String, String>,
    actions: Vec<Lines>,
    scripts: BTreeMap<String, Script>,
    /// Connections that have asked for events.
    listening: usize,
    connections: usize,
    logins: usize,
}

struct Inner {
    address: SocketAddr,
    user: String,
    secret: String,
    state: Mutex<State>,
    say: broadcast::Sender<Say>,
    /// While false, nothing is answered.
    answers: watch::Sender<bool>,
    /// While false, who comes is turned away.
    open: watch::Sender<bool>,
}

/// A simulated AMI; it ends when the last clone is dropped.
#[derive(Clone)]
pub struct Ami {
    inner: Arc<Inner>,
    _accepting: Arc<AbortOnDropHandle<()>>,
}

impl Ami {
    /// Listens on a loopback port of its own.
    ///
    /// # Errors
    /// There is no port.
    pub async fn start(user: &str, secret: &str) -> io::Result<Ami> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let inner = Arc::new(Inner {
            address: listener.local_addr()?,
            user: user.to_owned(),
            secret: secret.to_owned(),
            state: Mutex::default(),
            say: broadcast::channel(65_536).0,
            answers: watch::channel(true).0,
            open: watch::channel(true).0,
        });
        let its = inner.clone();
        let accepting = tokio::spawn(async move {
            let mut talks = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                while talks.try_join_next().is_some() {}
                if *its.open.borrow() {
                    talks.spawn(talk::talk(its.clone(), socket));
                }
            }
        });
        Ok(Ami { inner, _accepting: Arc::new(AbortOnDropHandle::new(accepting)) })
    }

    /// `host:port`
    pub fn address(&self) -> String {
        self.inner.address.to_string()
    }

    /// Tells an event to all who have asked for events: a block of `Key: value` lines, one a line.
    pub fn tell(&self, block: &str) {
        let lines: Vec<&str> = block.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        self.tell_bytes(format!("{}\r\n\r\n", lines.join("\r\n")).as_bytes());
    }

    /// Says bytes as they are.
    pub fn tell_bytes(&self, bytes: &[u8]) {
        let _ = self.inner.say.send(Say::Bytes(bytes.to_vec()));
    }

    /// Ends every connection that takes events, after what it was told before.
    pub fn drop_connections(&self) {
        let _ = self.inner.say.send(Say::HangUp);
    }

    /// Turns away who comes from now on, or lets him in again.
    pub fn set_open(&self, open: bool) {
        self.inner.open.send_replace(open);
    }

    /// Answers nothing from now on, or goes on; what is waiting is answered then.
    pub fn set_answering(&self, answering: bool) {
        self.inner.answers.send_replace(answering);
    }

    /// What `CoreShowChannels` lists: the lines of each channel, one a line.
    pub fn set_channels(&self, channels: &[&str]) {
        self.state().channels = channels.iter().map(|block| talk::lines_of(block)).collect();
    }

    /// What `DeviceStateList` lists.
    pub fn set_devices(&self, devices: &[(&str, &str)]) {
        self.state().devices = devices.iter().map(|(device, state)| ((*device).to_owned(), (*state).to_owned())).collect();
    }

    /// How actions of a name are answered from now on.
    pub fn on(&self, action: &str, script: impl Fn(&Lines) -> Vec<Lines> + Send + Sync + 'static) {
        self.state().scripts.insert(action.to_ascii_lowercase(), Arc::new(script));
    }

    /// Every action so far but pings and logins, in order.
    pub fn actions(&self) -> Vec<Lines> {
        self.state().actions.clone()
    }

    /// Connections that have asked for events, and have read what is up.
    pub fn listening(&self) -> usize {
        self.state().listening
    }

    /// Connections that are open.
    pub fn connections(&self) -> usize {
        self.state().connections
    }

    /// Logins that were let in, so far.
    pub fn logins(&self) -> usize {
        self.state().logins
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state()
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first value of a key.
pub fn value<'l>(lines: &'l Lines, key: &str) -> Option<&'l str> {
    lines.iter().find(|(k, _)| k.eq_ignore_ascii_case(key)).map(|(_, v)| v.as_str())
}

/// A block from `Key: value` lines, one a line.
pub fn block(text: &str) -> Lines {
    talk::lines_of(text)
}
