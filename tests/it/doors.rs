//! Every rule about decisions holds at every door: the same verdict, and the same log but for the
//! word that says which door it was. Where GitHub asks is no door for decisions, and has no column:
//! `github::nothing_that_github_sends_decides`.

mod door;

use crate::support::client::{low, medium};
use crate::support::config::RULES;
use crate::support::server::Services;
use crate::support::{Config, TestApp, eventually, services};
use door::{Act, Buttons, Cli, Door, Heard, Inbox, Rest, SIGNING_SECRET, What};
use serde_json::Value;
use std::fmt::Write as _;

const MEMBERS: &[(&str, &str)] = &[("alice", "U01"), ("tom", "U02"), ("tess", "U03"), ("nora", "U05")];

const PEOPLE: &str = "
people:
  alice: { roles: [team_lead], slack: U01 }
  tom:   { roles: [team_lead], slack: U02 }
  tess:  { roles: [team_lead], slack: U03 }
  cora:  { roles: [tech_lead, cto, admin], slack: U04 }
  nora:  { roles: [auditor, sre], slack: U05 }
agents:
  deploy-bot: { on_behalf_of: tom }
  other-bot: { on_behalf_of: tess }
";

const ROOM: &str = "
public_url: https://parkbrake.example.com
channels:
  room: { type: slack, webhook_url: { from_env: ROOM }, buttons: { signing_secret: { from_env: SIGNING }, levels: [low, medium] } }
";

/// What has happened before somebody comes to a door.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Parked,
    /// The digest is not the one of the request.
    Stale,
    /// The same person has said the same, by the same door.
    Said,
    /// The same person has approved.
    Approved,
    /// The same person has approved and taken it back.
    Withdrawn,
    Rejected,
    Cancelled,
    Expired,
    Released,
    Unknown,
    Suspended,
    /// It runs, and goes on for as long as nobody ends it.
    Running,
    /// Nora has broken the glass for it.
    Broken,
    /// Nora has broken the glass for another one.
    Owing,
    /// It is approved, and a freeze holds it.
    Frozen,
    /// The same person has approved an exception, by the same door.
    Excepted,
    /// It is a plan whose steps are approved one by one, and its first step waits.
    AtAStep,
    /// The same, and the digest is that of the whole plan.
    AtAStepForThePlan,
    /// Whoever has signed in did so too long ago.
    SignedInLongAgo,
}

/// A rule: what somebody tries, and what every door says and does about it.
struct Rule {
    name: &'static str,
    before: Before,
    who: &'static str,
    what: What,
    note: bool,
    /// Who decides, as the decision itself says.
    named: Option<&'static str>,
    /// Words of the refusal; none where it is done.
    refused: Option<&'static str>,
    /// The first event that it causes; none where the log stays as it is.
    event: Option<&'static str>,
}

const fn rule(name: &'static str, before: Before, who: &'static str, what: What, refused: &'static str) -> Rule {
    Rule { name, before, who, what, note: true, named: None, refused: Some(refused), event: None }
}

const fn done(name: &'static str, before: Before, what: What, event: Option<&'static str>) -> Rule {
    Rule { name, before, who: "alice", what, note: true, named: None, refused: None, event }
}

/// The person that the requester acts for takes it back.
const fn by_tom(name: &'static str, before: Before, event: Option<&'static str>) -> Rule {
    Rule { name, before, who: "tom", what: What::Cancel, note: true, named: None, refused: None, event }
}

/// Alice decides, and says that somebody decides.
const fn named(name: &'static str, named: &'static str, what: What, refused: Option<&'static str>) -> Rule {
    let event = match (refused, what) {
        (Some(_), _) => None,
        (None, What::Approve) => Some("approved"),
        (None, _) => Some("rejected"),
    };
    Rule { name, before: Before::Parked, who: "alice", what, note: true, named: Some(named), refused, event }
}

