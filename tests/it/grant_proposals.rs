//! Proposed grants: what people approve again and again is proposed, never what was rejected, and a
//! proposal itself grants nothing.

use crate::support::called;
use crate::support::client::{high, medium};
use crate::support::{Browser, Client, Config, Ledger, TestApp};
use serde_json::{Value, json};

fn build(resource: &str) -> Value {
    let mut task = medium();
    task["resource"] = json!(resource);
    task
}

fn deployment() -> Value {
    json!({
        "description": "deploy", "operation": "deploy", "environment": "development", "resource_type": "code", "estimated_cost": 101,
        "action": {"type": "runbook", "name": "once"},
    })
}

impl Client {
    #[track_caller]
    fn proposals(&self) -> impl Future<Output = Vec<Value>> {
        called(async move { self.get("/grants/proposals").await.expect(200)["proposals"].as_array().unwrap().clone() })
    }
}

/// Submits it this many times, each approved; returns the ids, the newest first.
#[track_caller]
fn approved(app: &TestApp, task: &Value, times: usize) -> impl Future<Output = Vec<String>> {
    called(async move {
        let mut ids = Vec::new();
        for _ in 0..times {
            let id = app.client("deploy-bot").submit_id(task.clone()).await;
            app.client("alice").approve(&id).await.expect(200);
            ids.insert(0, id);
        }
        ids
    })
}

fn after_two() -> Config {
    Config::new().with_policies("grants: { propose_after: 2 }\n")
}

#[tokio::test]
async fn equal_approvals_propose_the_narrowest_grant_and_list_what_else_it_would_have_released() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let mut ids = approved(&app, &build("api"), 4).await;
    approved(&app, &build("web"), 1).await;
    assert_eq!(alice.proposals().await, Vec::<Value>::new(), "four are not five");
    let waits = bot.submit_id(build("api")).await;
    let withdrawn = bot.submit_id(build("api")).await;
    bot.post(&format!("/workflows/{withdrawn}/cancel"), json!({})).await.expect(200);
    ids.insert(0, approved(&app, &build("api"), 1).await.remove(0));
    let page = alice.get("/grants/proposals").await.expect(200);
    let proposal = &page["proposals"][0];
    assert_eq!(proposal["headline"], "deploy-bot: build api in development by external");
    assert_eq!((&proposal["level"], &proposal["may_give"], &proposal["like"]), (&json!("medium"), &json!(true), &json!(ids[0])));
    assert_eq!(proposal["approved"], json!({"count": 5, "workflow_ids": ids}));
    assert_eq!(proposal["others"], json!({"count": 2, "workflow_ids": [withdrawn, waits]}));
    assert_eq!(
        (&page["after"], &page["days"], &page["looked_through"], &page["is_cut"]),
        (&json!(5), &json!(30), &json!(8), &json!(false))
    );
    assert_eq!(app.client("nora").proposals().await[0]["may_give"], false, "an auditor approves nothing");
    bot.get("/grants/proposals").await.problem(403, "not-permitted");
    assert_eq!(app.database.count("select count(*) from standing_grant").await, 0, "nothing is given by a proposal");
    assert_eq!(bot.submit(build("api")).await["status"], "pending_approval");

    // Somebody gives the grant as proposed; then it is no longer proposed, and what it releases
    // does not count as an approval.
    alice.post("/grants", json!({"like": proposal["like"], "expires_in": "1h", "justification": "again and again"})).await.expect(201);
    assert_eq!(bot.submit(build("api")).await["status"], "executing");
    assert_eq!(alice.proposals().await, Vec::<Value>::new());
}

#[tokio::test]
async fn proposals_exclude_rejected_matches_and_do_not_count_uses_of_grants() {
    let app = TestApp::with(after_two()).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    approved(&app, &build("api"), 2).await;
    approved(&app, &build("web"), 2).await;
    assert_eq!(alice.proposals().await.len(), 2);
    alice.reject(&bot.submit_id(build("api")).await).await.expect(200);
    let headlines: Vec<Value> = alice.proposals().await.iter().map(|proposal| proposal["headline"].clone()).collect();
    assert_eq!(headlines, ["deploy-bot: build web in development by external"]);

    // Approved by one person, and once by her grant.
    approved(&app, &build("docs"), 1).await;
    let like = bot.submit_id(build("docs")).await;
    alice.post("/grants", json!({"like": like, "expires_in": "1h", "uses": 1, "justification": "x"})).await.expect(201);
    assert_eq!(bot.submit(build("docs")).await["status"], "executing");
    assert_eq!(alice.proposals().await.len(), 1, "what a grant gave is no approval");
}

