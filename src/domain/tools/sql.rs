//! Whether an SQL statement only reads.
//!
//! It has to begin like a query, contain no keyword of a statement that changes something, and call
//! only listed functions: in most databases a query can call functions that write files, run
//! programs or end sessions.

use regex::Regex;
use std::sync::LazyLock;

const BEGINNINGS: &[&str] = &["select", "show", "explain", "with", "table", "describe"];
const CHANGES: &[&str] = &[
    "insert", "update", "delete", "drop", "alter", "create", "truncate", "grant", "revoke", "copy", "into", "call", "do", "execute",
    "merge", "lock", "vacuum", "set", "reset", "refresh", "reindex", "cluster", "comment", "attach", "detach", "load", "import", "outfile",
    "dumpfile", "replace", "handler", "rename", "pragma", "prepare", "begin", "commit", "rollback", "kill", "shutdown", "notify", "listen",
    "share",
];
const FUNCTIONS: &[&str] = &[
    "count",
    "sum",
    "min",
    "max",
    "avg",
    "now",
    "lower",
    "upper",
    "coalesce",
    "length",
    "version",
    "date_trunc",
    "date_part",
    "extract",
    "round",
    "abs",
    "floor",
    "ceil",
    "substring",
    "substr",
    "trim",
    "concat",
    "to_char",
    "age",
    "nullif",
    "greatest",
    "least",
    "array_agg",
    "string_agg",
    "json_agg",
    "jsonb_agg",
    "row_number",
    "rank",
    "over",
    "in",
    "exists",
    "any",
    "and",
    "or",
    "not",
    "as",
    "values",
    "distinct",
    "pg_size_pretty",
    "pg_database_size",
    "pg_total_relation_size",
    "pg_relation_size",
    "current_database",
];

static CALL: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"([A-Za-z0-9_."`]+)\s*\("#).expect("a sound pattern"));
static WORD: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"[a-z_]+").expect("a sound pattern"));
static META: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"^\\(?:d[a-zA-Z]*\+?|l\+?|conninfo|z)(?: [A-Za-z0-9_.*"]+)?$"#).expect("a sound pattern"));

/// Commands and pragmas of sqlite3 that describe the database.
static SQLITE: LazyLock<Regex> = LazyLock::new(|| {
    let name = r#"[A-Za-z0-9_%.'"]+"#;
    let pragma = r"table_info|table_xinfo|table_list|index_list|index_info|foreign_key_list|database_list|user_version|integrity_check|compile_options";
    Regex::new(&format!(
        r"^(?:\.(?:tables|schema|indexes|indices|databases|fullschema|dbinfo)(?: {name})?|pragma (?:{pragma})(?:\({name}\))?)$"
    ))
    .expect("a sound pattern")
});

/// Whether an argument is a statement rather than a name.
pub fn looks_like(text: &str) -> bool {
    let is_command = text.strip_prefix('.').is_some_and(|name| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic()));
    text.starts_with('\\') || is_command || text.contains("/*") || text.trim().contains(char::is_whitespace)
}

/// Whether it is a single statement that only reads.
pub fn reads(text: &str) -> bool {
    let text = text.trim().trim_end_matches(';').trim_end().to_ascii_lowercase();
    if text.starts_with('\\') {
        return META.is_match(text.as_str());
    }
    if SQLITE.is_match(&text) {
        return true;
    }
    if text.contains([';', '\\']) || text.contains("/*") || text.contains("--") {
        return false;
    }
    let begins = text.split(|letter: char| !letter.is_ascii_alphabetic()).next().is_some_and(|word| BEGINNINGS.contains(&word));
    let changes = WORD.find_iter(&text).any(|word| CHANGES.contains(&word.as_str()));
    let calls = CALL.captures_iter(&text).all(|call| FUNCTIONS.contains(&&call[1]) || BEGINNINGS.contains(&&call[1]));
    // Any other character before a parenthesis could end a name.
    let odd = text.match_indices('(').any(|(place, _)| {
        let before = text[..place].trim_end().chars().next_back();
        before.is_some_and(|letter| !(letter.is_ascii_alphanumeric() || "_,(=<>+-*/%|".contains(letter)))
    });
    begins && !changes && calls && !odd
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_reads() {
        for query in [
            "SELECT 1;",
            "select count(*) from users where created_at > now() - interval '1 day'",
            r"\dt",
            r"\d+ users",
            "EXPLAIN SELECT * FROM t",
            "with x as (select 1) select * from x",
            "select id, name from t where id in (1, 2)",
            ".tables",
            ".schema users",
            "PRAGMA table_info(users);",
        ] {
            assert!(reads(query), "{query}");
        }
    }

    #[test]
    fn what_changes_something_is_no_query() {
        for other in [
            "DROP TABLE users",
            "select 1; drop table users",
            "with x as (delete from t returning *) select * from x",
            "select pg_terminate_backend(1)",
            "select lo_export(1, '/x')",
            "select * into x from t",
            r"\! rm -rf /",
            r"\copy t to 'x'",
            "copy (select 1) to program 'sh'",
            "select \"f\"(1)",
            "explain analyze delete from t",
            "select 1 /*! ; drop table t */",
            "select * from t for update",
            "update t set x = 1",
            ".shell ls",
            ".output x",
            ".tables; drop table t",
            "pragma writable_schema = 1",
            "pragma user_version = 7",
        ] {
            assert!(!reads(other), "{other}");
        }
    }
}
