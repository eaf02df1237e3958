//! One workflow, whole.

use super::Success;
use super::approval::Approval;
use super::assessment::{Assessment, Target};
use super::differences::Supersedes;
use super::halts::Held;
use super::history::Entry;
use super::reviews::AfterReview;
use super::steps::{Step, steps_of};
use super::task::StoredDocument;
use crate::domain::policy::Role;
use crate::domain::risk::level::Level;
use crate::domain::risk::target;
use crate::domain::task;
use crate::domain::task::Task;
use crate::domain::task::digest::Digest;
use crate::domain::via::Via;
use crate::domain::workflow::approval;
use crate::domain::workflow::attempt_history::{self, AttemptOutcome, AttemptRecord};
use crate::domain::workflow::{self, ApprovalStatus, Event, Recorded, Status, Verdict};
use crate::http::decision::Decision;
use crate::http::time::Time;
use crate::service::{self, Shown};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use utoipa::ToSchema;
use uuid::Uuid;

/// One workflow.
#[derive(Debug, Serialize, ToSchema)]
pub struct WorkflowAnswer<'a> {
    success: Success,
    workflow: Workflow<'a>,
}

/// One workflow, whole: the request, its risk, the decisions, the attempts and the history.
#[derive(Debug, Serialize, ToSchema)]
struct Workflow<'a> {
    workflow_id: Uuid,
    /// The requester's own name for it.
    #[schema(required)]
    task_id: Option<&'a str>,
    status: Status,
    /// Whether somebody has cancelled it while it was running and it has not ended yet.
    cancel_requested: bool,
    approval_status: ApprovalStatus,
    /// The same as `assessment.level`.
    risk_level: Level,
    /// Whether people were asked.
    requires_approval: bool,
    /// The requester's description: a claim. Null if the stored document cannot be read.
    #[schema(required)]
    description: Option<String>,
    /// The principal that submitted.
    requested_by: &'a str,
    /// The person that it acted for when it submitted.
    #[schema(required)]
    on_behalf_of: Option<&'a str>,
    /// The number of the last event; the parameter `since` of `/wait`.
    version: u32,
    /// Exactly as it is stored, byte for byte. Null if what is stored is neither a task nor a plan.
    #[schema(required, value_type = Option<StoredDocument>)]
    task: Option<&'a RawValue>,
    target: Target<'a>,
    /// The digest of the canonical bytes of `task`.
    digest: &'a Digest,
    assessment: Assessment<'a>,
    /// Null if nobody was asked.
    #[schema(required)]
    approval: Option<Approval<'a>>,
    /// Every approval, rejection and withdrawal, the oldest first.
    decisions: Vec<Decision<'a>>,
    /// Exceptions from freezes, the oldest first.
    exceptions: Vec<FreezeExcepted<'a>>,
    /// Reviews of broken glass, the oldest first; only the last one can be open.
    reviews: Vec<AfterReview<'a>>,
    /// Null until an attempt is started or refused.
    #[schema(required)]
    execution: Option<Execution<'a>>,
    /// For a plan: its steps, in their order.
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<Vec<Step<'a>>>,
    /// Every event, the oldest first.
    history: Vec<Entry<'a>>,
    /// All comments, the oldest first.
    comments: Vec<Comment<'a>>,
    /// The open question to the requester; null if there is none.
    #[schema(required)]
    question: Option<Question<'a>>,
    /// The earlier request that it superseded; null if there is none.
    #[schema(required)]
    supersedes: Option<Supersedes>,
    /// The workflow that superseded it.
    #[schema(required)]
    superseded_by: Option<Uuid>,
    /// Null unless parkbrake has quarantined the workflow after repeated failures.
    #[schema(required)]
    quarantine: Option<Quarantine<'a>>,
    /// What keeps it from starting, if it is `queued` and a halt or a freeze holds it. Null
    /// otherwise.
    #[schema(required)]
    held: Option<Held<'a>>,
    /// When the first event happened.
    created_at: Time,
    /// When the last event happened.
    updated_at: Time,
}

