//! Requests, and a caller for those that are not measured. `lanes.rs` sends the measured ones.

use crate::harness::{AGENT, HUMAN, token};
use serde_json::json;
use std::fmt;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The text of a workflow's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id(pub [u8; 36]);

impl Id {
    /// The first id in the body of a response.
    pub fn found_in(body: &[u8]) -> Self {
        const KEY: &[u8] = br#""workflow_id":""#;
        let start = body.windows(KEY.len()).position(|bytes| bytes == KEY).expect("an id") + KEY.len();
        Self(body[start..start + 36].try_into().expect("an id"))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.0).expect("an id"))
    }
}

/// A connection with its buffers.
pub struct Caller {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Caller {
    pub async fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.expect("a connection");
        stream.set_nodelay(true).expect("an option");
        Self { stream, received: Vec::with_capacity(16 * 1024) }
    }

    /// Sends a request, and returns the status and the body.
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

    /// Sends a request whose response has to have this status.
    pub async fn expect(&mut self, request: &[u8], expected: u16) -> &[u8] {
        let (status, body) = self.call(request).await;
        assert_eq!(status, expected, "{}", String::from_utf8_lossy(body));
        body
    }

    pub async fn approve(&mut self, id: &Id) {
        self.expect(&approval(id), 200).await;
    }

    pub async fn report(&mut self, id: &Id) {
        self.expect(&report(id), 200).await;
    }

    pub async fn submit(&mut self, request: &[u8]) -> Id {
        Id::found_in(self.expect(request, 202).await)
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
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
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

/// The request that opens a stream of events.
pub fn stream() -> Vec<u8> {
    get("/events", HUMAN)
}

/// The request that approves a workflow.
pub fn approval(id: &Id) -> Vec<u8> {
    let mut request = Vec::new();
    write(&mut request, "POST", &format!("/workflows/{id}/approve"), HUMAN, r#"{"justification": "reviewed it"}"#);
    request
}

/// The request that reports the result of a workflow.
pub fn report(id: &Id) -> Vec<u8> {
    let mut request = Vec::new();
    let body = r#"{"outcome": "succeeded", "output": {"released": true}}"#;
    write(&mut request, "POST", &format!("/workflows/{id}/result"), AGENT, body);
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
