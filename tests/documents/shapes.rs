//! Examples of bodies in the documents, checked against the OpenAPI document.

use crate::blocks::blocks;
use crate::{documents, read};
use jsonschema::Validator;
use regex::Regex;
use serde_json::{Value, json};

/// The meaning of an example, by words in its block: the call, and the status of the answer (0: it
/// is a request). An example with `…` in it is incomplete, and only parsed.
const SHAPES: &[(&str, &str, &str, u16)] = &[
    ("API.md", "\"steps\": [", "post /orchestrate", 0),
    ("API.md", "\"approvals_remaining\"", "post /workflows/{id}/approve", 200),
    ("API.md", "\"status\": \"completed\"}", "post /workflows/{id}/result", 200),
    ("API.md", "\"status\": \"failed\"}", "post /workflows/{id}/resolve", 200),
    ("API.md", "not-an-approver", "post /workflows/{id}/approve", 403),
];

#[track_caller]
fn validator(call: &str, status: u16) -> Validator {
    let description = parkbrake::app::description();
    let document = description.value();
    let (method, path) = call.split_once(' ').expect("a call");
    let call = &document["paths"][path][method];
    assert!(call.is_object(), "{method} {path} is no call");
    let content = if status == 0 { &call["requestBody"]["content"] } else { &call["responses"][status.to_string()]["content"] };
    let schema = &content.as_object().expect("a body").values().next().expect("a type")["schema"];
    let whole = json!({ "allOf": [schema], "components": document["components"] });
    jsonschema::validator_for(&whole).expect("a schema")
}

#[test]
fn example_bodies_match_their_schemas() {
    for (document, words, call, status) in SHAPES {
        let page = read(&format!("support/docs/{document}"));
        let found = blocks(&page).into_iter().find(|block| block.language == "json" && block.text.contains(words));
        let block = found.unwrap_or_else(|| panic!("{document} has no example with {words}"));
        let example: Value = serde_json::from_str(&block.text).expect("JSON");
        let faults: Vec<String> = validator(call, *status).iter_errors(&example).map(|fault| fault.to_string()).collect();
        assert!(faults.is_empty(), "{document}, line {}: {faults:?}", block.line);
    }
}

#[test]
fn inline_json_parses() {
    let inline = Regex::new(r#"`(\{"[^`]*\})`"#).expect("a pattern");
    let placeholder = Regex::new(r": (?:n|value)([,}])").expect("a pattern");
    let mut seen = 0;
    for name in documents() {
        let prose = read(&name).lines().map(str::trim).collect::<Vec<_>>().join(" ");
        for found in inline.captures_iter(&prose) {
            // An ellipsis stands for omitted parts.
            let text = found[1].replace("{…}", "{}").replace("[{pointer, detail}]", "[]");
            let text = placeholder.replace_all(&text, ": 1$1").into_owned();
            serde_json::from_str::<Value>(&text).unwrap_or_else(|error| panic!("{name}: {}: {error}", &found[1]));
            seen += 1;
        }
    }
    assert!(seen > 10, "the documents have objects: {seen}");
}
