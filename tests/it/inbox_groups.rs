//! Requests of one kind in one table: it omits nothing, and each is approved on its own.

use crate::support::browser::Page;
use crate::support::client::{critical, high};
use crate::support::{Browser, Config, Ledger, TestApp};
use regex::Regex;
use serde_json::{Value, json};

fn deployment(service: &str, version: &str) -> Value {
    let mut task = high();
    task["resource"] = json!(service);
    task["description"] = json!(format!("Deploy {service} {version}"));
    task["action"] =
        json!({"type": "external", "name": "deploy-service", "args": {"service": service, "version": version, "region": "eu"}});
    task
}

/// The buttons that approve: the request of each, and the digest that it sends.
fn buttons(page: &Page) -> Vec<(String, String)> {
    let button = Regex::new(r#"formaction="/inbox/workflows/([0-9a-f-]{36})/approve" name="digest" value="([^"]*)""#).unwrap();
    button.captures_iter(&page.html).map(|found| (found[1].to_owned(), found[2].to_owned())).collect()
}

/// What the hidden fields of a table's form carry.
fn carried(page: &Page) -> Vec<(String, String)> {
    let form = page.html.split("<form method=\"post\">").nth(1).expect("a table").split("</form>").next().unwrap();
    let field = Regex::new(r#"<input type="hidden" name="([^"]*)" value="([^"]*)">"#).unwrap();
    field.captures_iter(form).map(|found| (found[1].to_owned(), found[2].to_owned())).collect()
}

#[tokio::test]
async fn similar_requests_form_a_table_of_their_differences() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let mut ids = Vec::new();
    for (service, version) in [("api", "1.4"), ("web", "1.4"), ("search", "2.0")] {
        ids.push(bot.submit_id(deployment(service, version)).await);
    }
    let alone = bot.submit_id(high()).await;
    let alice = Browser::of(app.addr, "alice").await;
    let page = alice.get("/?group=kind&sort=oldest").await.expect(200);
    page.has("3 × <bdi>deploy in production</bdi>").has("<option value=\"kind\" selected>");
    assert_eq!(page.ids(), [ids.as_slice(), std::slice::from_ref(&alone)].concat(), "the one of another kind stands in the list as ever");
    // Equal values appear once; the service, the resource and the words differ.
    page.has("<dt><code>region</code></dt><dd><code class=\"value\">eu</code></dd>");
    page.has("<th scope=\"col\"><code>service</code><br><code>resource</code></th>").has("<th scope=\"col\"><code>version</code></th>");
    page.has("<code class=\"value\">Deploy search 2.0</code>").has("<code class=\"value\">&quot;2.0&quot;</code>");

    // Each has its own button, with the digest of its own document, and there is none for several.
    let found = buttons(&page);
    assert_eq!(found.iter().map(|(id, _)| id).collect::<Vec<_>>(), ids.iter().collect::<Vec<_>>());
    for (id, digest) in &found {
        assert_eq!(bot.workflow(id).await["digest"], digest.as_str());
    }
    let hidden = carried(&page);
    let mut fields: Vec<(&str, &str)> = hidden.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    fields.push(("justification", "tests are green"));
    let press = |id: &str, digest: &str| {
        let path = format!("/inbox/workflows/{id}/approve");
        let fields: Vec<(String, String)> =
            fields.iter().copied().chain([("digest", digest)]).map(|(a, b)| (a.to_owned(), b.replace("&amp;", "&"))).collect();
        let alice = &alice;
        async move { alice.post(&path, &fields.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect::<Vec<_>>()).await }
    };
    // The digest of a neighbor approves nothing.
    press(&ids[0], &found[1].1).await.expect(412).has("another document");
    let answer = press(&ids[0], &found[0].1).await;
    assert!(answer.location().starts_with("/?sort=oldest&group=kind&last="), "{}", answer.location());
    let page = alice.get(answer.location()).await.expect(200);
    page.has("it released").has("2 × <bdi>deploy in production</bdi>");
    assert_eq!(buttons(&page).len(), 2);
    let approved = bot.workflow(&ids[0]).await;
    assert_eq!(
        (approved["approval_status"].as_str(), approved["decisions"][0]["justification"].as_str()),
        (Some("approved"), Some("tests are green"))
    );
    assert_eq!(bot.workflow(&ids[1]).await["approval_status"], "pending");
    alice.get("/?group=odd").await.expect(422).has("has to be `kind`");
}

#[tokio::test]
async fn tables_have_no_button_for_critical_or_foreign_requests() {
    let app = TestApp::start().await;
    let bot = app.client("lone-bot");
    for table in ["orders", "users"] {
        let mut task = critical();
        task["resource"] = json!(table);
        bot.submit_id(task).await;
    }
    for service in ["api", "web"] {
        bot.submit_id(deployment(service, "1")).await;
    }
    let page = Browser::of(app.addr, "cora").await.get("/?group=kind&of=all").await.expect(200);
    page.has("2 × <bdi>delete in production</bdi>").has("open it: critical requests are confirmed by their target");
    page.has("2 × <bdi>deploy in production</bdi>").has("you are admin and cto");
    assert_eq!(buttons(&page), []);
}

#[tokio::test]
async fn a_changed_document_is_in_no_table() {
    let ledger = Ledger::new();
    let app = TestApp::with(ledger.runbooks(Config::new())).await;
    let bot = app.client("deploy-bot");
    let task = json!({"description": "run it", "operation": "deploy", "environment": "production", "resource_type": "code",
                      "action": {"type": "runbook", "name": "once"}});
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(bot.submit_id(task.clone()).await);
    }
    let alice = Browser::of(app.addr, "alice").await;
    let page = alice.get("/?group=kind").await.expect(200);
    // All are the same: the command appears once, whole.
    page.has(
        "<dt><code>command, line 1</code></dt><dd><code class=\"value\">/bin/sh</code></dd>"
            .replace('/', "&#x2f;")
            .replace("<&#x2f;", "</")
            .as_str(),
    );
    assert_eq!(buttons(&page).len(), 3);
    app.database.execute("alter table document disable trigger user").await;
    let change = "update payload set document = convert_to(replace(convert_from(document, 'UTF8'), 'run it', 'ran it'), 'UTF8')";
    app.database.execute(&format!("{change} where workflow_id = '{}'", ids[1])).await;
    let page = alice.get("/?group=kind").await.expect(200);
    page.has("2 × <bdi>deploy in development</bdi>");
    let found: Vec<String> = buttons(&page).into_iter().map(|(id, _)| id).collect();
    assert!(found.len() == 2 && !found.contains(&ids[1]), "{found:?}");
}
