//! What is older than it is kept goes, whoever it is of.

use hookflash::declare::edit;
use hookflash::domain::agent::State;
use hookflash::domain::agent_time::Mark;
use hookflash::domain::time::Timestamp;
use hookflash::store::{Conn, Durability, times};
use hookflash::timers::retention;
use rstest::rstest;

use crate::support::Backend::{self, Postgres, Sqlite};
use crate::support::{House, SHOP, START};

async fn marks(house: &House, agent: &'static str) -> Vec<State> {
    let marks = house.read(move |conn| times::between(conn, SHOP, agent, Timestamp(0), Timestamp(i64::MAX))).await;
    marks.into_iter().map(|mark| mark.state).collect()
}

#[rstest]
#[actix_web::test]
async fn marks_of_agents_who_are_gone_go_too(#[values(Sqlite, Postgres)] backend: Backend) {
    let house = House::open_with(backend, |settings| settings.retention.calls_days = 1, |_| {}).await;
    let leave = |conn: &mut Conn| {
        for agent in ["ann", "eve"] {
            for (second, state) in [(10, State::Ringing), (20, State::OnCall), (30, State::Available)] {
                times::put(conn, SHOP, agent, &Mark::new(START.plus_s(second), state, times::PHONE))?;
            }
        }
        edit::remove_agent(conn, SHOP, "eve", true, START.plus_s(40)).expect("removed");
        Ok(())
    };
    house.hookflash.db.write(Durability::Full, leave).await.expect("written");
    house.hookflash.roster.refresh().await.expect("read");
    assert!(marks(&house, "ann").await.len() > 1 && marks(&house, "eve").await.len() > 1);
    house.pass_s(3 * 86_400);
    for _ in 0..2 {
        retention::sweep(&house.hookflash).await.expect("swept");
    }
    assert_eq!(marks(&house, "ann").await, [State::Available], "the last one says what she is");
    assert_eq!(marks(&house, "eve").await, []);
}
