//! Listeners that reconnect where they left off, as a browser does, to any running server.

use super::load::{Caller, Load};
use reqwest::{Method, Response};
use serde_json::Value;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// A heartbeat comes every 15 s; a listener reconnects after a shorter silence, as over a bad
/// connection.
const SILENCE_LIMIT: Duration = Duration::from_secs(7);
const PAUSE: Duration = Duration::from_millis(150);

#[derive(Default)]
struct Heard {
    events: Vec<(Uuid, u32)>,
    known: HashSet<(Uuid, u32)>,
    alarms: Vec<String>,
    last_id: Option<String>,
}

/// A listener to all workflows.
pub struct Listener {
    heard: Arc<Mutex<Heard>>,
    task: JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener {
    pub fn begin(load: &Arc<Load>, number: usize) -> Self {
        let heard = Arc::<Mutex<Heard>>::default();
        let caller = Caller::new(load, "nora", &format!("listens {number}"));
        Self { heard: Arc::clone(&heard), task: tokio::spawn(listen(caller, heard)) }
    }

    /// Whether it has been connected.
    pub fn has_a_position(&self) -> bool {
        lock(&self.heard).last_id.is_some()
    }

    /// How many different events it has received.
    pub fn count(&self) -> usize {
        lock(&self.heard).known.len()
    }

    /// What it has received so far, and what it should never have received.
    pub fn heard(&self) -> (Vec<(Uuid, u32)>, Vec<String>) {
        let heard = lock(&self.heard);
        (heard.events.clone(), heard.alarms.clone())
    }
}

fn lock(heard: &Mutex<Heard>) -> std::sync::MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn listen(mut caller: Caller, heard: Arc<Mutex<Heard>>) {
    loop {
        if let Some(client) = caller.client() {
            let mut request = client.request(Method::GET, "/events");
            if let Some(id) = lock(&heard).last_id.clone() {
                request = request.header("last-event-id", id);
            }
            if let Ok(Ok(response)) = tokio::time::timeout(SILENCE_LIMIT, request.send()).await {
                match response.status().as_u16() {
                    200 => follow(response, &heard).await,
                    429 | 503 => {}
                    other => lock(&heard).alarms.push(format!("a listener was answered {other}")),
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Reads until the stream ends or goes silent.
async fn follow(mut response: Response, heard: &Mutex<Heard>) {
    let mut text = String::new();
    while let Ok(Ok(Some(chunk))) = tokio::time::timeout(SILENCE_LIMIT, response.chunk()).await {
        text.push_str(&String::from_utf8_lossy(&chunk));
        while let Some((block, rest)) = text.split_once("\n\n") {
            let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            let mut heard = lock(heard);
            if field("event") == Some("reset") {
                heard.alarms.push(format!("a listener has lost its position: {block}"));
            } else if let Some(data) = field("data") {
                let data: Value = serde_json::from_str(data).unwrap_or_default();
                let id = data["workflow_id"].as_str().and_then(|text| Uuid::try_parse(text).ok());
                let version = data["version"].as_u64().and_then(|version| u32::try_from(version).ok());
                match id.zip(version) {
                    Some(event) => {
                        heard.events.push(event);
                        heard.known.insert(event);
                    }
                    None => heard.alarms.push(format!("a message that says nothing: {block}")),
                }
            }
            if let Some(id) = field("id") {
                heard.last_id = Some(id.to_owned());
            }
            drop(heard);
            text = rest.to_owned();
        }
    }
}