impl<'a> WorkflowAnswer<'a> {
    /// A workflow with everything stored about it; `target` is what it acts on.
    pub fn of(shown: &'a Shown, target: &'a target::Target) -> Self {
        let Shown { workflow, log, document, earlier, quarantine, held } = shown;
        let submission = &workflow.submission;
        let attempts = attempt_history::of(log);
        let stored = task::plan::Document::read(document).ok();
        let workflow = Workflow {
            workflow_id: workflow.id,
            task_id: submission.task_id.as_deref(),
            status: workflow.status(),
            cancel_requested: workflow.is_being_cancelled(),
            approval_status: workflow.approval_status(),
            risk_level: submission.assessment.level,
            requires_approval: workflow.round().is_some(),
            task: stored.as_ref().and_then(|_| serde_json::from_slice(document).ok()),
            description: stored.map(|stored| stored.description().to_owned()),
            requested_by: &submission.requested_by,
            on_behalf_of: submission.on_behalf_of.as_deref(),
            version: workflow.version,
            target: target.into(),
            digest: workflow.document(),
            assessment: (&submission.assessment).into(),
            approval: Approval::of(workflow),
            decisions: decisions(workflow),
            exceptions: workflow.exceptions.iter().map(FreezeExcepted::from).collect(),
            reviews: workflow.reviews.iter().map(AfterReview::from).collect(),
            execution: (!attempts.is_empty())
                .then(|| Execution { attempts: attempts.into_iter().map(|attempt| Attempt::of(attempt, submission.is_plan())).collect() }),
            steps: steps_of(workflow),
            history: log.iter().map(Entry::from).collect(),
            comments: log.iter().filter_map(Comment::of).collect(),
            question: workflow.discussion.question.as_ref().map(Question::from),
            supersedes: earlier.as_ref().map(|earlier| Supersedes::of(earlier, document)),
            superseded_by: workflow.superseded_by(),
            quarantine: quarantine.as_ref().map(Quarantine::from),
            held: held.as_ref().map(Held::from),
            created_at: Time(workflow.created_at),
            updated_at: Time(workflow.updated_at),
        };
        Self { success: Success, workflow }
    }
}

/// What a workflow acts on; for one submitted before this was recorded, its claim.
pub fn target_of<'a>(workflow: &'a workflow::Workflow, document: &[u8]) -> Cow<'a, target::Target> {
    let claimed = || serde_json::from_slice::<Task>(document).map(|task| target::Target::claimed(&task)).unwrap_or_default();
    workflow.submission.target.as_ref().map_or_else(|| Cow::Owned(claimed()), Cow::Borrowed)
}

/// The decisions, each with the role that it counts for: the roles are distributed among the
/// approvals.
pub(super) fn decisions(workflow: &workflow::Workflow) -> Vec<Decision<'_>> {
    let given: Vec<&[Role]> =
        workflow.round().into_iter().flat_map(|round| &round.approvals).map(|approval| approval.roles.as_slice()).collect();
    let assigned = approval::assign_roles(&given);
    let standing = workflow.round().into_iter().flat_map(|round| round.approvals.iter().map(|approval| (round.number, approval)));
    let roles: Vec<_> = standing.zip(assigned).collect();
    // A person's last approval is the one that counts, if any does.
    let role = |index: usize, one: &workflow::Decision| {
        let is_last = workflow.decisions[index + 1..].iter().all(|later| later.approver != one.approver);
        let stands = one.verdict == Verdict::Approved && is_last;
        let found = roles.iter().find(|((round, approval), _)| stands && (*round, &approval.approver) == (one.round, &one.approver));
        found.and_then(|(_, role)| *role)
    };
    let decisions = workflow.decisions.iter().enumerate();
    decisions.map(|(index, one)| Decision::of(one, role(index, one).or_else(|| one.roles.first()))).collect()
}

