//! The page of one request. It shows first what would happen, read from the canonical bytes; then
//! why the request waits, what its requester says, and its outcome.

use crate::domain::risk::Reason;
use crate::domain::risk::level::Level;
use crate::domain::risk::target;
use crate::domain::task::ActionKind;
use crate::domain::task::difference::{self, Difference};
use crate::domain::workflow::approval;
use crate::domain::workflow::live_output::LiveOutput;
use crate::domain::workflow::{ApprovalStatus, PlannedStep, Status, Step, StepState, Workflow};
use crate::http::path::WorkflowId;
use crate::http::problem::Problem;
use crate::service::Earlier;
use crate::service::decide::LONGEST_NOTE;
use crate::service::review::{self, Review};
use crate::service::review::{LOOKED_THROUGH, Precedent};
use crate::web::Web;
use crate::web::csrf;
use crate::web::document_view::DocumentView;
use crate::web::form::{Fields, address};
use crate::web::manifest::{self, Manifests};
use crate::web::page;
use crate::web::record::{self, Decided, Record};
use crate::web::relative_time::RelativeTime;
use crate::web::session::Session;
use crate::web::sign_in;
use crate::web::walk::{self, Last, Walk};
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use std::time::Instant;
use uuid::Uuid;

/// The most differences that a page shows.
const MOST_DIFFERENCES: usize = 60;
/// The most characters of a value in the list of differences.
const LONGEST_VALUE: usize = 300;

/// What a person wrote into the form, and why it was refused.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Attempted {
    /// Why the form was refused; empty if the person returns to a draft.
    pub detail: String,
    /// Whether the draft is kept until they return.
    pub kept: bool,
    pub justification: String,
    pub reason: String,
    pub confirmation: String,
    pub comment: String,
}

/// What a person may do with a request now.
#[derive(Debug, Serialize)]
struct Choice {
    may_approve: bool,
    may_reject: bool,
    has_approved: bool,
    may_withdraw: bool,
    /// Why there is no form, or only half of it.
    why_not: Option<String>,
    /// Whether signing in again would help.
    needs_sign_in: bool,
    needs_justification: bool,
    is_confirmed: bool,
}

/// What a person may do about an unknown outcome.
#[derive(Debug, Serialize)]
struct Resolving {
    is_allowed: bool,
    why_not: Option<String>,
}

/// What a person may do about a freeze that holds the request.
#[derive(Debug, Serialize)]
struct Excepting {
    freeze: String,
    until: RelativeTime,
    roles: Vec<String>,
    is_allowed: bool,
    why_not: Option<String>,
}

impl Excepting {
    fn of(excepting: review::Excepting, now: DateTime<Utc>) -> Self {
        let review::Excepting { freeze, until, roles, is_allowed, why_not } = excepting;
        Self { freeze, until: RelativeTime::of(until, now), roles, is_allowed, why_not }
    }
}

/// What has changed since a request of the same kind was approved.
#[derive(Debug, Serialize)]
struct Since {
    workflow_id: Uuid,
    approved: Option<RelativeTime>,
    differences: Vec<Difference>,
    left_out: usize,
}

/// The differences from the request that this one supersedes.
#[derive(Debug, Serialize)]
struct Instead {
    workflow_id: Uuid,
    /// None if the earlier request has been pruned.
    differences: Option<Vec<Difference>>,
    left_out: usize,
}

/// `GET /inbox/workflows/{id}`
pub async fn show(State(web): State<Web>, session: Session, WorkflowId(id): WorkflowId, query: Fields) -> Result<Response, Problem> {
    let done = query.one("done")?.filter(|done| {
        let seal = query.one("seal").ok().flatten().unwrap_or_default();
        csrf::is_seal(session.id(), &walk::receipt(id, done), seal)
    });
    let last = Last::of(&web, &session, &query).await?;
    let attempted = web.drafts.of(&session.person.name, id, Instant::now());
    page_of(&web, &session, id, Around { attempted, done, last, carried: query.one("in")? }).await
}

