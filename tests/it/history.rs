//! Looking back: who decided what, when, and what ran, with every filter, in the API and on the
//! page.

use crate::support::called;
use crate::support::client::{high, low, medium};
use crate::support::{Browser, Client, Config, TestApp};
use serde_json::{Value, json};

const RUNBOOKS: &str = "runbooks:
  deploy-api: { operation: deploy, environment: production, resource_type: code, command: [/bin/sh, -c, 'exit 3'] }
  look: { operation: read, environment: development, resource_type: code, command: [/bin/echo, looked] }
";

fn ids(page: &Value) -> Vec<&str> {
    page["workflows"].as_array().expect("a list").iter().map(|one| one["workflow_id"].as_str().expect("an id")).collect()
}

#[track_caller]
fn listed(client: &Client, query: &str) -> impl Future<Output = Value> {
    called(async move { client.get(&format!("/workflows{query}")).await.expect(200) })
}

fn by_runbook(mut task: Value, name: &str) -> Value {
    task["action"] = json!({"type": "runbook", "name": name});
    task
}

/// A server, and five requests with the decisions of alice and tess, in the order of their
/// submission.
async fn past() -> (TestApp, Vec<String>) {
    let config =
        Config::new().with_runbooks(RUNBOOKS).with_policies("policies: { high: { required: 2 }, medium: { break_glass: [tech_lead] } }");
    let app = TestApp::with(config).await;
    let (bot, lone, alice, tess) = (app.client("deploy-bot"), app.client("lone-bot"), app.client("alice"), app.client("tess"));
    let ran = bot.submit_id(by_runbook(high(), "deploy-api")).await;
    alice.approve(&ran).await.expect(200);
    tess.approve(&ran).await.expect(200);
    alice.wait_for(&ran, "failed").await;
    let rejected = bot.submit_id(high()).await;
    alice.approve(&rejected).await.expect(200);
    tess.reject(&rejected).await.expect(200);
    let read = lone.submit_id(by_runbook(low(), "look")).await;
    lone.wait_for(&read, "completed").await;
    let parked = lone.submit(medium()).await;
    let broken = parked["workflow_id"].as_str().unwrap().to_owned();
    let words = json!({"break_glass": true, "digest": parked["digest"], "justification": "INC-7"});
    tess.post(&format!("/workflows/{broken}/approve"), words).await.expect(200);
    let plan = json!({"description": "both", "steps": [by_runbook(low(), "look"), by_runbook(low(), "look")]});
    let plan = lone.submit_id(plan).await;
    lone.wait_for(&plan, "completed").await;
    (app, vec![ran, rejected, read, broken, plan])
}

#[tokio::test]
async fn workflows_are_found_by_who_decided_what_ran_and_when_and_by_their_ids() {
    let (app, past) = past().await;
    let nora = app.client("nora");
    let [ran, rejected, read, broken, plan] = &past[..] else { panic!("five") };
    let end = &ran[26..];
    let upper = end.to_uppercase();
    let today = chrono::Utc::now().date_naive();
    let (yesterday, tomorrow) = (today - chrono::Days::new(1), today + chrono::Days::new(1));
    for (query, expected) in [
        (String::new(), vec![plan, broken, read, rejected, ran]),
        ("sort=newest".to_owned(), vec![plan, broken, read, rejected, ran]),
        ("sort=oldest".to_owned(), vec![ran, rejected, read, broken, plan]),
        ("sort=oldest&status=completed".to_owned(), vec![read, plan]),
        ("approver=tess".to_owned(), vec![broken, rejected, ran]),
        ("approver=alice".to_owned(), vec![rejected, ran]),
        ("approver=alice&status=rejected".to_owned(), vec![rejected]),
        ("approver=tess&sort=oldest".to_owned(), vec![ran, rejected, broken]),
        ("approver=tess&requested_by=lone-bot".to_owned(), vec![broken]),
        ("approver=tess&risk_level=high".to_owned(), vec![rejected, ran]),
        ("approver=nora".to_owned(), vec![]),
        ("runbook=look".to_owned(), vec![plan, read]),
        ("runbook=deploy-api&approver=alice".to_owned(), vec![ran]),
        ("runbook=loo".to_owned(), vec![]),
        (format!("q={ran}"), vec![ran]),
        (format!("q={end}"), vec![ran]),
        (format!("q={upper}"), vec![ran]),
        (format!("q={ran}&status=rejected"), vec![]),
        (format!("q={}", &ran[31..]), vec![]),
        ("q=DEPLOY%20api".to_owned(), vec![rejected, ran]),
        (format!("from={yesterday}&until={tomorrow}"), vec![plan, broken, read, rejected, ran]),
        (format!("from={tomorrow}"), vec![]),
        (format!("until={}", yesterday - chrono::Days::new(1)), vec![]),
    ] {
        assert_eq!(ids(&listed(&nora, &format!("?{query}")).await), expected, "{query}");
    }
    for query in ["sort=oldest", "sort=newest", "approver=tess", "approver=tess&sort=oldest", "runbook=look"] {
        let whole = ids(&listed(&nora, &format!("?{query}")).await).into_iter().map(str::to_owned).collect::<Vec<_>>();
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = listed(&nora, &format!("?{query}&limit=1{cursor}")).await;
            seen.extend(ids(&page).into_iter().map(str::to_owned));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(seen, whole, "{query}, page by page");
    }
    for (wrong, names) in
        [("sort=level", "sort"), ("from=now", "from"), ("from=2026-02-02&until=2026-02-01", "until"), ("approver=a&approver=b", "approver")]
    {
        let problem = nora.get(&format!("/workflows?{wrong}")).await.problem(422, "invalid-task");
        assert!(problem["detail"].as_str().unwrap().contains(names), "{problem}");
    }
    assert_eq!(ids(&listed(&app.client("deploy-bot"), "?approver=tess").await), [rejected, ran], "an agent finds only its own");
    assert!(ids(&listed(&app.client("deploy-bot"), &format!("?q={read}&sort=oldest")).await).is_empty());
}

