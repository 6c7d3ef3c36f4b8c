//! Where `tracing` hands us its events.

use std::cell::Cell;
use std::sync::Arc;

use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::config::LogFormat;
use crate::domain::time::Clock;

use super::line::Buffers;
use super::writer::Queue;

thread_local! {
    /// Taken while a line is made and put back after: an event inside an event (a value whose Display logs) finds empty ones and works.
    static BUFFERS: Cell<Buffers> = Cell::default();
}

/// Turns events into lines of the queue.
pub struct Lines {
    queue: Arc<Queue>,
    format: LogFormat,
    clock: Clock,
}

impl Lines {
    pub fn new(queue: Arc<Queue>, format: LogFormat, clock: Clock) -> Self {
        Self { queue, format, clock }
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        // Fails while the thread's own data is torn down: fresh buffers serve as well.
        let mut buffers = BUFFERS.try_with(Cell::take).unwrap_or_default();
        let app = buffers.write(self.format, self.clock.now(), event);
        self.queue.push(app, buffers.line.as_bytes());
        let _ = BUFFERS.try_with(|cell| cell.set(buffers));
    }
}
