//! `support/docs/CLI_REFERENCE.md`: every command and flag, from the program itself.

use crate::root;
use clap::{Arg, Command, CommandFactory as _};
use parkbrake::cli::Cli;
use std::fmt::Write as _;

/// Holds a document to what the program says; with PARKBRAKE_WRITE_REFERENCE it is written.
#[track_caller]
pub fn hold(name: &str, written: &str) {
    let path = root().join(name);
    if std::env::var_os("PARKBRAKE_WRITE_REFERENCE").is_some() {
        std::fs::write(&path, written).expect("the document can be written");
    }
    let stands = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stands == written, "{name} is not what the program says: run `task docs`, and commit it");
}

/// What stands in a cell of a table.
pub fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn name_of(argument: &Arg) -> String {
    let values: Vec<String> = argument.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect();
    let takes = argument.get_action().takes_values().then(|| values.join(" "));
    let flag = argument.get_long().map(|long| format!("--{long}")).or_else(|| argument.get_short().map(|short| format!("-{short}")));
    let words = [flag, takes].into_iter().flatten().collect::<Vec<_>>().join(" ");
    if argument.is_positional() && !argument.is_required_set() { format!("[{words}]") } else { words }
}

fn meaning_of(argument: &Arg) -> String {
    let mut meaning = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let values: Vec<String> = if argument.get_action().takes_values() {
        argument.get_possible_values().iter().filter(|value| !value.is_hide_set()).map(|value| format!("`{}`", value.get_name())).collect()
    } else {
        Vec::new()
    };
    if !values.is_empty() {
        let _ = write!(meaning, ": {}", values.join(", "));
    }
    cell(&meaning)
}

fn describe(page: &mut String, path: &str, command: &mut Command) {
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").lines().map(str::trim).collect::<Vec<_>>().join("\n");
    let _ = write!(page, "\n## {path}\n\n{}\n\n```text\n{usage}\n```\n", about.trim());
    let shown: Vec<&Arg> =
        command.get_arguments().filter(|argument| !argument.is_hide_set() && !["help", "version"].contains(&argument.get_id().as_str())).collect();
    if !shown.is_empty() {
        page.push_str("\n| | variable | default | |\n|---|---|---|---|\n");
    }
    let (positional, flags): (Vec<&Arg>, Vec<&Arg>) = shown.into_iter().partition(|argument| argument.is_positional());
    for argument in positional.into_iter().chain(flags) {
        let variable = argument.get_env().and_then(|name| name.to_str()).map(|name| format!("`{name}`")).unwrap_or_default();
        let default: Vec<_> = argument.get_default_values().iter().filter_map(|value| value.to_str()).collect();
        let default = if default.is_empty() || !argument.get_action().takes_values() { String::new() } else { format!("`{}`", default.join(",")) };
        let _ = writeln!(page, "| `{}` | {variable} | {default} | {} |", cell(&name_of(argument)), meaning_of(argument));
    }
    for inner in command.get_subcommands_mut().filter(|inner| inner.get_name() != "help" && !inner.is_hide_set()) {
        let path = format!("{path} {}", inner.get_name());
        describe(page, &path, inner);
    }
}

#[test]
fn the_reference_of_the_command_line_is_what_the_program_says() {
    let mut program = Cli::command();
    program.build();
    let mut page = String::from(
        "# Command line\n\nEvery command, written from the program by `task docs`. A flag wins over its variable, the variable over the \
         default.\nExit statuses are in [HITL_INTEGRATION.md](HITL_INTEGRATION.md#with-the-command-line); what the settings of a server \
         are for is in\n[OPERATIONS.md](OPERATIONS.md#settings).\n",
    );
    for command in program.get_subcommands_mut().filter(|command| command.get_name() != "help" && !command.is_hide_set()) {
        let path = format!("parkbrake {}", command.get_name());
        describe(&mut page, &path, command);
    }
    hold("support/docs/CLI_REFERENCE.md", &page);
}
