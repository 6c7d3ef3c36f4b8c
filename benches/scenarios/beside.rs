//! How long a lookup takes while events arrive: both at a steady pace, latency counted from when the lookup should have been sent.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::anyhow;

use super::{CONTACTS, Size};
use crate::child::Child;
use crate::closed::Script;
use crate::paced::{self, Latencies, Pace};
use crate::report::{Better, Row};
use crate::stage::{CLAIMING, NAMING};
use crate::telphin::{Calls, Claims, Lookups, Part};

const PER_SECOND: f64 = 2_000.0;
const CONNECTIONS: u64 = 32;
/// How long a claimed caller stays before he gives up.
const PATIENCE: Duration = Duration::from_millis(200);

pub fn latency(server: &Child, size: Size) -> anyhow::Result<Vec<Row>> {
    let lookups = (0..CONNECTIONS).map(|k| Lookups::new(NAMING, CONTACTS, 1_000 + k)).collect();
    let naming = together(server, lookups, Calls::share(CLAIMING, 1_000, CONNECTIONS, u64::MAX), Duration::ZERO, size)?;
    let claims = |part| Claims::share(CLAIMING, CONTACTS, 2_000, CONNECTIONS, part);
    let claiming = together(server, claims(Part::Claim), claims(Part::Release), PATIENCE, size)?;
    Ok(vec![
        row("latency", "p99 of a lookup that names, 2,000/s beside 2,000 events/s", &naming),
        row("latency", "p99 of a lookup that claims, 2,000/s beside 2,000 events/s", &claiming),
    ])
}

fn row(name: &'static str, what: &'static str, latencies: &Latencies) -> Row {
    let (half, most) = (latencies.quantile_ms(0.5), latencies.quantile_ms(1.0));
    Row {
        name,
        what,
        unit: "ms",
        better: Better::Lower,
        measured: latencies.quantile_ms(0.99),
        must: 5.0,
        aim: 2.0,
        note: format!("p50 {half:.2} ms, p99.9 {:.2} ms, most {most:.2} ms", latencies.quantile_ms(0.999)),
    }
}

/// Both loads at once; events begin `after` the lookups. Returns the latencies of the lookups.
fn together<A, B>(server: &Child, lookups: Vec<A>, events: Vec<B>, after: Duration, size: Size) -> anyhow::Result<Latencies>
where
    A: Script + Send,
    B: Script + Send,
{
    let start = Instant::now() + Duration::from_millis(100);
    let lasts = size.turn * 2;
    let pace = Pace { start, per_second: PER_SECOND, lasts };
    thread::scope(|scope| {
        let beside = scope.spawn(move || paced::run(server.address, events, Pace { start: start + after, ..pace }));
        let latencies = paced::run(server.address, lookups, pace);
        beside.join().map_err(|_| anyhow!("the events' thread panicked"))??;
        latencies
    })
}
