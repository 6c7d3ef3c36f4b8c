//! One connection to one Asterisk: logs in, sends actions and gives each its answer, passes events on in their order.
//!
//! A connection on which nothing comes for [`Limits::silence`] is dead: a ping is sent often enough that a living one always has something to
//! say. While whoever takes the events is slow, nothing is read, so the PBX waits: nothing is lost, and memory stays bounded.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::task::AbortOnDropHandle;

use super::LinkError;
use crate::net::{Http, NetError};
use crate::pbx::asterisk::ami::action::Reply;
use crate::pbx::asterisk::ami::{Action, Block, Splitter};

/// How patient a connection is.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// To connect, and for the answer to an action.
    pub answer: Duration,
    /// A ping is sent this often.
    pub ping: Duration,
    /// Nothing came for so long: the connection is dead.
    pub silence: Duration,
    /// Before a connection is tried again: at first, and at most.
    pub first_pause: Duration,
    pub longest_pause: Duration,
    /// How often what the PBX has up is compared with what we know.
    pub compare: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            answer: Duration::from_secs(10),
            ping: Duration::from_secs(10),
            silence: Duration::from_secs(25),
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
            compare: Duration::from_secs(60),
        }
    }
}

/// Events that wait to be taken.
const WAITING: usize = 4_096;
/// An answer that is a longer list is none.
const LONGEST_LIST: usize = 100_000;

/// What one action waits for.
struct Waiter {
    is_list: bool,
    response: Option<Block>,
    events: Vec<Block>,
    done: oneshot::Sender<Reply>,
}

type Waiters = Arc<Mutex<HashMap<String, Waiter>>>;

pub struct Session {
    writer: tokio::sync::Mutex<OwnedWriteHalf>,
    waiters: Waiters,
    next: AtomicU64,
    limits: Limits,
    /// Why the connection has ended.
    ended: watch::Receiver<Option<String>>,
    _reader: AbortOnDropHandle<()>,
}

/// Where an Asterisk is, and who we are there.
pub struct Line {
    pub address: String,
    pub user: String,
    pub secret: SecretString,
}

impl Session {
    /// Connects and logs in. Events come over the second value, once they are asked for.
    ///
    /// # Errors
    /// No connection, or the PBX does not let us in.
    pub async fn open(http: &Http, line: &Line, limits: Limits) -> Result<(Session, mpsc::Receiver<Block>), LinkError> {
        let stream = http.connect(&line.address, limits.answer).await.map_err(|e| match e {
            NetError::Forbidden(_) => LinkError::Forbidden(e.to_string()),
            _ => LinkError::Unreachable(e.to_string()),
        })?;
        let (reader, writer) = stream.into_split();
        let (events, taken) = mpsc::channel(WAITING);
        let (end, ended) = watch::channel(None);
        let waiters = Waiters::default();
        let its_waiters = waiters.clone();
        let reading = tokio::spawn(async move {
            let why = read(reader, &its_waiters, &events, limits.silence).await;
            // Whoever waits for an answer learns at once that none comes.
            let _ = end.send(Some(why));
            lock(&its_waiters).clear();
        });
        let session = Session {
            writer: tokio::sync::Mutex::new(writer),
            waiters,
            next: AtomicU64::new(1),
            limits,
            ended,
            _reader: AbortOnDropHandle::new(reading),
        };
        match session.send(&Action::login(&line.user, line.secret.expose_secret())).await {
            Ok(_) => Ok((session, taken)),
            Err(LinkError::Refused(words)) => Err(LinkError::Credentials(format!("the PBX does not let {:?} in: {words}", line.user))),
            // A login does nothing at the PBX: what is unclear about it is not reached.
            Err(LinkError::Unclear(words)) => Err(LinkError::Unreachable(words)),
            Err(error) => Err(error),
        }
    }

