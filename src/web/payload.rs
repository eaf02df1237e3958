//! What a requester sends in addition to the description, made readable: JSON with its keys, text
//! with its lines, and long values folded.
//!
//! Nothing is left out: folded values are in the page, and open without a script.

use crate::web::manifest::{self, Manifests};
use serde::Serialize;
use serde_json::{Map, Value};

/// The most lines of a value that is shown open; a longer one is folded.
const MOST_LINES: usize = 40;
/// The most characters of a list or an object that is written on one line.
const LONGEST_INLINE: usize = 60;

/// A value and its name.
#[derive(Debug, PartialEq, Serialize)]
pub struct Field {
    name: String,
    #[serde(flatten)]
    shown: Shown,
    /// Whether it is shown open.
    is_open: bool,
}

/// How a value is shown.
#[derive(Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Shown {
    /// On one line, written as JSON, so that `2` differs from `"2"`.
    Plain { text: String },
    /// Text of several lines.
    Lines { note: String, lines: Vec<Line> },
    /// A list or an object.
    Group { note: String, fields: Vec<Field> },
}

/// One line of a text. In a unified diff it has its kind of change.
#[derive(Debug, PartialEq, Serialize)]
struct Line {
    text: String,
    change: &'static str,
}

/// The fields of an object.
pub fn fields(object: &Map<String, Value>, manifests: Manifests<'_>) -> Vec<Field> {
    object.iter().map(|(name, value)| Field::of(name, value, manifests)).collect()
}

impl Field {
    fn of(name: &str, value: &Value, manifests: Manifests<'_>) -> Self {
        let shown = Shown::of(value, manifests);
        Self { name: name.to_owned(), is_open: shown.lines() <= MOST_LINES, shown }
    }
}

impl Shown {
    fn of(value: &Value, manifests: Manifests<'_>) -> Self {
        let plain = || Self::Plain { text: value.to_string() };
        match value {
            Value::String(text) if text.trim_end_matches('\n').contains('\n') => lines(text, manifests),
            Value::Object(fields) if !is_short(value) => {
                let note = manifest::title(fields).unwrap_or_else(|| counted(fields.len(), "field"));
                Self::Group { note, fields: fields.iter().map(|(name, field)| Field::of(name, field, manifests)).collect() }
            }
            Value::Array(items) if !is_short(value) => {
                let fields = items.iter().enumerate().map(|(index, item)| Field::of(&index.to_string(), item, manifests));
                Self::Group { note: counted(items.len(), "item"), fields: fields.collect() }
            }
            _ => plain(),
        }
    }

    /// How many lines it takes with everything in it open.
    fn lines(&self) -> usize {
        match self {
            // A long line is broken by the page.
            Self::Plain { text } => 1 + text.len() / 160,
            Self::Lines { lines, .. } => 1 + lines.iter().map(|line| 1 + line.text.len() / 160).sum::<usize>(),
            Self::Group { fields, .. } => 1 + fields.iter().map(|field| field.shown.lines()).sum::<usize>(),
        }
    }
}

/// Whether a list or an object is short enough for one line.
fn is_short(value: &Value) -> bool {
    let text = value.to_string();
    text.len() <= LONGEST_INLINE && !text.contains("\\n")
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Text of several lines, each unchanged.
fn lines(text: &str, manifests: Manifests<'_>) -> Shown {
    let is_diff = is_unified_diff(text);
    let change = |line: &str| match line.as_bytes() {
        _ if !is_diff => "",
        [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] => "file",
        [b'+', ..] => "added",
        [b'-', ..] => "removed",
        [b'@', b'@', ..] => "hunk",
        _ => "",
    };
    let split = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    let lines: Vec<Line> = split.map(|line| Line { text: line.to_owned(), change: change(line) }).collect();
    let what = if is_diff { "line of a diff" } else { "line" };
    let note = if is_diff && lines.len() != 1 { format!("{} lines of a diff", lines.len()) } else { counted(lines.len(), what) };
    // The text stays whole, whatever the summary says.
    let about = if is_diff { None } else { manifests(text).map(|found| manifest::titles(&found)) };
    let note = about.map_or(note.clone(), |about| format!("{note} of YAML: {about}"));
    Shown::Lines { note, lines }
}

/// Whether a text is a unified diff: two lines that name files, then a hunk.
fn is_unified_diff(text: &str) -> bool {
    let all: Vec<&str> = text.lines().collect();
    all.windows(3).any(|three| three[0].starts_with("--- ") && three[1].starts_with("+++ ") && three[2].starts_with("@@ "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(value: Value) -> Value {
        serde_json::to_value(Field::of("x", &value, &|_| None)).unwrap()
    }

    #[test]
    fn short_values_are_shown_on_one_line_as_json_writes_them() {
        for value in [json!(2), json!("2"), json!(null), json!([]), json!({"a": [1]}), json!("one line\n")] {
            let field = shown(value.clone());
            assert_eq!((&field["kind"], &field["text"]), (&json!("plain"), &json!(value.to_string())));
        }
        assert_eq!(shown(json!({"a": "x\ny"}))["kind"], "group", "lines are lines wherever they stand");
    }

    #[test]
    fn a_text_keeps_its_lines_and_a_diff_marks_each_change() {
        let text = shown(json!("a\r\n\n- b"));
        assert_eq!((&text["note"], &text["is_open"]), (&json!("3 lines"), &json!(true)));
        assert_eq!(text["lines"], json!([{"text": "a", "change": ""}, {"text": "", "change": ""}, {"text": "- b", "change": ""}]));
        let diff = shown(json!("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+new\n same"));
        let changes: Vec<_> = diff["lines"].as_array().unwrap().iter().map(|line| line["change"].as_str().unwrap()).collect();
        assert_eq!(changes, ["file", "file", "hunk", "removed", "added", ""]);
        assert_eq!(diff["note"], "6 lines of a diff");
    }

    #[test]
    fn values_above_forty_lines_are_folded_and_complete() {
        let text = (0..60).map(|n| format!("line {n}")).collect::<Vec<_>>().join("\n");
        let folded = shown(json!({"plan": text, "n": 1}));
        assert_eq!(folded["is_open"], false);
        assert_eq!(folded["fields"][0]["is_open"], false);
        assert_eq!(folded["fields"][0]["lines"].as_array().unwrap().len(), 60);
        assert_eq!(folded["fields"][1]["is_open"], true);
        assert_eq!(shown(json!("x".repeat(40_000)))["is_open"], false, "a line that the page breaks is long too");
    }

    #[test]
    fn a_text_of_manifests_names_them_and_keeps_every_line() {
        let manifests =
            |text: &str| text.contains("kind").then(|| vec![json!({"apiVersion": "v1", "kind": "Namespace"}).as_object().unwrap().clone()]);
        let field = serde_json::to_value(Field::of("x", &json!("kind: Namespace\n# a remark"), &manifests)).unwrap();
        assert_eq!((&field["kind"], &field["note"]), (&json!("lines"), &json!("2 lines of YAML: Kubernetes Namespace")));
        assert_eq!(field["lines"][1]["text"], "# a remark");
    }
}
