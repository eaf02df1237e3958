//! Tool calls of coding agents: calls that need no approval run and are recorded, approved ones run
//! once, and nothing else runs.

use crate::quotas::with_quotas;
use crate::support::called;
use crate::support::client::events;
use crate::support::{Answer, Client, Config, TestApp};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A call with this session and id.
fn call(tool_use_id: &str, tool_name: &str, tool_input: Value) -> Value {
    json!({
        "client": "claude_code", "session_id": "session", "tool_use_id": tool_use_id, "tool_name": tool_name, "tool_input": tool_input,
        "cwd": "/srv/api", "permission_mode": "bypassPermissions"
    })
}

/// A call that needs no approval.
fn harmless(tool_use_id: &str) -> Value {
    call(tool_use_id, "Read", json!({"file_path": "/srv/api/src/main.rs"}))
}

/// A call that needs approval, with a different description each time.
fn dangerous(tool_use_id: &str) -> Value {
    let description = format!("Clean up, {tool_use_id}");
    call(tool_use_id, "Bash", json!({"command": "terraform apply -auto-approve", "description": description, "timeout": tool_use_id.len()}))
}

#[track_caller]
fn ask(client: &Client, call: Value) -> impl Future<Output = Value> {
    called(async move { client.post("/agents/tool-calls", call).await.expect(200) })
}

#[track_caller]
fn id(answer: &Value) -> String {
    answer["workflow_id"].as_str().unwrap_or_else(|| panic!("no workflow in {answer}")).to_owned()
}

#[track_caller]
fn is(answer: &Value, decision: &str, words: &str) {
    assert_eq!(answer["decision"], decision, "{answer}");
    assert!(answer["reason"].as_str().unwrap().contains(words), "{words} is not in {answer}");
}

async fn report(client: &Client, tool_use_id: &str, outcome: &str) -> Answer {
    let result = json!({"client": "claude_code", "session_id": "session", "tool_use_id": tool_use_id, "outcome": outcome});
    client.post("/agents/tool-results", result).await
}

#[track_caller]
fn approve(app: &TestApp, id: &str) -> impl Future<Output = ()> {
    called(async move {
        let answer = app.client("alice").approve(id).await.expect(200);
        assert_eq!(answer["workflow_status"], "queued", "what is approved waits for the call: {answer}");
    })
}

#[tokio::test]
async fn a_call_that_needs_nobody_is_allowed_and_recorded_and_its_result_settles_it() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let answer = ask(&bot, harmless("one")).await;
    is(&answer, "allow", "needs no approval");
    let workflow = bot.workflow(&id(&answer)).await;
    assert_eq!(workflow["status"], "executing");
    assert_eq!(workflow["task"]["action"]["args"], json!({"file_path": "/srv/api/src/main.rs"}));
    assert_eq!(workflow["description"], "Read: /srv/api/src/main.rs");
    let vias: BTreeSet<&str> = workflow["history"].as_array().unwrap().iter().map(|event| event["via"].as_str().unwrap()).collect();
    assert_eq!(vias, BTreeSet::from(["claude_code"]));

    // The answer was lost: the same call is the same workflow.
    assert_eq!(ask(&bot, harmless("one")).await, answer);
    assert_eq!(report(&bot, "one", "succeeded").await.expect(200), json!({"workflow_id": id(&answer), "status": "completed"}));
    assert_eq!(events(&bot.workflow(&id(&answer)).await), ["submitted", "execution_started", "execution_succeeded"]);
    report(&bot, "one", "failed").await.problem(409, "wrong-state");
    report(&bot, "never", "succeeded").await.problem(404, "workflow-not-found");
    report(&app.client("lone-bot"), "one", "succeeded").await.problem(404, "workflow-not-found");

    // A call that has ended is not allowed again; the next one is.
    is(&ask(&bot, harmless("one")).await, "deny", "is over");
    assert_ne!(id(&ask(&bot, harmless("two")).await), id(&answer));
}

