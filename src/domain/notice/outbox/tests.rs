mod away;

use super::*;
use crate::domain::notice::{ChannelSettings, Route, SecretName, Service};
use crate::domain::policy::{Agent, ApprovalTerms, EscalationStep, LevelPolicy, Policy, Role, Suspended};
use crate::domain::risk::Assessment;
use crate::domain::task::ActionKind;
use crate::domain::task::digest::Digest;
use crate::domain::via::Via;
use crate::domain::workflow::transition;
use crate::domain::workflow::{Approval, Recorded, Submission};
use chrono::DateTime;
use std::collections::BTreeMap;

const REMIND: Duration = Duration::from_secs(1_800);

fn roles(names: &[&str]) -> Vec<Role> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn terms() -> ApprovalTerms {
    ApprovalTerms {
        approvers: roles(&["lead"]),
        required: 2,
        distinct_roles: false,
        require_justification: false,
        require_digest: false,
        separation_of_duties: true,
        escalation: vec![
            EscalationStep { after: Duration::from_secs(60), to: roles(&["cto"]) },
            EscalationStep { after: Duration::from_secs(120), to: roles(&["admin"]) },
        ],
        expire_after: None,
    }
}

/// Levels of which low says nothing; ann and ben are leads, cora is cto, dora admin; eve has no
/// address, and bot acts for ben.
fn policy() -> Policy {
    with(None, None)
}

fn with(warn_before: Option<Duration>, goal: Option<Goal>) -> Policy {
    let level = |notify| LevelPolicy {
        auto_approve: false,
        notify,
        terms: terms().into(),
        break_glass: Vec::new(),
        remind_every: REMIND,
        report_within: REMIND,
        rejected_memory: Duration::ZERO,
        recent_sign_in: None,
        goal: goal.clone(),
        warn_before,
    };
    let person = |name: &str, roles: &[&str], reached: bool| {
        let email = reached.then(|| format!("{name}@example.com"));
        (name.to_owned(), Person { roles: roles.iter().map(|role| (*role).to_owned()).collect(), email, ..Person::default() })
    };
    let people = BTreeMap::from([
        person("ann", &["lead"], true),
        person("ben", &["lead"], true),
        person("cora", &["cto", "lead"], true),
        person("dora", &["admin"], true),
        person("eve", &["lead"], false),
        person("zoe", &["other"], true),
    ]);
    let agents = BTreeMap::from([("bot".to_owned(), Agent { on_behalf_of: Some("ben".to_owned()) })]);
    Policy::new([level(false), level(true), level(true), level(true)], people, agents)
}

/// One channel of each kind, which gets notices of every level.
fn notifications() -> Notifications {
    let secret = || SecretName("S".to_owned());
    let (url, api_url) = (|| "https://a.example".to_owned(), || "https://b.example".to_owned());
    let channel = |name: &str, service| (name.to_owned(), ChannelSettings { service, group_within: Duration::ZERO, template: None });
    let linear =
        Service::Linear { api_key: secret(), team_id: "t".to_owned(), api_url: api_url(), done_state: None, cancelled_state: None };
    let channels = BTreeMap::from([
        channel("hook", Service::Webhook { url: url(), secret: secret(), timeout: REMIND, allow_private: false }),
        channel("linear", linear),
        channel("mail", Service::Email { smtp_url: secret(), from: "a@b".to_owned() }),
        channel("pager", Service::PagerDuty { routing_key: secret(), api_url: api_url() }),
        channel("room", Service::Slack { webhook_url: secret(), buttons: None }),
    ]);
    let routes = vec![Route { levels: Level::ALL.to_vec(), channels: channels.keys().cloned().collect() }];
    Notifications { public_url: None, channels, routes }
}

