//! The workload: agents that submit, cancel and report, and people who race to decide and resolve
//! unknown outcomes.

use super::dice::Dice;
use super::history::{Call, Told};
use crate::support::Client;
use crate::support::client::{critical, high, low, medium};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

/// How long a caller waits for an answer before it asks another server.
const CALL_TIMEOUT: Duration = Duration::from_secs(4);
/// The pause before an unanswered request is repeated.
const PAUSE: Duration = Duration::from_millis(100);

/// How many tasks each agent submits at the same time.
const AT_ONCE: usize = 6;

const AGENTS: [&str; 3] = ["deploy-bot", "other-bot", "lone-bot"];
const PEOPLE: [&str; 3] = ["alice", "tess", "cora"];

/// What all callers share.
pub struct Load {
    pub seed: u64,
    /// The addresses of the slots' servers.
    servers: Vec<watch::Receiver<Option<SocketAddr>>>,
    told: Mutex<Vec<Told>>,
    /// External actions that nobody has reported yet.
    externals: Mutex<Vec<(&'static str, Uuid)>>,
    submitted: AtomicUsize,
    is_over: AtomicBool,
}

impl Load {
    pub fn new(seed: u64, servers: Vec<watch::Receiver<Option<SocketAddr>>>) -> Arc<Self> {
        let (told, externals) = (Mutex::default(), Mutex::default());
        Arc::new(Self { seed, servers, told, externals, submitted: AtomicUsize::new(0), is_over: AtomicBool::new(false) })
    }

    /// How many submits were acknowledged.
    pub fn submitted(&self) -> usize {
        self.submitted.load(Ordering::Relaxed)
    }

