//! Actors that fail, actors that are unloaded, and their siblings.

use crate::support::called;
use crate::support::client::{Client, high};
use crate::support::server::settings;
use crate::support::{Config, Database, TestApp, eventually};
use parkbrake::actors::engine::{Engine, Parts};
use parkbrake::actors::protocol::{AdmittedTask, Submitted};
use parkbrake::actors::root::{Msg, Root, RootRef};
use parkbrake::actors::turns::TurnLimits;
use parkbrake::app::Pace;
use parkbrake::clock::Clock;
use parkbrake::domain::request::TaskRequest;
use parkbrake::domain::workflow::{Command, Status};
use parkbrake::storage::Storage;
use ractor::ActorCell;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::task::JoinHandle;
use uuid::Uuid;

#[tokio::test]
async fn a_workflow_that_keeps_failing_is_left_alone_and_its_siblings_go_on() {
    let mut app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let (poisoned, healthy) = (bot.submit_id(high()).await, bot.submit_id(high()).await);
    app.stop().await;
    // Not something that parkbrake writes: a log that cannot be read.
    let (break_it, mend_it) = ("set data = '{' || data", "set data = substr(data, 2)");
    tamper(&app.database, &poisoned, break_it).await;
    app.restart().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));

    alice.approve(&poisoned).await.problem(503, "unavailable");
    eventually("its quarantine", || async {
        alice.approve(&poisoned).await.problem(503, "unavailable");
        (app.database.count("select count(*) from quarantine").await == 1).then_some(())
    })
    .await;
    let metrics = alice.get("/metrics").await.expect(200);
    assert!(metrics.as_str().unwrap().contains("parkbrake_workflows_quarantined_total 1"), "{metrics}");
    let listed = alice.get("/workflows?status=pending_approval").await.expect(200);
    let of = |id: &str| listed["workflows"].as_array().unwrap().iter().find(|one| one["workflow_id"] == id).unwrap()["quarantine"].clone();
    assert!(of(&poisoned).as_str().is_some_and(|reason| !reason.is_empty()), "{listed:#}");
    assert_eq!(of(&healthy), json!(null));
    alice.approve(&healthy).await.expect(200);
    bot.submit_id(high()).await;

    // Somebody has repaired it: a restart tries it again.
    tamper(&app.database, &poisoned, mend_it).await;
    app.restart().await;
    app.client("alice").approve(&poisoned).await.expect(200);
    assert_eq!(app.database.count("select count(*) from quarantine").await, 0);
}

async fn tamper(database: &Database, id: &str, change: &str) {
    let statement = format!(
        "alter table workflow_event disable trigger user;
         update workflow_event {change} where workflow_id = '{id}' and version = 2;
         alter table workflow_event enable trigger user"
    );
    database.execute(&statement).await;
}

#[tokio::test]
async fn parked_workflows_leave_memory_and_come_back_on_demand() {
    let config = Config::new().with_policies("escalation: { high: [ { after: 2s, to: [cto] } ] }");
    let mut settings = settings(&config);
    settings.max_resident = 3;
    let app = TestApp::launch(config, &settings, Database::migrated().await).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(bot.submit_id(high()).await);
    }
    eventually("all actors to end and the newest to be remembered", || async {
        (metric(&alice, "workflows_resident").await == 0.0 && metric(&alice, "workflows_remembered").await == 3.0).then_some(())
    })
    .await;
    for id in &ids[..10] {
        alice.approve(id).await.expect(200);
    }
    // Those that are not in memory escalate like all others.
    for id in &ids[10..] {
        let workflow = alice.get(&format!("/workflows/{id}/wait?since=2&timeout=20s")).await.expect(200)["workflow"].clone();
        assert_eq!(workflow["history"][2]["event"], "escalated", "{workflow:#}");
    }
    assert_eq!(app.database.count("select count(*) from workflow_event where kind = 'approved'").await, 10);
}

#[track_caller]
fn metric(client: &Client, name: &str) -> impl Future<Output = f64> {
    called(async move {
        let metrics = client.get("/metrics").await.expect(200);
        let name = format!("parkbrake_{name} ");
        let value = metrics.as_str().unwrap().lines().find_map(|line| line.strip_prefix(&name)).unwrap();
        value.parse().unwrap()
    })
}

