//! What is shown about a request is what is known: its target names it everywhere, and if its
//! requester called it something else, that is shown.

use crate::support::client::{high, low, medium};
use crate::support::notices::about;
use crate::support::{Browser, Config, TestApp, keys};
use crate::tampering::{as_superuser, rekey};
use parkbrake::domain::notice::Kind;
use parkbrake::domain::risk::level::Level;
use parkbrake::domain::risk::target::{Differs, Source, Target};
use parkbrake::notify::message::Message;
use parkbrake::notify::templates::{Shipped, Template};
use serde_json::{Value, json};
use std::sync::Arc;

/// A runbook that deletes a production database, whatever it is called.
const RUNBOOKS: &str = "
runbooks:
  ledger:
    operation: delete
    environment: production
    resource: db-prod-ledger
    resource_type: database
    command: [/bin/echo, \"{{ note }}\"]
    args: { note: { pattern: \"(?s).{0,5000}\" } }
";

const CALLED: &str = "The requester called this: ";

fn ledger() -> Value {
    json!({"description": "a small thing", "operation": "deploy", "environment": "staging", "resource": "ledger", "resource_type": "code",
           "action": {"type": "runbook", "name": "ledger", "args": {"note": "x"}}})
}

async fn app() -> TestApp {
    TestApp::with(Config::new().with_runbooks(RUNBOOKS)).await
}

#[tokio::test]
async fn the_target_is_known_at_submit_and_in_every_answer() {
    let app = app().await;
    let bot = app.client("deploy-bot");
    let submitted = bot.submit(ledger()).await;
    let id = submitted["workflow_id"].as_str().unwrap().to_owned();
    let target = &submitted["target"];
    let named = ["operation", "environment", "resource", "resource_type"].map(|field| target[field].as_str().unwrap());
    assert_eq!(named, ["delete", "production", "db-prod-ledger", "database"]);
    let differs: Vec<_> =
        target["differs"].as_array().unwrap().iter().map(|one| (&one["field"], &one["claimed"], &one["known"], &one["from"])).collect();
    assert!(differs.contains(&(&json!("resource"), &json!("ledger"), &json!("db-prod-ledger"), &json!("runbook"))), "{differs:?}");
    assert_eq!(differs.len(), 4);
    let assessed = bot.post("/risk/assess", ledger()).await.expect(200);
    let list = async |path: &str| app.client("alice").get(path).await.expect(200)["workflows"][0].clone();
    let whole = bot.workflow(&id).await;
    for (answer, shown) in
        [("assess", &assessed), ("status", &whole), ("pending", &list("/workflows/pending").await), ("list", &list("/workflows").await)]
    {
        assert_eq!(&shown["target"], target, "{answer}");
    }
    assert_eq!(list("/workflows").await["operation"], "delete", "no list names the bare claim");
    assert_eq!(whole["task"]["operation"], "deploy", "the document is as it was sent");
}

#[tokio::test]
async fn no_page_names_a_disagreeing_request_without_saying_so() {
    let app = app().await;
    let bot = app.client("deploy-bot");
    let id = bot.submit_id(ledger()).await;
    let rejected = bot.submit_id(ledger()).await;
    app.client("cora").reject(&rejected).await.expect(200);
    bot.submit_id(high()).await;
    let cora = Browser::of(app.addr, "cora").await;
    for path in [
        "/",
        "/?of=all",
        "/?fragment=list",
        "/inbox/history",
        "/inbox/people/cora",
        &format!("/inbox/workflows/{id}"),
        &format!("/inbox/workflows/{rejected}"),
    ] {
        let page = cora.get(path).await.expect(200);
        page.has("delete db-prod-ledger in production").has(CALLED).has("<strong class=\"mark\">DIFFERS</strong>");
        page.lacks("deploy ledger").lacks("deploy in staging");
    }
    let page = cora.get(&format!("/inbox/workflows/{id}")).await.expect(200);
    page.has("<h1><bdi>delete db-prod-ledger in production</bdi></h1>")
        .has("<title>critical delete db-prod-ledger in production [DIFFERS]");
    page.has("<code class=\"typed\">db-prod-ledger</code>").has("<span class=\"level level-warning\">warning</span>");
    let page = cora.get("/").await;
    let page = cora.submit(&page, "/inbox/reject", &[("id", &id), ("reason", "no")]).await.expect(200);
    page.has("delete db-prod-ledger in production").has(CALLED);
}

#[tokio::test]
async fn matching_claims_are_shown_without_a_warning() {
    let app = app().await;
    let mut task = high();
    task["resource"] = json!("api");
    let id = app.client("deploy-bot").submit_id(task).await;
    let alice = Browser::of(app.addr, "alice").await;
    for path in ["/", "/inbox/history", &format!("/inbox/workflows/{id}")] {
        alice.get(path).await.expect(200).has("deploy api in production").lacks("DIFFERS").lacks(CALLED);
    }
}

/// For each shipped template, each kind of notice, and any number of notices in a message.
#[test]
fn no_notice_names_a_disagreeing_request_without_saying_so() {
    let task = serde_json::from_value(json!({"description": "a small thing", "operation": "deploy", "environment": "staging",
        "resource": "ledger", "action": {"type": "external"}}))
    .unwrap();
    let differs = |field: &str, claimed: &str, known: &str| Differs {
        field: field.to_owned(),
        claimed: Some(claimed.to_owned()),
        known: known.to_owned(),
        from: Source::Runbook,
    };
    let target = Target {
        operation: "delete".to_owned(),
        environment: Some("production".to_owned()),
        resource: Some("db-prod-ledger".to_owned()),
        resource_type: None,
        differs: vec![differs("operation", "deploy", "delete"), differs("resource", "ledger", "db-prod-ledger")],
    };
    let mut notice = about(Kind::Requested, Level::High, task);
    Arc::make_mut(&mut notice.workflow.submission).target = Some(target);
    let all = [Shipped::Slack, Shipped::Email, Shipped::EmailHtml, Shipped::LinearIssue, Shipped::LinearComment, Shipped::PagerDuty];
    for kind in Kind::ALL {
        notice.kind = kind;
        for message in [Message::of(&[notice.clone()]).unwrap(), Message::of(&[notice.clone(), notice.clone()]).unwrap()] {
            if message.count == 1 {
                assert!(message.title.ends_with(": delete db-prod-ledger in production [DIFFERS]"), "{}", message.title);
                assert!(message.notice.facts.iter().any(|fact| fact.name == "DIFFERS" && fact.value.starts_with(CALLED)));
            }
            for shipped in all {
                let text = Template::new(shipped, None).unwrap().render(&message);
                assert!(!text.contains("deploy ledger"), "{shipped:?}: {text}");
                let claims = text.contains("a small thing") || text.contains("ledger\"");
                assert!(!claims || text.contains(CALLED), "{shipped:?}: {text}");
            }
        }
    }
}

#[tokio::test]
async fn the_page_with_the_form_shows_every_part_of_the_document_whole() {
    let app = app().await;
    let long = format!("note={}; rm -rf /srv/data", "routine restart of the cache node ".repeat(100));
    let mut task = ledger();
    task["action"]["args"]["note"] = json!(long);
    task["resource"] = json!("r".repeat(1_000));
    task["metadata"] = json!({"plan": "p".repeat(20_000)});
    task["security_findings"] = (0..200).map(|n| json!({"severity": "low", "title": format!("finding number {n} of many")})).collect();
    let id = app.client("deploy-bot").submit_id(task).await;
    let page = Browser::of(app.addr, "cora").await.get(&format!("/inbox/workflows/{id}")).await.expect(200);
    page.has("Approve exactly this").has(&long.replace('/', "&#x2f;")).has(&"r".repeat(1_000)).has(&"p".repeat(20_000));
    page.has("finding number 199 of many").has("<dt>Arguments</dt>").has("<code class=\"key\">note</code>");
}

#[tokio::test]
async fn invisible_characters_are_shown_by_number_and_justify_nothing() {
    let app = app().await;
    let bot = app.client("deploy-bot");
    let hidden = ['\u{a0}', '\u{1680}', '\u{2003}', '\u{205f}', '\u{3000}', '\u{1bca0}', '\u{13430}', '\u{13443}', '\u{1d159}', '\u{fffc}'];
    let text: String = hidden.iter().flat_map(|one| ['x', *one]).collect();
    let mut task = ledger();
    task["description"] = json!(text);
    task["action"]["args"]["note"] = json!(text);
    task["metadata"] = json!({"note": text});
    let id = bot.submit_id(task).await;
    let cora = Browser::of(app.addr, "cora").await;
    for path in ["/".to_owned(), format!("/inbox/workflows/{id}"), "/inbox/history".to_owned()] {
        let page = cora.get(&path).await.expect(200);
        for one in hidden {
            assert!(!page.html.contains(one), "U+{:04X} is in {path}", u32::from(one));
            page.has(&format!("&lt;U+{:04X}&gt;", u32::from(one)));
        }
    }
    let decide = async |justification: &str| {
        app.client("cora").post(&format!("/workflows/{id}/approve"), json!({"justification": justification})).await
    };
    for one in hidden.iter().map(ToString::to_string).chain([text.replace('x', ""), "\u{301}".to_owned()]) {
        decide(&one).await.problem(422, "justification-required");
        let nothing = json!({"description": one, "operation": "read"});
        bot.post("/orchestrate", nothing).await.problem(422, "invalid-task");
    }
    decide("a reason").await.expect(200);
}

#[tokio::test]
async fn missing_addresses_below_the_inbox_answer_with_a_page() {
    let app = app().await;
    let id = app.client("deploy-bot").submit_id(high()).await;
    let alice = Browser::of(app.addr, "alice").await;
    for path in ["/inbox", "/inbox/nothing", "/inbox/workflows", "/inbox/workflows/x/y/z", &format!("/inbox/workflows/{id}/nothing")] {
        alice.get(path).await.expect(404).has("<h1>Not Found</h1>");
    }
    // A refused decision whose address is opened again.
    for verdict in ["approve", "reject"] {
        let page = alice.get(&format!("/inbox/workflows/{id}/{verdict}")).await.expect(405);
        page.has("<h1>Method Not Allowed</h1>").has(&format!("<a href=\"&#x2f;inbox&#x2f;workflows&#x2f;{id}\">Open the request</a>"));
    }
    assert_eq!(alice.get("/orchestrate").await.headers["content-type"], "application/problem+json", "the API answers as the API");
}

#[tokio::test]
async fn every_event_records_its_way_in() {
    let app = app().await;
    let bot = app.client("deploy-bot");
    let id = bot.submit_id(medium()).await;
    let alice = Browser::of(app.addr, "alice").await;
    let path = format!("/inbox/workflows/{id}");
    let page = alice.get(&path).await.expect(200);
    alice.submit(&page, &format!("{path}/approve"), &[("justification", "fine")]).await.location();
    bot.post(&format!("/workflows/{id}/result"), json!({"outcome": "succeeded"})).await.expect(200);
    let done = bot.workflow(&id).await;
    let doors = |workflow: &Value| -> Vec<(String, String)> {
        let word = |one: &Value, name: &str| one[name].as_str().unwrap_or("nothing").to_owned();
        workflow["history"].as_array().unwrap().iter().map(|one| (word(one, "event"), word(one, "via"))).collect()
    };
    let seen = doors(&done);
    assert_eq!(seen.first().unwrap(), &("submitted".to_owned(), "rest".to_owned()));
    assert!(seen.contains(&("approved".to_owned(), "inbox".to_owned())), "{seen:?}");
    assert_eq!(seen.last().unwrap(), &("execution_succeeded".to_owned(), "rest".to_owned()));
    assert_eq!(done["decisions"][0]["via"], "inbox");
    alice.get(&path).await.expect(200).has("<span class=\"minor\">(inbox)</span>");

    let by_rest = bot.submit_id(medium()).await;
    app.client("alice").approve(&by_rest).await.expect(200);
    assert_eq!(bot.workflow(&by_rest).await["decisions"][0]["via"], "rest");
}

#[tokio::test]
async fn old_rows_without_way_in_or_target_stay_readable() {
    let mut app = app().await;
    let id = app.client("deploy-bot").submit_id(low()).await;
    app.stop().await;
    as_superuser(
        &app,
        "update workflow_event set via = null, seal = null, data = (data::jsonb - 'target')::text;
         update workflow set target = null, seal = null; update sealing set complete = false, key_check = null",
    )
    .await;
    assert_eq!(rekey(&app.database, keys()).await, (0, 0, 1, 0));
    app.restart().await;
    let alice = app.client("alice");
    let whole = alice.workflow(&id).await;
    let claimed = json!({"operation": "read", "environment": "development", "resource": null, "resource_type": "code", "differs": []});
    assert_eq!(whole["target"], claimed);
    assert_eq!(whole["history"][0]["via"], "rest");
    assert_eq!(alice.get("/workflows").await.expect(200)["workflows"][0]["target"], claimed);
}
