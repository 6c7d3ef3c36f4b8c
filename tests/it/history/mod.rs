//! Outages: whatever events are lost, the PBX's history restores the call log.

mod facts;
mod outage;
mod runs;

use hookflash::domain::time::{Clock, Timestamp};
use hookflash::reconcile::{Asked, Report, Stopped};
use hookflash::simulator::telphin::{Behaviour, Conditions, Config, Incoming, Outgoing, Simulator};
use hookflash::store::calls::LegRow;
use hookflash::store::log;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::support::{Backend, House, SHOP, START};

const DID: &str = "74955550100";
/// Where nobody listens: the events are made and lost.
const NOWHERE: &str = "http://127.0.0.1:1/cid/807/event/TLP55522";

/// A PBX with a clock that the test moves.
struct Pbx {
    pbx: Simulator,
    clock: Clock,
}

impl Pbx {
    async fn open(conditions: Conditions, seed: u64) -> Pbx {
        let clock = Clock::manual(START);
        let pbx = Simulator::start(Config { conditions, seed: Some(seed), clock: clock.clone(), ..Config::default() }).await.unwrap();
        pbx.subscribe_all(NOWHERE);
        Pbx { pbx, clock }
    }

    /// A server that may ask this PBX.
    async fn house(&self, backend: Backend) -> House {
        let house = House::open_with(
            backend,
            |_| {},
            |app| {
                let telphin = app.telphin.as_mut().unwrap();
                telphin["api_url"] = self.pbx.base_url().into();
                (telphin["client_id"], telphin["client_secret"]) = ("app".into(), "secret".into());
            },
        )
        .await;
        house.pass_s(6 * 3_600);
        house
    }

    /// Calls of every kind, one after another, over some hours. Returns the events as they would have been sent.
    async fn calls(&self, n: usize, seed: u64) -> Vec<String> {
        let mut rng = StdRng::seed_from_u64(seed);
        for _ in 0..n {
            let number = format!("+79995550{:03}", 100 + rng.random_range(0..20));
            let talks = Behaviour::answers(rng.random_range(1_000..9_000), rng.random_range(5_000..60_000));
            let call = match rng.random_range(0..10) {
                0..3 => self.pbx.incoming_call(Incoming::new(&number, DID).others(talks)),
                3 => self.pbx.incoming_call(Incoming::new(&number, DID).others(Behaviour::NoAnswer).patience_ms(40_000)),
                4 => self.pbx.incoming_call(Incoming::new(&number, DID).patience_ms(1_500)),
                5 => self.pbx.incoming_call(Incoming::new(&number, DID).others(talks).phone("101", Behaviour::Busy)),
                6 => {
                    let passes = Behaviour::Answers { after_ms: 2_000, talk_ms: 9_000, transfer_to: Some("103".into()) };
                    self.pbx.incoming_call(Incoming::new(&number, DID).others(talks).phone("101", passes))
                }
                7 => self.pbx.outgoing_call(Outgoing { phone: "102".into(), to: "103".into(), called: Some(talks) }),
                _ => {
                    let called = [talks, Behaviour::Busy, Behaviour::NoAnswer, Behaviour::Unreachable];
                    let called = called.into_iter().nth(rng.random_range(0..4));
                    self.pbx.outgoing_call(Outgoing { phone: format!("10{}", rng.random_range(1..4)), to: number, called })
                }
            };
            call.unwrap().finished().await;
            self.clock.advance(rng.random_range(60_000_000..300_000_000));
        }
        self.pbx.deliveries().into_iter().map(|d| d.form).collect()
    }
}

/// Reads all of the history.
async fn reconcile(house: &House) -> (Report, Option<Stopped>) {
    let asked = Asked { from: START.plus_s(-3_600), to: house.clock.now(), dry_run: false };
    house.hookflash.reconciler.run(&house.app(), asked, &mut ()).await
}

/// A run that came to its end.
async fn reconciled(house: &House) -> Report {
    let (report, stopped) = reconcile(house).await;
    assert!(stopped.is_none(), "{stopped:?}");
    report
}

/// The log, in the order of time.
async fn logged(house: &House) -> Vec<LegRow> {
    // What another process wrote has the time of the day.
    let now = Timestamp::MAX;
    let mut rows = house.read(move |conn| log::legs(conn, SHOP, &log::Filter::default(), None, now, 1_000)).await;
    rows.sort_by_key(|r| (r.call_id.clone(), r.kind.clone(), r.extension.clone(), r.started_at / 2_000_000));
    rows
}

/// The rows are the same but for fractions of a second, the name of a leg, and where we know them from.
#[track_caller]
fn same_log(got: &[LegRow], want: &[LegRow]) {
    assert_eq!(got.len(), want.len(), "{got:#?} {want:#?}");
    let near = |a: i64, b: i64| (a - b).abs() <= 1_000_000;
    let near_time = |a: Option<i64>, b: Option<i64>| a.is_some() == b.is_some() && a.zip(b).is_none_or(|(a, b)| near(a, b));
    for (g, w) in got.iter().zip(want) {
        let times = near(g.started_at, w.started_at) && near_time(g.answered_at, w.answered_at) && near_time(g.ended_at, w.ended_at);
        assert!(times && near(g.talk_us, w.talk_us) && near(g.duration_us, w.duration_us), "{g:#?} {w:#?}");
        let plain = LegRow {
            leg: w.leg.clone(),
            sub_call_id: w.sub_call_id.clone(),
            source: w.source.clone(),
            started_at: w.started_at,
            answered_at: w.answered_at,
            ended_at: w.ended_at,
            talk_us: w.talk_us,
            duration_us: w.duration_us,
            logged_at: w.logged_at,
            ..g.clone()
        };
        assert_eq!(&plain, w);
    }
}
