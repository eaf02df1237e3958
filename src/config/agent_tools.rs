//! `hitl/agent-tools.yaml`: what the tool calls of coding agents do.

use crate::config::names;
use crate::config::risk_rules::RiskRules;
use crate::config::value::{At, Fields};
use crate::config::words::Words;
use crate::domain::policy::Policy;
use crate::domain::risk::Rules;
use crate::domain::risk::level::Level;
use crate::domain::text::shown;
use crate::domain::tools::check::Check;
use crate::domain::tools::paths::PathPattern;
use crate::domain::tools::pattern::{CommandPattern, Flags, Globs};
use crate::domain::tools::rules::{Takes, Variable, Writes};
use crate::domain::tools::{Entry, PathRule, ToolFacts, ToolRules};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const KEYS: [&str; 8] = ["tools", "paths", "secret", "writes", "environments", "variables", "options", "unmatched"];
const ENTRY_KEYS: [&str; 9] = ["tool", "command", "flags", "unless", "needs", "check", "takes", "writes", "is"];
const PATH_KEYS: [&str; 4] = ["path", "except", "read", "write"];
const FACT_KEYS: [&str; 4] = ["operation", "environment", "resource", "resource_type"];
/// The tool whose entries match commands.
const SHELL: &str = "Bash";

/// Reads the operator's file together with the shipped one. Entries of the operator's `tools`,
/// `paths` and `environments` come before the shipped ones; each other key of the operator's
/// replaces the shipped one.
pub fn read(file: Option<&At<'_>>, shipped: &At<'_>, rules: &RiskRules<'_>) -> ToolRules {
    let reader = Reader { rules };
    let written = file.and_then(|at| at.fields(&KEYS));
    let defaults = shipped.fields(&KEYS);
    let own = |name: &str| written.as_ref().and_then(|fields| fields.get(name));
    let default = |name: &str| defaults.as_ref().and_then(|fields| fields.get(name));
    let either = |name: &str| own(name).or_else(|| default(name));
    let both = |name: &str| own(name).into_iter().chain(default(name));
    let side = |name: &str| either("writes").and_then(|at| at.fields(&["inside", "outside"])?.required(name, "write what it is"));
    ToolRules {
        own: own("tools").map(|at| reader.entries(&at)).unwrap_or_default(),
        shipped: default("tools").map(|at| reader.entries(&at)).unwrap_or_default(),
        paths: both("paths").flat_map(|at| reader.paths(&at)).collect(),
        secret: either("secret").and_then(|at| reader.facts(&at)).unwrap_or_default(),
        inside: side("inside").and_then(|at| reader.facts(&at)).unwrap_or_default(),
        outside: side("outside").and_then(|at| reader.facts(&at)).unwrap_or_default(),
        environments: both("environments").flat_map(|at| reader.environments(&at)).collect(),
        by_danger: rules.environments.vocabulary.names().map(str::to_owned).collect(),
        variables: either("variables").map(|at| variables(&at)).unwrap_or_default(),
        options: either("options").map(|at| options(&at)).unwrap_or_default(),
        unmatched: either("unmatched").and_then(|at| reader.facts(&at)).unwrap_or_default(),
    }
}

/// Adds a note if tool calls that match no entry would run without people.
pub fn check_unmatched(file: &At<'_>, tools: &ToolRules, rules: &Rules, policy: &Policy) {
    let asks_somebody = Level::ALL.into_iter().any(|level| !policy.level(level).auto_approve);
    let level = tools.level_of_unmatched(rules);
    if asks_somebody && policy.level(level).auto_approve {
        let entries = file.entries("keys").unwrap_or_default();
        let at = entries.into_iter().find(|(key, _)| *key == "unmatched").map_or_else(|| file.clone(), |(_, at)| at);
        at.problem(format!(
            "what no entry matches is `{}`, which is {level} and approves itself, so it would run without review; write an operation under \
             `unmatched` that asks people",
            tools.unmatched.in_words()
        ));
    }
}

struct Reader<'r, 's> {
    rules: &'r RiskRules<'s>,
}

impl Reader<'_, '_> {
    fn entries(&self, at: &At<'_>) -> Vec<Entry> {
        let items = at.items("entries, such as { tool: Read, is: { operation: read } }").unwrap_or_default();
        items.iter().filter_map(|at| self.entry(at)).collect()
    }

