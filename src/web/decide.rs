//! Approving and rejecting one request, withdrawing an approval, cancelling a request, and
//! resolving an unknown outcome. The service makes the decision, as it does for the API. This
//! module adds the form, and the typed confirmation of a critical request, which the API does not
//! need.

use crate::domain::risk::level::Level;
use crate::domain::workflow::{Decision, Resolution};
use crate::http::path::WorkflowId;
use crate::http::problem::{Code, Problem};
use crate::service::decide::{Cancellation, Saying};
use crate::web::Web;
use crate::web::csrf::Posted;
use crate::web::detail::{self, Around, Attempted};
use crate::web::document_view::DocumentView;
use crate::web::form::Fields;
use crate::web::session::{self, Session};
use crate::web::walk::{self, Onward};
use axum::extract::State;
use axum::response::Response;
use std::time::Instant;
use uuid::Uuid;

/// `POST /inbox/workflows/{id}/approve`
pub async fn approve(
    State(web): State<Web>,
    WorkflowId(id): WorkflowId,
    Posted { session, fields, permit }: Posted,
) -> Result<Response, Problem> {
    let digest = fields.one("digest")?.map(str::to_owned);
    let justification = fields.one("justification")?.map(str::to_owned);
    let named = fields.one("approved_by")?.map(str::to_owned);
    let exception = fields.one("exception")?.map(str::to_owned);
    let is_exception = exception.is_some();
    let break_glass = fields.one("break_glass")?.is_some();
    let onward = Onward::of(&web, &session, id, &fields).await?;
    let decided = async {
        if digest.is_none() {
            return Err(Problem::new(Code::DigestMismatch, "the form does not say which document was read; reload the page"));
        }
        confirm(&web, &session, id, fields.one("confirmation")?).await?;
        let saying = Saying { note: justification, digest, named, exception, break_glass };
        web.service.approve(&session.person, id, saying, permit).await.map_err(Problem::from)
    };
    match decided.await {
        Ok((_, decision)) => Ok(session::go_to(&match forgotten(&web, &session, id, decision).remaining {
            0 if is_exception => walk::after(&session, &fields, id, "excepted"),
            0 if break_glass => walk::after(&session, &fields, id, "broken"),
            0 => onward.after(&session, &fields, id, "approved"),
            _ => onward.after(&session, &fields, id, "counted"),
        })),
        Err(problem) => refused(&web, &session, id, &fields, problem).await,
    }
}

/// `POST /inbox/workflows/{id}/reject`
pub async fn reject(
    State(web): State<Web>,
    WorkflowId(id): WorkflowId,
    Posted { session, fields, permit }: Posted,
) -> Result<Response, Problem> {
    let reason = fields.one("reason")?.map(str::to_owned);
    let digest = fields.one("digest")?.map(str::to_owned);
    let named = fields.one("rejected_by")?.map(str::to_owned);
    let onward = Onward::of(&web, &session, id, &fields).await?;
    match web.service.reject(&session.person, id, Saying { note: reason, digest, named, ..Saying::default() }, permit).await {
        Ok(decision) => {
            forgotten(&web, &session, id, decision);
            Ok(session::go_to(&onward.after(&session, &fields, id, "rejected")))
        }
        Err(error) => refused(&web, &session, id, &fields, error.into()).await,
    }
}

/// `POST /inbox/workflows/{id}/withdraw`
pub async fn withdraw(
    State(web): State<Web>,
    WorkflowId(id): WorkflowId,
    Posted { session, fields, permit }: Posted,
) -> Result<Response, Problem> {
    let reason = fields.one("reason")?.map(str::to_owned);
    match web.service.withdraw(&session.person, id, reason, permit).await {
        Ok(_) => Ok(session::go_to(&walk::after(&session, &fields, id, "withdrawn"))),
        Err(error) => refused(&web, &session, id, &fields, error.into()).await,
    }
}

