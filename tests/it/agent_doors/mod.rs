//! Every rule about requests applies to every way in for agents: the same outcome, and the same log
//! except for the way in. An agent can decide through none of them.

mod github;

use crate::support::client::{high, low, token};
use crate::support::server::Services;
use crate::support::{Client, Config, TestApp, eventually, services};
use futures_util::future::BoxFuture;
use github::GitHub;
use reqwest::Method;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::process::{Output, Stdio};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// A request of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Harmless,
    Dangerous,
}

/// The answer to an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Heard {
    /// It may act now.
    Runs,
    /// It has to wait.
    Waits,
    Refused(String),
}

/// A way in for agents. A new one is one more implementation, and one more column of the matrix.
trait Door: Sync {
    /// Its name in the log.
    fn via(&self) -> &'static str;
    /// Submits under a key that identifies this request.
    fn ask<'a>(&'a self, who: &'a str, what: What, key: &'a str) -> BoxFuture<'a, Heard>;
    /// Tries to approve a workflow.
    fn approve<'a>(&'a self, who: &'a str, id: &'a str) -> BoxFuture<'a, Heard>;
    /// Reads a workflow, or reports the outcome of the request with a key, whichever this way in
    /// supports.
    fn touch<'a>(&'a self, who: &'a str, id: &'a str, key: &'a str) -> BoxFuture<'a, Heard>;
}

fn heard_of(status: &str) -> Heard {
    match status {
        "executing" => Heard::Runs,
        "pending_approval" | "queued" => Heard::Waits,
        other => Heard::Refused(other.to_owned()),
    }
}

fn task(what: What) -> Value {
    if what == What::Harmless { low() } else { high() }
}

/// REST, with a bearer token.
struct Rest<'a>(&'a TestApp);

impl Door for Rest<'_> {
    fn via(&self) -> &'static str {
        "rest"
    }

    fn ask<'a>(&'a self, who: &'a str, what: What, key: &'a str) -> BoxFuture<'a, Heard> {
        Box::pin(async move {
            let client = self.0.client(who);
            let request = client.request(Method::POST, "/orchestrate").header("idempotency-key", key).json(&task(what));
            let answer = client.send(request).await;
            match answer.status.is_success() {
                true => heard_of(answer.body["status"].as_str().unwrap()),
                false => Heard::Refused(answer.text),
            }
        })
    }

    fn approve<'a>(&'a self, who: &'a str, id: &'a str) -> BoxFuture<'a, Heard> {
        Box::pin(async move {
            let answer = self.0.client(who).approve(id).await;
            if answer.status.is_success() { Heard::Runs } else { Heard::Refused(answer.text) }
        })
    }

    fn touch<'a>(&'a self, who: &'a str, id: &'a str, _: &'a str) -> BoxFuture<'a, Heard> {
        Box::pin(async move {
            let answer = self.0.client(who).get(&format!("/workflows/{id}")).await;
            if answer.status.is_success() { Heard::Runs } else { Heard::Refused(answer.text) }
        })
    }
}

/// The Model Context Protocol over HTTP.
struct Mcp<'a>(&'a TestApp);

impl Mcp<'_> {
    async fn call(&self, who: &str, tool: &str, arguments: Value) -> Heard {
        let client: Client = self.0.client(who);
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}});
        let request = client
            .request(Method::POST, "/mcp")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-06-18")
            .json(&message);
        let answer = client.send(request).await;
        let result = &answer.body["result"];
        match result["structuredContent"]["status"].as_str() {
            Some(status) if result["isError"] == false => heard_of(status),
            _ => Heard::Refused(answer.text),
        }
    }
}

impl Door for Mcp<'_> {
    fn via(&self) -> &'static str {
        "mcp"
    }

    fn ask<'a>(&'a self, who: &'a str, what: What, key: &'a str) -> BoxFuture<'a, Heard> {
        Box::pin(async move {
            let mut arguments = task(what);
            arguments["idempotency_key"] = json!(key);
            self.call(who, "submit_task", arguments).await
        })
    }

    fn approve<'a>(&'a self, who: &'a str, id: &'a str) -> BoxFuture<'a, Heard> {
        Box::pin(async move { self.call(who, "approve_task", json!({"workflow_id": id})).await })
    }

    fn touch<'a>(&'a self, who: &'a str, id: &'a str, _: &'a str) -> BoxFuture<'a, Heard> {
        Box::pin(async move { self.call(who, "get_workflow", json!({"workflow_id": id})).await })
    }
}

/// The hook of a client, as the program that the client runs.
struct Hook<'a>(&'a TestApp, &'static str);

