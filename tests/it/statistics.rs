//! The figures of the statistics page, from requests that went every way that a request can go.

use crate::support::client::{critical, high, low, medium};
use crate::support::{Config, TestApp};
use chrono::{TimeDelta, Utc};
use parkbrake::storage::{Statistics, Storage};
use serde_json::json;

async fn statistics(app: &TestApp, since: TimeDelta) -> Statistics {
    let storage = Storage::connect(&app.database.url, 1).unwrap();
    let now: chrono::DateTime<Utc> = storage.now().await.unwrap();
    let statistics = storage.statistics(now - since).await.unwrap();
    storage.close().await;
    statistics
}

#[tokio::test]
async fn every_way_that_a_request_can_go_is_counted() {
    let app = TestApp::with(Config::new().with_policies("escalation: { medium: [ { after: 1s, to: [cto] } ] }")).await;
    let (bot, alice, tess, cora) = (app.client("deploy-bot"), app.client("alice"), app.client("tess"), app.client("cora"));
    bot.submit(low()).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(bot.submit_id(high()).await);
    }
    alice.approve(&ids[0]).await.expect(200);
    alice.approve(&ids[1]).await.expect(200);
    tess.reject(&ids[2]).await.expect(200);
    bot.post(&format!("/workflows/{}/cancel", ids[3]), json!({"reason": "not needed"})).await.expect(200);
    let deep = bot.submit_id(critical()).await;
    cora.reject(&deep).await.expect(200);
    let slow = bot.submit_id(medium()).await;
    let since = alice.workflow(&slow).await["version"].as_u64().unwrap();
    let escalated = alice.get(&format!("/workflows/{slow}/wait?since={since}&timeout=10s")).await.expect(200);
    assert_eq!(escalated["workflow"]["approval"]["escalation_level"], 1);

    let figures = statistics(&app, TimeDelta::days(1)).await;
    let levels: Vec<_> =
        figures.levels.iter().map(|level| (level.level.as_str(), level.requests, level.decided, level.escalated)).collect();
    assert_eq!(levels, [("medium", 1, 0, 1), ("high", 5, 3, 0), ("critical", 1, 1, 0)], "what is released at once is no request");
    assert!(figures.levels[0].median.is_none());
    for level in &figures.levels[1..] {
        assert!(level.median.unwrap() > 0.0 && level.p90.unwrap() >= level.median.unwrap() && level.p90.unwrap() < 60.0);
    }
    let roles: Vec<_> = figures.roles.iter().map(|role| (role.role.as_str(), role.decided)).collect();
    assert_eq!(roles, [("team_lead", 2), ("cto", 1), ("tech_lead", 1)]);
    assert_eq!(figures.durations, [4, 0, 0, 0, 0, 0, 0]);
    let sum = |of: fn(&parkbrake::storage::DayFigures) -> i64| figures.days.iter().map(of).sum::<i64>();
    assert_eq!((sum(|day| day.approved), sum(|day| day.rejected), sum(|day| day.expired), sum(|day| day.cancelled)), (2, 2, 0, 1));
    let waiting: Vec<_> = figures.waiting.iter().map(|level| (level.level.as_str(), level.count)).collect();
    assert_eq!(waiting, [("medium", 1), ("high", 1)]);
    assert!(figures.waiting.iter().all(|level| level.oldest.is_some_and(|at| at <= figures.until)));
    assert!(!figures.is_cut());

    let none = statistics(&app, TimeDelta::seconds(-1)).await;
    assert!(none.levels.is_empty() && none.roles.is_empty() && none.days.is_empty(), "what came before is not looked at");
    assert_eq!(none.waiting.len(), 2, "what waits now waits now");
}
