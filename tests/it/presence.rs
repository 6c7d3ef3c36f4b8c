//! Queue agents' logins at the PBX: shown, obeyed where the application says so, and kept in step with agents' statuses where it wants it.

use hookflash::domain::agent::{ManualStatus, QueueLogin, Reachability};
use hookflash::domain::spec::Application;
use hookflash::simulator::telphin::{Conditions, Config, Simulator};
use hookflash::timers;
use rstest::rstest;
use serde_json::json;

use crate::support::Backend::{Postgres, Sqlite};
use crate::support::hooks::*;
use crate::support::{Backend, House, eventually, no_differences};

const APP: &str = "/api/v1/apps/807";

fn login(status: &str, extension: &str) -> String {
    format!("agent_id=9&agent_status={status}&agent_type=local&extension_name=0047%2A{extension}%40sip.example&event_source=phone")
}

#[rstest]
#[tokio::test]
async fn a_login_is_shown_and_gates_nothing_unless_told(#[values(Sqlite, Postgres)] backend: Backend) {
    let house = House::open(backend).await;
    let client = house.client().await;
    let agent = async |id: &str| client.get(&format!("{APP}/agents/{id}")).await.ok();
    assert_eq!(
        (agent("ann").await["reachability"].clone(), agent("ann").await["reachability_since"].clone()),
        (json!("unknown"), json!(null))
    );
    assert_eq!(client.hook_post(AGENT, FORM, login("logged_out", "101")).await.status, 200);
    let ann = agent("ann").await;
    assert_eq!((&ann["reachability"], &ann["state"], &ann["manual_status"]), (&json!("offline"), &json!("available"), &json!("AVAILABLE")));
    let since = ann["reachability_since"].clone();
    house.pass_s(5);
    // The same again is no news; neither is what is not understood, or about nobody.
    for form in [login("logged_out", "101"), login("dancing", "101"), login("available", "777"), "agent_id=1&agent_status=available".into()]
    {
        assert_eq!(client.hook_post(AGENT, FORM, form).await.status, 200);
    }
    assert_eq!(agent("ann").await["reachability_since"], since);
    assert_eq!(agent("bob").await["reachability"], "unknown");
    assert_eq!(house.lookup(Some("c1"), "+79995550101").await.extension.as_deref(), Some("101"));
    assert_eq!(client.hook_get(AGENT, &login("available", "101")).await.status, 200);
    assert_eq!(agent("ann").await["reachability"], "online");
    assert_ne!(agent("ann").await["reachability_since"], since);
    no_differences(&house).await;
}

#[rstest]
#[tokio::test]
async fn where_the_application_says_so_the_lookup_passes_over_who_is_logged_out(#[values(Sqlite, Postgres)] backend: Backend) {
    let house = House::open_with(
        backend,
        |_| {},
        |app| {
            app.routing.only_reachable = true;
            app.agent[2].phone_number = Some("+79995550177".into());
        },
    )
    .await;
    let client = house.client().await;
    client.hook_post(AGENT, FORM, login("logged_out", "101")).await;
    let answer = house.lookup(Some("c1"), "+79995550101").await;
    assert_eq!(answer.extension.as_deref(), Some("102"), "the deputy, of whom nothing is known");
    let candidates = answer.decision.unwrap().candidates;
    assert_eq!((candidates[0].agent.as_str(), candidates[0].reason.as_str()), ("ann", "is logged out of the PBX's queues"));
    client.hook_post(AGENT, FORM, login("available", "101")).await;
    assert_eq!(house.lookup(Some("c2"), "+79995550101").await.extension.as_deref(), Some("101"));
    // A remote agent is known by his number.
    client.hook_post(AGENT, FORM, "agent_id=3&agent_status=logged_out&agent_type=remote&agent_number=%2B79995550177").await;
    assert_eq!(house.state("eve").await.reachability().0, Reachability::Offline);
}

/// A PBX with queue agents on 101 to 103 that tells a served house of them.
struct Street {
    house: House,
    served: Served,
    pbx: Simulator,
}

impl Street {
    async fn open(backend: Backend, edit: impl FnOnce(&mut Application)) -> Street {
        let pbx = Simulator::start(Config { conditions: Conditions::instant(), seed: Some(7), ..Config::default() }).await.unwrap();
        let settings = |app: &mut Application| {
            let telphin = app.telphin.as_mut().unwrap();
            telphin["api_url"] = pbx.base_url().into();
            (telphin["client_id"], telphin["client_secret"]) = ("app".into(), "secret".into());
            edit(app);
        };
        let house = House::open_with(backend, |_| {}, settings).await;
        let served = house.serve();
        pbx.subscribe_agents(&format!("{}{AGENT}", served.running.url()));
        Street { house, served, pbx }
    }

