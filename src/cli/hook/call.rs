//! What a client passes to its hook, and which part of it goes to the server.

use crate::cli::hook::{Client, repository};
use serde_json::{Map, Value, json};
use std::path::Path;

/// An event for which the hook runs.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// A tool is about to run: the question to the server.
    Before(Value),
    /// A tool has run: the report to the server.
    After(Value),
}

/// Reads an event.
///
/// # Errors
/// Why it cannot be parsed.
pub fn read(client: Client, input: &[u8]) -> Result<Event, String> {
    let sent: Map<String, Value> =
        serde_json::from_slice(input).map_err(|error| format!("the hook's input is not a JSON object: {error}"))?;
    let text = |name: &str| match sent.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.as_str()),
        _ => Err(format!("the hook's input has no text `{name}`")),
    };
    let (session, tool_use) = (text("session_id"), text("tool_use_id"));
    match text("hook_event_name")? {
        "PreToolUse" => {
            let input = sent.get("tool_input").filter(|input| input.is_object());
            let mut asked = json!({
                "client": client.as_str(), "session_id": session?, "tool_use_id": tool_use?, "tool_name": text("tool_name")?,
                "tool_input": input.ok_or("the hook's input has no object `tool_input`")?, "cwd": text("cwd")?,
            });
            if let Ok(mode) = text("permission_mode") {
                asked["permission_mode"] = json!(mode);
            }
            if let Some(repository) = text("cwd").ok().and_then(|folder| repository::of(Path::new(folder))) {
                asked["repo"] = json!(repository);
            }
            Ok(Event::Before(asked))
        }
        event @ ("PostToolUse" | "PostToolUseFailure") => {
            let failed = event == "PostToolUseFailure" || has_failed(sent.get("tool_response"));
            let mut told = json!({
                "client": client.as_str(), "session_id": session?, "tool_use_id": tool_use?,
                "outcome": if failed { "failed" } else { "succeeded" },
            });
            // The output of a tool may contain anything, even secrets, and stays on the agent's
            // machine.
            if failed {
                told["error"] = json!("the client says that the tool failed");
            }
            Ok(Event::After(told))
        }
        other => Err(format!("the hook is run for `{other}`, which it does not know")),
    }
}

/// Whether the output of a tool says that it failed.
fn has_failed(response: Option<&Value>) -> bool {
    let Some(Value::Object(response)) = response else { return false };
    let is = |name: &str| response.get(name) == Some(&Value::Bool(true));
    let code = ["exit_code", "exitCode"].iter().find_map(|name| response.get(*name)?.as_i64());
    is("is_error") || is("isError") || is("interrupted") || code.is_some_and(|code| code != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(event: &str) -> Value {
        json!({
            "session_id": "s", "transcript_path": "/t", "cwd": "/srv", "prompt_id": "p", "permission_mode": "bypassPermissions",
            "hook_event_name": event, "tool_name": "Bash", "tool_input": {"command": "ls"}, "tool_use_id": "toolu_1"
        })
    }

    #[test]
    fn the_hook_forwards_only_known_fields_of_the_client() {
        let read = read(Client::ClaudeCode, sent("PreToolUse").to_string().as_bytes()).unwrap();
        let asked = json!({
            "client": "claude_code", "session_id": "s", "tool_use_id": "toolu_1", "tool_name": "Bash", "tool_input": {"command": "ls"},
            "cwd": "/srv", "permission_mode": "bypassPermissions"
        });
        assert_eq!(read, Event::Before(asked));
    }

    #[test]
    fn a_tool_result_is_reported_only_as_an_outcome() {
        let mut event = sent("PostToolUse");
        for (response, outcome) in [
            (json!({"stdout": "s3cr3t", "interrupted": false}), "succeeded"),
            (json!("s3cr3t"), "succeeded"),
            (json!({"stdout": "s3cr3t", "interrupted": true}), "failed"),
            (json!({"output": "s3cr3t", "exit_code": 1}), "failed"),
            (json!({"exit_code": 0}), "succeeded"),
        ] {
            event["tool_response"] = response;
            let Ok(Event::After(told)) = read(Client::Codex, event.to_string().as_bytes()) else { panic!("{event}") };
            assert_eq!(told["outcome"], outcome, "{event}");
            assert!(!told.to_string().contains("s3cr3t"), "{told}");
        }
    }

    #[test]
    fn an_event_with_a_missing_or_mistyped_field_is_refused() {
        for name in ["session_id", "tool_use_id", "tool_name", "tool_input", "cwd", "hook_event_name"] {
            for wrong in [Value::Null, json!(1), json!(""), json!([])] {
                let mut event = sent("PreToolUse");
                event[name] = wrong;
                assert!(read(Client::Codex, event.to_string().as_bytes()).is_err(), "{event}");
            }
        }
        for wrong in ["", "null", "[]", "{", "\"text\"", "{} {}"] {
            assert!(read(Client::Codex, wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(read(Client::ClaudeCode, sent("UserPromptSubmit").to_string().as_bytes()).is_err());
    }
}
