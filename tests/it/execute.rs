//! Execution: what was approved runs once, exactly as it was shown; what was not approved never
//! runs.

use crate::support::client::{at, events, high, low, time};
use crate::support::{Client, Config, Ledger, TestApp};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Runbooks that end in every way. They are reads, so they run at once.
const RUNBOOKS: &str = r#"
runbooks:
  well:     { operation: read, command: [printf, 'to %s\n', '{{ whom }}'], args: { whom: { pattern: '.*', dash: true } }, timeout: 10s, idempotent: true }
  badly:    { operation: read, command: [sh, -c, 'echo so far; echo "no space" >&2; exit 3'], timeout: 10s }
  killed:   { operation: read, command: [sh, -c, 'kill -9 $$'], timeout: 10s }
  for-ever: { operation: read, command: [sh, -c, 'echo begun; sleep 600'], timeout: 1s }
  missing:  { operation: read, command: [no-such-program-anywhere], timeout: 10s }
  env:      { operation: read, command: [env], timeout: 10s }
  strict:   { operation: deploy, environment: production, resource: '{{ service }}', command: [echo, '--service={{ service }}'], args: { service: { pattern: '[a-z][a-z0-9-]{0,62}' } } }
"#;

async fn app() -> TestApp {
    TestApp::with(Config::new().with_runbooks(RUNBOOKS)).await
}

fn runbook(name: &str, args: Value) -> Value {
    let mut task = low();
    task["action"] = json!({"type": "runbook", "name": name, "args": args});
    task
}

/// A deployment that needs approval and keeps the ledger.
fn deployment() -> Value {
    let mut task = high();
    task["action"] = json!({"type": "runbook", "name": "once"});
    task
}

impl Client {
    async fn report(&self, id: &str, body: Value) -> crate::support::Answer {
        self.post(&format!("/workflows/{id}/result"), body).await
    }
}

#[tokio::test]
async fn a_runbook_that_ends_well_completes_the_workflow() {
    let app = app().await;
    let bot = app.client("deploy-bot");
    let id = bot.submit_id(runbook("well", json!({"whom": "you"}))).await;
    let workflow = bot.wait_for(&id, "completed").await;
    assert_eq!(events(&workflow), ["submitted", "released", "execution_started", "execution_succeeded"]);
    let attempts = workflow["execution"]["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 1);
    let attempt = &attempts[0];
    assert_eq!((&attempt["n"], &attempt["outcome"], &attempt["error"]), (&json!(1), &json!("succeeded"), &json!(null)));
    assert_eq!(
        (time(&attempt["started_at"]), time(&attempt["finished_at"])),
        (at(&workflow, "execution_started"), at(&workflow, "execution_succeeded"))
    );
    assert!(time(&attempt["started_at"]) < time(&attempt["finished_at"]));
    let output = &attempt["output"];
    assert_eq!((&output["exit_status"], &output["stdout"], &output["stderr"]), (&json!(0), &json!("to you\n"), &json!("")));
    let runs = &workflow["task"]["action"]["runs"];
    assert_eq!(
        (&runs["command"], &runs["idempotent"], &runs["timeout"]),
        (&json!(["printf", "to %s\\n", "you"]), &json!(true), &json!("10s"))
    );
}

#[tokio::test]
async fn a_failed_runbook_fails_the_workflow_and_records_how() {
    let app = app().await;
    let bot = app.client("deploy-bot");
    let fails = |name: &'static str| {
        let bot = &bot;
        async move {
            let id = bot.submit_id(runbook(name, json!({}))).await;
            let workflow = bot.wait_for(&id, "failed").await;
            assert_eq!(events(&workflow), ["submitted", "released", "execution_started", "execution_failed"]);
            let attempts = workflow["execution"]["attempts"].as_array().unwrap().clone();
            assert_eq!((attempts.len(), &attempts[0]["outcome"]), (1, &json!("failed")));
            (attempts[0]["error"].as_str().unwrap().to_owned(), attempts[0]["output"].clone())
        }
    };
    let (error, output) = fails("badly").await;
    assert_eq!((error.as_str(), &output["exit_status"]), ("exit status 3", &json!(3)));
    assert_eq!((&output["stdout"], &output["stderr"]), (&json!("so far\n"), &json!("no space\n")));
    let (error, output) = fails("killed").await;
    assert_eq!((error.as_str(), &output["signal"], &output["exit_status"]), ("ended by SIGKILL", &json!("SIGKILL"), &json!(null)));
    let (error, output) = fails("for-ever").await;
    assert_eq!((error.as_str(), &output["stdout"]), ("timed out after 1s; its process tree was ended", &json!("begun\n")));
    let problem = bot.post("/orchestrate", runbook("missing", json!({}))).await.problem(422, "invalid-task");
    let detail = problem["errors"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("No such file or directory"), "what cannot be found is refused before anybody is asked: {detail}");
}

