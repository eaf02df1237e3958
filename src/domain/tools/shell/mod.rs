//! Shell commands, parsed by a bash grammar and analyzed as far as the script itself shows what
//! runs.
//!
//! `walk.rs` visits the statements, `words.rs` determines how much of each word is known,
//! `redirects.rs` covers files read and written by redirections, `wrappers.rs` covers programs that
//! run other programs, `folders.rs` covers commands that read whole folders, and `commands.rs`
//! finds the entries.

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

/// The longest command that is analyzed, in bytes. A file written by a here-document fits.
const LONGEST: usize = 64 * 1024;
/// The deepest nesting of statements, words and scripts within scripts.
const DEEPEST: usize = 60;
/// The most parts of a command.
const MOST_PARTS: usize = 400;
/// The most words of a command, not counting the text of here-documents.
const MOST_WORDS: usize = 2_000;
/// The budget for checking the names in a command: a name costs one, each byte of a word with
/// wildcards costs one, and everything again for each folder that the command may be in.
const MOST_LOOKS: usize = 3_000;
/// The most folders that a command may visit.
const MOST_FOLDERS: usize = 8;

/// The parts of a shell call.
pub fn read(rules: &ToolRules, call: &ToolCall) -> Vec<Part> {
    let mut reader = Reader::new(rules, call);
    if let Some(folder) = call.tool_input.get("workdir").and_then(Value::as_str) {
        reader.go_to(&Word::literal(folder));
    }
    let command = ["command", "cmd", "script"].iter().find_map(|name| call.tool_input.get(name));
    match command {
        Some(Value::String(script)) => reader.script(script),
        // The shell of Codex takes a program and its arguments.
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

/// Analyzes one command.
struct Reader<'r> {
    rules: &'r ToolRules,
    /// The folder that the agent works in.
    root: String,
    /// The folders that the command may be in at this point; empty if unknown.
    folders: Vec<String>,
    /// The folders that it may be in if the last statement has succeeded.
    on_success: Vec<String>,
    /// The folders that the current command has entered.
    reached: Option<Vec<String>>,
    parts: Vec<Part>,
    /// The values of variables set in the command itself; `None` for unknown values.
    variables: BTreeMap<String, Option<Vec<Word>>>,
    /// Whether it changes the folder or sets a variable. A command that does nothing else is read
    /// as changing the folder.
    prepares: bool,
    /// The meaning of the arguments of the last command.
    takes: Takes,
    /// The ranges of text in the script that is not executed and names nothing.
    prose: Vec<Range<usize>>,
    /// Every variable that the command sets anywhere.
    assigned: BTreeSet<String>,
    functions: BTreeSet<String>,
    /// Values that say where something acts: of environment variables of a command, and of hosts.
    contexts: Vec<String>,
    stdin: Stdin,
    depth: usize,
    words_left: usize,
    looks_left: usize,
}

/// The standard input of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stdin {
    /// Existing names, as `find` and `git ls-files` print them.
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

    /// Analyzes a script.
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
        // This is last, because a part of the script may be known to be worse than unmatched, or
        // may say where it acts.
        let documents = inert::documents(tree.root_node(), text);
        let (script, words) = (inert::blanked(text, &documents), inert::blanked(text, &[documents.as_slice(), &prose].concat()));
        let bare = inert::blanked(&words, &inert::quoted(tree.root_node()));
        if let Some(why) = plain::odd(&script, &words, &bare) {
            self.unmatched(text, why);
        }
    }

    /// Adds a part. A command with too many parts is unmatched.
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

    /// Goes one level deeper, up to the limit.
    fn deeper(&mut self, what: &str, read: impl FnOnce(&mut Self)) {
        if self.parts.len() > MOST_PARTS {
            // It is already known to be only partly read.
            return;
        }
        if self.depth >= DEEPEST {
            return self.unmatched(what, "it is nested too deep");
        }
        self.depth += 1;
        read(self);
        self.depth -= 1;
    }

    /// Notes a word that names a secret. A command with more names than the budget is unmatched:
    /// otherwise a few calls would keep the server busy.
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

    /// Changes the folder. It is unknown whether that succeeds, and in which folder it begins. So
    /// the command may be in each of the earlier folders, and in each new one.
    fn go_to(&mut self, word: &Word) {
        use crate::domain::tools::paths::{folders, resolved};
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

    /// Adds folders that the command may be in.
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
