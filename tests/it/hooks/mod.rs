//! The hooks, attacked: who may come in, what may be said to them, how big, how slow, and with the database gone.

mod admission;
mod anything;
mod budget;
mod limits;
mod locked;
mod quirks;

use hookflash::store::journal::Entry;

/// The entries that were refused, with the reason of each.
fn refused(journal: &[Entry]) -> Vec<&str> {
    journal.iter().filter_map(|e| e.error.as_deref()).collect()
}