impl Hook<'_> {
    async fn tell(&self, who: &str, event: &str, (tool, input): (&str, Value), key: &str) -> Output {
        let sent = json!({
            "session_id": "session", "cwd": "/srv/api", "permission_mode": "bypassPermissions", "hook_event_name": event, "tool_name": tool,
            "tool_input": input, "tool_use_id": key, "tool_response": ""
        });
        let mut child = Command::new(env!("CARGO_BIN_EXE_parkbrake"))
            .args(["hook", &self.1.replace('_', "-"), "--url", &format!("http://{}", self.0.addr), "--deadline", "60s"])
            .env("PARKBRAKE_TOKEN", token(who))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program");
        child.stdin.take().expect("its input").write_all(sent.to_string().as_bytes()).await.expect("an input");
        child.wait_with_output().await.expect("an end")
    }

    /// How the client interprets an answer.
    fn heard(output: &Output) -> Heard {
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let said = &answer["hookSpecificOutput"];
        let why = said["permissionDecisionReason"].as_str().unwrap_or_default();
        if answer == json!({}) || said["permissionDecision"] == "allow" {
            Heard::Runs
        } else if why.starts_with("parkbrake: parked as ") {
            Heard::Waits
        } else {
            Heard::Refused(why.to_owned())
        }
    }
}

impl Door for Hook<'_> {
    fn via(&self) -> &'static str {
        self.1
    }

    fn ask<'a>(&'a self, who: &'a str, what: What, key: &'a str) -> BoxFuture<'a, Heard> {
        Box::pin(async move {
            let call = match what {
                What::Harmless => ("Read", json!({"file_path": "/srv/api/src/main.rs"})),
                What::Dangerous => ("Bash", json!({"command": "terraform apply"})),
            };
            Self::heard(&self.tell(who, "PreToolUse", call, key).await)
        })
    }

    /// Through its hook, an agent has no other way to approve than to claim that it did.
    fn approve<'a>(&'a self, who: &'a str, id: &'a str) -> BoxFuture<'a, Heard> {
        Box::pin(async move {
            let output = self.tell(who, "PermissionRequest", ("parkbrake_approve", json!({"workflow_id": id})), "yes").await;
            Self::heard(&output)
        })
    }

    fn touch<'a>(&'a self, who: &'a str, _: &'a str, key: &'a str) -> BoxFuture<'a, Heard> {
        Box::pin(async move {
            let output = self.tell(who, "PostToolUse", ("Read", json!({})), key).await;
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            if said.is_empty() { Heard::Runs } else { Heard::Refused(said) }
        })
    }
}

/// The expected result at every way in.
enum Expected {
    Runs,
    Waits,
    /// With one of these words.
    Refused(&'static [&'static str]),
    /// It may not act, whether it has to wait or is refused.
    DoesNotRun,
}

impl Expected {
    fn fits(&self, heard: &Heard) -> bool {
        match (self, heard) {
            (Self::Runs, Heard::Runs) | (Self::Waits, Heard::Waits) => true,
            (Self::Refused(words), Heard::Refused(text)) => words.iter().any(|word| text.contains(word)),
            (Self::DoesNotRun, heard) => *heard != Heard::Runs,
            _ => false,
        }
    }
}

/// The rows and columns that were tested, and whether everything was as expected.
#[derive(Default)]
struct Matrix {
    text: String,
    is_wrong: bool,
}

impl Matrix {
    fn note(&mut self, rule: &str, door: &dyn Door, expected: &Expected, heard: &Heard) {
        self.cell(rule, door, expected.fits(heard), format!("{heard:?}"));
    }

    fn cell(&mut self, rule: &str, door: &dyn Door, is_right: bool, seen: String) {
        self.is_wrong |= !is_right;
        let mark = if is_right { "as it should" } else { "WRONG" };
        let _ = writeln!(self.text, "{rule} at {}: {mark}: {}", door.via(), seen.chars().take(400).collect::<String>());
    }

    #[track_caller]
    fn check(&self) {
        assert!(!self.is_wrong, "a door is wrong:\n{}", self.text);
    }
}

/// The workflows of a requester, the newest first.
async fn of(app: &TestApp, who: &str) -> Vec<Value> {
    let listed = app.client("alice").get(&format!("/workflows?requested_by={who}&limit=50")).await.expect(200);
    listed["workflows"].as_array().unwrap().clone()
}

async fn newest(app: &TestApp, who: &str) -> String {
    of(app, who).await[0]["workflow_id"].as_str().unwrap().to_owned()
}

/// The events of a requester's newest workflow, each with its way in.
async fn log(app: &TestApp, who: &str) -> Vec<String> {
    let workflow = app.client("alice").workflow(&newest(app, who).await).await;
    let events = workflow["history"].as_array().unwrap().clone();
    events.iter().map(|event| format!("{} by {}", event["event"].as_str().unwrap(), event["via"].as_str().unwrap())).collect()
}

const POLICIES: &str = "
people:
  alice: { roles: [team_lead, tech_lead] }
  tom:   { roles: [team_lead] }
  cora:  { roles: [tech_lead, cto, admin] }
agents:
  deploy-bot: { on_behalf_of: tom }
  other-bot:  { on_behalf_of: cora }
  lone-bot:   { on_behalf_of: cora }
policies: { high: { rejected_memory: 1h } }
";

/// One server and all of its doors. Each door is tested with a separate server, so that remembered
/// data of one does not affect another.
struct House {
    app: TestApp,
    github: services::Github,
}

impl House {
    /// How many doors there are.
    const DOORS: usize = 5;