/// The context of a request's page: how the person got there.
#[derive(Default)]
pub struct Around<'a> {
    /// What the person tried, and why it was refused.
    pub attempted: Option<Attempted>,
    /// What the person has just done to the request.
    pub done: Option<&'a str>,
    /// What the person did to the request before this one.
    pub last: Option<Last>,
    /// The list that it was opened from.
    pub carried: Option<&'a str>,
}

/// The page of a request.
pub async fn page_of(web: &Web, session: &Session, id: Uuid, around: Around<'_>) -> Result<Response, Problem> {
    let Around { attempted, done, last, carried } = around;
    let walk = Walk::of(web, session, id, carried).await?;
    let Review { shown, other_rules, choice, resolving, excepting, cancelling, glass, precedent } =
        web.service.review(&session.person, id).await?;
    let (workflow, now) = (&shown.workflow, web.service.now());
    let submission = &workflow.submission;
    let runs = workflow.numbered_steps().any(|(_, step, state)| step.action == ActionKind::Runbook && state.running().is_some());
    let live = if runs { Some(live(web.service.output(&session.person, id, None).await?.as_ref())) } else { None };
    let manifests: Manifests<'_> = &|text| web.service.manifests(text);
    let exact = DocumentView::of(web, workflow, &shown.document);
    let since = precedent.map(|precedent| since(&precedent, &shown.document, now, manifests));
    let earlier = shown.earlier.as_ref().map(|earlier| Instead::of(earlier, &shown.document, manifests));
    let changed = workflow.round().and_then(|round| workflow.renewal_of(round)).map(|renewal| {
        let (differences, left_out) = shortened(renewal.changes.clone(), manifests);
        json!({"reason": renewal.reason, "differences": differences, "left_out": left_out})
    });
    let settled_by = match workflow.approval_status() {
        ApprovalStatus::Approved | ApprovalStatus::Rejected => workflow.deciding().map(|decision| record::decided(decision, now)),
        _ => None,
    };
    // How the person got to the page, and what else concerns the request.
    let around = json!({
        "attempted": attempted, "sign_in_again": sign_in::again(session, &here(id, carried)), "done": done, "last": last, "walk": walk, "changed": changed,
        "resting": workflow.resting().map(|(attempt, until)| json!({"attempt": attempt.number, "until": RelativeTime::of(until, now)})),
        "held": shown.held.as_ref().map(ToString::to_string), "quarantine": shown.quarantine.as_ref().map(|left| &left.reason)});
    let mut page = json!({
        "section": if workflow.status() == Status::PendingApproval { "waiting" } else { "" },
        "id": id, "task_id": submission.task_id, "version": workflow.version,
        "level_word": submission.assessment.level, "status_word": workflow.status(), "status_words": record::status_words(workflow.status().as_str()),
        "is_final": workflow.status().is_final(), "waits": workflow.status() == Status::PendingApproval,
        "created": RelativeTime::of(workflow.created_at, now),
        "requested_by": submission.requested_by, "on_behalf_of": submission.on_behalf_of,
        "resolving": resolving.map(Resolving::from), "excepting": excepting.map(|excepting| Excepting::of(excepting, now)),
        "exact": exact, "choice": choice.map(|choice| Choice::of(choice, workflow.asked_level())),
        "asked_step": workflow.open_round().and_then(|round| round.step).map(|step| submission.step_title(step)),
        "cancelling": cancelling.map(|cancelling| json!({"is_running": cancelling.is_running})),
        "is_being_cancelled": workflow.is_being_cancelled(),
        "glass": json!({"may_break": glass.may_break, "may_review": glass.may_review, "why_not": glass.why_not,
            "open_by": glass.open.as_ref().map(|(by, _)| by), "since": glass.open.as_ref().map(|(_, since)| RelativeTime::of(*since, now))}),
        "reasons": submission.assessment.reasons.iter().map(why).collect::<Vec<_>>(),
        "other_rules": other_rules,
        "approvers": workflow.round().map(approval::entitled_roles), "required": workflow.round().map(|round| round.terms.required),
        "approvals": workflow.round().map(|round| round.approvals.len()),
        "next_step": record::next_step(workflow, now), "settled_by": settled_by as Option<Decided>,
        "plan": plan(workflow), "live": live,
        "record": Record::of(workflow, &shown.log, now), "since": since, "earlier": earlier, "superseded_by": workflow.superseded_by(),
        "question": workflow.discussion.question.as_ref().map(|question| json!({"by": question.by, "at": RelativeTime::of(question.at, now), "until": RelativeTime::of(question.rests_until(), now)})),
        "may_ask": !submission.is_of(&session.person.name), "looked_through": LOOKED_THROUGH,
        "longest_note": LONGEST_NOTE});
    if let (Value::Object(page), Value::Object(around)) = (&mut page, around) {
        page.extend(around);
    }
    Ok(page::render(web, session, "detail.html", page))
}

