//! `support/docs/STATE_MACHINE.md` says what the core does. Every table of it is read here and held
//! to `domain::transition`, cell by cell, so that neither can change without the other.

use chrono::{DateTime, TimeDelta, Utc};
use parkbrake::domain::policy::{Agent, ApprovalTerms, EscalationStep, LevelPolicy, Person, Policy, Principal, PrincipalKind, SignedIn};
use parkbrake::domain::risk::Assessment;
use parkbrake::domain::risk::level::Level;
use parkbrake::domain::risk::target::Target;
use parkbrake::domain::task::ActionKind;
use parkbrake::domain::task::digest::Digest;
use parkbrake::domain::task::retry::Retry;
use parkbrake::domain::via::Via;
use parkbrake::domain::workflow::today::Today;
use parkbrake::domain::workflow::transition::{self, Answer, Guard, Obligation};
use parkbrake::domain::workflow::{
    Approval, AttemptId, Command, Disowned, Event, FreezeException, GlassBroken, GrantedApproval, Outcome, ProbeAnswer, Recorded, Refusal,
    Renewed, Resolution, RoundOutcome, Step, StepState, Submission, Workflow,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const PAGE: &str = include_str!("../support/docs/STATE_MACHINE.md");

const ID: Uuid = Uuid::from_u128(1);
/// The process that acts.
const HERE: Uuid = Uuid::from_u128(2);
/// A process that is gone.
const THERE: Uuid = Uuid::from_u128(3);
/// What a runner made for a start.
const TOKEN: Uuid = Uuid::from_u128(4);

/// The steps of the timetable, and the expiry, counted from the request.
const FIRST: Duration = Duration::from_secs(600);
const SECOND: Duration = Duration::from_secs(1_200);
/// How long the requester of an external action has to report, counted from the start.
const REPORT: Duration = Duration::from_secs(7_200);
const EXPIRY: Duration = Duration::from_secs(3_600);

#[test]
fn what_follows_from_a_command() {
    let page = table("What follows from a command");
    let commands: [(&str, Command); 9] = [
        ("approve", approve("alice")),
        ("reject", reject("alice")),
        ("cancel", cancel("deploy-bot")),
        ("result", report("deploy-bot", succeeded())),
        ("resolve", resolve("alice", Resolution::Succeeded)),
        ("start", start(1)),
        ("finish", Command::Finish { attempt: of(1), outcome: succeeded() }),
        ("recover", Command::Recover { attempt: of(1), owner: HERE }),
        ("tick", tick(FIRST)),
    ];
    let header: Vec<&str> = std::iter::once("status").chain(commands.iter().map(|(name, _)| *name)).collect();
    assert_eq!(page.header, header, "the columns of the table are the commands");
    let mut states = states();
    for row in &page.rows {
        let workflow = states.remove(row[0].as_str()).unwrap_or_else(|| panic!("the page has a status `{}` that no test builds", row[0]));
        let word = row[0].trim_matches('`').split(['`', ' ']).next().unwrap_or_default().to_owned();
        if !row[0].contains("inside a commit") {
            assert_eq!(workflow.status().as_str(), word, "the row `{}` is built in another status", row[0]);
        }
        for ((name, command), cell) in commands.iter().zip(&row[1..]) {
            assert_eq!(said(&workflow, command), *cell, "{name} on {}", row[0]);
        }
    }
    assert!(states.is_empty(), "these have no row: {:?}", states.keys());
}

#[test]
fn where_it_depends() {
    let page = table("Where it depends");
    let mut cases = cases();
    for row in &page.rows {
        let key = (row[0].clone(), row[1].clone());
        let (workflow, command) = cases.remove(&key).unwrap_or_else(|| panic!("the page has a case that no test builds: {key:?}"));
        assert_eq!(name(&command), row[0], "the case `{}` is of another command", row[1]);
        assert_eq!(said(&workflow, &command), row[2], "{} when {}", row[0], row[1]);
    }
    assert!(cases.is_empty(), "these have no row: {:?}", cases.keys());
}

/// What today's configuration and suspensions are, where a test says nothing else.
#[derive(Clone)]
struct Now {
    people: Vec<(&'static str, &'static str)>,
    agents: Vec<(&'static str, &'static str)>,
    suspended: Vec<&'static str>,
    auto_approve: bool,
    terms: ApprovalTerms,
}

impl Now {
    fn decide(&self, workflow: &Workflow, command: &Command) -> Result<Answer, Refusal> {
        let level = LevelPolicy {
            auto_approve: self.auto_approve,
            notify: true,
            terms: self.terms.clone().into(),
            break_glass: Vec::new(),
            remind_every: FIRST,
            report_within: REPORT,
            rejected_memory: Duration::ZERO,
            recent_sign_in: None,
            goal: None,
            warn_before: None,
        };
        let person =
            |(name, role): &(&str, &str)| ((*name).to_owned(), Person { roles: BTreeSet::from([(*role).to_owned()]), ..Person::default() });
        let agent = |(name, owner): &(&str, &str)| ((*name).to_owned(), Agent { on_behalf_of: Some((*owner).to_owned()) });
        let levels = [level.clone(), level.clone(), level.clone(), level];
        let policy = Policy::new(levels, self.people.iter().map(person).collect(), self.agents.iter().map(agent).collect());
        Today { policy: &policy, suspended: &self.suspended.iter().collect() }.decide(workflow, command)
    }
}

#[test]
fn what_follows_where_the_rules_of_today_are_stricter() {
    let then = Now {
        people: vec![("alice", "team_lead"), ("tess", "tech_lead"), ("tom", "cto")],
        agents: vec![("deploy-bot", "tom")],
        suspended: Vec::new(),
        auto_approve: false,
        terms: terms(),
    };
    let changed = |change: &dyn Fn(&mut Now)| {
        let mut now = then.clone();
        change(&mut now);
        now
    };
    let one = parked_of(ActionKind::Runbook, &terms());
    let pair = ApprovalTerms { required: 2, ..terms() };
    let apart = ApprovalTerms { distinct_roles: true, ..pair.clone() };
    let of_two = |terms: &ApprovalTerms, by: Command| answered(&parked_of(ActionKind::Runbook, terms), &by);
    let two = of_two(&pair, approve_as("tess", &["tech_lead"]));
    let both = |change: &dyn Fn(&mut Now)| {
        changed(&|now| {
            now.terms.required = 2;
            change(now);
        })
    };
    let saying = |justification: Option<&str>, digest: Option<&Digest>| Command::Approve {
        by: person("alice", &["team_lead"]),
        justification: justification.map(str::to_owned),
        digest: digest.map(ToString::to_string),
        owner: HERE,
    };
    let demanding = changed(&|now| now.terms.require_justification = true);
    let cases = [
        ("nothing has changed", then.clone(), one.clone(), approve("alice")),
        ("the level needs two approvals", both(&|_| ()), one.clone(), approve("alice")),
        ("the level needs a justification, and the approval has one", demanding.clone(), one.clone(), saying(Some("I looked"), None)),
        ("the level needs a justification, and the approval has none", demanding, one.clone(), saying(None, None)),
        (
            "the level needs the digest, and the approval names it",
            changed(&|now| now.terms.require_digest = true),
            one.clone(),
            saying(None, Some(&one.submission.digest)),
        ),
        (
            "the caller's role is asked no more",
            changed(&|now| now.terms.approvers = vec!["tech_lead".to_owned()]),
            one.clone(),
            approve("alice"),
        ),
        ("the caller is suspended", changed(&|now| now.suspended.push("alice")), one.clone(), approve("alice")),
        ("the requester acts for the caller", changed(&|now| now.agents = vec![("deploy-bot", "alice")]), one.clone(), approve("alice")),
        ("the requester is on no list any more", changed(&|now| now.agents.clear()), one.clone(), approve("alice")),
        ("the level needs no approval any more", changed(&|now| now.auto_approve = true), one, approve("alice")),
        ("two are needed, and tess has approved", both(&|_| ()), two.clone(), approve("alice")),
        (
            "two are needed, and tess, who has approved, is suspended",
            both(&|now| now.suspended.push("tess")),
            two.clone(),
            approve("alice"),
        ),
        ("two are needed, and tess, who has approved, has lost the role", both(&|now| now.people[1].1 = "cto"), two, approve("alice")),
        (
            "two of different roles are needed, and that of tess is asked no more",
            both(&|now| {
                now.terms.approvers = vec!["team_lead".to_owned()];
                now.terms.distinct_roles = true;
                now.people[1] = ("tess", "team_lead");
            }),
            // She has given both of her roles, of which one is left, and alice has no other.
            of_two(&apart, approve_as("tess", &["tech_lead", "team_lead"])),
            approve("alice"),
        ),
        ("two are needed, and alice has approved before", both(&|_| ()), of_two(&pair, approve("alice")), approve("alice")),
    ];
    let page = table("When today's rules are stricter");
    assert_eq!(page.rows.len(), cases.len(), "each row is a case");
    for (row, (when, now, workflow, command)) in page.rows.iter().zip(cases) {
        assert_eq!(row[0], when);
        let answer = now.decide(&workflow, &command);
        let after = match &answer {
            Ok(Answer::Commit { events, guard }) => {
                assert_eq!(guard.not_after, Some(at(EXPIRY)), "no round is longer than the one before it: {when}");
                follow(&workflow, events.clone(), "alice")
            }
            _ => workflow.clone(),
        };
        assert_eq!(cell(&workflow, answer, "alice"), row[1], "{when}");
        assert_eq!(after.round().map(|round| round.number.to_string()).as_ref(), Some(&row[2]), "{when}");
    }
}

#[test]
fn events_have_the_fields_that_the_page_says() {
    let page = table("Events");
    let mut written: BTreeMap<String, BTreeSet<String>> = events()
        .into_iter()
        .map(|event| {
            let Value::Object(mut fields) = serde_json::to_value(&event).expect("events are JSON") else { panic!("events are objects") };
            assert_eq!(fields.remove("event"), Some(json!(event.name())), "an event has one name");
            (event.name().to_owned(), fields.into_iter().map(|(field, _)| field).collect())
        })
        .collect();
    for row in &page.rows {
        let event = row[0].trim_matches('`');
        let fields: BTreeSet<String> = row[1].split(", ").map(str::to_owned).collect();
        assert_eq!(written.remove(event), Some(fields), "the fields of {event}");
    }
    assert!(written.is_empty(), "these have no row: {:?}", written.keys());
}

#[test]
fn guards_are_those_of_the_page() {
    let page = table("Guards");
    let parked = parked(&terms());
    let unknown = answered(&executing(ActionKind::Runbook, false), &Command::Recover { attempt: of(1), owner: HERE });
    let by_alice = answered(&self::parked(&ApprovalTerms { required: 2, ..terms() }), &approve("alice"));
    let commits = [
        (&parked, approve("alice")),
        (&parked, reject("alice")),
        (&by_alice, withdraw("alice")),
        (&parked, tick(SECOND)),
        (&parked, tick(EXPIRY)),
        (&parked, cancel("deploy-bot")),
        (&executing(ActionKind::Runbook, false), cancel("deploy-bot")),
        (&parked, supersede("deploy-bot", HERE)),
        (&parked, comment("nora", true)),
        (&executing(ActionKind::External, false), report("deploy-bot", succeeded())),
        (&executing(ActionKind::Runbook, false), Command::Recover { attempt: of(1), owner: HERE }),
        (&executing(ActionKind::External, false), tick(REPORT)),
        (&unknown, resolve("alice", Resolution::Failed)),
    ];
    let found: Vec<Vec<String>> = commits
        .into_iter()
        .map(|(workflow, command)| {
            let Ok(Answer::Commit { events, guard }) = transition::decide(workflow, &command) else { panic!("{command:?} writes nothing") };
            let Guard { not_before, not_after, lapsed } = guard;
            let event = events.first().map(Event::name).unwrap_or_default();
            let lapsed = lapsed.map_or("none", |server| if server == HERE { "this server" } else { "the server whose attempt it was" });
            vec![event.to_owned(), moment(not_before), moment(not_after), lapsed.to_owned()]
        })
        .collect();
    // The commit that opens the next round has a row of its own;
    // `what_follows_where_the_rules_of_today_are_stricter` looks at its guard.
    let further = ["approval_requested, with the approval that opens the next round", "none", "the expiry", "none"].map(str::to_owned);
    let (all, mut rows) = (page.rows.len(), page.rows);
    rows.retain(|row| *row != further);
    assert_eq!((found.len() + 1, found), (all, rows));
}

#[test]
fn obligations_are_those_of_the_page() {
    let page = table("Obligations");
    let states = states();
    let own = |action| {
        let mut log = approved_log(action, true);
        log.push(("parkbrake", Event::ExecutionStarted { step: 1, attempt: 1, owner: HERE, token: Some(TOKEN) }));
        fold(&log)
    };
    for row in &page.rows {
        let workflow = match row[0].as_str() {
            "`executing` (runbook, begun by this process)" => own(ActionKind::Runbook),
            "`executing` (runbook, begun by this process, cancelled)" => answered(&own(ActionKind::Runbook), &cancel("deploy-bot")),
            "`executing` (runbook, begun by another process, cancelled)" => {
                answered(&executing(ActionKind::Runbook, true), &cancel("deploy-bot"))
            }
            "`queued` (it failed, and rests)" => resting(),
            "`outcome_unknown` (its runbook has a probe)" => in_doubt(false),
            "`executing` (runbook, begun by another process)" => executing(ActionKind::Runbook, true),
            state => states.get(state).unwrap_or_else(|| panic!("the page has a status `{state}` that no test builds")).clone(),
        };
        let expected = match transition::obligations(&workflow, HERE).as_slice() {
            [] => "nothing",
            [Obligation::Park { deadline: Some(deadline) }] if *deadline == at(FIRST) => "park: wait for people, arm the next deadline",
            [Obligation::AwaitReport { attempt, deadline }] if (*attempt, *deadline) == (of(1), at(REPORT)) => {
                "await the report, arm its deadline"
            }
            [Obligation::Rest { attempt, deadline }] if (*attempt, *deadline) == (of(2), at(FIRST * 2)) => {
                "wait for the end of the pause, arm its deadline"
            }
            [Obligation::Queue { attempt }] if *attempt == of(1) => "see to it that the runner has it in its queue",
            [Obligation::Attend { attempt, token: Some(TOKEN) }] if *attempt == of(1) => {
                "see to it that the runner knows of it; nothing is started"
            }
            [Obligation::End { attempt, token: Some(TOKEN) }] if *attempt == of(1) => "see to it that the runner ends it",
            [Obligation::Probe { attempt }] if *attempt == of(1) => "see to it that the probe looks",
            [Obligation::Recover { attempt }] if *attempt == of(1) => "recover",
            [Obligation::Clear { attempt }] if *attempt == of(1) => "end what is left of it on this machine, then recover",
            others => panic!("{} obliges to {others:?}", row[0]),
        };
        assert_eq!(row[1], expected, "{}", row[0]);
    }
    let statuses: BTreeSet<&str> = page.rows.iter().filter_map(|row| row[0].split('`').nth(1)).collect();
    let all = parkbrake::domain::workflow::Status::ALL;
    assert_eq!(statuses, all.iter().map(|status| status.as_str()).collect(), "every status has its obligation");
}

/// No event can follow a final state, but that people may still say something about it.
#[test]
fn final_states_stay() {
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

/// Logs from before there was a queue fold to the same states as they did then.
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

/// Who is asked again answers again, and what was approved before counts for nothing.
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

/// A workflow obliges to something for each of its steps, and an event changes its own step alone.
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

/// A plan that is cancelled while a step runs never comes to its later steps, also where that step
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

/// Another document never begins what the earlier one released, and it is not written down twice.
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

/// Each round is about one digest, and the next one voids what was given in it.
#[test]
fn a_new_round_voids_the_one_before_and_an_answer_about_another_document_cannot_stand_in_the_log() {
    let asked = answered(&queued(false), &ask_again());
    let outcomes: Vec<_> = asked.rounds.iter().map(|round| (round.number, round.approvals.len(), round.outcome)).collect();
    assert_eq!(outcomes, [(1, 1, Some(RoundOutcome::Voided)), (2, 0, None)]);
    assert_eq!(transition::obligations(&asked, HERE), [Obligation::Park { deadline: Some(at(FIRST * 2)) }], "what was queued waits again");
    let other = Digest::of(b"another document");
    let roles = vec!["team_lead".to_owned()];
    let approved = |round, digest| {
        let (approver, roles) = ("tess".to_owned(), roles.clone());
        Event::Approved(Approval { round, approver, roles, digest, justification: None, remaining: 0, by_groups: Vec::new() })
    };
    let subject = asked.submission.digest.clone();
    for event in [
        approved(2, other.clone()),
        approved(1, subject.clone()),
        Event::Rejected { round: 2, digest: other, roles: roles.clone(), reason: "no".to_owned() },
        released(1),
        started(1),
    ] {
        let recorded = Recorded { version: asked.version + 1, at: at(FIRST), actor: "tess".to_owned(), via: Via::Rest, event };
        assert!(transition::apply(ID, Some(asked.clone()), &recorded).is_err(), "{:?}", recorded.event);
    }
}

/// What a command leads to, as a cell of the page says it.
fn said(workflow: &Workflow, command: &Command) -> String {
    let actor = command.caller().map_or(parkbrake::domain::policy::SYSTEM, |by| &by.name);
    cell(workflow, transition::decide(workflow, command), actor)
}

/// The workflow after these events.
fn follow(workflow: &Workflow, events: Vec<Event>, actor: &str) -> Workflow {
    events.into_iter().fold(workflow.clone(), |workflow, event| {
        let recorded = Recorded { version: workflow.version + 1, at: at(FIRST), actor: actor.to_owned(), via: Via::Rest, event };
        transition::apply(ID, Some(workflow), &recorded).expect("what is decided can be applied")
    })
}

/// An answer, as a cell of the page says it.
fn cell(workflow: &Workflow, answer: Result<Answer, Refusal>, actor: &str) -> String {
    match answer {
        Ok(Answer::Nothing) => "nothing".to_owned(),
        Ok(Answer::Repeat(_)) => "same answer".to_owned(),
        Ok(Answer::Commit { events, .. }) => {
            let names: Vec<&str> = events.iter().map(Event::name).collect();
            format!("{} → {}", names.join(" + "), follow(workflow, events, actor).status())
        }
        Err(refusal) => match refusal {
            Refusal::NotPermitted(_) => "not-permitted",
            Refusal::NotAnApprover(_) => "not-an-approver",
            Refusal::SelfApproval(_) => "self-approval",
            Refusal::SignInAgain(_) => "sign-in-again",
            Refusal::JustificationRequired => "justification-required",
            Refusal::DigestMismatch(_) => "digest-mismatch",
            Refusal::AlreadyDecided(_) => "already-decided",
            Refusal::Expired => "expired",
            Refusal::ReviewOpen => "review-open",
            Refusal::WrongState { .. } => "wrong-state",
        }
        .to_owned(),
    }
}

/// A workflow for every row of the first table, and so for every phase.
fn states() -> BTreeMap<&'static str, Workflow> {
    let ended = |outcome| answered(&executing(ActionKind::External, false), &Command::Finish { attempt: of(1), outcome });
    let unknown = Outcome::Unknown { reason: "gone".to_owned() };
    let parked = parked(&terms());
    let alone = || vec![("deploy-bot", submitted(ActionKind::External, false)), ("deploy-bot", started(1))];
    BTreeMap::from([
        ("`pending_approval`", parked.clone()),
        ("`pending_approval` (runbook)", parked_of(ActionKind::Runbook, &terms())),
        ("`queued`", queued(false)),
        ("`queued` (nobody was asked)", fold(&[("deploy-bot", submitted(ActionKind::Runbook, false)), ("deploy-bot", released(1))])),
        ("`queued` (it failed, and rests)", resting()),
        ("`executing` (external)", executing(ActionKind::External, false)),
        ("`executing` (runbook, idempotent)", executing(ActionKind::Runbook, true)),
        ("`executing` (runbook, not idempotent)", executing(ActionKind::Runbook, false)),
        ("`executing` (runbook, cancelled)", answered(&executing(ActionKind::Runbook, true), &cancel("deploy-bot"))),
        ("`executing` (external, nobody was asked)", fold(&alone())),
        ("`outcome_unknown`", answered(&executing(ActionKind::Runbook, false), &Command::Finish { attempt: of(1), outcome: unknown })),
        ("`completed`", ended(succeeded())),
        ("`failed`", ended(failed())),
        ("`rejected`", answered(&parked, &reject_as("tess", &["team_lead"]))),
        ("`cancelled`", answered(&parked, &cancel("deploy-bot"))),
        ("`expired`", answered(&parked, &tick(EXPIRY))),
        ("`superseded`", answered(&parked, &supersede("deploy-bot", HERE))),
        ("`assessed` (inside a commit)", fold(&alone()[..1])),
        ("`approved` (inside a commit)", fold(&approved_log(ActionKind::External, false))),
    ])
}

/// The cases of the second table.
fn cases() -> BTreeMap<(String, String), (Workflow, Command)> {
    let one = parked(&terms());
    let two = parked(&ApprovalTerms { required: 2, ..terms() });
    let distinct = parked(&ApprovalTerms { required: 2, distinct_roles: true, ..terms() });
    let by_alice = answered(&two, &approve("alice"));
    let external = executing(ActionKind::External, false);
    let unreported = answered(&external, &tick(REPORT));
    let runbook = executing(ActionKind::Runbook, true);
    let begun = answered(&queued(true), &start(1));
    let once = answered(&queued(false), &start(1));
    let alone = fold(&[("deploy-bot", submitted(ActionKind::Runbook, false)), ("deploy-bot", released(1))]);
    let unknown = answered(&once, &Command::Recover { attempt: of(1), owner: THERE });
    let unknown_alone = answered(&answered(&alone, &start(1)), &Command::Recover { attempt: of(1), owner: THERE });
    let unsaid = Command::Resolve {
        by: person("alice", &["team_lead"]),
        outcome: Resolution::Failed,
        justification: Some(" ".to_owned()),
        owner: HERE,
        deciders: Vec::new(),
    };
    let with_digest = |command: Command, given: &str| match command {
        Command::Approve { by, justification, owner, .. } => Command::Approve { by, justification, owner, digest: Some(given.to_owned()) },
        Command::Reject { by, reason, .. } => Command::Reject { by, reason, digest: Some(given.to_owned()) },
        other => other,
    };
    let list: Vec<(&str, &str, Workflow, Command)> = vec![
        ("approve", "more approvals are needed after it", two.clone(), approve("alice")),
        ("approve", "the caller's roles are not asked", one.clone(), approve_as("cora", &["cto"])),
        ("approve", "the caller is an agent", one.clone(), {
            let by = Principal { kind: PrincipalKind::Agent, ..person("other-bot", &["team_lead"]) };
            Command::Approve { by, justification: None, digest: None, owner: HERE }
        }),
        ("approve", "the caller submitted the task", one.clone(), approve_as("deploy-bot", &["team_lead"])),
        ("approve", "the requesting agent acts for the caller", one.clone(), approve_as("tom", &["tech_lead"])),
        ("approve", "the caller's role was escalated to", answered(&one, &tick(FIRST)), approve_as("cora", &["cto"])),
        ("approve", "the caller has approved before, others are missing", by_alice.clone(), approve("alice")),
        (
            "approve",
            "the caller has approved before, others are missing, and it names another digest",
            by_alice.clone(),
            with_digest(approve("alice"), "sha256:0"),
        ),
        (
            "approve",
            "the caller has approved before, it is executing, and it names another digest",
            answered(&one, &approve("alice")),
            with_digest(approve("alice"), "sha256:0"),
        ),
        ("approve", "the caller has approved before, it is executing", answered(&one, &approve("alice")), approve("alice")),
        (
            "approve",
            "the caller has approved before, somebody rejected it since",
            answered(&by_alice, &reject_as("tess", &["tech_lead"])),
            approve("alice"),
        ),
        ("approve", "the caller has approved before, it has expired since", answered(&by_alice, &tick(EXPIRY)), approve("alice")),
        ("approve", "the caller has approved before and rejected it since", answered(&by_alice, &reject("alice")), approve("alice")),
        ("approve", "the caller approved the round before this one", answered(&queued(false), &ask_again()), approve("tess")),
        (
            "approve",
            "people are asked about another document than before, and it names none",
            answered(&queued(false), &ask_about_another()),
            approve("alice"),
        ),
        (
            "approve",
            "people are asked about another document than before, and it names the earlier one",
            answered(&queued(false), &ask_about_another()),
            with_digest(approve("tess"), Digest::of(b"the document").as_str()),
        ),
        (
            "approve",
            "people are asked about another document than before, and it names that one",
            answered(&queued(false), &ask_about_another()),
            with_digest(approve("tess"), another().digest.as_str()),
        ),
        ("approve", "it names another digest", one.clone(), with_digest(approve("alice"), "sha256:0")),
        ("approve", "a digest is needed and not given", parked(&ApprovalTerms { require_digest: true, ..terms() }), approve("alice")),
        (
            "approve",
            "a justification is needed and says nothing",
            parked(&ApprovalTerms { require_justification: true, ..terms() }),
            Command::Approve {
                by: person("alice", &["team_lead"]),
                justification: Some(" \u{200b}".to_owned()),
                digest: None,
                owner: HERE,
            },
        ),
        (
            "approve",
            "distinct roles are needed and the caller's is answered for",
            answered(&distinct, &approve("alice")),
            approve_as("tess", &["team_lead"]),
        ),
        ("reject", "the caller submitted the task and is asked", one.clone(), reject_as("deploy-bot", &["team_lead"])),
        ("reject", "the caller's roles are not asked", one.clone(), reject_as("cora", &["cto"])),
        ("reject", "the caller has approved before, others are missing", by_alice.clone(), reject("alice")),
        ("reject", "the caller has rejected before", answered(&one, &reject("alice")), reject("alice")),
        (
            "reject",
            "the caller has rejected before, and it names another digest",
            answered(&one, &reject("alice")),
            with_digest(reject("alice"), "sha256:0"),
        ),
        ("reject", "it names another digest", one.clone(), with_digest(reject("alice"), "sha256:0")),
        ("withdraw", "the caller has approved before, others are missing", by_alice.clone(), withdraw("alice")),
        ("withdraw", "the caller has withdrawn before", answered(&by_alice, &withdraw("alice")), withdraw("alice")),
        ("approve", "the caller has withdrawn before", answered(&by_alice, &withdraw("alice")), approve("alice")),
        (
            "withdraw",
            "the caller has withdrawn and approved again",
            answered(&answered(&by_alice, &withdraw("alice")), &approve("alice")),
            withdraw("alice"),
        ),
        ("withdraw", "the caller has approved nothing", by_alice.clone(), withdraw("tess")),
        ("withdraw", "the caller approved the round before this one", answered(&queued(false), &ask_again()), withdraw("tess")),
        ("withdraw", "as many as are needed have approved", answered(&one, &approve("alice")), withdraw("alice")),
        ("withdraw", "it was rejected since", answered(&by_alice, &reject_as("tess", &["tech_lead"])), withdraw("alice")),
        ("withdraw", "it has expired since", answered(&by_alice, &tick(EXPIRY)), withdraw("alice")),
        ("withdraw", "it was cancelled since", answered(&by_alice, &cancel("deploy-bot")), withdraw("alice")),
        ("withdraw", "nobody was asked", alone.clone(), withdraw("alice")),
        ("withdraw", "the caller is an agent", by_alice.clone(), {
            Command::Withdraw { by: Principal { kind: PrincipalKind::Agent, ..person("other-bot", &["team_lead"]) }, reason: None }
        }),
        ("comment", "it waits", one.clone(), comment("nora", false)),
        ("comment", "the same person has just said the same", answered(&one, &comment("nora", false)), comment("nora", false)),
        ("comment", "somebody has said something since", answered(&answered(&one, &comment("nora", false)), &comment("tom", false)), {
            comment("nora", false)
        }),
        ("comment", "it is a question to the requester", one.clone(), comment("alice", true)),
        ("comment", "it is a question, of the requester", one.clone(), comment("deploy-bot", true)),
        ("comment", "it is rejected", answered(&one, &reject("alice")), comment("deploy-bot", false)),
        ("comment", "it is cancelled", answered(&one, &cancel("deploy-bot")), comment("alice", true)),
        ("comment", "it is executing", external.clone(), comment("alice", false)),
        (
            "comment",
            "it has as many as it may",
            {
                (0..parkbrake::domain::workflow::MOST_COMMENTS)
                    .fold(one.clone(), |workflow, turn| answered(&workflow, &comment(if turn % 2 == 0 { "nora" } else { "tom" }, false)))
            },
            comment("nora", false),
        ),
        ("approve", "somebody has commented", answered(&one, &comment("nora", true)), approve("alice")),
        (
            "approve",
            "others are missing, and somebody commented since the first",
            answered(&by_alice, &comment("nora", true)),
            approve_as("tess", &["tech_lead"]),
        ),
        ("supersede", "by the requester", one.clone(), supersede("deploy-bot", HERE)),
        ("supersede", "by the requester, half approved", by_alice.clone(), supersede("deploy-bot", HERE)),
        ("supersede", "by the person that the requester acts for", one.clone(), supersede("tom", HERE)),
        ("supersede", "by the same task, once more", answered(&one, &supersede("deploy-bot", HERE)), supersede("deploy-bot", HERE)),
        ("supersede", "another task has taken its place", answered(&one, &supersede("deploy-bot", HERE)), supersede("deploy-bot", THERE)),
        ("supersede", "it is approved", answered(&one, &approve("alice")), supersede("deploy-bot", HERE)),
        ("supersede", "it is rejected", answered(&one, &reject("alice")), supersede("deploy-bot", HERE)),
        ("supersede", "it has expired", answered(&one, &tick(EXPIRY)), supersede("deploy-bot", HERE)),
        ("supersede", "it is cancelled", answered(&one, &cancel("deploy-bot")), supersede("deploy-bot", HERE)),
        ("supersede", "nobody was asked", alone.clone(), supersede("deploy-bot", HERE)),
        ("cancel", "it waits for a turn, by an admin", queued(false), Command::Cancel { by: person("cora", &["admin"]), reason: None }),
        ("cancel", "by an admin", one.clone(), Command::Cancel { by: person("cora", &["admin"]), reason: None }),
        ("cancel", "by the person that the requester acts for", one.clone(), cancel("tom")),
        ("cancel", "by anybody else", one.clone(), cancel("alice")),
        ("cancel", "it runs, by an admin", once.clone(), Command::Cancel { by: person("cora", &["admin"]), reason: None }),
        ("cancel", "it runs, by anybody else", once.clone(), cancel("alice")),
        ("cancel", "it runs, and somebody has cancelled it before", answered(&once, &cancel("tom")), cancel("deploy-bot")),
        ("finish", "it was ended because somebody had cancelled it", answered(&once, &cancel("tom")), finish_as(ended_early())),
        ("finish", "`failed`, idempotent, and more attempts may follow", may_retry(), finish_as(failed())),
        ("finish", "`failed`, and it was the last attempt", second_attempt(), Command::Finish { attempt: of(2), outcome: failed() }),
        (
            "finish",
            "`failed`, more attempts may follow, and somebody has cancelled it",
            answered(&may_retry(), &cancel("tom")),
            finish_as(failed()),
        ),
        (
            "finish",
            "it was ended early for whoever cancelled it, and more attempts may follow",
            answered(&may_retry(), &cancel("tom")),
            finish_as(ended_early()),
        ),
        ("refuse", "more attempts may follow", released_again(), Command::RefuseStart { attempt: of(2), reason: "changed".to_owned() }),
        ("probed", "it happened", in_doubt(false), probed(ProbeAnswer::Happened)),
        ("probed", "it did not happen", in_doubt(false), probed(ProbeAnswer::DidNotHappen)),
        ("probed", "it did not happen, idempotent, and more attempts may follow", in_doubt(true), probed(ProbeAnswer::DidNotHappen)),
        ("probed", "it cannot tell", in_doubt(false), probed(ProbeAnswer::CannotTell)),
        ("probed", "it has looked before", answered(&in_doubt(false), &probed(ProbeAnswer::CannotTell)), probed(ProbeAnswer::Happened)),
        ("probed", "somebody has resolved it before", answered(&in_doubt(false), &resolve("alice", Resolution::Failed)), {
            probed(ProbeAnswer::Happened)
        }),
        ("tick", "it rests, and the pause is over", resting(), tick(FIRST * 2)),
        ("tick", "it rests, and the pause is not over", resting(), tick(FIRST)),
        ("finish", "it was cancelled, and had failed before", answered(&once, &cancel("tom")), finish_as(failed())),
        ("finish", "it was ended early, and nobody had cancelled it", once.clone(), finish_as(ended_early())),
        (
            "resolve",
            "it was cancelled, and is to run once more",
            answered(&answered(&once, &cancel("tom")), &finish_as(Outcome::Unknown { reason: "?".to_owned() })),
            resolve("alice", Resolution::Retry),
        ),
        ("disown", "the attempt that runs was cancelled, idempotent", answered(&begun, &cancel("tom")), disown(TOKEN)),
        ("result", "`failed`, while it is executing", external.clone(), report("deploy-bot", failed())),
        (
            "result",
            "the same as was reported before",
            answered(&external, &report("deploy-bot", failed())),
            report("tom", Outcome::Failed { error: "another".to_owned(), output: None }),
        ),
        (
            "result",
            "the other one than was reported before",
            answered(&external, &report("deploy-bot", failed())),
            report("deploy-bot", succeeded()),
        ),
        (
            "result",
            "nobody knew how it went, and now the requester says so",
            answered(&unreported, &tick(REPORT * 2)),
            report("deploy-bot", succeeded()),
        ),
        ("resolve", "it succeeded", unknown.clone(), resolve("alice", Resolution::Succeeded)),
        ("resolve", "it failed", unknown.clone(), resolve("alice", Resolution::Failed)),
        ("resolve", "it is to run once more", unknown.clone(), resolve("alice", Resolution::Retry)),
        (
            "resolve",
            "an external action is to be done once more",
            answered(&unreported, &tick(REPORT * 2)),
            resolve("alice", Resolution::Retry),
        ),
        ("resolve", "by an admin", unknown.clone(), resolve_as("cora", &["admin"], Resolution::Failed)),
        ("resolve", "by somebody who decides at some level, and nobody was asked", unknown_alone, resolve("alice", Resolution::Failed)),
        ("resolve", "by somebody without such a role", unknown.clone(), resolve_as("nora", &["auditor"], Resolution::Failed)),
        ("resolve", "by the requester", unknown.clone(), resolve_as("deploy-bot", &["team_lead"], Resolution::Failed)),
        ("resolve", "by the person that the requester acts for", unknown.clone(), resolve_as("tom", &["tech_lead"], Resolution::Failed)),
        ("resolve", "the justification says nothing", unknown.clone(), unsaid),
        (
            "resolve",
            "the same person has resolved it the same way before",
            answered(&unknown, &resolve("alice", Resolution::Retry)),
            resolve("alice", Resolution::Retry),
        ),
        (
            "resolve",
            "somebody has resolved it another way before",
            answered(&unknown, &resolve("alice", Resolution::Failed)),
            resolve("tess", Resolution::Succeeded),
        ),
        ("finish", "somebody has resolved it before", answered(&unknown, &resolve("alice", Resolution::Failed)), {
            Command::Finish { attempt: of(1), outcome: succeeded() }
        }),
        ("tick", "the report of an external action is due", external.clone(), tick(REPORT)),
        ("tick", "it is due, and the requester was asked for it as long ago", unreported.clone(), tick(REPORT * 2)),
        ("tick", "the requester was asked for it a moment ago", unreported, tick(REPORT)),
        ("result", "by anybody but the requester and the person that it acts for", external.clone(), report("alice", succeeded())),
        (
            "result",
            "the action is a runbook that has completed",
            answered(&runbook, &Command::Finish { attempt: of(1), outcome: succeeded() }),
            report("deploy-bot", succeeded()),
        ),
        ("finish", "`failed`", runbook.clone(), Command::Finish { attempt: of(1), outcome: failed() }),
        ("finish", "nobody knows", runbook.clone(), {
            Command::Finish { attempt: of(1), outcome: Outcome::Unknown { reason: "?".to_owned() } }
        }),
        (
            "finish",
            "of an earlier attempt",
            answered(&runbook, &Command::Recover { attempt: of(1), owner: HERE }),
            Command::Finish { attempt: of(1), outcome: succeeded() },
        ),
        ("finish", "nobody knows, and that is known already", answered(&once, &Command::Recover { attempt: of(1), owner: THERE }), {
            Command::Finish { attempt: of(1), outcome: Outcome::Unknown { reason: "?".to_owned() } }
        }),
        ("start", "of another attempt than the one that waits", queued(false), start(2)),
        ("start", "it was committed before, with the same token", begun.clone(), start(1)),
        ("start", "what would start is another document", queued(false), start_by_another()),
        ("start", "what would start is another document, and the one that held was excepted from a freeze", excepted(), start_by_another()),
        ("refuse", "the attempt waits", queued(false), refuse()),
        ("refuse", "it has started meanwhile", begun.clone(), refuse()),
        ("ask again", "the attempt waits", queued(false), ask_again()),
        ("ask again", "what would start is another document", queued(false), ask_about_another()),
        ("renew", "the attempt waits", queued(false), renew()),
        ("renew", "it has started meanwhile", begun.clone(), renew()),
        ("ask again", "nobody was asked before", alone, ask_again()),
        ("ask again", "it was cancelled meanwhile", answered(&queued(false), &cancel("deploy-bot")), ask_again()),
        ("disown", "the attempt is the one that runs, idempotent", begun.clone(), disown(TOKEN)),
        ("disown", "the attempt is the one that runs, not idempotent", once, disown(TOKEN)),
        ("disown", "another start of the same attempt runs", begun, disown(HERE)),
        ("recover", "by the process that began it", runbook, Command::Recover { attempt: of(1), owner: THERE }),
        ("recover", "the action is external", external, Command::Recover { attempt: of(1), owner: HERE }),
        ("tick", "nothing is due", one.clone(), tick(FIRST - Duration::from_secs(1))),
        ("tick", "two steps are due", one.clone(), tick(SECOND)),
        ("tick", "the expiry is due, and a step as well", one, tick(EXPIRY)),
    ];
    list.into_iter().map(|(command, when, workflow, asked)| ((command.to_owned(), when.to_owned()), (workflow, asked))).collect()
}

/// One of every event, with every field that it can have.
fn events() -> Vec<Event> {
    let text = || "text".to_owned();
    let digest = || Digest::of(b"");
    let Event::Submitted(submission) = submitted(ActionKind::Runbook, true) else { panic!("the first event") };
    let retry = Some(Retry { attempts: 2, backoff: FIRST });
    vec![
        Event::Submitted(Submission { retry, probe: true, ..Arc::unwrap_or_clone(submission) }.into()),
        Event::ApprovalRequested { round: 1, terms: terms().into(), reason: Some(text()), step: Some(1) },
        Event::Approved(Approval {
            round: 1,
            approver: text(),
            roles: vec![text()],
            digest: digest(),
            justification: Some(text()),
            remaining: 0,
            by_groups: Vec::new(),
        }),
        Event::GlassBroken(GlassBroken {
            round: 1,
            approver: text(),
            roles: vec![text()],
            digest: digest(),
            justification: text(),
            missing: 1,
        }),
        Event::Reviewed { broken_by: text(), roles: vec![text()], finding: text() },
        Event::Granted(GrantedApproval {
            round: 1,
            grant: HERE,
            approver: text(),
            roles: vec![text()],
            digest: digest(),
            justification: text(),
        }),
        Event::Rejected { round: 1, digest: digest(), roles: vec![text()], reason: text() },
        Event::Withdrawn { round: 1, roles: vec![text()], reason: text(), remaining: 1 },
        Event::Escalated { round: 1, level: 1, to: vec![text()] },
        Event::Expired { round: 1 },
        Event::Cancelled { round: Some(1), reason: text() },
        Event::CancelRequested { step: 1, attempt: 1, reason: text() },
        Event::Superseded { round: 1, by: HERE },
        Event::Commented { text: text(), ask: true },
        released(1),
        Event::RetryScheduled { step: 1, attempt: 2, after: FIRST },
        Event::FreezeExcepted(FreezeException {
            freeze: text(),
            until: at(FIRST),
            approver: text(),
            roles: vec![text()],
            digest: digest(),
            justification: text(),
        }),
        Event::DocumentRenewed { step: 1, attempt: 1, digest: digest(), reason: text(), changes: Vec::new() },
        Event::StartRefused { step: 1, attempt: 1, reason: text() },
        Event::ExecutionStarted { step: 1, attempt: 1, owner: HERE, token: Some(TOKEN) },
        Event::ExecutionSucceeded { step: 1, attempt: 1, output: Some(json!({})) },
        Event::ExecutionFailed { step: 1, attempt: 1, output: Some(json!({})), error: text() },
        Event::ExecutionCancelled { step: 1, attempt: 1, output: Some(json!({})), error: text() },
        Event::ReportRequested { step: 1, attempt: 1 },
        Event::OutcomeUnknown { step: 1, attempt: 1, reason: text() },
        Event::Probed { step: 1, attempt: 1, answer: ProbeAnswer::CannotTell, output: Some(json!({})), reason: Some(text()) },
        Event::Resolved { step: 1, attempt: 1, outcome: Resolution::Retry, roles: vec![text()], justification: text() },
    ]
}

fn name(command: &Command) -> &'static str {
    match command {
        Command::Approve { .. } => "approve",
        Command::BreakGlass { .. } => "break glass",
        Command::Review { .. } => "review",
        Command::Reject { .. } => "reject",
        Command::Except { .. } => "except",
        Command::Cancel { .. } => "cancel",
        Command::Supersede { .. } => "supersede",
        Command::Comment { .. } => "comment",
        Command::Withdraw { .. } => "withdraw",
        Command::Report { .. } => "result",
        Command::Resolve { .. } => "resolve",
        Command::Claim { .. } => "claim",
        Command::Start { .. } => "start",
        Command::RefuseStart { .. } => "refuse",
        Command::AskAgain { .. } => "ask again",
        Command::Renew { .. } => "renew",
        Command::Finish { .. } => "finish",
        Command::Probed { .. } => "probed",
        Command::Recover { .. } => "recover",
        Command::Disown { .. } => "disown",
        Command::Tick { .. } => "tick",
    }
}

