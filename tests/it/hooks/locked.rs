//! The database is there and gives nothing: somebody else holds it.

use hookflash::domain::agent::OfferState;
use hookflash::domain::id;
use hookflash::store::{Conn, Url, agents, decisions, offers};
use hookflash::timers;
use rstest::rstest;

use crate::support::Backend::{Postgres, Sqlite};
use crate::support::hooks::*;
use crate::support::{Backend, House, SHOP, eventually, no_differences};

const CLIENT: &str = "+79995550101";

/// Somebody else's transaction.
pub(super) struct Held(Conn);

impl Held {
    /// Nobody else writes while this is held; on PostgreSQL nobody reads either.
    pub(super) fn everything(house: &House) -> Held {
        Held::with(house, "LOCK TABLE journal, calls, legs, live_legs, agent_states, offers, decisions IN ACCESS EXCLUSIVE MODE")
    }

    /// Agents can be read and not claimed.
    pub(super) fn claims(house: &House) -> Held {
        Held::with(house, "LOCK TABLE agent_states IN EXCLUSIVE MODE")
    }

    fn with(house: &House, lock: &str) -> Held {
        let mut conn = Conn::open(&Url::parse(house.hookflash.settings.database.url.as_str()).unwrap()).unwrap();
        match &conn {
            Conn::Sqlite(_) => conn.execute("BEGIN EXCLUSIVE").unwrap(),
            Conn::Postgres(_) => conn.execute(&format!("BEGIN; {lock}")).unwrap(),
        }
        Held(conn)
    }

    pub(super) fn release(mut self) {
        self.0.execute("ROLLBACK").unwrap();
    }
}

async fn house(backend: Backend, fallback: &'static str) -> House {
    House::live(backend, |s| s.routing.deadline_ms = 200, |app| app.routing.fallback = fallback.into()).await
}

#[rstest]
#[actix_web::test]
async fn a_locked_database_costs_answers_nothing_and_events_are_refused(#[values(Sqlite, Postgres)] backend: Backend) {
    let house = house(backend, "103").await;
    let served = house.serve();
    // Connections and statements of the first request are made before.
    assert_eq!(served.get(EVENT, &leg("dial-in", "c0", "102", 0, "")).await.status, 200);
    assert_eq!(served.get(ASK, &asked("c9")).await.status, 200);
    let over = "EventType=hangup&EventTime=1767000001000000&CallID=c9&Bridged=no&CallFlow=IN&CalledExtension=0047*099";
    assert_eq!(served.get(EVENT, over).await.status, 200);
    assert_eq!(house.state("ann").await.claim, None);

    let held = Held::everything(&house);
    let asked_for = futures_util::future::join_all((0..12).map(|n| served.get(ASK, asked(&format!("c{}", n % 8 + 1)).leak())));
    let told = futures_util::future::join_all((0..6).map(|n| served.post(EVENT, leg("dial-in", &format!("e{n}"), "102", n, ""))));
    let (answers, refusals) = futures_util::future::join(asked_for, told).await;
    held.release();

    let mut late = Vec::new();
    for answer in answers {
        assert_eq!(answer.status, 200);
        assert_eq!(named(std::str::from_utf8(&answer.body).unwrap()).unwrap().1, "0047*103", "the safe reply");
        late.push(answer.header("x-hookflash-decision").unwrap().to_owned());
    }
    for refusal in refusals {
        assert_eq!((refusal.status, refusal.header("retry-after")), (503, Some("1")), "{refusal:?}");
    }
    // Everything works again, and nothing is there by halves.
    for n in 0..6 {
        assert_eq!(served.post(EVENT, leg("dial-in", &format!("e{n}"), "102", n, "")).await.status, 200);
    }
    eventually(async || {
        let late = late.clone();
        let kept = house.read(move |conn| late.iter().map(|id| decisions::get(conn, SHOP, id)).collect::<Result<Vec<_>, _>>()).await;
        kept.iter().all(|d| d.as_ref().is_some_and(|d| d.reason.contains("deadline") == d.late))
    })
    .await;
    assert_eq!(house.journal().await.len(), 8);
    assert_eq!(house.state("bob").await.ringing, 7);
    // Answers that came too late have bound nobody.
    let bound = async |agent: &str| house.state(agent).await.claim.is_some();
    eventually(async || !bound("ann").await && !bound("bob").await && !bound("eve").await).await;
    let next = served.get(ASK, &asked("after")).await;
    assert_eq!(named(std::str::from_utf8(&next.body).unwrap()).unwrap().1, "0047*101");
    no_differences(&house).await;
    served.stop().await;
}

