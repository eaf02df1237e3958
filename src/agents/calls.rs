//! The two calls: may it run, and how did it go?

use crate::agents::body::{ToolCallBody, ToolResultBody};
use crate::agents::view::{Answer, Settled};
use crate::http::openapi::{self, BODY, CALLER, CHANGE, refused_with};
use crate::http::problem::{Code, Problem};
use crate::http::sent::Sent;
use crate::identity::Caller;
use crate::service::Service;
use axum::Json;
use axum::extract::State;

refused_with!(
    ToolCallProblems = CALLER,
    BODY,
    [Code::NotPermitted, Code::WorkflowNotFound, Code::WrongState, Code::AlreadyRejected, Code::IdempotencyKeyInUse]
);

/// May this tool call run?
///
/// The rules of `hitl/agent-tools.yaml` make a task of the call. If its level needs no approval, it
/// is recorded as started, and allowed. Otherwise it is parked, and the same call (the same
/// requester, tool, input without `description` and `timeout`, folder and repository), made again
/// after people have approved, is allowed once. A rejected call is denied with the person's reason,
/// for a day or for the level's `rejected_memory`. Any answer other than a 200 with `allow` means
/// that the tool must not run.
#[utoipa::path(
    post,
    path = "/agents/tool-calls",
    operation_id = "ask_tool_call",
    tag = openapi::AGENTS,
    request_body(content = ToolCallBody, example = json!({
        "client": "claude_code", "session_id": "5a1c6a1e-9f0a-4f0b-8a43-3a4b7c5d6e7f", "tool_use_id": "toolu_01", "tool_name": "Read",
        "tool_input": {"file_path": "/srv/api/src/main.rs"}, "cwd": "/srv/api", "permission_mode": "default"
    })),
    responses(
        (status = 200, description = "The decision about the call.", body = Answer, examples(
            ("allow" = (summary = "It may run", value = json!({
                "decision": "allow", "workflow_id": "01a219ab-c616-7118-93f0-ddb20c283aee",
                "reason": "low: needs no approval (workflow 01a219ab-c616-7118-93f0-ddb20c283aee)"
            }))),
            ("parked" = (summary = "People are asked", value = json!({
                "decision": "parked", "workflow_id": "01a219ab-c616-7118-93f0-ddb20c283aee",
                "reason": "parked as 01a219ab-c616-7118-93f0-ddb20c283aee: its risk is high (delete in production), and team_lead has to approve it.",
                "retry_after_s": 30
            }))),
        )),
        ToolCallProblems,
    ),
)]
pub async fn tool_call(
    State(service): State<Service>,
    by: Caller,
    Sent { body, permit }: Sent<ToolCallBody>,
) -> Result<Json<Answer>, Problem> {
    Ok(Json(service.tool_call(&by, &body.read()?, permit).await?.into()))
}

refused_with!(ToolResultProblems = CALLER, BODY, CHANGE, [Code::Halted]);

/// How did a tool call go?
///
/// For calls that were allowed. If nobody reports a call, its outcome is unknown after twice the
/// level's `report_within`.
#[utoipa::path(
    post,
    path = "/agents/tool-results",
    operation_id = "report_tool_result",
    tag = openapi::AGENTS,
    request_body(content = ToolResultBody, example = json!({
        "client": "claude_code", "session_id": "5a1c6a1e-9f0a-4f0b-8a43-3a4b7c5d6e7f", "tool_use_id": "toolu_01", "outcome": "succeeded"
    })),
    responses(
        (status = 200, description = "It is recorded.", body = Settled, example = json!({
            "workflow_id": "01a219ab-c616-7118-93f0-ddb20c283aee", "status": "completed"
        })),
        ToolResultProblems,
    ),
)]
pub async fn tool_result(
    State(service): State<Service>,
    by: Caller,
    Sent { mut body, permit }: Sent<ToolResultBody>,
) -> Result<Json<Settled>, Problem> {
    let outcome = body.outcome();
    let workflow = service.tool_result(&by, body.client.into(), (&body.session_id, &body.tool_use_id), outcome, permit).await?;
    Ok(Json(Settled { workflow_id: workflow.id, status: workflow.status() }))
}
