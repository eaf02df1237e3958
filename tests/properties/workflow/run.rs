//! A workflow with its log, and every command for it.

use crate::oracle::Directory;
use chrono::{DateTime, TimeDelta, TimeZone as _, Utc};
use parkbrake::domain::policy::{ApprovalTerms, EscalationStep, Principal, PrincipalKind, SYSTEM, SignedIn};
use parkbrake::domain::risk::Assessment;
use parkbrake::domain::risk::level::Level;
use parkbrake::domain::task::ActionKind;
use parkbrake::domain::task::digest::Digest;
use parkbrake::domain::task::retry::Retry;
use parkbrake::domain::via::Via;
use parkbrake::domain::workflow::transition::{self, Answer, Obligation};
use parkbrake::domain::workflow::{
    AttemptId, Command, Disowned, Event, Outcome, Recorded, Resolution, Status, Submission, Workflow, commit,
};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const ROLES: [&str; 4] = ["team_lead", "tech_lead", "cto", "admin"];
pub const PEOPLE: [&str; 5] = ["alice", "tom", "cora", "dave", "eve"];
pub const AGENTS: [&str; 2] = ["deploy-bot", "other-bot"];
const OWNERS: [Uuid; 2] = [Uuid::from_u128(1), Uuid::from_u128(2)];

fn some_roles(least: usize) -> impl Strategy<Value = Vec<String>> {
    subsequence(&ROLES[..], least..=3).prop_map(|roles| roles.into_iter().map(str::to_owned).collect())
}

pub fn directory() -> impl Strategy<Value = Directory> {
    let people = prop::collection::vec(some_roles(0), PEOPLE.len());
    let owners = prop::collection::vec(prop::option::of(select(&PEOPLE[..])), AGENTS.len());
    (people, owners).prop_map(|(roles, owners)| {
        let principal = |name: &str, kind| Principal {
            name: name.to_owned(),
            kind,
            roles: [].into(),
            on_behalf_of: None,
            via: Via::Rest,
            signed_in: SignedIn::now(),
            covers: Vec::new(),
        };
        let person = |(name, roles): (&&str, Vec<String>)| Principal {
            roles: roles.into_iter().collect(),
            ..principal(name, PrincipalKind::Person)
        };
        let agent = |(name, owner): (&&str, Option<&str>)| Principal {
            on_behalf_of: owner.map(str::to_owned),
            // An agent decides nothing, even if somebody gave it a role.
            roles: ROLES.map(str::to_owned).into(),
            ..principal(name, PrincipalKind::Agent)
        };
        let all = PEOPLE.iter().zip(roles).map(person).chain(AGENTS.iter().zip(owners).map(agent));
        all.map(|principal| (principal.name.clone(), principal)).collect()
    })
}

pub fn terms() -> impl Strategy<Value = ApprovalTerms> {
    let steps = prop::collection::vec((1..90_u64, some_roles(1)), 0..4);
    (some_roles(1), 1..4_u32, any::<[bool; 4]>(), steps, prop::option::of(1..400_u64)).prop_map(
        |(approvers, required, [distinct_roles, require_justification, require_digest, separation_of_duties], steps, expire_after)| {
            let mut after = 0;
            let escalation = steps.into_iter().map(|(delay, to)| {
                after += delay;
                EscalationStep { after: Duration::from_secs(after), to }
            });
            ApprovalTerms {
                approvers,
                required,
                distinct_roles,
                require_justification,
                require_digest,
                separation_of_duties,
                escalation: escalation.collect(),
                expire_after: expire_after.map(Duration::from_secs),
            }
        },
    )
}

pub fn digest() -> Digest {
    Digest::of(b"the task")
}

/// One command, and how long after the previous one.
#[derive(Debug, Clone)]
pub struct Asked {
    pub seconds: i64,
    pub by: &'static str,
    pub what: What,
}

