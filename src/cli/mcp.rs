//! `parkbrake mcp`: the Model Context Protocol over standard input and output, for clients that
//! start a program.
//!
//! Each line is a message; it is sent to `/mcp` of the server, and the answer is written as a line.
//! So both transports offer the same tools, and this process has no state to lose: everything that
//! was submitted is on the server.

use crate::cli::Error;
use crate::cli::client::{Client, Connection};
use crate::cli::dev_home::Kind;
use crate::cli::terminal::write_out;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::task::{AbortHandle, JoinSet};

/// The largest message, in bytes.
const LONGEST_MESSAGE: u64 = 1024 * 1024;
/// How long a tool may wait on the server, in addition to the time limit of every call.
const LONGEST_WAIT: Duration = Duration::from_secs(55);
/// JSON-RPC's code for a failure of the server.
const SERVER_ERROR: i64 = -32000;
const PARSE_ERROR: i64 = -32700;
/// Where a message names its protocol revision.
const REVISION: &str = "/params/_meta/io.modelcontextprotocol~1protocolVersion";

/// Serves the Model Context Protocol on standard input and output; ends when standard input does.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
}

/// Runs the command.
///
/// # Errors
/// Nobody to act as, or standard output is closed.
pub async fn run(args: Args) -> Result<ExitCode, Error> {
    let bridge = Arc::new(Bridge { client: args.connection.client(Kind::Agent)?, revision: Mutex::default() });
    let mut input = BufReader::new(tokio::io::stdin());
    let mut calls = JoinSet::new();
    let mut under_way: HashMap<String, AbortHandle> = HashMap::new();
    // The part of a message read so far is kept here while an answer is written.
    let mut line = Vec::new();
    loop {
        let mut rest = (&mut input).take(LONGEST_MESSAGE.saturating_sub(line.len() as u64));
        tokio::select! {
            read = rest.read_until(b'\n', &mut line) => match read {
                Ok(_) if line.len() as u64 >= LONGEST_MESSAGE => {
                    return Err(Error::Other(format!("a message has more than {LONGEST_MESSAGE} bytes")));
                }
                Ok(0) if line.is_empty() => break,
                Ok(_) => {}
                Err(error) => return Err(Error::Other(format!("standard input cannot be read: {error}"))),
            },
            Some(done) = calls.join_next(), if !calls.is_empty() => {
                // A call that its client has cancelled ends without an answer.
                if let Ok(answered) = done {
                    answered?;
                }
                continue;
            }
        }
        let line = std::mem::take(&mut line);
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        under_way.retain(|_, call| !call.is_finished());
        let Ok(message) = serde_json::from_slice::<Value>(&line) else {
            say(&failure(&Value::Null, PARSE_ERROR, "the line is not valid JSON", None))?;
            continue;
        };
        if message["method"] == "notifications/cancelled" {
            if let Some(call) = under_way.remove(&message["params"]["requestId"].to_string()) {
                call.abort();
            }
            continue;
        }
        let id = message.get("id").cloned();
        let bridge = Arc::clone(&bridge);
        let call = calls.spawn(async move { bridge.pass_on(message, line).await });
        if let Some(id) = id {
            under_way.insert(id.to_string(), call);
        }
    }
    // A client that closed standard input may still read the answers.
    while let Some(done) = calls.join_next().await {
        if let Ok(answered) = done {
            answered?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Passes messages on.
struct Bridge {
    client: Client,
    /// The revision agreed on at the beginning, for a client that names it only then.
    revision: Mutex<Option<String>>,
}

impl Bridge {
    /// Sends a message, and writes the answer if it was a request.
    async fn pass_on(&self, message: Value, line: Vec<u8>) -> Result<(), Error> {
        let answer = self.sent(self.call(&message).body(line)).await;
        let Some(id) = message.get("id") else { return Ok(()) };
        let answer = answer.unwrap_or_else(|said| failure(id, SERVER_ERROR, &said.words, said.problem));
        if message["method"] == "initialize"
            && let Some(revision) = answer.pointer("/result/protocolVersion").and_then(Value::as_str)
        {
            *self.revision.lock().unwrap_or_else(PoisonError::into_inner) = Some(revision.to_owned());
        }
        say(&answer)
    }

    /// The call for a message, with the headers that the HTTP transport requires.
    fn call(&self, message: &Value) -> RequestBuilder {
        let call = self.client.patient_call(Method::POST, "/mcp", LONGEST_WAIT);
        let agreed = self.revision.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let revision = message.pointer(REVISION).and_then(Value::as_str).map(str::to_owned).or(agreed);
        let name = message.pointer("/params/name").and_then(Value::as_str).map(str::to_owned);
        let method = message["method"].as_str().map(str::to_owned);
        let headers = [("mcp-protocol-version", revision), ("mcp-method", method), ("mcp-name", name)];
        headers.into_iter().filter_map(|(header, value)| Some((header, value?))).fold(
            call.header(CONTENT_TYPE, "application/json").header(ACCEPT, "application/json, text/event-stream"),
            |call, (header, value)| call.header(header, value),
        )
    }

    /// The server's answer: a message, or the reason why there is none.
    async fn sent(&self, call: RequestBuilder) -> Result<Value, Said> {
        let unreachable = |error: Error| Said { words: error.to_string(), problem: None };
        let body = self.client.text(call).await.map_err(unreachable)?;
        match serde_json::from_str::<Value>(&body) {
            Ok(answer) if answer["jsonrpc"] == "2.0" => Ok(answer),
            Ok(problem) => Err(Said {
                words: problem["detail"].as_str().unwrap_or("the server refused the message").to_owned(),
                problem: Some(problem),
            }),
            Err(_) => Err(Said { words: "the server's answer is not a JSON message".to_owned(), problem: None }),
        }
    }
}

/// Why there is no answer.
struct Said {
    words: String,
    problem: Option<Value>,
}

/// An error in JSON-RPC.
fn failure(id: &Value, code: i64, words: &str, problem: Option<Value>) -> Value {
    let mut error = json!({"code": code, "message": words});
    if let Some(problem) = problem {
        error["data"] = problem;
    }
    json!({"jsonrpc": "2.0", "id": id, "error": error})
}

fn say(message: &Value) -> Result<(), Error> {
    write_out(&format!("{message}\n"))
}