#[tokio::test]
async fn a_line_shows_who_decided_when_and_what_ran() {
    let (app, past) = past().await;
    let page = listed(&app.client("nora"), "?sort=oldest").await;
    let [ran, rejected, read, broken, plan] = &page["workflows"].as_array().unwrap()[..] else { panic!("five") };
    assert_eq!(ran["decided_by"], json!(["alice", "tess"]));
    assert_eq!(ran["action"], json!({"type": "runbook", "name": "deploy-api", "steps": null}));
    assert_eq!((&ran["approval_status"], &ran["exit_status"]), (&json!("approved"), &json!(3)));
    assert!(ran["decided_at"].as_str().unwrap() > ran["created_at"].as_str().unwrap());
    assert_eq!((&rejected["decided_by"], &rejected["exit_status"]), (&json!(["tess"]), &json!(null)));
    assert_eq!((&read["decided_by"], &read["approval_status"], &read["exit_status"]), (&json!([]), &json!(null), &json!(0)));
    assert_eq!(broken["decided_by"], json!(["tess"]));
    assert_eq!(plan["action"], json!({"type": null, "name": null, "steps": 2}));

    let alice = Browser::of(app.addr, "alice").await;
    let page = alice.get("/inbox/history").await.expect(200);
    page.has("5 workflows")
        .has("exit status 3")
        .has("runbook deploy-api")
        .has("plan of 2 steps")
        .has("nobody had to")
        .has("/inbox/people/tess");
    page.has("&#x2f;workflows&#x2f;export?format=csv").has("exit 3");
    let page = alice.get("/inbox/history?approver=alice&sort=oldest&from=2020-01-01").await.expect(200);
    assert_eq!(page.ids(), past[..2]);
    page.has("2 workflows").has("&#x2f;workflows&#x2f;export?from=2020-01-01&amp;format=csv").has("value=\"alice\"");
    alice.get("/inbox/history?runbook=look").await.expect(200).has("2 workflows");
    alice.get(&format!("/inbox/history?text={}", &past[0][28..])).await.expect(200).has("1 workflow<");
    alice.get("/inbox/history?sort=up").await.expect(422);
}

#[tokio::test]
async fn a_persons_page_lists_broken_glass_and_withdrawn_approvals() {
    let (app, past) = past().await;
    let id = app.client("deploy-bot").submit_id(high()).await;
    let tess = app.client("tess");
    tess.approve(&id).await.expect(200);
    tess.post(&format!("/workflows/{id}/withdraw"), json!({"reason": "wrong version"})).await.expect(200);
    let page = Browser::of(app.addr, "nora").await.get("/inbox/people/tess").await.expect(200);
    assert_eq!(page.ids().iter().collect::<Vec<_>>(), [&id, &id, &past[3], &past[1], &past[0]]);
    page.has("approved by breaking the glass").has("INC-7").has("<strong>withdrawn</strong>").has("wrong version");
}
