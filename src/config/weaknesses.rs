//! Settings in a valid configuration that are weaker than the shipped ones, or that let a requester
//! do more than it seems.
//!
//! They are not errors, so `check` and the server's start only report them; with `--strict`, each
//! is refused.

use crate::domain::notice::Notifications;
use crate::domain::policy::Policy;
use crate::domain::request::runbook::Runbook;
use crate::domain::request::webhook::Webhook;
use crate::domain::risk::level::Level;
use crate::domain::risk::triggers::{BuiltIn, Trigger};
use crate::domain::text::shown;
use std::collections::{BTreeMap, BTreeSet};

/// Programs that read a whole program from one of their arguments.
const INTERPRETERS: [&str; 14] =
    ["sh", "bash", "dash", "zsh", "ksh", "fish", "busybox", "python", "python3", "perl", "ruby", "node", "awk", "eval"];
/// Programs that hand the rest of their arguments to a shell.
const REMOTE_SHELLS: [&str; 4] = ["ssh", "su", "script", "watch"];
/// Variables that determine what else a program loads or runs.
const LOADERS: [&str; 18] = [
    "PATH",
    "BASH_ENV",
    "ENV",
    "IFS",
    "PS4",
    "SHELLOPTS",
    "BASHOPTS",
    "PROMPT_COMMAND",
    "PYTHONPATH",
    "PYTHONSTARTUP",
    "PERL5LIB",
    "PERL5OPT",
    "RUBYLIB",
    "RUBYOPT",
    "NODE_OPTIONS",
    "NODE_PATH",
    "GIT_SSH_COMMAND",
    "GCONV_PATH",
];
/// Values that are neither a name nor a version: a pattern that accepts one of them accepts nearly
/// anything.
const ANYTHING: [&str; 2] = ["; $(id) | `id` > ../../etc '\"", "a\n; b"];

/// The configuration to compare with the shipped one.
pub struct Compared<'a> {
    pub triggers: &'a [Trigger],
    pub shipped_triggers: &'a [Trigger],
    pub unrecognized: Level,
    pub policy: &'a Policy,
    pub runbooks: &'a BTreeMap<String, Runbook>,
    pub webhooks: &'a BTreeMap<String, Webhook>,
    pub notifications: &'a Notifications,
    /// Whether the requester may approve their own request.
    pub separation_of_duties: bool,
}

/// Every weakness, in a sentence each.
pub fn find(compared: &Compared<'_>) -> Vec<String> {
    let mut found = Vec::new();
    triggers(compared, &mut found);
    levels(compared, &mut found);
    let secrets = secrets(compared.notifications);
    for runbook in compared.runbooks.values() {
        command(runbook, &mut found);
        arguments(runbook, &mut found);
        variables(runbook, &secrets, &mut found);
    }
    compared.webhooks.values().for_each(|one| webhook(one, &mut found));
    found
}

/// What a requester, or somebody on the network path, can do with a call.
fn webhook(webhook: &Webhook, found: &mut Vec<String>) {
    let name = &webhook.name;
    if webhook.operation.as_ref().is_some_and(|operation| operation.literal().is_none()) {
        found.push(format!("the webhook {name} lets the requester choose the operation that it is assessed as; write the operation out"));
    }
    if webhook.call.secret.is_none() {
        found.push(format!("the webhook {name} is not signed, so that its receiver cannot tell who calls; give it a secret"));
    }
    if webhook.call.url.starts_with("http://") && !webhook.call.allow_private {
        found.push(format!("the webhook {name} sends its arguments over a connection that is not encrypted; use https"));
    }
}

fn triggers(compared: &Compared<'_>, found: &mut Vec<String>) {
    let level = |triggers: &[Trigger], name: &str| triggers.iter().find(|trigger| trigger.name == name).map(|trigger| trigger.level);
    for name in BuiltIn::ALL.map(BuiltIn::name) {
        let Some(shipped) = level(compared.shipped_triggers, name) else { continue };
        match level(compared.triggers, name) {
            None => found.push(format!("the trigger {name} is left out; the shipped configuration has it at {shipped}")),
            Some(level) if level < shipped => {
                found.push(format!("the trigger {name} is {level}; the shipped configuration has it at {shipped}"));
            }
            Some(_) => {}
        }
    }
}

