//! Drift: a precondition prints something else right before the start than what people approved.
//! They are asked again, about its new output.

use crate::support::client::{events, high, low};
use crate::support::proxy::{Fault, Proxy};
use crate::support::{Answer, Browser, Client, Config, Database, Process, TestApp, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

const DIFFERENCE: &str = "its precondition prints something else now: - `replicas: 3`, + `replicas: 5`";
const BEFORE: &str = "api\nreplicas: 3\n";
const AFTER: &str = "api\nreplicas: 5\n";

/// A precondition that counts its runs, waits while it is told to, and prints the state of the
/// world: the second time `world-2`, if there is one.
const LOOK: &str =
    "[sh, -c, 'echo look >> looks; while [ -e wait ]; do sleep 0.05; done; cat world-$(grep -c . looks) 2>/dev/null || cat world']";

/// Two runbooks with this precondition, one of which needs approval, and one that changes the
/// world.
struct Guarded(TempDir);

impl Guarded {
    fn new() -> Self {
        let guarded = Self(tempfile::tempdir().unwrap());
        guarded.write("world", BEFORE);
        guarded
    }

    fn config(&self) -> Config {
        let folder = self.0.path().display();
        let run = "echo ran >> ran; echo $PARKBRAKE_DIGEST > digest";
        let guarded = format!("working_dir: '{folder}', command: [sh, -c, '{run}'], precondition: {LOOK}");
        Config::new().with_runbooks(&format!(
            "runbooks:\n  release: {{ operation: deploy, environment: production, {guarded} }}\n  check: {{ operation: read, environment: development, {guarded} }}\n  \
             change: {{ operation: read, environment: development, working_dir: '{folder}', command: [sh, -c, 'printf \"api\\nreplicas: 5\\n\" > world; echo changed >> changed'] }}\n"
        ))
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.0.path().join(file), text).unwrap();
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.0.path().join(file)).unwrap_or_default()
    }

    fn remove(&self, file: &str) {
        std::fs::remove_file(self.0.path().join(file)).unwrap();
    }

    fn lines(&self, file: &str) -> usize {
        self.read(file).lines().count()
    }
}

fn task(mut task: Value, runbook: &str) -> Value {
    task["action"] = json!({"type": "runbook", "name": runbook});
    task
}

/// The workflow once people are asked in this round.
async fn asked(client: &Client, id: &str, round: u64) -> Value {
    eventually("a question to people", || async {
        let workflow = client.workflow(id).await;
        let rounds = events(&workflow).into_iter().filter(|event| *event == "approval_requested").count() as u64;
        (workflow["status"] == "pending_approval" && rounds == round).then_some(workflow)
    })
    .await
}

async fn approve(client: &Client, id: &str, digest: &Value) -> Answer {
    client.post(&format!("/workflows/{id}/approve"), json!({"justification": "looked at it", "digest": digest})).await
}

/// The last event of this name.
#[track_caller]
fn last<'a>(workflow: &'a Value, event: &str) -> &'a Value {
    let history = workflow["history"].as_array().unwrap();
    &history.iter().rfind(|one| one["event"] == event).unwrap_or_else(|| panic!("no {event}: {workflow:#}"))["detail"]
}

