//! A stand-in for the server: it answers with the documented bodies, and records the calls.
//!
//! The clients are tested against it rather than against the server, because a client's test needs
//! any answer: a problem, a lie, a page that is not JSON, a late answer. Its task is a real one of
//! the domain, with its real digest.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response};
use parkbrake::domain::task::Task;
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

/// The id of the one workflow.
pub const ID: &str = "0198c0de-0000-7000-8000-000000000001";

/// Text that would have a meaning in a shell, a template, a terminal or JSON.
pub const HOSTILE: &str =
    "quote \" ' ` $(touch pwned) ${HOME} $HOME \\ \\n ; | & * ~ %PATH% !x # -- ü 🚀 \u{202e}\u{1b}[2J\nsecond line\ttab";

/// A call that was received.
#[derive(Debug, Clone)]
pub struct Call {
    /// `GET /workflows/pending`: method and path, without the query.
    pub what: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: String,
    /// The command lines of every process of the machine while the call was answered.
    pub processes: String,
}

impl Call {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{}: {error}: {}", self.what, self.body))
    }

    /// The caller's token.
    pub fn token(&self) -> &str {
        self.header("authorization").strip_prefix("Bearer ").expect("a bearer token")
    }

    /// A header's text; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }
}

#[derive(Debug, Clone)]
struct Answer {
    status: u16,
    body: String,
}

#[derive(Debug, Default)]
struct Shared {
    calls: Vec<Call>,
    answers: HashMap<String, VecDeque<Answer>>,
}

/// A running stand-in, with a folder of development tokens for its callers.
pub struct Stub {
    pub url: String,
    home: tempfile::TempDir,
    shared: Arc<Mutex<Shared>>,
}

impl Stub {
    /// Starts one that answers like a server with one parked request.
    pub fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a listener");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::new(Mutex::new(Shared::default()));
        let app = Router::new().fallback(answer).with_state(shared.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async { axum::serve(tokio::net::TcpListener::from_std(listener)?, app).await }).expect("a server");
        });
        let home = tempfile::tempdir().expect("a folder");
        let tokens = "person alice pbk_alice\nagent deploy-bot pbk_bot\nperson tom pbk_tom\nagent second-bot pbk_second\n";
        std::fs::write(home.path().join("tokens"), tokens).expect("a file");
        let stub = Self { url, home, shared };
        stub.on(
            "GET /workflows/pending",
            200,
            &json!({"success": true, "workflows": [pending(ID, "Deploy api 1.4.2")], "next_cursor": null}),
        );
        stub.on(&format!("GET /workflows/{ID}/status"), 200, &workflow("pending_approval", 2));
        let approved = json!({"success": true, "workflow_id": ID, "status": "approved", "approved_by": "alice", "approvals_remaining": 0,
            "workflow_status": "executing"});
        stub.on(&format!("POST /workflows/{ID}/approve"), 200, &approved);
        let rejected = json!({"success": true, "workflow_id": ID, "status": "rejected", "rejected_by": "alice"});
        stub.on(&format!("POST /workflows/{ID}/reject"), 200, &rejected);
        stub
    }

    /// Sets the answers to a call; several answers are given one after the other, and the last one
    /// again and again.
    pub fn on(&self, what: &str, status: u16, body: &Value) {
        self.on_raw(what, &[(status, &body.to_string())]);
    }

    /// The same with several raw answers.
    pub fn on_raw(&self, what: &str, answers: &[(u16, &str)]) {
        let answers = answers.iter().map(|(status, body)| Answer { status: *status, body: (*body).to_owned() }).collect();
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).answers.insert(what.to_owned(), answers);
    }

    /// Every call so far.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).calls.clone()
    }

    /// The calls, in order.
    pub fn called(&self) -> Vec<String> {
        self.calls().into_iter().map(|call| call.what).collect()
    }

    /// The last call of a method.
    #[track_caller]
    pub fn last(&self, method: &str) -> Call {
        let calls = self.calls();
        calls.into_iter().rfind(|call| call.what.starts_with(method)).unwrap_or_else(|| panic!("no {method} was received"))
    }

    /// The folder with the development tokens.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// A command whose environment has nothing of ours but the address of this server.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.home()).env("PARKBRAKE_DEV_HOME", self.home()).env("PARKBRAKE_URL", &self.url);
        command.env("TZ", "UTC").stdin(Stdio::null());
        command
    }
}

async fn answer(State(shared): State<Arc<Mutex<Shared>>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.expect("a body");
    let what = format!("{} {}", parts.method, parts.uri.path());
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let body = String::from_utf8(body.into()).expect("UTF-8");
    let call = Call { what: what.clone(), query, headers: parts.headers, body, processes: processes() };
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    shared.calls.push(call);
    let answer = match shared.answers.get_mut(&what) {
        Some(answers) if answers.len() > 1 => answers.pop_front(),
        Some(answers) => answers.front().cloned(),
        None => None,
    };
    let none =
        || Answer { status: 404, body: problem("workflow-not-found", "Workflow not found", "there is no such workflow").to_string() };
    let answer = answer.unwrap_or_else(none);
    let kind = if answer.status < 400 { "application/json" } else { "application/problem+json" };
    Response::builder()
        .status(answer.status)
        .header("content-type", kind)
        .header("location", "http://127.0.0.1:1/elsewhere")
        .body(Body::from(answer.body))
        .expect("an answer")
}