/// `POST /inbox/workflows/{id}/cancel`
pub async fn cancel(
    State(web): State<Web>,
    WorkflowId(id): WorkflowId,
    Posted { session, fields, permit }: Posted,
) -> Result<Response, Problem> {
    let reason = fields.one("reason")?.map(str::to_owned);
    match web.service.cancel(&session.person, id, Cancellation { reason, wait: None }, permit).await {
        Ok((workflow, _)) => {
            let done = if workflow.is_being_cancelled() { "cancelling" } else { "cancelled" };
            Ok(session::go_to(&walk::after(&session, &fields, id, done)))
        }
        Err(error) => refused(&web, &session, id, &fields, error.into()).await,
    }
}

/// `POST /inbox/workflows/{id}/resolve`
pub async fn resolve(
    State(web): State<Web>,
    WorkflowId(id): WorkflowId,
    Posted { session, fields, permit }: Posted,
) -> Result<Response, Problem> {
    let resolved = async {
        let outcome = match fields.one("outcome")? {
            Some("succeeded") => Resolution::Succeeded,
            Some("failed") => Resolution::Failed,
            Some("retry") => Resolution::Retry,
            _ => return Err(Problem::new(Code::InvalidTask, "the form does not say what the outcome was; choose one of the three")),
        };
        let justification = fields.one("justification")?.map(str::to_owned);
        web.service.resolve(&session.person, id, outcome, justification, permit).await.map_err(Problem::from)
    };
    match resolved.await {
        Ok(_) => Ok(session::go_to(&walk::after(&session, &fields, id, "resolved"))),
        Err(problem) => refused(&web, &session, id, &fields, problem).await,
    }
}

/// `POST /inbox/workflows/{id}/review`
pub async fn review(
    State(web): State<Web>,
    WorkflowId(id): WorkflowId,
    Posted { session, fields, permit }: Posted,
) -> Result<Response, Problem> {
    let finding = fields.one("finding")?.map(str::to_owned);
    match web.service.close_review(&session.person, id, finding, permit).await {
        Ok(_) => Ok(session::go_to(&walk::after(&session, &fields, id, "reviewed"))),
        Err(error) => refused(&web, &session, id, &fields, error.into()).await,
    }
}

/// Checks that the target of a critical request was typed, so that nobody approves one out of
/// habit.
async fn confirm(web: &Web, session: &Session, id: Uuid, typed: Option<&str>) -> Result<(), Problem> {
    let shown = web.service.show(&session.person, id).await?;
    if shown.workflow.asked_level() != Level::Critical {
        return Ok(());
    }
    let expected = DocumentView::of(web, &shown.workflow, &shown.document).map(|exact| exact.confirmation);
    if expected.is_some() && expected.as_deref() == typed.map(str::trim) {
        return Ok(());
    }
    let detail = "this request is critical: type the name of its target exactly as it is shown, to confirm that it is the one you mean";
    Err(Problem::new(Code::InvalidTask, detail))
}

/// The decision; the draft that the person had written is dropped.
fn forgotten(web: &Web, session: &Session, id: Uuid, decision: Decision) -> Decision {
    web.drafts.forget(&session.person.name, id);
    decision
}

/// The page again, with what the person wrote and why it was refused.
pub async fn refused(web: &Web, session: &Session, id: Uuid, fields: &Fields, problem: Problem) -> Result<Response, Problem> {
    let (status, detail) = problem.said();
    if problem.is_missing() {
        return Err(problem);
    }
    let written = |name: &str| Ok::<_, Problem>(fields.one(name)?.unwrap_or_default().to_owned());
    let mut attempted = Attempted {
        detail: detail.to_owned(),
        kept: false,
        justification: written("justification")?,
        reason: written("reason")?,
        confirmation: written("confirmation")?,
        comment: written("text")?,
    };
    if problem.code() == Code::SignInAgain {
        attempted.kept =
            web.drafts.keep(&session.person.name, id, Attempted { detail: String::new(), ..attempted.clone() }, Instant::now());
    }
    let carried = fields.one("in")?;
    let mut page = detail::page_of(web, session, id, Around { attempted: Some(attempted), carried, ..Around::default() }).await?;
    *page.status_mut() = status;
    Ok(page)
}
