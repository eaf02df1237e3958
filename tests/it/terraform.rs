//! Terraform plans as evidence: what they raise, what people are shown, what is never stored, and
//! whether the applied plan is the one that was approved.

use crate::support::called;
use crate::support::hook::Hook;
use crate::support::{Browser, Config, TestApp};
use parkbrake::domain::task::terraform;
use serde_json::{Value, json};
use sqlx::Row as _;

/// What the fixture marks as sensitive, or names like a secret.
const SECRETS: [&str; 3] = ["correct-horse-battery", "staple-horse-correct", "provider-secret-key-1"];

fn plan() -> Value {
    serde_json::from_str(include_str!("../fixtures/terraform/replace-database.json")).expect("a plan")
}

fn quiet() -> Value {
    serde_json::from_str(include_str!("../fixtures/terraform/opentofu-no-changes.json")).expect("a plan")
}

/// A task that claims to be harmless, with a plan.
fn claiming(plan: &Value) -> Value {
    json!({"description": "apply it", "operation": "read", "environment": "staging", "resource_type": "code",
        "evidence": {"type": "terraform_plan", "plan": plan}})
}

fn evidence(plan: &Value) -> Value {
    json!({"type": "terraform_plan", "plan": plan})
}

/// Every row of every table, with bytes as text, too.
#[track_caller]
fn everything_stored(app: &TestApp) -> impl Future<Output = String> {
    called(async move {
        let mut db = app.database.connect().await;
        let tables =
            sqlx::query("select tablename::text from pg_tables where schemaname = 'public'").fetch_all(&mut db).await.expect("tables");
        let mut all = String::new();
        for table in tables {
            let table: String = table.get(0);
            let rows = sqlx::query(sqlx::AssertSqlSafe(format!("select t::text from {table} t"))).fetch_all(&mut db).await.expect("rows");
            for row in rows {
                all.push_str(row.get::<&str, _>(0));
                all.push('\n');
            }
        }
        let documents = sqlx::query("select convert_from(content, 'UTF8') from document").fetch_all(&mut db).await.expect("documents");
        all.extend(documents.iter().map(|row| row.get::<String, _>(0)));
        all
    })
}

#[tokio::test]
async fn a_plan_raises_the_level_and_people_see_what_it_takes_away_first() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let level = |answer: &Value| answer["risk_level"].clone();
    assert_eq!(level(&bot.submit(claiming(&quiet())).await), "low", "a plan that changes nothing");
    let submitted = bot.submit(claiming(&plan())).await;
    assert_eq!((level(&submitted), &submitted["status"]), (json!("high"), &json!("pending_approval")), "infrastructure is modified");
    let mut live = claiming(&plan());
    live["evidence"]["workspace"] = json!("production");
    assert_eq!(bot.post("/risk/assess", live.clone()).await.expect(200)["assessment"]["level"], "critical", "it deletes in production");
    live["steps"] = json!([live.clone()]);
    live.as_object_mut().unwrap().retain(|name, _| ["description", "steps"].contains(&name.as_str()));
    assert_eq!(level(&bot.submit(live).await), "critical", "in a plan of several steps too");

    let id = submitted["workflow_id"].as_str().unwrap();
    let shown = app.client("alice").workflow(id).await;
    let summary = &shown["task"]["evidence"]["summary"];
    let acts: Vec<&str> = summary["changes"].as_array().unwrap().iter().map(|change| change["act"].as_str().unwrap()).collect();
    assert_eq!(acts, ["delete", "replace", "update", "update", "create", "adopt"]);
    let page = Browser::of(app.addr, "alice").await.get(&format!("/inbox/workflows/{id}")).await.expect(200);
    page.has("1 to delete, 1 to replace, 2 to update").has("aws_s3_bucket.backups").has("(sensitive)").has("forces the replacement");
    let (deletes, creates) = (page.html.find("aws_s3_bucket.backups"), page.html.find("aws_security_group_rule.open"));
    assert!(deletes < creates, "what is taken away stands first");
}

#[tokio::test]
async fn no_secret_of_a_plan_is_stored_shown_or_sent() {
    let hook = Hook::start().await;
    let notifications = format!("channels:\n{}routes: [ {{ levels: [high], channels: [audit] }} ]\n", hook.channel("audit"));
    let app = TestApp::with(Config::new().write("notifications.yaml", &notifications)).await;
    let bot = app.client("deploy-bot");
    let request = bot.request(reqwest::Method::POST, "/orchestrate").header("idempotency-key", "plan-1").json(&claiming(&plan()));
    let submitted = bot.send(request).await.expect(202);
    let id = submitted["workflow_id"].as_str().unwrap();
    hook.hears(id, &["approval.requested"]).await;
    let delivered = format!("{:?}", hook.attempts());
    assert!(delivered.contains("1 to delete, 1 to replace"), "{delivered}");
    let page = Browser::of(app.addr, "alice").await.get(&format!("/inbox/workflows/{id}")).await.expect(200);
    let status = app.client("alice").get(&format!("/workflows/{id}/status")).await;
    let stored = everything_stored(&app).await;
    assert!(stored.contains("aws_s3_bucket.backups") && stored.contains("hmac-sha256:"), "it is the plan's document");
    let contents = terraform::read(&plan(), None).unwrap().contents;
    let bare = contents.as_str().trim_start_matches("sha256:");
    for text in [&stored, &page.html, &status.text, &delivered] {
        for secret in SECRETS.iter().copied().chain([bare]) {
            let bytes: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
            assert!(!text.contains(secret) && !text.contains(&bytes), "{secret}");
        }
    }

    // The same key with the same plan is the same request; the answer to an invalid one contains no
    // value.
    let again = bot.request(reqwest::Method::POST, "/orchestrate").header("idempotency-key", "plan-1").json(&claiming(&plan()));
    assert_eq!(bot.send(again).await.expect(202)["workflow_id"], id);
    let mut wrong = plan();
    wrong["resource_changes"][0]["change"]["actions"] = json!([{"x": SECRETS[0]}]);
    let refused = bot.post("/orchestrate", claiming(&wrong)).await;
    assert!(!refused.text.contains(SECRETS[0]));
    let problem = refused.problem(422, "invalid-task");
    assert_eq!(problem["errors"][0]["pointer"], "/evidence/plan/resource_changes/0/change/actions");
}