#[derive(Debug, Clone)]
pub enum What {
    Approve { justification: Option<String>, digest: Option<String> },
    Reject { reason: Option<String> },
    Withdraw,
    Supersede,
    Comment { ask: bool },
    Cancel,
    Report(Outcome),
    Resolve { outcome: Resolution, justification: Option<String> },
    Start { attempt: u32 },
    RefuseStart { attempt: u32 },
    AskAgain { attempt: u32, terms: Arc<ApprovalTerms> },
    Finish { attempt: u32, outcome: Outcome },
    Recover { attempt: u32 },
    Disown { attempt: u32 },
    Tick,
}

/// An attempt at the only step.
fn of(number: u32) -> AttemptId {
    AttemptId { step: 1, number }
}

/// The token of an attempt: here each has one.
fn token(attempt: u32) -> Uuid {
    Uuid::from_u128(u128::from(attempt))
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let output = prop::option::of(select(vec![json!(null), json!({"rows": 1}), json!([1.5, "x", null]), json!("")]));
    (any::<bool>(), output).prop_map(|(succeeded, output)| {
        if succeeded { Outcome::Succeeded { output } } else { Outcome::Failed { error: "it broke".to_owned(), output } }
    })
}

fn what() -> impl Strategy<Value = What> {
    let justification = select(&[None, Some(" "), Some("\u{200b}"), Some("it is time")][..]);
    let digests = prop_oneof![3 => Just(Some(digest().to_string())), 2 => Just(None), 1 => Just(Some("sha256:00".to_owned()))];
    let text = |text: Option<&str>| text.map(str::to_owned);
    prop_oneof![
        8 => (justification.clone(), digests).prop_map(move |(it, digest)| What::Approve { justification: text(it), digest }),
        1 => justification.prop_map(move |it| What::Reject { reason: text(it) }),
        3 => Just(What::Withdraw),
        1 => Just(What::Supersede),
        2 => any::<bool>().prop_map(|ask| What::Comment { ask }),
        2 => Just(What::Cancel),
        2 => outcome().prop_map(What::Report),
        2 => (select(vec![Resolution::Succeeded, Resolution::Failed, Resolution::Retry]), any::<bool>()).prop_map(|(outcome, says)| {
            What::Resolve { outcome, justification: says.then(|| "I looked".to_owned()) }
        }),
        4 => (1..3_u32).prop_map(|attempt| What::Start { attempt }),
        1 => (1..3_u32).prop_map(|attempt| What::RefuseStart { attempt }),
        1 => (1..3_u32, terms()).prop_map(|(attempt, terms)| What::AskAgain { attempt, terms: terms.into() }),
        2 => (1..4_u32, outcome()).prop_map(|(attempt, outcome)| What::Finish { attempt, outcome }),
        1 => (1..4_u32).prop_map(|attempt| What::Finish { attempt, outcome: Outcome::Cancelled { error: "ended".to_owned(), output: None } }),
        1 => (1..3_u32).prop_map(|attempt| What::Recover { attempt }),
        1 => (1..3_u32).prop_map(|attempt| What::Disown { attempt }),
        4 => Just(What::Tick),
    ]
}

fn asked() -> impl Strategy<Value = Asked> {
    let everybody: Vec<_> = PEOPLE.into_iter().chain(AGENTS).collect();
    (0..60_i64, select(everybody), what()).prop_map(|(seconds, by, what)| Asked { seconds, by, what })
}

#[derive(Debug, Clone)]
pub struct Case {
    pub directory: Directory,
    pub submission: Submission,
    pub terms: Option<ApprovalTerms>,
    pub asked: Vec<Asked>,
}

