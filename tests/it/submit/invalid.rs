//! Refused bodies: each answer says what is wrong, nothing is stored, and nobody is harmed.

use super::{RUNBOOKS, high_with, rows};
use crate::support::client::high;
use crate::support::{Config, TestApp};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

/// A refused body: its bytes, the answer, and the position that it names.
struct Bad(&'static str, Vec<u8>, u16, &'static str, Option<&'static str>);

fn bad_bodies() -> Vec<Bad> {
    let malformed = |what, body: &[u8]| Bad(what, body.to_vec(), 400, "malformed-json", None);
    let invalid = |what, pointer, body: Value| Bad(what, body.to_string().into_bytes(), 422, "invalid-task", Some(pointer));
    let inside = |what, field: &str, value: &str| malformed(what, high_text(field, value).as_bytes());
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let runbook = |action: Value| high_with("action", action);
    vec![
        malformed("cut off", br#"{"description": "d", "operation"#),
        malformed("two bodies", br#"{"description": "d", "operation": "read"} {}"#),
        malformed("a comma too many", br#"{"description": "d", "operation": "read",}"#),
        malformed("single quotes", b"{'description': 'd'}"),
        malformed("a byte order mark", b"\xef\xbb\xbf{\"description\": \"d\", \"operation\": \"read\"}"),
        malformed("not UTF-8", b"{\"description\": \"\xff\xfe\", \"operation\": \"read\"}"),
        malformed("half a surrogate pair", br#"{"description": "\ud800", "operation": "read"}"#),
        malformed("a key twice", br#"{"description": "d", "operation": "read", "operation": "delete"}"#),
        malformed("a key twice, spelled differently", br#"{"description": "d", "operation": "read", "\u006fperation": "delete"}"#),
        inside("a key twice, further down", "metadata", r#"{"a": {"b": 1, "b": 2}}"#),
        inside("nested too deeply", "metadata", &format!(r#"{{"a": {}}}"#, nested(31))),
        inside("nested absurdly", "metadata", &format!(r#"{{"a": {}}}"#, nested(10_000))),
        inside("a number that no double holds", "estimated_cost", "1e999"),
        inside("a whole number beyond 2^53", "metadata", r#"{"n": 9007199254740993}"#),
        inside("a negative one beyond 2^53", "metadata", r#"{"n": -9007199254740993}"#),
        inside("one beyond 2^64", "metadata", r#"{"n": 18446744073709551617}"#),
        inside("not a number", "estimated_cost", "NaN"),
        Bad("no object", b"[]".to_vec(), 422, "invalid-task", Some("")),
        Bad("a list in place of an object", br#"["T", "d", "read"]"#.to_vec(), 422, "invalid-task", Some("")),
        Bad("null", b"null".to_vec(), 422, "invalid-task", Some("")),
        Bad("text", b"\"read\"".to_vec(), 422, "invalid-task", Some("")),
        Bad("nothing", b"{}".to_vec(), 422, "invalid-task", Some("")),
        Bad("no bytes", Vec::new(), 422, "invalid-task", Some("")),
        invalid("no operation", "", json!({"description": "d"})),
        invalid("NUL in a text", "/description", high_with("description", json!("a\0b"))),
        invalid("NUL further down", "/metadata/a~1b/1", high_with("metadata", json!({"a/b": ["x", "\0"]}))),
        invalid("NUL in a key", "/metadata/k\\u0000", high_with("metadata", json!({"k\0": 1}))),
        invalid("an empty description", "/description", high_with("description", json!(""))),
        invalid("a blank description", "/description", high_with("description", json!(" \n "))),
        invalid("an empty operation", "/operation", high_with("operation", json!(""))),
        invalid("an empty environment", "/environment", high_with("environment", json!(""))),
        invalid("an empty resource", "/resource", high_with("resource", json!(" "))),
        invalid("an empty kind of resource", "/resource_type", high_with("resource_type", json!(""))),
        invalid("an empty task id", "/task_id", high_with("task_id", json!(""))),
        invalid("a long task id", "/task_id", high_with("task_id", json!("x".repeat(129)))),
        invalid("a negative cost", "/estimated_cost", high_with("estimated_cost", json!(-0.01))),
        invalid("an absurd cost", "/estimated_cost", high_with("estimated_cost", json!(1.0e13))),
        invalid("a cost in words", "/estimated_cost", high_with("estimated_cost", json!("a lot"))),
        invalid("a description that is a number", "/description", high_with("description", json!(5))),
        invalid("an operation that is null", "/operation", high_with("operation", json!(null))),
        invalid("an operation that is a list", "/operation", high_with("operation", json!(["read"]))),
        invalid("metadata that is a list", "/metadata", high_with("metadata", json!([]))),
        invalid("findings that are an object", "/security_findings", high_with("security_findings", json!({}))),
        invalid("a finding that is a text", "/security_findings/0", high_with("security_findings", json!(["high"]))),
        invalid("a finding that is a list", "/security_findings/1", high_with("security_findings", json!([{"severity": "low"}, ["low"]]))),
        invalid("a finding without severity", "/security_findings/0", high_with("security_findings", json!([{"id": "CVE-1"}]))),
        invalid("an empty severity", "/security_findings/0/severity", high_with("security_findings", json!([{"severity": ""}]))),
        invalid("an unknown field", "/approved", high_with("approved", json!(true))),
        invalid(
            "an unknown field of a finding",
            "/security_findings/0/cvss",
            high_with("security_findings", json!([{"severity": "low", "cvss": 9}])),
        ),
        invalid("an unknown field of the action", "/action/shell", runbook(json!({"type": "external", "shell": "rm"}))),
        invalid(
            "what would run, smuggled in",
            "/action/runs",
            runbook(
                json!({"type": "external", "runs": {"command": ["rm", "-rf", "/"], "working_dir": "/", "timeout": "1s", "idempotent": true}}),
            ),
        ),
        invalid("a level, smuggled in", "/risk_level", high_with("risk_level", json!("low"))),
        invalid("a requester, smuggled in", "/requested_by", high_with("requested_by", json!("alice"))),
        invalid("an action that is a text", "/action", runbook(json!("show"))),
        invalid("an action that is a list", "/action", runbook(json!(["runbook", "show", {"what": "logs"}]))),
        invalid("an unknown kind of action", "/action/type", runbook(json!({"type": "shell"}))),
        invalid("an unknown webhook", "/action/name", runbook(json!({"type": "webhook", "name": "cd"}))),
        invalid(
            "a call, smuggled in",
            "/action/calls",
            runbook(json!({"type": "webhook", "name": "ci", "calls": {"url": "https://evil.example"}})),
        ),
        invalid("an unknown runbook", "/action/name", runbook(json!({"type": "runbook", "name": "shown"}))),
        invalid("a runbook without a name", "/action/name", runbook(json!({"type": "runbook"}))),
        invalid("a missing argument", "/action/args/what", runbook(json!({"type": "runbook", "name": "show"}))),
        invalid(
            "an argument too many",
            "/action/args/whose",
            runbook(json!({"type": "runbook", "name": "show", "args": {"what": "a", "whose": "b"}})),
        ),
        invalid(
            "an argument that does not fit",
            "/action/args/what",
            runbook(json!({"type": "runbook", "name": "show", "args": {"what": "a;b"}})),
        ),
        invalid(
            "an argument that is a list",
            "/action/args/what",
            runbook(json!({"type": "runbook", "name": "show", "args": {"what": ["a"]}})),
        ),
        invalid("arguments that are a list", "/action/args", runbook(json!({"type": "runbook", "name": "show", "args": ["a"]}))),
        Bad(
            "300 KiB",
            high_with("metadata", json!({"x": "x".repeat(300 * 1024)})).to_string().into_bytes(),
            413,
            "payload-too-large",
            None,
        ),
    ]
}

/// A valid task with a field whose value is this text.
pub(super) fn high_text(field: &str, value: &str) -> String {
    let text = high().to_string();
    format!("{}, \"{field}\": {value}}}", text.strip_suffix('}').unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn invalid_bodies_are_named_stored_nowhere_and_harm_no_other() {
    let app = TestApp::with(Config::new().with_runbooks(RUNBOOKS)).await;
    let (bot, other) = (app.client("deploy-bot"), app.client("other-bot"));
    let bad = bad_bodies();
    let refused = join_all(bad.iter().enumerate().map(|(turn, Bad(what, body, status, code, pointer))| {
        let bot = &bot;
        async move {
            let answer = bot.submit_bytes("application/json", body.clone(), Some(&format!("bad-{turn}"))).await;
            if (answer.status.as_u16(), answer.body["code"].as_str()) != (*status, Some(*code)) {
                return Some(format!("{what}: {}", answer.text));
            }
            let problem = answer.problem(*status, code);
            let named = problem["errors"].as_array().into_iter().flatten().any(|error| error["pointer"].as_str() == *pointer);
            (pointer.is_some() && !named).then(|| format!("{what}: {problem}"))
        }
    }));
    let tasks: Vec<_> = (0..50).map(|turn| high_with("task_id", json!(format!("good-{turn}")))).collect();
    let taken = join_all(tasks.iter().enumerate().map(|(turn, task)| {
        let other = &other;
        async move { other.submit_with_key(&format!("good-{turn}"), task).await }
    }));
    let (refused, taken) = tokio::join!(refused, taken);
    let wrong: Vec<_> = refused.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (task, answer) in tasks.iter().zip(taken) {
        assert_eq!(answer.expect(202)["task_id"], task["task_id"]);
    }
    assert_eq!(rows(&app).await, [50, 100, 50, 50, 50], "only what was taken is stored");
}

#[tokio::test]
async fn a_body_that_is_not_declared_as_json_is_not_read() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "", "text/json", "multipart/form-data; boundary=x"] {
        bot.submit_bytes(content_type, high().to_string(), None).await.problem(415, "unsupported-media-type");
    }
    let undeclared = bot.request(Method::POST, "/orchestrate").body(high().to_string());
    bot.send(undeclared).await.problem(415, "unsupported-media-type");
    assert_eq!(rows(&app).await, [0; 5]);
    bot.submit_bytes("application/vnd.parkbrake+json", high().to_string(), None).await.expect(202);
}

#[tokio::test]
async fn a_body_of_many_megabytes_is_refused_as_too_large() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    for _ in 0..5 {
        bot.submit_bytes("application/json", vec![b' '; 8 * 1024 * 1024], None).await.problem(413, "payload-too-large");
    }
    bot.submit(high()).await;
}
