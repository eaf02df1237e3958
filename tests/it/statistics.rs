//! The statistics of requests, computed from requests that ended in every possible way.

use crate::support::called;
use crate::support::client::{critical, high, low, medium};
use crate::support::{Browser, Client, Config, TestApp};
use serde_json::{Value, json};

const POLICIES: &str = "
people:
  alice: { roles: [team_lead], team: platform }
  tom:   { roles: [tech_lead], team: platform }
  tess:  { roles: [tech_lead], team: data }
  cora:  { roles: [cto, admin] }
  nora:  { roles: [auditor] }
agents:
  deploy-bot: { on_behalf_of: tom }
  lone-bot:   {}
policies: { high: { goal: 5m }, critical: { goal: 1h } }
escalation: { medium: [ { after: 1s, to: [cto] } ] }
";

#[track_caller]
fn statistics(client: &Client, query: &str) -> impl Future<Output = Value> {
    called(async move { client.get(&format!("/statistics{query}")).await.expect(200) })
}

#[track_caller]
fn names(groups: &Value) -> Vec<(&str, u64)> {
    let name = |one: &Value| one["name"].as_str().map(str::len).unwrap_or_default();
    assert!(groups.as_array().unwrap().iter().all(|one| name(one) > 0));
    groups.as_array().unwrap().iter().map(|one| (one["name"].as_str().unwrap(), one["now"]["decided"].as_u64().unwrap())).collect()
}

/// A server on which four of seven requests were decided, one of them long ago and slowly.
#[track_caller]
fn decided() -> impl Future<Output = TestApp> {
    called(async move {
        let app = TestApp::with(Config::new().write("hitl/approval-policies.yaml", POLICIES)).await;
        let (bot, lone, alice, tess, cora) =
            (app.client("deploy-bot"), app.client("lone-bot"), app.client("alice"), app.client("tess"), app.client("cora"));
        bot.submit(low()).await;
        let mut ids = Vec::new();
        for _ in 0..5 {
            ids.push(bot.submit_id(high()).await);
        }
        for id in &ids[..2] {
            alice.approve(id).await.expect(200);
        }
        tess.reject(&ids[2]).await.expect(200);
        bot.post(&format!("/workflows/{}/cancel", ids[3]), json!({"reason": "not needed"})).await.expect(200);
        let deep = lone.submit_id(critical()).await;
        cora.reject(&deep).await.expect(200);
        let slow = bot.submit_id(medium()).await;
        let since = alice.workflow(&slow).await["version"].as_u64().unwrap();
        let escalated = alice.get(&format!("/workflows/{slow}/wait?since={since}&timeout=10s")).await.expect(200);
        assert_eq!(escalated["workflow"]["approval"]["escalation_level"], 1);
        // One that was requested ten minutes before it was approved.
        app.database
            .execute(&format!("update workflow set requested_at = resolved_at - interval '10 minutes' where workflow_id = '{}'", ids[1]))
            .await;
        app
    })
}

#[tokio::test]
async fn every_way_that_a_request_can_go_is_counted() {
    let app = decided().await;
    let found = statistics(&app.client("nora"), "").await;
    let levels: Vec<_> = found["by_level"]
        .as_array()
        .unwrap()
        .iter()
        .map(|level| json!([level["risk_level"], level["requests"], level["now"]["decided"], level["escalated"], level["goal_s"]]))
        .collect();
    assert_eq!(
        levels,
        [json!(["medium", 1, null, 1, null]), json!(["high", 5, 3, 0, 300.0]), json!(["critical", 1, 1, 0, 3600.0])],
        "what is released at once is no request"
    );
    let times = &found["overall"]["now"];
    assert_eq!((&times["decided"], &times["within_goal"]), (&json!(4), &json!(0.75)));
    let (mean, median, p90) = (times["mean_s"].as_f64().unwrap(), times["median_s"].as_f64().unwrap(), times["p90_s"].as_f64().unwrap());
    assert!(median > 0.0 && median < 100.0 && mean > 150.0 && p90 > median && p90 < 600.0, "{times}");
    assert_eq!(names(&found["by_role"]), [("team_lead", 2), ("cto", 1), ("tech_lead", 1)]);
    assert_eq!(names(&found["by_team"]), [("platform", 2), ("data", 1)], "who is in no team is in none of these");
    assert_eq!(names(&found["by_requester"]), [("deploy-bot", 3), ("lone-bot", 1)]);
    assert_eq!(names(&found["by_person"]), [("alice", 2), ("cora", 1), ("tess", 1)]);
    let stretches: Vec<_> = found["stretches"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["decided"].as_u64().unwrap(), one["cumulative"].as_u64().unwrap()))
        .collect();
    assert_eq!(stretches, [(3, 3), (0, 3), (1, 4), (0, 4), (0, 4), (0, 4), (0, 4)]);
    let sum = |of: &str| found["days"].as_array().unwrap().iter().map(|day| day[of].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("approved"), sum("rejected"), sum("expired"), sum("cancelled")), (2, 2, 0, 1));
    assert!(found["weeks"].as_array().unwrap().len() >= 5 && found["days"].as_array().unwrap().len() >= 30);
    let weekly: u64 = found["weeks"].as_array().unwrap().iter().filter_map(|week| week["times"]["decided"].as_u64()).sum();
    assert_eq!(weekly, 4);
    let waiting: Vec<_> = found["waiting"].as_array().unwrap().iter().map(|level| json!([level["risk_level"], level["count"]])).collect();
    assert_eq!(waiting, [json!(["medium", 1]), json!(["high", 1])]);
    assert_eq!((&found["is_cut"], &found["overall"]["before"]), (&json!(false), &json!(null)));
    app.client("deploy-bot").get("/statistics").await.problem(403, "not-permitted");
}

