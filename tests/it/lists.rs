//! Reading: who sees what, in which order, and waiting for a change.

use crate::support::called;
use crate::support::client::{critical, high, low, medium};
use crate::support::{Client, Config, TestApp};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

impl Client {
    /// The workflows of a list, in its order.
    #[track_caller]
    fn ids(&self, path: &str) -> impl Future<Output = Vec<String>> {
        called(async move { ids(&self.get(path).await.expect(200)) })
    }
}

fn ids(page: &Value) -> Vec<String> {
    page["workflows"].as_array().expect("a list").iter().map(|one| one["workflow_id"].as_str().expect("an id").to_owned()).collect()
}

fn named(name: &str) -> Value {
    let mut task = high();
    task["task_id"] = json!(name);
    task
}

#[tokio::test]
async fn pending_requests_are_listed_newest_first_with_all_that_a_decision_needs() {
    let app = TestApp::with(
        Config::new().with_policies("policies: { high: { expire_after: 2h } }\nescalation: { high: [ { after: 1h, to: [cto] } ] }"),
    )
    .await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    bot.submit(low()).await;
    let first = bot.submit(named("first")).await;
    let second = bot.submit(named("second")).await;
    let page = alice.get("/workflows/pending").await.expect(200);
    assert_eq!((&page["success"], &page["next_cursor"]), (&json!(true), &json!(null)));
    assert_eq!(ids(&page), [&second, &first].map(|one| one["workflow_id"].as_str().unwrap()));
    let listed = &page["workflows"][1];
    for field in ["workflow_id", "task_id", "risk_level", "digest"] {
        assert_eq!(listed[field], first[field], "{field}");
    }
    for field in ["approvers", "required", "requested_at", "timetable", "expires_at", "approvals", "escalation_level"] {
        assert_eq!(listed[field], first["approval"][field], "{field}");
    }
    assert_eq!((&listed["description"], &listed["requested_by"]), (&json!("deploy api"), &json!("deploy-bot")));
    assert_eq!(listed["timetable"].as_array().unwrap().iter().map(|step| &step["what"]).collect::<Vec<_>>(), ["escalate", "expire"]);
    alice.approve(first["workflow_id"].as_str().unwrap()).await.expect(200);
    assert_eq!(alice.ids("/workflows/pending").await, [second["workflow_id"].as_str().unwrap()]);
}

#[tokio::test]
async fn pending_requests_can_be_filtered_by_level_and_role() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let (medium, high, critical) = (bot.submit_id(medium()).await, bot.submit_id(high()).await, bot.submit_id(critical()).await);
    let alice = app.client("alice");
    for (query, expected) in [
        ("", vec![&critical, &high, &medium]),
        ("?risk_level=medium", vec![&medium]),
        ("?risk_level=high", vec![&high]),
        ("?risk_level=critical", vec![&critical]),
        ("?risk_level=low", vec![]),
        ("?role=team_lead", vec![&high, &medium]),
        ("?role=tech_lead", vec![&critical, &high]),
        ("?role=cto", vec![&critical]),
        ("?role=nobody_has_this", vec![]),
        ("?role=team_lead&risk_level=high", vec![&high]),
    ] {
        assert_eq!(alice.ids(&format!("/workflows/pending{query}")).await.iter().collect::<Vec<_>>(), expected, "{query}");
    }
}

#[tokio::test]
async fn mine_lists_requests_that_the_caller_may_decide_now() {
    let config = Config::new().with_policies("policies: { critical: { required: 2 }, high: { required: 2, distinct_roles: true } }");
    let app = TestApp::with(config).await;
    let of_tom = app.client("deploy-bot").submit_id(high()).await;
    let of_alice = app.client("alice").submit_id(high()).await;
    let serious = app.client("lone-bot").submit_id(critical()).await;
    let mine = |name: &'static str| {
        let client = app.client(name);
        async move { client.ids("/workflows/pending?mine=true").await }
    };
    assert_eq!(mine("alice").await, [of_tom.as_str()], "not her own");
    assert_eq!(mine("tom").await, [serious.as_str(), of_alice.as_str()], "not what his agent asks for");
    assert_eq!(mine("tess").await, [serious.as_str(), of_alice.as_str(), of_tom.as_str()]);
    assert_eq!(mine("cora").await, [serious.as_str()]);
    for nobody in ["nora", "deploy-bot", "lone-bot"] {
        assert!(mine(nobody).await.is_empty(), "{nobody} decides nothing");
    }
    let (tess, tom) = (app.client("tess"), app.client("tom"));
    tess.approve(&of_tom).await.expect(200);
    tess.approve(&of_alice).await.expect(200);
    tess.approve(&serious).await.expect(200);
    assert!(mine("tess").await.is_empty(), "she has said what she had to say");
    assert_eq!(mine("tom").await, [serious.as_str()], "a second tech_lead counts there, but not where roles have to differ");
    tom.approve(&of_alice).await.problem(403, "not-an-approver");
    assert_eq!(mine("alice").await, [of_tom.as_str()]);
    assert_eq!(mine("cora").await, [serious.as_str()]);
    assert_eq!(tess.ids("/workflows/pending?mine=false").await.len(), 3);
}

