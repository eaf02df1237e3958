//! The start gate: a released action waits for its turn, starts once, and is never lost, whatever
//! happens to the answers.

use crate::support::client::{events, high, low};
use crate::support::proxy::{Fault, Proxy};
use crate::support::server::settings;
use crate::support::{Client, Config, Database, Ledger, Process, TestApp, called, eventually};
use futures_util::future::join_all;
use parkbrake::actors::engine::{Engine, Parts};
use parkbrake::actors::protocol::{AdmittedTask, Submitted};
use parkbrake::actors::root::{Msg, Root, RootRef};
use parkbrake::actors::turns::TurnLimits;
use parkbrake::app::Pace;
use parkbrake::clock::Clock;
use parkbrake::domain::policy::{ApprovalTerms, PrincipalKind};
use parkbrake::domain::request::TaskRequest;
use parkbrake::domain::workflow::{AttemptId, Command, Outcome, Status};
use parkbrake::settings::Settings;
use parkbrake::storage::Storage;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The first attempt at the only step.
const FIRST: AttemptId = AttemptId { step: 1, number: 1 };

/// A deployment that needs approval and keeps the ledger.
fn deployment(name: &str) -> Value {
    let mut task = high();
    task["action"] = json!({"type": "runbook", "name": name});
    task
}

/// A harmless action that keeps the ledger, and is not idempotent.
fn look() -> Value {
    let mut task = low();
    task["action"] = json!({"type": "runbook", "name": "look"});
    task
}

impl Client {
    async fn take_back(&self, id: &str) -> crate::support::Answer {
        self.post(&format!("/workflows/{id}/cancel"), json!({})).await
    }
}

/// A server with few turns.
async fn with_turns(ledger: &Ledger, turns: u16, each: u16) -> TestApp {
    let config = ledger.runbooks(Config::new());
    let settings = Settings { turns, turns_per_requester: each, ..settings(&config) };
    TestApp::launch(config, &settings, Database::migrated().await).await
}

#[tokio::test]
async fn work_waiting_for_its_turn_is_queued_and_can_be_cancelled() {
    let ledger = Ledger::new();
    let app = with_turns(&ledger, 1, 1).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    ledger.hold();
    let first = bot.submit_id(look()).await;
    bot.wait_for(&first, "executing").await;
    let second = bot.submit(look()).await;
    assert_eq!(second["status"], "queued");
    let second = second["workflow_id"].as_str().unwrap().to_owned();
    let third = bot.submit_id(deployment("once")).await;
    assert_eq!(alice.approve(&third).await.expect(200)["workflow_status"], "queued");
    assert_eq!(alice.approve(&third).await.expect(200)["workflow_status"], "queued", "the same answer again");
    for id in [&second, &third] {
        let workflow = bot.workflow(id).await;
        assert_eq!((&workflow["status"], &workflow["execution"]), (&json!("queued"), &json!(null)));
    }
    let listed = alice.get("/workflows?status=queued").await.expect(200);
    assert_eq!(listed["workflows"].as_array().unwrap().len(), 2);

    assert_eq!(bot.take_back(&second).await.expect(200)["status"], "cancelled");
    assert_eq!(bot.take_back(&third).await.expect(200)["status"], "cancelled");
    let workflow = bot.workflow(&third).await;
    assert_eq!((&workflow["approval_status"], &workflow["decisions"][0]["approver"]), (&json!("approved"), &json!("alice")));
    assert_eq!(bot.workflow(&second).await["approval_status"], "not_required");
    ledger.release();
    bot.wait_for(&first, "completed").await;
    let last = bot.submit_id(look()).await;
    bot.wait_for(&last, "completed").await;
    assert_eq!((ledger.starts(&second), ledger.starts(&third)), (0, 0), "what was cancelled never runs");
}

#[tokio::test]
async fn a_restart_leaves_the_queue_as_it_was() {
    let ledger = Ledger::new();
    let config = ledger.runbooks(Config::new());
    let database = Database::migrated().await;
    let server = Process::serve_with(&config, &database, &["--turns", "1"]).await;
    let (bot, alice) = (server.client("deploy-bot"), server.client("alice"));
    ledger.hold();
    let running = bot.submit_id(look()).await;
    eventually("its start", || async { (ledger.starts(&running) == 1).then_some(()) }).await;
    let harmless = join_all((0..5).map(|_| bot.submit_id(look()))).await;
    let approved = bot.submit_id(deployment("once")).await;
    alice.approve(&approved).await.expect(200);
    server.kill().await;

    let server = Process::serve_with(&config, &database, &["--turns", "4"]).await;
    let bot = server.client("deploy-bot");
    ledger.release();
    for id in harmless.iter().chain([&approved]) {
        let workflow = bot.wait_for(id, "completed").await;
        assert_eq!(workflow["execution"]["attempts"].as_array().unwrap().len(), 1, "it had not begun before");
        assert_eq!(ledger.starts(id), 1);
    }
    assert_eq!(bot.workflow(&running).await["status"], "outcome_unknown", "only what ran is unknown");
    assert!(server.terminate().await);
}