pub fn case() -> impl Strategy<Value = Case> {
    let everybody: Vec<_> = PEOPLE.into_iter().chain(AGENTS).collect();
    let action = select(vec![ActionKind::External, ActionKind::Runbook, ActionKind::Webhook]);
    let asked = prop::collection::vec(asked(), 0..25);
    let retry = prop::option::of((2..4_u32, 1..50_u64));
    (directory(), select(everybody), action, any::<bool>(), retry, prop::option::weighted(0.9, terms()), asked).prop_map(
        |(directory, requested_by, action, idempotent, retry, terms, asked)| {
            let retry = retry.filter(|_| idempotent && action != ActionKind::External);
            let submission = Submission {
                task_id: None,
                requested_by: requested_by.to_owned(),
                on_behalf_of: directory[requested_by].on_behalf_of.clone(),
                digest: digest(),
                assessment: Assessment { level: Level::High, reasons: Vec::new(), policy_version: Digest::of(b"policy") },
                action,
                idempotent,
                report_within: (action == ActionKind::External).then_some(Duration::from_secs(90)),
                retry: retry.map(|(attempts, backoff)| Retry { attempts, backoff: Duration::from_secs(backoff) }),
                probe: false,
                target: None,
                supersedes: None,
                steps: Vec::new(),
                claim: None,
                gate: Default::default(),
            };
            Case { directory, submission, terms, asked }
        },
    )
}

/// A workflow with its log and the state after each event.
pub struct Run {
    pub now: DateTime<Utc>,
    pub log: Vec<Recorded>,
    pub states: Vec<Workflow>,
}

pub const ID: Uuid = Uuid::from_u128(7);

impl Run {
    pub fn open(case: &Case) -> Result<Self, TestCaseError> {
        let now = Utc.with_ymd_and_hms(2026, 11, 20, 12, 0, 0).unwrap();
        let mut run = Self { now, log: Vec::new(), states: Vec::new() };
        let events = transition::open(case.submission.clone(), case.terms.clone(), OWNERS[0]);
        run.write(events, &case.submission.requested_by)?;
        Ok(run)
    }

    pub fn state(&self) -> &Workflow {
        self.states.last().unwrap()
    }

    /// Writes events like the database: each has to be able to follow, and is read back unchanged.
    pub fn write(&mut self, events: Vec<Event>, actor: &str) -> Result<(), TestCaseError> {
        let committed =
            commit::follow(ID, self.states.last().cloned(), &events, actor, Via::Rest).map(|state| commit::dated(state, self.now));
        for event in events {
            let text = event.to_stored();
            prop_assert_eq!(&Event::from_stored(&text).unwrap(), &event, "{} is read as something else", text);
            let version = u32::try_from(self.log.len()).unwrap() + 1;
            let recorded = Recorded { version, at: self.now, actor: actor.to_owned(), via: Via::Rest, event };
            let next = transition::apply(ID, self.states.last().cloned(), &recorded);
            prop_assert!(next.is_ok(), "{:?} after {:?}", recorded, self.states.last());
            self.states.push(next.unwrap());
            self.log.push(recorded);
        }
        prop_assert_eq!(committed.as_ref(), Ok(self.state()), "made at once and dated later, it is the same state");
        Ok(())
    }

    /// Sends a command, and writes the resulting events if the guard holds at that time.
    pub fn ask(&mut self, asked: &Asked, directory: &Directory) -> Result<(), TestCaseError> {
        self.now += TimeDelta::seconds(asked.seconds);
        let by = directory[asked.by].clone();
        let command = match asked.what.clone() {
            What::Approve { justification, digest } => Command::Approve { by, justification, digest, owner: OWNERS[0] },
            What::Reject { reason } => Command::Reject { by, reason, digest: None },
            What::Comment { ask } => Command::Comment { by, text: format!("at {}", self.now), ask },
            What::Supersede => Command::Supersede { by, successor: OWNERS[1] },
            What::Withdraw => Command::Withdraw { by, reason: None },
            What::Cancel => Command::Cancel { by, reason: None },
            What::Report(outcome) => Command::Report { by, step: None, outcome },
            What::Resolve { outcome, justification } => {
                Command::Resolve { by, outcome, justification, owner: OWNERS[0], deciders: ROLES.map(str::to_owned).to_vec() }
            }
            What::Start { attempt } => Command::Start { attempt: of(attempt), owner: OWNERS[0], token: token(attempt), renewed: None },
            What::RefuseStart { attempt } => Command::RefuseStart { attempt: of(attempt), reason: "changed".to_owned() },
            What::AskAgain { attempt, terms } => {
                Command::AskAgain { attempt: of(attempt), reason: "stricter".to_owned(), terms, renewed: None }
            }
            What::Disown { attempt } => {
                Command::Disown { attempt: of(attempt), token: Some(token(attempt)), cause: Disowned::LeaseLapsing }
            }
            What::Finish { attempt, outcome } => Command::Finish { attempt: of(attempt), outcome },
            What::Recover { attempt } => Command::Recover { attempt: of(attempt), owner: OWNERS[1] },
            What::Tick => Command::Tick { now: self.now },
        };
        let before = self.state().clone();
        let Ok(Answer::Commit { events, guard }) = transition::decide(&before, &command) else { return Ok(()) };
        let is_comment = matches!(asked.what, What::Comment { .. });
        prop_assert!(is_comment || !before.status().is_final(), "{:?} changed {:?}", command, before);
        prop_assert!(!events.is_empty());
        let in_time = guard.not_before.is_none_or(|at| at <= self.now) && guard.not_after.is_none_or(|at| self.now < at);
        if !in_time {
            prop_assert!(!matches!(asked.what, What::Tick), "what has fallen due may be written");
            return Ok(());
        }
        let actor = if command.caller().is_some() { asked.by } else { SYSTEM };
        self.write(events, actor)?;
        self.asking_again_writes_nothing(&command, &asked.what)
    }