#[tokio::test]
async fn invalid_evidence_is_refused_with_its_pointer() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    for (evidence, pointer) in [
        (json!({"type": "terraform_plan"}), "/evidence"),
        (json!({"type": "opinion", "plan": plan()}), "/evidence/type"),
        (json!({"type": "terraform_plan", "plan": 7}), "/evidence/plan"),
        (json!({"type": "terraform_plan", "plan": plan(), "summary": {}}), "/evidence"),
        (json!({"type": "terraform_plan", "plan": plan(), "workspace": "a b"}), "/evidence/workspace"),
        (json!({"type": "terraform_plan", "plan": {"format_version": "0.2"}}), "/evidence/plan/format_version"),
        (
            json!({"type": "terraform_plan", "summary": {"counts": {"deletes": 1}}, "contents": format!("sha256:{}", "0".repeat(64))}),
            "/evidence/summary/counts",
        ),
        (json!({"type": "terraform_plan", "summary": {"counts": {}}, "contents": "sha256:0"}), "/evidence/contents"),
        (json!("plan"), "/evidence"),
    ] {
        let problem = bot
            .post("/orchestrate", json!({"description": "d", "operation": "read", "evidence": evidence}))
            .await
            .problem(422, "invalid-task");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
}

#[tokio::test]
async fn only_the_approved_plan_verifies_and_only_while_released() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let id = bot.submit_id(claiming(&plan())).await;
    let path = format!("/workflows/{id}/verify-plan");
    let verify = async |body: Value| {
        let answer = bot.post(&path, body).await.expect(200);
        let reasons: Vec<String> = answer["reasons"].as_array().unwrap().iter().map(|reason| reason.as_str().unwrap().to_owned()).collect();
        assert_eq!(answer["verified"], reasons.is_empty(), "{answer}");
        reasons.join("; ")
    };
    let very = || json!({"evidence": evidence(&plan())});
    assert!(verify(very()).await.contains("the workflow is pending approval"));
    app.client("alice").approve(&id).await.expect(200);
    assert_eq!(verify(very()).await, "");
    let digest = bot.workflow(&id).await["digest"].clone();
    assert_eq!(verify(json!({"evidence": evidence(&plan()), "digest": digest})).await, "");
    assert!(
        verify(json!({"evidence": evidence(&plan()), "digest": format!("sha256:{}", "0".repeat(64))}))
            .await
            .contains("the digest of this workflow is")
    );

    let mut other = plan();
    other["resource_changes"][0]["change"]["after"]["password"] = json!("another-password");
    let said = verify(json!({"evidence": evidence(&other)})).await;
    assert!(said.contains("something that is not shown differs: a sensitive") && !said.contains("another-password"), "{said}");
    let mut other = plan();
    other["resource_changes"][5]["change"]["actions"] = json!(["delete"]);
    let said = verify(json!({"evidence": evidence(&other)})).await;
    assert!(said.contains("aws_vpc.main: this plan is to delete it, which nobody approved"), "{said}");
    assert!(verify(json!({"evidence": evidence(&plan()), "step": 2})).await.contains("step 2 was submitted without"));

    app.client("lone-bot").post(&path, very()).await.problem(404, "workflow-not-found");
    bot.post(&format!("/workflows/{id}/result"), json!({"outcome": "succeeded"})).await.expect(200);
    assert!(verify(very()).await.contains("the workflow is completed"), "a plan is applied once");
    let without = bot.submit_id(json!({"description": "d", "operation": "deploy", "environment": "production"})).await;
    let answer = bot.post(&format!("/workflows/{without}/verify-plan"), very()).await.expect(200);
    assert_eq!(answer["reasons"], json!(["the workflow was submitted without a Terraform plan"]));
}

#[tokio::test]
async fn a_plan_never_disables_a_condition() {
    let triggers = "triggers:\n  no_databases: { when: '\"aws_db_instance\" in plan.destroyed_types', level: critical }\n  \
                    blind: { when: 'plan.creates == 0 && operation == \"modify\"', level: medium }\n";
    let rules = crate::support::config::RULES.split("triggers:").next().unwrap();
    let app = TestApp::with(Config::new().with_rules(rules).write("hitl/interrupt-triggers.yaml", triggers)).await;
    let bot = app.client("deploy-bot");
    let level = async |task: Value| bot.post("/risk/assess", task).await.expect(200)["assessment"]["level"].clone();
    assert_eq!(level(claiming(&plan())).await, "critical");
    assert_eq!(level(claiming(&quiet())).await, "low");
    let mut modify = claiming(&plan());
    modify["operation"] = json!("modify");
    modify["evidence"]["plan"]["resource_changes"].as_array_mut().unwrap().retain(|change| change["type"] != "aws_db_instance");
    assert_eq!(level(modify).await, "medium", "the condition holds without the plan");
}