/// The address of a request, as it was opened from a list.
fn here(id: Uuid, carried: Option<&str>) -> String {
    address(&format!("/inbox/workflows/{id}"), &[("in", carried)])
}

/// The output so far of the running attempt.
fn live(output: Option<&LiveOutput>) -> Value {
    let output = output.map(|output| {
        let attempt = output.read_to.attempt;
        json!({"step": attempt.step, "attempt": attempt.number, "stdout": output.stdout.text, "stderr": output.stderr.text, "after": output.read_to.to_string()})
    });
    json!({ "output": output })
}

/// The progress of each step of a plan; empty for a single task.
fn plan(workflow: &Workflow) -> Vec<Value> {
    let planned = &workflow.submission.steps;
    let step = |((number, _, state), planned): ((u32, &Step, &StepState), &PlannedStep)| {
        let status = workflow.step_status(number, state).as_str().replace('_', " ");
        json!({"name": planned.name, "status": status, "undoes": planned.compensates, "headline": planned.target.headline()})
    };
    workflow.numbered_steps().zip(planned).map(step).collect()
}

/// One reason of an assessment. A disagreement between requester and parkbrake is a warning,
/// whatever its level.
fn why(reason: &Reason) -> Value {
    json!({"level": reason.level, "trigger": reason.trigger, "detail": reason.detail, "is_warning": target::is_warning(&reason.trigger)})
}

impl From<review::Resolving> for Resolving {
    fn from(resolving: review::Resolving) -> Self {
        let review::Resolving { is_allowed, why_not } = resolving;
        Self { is_allowed, why_not }
    }
}

impl Choice {
    /// Whoever approves a critical request has to type its target.
    fn of(choice: review::Choice, level: Level) -> Self {
        let review::Choice { may_approve, may_reject, has_approved, may_withdraw, why_not, needs_sign_in, needs_justification } = choice;
        let is_confirmed = level == Level::Critical;
        Self { may_approve, may_reject, has_approved, may_withdraw, why_not, needs_sign_in, needs_justification, is_confirmed }
    }
}

fn since(precedent: &Precedent, document: &[u8], now: DateTime<Utc>, manifests: Manifests<'_>) -> Since {
    let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
    let (differences, left_out) = shortened(difference::between(&read(&precedent.document), &read(document)), manifests);
    let approved = precedent.approved_at.map(|at| RelativeTime::of(at, now));
    Since { workflow_id: precedent.workflow_id, approved, differences, left_out }
}

impl Instead {
    fn of(earlier: &Earlier, document: &[u8], manifests: Manifests<'_>) -> Self {
        let shown = earlier.differences(document).map(|differences| shortened(differences, manifests));
        let left_out = shown.as_ref().map_or(0, |(_, left_out)| *left_out);
        Self { workflow_id: earlier.workflow_id, differences: shown.map(|(differences, _)| differences), left_out }
    }
}

/// The differences that a page shows, with long values cut, and the number that is left out.
fn shortened(differences: Vec<Difference>, manifests: Manifests<'_>) -> (Vec<Difference>, usize) {
    let mut differences = manifest::explained(differences, manifests);
    let left_out = differences.len().saturating_sub(MOST_DIFFERENCES);
    differences.truncate(MOST_DIFFERENCES);
    for difference in &mut differences {
        difference.before = difference.before.take().map(short);
        difference.after = difference.after.take().map(short);
    }
    (differences, left_out)
}

fn short(value: String) -> String {
    match value.char_indices().nth(LONGEST_VALUE) {
        Some((index, _)) => format!("{}… ({} characters)", &value[..index], value.chars().count()),
        None => value,
    }
}
