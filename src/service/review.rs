//! One request as somebody reads it before deciding: what is stored of it, what the reader may do,
//! and what was approved before it.

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
    /// Whether the rules have changed since it was assessed.
    pub other_rules: bool,
    /// What the reader may decide, while there is something to decide.
    pub choice: Option<Choice>,
    /// What the reader may do about an outcome that nobody knows.
    pub resolving: Option<Resolving>,
    /// What the reader may do about a freeze that holds it.
    pub excepting: Option<Excepting>,
    /// Whether the reader may break the glass, or review that somebody did.
    pub glass: Glass,
    /// How the reader may take it back, if the reader may.
    pub taking_back: Option<TakingBack>,
    /// The latest request of the same kind that was approved.
    pub precedent: Option<Precedent>,
}

/// How many workflows before a request are looked through for one of its kind.
pub const LOOKED_THROUGH: i64 = storage::LOOKED_THROUGH;

/// A request that was approved before.
#[derive(Debug)]
pub struct Precedent {
    pub workflow_id: Uuid,
    pub approved_at: Option<DateTime<Utc>>,
    pub document: Vec<u8>,
}

/// What somebody may decide, found by asking the core what would become of it.
#[derive(Debug)]
pub struct Choice {
    pub may_approve: bool,
    pub may_reject: bool,
    pub has_approved: bool,
    pub may_withdraw: bool,
    /// Why there is nothing to decide, or why only half of it.
    pub why_not: Option<String>,
    /// Whether the reader could approve it after signing in again.
    pub needs_sign_in: bool,
    pub needs_justification: bool,
}

/// What somebody may do about an outcome that nobody knows.
#[derive(Debug)]
pub struct Resolving {
    pub is_allowed: bool,
    pub why_not: Option<String>,
}

/// What somebody may do in an emergency, and after one.
#[derive(Debug)]
pub struct Glass {
    pub may_break: bool,
    /// Who broke it, and since when nobody else has reviewed that.
    pub open: Option<(String, DateTime<Utc>)>,
    pub may_review: bool,
    pub why_not: Option<String>,
}

/// What somebody may do about a freeze that holds what is released.
#[derive(Debug)]
pub struct Excepting {
    pub freeze: String,
    pub until: DateTime<Utc>,
    /// Whose role may approve an exception.
    pub roles: Vec<Role>,
    pub is_allowed: bool,
    pub why_not: Option<String>,
}

/// How somebody may take a task back.
#[derive(Debug)]
pub struct TakingBack {
    /// Whether it runs, so that what runs would be ended.
    pub is_running: bool,
}

/// What the configuration knows of what a task acts on, whatever the task claims.
#[derive(Debug, Default)]
pub struct Known {
    pub facts: Option<Facts>,
    pub environment: Option<String>,
    pub resource_types: Vec<String>,
}

/// Whether a stored document is the one that holds by the log.
pub fn is_sound(workflow: &Workflow, bytes: &[u8], document: &Document) -> bool {
    let kinds = document.steps().into_iter().map(|(_, task)| task.action.kind);
    Digest::of(bytes) == *workflow.document() && kinds.eq(workflow.plan.steps.iter().map(|step| step.action))
}

impl Service {
    /// One request, for somebody who may decide it.
    ///
    /// # Errors
    /// As [`Self::show`].
    pub async fn review(&self, by: &Caller, id: Uuid) -> Result<Review, ServiceError> {
        let shown = self.show(by, id).await?;
        let suspended = self.engine.suspended().await?;
        let configuration = &self.engine.configuration;
        let today = Today { policy: &configuration.policy, suspended: &suspended };
        let document = Document::read(&shown.document).ok();
        let submission = &shown.workflow.submission;
        let sound = document.as_ref().is_some_and(|document| is_sound(&shown.workflow, &shown.document, document));
        // Plans have no kind by which an earlier one could be found.
        let precedent = match document.as_ref().and_then(Document::single) {
            Some(task) => self.precedent(&shown.workflow, task).await?,
            None => None,
        };
        Ok(Review {
            other_rules: submission.assessment.policy_version != configuration.version,
            choice: self.choice(today, &shown.workflow, by, sound),
            resolving: self.resolving(&shown.workflow, by),
            excepting: self.excepting(today, &shown, by),
            glass: self.glass(today, &shown.workflow, by, sound),
            taking_back: taking_back(&shown.workflow, by),
            precedent,
            shown,
        })
    }

