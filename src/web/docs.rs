//! The reference of the API as a page, made from the same document that `/openapi.json` serves.

use crate::http::problem::Problem;
use crate::web::Web;
use crate::web::page;
use crate::web::prose::{Paragraph, paragraphs};
use crate::web::session::Session;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Value, json};

/// The reference, ready to be shown.
#[derive(Debug, Serialize)]
pub struct Reference {
    version: String,
    introduction: Vec<Paragraph>,
    parts: Vec<Part>,
    shapes: Vec<Shape>,
}

/// Calls that belong together.
#[derive(Debug, Serialize)]
struct Part {
    name: String,
    description: Vec<Paragraph>,
    calls: Vec<Call>,
}

#[derive(Debug, Serialize)]
struct Call {
    id: String,
    method: String,
    path: String,
    summary: String,
    description: Vec<Paragraph>,
    needs_token: bool,
    parameters: Vec<Field>,
    body: Option<Body>,
    answers: Vec<Answer>,
}

#[derive(Debug, Serialize)]
struct Body {
    media_type: String,
    kind: Kind,
    is_required: bool,
    examples: Vec<Example>,
}

#[derive(Debug, Serialize)]
struct Answer {
    status: String,
    is_good: bool,
    description: Vec<Paragraph>,
    media_type: String,
    kinds: Vec<Kind>,
    headers: Vec<Field>,
    examples: Vec<Example>,
}

#[derive(Debug, Serialize)]
struct Example {
    title: String,
    text: String,
}

/// A named schema.
#[derive(Debug, Serialize)]
struct Shape {
    name: String,
    description: Vec<Paragraph>,
    fields: Vec<Field>,
    words: Vec<String>,
}

/// A parameter, a header or a field of an object.
#[derive(Debug, Serialize)]
struct Field {
    name: String,
    /// Where a parameter goes: path, query or header.
    location: String,
    kind: Kind,
    is_required: bool,
    description: Vec<Paragraph>,
}

/// The type of a value, in words, with a link if the type has a name.
#[derive(Debug, Default, Serialize)]
struct Kind {
    before: String,
    name: String,
    after: String,
}

/// `GET /docs`
pub async fn show(State(web): State<Web>, session: Session) -> Result<Response, Problem> {
    Ok(page::render(&web, &session, "docs.html", json!({"section": "docs", "reference": *web.reference})))
}

impl Reference {
    /// Reads an OpenAPI document.
    pub fn of(document: &Value) -> Self {
        let parts = list(&document["tags"]).map(|tag| part(document, tag)).collect();
        let shapes = entries(&document["components"]["schemas"]).map(|(name, schema)| shape(name, schema)).collect();
        Self { version: text(&document["info"]["version"]), introduction: prose(&document["info"]["description"]), parts, shapes }
    }
}

fn part(document: &Value, tag: &Value) -> Part {
    let calls = entries(&document["paths"]).flat_map(|(path, item)| entries(item).map(move |(method, call)| (path, method, call)));
    let own = calls.filter(|(_, _, call)| list(&call["tags"]).any(|name| *name == tag["name"]));
    Part {
        name: text(&tag["name"]),
        description: prose(&tag["description"]),
        calls: own.map(|(path, method, call)| described(path, method, call)).collect(),
    }
}

fn described(path: &str, method: &str, call: &Value) -> Call {
    let body = entries(&call["requestBody"]["content"]).next().map(|(media_type, content)| Body {
        media_type: media_type.to_owned(),
        kind: kind(&content["schema"]),
        is_required: call["requestBody"]["required"] == true,
        examples: examples(content),
    });
    Call {
        id: text(&call["operationId"]),
        method: method.to_uppercase(),
        path: path.to_owned(),
        summary: text(&call["summary"]),
        description: prose(&call["description"]),
        needs_token: call["security"]
            .as_array()
            .is_none_or(|ways| ways.iter().all(|way| way.as_object().is_some_and(|way| !way.is_empty()))),
        parameters: list(&call["parameters"]).map(parameter).collect(),
        body,
        answers: entries(&call["responses"]).map(|(status, answer)| answered(status, answer)).collect(),
    }
}

fn parameter(one: &Value) -> Field {
    Field {
        name: text(&one["name"]),
        location: text(&one["in"]),
        kind: kind(&one["schema"]),
        is_required: one["required"] == true,
        description: prose(&one["description"]),
    }
}

