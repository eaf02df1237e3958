//! Programs that run other programs: the inner command is read as if it were written alone.

use crate::domain::tools::pattern::{CommandPattern, Flags};
use crate::domain::tools::shell::{Reader, Stdin};
use crate::domain::tools::word::{Known, Word};

/// A program that runs the words after its flags: its known flags, and the number of words before
/// the inner program.
struct Wrapper {
    names: &'static [&'static str],
    flags: &'static [&'static str],
    before: usize,
}

const WRAPPERS: [Wrapper; 9] = [
    Wrapper { names: &["nohup", "builtin", "setsid", "chronic", "exec"], flags: &["-w", "-f"], before: 0 },
    Wrapper { names: &["time"], flags: &["-p", "-v", "-l"], before: 0 },
    Wrapper { names: &["nice"], flags: &["-n=", "-0", "--adjustment="], before: 0 },
    Wrapper { names: &["ionice"], flags: &["-c=", "-n=", "-t"], before: 0 },
    Wrapper { names: &["stdbuf"], flags: &["-i=", "-o=", "-e="], before: 0 },
    Wrapper { names: &["command"], flags: &["-p"], before: 0 },
    Wrapper {
        names: &["timeout", "gtimeout"],
        flags: &["-k=", "-s=", "--kill-after=", "--signal=", "--preserve-status", "--foreground", "-v", "--verbose"],
        before: 1,
    },
    Wrapper { names: &["env"], flags: &["-i", "-", "-u=", "--unset=", "--ignore-environment"], before: 0 },
    Wrapper { names: &["sudo", "doas"], flags: &["-n", "-E", "-H", "-u=", "-g=", "--user="], before: 0 },
];
const XARGS: [&str; 14] =
    ["-0", "-r", "-t", "-x", "-n=", "-P=", "-L=", "-d=", "-I=", "--null", "--no-run-if-empty", "--max-args=", "--max-procs=", "--"];
const WATCH: [&str; 8] = ["-n=", "-d", "-t", "-c", "-e", "-g", "--interval=", "--color"];
const SSH: [&str; 11] = ["-p=", "-l=", "-t", "-T", "-q", "-v", "-n", "-4", "-6", "-C", "-x"];
const CONTAINER: [&str; 9] = ["-i", "-t", "-T", "-u=", "--user=", "-w=", "--workdir=", "--interactive", "--tty"];

fn known(flags: &[&str]) -> Flags {
    Flags { only: Some(flags.iter().map(|flag| (*flag).to_owned()).collect()), ..Flags::default() }
}

