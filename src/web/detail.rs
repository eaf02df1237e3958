//! One request: what would happen, first and from the canonical bytes; then why it waits, what its requester says, and what became of it.

use crate::domain::difference::{self, Difference};
use crate::domain::level::Level;
use crate::domain::risk::Reason;
use crate::domain::target;
use crate::domain::task::Task;
use crate::domain::today::Today;
use crate::domain::transition::{self, Answer};
use crate::domain::workflow::{ApprovalStatus, Command, Refusal, Resolution, Status, Submission, Workflow};
use crate::domain::{approval, policy::Principal};
use crate::http::path::WorkflowId;
use crate::http::problem::Problem;
use crate::service::decide::LONGEST_NOTE;
use crate::storage::{self, Kind};
use crate::web::Web;
use crate::web::csrf;
use crate::web::document_view::DocumentView;
use crate::web::form::{Fields, address};
use crate::web::moment::Moment;
use crate::web::page;
use crate::web::record::{self, Decided, Record};
use crate::web::session::Session;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

/// Differences that a page shows.
const MOST_DIFFERENCES: usize = 60;
/// Characters of a value in the list of differences.
const LONGEST_VALUE: usize = 300;

/// What a person wrote into the form, and why it was not taken.
#[derive(Debug, Default, Serialize)]
pub struct Attempted {
    pub detail: String,
    pub justification: String,
    pub reason: String,
    pub confirmation: String,
}

/// What a person may do with a request now.
#[derive(Debug, Serialize)]
struct Choice {
    may_approve: bool,
    may_reject: bool,
    has_approved: bool,
    /// Why there is no form, or why only half of it.
    why_not: Option<String>,
    needs_justification: bool,
    is_confirmed: bool,
}

/// What a person may do about an outcome that nobody knows.
#[derive(Debug, Serialize)]
struct Resolving {
    is_allowed: bool,
    why_not: Option<String>,
}

/// What is different since a request of the same kind was approved.
#[derive(Debug, Serialize)]
struct Since {
    workflow_id: Uuid,
    approved: Option<Moment>,
    differences: Vec<Difference>,
    left_out: usize,
}

/// `GET /inbox/workflows/{id}`
pub async fn show(State(web): State<Web>, session: Session, WorkflowId(id): WorkflowId, query: Fields) -> Result<Response, Problem> {
    let done = query.one("done")?.filter(|done| {
        let seal = query.one("seal").ok().flatten().unwrap_or_default();
        csrf::is_seal(session.id(), &receipt(id, done), seal)
    });
    page_of(&web, &session, id, None, done).await
}

/// Where a browser goes after a decision was taken, to see what became of it. Only this server can make such an address, for this
/// session alone: nobody can send somebody a link that says that they approved something.
pub fn after(session: &Session, id: Uuid, done: &str) -> String {
    let seal = csrf::seal(session.id(), &receipt(id, done));
    address(&format!("/inbox/workflows/{id}"), &[("done", Some(done)), ("seal", Some(&seal))])
}

fn receipt(id: Uuid, done: &str) -> String {
    format!("{id} {done}")
}

/// The page of a request, with what was tried and refused, or done.
pub async fn page_of(
    web: &Web,
    session: &Session,
    id: Uuid,
    attempted: Option<Attempted>,
    done: Option<&str>,
) -> Result<Response, Problem> {
    let story = web.service.engine.story(id).await?.ok_or_else(Problem::not_found)?;
    let (workflow, now) = (&story.workflow, web.service.engine.clock.now());
    let submission = &workflow.submission;
    let document = web.service.engine.storage.document(id).await?.unwrap_or_default();
    let exact = DocumentView::of(web, submission, &document);
    let since = since(web, workflow, &document).await?;
    let quarantine = web.service.engine.storage.quarantined(id).await?;
    let settled_by = match workflow.approval_status() {
        ApprovalStatus::Approved | ApprovalStatus::Rejected => workflow.deciding().map(|decision| record::decided(decision, now)),
        _ => None,
    };
    let suspended = web.service.engine.suspended().await?;
    let today = Today { policy: &web.service.engine.configuration.policy, suspended: &suspended };
    let sound = exact.as_ref().is_some_and(|exact| exact.is_sound);
    let shown = json!({
        "section": "waiting",
        "id": id, "task_id": submission.task_id, "version": workflow.version,
        "level_word": submission.assessment.level, "status_word": workflow.status(), "status_words": record::status_words(workflow.status().as_str()),
        "is_final": workflow.status().is_final(), "waits": workflow.status() == Status::PendingApproval,
        "created": Moment::of(workflow.created_at, now),
        "requested_by": submission.requested_by, "on_behalf_of": submission.on_behalf_of,
        "resolving": resolving(web, workflow, &session.person),
        "exact": exact, "choice": choice(web, today, workflow, &session.person, sound),
        "reasons": submission.assessment.reasons.iter().map(why).collect::<Vec<_>>(),
        "other_rules": submission.assessment.policy_version != web.service.engine.configuration.version,
        "approvers": workflow.round().map(approval::entitled_roles), "required": workflow.round().map(|round| round.terms.required),
        "approvals": workflow.round().map(|round| round.approvals.len()),
        "next_step": record::next_step(workflow, now), "settled_by": settled_by as Option<Decided>,
        "record": Record::of(workflow, &story.log, now), "since": since, "looked_through": storage::LOOKED_THROUGH,
        "quarantine": quarantine.map(|left| left.reason), "longest_note": LONGEST_NOTE,
        "attempted": attempted, "done": done});
    Ok(page::render(web, session, "detail.html", shown))
}