fn answered(status: &str, answer: &Value) -> Answer {
    let content = entries(&answer["content"]).next();
    let schema = content.map_or(&Value::Null, |(_, content)| &content["schema"]);
    let kinds = match schema["oneOf"].as_array() {
        Some(several) => several.iter().map(kind).collect(),
        None if schema.is_null() => Vec::new(),
        None => vec![kind(schema)],
    };
    let header = |(name, header): (&str, &Value)| Field {
        name: name.to_owned(),
        location: String::new(),
        kind: kind(&header["schema"]),
        is_required: false,
        description: prose(&header["description"]),
    };
    Answer {
        status: status.to_owned(),
        is_good: status.starts_with('2'),
        description: prose(&answer["description"]),
        media_type: content.map(|(media_type, _)| media_type.to_owned()).unwrap_or_default(),
        kinds,
        headers: entries(&answer["headers"]).map(header).collect(),
        // The example of a problem adds nothing to its schema.
        examples: content.filter(|_| status.starts_with('2')).map(|(_, content)| examples(content)).unwrap_or_default(),
    }
}

fn shape(name: &str, schema: &Value) -> Shape {
    let required = |field: &str| list(&schema["required"]).any(|name| name == field);
    let fields = entries(&schema["properties"]).map(|(field, schema)| Field {
        name: field.to_owned(),
        location: String::new(),
        kind: kind(schema),
        is_required: required(field),
        description: told(schema),
    });
    Shape {
        name: name.to_owned(),
        description: prose(&schema["description"]),
        fields: fields.collect(),
        words: if schema["properties"].is_object() { Vec::new() } else { list(&schema["enum"]).map(word).collect() },
    }
}

/// The type that a schema describes.
fn kind(schema: &Value) -> Kind {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default().to_owned();
        return Kind { name, ..Kind::default() };
    }
    if let Some(several) = schema["oneOf"].as_array() {
        let mut known = several.iter().filter(|one| one["type"] != "null");
        let only = known.next().map(kind).unwrap_or_default();
        return if several.len() == 2 && known.next().is_none() { or_null(only) } else { plain("one of several") };
    }
    let names = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        several => list(several).filter_map(Value::as_str).collect(),
    };
    let may_be_null = names.contains(&"null");
    let found = match names.into_iter().find(|name| *name != "null") {
        Some("array") => {
            let item = kind(&schema["items"]);
            Kind { before: format!("list of {}", item.before), ..item }
        }
        Some("string") if schema["enum"].is_array() => plain(list(&schema["enum"]).map(word).collect::<Vec<_>>().join(" | ")),
        Some("string") => plain(limited("text", schema, "minLength", "maxLength", "characters")),
        Some(number @ ("integer" | "number")) => match schema["enum"].as_array() {
            Some(only) => plain(only.iter().map(word).collect::<Vec<_>>().join(" | ")),
            None => plain(limited(number, schema, "minimum", "maximum", "")),
        },
        Some(other) => plain(other),
        None => plain("any JSON"),
    };
    if may_be_null { or_null(found) } else { found }
}

fn plain(words: impl Into<String>) -> Kind {
    Kind { before: words.into(), ..Kind::default() }
}

fn or_null(kind: Kind) -> Kind {
    Kind { after: format!("{} or null", kind.after), ..kind }
}

fn limited(what: &str, schema: &Value, least: &str, most: &str, unit: &str) -> String {
    let limits = match (&schema[least], &schema[most]) {
        (Value::Null, Value::Null) => return what.to_owned(),
        (Value::Null, most) => format!("at most {most}"),
        (least, Value::Null) => format!("at least {least}"),
        (least, most) => format!("{least} to {most}"),
    };
    format!("{what}, {limits} {unit}").trim_end().to_owned()
}

fn examples(content: &Value) -> Vec<Example> {
    let shown = |value: &Value| value.as_str().map_or_else(|| serde_json::to_string_pretty(value).unwrap_or_default(), str::to_owned);
    let only = (!content["example"].is_null()).then(|| Example { title: "Example".to_owned(), text: shown(&content["example"]) });
    let named = entries(&content["examples"]).map(|(_, one)| Example { title: text(&one["summary"]), text: shown(&one["value"]) });
    only.into_iter().chain(named).collect()
}

/// The description of a field. A field that may be null has it next to its name.
fn told(schema: &Value) -> Vec<Paragraph> {
    let mut nested = list(&schema["oneOf"]).map(|one| &one["description"]);
    prose(Some(&schema["description"]).filter(|own| own.is_string()).or_else(|| nested.find(|one| one.is_string())).unwrap_or(&Value::Null))
}

fn prose(value: &Value) -> Vec<Paragraph> {
    paragraphs(value.as_str().unwrap_or_default())
}

fn word(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}
