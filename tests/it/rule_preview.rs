//! `parkbrake rules preview`: past requests under a changed configuration.

use crate::support::client::{high, low, medium, token};
use crate::support::config::RULES;
use crate::support::{Config, TestApp};
use serde_json::{Value, json};
use std::process::{Command, Output};

fn preview(app: &TestApp, who: &str, config: &Config, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parkbrake"));
    command.args(["rules", "preview", "--config"]).arg(config.path()).args(more);
    command.env_remove("PARKBRAKE_AS").env("PARKBRAKE_URL", format!("http://{}", app.addr)).env("PARKBRAKE_TOKEN", token(who));
    command.output().expect("the program runs")
}

/// The rules of the tests, and one more.
fn changed() -> Config {
    Config::new().with_rules(&format!("{RULES}  builds_are_watched: {{ when: 'operation == \"build\"', level: critical }}\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_rule_is_tried_on_what_was_submitted_and_changes_nothing() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let operation = |mut task: Value, operation: &str| {
        task["operation"] = json!(operation);
        task
    };
    let mut built = Vec::new();
    for _ in 0..3 {
        built.push(bot.submit_id(operation(medium(), "build")).await);
    }
    let plan = json!({"description": "Two steps", "steps": [operation(low(), "build"), low()]});
    built.push(bot.submit_id(plan).await);
    let untouched = bot.submit_id(high()).await;
    let call = json!({"client": "claude_code", "session_id": "s", "tool_use_id": "t1", "tool_name": "Bash", "tool_input": {"command": "terraform apply -auto-approve"}, "cwd": "/src"});
    bot.post("/agents/tool-calls", call).await.expect(200);
    let before = app.client("alice").get("/workflows?limit=50").await.expect(200);

    // Under the rules that were in force nothing would have been different: not for a task, a plan
    // or a tool call.
    let same = preview(&app, "alice", &Config::new(), &["--json"]);
    assert!(same.status.success(), "{same:?}");
    let same: Value = serde_json::from_slice(&same.stdout).unwrap();
    assert_eq!(
        (&same["changed"], &same["refused"], &same["unread"], &same["requests"]),
        (&json!([]), &json!([]), &json!(0), &json!([])),
        "{same}"
    );
    assert!(same["assessed"].as_u64().unwrap() >= 5, "{same}");

    let found = preview(&app, "alice", &changed(), &["--json", "--limit", "3"]);
    assert!(found.status.success(), "{found:?}");
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    let count = |level: &str| {
        found["changed"].as_array().unwrap().iter().filter(|one| one["to"] == level).map(|one| one["count"].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!((count("critical"), found["changed"].as_array().unwrap().iter().any(|one| one["to"] != "critical")), (4, false), "{found}");
    let listed: Vec<&str> = found["requests"].as_array().unwrap().iter().map(|one| one["workflow_id"].as_str().unwrap()).collect();
    assert_eq!(listed, [&built[3], &built[2], &built[1]], "the newest first, and no more than were asked for");
    assert!(!listed.contains(&untouched.as_str()));

    let shown = preview(&app, "alice", &changed(), &["--limit", "3"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    for line in ["4 would have been assessed differently", "-> critical", "WOULD BE", "and 1 older ones: list more with --limit"] {
        assert!(shown.contains(line), "{line:?} is not in {shown}");
    }
    assert_eq!(app.client("alice").get("/workflows?limit=50").await.expect(200), before, "nothing has changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_preview_counts_requests_that_are_no_longer_valid() {
    let runbooks = "runbooks:\n  show: { operation: read, environment: development, resource_type: code, command: [/bin/echo, ok] }\n";
    let app = TestApp::with(Config::new().with_runbooks(runbooks)).await;
    let task =
        json!({"description": "Show", "operation": "read", "environment": "development", "action": {"type": "runbook", "name": "show"}});
    app.client("deploy-bot").submit_id(task).await;
    let found = preview(&app, "alice", &Config::new(), &["--json"]);
    assert!(found.status.success(), "{found:?}");
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(found["refused"], json!([{"why": "no runbook show takes these arguments", "count": 1}]));
    assert_eq!(found["requests"][0]["would_be"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_is_for_people_and_for_a_valid_configuration() {
    let app = TestApp::start().await;
    let agent = preview(&app, "deploy-bot", &Config::new(), &[]);
    assert!(!agent.status.success() && String::from_utf8_lossy(&agent.stderr).contains("only people can export"), "{agent:?}");
    let broken = Config::new().write("hitl/interrupt-triggers.yaml", "triggers: [\n");
    let broken = preview(&app, "alice", &broken, &[]);
    assert!(!broken.status.success() && String::from_utf8_lossy(&broken.stderr).contains("is not valid"), "{broken:?}");
}