fn terms() -> ApprovalTerms {
    let step = |after, role: &str| EscalationStep { after, to: vec![role.to_owned()] };
    ApprovalTerms {
        approvers: vec!["team_lead".to_owned(), "tech_lead".to_owned()],
        required: 1,
        distinct_roles: false,
        require_justification: false,
        require_digest: false,
        separation_of_duties: true,
        escalation: vec![step(FIRST, "cto"), step(SECOND, "admin")],
        expire_after: Some(EXPIRY),
    }
}

fn submitted(action: ActionKind, idempotent: bool) -> Event {
    let submission = Submission {
        task_id: Some("TASK-1".to_owned()),
        requested_by: "deploy-bot".to_owned(),
        on_behalf_of: Some("tom".to_owned()),
        digest: Digest::of(b"the document"),
        assessment: Assessment { level: Level::High, reasons: Vec::new(), policy_version: Digest::of(b"the policy") },
        action,
        idempotent,
        report_within: Some(REPORT),
        retry: None,
        probe: false,
        target: Some(Target::default()),
        supersedes: Some(Uuid::from_u128(9)),
        gate: Default::default(),
        steps: Vec::new(),
        claim: None,
    };
    Event::Submitted(submission.into())
}

/// An attempt at the only step.
fn of(number: u32) -> AttemptId {
    AttemptId { step: 1, number }
}

