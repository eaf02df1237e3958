//! The Model Context Protocol: three revisions, and six tools, none of which decides; and the same
//! over standard input and output.

use crate::support::called;
use crate::support::client::{high, low, token};
use crate::support::{Answer, Client, Config, TestApp};
use reqwest::Method;
use serde_json::{Value, json};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

const NEWEST: &str = "2026-07-28";
const REVISIONS: [&str; 3] = [NEWEST, "2025-11-25", "2025-06-18"];

impl Client {
    /// One message of a revision, with the headers that the transport adds.
    #[track_caller]
    fn message(&self, revision: &str, mut message: Value, capabilities: Value) -> impl Future<Output = Answer> {
        called(async move {
            let mut call = self.request(Method::POST, "/mcp").header("accept", "application/json, text/event-stream");
            if revision == NEWEST {
                message["params"]["_meta"] = json!({
                    "io.modelcontextprotocol/protocolVersion": revision,
                    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
                    "io.modelcontextprotocol/clientCapabilities": capabilities,
                });
                call = call.header("mcp-method", message["method"].as_str().unwrap());
                if let Some(name) = message["params"]["name"].as_str() {
                    call = call.header("mcp-name", name);
                }
            }
            self.send(call.header("mcp-protocol-version", revision).json(&message)).await
        })
    }

    /// A call of a tool; the raw result.
    #[track_caller]
    fn tool(&self, revision: &str, name: &str, arguments: Value) -> impl Future<Output = Value> {
        called(async move {
            let message = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": name, "arguments": arguments}});
            let answer = self.message(revision, message, json!({})).await.expect(200);
            assert_eq!(answer["id"], 7, "{answer}");
            assert!(answer["error"].is_null(), "{answer}");
            answer["result"].clone()
        })
    }

    /// The result of a successful tool call.
    #[track_caller]
    fn told(&self, name: &str, arguments: Value) -> impl Future<Output = Value> {
        called(async move {
            let result = self.tool(NEWEST, name, arguments).await;
            assert_eq!(result["isError"], false, "{result}");
            let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
            assert_eq!(text, result["structuredContent"], "a model and a program read the same");
            text
        })
    }

    /// The refusal of a tool call.
    #[track_caller]
    fn refused(&self, name: &str, arguments: Value) -> impl Future<Output = Value> {
        called(async move {
            let result = self.tool(NEWEST, name, arguments).await;
            assert_eq!(result["isError"], true, "{result}");
            result["structuredContent"].clone()
        })
    }
}

#[tokio::test]
async fn each_revision_is_spoken_and_lists_the_six_tools() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let discovered = bot.message(NEWEST, json!({"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {}}), json!({})).await;
    let discovered = discovered.expect(200);
    assert_eq!(discovered["result"]["supportedVersions"], json!(REVISIONS), "{discovered}");
    for revision in REVISIONS {
        if revision != NEWEST {
            let params = json!({"protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}});
            let message = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params});
            let answer = bot.message(revision, message, json!({})).await;
            assert!(!answer.headers.contains_key("mcp-session-id"), "no server holds a session");
            let answer = answer.expect(200);
            assert_eq!(answer["result"]["protocolVersion"], revision, "{answer}");
            assert_eq!(answer["result"]["serverInfo"]["name"], "parkbrake");
            let message = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
            assert_eq!(bot.message(revision, message, json!({})).await.status, 202);
        }
        let listed = bot.message(revision, json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}), json!({})).await.expect(200);
        let names: Vec<_> = listed["result"]["tools"].as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap()).collect();
        assert_eq!(
            names,
            ["submit_task", "get_workflow", "wait_for_decision", "cancel_workflow", "explain_risk", "list_my_workflows"],
            "{revision}"
        );
        let result =
            bot.tool(revision, "explain_risk", json!({"description": "d", "operation": "delete", "environment": "production"})).await;
        assert_eq!(result["structuredContent"]["risk_level"], "critical", "{revision}: {result}");
    }
}

