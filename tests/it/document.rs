//! The OpenAPI document (`/openapi.json`): it lists exactly what is served, and its examples are
//! true.

use crate::support::client::{high, low, medium};
use crate::support::contract;
use crate::support::hook::Hook;
use crate::support::{Browser, Client, Config, TestApp, eventually};
use parkbrake::http::problem::Code;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The runbooks in the examples, each as a command that every machine has.
const RUNBOOKS: &str = r#"runbooks:
  disk-usage: { operation: read, environment: development, resource_type: infrastructure, command: [/bin/df], timeout: 10s }
  deploy-service:
    operation: deploy
    environment: production
    resource: "{{ service }}"
    command: [/bin/echo, "{{ service }}", "{{ version }}"]
    args: { service: { pattern: "[a-z][a-z0-9-]{0,62}" }, version: { pattern: "[0-9A-Za-z.]{1,64}" } }
"#;

/// An id that no workflow has.
const NOBODY: &str = "01a20384-45a7-7747-9e89-69e0d434c734";

/// Every call of the document: method, path and description.
fn calls() -> Vec<(Method, &'static str, &'static Value)> {
    let paths = contract::document()["paths"].as_object().expect("paths");
    let calls =
        paths.iter().flat_map(|(path, item)| item.as_object().expect("calls").iter().map(move |(method, call)| (method, path, call)));
    calls.map(|(method, path, call)| (method.to_uppercase().parse().expect("a method"), path.as_str(), call)).collect()
}

#[tokio::test]
async fn the_document_is_served_without_a_token_and_shown_to_people() {
    let app = TestApp::start().await;
    let stranger = Client::with_token(app.addr, "pbk_nobody");
    let served = stranger.get("/openapi.json").await.expect(200);
    assert_eq!(served["openapi"], "3.1.0");
    assert_eq!(&served, parkbrake::app::description().value());
    assert!(Browser::new(app.addr).get("/docs").await.location().starts_with("/sign-in"));
    let page = Browser::of(app.addr, "alice").await.get("/docs").await.expect(200);
    for (_, path, call) in calls() {
        page.has(&path.replace('/', "&#x2f;")).has(&call["summary"].as_str().expect("a summary").replace('\'', "&#x27;"));
    }
}

#[tokio::test]
async fn every_call_of_the_document_is_served_and_every_other_method_refused() {
    let app = TestApp::start().await;
    let client = app.client("nora");
    let paths: BTreeSet<&str> = calls().into_iter().map(|(_, path, _)| path).collect();
    for path in paths {
        let address = path.replace("{id}", NOBODY);
        let described: BTreeSet<String> = calls().iter().filter(|call| call.1 == path).map(|call| call.0.to_string()).collect();
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            // Streams do not end on their own.
            if method == Method::GET && path == "/events" {
                continue;
            }
            let answer = client.send(client.request(method.clone(), &address)).await;
            if described.contains(method.as_str()) {
                let unserved = answer.body["detail"] == "nothing is served at this path";
                assert!(answer.status != StatusCode::METHOD_NOT_ALLOWED && !unserved, "{method} {path} is not served: {}", answer.body);
            } else {
                assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path} is served, and not described");
                let allowed: BTreeSet<String> =
                    answer.headers["allow"].to_str().expect("text").split(',').filter(|one| *one != "HEAD").map(str::to_owned).collect();
                assert_eq!(allowed, described, "{path}");
            }
        }
    }
}

#[test]
fn every_call_is_described_and_every_code_is_documented() {
    let mut said = BTreeSet::new();
    for (method, path, call) in calls() {
        for field in ["summary", "description", "operationId"] {
            assert!(call[field].as_str().is_some_and(|text| !text.is_empty()), "{method} {path} has no {field}");
        }
        assert_eq!(call["tags"].as_array().map(Vec::len), Some(1), "{method} {path} belongs to one part");
        for parameter in call["parameters"].as_array().into_iter().flatten() {
            assert!(parameter["description"].is_string(), "{} of {method} {path} is not described", parameter["name"]);
        }
        let problems =
            call["responses"].as_object().expect("answers").values().map(|answer| &answer["content"]["application/problem+json"]);
        for problem in problems {
            said.extend(problem["examples"].as_object().into_iter().flat_map(|examples| examples.keys().cloned()));
        }
    }
    // Only a session can be too old, and no call that changes something accepts one.
    assert!(!said.contains("sign-in-again"));
    said.insert("sign-in-again".to_owned());
    let all: BTreeSet<String> = Code::ALL.into_iter().map(|code| code.facts().1.to_owned()).collect();
    // A status of plain HTTP has no code.
    assert!(said.remove("about-blank"));
    assert_eq!(said, all);
    let ids: BTreeSet<&str> = calls().iter().map(|(_, _, call)| call["operationId"].as_str().expect("an id")).collect();
    assert_eq!(ids.len(), calls().len(), "two calls have the same operationId");
}

#[tokio::test]
async fn the_answer_to_a_task_leads_on_to_every_call_about_its_workflow() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let submitted = bot.submit(high()).await;
    let links = contract::document()["paths"]["/orchestrate"]["post"]["responses"]["202"]["links"].as_object().expect("links");
    let mut led_to = BTreeSet::new();
    for link in links.values() {
        let named = |call: &(Method, &str, &Value)| call.2["operationId"] == link["operationId"];
        let (method, path, call) = calls().into_iter().find(named).expect("the call that a link names");
        let pointer = link["parameters"]["id"].as_str().and_then(|text| text.strip_prefix("$response.body#")).expect("a pointer");
        let id = submitted.pointer(pointer).and_then(Value::as_str).expect("an id in the answer");
        if method == Method::GET && call["tags"][0] != "Streams" {
            let answer = bot.get(&path.replace("{id}", id)).await.expect(200);
            assert_eq!(answer.get("workflow").unwrap_or(&answer)["workflow_id"], id, "{path}");
        }
        led_to.insert(path);
    }
    let about: BTreeSet<&str> = calls().into_iter().map(|call| call.1).filter(|path| path.starts_with("/workflows/{id}")).collect();
    assert_eq!(led_to, about);
}