    pub fn asking_again_writes_nothing(&self, command: &Command, what: &What) -> Result<(), TestCaseError> {
        let again = transition::decide(self.state(), command);
        match what {
            What::Approve { .. } | What::Reject { .. } | What::Withdraw => {
                let Ok(Answer::Repeat(decision)) = &again else { return Err(TestCaseError::fail(format!("{again:?}"))) };
                prop_assert_eq!(Some(decision), self.state().decisions.last());
            }
            _ => prop_assert!(!matches!(again, Ok(Answer::Commit { .. })), "{:?}", again),
        }
        Ok(())
    }

    /// The next obligation follows from the state alone, and nothing that is due is forgotten.
    pub fn obligation_fits(&self) -> Result<(), TestCaseError> {
        let state = self.state();
        let due = transition::decide(state, &Command::Tick { now: self.now });
        let due = matches!(due, Ok(Answer::Commit { .. }));
        let fits = match transition::obligations(state, OWNERS[0]).as_slice() {
            [Obligation::Park { deadline }] => {
                state.status() == Status::PendingApproval && due == deadline.is_some_and(|deadline| deadline <= self.now)
            }
            [Obligation::AwaitReport { attempt, deadline }] => {
                state.running(*attempt).is_some() && state.submission.action == ActionKind::External && due == (*deadline <= self.now)
            }
            [Obligation::Queue { attempt }] => state.status() == Status::Queued && state.queued() == Some(*attempt),
            [Obligation::Attend { attempt, token }] => {
                state.running(*attempt).is_some_and(|begun| (begun.owner, begun.token) == (OWNERS[0], *token))
            }
            [Obligation::Probe { attempt }] => {
                state.status() == Status::OutcomeUnknown && state.step(attempt.step).is_some_and(|step| step.unknown().is_some())
            }
            [Obligation::Rest { attempt, deadline }] => {
                state.status() == Status::Queued
                    && state.resting() == Some((*attempt, *deadline))
                    && state.queued().is_none()
                    && due == (*deadline <= self.now)
            }
            [Obligation::End { attempt, token }] => {
                state.is_being_cancelled() && state.running(*attempt).is_some_and(|begun| (begun.owner, begun.token) == (OWNERS[0], *token))
            }
            [Obligation::Clear { attempt }] => {
                state.is_being_cancelled() && state.running(*attempt).is_some_and(|begun| begun.owner != OWNERS[0])
            }
            [Obligation::Recover { attempt }] => state.running(*attempt).is_some_and(|begun| begun.owner != OWNERS[0]),
            [] => state.status().is_final() || state.status() == Status::OutcomeUnknown,
            [_, _, ..] => false,
        };
        prop_assert!(fits, "{:?}, due: {due}", state);
        prop_assert!(!due || [Status::PendingApproval, Status::Executing].contains(&state.status()) || state.resting().is_some());
        Ok(())
    }
}