#[tokio::test]
async fn grants_that_nobody_could_give_are_not_proposed() {
    for policies in ["policies: { high: { required: 2 } }", "policies: { high: { require_digest: true } }", "grants: { levels: [medium] }"]
    {
        let app = TestApp::with(Config::new().with_policies(&format!("{policies}\n"))).await;
        let (bot, alice, tess) = (app.client("deploy-bot"), app.client("alice"), app.client("tess"));
        for _ in 0..5 {
            let submitted = bot.submit(high()).await;
            let (id, with_digest) = (submitted["workflow_id"].as_str().unwrap(), json!({"digest": submitted["digest"]}));
            alice.post(&format!("/workflows/{id}/approve"), with_digest.clone()).await.expect(200);
            if policies.contains("required") {
                tess.post(&format!("/workflows/{id}/approve"), with_digest).await.expect(200);
            }
            bot.wait_for(id, "executing").await;
        }
        assert_eq!(alice.proposals().await, Vec::<Value>::new(), "{policies}");
    }

    let app = TestApp::with(after_two()).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let found = |mut task: Value| {
        task["security_findings"] = json!([{"severity": "low"}]);
        task
    };
    let nowhere = |mut task: Value| {
        task.as_object_mut().unwrap().remove("environment");
        task
    };
    for task in [found(build("api")), nowhere(build("api")), json!({"description": "x", "steps": [build("api")]})] {
        for _ in 0..2 {
            let submitted = bot.submit(task.clone()).await;
            if submitted["status"] == "pending_approval" {
                alice.approve(submitted["workflow_id"].as_str().unwrap()).await;
            }
        }
    }
    // The first is approved, the second supersedes the one that waited.
    approved(&app, &build("web"), 1).await;
    let replaced = bot.submit_id(build("web")).await;
    let mut replacing = build("web");
    replacing["supersedes"] = json!(replaced);
    alice.approve(&bot.submit_id(replacing).await).await.expect(200);
    assert_eq!(alice.proposals().await, Vec::<Value>::new());
}

#[tokio::test]
async fn a_runbook_that_has_changed_since_it_was_approved_is_not_proposed() {
    let ledger = Ledger::new();
    let script = ledger.folder().join("run.sh");
    let mut permissions = std::fs::metadata(&script).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
    std::fs::set_permissions(&script, permissions).unwrap();
    let config = after_two().with_runbooks(&format!(
        "runbooks:\n  once: {{ operation: deploy, environment: development, command: ['{}'], working_dir: '{}', timeout: 1m }}\n",
        script.display(),
        ledger.folder().display()
    ));
    let app = TestApp::with(config).await;
    approved(&app, &deployment(), 2).await;
    let alice = app.client("alice");
    assert_eq!(alice.proposals().await[0]["headline"], "deploy-bot: deploy in development by runbook once");
    let (text, changed) = (std::fs::read_to_string(&script).unwrap(), ledger.folder().join("changed.sh"));
    std::fs::write(&changed, format!("{text}# swapped\n")).unwrap();
    std::fs::set_permissions(&changed, std::fs::metadata(&script).unwrap().permissions()).unwrap();
    // A rename, because a file that is being executed cannot be written.
    std::fs::rename(&changed, &script).unwrap();
    assert_eq!(alice.proposals().await, Vec::<Value>::new(), "what runs now is not what was approved");
}

#[tokio::test]
async fn the_inbox_proposes_and_a_press_fills_in_the_form_and_gives_nothing() {
    let app = TestApp::with(after_two()).await;
    let ids = approved(&app, &build("api"), 2).await;
    let browser = Browser::of(app.addr, "alice").await;
    let page = browser.get("/inbox/grants").await.expect(200);
    page.has("build api in development").has("Fill in the form").has("2 times");
    let filled = browser.get(&format!("/inbox/grants?like={}", ids[0])).await.expect(200);
    filled.has(&format!("name=\"like\" value=\"{}\" required", ids[0]));
    assert_eq!(app.database.count("select count(*) from standing_grant").await, 0);
    let fields = [("like", ids[0].as_str()), ("expires_in", "1h"), ("justification", "again and again")];
    let given = browser.submit(&filled, "/inbox/grants", &fields).await;
    assert!(given.headers["location"].to_str().unwrap().contains("done=given"));
    browser.get("/inbox/grants").await.expect(200).lacks("Fill in the form");
    Browser::of(app.addr, "nora").await.get("/inbox/grants").await.expect(200).lacks("Fill in the form");
}

#[tokio::test]
async fn an_expired_request_is_no_approval_and_is_listed_beside_the_proposal() {
    let config = Config::new().with_policies("grants: { propose_after: 2 }\npolicies: { medium: { expire_after: 5s } }\n");
    let app = TestApp::with(config).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    approved(&app, &build("api"), 1).await;
    let expired = bot.submit_id(build("api")).await;
    bot.wait_for(&expired, "expired").await;
    assert_eq!(alice.proposals().await, Vec::<Value>::new());
    approved(&app, &build("api"), 1).await;
    let proposals = alice.proposals().await;
    assert_eq!(proposals[0]["others"], json!({"count": 1, "workflow_ids": [expired]}));
}
