//! Cancelling running work: it ends, whatever crashes in the meantime, and the record shows what
//! happened.

use crate::support::client::{events, high, low};
use crate::support::hook::{Hook, Reply};
use crate::support::proxy::{Fault, Proxy};
use crate::support::server::settings;
use crate::support::{Answer, Client, Config, Database, Ledger, Process, TestApp, eventually};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder in which runbooks leave word, and runbooks that end in different ways once they are
/// told to.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn runbooks(&self) -> String {
        let folder = self.0.path().display();
        let runbook = |name: &str, idempotent: bool, script: &str| {
            format!(
                "  {name}: {{ operation: deploy, environment: development, working_dir: '{folder}', timeout: 10m, idempotent: {idempotent}, \
                 command: [sh, -c, '{script}'] }}\n"
            )
        };
        let mut all = "runbooks:\n".to_owned();
        all += &runbook("long", false, "echo so far; echo $$ >> began; exec sleep 600");
        let deaf = "trap \"\" TERM; echo $$ >> began; while :; do sleep 0.05; done";
        all += &runbook("deaf", false, deaf);
        all += &runbook("deaf-again", true, deaf);
        all += &runbook("quick", false, "trap \"echo done; exit 0\" TERM; echo $$ >> began; while :; do sleep 0.05; done");
        all += &runbook(
            "forks",
            false,
            "(setsid sh -c \"echo \\$\\$ > straggler; exec sleep 600\" &); while [ ! -s straggler ]; do sleep 0.02; done; echo $$ >> began; exec sleep 600",
        );
        all += &runbook("after", false, "echo $$ >> after");
        all
    }

    /// The numbers that runbooks have written into a file.
    fn numbers(&self, file: &str) -> Vec<i32> {
        let text = std::fs::read_to_string(self.0.path().join(file)).unwrap_or_default();
        text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')?.parse().ok()).collect()
    }

    async fn begins(&self, times: usize) {
        eventually("a runbook that runs", || async { (self.numbers("began").len() == times).then_some(()) }).await;
    }

    /// Waits until none of the processes that have left word runs any more.
    async fn is_quiet(&self) {
        let all: Vec<i32> = ["began", "straggler"].into_iter().flat_map(|file| self.numbers(file)).collect();
        eventually("the end of every process", || async { (!all.iter().any(|pid| runs(*pid))).then_some(()) }).await;
    }
}

