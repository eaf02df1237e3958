//! The rules of `hitl/agent-tools.yaml`: which calls are known, and what they do.

use crate::domain::risk::registry::glob;
use crate::domain::text::in_a_line;
use crate::domain::tools::check::Check;
use crate::domain::tools::paths::{self, PathPattern, ResolvedPath};
use crate::domain::tools::pattern::{CommandPattern, Flags, Globs};
use crate::domain::tools::reading::Part;
use crate::domain::tools::word::{Known, Word};
use std::collections::BTreeMap;

/// What a call does, in the words of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ToolFacts {
    pub operation: String,
    pub environment: Option<String>,
    pub resource: Option<String>,
    pub resource_type: Option<String>,
}

/// The rules of `hitl/agent-tools.yaml`: the operator's first, then the shipped ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolRules {
    /// The operator's entries. If one of them matches a call, the shipped ones are not used.
    pub own: Vec<Entry>,
    pub shipped: Vec<Entry>,
    pub paths: Vec<PathRule>,
    /// The facts of revealing a secret.
    pub secret: ToolFacts,
    /// The facts of writing inside the agent's folder, and outside of it.
    pub inside: ToolFacts,
    pub outside: ToolFacts,
    /// Patterns of folders, contexts, workspaces and profiles, in lower case, and the environment
    /// of each.
    pub environments: Vec<(String, String)>,
    /// The environments, the most dangerous first.
    pub by_danger: Vec<String>,
    /// Variables that may be set for a command.
    pub variables: Vec<Variable>,
    /// The options that may come between a program and its subcommand; those that end with `=` have
    /// a value.
    pub options: BTreeMap<String, Vec<String>>,
    pub unmatched: ToolFacts,
}

/// A variable that may be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name, with `*` for any text.
    pub name: String,
    /// The check that its value has to pass.
    pub check: Option<Check>,
}

/// One entry of `tools`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub tool: Globs,
    pub command: Option<CommandPattern>,
    pub flags: Flags,
    pub check: Option<Check>,
    pub takes: Takes,
    pub writes: Writes,
    pub is: ToolFacts,
    /// Its name in explanations: its pattern, and its position in the file.
    pub named: String,
}

/// The meaning of a command's arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// Names of the things it acts on.
    Names,
    /// A search pattern, and names.
    Pattern,
    /// Names, flags and text: an argument with a blank is text.
    Text,
    /// Text that names nothing. It may be anything, even something that the command itself
    /// composes.
    Anything,
}

/// The arguments that a command writes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Writes {
    Nothing,
    Last,
    All,
    /// The last one: a file, or the folder that receives the others.
    Into,
    /// The same, and the others are removed.
    Moved,
    /// The value of this flag.
    Flag(String),
}

/// Rules for special files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathRule {
    pub paths: Vec<PathPattern>,
    /// Harmless names that the patterns above match.
    pub except: Vec<PathPattern>,
    /// The facts of naming one.
    pub read: Option<ToolFacts>,
    /// The facts of writing one.
    pub write: Option<ToolFacts>,
    /// Its position in the file.
    pub position: String,
}

impl ToolRules {
    /// Whether a variable may be set to these values.
    pub(super) fn may_set(&self, name: &str, values: &[Word]) -> bool {
        let fits = |known: &&Variable| glob(known.name.as_bytes(), name.as_bytes());
        let harmless = |known: &Variable| {
            known.check.is_none_or(|check| {
                values.iter().all(|value| value.as_literal().is_some() && check.holds(std::slice::from_ref(value), &[value]))
            })
        };
        self.variables.iter().filter(fits).any(harmless)
    }

    /// An unmatched part.
    pub(super) fn unmatched(&self, what: &str, why: &str) -> Part {
        let because = vec![format!("`{}` is unmatched: {why}", in_a_line(what))];
        Part { facts: self.unmatched.clone(), is_matched: false, because, names: Vec::new() }
    }

    /// A part with these facts.
    pub(super) fn part(&self, what: &str, facts: &ToolFacts, by: &str) -> Part {
        let because = vec![format!("`{}` is {}, by {by}", in_a_line(what), facts.in_words())];
        Part { facts: facts.clone(), is_matched: true, because, names: Vec::new() }
    }

    /// The lists of entries, in the order in which they are tried: the operator's, then the shipped
    /// ones.
    pub(super) fn lists(&self) -> [&[Entry]; 2] {
        [&self.own, &self.shipped]
    }

