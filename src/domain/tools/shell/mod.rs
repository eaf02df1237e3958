//! Shell commands: parsed by the grammar of bash, and looked into as far as what runs is written
//! there.
//!
//! `walk.rs` goes through the statements, `words.rs` finds out how much of each word is known,
//! `redirects.rs` what is read and written beside the arguments, `wrappers.rs` looks into programs
//! that run others, `folders.rs` knows what reads whole folders, and `commands.rs` asks the
//! entries.

mod archives;
mod commands;
mod folders;
mod inert;
mod plain;
mod redirects;
mod tree;
mod variables;
mod walk;
mod words;
mod wrappers;

use crate::domain::tools::reading::Part;
use crate::domain::tools::rules::Takes;
use crate::domain::tools::word::{Known, Word};
use crate::domain::tools::{ToolCall, ToolRules};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use tree_sitter::Parser;

/// The longest command that is read, in bytes. A file that is written by a here-document fits.
const LONGEST: usize = 64 * 1024;
/// How deep statements, words and scripts within scripts are read.
const DEEPEST: usize = 60;
/// How many parts a command may have.
const MOST_PARTS: usize = 400;
/// How many words a command may have; the text of here-documents is none.
const MOST_WORDS: usize = 2_000;
/// How much may be looked up of what a command names: a name counts one, a byte of a word with
/// wildcards one, and all of it again for each folder that the command may be in.
const MOST_LOOKS: usize = 3_000;
/// How many folders a command may go through.
const MOST_FOLDERS: usize = 8;

/// The parts of a call of a shell.
pub fn read(rules: &ToolRules, call: &ToolCall) -> Vec<Part> {
    let mut reader = Reader::new(rules, call);
    if let Some(folder) = call.tool_input.get("workdir").and_then(Value::as_str) {
        reader.go_to(&Word::literal(folder));
    }
    let command = ["command", "cmd", "script"].iter().find_map(|name| call.tool_input.get(name));
    match command {
        Some(Value::String(script)) => reader.script(script),
        // Codex's shell takes the program and its arguments.
        Some(Value::Array(words)) if words.iter().all(Value::is_string) => {
            let words: Vec<Word> = words.iter().filter_map(Value::as_str).map(Word::literal).collect();
            let text: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
            words.iter().for_each(|word| reader.mention(word));
            reader.run(&words, &text.join(" "));
        }
        _ => reader.unmatched(&call.tool_name, "its input has no command"),
    }
    if reader.parts.is_empty() && reader.prepares {
        reader.look_up("cd", &[], "cd");
    }
    reader.parts
}

/// What reads one command.
struct Reader<'r> {
    rules: &'r ToolRules,
    /// The folder that the agent works in.
    root: String,
    /// The folders that the command may be in by now; none: nobody knows.
    folders: Vec<String>,
    /// The folders that it may be in where the statement that was read last has succeeded.
    on_success: Vec<String>,
    /// Those to which the command that is read has gone.
    reached: Option<Vec<String>>,
    parts: Vec<Part>,
    /// What variables were set to in the command itself; `None`: to something that cannot be known.
    variables: BTreeMap<String, Option<Vec<Word>>>,
    /// Whether it goes to another folder, or sets a variable: what does nothing else is read as
    /// going to a folder.
    prepares: bool,
    /// What the arguments of the command that was read last are to it.
    takes: Takes,
    /// Where text stands in the script that is read, of which nothing is run, and which names
    /// nothing.
    prose: Vec<Range<usize>>,
    /// All variables that are set anywhere in the command.
    assigned: BTreeSet<String>,
    functions: BTreeSet<String>,
    /// Values that say where something acts: of variables that are set for a command, and of hosts.
    contexts: Vec<String>,
    stdin: Stdin,
    depth: usize,
    words_left: usize,
    looks_left: usize,
}

/// What a command reads from its standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stdin {
    /// Names of what is there, as `find` and `git ls-files` print them.
    Listed,
    /// Anything.
    Made,
}

impl<'r> Reader<'r> {
    fn new(rules: &'r ToolRules, call: &ToolCall) -> Self {
        Self {
            rules,
            root: call.cwd.clone(),
            folders: vec![call.cwd.clone()],
            on_success: vec![call.cwd.clone()],
            reached: None,
            parts: Vec::new(),
            variables: BTreeMap::new(),
            prepares: false,
            takes: Takes::Names,
            prose: Vec::new(),
            assigned: BTreeSet::new(),
            functions: BTreeSet::new(),
            contexts: Vec::new(),
            stdin: Stdin::Made,
            depth: 0,
            words_left: MOST_WORDS,
            looks_left: MOST_LOOKS,
        }
    }

