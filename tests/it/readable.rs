//! What a requester sends beside its words, as people read it: lines are lines, a diff is a diff,
//! and what is long is folded and whole.

use crate::support::client::high;
use crate::support::{Browser, TestApp};
use serde_json::{Value, json};

async fn page_with(app: &TestApp, fields: &[(&str, Value)]) -> crate::support::browser::Page {
    let mut task = high();
    for (name, value) in fields {
        task[*name] = value.clone();
    }
    let id = app.client("deploy-bot").submit_id(task).await;
    Browser::of(app.addr, "alice").await.get(&format!("/inbox/workflows/{id}")).await.expect(200)
}

#[tokio::test]
async fn metadata_and_arguments_are_read_as_what_they_are() {
    let app = TestApp::start().await;
    let manifest = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "api", "namespace": "shop"},
        "spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "api", "image": "registry/api:1.4.2"}]}}}});
    let metadata = json!({"diff": "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old <b>\n+new\n", "ticket": "OPS-7", "n": 2});
    let action = json!({"type": "external", "name": "apply", "args": {"manifest": manifest, "note": "first\nsecond"}});
    let page = page_with(&app, &[("metadata", metadata), ("action", action)]).await;
    page.has("<span class=\"diff-removed\">-old &lt;b&gt;</span>\n<span class=\"diff-added\">+new</span>")
        .has("6 lines of a diff")
        .has("Kubernetes Deployment shop&#x2f;api, 3 replicas, registry&#x2f;api:1.4.2")
        .has("first\nsecond")
        .has("<code class=\"value\">&quot;OPS-7&quot;</code>")
        .has("<code class=\"value\">2</code>");
    assert!(page.html.contains("<details open><summary><code class=\"key\">diff</code>"), "what is short is in sight: {}", page.html);
}

#[tokio::test]
async fn what_is_long_is_folded_and_every_line_of_it_is_on_the_page() {
    let app = TestApp::start().await;
    let text: String = (0..1_000).map(|n| format!("resource number {n} changes in some way\n")).collect();
    assert!(text.len() > 40_000 - 4_000, "{}", text.len());
    let page = page_with(&app, &[("metadata", json!({"plan": text, "deep": {"inner": text}}))]).await;
    page.has("<details><summary><code class=\"key\">plan</code> <span class=\"minor\">1001 lines</span></summary>");
    page.has("<details><summary><code class=\"key\">deep</code> <span class=\"minor\">1 field</span></summary>");
    for number in [0, 500, 999] {
        assert_eq!(page.html.matches(&format!("resource number {number} changes in some way\n")).count(), 2, "{number}");
    }
}
