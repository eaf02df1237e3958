//! Deciding in the inbox: the same decisions as through the API, with what a person needs around
//! them.

use crate::support::client::{critical, events, high, medium};
use crate::support::{Browser, Config, Ledger, TestApp};
use serde_json::json;

fn path_of(id: &str) -> String {
    format!("/inbox/workflows/{id}")
}

#[tokio::test]
async fn an_approval_covers_what_was_shown() {
    let ledger = Ledger::new();
    let app = TestApp::with(ledger.runbooks(Config::new())).await;
    let task = json!({"description": "run it", "operation": "deploy", "environment": "production", "resource_type": "code",
                      "action": {"type": "runbook", "name": "once"}});
    let id = app.client("deploy-bot").submit_id(task).await;
    let alice = Browser::of(app.addr, "alice").await;
    let page = alice.get(&path_of(&id)).await.expect(200);
    page.has("<code>&#x2f;bin&#x2f;sh</code>")
        .has("<code>run.sh</code>")
        .has("What exactly would run")
        .has("it does not run a second time");
    let digest = app.client("alice").workflow(&id).await["digest"].as_str().unwrap().to_owned();
    page.has(&digest).has("The requester says").lacks("Do not approve");

    let answer = alice.submit(&page, &format!("{}/approve", path_of(&id)), &[("justification", "tests are green\r\nall of them")]).await;
    let after = alice.get(answer.location()).await.expect(200);
    after.has("Your approval was the last one needed").lacks("Approve exactly this");
    let workflow = app.client("alice").wait_for(&id, "completed").await;
    assert_eq!(workflow["decisions"][0]["justification"], "tests are green\nall of them");
    assert_eq!((workflow["decisions"][0]["approver"].as_str(), ledger.starts(&id)), (Some("alice"), 1));
    alice
        .get(&path_of(&id))
        .await
        .expect(200)
        .has("Attempt 1: succeeded")
        .has("tests are green\nall of them")
        .has("<strong>Approved</strong>");

    // Nobody can make a link that claims that something was approved.
    let receipt = answer.location().to_owned();
    let forged = receipt.replace("done=approved", "done=rejected");
    assert_ne!(receipt, forged);
    alice.get(&forged).await.expect(200).lacks("You have rejected");
    let cora = Browser::of(app.addr, "cora").await;
    cora.get(&receipt).await.expect(200).lacks("Your approval was the last");
}

#[tokio::test]
async fn a_rejection_records_its_reason() {
    let app = TestApp::start().await;
    let id = app.client("deploy-bot").submit_id(high()).await;
    let tess = Browser::of(app.addr, "tess").await;
    let page = tess.get(&path_of(&id)).await.expect(200);
    let answer = tess.submit(&page, &format!("{}/reject", path_of(&id)), &[("reason", "not on a Friday")]).await;
    tess.get(answer.location()).await.expect(200).has("You have rejected this request").has("not on a Friday");
    let workflow = app.client("tess").workflow(&id).await;
    assert_eq!(
        (workflow["status"].as_str(), workflow["decisions"][0]["justification"].as_str()),
        (Some("rejected"), Some("not on a Friday"))
    );

    // A person who had the page open learns who was faster; repeating one's own decision does no
    // harm.
    let alice = Browser::of(app.addr, "alice").await;
    let fields: Vec<(String, String)> =
        page.hidden(&format!("{}/approve", path_of(&id))).into_iter().filter(|(name, _)| name == "digest").collect();
    let mine = alice.get("/").await.expect(200).hidden("/sign-out")[0].1.clone();
    let late = alice.post(&format!("{}/approve", path_of(&id)), &[("form_token", &mine), ("digest", &fields[0].1)]).await.expect(409);
    late.has("Nothing was decided").has("rejected by tess already");
    assert!(tess.submit(&page, &format!("{}/reject", path_of(&id)), &[]).await.location().contains("done=rejected"));
    assert_eq!(events(&app.client("tess").workflow(&id).await), ["submitted", "approval_requested", "rejected"]);
}

