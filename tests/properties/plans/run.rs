//! A plan with its log, and everything that may happen to it next.

use chrono::{DateTime, TimeDelta, Utc};
use parkbrake::domain::policy::{Agent, ApprovalTerms, LevelPolicy, Person, Policy, Principal, PrincipalKind, SYSTEM, SignedIn, Suspended};
use parkbrake::domain::risk::Assessment;
use parkbrake::domain::risk::level::Level;
use parkbrake::domain::risk::target::Target;
use parkbrake::domain::task::ActionKind;
use parkbrake::domain::task::digest::Digest;
use parkbrake::domain::task::plan::{Gate, step_digest};
use parkbrake::domain::via::Via;
use parkbrake::domain::workflow::today::Today;
use parkbrake::domain::workflow::transition::{self, Answer, Obligation};
use parkbrake::domain::workflow::{
    AttemptId, Command, Disowned, Event, Outcome, PlannedStep, Recorded, Resolution, Status, StepName, StepStatus, Submission, Workflow,
    commit,
};
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use uuid::Uuid;

pub const ID: Uuid = Uuid::from_u128(7);
pub const OWNERS: [Uuid; 2] = [Uuid::from_u128(1), Uuid::from_u128(2)];

/// The next event, for the attempt that it can happen to, or for another one.
#[derive(Debug, Clone, Copy)]
pub enum Move {
    Turn,
    Refused,
    AskedAgain,
    Ends(bool),
    Lost,
    ServerDies,
    Reports { step: u32, succeeded: bool },
    Resolves(Resolution),
    Approves,
    Cancels,
    TimePasses,
}

pub fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        8 => Just(Move::Turn),
        1 => Just(Move::Refused),
        1 => Just(Move::AskedAgain),
        8 => prop::bool::weighted(0.9).prop_map(Move::Ends),
        1 => Just(Move::Lost),
        2 => Just(Move::ServerDies),
        6 => (1..6_u32, prop::bool::weighted(0.9)).prop_map(|(step, succeeded)| Move::Reports { step, succeeded }),
        3 => select(vec![Resolution::Succeeded, Resolution::Succeeded, Resolution::Retry, Resolution::Failed]).prop_map(Move::Resolves),
        3 => Just(Move::Approves),
        1 => prop::bool::weighted(0.1).prop_map(|cancels| if cancels { Move::Cancels } else { Move::TimePasses }),
    ]
}

pub fn steps() -> impl Strategy<Value = Vec<PlannedStep>> {
    let kind = select(vec![(ActionKind::External, false), (ActionKind::Runbook, false), (ActionKind::Runbook, true)]);
    let level = select(vec![Level::Low, Level::High, Level::High]);
    let step = |((action, idempotent), level)| PlannedStep {
        name: None,
        action,
        idempotent,
        report_within: Some(Duration::from_secs(60)),
        retry: None,
        probe: false,
        level,
        target: Target::default(),
        compensates: None,
        awaits: false,
    };
    prop::collection::vec((kind, level).prop_map(step), 1..6)
}

/// Steps, some of which can be undone; their compensations come after them, in reverse order.
pub fn undoable() -> impl Strategy<Value = Vec<PlannedStep>> {
    (steps(), prop::collection::vec(prop::bool::weighted(0.7), 6)).prop_map(|(mut steps, can_be_undone)| {
        let undone: Vec<PlannedStep> = (1..)
            .zip(&steps)
            .zip(can_be_undone)
            .filter(|(_, can_be_undone)| *can_be_undone)
            .map(|((number, step), _)| PlannedStep { compensates: Some(number), ..step.clone() })
            .collect();
        steps.extend(undone.into_iter().rev());
        steps
    })
}

pub fn gates() -> impl Strategy<Value = Gate> {
    select(vec![Gate::Plan, Gate::Step])
}

/// alice approves high risk; low risk needs nobody.
static POLICY: LazyLock<Policy> = LazyLock::new(|| {
    let level = |auto_approve| LevelPolicy {
        auto_approve,
        notify: true,
        terms: terms(),
        break_glass: Vec::new(),
        remind_every: Duration::from_secs(60),
        report_within: Duration::from_secs(60),
        rejected_memory: Duration::ZERO,
        recent_sign_in: None,
        goal: None,
        warn_before: None,
    };
    let person = |role: &str| Person { roles: [role.to_owned()].into(), ..Person::default() };
    let people = [("alice".to_owned(), person("team_lead")), ("cora".to_owned(), person("admin"))];
    let agents = [("deploy-bot".to_owned(), Agent { on_behalf_of: None })];
    Policy::new([level(true), level(false), level(false), level(false)], people.into(), agents.into())
});

