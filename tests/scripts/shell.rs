//! `support/scripts/workflow/*.sh`.

use crate::root;
use crate::stub::{HOSTILE, ID, Ran, Stub, already_decided, nowhere, pending, problem, run, task, workflow};
use parkbrake::domain::text::{escaped, is_invisible};
use serde_json::{Value, json};
use std::process::Command;

/// A script with its arguments, from a folder outside the repository.
fn script(stub: &Stub, name: &str, args: &[&str]) -> Command {
    let mut command = stub.command("bash");
    command.arg(root().join("support/scripts/workflow").join(name)).args(args).current_dir(stub.home());
    command
}

#[track_caller]
fn ran(stub: &Stub, name: &str, args: &[&str]) -> Ran {
    run(&mut script(stub, name, args))
}

#[test]
fn approve_shows_what_would_run_and_sends_the_digest_that_it_read() {
    let stub = Stub::start();
    let shown = ran(&stub, "approve.sh", &["--workflow-id", ID, "--yes", "--justification", HOSTILE]);
    shown.said(&[
        "HIGH pending_approval 0198c0de",
        r"would run    support/runbooks/deploy.sh api 'it'\''s 1.4.2'",
        "in ., for at most 10m, never run twice",
        "with DEPLOY_TOKEN from the server's environment",
        "target       deploy api-gateway in production, code\n",
        "DIFFERS The requester called this: resource \"docs\" (it is \"api-gateway\" by the runbook)",
        "cost         $250 (as the requester says)",
        "warning resource_disagreement: the runbook says otherwise",
        "because      high deploy_production: a deploy to production",
        "requester    deploy-bot, task TASK-42",
        "claims       | Deploy api 1.4.2",
        "finding      high CVE-2026-1 old library",
        "decides      team_lead, tech_lead (0 of 1 given), with a justification",
        "then         2026-11-22T12:30:00Z escalate to cto",
        task().digest().as_str(),
        "approved by alice; the workflow is executing",
    ]);
    assert_eq!(stub.called(), [format!("GET /workflows/{ID}/status"), format!("POST /workflows/{ID}/approve")]);
    let call = stub.last("POST");
    assert_eq!(call.json(), json!({"digest": task().digest(), "justification": HOSTILE}));
    assert_eq!((call.token(), call.header("content-type")), ("pbk_alice", "application/json"));

    ran(&stub, "approve.sh", &["--workflow-id", ID, "--yes"]).said(&["approved"]);
    assert_eq!(stub.last("POST").json(), json!({"digest": task().digest()}));
    let from_environment = run(script(&stub, "approve.sh", &["--yes"]).env("WORKFLOW_ID", ID).env("JUSTIFICATION", HOSTILE));
    from_environment.said(&["approved"]);
    assert_eq!(stub.last("POST").json()["justification"], HOSTILE);
    assert!(!stub.home().join("pwned").exists());
}

#[test]
fn without_a_terminal_approval_needs_explicit_flags() {
    let stub = Stub::start();
    let approve = |args: &[&str]| ran(&stub, "approve.sh", &[&["--workflow-id", ID], args].concat());
    approve(&[]).failed(2, &["nobody can be asked here, so nothing was approved", "--yes"]);
    approve(&["--yes", "--digest", "sha256:abc"]).failed(1, &["not the given one: nothing was approved"]);
    let mut critical = workflow("pending_approval", 2);
    critical["workflow"]["risk_level"] = "critical".into();
    critical["workflow"]["target"]["resource"] = format!(" {HOSTILE} ").into();
    stub.on(&format!("GET /workflows/{ID}/status"), 200, &critical);
    let target = escaped(HOSTILE);
    approve(&["--yes"]).failed(2, &["critical", "--confirm", &target]);
    approve(&["--confirm", &target]).failed(2, &["--yes"]);
    approve(&["--yes", "--confirm", "docs"]).failed(1, &["nothing was approved"]);
    assert!(stub.called().iter().all(|what| what.starts_with("GET")), "{:?}", stub.called());
    approve(&["--yes", "--confirm", &target]).said(&["approved by alice"]);
    approve(&["--yes", "--digest", task().digest().as_str()]).said(&["approved by alice"]);
    run(script(&stub, "approve.sh", &["--workflow-id", ID, "--yes"]).env("CONFIRM", &target)).said(&["approved by alice"]);
}

