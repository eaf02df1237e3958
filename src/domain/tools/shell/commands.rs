//! A command: its program, and the entries that match it.

use crate::domain::tools::check::Check;
use crate::domain::tools::paths::{is_inside, resolved};
use crate::domain::tools::rules::{Entry, Takes, Writes};
use crate::domain::tools::shell::{Reader, Stdin, archives};
use crate::domain::tools::word::{Known, Word};

/// The folders of system programs. A program in any other folder is matched only by its full path.
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

/// The folders of programs that a project installs. They run the project's code, as its tests do.
const OF_PROJECT: [&str; 8] = [
    "./node_modules/.bin/",
    "node_modules/.bin/",
    ".venv/bin/",
    "./.venv/bin/",
    "venv/bin/",
    "./venv/bin/",
    "vendor/bin/",
    "./vendor/bin/",
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
        let in_system = SYSTEM.iter().find_map(|folder| program.strip_prefix(folder));
        let of_project = || OF_PROJECT.iter().find_map(|folder| program.strip_prefix(folder)).filter(|_| self.stays_inside(&[]));
        let name = in_system.or_else(of_project).filter(|name| !name.contains('/')).unwrap_or(program);
        if self.functions.contains(name) {
            // Its body was read at its definition.
            return;
        }
        match name {
            "read" | "mapfile" | "readarray" => return self.read_into(arguments, what),
            "cd" | "pushd" | "popd" => {
                let to = arguments.iter().find(|word| !word.is_flag()).cloned();
                self.go_to(&to.unwrap_or_else(|| Word::literal(if name == "cd" { "~" } else { "-" })));
                self.prepares = true;
                return;
            }
            // It prints the variables of these names, as `echo` does.
            "printenv" => arguments.iter().filter(|word| !word.is_flag()).for_each(|word| drop(self.variable(&word.text, true))),
            _ => {}
        }
        if self.wrapped(name, arguments, what) {
            if arguments.iter().any(|word| word.known == Known::Crafted) {
                self.unmatched(what, "the command computes one of its arguments");
            }
            return;
        }
        self.look_up(name, arguments, what);
    }

    /// `read` sets variables from standard input.
    fn read_into(&mut self, arguments: &[Word], what: &str) {
        // `mapfile -C` runs a command for each line.
        if arguments.iter().any(|word| word.is_flag() && !["-r", "-p", "-s", "-t"].contains(&word.text.as_str())) {
            self.unmatched(what, "one of its flags may run something");
        }
        let begins = Word { text: String::new(), known: Known::Begins };
        for name in arguments.iter().filter(|word| !word.is_flag()) {
            self.assigned.insert(name.text.clone());
            let values = (self.stdin == Stdin::Listed).then(|| vec![begins.clone()]);
            self.set(&name.text.clone(), values);
        }
    }

    /// Finds the entry for a command.
    pub(super) fn look_up(&mut self, name: &str, arguments: &[Word], what: &str) {
        let is_crafted = arguments.iter().any(|word| word.known == Known::Crafted);
        let crafted = "the command computes one of its arguments";
        let arguments = &archives::spelled_out(name, arguments);
        let Some((options, after_options)) = self.after_options(name, arguments) else {
            if is_crafted {
                self.unmatched(what, crafted);
            }
            return self.unmatched(what, &format!("an option of {name} has no value"));
        };
        self.mention_folders(name, arguments);
        let rules = self.rules;
        for list in rules.lists() {
            let found: Vec<(&Entry, Vec<Word>)> = list
                .iter()
                .filter_map(|entry| {
                    let command = entry.command.as_ref().filter(|command| command.is_of(name))?;
                    let left = command.arguments(&after_options, &entry.flags)?;
                    let harmless = entry.check.is_none_or(|check| check.holds(&after_options, &left));
                    harmless.then_some(())?;
                    Some((entry, left.into_iter().cloned().collect()))
                })
                .collect();
            if found.is_empty() {
                continue;
            }
            let takes = found.first().map_or(Takes::Names, |(entry, _)| entry.takes);
            let takes = if found.iter().all(|(entry, _)| entry.takes == takes) { takes } else { Takes::Names };
            // A composed word is unmatched, in addition to what the command itself is.
            if is_crafted && takes != Takes::Anything {
                self.unmatched(what, crafted);
            }
            for (entry, left) in found {
                self.matched(entry, (&options, arguments), &left, what);
                if let Writes::Flag(flag) = &entry.writes {
                    entry.flags.values_of(flag, &after_options).iter().for_each(|target| self.write(target));
                }
            }
            self.takes = takes;
            return;
        }
        self.unmatched(what, if is_crafted { crafted } else { "no entry matches it" });
    }

    /// Adds the facts of an entry, and the files that the command writes.
    fn matched(&mut self, entry: &Entry, (options, arguments): (&[Word], &[Word]), left: &[Word], what: &str) {
        let local = &self.rules.inside;
        let is_build = entry.is.environment == local.environment && entry.is.resource_type == local.resource_type;
        // Files in a folder may control what a program runs: git settings, Terraform plugins.
        let obeys = entry.check.is_some_and(Check::is_about_folder) || entry.command.as_ref().is_some_and(|command| command.is_of("git"));
        let mut part = if (is_build || obeys) && !self.stays_inside(options) {
            let why = "`writes.outside`, because it works in another folder than the agent's";
            self.rules.part(what, &self.rules.outside, why)
        } else {
            self.rules.part(what, &entry.is, &entry.named)
        };
        let pieces =
            arguments.iter().flat_map(|word| std::iter::once(word.text.as_str()).chain(word.text.split_once('=').map(|(_, value)| value)));
        let pieces: Vec<String> = pieces.filter(|piece| !piece.is_empty()).map(str::to_owned).collect();
        let folders = if self.folders.is_empty() { std::slice::from_ref(&self.root) } else { self.folders.as_slice() };
        let said = folders.iter().chain(&self.contexts).chain(&pieces);
        let found = self.rules.environment(said.map(String::as_str));
        self.rules.assign_environment(&mut part, found.as_ref());
        part.names = pieces.into_iter().chain(self.contexts.iter().cloned()).take(100).collect();
        self.add(part);
        let scripts = usize::from(entry.check.is_some_and(Check::takes_script) && !arguments.iter().any(|word| word.text == "-e"));
        let left = &left[scripts.min(left.len())..];
        let before_last = left.len().saturating_sub(1);
        match &entry.writes {
            Writes::Nothing | Writes::Flag(_) => {}
            Writes::All => left.iter().for_each(|target| self.write(target)),
            Writes::Last => left[before_last..].iter().for_each(|target| self.write(target)),
            Writes::Into | Writes::Moved => {
                if entry.writes == Writes::Moved {
                    left[..before_last].iter().for_each(|target| self.write(target));
                }
                if let Some(last) = left.last() {
                    self.write_into(&left[..before_last], last);
                }
            }
        }
    }

    /// Adds writing to a file, or into a folder under each source's own name: which of the two it
    /// is is unknown.
    fn write_into(&mut self, sources: &[Word], last: &Word) {
        let root = resolved(&self.root, "/");
        let is_root = |folder: &String| last.as_literal().is_some_and(|text| resolved(text, folder) == root);
        // The agent's folder itself is not a file.
        if sources.is_empty() || !self.folders.iter().any(is_root) {
            self.write(last);
        }
        for source in sources {
            let name = source.text.rsplit('/').next().unwrap_or_default();
            let known = if last.known == Known::Literal { source.known } else { last.known };
            // If a path is unknown, its last part is unknown too.
            let known = if source.known == Known::Begins && last.known == Known::Literal { Known::Begins } else { known };
            self.write(&Word { text: format!("{}/{name}", last.text.trim_end_matches('/')), known });
        }
    }

    /// Whether a command works in the agent's folder or below, in every folder where it may be and
    /// wherever its options send it.
    fn stays_inside(&self, options: &[Word]) -> bool {
        let root = resolved(&self.root, "/");
        let here = |path: &str| path == root || is_inside(path, &self.root);
        let of_option = |word: &Word| {
            let value = word.text.split_once('=').map_or(word.text.as_str(), |(_, value)| value);
            word.is_flag() && !word.text.contains('=') || (word.known == Known::Literal && here(&resolved(value, &self.root)))
        };
        !self.folders.is_empty() && self.folders.iter().all(|folder| here(&resolved(folder, "/"))) && options.iter().all(of_option)
    }

    /// The options before a subcommand, and the words after them; `None` if an option lacks its
    /// value. A subcommand with subcommands of its own may have options too, such as that of
    /// `docker compose`.
    fn after_options(&self, name: &str, arguments: &[Word]) -> Option<(Vec<Word>, Vec<Word>)> {
        let rest = self.after_options_of(name, arguments)?;
        let mut options = arguments[..arguments.len() - rest.len()].to_vec();
        let mut after = rest.to_vec();
        if let Some((first, rest)) = rest.split_first()
            && let Some(word) = first.as_literal()
        {
            let inner = self.after_options_of(&format!("{name} {word}"), rest)?;
            options.extend_from_slice(&rest[..rest.len() - inner.len()]);
            after = std::iter::once(first).chain(inner).cloned().collect();
        }
        Some((options, after))
    }

    fn after_options_of<'w>(&self, name: &str, arguments: &'w [Word]) -> Option<&'w [Word]> {
        let mut rest = arguments;
        // Cargo and similar tools accept a toolchain first.
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
            let is_flag_too =
                options.contains(&first.text) && !after.first().is_some_and(|word| word.text.bytes().all(|byte| byte.is_ascii_digit()));
            if options.iter().any(|known| known.strip_suffix('=') == Some(option)) && !is_flag_too {
                rest = if has_value { after } else { after.get(1..)? };
            } else if options.contains(&first.text) {
                rest = after;
            } else {
                // It may be a flag of the program itself, such as --version, which an entry
                // matches.
                break;
            }
        }
        Some(rest)
    }
}