fn submission(steps: Vec<PlannedStep>, gate: Gate) -> Submission {
    Submission {
        task_id: None,
        requested_by: "deploy-bot".to_owned(),
        on_behalf_of: None,
        digest: Digest::of(b"the plan"),
        assessment: Assessment { level: Level::High, reasons: Vec::new(), policy_version: Digest::of(b"policy") },
        action: ActionKind::Runbook,
        idempotent: false,
        report_within: None,
        retry: None,
        probe: false,
        target: None,
        supersedes: None,
        steps,
        claim: None,
        gate,
    }
}

fn terms() -> Arc<ApprovalTerms> {
    Arc::new(ApprovalTerms {
        approvers: vec!["team_lead".to_owned()],
        required: 1,
        distinct_roles: false,
        require_justification: false,
        require_digest: true,
        separation_of_duties: true,
        escalation: Vec::new(),
        expire_after: None,
    })
}

fn principal(name: &str, kind: PrincipalKind, roles: &[&str]) -> Principal {
    Principal {
        name: name.to_owned(),
        kind,
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        on_behalf_of: None,
        via: Via::Rest,
        signed_in: SignedIn::now(),
        covers: Vec::new(),
    }
}

pub struct Run {
    pub now: DateTime<Utc>,
    pub log: Vec<Recorded>,
    pub state: Workflow,
    /// The acting server.
    pub owner: usize,
    pub tokens: u128,
}

impl Run {
    pub fn open(steps: Vec<PlannedStep>, gate: Gate, needs_approval: bool) -> Self {
        let is_asked = match gate {
            Gate::Plan => needs_approval,
            Gate::Step => steps[0].level == Level::High,
        };
        let events = transition::open(submission(steps, gate), is_asked.then(terms), OWNERS[0]);
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(1);
        let state = commit::dated(commit::follow(ID, None, &events, "deploy-bot", Via::Rest).unwrap(), now);
        let mut run = Self { now, log: Vec::new(), state, owner: 0, tokens: 0 };
        run.record(events, "deploy-bot");
        run
    }

    pub fn record(&mut self, events: Vec<Event>, actor: &str) {
        for event in events {
            let version = u32::try_from(self.log.len()).unwrap() + 1;
            self.log.push(Recorded { version, at: self.now, actor: actor.to_owned(), via: Via::Rest, event });
        }
    }

    pub fn command(&mut self, asked: Move) -> Option<Command> {
        let running = self.state.numbered_steps().find_map(|(step, _, state)| Some(AttemptId { step, number: state.running()?.number }));
        let owner = OWNERS[self.owner];
        Some(match asked {
            Move::Turn => {
                let attempt = self.state.queued()?;
                self.tokens += 1;
                Command::Start { attempt, owner, token: Uuid::from_u128(self.tokens), renewed: None }
            }
            Move::Refused => Command::RefuseStart { attempt: self.state.queued()?, reason: "changed".to_owned() },
            Move::AskedAgain => {
                Command::AskAgain { attempt: self.state.queued()?, reason: "stricter".to_owned(), terms: terms(), renewed: None }
            }
            Move::Ends(true) => Command::Finish { attempt: running?, outcome: Outcome::Succeeded { output: None } },
            Move::Ends(false) => {
                Command::Finish { attempt: running?, outcome: Outcome::Failed { error: "it broke".to_owned(), output: None } }
            }
            Move::Lost => {
                let attempt = running?;
                let token = self.state.running(attempt)?.token;
                Command::Disown { attempt, token, cause: Disowned::NotHere }
            }
            Move::ServerDies => {
                self.owner = 1 - self.owner;
                Command::Recover { attempt: running?, owner: OWNERS[self.owner] }
            }
            Move::Reports { step, succeeded } => {
                let outcome =
                    if succeeded { Outcome::Succeeded { output: None } } else { Outcome::Failed { error: "no".to_owned(), output: None } };
                let by = principal("deploy-bot", PrincipalKind::Agent, &[]);
                Command::Report { by, step: Some(StepName::Number(step)), outcome }
            }
            Move::Resolves(outcome) => {
                let by = principal("cora", PrincipalKind::Person, &["admin"]);
                Command::Resolve { by, outcome, justification: Some("I looked".to_owned()), owner, deciders: Vec::new() }
            }
            Move::Approves => {
                let digest = Some(self.state.subject().to_string());
                Command::Approve { by: principal("alice", PrincipalKind::Person, &["team_lead"]), justification: None, digest, owner }
            }
            Move::Cancels => Command::Cancel { by: principal("deploy-bot", PrincipalKind::Agent, &[]), reason: None },
            Move::TimePasses => Command::Tick { now: self.now },
        })
    }