#[tokio::test]
async fn without_separation_of_duties_mine_includes_own_requests() {
    let app = TestApp::with(Config::new().with_policies("separation_of_duties: false")).await;
    let id = app.client("alice").submit_id(high()).await;
    assert_eq!(app.client("alice").ids("/workflows/pending?mine=true").await, [id.as_str()]);
}

#[tokio::test]
async fn an_escalation_adds_the_request_to_mine() {
    let app = TestApp::with(Config::new().with_policies("escalation: { high: [ { after: 2s, to: [cto] } ] }")).await;
    let (bot, cora) = (app.client("deploy-bot"), app.client("cora"));
    let id = bot.submit_id(high()).await;
    assert!(cora.ids("/workflows/pending?mine=true").await.is_empty());
    assert!(cora.ids("/workflows/pending?role=cto").await.is_empty());
    bot.get(&format!("/workflows/{id}/wait?since=2&timeout=10s")).await.expect(200);
    assert_eq!(cora.ids("/workflows/pending?mine=true").await, [id.as_str()]);
    assert_eq!(cora.ids("/workflows/pending?role=cto").await, [id.as_str()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pages_lose_nothing_and_repeat_nothing_while_new_ones_arrive() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    // Some of one batch have exactly the same time.
    let old: BTreeSet<String> = join_all((0..25).map(|_| bot.submit_id(high()))).await.into_iter().collect();
    for list in ["/workflows/pending?limit=10", "/workflows?limit=10"] {
        let before: BTreeSet<String> = alice.ids("/workflows?limit=500").await.into_iter().collect();
        let (mut seen, mut sizes, mut cursor) = (Vec::new(), Vec::new(), String::new());
        loop {
            let page = alice.get(&format!("{list}{cursor}")).await.expect(200);
            sizes.push(ids(&page).len());
            seen.extend(ids(&page));
            join_all((0..3).map(|_| bot.submit_id(high()))).await;
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let distinct: BTreeSet<String> = seen.iter().cloned().collect();
        assert_eq!(distinct.len(), seen.len(), "none came twice");
        assert_eq!(distinct, before, "none was lost, and none is newer than the first page");
        assert!(distinct.is_superset(&old));
        assert!(sizes[..sizes.len() - 1].iter().all(|size| *size == 10), "{sizes:?}");
        let all = alice.ids("/workflows?limit=500").await;
        assert!(all.is_sorted_by(|newer, older| newer > older), "in the order in which they came in, which is that of their ids");
        let waiting = alice.get("/workflows/pending?limit=500").await.expect(200);
        let waiting = waiting["workflows"].as_array().unwrap();
        let ids = waiting.iter().map(|entry| entry["workflow_id"].as_str().unwrap());
        assert!(ids.is_sorted_by(|newer, older| newer > older), "what waits too");
    }
}

#[tokio::test]
async fn a_page_that_ends_with_the_list_has_no_next() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    for _ in 0..2 {
        bot.submit(high()).await;
    }
    assert_eq!(alice.get("/workflows/pending?limit=2").await.expect(200)["next_cursor"], json!(null));
    let first = alice.get("/workflows/pending?limit=1").await.expect(200);
    let cursor = first["next_cursor"].as_str().unwrap();
    // Requests may be decided between two pages.
    alice.approve(&ids(&first)[0]).await.expect(200);
    let second = alice.get(&format!("/workflows/pending?limit=1&cursor={cursor}")).await.expect(200);
    assert_eq!((ids(&second).len(), &second["next_cursor"]), (1, &json!(null)));
}

#[tokio::test]
async fn an_invalid_query_is_refused_with_its_parameter() {
    let app = TestApp::start().await;
    let alice = app.client("alice");
    for (query, names) in [
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=501", "limit"),
        ("limit=abc", "limit"),
        ("limit=", ""),
        ("limit=1&limit=2", "limit"),
        ("cursor=abc", "cursor"),
        ("cursor=", "cursor"),
        ("cursor=0198f0a0-0000-7000-8000-000000000000", "cursor"),
        ("risk_level=severe", "risk_level"),
        ("risk_level=High", "risk_level"),
        ("shade=red", "shade"),
    ] {
        for list in ["/workflows/pending", "/workflows"] {
            let problem = alice.get(&format!("{list}?{query}")).await.problem(422, "invalid-task");
            assert!(problem["detail"].as_str().unwrap().contains(names), "{query}: {problem}");
        }
    }
    for (path, names) in [
        ("/workflows/pending?mine=yes", "mine"),
        ("/workflows/pending?status=completed", "status"),
        ("/workflows?status=done", "status"),
        ("/workflows?status=Completed", "status"),
        ("/workflows?mine=true", "mine"),
    ] {
        let problem = alice.get(path).await.problem(422, "invalid-task");
        assert!(problem["detail"].as_str().unwrap().contains(names), "{path}: {problem}");
    }
    for limit in [1, 500] {
        alice.get(&format!("/workflows?limit={limit}")).await.expect(200);
    }
}

#[tokio::test]
async fn all_workflows_can_be_asked_for_by_status_level_and_requester() {
    let app = TestApp::start().await;
    let (bot, lone, alice) = (app.client("deploy-bot"), app.client("lone-bot"), app.client("alice"));
    let running = bot.submit_id(low()).await;
    let done = bot.submit_id(low()).await;
    bot.post(&format!("/workflows/{done}/result"), json!({"outcome": "succeeded"})).await.expect(200);
    let waiting = lone.submit_id(high()).await;
    let rejected = lone.submit_id(critical()).await;
    app.client("tess").reject(&rejected).await.expect(200);
    for (query, expected) in [
        ("", vec![&rejected, &waiting, &done, &running]),
        ("?status=executing", vec![&running]),
        ("?status=completed", vec![&done]),
        ("?status=pending_approval", vec![&waiting]),
        ("?status=rejected", vec![&rejected]),
        ("?status=failed", vec![]),
        ("?requested_by=deploy-bot", vec![&done, &running]),
        ("?requested_by=lone-bot&risk_level=critical", vec![&rejected]),
        ("?requested_by=deploy-bot&status=rejected", vec![]),
        ("?requested_by=nobody", vec![]),
    ] {
        assert_eq!(alice.ids(&format!("/workflows{query}")).await.iter().collect::<Vec<_>>(), expected, "{query}");
    }
    let listed = alice.get("/workflows?status=completed").await.expect(200)["workflows"][0].clone();
    let shown = alice.workflow(&done).await;
    for field in ["workflow_id", "task_id", "status", "risk_level", "description", "requested_by", "digest", "created_at", "updated_at"] {
        assert_eq!(listed[field], shown[field], "{field}");
    }
}

#[tokio::test]
async fn agents_see_their_own_and_those_of_the_same_person_and_people_see_all() {
    let app = TestApp::start().await;
    let of_bot = app.client("deploy-bot").submit_id(high()).await;
    let of_other = app.client("other-bot").submit_id(high()).await;
    let of_lone = app.client("lone-bot").submit_id(high()).await;
    let of_tom = app.client("tom").submit_id(high()).await;
    let all = [&of_tom, &of_lone, &of_other, &of_bot];
    for (name, sees) in [
        ("deploy-bot", vec![&of_other, &of_bot]),
        ("other-bot", vec![&of_other, &of_bot]),
        ("lone-bot", vec![&of_lone]),
        ("tom", all.to_vec()),
        ("alice", all.to_vec()),
        ("nora", all.to_vec()),
    ] {
        let client = app.client(name);
        for list in ["/workflows", "/workflows/pending", "/workflows?status=pending_approval", "/workflows/pending?role=team_lead"] {
            assert_eq!(client.ids(list).await.iter().collect::<Vec<_>>(), sees, "{name} at {list}");
        }
        let of_others = client.ids("/workflows?requested_by=lone-bot").await;
        assert_eq!(of_others.len(), usize::from(sees.contains(&&of_lone)), "{name}");
        for id in all {
            for path in ["", "/status", "/wait?since=0", "/wait?since=99&timeout=0s"] {
                let answer = client.get(&format!("/workflows/{id}{path}")).await;
                if sees.contains(&id) {
                    assert_eq!(answer.expect(200)["workflow"]["workflow_id"], **id);
                } else {
                    answer.problem(404, "workflow-not-found");
                }
            }
        }
    }
}

#[tokio::test]
async fn pages_of_what_an_agent_sees_are_full_in_spite_of_what_it_does_not_see() {
    let app = TestApp::start().await;
    let (bot, lone) = (app.client("deploy-bot"), app.client("lone-bot"));
    let mut own = Vec::new();
    for _ in 0..3 {
        own.insert(0, lone.submit_id(high()).await);
        bot.submit_id(high()).await;
    }
    let first = lone.get("/workflows/pending?limit=2").await.expect(200);
    assert_eq!(ids(&first), own[..2]);
    let cursor = first["next_cursor"].as_str().unwrap();
    assert_eq!(lone.ids(&format!("/workflows/pending?limit=2&cursor={cursor}")).await, own[2..]);
}

#[tokio::test]
async fn a_wait_for_a_past_version_returns_at_once() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let id = bot.submit_id(high()).await;
    let began = Instant::now();
    let shown = bot.get(&format!("/workflows/{id}")).await;
    for query in ["", "?since=0", "?since=1&timeout=55s"] {
        assert_eq!(bot.get(&format!("/workflows/{id}/wait{query}")).await.text, shown.text);
    }
    assert_eq!(bot.get(&format!("/workflows/{id}/status")).await.text, shown.text);
    assert!(began.elapsed() < Duration::from_secs(20), "nobody was kept waiting");
}

#[tokio::test]
async fn a_wait_that_times_out_returns_the_unchanged_workflow() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let id = bot.submit_id(high()).await;
    let shown = bot.get(&format!("/workflows/{id}")).await;
    for (timeout, least) in [("0s", 0), ("1s", 1)] {
        let began = Instant::now();
        let answer = bot.get(&format!("/workflows/{id}/wait?since=2&timeout={timeout}")).await;
        assert_eq!((answer.status.as_u16(), &answer.text), (200, &shown.text));
        assert!(began.elapsed() >= Duration::from_secs(least));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_change_answers_every_wait_at_once() {
    let app = TestApp::start().await;
    let id = app.client("deploy-bot").submit_id(high()).await;
    let path = format!("/workflows/{id}/wait?since=2&timeout=55s");
    let waiting: Vec<_> = (0..20)
        .map(|turn| {
            let (client, path) = (app.client(["alice", "deploy-bot", "other-bot", "nora"][turn % 4]), path.clone());
            tokio::spawn(async move { (client.get(&path).await.expect(200), Instant::now()) })
        })
        .collect();
    // Others wait briefly and leave, and take nobody's place.
    for _ in 0..20 {
        app.client("tom").get(&format!("/workflows/{id}/wait?since=2&timeout=0s")).await.expect(200);
    }
    app.client("alice").approve(&id).await.expect(200);
    let approved = Instant::now();
    for one in waiting {
        let (answer, told) = one.await.unwrap();
        assert_eq!((&answer["workflow"]["version"], &answer["workflow"]["status"]), (&json!(4), &json!("executing")));
        // Waiting calls also poll every two seconds; this is faster.
        assert!(told.saturating_duration_since(approved) < Duration::from_millis(1_500), "told late");
    }
}

#[tokio::test]
async fn a_wait_that_makes_no_sense_is_refused() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let id = bot.submit_id(high()).await;
    for query in ["since=-1", "since=abc", "timeout=10", "timeout=", "timeout=-1s", "until=tomorrow", "since=4294967296"] {
        bot.get(&format!("/workflows/{id}/wait?{query}")).await.problem(422, "invalid-task");
    }
}
