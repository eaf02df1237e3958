//! A model for one call: it implements as much of the API of each client's model as the client
//! needs to make a call and to report its result.

use crate::cli::hook::Client;
use serde_json::{Value, json};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The largest request, in bytes. Clients send all of their tools each time.
const LARGEST: u64 = 16 * 1024 * 1024;

/// A model on this machine.
pub struct Model {
    port: u16,
    told: Arc<Mutex<Option<String>>>,
    heard: Receiver<()>,
}

/// What a connection needs to answer.
#[derive(Clone)]
struct Script {
    client: Client,
    command: String,
    told: Arc<Mutex<Option<String>>>,
    hears: SyncSender<()>,
}

impl Model {
    /// Starts a model that requests this command, once.
    ///
    /// # Errors
    /// No port is free.
    pub fn start(client: Client, command: String) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let port = listener.local_addr()?.port();
        let told = Arc::<Mutex<Option<String>>>::default();
        let (hears, heard) = sync_channel(1);
        let script = Script { client, command, told: Arc::clone(&told), hears };
        // The thread ends with the program.
        std::thread::Builder::new().spawn(move || {
            for stream in listener.incoming().flatten() {
                let script = script.clone();
                let _ = std::thread::Builder::new().spawn(move || script.serve(&stream));
            }
        })?;
        Ok(Self { port, told, heard })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// What the client reported about the call.
    pub fn told(&self) -> Option<String> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for that report, but no longer than this.
    pub fn hears_within(&self, pause: Duration) -> bool {
        self.heard.recv_timeout(pause).is_ok()
    }
}

impl Script {
    /// Answers the requests of a connection until it is closed.
    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Ok(Some((line, body))) = request(&mut reader) {
            let (media_type, answer) = self.answer(&line, &body);
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {media_type}\r\ncontent-length: {}\r\n\r\n", answer.len());
            let is_head = line.starts_with("HEAD ");
            let mut out = stream;
            let written = out.write_all(head.as_bytes()).and_then(|()| if is_head { Ok(()) } else { out.write_all(answer.as_bytes()) });
            if written.is_err() {
                return;
            }
        }
    }

    fn answer(&self, line: &str, body: &Value) -> (&'static str, String) {
        let path = line.split(' ').nth(1).unwrap_or_default();
        match self.client {
            Client::ClaudeCode if path.starts_with("/v1/messages") && !path.contains("count_tokens") => self.message(body),
            Client::ClaudeCode => ("application/json", json!({"input_tokens": 1}).to_string()),
            Client::Codex if line.starts_with("POST ") => self.response(body),
            Client::Codex => ("application/json", json!({"object": "list", "data": [], "models": []}).to_string()),
        }
    }

    /// Claude's Messages API.
    fn message(&self, body: &Value) -> (&'static str, String) {
        let blocks = |message: &Value| message["content"].as_array().cloned().unwrap_or_default();
        let messages = body["messages"].as_array().cloned().unwrap_or_default();
        let result = messages.iter().flat_map(blocks).find(|block| block["type"] == "tool_result");
        let has_tools = body["tools"].as_array().is_some_and(|tools| tools.iter().any(|tool| tool["name"] == "Bash"));
        let (block, stop) = match result {
            Some(result) => {
                self.note(&result["content"]);
                (json!({"type": "text", "text": "Done."}), "end_turn")
            }
            None if has_tools => {
                let input = json!({"command": self.command, "description": "Parkbrake's canary"});
                (json!({"type": "tool_use", "id": "toolu_parkbrake_canary", "name": "Bash", "input": input}), "tool_use")
            }
            None => (json!({"type": "text", "text": "Done."}), "end_turn"),
        };
        let message = json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "content": [], "stop_reason": null, "stop_sequence": null,
            "usage": {"input_tokens": 1, "output_tokens": 1}
        });
        if body["stream"] != true {
            let mut whole = message;
            whole["content"] = json!([block]);
            whole["stop_reason"] = json!(stop);
            return ("application/json", whole.to_string());
        }
        let (empty, delta) = match block["type"].as_str() {
            Some("text") => (json!({"type": "text", "text": ""}), json!({"type": "text_delta", "text": block["text"]})),
            _ => {
                let empty = json!({"type": "tool_use", "id": block["id"], "name": block["name"], "input": {}});
                (empty, json!({"type": "input_json_delta", "partial_json": block["input"].to_string()}))
            }
        };
        let events = [
            json!({"type": "message_start", "message": message}),
            json!({"type": "content_block_start", "index": 0, "content_block": empty}),
            json!({"type": "content_block_delta", "index": 0, "delta": delta}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": null}, "usage": {"output_tokens": 1}}),
            json!({"type": "message_stop"}),
        ];
        stream(&events)
    }

    /// The Responses API, as Codex uses it.
    fn response(&self, body: &Value) -> (&'static str, String) {
        let items = body["input"].as_array().cloned().unwrap_or_default();
        let result = items.iter().find(|item| matches!(item["type"].as_str(), Some("function_call_output" | "custom_tool_call_output")));
        let item = match result {
            Some(result) => {
                self.note(&result["output"]);
                json!({"type": "message", "id": "m1", "role": "assistant", "content": [{"type": "output_text", "text": "Done."}]})
            }
            None => {
                let tools = body["tools"].as_array().cloned().unwrap_or_default();
                let has = |name: &str| tools.iter().any(|tool| tool["name"] == name);
                let (name, arguments) = if has("exec_command") {
                    ("exec_command", json!({"cmd": self.command}))
                } else if has("shell_command") {
                    ("shell_command", json!({"command": self.command}))
                } else {
                    ("shell", json!({"command": ["bash", "-lc", self.command]}))
                };
                json!({"type": "function_call", "id": "fc_1", "call_id": "call_parkbrake_canary", "name": name, "arguments": arguments.to_string()})
            }
        };
        let usage =
            json!({"input_tokens": 1, "output_tokens": 1, "total_tokens": 2, "input_tokens_details": null, "output_tokens_details": null});
        let events = [
            json!({"type": "response.created", "response": {"id": "resp_1"}}),
            json!({"type": "response.output_item.done", "item": item}),
            json!({"type": "response.completed", "response": {"id": "resp_1", "usage": usage}}),
        ];
        stream(&events)
    }

    /// Stores what the client reports about the call.
    fn note(&self, told: &Value) {
        let text = told.as_str().map_or_else(|| told.to_string(), str::to_owned);
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
        let _ = self.hears.try_send(());
    }
}

fn stream(events: &[Value]) -> (&'static str, String) {
    let written = events.iter().map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default()));
    ("text/event-stream", written.collect())
}

/// The first line of the next request, and its body; nothing if the connection has ended.
fn request(reader: &mut BufReader<&TcpStream>) -> io::Result<Option<(String, Value)>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = Vec::new();
    reader.by_ref().take(length.min(LARGEST)).read_to_end(&mut body)?;
    Ok(Some((first, serde_json::from_slice(&body).unwrap_or_default())))
}