#[test]
fn the_script_and_the_command_show_the_same() {
    let stub = Stub::start();
    let mut done = workflow("completed", 5);
    let about = &mut done["workflow"];
    about["task"]["description"] = HOSTILE.into();
    about["decisions"] = json!([{"approver": "alice", "role": "team_lead", "verdict": "approved", "justification": HOSTILE, "at": "2026"}]);
    about["execution"] = json!({"attempts": [{"n": 1, "started_at": "a", "finished_at": "b", "outcome": "failed", "error": HOSTILE,
        "output": {"stderr": "", "stdout": "one\r\ntwo\n"}}]});
    about["quarantine"] = json!({"since": "2026", "reason": HOSTILE, "failures": 3});
    about["history"][0]["detail"] = json!({"digest": "sha256:00", "task_id": HOSTILE});
    about["history"][1]["detail"] = json!({"to": ["cto", HOSTILE], "level": 1});
    about["history"][2]["detail"] = json!({"justification": HOSTILE, "remaining": 0});
    about["history"][3]["detail"] = HOSTILE.into();
    stub.on(&format!("GET /workflows/{ID}/status"), 200, &done);
    let script = ran(&stub, "status.sh", &["--workflow-id", ID]);
    let command = run(stub.command(env!("CARGO_BIN_EXE_parkbrake")).args(["status", ID]));
    // Only one of the two aligns the history's numbers in a column.
    let lines = |ran: &Ran| ran.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>();
    assert_eq!(lines(&script), lines(&command));
}

#[test]
fn list_pending_follows_the_cursor() {
    let stub = Stub::start();
    let page = |n: u8, next: Value| {
        json!({"success": true, "next_cursor": next, "workflows": [pending(&format!("0198c0de-0000-7000-8000-00000000000{n}"), HOSTILE)]})
            .to_string()
    };
    stub.on_raw("GET /workflows/pending", &[(200, &page(1, "a/b+c&d".into())), (200, &page(2, Value::Null))]);
    let shown = ran(&stub, "list-pending.sh", &["--mine", "--risk-level", "high", "--role", "a b&c"]);
    shown.said(&[
        "HIGH 0198c0de-0000-7000-8000-000000000001",
        "000000000002",
        "<U+202E><U+001B>[2J\n               | second line<U+0009>tab",
        "waiting: 2",
    ]);
    let queries: Vec<String> = stub.calls().into_iter().map(|call| call.query).collect();
    assert_eq!(queries[0], "limit=500&mine=true&risk_level=high&role=a%20b%26c");
    assert_eq!(queries[1], format!("{}&cursor=a%2Fb%2Bc%26d", queries[0]));

    stub.on("GET /workflows/pending", 200, &json!({"success": true, "workflows": [], "next_cursor": null}));
    ran(&stub, "list-pending.sh", &[]).said(&["nothing waits for a human"]);
}

#[test]
fn invisible_characters_are_escaped_as_in_the_domain() {
    let stub = Stub::start();
    // Every character at which hiding begins or ends, and the one before it.
    let edges = ('\u{1}'..=char::MAX).zip('\u{2}'..=char::MAX).filter(|(one, next)| is_invisible(*one) != is_invisible(*next));
    let edges = edges.flat_map(|(one, next)| [one, next]);
    let looked_at = (0x01..0x500_u32).chain(0x1F600..0x1F650).filter_map(char::from_u32).chain(edges);
    let all: String = looked_at.filter(|character| !matches!(character, '\n' | '\r')).collect();
    stub.on("GET /workflows/pending", 200, &json!({"workflows": [pending(ID, &all)], "next_cursor": null}));
    let shown = ran(&stub, "list-pending.sh", &[]);
    let line = shown.out.lines().find_map(|line| line.strip_prefix("  claims       | ")).expect("the claim");
    assert!(line == escaped(&all), "lib.jq and src/domain/text.rs disagree about what is shown");
}