    fn entry(&self, at: &At<'_>) -> Option<Entry> {
        let fields = at.fields(&ENTRY_KEYS)?;
        let tool = fields.required("tool", "name the tools, with | between them, such as Read|Grep");
        let is = fields.required("is", "write what it does, such as { operation: read }").and_then(|at| self.facts(&at));
        let command = fields.get("command").map(|at| (at.parsed(CommandPattern::parse), at));
        let name = tool.as_ref().and_then(At::text);
        let tool = tool.and_then(|at| at.parsed(Globs::parse));
        match (&command, name) {
            (Some((_, at)), Some(name)) if name != SHELL => {
                at.problem(format!("is only for the tool {SHELL}; leave it out, or write tool: {SHELL}"));
            }
            (None, Some(name)) if name.split('|').any(|name| tool.is_some() && Globs::parse(name).is_ok_and(|globs| globs.fit(SHELL))) => {
                at.problem(format!("would read every command of {SHELL} as this; name the commands under `command`"));
            }
            _ => {}
        }
        for at in
            ["flags", "unless", "needs", "check", "takes"].into_iter().filter_map(|name| fields.get(name)).filter(|_| command.is_none())
        {
            at.problem("is only for entries with a command; leave it out");
        }
        let pattern = command.as_ref().and_then(|(_, at)| at.text()).or(name).map(shown).unwrap_or_default();
        let flags = Flags {
            only: fields.get("flags").map(|at| flags(&at)),
            unless: fields.get("unless").map(|at| flags(&at)).unwrap_or_default(),
            needs: fields.get("needs").map(|at| flags(&at)).unwrap_or_default(),
        };
        let check = fields.get("check").and_then(|at| at.parsed(check));
        let command = match command {
            Some((None, _)) => return None,
            Some((pattern, _)) => pattern,
            None => None,
        };
        Some(Entry {
            tool: tool?,
            command,
            flags,
            check,
            takes: fields.get("takes").and_then(|at| at.parsed(takes)).unwrap_or(Takes::Names),
            writes: writes(&fields),
            is: is?,
            named: format!("`{pattern}` ({})", at.in_words()),
        })
    }

    fn paths(&self, at: &At<'_>) -> Vec<PathRule> {
        let entry = |at: &At<'_>| {
            let fields = at.fields(&PATH_KEYS)?;
            let paths =
                fields.required("path", "write patterns of paths, such as [\"~/.ssh/*\"]").map(|at| texts(&at, "patterns of paths"));
            let facts = |name: &str| fields.get(name).and_then(|at| self.facts(&at));
            let (read, write) = (facts("read"), facts("write"));
            if fields.get("read").is_none() && fields.get("write").is_none() {
                at.problem("says nothing of these paths; give it read, write, or both");
            }
            let except = fields.get("except").map(|at| texts(&at, "patterns of paths")).unwrap_or_default();
            let paths = paths?;
            Some(PathRule { paths: patterns(paths), except: patterns(except), read, write, position: at.in_words() })
        };
        at.items("entries, such as { path: [\"~/.ssh/*\"], read: { operation: data_export } }")
            .unwrap_or_default()
            .iter()
            .filter_map(entry)
            .collect()
    }

    fn environments(&self, at: &At<'_>) -> Vec<(String, String)> {
        let entries = at.entries("patterns, each with an environment, such as \"*/prod/*\": production").unwrap_or_default();
        let entry = |(pattern, at): (&str, At<'_>)| {
            if pattern.trim_matches('*').is_empty() {
                at.problem("matches everything; write a pattern such as \"*/prod/*\"");
            }
            let known = &self.rules.environments;
            // If the operator's lists lack a word of the shipped file, its pattern has no effect: a
            // call without an environment is assessed for every environment.
            let word = if at.is_shipped() { known.vocabulary.resolve(at.text()?).map(str::to_owned) } else { known.resolve(&at) };
            Some((pattern.to_ascii_lowercase(), word?))
        };
        entries.into_iter().filter_map(entry).collect()
    }

    fn facts(&self, at: &At<'_>) -> Option<ToolFacts> {
        let fields = at.fields(&FACT_KEYS)?;
        let word = |name: &str, words: &Words<'_>| fields.get(name).map(|at| self.word(&at, words));
        let operation = fields.required("operation", "write what it does, such as read").map(|at| self.word(&at, &self.rules.operations));
        let environment = word("environment", &self.rules.environments);
        let resource_type = word("resource_type", &self.rules.resource_types);
        let resource = fields.get("resource").and_then(|at| at.parsed(names::word));
        // If a word cannot be read, assume the more dangerous reading; the file is refused in any
        // case.
        Some(ToolFacts { operation: operation??, environment: environment.flatten(), resource, resource_type: resource_type.flatten() })
    }

    /// The canonical word. The shipped file may use words that the operator's lists do not have:
    /// those are kept, and are assessed as unknown words.
    fn word(&self, at: &At<'_>, words: &Words<'_>) -> Option<String> {
        if at.is_shipped() { at.text().map(|text| words.vocabulary.resolve(text).unwrap_or(text).to_owned()) } else { words.resolve(at) }
    }
}

fn check(text: &str) -> Result<Check, String> {
    let known = || Check::ALL.map(|(name, _)| name).join(", ");
    let found = Check::ALL.into_iter().find(|(name, _)| *name == text).map(|(_, check)| check);
    found.ok_or_else(|| format!("is `{}`, but has to be one of: {}", shown(text), known()))
}