    /// Reads a script.
    fn script(&mut self, text: &str) {
        if text.len() > LONGEST {
            return self.unmatched(text, "it is too long to be read");
        }
        let mut parser = Parser::new();
        let known = parser.set_language(&tree_sitter_bash::LANGUAGE.into()).is_ok();
        let Some(tree) = parser.parse(text, None).filter(|_| known) else {
            return self.unmatched(text, "it cannot be parsed");
        };
        if tree.root_node().has_error() {
            self.unmatched(text, "it cannot be parsed as a whole");
        }
        self.find_assigned(tree.root_node(), text);
        let outer = std::mem::take(&mut self.prose);
        self.visit(tree.root_node(), text);
        let prose = std::mem::replace(&mut self.prose, outer);
        // Last, because a part of it may be known to be worse than what nobody can read, or say
        // where it acts.
        let documents = inert::documents(tree.root_node(), text);
        if let Some(why) = plain::odd(&inert::blanked(text, &documents), &inert::blanked(text, &[documents.as_slice(), &prose].concat())) {
            self.unmatched(text, why);
        }
    }

    /// Adds a part; a command of too many parts is unmatched.
    fn add(&mut self, part: Part) {
        if self.parts.len() < MOST_PARTS {
            self.parts.push(part);
        } else if self.parts.len() == MOST_PARTS {
            self.parts.push(self.rules.unmatched("…", "it has too many parts"));
        }
    }

    fn unmatched(&mut self, what: &str, why: &str) {
        self.add(self.rules.unmatched(what, why));
    }

    /// Goes one level deeper, as far as that is allowed.
    fn deeper(&mut self, what: &str, read: impl FnOnce(&mut Self)) {
        if self.parts.len() > MOST_PARTS {
            // It is known already that not all of it is read.
            return;
        }
        if self.depth >= DEEPEST {
            return self.unmatched(what, "it is nested too deep");
        }
        self.depth += 1;
        read(self);
        self.depth -= 1;
    }

    /// Notes a word that names a secret. A command that names more than can be looked up in a
    /// moment is unmatched: otherwise a few calls would keep the server from everything else.
    fn mention(&mut self, word: &Word) {
        if self.looks_left == 0 {
            return;
        }
        let looks = word.names().saturating_mul(self.folders.len().max(1));
        self.looks_left = self.looks_left.saturating_sub(looks);
        if self.looks_left == 0 {
            return self.unmatched(&word.text, "the command names too much to look it all up");
        }
        let folders = if self.folders.is_empty() { std::slice::from_ref(&self.root) } else { self.folders.as_slice() };
        let found = folders.iter().find_map(|folder| self.rules.named(word, folder));
        if let Some(part) = found {
            self.add(part);
        }
    }

    /// Goes to another folder. Whether that succeeds is not known, nor from which of the folders
    /// before: so the command may be in each of these, and in each to which that leads.
    fn go_to(&mut self, word: &Word) {
        use crate::domain::tools::places::{folders, resolved};
        let paths = match word.known {
            Known::Literal => Some(vec![word.text.clone()]),
            Known::Glob => folders(&word.text),
            Known::Begins | Known::Crafted => None,
        };
        let Some(paths) = paths.filter(|paths| paths.iter().all(|path| path != "-" && !path.is_empty())) else {
            self.reached = Some(Vec::new());
            return self.folders.clear();
        };
        let reached: Vec<String> = self
            .folders
            .iter()
            .flat_map(|from| paths.iter().map(move |path| resolved(path, from)))
            .take(MOST_FOLDERS * MOST_FOLDERS)
            .collect();
        self.reached = Some(reached.clone());
        self.or_in(reached);
    }

    /// The command may be in these folders as well.
    fn or_in(&mut self, folders: Vec<String>) {
        if folders.is_empty() {
            return self.folders.clear();
        }
        if self.folders.is_empty() {
            return;
        }
        for folder in folders {
            if !self.folders.contains(&folder) {
                self.folders.push(folder);
            }
        }
        if self.folders.len() > MOST_FOLDERS {
            self.folders.clear();
        }
    }
}
