//! The schemas of problems: one for each code, with its additional fields (RFC 9457).

use crate::http::problem::Code;
use axum::http::StatusCode;
use serde_json::{Value, json};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ArrayBuilder, Discriminator, KnownFormat, OneOfBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{ObjectBuilder, Ref, RefOr, Response};

/// The media type of every problem.
const MEDIA_TYPE: &str = "application/problem+json";
/// The schema of a problem that has only an HTTP status.
const PLAIN: &str = "PlainProblem";

/// The schemas of all problems, by name.
pub fn schemas() -> Vec<(String, RefOr<Schema>)> {
    let coded = Code::ALL.into_iter().map(|code| (name(code), schema(code)));
    coded.chain([(PLAIN.to_owned(), plain())]).collect()
}

/// An answer of this status with one of these codes, or also without a code if `is_plain`.
pub fn response(status: u16, codes: &[Code], is_plain: bool) -> Response {
    let names = codes.iter().copied().map(name).chain(is_plain.then(|| PLAIN.to_owned()));
    let refs: Vec<Ref> = names.map(Ref::from_schema_name).collect();
    let schema: RefOr<Schema> = match refs.as_slice() {
        [only] => only.clone().into(),
        several => {
            let choice = several.iter().fold(OneOfBuilder::new(), |choice, one| choice.item(one.clone()));
            let by_code = codes.iter().map(|code| (code.facts().1, format!("#/components/schemas/{}", name(*code))));
            let discriminator = Discriminator::with_mapping("code", by_code);
            choice.discriminator((!is_plain).then_some(discriminator)).into()
        }
    };
    let mut content = ContentBuilder::new().schema(Some(schema));
    let examples = codes.iter().map(|code| (code.facts().1, code.facts().2, example(*code)));
    let examples = examples.chain(is_plain.then(|| ("about-blank", "The status says it", plain_example(status))));
    content = content.examples_from_iter(
        examples.map(|(name, summary, value)| (name, ExampleBuilder::new().summary(summary).value(Some(value)).build())),
    );
    let mut said: Vec<String> = codes.iter().map(|code| format!("`{}`: {}.", code.facts().1, code.facts().2)).collect();
    if is_plain {
        said.push(plainly(status).to_owned());
    }
    let mut response = ResponseBuilder::new().description(said.join(" ")).content(MEDIA_TYPE, content.build());
    if codes.iter().any(|code| code.may_be_retried()) {
        let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
        let header = HeaderBuilder::new().schema(Some(seconds)).description(Some("After how many seconds the same call may succeed."));
        response = response.header("Retry-After", header.build());
    }
    if codes.contains(&Code::Unauthenticated) {
        // Names the protected resource, as a protocol may require.
        let scheme = ObjectBuilder::new().schema_type(Type::String).pattern(Some(r#"^Bearer( resource_metadata=".*")?$"#));
        response = response.header("WWW-Authenticate", HeaderBuilder::new().schema(Some(scheme)).build());
    }
    response.build()
}

/// What a problem without a code means at this status.
fn plainly(status: u16) -> &'static str {
    match status {
        400 => "`about:blank`: the head of the request is ambiguous, or its path is not text.",
        431 => "`about:blank`: the headers are too large.",
        _ => "`about:blank`: `detail` says why.",
    }
}

/// The name of a code's schema: `self-approval` has `SelfApprovalProblem`.
fn name(code: Code) -> String {
    let capital = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    code.facts().1.split('-').map(capital).collect::<String>() + "Problem"
}

/// A text that is always the same.
fn fixed(value: impl Into<Value>) -> ObjectBuilder {
    let value = value.into();
    let kind = if value.is_number() { Type::Integer } else { Type::String };
    ObjectBuilder::new().schema_type(kind).enum_values(Some([value]))
}

fn text(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description))
}

