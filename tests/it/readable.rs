//! What a requester sends in addition to the description, as people read it: lines stay lines, a
//! diff is shown as one, and long values are folded but complete.

use crate::support::called;
use crate::support::client::high;
use crate::support::{Browser, TestApp};
use serde_json::{Value, json};

#[track_caller]
fn page_with(app: &TestApp, fields: &[(&str, Value)]) -> impl Future<Output = crate::support::browser::Page> {
    called(async move {
        let mut task = high();
        for (name, value) in fields {
            task[*name] = value.clone();
        }
        let id = app.client("deploy-bot").submit_id(task).await;
        Browser::of(app.addr, "alice").await.get(&format!("/inbox/workflows/{id}")).await.expect(200)
    })
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
async fn yaml_manifests_are_titled_and_compared_with_the_superseded_request() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let manifest = |replicas: u64, remark: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: api, namespace: shop}}\nspec:\n  replicas: {replicas}{remark}\n  template:\n    spec:\n      containers: [{{name: api, image: api:1.4.2}}]\n---\napiVersion: v1\nkind: Service\nmetadata: {{name: api, namespace: shop}}\n"
        )
    };
    let task = |yaml: String| {
        let mut task = high();
        task["action"] = json!({"type": "external", "name": "apply", "args": {"manifest": yaml}});
        task
    };
    let first = bot.submit_id(task(manifest(3, ""))).await;
    let mut second = task(manifest(30, " # <b>"));
    second["supersedes"] = json!(first);
    let second = bot.submit_id(second).await;
    let alice = Browser::of(app.addr, "alice").await;
    let page = alice.get(&format!("/inbox/workflows/{second}")).await.expect(200);
    page.has("13 lines of YAML: Kubernetes Deployment shop&#x2f;api, 30 replicas, api:1.4.2; Kubernetes Service shop&#x2f;api")
        .has("  replicas: 30 # &lt;b&gt;\n")
        .has("<code>&#x2f;action&#x2f;args&#x2f;manifest: &#x2f;Deployment shop api&#x2f;spec&#x2f;replicas</code>")
        .has("<del><code class=\"value\">3</code></del>")
        .has("<ins><code class=\"value\">30</code></ins>")
        .has("<code>&#x2f;action&#x2f;args&#x2f;manifest</code>");
    // If only a comment differs, no field does, and yet the text does.
    let mut third = task(manifest(30, " # other"));
    third["supersedes"] = json!(second);
    let third = bot.submit_id(third).await;
    let page = alice.get(&format!("/inbox/workflows/{third}")).await.expect(200);
    page.has("<code>&#x2f;action&#x2f;args&#x2f;manifest</code>").lacks("manifest: &#x2f;Deployment");
}

#[tokio::test]
async fn long_values_are_folded_and_complete_on_the_page() {
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
