//! Silence: who is asked next and when, how a request ends, and that nothing happens twice or too
//! early.

use crate::support::called;
use crate::support::client::{at, critical, events, high, medium, time};
use crate::support::proxy::{Fault, Proxy};
use crate::support::server::settings;
use crate::support::{Config, Database, TestApp, eventually};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use parkbrake::settings::Settings;
use serde_json::{Value, json};
use sqlx::Row as _;
use std::time::Duration;
use uuid::Uuid;

const CHAIN: &str = "escalation: { high: [ { after: 1s, to: [cto] }, { after: 2s, to: [auditor] } ] }";

/// A row of the table of requests: when it was made, its escalation level, and when it next falls
/// due.
#[track_caller]
fn due(app: &TestApp, id: &str) -> impl Future<Output = (DateTime<Utc>, i32, Option<DateTime<Utc>>)> {
    called(async move {
        let query = "select requested_at, escalation_level, timeout_at from approval_requests where workflow_id = $1";
        let id: Uuid = id.parse().unwrap();
        let row = sqlx::query(query).bind(id).fetch_one(&mut app.database.connect().await).await.unwrap();
        (row.get(0), row.get(1), row.get(2))
    })
}

/// Waits until the database's clock has passed a time.
#[track_caller]
fn past(app: &TestApp, moment: DateTime<Utc>) -> impl Future<Output = ()> {
    called(async move {
        eventually("the database's clock gets there", || async {
            let now: DateTime<Utc> =
                sqlx::query_scalar("select clock_timestamp()").fetch_one(&mut app.database.connect().await).await.unwrap();
            (now > moment).then_some(())
        })
        .await;
    })
}

/// Waits until an event of this name has happened.
#[track_caller]
fn happened(app: &TestApp, id: &str, event: &str, times: usize) -> impl Future<Output = Value> {
    called(async move {
        let client = app.client("nora");
        let mut workflow = client.workflow(id).await;
        while events(&workflow).iter().filter(|name| **name == event).count() < times {
            let version = &workflow["version"];
            let answer = client.get(&format!("/workflows/{id}/wait?since={version}&timeout=10s")).await.expect(200);
            assert_ne!(&answer["workflow"]["version"], version, "no {event} came: {:#}", workflow["history"]);
            workflow = answer["workflow"].clone();
        }
        workflow
    })
}

/// The escalations of a workflow: the number of the step, whom it asks, and how late it was.
#[track_caller]
fn escalations(workflow: &Value) -> Vec<(u64, Value, TimeDelta)> {
    let timetable = workflow["approval"]["timetable"].as_array().unwrap();
    let taken = workflow["history"].as_array().unwrap().iter().filter(|event| event["event"] == "escalated");
    taken
        .map(|event| {
            assert_eq!(event["actor"], "parkbrake");
            let level = event["detail"]["level"].as_u64().unwrap();
            let step = &timetable[usize::try_from(level).unwrap() - 1];
            assert_eq!((&step["what"], &step["to"]), (&json!("escalate"), &event["detail"]["to"]));
            (level, step["to"].clone(), time(&event["at"]) - time(&step["at"]))
        })
        .collect()
}

