//! Every rule about decisions applies to every way in: the same verdict, and the same log except
//! for the way in. GitHub is not a way in for decisions, so it has no column:
//! `github::nothing_that_github_sends_decides`.

mod door;
mod rules;

use crate::support::called;
use crate::support::client::{low, medium};
use crate::support::config::RULES;
use crate::support::server::Services;
use crate::support::{Config, TestApp, eventually, services};
use door::{Act, Buttons, Cli, Door, Heard, Inbox, Rest, SIGNING_SECRET, What};
use rules::{Before, CANCELLING, COVERED, FOR_EVER, FROZEN, GLASS, HASTY, PAIRED, RECENT, Rule, STEPWISE, USUAL, WORDY};
use serde_json::Value;
use std::fmt::Write as _;

const MEMBERS: &[(&str, &str)] = &[("alice", "U01"), ("tom", "U02"), ("tess", "U03"), ("nora", "U05"), ("cora", "U04")];

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

/// Nora covers for alice, who is away; cora covers for nora and for tom, who are away as well.
const AWAY: [(&str, &str); 3] = [
    ("[team_lead], slack: U01 }", "[team_lead], slack: U01, away: { until: 2099-01-01, cover: nora } }"),
    ("[auditor, sre], slack: U05 }", "[auditor, sre], slack: U05, away: { until: 2099-01-01, cover: cora } }"),
    ("[team_lead], slack: U02 }", "[team_lead], slack: U02, away: { until: 2099-01-01, cover: cora } }"),
];

const ROOM: &str = "
public_url: https://parkbrake.example.com
channels:
  room: { type: slack, webhook_url: { from_env: ROOM }, buttons: { signing_secret: { from_env: SIGNING }, levels: [low, medium] } }
";

/// Tests rules at every way in, and prints what each one did if one of them differed.
#[track_caller]
fn hold(config: Config, policies: &str, rules: &[Rule]) -> impl Future<Output = ()> {
    called(async move {
        let slack = services::Slack::start().await;
        let services = Services {
            secrets: vec![("SIGNING", SIGNING_SECRET.to_owned()), ("ROOM", slack.webhook_url())],
            slack: Some(format!("{}/actions/", slack.service.url)),
        };
        let is_away = policies.contains("allow_cover");
        let people = AWAY.iter().filter(|_| is_away).fold(PEOPLE.to_owned(), |people, (present, away)| people.replace(present, away));
        let config = config.write("hitl/approval-policies.yaml", &format!("{people}{policies}")).write("notifications.yaml", ROOM);
        let app = TestApp::with_services(config, services).await;
        let people: Vec<&str> = MEMBERS.iter().map(|(name, _)| *name).collect();
        let inbox = Inbox::signed_in(&app, &people).await;
        let buttons = Buttons { app: &app, slack: &slack, members: MEMBERS };
        let doors: [&dyn Door; 4] = [&Rest(&app), &inbox, &buttons, &Cli(&app)];
        // So that the excepted action does not start while the logs are compared.
        let is_frozen = policies.contains("freezes");
        // A button cannot decide about a plan, because a message does not show all of it.
        let are_plans = rules.iter().any(|rule| matches!(rule.before, Before::AtAStep | Before::AtAStepForThePlan));
        if is_frozen {
            app.client("cora").post("/halt", serde_json::json!({"reason": "to compare"})).await.expect(200);
        }
        let (mut matrix, mut is_valid) = (String::new(), true);
        for rule in rules {
            let _ = writeln!(matrix, "{}", rule.name);
            let mut first: Option<Vec<String>> = None;
            // A button carries no justification, so it cannot approve an exception.
            for door in doors.into_iter().filter(|door| door.is_for(rule.what) && (!(is_frozen || are_plans) || door.takes_notes())) {
                if rule.named.is_some() && !door.takes_names() {
                    let _ = writeln!(matrix, "  {:6} as it should: who decides cannot be said here", door.name());
                    continue;
                }
                let is_agent = rule.who.ends_with("-bot");
                let refused = rule.refused.map(|words| door.tells_agents().filter(|_| is_agent).unwrap_or(words));
                // The one rule that depends on how a person authenticated.
                let asks_when = rule.refused.is_some() && rule.event.is_some();
                let refused = refused.filter(|_| !(asks_when && door.proves_each_time()));
                let event = rule.event.filter(|_| refused.is_none());
                let (heard, log) = attempt(&app, door, rule, is_frozen.then_some("works")).await;
                let as_told = match (&heard, refused) {
                    (Heard::Done, None) => true,
                    (Heard::Refused(text), Some(words)) => text.contains(words),
                    _ => false,
                };
                let as_logged =
                    log.first().map(String::as_str) == event.map(|event| format!("{event} by {} at the door", rule.who)).as_deref();
                let same = asks_when || *first.get_or_insert_with(|| log.clone()) == log;
                is_valid &= as_told && as_logged && same;
                let mark = if as_told && as_logged && same { "as it should" } else { "WRONG" };
                let _ = writeln!(matrix, "  {:6} {mark}: {}, log: {log:?}", door.name(), brief(&heard));
            }
        }
        assert!(is_valid, "a door is wrong:\n{matrix}");
    })
}

