//! One request as a person reads it before deciding: the stored workflow, what the reader may do,
//! and the last approved request of its kind.

use crate::domain::hold::Held;
use crate::domain::policy::Role;
use crate::domain::risk::Rules;
use crate::domain::risk::readings::Facts;
use crate::domain::task::Task;
use crate::domain::task::digest::Digest;
use crate::domain::task::plan::Document;
use crate::domain::workflow::today::Today;
use crate::domain::workflow::transition::{self, Answer};
use crate::domain::workflow::{ApprovalStatus, Command, Refusal, Resolution, Status, Submission, Workflow};
use crate::identity::Caller;
use crate::service::show::Shown;
use crate::service::{Service, ServiceError};
use crate::storage::{self, Kind};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use std::sync::Arc;
use uuid::Uuid;

/// A request under review.
#[derive(Debug)]
pub struct Review {
    pub shown: Shown,
    /// Whether the rules have changed since the assessment.
    pub other_rules: bool,
    /// What the reader may decide, while the request waits.
    pub choice: Option<Choice>,
    /// What the reader may do about an unknown outcome.
    pub resolving: Option<Resolving>,
    /// What the reader may do about a freeze that holds the request.
    pub excepting: Option<Excepting>,
    /// Whether the reader may break the glass, or review that somebody broke it.
    pub glass: Glass,
    /// How the reader may cancel it, if they may.
    pub cancelling: Option<Cancelling>,
    /// The latest request of the same kind that was approved.
    pub precedent: Option<Precedent>,
}

/// The most earlier workflows that are examined to find one of the same kind.
pub const LOOKED_THROUGH: i64 = storage::LOOKED_THROUGH;

/// An earlier request that was approved.
#[derive(Debug)]
pub struct Precedent {
    pub workflow_id: Uuid,
    pub approved_at: Option<DateTime<Utc>>,
    pub document: Vec<u8>,
}

/// What a person may decide. It is found by asking the core what each decision would do.
#[derive(Debug)]
pub struct Choice {
    pub may_approve: bool,
    pub may_reject: bool,
    pub has_approved: bool,
    pub may_withdraw: bool,
    /// Why the person may not decide, or may not approve.
    pub why_not: Option<String>,
    /// Whether the reader could approve it after signing in again.
    pub needs_sign_in: bool,
    pub needs_justification: bool,
}

/// What a person may do about an unknown outcome.
#[derive(Debug)]
pub struct Resolving {
    pub is_allowed: bool,
    pub why_not: Option<String>,
}

/// What a person may do in an emergency, and after one.
#[derive(Debug)]
pub struct Glass {
    pub may_break: bool,
    /// Who broke the glass, and since when the review has been open.
    pub open: Option<(String, DateTime<Utc>)>,
    pub may_review: bool,
    pub why_not: Option<String>,
}

/// What a person may do about a freeze that holds a released workflow.
#[derive(Debug)]
pub struct Excepting {
    pub freeze: String,
    pub until: DateTime<Utc>,
    /// The roles that may approve an exception.
    pub roles: Vec<Role>,
    pub is_allowed: bool,
    pub why_not: Option<String>,
}

/// How a person may cancel a task.
#[derive(Debug)]
pub struct Cancelling {
    /// Whether an attempt is running, which cancelling would end.
    pub is_running: bool,
}

/// What the configuration knows about the target of a task, whatever the task claims.
#[derive(Debug, Default)]
pub struct Known {
    pub facts: Option<Facts>,
    pub environment: Option<String>,
    pub resource_types: Vec<String>,
}

/// Whether a stored document is the one in force according to the log.
pub fn is_intact(workflow: &Workflow, bytes: &[u8], document: &Document) -> bool {
    let kinds = document.steps().into_iter().map(|(_, task)| task.action.kind);
    Digest::of(bytes) == *workflow.document() && kinds.eq(workflow.plan.steps.iter().map(|step| step.action))
}

