//! Patterns of entries: which tools and commands they match, and which flags they allow.
//!
//! A command pattern is a list of words. Each word is one or more globs separated by `|`. `**` at
//! the end matches any further words; `...` after the last word means that at least one such word
//! follows, and nothing else. Without either, the command has exactly these words.

use crate::domain::risk::registry::glob;
use crate::domain::tools::word::{Known, Word};

/// One or more globs, one of which has to match. `*` matches any text; case matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Globs(Vec<String>);

impl Globs {
    /// Reads `one|other`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let globs: Vec<String> = text.split('|').map(str::to_owned).collect();
        if globs.iter().any(String::is_empty) {
            return Err(format!("`{text}` has an empty alternative; write names with | between them, such as Read|Grep"));
        }
        Ok(Self(globs))
    }

    /// Whether one of them matches the whole text.
    pub fn fit(&self, text: &str) -> bool {
        self.0.iter().any(|pattern| glob(pattern.as_bytes(), text.as_bytes()))
    }

    /// The pattern as it is written.
    pub fn written(&self) -> String {
        self.0.join("|")
    }

    fn fits(&self, word: &Word) -> bool {
        match word.known {
            // A folder may be written with a trailing slash.
            Known::Literal => self.fit(&word.text) || word.text.strip_suffix('/').is_some_and(|text| !text.is_empty() && self.fit(text)),
            Known::Glob | Known::Begins => self.0.iter().any(|pattern| pattern == "*"),
            Known::Crafted => false,
        }
    }
}

/// What may follow the words of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Only flags.
    Nothing,
    /// Anything: `**`.
    Anything,
    /// More of the last word: `name...`.
    More,
}

/// A pattern of a command: the program, the words after it, and what may follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandPattern {
    program: Globs,
    words: Vec<Globs>,
    rest: Rest,
    written: String,
}

impl CommandPattern {
    /// Reads a pattern such as `git status|log **`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut words: Vec<&str> = text.split_ascii_whitespace().collect();
        let rest = match words.last() {
            Some(&"**") => {
                words.pop();
                Rest::Anything
            }
            Some(last) if last.ends_with("...") && last.len() > 3 => Rest::More,
            _ => Rest::Nothing,
        };
        if words.contains(&"**") {
            return Err(format!("`{text}` has ** before its end; write * for a single word there"));
        }
        let mut globs: Vec<Globs> = Vec::new();
        for word in &words {
            globs.push(Globs::parse(word.strip_suffix("...").unwrap_or(word))?);
        }
        if globs.is_empty() {
            return Err("names no program; begin with one, such as `git status **`".to_owned());
        }
        let program = globs.remove(0);
        if program.0.iter().any(|name| name.starts_with('*')) {
            return Err(format!("`{text}` would fit every program; name the programs, with | between them"));
        }
        Ok(Self { program, words: globs, rest, written: text.to_owned() })
    }

    /// The pattern as it is written.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// Whether it matches this program.
    pub fn is_of(&self, program: &str) -> bool {
        self.program.fit(program)
    }

    /// If a command matches, the words after those of the pattern that are neither flags nor values
    /// of flags.
    pub fn arguments<'w>(&self, arguments: &'w [Word], flags: &Flags) -> Option<Vec<&'w Word>> {
        if !flags.has_needed(arguments) {
            return None;
        }
        if self.rest == Rest::Anything {
            let named = arguments.get(..self.words.len())?;
            let fits = self.words.iter().zip(named).all(|(globs, word)| globs.fits(word));
            return if fits { flags.plain(&arguments[self.words.len()..]) } else { None };
        }
        let plain = flags.plain_without_others(arguments)?;
        let named = plain.len() >= self.words.len() && self.words.iter().zip(&plain).all(|(globs, word)| globs.fits(word));
        let more = &plain[self.words.len().min(plain.len())..];
        let rest = match self.rest {
            Rest::More => self.words.last().is_some_and(|globs| more.iter().all(|word| globs.fits(word))),
            _ => more.is_empty(),
        };
        let first = if self.rest == Rest::More { self.words.len().saturating_sub(1) } else { self.words.len() };
        (named && rest).then(|| plain[first..].to_vec())
    }
}

/// The flags that an entry allows. A flag ends with `=` if it has a value, in the same word or in
/// the next.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// Only these; `None` allows any except those below.
    pub only: Option<Vec<String>>,
    /// None of these, nor their abbreviations.
    pub unless: Vec<String>,
    /// At least one of these, unless the list is empty.
    pub needs: Vec<String>,
}

