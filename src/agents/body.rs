//! The requests of hooks.

use crate::domain::request::Fault;
use crate::domain::tools::{self, ToolCall};
use crate::domain::workflow::Outcome;
use crate::service::ServiceError;
use serde::Deserialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// The most characters of an id from a client, and of a tool's name.
const LONGEST_ID: usize = 256;
/// The most bytes of a path.
const LONGEST_PATH: usize = 4 * 1024;

/// The client whose hook asks.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[schema(as = AgentClient)]
#[serde(rename_all = "snake_case")]
pub enum Client {
    ClaudeCode,
    Codex,
    Other,
}

impl From<Client> for tools::Client {
    fn from(client: Client) -> Self {
        match client {
            Client::ClaudeCode => Self::ClaudeCode,
            Client::Codex => Self::Codex,
            Client::Other => Self::Other,
        }
    }
}

/// A tool call, before it runs.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ToolCall)]
#[serde(deny_unknown_fields)]
pub struct ToolCallBody {
    client: Client,
    /// The client's session.
    #[schema(min_length = 1, max_length = 256)]
    session_id: String,
    /// The id of the call within the session. The same session and id get the same answer again.
    #[schema(min_length = 1, max_length = 256)]
    tool_use_id: String,
    /// As the client spells it.
    #[schema(min_length = 1, max_length = 256)]
    tool_name: String,
    /// The whole input of the tool. It is stored and shown unchanged.
    #[schema(value_type = Object)]
    tool_input: Map<String, Value>,
    /// The folder that the agent works in.
    #[schema(min_length = 1, max_length = 4096)]
    cwd: String,
    /// The repository that the folder belongs to.
    #[serde(default)]
    #[schema(max_length = 4096)]
    repo: Option<String>,
    /// The client's own mode; it is shown, and changes nothing.
    #[serde(default)]
    #[schema(max_length = 256)]
    permission_mode: Option<String>,
}

impl ToolCallBody {
    /// The call.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(self) -> Result<ToolCall, ServiceError> {
        let Self { client, session_id, tool_use_id, tool_name, tool_input, cwd, repo, permission_mode } = self;
        let mut faults = Vec::new();
        for (pointer, text, longest) in [
            ("/session_id", Some(&session_id), LONGEST_ID),
            ("/tool_use_id", Some(&tool_use_id), LONGEST_ID),
            ("/tool_name", Some(&tool_name), LONGEST_ID),
            ("/cwd", Some(&cwd), LONGEST_PATH),
            ("/repo", repo.as_ref(), LONGEST_PATH),
            ("/permission_mode", permission_mode.as_ref(), LONGEST_ID),
        ] {
            faults.extend(text.and_then(|text| fault(pointer, text, longest)));
        }
        if !faults.is_empty() {
            return Err(ServiceError::InvalidTask(faults));
        }
        let tool_input = Value::Object(tool_input);
        Ok(ToolCall { client: client.into(), session_id, tool_use_id, tool_name, tool_input, cwd, repo, permission_mode })
    }
}

fn fault(pointer: &str, text: &str, longest: usize) -> Option<Fault> {
    if text.trim().is_empty() {
        Some(Fault::new(pointer, "is empty"))
    } else if text.len() > longest {
        Some(Fault::new(pointer, format!("is longer than {longest} bytes")))
    } else {
        None
    }
}

/// The outcome of a tool call.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ToolOutcome {
    Succeeded,
    Failed,
}

/// The result of an allowed call.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ToolResult)]
#[serde(deny_unknown_fields)]
pub struct ToolResultBody {
    pub client: Client,
    #[schema(min_length = 1, max_length = 256)]
    pub session_id: String,
    #[schema(min_length = 1, max_length = 256)]
    pub tool_use_id: String,
    outcome: ToolOutcome,
    /// The output of the tool, of any shape.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    output: Option<Value>,
    /// What went wrong.
    #[serde(default)]
    error: Option<String>,
}

impl ToolResultBody {
    /// The outcome.
    pub fn outcome(&mut self) -> Outcome {
        let output = self.output.take();
        match self.outcome {
            ToolOutcome::Succeeded => Outcome::Succeeded { output },
            ToolOutcome::Failed => Outcome::Failed {
                error: self.error.take().unwrap_or_else(|| "the tool failed, and the client did not say why".to_owned()),
                output,
            },
        }
    }
}