    /// Sends an action and waits for its answer.
    ///
    /// # Errors
    /// [`LinkError::Refused`] in the PBX's own words; [`LinkError::Unclear`] when the PBX may have done it.
    pub async fn send(&self, action: &Action) -> Result<Reply, LinkError> {
        let id = action.id().map_or_else(|| format!("hf-{}", self.next.fetch_add(1, Ordering::Relaxed)), str::to_owned);
        let bytes = action.encode(&id).map_err(|e| LinkError::Refused(e.to_string()))?;
        let (done, answer) = oneshot::channel();
        lock(&self.waiters).insert(id.clone(), Waiter { is_list: action.is_list(), response: None, events: Vec::new(), done });
        let _forget = Forget { waiters: &self.waiters, id: &id };
        if let Some(why) = self.ended() {
            return Err(LinkError::Unreachable(why));
        }
        let work = async {
            self.write(&bytes).await?;
            answer.await.map_err(|_| LinkError::Unclear(self.ended().unwrap_or_else(|| "the connection ended".into())))
        };
        let reply = match tokio::time::timeout(self.limits.answer, work).await {
            Ok(reply) => reply?,
            Err(_) => return Err(LinkError::Unclear(format!("no answer within {} ms", self.limits.answer.as_millis()))),
        };
        match reply.response.raw("Response") {
            Some(response) if response.eq_ignore_ascii_case("Error") => Err(LinkError::Refused(reply.message().to_owned())),
            _ => Ok(reply),
        }
    }

    /// Has the PBX say something, so that a silence means that it is gone.
    pub async fn ping(&self) -> Result<(), LinkError> {
        let bytes = Action::ping().encode("hf-ping").map_err(|e| LinkError::Refused(e.to_string()))?;
        match tokio::time::timeout(self.limits.answer, self.write(&bytes)).await {
            Ok(result) => result,
            Err(_) => Err(LinkError::Unreachable("the PBX takes nothing any more".into())),
        }
    }

    async fn write(&self, bytes: &[u8]) -> Result<(), LinkError> {
        // A part of an action does nothing: the PBX acts on its last line.
        self.writer.lock().await.write_all(bytes).await.map_err(|e| LinkError::Unreachable(e.to_string()))
    }

    /// Says goodbye. The PBX closes the connection then.
    pub async fn close(self) {
        let _ = self.send(&Action::logoff()).await;
    }

    /// Why the connection has ended; `None`: it has not.
    pub fn ended(&self) -> Option<String> {
        self.ended.borrow().clone()
    }

    /// Waits for the connection's end.
    pub async fn end(&self) -> String {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            Err(_) => "the connection ended".into(),
        }
    }
}

/// Takes a waiter away whose action is given up.
struct Forget<'a> {
    waiters: &'a Waiters,
    id: &'a str,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        lock(self.waiters).remove(self.id);
    }
}

fn lock(waiters: &Waiters) -> MutexGuard<'_, HashMap<String, Waiter>> {
    waiters.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads until the connection ends; says why it did.
async fn read(mut socket: OwnedReadHalf, waiters: &Waiters, events: &mpsc::Sender<Block>, silence: Duration) -> String {
    let mut splitter = Splitter::default();
    let mut buffer = vec![0u8; 16 << 10];
    loop {
        let n = match tokio::time::timeout(silence, socket.read(&mut buffer)).await {
            Ok(Ok(0)) => return "the PBX closed the connection".into(),
            Ok(Ok(n)) => n,
            Ok(Err(e)) => return e.to_string(),
            Err(_) => return format!("nothing came for {} s", silence.as_secs_f32()),
        };
        let mut blocks = Vec::new();
        splitter.push(&buffer[..n], |block| blocks.push(block));
        for block in blocks {
            // Nobody takes events: they are let go, the answers go on.
            if let Some(event) = answer(waiters, block) {
                let _ = events.send(event).await;
            }
        }
    }
}

/// Gives a block to the action that waits for it; passes on what nobody waits for and is an event.
fn answer(waiters: &Waiters, block: Block) -> Option<Block> {
    let is_event = !block.event().is_empty();
    let mut waiters = lock(waiters);
    let id = block.raw("ActionID").unwrap_or_default().to_owned();
    let Some(waiter) = waiters.get_mut(&id) else { return is_event.then_some(block) };
    if !is_event {
        let failed = block.raw("Response").is_some_and(|r| r.eq_ignore_ascii_case("Error"));
        waiter.response = Some(block);
        if waiter.is_list && !failed {
            return None;
        }
    } else if !waiter.is_list {
        // Events that an action brings about carry its id too.
        return Some(block);
    } else if !block.raw("EventList").is_some_and(|l| l.eq_ignore_ascii_case("Complete")) {
        if waiter.events.len() < LONGEST_LIST {
            waiter.events.push(block);
        }
        return None;
    }
    if let Some(waiter) = waiters.remove(&id) {
        let _ = waiter.done.send(Reply { response: waiter.response.unwrap_or_default(), events: waiter.events });
    }
    None
}