impl Service {
    /// A request, for a person who may decide it.
    ///
    /// # Errors
    /// As [`Self::show`].
    pub async fn review(&self, by: &Caller, id: Uuid) -> Result<Review, ServiceError> {
        let shown = self.show(by, id).await?;
        let suspended = self.engine.suspended().await?;
        let configuration = &self.engine.configuration;
        let today = Today { policy: &configuration.policy, suspended: &suspended, now: self.now() };
        let document = Document::read(&shown.document).ok();
        let submission = &shown.workflow.submission;
        let intact = document.as_ref().is_some_and(|document| is_intact(&shown.workflow, &shown.document, document));
        // Plans have no kind by which to find an earlier one.
        let precedent = match document.as_ref().and_then(Document::single) {
            Some(task) => self.precedent(&shown.workflow, task).await?,
            None => None,
        };
        Ok(Review {
            other_rules: submission.assessment.policy_version != configuration.version,
            choice: self.choice(today, &shown.workflow, by, intact),
            resolving: self.resolving(&shown.workflow, by),
            excepting: self.excepting(today, &shown, by),
            glass: self.glass(today, &shown.workflow, by, intact),
            cancelling: cancelling(&shown.workflow, by),
            precedent,
            shown,
        })
    }

    /// A request, and what the caller may decide about it.
    ///
    /// # Errors
    /// As [`Self::show`].
    pub async fn to_decide(&self, by: &Caller, id: Uuid) -> Result<(Shown, Option<Choice>), ServiceError> {
        let shown = self.show(by, id).await?;
        let suspended = self.engine.suspended().await?;
        let today = Today { policy: &self.engine.configuration.policy, suspended: &suspended, now: self.now() };
        let intact = Document::read(&shown.document).is_ok_and(|document| is_intact(&shown.workflow, &shown.document, &document));
        let choice = self.choice(today, &shown.workflow, by, intact);
        Ok((shown, choice))
    }

    /// What the configuration knows about the target of a task.
    pub fn known(&self, task: &Task) -> Known {
        let configuration = &self.engine.configuration;
        let facts = configuration.actions().facts(&task.action);
        let (environment, resource_types) = configuration.rules.known(task, facts.as_ref());
        let (environment, resource_types) = (environment.map(str::to_owned), resource_types.into_iter().map(str::to_owned).collect());
        Known { facts, environment, resource_types }
    }

    /// The Kubernetes manifests in a YAML text; `None` if it is anything else.
    pub fn manifests(&self, text: &str) -> Option<Vec<Map<String, Value>>> {
        self.engine.manifests(text)
    }

    /// The rules by which tasks are assessed now.
    pub fn rules(&self) -> &Rules {
        &self.engine.configuration.rules
    }

    fn choice(&self, today: Today<'_>, workflow: &Workflow, by: &Caller, is_intact: bool) -> Option<Choice> {
        if workflow.approval_status() != ApprovalStatus::Pending {
            return None;
        }
        let digest = Some(workflow.subject().to_string());
        let note = Some("asked beforehand".to_owned());
        let approve =
            Command::Approve { by: by.principal(), justification: note.clone(), digest: digest.clone(), owner: self.engine.owner };
        let approve = today.decide(workflow, &approve);
        let reject = today.decide(workflow, &Command::Reject { by: by.principal(), reason: note, digest });
        let withdraw = today.decide(workflow, &Command::Withdraw { by: by.principal(), reason: None });
        let may_now = |answer: &Result<Answer, Refusal>| matches!(answer, Ok(Answer::Commit { .. }));
        let why_not = match &approve {
            Err(refusal) => Some(refusal.to_string()),
            Ok(Answer::Repeat(_)) => Some("You have approved this request. It waits for others.".to_owned()),
            Ok(_) if !is_intact => Some("what is stored is not what was submitted".to_owned()),
            Ok(_) => None,
        };
        let terms = workflow.round().map(|round| today.review(&workflow.submission, round).terms);
        Some(Choice {
            may_approve: may_now(&approve) && is_intact,
            may_reject: may_now(&reject),
            has_approved: matches!(approve, Ok(Answer::Repeat(_))),
            may_withdraw: may_now(&withdraw),
            why_not,
            needs_sign_in: is_too_old(&approve) && is_intact,
            needs_justification: terms.is_some_and(|terms| terms.require_justification),
        })
    }

