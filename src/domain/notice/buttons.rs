//! Buttons in Slack: the format that the sender of messages and the handler of presses share.

use crate::domain::task::digest::Digest;
use crate::domain::task::plan::Document;
use crate::domain::text::escaped;
use serde_json::{Map, Value};
use uuid::Uuid;

/// The longest text of a message, in UTF-16 units, as Slack counts.
pub const LONGEST_TEXT: usize = 3000;
/// The heading above the values that a decision covers.
const COVERED: &str = "Everything that the decision covers:";

/// The action of a link button. Slack reports its press too, which has no effect.
pub const OPEN: &str = "parkbrake_open";
const APPROVE: &str = "parkbrake_approve";
const REJECT: &str = "parkbrake_reject";

/// The decision that a button makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    Approve,
    Reject,
}

/// The subject of a button: the workflow, and the digest of the document shown beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub workflow_id: Uuid,
    pub digest: String,
    pub word: Word,
}

/// The action name of a button.
pub fn action(word: Word) -> &'static str {
    match word {
        Word::Approve => APPROVE,
        Word::Reject => REJECT,
    }
}

/// The value of a button.
pub fn value(workflow_id: Uuid, digest: &Digest) -> String {
    format!("{workflow_id} {digest}")
}

/// The subject of a pressed button; `None` if it is not a button that decides.
pub fn question(action: &str, value: &str) -> Option<Question> {
    let word = match action {
        APPROVE => Word::Approve,
        REJECT => Word::Reject,
        _ => return None,
    };
    let (id, digest) = value.split_once(' ')?;
    Some(Question { workflow_id: Uuid::try_parse(id).ok()?, digest: digest.to_owned(), word })
}

/// Everything that a decision covers: each value of the document under the digest, with its path,
/// on a line of its own. Nothing is left out or cut. If that does not fit into the text of a
/// message, this is `None`, and then the message may have no buttons either: an approval is for
/// what was shown.
pub fn covered(document: &Document) -> Option<String> {
    let document: Map<String, Value> = serde_json::from_slice(&document.canonical()).ok()?;
    let mut lines = vec![COVERED.to_owned()];
    for (name, value) in &document {
        list(&path("", name), value, &mut lines);
    }
    let text = lines.join("\n");
    (text.encode_utf16().count() <= LONGEST_TEXT).then_some(text)
}

fn list(at: &str, value: &Value, lines: &mut Vec<String>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => fields.iter().for_each(|(name, value)| list(&path(at, name), value, lines)),
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            items.iter().enumerate().for_each(|(number, item)| list(&format!("{at}[{number}]"), item, lines));
        }
        leaf => lines.push(format!("{at}: {}", escaped(&leaf.to_string()))),
    }
}

/// The path of a field. An ambiguous name is quoted.
fn path(at: &str, name: &str) -> String {
    let is_plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    let name = if is_plain { name.to_owned() } else { escaped(&Value::from(name).to_string()) };
    if at.is_empty() { name } else { format!("{at}.{name}") }
}

/// Escapes text for Slack's `mrkdwn`: nothing in it is a mention or a link.
pub fn mrkdwn(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::task::Task;
    use serde_json::json;

    #[test]
    fn a_button_value_is_read_back_as_written() {
        let (id, digest) = (Uuid::new_v4(), Digest::of(b"document"));
        for word in [Word::Approve, Word::Reject] {
            let question = question(action(word), &value(id, &digest));
            assert_eq!(question, Some(Question { workflow_id: id, digest: digest.to_string(), word }));
        }
        assert_eq!(question(OPEN, &value(id, &digest)), None);
        assert_eq!(question(APPROVE, "no value of ours"), None);
    }

    #[test]
    fn everything_that_a_decision_covers_is_listed_or_nothing_is() {
        let task = |note: &str| -> Document {
            serde_json::from_value::<Task>(json!({
                "description": "d\u{200b}", "operation": "deploy", "security_findings": [{"severity": "high", "title": "t"}],
                "action": {"type": "runbook", "name": "n", "args": {"a.b": note},
                    "runs": {"command": ["x", note], "working_dir": ".", "env": ["TOKEN"], "timeout": "10m", "idempotent": false}},
                "metadata": {"deep": {"list": [1, [2]]}, "none": {}},
            }))
            .unwrap()
            .into()
        };
        let expected = [
            "Everything that the decision covers:",
            "action.args.\"a.b\": \"one\\ntwo\"",
            "action.name: \"n\"",
            "action.runs.command: [\"x\",\"one\\ntwo\"]",
            "action.runs.env: [\"TOKEN\"]",
            "action.runs.idempotent: false",
            "action.runs.timeout: \"10m\"",
            "action.runs.working_dir: \".\"",
            "action.type: \"runbook\"",
            "description: \"d<U+200B>\"",
            "metadata.deep.list[0]: 1",
            "metadata.deep.list[1]: [2]",
            "metadata.none: {}",
            "operation: \"deploy\"",
            "security_findings[0].severity: \"high\"",
            "security_findings[0].title: \"t\"",
        ];
        assert_eq!(covered(&task("one\ntwo")).unwrap().lines().collect::<Vec<_>>(), expected);
        assert_eq!(covered(&task(&"x".repeat(2_000))), None);
    }
}
