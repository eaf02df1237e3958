//! Outputs: values that a step of a plan provides, and references to them in later steps.
//!
//! A runbook writes a JSON object of texts and numbers into the file named by [`VARIABLE`]. An
//! argument of a later step that consists only of `{{ steps.backup.output.path }}` takes one of
//! these values when the step is next.

use crate::domain::task::ActionKind;
use crate::domain::task::plan::is_name;
use crate::domain::text::shown;
use serde_json::{Map, Value};

/// The environment variable with the path of the file into which a runbook writes its outputs.
pub const VARIABLE: &str = "PARKBRAKE_OUTPUT";

/// The most bytes of a runbook's outputs.
pub const LONGEST: usize = 16 * 1024;
/// The most outputs.
const MOST: usize = 64;
/// The most bytes in a text.
const LONGEST_TEXT: usize = 4 * 1024;

/// The key of the outputs in the recorded output of an attempt.
pub const OUTPUTS: &str = "outputs";
/// The key of the reason why the outputs were refused.
pub const REFUSED: &str = "outputs_refused";

/// A reference to an output of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    pub step: String,
    pub output: String,
}

impl Reference {
    /// Parses a reference; `None` for any other text.
    pub fn read(text: &str) -> Option<Self> {
        let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim();
        let (step, output) = inner.strip_prefix("steps.")?.split_once(".output.")?;
        (is_name(step) && is_name(output)).then(|| Self { step: step.to_owned(), output: output.to_owned() })
    }
}

/// Whether a text looks like an attempt to name an output, even if it is not a valid reference.
pub fn means_one(text: &str) -> bool {
    text.split("{{").skip(1).any(|rest| rest.trim_start().starts_with("steps."))
}

/// The arguments that are references to outputs.
pub fn named_in(args: &Map<String, Value>) -> Vec<String> {
    let is_one = |value: &Value| value.as_str().is_some_and(|text| Reference::read(text).is_some());
    args.iter().filter(|(_, value)| is_one(value)).map(|(name, _)| name.clone()).collect()
}

/// Parses the outputs that a runbook has written; `None` if it has written nothing.
///
/// # Errors
/// The reason why the outputs cannot be used.
pub fn read(written: &[u8]) -> Result<Option<Map<String, Value>>, String> {
    if written.len() > LONGEST {
        return Err(format!("it wrote more than {} KiB", LONGEST / 1024));
    }
    if written.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let outputs: Map<String, Value> = serde_json::from_slice(written).map_err(|error| format!("it wrote no JSON object: {error}"))?;
    if outputs.len() > MOST {
        return Err(format!("it wrote {} outputs, and a step has at most {MOST}", outputs.len()));
    }
    for (name, value) in &outputs {
        if !is_name(name) {
            return Err(format!("`{}` cannot name an output: write a-z, 0-9, _ and -, and begin with a letter", shown(name)));
        }
        match value {
            Value::Number(_) => {}
            Value::String(text) if text.len() <= LONGEST_TEXT => {}
            Value::String(_) => return Err(format!("`{name}` is longer than {LONGEST_TEXT} bytes")),
            _ => return Err(format!("`{name}` is neither a text nor a number")),
        }
    }
    Ok(Some(outputs))
}