#[tokio::test]
async fn an_approved_call_runs_once_by_the_call_that_claims_it() {
    let mut app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let parked = ask(&bot, dangerous("one")).await;
    is(&parked, "parked", "make exactly the same call again");
    assert_eq!(parked["retry_after_s"], 30);
    let waiting = id(&parked);
    assert_eq!(id(&ask(&bot, dangerous("two")).await), waiting, "the same call finds the same request");
    let mut other = dangerous("three");
    other["cwd"] = json!("/srv/web");
    assert_ne!(id(&ask(&bot, other).await), waiting, "another folder is another call");
    assert_ne!(id(&ask(&app.client("other-bot"), dangerous("one")).await), waiting, "another agent is another requester");
    let shown = app.client("cora").workflow(&waiting).await;
    assert_eq!(shown["task"]["action"]["args"]["command"], "terraform apply -auto-approve");
    assert_eq!(shown["task"]["metadata"]["tool_call"]["cwd"], "/srv/api");

    approve(&app, &waiting).await;
    // Only a call can claim it: no queue, no restart.
    app.restart().await;
    let bot = app.client("deploy-bot");
    assert_eq!(bot.workflow(&waiting).await["status"], "queued");
    let allowed = ask(&bot, dangerous("four")).await;
    is(&allowed, "allow", "approved by alice");
    assert_eq!(id(&allowed), waiting);
    // The answer was lost, and so was the server.
    app.restart().await;
    let bot = app.client("deploy-bot");
    assert_eq!(ask(&bot, dangerous("four")).await, allowed);
    // Any other call needs an approval again, before and after the result.
    let next = ask(&bot, dangerous("five")).await;
    is(&next, "parked", "has to approve it");
    assert_ne!(id(&next), waiting);
    report(&bot, "four", "failed").await.expect(200);
    let workflow = bot.workflow(&waiting).await;
    assert_eq!(events(&workflow), ["submitted", "approval_requested", "approved", "released", "execution_started", "execution_failed"]);
    is(&ask(&bot, dangerous("four")).await, "deny", "is over");
    assert_eq!(id(&ask(&bot, dangerous("six")).await), id(&next));
}

#[tokio::test]
async fn concurrent_equal_calls_make_one_request_and_its_approval_allows_one() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let ask_all = async |round: &str| join_all((0..32).map(|number| ask(&bot, dangerous(&format!("{round}-{number}"))))).await;
    let parked: BTreeSet<String> = ask_all("first").await.iter().map(id).collect();
    assert_eq!(parked.len(), 1);
    let waiting = parked.first().unwrap().clone();
    approve(&app, &waiting).await;
    let answers = ask_all("second").await;
    let allowed: Vec<_> = answers.iter().filter(|answer| answer["decision"] == "allow").collect();
    assert_eq!(allowed.len(), 1, "{answers:#?}");
    assert_eq!(id(allowed[0]), waiting);
    let next: BTreeSet<String> = answers.iter().filter(|answer| answer["decision"] == "parked").map(id).collect();
    assert_eq!((next.len(), answers.iter().filter(|answer| answer["decision"] == "parked").count()), (1, 31));
    assert!(!next.contains(&waiting));
    let begun = "select count(*) from workflow_event where kind = 'execution_started'";
    assert_eq!(app.database.count(begun).await, 1);
}

#[tokio::test]
async fn a_rejected_call_is_denied_with_the_reason_and_asks_nobody_again() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let waiting = id(&ask(&bot, dangerous("one")).await);
    app.client("alice").post(&format!("/workflows/{waiting}/reject"), json!({"reason": "Use the runbook"})).await.expect(200);
    for tool_use_id in ["one", "two"] {
        let answer = ask(&bot, dangerous(tool_use_id)).await;
        is(&answer, "deny", "rejected by alice");
        is(&answer, "deny", "Use the runbook");
        assert_eq!(id(&answer), waiting);
    }
    assert_eq!(app.database.count("select count(*) from workflow").await, 1);
    // Only that call was rejected, not every one.
    is(&ask(&bot, call("three", "Bash", json!({"command": "terraform apply"}))).await, "parked", "");
}