    fn resolving(&self, workflow: &Workflow, by: &Caller) -> Option<Resolving> {
        if workflow.status() != Status::OutcomeUnknown {
            return None;
        }
        let justification = Some("asked beforehand".to_owned());
        let answer = transition::decide(workflow, &self.resolution(by, Resolution::Failed, justification));
        Some(Resolving {
            is_allowed: matches!(answer, Ok(Answer::Commit { .. })),
            why_not: answer.err().map(|refusal| refusal.to_string()),
        })
    }

    fn glass(&self, today: Today<'_>, workflow: &Workflow, by: &Caller, is_intact: bool) -> Glass {
        let (note, digest) = (Some("asked beforehand".to_owned()), Some(workflow.subject().to_string()));
        let (by, owner) = (by.principal(), self.engine.owner);
        let breaks = Command::BreakGlass { by: by.clone(), justification: note.clone(), digest, roles: Vec::new(), owner };
        let reviews = today.decide(workflow, &Command::Review { by, finding: note, deciders: Vec::new() });
        Glass {
            may_break: is_intact && may(&today.decide(workflow, &breaks)),
            open: workflow.open_review().map(|review| (review.broken_by.clone(), review.opened_at)),
            may_review: matches!(reviews, Ok(Answer::Commit { .. })),
            why_not: reviews.err().map(|refusal| refusal.to_string()),
        }
    }

    fn excepting(&self, today: Today<'_>, shown: &Shown, by: &Caller) -> Option<Excepting> {
        let Held::Frozen { freeze, until, exception } = shown.held.clone()? else { return None };
        let configured = self.engine.configuration.freezes.iter().find(|one| one.name == freeze)?;
        let command = Command::Except {
            by: by.principal(),
            freeze: Arc::new(configured.clone()),
            until: Some(until),
            justification: Some("asked beforehand".to_owned()),
            digest: Some(shown.workflow.document().to_string()),
        };
        let answer = today.decide(&shown.workflow, &command);
        Some(Excepting {
            freeze,
            until,
            roles: exception,
            is_allowed: may(&answer),
            why_not: answer.err().filter(|refusal| !matches!(refusal, Refusal::SignInAgain(_))).map(|refusal| refusal.to_string()),
        })
    }

    async fn precedent(&self, workflow: &Workflow, task: &Task) -> Result<Option<Precedent>, ServiceError> {
        let Submission { requested_by, action, .. } = &*workflow.submission;
        let kind = Kind {
            requested_by,
            operation: &task.operation,
            action: action.as_str(),
            action_name: task.action.name.as_deref(),
            resource: task.resource.as_deref(),
        };
        let found = self.engine.storage.precedent(&kind, workflow.id).await?;
        Ok(found.map(|row| Precedent { workflow_id: row.workflow_id, approved_at: row.approved_at, document: row.document }))
    }
}

/// Whether the page shows a form for it. If only a recent sign-in is missing, the form is shown,
/// and sending it asks for the sign-in.
fn may(answer: &Result<Answer, Refusal>) -> bool {
    matches!(answer, Ok(Answer::Commit { .. })) || is_too_old(answer)
}

/// Whether only a more recent sign-in is missing.
fn is_too_old(answer: &Result<Answer, Refusal>) -> bool {
    matches!(answer, Err(Refusal::SignInAgain(_)))
}

/// How the caller may cancel a task, found by asking the core.
fn cancelling(workflow: &Workflow, by: &Caller) -> Option<Cancelling> {
    let answer = transition::decide(workflow, &Command::Cancel { by: by.principal(), reason: None });
    matches!(answer, Ok(Answer::Commit { .. })).then(|| Cancelling { is_running: workflow.status() == Status::Executing })
}
