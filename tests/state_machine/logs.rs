//! What a log may contain, and what is derived from it: rounds, documents, and the steps of a plan.

use crate::samples::{events, states};
use crate::*;
use parkbrake::domain::task::ActionKind;
use parkbrake::domain::task::digest::Digest;
use parkbrake::domain::via::Via;
use parkbrake::domain::workflow::transition::{self, Answer, Obligation};
use parkbrake::domain::workflow::{
    Approval, AttemptId, Command, Event, Outcome, Recorded, Resolution, RoundOutcome, Step, StepState, Workflow,
};

/// No event can follow a final state, except comments.
#[test]
fn nothing_but_a_comment_follows_a_final_state() {
    for (state, workflow) in states().into_iter().filter(|(_, workflow)| workflow.status().is_final()) {
        for event in events() {
            let recorded = Recorded { version: workflow.version + 1, at: at(EXPIRY), actor: "anybody".to_owned(), via: Via::Rest, event };
            let name = recorded.event.name();
            let followed = transition::apply(ID, Some(workflow.clone()), &recorded);
            match followed {
                Ok(after) if name == "commented" => {
                    assert_eq!((after.status(), &after.rounds, &after.steps), (workflow.status(), &workflow.rounds, &workflow.steps));
                }
                other => assert!(other.is_err() && name != "commented", "{name} follows {state}"),
            }
        }
    }
}