#[tokio::test]
async fn drift_after_approval_asks_again_about_the_new_document() {
    let guarded = Guarded::new();
    let app = TestApp::with(guarded.config()).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let id = bot.submit_id(task(high(), "release")).await;
    let before = alice.workflow(&id).await;
    guarded.write("world", AFTER);
    approve(&alice, &id, &before["digest"]).await.expect(200);

    let again = asked(&alice, &id, 2).await;
    assert_eq!(events(&again)[2..], ["approved", "released", "document_renewed", "approval_requested"]);
    assert_eq!(guarded.lines("ran"), 0);
    assert_ne!(again["digest"], before["digest"]);
    let renewed = last(&again, "document_renewed");
    assert_eq!((&renewed["digest"], renewed["reason"].as_str()), (&again["digest"], Some(DIFFERENCE)));
    assert_eq!(last(&again, "approval_requested")["reason"], DIFFERENCE);
    let changes =
        json!([{"pointer": "/action/runs/precondition/output", "before": "\"api\\nreplicas: 3\\n\"", "after": "\"api\\nreplicas: 5\\n\""}]);
    assert_eq!(renewed["changes"], changes);
    let approval = &again["approval"];
    assert_eq!(approval["changed"], json!({"reason": DIFFERENCE, "differences": changes, "differences_left_out": 0}));
    assert_eq!((&approval["approvals"], &approval["require_digest"]), (&json!(0), &json!(true)));
    assert_eq!(again["task"]["action"]["runs"]["precondition"]["output"], AFTER);
    let listed = alice.get("/workflows/pending").await.expect(200);
    assert_eq!(listed["workflows"][0]["digest"], again["digest"], "the list names what a decision is about now");
    let page = Browser::of(app.addr, "alice").await.get(&format!("/inbox/workflows/{id}")).await.expect(200);
    page.has("Differences from the document that people were asked about before").has("replicas: 5").has(again["digest"].as_str().unwrap());

    // An earlier approver does not approve what they have not seen.
    approve(&alice, &id, &before["digest"]).await.problem(412, "digest-mismatch");
    alice.approve(&id).await.problem(412, "digest-mismatch");
    approve(&alice, &id, &again["digest"]).await.expect(200);
    let done = bot.wait_for(&id, "completed").await;
    assert_eq!((guarded.lines("ran"), done["decisions"].as_array().unwrap().len()), (1, 2));
    assert_eq!(guarded.read("digest"), format!("{}\n", again["digest"].as_str().unwrap()), "the runbook knows by which document it runs");
}

#[tokio::test]
async fn each_drift_is_asked_about_by_itself_also_back_to_what_was_approved_first() {
    let guarded = Guarded::new();
    let app = TestApp::with(guarded.config()).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let id = bot.submit_id(task(high(), "release")).await;
    let first = alice.workflow(&id).await["digest"].clone();
    guarded.write("world", AFTER);
    alice.approve(&id).await.expect(200);
    let second = asked(&alice, &id, 2).await["digest"].clone();
    guarded.write("world", BEFORE);
    approve(&alice, &id, &second).await.expect(200);
    let third = asked(&alice, &id, 3).await["digest"].clone();
    assert_eq!(third, first, "the same world is the same document");
    assert_eq!(guarded.lines("ran"), 0, "what was approved in the first round is void");
    alice.approve(&id).await.problem(412, "digest-mismatch");
    alice.reject(&id).await.expect(200);
    assert_eq!(alice.workflow(&id).await["status"], "rejected");
}

#[tokio::test]
async fn work_without_approval_runs_with_the_current_precondition_output() {
    let guarded = Guarded::new();
    let app = TestApp::with(guarded.config()).await;
    let bot = app.client("deploy-bot");
    guarded.write("world-2", AFTER);
    let accepted = bot.submit(task(low(), "check")).await;
    let id = accepted["workflow_id"].as_str().unwrap();
    let done = bot.wait_for(id, "completed").await;
    assert_eq!(events(&done), ["submitted", "released", "document_renewed", "execution_started", "execution_succeeded"]);
    assert_eq!(last(&done, "document_renewed")["reason"], DIFFERENCE);
    assert_eq!((&done["approval"], &done["task"]["action"]["runs"]["precondition"]["output"]), (&Value::Null, &json!(AFTER)));
    assert_ne!(done["digest"], accepted["digest"]);
    assert_eq!(guarded.read("digest"), format!("{}\n", done["digest"].as_str().unwrap()));
}

