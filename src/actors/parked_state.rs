//! Parked workflows in memory, in the smallest form from which their state follows.
//!
//! Most of them wait for their first decision, and many are alike: the same agent asks for the same
//! operation on the same resource again, for the same reasons. What is alike is kept once. What is
//! kept is a copy of what the log says, so it may be dropped at any time.

use crate::domain::policy::ApprovalTerms;
use crate::domain::task::digest::{Bytes, Digest};
use crate::domain::workflow::{Discussion, Disposition, Round, StepState, Submission, Workflow};
use chrono::{DateTime, Utc};
use hashlink::LruCache;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError};
use uuid::Uuid;

/// How many kinds of requests are known at once. The least recently used one is forgotten first:
/// then its next request is kept by itself.
const MOST_KINDS: usize = 4096;

/// A parked workflow.
#[derive(Debug, Clone)]
pub enum ParkedState {
    Asked(Box<Asked>),
    /// Something else has happened to it than escalations.
    Whole(Arc<Workflow>),
}

/// A workflow in its first round that nobody has answered or commented on.
#[derive(Debug, Clone)]
pub struct Asked {
    kind: Arc<Submission>,
    terms: Arc<ApprovalTerms>,
    digest: Bytes,
    task_id: Option<Box<str>>,
    claim: Option<Uuid>,
    step: Option<u32>,
    escalation_level: u32,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// The kinds of requests that are known. Requests of one kind differ only in their ids, documents
/// and times.
#[derive(Debug)]
pub struct Kinds(Mutex<LruCache<u64, Arc<Submission>>>);

impl Default for Kinds {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(MOST_KINDS)))
    }
}

impl ParkedState {
    /// The smallest form of this state.
    pub fn of(workflow: Arc<Workflow>, kinds: &Kinds) -> Self {
        Asked::of(&workflow, kinds).map_or(Self::Whole(workflow), |asked| Self::Asked(Box::new(asked)))
    }

    /// The number of its last event.
    pub fn version(&self) -> u32 {
        match self {
            Self::Asked(asked) => asked.version(),
            Self::Whole(workflow) => workflow.version,
        }
    }

    /// The state of the workflow with this id.
    pub fn restore(self, id: Uuid) -> Arc<Workflow> {
        match self {
            Self::Asked(asked) => Arc::new(asked.restore(id)),
            Self::Whole(workflow) => workflow,
        }
    }
}

impl Asked {
    /// `None` if something else has happened.
    fn of(workflow: &Workflow, kinds: &Kinds) -> Option<Self> {
        // Without `..`, so that a new field cannot be forgotten here.
        let Workflow {
            id: _,
            version,
            submission,
            plan: _,
            renewals,
            rounds,
            steps,
            disposition,
            decisions,
            discussion,
            exceptions,
            reviews,
            created_at,
            updated_at,
        } = workflow;
        let [round] = rounds.as_slice() else { return None };
        let is_untouched = renewals.is_empty() && decisions.is_empty() && exceptions.is_empty() && reviews.is_empty();
        let waits = *disposition == Disposition::Active && *discussion == Discussion::default();
        if !is_untouched || !waits || steps.iter().any(|step| *step != StepState::default()) {
            return None;
        }
        let asked = Self {
            digest: submission.digest.bytes()?,
            kind: kinds.kind_of(submission),
            terms: Arc::clone(&round.terms),
            task_id: submission.task_id.as_deref().map(Box::from),
            claim: submission.claim,
            step: round.step,
            escalation_level: round.escalation_level,
            created_at: *created_at,
            updated_at: *updated_at,
        };
        (asked.version() == *version && asked.round(workflow) == *round).then_some(asked)
    }

    /// Two events opened it, and each escalation is one more.
    fn version(&self) -> u32 {
        2 + self.escalation_level
    }

    fn round(&self, workflow: &Workflow) -> Round {
        let subject = (workflow.subject_of(self.step), self.step);
        let escalation_level = self.escalation_level;
        Round { escalation_level, ..Round::open(1, subject, Arc::clone(&self.terms), self.created_at) }
    }