fn started(attempt: u32) -> Event {
    Event::ExecutionStarted { step: 1, attempt, owner: THERE, token: None }
}

fn released(attempt: u32) -> Event {
    Event::Released { step: 1, attempt }
}

fn parked(terms: &ApprovalTerms) -> Workflow {
    parked_of(ActionKind::External, terms)
}

fn parked_of(action: ActionKind, terms: &ApprovalTerms) -> Workflow {
    fold(&[
        ("deploy-bot", submitted(action, false)),
        ("deploy-bot", Event::ApprovalRequested { round: 1, terms: terms.clone().into(), reason: None, step: None }),
    ])
}

/// Approved by tess, and waiting for its turn.
fn queued(idempotent: bool) -> Workflow {
    let mut log = approved_log(ActionKind::Runbook, idempotent);
    log.push(("tess", released(1)));
    fold(&log)
}

/// Approved by tess; the event that starts the action is still missing.
fn approved_log(action: ActionKind, idempotent: bool) -> Vec<(&'static str, Event)> {
    let approval = Approval {
        round: 1,
        approver: "tess".to_owned(),
        roles: vec!["team_lead".to_owned()],
        digest: Digest::of(b"the document"),
        justification: None,
        remaining: 0,
        by_groups: Vec::new(),
    };
    let requested = Event::ApprovalRequested { round: 1, terms: terms().into(), reason: None, step: None };
    vec![("deploy-bot", submitted(action, idempotent)), ("deploy-bot", requested), ("tess", Event::Approved(approval))]
}