    /// How often the PBX was told a status.
    fn told(&self) -> usize {
        self.pbx.requests().iter().filter(|r| r.method == "PUT" && r.path.contains("/agent/local/")).count()
    }

    async fn status(&self, agent: &str, status: ManualStatus) {
        let client = self.house.client().await;
        client.put(&format!("{APP}/agents/{agent}/status"), json!({"manual_status": status})).await.ok();
    }

    /// Sweeps until it holds, and some more to see that it stays so.
    async fn comes_to(&self, holds: impl AsyncFn() -> bool) {
        eventually(async || {
            timers::sweep(&self.house.hookflash).await;
            holds().await
        })
        .await;
        for _ in 0..3 {
            self.house.hookflash.presence.sweep(&self.house.hookflash.roster).await;
        }
        assert!(holds().await);
    }

    async fn close(self) {
        self.pbx.stop().await;
        self.served.stop().await;
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_and_a_login_follow_each_other_without_a_loop(#[values(Sqlite, Postgres)] backend: Backend) {
    let street = Street::open(backend, |app| app.telphin.as_mut().unwrap()["mirror_status"] = true.into()).await;
    let known = async |agent: &str, login| street.house.state(agent).await.queue_login.map(|(login, _)| login) == Some(login);
    // What the PBX holds is asked for once; nothing differs, so nothing is told.
    street.comes_to(async || known("ann", QueueLogin::Available).await && known("eve", QueueLogin::Available).await).await;
    assert_eq!(street.told(), 0);

    street.status("ann", ManualStatus::NotAvailable).await;
    street.comes_to(async || street.pbx.available_agents() == ["102", "103"] && known("ann", QueueLogin::LoggedOut).await).await;
    assert_eq!(street.told(), 1);
    let ann = street.house.state("ann").await;
    assert_eq!((ann.manual_status, ann.reachability().0), (ManualStatus::NotAvailable, Reachability::Offline), "a break stays a break");
    street.status("ann", ManualStatus::Offline).await;
    street.status("ann", ManualStatus::Available).await;
    street.comes_to(async || street.pbx.available_agents() == ["101", "102", "103"] && known("ann", QueueLogin::Available).await).await;
    assert_eq!(street.told(), 2, "to the queues a break and offline are the same");

    // The other way: at his phone. Long after we told anything, it is no echo.
    street.house.pass_s(60);
    assert!(street.pbx.agent_login("101", false).await);
    assert_eq!(street.house.state("ann").await.manual_status, ManualStatus::Offline);
    assert!(street.pbx.agent_login("101", true).await);
    assert_eq!(street.house.state("ann").await.manual_status, ManualStatus::Available);
    street.comes_to(async || street.pbx.available_agents().len() == 3).await;
    assert_eq!(street.told(), 2, "what the PBX says is not told to it");
    street.close().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_was_not_told_of_is_asked_for(#[values(Sqlite, Postgres)] backend: Backend) {
    let street = Street::open(backend, |app| app.routing.only_reachable = true).await;
    // Nobody hears of it.
    street.pbx.unsubscribe_agents();
    assert!(street.pbx.agent_login("102", false).await);
    street.house.pass_s(3_600);
    street.comes_to(async || street.house.state("bob").await.reachability().0 == Reachability::Offline).await;
    assert_eq!(street.house.state("bob").await.manual_status, ManualStatus::Available);
    street.status("ann", ManualStatus::Offline).await;
    street.house.pass_s(60);
    street.comes_to(async || true).await;
    assert_eq!((street.told(), street.pbx.available_agents().len()), (0, 2), "only where it is wanted");
    street.close().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_not_repeated_at_once(#[values(Sqlite, Postgres)] backend: Backend) {
    let street = Street::open(backend, |app| app.telphin.as_mut().unwrap()["mirror_status"] = true.into()).await;
    street.comes_to(async || street.house.state("ann").await.queue_login.is_some()).await;
    // He is no queue agent any more.
    street.pbx.directory(|d| d.queues.values_mut().for_each(|q| q.phones.retain(|p| p != "101")));
    let asked = || street.pbx.requests().iter().filter(|r| r.path.ends_with("/agent/local/")).count();
    let before = asked();
    street.status("ann", ManualStatus::Offline).await;
    street.comes_to(async || asked() > before).await;
    street.house.pass_s(120);
    street.comes_to(async || true).await;
    assert_eq!((asked(), street.told()), (before + 1, 0));
    assert_eq!(street.house.state("ann").await.manual_status, ManualStatus::Offline);
    street.close().await;
}
