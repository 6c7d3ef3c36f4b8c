//! What happens to the machine.

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
}