    fn restore(self, id: Uuid) -> Workflow {
        let digest = Digest::from(self.digest);
        let task_id = self.task_id.as_deref().map(str::to_owned);
        let submission = Submission { task_id, digest, claim: self.claim, ..self.kind.as_ref().clone() };
        let mut workflow = Workflow::submitted(id, Arc::new(submission), self.created_at);
        let round = self.round(&workflow);
        workflow.open_next(round);
        Workflow { version: self.version(), updated_at: self.updated_at, ..workflow }
    }
}

impl Kinds {
    /// The kind of this request: what it has in common with others.
    fn kind_of(&self, submission: &Submission) -> Arc<Submission> {
        let key = key(submission);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kind) = known.get(&key).filter(|kind| are_alike(kind, submission)) {
            return Arc::clone(kind);
        }
        let mut kind = Submission { task_id: None, claim: None, ..submission.clone() };
        // Any digest will do.
        kind.digest = kind.assessment.policy_version.clone();
        kind.assessment.reasons.shrink_to_fit();
        let kind = Arc::new(kind);
        known.insert(key, Arc::clone(&kind));
        kind
    }
}

/// Where the kind of this request is looked for: a hash of what usually tells kinds apart.
fn key(submission: &Submission) -> u64 {
    let mut hasher = DefaultHasher::new();
    submission.requested_by.hash(&mut hasher);
    if let Some(target) = &submission.target {
        (&target.operation, &target.environment, &target.resource).hash(&mut hasher);
    }
    for reason in &submission.assessment.reasons {
        reason.detail.hash(&mut hasher);
    }
    hasher.finish()
}

