//! Keeps the connections: one task an application, which holds the lease, connects, compares, and takes events until something ends.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::feed::{Feed, said};
use super::{Limits, Link, LinkError, Session};
use crate::domain::id;
use crate::domain::time::Timestamp;
use crate::ingest::presence;
use crate::pbx::asterisk::ami::board::Board;
use crate::pbx::asterisk::ami::{Action, Block};
use crate::roster::{App, Roster};
use crate::store::{Durability, ami_links};

/// How often declarations are looked at, and who waits for the lease asks for it.
const LOOK: Duration = Duration::from_secs(1);
/// A lease is good for so long, seconds, and kept this often.
const LEASE_S: i64 = 8;
const KEEP: Duration = Duration::from_secs(2);
/// What has come when the server stops may take so long to be written.
const FAREWELL: Duration = Duration::from_secs(5);

pub struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    /// What has come is written, and the leases are given back.
    pub async fn stop(self) {
        let _ = self.stop.send(true);
        let _ = self.task.await;
    }
}

/// One application's task.
struct Keeper {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    /// The application as it is declared now.
    app: watch::Sender<Arc<App>>,
}

/// True when the same connection serves both.
fn is_same_line(one: &App, other: &App) -> bool {
    let line = |app: &App| app.pbx.ami().map(|ami| (ami.address.to_owned(), ami.user.to_owned(), ami.secret.to_owned()));
    one.spec.pbx == other.spec.pbx && line(one) == line(other)
}

/// Starts keeping a connection for each application that has AMI.
pub fn start(link: Link, roster: Arc<Roster>) -> Running {
    let (stop, mut stopped) = watch::channel(false);
    let task = tokio::spawn(async move {
        let mut keepers: HashMap<i64, Keeper> = HashMap::new();
        let mut ticks = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                _ = stopped.changed() => break,
            }
            let snapshot = roster.snapshot();
            let is_kept = |id: &i64, keeper: &Keeper| snapshot.apps.get(id).is_some_and(|app| is_same_line(app, &keeper.app.borrow()));
            let old: Vec<i64> = keepers.iter().filter(|(id, keeper)| !is_kept(id, keeper)).map(|(id, _)| *id).collect();
            for keeper in old.into_iter().filter_map(|id| keepers.remove(&id)).collect::<Vec<_>>() {
                end(keeper).await;
            }
            for (id, keeper) in &keepers {
                if let Some(app) = snapshot.apps.get(id) {
                    keeper.app.send_if_modified(|known| !Arc::ptr_eq(&std::mem::replace(known, app.clone()), app));
                }
            }
            for (id, app) in snapshot.apps.iter().filter(|(_, app)| app.pbx.ami().is_some()) {
                keepers.entry(*id).or_insert_with(|| {
                    let (stop, stopped) = watch::channel(false);
                    let (declared, follows) = watch::channel(app.clone());
                    let task = tokio::spawn(keep(link.clone(), follows, stopped));
                    Keeper { stop, task, app: declared }
                });
            }
        }
        for (_, keeper) in keepers {
            end(keeper).await;
        }
    });
    Running { stop, task }
}

async fn end(keeper: Keeper) {
    let _ = keeper.stop.send(true);
    let _ = keeper.task.await;
}

/// Pauses before connecting again: twice as long each time, up to the longest, and a part of it by chance, so that nodes do not come in step.
/// `chance` lies between 0 and 1.
pub fn pause(failures: u32, limits: &Limits, chance: f64) -> Duration {
    let whole = limits.first_pause.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(limits.longest_pause);
    whole.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
}

async fn keep(link: Link, app: watch::Receiver<Arc<App>>, mut stop: watch::Receiver<bool>) {
    let holder = id::fresh(link.clock.now());
    let stopping = stop.clone();
    tokio::select! {
        () = work(&link, &app, &holder, stopping) => {}
        // What has come is written first, unless that takes too long.
        () = async { let _ = stop.wait_for(|stop| *stop).await; tokio::time::sleep(FAREWELL).await } => {}
    }
    let app = app.borrow().clone();
    unset(&link, &app);
    down(&link, &app, &holder, "the server that had the connection was stopped").await;
    let (id, clock) = (app.id(), link.clock.clone());
    let released = link.db.write(Durability::Process, move |conn| ami_links::release(conn, id, &holder, clock.now()));
    said(&app, "the lease of AMI ends by its time", released.await);
}

async fn work(link: &Link, declared: &watch::Receiver<Arc<App>>, holder: &str, mut stop: watch::Receiver<bool>) {
    let mut failures = 0u32;
    while !*stop.borrow() {
        let app = declared.borrow().clone();
        if !hold(link, &app, holder).await {
            rest(LOOK, &mut stop).await;
            continue;
        }
        let why = tokio::select! {
            why = connected(link, declared, holder, &mut failures, stop.clone()) => why,
            () = lose(link, &app, holder) => {
                tracing::warn!(app = app.id(), "another server takes the events of AMI");
                unset(link, &app);
                continue;
            }
        };
        unset(link, &app);
        if *stop.borrow() {
            return;
        }
        failures = failures.saturating_add(1);
        tracing::warn!(app = app.id(), failures, %why, "no AMI connection; it is tried again");
        down(link, &app, holder, &why.to_string()).await;
        // Nobody else shall wait for a connection that this one may have in a moment.
        tokio::select! {
            () = rest(pause(failures, &link.limits, rand::random()), &mut stop) => {}
            () = lose(link, &app, holder) => {}
        }
    }
}