/// The rules that hold with the usual terms.
const USUAL: &[Rule] = &[
    done("an approver approves", Before::Parked, What::Approve, Some("approved")),
    done("an approver rejects", Before::Parked, What::Reject, Some("rejected")),
    done("the same yes twice", Before::Said, What::Approve, None),
    done("the same no twice", Before::Said, What::Reject, None),
    rule("self-approval", Before::Parked, "tom", What::Approve, "somebody else has to approve it"),
    rule("the wrong role approves", Before::Parked, "nora", What::Approve, "it needs team_lead; you are auditor and sre"),
    rule("the wrong role rejects", Before::Parked, "nora", What::Reject, "it needs team_lead; you are auditor and sre"),
    rule("a stale digest", Before::Stale, "alice", What::Approve, "the decision is about another document"),
    rule("decided otherwise", Before::Rejected, "tess", What::Approve, "rejected by alice already"),
    rule("cancelled", Before::Cancelled, "alice", What::Approve, "its status is cancelled"),
    rule("cancelled, and rejected", Before::Cancelled, "alice", What::Reject, "its status is cancelled"),
    rule("no approval was needed", Before::Released, "alice", What::Approve, "this task needed no approval"),
    rule("no approval was needed, and rejected", Before::Released, "alice", What::Reject, "this task needed no approval"),
    rule("unknown", Before::Unknown, "alice", What::Approve, "no workflow with this id"),
    rule("unknown, and rejected", Before::Unknown, "alice", What::Reject, "no workflow with this id"),
    rule("hidden", Before::Parked, "other-bot", What::Approve, "no workflow with this id"),
    rule("hidden, and rejected", Before::Parked, "other-bot", What::Reject, "no workflow with this id"),
    rule("hidden, and released", Before::Released, "other-bot", What::Approve, "no workflow with this id"),
    named("in one's own name", "alice", What::Approve, None),
    named("in one's own name, and rejected", "alice", What::Reject, None),
    named("in somebody else's name", "cora", What::Approve, Some("names somebody else")),
    named("in somebody else's name, and rejected", "cora", What::Reject, Some("names somebody else")),
    rule("suspended", Before::Suspended, "tess", What::Approve, "suspended"),
];

/// The rules where two approvals are needed.
const PAIRED: &[Rule] = &[
    done("an approver takes the own yes back", Before::Approved, What::Withdraw, Some("withdrawn")),
    done("the same yes taken back twice", Before::Withdrawn, What::Withdraw, None),
    done("a yes after one that was taken back", Before::Withdrawn, What::Approve, Some("approved")),
    rule("nothing to take back", Before::Parked, "tess", What::Withdraw, "nothing to take back"),
    rule("taken back after a no", Before::Rejected, "tess", What::Withdraw, "rejected by alice already"),
    rule("taken back, cancelled", Before::Cancelled, "alice", What::Withdraw, "its status is cancelled"),
    rule("taken back, unknown", Before::Unknown, "alice", What::Withdraw, "no workflow with this id"),
];

/// The rules of taking a task back.
const TAKEN_BACK: &[Rule] = &[
    by_tom("a task is taken back for its requester", Before::Parked, Some("cancelled")),
    by_tom("taken back twice", Before::Cancelled, None),
    by_tom("what runs is ended", Before::Running, Some("cancel_requested")),
    rule("taken back by somebody else", Before::Parked, "alice", What::Cancel, "cancelled by its requester or by an admin"),
    rule("what runs, by somebody else", Before::Running, "alice", What::Cancel, "cancelled by its requester or by an admin"),
    rule("what its requester does", Before::Released, "tom", What::Cancel, "its requester carries the action out"),
    rule("taken back after a no", Before::Rejected, "tom", What::Cancel, "nothing left to cancel"),
    rule("taken back, unknown", Before::Unknown, "tom", What::Cancel, "no workflow with this id"),
    rule("taken back, hidden", Before::Parked, "other-bot", What::Cancel, "no workflow with this id"),
];

const FOR_EVER: &str = "
runbooks:
  for-ever: { operation: read, environment: development, command: [sleep, '600'], timeout: 10m }
";

/// The rules where each step of a plan is approved by itself.
const STEPWISE: &[Rule] = &[
    done("an approver approves a step", Before::AtAStep, What::Approve, Some("approved")),
    done("an approver rejects a step", Before::AtAStep, What::Reject, Some("rejected")),
    rule(
        "the whole plan in the place of a step",
        Before::AtAStepForThePlan,
        "alice",
        What::Approve,
        "the decision is about another document",
    ),
    rule("a step of one's own plan", Before::AtAStep, "tom", What::Approve, "somebody else has to approve it"),
    rule("a step, by the wrong role", Before::AtAStep, "nora", What::Approve, "it needs team_lead; you are auditor and sre"),
];

const HASTY: &[Rule] = &[
    rule("expired", Before::Expired, "alice", What::Approve, "expired"),
    rule("expired, and rejected", Before::Expired, "alice", What::Reject, "expired"),
];

