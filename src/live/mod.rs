//! What happens now, for those who listen: a ring of the last events of each application that somebody listens to.
//!
//! Nobody who writes knows of it. Where somebody listens, a follower reads what is new (`http::api::live`) and puts it here; where nobody does,
//! there is no ring and nothing is read. A listener has a place in the ring and no buffer of its own: whoever is so slow that the ring passes
//! him has lost what lay between, and is told so. An id names the ring too, so that an id of another server, or of a ring that is gone, is
//! known for what it is.

mod ring;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::domain::id;
use crate::domain::time::Timestamp;
use crate::text_enum;

pub use ring::{Event, Ring};

text_enum! {
    pub enum Kind {
        Call = "call",
        Leg = "leg",
        Offer = "offer",
        Agent = "agent",
        Queue = "queue",
        /// Nothing happened, and the connection stands.
        Heartbeat = "heartbeat",
        /// What lay between is lost: read the state again.
        Reset = "reset",
    }
}

/// Events that one read of the ring gives at the most.
const AT_ONCE: usize = 64;

/// Every ring.
pub struct Hub {
    channels: Mutex<HashMap<i64, Arc<Channel>>>,
    closed: watch::Sender<bool>,
}

impl Default for Hub {
    fn default() -> Self {
        Hub { channels: Mutex::default(), closed: watch::Sender::new(false) }
    }
}

/// One application's ring.
pub struct Channel {
    name: String,
    ring: Mutex<Ring>,
    newest: watch::Sender<u64>,
    /// From here on nothing is missed.
    followed: watch::Sender<bool>,
    listeners: AtomicUsize,
}

impl Channel {
    /// The follower knows how things are: what changes from now on is told.
    pub fn is_followed(&self) {
        self.followed.send_replace(true);
    }

    pub fn push(&self, event: Event) {
        let newest = {
            let mut ring = held(&self.ring);
            ring.push(event);
            ring.newest()
        };
        self.newest.send_replace(newest);
    }

    pub fn is_heard(&self) -> bool {
        self.listeners.load(Ordering::SeqCst) > 0
    }
}

/// A panic while a lock was held leaves nothing half done here.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    /// Listens to an application from now on. With the channel when it is a new one, which then needs a follower.
    pub fn join(&self, application: i64, now: Timestamp) -> (Listener, Option<Arc<Channel>>) {
        let mut channels = held(&self.channels);
        let known = channels.get(&application).cloned();
        let channel = known.clone().unwrap_or_else(|| {
            let channel = Channel {
                name: id::fresh(now),
                ring: Mutex::new(Ring::default()),
                newest: watch::Sender::new(0),
                followed: watch::Sender::new(false),
                listeners: AtomicUsize::new(0),
            };
            Arc::new(channel)
        });
        channel.listeners.fetch_add(1, Ordering::SeqCst);
        channels.insert(application, channel.clone());
        let place = held(&channel.ring).newest();
        let listener = Listener { newest: channel.newest.subscribe(), closed: self.closed.subscribe(), place, channel: channel.clone() };
        (listener, known.is_none().then_some(channel))
    }

    /// Ends a ring that nobody listens to; false: somebody does.
    pub fn leave(&self, application: i64, channel: &Arc<Channel>) -> bool {
        let mut channels = held(&self.channels);
        if channel.is_heard() {
            return false;
        }
        if channels.get(&application).is_some_and(|known| Arc::ptr_eq(known, channel)) {
            channels.remove(&application);
        }
        true
    }

    /// Ends every listener: the server stops.
    pub fn close(&self) {
        self.closed.send_replace(true);
    }

    pub fn is_closed(&self) -> bool {
        *self.closed.borrow()
    }
}

/// Why nothing more comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The ring has passed the listener.
    TooSlow,
    /// The server stops.
    Closed,
}

/// A place in a ring.
pub struct Listener {
    channel: Arc<Channel>,
    place: u64,
    newest: watch::Receiver<u64>,
    closed: watch::Receiver<bool>,
}