/// Waits, unless everything stops.
async fn rest(time: Duration, stop: &mut watch::Receiver<bool>) {
    let _ = tokio::time::timeout(time, stop.wait_for(|stop| *stop)).await;
}

/// Takes or keeps the lease.
async fn hold(link: &Link, app: &App, holder: &str) -> bool {
    let (id, clock, holder) = (app.id(), link.clock.clone(), holder.to_owned());
    let held = link.db.write(Durability::Process, move |conn| {
        let now = clock.now();
        ami_links::hold(conn, id, &holder, now, now.plus_s(LEASE_S))
    });
    said(app, "the lease of AMI could not be had", held.await).unwrap_or(false)
}

/// Keeps the lease; returns when somebody else has it.
async fn lose(link: &Link, app: &App, holder: &str) {
    let mut ticks = tokio::time::interval(KEEP);
    loop {
        ticks.tick().await;
        let (id, clock, who) = (app.id(), link.clock.clone(), holder.to_owned());
        let held = link.db.write(Durability::Process, move |conn| {
            let now = clock.now();
            ami_links::hold(conn, id, &who, now, now.plus_s(LEASE_S))
        });
        // A database that is away gives it to nobody.
        if matches!(held.await, Ok(false)) {
            return;
        }
    }
}

fn unset(link: &Link, app: &App) {
    link.standing().remove(&app.id());
}

/// Connects and takes events; returns why that ended.
async fn connected(
    link: &Link,
    declared: &watch::Receiver<Arc<App>>,
    holder: &str,
    failures: &mut u32,
    mut stop: watch::Receiver<bool>,
) -> LinkError {
    let app = &declared.borrow().clone();
    let line = match link.line(app) {
        Ok(line) => line,
        Err(error) => return error,
    };
    let (session, mut events) = match Session::open(&link.http, &line, link.limits).await {
        Ok(opened) => opened,
        Err(error) => return error,
    };
    let session = Arc::new(session);
    let mut feed =
        Feed { link: link.clone(), declared: declared.clone(), board: Board::default(), phones: HashMap::new(), is_timeless: false };
    let version = match catch_up(&session, &mut feed, &mut events).await {
        Ok(version) => version,
        Err(error) => return error,
    };
    *failures = 0;
    link.standing().insert(app.id(), session.clone());
    up(link, app, holder, version.as_deref()).await;
    let mut pings = tokio::time::interval(link.limits.ping);
    let mut compares = tokio::time::interval_at(tokio::time::Instant::now() + link.limits.compare, link.limits.compare);
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            came = events.recv_many(&mut batch, super::feed::BATCH) => {
                if came == 0 {
                    return LinkError::Unreachable(session.end().await);
                }
                feed.follow(&std::mem::take(&mut batch)).await;
            }
            _ = pings.tick() => {
                if let Err(error) = session.ping().await {
                    feed.drain(&mut events).await;
                    return error;
                }
            }
            _ = compares.tick() => {
                let compared = feed.compare(&session, &mut events, Vec::new()).await;
                if let Err(error) = compared.and(feed.ask_devices(&session, &mut events).await) {
                    tracing::warn!(app = app.id(), %error, "what is up at the PBX could not be compared; it is tried again");
                }
            }
            _ = stop.changed() => {
                link.standing().remove(&app.id());
                feed.drain(&mut events).await;
                return LinkError::Unreachable("the server stops".into());
            }
        }
    }
}

/// Makes what we believe follow what is up, and asks for events before, so that nothing lies between.
async fn catch_up(session: &Session, feed: &mut Feed, events: &mut mpsc::Receiver<Block>) -> Result<Option<String>, LinkError> {
    let (believed, open) = feed.beliefs().await;
    feed.board.believe(&believed);
    session.send(&Action::events()).await?;
    let version = session.send(&Action::core_settings()).await.ok().and_then(|r| r.response.get("AsteriskVersion").map(str::to_owned));
    feed.compare(session, events, open).await?;
    feed.ask_devices(session, events).await?;
    Ok(version)
}

async fn up(link: &Link, app: &App, holder: &str, version: Option<&str>) {
    let (id, clock, holder, version) = (app.id(), link.clock.clone(), holder.to_owned(), version.map(str::to_owned));
    tracing::info!(app = id, version, "AMI is connected");
    let told = link.db.write(Durability::Process, move |conn| ami_links::up(conn, id, &holder, clock.now(), version.as_deref()));
    said(app, "the state of AMI could not be kept", told.await);
}

/// The connection is gone: what was known of phones is known no more.
async fn down(link: &Link, app: &Arc<App>, holder: &str, why: &str) {
    let (its_app, clock, holder, why) = (app.clone(), link.clock.clone(), holder.to_owned(), why.to_owned());
    let told = link.db.write(Durability::Process, move |conn| {
        let now: Timestamp = clock.now();
        if ami_links::down(conn, its_app.id(), &holder, now, &why)? {
            presence::forget(conn, &its_app, None, now)?;
        }
        Ok(())
    });
    said(app, "the state of AMI could not be kept", told.await);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_are_never_all_the_same() {
        let limits = Limits { first_pause: Duration::from_secs(1), longest_pause: Duration::from_secs(30), ..Limits::default() };
        let whole: Vec<u64> = (1..8).map(|n| pause(n, &limits, 1.0).as_secs()).collect();
        assert_eq!(whole, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(pause(3, &limits, 0.0), Duration::from_secs(2), "half of it is by chance");
        assert_eq!(pause(u32::MAX, &limits, 1.0), Duration::from_secs(30));
    }
}