#[test]
fn reject_and_status_send_requests_and_show_answers() {
    let stub = Stub::start();
    ran(&stub, "reject.sh", &["--workflow-id", ID, "--reason", HOSTILE]).said(&["rejected by alice; it will not run"]);
    assert_eq!(stub.last("POST").json(), json!({"reason": HOSTILE}));
    run(script(&stub, "reject.sh", &[]).env("WORKFLOW_ID", ID).env("REASON", "no")).said(&["rejected"]);
    assert_eq!(stub.last("POST").json(), json!({"reason": "no"}));
    ran(&stub, "status.sh", &["--workflow-id", ID]).said(&["2026-11-22T12:00:01Z  approval_requested by deploy-bot via rest"]);
}

#[test]
fn a_refusal_gives_its_reason_and_fails() {
    let stub = Stub::start();
    stub.on(&format!("POST /workflows/{ID}/approve"), 409, &already_decided());
    ran(&stub, "approve.sh", &["--workflow-id", ID, "--yes"]).failed(
        3,
        &[
            "Already decided: the request was rejected by tom already",
            "the decision that won: rejected by tom (tech_lead)",
            "not on a Friday",
        ],
    );
    let mut invalid = problem("invalid-task", "Invalid\u{1b}[2J", "a thing");
    invalid["errors"] = json!([{"pointer": "/reason", "detail": "is too long"}]);
    stub.on(&format!("POST /workflows/{ID}/reject"), 422, &invalid);
    ran(&stub, "reject.sh", &["--workflow-id", ID, "--reason", "x"]).failed(1, &["Invalid<U+001B>[2J: a thing", "/reason: is too long"]);
    stub.on_raw(&format!("GET /workflows/{ID}/status"), &[(502, "<html>"), (200, "<html>"), (302, ""), (200, "[]")]);
    ran(&stub, "status.sh", &["--workflow-id", ID]).failed(1, &["status 502 and no explanation"]);
    ran(&stub, "approve.sh", &["--workflow-id", ID]).failed(1, &["does not come from parkbrake"]);
    ran(&stub, "status.sh", &["--workflow-id", ID]).failed(1, &["status 302"]);
    ran(&stub, "status.sh", &["--workflow-id", ID]).failed(1, &["does not come from parkbrake"]);
}

#[test]
fn nothing_is_approved_that_could_not_be_shown() {
    let stub = Stub::start();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let unseen = run(script(&stub, "approve.sh", &["--workflow-id", ID]).stdout(writer));
    unseen.failed(1, &["nothing was approved, because it could not be shown"]);
    assert_eq!(stub.called(), [format!("GET /workflows/{ID}/status")]);
}

#[test]
fn without_a_server_the_error_explains_how_to_start_one() {
    let stub = Stub::start();
    let url = nowhere();
    for (name, args) in [("list-pending.sh", &[][..]), ("status.sh", &["--workflow-id", ID]), ("approve.sh", &["--workflow-id", ID])] {
        run(script(&stub, name, args).env("PARKBRAKE_URL", &url)).failed(5, &[&format!("no server answers at {url}"), "task dev"]);
    }
}

#[test]
fn the_token_is_found_by_the_rule_and_shown_to_nobody() {
    let stub = Stub::start();
    let list = || script(&stub, "list-pending.sh", &[]);
    run(list().env("PARKBRAKE_TOKEN", "pbk_in-no-list")).said(&[]);
    assert_eq!(stub.last("GET").token(), "pbk_in-no-list");
    let processes = stub.last("GET").processes;
    assert!(processes.contains("curl --disable") && !processes.contains("pbk_in-no-list"), "{processes}");
    run(list().env("PARKBRAKE_AS", "tom")).said(&[]);
    assert_eq!(stub.last("GET").token(), "pbk_tom");
    let asked = stub.calls().len();

    run(list().env("PARKBRAKE_TOKEN", "pbk_\"\nurl = x")).failed(1, &["PARKBRAKE_TOKEN contains an invalid character"]);
    run(list().env("PARKBRAKE_AS", "eve")).failed(1, &["has no token for eve"]);
    run(list().env("PARKBRAKE_DEV_HOME", "/no/such")).failed(1, &["PARKBRAKE_TOKEN is not set", "/no/such/tokens", "task dev"]);
    for url in ["http://parkbrake.example.com", "http://127.0.0.1.example.com"] {
        run(list().env("PARKBRAKE_URL", url)).failed(1, &["development tokens go only to this machine"]);
    }
    for url in ["file:///etc/passwd", "http://user@example.com", "-o/tmp/x", "http://127.0.0.1/\\@example.com", "http://a/?b"] {
        run(list().env("PARKBRAKE_URL", url)).failed(1, &["the server's address has to be something like"]);
    }
    assert_eq!(stub.calls().len(), asked, "none of these reached the server");
}