/// The output with this name, from the recorded output of a successful attempt.
///
/// # Errors
/// The reason why there is none, to follow the name of its step.
pub fn of_attempt(kind: ActionKind, recorded: Option<&Value>, name: &str) -> Result<Value, String> {
    let provided = match kind {
        ActionKind::Runbook => {
            if let Some(why) = recorded.and_then(|output| output[REFUSED].as_str()) {
                return Err(format!("provided no usable output: {why}"));
            }
            recorded.and_then(|output| output[OUTPUTS].get(name).cloned())
        }
        ActionKind::Webhook => {
            let answer = recorded.filter(|output| output["body_truncated"] != true).and_then(|output| output["body"].as_str());
            answer.and_then(|body| serde_json::from_str::<Value>(body).ok()?.get(name).cloned())
        }
        ActionKind::External => recorded.and_then(|output| output.get(name).cloned()),
    };
    match provided {
        Some(value @ Value::Number(_)) => Ok(value),
        Some(Value::String(text)) if text.len() <= LONGEST_TEXT => Ok(Value::String(text)),
        Some(_) => Err(format!("provided a `{name}` that is neither a number nor a text of at most {LONGEST_TEXT} bytes")),
        None => Err(format!("provided no `{name}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_whole_value_names_an_output() {
        let backup = Reference { step: "backup".to_owned(), output: "path".to_owned() };
        for text in ["{{ steps.backup.output.path }}", "{{steps.backup.output.path}}", " {{ steps.backup.output.path }} "] {
            assert_eq!(Reference::read(text).as_ref(), Some(&backup), "{text}");
        }
        for text in [
            "steps.backup.output.path",
            "{{ service }}",
            "{{ steps.backup.path }}",
            "{{ steps.Backup.output.path }}",
            "{{ steps.backup.output.a.b }}",
            "x{{ steps.backup.output.path }}",
            "{{ steps.backup.output.path }}{{ steps.backup.output.path }}",
            "",
        ] {
            assert_eq!(Reference::read(text), None, "{text}");
        }
        assert!(means_one("x{{ steps.backup.output.path }}") && means_one("{{steps.x") && !means_one("{{ service }} steps."));
        let args = json!({"path": "{{ steps.backup.output.path }}", "service": "api", "list": ["{{ steps.a.output.b }}"]});
        assert_eq!(named_in(args.as_object().unwrap()), ["path"]);
    }

    #[test]
    fn a_runbooks_output_is_an_object_of_texts_and_numbers_within_limits() {
        assert_eq!(read(b" \n"), Ok(None));
        let written = read(br#"{"path": "/backups/1", "size": 3}"#).unwrap().unwrap();
        assert_eq!(Value::Object(written), json!({"path": "/backups/1", "size": 3}));
        let many: Map<String, Value> = (0..=MOST).map(|number| (format!("a{number}"), json!(1))).collect();
        for (written, why) in [
            (b"[1]".to_vec(), "no JSON object"),
            (b"path=1".to_vec(), "no JSON object"),
            (br#"{"a": true}"#.to_vec(), "neither a text nor a number"),
            (br#"{"a": {}}"#.to_vec(), "neither a text nor a number"),
            (br#"{"A b": 1}"#.to_vec(), "cannot name an output"),
            (vec![b' '; LONGEST + 1], "more than 16 KiB"),
            (json!({"a": "x".repeat(LONGEST_TEXT + 1)}).to_string().into_bytes(), "longer than"),
            (Value::Object(many).to_string().into_bytes(), "at most 64"),
        ] {
            let refused = read(&written).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
    }

    #[test]
    fn each_kind_of_action_provides_outputs_in_its_own_way() {
        let runbook = json!({"stdout": "x", "outputs": {"path": "/a"}});
        let webhook = json!({"status": 200, "body": r#"{"path": "/b", "deep": {}}"#, "body_truncated": false});
        let external = json!({"path": 7, "note": "x".repeat(LONGEST_TEXT + 1)});
        let (run, call, act) = (ActionKind::Runbook, ActionKind::Webhook, ActionKind::External);
        for (kind, output) in [(run, &runbook), (call, &webhook), (act, &external)] {
            let value = of_attempt(kind, Some(output), "path").unwrap();
            assert!([json!("/a"), json!("/b"), json!(7)].contains(&value), "{value}");
            assert_eq!(of_attempt(kind, Some(output), "other").unwrap_err(), "provided no `other`");
            assert_eq!(of_attempt(kind, None, "path").unwrap_err(), "provided no `path`");
        }
        assert!(of_attempt(run, Some(&json!({"stdout": "x", "path": "/a"})), "path").is_err(), "a stream is no output");
        assert!(of_attempt(call, Some(&webhook), "deep").unwrap_err().contains("neither"));
        assert!(of_attempt(act, Some(&external), "note").unwrap_err().contains("neither"));
        let refused = json!({"outputs_refused": "it wrote no JSON object"});
        assert!(of_attempt(run, Some(&refused), "path").unwrap_err().ends_with("it wrote no JSON object"));
    }
}
