//! The load: callers that each wait for their answer before they ask again.
//!
//! It shares the cores with what it measures, so it does next to nothing: one thread, one kept-alive connection for each
//! caller, requests that are ready to be sent, and of an answer it reads the status, the length and the id.

use crate::stage::{AGENT, HUMAN, Server, token};
use futures_util::future::join_all;
use serde_json::json;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The text of a workflow's id.
pub type Id = String;

/// What a caller does, again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Submits a task of high risk until its 202: it is parked, durably.
    Submit,
    /// Approves a parked one until its 200.
    Approve,
    /// Approves a parked one and reports its result, until that is answered: it is completed.
    Complete,
}

/// What came of a phase.
pub struct Phase {
    pub count: usize,
    pub seconds: f64,
    /// Of each step, the quickest first.
    pub latencies: Vec<Duration>,
    /// What was submitted, the oldest first; of the other steps, what is left over.
    pub ids: Vec<Id>,
}

impl Phase {
    pub fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.seconds
    }

    /// Milliseconds within which this share of the steps was done.
    pub fn percentile(&self, share: f64) -> f64 {
        let place = (self.latencies.len() as f64 * share) as usize;
        self.latencies.get(place.min(self.latencies.len().saturating_sub(1))).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
    }
}

/// A connection with its buffers.
pub struct Caller {
    stream: TcpStream,
    sent: Vec<u8>,
    received: Vec<u8>,
}

impl Caller {
    pub async fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.expect("a connection");
        stream.set_nodelay(true).expect("an option");
        Self { stream, sent: Vec::with_capacity(4096), received: Vec::with_capacity(16 * 1024) }
    }

    /// Sends a request and gives the status and the body.
    pub async fn call(&mut self, request: &[u8]) -> (u16, &[u8]) {
        self.stream.write_all(request).await.expect("a request that is sent");
        self.received.clear();
        loop {
            let read = self.stream.read_buf(&mut self.received).await.expect("an answer");
            assert!(read > 0, "the server closed the connection");
            let Some(head) = self.received.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
            let length = content_length(&self.received[..head]);
            if self.received.len() >= head + 4 + length {
                let status = std::str::from_utf8(&self.received[9..12]).expect("a status").parse().expect("a status");
                return (status, &self.received[head + 4..]);
            }
        }
    }

    /// A request that has to be answered with this status.
    pub async fn expect(&mut self, request: &[u8], expected: u16) -> &[u8] {
        let (status, body) = self.call(request).await;
        assert_eq!(status, expected, "{}", String::from_utf8_lossy(body));
        body
    }

    async fn post(&mut self, id: &Id, verb: &str, name: &str, body: &str) {
        let mut request = std::mem::take(&mut self.sent);
        request.clear();
        write(&mut request, "POST", &format!("/workflows/{id}/{verb}"), name, body);
        self.expect(&request, 200).await;
        self.sent = request;
    }

    pub async fn approve(&mut self, id: &Id) {
        self.post(id, "approve", HUMAN, r#"{"justification": "looked at it"}"#).await;
    }

    pub async fn report(&mut self, id: &Id) {
        self.post(id, "result", AGENT, r#"{"outcome": "succeeded", "output": {"released": true}}"#).await;
    }

    /// Submits; the id is the first thing in the answer's body that looks like it.
    pub async fn submit(&mut self, request: &[u8]) -> Id {
        const KEY: &[u8] = br#""workflow_id":""#;
        let body = self.expect(request, 202).await;
        let start = body.windows(KEY.len()).position(|bytes| bytes == KEY).expect("an id") + KEY.len();
        String::from_utf8_lossy(&body[start..start + 36]).into_owned()
    }
}

fn content_length(head: &[u8]) -> usize {
    let head = std::str::from_utf8(head).expect("headers");
    let written = head.lines().filter_map(|line| line.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    written.expect("a length").1.trim().parse().expect("a length")
}

fn write(request: &mut Vec<u8>, method: &str, path: &str, name: &str, body: &str) {
    use std::io::Write as _;
    let (token, length) = (token(name), body.len());
    write!(
        request,
        "{method} {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .expect("writing to memory");
}

/// A request without a body.
pub fn get(path: &str, name: &str) -> Vec<u8> {
    let mut request = Vec::new();
    write(&mut request, "GET", path, name, "");
    request
}

/// The request that submits this task.
pub fn submission(task: &str) -> Vec<u8> {
    let mut request = Vec::new();
    write(&mut request, "POST", "/orchestrate", AGENT, task);
    request
}

/// A task of about 1 KB, as an agent of a delivery pipeline writes one.
pub fn task(operation: &str, environment: &str, resource_type: &str, cost: u32) -> String {
    let steps: Vec<_> = ["build", "migrate", "shift_traffic"]
        .map(|name| json!({"name": name, "service": "payments-api", "region": "eu-west-1", "dry_run": false}))
        .into();
    json!({
        "description": "Release payments-api 4.18.2 to all regions; the canary has been running for two hours without an error.",
        "operation": operation, "environment": environment, "resource_type": resource_type, "resource": "payments-api",
        "estimated_cost": cost,
        "metadata": {
            "pipeline": "release-train-2231", "commit": "9f2c4e7a1b3d5f60718293a4b5c6d7e8f9a0b1c2", "requested_from": "chat",
            "steps": steps,
            "notes": "Contains the new settlement schedule and the fix for rounding of refunds. ".repeat(4),
            "labels": ["payments", "customer-facing", "release"],
        },
    })
    .to_string()
}

/// The task of the throughput phases, of high risk.
pub fn usual_task() -> String {
    task("deploy", "production", "service", 0)
}

/// One connection for each caller.
pub async fn callers(server: &Server, count: usize) -> Vec<Caller> {
    join_all((0..count).map(|_| Caller::connect(server.addr))).await
}

/// Lets every caller repeat a step until the time is up, or, except for a submit, until no id is left. The newest go first.
/// `most` ends a phase early as well.
pub async fn drive(callers: &mut [Caller], step: Step, ids: Vec<Id>, patience: Duration, most: usize) -> Phase {
    let submission = submission(&usual_task());
    let (ids, latencies) = (RefCell::new(ids), RefCell::new(Vec::with_capacity(1 << 16)));
    let began = Instant::now();
    let open = || began.elapsed() < patience && latencies.borrow().len() < most;
    let count = callers.len();
    join_all(callers.iter_mut().map(async |caller| {
        while open() {
            let id = if step == Step::Submit { None } else { ids.borrow_mut().pop() };
            let asked = Instant::now();
            match (step, id) {
                (Step::Submit, _) => {
                    let id = caller.submit(&submission).await;
                    ids.borrow_mut().push(id);
                }
                (_, None) => break,
                (Step::Approve, Some(id)) => caller.approve(&id).await,
                (Step::Complete, Some(id)) => {
                    caller.approve(&id).await;
                    caller.report(&id).await;
                }
            }
            latencies.borrow_mut().push(asked.elapsed());
        }
    }))
    .await;
    let seconds = began.elapsed().as_secs_f64();
    let mut latencies = latencies.into_inner();
    latencies.sort_unstable();
    Phase { count, seconds, latencies, ids: ids.into_inner() }
}

/// Parks this many workflows, unmeasured.
pub async fn park(server: &Server, count: usize) -> Vec<Id> {
    let mut callers = callers(server, 64).await;
    drive(&mut callers, Step::Submit, Vec::new(), Duration::from_secs(600), count).await.ids
}