fn runs(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn task(name: &str) -> Value {
    let mut task = low();
    task["operation"] = json!("deploy");
    task["action"] = json!({"type": "runbook", "name": name});
    task
}

impl Client {
    async fn takes_back(&self, id: &str) -> Answer {
        self.post(&format!("/workflows/{id}/cancel"), json!({"reason": "the wrong region"})).await
    }

    /// Takes it back and waits for the end of what runs.
    async fn takes_back_and_waits(&self, id: &str) -> Answer {
        let request = self.request(Method::POST, &format!("/workflows/{id}/cancel")).header("prefer", "wait=50");
        self.send(request.json(&json!({"reason": "the wrong region"}))).await
    }
}

#[tokio::test]
async fn cancelling_ends_a_running_action_and_keeps_its_output() {
    let folder = Folder::new();
    let mut app = TestApp::with(Config::new().with_runbooks(&folder.runbooks())).await;
    let bot = app.client("deploy-bot");
    let id = bot.submit_id(task("long")).await;
    folder.begins(1).await;
    let answer = bot.takes_back(&id).await.expect(202);
    assert_eq!((&answer["status"], &answer["cancel_requested"]), (&json!("executing"), &json!(true)), "what runs has not ended yet");
    let workflow = bot.wait_for(&id, "cancelled").await;
    assert_eq!(events(&workflow), ["submitted", "released", "execution_started", "cancel_requested", "execution_cancelled"]);
    let request = &workflow["history"][3];
    assert_eq!(
        (&request["actor"], &request["via"], &request["detail"]["reason"]),
        (&json!("deploy-bot"), &json!("rest"), &json!("the wrong region"))
    );
    let attempt = &workflow["execution"]["attempts"][0];
    assert_eq!(
        (&attempt["outcome"], &attempt["output"]["signal"], &attempt["output"]["stdout"]),
        (&json!("cancelled"), &json!("SIGTERM"), &json!("so far\n"))
    );
    assert_eq!(workflow["cancel_requested"], json!(false), "nothing is being ended any more");
    folder.is_quiet().await;
    let again = bot.takes_back(&id).await.expect(200);
    assert_eq!(
        (&again["status"], &again["cancel_requested"]),
        (&json!("cancelled"), &Value::Null),
        "the same answer as to whom it was cancelled for"
    );
    app.client("alice").takes_back(&id).await.problem(403, "not-permitted");
    app.stop().await;
}

#[tokio::test]
async fn a_runbook_that_ignores_the_signal_is_killed_and_a_fork_that_left_its_parent_goes_too() {
    let folder = Folder::new();
    let mut app = TestApp::with(Config::new().with_runbooks(&folder.runbooks())).await;
    let (bot, cora) = (app.client("deploy-bot"), app.client("cora"));
    for (turn, (name, signal)) in [("deaf", "SIGKILL"), ("forks", "SIGTERM")].into_iter().enumerate() {
        let id = bot.submit_id(task(name)).await;
        folder.begins(turn + 1).await;
        let ended = cora.takes_back_and_waits(&id).await.expect(200);
        assert_eq!(
            (&ended["status"], &ended["cancel_requested"]),
            (&json!("cancelled"), &Value::Null),
            "an admin may, and the answer was held"
        );
        assert_eq!(bot.workflow(&id).await["execution"]["attempts"][0]["output"]["signal"], signal, "{name}");
        folder.is_quiet().await;
    }
    assert_eq!(folder.numbers("straggler").len(), 1);
    app.stop().await;
}

#[tokio::test]
async fn a_runbook_that_finishes_its_work_has_completed_and_the_request_stays_in_the_history() {
    let folder = Folder::new();
    let mut app = TestApp::with(Config::new().with_runbooks(&folder.runbooks())).await;
    let bot = app.client("deploy-bot");
    let id = bot.submit_id(task("quick")).await;
    folder.begins(1).await;
    let ended = bot.takes_back_and_waits(&id).await.expect(200);
    assert_eq!((&ended["status"], &ended["cancel_requested"]), (&json!("completed"), &Value::Null));
    let workflow = bot.workflow(&id).await;
    assert!(events(&workflow).ends_with(&["cancel_requested", "execution_succeeded"]), "{workflow}");
    bot.takes_back(&id).await.problem(409, "wrong-state");
    app.stop().await;
}

#[tokio::test]
async fn cancelling_a_sent_call_leaves_an_unknown_outcome_that_is_resolved_and_not_repeated() {
    let hook = Hook::start().await;
    hook.then([Reply::Silence]);
    let webhooks = format!(
        "webhooks:\n  ci: {{ url: 'http://{}/hook', secret: {{ from_env: HOOK_SECRET }}, allow_private: true, operation: deploy, environment: development, resource_type: code, idempotent: true, timeout: 10m }}\n",
        hook.addr
    );
    let mut app = TestApp::with(Config::new().with_runbooks(&webhooks)).await;
    let (bot, cora) = (app.client("deploy-bot"), app.client("cora"));
    let mut call = task("ci");
    call["resource_type"] = json!("code");
    call["action"]["type"] = json!("webhook");
    let id = bot.submit_id(call).await;
    hook.attempted(1).await;
    bot.takes_back(&id).await.expect(202);
    let workflow = bot.wait_for(&id, "outcome_unknown").await;
    assert!(workflow["history"].to_string().contains("it was cancelled after the call was made"), "{workflow}");
    let refused = bot.takes_back(&id).await.problem(409, "wrong-state");
    assert!(refused["detail"].as_str().unwrap().contains("resolve it"), "{refused}");
    let resolve = |outcome: &str| json!({"outcome": outcome, "justification": "I looked there"});
    cora.post(&format!("/workflows/{id}/resolve"), resolve("retry")).await.problem(409, "wrong-state");
    assert_eq!(cora.post(&format!("/workflows/{id}/resolve"), resolve("failed")).await.expect(200)["status"], "failed");
    assert_eq!(hook.attempts().len(), 1, "idempotent or not, what was cancelled is not called again");
    app.stop().await;
}

#[tokio::test]
async fn a_plan_ends_with_the_step_that_was_running() {
    let folder = Folder::new();
    let mut app = TestApp::with(Config::new().with_runbooks(&folder.runbooks())).await;
    let bot = app.client("deploy-bot");
    for (turn, (name, outcome)) in [("long", "cancelled"), ("quick", "succeeded")].into_iter().enumerate() {
        let step = |name: &str| json!({"operation": "deploy", "environment": "development", "action": {"type": "runbook", "name": name}});
        let plan = json!({"description": "both", "steps": [step(name), step("after")]});
        let id = bot.submit_id(plan).await;
        folder.begins(turn + 1).await;
        let ended = bot.takes_back_and_waits(&id).await.expect(200);
        assert_eq!(ended["status"], "cancelled", "{name}");
        let workflow = bot.workflow(&id).await;
        assert_eq!((&workflow["steps"][0]["status"], &workflow["steps"][1]["status"]), (&json!(outcome), &json!("skipped")), "{workflow}");
    }
    assert!(folder.numbers("after").is_empty(), "no later step ever started");
    app.stop().await;
}

#[tokio::test]
async fn a_begun_external_action_cannot_be_cancelled() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let id = bot.submit_id(high()).await;
    alice.approve(&id).await.expect(200);
    let refused = bot.takes_back(&id).await.problem(409, "wrong-state");
    assert!(refused["detail"].as_str().unwrap().contains("report its result"), "{refused}");
}