    pub fn take(&mut self, asked: Move) -> Result<(), TestCaseError> {
        self.now += TimeDelta::seconds(if matches!(asked, Move::TimePasses) { 61 } else { 1 });
        let Some(command) = self.command(asked) else { return Ok(()) };
        let suspended = Suspended::default();
        let today = Today { policy: &POLICY, suspended: &suspended, now: chrono::DateTime::UNIX_EPOCH };
        let Ok(Answer::Commit { events, .. }) = today.decide(&self.state, &command) else { return Ok(()) };
        prop_assert!(!self.state.status().is_final(), "{command:?} changed {:?}", self.state);
        let actor = command.caller().map_or(SYSTEM, |by| by.name.as_str()).to_owned();
        let next = commit::follow(ID, Some(self.state.clone()), &events, &actor, Via::Rest);
        prop_assert!(next.is_ok(), "{next:?} for {events:?} after {:?}", self.state);
        self.state = commit::dated(next.unwrap(), self.now);
        self.record(events, &actor);
        let again = today.decide(&self.state, &command);
        prop_assert!(!matches!(again, Ok(Answer::Commit { .. })), "asked again: {command:?} → {again:?}");
        Ok(())
    }

    /// One step at a time, in order; and the remaining work is known.
    pub fn is_one_that_may_be(&self) -> Result<(), TestCaseError> {
        let state = &self.state;
        let words: Vec<StepStatus> = state.numbered_steps().map(|(number, _, step)| state.step_status(number, step)).collect();
        let done = words.iter().take_while(|word| **word == StepStatus::Succeeded).count();
        let untouched = |word: &StepStatus| matches!(word, StepStatus::Waiting | StepStatus::Skipped);
        prop_assert!(words.iter().skip(done + 1).all(untouched), "{words:?}");
        let expected = match state.status() {
            Status::Completed => done == words.len(),
            Status::Failed => words[done] == StepStatus::Failed,
            Status::OutcomeUnknown => words[done] == StepStatus::OutcomeUnknown,
            Status::Executing => words[done] == StepStatus::Executing,
            Status::Queued => words[done] == StepStatus::Queued,
            Status::PendingApproval if state.submission.gate == Gate::Plan => words[done] == StepStatus::Waiting,
            Status::PendingApproval => words[done] == StepStatus::PendingApproval,
            Status::Cancelled => words[done] == StepStatus::Skipped,
            other => return Err(TestCaseError::fail(format!("{other}"))),
        };
        prop_assert!(expected, "{} with {words:?}", state.status());
        let left = transition::obligations(state, OWNERS[self.owner]);
        let rests = state.status().is_final() || state.status() == Status::OutcomeUnknown;
        prop_assert_eq!(left.len(), usize::from(!rests), "{:?}", left);
        if let [Obligation::Queue { attempt } | Obligation::AwaitReport { attempt, .. } | Obligation::Attend { attempt, .. }] = left[..] {
            prop_assert_eq!(attempt.step as usize, done + 1);
        }
        let replayed = transition::replay(ID, &self.log);
        prop_assert_eq!(replayed.as_ref(), Ok(&Some(state.clone())));
        Ok(())
    }

    /// In a plan whose steps are approved one by one, no step that needs approval begins before its
    /// own digest was approved, and no approval counts for another step.
    pub fn asks_about_each_step(&self) -> Result<(), TestCaseError> {
        let submission = &self.state.submission;
        if submission.gate == Gate::Plan {
            return Ok(());
        }
        let mut approved: BTreeSet<Digest> = BTreeSet::new();
        for Recorded { event, .. } in &self.log {
            match event {
                Event::ApprovalRequested { step: Some(step), .. } => drop(approved.remove(&step_digest(&submission.digest, *step))),
                Event::ApprovalRequested { step: None, .. } => return Err(TestCaseError::fail("people were asked about the whole")),
                Event::Approved(given) => drop(approved.insert(given.digest.clone())),
                Event::ExecutionStarted { step, .. } if submission.planned(*step).unwrap().level == Level::High => {
                    prop_assert!(approved.contains(&step_digest(&submission.digest, *step)), "step {} began unasked", step);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// No attempt begins twice, and an attempt of a step that may not be repeated follows another
    /// only if a person decided so.
    pub fn begins_once(&self) -> Result<(), TestCaseError> {
        let mut begun: BTreeMap<u32, u32> = BTreeMap::new();
        let mut retried: BTreeMap<u32, u32> = BTreeMap::new();
        for Recorded { event, .. } in &self.log {
            match event {
                Event::ExecutionStarted { step, attempt, .. } => {
                    let starts = begun.entry(*step).or_default();
                    *starts += 1;
                    prop_assert_eq!(*attempt, *starts);
                    let may_repeat = self.state.plan.step(*step).unwrap().idempotent;
                    let allowed = 1 + retried.get(step).copied().unwrap_or_default();
                    prop_assert!(may_repeat || *starts <= allowed, "step {} began {} times", step, starts);
                }
                Event::Resolved { step, outcome: Resolution::Retry, .. } => *retried.entry(*step).or_default() += 1,
                _ => {}
            }
        }
        Ok(())
    }
}
