//! One command: its program, and the entries that know it.

use crate::domain::tools::check::Check;
use crate::domain::tools::places::{is_inside, resolved};
use crate::domain::tools::rules::{Entry, Writes};
use crate::domain::tools::shell::{Reader, Stdin};
use crate::domain::tools::word::{Known, Word};

/// Where the programs of a system are. A program in any other folder is known by its whole path alone.
const SYSTEM: [&str; 8] = [
    "/bin/",
    "/usr/bin/",
    "/usr/local/bin/",
    "/sbin/",
    "/usr/sbin/",
    "/usr/local/sbin/",
    "/opt/homebrew/bin/",
    "/run/current-system/sw/bin/",
];

impl Reader<'_> {
    /// Reads a command of these words.
    pub(super) fn run(&mut self, words: &[Word], what: &str) {
        self.deeper(what, |reader| reader.run_here(words, what));
    }

    fn run_here(&mut self, words: &[Word], what: &str) {
        let Some((program, arguments)) = words.split_first() else { return };
        let Some(program) = program.as_literal() else {
            return self.unmatched(what, "which program it runs is known only when it runs");
        };
        let in_system = SYSTEM.iter().find_map(|folder| program.strip_prefix(folder)).filter(|name| !name.contains('/'));
        let name = in_system.unwrap_or(program);
        if self.functions.contains(name) {
            // Its body was read where it is defined.
            return;
        }
        if matches!(name, "read" | "mapfile" | "readarray") {
            return self.read_into(arguments);
        }
        if matches!(name, "cd" | "pushd") {
            let to = arguments.iter().find(|word| !word.is_flag()).cloned().unwrap_or_else(|| Word::literal("~"));
            return self.go_to(&to);
        }
        if self.wrapped(name, arguments, what) {
            if arguments.iter().any(|word| word.known == Known::Crafted) {
                self.unmatched(what, "one of its arguments is put together by the command itself");
            }
            return;
        }
        self.look_up(name, arguments, what);
    }

    /// `read` sets variables to what comes by standard input.
    fn read_into(&mut self, arguments: &[Word]) {
        let begins = Word { text: String::new(), known: Known::Begins };
        for name in arguments.iter().filter(|word| !word.is_flag()) {
            self.assigned.insert(name.text.clone());
            let values = (self.stdin == Stdin::Listed).then(|| vec![begins.clone()]);
            self.set(&name.text.clone(), values);
        }
    }

    /// Asks the entries.
    pub(super) fn look_up(&mut self, name: &str, arguments: &[Word], what: &str) {
        // What is put together is unmatched, and what else the command is counts beside that.
        let is_crafted = arguments.iter().any(|word| word.known == Known::Crafted);
        if is_crafted {
            self.unmatched(what, "one of its arguments is put together by the command itself");
        }
        let Some(after_options) = self.after_options(name, arguments) else {
            return self.unmatched(what, &format!("an option of {name} has no value"));
        };
        let rules = self.rules;
        for list in rules.lists() {
            let found: Vec<(&Entry, Vec<Word>)> = list
                .iter()
                .filter_map(|entry| {
                    let command = entry.command.as_ref().filter(|command| command.is_of(name))?;
                    let left = command.arguments(after_options, &entry.flags)?;
                    let sound = entry.check.is_none_or(|check| check.holds(after_options, &left));
                    sound.then_some(())?;
                    Some((entry, left.into_iter().cloned().collect()))
                })
                .collect();
            if found.is_empty() {
                continue;
            }
            for (entry, left) in found {
                let options = &arguments[..arguments.len() - after_options.len()];
                self.matched(entry, (options, arguments), &left, what);
            }
            return;
        }
        if !is_crafted {
            self.unmatched(what, "no entry reads it");
        }
    }

    /// Adds what an entry says of a command, and what the command writes.
    fn matched(&mut self, entry: &Entry, (options, arguments): (&[Word], &[Word]), left: &[Word], what: &str) {
        let local = &self.rules.inside;
        let is_build = entry.is.environment == local.environment && entry.is.resource_type == local.resource_type;
        let mut part = if is_build && !self.stays_inside(options) {
            let why = "`writes.outside`, because it works in another folder than the agent's";
            self.rules.part(what, &self.rules.outside, why)
        } else {
            self.rules.part(what, &entry.is, &entry.named)
        };
        let pieces =
            arguments.iter().flat_map(|word| std::iter::once(word.text.as_str()).chain(word.text.split_once('=').map(|(_, value)| value)));
        let pieces: Vec<String> = pieces.filter(|piece| !piece.is_empty()).map(str::to_owned).collect();
        let places = if self.folders.is_empty() { std::slice::from_ref(&self.root) } else { self.folders.as_slice() };
        let said = places.iter().chain(&self.contexts).chain(&pieces);
        let found = self.rules.environment(said.map(String::as_str));
        self.rules.place(&mut part, found.as_ref());
        part.names = pieces.into_iter().chain(self.contexts.iter().cloned()).take(100).collect();
        self.add(part);
        let scripts = usize::from(entry.check.is_some_and(Check::takes_script) && !arguments.iter().any(|word| word.text == "-e"));
        let left = &left[scripts.min(left.len())..];
        let written = match entry.writes {
            Writes::Nothing => &[],
            Writes::All => left,
            Writes::Last => &left[left.len().saturating_sub(1)..],
        };
        for target in written {
            self.write(target);
        }
    }

    /// Whether a command works in the agent's folder, or below it: wherever it may be by now, and wherever its options send it.
    fn stays_inside(&self, options: &[Word]) -> bool {
        let root = resolved(&self.root, "/");
        let here = |place: &str| place == root || is_inside(place, &self.root);
        let of_option = |word: &Word| {
            let value = word.text.split_once('=').map_or(word.text.as_str(), |(_, value)| value);
            word.is_flag() && !word.text.contains('=') || (word.known == Known::Literal && here(&resolved(value, &self.root)))
        };
        !self.folders.is_empty() && self.folders.iter().all(|folder| here(&resolved(folder, "/"))) && options.iter().all(of_option)
    }

    /// The words after the options that stand before a subcommand; `None` where one of them is not listed.
    fn after_options<'w>(&self, name: &str, arguments: &'w [Word]) -> Option<&'w [Word]> {
        let mut rest = arguments;
        // Cargo and its like take a toolchain first.
        if let (true, Some((first, after))) = (["cargo", "rustc", "rustfmt"].contains(&name), rest.split_first())
            && first.as_literal().is_some_and(|word| word.starts_with('+'))
        {
            rest = after;
        }
        let Some(options) = self.rules.options.get(name) else { return Some(rest) };
        while let Some((first, after)) = rest.split_first() {
            if !first.is_flag() {
                break;
            }
            let (option, has_value) = first.text.split_once('=').map_or((first.text.as_str(), false), |(option, _)| (option, true));
            if options.iter().any(|known| known.strip_suffix('=') == Some(option)) {
                rest = if has_value { after } else { after.get(1..)? };
            } else if options.contains(&first.text) {
                rest = after;
            } else {
                // It may be a flag of the program itself, such as --version, of which an entry knows.
                break;
            }
        }
        Some(rest)
    }
}
