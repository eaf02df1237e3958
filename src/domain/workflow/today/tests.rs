mod cover;

use super::*;
use crate::domain::policy::{Agent, EscalationStep, GroupRoles, LevelPolicy, Person};
use crate::domain::risk::Assessment;
use crate::domain::task::ActionKind;
use crate::domain::task::digest::Digest;
use crate::domain::via::Via;
use crate::domain::workflow::transition::Guard;
use crate::domain::workflow::{AttemptId, Recorded};
use chrono::DateTime;
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

fn roles<C: FromIterator<Role>>(names: &[&str]) -> C {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn terms() -> ApprovalTerms {
    ApprovalTerms {
        approvers: roles(&["lead", "tech"]),
        required: 2,
        distinct_roles: false,
        require_justification: false,
        require_digest: false,
        separation_of_duties: true,
        escalation: vec![EscalationStep { after: Duration::from_secs(60), to: roles(&["cto"]) }],
        expire_after: Some(Duration::from_secs(3_600)),
    }
}

/// A configuration, which a test changes from one day to the next.
#[derive(Clone)]
struct Setting {
    people: BTreeMap<String, Person>,
    agents: BTreeMap<String, Agent>,
    auto_approve: bool,
    terms: ApprovalTerms,
    suspended: Vec<&'static str>,
    group_roles: Option<GroupRoles>,
    now: DateTime<Utc>,
}

impl Setting {
    /// ann and ben are leads, tina and tom techs, cora cto; bot acts for nobody.
    fn first() -> Self {
        let people = [("ann", "lead"), ("ben", "lead"), ("tina", "tech"), ("tom", "tech"), ("cora", "cto")];
        let person = |(name, role): (&str, &str)| (name.to_owned(), Person { roles: roles(&[role]), ..Person::default() });
        Self {
            people: people.into_iter().map(person).collect(),
            agents: BTreeMap::from([("bot".to_owned(), Agent::default())]),
            auto_approve: false,
            terms: terms(),
            suspended: Vec::new(),
            group_roles: None,
            now: DateTime::UNIX_EPOCH,
        }
    }

    fn with<T>(&self, ask: impl FnOnce(Today<'_>) -> T) -> T {
        let level = |auto_approve| LevelPolicy {
            auto_approve,
            notify: true,
            terms: self.terms.clone().into(),
            break_glass: Vec::new(),
            remind_every: Duration::from_secs(60),
            report_within: Duration::from_secs(60),
            rejected_memory: Duration::ZERO,
            recent_sign_in: None,
            goal: None,
            warn_before: None,
        };
        let levels = [level(true), level(true), level(self.auto_approve), level(false)];
        let policy = Policy::new(levels, self.people.clone(), self.agents.clone()).with_group_roles(self.group_roles.clone());
        ask(Today { policy: &policy, suspended: &self.suspended.iter().collect(), now: self.now })
    }

    fn changed(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut changed = self.clone();
        change(&mut changed);
        changed
    }
}

/// A workflow of high risk.
fn parked(terms: Option<ApprovalTerms>, on_behalf_of: Option<&str>) -> Workflow {
    let submission = Submission {
        task_id: None,
        requested_by: "bot".to_owned(),
        on_behalf_of: on_behalf_of.map(str::to_owned),
        digest: Digest::of(b"the task"),
        assessment: Assessment { level: Level::High, reasons: Vec::new(), policy_version: Digest::of(b"policy") },
        action: ActionKind::Runbook,
        idempotent: false,
        report_within: None,
        retry: None,
        probe: false,
        target: None,
        supersedes: None,
        steps: Vec::new(),
        claim: None,
        gate: Default::default(),
    };
    transition::open(submission, terms, Uuid::nil()).into_iter().fold(None, |workflow, event| Some(after(workflow, event))).unwrap()
}

fn after(workflow: Option<Workflow>, event: Event) -> Workflow {
    let version = workflow.as_ref().map_or(0, |workflow| workflow.version) + 1;
    let recorded = Recorded { version, at: DateTime::UNIX_EPOCH, actor: "somebody".to_owned(), via: Via::Rest, event };
    transition::apply(Uuid::nil(), workflow, &recorded).unwrap()
}

fn yes(today: Today<'_>, name: &str, justification: Option<&str>) -> Command {
    let by = today.policy.principal(name).unwrap_or_else(|| panic!("{name} is not listed"));
    Command::Approve { by, justification: justification.map(str::to_owned), digest: None, owner: Uuid::nil() }
}

/// Somebody approves; gives the events by their names, and what the workflow is then.
fn approve(workflow: &Workflow, setting: &Setting, name: &str) -> Result<(Vec<&'static str>, Workflow), Refusal> {
    let answer = setting.with(|today| today.decide(workflow, &yes(today, name, None)))?;
    let Answer::Commit { events, guard } = answer else { panic!("{answer:?} writes nothing") };
    let deadline = workflow.round().and_then(transition::expires_at);
    assert_eq!(guard, Guard { not_after: deadline, ..Guard::default() }, "a decision is never later than the request's end");
    let names = events.iter().map(Event::name).collect();
    Ok((names, events.into_iter().fold(workflow.clone(), |workflow, event| after(Some(workflow), event))))
}

fn reason(workflow: &Workflow, setting: &Setting) -> String {
    match setting.with(|today| today.standing(workflow, 1, DateTime::UNIX_EPOCH)) {
        Standing::Holds => "holds".to_owned(),
        Standing::AskAgain { reason, .. } => reason,
        Standing::Refused { reason } => format!("refused: {reason}"),
    }
}

/// Each way in which a configuration becomes stricter after ann's approval: what the deciding
/// commit of tina then does, and what the start says where both approved before it.
#[test]
fn stricter_rules_apply_at_the_last_approval_and_at_the_start() {
    let first = Setting::first();
    let one = approve(&parked(Some(terms()), None), &first, "ann").unwrap().1;
    let (same, both) = approve(&one, &first, "tina").unwrap();
    assert_eq!((same, reason(&both, &first).as_str()), (vec!["approved", "released"], "holds"));
    assert_eq!(both.queued(), Some(AttemptId { step: 1, number: 1 }));

    let rows: [(&str, Setting, &str); 9] = [
        ("person removed", first.changed(|s| drop(s.people.remove("ann"))), "ann is no longer one of the people"),
        ("role removed", first.changed(|s| s.people.get_mut("ann").unwrap().roles.clear()), "the approval of ann no longer counts"),
        (
            "another role",
            first.changed(|s| s.people.get_mut("ann").unwrap().roles = roles(&["cto"])),
            "the approval of ann no longer counts",
        ),
        (
            "became an agent",
            first.changed(|s| {
                s.people.remove("ann");
                s.agents.insert("ann".to_owned(), Agent::default());
            }),
            "an agent never decides",
        ),
        ("suspended", first.changed(|s| s.suspended.push("ann")), "ann is suspended"),
        (
            "owner declared later",
            first.changed(|s| s.agents.get_mut("bot").unwrap().on_behalf_of = Some("ann".to_owned())),
            "bot submitted this task on behalf of ann",
        ),
        ("required raised", first.changed(|s| s.terms.required = 3), "high risk now needs 3 approvals, not 2"),
        ("justification", first.changed(|s| s.terms.require_justification = true), "high risk now needs a justification"),
        ("digest", first.changed(|s| s.terms.require_digest = true), "high risk now needs the digest"),
    ];
    for (what, today, why) in rows {
        assert!(reason(&both, &today).contains(why), "{what}: {}", reason(&both, &today));
        let decided = today.with(|now| {
            let Command::Approve { by, justification, owner, .. } = yes(now, "tina", Some("looked at it")) else { unreachable!() };
            let digest = Some(one.submission.digest.to_string());
            now.decide(&one, &Command::Approve { by, justification, digest, owner })
        });
        let Ok(Answer::Commit { events, .. }) = decided else { panic!("{what}: {decided:?}") };
        let [Event::ApprovalRequested { round: 2, reason: Some(said), .. }, Event::Approved(given)] = events.as_slice() else {
            panic!("{what}: {events:?}")
        };
        assert!(said.contains(why), "{what}: {said}");
        assert_eq!((given.round, given.approver.as_str(), given.remaining > 0), (2, "tina", true), "{what}");
    }
}

#[test]
fn the_new_round_ends_as_any_other_and_needs_approvals_of_its_own() {
    let first = Setting::first();
    let one = approve(&parked(Some(terms()), None), &first, "ann").unwrap().1;
    let today = first.changed(|s| s.suspended.push("ann"));
    let (events, two) = approve(&one, &today, "tina").unwrap();
    assert_eq!(events, ["approval_requested", "approved"]);
    assert_eq!(two.round().map(|round| (round.number, round.approvals.len())), Some((2, 1)));
    let (events, three) = approve(&two, &today, "ben").unwrap();
    assert_eq!((events, reason(&three, &today).as_str()), (vec!["approved", "released"], "holds"));
    // Who was suspended can answer again once restored, and what was given before the new round
    // stays void.
    assert!(matches!(approve(&two, &today.changed(|s| s.suspended.clear()), "ann"), Ok((events, _)) if events == ["approved", "released"]));
}

#[test]
fn somebody_without_rights_today_neither_approves_nor_rejects() {
    let first = Setting::first();
    let workflow = parked(Some(terms()), None);
    let ann = first.with(|today| today.policy.principal("ann")).unwrap();
    let gone = [first.changed(|s| drop(s.people.remove("ann"))), first.changed(|s| s.suspended.push("ANN"))];
    for today in gone {
        let approve = Command::Approve { by: ann.clone(), justification: None, digest: None, owner: Uuid::nil() };
        let reject = Command::Reject { by: ann.clone(), reason: None, digest: None };
        for command in [approve, reject] {
            assert!(matches!(today.with(|today| today.decide(&workflow, &command)), Err(Refusal::NotPermitted(_))), "{command:?}");
        }
    }
}

#[test]
fn a_role_that_is_asked_no_more_does_not_approve_and_still_rejects() {
    let today = Setting::first().changed(|s| s.terms.approvers = roles(&["tech"]));
    let workflow = parked(Some(terms()), None);
    assert!(matches!(approve(&workflow, &today, "ann"), Err(Refusal::NotAnApprover(_))));
    let reject = today.with(|now| Command::Reject { by: now.policy.principal("ann").unwrap(), reason: None, digest: None });
    assert!(matches!(today.with(|now| now.decide(&workflow, &reject)), Ok(Answer::Commit { .. })));
    assert!(approve(&workflow, &today, "tom").is_ok());
    // A level that asks nobody today takes nothing away from what was parked.
    let nobody = Setting::first().changed(|s| (s.auto_approve, s.terms.approvers) = (true, Vec::new()));
    assert!(approve(&workflow, &nobody, "ann").is_ok());
}

#[test]
fn unapproved_work_is_asked_about_once_its_level_needs_approval() {
    let (first, alone) = (Setting::first().changed(|s| s.auto_approve = true), parked(None, None));
    assert_eq!(reason(&alone, &first), "holds");
    let today = Setting::first();
    assert_eq!(reason(&alone, &today), "high risk needed no approval when this was submitted, and needs it now");
    for today in [first.changed(|s| s.suspended.push("bot")), first.changed(|s| s.agents.clear())] {
        assert!(reason(&alone, &today).starts_with("refused: bot, who submitted this, is"), "{}", reason(&alone, &today));
    }
}

#[test]
fn requests_of_principals_without_rights_are_not_approved_or_started() {
    let first = Setting::first();
    let one = approve(&parked(Some(terms()), None), &first, "ann").unwrap().1;
    let both = approve(&one, &first, "tina").unwrap().1;
    for today in [first.changed(|s| s.suspended.push("bot")), first.changed(|s| s.agents.clear())] {
        assert!(matches!(approve(&one, &today, "tina"), Err(Refusal::WrongState { .. })));
        assert!(reason(&both, &today).starts_with("refused: bot"));
    }
}

#[test]
fn nobody_in_the_requesters_owner_chain_approves() {
    let chain = Setting::first().changed(|s| {
        s.agents.insert("Helper".to_owned(), Agent { on_behalf_of: Some("tom".to_owned()) });
        s.agents.get_mut("bot").unwrap().on_behalf_of = Some("helper".to_owned());
    });
    assert!(matches!(approve(&parked(Some(terms()), None), &chain, "tom"), Err(Refusal::SelfApproval(_))));
    assert!(approve(&parked(Some(terms()), None), &chain, "ann").is_ok());
    // What was stored counts as well, in whatever case, and a ring of owners ends.
    let ring = chain.changed(|s| s.agents.get_mut("Helper").unwrap().on_behalf_of = Some("BOT".to_owned()));
    assert!(matches!(approve(&parked(Some(terms()), Some("ANN")), &ring, "ann"), Err(Refusal::SelfApproval(_))));
    assert!(approve(&parked(Some(terms()), Some("ANN")), &ring, "ben").is_ok());
    let off = chain.changed(|s| s.terms.separation_of_duties = false);
    assert!(approve(&parked(Some(ApprovalTerms { separation_of_duties: false, ..terms() }), None), &off, "tom").is_ok());
    let on = parked(Some(ApprovalTerms { separation_of_duties: false, ..terms() }), None);
    assert!(matches!(approve(&on, &chain, "tom"), Err(Refusal::SelfApproval(_))), "the stricter of both");
}

#[test]
fn those_who_were_asked_by_then_are_asked_in_the_new_round_from_the_start() {
    let first = Setting::first();
    let escalated = after(Some(parked(Some(terms()), None)), Event::Escalated { round: 1, level: 1, to: roles(&["cto"]) });
    let today = first.changed(|s| s.terms.required = 3);
    let (events, workflow) = approve(&escalated, &today, "cora").unwrap();
    assert_eq!(events, ["approval_requested", "approved"]);
    let round = workflow.round().unwrap();
    assert_eq!((round.terms.approvers.clone(), round.terms.escalation.len()), (roles(&["lead", "tech", "cto"]), 0));
}

/// The role that somebody answered for is asked no more: what is left of their approval is not
/// enough beside one of the same role. It is found when the other one approves, before anything is
/// released, and nobody's second press of the button is a new answer.
#[test]
fn an_approval_by_a_role_that_is_no_longer_asked_does_not_count() {
    let then = ApprovalTerms { distinct_roles: true, ..terms() };
    let first = Setting::first().changed(|s| {
        s.terms = then.clone();
        s.people.get_mut("ann").unwrap().roles = roles(&["lead", "tech"]);
    });
    let one = approve(&parked(Some(then), None), &first, "ann").unwrap().1;
    let today = first.changed(|s| s.terms.approvers = roles(&["lead"]));
    let (events, workflow) = approve(&one, &today, "ben").unwrap();
    assert_eq!(events, ["approval_requested", "approved"]);
    assert_eq!(workflow.round().unwrap().approvals.len(), 1);
    let again = today.with(|now| now.decide(&one, &yes(now, "ann", None)));
    assert!(matches!(again, Ok(Answer::Repeat(_))), "{again:?}");
}

/// Dan has no role, and a group of the provider makes him a lead for an hour from his sign-in on.
#[test]
fn a_group_role_counts_only_while_configured_and_recent() {
    let group_roles = GroupRoles {
        issuer: "https://login.example.com".to_owned(),
        roles: BTreeMap::from([("oncall".to_owned(), roles(&["lead"]))]),
        longest: Duration::from_secs(3_600),
    };
    let first = Setting::first().changed(|s| {
        s.terms.required = 1;
        s.people.insert("dan".to_owned(), Person::default());
        s.group_roles = Some(group_roles.clone());
    });
    let at = |minutes: i64| DateTime::UNIX_EPOCH + chrono::TimeDelta::minutes(minutes);
    let groups = ["oncall".to_owned(), "other".to_owned()];
    let given = |now| group_roles.given(&groups, at(0), now, &BTreeSet::new());
    assert_eq!((given(at(60)).len(), given(at(61)).len()), (1, 0), "a sign-in gives roles for an hour");
    assert_eq!(group_roles.given(&groups, at(0), at(0), &roles(&["lead"])), [], "what is listed needs no group");

    let workflow = parked(Some(first.terms.clone()), None);
    assert!(matches!(approve(&workflow, &first, "dan"), Err(Refusal::NotAnApprover(_))), "without the session there is no role");
    let approve = |today: Today<'_>| {
        let Command::Approve { mut by, justification, digest, owner } = yes(today, "dan", None) else { unreachable!() };
        by.signed_in.roles = given(at(0));
        today.decide(&workflow, &Command::Approve { by, justification, digest, owner })
    };
    let Ok(Answer::Commit { events, .. }) = first.with(approve) else { panic!("dan may approve") };
    let [Event::Approved(approval), Event::Released { .. }] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((&approval.roles, &approval.by_groups), (&roles(&["lead"]), &given(at(0))));
    let approved = events.into_iter().fold(workflow.clone(), |workflow, event| after(Some(workflow), event));

    let standing = |today: &Setting, minutes| match today.with(|today| today.standing(&approved, 1, at(minutes))) {
        Standing::Holds => "holds".to_owned(),
        Standing::AskAgain { reason, .. } => reason,
        Standing::Refused { reason } => format!("refused: {reason}"),
    };
    assert_eq!((standing(&first, 0).as_str(), standing(&first, 60).as_str()), ("holds", "holds"));
    assert!(standing(&first, 61).contains("the approval of dan no longer counts"), "{}", standing(&first, 61));
    let changed = |change: fn(&mut GroupRoles)| first.changed(|s| change(s.group_roles.as_mut().unwrap()));
    for (what, today) in [
        ("no groups", first.changed(|s| s.group_roles = None)),
        ("another provider", changed(|groups| groups.issuer = "https://elsewhere.example.com".to_owned())),
        ("another role", changed(|groups| drop(groups.roles.insert("oncall".to_owned(), roles(&["tech"]))))),
        ("no such group", changed(|groups| groups.roles.clear())),
    ] {
        assert!(standing(&today, 0).contains("the approval of dan no longer counts"), "{what}: {}", standing(&today, 0));
    }
    assert!(standing(&first.changed(|s| s.suspended.push("dan")), 0).contains("dan is suspended"));
}