/// The rules where a yes needs a recent sign-in. Whoever brings a token with each call has always
/// signed in just now; a button in Slack never says when.
const RECENT: &[Rule] = &[
    Rule {
        refused: Some("signed in within the last 1s"),
        ..done("a yes long after the sign-in", Before::SignedInLongAgo, What::Approve, Some("approved"))
    },
    done("a no long after the sign-in", Before::SignedInLongAgo, What::Reject, Some("rejected")),
    rule("the wrong role, long after the sign-in", Before::SignedInLongAgo, "nora", What::Approve, "it needs team_lead"),
];

const WORDY: &[Rule] = &[Rule {
    name: "no justification",
    before: Before::Parked,
    who: "alice",
    what: What::Approve,
    note: false,
    named: None,
    refused: Some("justification"),
    event: None,
}];

const FROZEN: &[Rule] = &[
    done("an exception from a freeze", Before::Frozen, What::Approve, Some("freeze_excepted")),
    done("the same exception twice", Before::Excepted, What::Approve, None),
    rule(
        "an exception by the wrong role",
        Before::Frozen,
        "nora",
        What::Approve,
        "an exception from the freeze works needs team_lead; you are auditor and sre",
    ),
    rule("an exception for one's own request", Before::Frozen, "tom", What::Approve, "somebody else has to approve it"),
    Rule {
        name: "an exception without a word",
        before: Before::Frozen,
        who: "alice",
        what: What::Approve,
        note: false,
        refused: Some("justification"),
        event: None,
        named: None,
    },
    rule("an exception for what is parked", Before::Parked, "alice", What::Approve, "only what is released and has not started"),
];

/// The rules of an emergency, in which nora may release alone what two have to approve.
const GLASS: &[Rule] = &[
    Rule { who: "nora", ..done("the glass is broken", Before::Parked, What::BreakGlass, Some("glass_broken")) },
    Rule { who: "nora", ..done("the same break twice", Before::Broken, What::BreakGlass, None) },
    rule("broken without the role", Before::Parked, "alice", What::BreakGlass, "no role that may break the glass"),
    rule("broken for one's own request", Before::Parked, "tom", What::BreakGlass, "somebody else has to approve it"),
    rule("broken for another document", Before::Stale, "nora", What::BreakGlass, "the decision is about another document"),
    Rule { note: false, ..rule("broken without a word", Before::Parked, "nora", What::BreakGlass, "justification") },
    rule("broken before the last one is reviewed", Before::Owing, "nora", What::BreakGlass, "nobody has reviewed that yet"),
    done("a review", Before::Broken, What::Review, Some("reviewed")),
    rule("a review of one's own", Before::Broken, "nora", What::Review, "somebody else has to review that"),
    rule("a review on the requester's side", Before::Broken, "tom", What::Review, "somebody else has to approve it"),
    Rule { note: false, ..rule("a review that says nothing", Before::Broken, "alice", What::Review, "justification") },
    rule("a review of what nobody broke", Before::Parked, "alice", What::Review, "nothing to review"),
];