#[track_caller]
fn assert_on_time(late: TimeDelta) {
    assert!(late >= TimeDelta::zero(), "it came {late} early");
    assert!(late < TimeDelta::seconds(1), "it came {late} late");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_step_of_a_chain_is_taken_once_in_order_and_on_time() {
    let app = TestApp::with(Config::new().with_policies(CHAIN)).await;
    let bot = app.client("deploy-bot");
    join_all((0..20).map(|_| async {
        let accepted = bot.submit(high()).await;
        let (id, approval) = (accepted["workflow_id"].as_str().unwrap(), &accepted["approval"]);
        let requested = time(&approval["requested_at"]);
        let times: Vec<_> = approval["timetable"].as_array().unwrap().iter().map(|step| time(&step["at"]) - requested).collect();
        assert_eq!(times, [TimeDelta::seconds(1), TimeDelta::seconds(2)]);
        for count in [1, 2] {
            happened(&app, id, "escalated", count).await;
            let (requested_at, level, timeout_at) = due(&app, id).await;
            assert_eq!(requested_at, requested);
            assert_eq!(timeout_at, (level < 2).then(|| requested + TimeDelta::seconds(i64::from(level) + 1)), "after step {level}");
        }
        let workflow = bot.workflow(id).await;
        assert_eq!(events(&workflow), ["submitted", "approval_requested", "escalated", "escalated"]);
        let [(1, first, late), (2, second, later)] = &escalations(&workflow)[..] else { panic!("{workflow:#}") };
        assert_eq!((first, second), (&json!(["cto"]), &json!(["auditor"])));
        assert_on_time(*late);
        assert_on_time(*later);
        assert_eq!(workflow["approval"]["approvers"], json!(["team_lead", "tech_lead", "cto", "auditor"]));
        assert_eq!((&workflow["approval"]["escalation_level"], &workflow["status"]), (&json!(2), &json!("pending_approval")));
    }))
    .await;
}

#[tokio::test]
async fn an_escalation_adds_approvers_and_keeps_earlier_ones() {
    let policies = "policies: { high: { required: 2 } }\nescalation: { high: [ { after: 2s, to: [cto] } ] }";
    let app = TestApp::with(Config::new().with_policies(policies)).await;
    let id = app.client("lone-bot").submit_id(high()).await;
    app.client("cora").approve(&id).await.problem(403, "not-an-approver");
    app.client("alice").approve(&id).await.expect(200);
    let workflow = happened(&app, &id, "escalated", 1).await;
    assert_eq!(workflow["approval"]["approvals"], 1, "what was said before still counts");
    assert_eq!(app.client("cora").approve(&id).await.expect(200)["status"], "approved");
    let workflow = app.client("cora").workflow(&id).await;
    assert_eq!(workflow["decisions"][1]["role"], "cto");
}

#[tokio::test]
async fn a_level_without_a_chain_asks_the_next_higher_level_and_critical_asks_the_admin() {
    let rules = "
risk_levels:
  low:      { auto_approve: true }
  medium:   { auto_approve: false, approvers: [team_lead], escalate_after: 1s }
  high:     { auto_approve: false, approvers: [team_lead, tech_lead], escalate_after: 1s }
  critical: { auto_approve: false, approvers: [tech_lead, cto], escalate_after: 1s }
";
    let app = TestApp::with(Config::new().with_rules(rules)).await;
    let bot = app.client("lone-bot");
    for (task, asked, all) in [
        (medium(), json!(["team_lead", "tech_lead"]), json!(["team_lead", "tech_lead"])),
        (high(), json!(["tech_lead", "cto"]), json!(["team_lead", "tech_lead", "cto"])),
        (critical(), json!(["admin"]), json!(["tech_lead", "cto", "admin"])),
    ] {
        let id = bot.submit_id(task).await;
        let workflow = happened(&app, &id, "escalated", 1).await;
        let [(1, to, late)] = &escalations(&workflow)[..] else { panic!("{workflow:#}") };
        assert_eq!((to, &workflow["approval"]["approvers"]), (&asked, &all));
        assert_on_time(*late);
        assert_eq!(due(&app, &id).await.2, None, "nothing more falls due");
    }
}

#[tokio::test]
async fn a_chain_takes_the_place_of_escalate_after() {
    let rules = "
risk_levels:
  low:      { auto_approve: true }
  medium:   { auto_approve: false, approvers: [team_lead] }
  high:     { auto_approve: false, approvers: [team_lead], escalate_after: 1s }
  critical: { auto_approve: false, approvers: [tech_lead, cto] }
";
    let chain = "escalation: { high: [ { after: 2s, to: [auditor] } ] }";
    let app = TestApp::with(Config::new().with_rules(rules).with_policies(chain)).await;
    let id = app.client("lone-bot").submit_id(high()).await;
    let workflow = happened(&app, &id, "escalated", 1).await;
    assert_eq!(events(&workflow).len(), 3);
    assert_eq!(escalations(&workflow)[0].1, json!(["auditor"]));
    assert!(at(&workflow, "escalated") - at(&workflow, "approval_requested") >= TimeDelta::seconds(2));
}

#[tokio::test]
async fn a_request_that_expires_is_over() {
    let policies = "policies: { high: { expire_after: 2s, on_expiry: reject } }\nescalation: { high: [ { after: 1s, to: [cto] } ] }";
    let app = TestApp::with(Config::new().with_policies(policies)).await;
    let (bot, alice) = (app.client("lone-bot"), app.client("alice"));
    let accepted = bot.submit(high()).await;
    let (id, expires) = (accepted["workflow_id"].as_str().unwrap(), time(&accepted["approval"]["expires_at"]));
    assert_eq!(expires - time(&accepted["approval"]["requested_at"]), TimeDelta::seconds(2));
    assert_eq!(accepted["approval"]["timetable"][1], json!({"at": accepted["approval"]["expires_at"], "what": "expire", "to": []}));
    let workflow = happened(&app, id, "expired", 1).await;
    assert_eq!(events(&workflow)[2..], ["escalated", "expired"]);
    assert_on_time(at(&workflow, "expired") - expires);
    assert_eq!(
        (&workflow["status"], &workflow["approval_status"], &workflow["execution"]),
        (&json!("expired"), &json!("expired"), &json!(null))
    );
    for name in ["alice", "tess", "cora"] {
        app.client(name).approve(id).await.problem(410, "expired");
        app.client(name).reject(id).await.problem(410, "expired");
    }
    app.client("nora").approve(id).await.problem(403, "not-an-approver");
    assert_eq!(alice.workflow(id).await["version"], workflow["version"]);
    assert_eq!(alice.get("/workflows/pending").await.expect(200)["workflows"], json!([]));
    assert_eq!(due(&app, id).await.2, None);
}

#[tokio::test]
async fn a_request_that_is_held_outlives_its_time() {
    let policies = "policies: { high: { expire_after: 1s, on_expiry: hold }, critical: { expire_after: 2s } }";
    let app = TestApp::with(Config::new().with_policies(policies)).await;
    let bot = app.client("lone-bot");
    let held = bot.submit(high()).await;
    assert_eq!((&held["approval"]["expires_at"], &held["approval"]["timetable"]), (&json!(null), &json!([])));
    let id = held["workflow_id"].as_str().unwrap();
    // When this one expires, the other would long have expired.
    let other = bot.submit_id(critical()).await;
    happened(&app, &other, "expired", 1).await;
    let workflow = bot.workflow(id).await;
    assert_eq!((&workflow["version"], &workflow["status"]), (&json!(2), &json!("pending_approval")));
    assert_eq!(due(&app, id).await.2, None);
    app.client("alice").approve(id).await.expect(200);
}

#[tokio::test]
async fn deadlines_missed_while_down_are_handled_once_in_order_at_start() {
    let policies = "
policies: { critical: { expire_after: 4s } }
escalation: { high: [ { after: 3s, to: [cto] }, { after: 4s, to: [auditor] } ], critical: [ { after: 3s, to: [admin] } ] }
";
    let mut app = TestApp::with(Config::new().with_policies(policies)).await;
    let bot = app.client("lone-bot");
    let (chained, expiring) = (bot.submit(high()).await, bot.submit(critical()).await);
    let id = |accepted: &Value| accepted["workflow_id"].as_str().unwrap().to_owned();
    let (chained_id, expiring_id) = (id(&chained), id(&expiring));
    app.stop().await;
    let last = time(&chained["approval"]["timetable"][1]["at"]).max(time(&expiring["approval"]["expires_at"]));
    past(&app, last).await;
    assert_eq!(app.database.count("select count(*) from workflow_event").await, 4, "nobody was there to act");
    app.restart().await;
    let started: DateTime<Utc> = sqlx::query_scalar("select clock_timestamp()").fetch_one(&mut app.database.connect().await).await.unwrap();

    let workflow = happened(&app, &chained_id, "escalated", 2).await;
    let steps: Vec<_> = escalations(&workflow).into_iter().map(|(level, to, late)| (level, to, late >= TimeDelta::zero())).collect();
    assert_eq!(steps, [(1, json!(["cto"]), true), (2, json!(["auditor"]), true)]);
    assert!(time(&workflow["history"][3]["at"]) - started < TimeDelta::seconds(2), "right after the start");
    let expired = happened(&app, &expiring_id, "expired", 1).await;
    assert_eq!(events(&expired)[2..], ["expired"], "whoever would have been asked before its end is asked no more");
    assert!(at(&expired, "expired") - started < TimeDelta::seconds(2));

    app.restart().await;
    let bot = app.client("lone-bot");
    let answer = bot.get(&format!("/workflows/{chained_id}/wait?since=4&timeout=2s")).await.expect(200);
    assert_eq!(answer["workflow"]["version"], 4, "a second start does nothing more");
    app.client("nora").approve(&chained_id).await.expect(200);
}

#[tokio::test]
async fn after_a_decision_nothing_falls_due() {
    let policies = format!("policies: {{ high: {{ expire_after: 3s }} }}\n{CHAIN}");
    let mut app = TestApp::with(Config::new().with_policies(&policies)).await;
    let (bot, alice) = (app.client("lone-bot"), app.client("alice"));
    let (approved, rejected, cancelled) = (bot.submit_id(high()).await, bot.submit_id(high()).await, bot.submit_id(high()).await);
    alice.approve(&approved).await.expect(200);
    alice.reject(&rejected).await.expect(200);
    bot.post(&format!("/workflows/{cancelled}/cancel"), json!({})).await.expect(200);
    // This one goes through all of it, later than they would have.
    let silent = bot.submit_id(high()).await;
    for id in [&approved, &rejected, &cancelled] {
        assert_eq!(due(&app, id).await.2, None);
    }
    let workflow = happened(&app, &silent, "expired", 1).await;
    assert_eq!(events(&workflow)[2..], ["escalated", "escalated", "expired"]);
    for restarted in [false, true] {
        if restarted {
            app.restart().await;
        }
        let alice = app.client("alice");
        assert_eq!(events(&alice.workflow(&approved).await)[2..], ["approved", "execution_started"]);
        assert_eq!(events(&alice.workflow(&rejected).await)[2..], ["rejected"]);
        assert_eq!(events(&alice.workflow(&cancelled).await)[2..], ["cancelled"]);
    }
}

/// For five seconds after it falls due, one workflow's log cannot be read.
#[tokio::test]
async fn a_workflow_that_is_slow_delays_nobody_elses_deadline() {
    let config = Config::new().with_policies("escalation: { high: [ { after: 2s, to: [cto] } ] }");
    let database = Database::migrated().await;
    let proxy = Proxy::before(&database).await;
    // None of them is in memory when it falls due, so that each log is read then.
    let settings = Settings { max_resident: 1, ..settings(&config) };
    let app = TestApp::launch(config, &settings, proxy.database()).await;
    let bot = app.client("deploy-bot");
    let slow = bot.submit_id(high()).await;
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    let mut others = Vec::new();
    for _ in 0..5 {
        others.push(bot.submit_id(high()).await);
    }
    proxy.next("order by e.workflow_id, e.version", Fault::HoldRequest, 1);
    eventually("the slow one to fall due", || async { (proxy.applied() == 1).then_some(()) }).await;
    let late = "select extract(epoch from e.at - w.requested_at)::float8 - 2 from workflow_event e join workflow w using (workflow_id)
                where e.kind = 'escalated' and w.workflow_id = $1";
    for id in &others {
        let id: Uuid = id.parse().unwrap();
        let late: f64 = eventually("its escalation", || async {
            sqlx::query_scalar(late).bind(id).fetch_optional(&mut database.connect().await).await.unwrap()
        })
        .await;
        assert!(late < 2.0, "it came {late} s late");
    }
    proxy.thaw();
    happened(&app, &slow, "escalated", 1).await;
}
