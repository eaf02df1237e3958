//! The work of each tool: one use case, under the caller's name.

use crate::domain::page::Cursor;
use crate::domain::request::idempotency::IdempotencyKey;
use crate::domain::workflow::Status;
use crate::http::submitted::Submitted;
use crate::identity::Caller;
use crate::mcp::admitted::Admitted;
use crate::mcp::answers::{self, State};
use crate::mcp::arguments::{self, Cancel, LARGEST_PAGE, LONGEST_WAIT, List, Until, Wait, Which};
use crate::mcp::tools::Name;
use crate::service::decide::Cancellation;
use crate::service::lists::Search;
use crate::service::submit::NewTask;
use crate::service::{Service, ServiceError, Shown};
use rmcp::RoleServer;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ElicitRequest, ElicitRequestParams, InputRequest, InputRequests,
    InputRequiredResult, JsonObject,
};
use rmcp::service::RequestContext;
use serde_json::Value;
use std::str::FromStr as _;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How long a cancel call waits until what runs has stopped.
const CANCEL_WAIT: Duration = Duration::from_secs(20);
/// The key of the request that asks a client to show the inbox to its user.
const INBOX: &str = "inbox";

/// What the tools need.
#[derive(Clone)]
pub struct Backend {
    pub service: Service,
    /// The address at which people reach the inbox, if the configuration sets it.
    pub inbox: Option<String>,
}

/// Performs a call of a tool.
///
/// # Errors
/// The refusal, the same as through any way in.
pub async fn carry_out(
    backend: &Backend,
    admitted: &Admitted,
    tool: Name,
    call: CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ServiceError> {
    match tool {
        Name::SubmitTask => submit(backend, admitted, call, context).await,
        Name::ExplainRisk => explain(backend, admitted, call.arguments).await.map(Into::into),
        Name::GetWorkflow => {
            let Which { workflow_id } = arguments::read(call.arguments)?;
            drop(admitted.take()?);
            Ok(state(backend, &backend.service.show(&admitted.by, workflow_id).await?).into())
        }
        Name::WaitForDecision => {
            let wait = arguments::read(call.arguments)?;
            drop(admitted.take()?);
            Ok(state(backend, &waited(backend, &admitted.by, wait).await?).into())
        }
        Name::CancelWorkflow => {
            let Cancel { workflow_id, reason } = arguments::read(call.arguments)?;
            let cancellation = Cancellation { reason, wait: Some(CANCEL_WAIT) };
            backend.service.cancel(&admitted.by, workflow_id, cancellation, admitted.take()?).await?;
            Ok(state(backend, &backend.service.show(&admitted.by, workflow_id).await?).into())
        }
        Name::ListMyWorkflows => {
            let list = arguments::read(call.arguments)?;
            drop(admitted.take()?);
            listed(backend, &admitted.by, list).await.map(Into::into)
        }
    }
}

fn state(backend: &Backend, shown: &Shown) -> CallToolResult {
    State::of(&shown.workflow, &shown.log, backend.inbox.as_deref()).into_result()
}

/// Submits a task. If people have to decide, and the client can show an address to its user, it is
/// asked to show the inbox; with its answer it repeats the call, which submits nothing more. The
/// answer is not a decision: the user decides in the inbox, or does not.
async fn submit(
    backend: &Backend,
    admitted: &Admitted,
    call: CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ServiceError> {
    if let Some(id) = call.request_state.as_deref() {
        let id = Uuid::parse_str(id).map_err(|_| ServiceError::invalid("", "`requestState` was not sent by this server"))?;
        drop(admitted.take()?);
        // It only names a workflow, so inventing one reveals nothing that the caller may not see
        // anyhow.
        return Ok(state(backend, &backend.service.show(&admitted.by, id).await?).into());
    }
    let mut sent: JsonObject = call.arguments.unwrap_or_default();
    let key = arguments::take_key(&mut sent)?;
    let submitted = Submitted::new(Value::Object(sent));
    let key = key.map(|key| IdempotencyKey { key, fingerprint: submitted.fingerprint() });
    let request = submitted.request();
    let submitted = backend.service.submit(&admitted.by, NewTask { request, key, wait: None }, admitted.take()?).await?;
    let shown = backend.service.show(&admitted.by, submitted.workflow.id).await?;
    match &backend.inbox {
        Some(inbox) if shown.workflow.status() == Status::PendingApproval && can_show_addresses(context) => {
            let id = shown.workflow.id;
            let level = shown.workflow.submission.assessment.level;
            let asked = ElicitRequestParams::UrlElicitationParams {
                meta: None,
                message: format!("This has {level} risk and waits for approval. People who may decide do so in the inbox."),
                url: format!("{inbox}/inbox/workflows/{id}"),
                elicitation_id: id.to_string(),
            };
            let requests = InputRequests::from([(INBOX.to_owned(), InputRequest::Elicitation(ElicitRequest::new(asked)))]);
            Ok(InputRequiredResult::new(Some(requests), Some(id.to_string())).into())
        }
        _ => Ok(state(backend, &shown).into()),
    }
}

/// Whether the client declares that it can show an address to its user, and speaks a revision that
/// permits such requests without a session.
fn can_show_addresses(context: &RequestContext<RoleServer>) -> bool {
    let is_new = context.protocol_version().is_some_and(|version| version >= rmcp::model::ProtocolVersion::V_2026_07_28);
    let elicitation = context.client_capabilities().and_then(|capabilities| capabilities.elicitation);
    is_new && elicitation.is_some_and(|elicitation| elicitation.url.is_some())
}

async fn explain(backend: &Backend, admitted: &Admitted, arguments: Option<JsonObject>) -> Result<CallToolResult, ServiceError> {
    let request = Submitted::new(Value::Object(arguments.unwrap_or_default())).request()?;
    let assessed = backend.service.assess(&admitted.by, request, admitted.take()?).await?;
    Ok(answers::explained(&assessed))
}

/// The workflow once it has been decided, when the time is up, or when the server stops.
async fn waited(backend: &Backend, by: &Caller, Wait { workflow_id, timeout_s, until }: Wait) -> Result<Shown, ServiceError> {
    if timeout_s > LONGEST_WAIT {
        return Err(ServiceError::invalid("/timeout_s", format!("is more than {LONGEST_WAIT}; wait again instead")));
    }
    let deadline = Instant::now() + Duration::from_secs(timeout_s);
    let mut shown = backend.service.show(by, workflow_id).await?;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let version = shown.workflow.version;
        if Until::is_reached(until, shown.workflow.status()) || left.is_zero() {
            return Ok(shown);
        }
        shown = backend.service.wait(by, workflow_id, version, left).await?;
        if shown.workflow.version == version {
            return Ok(shown);
        }
    }
}

async fn listed(backend: &Backend, by: &Caller, List { status, limit, cursor }: List) -> Result<CallToolResult, ServiceError> {
    let status = match status {
        Some(word) => Some(Status::parse(&word).ok_or_else(|| ServiceError::invalid("/status", "is not a status of a workflow"))?),
        None => None,
    };
    let after = match cursor {
        Some(text) => Some(Cursor::from_str(&text).map_err(|()| ServiceError::invalid("/cursor", "was not returned by this server"))?),
        None => None,
    };
    if !(1..=LARGEST_PAGE).contains(&limit) {
        return Err(ServiceError::invalid("/limit", format!("has to be from 1 to {LARGEST_PAGE}")));
    }
    let query = Search { status, requested_by: Some(by.name.clone()), after, limit, ..Search::default() };
    let page = backend.service.list(by, query).await?.page;
    Ok(answers::page(&page.items, page.next.map(|next| next.to_string())))
}
