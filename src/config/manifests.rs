//! Reads Kubernetes manifests that a requester sends as YAML text, so that people see what they are
//! about.
//!
//! The text comes from outside, and other programs read it in their own ways. So a text is not
//! interpreted if two programs could read it differently or if it grows when it is expanded:
//! anchors and aliases, merge keys, tags and duplicate keys. It is then shown as it is, without a
//! summary.

use super::document::{self, Entry, Node, Value};
use serde_json::{Map, Value as Json};

/// The longest text that is interpreted; a longer one is only shown.
const MOST_BYTES: usize = 256 * 1024;

/// The manifests of a text, in order; `None` if it is anything else than one or more manifests.
pub fn read(text: &str) -> Option<Vec<Map<String, Json>>> {
    let is_worth_it = text.len() <= MOST_BYTES && text.contains("apiVersion") && text.contains("kind") && !may_refer(text);
    let documents = if is_worth_it { document::parse_all(text).ok()? } else { return None };
    let manifests = documents.into_iter().filter(|document| !matches!(document.value, Value::Nothing)).map(manifest);
    manifests.collect::<Option<Vec<_>>>().filter(|manifests| !manifests.is_empty())
}

/// Whether there may be an anchor or an alias: `&` or `*` before a name, where a value can begin.
fn may_refer(text: &str) -> bool {
    let marked = |at: usize| {
        let begins = text[..at].chars().next_back().is_none_or(|before| before.is_whitespace() || "[{,:-?".contains(before));
        begins && text[at + 1..].chars().next().is_some_and(|name| name.is_alphanumeric() || "_-".contains(name))
    };
    text.match_indices(['&', '*']).any(|(at, _)| marked(at))
}

fn manifest(document: Node) -> Option<Map<String, Json>> {
    let Json::Object(fields) = json(document)? else { return None };
    (fields.get("apiVersion")?.is_string() && fields.get("kind")?.is_string()).then_some(fields)
}

fn json(node: Node) -> Option<Json> {
    Some(match node.value {
        Value::Nothing => Json::Null,
        Value::Boolean(value) => value.into(),
        Value::Count(value) => value.into(),
        Value::Number(number) => serde_json::from_str(&number).unwrap_or(Json::String(number)),
        Value::Text(text) => text.into(),
        Value::List(items) => Json::Array(items.into_iter().map(json).collect::<Option<_>>()?),
        Value::Mapping(entries) => Json::Object(mapping(entries)?),
        Value::Tagged(_) => return None,
    })
}

fn mapping(entries: Vec<Entry>) -> Option<Map<String, Json>> {
    let mut fields = Map::new();
    for Entry { key, node, .. } in entries {
        if key == "<<" || fields.contains_key(&key) {
            return None;
        }
        fields.insert(key, json(node)?);
    }
    Some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata:\n  name: api\n";

    #[test]
    fn one_manifest_or_several_are_read_in_their_order() {
        let text =
            format!("---\n{SERVICE}---\n# only a remark\n---\n{}replicas: 3\nratio: -0.5\n...\n", SERVICE.replace("Service", "Deployment"));
        let read = read(&text).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!((&read[0]["kind"], &read[1]["kind"], &read[1]["replicas"]), (&json!("Service"), &json!("Deployment"), &json!(3)));
        assert_eq!((&read[0]["metadata"]["name"], &read[1]["ratio"]), (&json!("api"), &json!(-0.5)));
    }

    #[test]
    fn ambiguous_yaml_is_not_read() {
        let with = |more: &str| format!("{SERVICE}{more}");
        assert!(read(&with("schedule: \"*/5 * * * *\"\nrun: a && b\nhost: '*.example.com'\n")).is_some());
        for more in [
            "kind: Other\n",
            "a: &x 1\nb: *x\n",
            "<<: {a: 1}\n",
            "a: !secret x\n",
            "1: a\n",
            "\tb: c\n",
            "---\njust: fields\n",
            "---\n- a\n",
            "]\n",
        ] {
            assert_eq!(read(&with(more)), None, "{more}");
        }
        for text in ["apiVersion and kind", "", "apiVersion: 1\nkind: Service\n"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_text_that_would_grow_or_is_too_deep_or_too_long_is_not_read() {
        let bomb = format!("{SERVICE}a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n");
        let deep = format!("{SERVICE}a: {}1{}\n", "[".repeat(40), "]".repeat(40));
        let long = format!("{SERVICE}a: \"{}\"\n", "x".repeat(MOST_BYTES));
        let many = format!("{SERVICE}a:\n{}", "- x\n".repeat(20_001));
        let documents = format!("{SERVICE}{}", format!("---\n{SERVICE}").repeat(3_000));
        for text in [bomb, deep, long, many, documents] {
            assert_eq!(read(&text), None, "{}", &text[..80]);
        }
    }
}