#[tokio::test]
async fn a_task_that_is_submitted_by_a_tool_parks_and_goes_on_once_people_have_decided() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let mut task = high();
    task["idempotency_key"] = json!("once");
    let parked = bot.told("submit_task", task.clone()).await;
    assert_eq!((&parked["status"], &parked["risk_level"]), (&json!("pending_approval"), &json!("high")), "{parked}");
    assert!(parked["next"].as_str().unwrap().contains("Do not act"), "{parked}");
    assert_eq!(bot.told("submit_task", task).await["workflow_id"], parked["workflow_id"], "the same key and task");
    let id = parked["workflow_id"].as_str().unwrap();

    let waiting = bot.told("wait_for_decision", json!({"workflow_id": id, "timeout_s": 0})).await;
    assert_eq!(waiting["status"], "pending_approval");
    let (decided, approved) = tokio::join!(bot.told("wait_for_decision", json!({"workflow_id": id})), alice.approve(id));
    approved.expect(200);
    assert_eq!((&decided["status"], &decided["decisions"][0]["approver"]), (&json!("executing"), &json!("alice")), "{decided}");
    assert!(decided["next"].as_str().unwrap().contains("exactly what you submitted"), "{decided}");

    let workflow = alice.workflow(id).await;
    let via: Vec<_> = workflow["history"].as_array().unwrap().iter().map(|entry| entry["via"].as_str().unwrap()).collect();
    assert_eq!((via[0], via.contains(&"rest")), ("mcp", true), "{workflow}");
    let listed = bot.told("list_my_workflows", json!({"status": "executing"})).await;
    let line = &listed["workflows"][0];
    assert_eq!(line["workflow_id"], id, "{listed}");
    let told = (&line["description"], &line["target"]["operation"], &line["target"]["environment"]);
    let submitted = high();
    assert_eq!(told, (&submitted["description"], &submitted["operation"], &submitted["environment"]), "{listed}");

    let harmless = bot.told("submit_task", low()).await;
    assert_eq!(harmless["requires_approval"], false, "{harmless}");
}

#[tokio::test]
async fn rejected_workflows_report_the_reason_and_withdrawn_requests_are_cancelled() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let id = |parked: &Value| parked["workflow_id"].as_str().unwrap().to_owned();
    let (first, second) = (id(&bot.told("submit_task", high()).await), id(&bot.told("submit_task", high()).await));
    alice.post(&format!("/workflows/{first}/reject"), json!({"reason": "not on a Friday"})).await.expect(200);
    let rejected = bot.told("get_workflow", json!({"workflow_id": first})).await;
    assert_eq!((&rejected["status"], &rejected["decisions"][0]["words"]), (&json!("rejected"), &json!("not on a Friday")));
    let cancelled = bot.told("cancel_workflow", json!({"workflow_id": second, "reason": "not needed"})).await;
    assert_eq!(cancelled["status"], "cancelled", "{cancelled}");
    assert_eq!(bot.refused("cancel_workflow", json!({"workflow_id": first})).await["code"], "wrong-state");
}