/// Every command line that a user of this machine could see.
fn processes() -> String {
    let of = |path: PathBuf| std::fs::read(path.join("cmdline")).ok().map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " "));
    match std::fs::read_dir("/proc") {
        Ok(entries) => entries.flatten().filter_map(|entry| of(entry.path())).collect::<Vec<_>>().join("\n"),
        Err(_) => {
            let listed = Command::new("ps").args(["-axww", "-o", "args"]).output().expect("ps, where there is no /proc");
            String::from_utf8_lossy(&listed.stdout).into_owned()
        }
    }
}

/// The task of the one workflow, as the domain writes it.
pub fn task() -> Task {
    serde_json::from_value(json!({
        "task_id": "TASK-42", "description": "Deploy api 1.4.2", "operation": "deploy", "environment": "production",
        "resource": "api-gateway", "resource_type": "code", "estimated_cost": 250.0,
        "security_findings": [{"severity": "high", "id": "CVE-2026-1", "title": "old library"}],
        "action": {"type": "runbook", "name": "deploy-service", "args": {"service": "api", "version": "1.4.2"},
            "runs": {"command": ["support/runbooks/deploy.sh", "api", "it's 1.4.2"], "working_dir": ".", "env": ["DEPLOY_TOKEN"],
                "timeout": "10m", "idempotent": false}},
        "metadata": {"ticket": "OPS-7"}
    }))
    .expect("a task")
}

/// The target, and what the requester called it if that differs.
pub fn target() -> Value {
    json!({"operation": "deploy", "environment": "production", "resource": "api-gateway", "resource_type": "code",
        "differs": [{"field": "resource", "claimed": "docs", "known": "api-gateway", "from": "runbook"}]})
}

/// The body of `GET /workflows/{id}/status` with a status and this many events.
pub fn workflow(status: &str, events: usize) -> Value {
    let task = task();
    let names = ["submitted", "approval_requested", "approved", "execution_started", "execution_succeeded"];
    let history: Vec<Value> = names
        .iter()
        .take(events)
        .enumerate()
        .map(|(index, name)| {
            let at = format!("2026-11-22T12:00:0{index}Z");
            json!({"version": index + 1, "event": name, "actor": "deploy-bot", "via": "rest", "at": at, "detail": {"round": 1, "digest": task.digest()}})
        })
        .collect();
    let document: Value = serde_json::from_slice(&task.canonical()).expect("JSON");
    json!({"success": true, "workflow": {
        "workflow_id": ID, "task_id": "TASK-42", "status": status, "approval_status": "pending", "risk_level": "high",
        "requires_approval": true, "description": task.description, "requested_by": "deploy-bot", "task": document,
        "digest": task.digest(), "target": target(),
        "assessment": {"level": "high", "policy_version": "sha256:00", "reasons": [
            {"trigger": "deploy_production", "level": "high", "detail": "a deploy to production"},
            {"trigger": "resource_disagreement", "level": "low", "detail": "the runbook says otherwise"}]},
        "approval": {"approvers": ["team_lead", "tech_lead"], "required": 1, "requested_at": "2026-11-22T12:00:00Z",
            "require_justification": true, "expires_at": "2026-11-23T12:00:00Z", "timetable": [
                {"at": "2026-11-22T12:30:00Z", "what": "escalate", "to": ["cto"]},
                {"at": "2026-11-23T12:00:00Z", "what": "expire", "to": []}]},
        "decisions": [], "execution": null, "history": history,
        "created_at": "2026-11-22T12:00:00Z", "updated_at": "2026-11-22T12:00:00Z"}})
}

/// One request of the list.
pub fn pending(id: &str, description: &str) -> Value {
    json!({"workflow_id": id, "task_id": "TASK-42", "risk_level": "high", "description": description, "target": target(), "requested_by": "deploy-bot",
        "requested_at": "2026-11-22T12:00:00Z", "approvers": ["team_lead", "tech_lead"], "required": 1, "approvals": 0,
        "escalation_level": 0, "timetable": [{"at": "2026-11-22T12:30:00Z", "what": "escalate", "to": ["cto"]}], "expires_at": null,
        "digest": task().digest()})
}

/// A problem document.
pub fn problem(code: &str, title: &str, detail: &str) -> Value {
    json!({"type": format!("https://parkbrake.example/problems/{code}"), "title": title, "status": 400, "detail": detail, "code": code})
}

/// The problem of a request that somebody else has decided.
pub fn already_decided() -> Value {
    let mut problem = problem("already-decided", "Already decided", "the request was rejected by tom already");
    problem["decision"] = json!({"approver": "tom", "role": "tech_lead", "verdict": "rejected", "justification": "not on a Friday", "at": "2026-11-22T12:01:00Z"});
    problem
}

/// How a program ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Runs a command to its end. It may never show a token, or anything that a terminal would act on.
#[track_caller]
pub fn run(command: &mut Command) -> Ran {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    let ran = Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) };
    for shown in [&ran.out, &ran.err] {
        assert!(!shown.contains("pbk_"), "a token is shown: {shown}");
        assert!(!shown.contains(['\u{1b}', '\u{202e}']), "something raw is shown: {shown:?}");
    }
    ran
}

impl Ran {
    /// Checks that it ended with this status, and that standard error contains all of this.
    #[track_caller]
    pub fn failed(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        for word in words {
            assert!(self.err.contains(word), "`{word}` is not in: {}", self.err);
        }
    }

    /// Checks that it succeeded, and that standard output contains all of this.
    #[track_caller]
    pub fn said(&self, words: &[&str]) {
        assert_eq!(self.code, Some(0), "{self:?}");
        for word in words {
            assert!(self.out.contains(word), "`{word}` is not in: {}", self.out);
        }
    }
}

/// An address at which nobody listens.
pub fn nowhere() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    format!("http://{}", listener.local_addr().expect("an address"))
}
