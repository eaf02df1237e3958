//! Two actors of one workflow at its start, two servers, and late commits: every order of their
//! steps, up to a number of faults, and many random orders with more faults. Whatever the order: no
//! attempt runs twice, nothing runs whose start is not in the log, and for everything that was
//! approved somebody is always obliged to continue.

#[path = "interleavings/hands.rs"]
mod hands;
#[path = "interleavings/model.rs"]
mod model;
#[path = "interleavings/steps.rs"]
mod steps;

use hands::runs_with;
use model::{Ask, Flaw, ID, Run, SERVERS, Step, World, token};
use parkbrake::domain::policy::ApprovalTerms;
use parkbrake::domain::risk::Assessment;
use parkbrake::domain::risk::level::Level;
use parkbrake::domain::task::ActionKind;
use parkbrake::domain::task::digest::Digest;
use parkbrake::domain::workflow::transition;
use parkbrake::domain::workflow::{Event, Status, Submission};
use proptest::prelude::*;
use std::collections::HashSet;

fn opening(idempotent: bool, is_asked: bool) -> Vec<Event> {
    let submission = Submission {
        task_id: None,
        requested_by: "bot".to_owned(),
        on_behalf_of: None,
        digest: Digest::of(b"the task"),
        assessment: Assessment { level: Level::High, reasons: Vec::new(), policy_version: Digest::of(b"policy") },
        action: ActionKind::Runbook,
        idempotent,
        report_within: None,
        retry: None,
        probe: false,
        target: None,
        supersedes: None,
        steps: Vec::new(),
        claim: None,
        gate: Default::default(),
    };
    let terms = ApprovalTerms {
        approvers: vec!["lead".to_owned()],
        required: 1,
        distinct_roles: false,
        require_justification: false,
        require_digest: false,
        separation_of_duties: true,
        escalation: Vec::new(),
        expire_after: None,
    };
    transition::open(submission, is_asked.then_some(terms), SERVERS[0])
}

/// What must be true after every step.
fn broken(world: &World, step: Step) -> Option<String> {
    let log = world.log();
    let in_log = |run: &Run| {
        log.iter().any(|one| match &one.event {
            Event::ExecutionStarted { attempt, token: with, .. } => *attempt == run.attempt && *with == Some(token(run.token)),
            _ => false,
        })
    };
    let has = |name: &str| log.iter().any(|one| one.event.name() == name);
    let attempts: HashSet<u32> = world.starts.iter().map(|run| run.attempt).collect();
    let idempotent = world.state().plan.steps[0].idempotent;
    let broken = [
        (attempts.len() != world.starts.len(), "an attempt runs twice"),
        (!idempotent && world.starts.len() > 1, "what is not idempotent runs twice"),
        (!world.starts.iter().all(in_log), "something runs whose start is not in the log"),
        (world.runs.len() > 1, "two attempts run at the same time"),
        // Between two attempts of an idempotent action nothing runs, and it can be cancelled.
        (!idempotent && has("cancelled") && has("execution_started"), "something that was cancelled starts"),
        (
            log.iter().skip_while(|one| one.event.name() != "cancel_requested").any(|one| one.event.name() == "execution_started"),
            "something starts again that was cancelled while it ran",
        ),
        (world.is_acknowledged && !has("approved"), "an approval that was acknowledged is lost"),
        (world.alarms > 0, "an attempt is given up that its runner knows of, or forgot too early"),
        (transition::replay(ID, &log).as_ref() != Ok(&Some(world.state().clone())), "the log folds to something else"),
    ];
    if let Step::Start(_) = step
        && runs_with(world.state()) != world.starts.last().map(|run| token(run.token))
    {
        return Some("something starts that is over, or that somebody else runs".to_owned());
    }
    broken.into_iter().find(|(is_broken, _)| *is_broken).map(|(_, what)| what.to_owned())
}

