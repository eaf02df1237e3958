//! A client of event streams, which parses them like a browser.

use super::{Client, WAIT_LIMIT};
use chrono::{DateTime, Utc};
use reqwest::{Method, Response};
use serde_json::Value;
use std::collections::VecDeque;

/// An open stream. Dropping it closes the connection.
pub struct Stream {
    response: Response,
    text: String,
    ready: VecDeque<Message>,
    /// What a browser would send when it reconnects.
    pub last_id: String,
    /// Whether it ended in the middle, unlike a stream that the server ends.
    pub was_cut_off: bool,
}

/// One message of a stream.
#[derive(Debug, Clone)]
pub struct Message {
    pub id: String,
    pub event: String,
    pub data: Value,
}

impl Message {
    /// The workflow and its version, which identify repetitions.
    pub fn key(&self) -> (String, u64) {
        (self.data["workflow_id"].as_str().expect("an id").to_owned(), self.data["version"].as_u64().expect("a version"))
    }
}

impl Client {
    /// Opens a stream; it is open when this returns.
    #[track_caller]
    pub fn follow(&self, path: &str) -> impl Future<Output = Stream> {
        super::called(async move { self.follow_from(path, None).await })
    }

    /// Opens a stream as a client that reconnects.
    #[track_caller]
    pub fn follow_from(&self, path: &str, last_id: Option<&str>) -> impl Future<Output = Stream> {
        super::called(async move {
            let mut request = self.request(Method::GET, path);
            if let Some(id) = last_id {
                request = request.header("last-event-id", id);
            }
            let response = request.send().await.expect("a stream");
            assert_eq!(response.status(), 200, "{path}");
            assert_eq!(response.headers()["content-type"], "text/event-stream");
            assert_eq!(response.headers()["cache-control"], "no-store");
            let mut stream = Stream { response, text: String::new(), ready: VecDeque::new(), last_id: String::new(), was_cut_off: false };
            while stream.last_id.is_empty() {
                assert!(stream.more().await, "it ended before it began");
            }
            stream
        })
    }
}

impl Stream {
    /// Reads more; false at the end.
    #[track_caller]
    fn more(&mut self) -> impl Future<Output = bool> {
        super::called(async move {
            let chunk = tokio::time::timeout(WAIT_LIMIT, self.response.chunk()).await.expect("not even a heartbeat came");
            self.was_cut_off = chunk.is_err();
            let Ok(Some(chunk)) = chunk else { return false };
            self.text.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    let mut lines = block.lines().filter_map(|line| line.split_once(": ").filter(|(field, _)| *field == name));
                    let value = lines.next().map(|(_, value)| value.to_owned());
                    assert!(lines.next().is_none(), "{name} twice in {block:?}");
                    value
                };
                self.last_id = field("id").expect("every block has an id");
                if let Some(data) = field("data") {
                    let data = serde_json::from_str(&data).expect("JSON in one line");
                    self.ready.push_back(Message { id: self.last_id.clone(), event: field("event").expect("a name"), data });
                }
                self.text = rest.to_owned();
            }
            true
        })
    }

    /// The next message; `None` at the end of the stream.
    #[track_caller]
    pub fn next(&mut self) -> impl Future<Output = Option<Message>> {
        super::called(async move {
            while self.ready.is_empty() {
                if !self.more().await {
                    return None;
                }
            }
            self.ready.pop_front()
        })
    }

    /// Reads until an event of a workflow arrives, and returns everything that arrived until then.
    #[track_caller]
    pub fn until(&mut self, workflow: &str, event: &str) -> impl Future<Output = Vec<Message>> {
        super::called(async move {
            let began = std::time::Instant::now();
            let mut heard = Vec::new();
            loop {
                let message = self.next().await.unwrap_or_else(|| panic!("it ended before {event} of {workflow} came"));
                let is_it = message.data["workflow_id"] == workflow && message.event == event;
                heard.push(message);
                if is_it {
                    return heard;
                }
                assert!(began.elapsed() < WAIT_LIMIT, "{event} of {workflow} did not come");
            }
        })
    }
}

/// The position of a time, as earlier versions returned it.
pub fn position(at: DateTime<Utc>) -> String {
    format!("{:x}", at.timestamp_micros())
}