/// The server dies between the request and the end. Whether the runbook is idempotent changes
/// nothing.
#[tokio::test]
async fn a_server_that_is_killed_while_it_ends_something_leaves_the_rest_to_the_next_one_and_nothing_runs_again() {
    for name in ["deaf", "deaf-again"] {
        let folder = Folder::new();
        let config = Config::new().with_runbooks(&folder.runbooks());
        let database = Database::migrated().await;
        let server = Process::serve_with(&config, &database, &["--cancel-grace", "10m"]).await;
        let bot = server.client("deploy-bot");
        let id = bot.submit_id(task(name)).await;
        folder.begins(1).await;
        bot.takes_back(&id).await.expect(202);
        server.kill().await;
        let server = Process::serve(&config, &database).await;
        let bot = server.client("deploy-bot");
        let workflow = bot.wait_for(&id, "outcome_unknown").await;
        assert!(workflow["history"].to_string().contains("it is not run again"), "{workflow}");
        folder.is_quiet().await;
        assert_eq!(folder.numbers("began").len(), 1, "{name} was not run again");
        assert!(server.terminate().await);
    }
}

#[tokio::test]
async fn a_request_whose_commit_was_answered_to_nobody_is_acted_upon() {
    let folder = Folder::new();
    let database = Database::migrated().await;
    let proxy = Proxy::before(&database).await;
    let config = Config::new().with_runbooks(&folder.runbooks());
    let app_settings = settings(&config);
    let mut app = TestApp::launch(config, &app_settings, proxy.database()).await;
    let bot = app.client("deploy-bot");
    let id = bot.submit_id(task("long")).await;
    folder.begins(1).await;
    // The commit takes place, and its answer is lost, as often as anybody asks; and nobody asks
    // again.
    proxy.next("advance_workflows", Fault::LoseAnswer, 1);
    let _ = bot.takes_back(&id).await;
    let workflow = bot.wait_for(&id, "cancelled").await;
    assert_eq!(events(&workflow).iter().filter(|event| **event == "cancel_requested").count(), 1, "{workflow}");
    folder.is_quiet().await;
    app.stop().await;
}

#[tokio::test]
async fn a_cancel_that_meets_a_start_or_an_end_leads_to_one_truth() {
    let ledger = Ledger::new();
    let mut app = TestApp::with(ledger.runbooks(Config::new())).await;
    let bot = app.client("deploy-bot");
    let mut ids = Vec::new();
    for turn in 0..12_u64 {
        let id = bot.submit_id(task(if turn % 2 == 0 { "once" } else { "again" })).await;
        tokio::time::sleep(std::time::Duration::from_millis(7 * turn)).await;
        // By two at once.
        let (first, second) = futures_util::future::join(bot.takes_back(&id), bot.takes_back(&id)).await;
        assert!([200, 202, 409].contains(&first.status.as_u16()) && [200, 202, 409].contains(&second.status.as_u16()));
        ids.push(id);
    }
    for id in ids {
        let workflow = eventually("its end", || async {
            let workflow = bot.workflow(&id).await;
            ["cancelled", "completed"].iter().any(|status| workflow["status"] == *status).then_some(workflow)
        })
        .await;
        let (log, starts) = (events(&workflow), ledger.starts(&id));
        let count = |name: &str| log.iter().filter(|event| **event == name).count();
        assert!(count("cancel_requested") <= 1 && count("execution_started") <= 1 && starts <= 1, "{log:?}");
        assert_eq!(count("cancelled") + count("execution_cancelled") + count("execution_succeeded"), 1, "{log:?}");
        assert!(starts == 0 || count("execution_started") == 1, "nothing runs whose start is not in the log: {log:?}");
        let ends = ledger.of(&id).iter().filter(|entry| entry.what == "end").count();
        assert!(ends == 1 || workflow["status"] == "cancelled", "what completed did its work: {log:?}");
    }
    app.stop().await;
}
