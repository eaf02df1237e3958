//! The answers to the clients: exactly the fields that each of them knows. If an answer has an
//! unknown field, Codex lets the tool run.

use crate::cli::hook::Client;
use crate::domain::text::escaped;
use serde_json::{Value, json};

/// The longest reason, in characters. Clients show it to their model.
const LONGEST_REASON: usize = 4_000;
/// The reason if there is no other: Codex lets a tool run on a refusal without a reason.
const NO_REASON: &str = "parkbrake does not allow it";

/// The answer that permits a tool to run. For Codex it is an empty answer, the only form that it
/// accepts; its own rules still apply. For Claude Code it is a permission, which its own deny rules
/// still overrule.
pub fn allow(client: Client, reason: &str) -> Value {
    match client {
        Client::ClaudeCode => decision("allow", reason),
        Client::Codex => json!({}),
    }
}

/// The answer that denies a tool call.
pub fn deny(reason: &str) -> Value {
    decision("deny", reason)
}

/// The answer by which `claude -p` ends its turn and leaves the call open.
pub fn defer(reason: &str) -> Value {
    decision("defer", reason)
}

fn decision(word: &str, reason: &str) -> Value {
    let reason: String = escaped(reason).chars().take(LONGEST_REASON).collect();
    let reason = if reason.trim().is_empty() { NO_REASON.to_owned() } else { reason };
    json!({"hookSpecificOutput": {"hookEventName": "PreToolUse", "permissionDecision": word, "permissionDecisionReason": format!("parkbrake: {reason}")}})
}
