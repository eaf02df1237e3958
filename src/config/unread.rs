//! Finds files in the folder that look like configuration but that parkbrake does not read: with
//! another extension, misspelled, or in the wrong folder. The operator would believe that their
//! stricter rules apply, and they would not; so each is a problem.

use crate::config::problem::Problem;
use std::path::{Path, PathBuf};

/// How many folders deep the search goes; no file below the first level is ever used.
const DEEPEST: usize = 4;
/// How many entries are examined. A folder with more serves another purpose.
const MOST: usize = 10_000;
/// Extensions of copies that nobody expects to be read.
const COPIES: [&str; 8] = ["~", ".bak", ".orig", ".swp", ".example", ".sample", ".dist", ".md"];

/// The files below `dir` that look like configuration and are not among `read`, the paths of the
/// known files.
pub fn problems(dir: &Path, read: &[&str]) -> Vec<Problem> {
    let targets: Vec<PathBuf> = read.iter().filter_map(|name| dir.join(name).canonicalize().ok()).collect();
    let mut search = Search { dir, read, targets, looked_at: 0, problems: Vec::new() };
    search.folder(Path::new(""), 0);
    search.problems
}

struct Search<'a> {
    dir: &'a Path,
    read: &'a [&'a str],
    /// The real paths of the known files, so that the target of a link is not reported.
    targets: Vec<PathBuf>,
    looked_at: usize,
    problems: Vec<Problem>,
}

impl Search<'_> {
    fn folder(&mut self, below: &Path, depth: usize) {
        let entries = match std::fs::read_dir(self.dir.join(below)) {
            Ok(entries) => entries,
            Err(error) => return self.problem(below, format!("cannot be searched for files that nothing reads: {error}")),
        };
        let mut names: Vec<String> = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        for name in names.iter().filter(|name| !name.starts_with('.')) {
            self.looked_at += 1;
            if self.looked_at > MOST {
                return;
            }
            let path = below.join(name);
            if self.dir.join(&path).is_dir() {
                if depth + 1 < DEEPEST {
                    self.folder(&path, depth + 1);
                }
            } else {
                self.file(&path, name);
            }
        }
    }

    fn file(&mut self, path: &Path, name: &str) {
        let is_read = self.read.iter().any(|read| path == Path::new(read));
        if is_read || COPIES.iter().any(|ending| name.ends_with(ending)) {
            return;
        }
        if self.dir.join(path).canonicalize().is_ok_and(|target| self.targets.contains(&target)) {
            return;
        }
        let lower = name.to_ascii_lowercase();
        let meant = self.meant(&lower);
        let yaml = lower.ends_with(".yaml") || lower.ends_with(".yml");
        match meant {
            Some(meant) => {
                self.problem(
                    path,
                    format!("is read by nothing; if it is meant to be {meant}, give it that name, else move it out of the folder"),
                );
            }
            None if yaml => {
                let known = self.read.join(", ");
                self.problem(path, format!("is read by nothing; move it out of the folder (what is read: {known})"));
            }
            None => {}
        }
    }

    /// The file that was probably meant: the known one whose name is at most two typing errors
    /// away.
    fn meant(&self, name: &str) -> Option<&str> {
        let written = stem(name);
        let slips = |read: &str| slips(&written, &stem(read.rsplit('/').next().unwrap_or(read)));
        self.read.iter().map(|read| (slips(read), *read)).filter(|(slips, _)| *slips <= 2).min().map(|(_, read)| read)
    }

    fn problem(&mut self, path: &Path, detail: String) {
        self.problems.push(Problem { file: self.dir.join(path), line: None, key: String::new(), detail });
    }
}

/// A name without its extensions and without characters that are often written for a hyphen.
fn stem(name: &str) -> String {
    name.split('.').next().unwrap_or(name).chars().filter(|letter| letter.is_ascii_alphanumeric()).collect()
}

/// How many letters have to be added, removed or replaced to get from one word to another
/// (Levenshtein).
fn slips(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, wanted) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *wanted);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}
