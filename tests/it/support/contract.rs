//! Compares the answers that tests get with the OpenAPI document: every status has to be in it, and
//! every body has to match its schema.

use jsonschema::Validator;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// The document with every object closed: fields that it does not name may not be sent.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let mut document = parkbrake::app::description().value().clone();
    close(&mut document["components"]["schemas"]);
    document
});

/// Compiled schemas, by their position.
static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

fn close(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(close);
            if fields.get("properties").is_some_and(Value::is_object) && fields.contains_key("type") {
                fields.entry("additionalProperties").or_insert(json!(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// The operation for a call to a path, with its position in the document.
pub fn call(method: &Method, path: &str) -> Option<(String, &'static Value)> {
    let path = path.split('?').next().unwrap_or_default();
    let fits = |template: &str| {
        let (template, path) = (template.split('/').collect::<Vec<_>>(), path.split('/').collect::<Vec<_>>());
        template.len() == path.len()
            && template.iter().zip(&path).all(|(one, other)| one == other || (one.starts_with('{') && !other.is_empty()))
    };
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    // A path without a parameter takes precedence over one with.
    let template = paths.keys().filter(|template| fits(template)).min_by_key(|template| template.matches('{').count())?;
    let method = method.as_str().to_lowercase();
    let call = paths[template].get(&method)?;
    Some((format!("{method} {template}"), call))
}

/// What is wrong with a body that was sent with this status and media type; nothing, if all is as
/// documented.
pub fn faults(method: &Method, path: &str, status: u16, media_type: &str, body: &Value) -> Vec<String> {
    let Some((name, call)) = call(method, path) else { return Vec::new() };
    // Browsers get errors as pages.
    if media_type == "text/html" {
        return Vec::new();
    }
    let Some(answer) = call["responses"].get(status.to_string()) else {
        return vec![format!("{name} was answered {status}, which the document does not name: {body}")];
    };
    let Some(content) = answer["content"].as_object() else {
        return if media_type.is_empty() { Vec::new() } else { vec![format!("{name} {status} has a body, and the document names none")] };
    };
    let Some((_, content)) = content.iter().find(|(name, _)| name.split(';').next() == Some(media_type)) else {
        return vec![format!("{name} {status} came as {media_type:?}, which the document does not name")];
    };
    if !media_type.ends_with("json") {
        return Vec::new();
    }
    let validator = validator(&format!("{name} {status} {media_type}"), &content["schema"]);
    validator.iter_errors(body).map(|error| format!("{name} {status} at {:?}: {error}", error.instance_path().as_str())).collect()
}

/// What is wrong with the answer to a call.
#[track_caller]
pub fn check(method: &Method, path: &str, status: u16, headers: &HeaderMap, body: &Value) {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut faults = faults(method, path, status, media_type.split(';').next().unwrap_or_default(), body);
    if let Some((name, call)) = call(method, path) {
        let named = |header: &str| call["responses"][status.to_string()]["headers"].get(header).is_some();
        for header in ["Location", "WWW-Authenticate", "Preference-Applied"] {
            if headers.contains_key(header) && !named(header) {
                faults.push(format!("{name} {status} came with {header}, which the document does not name"));
            }
        }
        if headers.contains_key("Retry-After") && !named("Retry-After") {
            faults.push(format!("{name} {status} came with Retry-After, which the document does not name"));
        }
    }
    assert!(faults.is_empty(), "an answer is not what the document of the API says:\n{}", faults.join("\n"));
}

#[track_caller]
fn validator(name: &str, schema: &Value) -> Arc<Validator> {
    let mut known = VALIDATORS.lock().unwrap_or_else(PoisonError::into_inner);
    let made = known.entry(name.to_owned()).or_insert_with(|| {
        let mut whole: Map<String, Value> = schema.as_object().cloned().unwrap_or_default();
        whole.insert("components".to_owned(), DOCUMENT["components"].clone());
        Arc::new(jsonschema::draft202012::new(&Value::Object(whole)).unwrap_or_else(|error| panic!("the schema of {name}: {error}")))
    });
    Arc::clone(made)
}

/// What in a value does not match a schema of the document.
pub fn misfits(name: &str, schema: &Value, value: &Value) -> Vec<String> {
    validator(name, schema).iter_errors(value).map(|error| format!("{name} at {:?}: {error}", error.instance_path().as_str())).collect()
}

/// The document itself.
pub fn document() -> &'static Value {
    &DOCUMENT
}