#[tokio::test]
async fn a_runbook_is_given_its_workflow_and_nothing_of_the_servers_secrets() {
    let app = app().await;
    let bot = app.client("deploy-bot");
    let accepted = bot.submit(runbook("env", json!({}))).await;
    let id = accepted["workflow_id"].as_str().unwrap();
    let workflow = bot.wait_for(id, "completed").await;
    let printed = workflow["execution"]["attempts"][0]["output"]["stdout"].as_str().unwrap();
    let variables: Vec<(&str, &str)> = printed.lines().filter_map(|line| line.split_once('=')).collect();
    for own in [
        ("PARKBRAKE_WORKFLOW_ID", id),
        ("PARKBRAKE_ATTEMPT", "1"),
        ("PARKBRAKE_DIGEST", accepted["digest"].as_str().unwrap()),
        ("PARKBRAKE_IDEMPOTENCY_KEY", id),
    ] {
        assert!(variables.contains(&own), "{own:?} in {printed}");
    }
    let others: BTreeSet<_> = variables.iter().map(|(name, _)| *name).filter(|name| !name.starts_with("PARKBRAKE_")).collect();
    assert!(others.is_subset(&BTreeSet::from(["PATH", "HOME", "LANG"])), "{others:?}");
    assert!(variables.iter().any(|(name, _)| *name == "PARKBRAKE_OUTPUT"));
    assert_eq!(variables.len() - others.len(), 5);
}

#[tokio::test]
async fn an_argument_is_refused_by_its_pattern_and_otherwise_stays_one_argument() {
    let app = app().await;
    let bot = app.client("deploy-bot");
    for sneaky in
        ["api; rm -rf /", "$(id)", "`id`", "api && id", "api | id", "api\n", "-oProxyCommand=id", "--", "a b", "../api", "api*", "аpi"]
    {
        let task = runbook("strict", json!({"service": sneaky}));
        let problem = bot.post("/orchestrate", task).await.problem(422, "invalid-task");
        assert_eq!(problem["errors"][0]["pointer"], "/action/args/service", "{sneaky}");
        let detail = problem["errors"][0]["detail"].as_str().unwrap();
        assert!(!detail.chars().any(char::is_control), "{detail}");
    }
    assert_eq!(app.database.count("select count(*) from workflow").await, 0);
    // If a pattern accepts anything, there is still no shell that would interpret it.
    for harmless in ["$(id); `id` | cat > /dev/null & 'x' \"y\" *", "%s%n{{ whom }}", "--version"] {
        let id = bot.submit_id(runbook("well", json!({"whom": harmless}))).await;
        let workflow = bot.wait_for(&id, "completed").await;
        assert_eq!(workflow["execution"]["attempts"][0]["output"]["stdout"], format!("to {harmless}\n"));
        assert_eq!(workflow["task"]["action"]["runs"]["command"], json!(["printf", "to %s\\n", harmless]));
    }
}