#[tokio::test]
async fn a_tool_refuses_what_the_api_refuses_with_the_reason() {
    let app = TestApp::start().await;
    let (bot, other) = (app.client("deploy-bot"), app.client("lone-bot"));
    let parked = other.told("submit_task", high()).await;
    for tool in ["get_workflow", "wait_for_decision", "cancel_workflow"] {
        let refused = bot.refused(tool, json!({"workflow_id": parked["workflow_id"]})).await;
        assert_eq!(refused["code"], "workflow-not-found", "{tool}: another agent's workflow");
    }
    let faulty = bot.refused("submit_task", json!({"description": "d", "operation": 7})).await;
    assert_eq!((&faulty["code"], &faulty["errors"][0]["pointer"]), (&json!("invalid-task"), &json!("/operation")), "{faulty}");
    let unknown = bot.refused("submit_task", json!({"description": "d", "operation": "read", "approved": true})).await;
    assert_eq!(unknown["errors"][0]["pointer"], "/approved", "{unknown}");
    for (tool, arguments, pointer) in [
        ("get_workflow", json!({"workflow_id": "x"}), "/workflow_id"),
        ("wait_for_decision", json!({"workflow_id": parked["workflow_id"], "timeout_s": 51}), "/timeout_s"),
        ("list_my_workflows", json!({"limit": 0}), "/limit"),
        ("list_my_workflows", json!({"cursor": "x"}), "/cursor"),
        ("list_my_workflows", json!({"status": "sleeping"}), "/status"),
        ("submit_task", json!({"description": "d", "operation": "read", "idempotency_key": "two words"}), "/idempotency_key"),
    ] {
        let refused = bot.refused(tool, arguments).await;
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{tool}: {refused}");
    }
    for name in ["approve", "reject_workflow", "resolve"] {
        let message = json!({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": name, "arguments": {}}});
        let answer = bot.message("2025-11-25", message, json!({})).await;
        assert_eq!(answer.body["error"]["code"], -32602, "{name}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_call_without_a_token_is_refused_with_the_address_of_the_metadata() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let nobody = Client::with_token(app.addr, "pbk_wrong");
    let refused = nobody.message(NEWEST, json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}), json!({})).await;
    let challenge = refused.headers["www-authenticate"].to_str().unwrap().to_owned();
    refused.problem(401, "unauthenticated");
    let address = challenge.strip_prefix("Bearer resource_metadata=\"").and_then(|rest| rest.strip_suffix('"')).unwrap();
    let described = bot.send(bot.request_to(address)).await;
    assert_eq!(described.status, 405, "it is read, not written");
    for path in ["/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"] {
        let described = nobody.get(path).await.expect(200);
        assert_eq!(described["resource"], format!("http://{}/mcp", app.addr));
        assert_eq!(described["bearer_methods_supported"], json!(["header"]));
    }
    assert!(address.ends_with("/.well-known/oauth-protected-resource/mcp"), "{address}");

    for (origin, status) in [("https://evil.example", 403), ("null", 403), ("http://localhost:6274", 200), ("http://127.0.0.1", 200)] {
        let page = bot.request(Method::POST, "/mcp").header("origin", origin).header("accept", "application/json, text/event-stream");
        let page = bot.send(page.json(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}))).await;
        assert_eq!(page.status, status, "a page of {origin}");
    }
    let twice = bot
        .request(Method::POST, "/mcp")
        .header("accept", "application/json, text/event-stream")
        .header("content-type", "application/json");
    let twice = bot.send(twice.body(r#"{"jsonrpc": "2.0", "id": 1, "id": 2, "method": "tools/list"}"#)).await;
    assert_eq!((twice.status.as_u16(), &twice.body["error"]["code"]), (400, &json!(-32700)), "two readers would read two messages");
    assert_eq!(bot.send(bot.request(Method::GET, "/mcp")).await.status, 405);
}

#[tokio::test]
async fn a_client_that_shows_addresses_is_asked_to_show_the_inbox_and_submits_once() {
    let app = TestApp::with(Config::new().write("notifications.yaml", "public_url: https://parkbrake.example.com\n")).await;
    let bot = app.client("deploy-bot");
    let call = |more: Value| {
        let mut params = json!({"name": "submit_task", "arguments": high()});
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})
    };
    let shows = json!({"elicitation": {"url": {}}});
    let asked = bot.message(NEWEST, call(json!({})), shows.clone()).await.expect(200)["result"].clone();
    assert_eq!(asked["resultType"], "input_required", "{asked}");
    let request = &asked["inputRequests"]["inbox"];
    let url = request["params"]["url"].as_str().unwrap();
    let id = url.strip_prefix("https://parkbrake.example.com/inbox/workflows/").unwrap();
    assert_eq!((&request["method"], &request["params"]["mode"]), (&json!("elicitation/create"), &json!("url")), "{asked}");

    let more = json!({"requestState": asked["requestState"], "inputResponses": {"inbox": {"action": "accept"}}});
    let answer = bot.message(NEWEST, call(more), shows).await.expect(200)["result"]["structuredContent"].clone();
    assert_eq!(
        (answer["workflow_id"].as_str(), answer["status"].as_str()),
        (Some(id), Some("pending_approval")),
        "to open the inbox is no decision"
    );
    assert_eq!(bot.told("list_my_workflows", json!({})).await["workflows"].as_array().unwrap().len(), 1, "nothing was submitted twice");

    let stranger = app.client("lone-bot");
    let message = call(json!({"requestState": id, "inputResponses": {}}));
    let refused = stranger.message(NEWEST, message, json!({"elicitation": {"url": {}}})).await.expect(200);
    assert_eq!(refused["result"]["structuredContent"]["code"], "workflow-not-found", "{refused}");
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_wait_and_nothing_else() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let id = bot.told("submit_task", high()).await["workflow_id"].as_str().unwrap().to_owned();
    let mut waiting = Box::pin(bot.told("wait_for_decision", json!({"workflow_id": id, "timeout_s": 50})));
    tokio::select! {
        told = &mut waiting => panic!("nobody has decided: {told}"),
        () = tokio::time::sleep(std::time::Duration::from_millis(300)) => {}
    }
    drop(waiting);
    assert_eq!(alice.workflow(&id).await["status"], "pending_approval");
    alice.approve(&id).await.expect(200);
}