fn writes(fields: &Fields<'_>) -> Writes {
    let read = |text: &str| match text {
        "all" => Ok(Writes::All),
        "last" => Ok(Writes::Last),
        "into" => Ok(Writes::Into),
        "moved" => Ok(Writes::Moved),
        flag if flag.starts_with('-') && flag.len() > 1 => Ok(Writes::Flag(flag.to_owned())),
        other => Err(format!(
            "is `{}`, but has to be all (it writes to every argument), last (to the last one), into (to the last one, or into it as a folder), \
             moved (the same, and the others are gone), or a flag (to what stands behind it)",
            shown(other)
        )),
    };
    fields.get("writes").and_then(|at| at.parsed(read)).unwrap_or(Writes::Nothing)
}

fn takes(text: &str) -> Result<Takes, String> {
    match text {
        "anything" => Ok(Takes::Anything),
        "text" => Ok(Takes::Text),
        "pattern" => Ok(Takes::Pattern),
        other => Err(format!(
            "is `{}`, but has to be anything (all of its arguments are text), text (those with a blank are) or pattern (one of them is)",
            shown(other)
        )),
    }
}

/// Names of variables; `NAME=KIND` limits an entry to values of that kind.
fn variables(at: &At<'_>) -> Vec<Variable> {
    let variable = |text: &str| match text.split_once('=') {
        None => Ok(Variable { name: text.to_owned(), check: None }),
        Some((name, kind)) => check(kind).map(|check| Variable { name: name.to_owned(), check: Some(check) }),
    };
    let items = at.items("names of variables").unwrap_or_default();
    if items.is_empty() {
        at.problem("is empty; name some variables, or leave the key out");
    }
    items.iter().filter_map(|at| at.parsed(variable)).collect()
}

fn patterns(written: Vec<String>) -> Vec<PathPattern> {
    written.into_iter().map(PathPattern::new).collect()
}

fn texts(at: &At<'_>, of: &str) -> Vec<String> {
    if at.is_empty() {
        at.problem(format!("is empty; name some {of}, or leave the key out"));
    }
    at.items(of).unwrap_or_default().iter().filter_map(At::text).map(str::to_owned).collect()
}

fn flags(at: &At<'_>) -> Vec<String> {
    let flag = |at: &At<'_>| {
        let valid = |text: &str| {
            if text.starts_with('-') && text.len() > 1 {
                Ok(text.to_owned())
            } else {
                Err(format!("`{}` is not a flag; it begins with -", shown(text)))
            }
        };
        at.parsed(valid)
    };
    at.items("flags, such as [-l, --all, --format=]").unwrap_or_default().iter().filter_map(flag).collect()
}

fn options(at: &At<'_>) -> BTreeMap<String, Vec<String>> {
    let entries = at.entries("programs, each with its options, such as kubectl: [--context=]").unwrap_or_default();
    entries.into_iter().map(|(program, at)| (program.to_owned(), flags(&at))).collect()
}

/// The rules as a document.
pub fn document(rules: &ToolRules) -> Value {
    let facts = |is: &ToolFacts| json!({ "operation": is.operation, "environment": is.environment, "resource": is.resource, "resource_type": is.resource_type });
    let entries = |entries: &[Entry]| -> Value {
        let one = |entry: &Entry| {
            let writes = match &entry.writes {
                Writes::Nothing => None,
                Writes::Last => Some("last"),
                Writes::All => Some("all"),
                Writes::Into => Some("into"),
                Writes::Moved => Some("moved"),
                Writes::Flag(flag) => Some(flag.as_str()),
            };
            let takes = match entry.takes {
                Takes::Names => None,
                Takes::Pattern => Some("pattern"),
                Takes::Text => Some("text"),
                Takes::Anything => Some("anything"),
            };
            json!({ "tool": entry.tool.written(), "command": entry.command.as_ref().map(CommandPattern::written), "flags": entry.flags.only,
                    "unless": entry.flags.unless, "needs": entry.flags.needs, "check": entry.check.map(Check::name), "takes": takes, "writes": writes, "is": facts(&entry.is) })
        };
        entries.iter().map(one).collect()
    };
    let written = |patterns: &[PathPattern]| patterns.iter().map(PathPattern::written).collect::<Value>();
    let path = |of: &PathRule| json!({ "path": written(&of.paths), "except": written(&of.except), "read": of.read.as_ref().map(facts), "write": of.write.as_ref().map(facts) });
    let variable = |of: &Variable| of.check.map_or_else(|| of.name.clone(), |check| format!("{}={}", of.name, check.name()));
    json!({
        "tools": entries(&rules.own),
        "shipped_tools": entries(&rules.shipped),
        "paths": rules.paths.iter().map(path).collect::<Value>(),
        "secret": facts(&rules.secret),
        "writes": { "inside": facts(&rules.inside), "outside": facts(&rules.outside) },
        "environments": rules.environments,
        "variables": rules.variables.iter().map(variable).collect::<Value>(),
        "options": rules.options,
        "unmatched": facts(&rules.unmatched),
    })
}