#[tokio::test]
async fn the_inbox_explains_why_a_person_may_not_decide() {
    let app = TestApp::start().await;
    let id = app.client("deploy-bot").submit_id(high()).await;
    let approve = format!("{}/approve", path_of(&id));
    for (name, why, may_reject) in [
        ("tom", "deploy-bot submitted this task on behalf of tom; somebody else has to approve it", true),
        ("nora", "it needs team_lead or tech_lead; you are auditor", false),
    ] {
        let browser = Browser::of(app.addr, name).await;
        let page = browser.get(&path_of(&id)).await.expect(200);
        page.has(why).lacks("Approve exactly this");
        assert_eq!(page.html.contains("class=\"danger\""), may_reject, "{name}");
        // Without the form, by hand.
        let digest = app.client("alice").workflow(&id).await["digest"].as_str().unwrap().to_owned();
        let token = page.hidden("/sign-out")[0].1.clone();
        browser.post(&approve, &[("form_token", &token), ("digest", &digest)]).await.expect(403).has(why).has("Nothing was decided");
        browser.get("/").await.expect(200).lacks(&id);
        browser.get("/?of=all").await.expect(200).has(&id);
    }
    assert_eq!(app.client("alice").workflow(&id).await["status"], "pending_approval");
}

#[tokio::test]
async fn an_approval_is_for_the_document_that_was_read() {
    let app = TestApp::start().await;
    let ids = [app.client("deploy-bot").submit_id(high()).await, app.client("deploy-bot").submit_id(high()).await];
    let other = app.client("deploy-bot").submit_id(medium()).await;
    let alice = Browser::of(app.addr, "alice").await;
    let approve = format!("{}/approve", path_of(&ids[0]));
    let page = alice.get(&path_of(&ids[0])).await.expect(200);
    let token = page.hidden("/sign-out")[0].1.clone();
    let digest = app.client("alice").workflow(&other).await["digest"].as_str().unwrap().to_owned();
    let wrong =
        alice.post(&approve, &[("form_token", &token), ("digest", &digest), ("justification", "I <b>read</b> it")]).await.expect(412);
    wrong.has("the decision is about another document").has("I &lt;b&gt;read&lt;&#x2f;b&gt; it");
    alice.post(&approve, &[("form_token", &token)]).await.expect(412).has("does not say which document was read");
    let long = "x".repeat(5_000);
    alice.submit(&page, &approve, &[("justification", &long)]).await.expect(422).has("longer than 4096 bytes");
    alice.submit(&page, &approve, &[("justification", "a"), ("justification", "b")]).await.expect(422).has("appears twice");
    alice.submit(&page, &approve, &[("justification", "a\0b")]).await.expect(422).has("NUL");
    assert_eq!(app.client("alice").workflow(&ids[0]).await["version"], 2);

    // A document that somebody changed in the database is shown as such, and cannot be approved.
    app.database.execute("alter table document disable trigger user").await;
    app.database
        .execute(&format!(
            "update payload set document = convert_to(replace(convert_from(document, 'UTF8'), 'deploy api', 'deploy web'), 'UTF8') where workflow_id = '{}'",
            ids[1]
        ))
        .await;
    let page = alice.get(&path_of(&ids[1])).await.expect(200);
    page.has("Do not approve this")
        .has("You cannot approve this: what is stored is not what was submitted.")
        .lacks("Approve exactly this")
        .has(">Reject</button>");
    app.database.execute(&format!("update payload set document = 'no task' where workflow_id = '{}'", ids[1])).await;
    alice.get(&path_of(&ids[1])).await.expect(200).has("A request that cannot be read").lacks("Approve exactly this");
}

