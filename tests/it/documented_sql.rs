//! The SQL that the pages show to operators runs on a migrated database.

use crate::support::Database;
use regex::Regex;

const PAGES: [(&str, &str); 3] = [
    ("CHANGELOG.md", include_str!("../../CHANGELOG.md")),
    ("API.md", include_str!("../../support/docs/API.md")),
    ("OPERATIONS.md", include_str!("../../support/docs/OPERATIONS.md")),
];

#[tokio::test]
async fn every_documented_statement_runs() {
    let database = Database::migrated().await;
    // In a sentence, or in a block that begins with it.
    let statements = Regex::new("(?:`|```sql )((?:select|update|delete from|vacuum) [^`]+)`").unwrap();
    let mut seen = 0;
    for (page, text) in PAGES {
        let prose = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for found in statements.captures_iter(&prose) {
            // An ellipsis stands for the id of a workflow.
            let statement = found[1].trim_end().replace('…', "00000000-0000-0000-0000-000000000000");
            let ran = sqlx::raw_sql(sqlx::AssertSqlSafe(statement.clone())).execute(&mut database.connect().await).await;
            assert!(ran.is_ok(), "{page}: {statement}: {ran:?}");
            seen += 1;
        }
    }
    assert!(seen >= 7, "the pages have statements: {seen}");
}
