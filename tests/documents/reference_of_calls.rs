//! `support/docs/HTTP_REFERENCE.md`: every call of the API, generated from the document that the
//! server serves.

use crate::reference::{cell, hold};
use serde_json::Value;
use std::fmt::Write as _;

/// The schema that a reference leads to; the schema itself if it is not a reference.
#[track_caller]
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let Some(name) = schema["$ref"].as_str() else { return schema };
    document.pointer(name.trim_start_matches('#')).unwrap_or_else(|| panic!("{name} leads nowhere"))
}

/// The names of the fields of a body; required ones are bold.
fn fields(document: &Value, schema: &Value) -> Vec<String> {
    let schema = resolved(document, schema);
    for choice in ["oneOf", "anyOf", "allOf"] {
        if let Some(choices) = schema[choice].as_array() {
            let mut found: Vec<String> = Vec::new();
            for field in choices.iter().flat_map(|one| fields(document, one)) {
                if !found.contains(&field) {
                    found.push(field);
                }
            }
            return found;
        }
    }
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let names = schema["properties"].as_object().into_iter().flat_map(|properties| properties.keys());
    names.map(|name| if required.contains(&name.as_str()) { format!("**`{name}`**") } else { format!("`{name}`") }).collect()
}

/// The input of a call: query parameters, headers, and the fields of its body.
fn sent(document: &Value, call: &Value) -> String {
    let parameters: Vec<&Value> = call["parameters"].as_array().into_iter().flatten().map(|one| resolved(document, one)).collect();
    let of = |location: &str| -> Vec<String> {
        let there = parameters.iter().filter(|parameter| parameter["in"] == location);
        there.map(|parameter| format!("`{}`", parameter["name"].as_str().unwrap_or_default())).collect()
    };
    let content = call["requestBody"]["content"].as_object();
    let body: Vec<String> = content.into_iter().flat_map(|types| types.values()).flat_map(|one| fields(document, &one["schema"])).collect();
    let parts = [("query", of("query")), ("header", of("header")), ("body", body)];
    let said = parts.iter().filter(|(_, names)| !names.is_empty()).map(|(what, names)| format!("{what} {}", names.join(", ")));
    said.collect::<Vec<_>>().join("; ")
}

#[test]
fn the_reference_of_the_api_is_what_the_server_describes() {
    let description = parkbrake::app::description();
    let document = description.value();
    let paths = document["paths"].as_object().expect("paths");
    let mut page = String::from(
        "# HTTP reference

Every call, written by `task docs` from the description that a server serves as `/openapi.json`;
`/docs` of a running server has every field and example. [API.md](API.md) says what to call when,
and what each problem means. A field in bold is required, in bodies of several forms by one of them.
",
    );
    let mut written = 0;
    for tag in document["tags"].as_array().expect("tags") {
        let name = tag["name"].as_str().expect("a name");
        let _ = write!(page, "\n## {name}\n\n| call | what it does | takes | answers |\n|---|---|---|---|\n");
        for (path, calls) in paths {
            for (method, call) in calls.as_object().expect("calls").iter().filter(|(_, call)| call["tags"][0] == name) {
                let answers: Vec<&str> = call["responses"].as_object().expect("answers").keys().map(String::as_str).collect();
                let summary = cell(call["summary"].as_str().unwrap_or_default());
                let (method, takes) = (method.to_uppercase(), sent(document, call));
                let _ = writeln!(page, "| `{method} {path}` | {summary} | {takes} | {} |", answers.join(" "));
                written += 1;
            }
        }
    }
    let all: usize = paths.values().map(|calls| calls.as_object().expect("calls").len()).sum();
    assert_eq!(written, all, "every call has a tag of the document");
    hold("support/docs/HTTP_REFERENCE.md", &page);
}