#[tokio::test]
async fn a_parked_workflow_has_no_actor_and_is_decided_and_reported_without_reading_its_log() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let id = bot.submit_id(high()).await;
    eventually("its actor to end", || async { (metric(&alice, "workflows_resident").await == 0.0).then_some(()) }).await;
    assert_eq!(metric(&alice, "workflows_remembered").await, 1.0);
    let read = metric(&alice, "log_batch_logs_count").await;
    alice.approve(&id).await.expect(200);
    bot.post(&format!("/workflows/{id}/result"), json!({"outcome": "succeeded"})).await.expect(200);
    assert_eq!(metric(&alice, "log_batch_logs_count").await, read, "nothing was read");
    eventually("it to be forgotten", || async { (metric(&alice, "workflows_remembered").await == 0.0).then_some(()) }).await;
}

#[tokio::test]
async fn messages_to_a_busy_actor_wait_for_it() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let id = bot.submit_id(high()).await;
    let hold = app.database.hold_text(format!("select from workflow where workflow_id = '{id}' for update")).await;
    let decisions = async { tokio::join!(alice.approve(&id), alice.approve(&id), alice.approve(&id)) };
    let meanwhile = async {
        eventually("three approvals under way", || async { (metric(&alice, "requests_under_way").await == 3.0).then_some(()) }).await;
        assert_eq!(metric(&alice, "workflows_resident").await, 1.0, "one actor for all of them");
        hold.release().await;
    };
    let ((one, two, three), ()) = tokio::join!(decisions, meanwhile);
    for answer in [one, two, three] {
        answer.expect(200);
    }
    assert_eq!(app.database.count("select count(*) from workflow_event where kind = 'approved'").await, 1);
}

/// An engine with its actors, without HTTP, and access to the root.
async fn actors(database: &Database) -> (Arc<Engine>, RootRef, JoinHandle<()>) {
    let config = Config::new();
    let configuration = Arc::new(parkbrake::config::load(config.path(), config.path()).unwrap());
    let storage = Storage::connect(&database.url, 4).unwrap().with_keys(crate::support::keys());
    let clock = Arc::new(Clock::new(storage.now().await.unwrap()));
    let engine = Engine::new(Parts {
        storage,
        configuration,
        clock,
        executor: crate::support::server::executor(),
        channels: BTreeMap::new(),
        pace: Pace::default(),
        max_resident: 100,
        turns: TurnLimits { at_once: 8, per_requester: 8 },
        fence: crate::support::server::fence(),
    });
    let (root, task) = Root::spawn(Arc::clone(&engine)).await.unwrap();
    (engine, root, task)
}

#[track_caller]
fn submits(engine: &Engine) -> impl Future<Output = Option<Uuid>> {
    called(async move {
        let request: TaskRequest = serde_json::from_value(high()).unwrap();
        let (task, facts) = request.admit(engine.configuration.actions(), parkbrake::domain::policy::PrincipalKind::Agent).unwrap();
        let (id, by) = (Uuid::now_v7(), engine.configuration.policy.principal("deploy-bot").unwrap());
        matches!(
            engine.submit(id, AdmittedTask { by, work: (task, facts).into(), supersedes: None, key: None }).await,
            Ok(Submitted::Accepted(_))
        )
        .then_some(id)
    })
}

#[tokio::test]
async fn when_an_actor_of_the_root_fails_all_are_replaced_and_what_was_parked_is_decided() {
    let database = Database::migrated().await;
    let mut index = 0;
    loop {
        let (engine, root, task) = actors(&database).await;
        let parked = submits(&engine).await.unwrap();
        let size = root.get_children().len();
        assert!(size >= 5, "the actors of a server");
        // Fewer than the number after which a root gives up.
        for _ in 0..(size - index).min(4) {
            let before: Vec<_> = root.get_children().iter().map(ActorCell::get_id).collect();
            root.get_children()[index].kill();
            eventually("new actors", || async {
                let now: Vec<_> = root.get_children().iter().map(ActorCell::get_id).collect();
                (engine.is_ready() && now.len() == size && now.iter().all(|id| !before.contains(id))).then_some(())
            })
            .await;
            eventually("a submit", || submits(&engine)).await;
            index += 1;
        }
        let by = engine.configuration.policy.principal("alice").unwrap();
        let approve = Command::Approve { by, justification: None, digest: None, owner: engine.owner };
        let outcome = engine.command(parked, approve).await.unwrap();
        assert_eq!(outcome.workflow.status(), Status::Executing);
        root.cast(Msg::Shutdown).unwrap();
        task.await.unwrap();
        if index == size {
            return;
        }
    }
}

#[tokio::test]
async fn actors_that_keep_failing_end_the_root() {
    let database = Database::migrated().await;
    let (engine, root, task) = actors(&database).await;
    eventually("its end", || async {
        if engine.is_ready() {
            root.get_children().iter().take(1).for_each(ActorCell::kill);
        }
        task.is_finished().then_some(())
    })
    .await;
}