fn levels(compared: &Compared<'_>, found: &mut Vec<String>) {
    for level in [Level::Medium, Level::High, Level::Critical] {
        if compared.policy.level(level).auto_approve {
            found.push(format!("the level {level} approves itself, so that nobody is asked"));
        }
    }
    if compared.unrecognized < Level::Critical {
        let level = compared.unrecognized;
        found.push(format!("a word that is on no list makes a task {level}; the shipped configuration makes it critical"));
    }
    if !compared.separation_of_duties {
        found.push("separation_of_duties is off, so that people may approve what they asked for themselves".to_owned());
    }
}

/// What a requester can do with the command beyond filling in its arguments.
fn command(runbook: &Runbook, found: &mut Vec<String>) {
    let name = &runbook.name;
    if runbook.operation.literal().is_none() {
        found.push(format!("the runbook {name} lets the requester choose the operation that it is assessed as; write the operation out"));
    }
    let parts = &runbook.command;
    let program = |index: usize| parts[index].literal().map(|text| text.rsplit('/').next().unwrap_or(text));
    for index in 0..parts.len() {
        let chosen = |from: usize| parts[from..].iter().any(|part| part.literal().is_none());
        match program(index) {
            Some(shell) if INTERPRETERS.contains(&shell) => {
                let script = (index + 1..parts.len()).find(|at| parts[*at].literal().is_some_and(is_script_flag));
                if script.and_then(|flag| parts.get(flag + 1)).is_some_and(|script| script.literal().is_none()) {
                    found.push(format!(
                        "the runbook {name} puts an argument into a program for {shell}, which reads it as code; \
                         pass the argument after the program, as $1"
                    ));
                }
            }
            Some(shell) if REMOTE_SHELLS.contains(&shell) && chosen(index + 1) => {
                found.push(format!(
                    "the runbook {name} hands an argument to {shell}, which gives it to a shell; call a program that takes it as it is"
                ));
            }
            _ => {}
        }
    }
}

/// Whether this is `-c`, `-lc`, `-e`, `--eval` or similar: the next argument is a program.
fn is_script_flag(text: &str) -> bool {
    let short = text.strip_prefix('-').is_some_and(|letters| !letters.starts_with('-') && letters.ends_with(['c', 'e']));
    short || matches!(text, "--eval" | "--command" | "--execute")
}

fn arguments(runbook: &Runbook, found: &mut Vec<String>) {
    for (argument, accepted) in &runbook.args {
        if ANYTHING.iter().any(|value| accepted.pattern.matches(value)) {
            found.push(format!(
                "the argument {} of the runbook {} takes nearly any text; write a pattern of what it may be",
                shown(argument),
                runbook.name
            ));
        }
    }
}

fn variables(runbook: &Runbook, secrets: &BTreeSet<&str>, found: &mut Vec<String>) {
    for (variable, source) in &runbook.env {
        if LOADERS.contains(&variable.as_str()) || variable.starts_with("LD_") || variable.starts_with("DYLD_") {
            found.push(format!("the runbook {} is given {variable}, which decides what its programs load or run", runbook.name));
        }
        let own = source == "DATABASE_URL" || source.starts_with("PARKBRAKE_") || source.starts_with("PG");
        if own || secrets.contains(source.as_str()) {
            found.push(format!("the runbook {} is given {source}, a secret of parkbrake itself", runbook.name));
        }
    }
}

/// The variables that hold the secrets of channels.
fn secrets(notifications: &Notifications) -> BTreeSet<&str> {
    notifications.channels.values().flat_map(|channel| channel.service.secrets()).map(|secret| secret.0.as_str()).collect()
}