/// Holds rules at every door, and prints what each door did where one of them did something else.
async fn hold(config: Config, policies: &str, rules: &[Rule]) {
    let slack = services::Slack::start().await;
    let services = Services {
        secrets: vec![("SIGNING", SIGNING_SECRET.to_owned()), ("ROOM", slack.webhook_url())],
        slack: Some(format!("{}/actions/", slack.service.url)),
    };
    let config = config.write("hitl/approval-policies.yaml", &format!("{PEOPLE}{policies}")).write("notifications.yaml", ROOM);
    let app = TestApp::with_services(config, services).await;
    let people: Vec<&str> = MEMBERS.iter().map(|(name, _)| *name).collect();
    let inbox = Inbox::signed_in(&app, &people).await;
    let buttons = Buttons { app: &app, slack: &slack, members: MEMBERS };
    let doors: [&dyn Door; 4] = [&Rest(&app), &inbox, &buttons, &Cli(&app)];
    // So that what is excepted does not start while the logs are compared.
    let is_frozen = policies.contains("freezes");
    // A button decides about no plan: a message does not show all of it.
    let are_plans = rules.iter().any(|rule| matches!(rule.before, Before::AtAStep | Before::AtAStepForThePlan));
    if is_frozen {
        app.client("cora").post("/halt", serde_json::json!({"reason": "to compare"})).await.expect(200);
    }
    let (mut matrix, mut is_sound) = (String::new(), true);
    for rule in rules {
        let _ = writeln!(matrix, "{}", rule.name);
        let mut first: Option<Vec<String>> = None;
        // A button carries no justification, so no exception is made by one.
        for door in doors.into_iter().filter(|door| door.is_for(rule.what) && (!(is_frozen || are_plans) || door.takes_notes())) {
            if rule.named.is_some() && !door.takes_names() {
                let _ = writeln!(matrix, "  {:6} as it should: who decides cannot be said here", door.name());
                continue;
            }
            let is_agent = rule.who.ends_with("-bot");
            let refused = rule.refused.map(|words| door.tells_agents().filter(|_| is_agent).unwrap_or(words));
            // The one rule that asks how somebody came to the door.
            let asks_when = rule.refused.is_some() && rule.event.is_some();
            let refused = refused.filter(|_| !(asks_when && door.proves_each_time()));
            let event = rule.event.filter(|_| refused.is_none());
            let (heard, log) = attempt(&app, door, rule, is_frozen.then_some("works")).await;
            let as_told = match (&heard, refused) {
                (Heard::Done, None) => true,
                (Heard::Refused(text), Some(words)) => text.contains(words),
                _ => false,
            };
            let as_logged = log.first().map(String::as_str) == event.map(|event| format!("{event} by {} at the door", rule.who)).as_deref();
            let same = asks_when || *first.get_or_insert_with(|| log.clone()) == log;
            is_sound &= as_told && as_logged && same;
            let mark = if as_told && as_logged && same { "as it should" } else { "OTHERWISE" };
            let _ = writeln!(matrix, "  {:6} {mark}: {}, log: {log:?}", door.name(), brief(&heard));
        }
    }
    assert!(is_sound, "the doors do not agree:\n{matrix}");
}

fn brief(heard: &Heard) -> String {
    match heard {
        Heard::Done => "done".to_owned(),
        Heard::Refused(text) => format!("refused: {}", text.chars().take(600).collect::<String>()),
    }
}

/// One attempt at one door, on a request of its own: what was heard, and what it added to the log.
async fn attempt(app: &TestApp, door: &dyn Door, rule: &Rule, exception: Option<&str>) -> (Heard, Vec<String>) {
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let task = match rule.before {
        Before::Released => low(),
        Before::Running => {
            let mut task = low();
            task["action"] = serde_json::json!({"type": "runbook", "name": "for-ever"});
            task
        }
        Before::AtAStep | Before::AtAStepForThePlan => {
            serde_json::json!({"description": "build twice", "gate": "step", "steps": [medium(), medium()]})
        }
        _ => medium(),
    };
    let submitted = bot.submit(task).await;
    let id = submitted["workflow_id"].as_str().unwrap().to_owned();
    let digest = match rule.before {
        Before::AtAStep => &submitted["approval"]["step"]["digest"],
        _ => &submitted["digest"],
    };
    let digest = digest.as_str().unwrap().to_owned();
    let note = (rule.note && door.takes_notes()).then_some("looked at it");
    let mut act = Act { who: rule.who, id: &id, digest: &digest, what: rule.what, note, named: rule.named, exception };
    let (other_digest, other_id) = (format!("sha256:{}", "0".repeat(64)), uuid::Uuid::new_v4().to_string());
    let mut owing = other_id.clone();
    match rule.before {
        // Beyond the second that the policy grants.
        Before::SignedInLongAgo => tokio::time::sleep(std::time::Duration::from_millis(1_100)).await,
        Before::Parked | Before::Released | Before::AtAStep | Before::AtAStepForThePlan => {}
        Before::Running => drop(bot.wait_for(&id, "executing").await),
        Before::Frozen => drop(app.client("tess").approve(&id).await.expect(200)),
        Before::Excepted => {
            app.client("tess").approve(&id).await.expect(200);
            assert_eq!(door.decide(&act).await, Heard::Done);
        }
        Before::Broken => break_glass(app, &id, &digest).await,
        Before::Owing => {
            let other = bot.submit(medium()).await;
            owing = other["workflow_id"].as_str().unwrap().to_owned();
            break_glass(app, &owing, other["digest"].as_str().unwrap()).await;
        }
        Before::Stale => act.digest = &other_digest,
        Before::Unknown => act.id = &other_id,
        Before::Said => assert_eq!(door.decide(&act).await, Heard::Done),
        Before::Approved => drop(alice.approve(&id).await.expect(200)),
        Before::Withdrawn => {
            alice.approve(&id).await.expect(200);
            alice.post(&format!("/workflows/{id}/withdraw"), serde_json::json!({})).await.expect(200);
        }
        Before::Rejected => drop(alice.reject(&id).await.expect(200)),
        Before::Cancelled => drop(bot.post(&format!("/workflows/{id}/cancel"), serde_json::json!({})).await.expect(200)),
        Before::Expired => drop(bot.wait_for(&id, "expired").await),
        Before::Suspended => {
            app.database.execute("insert into suspension (name) values ('tess') on conflict do nothing").await;
            let tess = app.client("tess");
            let refused = || async { (tess.get("/workflows?limit=1").await.status == 401).then_some(()) };
            eventually("the suspension of tess", refused).await;
        }
    }
    let before = bot.workflow(&id).await["version"].as_u64().unwrap();
    let heard = door.decide(&act).await;
    if rule.before == Before::Running && heard == Heard::Done {
        bot.wait_for(&id, "cancelled").await;
    }
    let workflow = bot.workflow(&id).await;
    if matches!(rule.what, What::BreakGlass | What::Review) {
        // So that nora may break the next one; where there is nothing to close this is refused.
        for broken in [&id, &owing] {
            alice.post(&format!("/workflows/{broken}/review"), serde_json::json!({"finding": "right"})).await;
        }
    }
    let new = workflow["history"].as_array().unwrap().iter().filter(|event| event["version"].as_u64().unwrap() > before);
    (heard, new.map(|event| line(event, door.via())).collect())
}