#[rstest]
#[actix_web::test]
async fn the_claim_of_a_late_answer_is_taken_back(#[values(Sqlite, Postgres)] backend: Backend) {
    let house = house(backend, "").await;
    let client = house.client().await.without_token();
    // Connections and statements are made before.
    assert_eq!(client.hook_get(ASK, &asked("warm").replace("5550101", "5550199")).await.named().unwrap().1, "0047*101");
    assert_eq!(client.tell(&leg("dial-in", "warm", "103", 0, "")).await.status, 200);

    let held = Held::claims(&house);
    let late = client.hook_get(ASK, &asked("late")).await;
    assert_eq!(late.named(), None);
    held.release();
    let call = id::call_id(SHOP, "late");
    eventually(async || {
        let call = call.clone();
        let made = house.read(move |conn| offers::of_calls(conn, SHOP, &[call])).await;
        made.iter().any(|o| o.state() == OfferState::Rescinded)
    })
    .await;
    assert_eq!(house.state("ann").await.claim, None);
    assert_eq!(client.hook_get(ASK, &asked("next")).await.named().unwrap().1, "0047*101", "she is free for the next call");
    house.hookflash.db.flush().await;
    let id = late.decision();
    let decision = house.read(move |conn| decisions::get(conn, SHOP, &id)).await.expect("recorded");
    assert!(decision.late && decision.agents.is_empty(), "{decision:?}");
}

#[rstest]
#[actix_web::test]
async fn decisions_that_could_not_be_written_are_written_later(#[values(Sqlite, Postgres)] backend: Backend) {
    let house = house(backend, "").await;
    let client = house.client().await.without_token();
    let held = Held::with(&house, "LOCK TABLE decisions IN ACCESS EXCLUSIVE MODE");
    let mut made = Vec::new();
    for _ in 0..3 {
        // A caller whom nobody can name needs no database.
        made.push(client.hook_get(ASK, "CallID=c1&CallerIDNum=anonymous").await.decision());
    }
    // Writing them fails for as long as the other one holds on.
    house.hookflash.db.flush().await;
    held.release();
    // Nothing else is written meanwhile; the next sweep sees to it, unless that writing is under way already.
    timers::sweep(&house.hookflash).await;
    eventually(async || {
        let made = made.clone();
        let kept = house.read(move |conn| made.iter().map(|id| decisions::get(conn, SHOP, id)).collect::<Result<Vec<_>, _>>()).await;
        kept.iter().all(Option::is_some)
    })
    .await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_call_binds_one_agent_of_a_group_however_often_it_is_asked_at_once(#[values(Sqlite, Postgres)] backend: Backend) {
    let house = std::sync::Arc::new(House::open_with(backend, |s| s.database.pool = 10, |app| app.contact.clear()).await);
    for round in 0..10 {
        let call = format!("one-{round}");
        let asking: Vec<_> = (0..8)
            .map(|_| {
                let (house, call) = (house.clone(), call.clone());
                tokio::spawn(async move { house.lookup(Some(&call), CLIENT).await })
            })
            .collect();
        let mut answers = std::collections::BTreeSet::new();
        for answer in asking {
            let answer = answer.await.unwrap();
            answers.insert((answer.extension, answer.decision_id));
        }
        assert_eq!(answers.len(), 1, "{answers:?}");
        let claims = house.read(|conn| agents::all(conn, SHOP)).await;
        let now = house.clock.now();
        assert_eq!(claims.iter().filter(|a| a.live_claim(now).is_some()).count(), 1);
        house.pass_s(60);
    }
}