/// Approved by tess, and begun by the process that is gone.
fn executing(action: ActionKind, idempotent: bool) -> Workflow {
    let mut log = approved_log(action, idempotent);
    log.push(("tess", started(1)));
    fold(&log)
}

fn fold(log: &[(&str, Event)]) -> Workflow {
    let recorded = |(place, (actor, event)): (usize, &(&str, Event))| Recorded {
        version: u32::try_from(place + 1).expect("a short log"),
        at: at(Duration::ZERO),
        actor: (*actor).to_owned(),
        via: Via::Rest,
        event: event.clone(),
    };
    let log: Vec<Recorded> = log.iter().enumerate().map(recorded).collect();
    transition::replay(ID, &log).expect("a log that can be").expect("a workflow")
}

/// The workflow after a command that is not refused.
#[track_caller]
fn answered(workflow: &Workflow, command: &Command) -> Workflow {
    let Ok(Answer::Commit { events, .. }) = transition::decide(workflow, command) else { panic!("{command:?} writes nothing") };
    let actor = command.caller().map_or(parkbrake::domain::policy::SYSTEM, |by| &by.name);
    events.into_iter().fold(workflow.clone(), |workflow, event| {
        let recorded = Recorded { version: workflow.version + 1, at: at(FIRST), actor: actor.to_owned(), via: Via::Rest, event };
        transition::apply(ID, Some(workflow), &recorded).expect("what is decided can be applied")
    })
}

