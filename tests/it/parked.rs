//! The size of a parked workflow in the database: each fact once, and few index entries.

use crate::support::called;
use crate::support::client::{critical, high};
use crate::support::{Database, TestApp, keys};
use parkbrake::domain::workflow::{Event, Recorded};
use parkbrake::storage::Storage;
use serde_json::{Value, json};
use uuid::Uuid;

#[track_caller]
fn number(database: &Database, query: &str) -> impl Future<Output = i64> {
    called(async move {
        sqlx::query_scalar(sqlx::AssertSqlSafe(query.to_owned())).fetch_one(&mut database.connect().await).await.expect("a number")
    })
}

/// About 1 KB of JSON, like that of agents.
fn task() -> Value {
    let mut task = high();
    task["metadata"] = json!({"notes": "Contains the new settlement schedule and the fix for rounding of refunds. ".repeat(10)});
    task
}

#[tokio::test]
async fn a_parked_workflow_writes_ten_entries_of_indexes_and_a_short_row() {
    let app = TestApp::start().await;
    app.client("deploy-bot").submit(task()).await;
    let row = number(&app.database, "select pg_column_size(w)::bigint from workflow w").await;
    assert!(row < 400, "{row} bytes for what lists and deadlines need of a workflow");
    // The rows in each b-tree, according to its condition. A step that also changes the status
    // rewrites each of them.
    let trees = "select c.relname::text, i.indrelid::regclass::text, coalesce(pg_get_expr(i.indpred, i.indrelid), 'true')
                 from pg_index i join pg_class c on c.oid = i.indexrelid join pg_am a on a.oid = c.relam
                 where a.amname = 'btree' and i.indrelid in ('workflow'::regclass, 'workflow_event'::regclass, 'document'::regclass)";
    let trees: Vec<(String, String, String)> = sqlx::query_as(trees).fetch_all(&mut app.database.connect().await).await.unwrap();
    let mut entries = Vec::new();
    for (index, table, condition) in trees {
        entries.push((number(&app.database, &format!("select count(*) from {table} where {condition}")).await, index));
    }
    entries.sort();
    assert_eq!(entries.iter().map(|(count, _)| count).sum::<i64>(), 10, "{entries:?}");
}

#[tokio::test]
async fn a_target_equal_to_the_claim_is_stored_only_in_the_document_and_shown_everywhere() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let submitted = bot.submit(high()).await;
    assert_eq!(number(&app.database, "select count(*) from workflow where target is null").await, 1);
    for list in ["/workflows/pending", "/workflows"] {
        assert_eq!(alice.get(list).await.expect(200)["workflows"][0]["target"], submitted["target"], "{list}");
    }
    let id = submitted["workflow_id"].as_str().unwrap();
    assert_eq!(alice.workflow(id).await["target"], submitted["target"]);
    let mut called = high();
    called["operation"] = json!("Deploy");
    assert_eq!(bot.submit(called).await["target"]["operation"], "deploy");
    assert_eq!(number(&app.database, "select count(*) from workflow where target is null").await, 1, "another word is stored");
}

#[tokio::test]
async fn until_somebody_has_approved_every_role_that_may_decide_is_open() {
    let app = TestApp::start().await;
    app.client("deploy-bot").submit(high()).await;
    let stored = "select count(*) from workflow where open_roles is null and approved_by is null";
    assert_eq!(number(&app.database, stored).await, 1);
    let shown = "select count(*) from approval_requests where open_roles = approvers and cardinality(approvers) > 0 and approved_by = '{}'";
    assert_eq!(number(&app.database, shown).await, 1);
    let mine = app.client("alice").get("/workflows/pending?mine=true").await.expect(200);
    assert_eq!(mine["workflows"].as_array().unwrap().len(), 1);
}

#[track_caller]
fn parked(app: &TestApp, task: Value) -> impl Future<Output = String> {
    called(async move { app.client("deploy-bot").submit(task).await["workflow_id"].as_str().unwrap().to_owned() })
}

#[tokio::test]
async fn terms_are_stored_once_for_all_who_are_parked_under_them_and_a_server_that_starts_reads_them() {
    let mut app = TestApp::start().await;
    let first = parked(&app, high()).await;
    parked(&app, high()).await;
    parked(&app, critical()).await;
    assert_eq!(number(&app.database, "select count(*) from approval_terms").await, 2, "those of high and those of critical");
    let repeats = "select count(*) from workflow_event where data like '%distinct_roles%'";
    assert_eq!(number(&app.database, repeats).await, 0, "no event repeats its terms");
    let before = app.client("alice").workflow(&first).await;
    app.restart().await;
    assert_eq!(app.client("alice").workflow(&first).await["history"], before["history"], "whoever reads the log sees them all the same");
    app.client("alice").approve(&first).await.expect(200);
}

#[tokio::test]
async fn tampered_terms_make_their_log_unreadable_with_a_reason() {
    let app = TestApp::start().await;
    let id: Uuid = parked(&app, high()).await.parse().unwrap();
    let is_asked = |log: &[Recorded]| matches!(log[1].event, Event::ApprovalRequested { .. });
    let fresh = || Storage::connect(&app.database.url, 4).unwrap().with_keys(keys());
    assert!(is_asked(fresh().proven_logs(&[id]).await.unwrap()[&id].as_ref().unwrap()));
    let change = r#"alter table approval_terms disable trigger user;
                    alter table approval_terms drop constraint approval_terms_named_by_content;
                    update approval_terms set content = replace(content, '"required":1', '"required":0')"#;
    app.database.execute(change).await;
    assert_eq!(number(&app.database, r#"select count(*) from approval_terms where content like '%"required":0%'"#).await, 1);
    let error = fresh().proven_logs(&[id]).await.unwrap()[&id].as_ref().unwrap_err().to_string();
    assert!(error.contains("event 2: the terms of approval that it names are not stored, or somebody has changed them"), "{error}");
}