fn submission(level: Level, requested_by: &str, on_behalf_of: Option<&str>) -> Event {
    let digest = Digest::of(b"");
    let submission = Submission {
        task_id: None,
        requested_by: requested_by.to_owned(),
        on_behalf_of: on_behalf_of.map(str::to_owned),
        digest: digest.clone(),
        assessment: Assessment { level, reasons: Vec::new(), policy_version: digest },
        action: ActionKind::External,
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
    Event::Submitted(submission.into())
}

fn approved(by: &str, remaining: u32) -> Event {
    let approval = Approval {
        round: 1,
        approver: by.to_owned(),
        roles: roles(&["lead"]),
        digest: Digest::of(b""),
        justification: None,
        remaining,
        by_groups: Vec::new(),
        cover: Vec::new(),
    };
    Event::Approved(approval)
}

fn escalated(level: u32) -> Event {
    Event::Escalated { round: 1, level, to: terms().escalation[level as usize - 1].to.clone() }
}

fn started() -> Event {
    Event::ExecutionStarted { step: 1, attempt: 1, owner: Uuid::nil(), token: None }
}

/// A workflow of these events, in commits; what follows from the last.
fn follow(commits: &[&[Event]]) -> Vec<Planned> {
    follow_under(&policy(), commits)
}

fn follow_under(policy: &Policy, commits: &[&[Event]]) -> Vec<Planned> {
    let mut states: Vec<Option<Workflow>> = vec![None];
    let mut version = 0;
    for events in commits {
        let fold = |state, event: &Event| {
            version += 1;
            let recorded =
                Recorded { version, at: DateTime::UNIX_EPOCH, actor: "somebody".to_owned(), via: Via::Rest, event: event.clone() };
            Some(transition::apply(Uuid::nil(), state, &recorded).unwrap())
        };
        let next = events.iter().fold(states.last().unwrap().clone(), fold);
        states.push(next);
    }
    let [.., before, Some(after)] = states.as_slice() else { panic!("a commit") };
    let commit = Commit { before: before.as_ref(), after, events: commits.last().unwrap() };
    plan(commit, Today { policy, suspended: &Suspended::default(), now: DateTime::UNIX_EPOCH }, &notifications(), Uuid::nil)
}

/// As `channel kind@version [recipient] [+seconds]`.
fn told(planned: &[Planned]) -> Vec<String> {
    let line = |notice: &Planned| {
        let recipient = notice.recipient.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
        let due = if notice.due_after.is_zero() { String::new() } else { format!(" +{}", notice.due_after.as_secs()) };
        format!("{} {}@{}{recipient}{due}", notice.channel, notice.kind.as_str(), notice.version)
    };
    planned.iter().map(line).collect()
}

fn asked_of(level: Level, requested_by: &str, on_behalf_of: Option<&str>) -> [Event; 2] {
    [submission(level, requested_by, on_behalf_of), Event::ApprovalRequested { round: 1, terms: terms().into(), reason: None, step: None }]
}

#[test]
fn a_request_asks_everybody_who_may_decide_and_reminds_them() {
    let planned = follow(&[&asked_of(Level::High, "bot", Some("ben"))]);
    assert_eq!(
        told(&planned),
        [
            "hook approval.requested@2",
            "hook approval.reminded@2 +1800",
            "linear approval.requested@2",
            "linear approval.reminded@2 +1800",
            "mail approval.requested@2 ann",
            "mail approval.reminded@2 ann +1800",
            "mail approval.requested@2 cora",
            "mail approval.reminded@2 cora +1800",
            "room approval.requested@2",
            "room approval.reminded@2 +1800",
        ],
        "not ben, for whom the agent acts, nor eve, who has no address; the pager is for escalations"
    );
    assert!(planned.iter().all(|notice| notice.level == Level::High && notice.number == u32::from(notice.kind == Kind::Reminded)));
}

#[test]
fn a_level_with_notify_false_plans_no_notices() {
    assert_eq!(follow(&[&asked_of(Level::Low, "bot", None)]), Vec::new());
}

#[test]
fn an_escalation_asks_those_who_were_not_asked_before() {
    let asked = asked_of(Level::High, "bot", None);
    let expected = |version: u32, name: &str| {
        vec![
            format!("hook approval.escalated@{version}"),
            format!("linear approval.escalated@{version}"),
            format!("mail approval.escalated@{version} {name}"),
            format!("mail approval.reminded@{version} {name} +1800"),
            format!("pager approval.escalated@{version}"),
            format!("room approval.escalated@{version}"),
        ]
    };
    let first: Vec<_> = told(&follow(&[&asked, &[escalated(1)]]));
    assert!(first.iter().all(|line| !line.starts_with("mail")), "cora was asked as a lead: {first:?}");
    assert_eq!(told(&follow(&[&asked, &[escalated(1)], &[escalated(2)]])), expected(4, "dora"));
    assert_eq!(told(&follow(&[&asked, &[escalated(1), escalated(2)]])), expected(4, "dora"), "two steps at once are one");
}

#[test]
fn a_quorum_that_is_short_decides_nothing() {
    let asked = asked_of(Level::High, "bot", None);
    assert_eq!(follow(&[&asked, &[approved("ann", 1)]]), Vec::new());
    let decided = follow(&[&asked, &[approved("ann", 1)], &[approved("ben", 0), started()]]);
    assert_eq!(
        told(&decided),
        [
            "hook approval.decided@4",
            "hook workflow.executing@5",
            "linear approval.decided@4",
            "pager approval.decided@4",
            "room approval.decided@4"
        ]
    );
}

#[test]
fn every_final_state_sends_a_notice() {
    let asked = asked_of(Level::High, "ann", None);
    let digest = Digest::of(b"");
    let rejected = Event::Rejected { round: 1, digest, roles: roles(&["lead"]), reason: "no".to_owned(), cover: Vec::new() };
    for (event, kind) in [
        (rejected, "approval.decided"),
        (Event::Expired { round: 1 }, "approval.expired"),
        (Event::Cancelled { round: Some(1), reason: "no".to_owned() }, "workflow.cancelled"),
    ] {
        let expected: Vec<_> = ["hook", "linear", "pager", "room"].map(|channel| format!("{channel} {kind}@3")).into();
        assert_eq!(told(&follow(&[&asked, &[event]])), expected);
    }
    let begun = [approved("ben", 0), started()];
    let mails = |event: Event| {
        let told = told(&follow(&[&asked, &begun, &[event]]));
        told.into_iter().filter_map(|line| line.strip_prefix("mail ").map(str::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(mails(Event::ExecutionSucceeded { step: 1, attempt: 1, output: None }), Vec::<String>::new());
    let failed = Event::ExecutionFailed { step: 1, attempt: 1, output: None, error: "no".to_owned() };
    assert_eq!(mails(failed), ["workflow.failed@5 ann", "workflow.failed@5 ben"], "who asked for it, and who approved it");
    let unknown = Event::OutcomeUnknown { step: 1, attempt: 1, reason: "no".to_owned() };
    let expected = ["ann", "ben", "cora"].map(|name| format!("workflow.outcome_unknown@5 {name}"));
    assert_eq!(mails(unknown), expected, "and everybody who may decide at its level");
}

#[test]
fn unapproved_work_sends_notices_if_its_level_notifies() {
    let told = told(&follow(&[&[submission(Level::Medium, "bot", None), started()]]));
    assert_eq!(told, ["hook workflow.executing@2"]);
    assert_eq!(follow(&[&[submission(Level::Low, "bot", None), started()]]), Vec::new());
}

#[test]
fn without_channels_nothing_is_planned() {
    let events = asked_of(Level::High, "bot", None);
    let recorded = |(version, event): (u32, &Event)| Recorded {
        version,
        at: DateTime::UNIX_EPOCH,
        actor: "bot".to_owned(),
        via: Via::Rest,
        event: event.clone(),
    };
    let log: Vec<_> = (1..).zip(&events).map(recorded).collect();
    let after = transition::replay(Uuid::nil(), &log).unwrap().unwrap();
    let commit = Commit { before: None, after: &after, events: &events };
    assert_eq!(
        plan(
            commit,
            Today { policy: &policy(), suspended: &Suspended::default(), now: DateTime::UNIX_EPOCH },
            &Notifications::default(),
            || panic!("no id is needed")
        ),
        Vec::new()
    );
}

#[test]
fn webhooks_follow_the_schedule_of_the_standard_and_people_hear_within_minutes() {
    let id = Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_1234);
    let seconds = |medium, attempts| pause(medium, attempts, id).as_secs_f64();
    for (attempts, expected) in (1..).zip([5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0, 86_400.0]) {
        let found = seconds(Medium::Webhook, attempts);
        assert!((expected..=expected * 1.1).contains(&found), "{attempts}: {found}");
    }
    for medium in [Medium::Slack, Medium::Email, Medium::Linear, Medium::PagerDuty, Medium::WebPush] {
        for (attempts, expected) in (1..).zip([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 300.0, 300.0]) {
            let found = seconds(medium, attempts);
            assert!((expected..=expected * 1.1).contains(&found), "{attempts}: {found}");
        }
    }
    assert!(pause(Medium::Slack, u32::MAX, id) < Duration::from_secs(331));
    let apart: BTreeSet<_> = (0..100_u128).map(|low| pause(Medium::Webhook, 3, Uuid::from_u128(low * 97))).collect();
    assert!(apart.len() > 90, "what failed together is not tried again together");
}

/// The request of a level that lets requests expire after an hour.
fn expiring(warn_before: Option<u64>) -> Vec<String> {
    let terms = ApprovalTerms { expire_after: Some(Duration::from_secs(3_600)), ..terms() };
    let events =
        [submission(Level::High, "bot", Some("ben")), Event::ApprovalRequested { round: 1, terms: terms.into(), reason: None, step: None }];
    let policy = with(warn_before.map(Duration::from_secs), None);
    let all = follow_under(&policy, &[&events]).into_iter().filter(|notice| notice.kind == Kind::Expiring).collect::<Vec<_>>();
    told(&all)
}

#[test]
fn those_who_are_asked_are_warned_once_before_a_request_expires() {
    let expected = |seconds: u64| {
        ["hook", "linear", "mail", "mail", "pager", "room"]
            .into_iter()
            .zip(["", "", " ann", " cora", "", ""])
            .map(|(channel, who)| format!("{channel} approval.expiring@2{who} +{seconds}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(expiring(None), expected(2_700), "left out: a quarter of its time before");
    assert_eq!(expiring(Some(600)), expected(3_000));
    let never = follow(&[&asked_of(Level::High, "bot", None)]);
    assert!(never.iter().all(|notice| notice.kind != Kind::Expiring), "what never expires");
}

#[test]
fn people_asked_later_are_warned_at_the_same_moment() {
    let terms = ApprovalTerms { expire_after: Some(Duration::from_secs(100_000)), ..terms() };
    let step = |index: usize| terms.escalation[index].after.as_secs();
    let asked = [
        submission(Level::High, "bot", None),
        Event::ApprovalRequested { round: 1, terms: terms.clone().into(), reason: None, step: None },
    ];
    let planned = follow(&[&asked, &[escalated(1)], &[escalated(2)]]);
    let warned: Vec<_> = planned.into_iter().filter(|notice| notice.kind == Kind::Expiring).collect();
    assert_eq!(told(&warned), [format!("mail approval.expiring@4 dora +{}", 75_000 - step(1))]);
}

fn with_goal(remind: &[u32]) -> Policy {
    with(None, Some(Goal { within: Duration::from_secs(200), remind: remind.to_vec() }))
}

fn reminders_of_the_goal(policy: &Policy, commits: &[&[Event]]) -> Vec<String> {
    let nears = |notice: &Planned| notice.kind == Kind::GoalNears;
    let planned: Vec<_> = follow_under(policy, commits).into_iter().filter(nears).collect();
    planned.iter().zip(told(&planned)).map(|(notice, line)| format!("{line} {}%", notice.number)).collect()
}

#[test]
fn those_who_are_asked_are_reminded_at_each_share_of_the_goal() {
    let asked = asked_of(Level::High, "bot", Some("ben"));
    let channels = [("hook", ""), ("linear", ""), ("mail", " ann"), ("mail", " cora"), ("room", "")];
    let expected = |share: u64| channels.map(|(channel, who)| format!("{channel} approval.goal_nears@2{who} +{} {share}%", 2 * share));
    let mut all = [expected(50), expected(90)].concat();
    all.sort();
    let mut found = reminders_of_the_goal(&with_goal(&[50, 90]), &[&asked]);
    found.sort();
    assert_eq!(found, all, "the pager is for escalations");
    assert_eq!(reminders_of_the_goal(&with_goal(&[]), &[&asked]), Vec::<String>::new());
}

#[test]
fn people_asked_later_get_only_the_remaining_goal_reminders() {
    let asked = asked_of(Level::High, "bot", None);
    let found = reminders_of_the_goal(&with_goal(&[50, 60, 90]), &[&asked, &[escalated(1)], &[escalated(2)]]);
    assert_eq!(found, ["mail approval.goal_nears@4 dora +60 90%"], "dora is asked after 120 s, when 60% has just passed");
}

#[test]
fn a_share_of_the_goal_that_a_later_one_has_overtaken_is_past() {
    let goal = Goal { within: Duration::from_secs(200), remind: vec![50, 90] };
    let is_past = |percent, seconds| goal.is_past(percent, Duration::from_secs(seconds)).is_some();
    assert!(!is_past(50, 99) && !is_past(50, 100) && !is_past(50, 179) && is_past(50, 180));
    assert!(!is_past(90, 179) && !is_past(90, 1_000));
    assert!(is_past(60, 130), "today's configuration does not name it");
}