#[tokio::test]
async fn approved_work_starts_at_once_even_if_an_agent_has_much_waiting() {
    let ledger = Ledger::new();
    let app = with_turns(&ledger, 8, 4).await;
    let (bot, other, alice) = (app.client("deploy-bot"), app.client("lone-bot"), app.client("alice"));
    ledger.hold();
    join_all((0..30).map(|_| bot.submit_id(look()))).await;
    eventually("its share", || async { (ledger.entries().len() == 4).then_some(()) }).await;
    let theirs = other.submit_id(look()).await;
    let mine = bot.submit_id(deployment("once")).await;
    alice.approve(&mine).await.expect(200);
    for id in [&theirs, &mine] {
        eventually("its start", || async { (ledger.starts(id) == 1).then_some(()) }).await;
    }
    assert_eq!(ledger.entries().len(), 6, "nobody has more than its share");
    ledger.release();
}

/// Red team C1: actors that are unloaded and loaded again, late answers, and an agent that calls
/// its own workflows all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_starts_twice_and_nothing_is_lost_however_many_actors_a_workflow_has() {
    const EACH: usize = 100;
    let ledger = Ledger::new();
    let config = ledger.runbooks(Config::new());
    let database = Database::migrated().await;
    let proxy = Proxy::before(&database).await;
    let settings = Settings { max_resident: 1, connections: 8, ..settings(&config) };
    let app = TestApp::launch(config, &settings, proxy.database()).await;
    proxy.delay_one_of(7, Duration::from_millis(60));
    let agents = ["deploy-bot", "other-bot", "lone-bot"].map(|name| app.client(name));
    let stranger = &app.client("alice");
    let all = join_all(agents.iter().map(|agent| async move {
        let mut ids = Vec::new();
        for index in 0..EACH {
            let key = format!("look-{index}");
            let id = eventually("an answer", || async {
                let request = agent.request(Method::POST, "/orchestrate").header("idempotency-key", &key).json(&look());
                let answer = agent.send(request).await;
                answer.body["workflow_id"].as_str().map(str::to_owned)
            })
            .await;
            // Each is called while it starts, runs and ends, by somebody who may not cancel it;
            // every fourth by its requester, who may.
            let by = if index % 4 == 3 { agent } else { stranger };
            join_all((0..3).map(|poke| {
                let id = id.clone();
                async move {
                    tokio::time::sleep(Duration::from_millis(10 * poke)).await;
                    let answer = by.try_send(by.request(Method::POST, &format!("/workflows/{id}/cancel")).json(&json!({}))).await;
                    let status = answer.expect("an answer").status.as_u16();
                    assert!([200, 202, 403, 409, 503].contains(&status), "{status}");
                }
            }))
            .await;
            ids.push(id);
        }
        ids
    }))
    .await;
    proxy.relent();
    let (mut ran, alice) = (0, app.client("alice"));
    for id in all.iter().flatten() {
        let workflow = eventually("its end", || async {
            // A slow database may leave a call unanswered; it is repeated.
            let workflow = alice.get(&format!("/workflows/{id}/status")).await.body["workflow"].clone();
            ["completed", "cancelled"].iter().any(|status| workflow["status"] == *status).then_some(workflow)
        })
        .await;
        // A cancelled one may have begun, and was stopped then; but it began once, and only if the
        // log says so.
        let began = events(&workflow).iter().filter(|event| **event == "execution_started").count();
        let starts = ledger.starts(id);
        assert!(began <= 1 && starts <= began && (workflow["status"] == "cancelled" || starts == 1), "{starts}: {workflow:#}");
        ran += starts;
    }
    assert!(ran > EACH, "enough of them ran for this to mean something: {ran}");
    let metrics = alice.get("/metrics").await.text;
    assert!(metrics.contains("parkbrake_executing_without_attempt_total 0"), "{metrics}");
}

/// Chaos V1 (a) and red team H1: the commit of the last approval is written, and its answer is
/// lost.
#[tokio::test]
async fn an_approval_whose_answer_was_lost_starts_once() {
    let ledger = Ledger::new();
    let config = ledger.runbooks(Config::new());
    let database = Database::migrated().await;
    let proxy = Proxy::before(&database).await;
    let settings = settings(&config);
    let app = TestApp::launch(config, &settings, proxy.database()).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    for _ in 0..5 {
        let id = bot.submit_id(deployment("once")).await;
        let before = proxy.applied();
        proxy.next("advance_workflows", Fault::LoseAnswer, 1);
        alice.approve(&id).await.expect(200);
        assert_eq!(proxy.applied(), before + 1, "the answer was lost");
        alice.wait_for(&id, "completed").await;
        assert_eq!(ledger.starts(&id), 1);
    }
}