impl Listener {
    /// Waits until nothing that happens is missed any more.
    pub async fn ready(&self) {
        // The channel outlives the waiting, so this cannot fail.
        let _ = self.channel.followed.subscribe().wait_for(|followed| *followed).await;
    }

    /// Goes back to what came after the event of this id; false when the ring does not hold that any more: he stays where he is.
    pub fn resume(&mut self, after: &str) -> bool {
        let place = after.split_once('-').filter(|(name, _)| *name == self.channel.name).and_then(|(_, n)| n.parse().ok());
        let held = place.filter(|place| held(&self.channel.ring).holds_after(*place));
        self.place = held.unwrap_or(self.place);
        held.is_some()
    }

    /// The id of the last event that he was given, or could have been.
    pub fn id(&self) -> String {
        self.id_of(self.place)
    }

    pub fn id_of(&self, event: u64) -> String {
        format!("{}-{event}", self.channel.name)
    }

    /// Waits for what is new, in its order. Nothing is lost when the waiting is given up.
    pub async fn next(&mut self) -> Result<Vec<(u64, Arc<Event>)>, End> {
        loop {
            if *self.closed.borrow_and_update() {
                return Err(End::Closed);
            }
            self.newest.mark_unchanged();
            let found = held(&self.channel.ring).after(self.place, AT_ONCE).ok_or(End::TooSlow)?;
            if let Some((last, _)) = found.last() {
                self.place = *last;
                return Ok(found);
            }
            tokio::select! {
                changed = self.newest.changed() => changed.map_err(|_| End::Closed)?,
                changed = self.closed.changed() => changed.map_err(|_| End::Closed)?,
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.channel.listeners.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(n: usize) -> Event {
        Event { kind: Kind::Call, agents: None, data: n.to_string() }
    }

    async fn read(listener: &mut Listener) -> Vec<String> {
        listener.next().await.expect("events").into_iter().map(|(_, e)| e.data.clone()).collect()
    }

    #[tokio::test]
    async fn a_listener_gets_what_comes_after_him_and_goes_on_where_he_was() {
        let hub = Hub::default();
        let (mut one, channel) = hub.join(807, Timestamp(0));
        let channel = channel.expect("a new ring");
        channel.push(event(1));
        let (mut two, again) = hub.join(807, Timestamp(0));
        assert!(again.is_none(), "it is followed already");
        channel.push(event(2));
        assert_eq!((read(&mut one).await, read(&mut two).await), (vec!["1".into(), "2".into()], vec!["2".to_owned()]));
        let id = one.id();
        drop(one);
        channel.push(event(3));
        let (mut back, _) = hub.join(807, Timestamp(0));
        assert!(back.resume(&id));
        assert_eq!(read(&mut back).await, ["3"]);
        for foreign in ["", "7", "other-1", &format!("{id}9")] {
            assert!(!back.resume(foreign), "{foreign}");
        }
    }

    #[tokio::test]
    async fn whoever_is_passed_by_the_ring_is_told_so_and_keeps_nothing_alive() {
        let hub = Hub::default();
        let (mut slow, channel) = hub.join(807, Timestamp(0));
        let channel = channel.expect("a new ring");
        let id = slow.id();
        (0..Ring::MOST + 1).for_each(|n| channel.push(event(n)));
        assert_eq!(slow.next().await.map(|e| e.len()), Err(End::TooSlow));
        assert!(!slow.resume(&id));
        assert!(!hub.leave(807, &channel), "somebody listens");
        drop(slow);
        assert!(hub.leave(807, &channel));
        assert!(hub.join(807, Timestamp(1)).1.is_some(), "a new ring");
    }

    #[tokio::test]
    async fn when_the_server_stops_every_listener_ends() {
        let hub = Hub::default();
        let (mut one, _) = hub.join(807, Timestamp(0));
        let waits = async { one.next().await.map(|e| e.len()) };
        let (end, ()) = tokio::join!(waits, async { hub.close() });
        assert_eq!((end, hub.is_closed()), (Err(End::Closed), true));
    }
}