#[test]
fn remote_takes_the_other_address() {
    let (stub, remote) = (Stub::start(), Stub::start());
    let list = |args: &[&str]| {
        let mut command = script(&stub, "list-pending.sh", args);
        command.env("PARKBRAKE_REMOTE_URL", format!("{}/", remote.url));
        command
    };
    run(&mut list(&["--remote"])).said(&["waiting: 1"]);
    run(list(&[]).env("REMOTE", "true")).said(&["waiting: 1"]);
    assert_eq!((stub.calls().len(), remote.calls().len()), (0, 2));
    run(list(&[]).env("REMOTE", "false")).said(&["waiting: 1"]);
    assert_eq!((stub.calls().len(), remote.calls().len()), (1, 2));
    run(list(&[]).env("REMOTE", "perhaps")).failed(2, &["REMOTE has to be true or false"]);
    ran(&stub, "list-pending.sh", &["--remote"]).failed(1, &["set PARKBRAKE_REMOTE_URL"]);
}

#[test]
fn wrong_usage_is_status_2_and_reaches_nobody() {
    let stub = Stub::start();
    for (name, args) in [
        ("approve.sh", &[][..]),
        ("approve.sh", &["--workflow-id"]),
        ("approve.sh", &["--workflow-id", "../../halt"]),
        ("approve.sh", &["--workflow-id", &format!("{ID}\n")]),
        ("status.sh", &["--workflow-id", "$(touch pwned)"]),
        ("reject.sh", &["--workflow-id", ID]),
        ("list-pending.sh", &["--frobnicate"]),
    ] {
        ran(&stub, name, args).failed(2, &["usage: "]);
    }
    assert!(stub.calls().is_empty() && !stub.home().join("pwned").exists());
}

#[test]
fn a_program_that_is_missing_is_named() {
    let stub = Stub::start();
    let bin = stub.home().join("bin");
    std::fs::create_dir(&bin).unwrap();
    for program in ["bash", "dirname", "curl"] {
        let found = std::env::split_paths(&std::env::var_os("PATH").unwrap()).map(|folder| folder.join(program)).find(|path| path.exists());
        std::os::unix::fs::symlink(found.unwrap(), bin.join(program)).unwrap();
    }
    run(script(&stub, "list-pending.sh", &[]).env("PATH", &bin)).failed(1, &["jq is missing", "apt-get install jq", "brew install jq"]);
}

/// The labels of a request as it is shown: the words at the beginning of its lines.
fn labels(shown: &str) -> Vec<String> {
    let lines = shown.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
    lines.map(|line| line.split("  ").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn the_documented_request_has_the_labels_that_are_shown() {
    let page = std::fs::read_to_string(root().join("support/docs/INBOX.md")).expect("the page");
    let (_, rest) = page.split_once("```text\nHIGH ").expect("an example");
    let documented = labels(rest.split_once("```").expect("its end").0);
    assert!(documented.len() > 8, "{documented:?}");
    let stub = Stub::start();
    let shown = ran(&stub, "approve.sh", &["--workflow-id", ID, "--yes"]);
    let actual = labels(&format!("{}{}", shown.out, shown.err));
    let mut following = actual.iter();
    for label in &documented {
        assert!(following.any(|shown| shown == label), "`{label}` is not shown, or not in this order: {actual:?}");
    }
}