#[tokio::test]
async fn a_step_that_drifted_is_asked_about_with_its_plan_and_where_each_step_is_approved_by_itself() {
    for gate in ["plan", "step"] {
        let guarded = Guarded::new();
        let app = TestApp::with(guarded.config()).await;
        let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
        let plan = json!({"description": "Release", "gate": gate, "steps": [task(low(), "change"), task(high(), "release")]});
        let id = bot.submit_id(plan).await;
        let before = asked(&alice, &id, 1).await;
        if gate == "plan" {
            alice.approve(&id).await.expect(200);
        } else {
            approve(&alice, &id, &before["approval"]["step"]["digest"]).await.expect(200);
        }
        let again = asked(&alice, &id, 2).await;
        let changed = &again["approval"]["changed"];
        assert!(changed["reason"].as_str().unwrap().starts_with("step 2: its precondition prints something else now: "), "{again:#}");
        assert_eq!(changed["differences"][0]["pointer"], "/steps/1/action/runs/precondition/output");
        let statuses: Vec<_> = again["steps"].as_array().unwrap().iter().map(|step| step["status"].as_str().unwrap()).collect();
        assert_eq!(statuses, ["succeeded", if gate == "plan" { "waiting" } else { "pending_approval" }]);
        let digest = if gate == "plan" { &again["digest"] } else { &again["approval"]["step"]["digest"] };
        approve(&alice, &id, digest).await.expect(200);
        bot.wait_for(&id, "completed").await;
        assert_eq!((guarded.lines("ran"), guarded.lines("changed")), (1, 1), "{gate}");
    }
}

#[tokio::test]
async fn drift_after_a_grant_asks_people() {
    let guarded = Guarded::new();
    let app = TestApp::with(guarded.config()).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let grant = json!({
        "requester": "deploy-bot", "operation": "deploy", "environment": "production", "resource_type": "code",
        "action": {"type": "runbook", "name": "release"}, "level": "high", "expires_in": "2h", "justification": "The release of OPS-12",
    });
    alice.post("/grants", grant).await.expect(201);
    guarded.write("world-2", AFTER);
    let id = bot.submit_id(task(high(), "release")).await;
    let again = asked(&alice, &id, 2).await;
    assert_eq!(events(&again)[..4], ["submitted", "approval_requested", "granted", "released"]);
    assert_eq!(guarded.lines("ran"), 0);
    guarded.write("world", AFTER);
    approve(&alice, &id, &again["digest"]).await.expect(200);
    bot.wait_for(&id, "completed").await;
}

/// Whenever the answer is lost or the server dies: nothing runs because of the first approval, and
/// nobody is asked twice.
#[tokio::test]
async fn a_server_that_dies_or_loses_the_answer_between_the_look_and_the_question_asks_once() {
    for (needle, fault, dies) in [
        ("select content from document", Fault::HoldRequest, true),
        ("advance_workflows", Fault::HoldRequest, true),
        ("advance_workflows", Fault::HoldAnswer, true),
        ("advance_workflows", Fault::LoseAnswer, false),
        ("advance_workflows", Fault::CutBefore, false),
    ] {
        let guarded = Guarded::new();
        let database = Database::migrated().await;
        let proxy = Proxy::before(&database).await;
        let server = Process::serve(&guarded.config(), &proxy.database()).await;
        let (bot, alice) = (server.client("deploy-bot"), server.client("alice"));
        let id = bot.submit_id(task(high(), "release")).await;
        guarded.write("wait", "");
        alice.approve(&id).await.expect(200);
        eventually("the look before the start", || async { (guarded.lines("looks") == 2).then_some(()) }).await;
        guarded.write("world", AFTER);
        proxy.next(needle, fault, 1);
        guarded.remove("wait");
        eventually("the fault", || async { (proxy.applied() > 0).then_some(()) }).await;
        let server = if dies {
            server.kill().await;
            proxy.thaw();
            Process::serve(&guarded.config(), &database).await
        } else {
            server
        };
        let alice = server.client("alice");
        let again = asked(&alice, &id, 2).await;
        assert_eq!(events(&again).iter().filter(|event| **event == "document_renewed").count(), 1, "{needle} {fault:?}: {again:#}");
        assert_eq!(guarded.lines("ran"), 0);
        assert_eq!(database.count("select count(*) from document").await, 2, "the document that was submitted, and the one that holds");
        approve(&alice, &id, &again["digest"]).await.expect(200);
        server.client("deploy-bot").wait_for(&id, "completed").await;
        assert_eq!(guarded.lines("ran"), 1);
        assert!(server.terminate().await);
    }
}
