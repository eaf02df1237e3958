//! The queries that were checked at compile time, checked against the current migrations.
//!
//! A build reads `.sqlx` and uses no database, so a migration could break a query unnoticed. Here
//! every stored query is prepared again, and has to have the same result.

use crate::support::Database;
use serde_json::Value;
use sqlx::{Column as _, Executor as _, SqlSafeStr as _, Statement as _, TypeInfo as _};
use std::path::Path;

#[tokio::test]
async fn every_prepared_query_matches_the_migrations() {
    let database = Database::migrated().await;
    let mut connection = database.connect().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let mut checked = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let written: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let query = written["query"].as_str().unwrap().to_owned();
        let statement = connection.prepare(sqlx::AssertSqlSafe(query.clone()).into_sql_str()).await.unwrap_or_else(|error| {
            panic!("{} no longer fits the migrations, run `task db:prepare`: {error}\n{query}", path.display());
        });
        let found: Vec<(String, String)> =
            statement.columns().iter().map(|column| (column.name().to_owned(), column.type_info().name().to_uppercase())).collect();
        let columns = written["describe"]["columns"].as_array().unwrap().iter();
        let expected: Vec<(String, String)> = columns
            .map(|column| {
                let kind = column["type_info"].as_str().unwrap_or_default().replace("Array", "[]");
                (column["name"].as_str().unwrap().to_owned(), kind.to_uppercase())
            })
            .collect();
        assert_eq!(found, expected, "{}: run `task db:prepare`", path.display());
        checked += 1;
    }
    assert!(checked > 15, "only {checked} queries are written down");
}
