//! What the clients are answered: exactly the fields that each of them knows. Codex lets a tool run
//! on an answer with one that it does not know.

use crate::cli::hook::Client;
use crate::domain::text::escaped;
use serde_json::{Value, json};

/// Characters of a reason. Clients show it to their model.
const LONGEST_REASON: usize = 4_000;
/// What is said where there is nothing else to say: Codex lets a tool run on a no without a reason.
const NO_REASON: &str = "parkbrake does not allow it";

/// The answer by which a tool may run. To Codex it is that there is no objection, in the one form
/// that it takes; its own rules go on to hold. To Claude Code it is a yes, which its own rules to
/// deny still overrule.
pub fn allow(client: Client, reason: &str) -> Value {
    match client {
        Client::ClaudeCode => decision("allow", reason),
        Client::Codex => json!({}),
    }
}

/// The answer by which a tool does not run.
pub fn deny(reason: &str) -> Value {
    decision("deny", reason)
}

fn decision(word: &str, reason: &str) -> Value {
    let reason: String = escaped(reason).chars().take(LONGEST_REASON).collect();
    let reason = if reason.trim().is_empty() { NO_REASON.to_owned() } else { reason };
    json!({"hookSpecificOutput": {"hookEventName": "PreToolUse", "permissionDecision": word, "permissionDecisionReason": format!("parkbrake: {reason}")}})
}
