//! The table "Where it depends": one case for each of its rows.

use crate::*;
use parkbrake::domain::policy::{ApprovalTerms, Principal, PrincipalKind};
use parkbrake::domain::task::ActionKind;
use parkbrake::domain::task::digest::Digest;
use parkbrake::domain::workflow::{Command, Outcome, ProbeAnswer, Resolution, Workflow};
use std::collections::BTreeMap;
use std::time::Duration;

#[test]
fn every_conditional_case_matches_the_table() {
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
        ("approve", "the request escalated to the caller's role", answered(&one, &tick(FIRST)), approve_as("cora", &["cto"])),
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
            "a justification is needed and blank",
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
            "distinct roles are needed, and somebody has approved in the caller's only one",
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
        ("withdraw", "it is fully approved", answered(&one, &approve("alice")), withdraw("alice")),
        ("withdraw", "it was rejected since", answered(&by_alice, &reject_as("tess", &["tech_lead"])), withdraw("alice")),
        ("withdraw", "it has expired since", answered(&by_alice, &tick(EXPIRY)), withdraw("alice")),
        ("withdraw", "it was cancelled since", answered(&by_alice, &cancel("deploy-bot")), withdraw("alice")),
        ("withdraw", "nobody was asked", alone.clone(), withdraw("alice")),
        ("withdraw", "the caller is an agent", by_alice.clone(), {
            Command::Withdraw { by: Principal { kind: PrincipalKind::Agent, ..person("other-bot", &["team_lead"]) }, reason: None }
        }),
        ("comment", "it waits", one.clone(), comment("nora", false)),
        ("comment", "the same person has just written the same", answered(&one, &comment("nora", false)), comment("nora", false)),
        ("comment", "somebody has commented since", answered(&answered(&one, &comment("nora", false)), &comment("tom", false)), {
            comment("nora", false)
        }),
        ("comment", "it is a question to the requester", one.clone(), comment("alice", true)),
        ("comment", "it is a question, from the requester", one.clone(), comment("deploy-bot", true)),
        ("comment", "it is rejected", answered(&one, &reject("alice")), comment("deploy-bot", false)),
        ("comment", "it is cancelled", answered(&one, &cancel("deploy-bot")), comment("alice", true)),
        ("comment", "it is executing", external.clone(), comment("alice", false)),
        (
            "comment",
            "it has the maximum number of comments",
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
        ("supersede", "by the same task, again", answered(&one, &supersede("deploy-bot", HERE)), supersede("deploy-bot", HERE)),
        ("supersede", "another task has superseded it", answered(&one, &supersede("deploy-bot", HERE)), supersede("deploy-bot", THERE)),
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
            "it was ended because somebody had cancelled it, and more attempts may follow",
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
        ("tick", "the pause before a retry is over", resting(), tick(FIRST * 2)),
        ("tick", "the pause before a retry is not over", resting(), tick(FIRST)),
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
            "another outcome than was reported before",
            answered(&external, &report("deploy-bot", failed())),
            report("deploy-bot", succeeded()),
        ),
        (
            "result",
            "the outcome was unknown, and now the requester reports it",
            answered(&unreported, &tick(REPORT * 2)),
            report("deploy-bot", succeeded()),
        ),
        ("resolve", "it succeeded", unknown.clone(), resolve("alice", Resolution::Succeeded)),
        ("resolve", "it failed", unknown.clone(), resolve("alice", Resolution::Failed)),
        ("resolve", "it is to run once more", unknown.clone(), resolve("alice", Resolution::Retry)),
        (
            "resolve",
            "an external action is to run once more",
            answered(&unreported, &tick(REPORT * 2)),
            resolve("alice", Resolution::Retry),
        ),
        ("resolve", "by an admin", unknown.clone(), resolve_as("cora", &["admin"], Resolution::Failed)),
        ("resolve", "by somebody who decides at some level, and nobody was asked", unknown_alone, resolve("alice", Resolution::Failed)),
        ("resolve", "by somebody without such a role", unknown.clone(), resolve_as("nora", &["auditor"], Resolution::Failed)),
        ("resolve", "by the requester", unknown.clone(), resolve_as("deploy-bot", &["team_lead"], Resolution::Failed)),
        ("resolve", "by the person that the requester acts for", unknown.clone(), resolve_as("tom", &["tech_lead"], Resolution::Failed)),
        ("resolve", "the justification is blank", unknown.clone(), unsaid),
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
        ("finish", "the outcome is unknown", runbook.clone(), {
            Command::Finish { attempt: of(1), outcome: Outcome::Unknown { reason: "?".to_owned() } }
        }),
        (
            "finish",
            "of an earlier attempt",
            answered(&runbook, &Command::Recover { attempt: of(1), owner: HERE }),
            Command::Finish { attempt: of(1), outcome: succeeded() },
        ),
        (
            "finish",
            "the outcome is unknown, and that is recorded already",
            answered(&once, &Command::Recover { attempt: of(1), owner: THERE }),
            { Command::Finish { attempt: of(1), outcome: Outcome::Unknown { reason: "?".to_owned() } } },
        ),
        ("start", "of another attempt than the one that waits", queued(false), start(2)),
        ("start", "it was committed before, with the same start token", begun.clone(), start(1)),
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
        ("tick", "two escalation steps are due", one.clone(), tick(SECOND)),
        ("tick", "the expiry is due, and an escalation step as well", one, tick(EXPIRY)),
    ];
    list.into_iter().map(|(command, when, workflow, asked)| ((command.to_owned(), when.to_owned()), (workflow, asked))).collect()
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
