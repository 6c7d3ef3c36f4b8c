//! The bounded queue of lines and the one thread that writes them.
//!
//! A logging thread appends its line under a short lock, and drops it when the queue is full or closed. The writer swaps the full
//! buffer for an empty one and writes a batch at once: to the main log, then to the applications' files. After a batch it rests for
//! [`LINGER`] before it asks for more, so that under load a line costs its caller no wake-up. A line that could not be written is
//! counted as one that was dropped.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::Counter;

use crate::domain::time::Clock;

use super::files::AppFiles;

const LINGER: Duration = Duration::from_millis(5);

/// A buffer that grew beyond this in a burst is given back.
const KEPT_BYTES: usize = 1 << 20;

/// Lines, and for each its application (0: none) and length.
#[derive(Default)]
pub struct Batch {
    pub bytes: Vec<u8>,
    pub heads: Vec<(u64, usize)>,
}

impl Batch {
    fn clear(&mut self) {
        self.bytes.clear();
        self.heads.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.heads.shrink_to(KEPT_BYTES / 256);
    }
}

#[derive(Default)]
struct State {
    waiting: Batch,
    /// The writer sleeps until it is woken.
    asleep: bool,
    closed: bool,
    /// Nothing waits and the writer is gone.
    finished: bool,
}

/// What logging threads and the writer share.
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    finished: Condvar,
    capacity: usize,
    dropped: Counter,
}

/// Starts the writer. `capacity` is in bytes of lines.
pub fn start(
    main: Box<dyn Write + Send>,
    files: Option<AppFiles>,
    capacity: usize,
    dropped: Counter,
    clock: Clock,
) -> io::Result<Arc<Queue>> {
    let queue = Arc::new(Queue { state: Mutex::default(), changed: Condvar::new(), finished: Condvar::new(), capacity, dropped });
    let shared = queue.clone();
    std::thread::Builder::new().name("log".into()).spawn(move || shared.write_all(main, files, &clock))?;
    Ok(queue)
}

impl Queue {
    /// Appends a line, or drops and counts it. Never waits for the writer.
    pub fn push(&self, app: u64, line: &[u8]) {
        let mut state = self.lock();
        if state.closed || state.waiting.bytes.len() + line.len() > self.capacity {
            drop(state);
            return self.dropped.increment(1);
        }
        state.waiting.bytes.extend_from_slice(line);
        state.waiting.heads.push((app, line.len()));
        let wake = mem::take(&mut state.asleep);
        drop(state);
        if wake {
            self.changed.notify_all();
        }
    }

    /// Takes no further line and waits until those that were taken are written, but not longer than `limit`.
    pub fn close(&self, limit: Duration) {
        let mut state = self.lock();
        state.closed = true;
        self.changed.notify_all();
        let waited = self.finished.wait_timeout_while(state, limit, |state| !state.finished);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn write_all(&self, mut main: Box<dyn Write + Send>, mut files: Option<AppFiles>, clock: &Clock) {
        let mut batch = Batch::default();
        while self.next(&mut batch) {
            if main.write_all(&batch.bytes).and_then(|()| main.flush()).is_err() {
                self.dropped.increment(batch.heads.len() as u64);
            }
            if let Some(files) = &mut files {
                self.dropped.increment(files.write(clock.now(), &batch));
            }
            batch.clear();
            self.rest();
        }
    }

    /// Waits for lines and takes them all; false at the end.
    fn next(&self, batch: &mut Batch) -> bool {
        let mut state = self.lock();
        while state.waiting.heads.is_empty() {
            if state.closed {
                state.finished = true;
                self.finished.notify_all();
                return false;
            }
            state.asleep = true;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.asleep = false;
        mem::swap(&mut state.waiting, batch);
        true
    }

    fn rest(&self) {
        let waited = self.changed.wait_timeout_while(self.lock(), LINGER, |state| !state.closed);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
