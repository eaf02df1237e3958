//! `support/docs/CLI_REFERENCE.md`: every command and flag, generated from the program.

use crate::root;
use clap::{Arg, Command, CommandFactory as _};
use parkbrake::cli::Cli;
use regex::Regex;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Compares a document with the program; with PARKBRAKE_WRITE_REFERENCE it is rewritten.
#[track_caller]
pub fn hold(name: &str, written: &str) {
    let path = root().join(name);
    if std::env::var_os("PARKBRAKE_WRITE_REFERENCE").is_some() {
        std::fs::write(&path, written).expect("the document can be written");
    }
    let stands = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stands == written, "{name} is not what the program says: run `task docs`, and commit it");
}

/// The text of a table cell.
pub fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// A text whose lines are wrapped at 100 columns, but not within code.
fn wrapped(text: &str) -> String {
    let word = Regex::new(r"(?:`[^`]*`|\S)+").expect("a pattern");
    let mut page = String::new();
    for line in text.lines() {
        if line.chars().count() <= 100 {
            let _ = writeln!(page, "{line}");
            continue;
        }
        let mut width = 0;
        for found in word.find_iter(line) {
            let length = found.as_str().chars().count();
            let gap = if width == 0 {
                ""
            } else if width + 1 + length > 100 {
                "\n"
            } else {
                " "
            };
            width = if gap == " " { width + 1 + length } else { length };
            page += gap;
            page += found.as_str();
        }
        page.push('\n');
    }
    page
}

fn name_of(argument: &Arg) -> String {
    let values: Vec<String> = argument.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect();
    let takes = argument.get_action().takes_values().then(|| values.join(" "));
    let flag = argument.get_long().map(|long| format!("--{long}")).or_else(|| argument.get_short().map(|short| format!("-{short}")));
    let words = [flag, takes].into_iter().flatten().collect::<Vec<_>>().join(" ");
    if argument.is_positional() && !argument.is_required_set() { format!("[{words}]") } else { words }
}

/// A row of a command's table.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    name: String,
    variable: String,
    default: String,
    meaning: String,
}

impl Row {
    fn of(argument: &Arg) -> Self {
        let takes = argument.get_action().takes_values();
        let mut meaning = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let mut variable = argument.get_env().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let defaults: Vec<_> = argument.get_default_values().iter().filter(|_| takes).filter_map(|value| value.to_str()).collect();
        let mut default = defaults.join(",");
        // Values that clap does not read itself are in the help text.
        for said in Regex::new(r"\s*\[(env|default): ([^\]]+)\]").expect("a pattern").captures_iter(&meaning.clone()) {
            let column = if &said[1] == "env" { &mut variable } else { &mut default };
            said[2].clone_into(column);
            meaning = meaning.replace(&said[0], "");
        }
        if takes {
            let values = argument.get_possible_values();
            let values: Vec<_> =
                values.iter().filter(|value| !value.is_hide_set()).map(|value| format!("`{}`", value.get_name())).collect();
            if !values.is_empty() {
                let _ = write!(meaning, ": {}", values.join(", "));
            }
        }
        Self { name: cell(&name_of(argument)), variable, default, meaning: cell(&meaning) }
    }

    fn write(&self, page: &mut String) {
        let code = |text: &str| if text.is_empty() { String::new() } else { format!("`{text}`") };
        // A default of several words is a sentence.
        let default = if self.default.contains(' ') { self.default.clone() } else { code(&self.default) };
        let _ = writeln!(page, "| `{}` | {} | {default} | {} |", self.name, code(&self.variable), self.meaning);
    }
}

/// The rows of a command, required ones first.
fn rows(command: &Command) -> Vec<Row> {
    let of_clap = ["help", "version"];
    let shown = command.get_arguments().filter(|argument| !argument.is_hide_set() && !of_clap.contains(&argument.get_id().as_str()));
    let (positional, flags): (Vec<&Arg>, Vec<&Arg>) = shown.partition(|argument| argument.is_positional());
    positional.into_iter().chain(flags).map(Row::of).collect()
}

fn inner(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|inner| inner.get_name() != "help" && !inner.is_hide_set())
}

fn count(command: &Command, counts: &mut BTreeMap<Row, usize>) {
    for row in rows(command) {
        *counts.entry(row).or_default() += 1;
    }
    inner(command).for_each(|inner| count(inner, counts));
}

const TABLE: &str = "\n| | variable | default | |\n|---|---|---|---|\n";

/// Rows that are elsewhere on the page, and where.
struct Said {
    rows: Vec<Row>,
    link: &'static str,
}

fn describe(page: &mut String, path: &str, command: &Command, said: &[Said]) {
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").lines().map(str::trim).collect::<Vec<_>>().join("\n");
    let _ = write!(page, "\n## {path}\n\n{}\n```text\n{usage}\n```\n", wrapped(about.trim()));
    let mut own = rows(command);
    let mut links = Vec::new();
    for elsewhere in said.iter().filter(|elsewhere| !elsewhere.link.contains(&path.replace(' ', "-"))) {
        let before = own.len();
        own.retain(|row| !elsewhere.rows.contains(row));
        if own.len() < before {
            links.push(elsewhere.link);
        }
    }
    if !own.is_empty() {
        page.push_str(TABLE);
        own.iter().for_each(|row| row.write(page));
    }
    if !links.is_empty() {
        let also = if own.is_empty() { "It takes" } else { "It also takes" };
        let _ = writeln!(page, "\n{also} {}.", links.join(", and "));
    }
    for inner in inner(command) {
        describe(page, &format!("{path} {}", inner.get_name()), inner, said);
    }
}

#[test]
fn the_command_line_reference_matches_the_program() {
    let mut program = Cli::command();
    program.build();
    let mut page = String::from(
        "# Command line

Every command, written from the program by `task docs`. A flag wins over its variable, the variable
over the default. Exit statuses are in
[HITL_INTEGRATION.md](HITL_INTEGRATION.md#with-the-command-line); what the settings of a server are
for is in [OPERATIONS.md](OPERATIONS.md#settings).
",
    );
    let mut counts = BTreeMap::new();
    count(&program, &mut counts);
    let shared: Vec<Row> = counts.into_iter().filter(|(_, count)| *count >= 10).map(|(row, _)| row).collect();
    assert!(!shared.is_empty(), "client commands share flags");
    let _ = write!(page, "\n## Flags of clients\n\nCommands that call a server share these flags.\n{TABLE}");
    shared.iter().for_each(|row| row.write(&mut page));
    let serve = program.find_subcommand("serve").expect("serve");
    let said = [
        Said { rows: shared, link: "[the flags of clients](#flags-of-clients)" },
        Said { rows: rows(serve), link: "[the flags of `parkbrake serve`](#parkbrake-serve)" },
    ];
    for command in inner(&program) {
        // Only the development server is a server as well.
        let said = if command.get_name() == "dev" { &said[..] } else { &said[..1] };
        describe(&mut page, &format!("parkbrake {}", command.get_name()), command, said);
    }
    hold("support/docs/CLI_REFERENCE.md", &page);
}