    /// A request with what somebody may decide about it.
    ///
    /// # Errors
    /// As [`Self::show`].
    pub async fn to_decide(&self, by: &Caller, id: Uuid) -> Result<(Shown, Option<Choice>), ServiceError> {
        let shown = self.show(by, id).await?;
        let suspended = self.engine.suspended().await?;
        let today = Today { policy: &self.engine.configuration.policy, suspended: &suspended };
        let sound = Document::read(&shown.document).is_ok_and(|document| is_sound(&shown.workflow, &shown.document, &document));
        let choice = self.choice(today, &shown.workflow, by, sound);
        Ok((shown, choice))
    }

    /// What the configuration knows of what a task acts on.
    pub fn known(&self, task: &Task) -> Known {
        let configuration = &self.engine.configuration;
        let facts = configuration.actions().facts(&task.action);
        let (environment, resource_types) = configuration.rules.known(task, facts.as_ref());
        let (environment, resource_types) = (environment.map(str::to_owned), resource_types.into_iter().map(str::to_owned).collect());
        Known { facts, environment, resource_types }
    }

    /// The manifests of Kubernetes that a text of YAML holds; `None` where it is anything else.
    pub fn manifests(&self, text: &str) -> Option<Vec<Map<String, Value>>> {
        self.engine.manifests(text)
    }

    /// The rules by which tasks are assessed now.
    pub fn rules(&self) -> &Rules {
        &self.engine.configuration.rules
    }

    fn choice(&self, today: Today<'_>, workflow: &Workflow, by: &Caller, is_sound: bool) -> Option<Choice> {
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
            Ok(_) if !is_sound => Some("what is stored is not what was submitted".to_owned()),
            Ok(_) => None,
        };
        let terms = workflow.round().map(|round| today.review(&workflow.submission, round).terms);
        Some(Choice {
            may_approve: may_now(&approve) && is_sound,
            may_reject: may_now(&reject),
            has_approved: matches!(approve, Ok(Answer::Repeat(_))),
            may_withdraw: may_now(&withdraw),
            why_not,
            needs_sign_in: is_too_old(&approve) && is_sound,
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

    fn glass(&self, today: Today<'_>, workflow: &Workflow, by: &Caller, is_sound: bool) -> Glass {
        let (note, digest) = (Some("asked beforehand".to_owned()), Some(workflow.subject().to_string()));
        let (by, owner) = (by.principal(), self.engine.owner);
        let breaks = Command::BreakGlass { by: by.clone(), justification: note.clone(), digest, roles: Vec::new(), owner };
        let reviews = today.decide(workflow, &Command::Review { by, finding: note, deciders: Vec::new() });
        Glass {
            may_break: is_sound && may(&today.decide(workflow, &breaks)),
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
        let kind = Kind { requested_by, operation: &task.operation, action: action.as_str(), action_name: task.action.name.as_deref() };
        let found = self.engine.storage.precedent(&kind, workflow.id).await?;
        Ok(found.map(|row| Precedent { workflow_id: row.workflow_id, approved_at: row.approved_at, document: row.document }))
    }
}

/// Whether a form is shown for it: where signing in again is all that is missing, sending the form
/// says so.
fn may(answer: &Result<Answer, Refusal>) -> bool {
    matches!(answer, Ok(Answer::Commit { .. })) || is_too_old(answer)
}

/// Whether all that is missing is a sign-in that is not as old.
fn is_too_old(answer: &Result<Answer, Refusal>) -> bool {
    matches!(answer, Err(Refusal::SignInAgain(_)))
}

/// How somebody may take a task back, found by asking the core.
fn taking_back(workflow: &Workflow, by: &Caller) -> Option<TakingBack> {
    let answer = transition::decide(workflow, &Command::Cancel { by: by.principal(), reason: None });
    matches!(answer, Ok(Answer::Commit { .. })).then(|| TakingBack { is_running: workflow.status() == Status::Executing })
}
