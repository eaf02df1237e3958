//! The client commands of the real binary, against a stand-in for the server.

#[path = "cli/grants.rs"]
mod grants;
#[path = "cli/ids.rs"]
mod ids;
#[path = "cli/pending.rs"]
mod pending_table;
#[path = "cli/review.rs"]
mod review;
#[path = "support/stub.rs"]
mod stub;
#[path = "cli/on_a_terminal.rs"]
mod terminal;
#[path = "cli/terraform.rs"]
mod terraform;

use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};
use stub::{HOSTILE, ID, Ran, Stub, already_decided, nowhere, problem, run, target, task, workflow};
use terminal::on_a_terminal;

fn parkbrake(stub: &Stub, args: &[&str]) -> Command {
    let mut command = stub.command(env!("CARGO_BIN_EXE_parkbrake"));
    command.args(args);
    command
}

#[track_caller]
fn ran(stub: &Stub, args: &[&str]) -> Ran {
    run(&mut parkbrake(stub, args))
}

fn submitted() -> Value {
    let mut answer = workflow("pending_approval", 2)["workflow"].clone();
    answer["success"] = true.into();
    answer
}

#[test]
fn submit_sends_its_flags_as_the_first_agent() {
    let stub = Stub::start();
    stub.on("POST /orchestrate", 202, &submitted());
    let args = [
        ["submit", "--operation"].as_slice(),
        &["deploy", "--description", HOSTILE, "--environment", "production", "--resource", "api", "--resource-type", "code"],
        &["--cost", "99.5", "--task-id", "TASK-42", "--runbook", "deploy-service", "--arg", "service=api", "--arg", "note=a=b"],
        &["--metadata", "ticket=OPS-7", "--metadata", "replicas=2", "--idempotency-key", "run-7/deploy", "--wait", "5"],
    ]
    .concat();
    ran(&stub, &args).said(&["HIGH pending_approval", ID, "deploy_production", "team_lead, tech_lead (0 of 1 given)", "escalate to cto"]);
    let call = stub.last("POST");
    assert_eq!(
        call.json(),
        json!({"task_id": "TASK-42", "description": HOSTILE, "operation": "deploy", "environment": "production", "resource": "api",
            "resource_type": "code", "estimated_cost": 99.5, "metadata": {"ticket": "OPS-7", "replicas": 2},
            "action": {"type": "runbook", "name": "deploy-service", "args": {"service": "api", "note": "a=b"}}})
    );
    assert_eq!((call.token(), call.header("prefer")), ("pbk_bot", "wait=5"));
    assert_eq!(call.header("idempotency-key"), "\"run-7/deploy\"");
}