/// The start itself is committed, and its answer is lost: the token in the log shows whose it was.
#[tokio::test]
async fn a_start_whose_answer_was_lost_runs_once() {
    let ledger = Ledger::new();
    let config = ledger.runbooks(Config::new());
    let database = Database::migrated().await;
    let proxy = Proxy::before(&database).await;
    let settings = settings(&config);
    let app = TestApp::launch(config, &settings, proxy.database()).await;
    let bot = app.client("deploy-bot");
    for _ in 0..5 {
        // The submit is another statement, so the next one of these is the start.
        proxy.next("advance_workflows", Fault::LoseAnswer, 1);
        let id = bot.submit_id(look()).await;
        let workflow = bot.wait_for(&id, "completed").await;
        assert_eq!(events(&workflow), ["submitted", "released", "execution_started", "execution_succeeded"]);
        assert_eq!(ledger.starts(&id), 1);
    }
    assert_eq!(proxy.applied(), 5);
}

/// Chaos V1 (b): the commit of the last approval hangs and is abandoned, the actor is reloaded at
/// the old version, and then the commit succeeds after all. Nobody calls again.
#[tokio::test]
async fn an_approval_that_is_committed_long_after_it_was_given_up_starts_once() {
    let ledger = Ledger::new();
    let config = ledger.runbooks(Config::new());
    let database = Database::migrated().await;
    let proxy = Proxy::before(&database).await;
    let settings = settings(&config);
    let app = TestApp::launch(config, &settings, proxy.database()).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let id = bot.submit_id(deployment("once")).await;
    proxy.next("advance_workflows", Fault::HoldRequest, 1);
    alice.approve(&id).await.problem(503, "unavailable");
    // A call without permission wakes a new actor, which reads that nothing was decided.
    app.client("nora").approve(&id).await.problem(403, "not-an-approver");
    assert_eq!(bot.workflow(&id).await["status"], "pending_approval");
    proxy.thaw();
    bot.wait_for(&id, "completed").await;
    assert_eq!(ledger.starts(&id), 1);
}

/// Chaos V4: a submit with a key is committed, its answer is lost, and it is sent again.
#[tokio::test]
async fn a_request_whose_answer_was_lost_can_be_decided_at_once() {
    let ledger = Ledger::new();
    let config = ledger.runbooks(Config::new());
    let database = Database::migrated().await;
    let proxy = Proxy::before(&database).await;
    let settings = settings(&config);
    let app = TestApp::launch(config, &settings, proxy.database()).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    for (number, key) in ["a", "b", "c", "d"].into_iter().enumerate() {
        proxy.next("open_workflows", Fault::LoseAnswer, 1);
        let request = bot.request(Method::POST, "/orchestrate").header("idempotency-key", key).json(&deployment("once"));
        let id = bot.send(request).await.expect(202)["workflow_id"].as_str().unwrap().to_owned();
        alice.approve(&id).await.expect(200);
        alice.wait_for(&id, "completed").await;
        assert_eq!((ledger.starts(&id), proxy.applied()), (1, number + 1));
    }
    // A harmless one starts without any further call.
    proxy.next("open_workflows", Fault::LoseAnswer, 1);
    let request = bot.request(Method::POST, "/orchestrate").header("idempotency-key", "e").json(&look());
    let id = bot.send(request).await.expect(202)["workflow_id"].as_str().unwrap().to_owned();
    bot.wait_for(&id, "completed").await;
    assert_eq!(ledger.starts(&id), 1);
}

/// An engine whose runner never gives a turn.
struct Quiet {
    engine: Arc<Engine>,
    root: RootRef,
    storage: Storage,
    ledger: Ledger,
    _config: Config,
}

impl Quiet {
    async fn start(database: &Database) -> Self {
        let ledger = Ledger::new();
        let config = ledger.runbooks(Config::new());
        let configuration = Arc::new(parkbrake::config::load(config.path(), config.path()).unwrap());
        let storage = Storage::connect(&database.url, 4).unwrap().with_keys(crate::support::keys());
        let engine = Engine::new(Parts {
            storage: storage.clone(),
            configuration,
            clock: Arc::new(Clock::new(storage.now().await.unwrap())),
            executor: crate::support::server::executor(),
            channels: BTreeMap::new(),
            pace: Pace::default(),
            max_resident: 100,
            turns: TurnLimits { at_once: 0, per_requester: 1 },
            fence: crate::support::server::fence(),
        });
        let id = engine.owner;
        let lease = format!(
            "insert into server (server_id, address, host, version, lease_until, acts)
             values ('{id}', '127.0.0.1:0', 'here', '0', clock_timestamp() + interval '1 hour', true)"
        );
        database.execute(&lease).await;
        let (root, _) = Root::spawn(Arc::clone(&engine)).await.unwrap();
        Self { engine, root, storage, ledger, _config: config }
    }

