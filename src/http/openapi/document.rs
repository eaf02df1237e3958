//! The whole document: what the handlers declare, and what applies to all of them.

use super::problems;
use axum::body::Bytes;
use serde_json::Value;
use std::sync::Arc;
use utoipa::openapi::link::LinkBuilder;
use utoipa::openapi::path::{Operation, PathItem, Paths};
use utoipa::openapi::schema::{Schema, SchemaType, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{InfoBuilder, License, OpenApi, RefOr};

/// The parts of the API, in the order in which people read them.
pub const SUBMITTING: &str = "Submitting";
pub const READING: &str = "Reading";
pub const STREAMS: &str = "Streams";
pub const DECIDING: &str = "Deciding";
pub const AGENTS: &str = "Coding agents";
pub const NOTICES: &str = "Notices";
pub const OPERATIONS: &str = "Operating";

/// The description of each part.
const PARTS: [(&str, &str); 7] = [
    (SUBMITTING, "Submitting tasks, and assessing tasks without submitting them."),
    (READING, "Listing what waits for people, listing and reading workflows, and waiting for a change."),
    (STREAMS, "What happens, as it happens: Server-Sent Events."),
    (
        DECIDING,
        "Approving, rejecting, withdrawing and cancelling, and reporting results. A 2xx means that it is committed. Every one of these \
                calls may be sent again: the same person deciding the same way gets the same answer, and nothing is written.",
    ),
    (AGENTS, "The calls that the hooks of coding agents make before a tool runs and after it ran. `parkbrake hook` makes them."),
    (NOTICES, "Notices that were sent, and notices that could not be sent."),
    (OPERATIONS, "For the operators of the server."),
];

/// The names of the two ways in which callers prove who they are.
const TOKEN: &str = "token";
const SESSION: &str = "session";

/// The finished document, as it is served and shown. Clones share it.
#[derive(Debug, Clone)]
pub struct Document(Arc<Finished>);

#[derive(Debug)]
struct Finished {
    value: Value,
    json: Bytes,
}

impl Document {
    /// The document of these handlers.
    ///
    /// # Panics
    /// Never: the annotations of the handlers are JSON.
    pub fn of(handlers: OpenApi) -> Self {
        let value = serde_json::to_value(finished(handlers)).expect("a document of texts, numbers, lists and objects");
        let json = value.to_string().into();
        Self(Arc::new(Finished { value, json }))
    }

    /// Its bytes.
    pub fn json(&self) -> Bytes {
        self.0.json.clone()
    }

    /// The same as a value.
    pub fn value(&self) -> &Value {
        &self.0.value
    }
}

fn finished(mut document: OpenApi) -> OpenApi {
    document.info = InfoBuilder::new()
        .title("Parkbrake")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(include_str!("introduction.md").trim()))
        .license(Some(license()))
        .build();
    document.tags = Some(PARTS.map(|(name, description)| TagBuilder::new().name(name).description(Some(description)).build()).into());
    document.security = Some(vec![requirement(TOKEN)]);
    for item in document.paths.paths.values_mut() {
        if let Some(get) = &mut item.get {
            take_sessions(get);
        }
        for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
            leave_out(operation);
        }
    }
    link(&mut document.paths);
    let components = document.components.get_or_insert_default();
    components.schemas.extend(problems::schemas());
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("pbk_…")
        .description(Some("A token names a principal. An operator makes it with `parkbrake token create NAME`."))
        .build();
    components.add_security_scheme(TOKEN, SecurityScheme::Http(token));
    let session = "The session of a person who is signed in to the inbox. Calls that change nothing accept it.";
    components
        .add_security_scheme(SESSION, SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description("__Host-parkbrake", session))));
    document
}

/// Links the answer to a task to every call about its workflow.
fn link(paths: &mut Paths) {
    let of_workflow = |(path, item): (&String, &PathItem)| {
        path.starts_with("/workflows/{id}")
            .then(|| [&item.get, &item.post].into_iter().flatten().filter_map(|call| call.operation_id.clone()).collect())
    };
    let calls: Vec<Vec<String>> = paths.paths.iter().filter_map(of_workflow).collect();
    let submit = paths.paths.get_mut("/orchestrate").and_then(|item| item.post.as_mut());
    let Some(RefOr::T(taken)) = submit.and_then(|call| call.responses.responses.get_mut("202")) else { return };
    for call in calls.concat() {
        let link = LinkBuilder::new().operation_id(&call).parameter("id", "$response.body#/workflow_id");
        taken.links.insert(call, link.build().into());
    }
}

/// Describes optional parts of a request (a parameter, the body) as left out, never null.
fn leave_out(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter {
            parameter.schema = parameter.schema.take().map(not_null);
        }
    }
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        for content in body.content.values_mut() {
            if let RefOr::T(content) = content {
                content.schema = content.schema.take().map(not_null);
            }
        }
    }
}

/// A schema without its null.
fn not_null(schema: RefOr<Schema>) -> RefOr<Schema> {
    match schema {
        RefOr::T(Schema::OneOf(mut choice)) => {
            choice
                .items
                .retain(|item| !matches!(item, RefOr::T(Schema::Object(object)) if object.schema_type == SchemaType::Type(Type::Null)));
            match choice.items.pop() {
                Some(only) if choice.items.is_empty() => only,
                last => {
                    choice.items.extend(last);
                    RefOr::T(Schema::OneOf(choice))
                }
            }
        }
        RefOr::T(Schema::Object(mut object)) => {
            if let SchemaType::Array(types) = &object.schema_type
                && let [only] = types.iter().filter(|one| **one != Type::Null).collect::<Vec<_>>()[..]
            {
                object.schema_type = SchemaType::Type(only.clone());
            }
            RefOr::T(Schema::Object(object))
        }
        other => other,
    }
}

/// Lets a call that changes nothing accept a session instead of a token. A call without its own
/// security setting needs one of them.
fn take_sessions(operation: &mut Operation) {
    if operation.security.is_none() {
        operation.security = Some(vec![requirement(TOKEN), requirement(SESSION)]);
    }
}

fn requirement(name: &str) -> SecurityRequirement {
    SecurityRequirement::new::<_, [&str; 0], &str>(name, [])
}

fn license() -> License {
    let mut license = License::new("Apache-2.0");
    license.identifier = Some("Apache-2.0".to_owned());
    license
}
