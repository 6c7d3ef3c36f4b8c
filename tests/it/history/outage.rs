//! Traffic of the simulated PBX, some of whose events never reach the server.

use hookflash::simulator::telphin::Conditions;
use hookflash::store::live;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config as Cases, TestRunner};
use rstest::rstest;

use super::{Pbx, logged, reconcile, reconciled, same_log};
use crate::support::Backend::{Postgres, Sqlite};
use crate::support::{Backend, SHOP, no_differences};

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_loss_is_repaired_once_and_replays_exactly(#[values(Sqlite, Postgres)] backend: Backend) {
    let mut runner = TestRunner::new(Cases { cases: 6, ..Cases::default() });
    let losses = (any::<u64>(), 0u8..=100, 5usize..1_000);
    for _ in 0..6 {
        let (seed, share, page) = losses.new_tree(&mut runner).unwrap().current();
        let page = [3, 7, page][seed as usize % 3];
        let pbx = Pbx::open(Conditions { history_page: page, ..Conditions::instant() }, seed).await;
        let forms = pbx.calls(25, seed).await;
        let (whole, holed) = (pbx.house(backend).await, pbx.house(backend).await);
        for (n, form) in forms.iter().enumerate() {
            whole.clock.advance(1_000);
            holed.clock.advance(1_000);
            whole.event(form).await;
            // A multiplicative hash: which events are lost looks like nothing.
            if ((n as u64 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % 100 >= u64::from(share) {
                holed.event(form).await;
            }
        }
        let report = reconciled(&holed).await;
        assert_eq!((report.records, report.unreadable), (25, 0));
        same_log(&logged(&holed).await, &logged(&whole).await);
        assert_eq!(holed.read(|conn| live::all(conn, SHOP)).await, vec![], "everybody is free");
        no_differences(&holed).await;

        let (before, journal) = (logged(&holed).await, holed.journal().await.len());
        let again = reconciled(&holed).await;
        assert!(again.is_quiet(), "{again:?}");
        assert_eq!((logged(&holed).await, holed.journal().await.len()), (before, journal));

        // Where nothing was lost the history leaves no trace.
        let report = reconciled(&whole).await;
        assert!(report.is_quiet(), "{report:?}");
        assert_eq!(whole.journal().await.len(), forms.len());
        assert!(logged(&whole).await.iter().all(|r| r.source == "events"));
        pbx.pbx.stop().await;
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_may_come_while_the_history_is_read(#[values(Sqlite, Postgres)] backend: Backend, #[values(1, 2)] seed: u64) {
    let conditions = Conditions { history_page: 4, list_ms: 5, ..Conditions::instant() };
    let pbx = Pbx::open(conditions, seed).await;
    let forms = pbx.calls(25, seed).await;
    let (whole, late) = (pbx.house(backend).await, pbx.house(backend).await);
    for form in &forms {
        whole.event(form).await;
    }
    let events = async {
        // Every third is lost, the others come last first.
        for (_, form) in forms.iter().enumerate().rev().filter(|(n, _)| n % 3 != 0) {
            late.event(form).await;
        }
    };
    let (_, (report, stopped)) = tokio::join!(events, reconcile(&late));
    assert!(stopped.is_none() && report.records == 25, "{stopped:?}");
    same_log(&logged(&late).await, &logged(&whole).await);
    no_differences(&late).await;
    assert!(reconciled(&late).await.is_quiet());
    assert_eq!(late.read(|conn| live::all(conn, SHOP)).await, vec![]);
    pbx.pbx.stop().await;
}