#[tokio::test]
async fn a_critical_request_is_confirmed_by_its_target() {
    let app = TestApp::with(Config::new().with_policies("policies: { critical: { required: 2 } }\n")).await;
    let mut task = critical();
    task["resource"] = json!("customers-db");
    let id = app.client("lone-bot").submit_id(task).await;
    let approve = format!("{}/approve", path_of(&id));
    let tom = Browser::of(app.addr, "tom").await;
    let page = tom.get(&path_of(&id)).await.expect(200);
    page.has("Type its target to confirm: <code class=\"typed\">customers-db</code>");
    for typed in ["", "customers", "CUSTOMERS-DB", "production"] {
        let again = tom.submit(&page, &approve, &[("justification", "agreed with the owners"), ("confirmation", typed)]).await.expect(422);
        again.has("this request is critical: type the name of its target").has("agreed with the owners");
    }
    tom.submit(&page, &approve, &[("confirmation", "customers-db")]).await.expect(422).has("a justification is needed");
    assert_eq!(app.client("tom").workflow(&id).await["version"], 2);

    let fields = [("justification", "agreed with the owners"), ("confirmation", " customers-db ")];
    let answer = tom.submit(&page, &approve, &fields).await;
    tom.get(answer.location())
        .await
        .expect(200)
        .has("Your approval counts. The request waits for others.")
        .has("You have approved this request");
    let cora = Browser::of(app.addr, "cora").await;
    let page = cora.get(&path_of(&id)).await.expect(200);
    let answer = cora.submit(&page, &approve, &fields).await;
    assert!(answer.location().contains("done=approved"));
    assert_eq!(app.client("tom").workflow(&id).await["approval_status"], "approved");

    // If no resource is named it is the environment, or else the operation.
    let page = cora.get(&path_of(&app.client("lone-bot").submit_id(critical()).await)).await.expect(200);
    page.has("<code class=\"typed\">production</code>");
}

#[tokio::test]
async fn several_are_rejected_at_once_each_by_itself_and_none_approved() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let (mine, settled, others, left) =
        (bot.submit_id(high()).await, bot.submit_id(medium()).await, bot.submit_id(critical()).await, bot.submit_id(high()).await);
    let alice = Browser::of(app.addr, "alice").await;
    let page = alice.get("/").await.expect(200);
    page.has(&mine).has(&settled).has(&left).lacks(&others).has("Requests are approved one by one").lacks(">Approve");
    app.client("alice").approve(&settled).await.expect(200);
    let gone = "0198f0a0-0000-7000-8000-000000000000";
    let fields = [("id", mine.as_str()), ("id", &settled), ("id", &others), ("id", gone), ("reason", "we <i>freeze</i>")];
    // The first press only asks.
    let question = alice.submit(&page, "/inbox/reject", &fields).await.expect(200);
    question.has("Reject 4 requests?").has("value=\"we &lt;i&gt;freeze&lt;&#x2f;i&gt;\"");
    assert_eq!(bot.workflow(&mine).await["status"], "pending_approval");
    let done = alice.submit(&question, "/inbox/reject", &[("reason", "we <i>freeze</i>")]).await.expect(200);
    done.has("1 of 4 rejected").has("approved by alice already").has("it needs ").has("there is no workflow");
    let status = async |id: &str| bot.workflow(id).await["approval_status"].clone();
    assert_eq!(bot.workflow(&mine).await["decisions"][0]["justification"], "we <i>freeze</i>");
    assert_eq!(status(&mine).await, "rejected");
    assert_eq!(
        (status(&settled).await, status(&others).await, status(&left).await),
        (json!("approved"), json!("pending"), json!("pending"))
    );

    alice.submit(&page, "/inbox/reject", &[]).await.expect(200).has("Nothing was selected");
    alice.submit(&page, "/inbox/reject", &[("id", "x")]).await.expect(422);
    let many = vec![("id", left.as_str()); 101];
    let question = alice.submit(&page, "/inbox/reject", &many).await.expect(200);
    question.has("Reject 1 request?");
    alice.submit(&question, "/inbox/reject", &[]).await.expect(200).has("1 of 1 rejected");
}

#[tokio::test]
async fn the_form_of_a_grant_that_is_refused_keeps_what_was_written() {
    let app = TestApp::start().await;
    let id = app.client("deploy-bot").submit_id(high()).await;
    let alice = Browser::of(app.addr, "alice").await;
    let page = alice.get("/inbox/grants").await.expect(200);
    let fields = [("like", id.as_str()), ("expires_in", "soon"), ("uses", "3"), ("justification", "the same <b>release</b> train")];
    let refused = alice.submit(&page, "/inbox/grants", &fields).await.expect(422);
    refused.has("Nothing was done").has(&format!("value=\"{id}\"")).has("value=\"soon\"").has("value=\"3\"");
    refused.has("the same &lt;b&gt;release&lt;&#x2f;b&gt; train");
}
