//! Outputs: a step produces them, and a later one uses them. People approve them before they are
//! used, unless the configuration says otherwise.

use crate::support::client::events;
use crate::support::{Answer, Client, Config, Database, Process, TestApp, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Runbooks that output the contents of `handed`, that take a path, and that undo.
struct Shop(TempDir);

impl Shop {
    fn new() -> Self {
        let shop = Self(tempfile::tempdir().unwrap());
        shop.write("handed", r#"{"path": "/backups/7.tar", "size": 3}"#);
        shop
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.0.path().join(file), text).unwrap();
    }

    /// The actions so far, one per line.
    fn done(&self) -> Vec<String> {
        std::fs::read_to_string(self.0.path().join("done")).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    fn config(&self) -> Config {
        let folder = self.0.path().display();
        let path = "args: { path: { pattern: '/backups/[0-9a-z]+[.]tar' } }";
        let free = "args: { path: { pattern: '/backups/[0-9a-z]+[.]tar', output_without_approval: true } }";
        let runbook = |name: &str, of: &str, script: &str, args: &str| {
            let run = format!(
                "working_dir: '{folder}', command: [sh, -c, '{script}', sh{}]",
                if args.is_empty() { "" } else { ", '{{ path }}'" }
            );
            format!("  {name}: {{ {of}, {run}{}{args} }}\n", if args.is_empty() { "" } else { ", " })
        };
        let (read, deploy) = ("operation: read, environment: development", "operation: deploy, environment: production");
        let restore = "echo \"$0 $1\" >> done; while [ -e gate ]; do sleep 0.05; done; test ! -e broken";
        let runbooks = [
            runbook("backup", read, "cat handed > $PARKBRAKE_OUTPUT; echo backup >> done", ""),
            runbook("restore", deploy, restore, path),
            runbook("free", deploy, restore, free),
            runbook("look", read, "echo look $1 >> done", path),
            runbook("drop", read, "echo drop $1 >> done", free),
            runbook("fail", read, "exit 3", ""),
            format!("  named: {{ {read}, resource: '{{{{ path }}}}', command: [echo, '{{{{ path }}}}'], {path} }}\n"),
            format!(
                "  again: {{ {deploy}, idempotent: true, working_dir: '{folder}', command: [sh, -c, '{restore}', sh, '{{{{ path }}}}'], {path} }}\n"
            ),
        ];
        Config::new().with_runbooks(&format!("runbooks:\n{}", runbooks.concat()))
    }
}

fn backup() -> Value {
    json!({"name": "backup", "operation": "read", "environment": "development", "action": {"type": "runbook", "name": "backup"}})
}

/// A step whose runbook takes the path from the backup's output.
fn uses(runbook: &str) -> Value {
    let (operation, environment) = if ["look", "named"].contains(&runbook) { ("read", "development") } else { ("deploy", "production") };
    let action = json!({"type": "runbook", "name": runbook, "args": {"path": "{{ steps.backup.output.path }}"}});
    json!({"name": runbook, "operation": operation, "environment": environment, "resource_type": "code", "action": action})
}

fn plan(gate: &str, steps: impl IntoIterator<Item = Value>) -> Value {
    json!({"description": "Restore", "gate": gate, "steps": steps.into_iter().collect::<Vec<_>>()})
}

async fn asked(client: &Client, id: &str, round: usize) -> Value {
    eventually("a question to people", || async {
        let workflow = client.workflow(id).await;
        let rounds = events(&workflow).into_iter().filter(|event| *event == "approval_requested").count();
        (workflow["status"] == "pending_approval" && rounds == round).then_some(workflow)
    })
    .await
}

async fn approve(client: &Client, id: &str, digest: &Value) -> Answer {
    client.post(&format!("/workflows/{id}/approve"), json!({"justification": "looked at it", "digest": digest})).await
}

#[track_caller]
fn refusal(workflow: &Value) -> &str {
    let history = workflow["history"].as_array().unwrap();
    let refused = history.iter().rfind(|event| event["event"] == "start_refused");
    refused.and_then(|event| event["detail"]["reason"].as_str()).unwrap_or_else(|| panic!("nothing was refused: {workflow:#}"))
}

#[tokio::test]
async fn outputs_are_shown_and_approved_before_the_step_that_uses_them() {
    let shop = Shop::new();
    let app = TestApp::with(shop.config()).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let id = bot.submit_id(plan("plan", [backup(), uses("restore")])).await;
    let before = alice.workflow(&id).await;
    assert_eq!(before["task"]["steps"][1]["action"]["runs"]["command"][4], "{{ steps.backup.output.path }}");
    approve(&alice, &id, &before["digest"]).await.expect(200);

    let again = asked(&alice, &id, 2).await;
    assert_eq!(shop.done(), ["backup"]);
    assert_eq!(again["execution"]["attempts"][0]["output"]["outputs"], json!({"path": "/backups/7.tar", "size": 3}));
    let changed = &again["approval"]["changed"];
    assert_eq!(changed["reason"], "step 2 (restore) uses outputs of earlier steps: `path` is `/backups/7.tar`");
    let pointers: Vec<_> = changed["differences"].as_array().unwrap().iter().map(|one| one["pointer"].as_str().unwrap()).collect();
    assert_eq!(pointers, ["/steps/1/action/args/path", "/steps/1/action/awaits/0", "/steps/1/action/runs/command/4"]);
    assert_eq!(again["task"]["steps"][1]["action"]["runs"]["command"][4], "/backups/7.tar");
    approve(&alice, &id, &before["digest"]).await.problem(412, "digest-mismatch");
    approve(&alice, &id, &again["digest"]).await.expect(200);
    let done = bot.wait_for(&id, "completed").await;
    assert_eq!(shop.done(), ["backup", "sh /backups/7.tar"]);
    assert_eq!(done["digest"], again["digest"]);
}

#[tokio::test]
async fn where_each_step_is_approved_by_itself_it_is_asked_about_once_with_what_it_uses() {
    let shop = Shop::new();
    let app = TestApp::with(shop.config()).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let id = bot.submit_id(plan("step", [backup(), uses("restore"), uses("look")])).await;
    let parked = asked(&alice, &id, 1).await;
    assert_eq!((&parked["approval"]["step"]["n"], shop.done()), (&json!(2), vec!["backup".to_owned()]));
    assert_eq!(parked["task"]["steps"][1]["action"]["args"]["path"], "/backups/7.tar", "people read the value itself");
    approve(&alice, &id, &parked["approval"]["step"]["digest"]).await.expect(200);
    let done = bot.wait_for(&id, "completed").await;
    assert_eq!(shop.done(), ["backup", "sh /backups/7.tar", "look /backups/7.tar"], "what needs nobody gets it and runs");
    let renewed = events(&done).into_iter().filter(|event| *event == "document_renewed").count();
    assert_eq!((renewed, done["decisions"].as_array().unwrap().len()), (2, 1));
}

#[tokio::test]
async fn an_output_of_a_trusted_pattern_needs_no_second_approval_and_feeds_the_compensation() {
    let shop = Shop::new();
    let app = TestApp::with(shop.config()).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let mut first = backup();
    first["compensate"] = json!({"type": "runbook", "name": "drop", "args": {"path": "{{ steps.backup.output.path }}"}});
    let failing = json!({"operation": "read", "environment": "development", "action": {"type": "runbook", "name": "fail"}});
    let id = bot.submit_id(plan("plan", [first, uses("free"), failing])).await;
    alice.approve(&id).await.expect(200);
    let done = bot.wait_for(&id, "failed").await;
    assert_eq!(shop.done(), ["backup", "sh /backups/7.tar", "drop /backups/7.tar"]);
    let renewed = events(&done).into_iter().filter(|event| *event == "document_renewed").count();
    assert_eq!((renewed, done["decisions"].as_array().unwrap().len()), (2, 1), "{done:#}");
    let statuses: Vec<_> = done["steps"].as_array().unwrap().iter().map(|step| step["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["succeeded", "succeeded", "failed", "succeeded"]);
}

#[tokio::test]
async fn a_step_with_a_missing_or_invalid_output_is_not_started_and_records_why() {
    let shop = Shop::new();
    let app = TestApp::with(shop.config()).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    for (handed, said) in [
        ("", "step 1 (backup) provided no `path`"),
        (r#"{"size": 3}"#, "step 1 (backup) provided no `path`"),
        ("path=/backups/7.tar", "step 1 (backup) provided no usable output: it wrote no JSON object"),
        (r#"{"path": ["/backups/7.tar"]}"#, "provided no usable output: `path` is neither a text nor a number"),
        (r#"{"path": "/etc/passwd"}"#, "outputs of earlier steps do not fit: its argument `path` `/etc/passwd` does not match the pattern"),
        (r#"{"path": "-rf"}"#, "its argument `path` `-rf` begins with `-`"),
    ] {
        shop.write("handed", handed);
        let id = bot.submit_id(plan("plan", [backup(), uses("free")])).await;
        alice.approve(&id).await.expect(200);
        let failed = bot.wait_for(&id, "failed").await;
        assert!(refusal(&failed).starts_with("not started: ") && refusal(&failed).contains(said), "{handed}: {}", refusal(&failed));
        assert!(shop.done().iter().all(|line| line == "backup"), "{:?}", shop.done());
    }
}

#[tokio::test]
async fn an_output_that_cannot_be_known_in_time_is_refused_at_the_submit_with_its_pointer() {
    let shop = Shop::new();
    let app = TestApp::with(shop.config()).await;
    let bot = app.client("deploy-bot");
    let with = |path: &str| {
        let mut step = uses("restore");
        step["action"]["args"]["path"] = json!(path);
        step
    };
    for (steps, pointer, said) in [
        (vec![uses("restore"), backup()], "/steps/0/action/args/path", "no earlier step has this name"),
        (vec![backup(), with("{{ steps.other.output.path }}")], "/steps/1/action/args/path", "names an output of `other`"),
        (vec![backup(), with("/x/{{ steps.backup.output.path }}")], "/steps/1/action/args/path", "one output and nothing else"),
        (vec![backup(), with("{{ steps.backup.path }}")], "/steps/1/action/args/path", "one output and nothing else"),
        (vec![backup(), uses("named")], "/steps/1/action/args/path", "has to be known at submission"),
    ] {
        let problem = bot.post("/orchestrate", plan("plan", steps)).await.problem(422, "invalid-task");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem:#}");
        assert!(problem["errors"][0]["detail"].as_str().unwrap().contains(said), "{problem:#}");
    }
    let mut single = uses("restore");
    (single["description"], single["name"]) = (json!("d"), Value::Null);
    single.as_object_mut().unwrap().remove("name");
    let problem = bot.post("/orchestrate", single).await.problem(422, "invalid-task");
    assert!(problem.to_string().contains("does not match the pattern"), "a single task has no earlier steps: {problem:#}");
    assert_eq!(app.database.count("select count(*) from workflow").await, 0);
}

#[tokio::test]
async fn after_a_kill_the_next_attempt_runs_with_the_same_output_and_nobody_is_asked_again() {
    let shop = Shop::new();
    let database = Database::migrated().await;
    let server = Process::serve(&shop.config(), &database).await;
    let (bot, alice) = (server.client("deploy-bot"), server.client("alice"));
    let id = bot.submit_id(plan("plan", [backup(), uses("again")])).await;
    alice.approve(&id).await.expect(200);
    let again = asked(&alice, &id, 2).await;
    shop.write("gate", "");
    approve(&alice, &id, &again["digest"]).await.expect(200);
    eventually("its run", || async { (shop.done().len() == 2).then_some(()) }).await;
    server.kill().await;
    shop.write("handed", r#"{"path": "/backups/8.tar"}"#);
    std::fs::remove_file(shop.0.path().join("gate")).unwrap();
    let server = Process::serve(&shop.config(), &database).await;
    let done = server.client("deploy-bot").wait_for(&id, "completed").await;
    assert_eq!(shop.done(), ["backup", "sh /backups/7.tar", "sh /backups/7.tar"]);
    assert_eq!((done["decisions"].as_array().unwrap().len(), &done["digest"]), (2, &again["digest"]));
    assert!(server.terminate().await);
}