fn schema(code: Code) -> RefOr<Schema> {
    let (status, word, title) = code.facts();
    let mut object = ObjectBuilder::new()
        .title(Some(title))
        .description(Some(advice(code)))
        .property("type", fixed(format!("/problems/{word}")))
        .property("title", fixed(title))
        .property("status", fixed(status.as_u16()))
        .property("detail", text("What is wrong this time, for people."))
        .property("code", fixed(word))
        .property("instance", text("The path of the request."));
    for field in ["type", "title", "status", "detail", "code", "instance"] {
        object = object.required(field);
    }
    for (field, schema) in extensions(code) {
        object = object.property(field, schema).required(field);
    }
    object.into()
}

/// The fields that only problems of this code have.
fn extensions(code: Code) -> Vec<(&'static str, RefOr<Schema>)> {
    match code {
        Code::InvalidTask => {
            let pointer = text("Where in the body (a JSON Pointer, RFC 6901); empty if it concerns a header, the query or the whole body.");
            let fault = ObjectBuilder::new()
                .property("pointer", pointer)
                .property("detail", text("What is wrong at that position."))
                .required("pointer")
                .required("detail");
            vec![("errors", ArrayBuilder::new().items(fault).min_items(Some(1)).into())]
        }
        Code::AlreadyDecided => vec![("decision", Ref::from_schema_name("Decision").into())],
        Code::AlreadyRejected => {
            let workflow = text("The workflow of the rejected task.").format(Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)));
            vec![("decision", Ref::from_schema_name("Decision").into()), ("workflow_id", workflow.into())]
        }
        Code::WrongState => vec![("current_status", text("The status of the workflow, or of the notice.").into())],
        _ => Vec::new(),
    }
}

fn plain() -> RefOr<Schema> {
    let mut object = ObjectBuilder::new()
        .description(Some("An error for which HTTP itself has a name. It has no `code`."))
        .property("type", fixed("about:blank"))
        .property("title", text("The name of the status."))
        .property("status", ObjectBuilder::new().schema_type(Type::Integer))
        .property("detail", text("What is wrong this time, for people."))
        .property("instance", text("The path of the request."));
    for field in ["type", "title", "status", "detail", "instance"] {
        object = object.required(field);
    }
    object.into()
}

/// An example of a problem with this code.
fn example(code: Code) -> Value {
    let (status, word, title) = code.facts();
    let workflow = "/workflows/01a20384-45a7-7747-9e89-69e0d434c734";
    let (detail, instance) = match code {
        Code::AlreadyDecided => ("alice has approved this request already".to_owned(), format!("{workflow}/reject")),
        Code::InvalidTask => ("/operation is empty; say what it is".to_owned(), "/orchestrate".to_owned()),
        Code::AlreadyRejected => ("tess rejected this task recently".to_owned(), "/orchestrate".to_owned()),
        Code::WrongState => ("the workflow is completed".to_owned(), format!("{workflow}/cancel")),
        Code::Halted => ("cora has halted everything since 2026-11-26T21:03:37Z: INC-7".to_owned(), "/halt".to_owned()),
        Code::NoticeNotFound => {
            ("there is no notice with this id".to_owned(), "/notices/01a20384-45a7-7747-9e89-69e0d434c734/resend".to_owned())
        }
        Code::GrantNotFound => {
            ("there is no grant with this id".to_owned(), "/grants/4b0e3a52-6a0c-4c53-9a52-93c1de3f6d0e/revoke".to_owned())
        }
        _ => (title.to_lowercase(), workflow.to_owned()),
    };
    let mut example = json!({
        "type": format!("/problems/{word}"), "title": title, "status": status.as_u16(), "detail": detail, "code": word, "instance": instance,
    });
    match code {
        Code::AlreadyDecided => {
            example["decision"] = json!({
                "approver": "alice", "role": "team_lead", "verdict": "approved", "justification": "Checked in OPS-7",
                "at": "2026-11-22T13:49:12.104511Z", "via": "rest", "by_grant": null, "break_glass": false,
            });
        }
        Code::AlreadyRejected => {
            example["decision"] = json!({
                "approver": "tess", "role": "tech_lead", "verdict": "rejected", "justification": "Not on a Friday",
                "at": "2026-11-22T13:49:12.104511Z", "via": "inbox", "by_grant": null, "break_glass": false,
            });
            example["workflow_id"] = json!("01a20384-45a7-7747-9e89-69e0d434c734");
        }
        Code::InvalidTask => example["errors"] = json!([{"pointer": "/operation", "detail": "is empty; say what it is"}]),
        Code::WrongState => example["current_status"] = json!("completed"),
        _ => {}
    }
    example
}