/// How the list of allowed flags treats a word.
enum Allowed {
    No,
    Yes,
    /// Allowed, and the next word is its value.
    WithNext,
}

impl Flags {
    /// The words that are neither flags nor values of flags; `None` if a flag is not allowed.
    fn plain<'w>(&self, words: &'w [Word]) -> Option<Vec<&'w Word>> {
        let mut plain = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word.text == "--" {
                plain.extend(words);
                break;
            }
            if !word.is_flag() {
                plain.push(word);
                continue;
            }
            if self.refuses(&word.text) {
                return None;
            }
            match self.allows(&word.text) {
                Allowed::No => return None,
                Allowed::Yes => {}
                Allowed::WithNext => drop(words.next()),
            }
        }
        Some(plain)
    }

    /// The same, if only listed flags are allowed.
    fn plain_without_others<'w>(&self, words: &'w [Word]) -> Option<Vec<&'w Word>> {
        let only = self.only.clone().unwrap_or_default();
        Self { only: Some(only), unless: self.unless.clone(), needs: Vec::new() }.plain(words)
    }

    fn allows(&self, word: &str) -> Allowed {
        let Some(only) = &self.only else { return Allowed::Yes };
        let listed = |flag: &str| only.iter().any(|known| known == flag);
        let (name, has_value) = word.split_once('=').map_or((word, false), |(name, _)| (name, true));
        if listed(&format!("{name}=")) {
            return if has_value { Allowed::Yes } else { Allowed::WithNext };
        }
        if listed(word) {
            return Allowed::Yes;
        }
        if word.starts_with("--") {
            return Allowed::No;
        }
        if word[1..].bytes().all(|byte| byte.is_ascii_digit()) {
            return if listed("-0") { Allowed::Yes } else { Allowed::No };
        }
        // A cluster of short flags. The last may have a value.
        let mut letters = word[1..].chars();
        while let Some(letter) = letters.next() {
            if listed(&format!("-{letter}=")) {
                return if letters.as_str().is_empty() { Allowed::WithNext } else { Allowed::Yes };
            }
            if !listed(&format!("-{letter}")) {
                return Allowed::No;
            }
        }
        Allowed::Yes
    }

    /// Whether one of the required flags is present.
    fn has_needed(&self, words: &[Word]) -> bool {
        let stands = |flag: &String, word: &Word| {
            let name = word.text.split('=').next().unwrap_or_default();
            let is_cluster = word.text.starts_with('-') && !word.text.starts_with("--") && flag.chars().count() == 2;
            name == flag || word.text == *flag || (is_cluster && flag.chars().nth(1).is_some_and(|letter| name.contains(letter)))
        };
        let mut before = words.iter().take_while(|word| word.text != "--");
        self.needs.is_empty() || before.any(|word| word.is_flag() && self.needs.iter().any(|flag| stands(flag, word)))
    }

    /// The values of a flag, in the same word or in the next one.
    pub fn values_of(&self, flag: &str, words: &[Word]) -> Vec<Word> {
        let mut found = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word.text == "--" {
                break;
            }
            let is_short = flag.chars().count() == 2 && !word.text.starts_with("--");
            let behind = if is_short {
                self.behind_letter(flag, &word.text)
            } else if word.text == flag {
                Some("")
            } else {
                word.text.strip_prefix(flag).and_then(|rest| rest.strip_prefix('='))
            };
            match (word.is_flag(), behind) {
                (true, Some("")) => found.extend(words.next().cloned()),
                (true, Some(text)) => found.push(Word { text: text.to_owned(), known: word.known }),
                (true, None) if matches!(self.allows(&word.text), Allowed::WithNext) => drop(words.next()),
                _ => {}
            }
        }
        found
    }

    /// The rest of a cluster of short flags after the first flag that has a value.
    fn behind_letter<'w>(&self, flag: &str, word: &'w str) -> Option<&'w str> {
        let listed = |letter: char| self.only.as_ref().is_some_and(|only| only.iter().any(|known| *known == format!("-{letter}=")));
        let mut letters = word.strip_prefix('-')?.chars();
        let first = letters.find(|letter| listed(*letter))?;
        flag.ends_with(first).then(|| letters.as_str().strip_prefix('=').unwrap_or(letters.as_str()))
    }

    fn refuses(&self, word: &str) -> bool {
        let name = word.split('=').next().unwrap_or(word);
        let has = |letter: char| !word.starts_with("--") && name.contains(letter);
        self.unless.iter().any(|flag| match flag.strip_prefix("--") {
            Some(long) => name.strip_prefix("--").is_some_and(|written| !written.is_empty() && long.starts_with(written)),
            None if flag.chars().count() == 2 => flag.chars().nth(1).is_some_and(has),
            None => name == flag,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Word> {
        text.split(' ').filter(|word| !word.is_empty()).map(Word::literal).collect()
    }

    fn plain(pattern: &str, only: Option<&[&str]>, unless: &[&str], arguments: &str) -> Option<String> {
        let owned = |list: &[&str]| list.iter().map(|flag| (*flag).to_owned()).collect::<Vec<_>>();
        let flags = Flags { only: only.map(owned), unless: owned(unless), needs: Vec::new() };
        let words = words(arguments);
        let found = CommandPattern::parse(pattern).unwrap().arguments(&words, &flags)?;
        Some(found.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn a_pattern_names_words_and_what_may_follow() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(plain("git status|log **", None, &[], "log -3 main"), some("main"));
        assert_eq!(plain("git status|log **", None, &[], "push"), None);
        assert_eq!(plain("git push origin fix/*", Some(&["-u"]), &[], "push -u origin fix/x"), some(""));
        assert_eq!(plain("git push origin fix/*", Some(&["-u"]), &[], "push origin fix/x main"), None);
        assert_eq!(plain("git push origin fix/*", None, &[], "push -f origin fix/x"), None, "a flag that is not listed");
        assert_eq!(plain("rm dist|target...", Some(&["-r", "-f"]), &[], "-rf dist target"), some("dist target"));
        assert_eq!(plain("rm dist|target...", Some(&["-r", "-f"]), &[], "-rf dist src"), None);
        assert_eq!(plain("rm dist|target...", Some(&["-r", "-f"]), &[], "-rf"), None);
    }

    #[test]
    fn flags_are_known_in_clusters_with_values_and_abbreviated() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(plain("x **", Some(&["-n=", "-a", "--all", "-0"]), &[], "-an 5 y -20 --all -- -z"), some("y -z"));
        assert_eq!(plain("x **", Some(&["-n="]), &[], "-n5 y"), some("y"));
        assert_eq!(plain("x **", Some(&["-a"]), &[], "-ab"), None);
        assert_eq!(plain("x **", Some(&["--all"]), &[], "--al"), None);
        assert_eq!(plain("x **", None, &["--output"], "--outp=y"), None);
        assert_eq!(plain("x **", None, &["-o"], "-ao y"), None);
        assert_eq!(plain("x **", None, &["-delete"], ". -delete"), None);
        assert_eq!(plain("x **", None, &["-delete"], ". -depth"), some("."));
    }

    #[test]
    fn the_value_of_a_flag_is_in_the_same_word_or_in_the_next() {
        let only = ["-c", "-z", "-f=", "--file=", "-C="].map(str::to_owned).to_vec();
        let flags = Flags { only: Some(only), ..Flags::default() };
        let value = |flag: &str, text: &str| flags.values_of(flag, &words(text)).into_iter().map(|word| word.text).collect::<Vec<_>>();
        for (text, found) in [("-czf a.tgz src", "a.tgz"), ("-fa.tgz", "a.tgz"), ("-C sub -f a", "a"), ("-C -f -f a", "a")] {
            assert_eq!(value("-f", text), [found], "{text}");
        }
        assert_eq!(value("--file", "--file=a --file b"), ["a", "b"]);
        assert!(value("-f", "-Cf src").is_empty() && value("-f", "-- -f a").is_empty());
    }

    #[test]
    fn a_word_that_is_not_known_fits_no_name() {
        let begins = [Word { text: "sta".to_owned(), known: Known::Begins }];
        let crafted = [Word { text: String::new(), known: Known::Crafted }];
        let pattern = CommandPattern::parse("git status **").unwrap();
        assert_eq!(pattern.arguments(&begins, &Flags::default()), None);
        assert_eq!(pattern.arguments(&crafted, &Flags::default()), None);
    }

    #[test]
    fn a_pattern_that_fits_every_program_is_refused() {
        for invalid in ["", "* **", "git ** x", "git a||b"] {
            assert!(CommandPattern::parse(invalid).is_err(), "{invalid}");
        }
    }
}