#[tokio::test]
async fn a_deployment_that_is_called_reading_is_assessed_as_what_it_is() {
    let app = app().await;
    let bot = app.client("deploy-bot");
    let accepted = bot.submit(runbook("strict", json!({"service": "api"}))).await;
    assert_eq!((&accepted["status"], &accepted["risk_level"]), (&json!("pending_approval"), &json!("high")));
    let reasons = accepted["assessment"]["reasons"].as_array().unwrap();
    let detail = |trigger: &str| {
        let found = reasons.iter().find(|reason| reason["trigger"] == trigger).unwrap_or_else(|| panic!("no {trigger} in {reasons:#?}"));
        found["detail"].as_str().unwrap().to_owned()
    };
    assert!(detail("deploy_production").contains("deploy"));
    let disagreement = detail("operation_disagreement");
    assert!(
        disagreement.contains("runbook `strict`") && disagreement.contains("`deploy`") && disagreement.contains("`read`"),
        "{disagreement}"
    );
    assert!(detail("environment_disagreement").contains("`production`"));
    let id = accepted["workflow_id"].as_str().unwrap();
    assert_eq!(bot.workflow(id).await["execution"], json!(null));
    app.client("alice").approve(id).await.expect(200);
    let workflow = bot.wait_for(id, "completed").await;
    assert_eq!(workflow["execution"]["attempts"][0]["output"]["stdout"], "--service=api\n");
}

#[tokio::test]
async fn an_action_changed_after_it_was_shown_does_not_run() {
    let ledger = Ledger::new();
    let mut app = TestApp::with(ledger.runbooks(Config::new())).await;
    for (tampering, reason, restart) in [
        // One argument of the command, one byte, the whole document, and the digest with it.
        (
            "update payload set document = convert_to(replace(convert_from(document, 'UTF8'), 'run.sh', 'bad.sh'), 'UTF8')",
            "has been changed",
            false,
        ),
        ("update payload set document = document || ' '::bytea", "has been changed", false),
        (
            "update payload set document = convert_to(replace(convert_from(document, 'UTF8'), 'run.sh', 'bad.sh'), 'UTF8')",
            "has been changed",
            true,
        ),
        (
            "update payload set document = '{}'; update workflow set digest = 'sha256:' || encode(sha256('{}'), 'hex')",
            "has been changed",
            true,
        ),
        ("delete from payload", "is missing", false),
    ] {
        let id = app.client("deploy-bot").submit_id(deployment()).await;
        app.database
            .execute(&format!("alter table document disable trigger user; {tampering}; alter table document enable trigger user"))
            .await;
        if restart {
            app.restart().await;
        }
        let alice = app.client("alice");
        alice.approve(&id).await.expect(200);
        let workflow = alice.wait_for(&id, "failed").await;
        assert_eq!(events(&workflow)[2..], ["approved", "released", "start_refused"]);
        let attempt = &workflow["execution"]["attempts"][0];
        assert_eq!((&attempt["outcome"], &attempt["started_at"]), (&json!("refused"), &json!(null)));
        let error = attempt["error"].as_str().unwrap();
        assert!(error.starts_with("not started: its document") && error.contains(reason), "{tampering}: {error}");
    }
    assert_eq!(ledger.entries(), []);
    let valid = app.client("deploy-bot").submit_id(deployment()).await;
    app.client("alice").approve(&valid).await.expect(200);
    app.client("alice").wait_for(&valid, "completed").await;
    assert_eq!(ledger.starts(&valid), 1, "what nobody has touched runs");
}

#[tokio::test]
async fn the_result_of_an_external_action_is_its_requesters_to_report() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let succeeded = || json!({"outcome": "succeeded", "output": {"pods": 3}});
    let id = bot.submit_id(high()).await;
    assert_eq!(bot.report(&id, succeeded()).await.problem(409, "wrong-state")["current_status"], "pending_approval");
    alice.approve(&id).await.expect(200);
    for stranger in ["alice", "cora", "nora", "other-bot"] {
        app.client(stranger).report(&id, succeeded()).await.problem(403, "not-permitted");
    }
    app.client("lone-bot").report(&id, succeeded()).await.problem(404, "workflow-not-found");
    for bad in [json!({}), json!({"outcome": "maybe"}), json!({"outcome": null}), json!({"outcome": "succeeded", "by": "bot"})] {
        bot.report(&id, bad).await.problem(422, "invalid-task");
    }
    assert_eq!(bot.workflow(&id).await["status"], "executing");

    let first = bot.report(&id, succeeded()).await;
    assert_eq!(first.body, json!({"success": true, "workflow_id": id, "status": "completed"}));
    assert_eq!(bot.report(&id, succeeded()).await.text, first.text);
    bot.report(&id, json!({"outcome": "succeeded", "output": "another"})).await.expect(200);
    let problem = bot.report(&id, json!({"outcome": "failed", "error": "no"})).await.problem(409, "wrong-state");
    assert_eq!(problem["current_status"], "completed");
    let workflow = bot.workflow(&id).await;
    assert_eq!(workflow["execution"]["attempts"].as_array().unwrap().len(), 1);
    assert_eq!(workflow["execution"]["attempts"][0]["output"], json!({"pods": 3}), "what was said first stays");
}

