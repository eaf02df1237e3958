//! Shell commands.

use crate::domain::tools::reading::Part;
use crate::domain::tools::{ToolCall, ToolRules};

/// The parts of a call of a shell.
pub fn read(rules: &ToolRules, call: &ToolCall) -> Vec<Part> {
    vec![rules.unmatched(&call.tool_name, "no entry reads it")]
}