fn at(delay: Duration) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::from_std(delay).expect("a short delay")
}

fn moment(guard: Option<DateTime<Utc>>) -> String {
    match guard {
        None => "none",
        Some(moment) if moment == at(EXPIRY) => "the expiry",
        Some(moment) if moment == at(REPORT) => "when the report is due",
        Some(moment) if moment == at(SECOND) => "the last step that is due",
        Some(moment) => panic!("{moment} is no moment of the timetable"),
    }
    .to_owned()
}

fn person(name: &str, roles: &[&str]) -> Principal {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    Principal { name: name.to_owned(), kind: PrincipalKind::Person, roles, on_behalf_of: None, via: Via::Rest, signed_in: SignedIn::now() }
}

fn approve(name: &str) -> Command {
    approve_as(name, &["team_lead"])
}

fn approve_as(name: &str, roles: &[&str]) -> Command {
    Command::Approve { by: person(name, roles), justification: None, digest: None, owner: HERE }
}

fn reject(name: &str) -> Command {
    reject_as(name, &["team_lead"])
}

fn reject_as(name: &str, roles: &[&str]) -> Command {
    Command::Reject { by: person(name, roles), reason: None, digest: None }
}

fn cancel(name: &str) -> Command {
    Command::Cancel { by: person(name, &[]), reason: None }
}