/// Whether two requests are of one kind.
fn are_alike(one: &Submission, other: &Submission) -> bool {
    // Without `..`, so that a new field cannot be forgotten here.
    let Submission {
        task_id: _,
        requested_by,
        on_behalf_of,
        digest: _,
        assessment,
        action,
        idempotent,
        report_within,
        retry,
        probe,
        target,
        supersedes,
        steps,
        claim: _,
        gate,
    } = one;
    (requested_by, on_behalf_of, assessment, target) == (&other.requested_by, &other.on_behalf_of, &other.assessment, &other.target)
        && (action, idempotent, report_within, retry, probe)
            == (&other.action, &other.idempotent, &other.report_within, &other.retry, &other.probe)
        && (supersedes, steps, gate) == (&other.supersedes, &other.steps, &other.gate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::risk::level::Level;
    use crate::domain::task::ActionKind;
    use crate::domain::task::plan::Gate;
    use crate::domain::task::retry::Retry;
    use crate::domain::workflow::{Event, LastComment};
    use std::path::Path;
    use std::time::Duration;

    const ID: Uuid = Uuid::from_u128(7);

    fn fixture(name: &str) -> Event {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/events/3").join(name);
        Event::from_stored(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn submission(name: &str) -> Submission {
        let Event::Submitted(submission) = fixture(name) else { panic!("{name} is no submission") };
        submission.as_ref().clone()
    }

    /// The state after the request, and after some escalations.
    fn asked(submission: &Submission, escalation_level: u32) -> Arc<Workflow> {
        let Event::ApprovalRequested { terms, .. } = fixture("approval_requested.json") else { panic!("no request") };
        let at = DateTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let mut workflow = Workflow::submitted(ID, Arc::new(submission.clone()), at);
        let step = submission.asked_about(1);
        workflow.open_next(Round { escalation_level, ..Round::open(1, (workflow.subject_of(step), step), terms, at) });
        let updated_at = at + Duration::from_secs(u64::from(escalation_level));
        Arc::new(Workflow { version: 2 + escalation_level, updated_at, ..workflow })
    }

    #[track_caller]
    fn kept(workflow: &Arc<Workflow>, kinds: &Kinds) -> ParkedState {
        let kept = ParkedState::of(Arc::clone(workflow), kinds);
        assert_eq!(kept.version(), workflow.version);
        assert_eq!(kept.clone().restore(ID), *workflow);
        kept
    }

    #[test]
    fn requests_of_every_shape_come_back_as_they_were() {
        let kinds = Kinds::default();
        for name in ["", "-least", "-plan", "-probe", "-report", "-retry", "-superseding", "-target", "-awaits"] {
            for escalation_level in 0..3 {
                let workflow = asked(&submission(&format!("submitted{name}.json")), escalation_level);
                assert!(matches!(kept(&workflow, &kinds), ParkedState::Asked(_)), "{name}");
            }
        }
    }

    #[test]
    fn requests_that_differ_in_one_field_are_not_mixed_up() {
        let changes: [fn(&mut Submission); 16] = [
            |_| {},
            |it| it.task_id = None,
            |it| it.requested_by.push('2'),
            |it| it.on_behalf_of = None,
            |it| it.digest = Digest::of(b"another"),
            |it| it.assessment.level = Level::Critical,
            |it| it.assessment.reasons.truncate(1),
            |it| it.assessment.policy_version = Digest::of(b"another"),
            |it| it.action = ActionKind::External,
            |it| it.idempotent = false,
            |it| it.report_within = Some(Duration::from_secs(60)),
            |it| it.retry = Some(Retry { attempts: 2, backoff: Duration::from_secs(1) }),
            |it| it.probe = true,
            |it| it.supersedes = Some(ID),
            |it| it.claim = Some(ID),
            |it| it.target = submission("submitted-target.json").target,
        ];
        let kinds = Kinds::default();
        for change in changes.into_iter().chain(changes) {
            let mut changed = submission("submitted.json");
            change(&mut changed);
            kept(&asked(&changed, 0), &kinds);
        }
        let (whole, mut by_step) = (submission("submitted-plan.json"), submission("submitted-plan.json"));
        by_step.gate = if whole.gate == Gate::Plan { Gate::Step } else { Gate::Plan };
        [whole, by_step].iter().for_each(|plan| drop(kept(&asked(plan, 0), &kinds)));
    }

    #[test]
    fn requests_of_one_kind_share_their_common_parts() {
        let (kinds, one) = (Kinds::default(), submission("submitted.json"));
        let other = Submission { task_id: None, digest: Digest::of(b"another"), claim: Some(ID), ..one.clone() };
        let (ParkedState::Asked(one), ParkedState::Asked(other)) = (kept(&asked(&one, 0), &kinds), kept(&asked(&other, 1), &kinds)) else {
            panic!("they are kept whole")
        };
        assert!(Arc::ptr_eq(&one.kind, &other.kind));
        assert!(size_of::<Asked>() <= 128, "{} bytes", size_of::<Asked>());
    }

    #[test]
    fn a_workflow_to_which_something_else_has_happened_is_kept_whole() {
        let kinds = Kinds::default();
        let changes: [fn(&mut Workflow); 6] = [
            |it| it.discussion.comments = 1,
            |it| it.discussion.last = Some(LastComment { by: "tom".to_owned(), ask: false, text: Digest::of(b""), version: 3 }),
            |it| it.disposition = Disposition::Cancelled,
            |it| it.rounds[0].subject = Digest::of(b"another"),
            |it| it.rounds[0].broken_by = Some("tom".to_owned()),
            |it| it.version += 1,
        ];
        for change in changes {
            let mut workflow = asked(&submission("submitted.json"), 1).as_ref().clone();
            change(&mut workflow);
            assert!(matches!(kept(&Arc::new(workflow), &kinds), ParkedState::Whole(_)));
        }
        let nobody = Workflow::submitted(ID, Arc::new(submission("submitted.json")), DateTime::UNIX_EPOCH);
        assert!(matches!(kept(&Arc::new(nobody), &kinds), ParkedState::Whole(_)));
    }
}