#[tokio::test]
async fn the_level_sets_how_long_a_rejection_is_remembered() {
    let app =
        TestApp::with(Config::new().with_policies("policies: { high: { rejected_memory: 1s }, critical: { rejected_memory: 1s } }")).await;
    let bot = app.client("deploy-bot");
    let waiting = id(&ask(&bot, dangerous("one")).await);
    app.client("alice").post(&format!("/workflows/{waiting}/reject"), json!({"reason": "Not now"})).await.expect(200);
    crate::support::eventually("people to be asked again", || async {
        let answer = ask(&bot, dangerous("again")).await;
        (answer["decision"] == "parked" && id(&answer) != waiting).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_undecided_end_is_reported_before_people_are_asked_again() {
    let app = TestApp::with(Config::new().with_policies("policies: { high: { expire_after: 1s }, critical: { expire_after: 1s } }")).await;
    let bot = app.client("deploy-bot");
    let waiting = id(&ask(&bot, dangerous("one")).await);
    bot.wait_for(&waiting, "expired").await;
    for _ in 0..2 {
        let answer = ask(&bot, dangerous("two")).await;
        is(&answer, "deny", "expired: nobody decided in time");
        assert_eq!(id(&answer), waiting);
    }
    let again = ask(&bot, dangerous("three")).await;
    is(&again, "parked", "");
    assert_ne!(id(&again), waiting);

    bot.post(&format!("/workflows/{}/cancel", id(&again)), json!({})).await.expect(200);
    is(&ask(&bot, dangerous("four")).await, "deny", "cancelled");
    is(&ask(&bot, dangerous("five")).await, "parked", "");
}

#[tokio::test]
async fn a_halt_denies_calls_and_uses_no_approval_up() {
    let app = TestApp::start().await;
    let (bot, cora) = (app.client("deploy-bot"), app.client("cora"));
    let waiting = id(&ask(&bot, dangerous("one")).await);
    approve(&app, &waiting).await;
    cora.post("/halt", json!({"reason": "Something is wrong"})).await.expect(200);
    for call in [harmless("two"), dangerous("three")] {
        let answer = ask(&bot, call).await;
        is(&answer, "deny", "Something is wrong");
        assert_eq!(answer["retry_after_s"], 30);
    }
    assert_eq!(app.database.count("select count(*) from workflow").await, 1, "nothing waits for the end of a halt");
    cora.post("/resume", json!({"reason": "It is well again"})).await.expect(200);
    is(&ask(&bot, harmless("two")).await, "allow", "");
    let allowed = ask(&bot, dangerous("four")).await;
    is(&allowed, "allow", "approved by alice");
    assert_eq!(id(&allowed), waiting);
}

#[tokio::test]
async fn an_unreported_tool_call_has_an_unknown_outcome() {
    let app = TestApp::with(Config::new().with_policies("policies: { low: { report_within: 1s } }")).await;
    let bot = app.client("deploy-bot");
    let answer = ask(&bot, harmless("one")).await;
    let workflow = bot.wait_for(&id(&answer), "outcome_unknown").await;
    assert_eq!(events(&workflow), ["submitted", "execution_started", "report_requested", "outcome_unknown"]);
    // A late report is still accepted.
    assert_eq!(report(&bot, "one", "succeeded").await.expect(200)["status"], "completed");
}

#[tokio::test]
async fn a_call_that_parks_takes_one_turn() {
    let app = with_quotas("{ submits_per_minute: 1, burst: 2 }").await;
    let bot = app.client("deploy-bot");
    let other = |id: &str| call(id, "Bash", json!({"command": format!("terraform apply -target={id}")}));
    for id in ["one", "two"] {
        is(&ask(&bot, other(id)).await, "parked", "parked");
    }
    let refused = bot.post("/agents/tool-calls", other("three")).await.problem(429, "rate-limited");
    assert!(refused["detail"].as_str().unwrap().contains("2 at once"), "{refused}");
}

#[tokio::test]
async fn one_tool_use_id_identifies_one_call() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    ask(&bot, harmless("one")).await;
    is(&ask(&bot, call("one", "Read", json!({"file_path": "/srv/api/other.rs"}))).await, "deny", "another call");
    is(&ask(&bot, dangerous("one")).await, "deny", "another call");
}

#[tokio::test]
async fn an_approver_without_the_right_at_the_time_of_the_call_allows_nothing() {
    let mut app = TestApp::start().await;
    let waiting = id(&ask(&app.client("deploy-bot"), dangerous("one")).await);
    approve(&app, &waiting).await;
    app.config = Config::new().write(
        "hitl/approval-policies.yaml",
        "people:\n  tess: { roles: [tech_lead, team_lead, cto] }\n  alice: { roles: [] }\nagents:\n  deploy-bot: {}\n",
    );
    app.restart().await;
    let answer = ask(&app.client("deploy-bot"), dangerous("two")).await;
    is(&answer, "parked", "tech_lead");
    assert_eq!(id(&answer), waiting, "the same request asks again");
}

#[tokio::test]
async fn lists_and_titles_show_no_secret_of_a_command() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let command = "curl -X DELETE -H 'Authorization: Bearer s3cr3t-value' https://api.example.com/databases/1";
    let waiting = id(&ask(&bot, call("one", "Bash", json!({ "command": command }))).await);
    let cora = app.client("cora");
    let listed = cora.get("/workflows/pending").await.expect(200);
    assert!(listed["workflows"][0]["description"].as_str().unwrap().contains("Bearer ***"), "{listed}");
    assert!(!listed.to_string().contains("s3cr3t"));
    assert_eq!(cora.workflow(&waiting).await["task"]["action"]["args"]["command"], command, "who approves sees what would run");
}

#[tokio::test]
async fn invalid_calls_are_refused() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    for (field, value, pointer) in [
        ("session_id", json!(""), "/session_id"),
        ("tool_use_id", json!("x".repeat(257)), "/tool_use_id"),
        ("tool_input", json!("ls"), "/tool_input"),
        ("client", json!("vim"), "/client"),
        ("approved", json!(true), ""),
    ] {
        let mut sent = harmless("one");
        sent[field] = value;
        let problem = bot.post("/agents/tool-calls", sent).await.problem(422, "invalid-task");
        assert!(problem["errors"][0]["pointer"].as_str().unwrap().starts_with(pointer), "{problem}");
    }
    let stranger = Client::with_token(app.addr, "pbk_nobody");
    stranger.post("/agents/tool-calls", harmless("one")).await.problem(401, "unauthenticated");
    assert_eq!(app.database.count("select count(*) from workflow").await, 0);
}