fn comment(name: &str, ask: bool) -> Command {
    Command::Comment { by: person(name, &[]), text: "why now?".to_owned(), ask }
}

fn supersede(name: &str, successor: Uuid) -> Command {
    Command::Supersede { by: person(name, &[]), successor }
}

fn withdraw(name: &str) -> Command {
    // Whatever roles they have today.
    Command::Withdraw { by: person(name, &[]), reason: None }
}

fn report(name: &str, outcome: Outcome) -> Command {
    Command::Report { by: person(name, &[]), step: None, outcome }
}

fn resolve(name: &str, outcome: Resolution) -> Command {
    resolve_as(name, &["team_lead"], outcome)
}

fn resolve_as(name: &str, roles: &[&str], outcome: Resolution) -> Command {
    let deciders = vec!["team_lead".to_owned(), "cto".to_owned()];
    Command::Resolve { by: person(name, roles), outcome, justification: Some("I looked".to_owned()), owner: HERE, deciders }
}

fn start(attempt: u32) -> Command {
    Command::Start { attempt: of(attempt), owner: HERE, token: TOKEN, renewed: None }
}

fn refuse() -> Command {
    Command::RefuseStart { attempt: of(1), reason: "the runbook was changed".to_owned() }
}

fn ask_again() -> Command {
    Command::AskAgain { attempt: of(1), reason: "the terms are stricter now".to_owned(), terms: terms().into(), renewed: None }
}

