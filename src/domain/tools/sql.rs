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
/// Functions that only compute.
#[rustfmt::skip]
const FUNCTIONS: &[&str] = &[
    "count", "sum", "min", "max", "avg", "now", "lower", "upper", "coalesce", "length",
    "version", "date_trunc", "date_part", "extract", "round", "abs", "floor", "ceil",
    "substring", "substr", "trim", "concat", "to_char", "age", "nullif", "greatest",
    "least", "array_agg", "string_agg", "json_agg", "jsonb_agg", "row_number", "rank",
    "pg_size_pretty", "pg_database_size", "pg_total_relation_size", "pg_relation_size",
    "current_database", "cast", "try_cast", "median", "mode", "stddev", "stddev_samp",
    "stddev_pop", "variance", "percentile_cont", "percentile_disc", "quantile",
    "quantile_cont", "approx_quantile", "approx_count_distinct", "lag", "lead",
    "dense_rank", "ntile", "first_value", "last_value", "percent_rank", "cume_dist",
    "strftime", "strptime", "date", "datetime", "julianday", "date_diff", "datediff",
    "year", "month", "day", "hour", "ifnull", "json_extract", "json_array_length",
    "jsonb_array_length", "jsonb_object_keys", "regexp_replace", "regexp_matches",
    "split_part", "left", "right", "lpad", "rpad", "position", "strpos", "instr", "initcap",
    "reverse", "sign", "sqrt", "power", "mod", "ln", "log", "exp", "random", "to_date",
    "to_timestamp", "make_interval", "group_concat", "total", "typeof", "pg_typeof",
    "unnest", "generate_series", "range", "bool_and", "bool_or", "every", "array_length",
    "cardinality", "any_value", "arg_max", "arg_min", "list", "histogram", "bit_and",
    "bit_or", "char_length", "octet_length", "md5", "ascii", "pg_table_size",
    "pg_indexes_size", "decimal", "numeric", "varchar", "char",
];
/// Keywords before a parenthesis that are not function calls.
#[rustfmt::skip]
const WORDS: &[&str] = &[
    "over", "in", "exists", "any", "and", "or", "not", "as", "from", "join", "on", "using",
    "where", "when", "then", "else", "by", "having", "union", "all", "except", "intersect",
    "lateral", "some", "between", "like", "is", "limit", "filter", "group", "within",
    "materialized", "distinct", "values", "interval",
];

static CALL: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"([A-Za-z0-9_."`]+)\s*\("#).expect("a valid pattern"));
static WORD: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"[a-z_]+").expect("a valid pattern"));
static META: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"^\\(?:d[a-zA-Z]*\+?|l\+?|conninfo|z)(?: [A-Za-z0-9_.*"]+)?$"#).expect("a valid pattern"));

/// Commands and pragmas of sqlite3 that describe the database.
static SQLITE: LazyLock<Regex> = LazyLock::new(|| {
    let name = r#"[A-Za-z0-9_%.'"]+"#;
    let pragma = r"table_info|table_xinfo|table_list|index_list|index_info|foreign_key_list|database_list|user_version|integrity_check|compile_options";
    Regex::new(&format!(
        r"^(?:\.(?:tables|schema|indexes|indices|databases|fullschema|dbinfo)(?: {name})?|pragma (?:{pragma})(?:\({name}\))?)$"
    ))
    .expect("a valid pattern")
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
    let calls = CALL.captures_iter(&text).all(|call| [FUNCTIONS, WORDS, BEGINNINGS].iter().any(|known| known.contains(&&call[1])));
    // Any other character before a parenthesis could end a name.
    let odd = text.match_indices('(').any(|(index, _)| {
        let before = text[..index].trim_end().chars().next_back();
        before.is_some_and(|letter| !(letter.is_ascii_alphanumeric() || "_,(=<>+-*/%|".contains(letter)))
    });
    begins && !changes && calls && !odd
}

/// Texts and quoted names: duckdb accepts either as the name of a file.
static QUOTED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"'([^']*)'|"([^"]*)""#).expect("a valid pattern"));
/// Data files in the folder.
static DATA: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[A-Za-z0-9_*][A-Za-z0-9_*-]*(?:[./][A-Za-z0-9_*][A-Za-z0-9_*-]*)*\.(?:csv|tsv|parquet|json|jsonl|ndjson)(?:\.gz|\.zst)?$")
        .expect("a valid pattern")
});
static TELLING: LazyLock<Regex> =
    LazyLock::new(|| Regex::new("(?i)secret|credential|token|auth|account|key|password|env").expect("a valid pattern"));
static READERS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)\b(?:read_csv|read_parquet|read_json|read_ndjson)(?:_auto)?\s*\(").expect("a valid pattern"));

/// Whether it is a single duckdb statement that only reads, including data files in the folder.
pub fn reads_files(text: &str) -> bool {
    let is_harmless = |quoted: &str| !quoted.contains(['/', '.', ':', '~']) || (DATA.is_match(quoted) && !TELLING.is_match(quoted));
    let are_harmless =
        QUOTED.captures_iter(text).all(|found| is_harmless(found.get(1).or(found.get(2)).map_or("", |quoted| quoted.as_str())));
    // Quoted text is removed: an asterisk after a slash begins no comment there.
    let bare = QUOTED.replace_all(text, "''");
    are_harmless && !text.contains('$') && reads(&READERS.replace_all(&bare, "max("))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_of_duckdb_reads_data_of_the_folder() {
        for query in [
            "select count(*) from 'data/orders.parquet'",
            "select region, sum(total) from read_csv_auto('data/*.csv.gz') group by region order by 2 desc limit 10",
            "describe select * from \"orders.json\"",
            "select * from (select 'a:b' is null)",
        ] {
            assert_eq!(reads_files(query), !query.contains("a:b"), "{query}");
        }
        for other in [
            "select * from 'https://example.com/x.csv'",
            "select * from '/etc/passwd.csv'",
            "select * from '../x.csv'",
            "select * from 'a/../../x.csv'",
            "select * from '~/x.csv'",
            "select * from read_text('.env')",
            "select * from read_csv('.env')",
            "select * from read_csv($$/etc/passwd$$)",
            "select * from 'service-account.json'",
            "copy (select 1) to 'x.csv'",
            "install httpfs",
            "select getenv('HOME')",
        ] {
            assert!(!reads_files(other), "{other}");
        }
    }

    #[test]
    fn a_query_in_a_query_reads() {
        for query in [
            "select * from (select id, row_number() over (partition by user_id order by id desc) as n from orders) x where n = 1",
            "select date(created_at), count(*) filter (where paid) from orders join users using (id) group by 1 having count(*) > (select 5)",
            "with recent as materialized (select 1) select median(total) from recent",
        ] {
            assert!(reads(query), "{query}");
        }
    }

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
    fn statements_that_change_something_are_no_queries() {
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