    async fn with(policies: &str) -> Self {
        let github = services::Github::start().await;
        let config = Config::new().write("hitl/approval-policies.yaml", policies).write("notifications.yaml", &github::channels(&github));
        let services = Services { secrets: github::secrets(), ..Services::default() };
        Self { app: TestApp::with_services(config, services).await, github }
    }

    fn door(&self, index: usize) -> Box<dyn Door + '_> {
        match index {
            0 => Box::new(Rest(&self.app)),
            1 => Box::new(Mcp(&self.app)),
            2 => Box::new(Hook(&self.app, "claude_code")),
            3 => Box::new(Hook(&self.app, "codex")),
            _ => Box::new(GitHub(&self.app, &self.github)),
        }
    }
}

#[tokio::test]
async fn agents_have_the_same_rights_at_every_way_in() {
    let mut matrix = Matrix::default();
    for index in 0..House::DOORS {
        let house = House::with(POLICIES).await;
        let (app, door) = (&house.app, house.door(index));
        let door = door.as_ref();
        let (bot, alice) = ("deploy-bot", app.client("alice"));

        let heard = door.ask(bot, What::Harmless, "a").await;
        matrix.note("what needs nobody is released", door, &Expected::Runs, &heard);
        let released = newest(app, bot).await;
        let seen = log(app, bot).await;
        let is_right = ["submitted", "execution_started"].iter().all(|event| seen.contains(&format!("{event} by {}", door.via())));
        matrix.cell("the log says by which door", door, is_right, format!("{seen:?}"));
        let heard = door.ask(bot, What::Harmless, "a").await;
        matrix.note("the same request is answered the same", door, &Expected::Runs, &heard);
        matrix.cell("the same request is one", door, of(app, bot).await.len() == 1, String::new());

        let heard = door.ask(bot, What::Dangerous, "b").await;
        matrix.note("what people have to approve is parked", door, &Expected::Waits, &heard);
        let id = newest(app, bot).await;
        let heard = door.ask(bot, What::Dangerous, "b").await;
        matrix.note("asked again, it is still parked", door, &Expected::Waits, &heard);
        matrix.cell("asked again, it is one request", door, of(app, bot).await.len() == 2, String::new());
        let heard = door.approve(bot, &id).await;
        matrix.note(
            "no agent approves",
            door,
            &Expected::Refused(&["self-approval", "tool", "does not know", "the only supported action"]),
            &heard,
        );
        let heard = door.approve("other-bot", &id).await;
        matrix.note(
            "nor does another one",
            door,
            &Expected::Refused(&["not-found", "tool", "does not know", "the only supported action"]),
            &heard,
        );
        let status = alice.workflow(&id).await["status"].clone();
        matrix.cell("nothing is decided by that", door, status == "pending_approval", status.to_string());
        let heard = door.touch("other-bot", &released, "a").await;
        matrix.note("another agent neither sees nor reports it", door, &Expected::Refused(&["workflow-not-found", "no workflow"]), &heard);
        let status = alice.workflow(&released).await["status"].clone();
        matrix.cell("nothing is reported by that", door, status == "executing", status.to_string());

        alice.post(&format!("/workflows/{id}/reject"), json!({"reason": "Not on a Friday"})).await.expect(200);
        let heard = door.ask(bot, What::Dangerous, "c").await;
        matrix.note("what was rejected asks nobody again", door, &Expected::Refused(&["Not on a Friday"]), &heard);
        matrix.cell("what was rejected makes no request", door, of(app, bot).await.len() == 2, String::new());

        app.client("cora").post("/halt", json!({"reason": "INC-9"})).await.expect(200);
        let heard = door.ask(bot, What::Harmless, "d").await;
        matrix.note("nothing starts during a halt", door, &Expected::DoesNotRun, &heard);
        let running: Vec<Value> = of(app, bot).await.into_iter().filter(|line| line["status"] == "executing").collect();
        matrix.cell("what ran before the halt is all that runs", door, running.len() == 1, format!("{running:?}"));

        app.database.execute("insert into suspension (name) values ('lone-bot') on conflict do nothing").await;
        let client = app.client("lone-bot");
        eventually("the suspension", || async { (client.get("/workflows?limit=1").await.status == 401).then_some(()) }).await;
        let heard = door.ask("lone-bot", What::Harmless, "e").await;
        matrix.note("a suspended agent gets nothing", door, &Expected::Refused(&["suspended"]), &heard);
    }
    matrix.check();
}

#[tokio::test]
async fn agent_quotas_apply_at_every_way_in() {
    let mut matrix = Matrix::default();
    for index in 0..House::DOORS {
        let house = House::with(&format!("{POLICIES}quotas: {{ submits_per_minute: 1, burst: 2 }}\n")).await;
        let door = house.door(index);
        let door = door.as_ref();
        for (key, what, expected) in [
            ("a", What::Dangerous, Expected::Waits),
            ("b", What::Harmless, Expected::Runs),
            ("c", What::Harmless, Expected::Refused(&["may submit 1 tasks and comments a minute, and 2 at once"])),
        ] {
            let heard = door.ask("deploy-bot", what, key).await;
            matrix.note(&format!("turn {key}"), door, &expected, &heard);
        }
    }
    matrix.check();
}