fn brief(heard: &Heard) -> String {
    match heard {
        Heard::Done => "done".to_owned(),
        Heard::Refused(text) => format!("refused: {}", text.chars().take(600).collect::<String>()),
    }
}

/// One attempt through one way in, on its own request: the answer, and the new events in the log.
#[track_caller]
fn attempt(app: &TestApp, door: &dyn Door, rule: &Rule, exception: Option<&str>) -> impl Future<Output = (Heard, Vec<String>)> {
    called(async move {
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
            // Longer than the second that the policy permits.
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
            // So that nora may break the glass again; if nothing is open, this is refused.
            for broken in [&id, &owing] {
                alice.post(&format!("/workflows/{broken}/review"), serde_json::json!({"finding": "right"})).await;
            }
        }
        let new = workflow["history"].as_array().unwrap().iter().filter(|event| event["version"].as_u64().unwrap() > before);
        (heard, new.map(|event| line(event, door.via())).collect())
    })
}

#[track_caller]
fn break_glass(app: &TestApp, id: &str, digest: &str) -> impl Future<Output = ()> {
    called(async move {
        let body = serde_json::json!({"break_glass": true, "digest": digest, "justification": "INC-7"});
        app.client("nora").post(&format!("/workflows/{id}/approve"), body).await.expect(200);
    })
}

fn line(event: &Value, via: &str) -> String {
    let door = event["via"].as_str().unwrap();
    let door = if door == via { "the door" } else { door };
    format!("{} by {} at {door}", event["event"].as_str().unwrap(), event["actor"].as_str().unwrap())
}

#[tokio::test]
async fn every_way_in_enforces_every_rule() {
    hold(Config::new(), "", USUAL).await;
}

#[tokio::test]
async fn every_way_in_that_withdraws_approvals_enforces_the_same_rules() {
    hold(Config::new(), "policies: { medium: { required: 2 } }\n", PAIRED).await;
}

#[tokio::test]
async fn every_way_in_that_cancels_tasks_enforces_the_same_rules() {
    hold(Config::new().with_runbooks(FOR_EVER), "", CANCELLING).await;
}

#[tokio::test]
async fn every_way_in_that_shows_plans_enforces_the_same_rules_for_single_steps() {
    hold(Config::new(), "", STEPWISE).await;
}

#[tokio::test]
async fn every_way_in_that_breaks_the_glass_enforces_the_same_rules() {
    let config = Config::new();
    hold(config, "policies: { medium: { required: 2, break_glass: [sre] } }\n", GLASS).await;
}

#[tokio::test]
async fn a_cover_decides_at_every_way_in_but_not_by_a_chain_or_for_the_requester() {
    hold(Config::new(), "allow_cover: true\n", COVERED).await;
}

#[tokio::test]
async fn every_way_in_without_a_token_per_call_requires_a_recent_sign_in() {
    hold(Config::new(), "policies: { medium: { require_recent_sign_in: 1s } }\n", RECENT).await;
}

#[tokio::test]
async fn no_way_in_decides_an_expired_request() {
    hold(Config::new(), "policies: { medium: { expire_after: 1s } }\n", HASTY).await;
}

#[tokio::test]
async fn every_way_in_requires_a_required_justification() {
    let rules = RULES.replace("approvers: [team_lead] }", "approvers: [team_lead], require_justification: true }");
    assert_ne!(rules, RULES);
    hold(Config::new().with_rules(&rules), "", WORDY).await;
}

#[tokio::test]
async fn every_way_in_with_justifications_approves_freeze_exceptions_by_the_same_rules() {
    let day = |days: i64| (chrono::Utc::now() + chrono::TimeDelta::days(days)).format("%Y-%m-%d").to_string();
    let freeze = format!("freezes: {{ works: {{ from: {}, until: {}, time_zone: UTC, exception: [team_lead] }} }}\n", day(-2), day(2));
    hold(Config::new(), &freeze, FROZEN).await;
}
