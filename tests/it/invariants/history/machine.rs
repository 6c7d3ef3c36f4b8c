//! What happens to the machine, and to what is declared.

use super::*;

impl History {
    pub(super) async fn restart(&mut self) {
        self.house.hookflash.db.flush().await;
        self.open_anew(self.house.hookflash.settings.clone(), "a restart").await;
    }

    /// Killed between two steps: what was committed is in the files, what waited to be written is not. The program goes on over a copy of the
    /// files of this instant; on PostgreSQL over the same database, behind the back of the one before.
    pub(super) async fn kill(&mut self) {
        let mut settings = self.house.hookflash.settings.clone();
        if let Some(path) = settings.database.url.as_str().strip_prefix("sqlite://") {
            let place = tempfile::tempdir().expect("a folder");
            let copy = place.path().join("hookflash.db");
            // Nothing is being written, so that the file and its log belong together.
            let mut held = Conn::open(self.house.hookflash.db.url()).expect("a connection");
            held.execute("BEGIN IMMEDIATE").expect("the only writer");
            for ending in ["", "-wal"] {
                std::fs::copy(format!("{path}{ending}"), format!("{}{ending}", copy.display())).expect("a copy");
            }
            held.execute("ROLLBACK").expect("let go");
            settings.database.url = DatabaseUrl::new(format!("sqlite://{}", copy.display()));
            self.copies.push(place);
        }
        self.open_anew(settings, "a kill").await;
        self.last_event = None;
    }

    async fn open_anew(&mut self, settings: Settings, what: &str) {
        self.house.hookflash = Hookflash::open(settings, self.house.clock.clone()).await.expect("opened anew");
        self.client = self.house.client().await;
        let seen = self.look().await;
        let before = std::mem::replace(&mut self.seen, seen);
        if before.states != self.seen.states || before.pending != self.seen.pending {
            self.fault(3, format!("{what} changed something"));
        }
        self.met(3, 1);
    }

    /// An agent is declared no more, whatever he does just then; at most a few.
    pub(super) async fn remove(&mut self, n: usize) {
        if self.agents.len() < 10 || self.removed >= 5 {
            return;
        }
        let engaged: Vec<String> =
            self.agents.iter().filter(|a| self.seen.states[*a].engaged(self.now()) && !self.own.contains_key(*a)).cloned().collect();
        if engaged.is_empty() {
            return;
        }
        let gone = engaged[n % engaged.len()].clone();
        let (now, id) = (self.now(), gone.clone());
        let write = move |conn: &mut hookflash::store::Conn| {
            edit::remove_agent(conn, APP, &id, true, now).map_err(|e| StoreError::Refused(format!("{e:?}")))
        };
        self.house.hookflash.db.write(Durability::Process, write).await.expect("removed");
        self.house.hookflash.roster.refresh().await.expect("read again");
        self.agents.retain(|a| *a != gone);
        self.removed += 1;
        self.met(22, 1);
        self.watch("a removal").await;
    }

    /// A group is declared no more, whoever is rung for it; at most two.
    pub(super) async fn dissolve(&mut self, n: usize) {
        let groups = &self.house.hookflash.roster.app(APP).expect("the centre").spec.group;
        if self.dissolved >= 2 || groups.is_empty() {
            return;
        }
        let (gone, now) = (groups[n % groups.len()].clone(), self.now());
        let bound = self.seen.pending.iter().filter(|o| o.until > now.0 && gone.agents.contains(&o.agent)).count();
        let write = move |conn: &mut hookflash::store::Conn| {
            edit::remove::<Group>(conn, APP, &gone.id, Vec::new(), true, now).map_err(|e| StoreError::Refused(format!("{e:?}")))
        };
        self.house.hookflash.db.write(Durability::Process, write).await.expect("removed");
        self.house.hookflash.roster.refresh().await.expect("read again");
        self.dissolved += 1;
        self.met(22, bound);
        self.watch("the end of a group").await;
    }
}