impl Reader<'_> {
    /// Reads a program that runs others; `false` if it does not.
    pub(super) fn wrapped(&mut self, name: &str, arguments: &[Word], what: &str) -> bool {
        match name {
            // With `-n` it only checks the syntax.
            "sh" | "bash" | "zsh" | "dash" | "ksh" if arguments.first().is_some_and(|word| word.text == "-n") => {
                self.look_up(name, arguments, what);
            }
            "sh" | "bash" | "zsh" | "dash" | "ksh" | "ash" => self.shell(arguments, what),
            "eval" => self.text_of(arguments, what),
            "watch" => match after_flags(arguments, &known(&WATCH)) {
                Some(words) => self.text_of(words, what),
                None => self.not_known(what),
            },
            "git" if arguments.len() > 2 && arguments[0].text == "bisect" && arguments[1].text == "run" => self.run(&arguments[2..], what),
            "xargs" | "gxargs" => self.xargs(arguments, what),
            "find" | "gfind" => self.find(name, arguments, what),
            "ssh" => self.ssh(arguments, what),
            "docker" | "podman" | "docker-compose" => return self.container(name, arguments, what),
            "command" if arguments.first().is_some_and(|word| matches!(word.text.as_str(), "-v" | "-V")) => {
                self.look_up("which", &arguments[1..], what);
            }
            _ => {
                let Some(wrapper) = WRAPPERS.iter().find(|wrapper| wrapper.names.contains(&name)) else { return false };
                self.runs_rest(wrapper, name, arguments, what);
            }
        }
        true
    }

    fn not_known(&mut self, what: &str) {
        self.unmatched(what, "what it runs cannot be told from its words");
    }

    fn runs_rest(&mut self, wrapper: &Wrapper, name: &str, arguments: &[Word], what: &str) {
        let rest = after_flags(arguments, &known(wrapper.flags)).and_then(|rest| rest.get(wrapper.before..));
        let Some(mut rest) = rest else { return self.not_known(what) };
        let contexts = self.contexts.len();
        if matches!(name, "env" | "sudo" | "doas") {
            while let Some((name, value)) = rest.first().and_then(|word| assignment(&word.text)) {
                if !self.rules.may_set(name, &[Word { text: value.to_owned(), known: rest[0].known }]) {
                    self.unmatched(what, &format!("setting {name} like this may change what programs do; `variables` does not list it"));
                }
                self.contexts.push(value.to_owned());
                rest = &rest[1..];
            }
        }
        if rest.is_empty() {
            // `exec` alone only redirects.
            if name != "exec" {
                self.unmatched(what, "it names no program to run");
            }
        } else if matches!(name, "sudo" | "doas") {
            self.unmatched(what, "it has the rights of another user");
            self.elsewhere("it runs as another user", |reader| reader.run(rest, what));
        } else {
            self.run(rest, what);
        }
        self.contexts.truncate(contexts);
    }

    /// Reads what runs as another user or on another machine. Only reading has the same meaning
    /// there: no folder there is the agent's.
    fn elsewhere(&mut self, why: &str, read: impl FnOnce(&mut Self)) {
        let before = self.parts.len();
        let folders = std::mem::take(&mut self.folders);
        read(self);
        self.folders = folders;
        let local = &self.rules.inside;
        for part in self.parts.iter_mut().skip(before) {
            if part.facts.environment == local.environment {
                part.facts.environment = None;
            }
            if part.facts.resource_type == local.resource_type {
                part.facts.resource_type.clone_from(&self.rules.outside.resource_type);
            }
            part.because.push(format!("it acts elsewhere, because {why}"));
        }
    }

    /// A shell runs the text after `-c`. Scripts from files and pipes are not read.
    fn shell(&mut self, arguments: &[Word], what: &str) {
        let mut words = arguments.iter();
        let mut takes_text = false;
        while let Some(word) = words.next() {
            match word.as_literal() {
                Some("-o") => drop(words.next()),
                Some(flags) if flags.starts_with('-') && flags[1..].bytes().all(|flag| b"celuxi".contains(&flag)) && flags.len() > 1 => {
                    takes_text |= flags.contains('c');
                }
                Some(text) if takes_text && !text.starts_with('-') => {
                    let text = text.to_owned();
                    return self.deeper(what, |reader| reader.script(&text));
                }
                _ => break,
            }
        }
        self.unmatched(what, "the script that it runs is not written here");
    }

    /// A program that passes its words to a shell.
    fn text_of(&mut self, words: &[Word], what: &str) {
        let texts: Option<Vec<&str>> = words.iter().map(|word| word.as_literal()).collect();
        match texts.map(|texts| texts.join(" ")) {
            Some(text) if !text.trim().is_empty() => self.deeper(what, |reader| reader.script(&text)),
            _ => self.not_known(what),
        }
    }

    fn xargs(&mut self, arguments: &[Word], what: &str) {
        let flags = known(&XARGS);
        let replaced = arguments.iter().enumerate().find_map(|(index, word)| {
            let after = word.text.strip_prefix("-I")?;
            if after.is_empty() { arguments.get(index + 1).map(|word| word.text.clone()) } else { Some(after.to_owned()) }
        });
        let Some(rest) = after_flags(arguments, &flags) else { return self.not_known(what) };
        let known = if self.stdin == Stdin::Listed { Known::Begins } else { Known::Crafted };
        let unknown = Word { text: String::new(), known };
        let mut words: Vec<Word> = match &replaced {
            Some(mark) if !mark.is_empty() => rest.iter().map(|word| filled(word, mark, known)).collect(),
            _ => rest.to_vec(),
        };
        if words.is_empty() {
            words.push(Word::literal("echo"));
        }
        if replaced.is_none() {
            words.push(unknown);
        }
        self.run(&words, what);
    }

    /// `find` runs the command after `-exec`, for each file that it finds.
    fn find(&mut self, name: &str, arguments: &[Word], what: &str) {
        let mut own: Vec<Word> = Vec::new();
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            if !matches!(word.text.as_str(), "-exec" | "-execdir" | "-ok" | "-okdir") {
                if word.known == Known::Literal && word.text.contains(['*', '?', '[']) {
                    // A name pattern of `find` itself.
                    self.mention(&Word { text: word.text.clone(), known: Known::Glob });
                }
                own.push(word.clone());
                continue;
            }
            let inner: Vec<Word> = words
                .by_ref()
                .take_while(|word| !matches!(word.text.as_str(), ";" | "+"))
                .map(|word| filled(word, "{}", Known::Begins))
                .collect();
            if inner.is_empty() {
                self.not_known(what);
            } else {
                self.run(&inner, what);
            }
        }
        self.look_up(name, &own, what);
    }

    fn ssh(&mut self, arguments: &[Word], what: &str) {
        let Some([host, command @ ..]) = after_flags(arguments, &known(&SSH)) else { return self.not_known(what) };
        let Some(name) = host.as_literal().filter(|_| !command.is_empty()) else { return self.not_known(what) };
        self.contexts.push(name.to_owned());
        let command = command.to_vec();
        self.elsewhere("it runs on another machine", |reader| reader.text_of(&command, what));
        self.contexts.pop();
    }

    /// `docker exec` and `docker compose exec`; `false` for everything else that docker does.
    fn container(&mut self, name: &str, arguments: &[Word], what: &str) -> bool {
        let start = match (name, arguments.first().and_then(Word::as_literal), arguments.get(1).and_then(Word::as_literal)) {
            ("docker-compose", Some("exec"), _) => 1,
            ("docker" | "podman", Some("exec"), _) => 1,
            ("docker" | "podman", Some("compose" | "container"), Some("exec")) => 2,
            _ => return false,
        };
        match after_flags(&arguments[start..], &known(&CONTAINER)) {
            Some([container, command @ ..]) if container.as_literal().is_some() && !command.is_empty() => {
                self.contexts.push(container.text.clone());
                let command = command.to_vec();
                self.elsewhere("it runs in a container, of which nothing is known", |reader| reader.run(&command, what));
                self.contexts.pop();
            }
            _ => self.not_known(what),
        }
        true
    }
}

/// The inner command: the words after the program's own flags.
fn after_flags<'w>(arguments: &'w [Word], flags: &Flags) -> Option<&'w [Word]> {
    let pattern = CommandPattern::parse("wrapper **").ok()?;
    let end = (0..=arguments.len().min(64)).find(|end| {
        let plain = pattern.arguments(&arguments[..*end], flags);
        // The first word that is neither a flag nor the value of one ends the flags.
        plain.is_none_or(|plain| !plain.is_empty())
    });
    let Some(end) = end else { return Some(&[]) };
    let all = &arguments[..end];
    pattern.arguments(all, flags)?;
    Some(&arguments[end - 1..])
}

/// A word of a template, with its placeholder replaced by something that is known only this far.
fn filled(word: &Word, mark: &str, known: Known) -> Word {
    match word.text.split_once(mark) {
        None => word.clone(),
        Some((before, _)) if known == Known::Begins && word.known == Known::Literal => Word { text: before.to_owned(), known },
        Some(_) => Word { text: String::new(), known: Known::Crafted },
    }
}

/// `NAME=value`.
fn assignment(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let harmless =
        !name.is_empty() && !name.as_bytes()[0].is_ascii_digit() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    harmless.then_some((name, value))
}