/// From a state in which nobody has anything to do: what the timer finds is enough for everything
/// to end.
fn is_left_behind(world: &World) -> Option<String> {
    let mut world = world.clone();
    world.faults = 0;
    for _ in 0..8 {
        let holder = world.holder;
        if world.servers[holder].has_begun {
            world.sweep(holder);
        }
        for _ in 0..500 {
            let Some(step) = world.steps().into_iter().next() else { break };
            world.take(step);
            if let Some(what) = broken(&world, step) {
                return Some(what);
            }
        }
        let status = world.state().status();
        if status.is_final() || status == Status::OutcomeUnknown || (status == Status::PendingApproval && !world.is_acknowledged) {
            return None;
        }
    }
    Some(format!("nobody goes on with it: it stays {}", world.state().status()))
}

/// Checks one step, and whether anything would be left undone if it was the last one.
fn judge(world: &World, step: Step) -> Result<(), String> {
    let rests = world.steps().into_iter().all(Step::is_fault);
    match broken(world, step).or_else(|| rests.then(|| is_left_behind(world)).flatten()) {
        None => Ok(()),
        Some(what) => Err(what),
    }
}

/// Every order of the steps, each state once. Gives how many states there are.
///
/// # Errors
/// What is broken, after which steps.
fn explore(first: World) -> Result<usize, String> {
    let (mut seen, mut trail) = (HashSet::from([first.key()]), Vec::<(usize, Step)>::new());
    let mut open = vec![(first, usize::MAX)];
    while let Some((world, parent)) = open.pop() {
        for step in world.steps() {
            let mut next = world.clone();
            next.take(step);
            if !seen.insert(next.key()) {
                continue;
            }
            trail.push((parent, step));
            let index = trail.len() - 1;
            if let Err(what) = judge(&next, step) {
                let mut steps: Vec<Step> = Vec::new();
                let mut at = index;
                while let Some((before, step)) = trail.get(at) {
                    steps.insert(0, *step);
                    at = *before;
                }
                return Err(format!("{what}, after {steps:?}"));
            }
            open.push((next, index));
        }
    }
    Ok(seen.len())
}

#[test]
fn every_order_of_two_actors_and_two_servers_is_safe() {
    let mut states = 0;
    for idempotent in [false, true] {
        for (is_asked, calls) in [(false, vec![]), (true, vec![Ask::Approve, Ask::Approve]), (true, vec![Ask::Approve, Ask::Cancel])] {
            let found = explore(World::new(opening(idempotent, is_asked), "bot", calls.clone(), 2)).unwrap_or_else(|what| panic!("{what}"));
            eprintln!("idempotent {idempotent}, {calls:?}: {found} states");
            states += found;
        }
    }
    assert!(states > 10_000, "{states} states are not what two actors can do");
}

#[test]
fn each_planted_flaw_is_found() {
    let flaws = [
        (Flaw::MakesNewTokens, "given up"),
        (Flaw::IgnoresTheFence, "starts that is over"),
        (Flaw::ForgetsItsObligation, "nobody goes on"),
        (Flaw::LetsGoTooEarly, "given up"),
    ];
    for (flaw, what) in flaws {
        let mut world = World::new(opening(true, true), "bot", vec![Ask::Approve], 3);
        world.flaw = flaw;
        let found = explore(world).expect_err(&format!("{flaw:?} changes nothing"));
        assert!(found.contains(what), "{flaw:?}: {found}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Beyond what can be explored: schedules with more faults and more calls, drawn at random.
    #[test]
    fn long_schedules_with_many_faults_are_safe(
        idempotent: bool,
        is_asked: bool,
        schedules in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 80), 30),
    ) {
        let calls = if is_asked { vec![Ask::Approve, Ask::Cancel, Ask::Approve] } else { vec![Ask::Cancel] };
        for schedule in schedules {
            let mut world = World::new(opening(idempotent, is_asked), "bot", calls.clone(), 7);
            for draw in schedule {
                let steps = world.steps();
                if steps.is_empty() {
                    break;
                }
                let step = *draw.get(&steps);
                world.take(step);
                let judged = judge(&world, step);
                prop_assert!(judged.is_ok(), "{:?}: {:#?}", judged, world);
            }
        }
    }
}