    pub fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    pub fn told(&self) -> Vec<Told> {
        std::mem::take(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Starts all participants.
    pub fn begin(self: &Arc<Self>) -> Vec<tokio::task::JoinHandle<()>> {
        let mut tasks = Vec::new();
        for (number, name) in AGENTS.into_iter().cycle().take(AT_ONCE * AGENTS.len()).enumerate() {
            tasks.push(tokio::spawn(Caller::new(self, name, &format!("submits {number}")).submit(number)));
        }
        for name in AGENTS {
            tasks.push(tokio::spawn(Caller::new(self, name, "reports").report()));
        }
        for (number, name) in PEOPLE.into_iter().cycle().take(2 * PEOPLE.len()).enumerate() {
            tasks.push(tokio::spawn(Caller::new(self, name, &format!("decides {number}")).decide()));
        }
        tasks.push(tokio::spawn(Caller::new(self, "cora", "resolves").resolve()));
        tasks
    }

    fn externals(&self) -> std::sync::MutexGuard<'_, Vec<(&'static str, Uuid)>> {
        self.externals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A caller that uses any running server.
pub struct Caller {
    load: Arc<Load>,
    name: &'static str,
    pub dice: Dice,
    clients: HashMap<SocketAddr, Client>,
}

impl Caller {
    pub fn new(load: &Arc<Load>, name: &'static str, role: &str) -> Self {
        let dice = Dice::new(load.seed, &format!("{name} {role}"));
        Self { load: Arc::clone(load), name, dice, clients: HashMap::new() }
    }

    /// A server that answers, or has just answered.
    pub fn client(&mut self) -> Option<Client> {
        let there: Vec<SocketAddr> = self.load.servers.iter().filter_map(|address| *address.borrow()).collect();
        if there.is_empty() {
            return None;
        }
        let addr = self.dice.one_of(&there);
        Some(self.clients.entry(addr).or_insert_with(|| Client::new(addr, self.name)).clone())
    }

    /// Calls once; `None` without an answer.
    async fn ask(&mut self, call: Call, about: Option<Uuid>, method: Method, path: &str, body: Option<Value>) -> Option<(u16, Value)> {
        let Some(client) = self.client() else {
            tokio::time::sleep(PAUSE).await;
            return None;
        };
        let mut request = client.request(method, path).timeout(CALL_TIMEOUT);
        if let Call::Submit { key } = &call {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let Ok(answer) = client.try_send(request).await else {
            tokio::time::sleep(PAUSE).await;
            return None;
        };
        let status = answer.status.as_u16();
        let named = answer.body["workflow_id"].as_str().and_then(|text| Uuid::try_parse(text).ok());
        let workflow = about.or(named.filter(|_| matches!(call, Call::Submit { .. })));
        let code = answer.body["code"].as_str().unwrap_or_default().to_owned();
        let told = Told { by: self.name, call, workflow, status, code };
        self.load.told.lock().unwrap_or_else(PoisonError::into_inner).push(told);
        if status >= 429 {
            tokio::time::sleep(PAUSE).await;
        }
        Some((status, answer.body))
    }

    /// Repeats a call until there is a final answer, or the load ends.
    async fn insist(&mut self, call: Call, id: Uuid, what: &str, body: Value) -> Option<u16> {
        let path = format!("/workflows/{id}/{what}");
        while !self.load.is_over() {
            match self.ask(call.clone(), Some(id), Method::POST, &path, Some(body.clone())).await {
                Some((429 | 503, _)) | None => {}
                Some((status, _)) => return Some(status),
            }
        }
        None
    }

    /// The next task of an agent.
    fn task(&mut self) -> Value {
        let (mut task, runbook) = match self.dice.below(100) {
            0..18 => (high(), Some("once")),
            18..36 => (high(), Some("again")),
            36..54 => (low(), Some("look")),
            54..70 => (low(), Some("peek")),
            70..78 => (medium(), Some("build")),
            78..84 => (critical(), Some("drop")),
            84..94 => (high(), None),
            _ => (low(), None),
        };
        if let Some(name) = runbook {
            task["action"] = json!({"type": "runbook", "name": name});
        }
        task
    }

    async fn submit(mut self, number: usize) {
        for index in 0_u32.. {
            let (task, key) = (self.task(), format!("{number}-{index}"));
            let is_external = task["action"].is_null();
            let id = loop {
                if self.load.is_over() {
                    return;
                }
                let call = Call::Submit { key: key.clone() };
                if let Some((202, body)) = self.ask(call, None, Method::POST, "/orchestrate", Some(task.clone())).await {
                    break body["workflow_id"].as_str().and_then(|text| Uuid::try_parse(text).ok()).expect("an id");
                }
            };
            self.load.submitted.fetch_add(1, Ordering::Relaxed);
            if is_external {
                self.load.externals().push((self.name, id));
            }
            if self.dice.percent(10) {
                tokio::time::sleep(self.dice.between(0, 400)).await;
                self.insist(Call::Cancel, id, "cancel", json!({})).await;
            }
            // With a key that was used before, the first answer is returned.
            if self.dice.percent(5) {
                let call = Call::Submit { key: key.clone() };
                self.ask(call, None, Method::POST, "/orchestrate", Some(task)).await;
            }
            tokio::time::sleep(self.dice.between(0, 60)).await;
        }
    }

    /// Reports the results of the agent's external actions, once they are released.
    async fn report(mut self) {
        while !self.load.is_over() {
            tokio::time::sleep(self.dice.between(50, 150)).await;
            let mine: Vec<_> = self.load.externals().iter().filter(|(name, _)| *name == self.name).map(|(_, id)| *id).collect();
            if mine.is_empty() {
                continue;
            }
            let (id, succeeded) = (self.dice.one_of(&mine), self.dice.percent(80));
            let body = if succeeded { json!({"outcome": "succeeded"}) } else { json!({"outcome": "failed", "error": "no space"}) };
            let status = self.insist(Call::Report { succeeded }, id, "result", body).await;
            if status == Some(200) || self.dice.percent(5) {
                self.load.externals().retain(|(_, other)| *other != id);
            }
        }
    }

    /// Decides whatever waits, in competition with the others.
    async fn decide(mut self) {
        while !self.load.is_over() {
            let Some((200, waiting)) = self.ask(Call::Read, None, Method::GET, "/workflows/pending?limit=40", None).await else { continue };
            let mut all: Vec<Value> = waiting["workflows"].as_array().cloned().unwrap_or_default();
            self.dice.shuffle(&mut all);
            if all.is_empty() {
                tokio::time::sleep(self.dice.between(20, 100)).await;
            }
            for request in all.into_iter().take(12) {
                let Some(id) = request["workflow_id"].as_str().and_then(|text| Uuid::try_parse(text).ok()) else { continue };
                match self.dice.below(10) {
                    0 => drop(self.insist(Call::Reject, id, "reject", json!({"reason": "not today"})).await),
                    1 => {}
                    _ => {
                        let body = json!({"digest": request["digest"], "justification": "looked at it"});
                        // Half of them send it once, and do not know whether it arrived.
                        if self.dice.percent(50) {
                            self.ask(Call::Approve, Some(id), Method::POST, &format!("/workflows/{id}/approve"), Some(body)).await;
                        } else {
                            self.insist(Call::Approve, id, "approve", body).await;
                        }
                    }
                }
            }
        }
    }

    /// Resolves unknown outcomes, about every second one.
    async fn resolve(mut self) {
        while !self.load.is_over() {
            tokio::time::sleep(self.dice.between(200, 600)).await;
            let path = "/workflows?status=outcome_unknown&limit=20";
            let Some((200, found)) = self.ask(Call::Read, None, Method::GET, path, None).await else { continue };
            let ids: Vec<Uuid> = found["workflows"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|one| Uuid::try_parse(one["workflow_id"].as_str()?).ok())
                .filter(|id| id.as_bytes()[15] % 2 == 0)
                .collect();
            if ids.is_empty() {
                continue;
            }
            let id = self.dice.one_of(&ids);
            let outcome = self.dice.one_of(&["retry", "retry", "succeeded", "failed"]);
            self.insist(Call::Resolve, id, "resolve", json!({"outcome": outcome, "justification": "I looked at the machine"})).await;
        }
    }
}

/// Reads every workflow once at the end: no acknowledged one may be missing.
pub async fn read_all(load: &Arc<Load>, ids: &[Uuid]) {
    let lanes = ids.chunks(ids.len().div_ceil(8).max(1)).map(|ids| async move {
        let mut caller = Caller::new(load, "nora", "reads");
        for id in ids {
            let path = format!("/workflows/{id}/status");
            while !matches!(caller.ask(Call::Read, Some(*id), Method::GET, &path, None).await, Some((status, _)) if status != 503 && status != 429) {}
        }
    });
    futures_util::future::join_all(lanes).await;
}
