//! When two tool calls count as the same, and when they are one call.
//!
//! An agent that is told to wait repeats its call later, in a new turn and in other words. So
//! people approve what would happen, and not how the model describes it. And a call that is asked
//! about twice, because an answer was lost, is still one call.

use crate::domain::task::digest::{self, Digest};
use crate::domain::tools::ToolCall;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};

/// The members of an input that do not change what the tool does.
const WORDS: [&str; 2] = ["description", "timeout"];

impl ToolCall {
    /// The digest of what would happen and who would do it: equal for equal calls, whenever they
    /// are made and however they are described.
    pub fn identity(&self, requested_by: &str) -> Digest {
        let mut input = self.tool_input.clone();
        if let Value::Object(members) = &mut input {
            members.retain(|name, _| !WORDS.contains(&name.as_str()));
        }
        Digest::of(&digest::canonical_object(|members| {
            members.add("cwd", &self.cwd)?;
            members.add_some("repo", self.repo.as_ref())?;
            members.add("requester", requested_by)?;
            members.add("tool_input", &input)?;
            members.add("tool_name", &self.tool_name)
        }))
    }
}

/// One call of one session; it is the same when it is asked about again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolUse {
    digest: Digest,
    token: Uuid,
}

impl ToolUse {
    /// The call that has this id in the requester's session.
    pub fn of(requested_by: &str, session_id: &str, tool_use_id: &str) -> Self {
        let bytes = digest::canonical(&[requested_by, session_id, tool_use_id]);
        let mut token = [0; 16];
        token.copy_from_slice(&Sha256::digest(&bytes)[..16]);
        Self { digest: Digest::of(&bytes), token: Builder::from_custom_bytes(token).into_uuid() }
    }

    /// The key under which it is stored.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The token with which the log records that this call, and no other, may use the permission.
    pub fn token(&self) -> Uuid {
        self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::tools::Client;
    use serde_json::json;

    fn call(tool_input: Value) -> ToolCall {
        ToolCall {
            client: Client::ClaudeCode,
            session_id: "s".to_owned(),
            tool_use_id: "t".to_owned(),
            tool_name: "Bash".to_owned(),
            tool_input,
            cwd: "/srv/api".to_owned(),
            repo: None,
            permission_mode: None,
        }
    }

    #[test]
    fn other_words_a_new_turn_and_another_order_of_keys_make_no_other_call() {
        let asked = call(json!({"command": "rm -r build", "description": "Clean up", "timeout": 5}));
        let again = ToolCall {
            session_id: "later".to_owned(),
            tool_use_id: "u".to_owned(),
            permission_mode: Some("plan".to_owned()),
            client: Client::Codex,
            ..call(json!({"timeout": 60, "description": "Remove build products", "command": "rm -r build"}))
        };
        assert_eq!(asked.identity("bot"), again.identity("bot"));
    }

    #[test]
    fn a_change_of_the_effect_makes_another_call() {
        let asked = call(json!({"command": "rm -r build"}));
        let others = [
            call(json!({"command": "rm -r build "})),
            call(json!({"command": "rm -r build", "run_in_background": true})),
            call(json!({"command": "rm -r build", "nested": {"description": "kept"}})),
            ToolCall { cwd: "/srv".to_owned(), ..asked.clone() },
            ToolCall { repo: Some("api".to_owned()), ..asked.clone() },
            ToolCall { tool_name: "bash".to_owned(), ..asked.clone() },
        ];
        for other in others {
            assert_ne!(asked.identity("bot"), other.identity("bot"), "{other:?}");
        }
        assert_ne!(asked.identity("bot"), asked.identity("other-bot"));
    }

    #[test]
    fn a_use_is_named_by_requester_session_and_id_together() {
        let one = ToolUse::of("bot", "session", "use");
        assert_eq!(one, ToolUse::of("bot", "session", "use"));
        for other in [ToolUse::of("bot", "session", "us"), ToolUse::of("bot", "sessionuse", ""), ToolUse::of("bo", "tsession", "use")] {
            assert_ne!(one.digest(), other.digest());
            assert_ne!(one.token(), other.token());
        }
    }
}
