//! Plans of several steps, over every order of turns, ends, crashes, reports and people: one step
//! at a time, in order, each once.

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
    AttemptId, Command, Disowned, Ended, Event, Outcome, PlannedStep, Recorded, Resolution, Status, StepName, StepStatus, Submission,
    Workflow, commit,
};
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use uuid::Uuid;

const ID: Uuid = Uuid::from_u128(7);
const OWNERS: [Uuid; 2] = [Uuid::from_u128(1), Uuid::from_u128(2)];

/// What happens next, to the attempt that it can happen to, or to another one.
#[derive(Debug, Clone, Copy)]
enum Move {
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

fn moves() -> impl Strategy<Value = Move> {
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

fn steps() -> impl Strategy<Value = Vec<PlannedStep>> {
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

/// Steps, some of which can be undone; what undoes them stands after them, in reverse.
fn undoable() -> impl Strategy<Value = Vec<PlannedStep>> {
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

fn gates() -> impl Strategy<Value = Gate> {
    select(vec![Gate::Plan, Gate::Step])
}

/// High risk is approved by alice; low risk by nobody.
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
    }
}

struct Run {
    now: DateTime<Utc>,
    log: Vec<Recorded>,
    state: Workflow,
    /// Which server acts.
    owner: usize,
    tokens: u128,
}

impl Run {
    fn open(steps: Vec<PlannedStep>, gate: Gate, needs_approval: bool) -> Self {
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

    fn record(&mut self, events: Vec<Event>, actor: &str) {
        for event in events {
            let version = u32::try_from(self.log.len()).unwrap() + 1;
            self.log.push(Recorded { version, at: self.now, actor: actor.to_owned(), via: Via::Rest, event });
        }
    }

    fn command(&mut self, asked: Move) -> Option<Command> {
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

    fn take(&mut self, asked: Move) -> Result<(), TestCaseError> {
        self.now += TimeDelta::seconds(if matches!(asked, Move::TimePasses) { 61 } else { 1 });
        let Some(command) = self.command(asked) else { return Ok(()) };
        let suspended = Suspended::default();
        let today = Today { policy: &POLICY, suspended: &suspended };
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

    /// One step at a time, in order; and what is left to do is known.
    fn is_one_that_may_be(&self) -> Result<(), TestCaseError> {
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

    /// Of a plan whose steps are approved one by one, no step that needs people begins before its
    /// own digest was approved, and nothing that was approved counts for another step.
    fn asks_about_each_step(&self) -> Result<(), TestCaseError> {
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

    /// No attempt begins twice, and none of a step that may not be repeated follows another unless
    /// somebody said so.
    fn begins_once(&self) -> Result<(), TestCaseError> {
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn the_steps_of_a_plan_are_done_in_order_one_at_a_time_each_once(
        steps in steps(), gate in gates(), needs_approval in any::<bool>(), moves in prop::collection::vec(moves(), 0..60)
    ) {
        let mut run = Run::open(steps, gate, needs_approval);
        run.is_one_that_may_be()?;
        for asked in moves {
            run.take(asked)?;
            run.is_one_that_may_be()?;
        }
        run.begins_once()?;
        run.asks_about_each_step()?;
    }

    /// Nothing is undone before a step has failed, nothing that has not succeeded is undone, each
    /// once and the last one first; and once it has begun nothing else begins.
    #[test]
    fn what_has_succeeded_is_undone_in_reverse_once_a_later_step_has_failed(
        steps in undoable(), gate in gates(), moves in prop::collection::vec(moves(), 0..80)
    ) {
        let mut run = Run::open(steps, gate, true);
        for asked in moves {
            run.take(asked)?;
            let left = transition::obligations(&run.state, OWNERS[run.owner]);
            let rests = run.state.status().is_final() || run.state.status() == Status::OutcomeUnknown;
            prop_assert_eq!(left.len(), usize::from(!rests), "{:?} of {:?}", left, run.state);
            let replayed = transition::replay(ID, &run.log);
            prop_assert_eq!(replayed.as_ref(), Ok(&Some(run.state.clone())));
        }
        run.begins_once()?;
        run.asks_about_each_step()?;
        let (mut succeeded, mut failed, mut undone) = (BTreeSet::new(), false, Vec::new());
        let undoes = |step: u32| run.state.submission.planned(step).unwrap().compensates;
        for Recorded { event, .. } in &run.log {
            match event {
                Event::ExecutionStarted { step, .. } => match undoes(*step) {
                    None => prop_assert!(!failed, "step {} began after another had failed", step),
                    Some(of) => {
                        prop_assert!(failed && succeeded.contains(&of), "step {} was undone, which had not succeeded", of);
                        if undone.last() != Some(&of) {
                            undone.push(of);
                        }
                    }
                },
                Event::ExecutionSucceeded { step, .. } | Event::Resolved { step, outcome: Resolution::Succeeded, .. } => {
                    succeeded.insert(*step);
                }
                Event::ExecutionFailed { step, .. }
                | Event::StartRefused { step, .. }
                | Event::Resolved { step, outcome: Resolution::Failed, .. } => failed |= undoes(*step).is_none(),
                _ => {}
            }
        }
        prop_assert!(undone.windows(2).all(|pair| pair[0] > pair[1]), "{:?}", undone);
        // A plan that has failed for good has undone all that it could, unless undoing failed as
        // well.
        let undoing_failed = run.state.numbered_steps().any(|(step, _, state)| undoes(step).is_some() && state.ended() == Some(Ended::Failed));
        // Whoever cancels a plan undoes nothing.
        let was_cancelled = run.state.steps.iter().any(|state| state.cancel_requested().is_some());
        if run.state.status() == Status::Failed && !undoing_failed && !was_cancelled {
            let expected = run.state.numbered_steps().filter_map(|(step, ..)| undoes(step)).filter(|of| succeeded.contains(of)).count();
            prop_assert_eq!(undone.len(), expected);
        }
    }

    /// Whatever has happened, a plan whose steps all succeed from here on is completed.
    #[test]
    fn a_plan_never_stands_still(steps in steps(), gate in gates(), moves in prop::collection::vec(moves(), 0..30)) {
        let mut run = Run::open(steps, gate, true);
        for asked in moves {
            run.take(asked)?;
        }
        for _ in 0..30 {
            let step = run.state.numbered_steps().find(|(_, _, state)| state.ended() != Some(Ended::Succeeded)).map_or(1, |(step, _, _)| step);
            for asked in [Move::Approves, Move::Turn, Move::Reports { step, succeeded: true }, Move::Ends(true), Move::Resolves(Resolution::Succeeded)] {
                run.take(asked)?;
            }
        }
        prop_assert!(run.state.status().is_final(), "{:?}", run.state);
    }

    /// A log of a plan in which an event is missing, stands twice or has changed places is no log.
    #[test]
    fn a_log_of_a_plan_that_somebody_changed_is_refused(
        steps in steps(), gate in gates(), moves in prop::collection::vec(moves(), 0..60), at in any::<prop::sample::Index>(), how in 0..3_u8
    ) {
        let mut run = Run::open(steps, gate, true);
        for asked in moves {
            run.take(asked)?;
        }
        let mut log = run.log;
        let place = at.index(log.len());
        let renumber = |log: &mut Vec<Recorded>| log.iter_mut().zip(1..).for_each(|(recorded, version)| recorded.version = version);
        match how {
            // The success of a step that others follow cannot be left out, even where the numbers
            // are put right.
            0 => {
                let of_later = |step: u32, log: &[Recorded]| log.iter().any(|one| one.event.attempt().is_some_and(|attempt| attempt.step > step));
                let Event::ExecutionSucceeded { step, .. } = log[place].event else { return Ok(()) };
                if !of_later(step, &log) {
                    return Ok(());
                }
                log.remove(place);
                renumber(&mut log);
            }
            1 => log.insert(place, log[place].clone()),
            _ if place + 1 < log.len() => log.swap(place, place + 1),
            _ => return Ok(()),
        }
        prop_assert!(transition::replay(ID, &log).is_err(), "{log:#?}");
    }
}