/// The examples in some content: the description and the value of each.
fn examples(content: &Value) -> Vec<&Value> {
    let named = content["examples"].as_object().into_iter().flat_map(|examples| examples.values().map(|one| &one["value"]));
    content.get("example").into_iter().chain(named).collect()
}

#[test]
fn every_example_of_an_answer_is_of_its_schema() {
    let mut looked_at = 0;
    for (method, path, call) in calls() {
        for (status, answer) in call["responses"].as_object().expect("answers") {
            for (media_type, content) in answer["content"].as_object().into_iter().flatten() {
                assert!(path == "/openapi.json" || !examples(content).is_empty(), "{method} {path} {status} has no example");
                for example in examples(content).into_iter().filter(|_| media_type.ends_with("json")) {
                    looked_at += 1;
                    let faults =
                        contract::misfits(&format!("the example of {method} {path} {status} as {media_type}"), &content["schema"], example);
                    assert!(faults.is_empty(), "{}", faults.join("\n"));
                }
            }
        }
    }
    assert!(looked_at > 100, "only {looked_at} examples were found");
}

#[tokio::test]
async fn every_example_of_a_body_is_taken() {
    let hook = Hook::start().await;
    let shipped = |name: &str| std::fs::read_to_string(std::path::Path::new("config").join(name)).expect("a file");
    let channels = format!(
        "public_url: https://parkbrake.example.com/\nchannels:\n{}routes: [ {{ levels: [high], channels: [audit] }} ]\n",
        hook.channel("audit")
    );
    let config = Config::new()
        .with_policies("policies: { low: { report_within: 1s }, medium: { break_glass: [tech_lead] }, high: { required: 2 } }")
        .with_runbooks(RUNBOOKS)
        .write("playbooks.yaml", &shipped("playbooks.yaml"))
        .write("notifications.yaml", &channels);
    let app = TestApp::with(config).await;
    let (bot, lone, alice) = (app.client("deploy-bot"), app.client("lone-bot"), app.client("alice"));
    let (tess, cora) = (app.client("tess"), app.client("cora"));
    let mut taken = 0;
    for (method, path, call) in calls() {
        let Some(content) = call["requestBody"]["content"].get("application/json") else { continue };
        // GitHub writes and signs this one; the tests in `github` send it.
        if path == "/github/deployment-protection-rule" {
            continue;
        }
        assert!(!examples(content).is_empty(), "{method} {path} has no example of its body");
        for example in examples(content) {
            let name = format!("the example of the body of {method} {path}");
            let faults = contract::misfits(&name, &content["schema"], example);
            assert!(faults.is_empty(), "{}", faults.join("\n"));
            let mut body = example.clone();
            let grant = || {
                json!({"requester": "deploy-bot", "operation": "build", "environment": "development", "resource_type": "code",
                "action": {"type": "external"}, "level": "medium", "expires_in": "2h", "justification": "The release of OPS-12"})
            };
            let (who, id) = match call["operationId"].as_str().expect("an id") {
                "approve" | "reject" => {
                    let submitted = bot.submit(high()).await;
                    if body["digest"].is_string() {
                        body["digest"] = submitted["digest"].clone();
                    }
                    (&alice, submitted["workflow_id"].clone())
                }
                "withdraw" => {
                    let id = bot.submit_id(high()).await;
                    alice.approve(&id).await.expect(200);
                    (&alice, json!(id))
                }
                "verify_plan" => (&bot, json!(bot.submit_id(high()).await)),
                "comment" => (&alice, json!(bot.submit_id(high()).await)),
                "cancel" => (&bot, json!(bot.submit_id(high()).await)),
                "report_result" => (&bot, json!(bot.submit_id(low()).await)),
                "resolve" => {
                    let id = bot.submit_id(low()).await;
                    bot.wait_for(&id, "outcome_unknown").await;
                    (&cora, json!(id))
                }
                "resend_notice" => {
                    let id = bot.submit_id(high()).await;
                    let notice = eventually("a notice that was delivered", || async {
                        let notices = cora.get(&format!("/notices?workflow_id={id}&status=delivered")).await.expect(200);
                        notices["notices"][0]["notice_id"].as_str().map(str::to_owned)
                    });
                    (&cora, json!(notice.await))
                }
                "halt" | "resume" => (&cora, json!("")),
                "make_sign_in_link" => (&alice, json!("")),
                "give_grant" => (&alice, json!("")),
                "revoke_grant" => (&alice, alice.post("/grants", grant()).await.expect(201)["grant"]["grant_id"].clone()),
                "close_review" => {
                    let parked = lone.submit(medium()).await;
                    let broken = json!({"break_glass": true, "digest": parked["digest"], "justification": "INC-7"});
                    tess.post(&format!("/workflows/{}/approve", parked["workflow_id"].as_str().expect("an id")), broken).await.expect(200);
                    (&cora, parked["workflow_id"].clone())
                }
                _ => (&bot, json!("")),
            };
            let path = path.replace("{id}", id.as_str().expect("an id"));
            let answer =
                who.send(who.request(method.clone(), &path).header("accept", "application/json, text/event-stream").json(&body)).await;
            assert!(answer.status.is_success(), "{name} was refused: {}", answer.body);
            taken += 1;
        }
    }
    assert!(taken >= 10, "only {taken} bodies were found");
}