/// A document that takes the place of the one before.
fn another() -> Renewed {
    Renewed::of(b"{}", br#"{"a":1}"#.to_vec(), "it drifted".to_owned())
}

fn ask_about_another() -> Command {
    let renewed = Some(another().into());
    Command::AskAgain { attempt: of(1), reason: "it drifted".to_owned(), terms: terms().into(), renewed }
}

fn renew() -> Command {
    Command::Renew { attempt: of(1), renewed: another().into() }
}

fn start_by_another() -> Command {
    Command::Start { attempt: of(1), owner: HERE, token: TOKEN, renewed: Some(another().into()) }
}

/// Approved by tess, and cora has excepted it from a freeze.
fn excepted() -> Workflow {
    let mut log = approved_log(ActionKind::Runbook, false);
    log.push(("tess", released(1)));
    let exception = FreezeException {
        freeze: "weekend".to_owned(),
        until: at(FIRST),
        approver: "cora".to_owned(),
        roles: vec!["cto".to_owned()],
        digest: Digest::of(b"the document"),
        justification: "an outage".to_owned(),
    };
    log.push(("cora", Event::FreezeExcepted(exception)));
    fold(&log)
}

fn disown(token: Uuid) -> Command {
    Command::Disown { attempt: of(1), token: Some(token), cause: Disowned::NotHere }
}

fn tick(after: Duration) -> Command {
    Command::Tick { now: at(after) }
}

fn succeeded() -> Outcome {
    Outcome::Succeeded { output: None }
}

fn failed() -> Outcome {
    Outcome::Failed { error: "broken".to_owned(), output: None }
}

/// It runs, it is idempotent, and two attempts may be made.
fn may_retry() -> Workflow {
    let mut workflow = answered(&queued(true), &start(1));
    workflow.plan.steps[0].retry = Some(Retry { attempts: 2, backoff: FIRST });
    workflow
}

/// Its first attempt has failed.
fn resting() -> Workflow {
    answered(&may_retry(), &finish_as(failed()))
}

/// Nobody knows how it ended, and its runbook has a probe.
fn in_doubt(may_retry: bool) -> Workflow {
    let mut workflow = if may_retry { self::may_retry() } else { answered(&queued(false), &start(1)) };
    workflow.plan.steps[0].probe = true;
    answered(&workflow, &finish_as(Outcome::Unknown { reason: "?".to_owned() }))
}

fn probed(answer: ProbeAnswer) -> Command {
    Command::Probed { attempt: of(1), answer, output: None, reason: None }
}

/// The pause is over.
fn released_again() -> Workflow {
    answered(&resting(), &tick(FIRST * 2))
}

fn second_attempt() -> Workflow {
    answered(&released_again(), &start(2))
}

/// Parkbrake ended it, because somebody had cancelled it.
fn ended_early() -> Outcome {
    Outcome::Cancelled { error: "ended".to_owned(), output: None }
}

fn finish_as(outcome: Outcome) -> Command {
    Command::Finish { attempt: of(1), outcome }
}

/// A table of the page.
struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// The first table under a heading.
fn table(heading: &str) -> Table {
    let (_, section) = PAGE.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("the page has no heading `{heading}`"));
    let section = section.split("\n## ").next().unwrap_or_default();
    let cells = |line: &str| -> Vec<String> { line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect() };
    let mut lines = section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|')).map(cells);
    let header = lines.next().unwrap_or_else(|| panic!("there is no table under `{heading}`"));
    let rows: Vec<_> = lines.skip(1).collect();
    assert!(!rows.is_empty() && rows.iter().all(|row| row.len() == header.len()), "the table under `{heading}` is not whole");
    Table { header, rows }
}
