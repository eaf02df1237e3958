//! What a coding agent's tool call does: the call becomes facts, which are assessed like every
//! other task.
//!
//! Three rules make it reliable:
//! 1. It is an allow-list. An entry names a program, its subcommand and its flags. A call that no
//!    entry matches is unmatched, and so is one that cannot be parsed. Nothing is guessed.
//! 2. A call has parts: each command in a pipeline, each written file, each named secret. Every
//!    part is assessed, and the most dangerous one counts. So adding a part never lowers the level.
//! 3. The work is bounded. A call that is too long, too deep or too complex is unmatched.

mod address;
pub mod check;
mod format;
pub mod identity;
mod inputs;
mod modules;
mod one_liners;
pub mod paths;
pub mod pattern;
mod queries;
pub mod reading;
pub mod rules;
mod shell;
mod sql;
mod task;
pub mod word;

pub use identity::ToolUse;
pub use reading::{Judged, Part, Reading};
pub use rules::{Entry, PathRule, ToolFacts, ToolRules};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The client that asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Client {
    ClaudeCode,
    Codex,
    Other,
}

/// A tool call of a coding agent, before it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolCall {
    pub client: Client,
    pub session_id: String,
    pub tool_use_id: String,
    /// In the client's spelling: `Bash` is a shell, and `bash` is an unknown tool.
    pub tool_name: String,
    pub tool_input: Value,
    /// The folder that the agent works in.
    pub cwd: String,
    pub repo: Option<String>,
    pub permission_mode: Option<String>,
}

/// The tools that take a shell command, by the clients' names for them.
const SHELLS: [&str; 5] = ["Bash", "shell", "local_shell", "shell_command", "exec_command"];

impl ToolRules {
    /// Reads what a call does. A reading has at least one part.
    pub fn read(&self, call: &ToolCall) -> Reading {
        let mut parts = if SHELLS.contains(&call.tool_name.as_str()) { shell::read(self, call) } else { inputs::read(self, call) };
        if parts.is_empty() {
            parts.push(self.unmatched(&call.tool_name, "it says nothing that could be read"));
        }
        Reading::of(parts)
    }
}