/// The program that serves standard input and output.
struct Bridge {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Bridge {
    fn start(url: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parkbrake"));
        command.args(["mcp", "--url", url]).env("PARKBRAKE_TOKEN", token("deploy-bot")).env_remove("PARKBRAKE_AS");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, input, output: BufReader::new(output).lines() }
    }

    #[track_caller]
    fn say(&mut self, message: Value) -> impl Future<Output = ()> {
        called(async move {
            self.input.write_all(format!("{message}\n").as_bytes()).await.unwrap();
        })
    }

    #[track_caller]
    fn hear(&mut self) -> impl Future<Output = Value> {
        called(async move { serde_json::from_str(&self.output.next_line().await.unwrap().expect("an answer")).unwrap() })
    }
}

#[tokio::test]
async fn the_program_serves_the_same_tools_on_standard_input_and_output() {
    let app = TestApp::start().await;
    let mut bridge = Bridge::start(&format!("http://{}", app.addr));
    let params = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}});
    bridge.say(json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params})).await;
    assert_eq!(bridge.hear().await["result"]["protocolVersion"], "2025-06-18");
    bridge.say(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
    bridge
        .say(json!({"jsonrpc": "2.0", "id": "two", "method": "tools/call", "params": {"name": "submit_task", "arguments": high()}}))
        .await;
    let parked = bridge.hear().await;
    assert_eq!((&parked["id"], &parked["result"]["structuredContent"]["status"]), (&json!("two"), &json!("pending_approval")), "{parked}");
    let id = parked["result"]["structuredContent"]["workflow_id"].as_str().unwrap().to_owned();

    // One call waits while another is answered; and a cancelled one is not answered at all.
    let wait = |call: u32| {
        let arguments = json!({"workflow_id": id, "timeout_s": 50});
        json!({"jsonrpc": "2.0", "id": call, "method": "tools/call", "params": {"name": "wait_for_decision", "arguments": arguments}})
    };
    bridge.say(wait(3)).await;
    bridge.say(wait(4)).await;
    bridge.say(json!({"jsonrpc": "2.0", "id": 5, "method": "tools/list"})).await;
    assert_eq!(bridge.hear().await["id"], 5);
    bridge.say(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 3}})).await;
    bridge.input.write_all(b"this is no message\n").await.unwrap();
    assert_eq!(bridge.hear().await["error"]["code"], -32700);
    app.client("alice").approve(&id).await.expect(200);
    let decided = bridge.hear().await;
    assert_eq!((&decided["id"], &decided["result"]["structuredContent"]["status"]), (&json!(4), &json!("executing")), "{decided}");
    drop(bridge.input);
    assert!(bridge.child.wait().await.unwrap().success());
    assert!(bridge.output.next_line().await.unwrap().is_none(), "the cancelled call has no answer");
}

#[tokio::test]
async fn the_bridge_reports_server_errors_to_its_client() {
    let mut bridge = Bridge::start("http://127.0.0.1:9");
    bridge.say(json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})).await;
    let answer = bridge.hear().await;
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(1), &json!(-32000)), "{answer}");
    assert!(answer["error"]["message"].as_str().unwrap().contains("127.0.0.1:9"), "{answer}");
    assert!(!answer.to_string().contains(&token("deploy-bot")), "{answer}");
}
