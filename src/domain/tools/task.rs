//! A tool call as a task: what people see, and what is recorded.

use crate::domain::task::metadata::Metadata;
use crate::domain::task::{Action, ActionKind, Task};
use crate::domain::text::{escaped, in_a_line};
use crate::domain::tools::{Client, Reading, ToolCall, ToolFacts};
use regex::Regex;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

/// The most characters in a title. The task has the whole input.
const LONGEST_TITLE: usize = 240;
/// The most lines of a reading that are stored.
const LONGEST_READING: usize = 100;
/// The members of an input that describe a call best. The first one present is used.
const TELLING: [&str; 7] = ["command", "file_path", "notebook_path", "path", "url", "pattern", "query"];
/// Shown in place of a possible secret.
const MASK: &str = "***";

impl Client {
    /// The word for it, the same in JSON and in the task.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClaudeCode => "claude_code",
            Self::Codex => "codex",
            Self::Other => "other",
        }
    }
}

impl ToolCall {
    /// The call from which a task was made; `None` for any other task.
    pub fn of(task: &Task) -> Option<Self> {
        let call = task.metadata.get("tool_call").filter(|_| task.action.kind == ActionKind::External)?;
        let text = |name: &str| call.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            client: serde_json::from_value(call.get("client")?.clone()).ok()?,
            session_id: text("session_id")?,
            tool_use_id: text("tool_use_id")?,
            tool_name: task.action.name.clone()?,
            tool_input: Value::Object(task.action.args.clone()),
            cwd: text("cwd")?,
            repo: text("repo"),
            permission_mode: text("permission_mode"),
        })
    }

    /// The task: an action of the requester's own, with the whole input of the call. `facts` are
    /// those of its most dangerous part.
    pub fn task(&self, requested_by: &str, reading: &Reading, facts: &ToolFacts) -> Task {
        let args = match &self.tool_input {
            Value::Object(members) => members.clone(),
            other => Map::from_iter([("input".to_owned(), other.clone())]),
        };
        let read_as: Vec<&str> = reading.because().take(LONGEST_READING).collect();
        let mut call = Map::from_iter([
            ("client".to_owned(), json!(self.client.as_str())),
            ("session_id".to_owned(), json!(self.session_id)),
            ("tool_use_id".to_owned(), json!(self.tool_use_id)),
            ("cwd".to_owned(), json!(self.cwd)),
            ("identity".to_owned(), json!(self.identity(requested_by))),
            ("read_as".to_owned(), json!(read_as)),
        ]);
        let more = [("repo", &self.repo), ("permission_mode", &self.permission_mode)];
        call.extend(more.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value.as_ref()?)))));
        Task {
            task_id: None,
            description: self.title(),
            operation: facts.operation.clone(),
            environment: facts.environment.clone(),
            resource: facts.resource.clone(),
            resource_type: facts.resource_type.clone(),
            security_findings: Vec::new(),
            estimated_cost: None,
            evidence: None,
            action: Action { name: Some(self.tool_name.clone()), args, ..Action::external() },
            metadata: Metadata::from(Map::from_iter([("tool_call".to_owned(), Value::Object(call))])),
        }
    }

    /// The call in one line, for lists and messages, without possible secrets, which only the task
    /// itself contains.
    pub fn title(&self) -> String {
        let told = TELLING.iter().find_map(|name| self.tool_input.get(name));
        let text = match told {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
            Some(other) => other.to_string(),
            None => String::new(),
        };
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let title = format!("{}: {}", in_a_line(&self.tool_name), escaped(&without_secrets(&words.join(" "))));
        let title = title.trim_end_matches([':', ' ']);
        match title.char_indices().nth(LONGEST_TITLE) {
            Some((end, _)) => format!("{}… (the whole input is in the task)", &title[..end]),
            None => title.to_owned(),
        }
    }
}

/// Masks everything in a text that looks like a secret: values after a name used for secrets,
/// credentials in a URL, text after `Bearer`, and text that begins like a token of a well-known
/// service.
fn without_secrets(text: &str) -> String {
    /// Names used for secrets in variables, members and flags.
    const NAMES: &str = "secret|token|passw(?:or)?d|passphrase|api[_-]?key|access[_-]?key|private[_-]?key|credential";
    static LOOKS: LazyLock<[(Regex, &str); 5]> = LazyLock::new(|| {
        let compiled = |pattern: &str| Regex::new(&pattern.replace("NAMES", NAMES)).expect("a pattern of this file");
        [
            (compiled(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}"), "$1 ***"),
            (compiled(r"://[^/\s:@]*:[^/\s@]+@"), "://***@"),
            (compiled(r#"(?i)([\w-]*(?:NAMES)[\w-]*["']?\s*[=:]\s*)("[^"]*"|'[^']*'|[^\s"';&|]+)"#), "$1***"),
            (compiled(r#"(?i)(--?[\w-]*(?:NAMES)[\w-]*\s+)("[^"]*"|'[^']*'|[^\s"';&|-][^\s"';&|]*)"#), "$1***"),
            (
                compiled(
                    r"\b(?:gh[pousr]_|github_pat_|glpat-|xox[abprs]-|sk-|rk_|pk_live_|pbk_|whsec_|AKIA|ASIA|AIza|eyJ[A-Za-z0-9_-]{10,}\.)[A-Za-z0-9._-]{6,}",
                ),
                MASK,
            ),
        ]
    });
    LOOKS.iter().fold(text.to_owned(), |text, (looks, instead)| looks.replace_all(&text, *instead).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(tool_name: &str, tool_input: Value) -> ToolCall {
        ToolCall {
            client: Client::Codex,
            session_id: "s".to_owned(),
            tool_use_id: "t".to_owned(),
            tool_name: tool_name.to_owned(),
            tool_input,
            cwd: "/srv/api".to_owned(),
            repo: None,
            permission_mode: None,
        }
    }

    #[test]
    fn a_title_names_the_tool_and_its_input_in_one_line() {
        for (name, input, title) in [
            ("Bash", json!({"command": "git push\n origin main", "description": "Push"}), "Bash: git push origin main"),
            ("shell", json!({"command": ["bash", "-lc", "ls"]}), "shell: bash -lc ls"),
            ("Write", json!({"file_path": "/srv/api/a.rs", "content": "x"}), "Write: /srv/api/a.rs"),
            ("TodoWrite", json!({"todos": []}), "TodoWrite"),
        ] {
            let written = call(name, input).title();
            assert_eq!(written, title);
        }
        let long = call("Bash", json!({"command": "ü".repeat(5_000)})).title();
        assert!(long.ends_with("… (the whole input is in the task)") && long.len() < 700, "{long}");
    }

    #[test]
    fn titles_mask_what_looks_like_a_secret() {
        for command in [
            "curl -H 'Authorization: Bearer s3cr3t-value' https://api",
            "export DB_PASSWORD=s3cr3t-value; run",
            "mysql --password s3cr3t-value",
            "deploy --api-key='s3cr3t-value'",
            "git clone https://me:s3cr3t-value@example.com/x.git",
            "echo ghp_s3cr3tvalues3cr3tvalue",
            "GITHUB_TOKEN=s3cr3t-value gh pr list",
            r#"curl -d '{"client_secret": "s3cr3t-value"}' x"#,
        ] {
            let title = call("Bash", json!({ "command": command })).title();
            assert!(title.contains(MASK) && !title.contains("s3cr3t"), "{command}: {title}");
        }
        for harmless in ["git push origin main", "parkbrake token list", "grep -r token src"] {
            assert_eq!(without_secrets(harmless), harmless);
        }
    }
}