    /// A workflow that is approved and waits for its turn.
    #[track_caller]
    fn queued(&self, runbook: &str) -> impl Future<Output = Uuid> {
        called(async move {
            let request: TaskRequest = serde_json::from_value(deployment(runbook)).unwrap();
            let (task, facts) = request.admit(self.engine.configuration.actions(), PrincipalKind::Agent).unwrap();
            let (id, by) = (Uuid::now_v7(), self.engine.configuration.policy.principal("deploy-bot").unwrap());
            let admitted = AdmittedTask { by, work: (task, facts).into(), supersedes: None, key: None };
            let Ok(Submitted::Accepted(_)) = self.engine.submit(id, admitted).await else { panic!("a workflow") };
            assert_eq!(self.approve(id).await, Status::Queued);
            id
        })
    }

    async fn approve(&self, id: Uuid) -> Status {
        let by = self.engine.configuration.policy.principal("alice").unwrap();
        self.ask(id, Command::Approve { by, justification: None, digest: None, owner: self.engine.owner }).await
    }

    async fn ask(&self, id: Uuid, command: Command) -> Status {
        self.engine.command(id, command).await.unwrap().workflow.status()
    }

    async fn status(&self, id: Uuid) -> Status {
        self.engine.history(id).await.unwrap().unwrap().workflow.status()
    }
}

#[tokio::test]
async fn an_attempt_of_this_server_that_its_runner_does_not_know_is_an_alarm_and_is_taken_up() {
    let database = Database::migrated().await;
    let quiet = Quiet::start(&database).await;
    // Starts of a runner that has been lost.
    let start = |attempt| Command::Start { attempt, owner: quiet.engine.owner, token: Uuid::new_v4(), renewed: None };
    let once = quiet.queued("once").await;
    quiet.ask(once, start(FIRST)).await;
    eventually("what is true", || async { (quiet.status(once).await == Status::OutcomeUnknown).then_some(()) }).await;
    let again = quiet.queued("again").await;
    quiet.ask(again, start(FIRST)).await;
    eventually("the queue", || async { (quiet.status(again).await == Status::Queued).then_some(()) }).await;
    assert_eq!(quiet.storage.log(again).await.unwrap().iter().filter(|one| one.event.name() == "released").count(), 2);
    let metrics = quiet.engine.metrics.text();
    assert!(metrics.contains("parkbrake_executing_without_attempt_total 2"), "{metrics}");
    // The lost runner returns, and reports the outcome.
    assert_eq!(quiet.ask(once, Command::Finish { attempt: FIRST, outcome: Outcome::Succeeded { output: None } }).await, Status::Completed);
    assert_eq!(quiet.ledger.entries(), [], "nothing is started by an actor");
    quiet.root.cast(Msg::Shutdown).unwrap();
}

#[tokio::test]
async fn asking_again_resets_the_row_of_the_request() {
    let database = Database::migrated().await;
    let quiet = Quiet::start(&database).await;
    let id = quiet.queued("once").await;
    let terms: Arc<ApprovalTerms> =
        Arc::clone(&quiet.engine.configuration.policy.level(parkbrake::domain::risk::level::Level::Critical).terms);
    let command = Command::AskAgain { attempt: FIRST, reason: "the terms are stricter now".to_owned(), terms, renewed: None };
    assert_eq!(quiet.ask(id, command.clone()).await, Status::PendingApproval);
    assert_eq!(quiet.ask(id, command).await, Status::PendingApproval, "asked for once more, nothing is written");
    let asked = "select count(*) from workflow where approval_status = 'pending' and not queued and approvals = 0 and coalesce(approved_by, '{}') = '{}'
                 and required = 1 and approvers = '{tech_lead,cto}' and resolved_at is null and resolved_by is null
                 and requested_at = updated_at and version = 5";
    assert_eq!(database.count(asked).await, 1);
    let tess = quiet.engine.configuration.policy.principal("tess").unwrap();
    let approve = Command::Approve { by: tess, justification: Some("again".to_owned()), digest: None, owner: quiet.engine.owner };
    assert_eq!(quiet.ask(id, approve).await, Status::Queued);
    let released = "select count(*) from workflow where queued and approval_status = 'approved' and resolved_by = 'tess'";
    assert_eq!(database.count(released).await, 1);
    let refuse = Command::RefuseStart { attempt: FIRST, reason: "the runbook is gone".to_owned() };
    assert_eq!(quiet.ask(id, refuse).await, Status::Failed);
    assert_eq!(database.count("select count(*) from workflow where not queued and not running and status = 'failed'").await, 1);
    quiet.root.cast(Msg::Shutdown).unwrap();
}
