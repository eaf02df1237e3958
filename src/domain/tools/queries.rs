//! The SQL that psql, mysql and sqlite3 get: every statement in their arguments.

use crate::domain::tools::sql;
use crate::domain::tools::word::Word;

/// The short flags of psql and mysql with a value, other than a statement or a host.
const WITH_VALUE: [char; 4] = ['d', 'U', 'p', 'u'];
/// Flags of sqlite3 and duckdb, which are words with a single dash.
const OF_SQLITE: [&str; 8] = ["-header", "-column", "-json", "-csv", "-readonly", "-markdown", "-box", "-line"];

/// Whether a database client gets one statement that only reads, in a database on this machine or,
/// if `is_remote`, on another one.
pub fn read(arguments: &[Word], is_remote: bool) -> bool {
    asked(arguments).is_some_and(|(statement, is_local)| sql::reads(statement) && is_local != is_remote)
}

/// Whether duckdb gets one statement that reads tables and data files in the folder.
pub fn read_files(arguments: &[Word]) -> bool {
    asked(arguments).is_some_and(|(statement, is_local)| sql::reads_files(statement) && is_local)
}

/// The one statement, and whether the database is on this machine.
fn asked(arguments: &[Word]) -> Option<(&str, bool)> {
    let mut statements: Vec<&str> = Vec::new();
    let mut hosts: Vec<&str> = Vec::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let text = word.as_literal()?;
        let mut value = |behind: &'_ str| if behind.is_empty() { words.next().and_then(Word::as_literal) } else { None };
        if let Some(long) = text.strip_prefix("--") {
            let (name, behind) = long.split_once('=').unwrap_or((long, ""));
            let list = match name {
                "host" => &mut hosts,
                "command" | "execute" => &mut statements,
                _ => continue,
            };
            let found = value(behind).or(Some(behind).filter(|text| !text.is_empty()))?;
            list.push(found);
        } else if word.is_flag() {
            let letters = if OF_SQLITE.contains(&text) { "" } else { &text[1..] };
            let Some((index, letter)) = letters.char_indices().find(|(_, letter)| "ceh".contains(*letter) || WITH_VALUE.contains(letter))
            else {
                continue;
            };
            let behind = &letters[index + 1..];
            let found = value(behind).or(Some(behind).filter(|text| !text.is_empty()))?;
            match letter {
                'c' | 'e' => statements.push(found),
                'h' => hosts.push(found),
                _ => {}
            }
        } else if sql::looks_like(text) {
            statements.push(text);
        } else if text.contains("://") || text.contains('=') {
            // A connection string, which may lead anywhere.
            return None;
        }
    }
    let is_local = hosts.iter().all(|host| matches!(*host, "localhost" | "127.0.0.1" | "::1") || host.starts_with('/'));
    match statements.as_slice() {
        [statement] => Some((statement, is_local)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(arguments: &[&str]) -> bool {
        read(&arguments.iter().map(|word| Word::literal(*word)).collect::<Vec<_>>(), false)
    }

    #[test]
    fn each_statement_of_a_query_is_looked_at() {
        for harmless in [
            &["-c", "select 1"][..],
            &["-Atc", "select 1", "-d", "app"],
            &["-h", "localhost", "--command=select 1"],
            &["-e", "show tables"],
            &["-header", "dev.db", ".tables"],
            &["./dev.sqlite3", ".schema users"],
        ] {
            assert!(holds(harmless), "{harmless:?}");
        }
        for other in [
            &["-c", "select 1", "-c", "drop/**/table/**/users"][..],
            &["-c", "select 1", "-cdrop/**/table/**/users"],
            &["-c", "select 1", "--command", "truncate\"users\""],
            &["-c", "vacuum"],
            &["-h", "db-1", "-c", "select 1"],
            &["-hdb-1", "-c", "select 1"],
            &["app.db", ".shell"],
            &["postgres://db-1/app", "-c", "select 1"],
        ] {
            assert!(!holds(other), "{other:?}");
        }
    }
}