/// An exception from a freeze.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FreezeException)]
struct FreezeExcepted<'a> {
    /// The name of the freeze.
    freeze: &'a str,
    /// When this period of the freeze ends, and the exception with it.
    until: Time,
    approver: &'a str,
    /// The roles that entitled this person at that time.
    roles: &'a [Role],
    justification: &'a str,
    at: Time,
    via: Via,
}

impl<'a> From<&'a workflow::Exception> for FreezeExcepted<'a> {
    fn from(exception: &'a workflow::Exception) -> Self {
        let workflow::Exception { given, at, via } = exception;
        Self {
            freeze: &given.freeze,
            until: Time(given.until),
            approver: &given.approver,
            roles: &given.roles,
            justification: &given.justification,
            at: Time(*at),
            via: *via,
        }
    }
}

/// The attempts after the release.
#[derive(Debug, Serialize, ToSchema)]
struct Execution<'a> {
    /// More than one only for plans, for idempotent runbooks, and if an unknown outcome was
    /// resolved as `retry`.
    attempts: Vec<Attempt<'a>>,
}

/// One attempt at the action.
#[derive(Debug, Serialize, ToSchema)]
struct Attempt<'a> {
    /// For a plan: the number of the step.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<u32>,
    /// Counted from 1, within the step of a plan.
    n: u32,
    /// Null if it was refused.
    #[schema(required)]
    started_at: Option<Time>,
    /// Null while it runs; for an interrupted one, when the next began.
    #[schema(required)]
    finished_at: Option<Time>,
    /// Null while it runs.
    #[schema(required)]
    outcome: Option<AttemptOutcome>,
    /// For an external action, what was reported; for a runbook, its exit status and the ends of
    /// its streams.
    #[schema(required)]
    output: Option<&'a Value>,
    #[schema(required)]
    error: Option<&'a str>,
}

impl<'a> Attempt<'a> {
    fn of(attempt: AttemptRecord<'a>, is_of_plan: bool) -> Self {
        let ended = attempt.ended.as_ref();
        Self {
            step: is_of_plan.then_some(attempt.step),
            n: attempt.number,
            started_at: attempt.started_at.map(Time),
            finished_at: ended.map(|ended| Time(ended.at)),
            outcome: ended.map(|ended| ended.outcome),
            output: ended.and_then(|ended| ended.output),
            error: ended.and_then(|ended| ended.error),
        }
    }
}

/// A comment.
#[derive(Debug, Serialize, ToSchema)]
struct Comment<'a> {
    /// The version of its event.
    version: u32,
    author: &'a str,
    text: &'a str,
    /// Whether it is a question to the requester.
    ask: bool,
    at: Time,
    via: Via,
}

impl<'a> Comment<'a> {
    fn of(recorded: &'a Recorded) -> Option<Self> {
        let Event::Commented { text, ask } = &recorded.event else { return None };
        let (version, author) = (recorded.version, recorded.actor.as_str());
        Some(Self { version, author, text, ask: *ask, at: Time(recorded.at), via: recorded.via })
    }
}

/// A question that nobody on the requester's side has answered.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OpenQuestion)]
struct Question<'a> {
    by: &'a str,
    at: Time,
    /// Until when the question pauses reminders, unless it is answered before.
    reminders_rest_until: Time,
}

impl<'a> From<&'a workflow::Question> for Question<'a> {
    fn from(question: &'a workflow::Question) -> Self {
        Self { by: &question.by, at: Time(question.at), reminders_rest_until: Time(question.rests_until()) }
    }
}

/// Why parkbrake has quarantined a workflow.
#[derive(Debug, Serialize, ToSchema)]
struct Quarantine<'a> {
    reason: &'a str,
    /// How often it failed.
    failures: i32,
    since: Time,
}

impl<'a> From<&'a service::Quarantine> for Quarantine<'a> {
    fn from(left: &'a service::Quarantine) -> Self {
        Self { reason: &left.reason, failures: left.failures, since: Time(left.since) }
    }
}
