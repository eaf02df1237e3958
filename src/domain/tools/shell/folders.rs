//! Commands that read whole folders, and so every secret in them.

use crate::domain::tools::paths::resolved;
use crate::domain::tools::shell::Reader;
use crate::domain::tools::word::{Known, Word};

/// Programs that search the given folders, or the current one by default.
const SEARCHERS: [&str; 6] = ["grep", "egrep", "fgrep", "rg", "ag", "ack"];

impl Reader<'_> {
    /// Notes a command that reads a whole folder with secrets: a home or a folder above one, or a
    /// folder above a secret that the configuration names by its path.
    pub(super) fn mention_folders(&mut self, name: &str, arguments: &[Word]) {
        if SEARCHERS.contains(&name) {
            let patterns = patterns_of_names(arguments);
            patterns.iter().for_each(|pattern| self.mention(pattern));
        }
        if !reads_folders(name, arguments) {
            return;
        }
        let mut named: Vec<&Word> = arguments.iter().filter(|word| !word.is_flag()).collect();
        let here = Word::literal(".");
        if SEARCHERS.contains(&name) && named.len() < 2 {
            named.push(&here);
        }
        let at = if self.folders.is_empty() { std::slice::from_ref(&self.root) } else { self.folders.as_slice() };
        let found = named.into_iter().find_map(|word| at.iter().find_map(|from| self.rules.holds_secrets(&resolved(fixed(word), from))));
        if let Some(part) = found {
            self.add(part);
        }
    }
}

/// Whether a command reads everything in the folders that it names.
fn reads_folders(name: &str, arguments: &[Word]) -> bool {
    let letters: &[char] = match name {
        "rg" | "ag" | "ack" | "tar" => return true,
        "grep" | "egrep" | "fgrep" => &['r', 'R', 'd'],
        "cp" | "rsync" => &['r', 'R', 'a'],
        "diff" | "scp" | "zip" => &['r'],
        _ => return false,
    };
    let long = ["--recursive", "--dereference-recursive", "--archive", "--directories=recurse"];
    arguments.iter().filter(|word| word.is_flag()).any(|word| match word.text.strip_prefix("--") {
        Some(_) => long.iter().any(|flag| flag.starts_with(&word.text)),
        None => word.text.contains(letters),
    })
}

/// The file name patterns that limit a search: wildcards, although they are quoted.
fn patterns_of_names(arguments: &[Word]) -> Vec<Word> {
    const FLAGS: [&str; 5] = ["--include", "--glob", "--iglob", "-g", "-G"];
    let pairs = arguments.iter().zip(arguments.iter().skip(1).map(Some).chain([None]));
    let values = pairs.filter_map(|(word, next)| {
        let joined = FLAGS.iter().find_map(|flag| word.text.strip_prefix(flag)).filter(|_| word.known != Known::Crafted)?;
        if joined.is_empty() { next.map(|next| next.text.as_str()) } else { Some(joined.trim_start_matches('=')) }
    });
    // A pattern that begins with `!` excludes files from the search.
    values.filter(|pattern| !pattern.starts_with('!')).map(|pattern| Word { text: pattern.to_owned(), known: Known::Glob }).collect()
}

/// A path up to its first wildcard: the folder that contains everything it may match.
fn fixed(word: &Word) -> &str {
    match word.text.find(['*', '?', '[', '{']).filter(|_| word.known == Known::Glob) {
        Some(wild) => &word.text[..word.text[..wild].rfind('/').map_or(0, |slash| slash + 1)],
        None => &word.text,
    }
}