/// One reason of an assessment; that requester and parkbrake disagree is a warning, whatever its level.
fn why(reason: &Reason) -> Value {
    json!({"level": reason.level, "trigger": reason.trigger, "detail": reason.detail, "is_warning": target::is_warning(&reason.trigger)})
}

/// What this person may do about an unknown outcome, by asking the core what would become of it.
fn resolving(web: &Web, workflow: &Workflow, by: &Principal) -> Option<Resolving> {
    if workflow.status() != Status::OutcomeUnknown {
        return None;
    }
    let deciders = web.service.engine.configuration.policy.deciders();
    let justification = Some("asked beforehand".to_owned());
    let command =
        Command::Resolve { by: by.clone(), outcome: Resolution::Failed, justification, owner: web.service.engine.owner, deciders };
    let answer = transition::decide(workflow, &command);
    Some(Resolving { is_allowed: matches!(answer, Ok(Answer::Commit { .. })), why_not: answer.err().map(|refusal| refusal.to_string()) })
}

/// What this person may do, by asking the core what would become of it.
fn choice(web: &Web, today: Today<'_>, workflow: &Workflow, by: &Principal, is_sound: bool) -> Option<Choice> {
    if workflow.approval_status() != ApprovalStatus::Pending {
        return None;
    }
    let digest = Some(workflow.submission.digest.to_string());
    let justification = Some("asked beforehand".to_owned());
    let approve =
        Command::Approve { by: by.clone(), justification: justification.clone(), digest: digest.clone(), owner: web.service.engine.owner };
    let approve = today.decide(workflow, &approve);
    let reject = today.decide(workflow, &Command::Reject { by: by.clone(), reason: justification, digest });
    let may = |answer: &Result<Answer, Refusal>| matches!(answer, Ok(Answer::Commit { .. }));
    let why_not = match &approve {
        Err(refusal) => Some(refusal.to_string()),
        Ok(Answer::Repeat(_)) => Some("You have approved this request. It waits for others.".to_owned()),
        Ok(_) if !is_sound => Some("what is stored is not what was submitted".to_owned()),
        Ok(_) => None,
    };
    let terms = workflow.round().map(|round| today.review(&workflow.submission, round).terms);
    Some(Choice {
        may_approve: may(&approve) && is_sound,
        may_reject: may(&reject),
        has_approved: matches!(approve, Ok(Answer::Repeat(_))),
        why_not,
        needs_justification: terms.is_some_and(|terms| terms.require_justification),
        is_confirmed: workflow.submission.assessment.level == Level::Critical,
    })
}

async fn since(web: &Web, workflow: &Workflow, document: &[u8]) -> Result<Option<Since>, Problem> {
    let Ok(task) = serde_json::from_slice::<Task>(document) else { return Ok(None) };
    let Submission { requested_by, action, .. } = &workflow.submission;
    let kind = Kind { requested_by, operation: &task.operation, action: action.as_str(), action_name: task.action.name.as_deref() };
    let Some(precedent) = web.service.engine.storage.precedent(&kind, workflow.id).await? else { return Ok(None) };
    let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
    let mut differences = difference::between(&read(&precedent.document), &read(document));
    let left_out = differences.len().saturating_sub(MOST_DIFFERENCES);
    differences.truncate(MOST_DIFFERENCES);
    for difference in &mut differences {
        difference.before = difference.before.take().map(short);
        difference.after = difference.after.take().map(short);
    }
    let approved = precedent.approved_at.map(|at| Moment::of(at, web.service.engine.clock.now()));
    Ok(Some(Since { workflow_id: precedent.workflow_id, approved, differences, left_out }))
}

fn short(value: String) -> String {
    match value.char_indices().nth(LONGEST_VALUE) {
        Some((place, _)) => format!("{}… ({} characters)", &value[..place], value.chars().count()),
        None => value,
    }
}