#[test]
fn submit_sends_a_file_byte_for_byte() {
    let stub = Stub::start();
    stub.on("POST /orchestrate", 202, &submitted());
    let document = "{ \"operation\": \"read\",\n  \"operation\": \"twice\", \"cost\": 1.0 }\n";
    let file = stub.home().join("task.json");
    std::fs::write(&file, document).unwrap();
    ran(&stub, &["submit", file.to_str().unwrap()]).said(&[ID]);
    assert_eq!(stub.last("POST").body, document);

    let mut child = parkbrake(&stub, &["submit", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"{\"from\": \"stdin\"}").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(stub.last("POST").body, "{\"from\": \"stdin\"}");
    assert_eq!(stub.last("POST").header("content-type"), "application/json");

    ran(&stub, &["submit", "/no/such/file"]).failed(1, &["cannot read /no/such/file"]);
}

#[test]
fn submit_that_waited_for_a_failure_fails() {
    let stub = Stub::start();
    let mut answer = submitted();
    answer["status"] = "failed".into();
    stub.on("POST /orchestrate", 202, &answer);
    let waited = ran(&stub, &["submit", "--operation", "read", "--description", "x", "--wait", "5"]);
    assert_eq!(waited.code, Some(1), "{waited:?}");
}

#[test]
fn json_is_the_answer_unchanged_in_one_line() {
    let stub = Stub::start();
    stub.on_raw("POST /orchestrate", &[(202, "{\"z\":1.50,\n \"a\":\"\\u202e\", \"id\":12345678901234567890}\n")]);
    let shown = ran(&stub, &["submit", "--json", "--operation", "read", "--description", "x"]);
    assert_eq!((shown.out.as_str(), shown.code), ("{\"z\":1.50,  \"a\":\"\\u202e\", \"id\":12345678901234567890}\n", Some(0)));

    stub.on("POST /orchestrate", 422, &problem("invalid-task", "Invalid task", "no"));
    let refused = ran(&stub, &["submit", "--json", "--operation", "read", "--description", "x"]);
    refused.failed(1, &["Invalid task: no"]);
    let document: Value = serde_json::from_str(&refused.out).unwrap();
    assert_eq!(document["code"], "invalid-task", "a script can read which problem it is");
}

#[test]
fn approve_shows_what_would_run_and_approves_exactly_that() {
    let stub = Stub::start();
    let shown = ran(&stub, &["approve", ID, "--yes", "--justification", HOSTILE]);
    shown.said(&[
        "HIGH pending_approval",
        r"support/runbooks/deploy.sh api 'it'\''s 1.4.2'",
        "never run twice",
        "DEPLOY_TOKEN",
        "target       deploy api-gateway in production, code\n",
        "DIFFERS The requester called this: resource \"docs\" (it is \"api-gateway\" by the runbook)",
        "cost         $250 (as the requester says)",
        "warning resource_disagreement: the runbook says otherwise",
        "high deploy_production: a deploy to production",
        "claims       | Deploy api 1.4.2",
        "high CVE-2026-1 old library",
        task().digest().as_str(),
        "approved by alice; the workflow is executing",
    ]);
    assert_eq!(stub.last("POST").json(), json!({"digest": task().digest(), "justification": HOSTILE}));
    assert_eq!(stub.last("POST").token(), "pbk_alice");

    let known = ran(&stub, &["approve", ID, "--yes", "--digest", "sha256:abc", "--json"]);
    assert_eq!(known.out.lines().count(), 1);
    assert_eq!(stub.last("POST").json(), json!({"digest": "sha256:abc"}));
    assert_eq!(stub.called().iter().filter(|what| what.starts_with("GET")).count(), 1);
}

/// A critical request that its requester describes as harmless.
fn critical() -> Value {
    let mut workflow = workflow("pending_approval", 2);
    workflow["workflow"]["risk_level"] = "critical".into();
    workflow["workflow"]["target"]["resource"] = "db-prod".into();
    workflow
}

#[test]
fn without_a_terminal_approval_needs_explicit_flags() {
    let stub = Stub::start();
    let path = format!("GET /workflows/{ID}/status");
    ran(&stub, &["approve", ID]).failed(2, &["nobody can be asked here, so nothing was approved", "--yes"]);
    ran(&stub, &["approve", ID, "--digest", "sha256:abc"]).failed(1, &["and not sha256:abc: nothing was approved"]);
    stub.on(&path, 200, &critical());
    ran(&stub, &["approve", ID, "--yes"]).failed(2, &["critical", "--confirm 'db-prod'", "--digest"]);
    ran(&stub, &["approve", ID, "--confirm", "db-prod"]).failed(2, &["--yes"]);
    ran(&stub, &["approve", ID, "--yes", "--confirm", "api-gateway"]).failed(1, &["is `db-prod`, and not `api-gateway`"]);
    assert!(stub.called().iter().all(|what| what.starts_with("GET")), "{:?}", stub.called());
    ran(&stub, &["approve", ID, "--yes", "--confirm", "db-prod"]).said(&["approved by alice"]);
    ran(&stub, &["approve", ID, "--yes", "--digest", task().digest().as_str()]).said(&["approved by alice"]);
}

#[test]
fn on_a_terminal_approve_asks_for_consent() {
    let stub = Stub::start();
    let (typed, shown) = on_a_terminal(&stub, &["approve", ID], "n\n");
    assert!(typed == Some(1) && shown.contains("Approve exactly this? [y/N]") && shown.contains("nothing was approved"), "{shown}");
    assert_eq!(stub.called().len(), 1);
    let (typed, shown) = on_a_terminal(&stub, &["approve", ID], "y\n");
    assert!(typed == Some(0) && shown.contains("by alice"), "{shown}");
    stub.on(&format!("GET /workflows/{ID}/status"), 200, &critical());
    let posts = || stub.called().iter().filter(|what| what.starts_with("POST")).count();
    let before = posts();
    for (answer, code) in [("y\n", 1), ("api-gateway\n", 1), ("\n", 1), ("db-prod\n", 0)] {
        let (typed, shown) = on_a_terminal(&stub, &["approve", ID, "--yes"], answer);
        assert!(typed == Some(code) && shown.contains("Type its target to approve exactly this: db-prod"), "{answer:?}: {shown}");
    }
    assert_eq!(posts(), before + 1);
}

#[test]
fn exit_statuses_distinguish_refusals() {
    let stub = Stub::start();
    let approve = format!("POST /workflows/{ID}/approve");
    for (status, code, exit) in [
        (401, "unauthenticated", 6),
        (403, "not-an-approver", 6),
        (410, "expired", 4),
        (412, "digest-mismatch", 1),
        (503, "unavailable", 1),
    ] {
        stub.on(&approve, status, &problem(code, "No", "no"));
        ran(&stub, &["approve", ID, "--yes"]).failed(exit, &["No: no"]);
    }
    let mut won = already_decided();
    won["decision"]["verdict"] = "approved".into();
    stub.on(&approve, 409, &won);
    ran(&stub, &["approve", ID, "--yes"]).failed(1, &[]);
    stub.on(&format!("GET /workflows/{ID}/status"), 200, &workflow("expired", 3));
    assert_eq!(ran(&stub, &["watch", ID]).code, Some(4));
}

#[test]
fn nothing_is_approved_that_was_not_shown() {
    let stub = Stub::start();
    let mut lie = workflow("pending_approval", 2);
    lie["workflow"]["task"]["action"]["runs"]["command"][1] = "other".into();
    stub.on(&format!("GET /workflows/{ID}/status"), 200, &lie);
    ran(&stub, &["approve", ID, "--yes"]).failed(1, &["is not that of the task that it shows", "nothing was approved"]);

    stub.on(&format!("GET /workflows/{ID}/status"), 200, &workflow("pending_approval", 2));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let unseen = run(parkbrake(&stub, &["approve", ID, "--yes"]).stdout(writer));
    unseen.failed(1, &["nothing was approved, because it could not be shown"]);
    assert!(stub.called().iter().all(|what| what.starts_with("GET")), "{:?}", stub.called());
}

#[test]
fn a_pipe_that_is_closed_is_a_normal_end() {
    let stub = Stub::start();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ended = run(parkbrake(&stub, &["pending"]).stdout(writer));
    assert_eq!((ended.code, ended.err.as_str()), (Some(0), ""));
}

#[test]
fn reject_status_and_cancel_send_requests_and_show_answers() {
    let stub = Stub::start();
    ran(&stub, &["reject", ID, "--reason", HOSTILE]).said(&["rejected by alice; it will not run"]);
    assert_eq!(stub.last("POST").json(), json!({"reason": HOSTILE}));

    let mut done = workflow("completed", 5);
    done["workflow"]["decisions"] =
        json!([{"approver": "alice", "role": "team_lead", "verdict": "approved", "justification": "fine\u{202e}", "at": "2026"}]);
    done["workflow"]["execution"] = json!({"attempts": [{"n": 1, "started_at": "a", "finished_at": "b", "outcome": "succeeded",
        "output": {"stdout": "one\n\u{1b}[2Jtwo\n", "stderr": ""}, "error": null}]});
    stub.on(&format!("GET /workflows/{ID}/status"), 200, &done);
    ran(&stub, &["status", ID]).said(&[
        "approved by alice (team_lead) at 2026, saying: fine<U+202E>",
        "1 succeeded, begun a, ended b",
        "stdout       | one",
        "| <U+001B>[2Jtwo",
        "5  2026-11-22T12:00:04Z  execution_succeeded",
    ]);

    let withdrawn = json!({"success": true, "status": "withdrawn", "withdrawn_by": "alice\u{202e}", "approvals_remaining": 2});
    stub.on(&format!("POST /workflows/{ID}/withdraw"), 200, &withdrawn);
    ran(&stub, &["withdraw", ID, "--reason", HOSTILE]).said(&["the approval of alice<U+202E> is withdrawn; approvals still needed: 2"]);
    assert_eq!(stub.last("POST").json(), json!({"reason": HOSTILE}));
    stub.on(&format!("POST /workflows/{ID}/comments"), 200, &json!({"success": true, "workflow_id": ID, "version": 4}));
    ran(&stub, &["comment", ID, HOSTILE, "--ask"]).said(&["asked; the requester reads it"]);
    assert_eq!(stub.last("POST").json(), json!({"text": HOSTILE, "ask": true}));
    stub.on(&format!("POST /workflows/{ID}/cancel"), 200, &json!({"success": true, "status": "cancelled"}));
    ran(&stub, &["cancel", ID, "--reason", "changed my mind"]).said(&["cancelled"]);
    assert_eq!((stub.last("POST").json(), stub.last("POST").token()), (json!({"reason": "changed my mind"}), "pbk_bot"));
    ran(&stub, &["cancel", ID]).said(&["cancelled"]);
    assert_eq!(stub.last("POST").json(), json!({}));
}

#[test]
fn watch_prints_each_event_once_and_the_outcome() {
    let stub = Stub::start();
    let wait = format!("GET /workflows/{ID}/wait");
    let unavailable = problem("unavailable", "Unavailable", "the database does not answer").to_string();
    let (parked, done) = (workflow("pending_approval", 2).to_string(), workflow("completed", 5).to_string());
    stub.on_raw(&wait, &[(503, &unavailable), (200, &parked), (200, &done)]);
    let watched = ran(&stub, &["watch", ID]);
    watched.said(&["now pending_approval", "now completed"]);
    assert!(watched.err.contains("Unavailable: the database does not answer"), "{}", watched.err);
    for event in ["  submitted by", "  approval_requested by", "  approved by", "  execution_started by", "  execution_succeeded by"] {
        assert_eq!(watched.out.matches(event).count(), 1, "{event}: {}", watched.out);
    }
    assert_eq!(stub.last(&wait).query, "since=2&timeout=55s");

    stub.on(&wait, 200, &workflow("rejected", 3));
    let rejected = ran(&stub, &["watch", ID, "--json"]);
    assert_eq!((rejected.code, rejected.out.lines().count()), (Some(3), 2), "{rejected:?}");
}

#[test]
fn status_and_watch_name_the_steps_of_a_plan_and_the_one_that_waits() {
    let stub = Stub::start();
    let mut plan = workflow("pending_approval", 5);
    plan["workflow"]["steps"] = json!([
        {"n": 1, "name": "build", "status": "succeeded", "risk_level": "low", "target": target()},
        {"n": 2, "name": "release", "status": "pending_approval", "risk_level": "high", "target": target()}]);
    for event in [3, 4] {
        plan["workflow"]["history"][event]["detail"]["step"] = json!(1);
    }
    stub.on(&format!("GET /workflows/{ID}/status"), 200, &plan);
    ran(&stub, &["status", ID]).said(&["now          step 2 (release) of 2 waits for approval", "execution_started of step 1 (build) by"]);
    stub.on(&format!("GET /workflows/{ID}/wait"), 200, &workflow("completed", 5));
    let watched = ran(&stub, &["watch", ID]);
    watched.said(&["now pending_approval\n         step 2 (release) of 2 waits for approval", "execution_succeeded of step 1 (build) by"]);
}

#[test]
fn a_refusal_gives_its_reason() {
    let stub = Stub::start();
    stub.on(&format!("POST /workflows/{ID}/approve"), 409, &already_decided());
    ran(&stub, &["approve", ID, "--yes"]).failed(
        3,
        &[
            "Already decided: the request was rejected by tom already",
            "the decision that won: rejected by tom (tech_lead)",
            "not on a Friday",
        ],
    );
    let mut invalid = problem("invalid-task", "Invalid task\u{1b}[2J", "one thing to correct");
    invalid["errors"] = json!([{"pointer": "/operation", "detail": "is required"}]);
    stub.on("POST /orchestrate", 422, &invalid);
    ran(&stub, &["submit", "--operation", "x", "--description", "x"])
        .failed(1, &["Invalid task<U+001B>[2J: one thing", "/operation: is required"]);
    let other = "0198c0de-0000-7000-8000-000000000009";
    ran(&stub, &["status", other]).failed(1, &["Workflow not found: there is no such workflow"]);
    stub.on_raw(&format!("GET /workflows/{ID}/status"), &[(502, "<html>bad gateway</html>"), (200, "<html>"), (302, "")]);
    ran(&stub, &["status", ID]).failed(1, &["status 502 and no explanation"]);
    ran(&stub, &["status", ID]).failed(1, &["it is not JSON"]);
    ran(&stub, &["status", ID]).failed(1, &["status 302"]);
}

#[test]
fn without_a_server_the_error_explains_how_to_start_one() {
    let stub = Stub::start();
    let url = nowhere();
    ran(&stub, &["pending", "--url", &url]).failed(5, &[&format!("no server answers at {url}"), "task dev", "PARKBRAKE_URL"]);
    assert!(stub.calls().is_empty());
}

#[test]
fn token_then_flag_then_variable_choose_the_caller() {
    let stub = Stub::start();
    ran(&stub, &["pending", "--as", "tom"]).said(&[]);
    assert_eq!(stub.last("GET").token(), "pbk_tom");
    run(parkbrake(&stub, &["pending"]).env("PARKBRAKE_AS", "second-bot")).said(&[]);
    assert_eq!(stub.last("GET").token(), "pbk_second");
    run(parkbrake(&stub, &["pending"]).env("PARKBRAKE_AS", "tom").env("PARKBRAKE_TOKEN", "pbk_mine")).said(&[]);
    assert_eq!(stub.last("GET").token(), "pbk_mine");
    assert!(!stub.last("GET").processes.contains("pbk_mine"), "a list of processes shows no token");
    let asked = stub.calls().len();

    ran(&stub, &["pending", "--as", "eve"]).failed(1, &["knows no `eve`", "alice, deploy-bot, tom, second-bot"]);
    run(parkbrake(&stub, &["pending", "--as", "tom"]).env("PARKBRAKE_TOKEN", "pbk_mine")).failed(1, &["unset it to act as `tom`"]);
    run(parkbrake(&stub, &["pending"]).env("PARKBRAKE_TOKEN", "pbk_\n1")).failed(1, &["PARKBRAKE_TOKEN contains an invalid character"]);
    ran(&stub, &["pending", "--url", "http://parkbrake.example.com"]).failed(1, &["development tokens go only to this machine"]);
    run(parkbrake(&stub, &["pending"]).env("PARKBRAKE_DEV_HOME", "/no/such/folder"))
        .failed(1, &["PARKBRAKE_TOKEN is not set", "/no/such/folder/tokens", "task dev"]);
    assert_eq!(stub.calls().len(), asked, "none of these reached the server");
}

#[test]
fn wrong_usage_is_status_2() {
    let stub = Stub::start();
    let task = ["submit", "--operation", "x", "--description", "y"];
    for args in [
        &["approve"][..],
        &["approve", "../../halt"],
        &["approve", "00001"],
        &["review", "--finding", "fine"],
        &["review", ID],
        &["review"],
        &["pending", "--sort", "size"],
        &["reject", ID],
        &["submit"],
        &["submit", "--operation", "deploy"],
        &["submit", "task.json", "--operation", "deploy"],
        &[task.as_slice(), &["--wait", "56"]].concat(),
        &[task.as_slice(), &["--cost", "NaN"]].concat(),
        &[task.as_slice(), &["--idempotency-key", "a b"]].concat(),
        &[task.as_slice(), &["--runbook", "r", "--arg", "novalue"]].concat(),
        &[task.as_slice(), &["--arg", "a=b"]].concat(),
        &["pending", "--risk-level", "huge"],
        &["pending", "--limit", "0"],
        &["frobnicate"],
    ] {
        assert_eq!(ran(&stub, args).code, Some(2), "{args:?}");
    }
    assert!(stub.calls().is_empty());
}
