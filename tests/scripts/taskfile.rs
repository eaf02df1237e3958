//! `Taskfile.yml`.

use crate::root;
use crate::stub::{HOSTILE, ID, Stub, run, task, workflow};
use serde_json::json;
use std::process::Command;

/// A task of the Taskfile.
#[track_caller]
fn go_task(stub: &Stub, args: &[&str]) -> Command {
    let found = Command::new("task").arg("--version").output().is_ok_and(|output| output.status.success());
    assert!(found, "go-task is missing: install it with `pip install go-task-bin`, `brew install go-task` or as https://taskfile.dev says");
    let mut command = stub.command("task");
    // The real home, because a version manager may have installed `task` there.
    command.args(args).current_dir(root()).env("HOME", std::env::var_os("HOME").unwrap_or_default());
    command
}

#[test]
fn hostile_text_passes_through_go_task_unharmed() {
    let stub = Stub::start();
    let id = format!("WORKFLOW_ID={ID}");
    run(&mut go_task(&stub, &["workflow:approve", &id, &format!("JUSTIFICATION={HOSTILE}")])).said(&["approved by alice"]);
    assert_eq!(stub.last("POST").json()["justification"], HOSTILE);
    run(&mut go_task(&stub, &["workflow:reject", &id, &format!("REASON={HOSTILE}<no value>")])).said(&["rejected by alice"]);
    assert_eq!(stub.last("POST").json()["reason"], format!("{HOSTILE}<no value>"));
    // Text that go-task would take for a template is passed in the environment.
    let braces = "{{.TASK}} {{ fail \"x\" }} {{";
    run(go_task(&stub, &["workflow:reject", &id]).env("REASON", braces)).said(&["rejected by alice"]);
    assert_eq!(stub.last("POST").json()["reason"], braces);
    assert!(!root().join("pwned").exists());
}

#[test]
fn the_command_line_of_task_overrides_the_environment() {
    let stub = Stub::start();
    let other = "0198c0de-0000-7000-8000-000000000009";
    let approved = run(go_task(&stub, &["workflow:approve", &format!("WORKFLOW_ID={ID}")]).env("WORKFLOW_ID", other));
    approved.said(&["approved by alice"]);
    assert!(stub.called().iter().all(|what| !what.contains(other)), "{:?}", stub.called());
}

#[test]
fn every_task_of_the_workflow_works_and_fails_as_its_script_does() {
    let stub = Stub::start();
    let id = format!("WORKFLOW_ID={ID}");
    run(&mut go_task(&stub, &["workflow:list-pending"])).said(&["waiting: 1"]);
    run(&mut go_task(&stub, &["workflow:status", &id])).said(&["submitted by deploy-bot"]);
    run(&mut go_task(&stub, &["workflow:approve", &id])).said(&["approved by alice"]);
    assert_eq!(stub.last("POST").json(), json!({"digest": task().digest()}));
    let mut critical = workflow("pending_approval", 2);
    critical["workflow"]["risk_level"] = "critical".into();
    let plain = workflow("pending_approval", 2);
    stub.on(&format!("GET /workflows/{ID}/status"), 200, &critical);
    let unconfirmed = run(&mut go_task(&stub, &["workflow:approve", &id]));
    assert!(unconfirmed.code != Some(0) && unconfirmed.err.contains("its target is api-gateway"), "{unconfirmed:?}");
    run(&mut go_task(&stub, &["workflow:approve", &id, "CONFIRM=api-gateway"])).said(&["approved by alice"]);
    run(&mut go_task(&stub, &["workflow:approve", &id, &format!("DIGEST={}", task().digest())])).said(&["approved by alice"]);
    stub.on(&format!("GET /workflows/{ID}/status"), 200, &plain);
    let listed = run(&mut go_task(&stub, &[]));
    for name in [
        "dev",
        "test",
        "test:fast",
        "demo",
        "bench",
        "check",
        "fix",
        "db:prepare",
        "docs",
        "workflow:list-pending",
        "workflow:approve",
        "workflow:reject",
        "workflow:status",
    ] {
        assert!(listed.out.contains(&format!("* {name}:")), "{name} is not in: {}", listed.out);
    }
    let asked = stub.calls().len();
    for name in ["workflow:approve", "workflow:status"] {
        let missing = run(&mut go_task(&stub, &[name]));
        assert!(missing.code != Some(0) && missing.err.contains("missing required variables: WORKFLOW_ID"), "{missing:?}");
    }
    let missing = run(&mut go_task(&stub, &["workflow:reject", &id]));
    assert!(missing.code != Some(0) && missing.err.contains("missing required variables: REASON"), "{missing:?}");
    let refused = run(&mut go_task(&stub, &["workflow:status", "WORKFLOW_ID=0198"]));
    assert!(refused.code != Some(0) && refused.err.contains("the workflow's id has to be one like"), "{refused:?}");
    assert_eq!(stub.calls().len(), asked);

    let remote = Stub::start();
    run(go_task(&stub, &["workflow:list-pending", "REMOTE=true"]).env("PARKBRAKE_REMOTE_URL", &remote.url)).said(&["waiting: 1"]);
    assert_eq!((stub.calls().len(), remote.calls().len()), (asked, 1));
}
