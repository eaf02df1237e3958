//! What a parked workflow takes in the database: each fact once, and few entries of indexes.

use crate::support::client::high;
use crate::support::{Database, TestApp};
use serde_json::{Value, json};

async fn number(database: &Database, query: &str) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(query.to_owned())).fetch_one(&mut database.connect().await).await.expect("a number")
}

/// About 1 KB of JSON, as agents write it.
fn task() -> Value {
    let mut task = high();
    task["metadata"] = json!({"notes": "Contains the new settlement schedule and the fix for rounding of refunds. ".repeat(10)});
    task
}

#[tokio::test]
async fn a_parked_workflow_writes_nine_entries_of_indexes_and_a_short_row() {
    let app = TestApp::start().await;
    app.client("deploy-bot").submit(task()).await;
    let row = number(&app.database, "select pg_column_size(w)::bigint from workflow w").await;
    assert!(row < 400, "{row} bytes for what lists and deadlines need of a workflow");
    // Of each b-tree the rows that its condition leaves. Each is written anew by a step that changes the status, too.
    let trees = "select c.relname::text, i.indrelid::regclass::text, coalesce(pg_get_expr(i.indpred, i.indrelid), 'true')
                 from pg_index i join pg_class c on c.oid = i.indexrelid join pg_am a on a.oid = c.relam
                 where a.amname = 'btree' and i.indrelid in ('workflow'::regclass, 'workflow_event'::regclass, 'document'::regclass)";
    let trees: Vec<(String, String, String)> = sqlx::query_as(trees).fetch_all(&mut app.database.connect().await).await.unwrap();
    let mut entries = Vec::new();
    for (index, table, condition) in trees {
        entries.push((number(&app.database, &format!("select count(*) from {table} where {condition}")).await, index));
    }
    entries.sort();
    assert_eq!(entries.iter().map(|(count, _)| count).sum::<i64>(), 9, "{entries:?}");
}

#[tokio::test]
async fn a_target_that_is_the_claim_stands_in_the_document_alone_and_is_shown_as_if_it_stood_in_the_row() {
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
