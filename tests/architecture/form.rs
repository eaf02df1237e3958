//! The form of a file: its length, its header, and the names of its tests.

use crate::source::{files, root, sources};
use regex::Regex;
use std::fs;
use std::path::{Path, PathBuf};

/// The longest file, in lines; a longer one should be split along an event, a resource or a type.
const LONGEST_FILE: usize = 400;
/// Longer files, each with its reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// Where tests are, and their languages.
const TESTS: [(&str, &[&str]); 2] = [("tests", &["js", "mjs", "ps1", "py", "rs", "sh"]), ("support/clients/python/tests", &["py"])];

#[test]
fn files_are_short() {
    for file in sources() {
        let lines = file.text.lines().count();
        let known = LONG_FILES.iter().any(|(name, _)| *name == file.name);
        assert!(
            lines <= LONGEST_FILE || known,
            "src/{} has {lines} lines, more than {LONGEST_FILE}: cut it along an event, a resource or a type; if it is one thing that is \
             read as a whole, add it to LONG_FILES of this test with the reason",
            file.name
        );
        assert!(lines > LONGEST_FILE || !known, "src/{} has only {lines} lines by now: take it out of LONG_FILES of this test", file.name);
    }
    for (name, _) in LONG_FILES {
        assert!(sources().iter().any(|file| file.name == *name), "src/{name} is gone: take it out of LONG_FILES of this test");
    }
}

/// A test is read when it fails, by somebody who looks for the one rule that it checks.
#[test]
fn test_files_are_short() {
    let of =
        |folder: &str, languages: &[&str]| languages.iter().flat_map(|language| files(&root().join(folder), language)).collect::<Vec<_>>();
    // Packages that a package manager has installed among the tests do not count.
    let is_ours = |path: &Path| !path.iter().any(|part| part == "node_modules");
    let tests: Vec<PathBuf> = TESTS.iter().flat_map(|(folder, languages)| of(folder, languages)).filter(|path| is_ours(path)).collect();
    assert!(tests.len() > 200, "the scan finds the tests");
    for path in tests {
        let lines = fs::read_to_string(&path).expect("a test").lines().count();
        assert!(
            lines <= LONGEST_FILE,
            "{} has {lines} lines, more than {LONGEST_FILE}: cut it along the rules that it holds, and leave what they share in the file \
             that they come from",
            path.strip_prefix(root()).expect("below the root").display()
        );
    }
}

/// The name of a test states the rule that the test checks, so it begins with a subject.
#[test]
fn test_names_begin_with_their_subject() {
    let test = Regex::new(r"#\[(?:tokio::)?test\b.*\n(?:\s*(?:#\[|//).*\n)*\s*(?:async )?fn (\w+)").expect("a pattern");
    let question = Regex::new(r"^wh(?:at|o)(?:ever)?_").expect("a pattern");
    let mut count = 0;
    for path in ["src", "tests"].into_iter().flat_map(|folder| files(&root().join(folder), "rs")) {
        let text = fs::read_to_string(&path).expect("a source");
        for name in test.captures_iter(&text).map(|found| found.get(1).expect("a name").as_str()) {
            count += 1;
            assert!(
                !question.is_match(name),
                "{}: the test `{name}` does not begin with its subject: state its rule in the present tense, with subject, verb and \
                 object, as in `an_approval_covers_what_was_shown`",
                path.strip_prefix(root()).expect("below the root").display()
            );
        }
    }
    assert!(count > 1_000, "the scan finds the tests");
}

/// Every file has a header, so that the code map needs only one line per module.
#[test]
fn every_file_begins_with_what_it_is_for() {
    let said = Regex::new(r"^//! \S[^\n]{9,}").expect("a pattern");
    for file in sources().iter().filter(|file| !file.name.ends_with("tests.rs")) {
        assert!(said.is_match(&file.text), "src/{} does not begin with `//!` and what it is for", file.name);
    }
}