/// Logs from before the queue existed fold to the same states as they did then.
#[test]
fn a_log_without_a_queue_is_read_like_any_other() {
    let old = |text: &str| serde_json::from_str::<Event>(text).expect("an event of an earlier version");
    let started = |attempt: u32| old(&format!(r#"{{"event":"execution_started","step":1,"attempt":{attempt},"owner":"{THERE}"}}"#));
    let requested = {
        let mut event =
            serde_json::to_value(Event::ApprovalRequested { round: 1, terms: terms().into(), reason: None, step: None }).expect("JSON");
        assert!(event.as_object_mut().expect("an object").remove("reason").is_none(), "it is left out where there is none");
        serde_json::from_value(event).expect("an event")
    };
    let mut log = approved_log(ActionKind::Runbook, true);
    log[1].1 = requested;
    log.push(("tess", started(1)));
    assert_eq!(fold(&log), executing(ActionKind::Runbook, true));
    log.push(("parkbrake", started(2)));
    let workflow = fold(&log);
    assert_eq!((workflow.status().as_str(), workflow.started()), ("executing", 2));
    let alone = fold(&[("deploy-bot", submitted(ActionKind::Runbook, false)), ("deploy-bot", started(1))]);
    assert_eq!(alone.status().as_str(), "executing");
    let cancelled = [("deploy-bot", submitted(ActionKind::External, false)), log[1].clone(), {
        ("deploy-bot", old(r#"{"event":"cancelled","round":1,"reason":"no"}"#))
    }];
    assert_eq!(fold(&cancelled).status().as_str(), "cancelled");
}

/// A person who is asked again answers again, and earlier approvals count for nothing.
#[test]
fn a_further_round_needs_its_own_approvals() {
    let asked = answered(&queued(false), &ask_again());
    let round = asked.round().expect("a round");
    assert_eq!((round.number, round.approvals.len(), asked.status().as_str()), (2, 0, "pending_approval"));
    let approved = answered(&asked, &approve("tess"));
    assert_eq!((approved.status().as_str(), approved.started()), ("queued", 0));
    assert!(matches!(transition::decide(&approved, &approve("tess")), Ok(Answer::Repeat(decision)) if decision.round == 2));
    let two = answered(&answered(&queued(true), &start(1)), &Command::Recover { attempt: of(1), owner: THERE });
    let again = answered(
        &answered(&two, &Command::AskAgain { attempt: of(2), reason: "x".to_owned(), terms: terms().into(), renewed: None }),
        &approve("tess"),
    );
    assert_eq!(
        answered(&again, &Command::Start { attempt: of(2), owner: HERE, token: TOKEN, renewed: None }).started(),
        2,
        "attempts are counted on"
    );
}

/// A workflow has an obligation for each of its steps, and an event changes only its own step.
#[test]
fn every_step_of_a_plan_has_its_turn_once_all_before_it_have_succeeded() {
    let mut workflow = queued(true);
    let external = Step {
        action: ActionKind::External,
        idempotent: false,
        report_within: Some(REPORT),
        retry: None,
        probe: false,
        is_claimed: false,
        compensates: None,
    };
    workflow.plan.steps.extend([external, workflow.plan.steps[0]]);
    workflow.steps.resize(3, StepState::default());
    let first_of = |step| AttemptId { step, number: 1 };
    let released = |workflow: &Workflow, step| {
        let event = Event::Released { step, attempt: 1 };
        let recorded = Recorded { version: workflow.version + 1, at: at(FIRST), actor: "tess".to_owned(), via: Via::Rest, event };
        transition::apply(ID, Some(workflow.clone()), &recorded)
    };
    let turn = |step| Command::Start { attempt: first_of(step), owner: HERE, token: TOKEN, renewed: None };
    assert!(released(&workflow, 2).is_err(), "the first step has not succeeded");
    assert_eq!(transition::obligations(&workflow, HERE), [Obligation::Queue { attempt: first_of(1) }]);
    let workflow = answered(&workflow, &turn(1));
    assert!(released(&workflow, 2).is_err(), "the first step runs");
    assert_eq!(transition::obligations(&workflow, HERE), [Obligation::Attend { attempt: first_of(1), token: Some(TOKEN) }]);
    let workflow = answered(&workflow, &Command::Finish { attempt: first_of(1), outcome: succeeded() });
    assert_eq!(
        transition::obligations(&workflow, HERE),
        [Obligation::Queue { attempt: first_of(2) }],
        "an external step waits for a turn too"
    );
    assert_eq!(workflow.status().as_str(), "queued");
    let workflow = answered(&workflow, &turn(2));
    let awaited = Obligation::AwaitReport { attempt: first_of(2), deadline: at(FIRST + REPORT) };
    assert_eq!(transition::obligations(&workflow, HERE), [awaited]);
    let failed = answered(&workflow, &report("deploy-bot", Outcome::Failed { error: "no space".to_owned(), output: None }));
    assert_eq!((failed.status().as_str(), transition::obligations(&failed, HERE)), ("failed", Vec::new()));
    let workflow = answered(&workflow, &report("deploy-bot", succeeded()));
    assert_eq!(transition::obligations(&workflow, HERE), [Obligation::Queue { attempt: first_of(3) }]);
    let workflow = answered(&answered(&workflow, &turn(3)), &Command::Finish { attempt: first_of(3), outcome: succeeded() });
    assert_eq!(workflow.status().as_str(), "completed");
    assert!(released(&workflow, 4).is_err(), "there is no fourth step");
}

/// A plan that is cancelled while a step runs never reaches its later steps, even if that step
/// succeeds.
#[test]
fn a_plan_that_is_cancelled_while_a_step_runs_ends_with_that_step() {
    let mut workflow = queued(true);
    workflow.plan.steps.push(workflow.plan.steps[0]);
    workflow.steps.resize(2, StepState::default());
    let running = answered(&answered(&workflow, &start(1)), &cancel("deploy-bot"));
    for (outcome, status, last) in [
        (succeeded(), "cancelled", ["execution_succeeded", "cancelled"].as_slice()),
        (failed(), "failed", &["execution_failed"]),
        (ended_early(), "cancelled", &["execution_cancelled"]),
    ] {
        let Ok(Answer::Commit { events, .. }) = transition::decide(&running, &finish_as(outcome)) else { panic!("it has ended") };
        assert_eq!(events.iter().map(Event::name).collect::<Vec<_>>(), last);
        let ended = follow(&running, events, "parkbrake");
        assert_eq!((ended.status().as_str(), transition::obligations(&ended, HERE)), (status, Vec::new()));
        assert_eq!(ended.step_status(2, &ended.steps[1]).as_str(), "skipped");
    }
    let unknown = answered(&running, &finish_as(Outcome::Unknown { reason: "?".to_owned() }));
    let resolved = answered(&unknown, &resolve("alice", Resolution::Succeeded));
    assert_eq!(resolved.status().as_str(), "cancelled", "the first step succeeded, and nothing follows it");
}

/// Another document never begins what the earlier one released, and it is not recorded twice.
#[test]
fn another_document_takes_the_place_of_the_one_that_waits_to_start_and_of_no_other() {
    let drifted = answered(&queued(false), &ask_about_another());
    assert_eq!((drifted.document(), drifted.document_number()), (&another().digest, 2));
    let round = drifted.round().expect("a round");
    assert_eq!((&round.subject, round.document, drifted.submission.digest != round.subject), (&another().digest, 2, true));
    assert_eq!(drifted.renewal_of(round).map(|renewal| renewal.reason.as_str()), Some("it drifted"));
    assert!(matches!(transition::decide(&drifted, &ask_about_another()), Ok(Answer::Nothing)), "nobody is asked twice");
    assert!(matches!(transition::decide(&drifted, &start_by_another()), Ok(Answer::Nothing)), "nothing starts while people are asked");
    let renewal = |digest: Digest| Event::DocumentRenewed { step: 1, attempt: 1, digest, reason: "?".to_owned(), changes: Vec::new() };
    let of_state = |workflow: &Workflow, event| {
        let recorded = Recorded { version: workflow.version + 1, at: at(FIRST), actor: "parkbrake".to_owned(), via: Via::System, event };
        transition::apply(ID, Some(workflow.clone()), &recorded)
    };
    let running = answered(&queued(false), &start_by_another());
    assert_eq!((running.document(), running.status().as_str()), (&another().digest, "executing"));
    for (workflow, event) in [
        (&drifted, renewal(Digest::of(b"a third"))),
        (&running, renewal(Digest::of(b"a third"))),
        (&queued(false), renewal(Digest::of(b"the document"))),
        (&parked(&terms()), renewal(Digest::of(b"a third"))),
    ] {
        assert!(of_state(workflow, event.clone()).is_err(), "{event:?} of what is {}", workflow.status());
    }
}

/// Each round is about one digest, and the next one voids its approvals.
#[test]
fn a_new_round_voids_the_one_before_and_the_log_refuses_approvals_of_another_document() {
    let asked = answered(&queued(false), &ask_again());
    let outcomes: Vec<_> = asked.rounds.iter().map(|round| (round.number, round.approvals.len(), round.outcome)).collect();
    assert_eq!(outcomes, [(1, 1, Some(RoundOutcome::Voided)), (2, 0, None)]);
    assert_eq!(transition::obligations(&asked, HERE), [Obligation::Park { deadline: Some(at(FIRST * 2)) }], "what was queued waits again");
    let other = Digest::of(b"another document");
    let roles = vec!["team_lead".to_owned()];
    let approved = |round, digest| {
        let (approver, roles) = ("tess".to_owned(), roles.clone());
        Event::Approved(Approval {
            round,
            approver,
            roles,
            digest,
            justification: None,
            remaining: 0,
            by_groups: Vec::new(),
            cover: Vec::new(),
        })
    };
    let subject = asked.submission.digest.clone();
    for event in [
        approved(2, other.clone()),
        approved(1, subject.clone()),
        Event::Rejected { round: 2, digest: other, roles: roles.clone(), reason: "no".to_owned(), cover: Vec::new() },
        released(1),
        started(1),
    ] {
        let recorded = Recorded { version: asked.version + 1, at: at(FIRST), actor: "tess".to_owned(), via: Via::Rest, event };
        assert!(transition::apply(ID, Some(asked.clone()), &recorded).is_err(), "{:?}", recorded.event);
    }
}