async fn break_glass(app: &TestApp, id: &str, digest: &str) {
    let body = serde_json::json!({"break_glass": true, "digest": digest, "justification": "INC-7"});
    app.client("nora").post(&format!("/workflows/{id}/approve"), body).await.expect(200);
}

fn line(event: &Value, via: &str) -> String {
    let place = event["via"].as_str().unwrap();
    let place = if place == via { "the door" } else { place };
    format!("{} by {} at {place}", event["event"].as_str().unwrap(), event["actor"].as_str().unwrap())
}

#[tokio::test]
async fn every_rule_holds_at_every_door() {
    hold(Config::new(), "", USUAL).await;
}

#[tokio::test]
async fn a_yes_is_taken_back_by_the_same_rules_at_every_door_that_is_for_it() {
    hold(Config::new(), "policies: { medium: { required: 2 } }\n", PAIRED).await;
}

#[tokio::test]
async fn a_task_is_taken_back_by_the_same_rules_at_every_door_that_is_for_it() {
    hold(Config::new().with_runbooks(FOR_EVER), "", TAKEN_BACK).await;
}

#[tokio::test]
async fn a_step_that_is_approved_by_itself_is_decided_by_the_same_rules_at_every_door_that_shows_plans() {
    hold(Config::new(), "", STEPWISE).await;
}

#[tokio::test]
async fn the_glass_is_broken_and_reviewed_by_the_same_rules_at_every_door_that_is_for_it() {
    let config = Config::new();
    hold(config, "policies: { medium: { required: 2, break_glass: [sre] } }\n", GLASS).await;
}

#[tokio::test]
async fn a_recent_sign_in_is_asked_for_a_yes_at_every_door_at_which_somebody_does_not_prove_themselves_each_time() {
    hold(Config::new(), "policies: { medium: { require_recent_sign_in: 1s } }\n", RECENT).await;
}

#[tokio::test]
async fn an_expired_request_is_decided_at_no_door() {
    hold(Config::new(), "policies: { medium: { expire_after: 1s } }\n", HASTY).await;
}

#[tokio::test]
async fn a_required_justification_is_required_at_every_door() {
    let rules = RULES.replace("approvers: [team_lead] }", "approvers: [team_lead], require_justification: true }");
    assert_ne!(rules, RULES);
    hold(Config::new().with_rules(&rules), "", WORDY).await;
}

#[tokio::test]
async fn an_exception_from_a_freeze_is_the_same_at_every_door_that_carries_a_justification() {
    let day = |days: i64| (chrono::Utc::now() + chrono::TimeDelta::days(days)).format("%Y-%m-%d").to_string();
    let freeze = format!("freezes: {{ works: {{ from: {}, until: {}, time_zone: UTC, exception: [team_lead] }} }}\n", day(-2), day(2));
    hold(Config::new(), &freeze, FROZEN).await;
}
