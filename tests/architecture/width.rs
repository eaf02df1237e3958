//! The width of prose: comments, docstrings and paragraphs of Markdown wrap at 100 columns. rustfmt
//! wraps the code.

use crate::source::root;
use regex::Regex;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The widest line of prose, in columns.
const WIDEST: usize = 100;

/// How a comment begins, by the end of the file's name. Migrations are frozen, and have no row.
const COMMENTS: &[(&str, &str)] = &[
    (".rs", "//"),
    (".js", "//"),
    (".mjs", "//"),
    (".css", "/*"),
    (".sh", "#"),
    (".ps1", "#"),
    (".py", "#"),
    (".jq", "#"),
    (".toml", "#"),
    (".yaml", "#"),
    (".yml", "#"),
    (".service", "#"),
    ("Dockerfile", "#"),
    ("Dockerfile.release", "#"),
    (".ci/run", "#"),
    (".editorconfig", "#"),
];

/// Folders that others fill, and the configuration of an earlier version.
const SKIPPED: &[&str] = &[".git", ".mypy_cache", ".parkbrake", ".pytest_cache", "databases/config", "node_modules", "target"];

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let ours = entries.filter(|path| !SKIPPED.iter().any(|skipped| path.ends_with(skipped)));
    let mut found: Vec<PathBuf> = ours.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    found.sort();
    found
}

/// Whether a line is too wide although it could be broken: at a space that is not in code or in a
/// link. A list marker or the beginning of a comment is no place to break.
fn is_too_wide(line: &str) -> bool {
    static START: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"^\s*(?:(?://[/!]?|/\*|#|"""|[-*>]|\d+\.)\s+)*"#).expect("a pattern"));
    static UNBROKEN: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"`[^`]*`|!?\[[^\]]*\]\([^)]*\)").expect("a pattern"));
    if line.chars().count() <= WIDEST {
        return false;
    }
    let start = START.find(line).map_or(0, |start| start.as_str().chars().count());
    let filled = UNBROKEN.replace_all(line, |found: &regex::Captures<'_>| "x".repeat(found[0].chars().count()));
    filled.chars().take(WIDEST + 1).skip(start).any(|letter| letter == ' ')
}

/// The numbers of the lines with too wide comments. A table or, at the head of a module, a drawing
/// may be wider.
fn wide_comments(text: &str, marker: &str) -> Vec<usize> {
    let is_drawn =
        |line: &str| line.starts_with("//!") && line[3..].trim().contains("  ") || line[marker.len()..].trim_start().starts_with('|');
    let is_comment = |line: &str| line.trim_start().starts_with(marker) && !is_drawn(line.trim_start());
    numbered(text).filter(|(_, line)| is_comment(line) && is_too_wide(line)).map(|(number, _)| number).collect()
}

/// The same for the docstrings of Python: text in triple quotes that begins a statement.
fn wide_docstrings(text: &str) -> Vec<usize> {
    let (mut is_text, mut is_docstring, mut found) = (false, false, Vec::new());
    for (number, line) in numbered(text) {
        if !is_text {
            is_docstring = line.trim_start().starts_with("\"\"\"");
        }
        if is_docstring && is_too_wide(line) {
            found.push(number);
        }
        is_text ^= line.matches("\"\"\"").count() % 2 == 1;
        is_docstring &= is_text;
    }
    found
}

/// The same for Markdown, without its headings, tables, code and HTML.
fn wide_paragraphs(text: &str) -> Vec<usize> {
    let (mut is_code, mut found) = (false, Vec::new());
    for (number, line) in numbered(text) {
        let content = line.trim_start();
        if content.starts_with("```") {
            is_code = !is_code;
        } else if !is_code && !content.starts_with(['#', '|', '<']) && is_too_wide(line) {
            found.push(number);
        }
    }
    found
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

fn wide_lines(path: &Path, text: &str) -> Vec<usize> {
    let name = path.to_string_lossy().replace('\\', "/");
    if name.ends_with(".md") {
        return wide_paragraphs(text);
    }
    let Some((_, marker)) = COMMENTS.iter().find(|(end, _)| name.ends_with(end)) else { return Vec::new() };
    let mut found = wide_comments(text, marker);
    if name.ends_with(".py") {
        found.extend(wide_docstrings(text));
    }
    found
}

#[test]
fn prose_wraps_at_100_columns() {
    let mut wide = Vec::new();
    let mut seen = 0;
    for path in files(root()) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        seen += 1;
        let name = path.strip_prefix(root()).expect("below the root").display();
        wide.extend(wide_lines(&path, &text).into_iter().map(|number| format!("{name}:{number}")));
    }
    assert!(seen > 1000, "the scan finds the files: {seen}");
    assert!(wide.is_empty(), "wrap these comments and paragraphs at {WIDEST} columns:\n{}", wide.join("\n"));
}

#[test]
fn the_width_rule_finds_wide_prose_and_nothing_else() {
    let words = "word ".repeat(20);
    let code = format!("`{words}`");
    let url = format!("https://{}", "x".repeat(100));
    for (name, text, expected) in [
        ("a.rs", format!("// {words}"), vec![1]),
        ("a.rs", format!("    /// {words}\nlet a = \"{words}{words}\";"), vec![1]),
        ("a.rs", format!("//! a  {words}\n// | {words}\n// {url}\n// {code}"), vec![]),
        ("a.yaml", format!("a: 1\n  # {words}"), vec![2]),
        ("Dockerfile", format!("# {words}"), vec![1]),
        ("a.py", format!("def a():\n    \"\"\"{words}\"\"\"\n    write(f\"\"\"\n{words}{words}\n\"\"\")\n    # {words}"), vec![6, 2]),
        ("a.py", format!("\"\"\"Short.\n\n{words}{words}\n\"\"\"\na = \"{words}{words}\""), vec![3]),
        ("a.md", format!("# {words}{words}\n| {words}{words}\n```\n{words}{words}\n```\n- {code}\n- {words}a\n\n[{words}](a)"), vec![7]),
        ("a.sql", format!("-- {words}{words}"), vec![]),
    ] {
        assert_eq!(wide_lines(Path::new(name), &text), expected, "{name}: {text}");
    }
}