    /// The most dangerous environment that these folders, contexts or profiles stand for.
    pub(super) fn environment<'w>(&self, words: impl Iterator<Item = &'w str>) -> Option<(String, String)> {
        let mut found: Option<(usize, &str, String)> = None;
        for word in words {
            let compared = word.to_ascii_lowercase();
            let folder = format!("{compared}/");
            for (pattern, environment) in &self.environments {
                let fits = |text: &str| glob(pattern.as_bytes(), text.as_bytes());
                let rank = self.rank(environment);
                if found.as_ref().is_none_or(|(before, ..)| rank < *before) && (fits(&compared) || fits(&folder)) {
                    found = Some((rank, environment, format!("`{}` fits {pattern}", in_a_line(word))));
                }
            }
        }
        found.map(|(_, environment, why)| (environment.to_owned(), why))
    }

    fn rank(&self, environment: &str) -> usize {
        self.by_danger.iter().position(|known| known == environment).map_or(0, |index| index + 1)
    }

    /// Moves a part to an environment, if that is more dangerous than its own or it has none.
    pub(super) fn assign_environment(&self, part: &mut Part, found: Option<&(String, String)>) {
        let Some((environment, why)) = found else { return };
        let is_worse = part.facts.environment.as_ref().is_none_or(|own| self.rank(environment) < self.rank(own));
        if is_worse {
            part.facts.environment = Some(environment.clone());
            part.because.push(format!("environment {environment}: {why}"));
        }
    }

    /// The part for naming a path, in addition to what the command does: naming a secret reveals
    /// it.
    pub(super) fn named(&self, word: &Word, folder: &str) -> Option<Part> {
        for piece in std::iter::once(word.text.as_str()).chain(word.pieces()) {
            let resolved = ResolvedPath::of(piece, folder);
            let found = self.paths.iter().find_map(|rule| Some((rule.read.as_ref()?, rule.covers(piece, word.known, &resolved)?)));
            if let Some((facts, by)) = found {
                return Some(self.part(piece, facts, &by));
            }
        }
        None
    }

    /// The part for reading a whole folder, in addition to what the command does, if the folder
    /// contains secrets.
    pub(super) fn holds_secrets(&self, folder: &str) -> Option<Part> {
        let holds = |pattern: &&PathPattern| pattern.is_below(folder);
        let found = self.paths.iter().find_map(|rule| {
            let facts = rule.read.as_ref()?;
            let by = if paths::is_home_or_above(folder) {
                rule.paths.first().map(|_| format!("`paths`, because secrets lie in {folder} ({})", rule.position))
            } else {
                rule.paths.iter().find(holds).map(|pattern| format!("`{}`, which lies in it ({})", pattern.written(), rule.position))
            };
            Some((facts, by?))
        });
        found.map(|(facts, by)| self.part(&format!("all of {folder}"), facts, &by))
    }

    /// The part for writing to a path, relative to each of the folders that the command may be in.
    pub(super) fn written(&self, path: &Word, root: &str, folders: &[String]) -> Part {
        if path.known == Known::Crafted || (path.known == Known::Glob && !paths::names_files(&path.text)) {
            return self.unmatched(&path.text, "it is written to, and which file that is cannot be known");
        }
        let mut inside = true;
        for folder in folders {
            let resolved = paths::resolved(&path.text, folder);
            let compared = ResolvedPath::of(&path.text, folder);
            let found = self.paths.iter().find_map(|rule| Some((rule.write.as_ref()?, rule.covers(&path.text, path.known, &compared)?)));
            if let Some((facts, by)) = found {
                return self.part(&format!("write {}", path.text), facts, &by);
            }
            let begins_inside = path.known != Known::Begins || path.text.contains('/');
            inside &= begins_inside && (paths::is_inside(&resolved, root) || paths::is_temporary(&resolved));
        }
        let (facts, by) = if inside && !folders.is_empty() {
            (&self.inside, "`writes.inside`")
        } else {
            (&self.outside, "`writes.outside`, because it is not inside of the folder that the agent works in")
        };
        let mut part = self.part(&format!("write {}", path.text), facts, by);
        let resolved: Vec<String> = folders.iter().map(|folder| paths::resolved(&path.text, folder)).collect();
        let found = self.environment(resolved.iter().map(String::as_str));
        self.assign_environment(&mut part, found.as_ref());
        part
    }
}

impl PathRule {
    /// The pattern that matches a path, in words.
    fn covers(&self, path: &str, known: Known, resolved: &ResolvedPath) -> Option<String> {
        let fits = |pattern: &&PathPattern| pattern.fits(resolved) || (known == Known::Glob && paths::could_fit(pattern.written(), path));
        if known == Known::Literal && self.except.iter().any(|pattern| pattern.fits(resolved)) {
            return None;
        }
        self.paths.iter().find(fits).map(|pattern| format!("`{}` ({})", pattern.written(), self.position))
    }
}