/// An example of a problem without a code.
fn plain_example(status: u16) -> Value {
    let status = StatusCode::from_u16(status).unwrap_or_default();
    let (detail, instance) = match status.as_u16() {
        400 => ("the header `authorization` appears more than once; send it once", "/workflows"),
        401 => ("the signature does not match, or is too old", "/slack/interactions"),
        404 => ("no channel has buttons", "/slack/interactions"),
        _ => ("the headers have more than 65536 bytes", "/workflows"),
    };
    let title = status.canonical_reason().unwrap_or_default();
    json!({"type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail, "instance": instance})
}

/// When the code occurs, and what to do.
fn advice(code: Code) -> &'static str {
    match code {
        Code::MalformedJson => {
            "The body is not JSON, or it is JSON that two programs could read differently, or it ended too early. Correct the body."
        }
        Code::Unauthenticated => {
            "There is no token, or it is unknown, revoked, expired or currently without rights. Ask an operator for one."
        }
        Code::NotPermitted => "The caller may see this but may not do it. `detail` says who may.",
        Code::NotAnApprover => "The caller has none of the roles that are asked now. `detail` names those that are still needed.",
        Code::SelfApproval => "The caller is on the requester's side. Somebody else has to approve.",
        Code::SignInAgain => {
            "The level requires a recent sign-in (`require_recent_sign_in`), and this caller has none. Calls with a token never get this code."
        }
        Code::IdentityMismatch => "The body names somebody other than the token's principal. Leave the field out.",
        Code::WorkflowNotFound => "There is no workflow with this id that the caller may see.",
        Code::NoticeNotFound => "There is no notice with this id.",
        Code::GrantNotFound => "There is no grant with this id.",
        Code::AlreadyDecided => "Somebody has already decided the request differently; `decision` shows how.",
        Code::AlreadyRejected => {
            "The identical task of the same requester was rejected within the level's `rejected_memory`; `decision` has the rejection, \
             `workflow_id` the rejected workflow. Nobody is asked again: change the task, or submit it later."
        }
        Code::WrongState => "The status of the workflow, or of the notice, does not permit this; `current_status` contains it.",
        Code::ReviewOpen => {
            "The caller has broken the glass before, and nobody else has closed the review (`GET /reviews`). Have it closed, or leave this to others."
        }
        Code::Halted => "A halt is in force, and this call cannot wait for its end; `detail` describes it. Try again once it is lifted.",
        Code::IdempotencyKeyInUse => "The first request with this key is still being stored. Send the same again after `Retry-After`.",
        Code::Expired => "Nobody decided in time. Submit the task again.",
        Code::DigestMismatch => {
            "The decision is about another document than the workflow has. Read the workflow again, and decide with its `digest`."
        }
        Code::PayloadTooLarge => "The body has more than 262,144 bytes. Store large data elsewhere and send a reference.",
        Code::UnsupportedMediaType => "There is a body, but `Content-Type` does not declare it as JSON.",
        Code::MisdirectedRequest => "`Host` is not a name of this server.",
        Code::InvalidTask => "The body, a header or the query is invalid; `errors` says where.",
        Code::JustificationRequired => "This kind of decision needs a reason. Send a sentence in `justification`.",
        Code::IdempotencyKeyReused => "This key was sent with a different body before. Use a new key for a new task.",
        Code::RateLimited => {
            "This principal has too many requests in progress, or has submitted too much. Nothing was done. Wait for `Retry-After`."
        }
        Code::Internal => "Something went wrong on the server's side; its log says what. Read the workflow before you try again.",
        Code::Busy => "The server has too many requests in progress, or somebody else is changing this. Nothing was done; send it again.",
        Code::Unavailable => {
            "The server cannot reach its database, or is starting or stopping. Whether a change was made is not known; send the same request again."
        }
    }
}