#[tokio::test]
async fn figures_are_of_the_chosen_days_and_beside_those_before() {
    let app = decided().await;
    let nora = app.client("nora");
    app.database.execute("update workflow set requested_at = requested_at - interval '7 days', resolved_at = resolved_at - interval '7 days' where requested_by = 'lone-bot'").await;
    app.database.execute("alter table workflow_event disable trigger all; update workflow_event e set at = w.resolved_at from workflow w where w.workflow_id = e.workflow_id and w.requested_by = 'lone-bot' and e.kind = 'rejected'").await;
    let today = chrono::Utc::now().date_naive();
    let week = format!("?from={}", today - chrono::Days::new(6));
    let found = statistics(&nora, &week).await;
    assert_eq!((&found["overall"]["now"]["decided"], &found["overall"]["before"]["decided"]), (&json!(3), &json!(1)));
    assert_eq!(names(&found["by_person"]), [("alice", 2), ("tess", 1)]);
    let last = statistics(&nora, &format!("?from={}&until={}", today - chrono::Days::new(8), today - chrono::Days::new(5))).await;
    assert_eq!((names(&last["by_person"]), &last["overall"]["before"]), (vec![("cora", 1)], &json!(null)));
    for (query, decided) in
        [("&team=platform", 2), ("&team=nobody", 0), ("&risk_level=high", 3), ("&risk_level=medium", 0), ("&requested_by=deploy-bot", 3)]
    {
        let found = statistics(&nora, &format!("{week}{query}")).await;
        assert_eq!(found["overall"]["now"]["decided"].as_u64().unwrap_or_default(), decided, "{query}");
    }
    let table = nora.get(&format!("/statistics{week}&table=by_person")).await;
    assert!(table.headers["content-disposition"].to_str().unwrap().contains("parkbrake-by_person.csv"));
    assert!(
        table.text.starts_with("name,decided,mean_s,median_s,p90_s,within_goal,before_decided,") && table.text.contains("\r\nalice,2,"),
        "{}",
        table.text
    );
    for part in ["by_level", "by_role", "by_team", "by_requester", "weeks", "stretches", "days", "waiting"] {
        assert!(nora.get(&format!("/statistics?table={part}")).await.expect(200).as_str().unwrap().contains("\r\n"), "{part}");
    }
    for (wrong, name) in [
        ("from=2020-01-01", "from"),
        (&*format!("from={}", today + chrono::Days::new(1)), "from"),
        ("table=all", "table"),
        ("risk_level=x", "risk_level"),
    ] {
        let problem = nora.get(&format!("/statistics?{wrong}")).await.problem(422, "invalid-task");
        assert!(problem["detail"].as_str().unwrap().contains(name), "{problem}");
    }
}

#[tokio::test]
async fn the_page_shows_mean_median_and_goal_and_a_scraper_gets_a_histogram() {
    let app = decided().await;
    let alice = Browser::of(app.addr, "alice").await;
    let page = alice.get("/inbox/statistics").await.expect(200);
    page.has("75 %").has("90th percentile").has("5 min for high").has("1 to 5 min").has("goal: 5 min").has("including today");
    page.has("by team").has("&#x2f;statistics?from=").has("table=by_person").lacks("nine of ten").lacks("No goal is set");
    alice.get("/inbox/statistics?from=2026-01-01&until=2026-01-31&team=platform").await.expect(200).has("from 2026-01-01 to 2026-01-31");
    alice.get("/inbox/statistics?days=8").await.expect(422);
    alice.get("/inbox/statistics?from=2026-02-01&until=2026-01-31").await.expect(422);
    let metrics = app.client("nora").get("/metrics").await.text;
    for line in ["parkbrake_decision_seconds_count{risk_level=\"high\"} 3", "parkbrake_decision_seconds_count{risk_level=\"critical\"} 1"] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}
