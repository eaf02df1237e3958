//! One-line programs passed to an interpreter. Only a few forms are accepted, which print a
//! version, a location or a number.

use crate::domain::tools::word::{Known, Word};
use regex::Regex;
use std::sync::LazyLock;

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a valid pattern")
}

const NUMBERS: &str = r"[0-9 +*/().%-]+";

/// `import x`, and `print` of a name, an attribute, a number or a text without interpolation. An
/// imported module runs, as it does in tests.
pub static PYTHON: LazyLock<Regex> = LazyLock::new(|| {
    let name = r"[A-Za-z_][A-Za-z0-9_.]*";
    let printed = format!(r#"(?:{name}|{NUMBERS}|'[^'\\]*'|"[^"\\]*")"#);
    pattern(&format!(r"^\s*import {name}(?:, ?{name})*\s*$|^\s*(?:import {name}(?:, ?{name})*\s*[;\n]\s*)?print\({printed}\)\s*$"))
});
/// Versions of Node and its parts, and the contents of `package.json`.
pub static NODE: LazyLock<Regex> = LazyLock::new(|| {
    let asked = format!(
        r#"(?:process\.(?:version|versions(?:\.[a-z0-9]+)?|platform|arch)|require\((?:'\./package\.json'|"\./package\.json")\)(?:\.[A-Za-z]+)*|{NUMBERS})"#
    );
    pattern(&format!(r"^\s*(?:{asked}|console\.log\({asked}\);?)\s*$"))
});
/// `s/a/b/g`, without code in the pattern, and without variables and flags that run something.
pub static PERL: LazyLock<Regex> = LazyLock::new(|| {
    let text = |end: &str| format!(r"(?:[^{end}$@\\\n?]|\\[^\n{{}}])*");
    pattern(&format!(r"^(?:s/{0}/{0}/[gi]*|s\|{1}\|{1}\|[gi]*|s#{2}#{2}#[gi]*);?$", text("/"), text(r"\|"), text("#")))
});
/// Text that suggests secrets.
static SECRET: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)environ|secret|token|passw|credential|key|auth"));

/// Whether each text after `-c`, `-e` or `-p` has this form, and there is at least one.
pub fn are(form: &Regex, arguments: &[Word]) -> bool {
    let mut texts = 0;
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let names_files = word.known == Known::Glob && word.text.starts_with(|first: char| first.is_ascii_alphanumeric());
        if names_files {
            continue;
        }
        let Some(flag) = word.as_literal() else { return false };
        if !word.is_flag() {
            continue;
        }
        // A program in the same word as its flag is not accepted.
        if flag.len() > 2 && !flag.starts_with("--") && flag[1..].contains(['c', 'e']) && !flag.ends_with(['c', 'e']) {
            return false;
        }
        if flag.ends_with(['c', 'e']) || ["--eval", "--print"].contains(&flag) || (flag == "-p" && form.as_str() == NODE.as_str()) {
            let harmless = words.next().and_then(Word::as_literal).is_some_and(|text| form.is_match(text) && !SECRET.is_match(text));
            if !harmless {
                return false;
            }
            texts += 1;
        }
    }
    texts > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(form: &Regex, arguments: &[&str]) -> bool {
        are(form, &arguments.iter().map(|word| Word::literal(*word)).collect::<Vec<_>>())
    }

    #[test]
    fn a_line_prints_a_version_and_runs_nothing() {
        for line in [
            "import fastapi; print(fastapi.__version__)",
            "import sys; print(sys.version)",
            "print(2 ** 10)",
            "import app.main",
            "print('x')",
        ] {
            assert!(holds(&PYTHON, &["-c", line]), "{line}");
        }
        for line in [
            "import os; os.system('id')",
            "import os; print(os.environ)",
            "print(open('x').read())",
            "print(__import__('os').system('id'))",
            "from config import SECRET_KEY; print(SECRET_KEY)",
            "import x; print(x.y())",
        ] {
            assert!(!holds(&PYTHON, &["-c", line]), "{line}");
        }
        for line in ["process.version", "require('./package.json').version", "console.log(process.versions.v8)", "1 + 1"] {
            assert!(holds(&NODE, &["-p", line]), "{line}");
        }
        for line in ["require('./x').version", "process.env", "process.exit(1)", "require('fs')", "process.version; x()"] {
            assert!(!holds(&NODE, &["-e", line]), "{line}");
        }
    }

    #[test]
    fn perl_substitutes_text_alone() {
        for line in ["s/foo/bar/g", "s|a/b|c/d|", r"s/\bfoo\b/bar/gi"] {
            assert!(holds(&PERL, &["-pi", "-e", line]), "{line}");
        }
        for line in ["s/a/b/e", "s/a/`id`/ee", "s/(?{system 'id'})//", "s/a/@{[system 'id']}/", "s/a/b/; system 'id'", "unlink 'x'"] {
            assert!(!holds(&PERL, &["-pi", "-e", line]), "{line}");
        }
        assert!(!holds(&PERL, &["-pi", "-esystem"]) && !holds(&PERL, &["-pi"]));
    }
}