#[tokio::test]
async fn the_person_that_an_agent_acts_for_may_report_a_failure() {
    let app = TestApp::start().await;
    let id = app.client("deploy-bot").submit_id(low()).await;
    let told = app.client("tom").report(&id, json!({"outcome": "failed"})).await.expect(200);
    assert_eq!(told["status"], "failed");
    let workflow = app.client("tom").workflow(&id).await;
    assert_eq!(workflow["execution"]["attempts"][0]["error"], "no error was reported");
    assert_eq!(workflow["history"][2]["actor"], "tom");
    let problem = app.client("deploy-bot").report(&id, json!({"outcome": "succeeded"})).await.problem(409, "wrong-state");
    assert_eq!(problem["current_status"], "failed");
}

#[tokio::test]
async fn nobody_reports_what_parkbrake_itself_runs() {
    let ledger = Ledger::new();
    let app = TestApp::with(ledger.runbooks(Config::new())).await;
    ledger.hold();
    let bot = app.client("deploy-bot");
    let id = bot.submit_id(deployment()).await;
    app.client("alice").approve(&id).await.expect(200);
    crate::support::eventually("its start", || async { (ledger.starts(&id) == 1).then_some(()) }).await;
    bot.report(&id, json!({"outcome": "succeeded"})).await.problem(409, "wrong-state");
    assert_eq!(bot.workflow(&id).await["status"], "executing");
    ledger.release();
    bot.wait_for(&id, "completed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn approved_actions_run_once_and_nothing_else_runs() {
    let ledger = Ledger::new();
    let config = ledger.runbooks(Config::new()).with_policies("policies: { high: { expire_after: 3s } }");
    let mut app = TestApp::with(config).await;
    let (bot, alice, tess) = (app.client("lone-bot"), app.client("alice"), app.client("tess"));
    let several = || async { join_all((0..6).map(|_| bot.submit_id(deployment()))).await };
    let (approved, rejected, cancelled, expired) = tokio::join!(several(), several(), several(), several());
    let path = |id: &str, what: &str| format!("/workflows/{id}/{what}");
    tokio::join!(
        join_all(approved.iter().flat_map(|id| [alice.approve(id), tess.approve(id), alice.approve(id), tess.approve(id)])),
        join_all(rejected.iter().map(|id| async { alice.reject(id).await.expect(200) })),
        join_all(cancelled.iter().map(|id| async { bot.post(&path(id, "cancel"), json!({})).await.expect(200) })),
    );
    join_all(approved.iter().map(|id| bot.wait_for(id, "completed"))).await;
    join_all(expired.iter().map(|id| bot.wait_for(id, "expired"))).await;
    // Late decisions change nothing, and neither does a restart.
    for id in rejected.iter().chain(&cancelled).chain(&expired) {
        let late = tess.approve(id).await;
        assert!([409, 410].contains(&late.status.as_u16()), "{}", late.text);
    }
    app.restart().await;
    let alice = app.client("alice");
    for id in &approved {
        alice.approve(id).await;
        assert_eq!(alice.workflow(id).await["status"], "completed");
    }
    let entries = ledger.entries();
    assert_eq!(entries.iter().filter(|entry| entry.what == "start").count(), approved.len());
    for id in &approved {
        assert_eq!(ledger.starts(id), 1);
        let workflow = alice.workflow(id).await;
        assert_eq!(events(&workflow)[2..], ["approved", "released", "execution_started", "execution_succeeded"]);
    }
}
