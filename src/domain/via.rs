//! The way in by which a command came: stored with each event, and shown beside it.

use serde::{Serialize, Serializer};
use std::fmt;

/// A way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Via {
    /// The HTTP API, which the command line and the scripts use too.
    #[default]
    Rest,
    /// A form of the inbox.
    Inbox,
    /// A button in Slack.
    Slack,
    /// The Model Context Protocol.
    Mcp,
    ClaudeCode,
    Codex,
    Github,
    /// No caller: parkbrake itself acted, because time passed or an action ended.
    System,
}

impl Via {
    /// Every way in.
    pub const ALL: [Self; 8] = [Self::Rest, Self::Inbox, Self::Slack, Self::Mcp, Self::ClaudeCode, Self::Codex, Self::Github, Self::System];

    /// The word for it, the same in JSON and SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Inbox => "inbox",
            Self::Slack => "slack",
            Self::Mcp => "mcp",
            Self::ClaudeCode => "claude_code",
            Self::Codex => "codex",
            Self::Github => "github",
            Self::System => "system",
        }
    }

    /// The way in with this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|via| via.as_str() == text)
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Via {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
