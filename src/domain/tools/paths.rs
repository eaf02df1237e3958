//! Where a path leads: inside the agent's folder or outside of it, in a form that can be compared.

use crate::domain::risk::registry::glob;

/// Folders of disposable files.
const TEMPORARY: [&str; 4] = ["/tmp/", "/private/tmp/", "/var/tmp/", "/dev/shm/"];
/// Devices that can be written without effect.
const NOWHERE: [&str; 4] = ["/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty"];

/// A path without `.`, `..` and repeated slashes. It begins with `/`, or with `~` for any user's
/// home.
pub fn resolved(path: &str, folder: &str) -> String {
    let path =
        path.strip_prefix("$HOME").or_else(|| path.strip_prefix("${HOME}")).map_or_else(|| path.to_owned(), |rest| format!("~{rest}"));
    let whole = if path.starts_with('/') || path.starts_with('~') { path } else { format!("{folder}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    match parts.as_slice() {
        [home, rest @ ..] if home.starts_with('~') => joined("~", rest),
        ["root", rest @ ..] => joined("~", rest),
        ["home" | "Users", _, rest @ ..] => joined("~", rest),
        parts => joined("", parts),
    }
}

fn joined(root: &str, parts: &[&str]) -> String {
    if parts.is_empty() && root.is_empty() {
        "/".to_owned()
    } else {
        std::iter::once(root).chain(parts.iter().copied()).collect::<Vec<_>>().join("/")
    }
}

/// Whether a resolved path is below a project folder. `/` and homes are not project folders.
pub fn is_inside(path: &str, folder: &str) -> bool {
    let folder = resolved(folder, "/");
    folder != "/" && folder != "~" && path.strip_prefix(&folder).is_some_and(|rest| rest.starts_with('/'))
}

/// Whether a resolved path is a home, or a folder that contains homes.
pub fn is_home_or_above(path: &str) -> bool {
    ["~", "/", "/home", "/Users"].contains(&path)
}

/// Whether a resolved path is below a folder for temporary files.
pub fn is_temporary(path: &str) -> bool {
    TEMPORARY.iter().any(|folder| path.strip_prefix(folder).is_some_and(|rest| !rest.is_empty()))
}

/// Whether writing to a resolved path has no effect.
pub fn is_nowhere(path: &str) -> bool {
    NOWHERE.contains(&path) || path.starts_with("/dev/fd/")
}

/// A path pattern. One that begins with `/` or `~` matches that path; any other matches in every
/// folder. Case does not matter, as on many file systems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    written: String,
    /// In lower case, for comparison.
    compared: String,
    is_anchored: bool,
}

impl PathPattern {
    /// A pattern in which `*` matches any text.
    pub fn new(written: String) -> Self {
        let is_anchored = written.starts_with(['/', '~']);
        let lower = written.to_ascii_lowercase();
        Self { written, compared: if is_anchored { lower } else { format!("*/{lower}") }, is_anchored }
    }

    /// The pattern as it is written.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// Whether the matched paths are in this folder. This is false for a pattern that matches in
    /// every folder.
    pub fn is_below(&self, folder: &str) -> bool {
        let below = self.compared.strip_prefix(&folder.to_ascii_lowercase());
        self.is_anchored && below.is_some_and(|rest| rest.starts_with('/') || folder == "/")
    }

    /// Whether a path matches.
    pub fn fits(&self, resolved: &ResolvedPath) -> bool {
        let path = if self.is_anchored { &resolved.slashed[1..] } else { resolved.slashed.as_str() };
        glob(self.compared.as_bytes(), path.as_bytes())
    }
}

/// A resolved path, for comparison with patterns.
pub struct ResolvedPath {
    /// In lower case, with a slash added in front.
    slashed: String,
}

impl ResolvedPath {
    /// The path, relative to this folder.
    pub fn of(path: &str, folder: &str) -> Self {
        Self { slashed: format!("/{}", resolved(path, folder)).to_ascii_lowercase() }
    }
}

/// Whether a path with shell wildcards names files by their type or by part of their names, in a
/// known folder. A wildcard matches neither `..` nor a leading dot, unless they are written out.
pub fn names_files(written: &str) -> bool {
    let is_wild = |part: &str| part.contains(['*', '?', '[', '{']);
    let Some(expanded) = expanded(written) else { return false };
    expanded.iter().all(|written| {
        let says = written.rsplit('/').next().is_some_and(|last| last.bytes().any(|byte| byte.is_ascii_alphanumeric()));
        says && !written.split('/').any(|part| part == ".." || (part.starts_with('.') && is_wild(part)))
    })
}

/// The folders that a path with shell wildcards may be; `None` if that is unknown.
pub fn folders(written: &str) -> Option<Vec<String>> {
    let harmless = |part: &str| part != ".." && !(part.starts_with('.') && part.contains(['*', '?', '[']));
    expanded(written).filter(|all| all.iter().all(|written| !written.is_empty() && written.split('/').all(harmless)))
}

/// Whether a path with shell wildcards could expand to one that matches a pattern. A part that is
/// only a wildcard stands for existing names and names nothing itself; a shell does not let it
/// match a leading dot.
pub fn could_fit(pattern: &str, written: &str) -> bool {
    let pattern = pattern.to_ascii_lowercase();
    let wanted: Vec<&str> = pattern.split('/').collect();
    let Some(expanded) = expanded(&written.to_ascii_lowercase()) else { return true };
    let is_anchored = pattern.starts_with('/');
    let meets = |wanted: &str, part: &str| {
        let says = part.bytes().any(|byte| !b"*?[].".contains(&byte)) || part.starts_with('.');
        // `*.json` is every file of a type, and names none of them.
        let is_kind = part.strip_prefix("*.").is_some_and(|kind| kind.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        says && (!is_kind || wanted.starts_with('*')) && intersect(&items(wanted.trim_end_matches('*'), false), &items(part, true))
    };
    expanded.iter().any(|written| {
        let parts: Vec<&str> = written.split('/').collect();
        if is_anchored && written.starts_with('/') && !parts.contains(&"..") {
            // Both are absolute.
            let same = |(wanted, part): (&&str, &&str)| intersect(&items(wanted, false), &items(part, true));
            let last = wanted.last().zip(parts.last()).is_some_and(|(wanted, part)| meets(wanted, part));
            return wanted.len() == parts.len() && last && wanted.iter().zip(&parts).all(same);
        }
        let end = wanted.last().is_some_and(|last| parts.last().is_some_and(|part| meets(last, part)));
        end || parts.windows(2).any(|pair| wanted.windows(2).any(|two| meets(two[0], pair[0]) && !two[0].is_empty()))
    })
}

/// The number of bytes to which a shell expands a word with braces, before it matches file names.
pub fn spelled_out(written: &str) -> usize {
    expanded(written).map_or(usize::MAX, |all| all.iter().map(String::len).sum())
}

/// The brace expansion of a word; `None` if it is too large.
fn expanded(word: &str) -> Option<Vec<String>> {
    const MOST: usize = 64;
    // No path is longer.
    const LONGEST: usize = 4_096;
    if word.len() > LONGEST {
        return None;
    }
    let (mut open, mut done) = (vec![word.to_owned()], Vec::new());
    while let Some(word) = open.pop() {
        let inner = word.find('}').and_then(|end| Some((word[..end].rfind('{')?, end)));
        match inner {
            Some((start, end)) if word[start..end].contains(',') => {
                open.extend(word[start + 1..end].split(',').map(|piece| format!("{}{piece}{}", &word[..start], &word[end + 1..])));
            }
            // `{1..9}` and `{}` are not lists; they count as any text.
            Some((start, end)) => open.push(format!("{}*{}", &word[..start], &word[end + 1..])),
            None => done.push(word),
        }
        if open.len() + done.len() > MOST {
            return None;
        }
    }
    Some(done)
}

/// One item of a pattern.
#[derive(Clone, Copy, PartialEq)]
enum Item {
    Is(char),
    One,
    Any,
}

fn items(text: &str, of_shell: bool) -> Vec<Item> {
    let mut items = Vec::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        items.push(match letter {
            '*' => Item::Any,
            '?' if of_shell => Item::One,
            '[' if of_shell => {
                letters.find(|letter| *letter == ']');
                Item::One
            }
            letter => Item::Is(letter),
        });
    }
    items
}

/// Whether some text matches both.
fn intersect(one: &[Item], other: &[Item]) -> bool {
    // Which positions in `other` are reachable, for each position in `one`.
    let mut reached = vec![vec![false; other.len() + 1]; one.len() + 1];
    reached[0][0] = true;
    for i in 0..=one.len() {
        for j in 0..=other.len() {
            if !reached[i][j] {
                continue;
            }
            let (a, b) = (one.get(i).copied(), other.get(j).copied());
            if a == Some(Item::Any) {
                reached[i + 1][j] = true;
                if b.is_some() {
                    reached[i][j + 1] = true;
                }
            }
            if b == Some(Item::Any) {
                reached[i][j + 1] = true;
                if a.is_some() {
                    reached[i + 1][j] = true;
                }
            }
            if let (Some(a), Some(b)) = (a, b)
                && a != Item::Any
                && b != Item::Any
                && (a == b || a == Item::One || b == Item::One)
            {
                reached[i + 1][j + 1] = true;
            }
        }
    }
    reached[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_spelling() {
        for (path, spelling) in [
            ("src/./a//b", "~/app/src/a/b"),
            ("../x", "~/x"),
            ("../../../../etc/passwd", "/etc/passwd"),
            ("/home/ann/.ssh/id", "~/.ssh/id"),
            ("/root/.ssh/id", "~/.ssh/id"),
            ("~bob/x", "~/x"),
            ("$HOME/.ssh", "~/.ssh"),
            ("/", "/"),
            ("/etc/../etc/hosts", "/etc/hosts"),
        ] {
            assert_eq!(
                resolved(path, "/home/ann/app"),
                if spelling == "/etc/passwd" { resolved("/etc/passwd", "/") } else { spelling.to_owned() },
                "{path}"
            );
        }
    }

    #[test]
    fn only_what_is_below_a_project_is_inside() {
        assert!(is_inside("~/app/x", "/home/ann/app"));
        for outside in ["~/app", "~/application/x", "/etc/x", "~/x"] {
            assert!(!is_inside(outside, "/home/ann/app"), "{outside}");
        }
        assert!(!is_inside("/x", "/") && !is_inside("~/x", "/home/ann") && !is_inside("/x", ""));
    }

    #[test]
    fn wildcards_name_files_of_a_kind_in_a_folder() {
        for known in ["*.ts", "src/*.spec.ts", "packages/*/README.md", "{a,b}.txt", "log.?"] {
            assert!(names_files(known), "{known}");
        }
        for other in ["*", "src/*", "src/", "../*.ts", "*/../x", ".*", ".g*/hooks", "{..,a}/x", "{.e,x}*v"] {
            assert!(!names_files(other), "{other}");
        }
        assert_eq!(folders("{packages/*/,apps}").map(|all| all.len()), Some(2));
        assert!(folders("{..,x}").is_none() && folders(".*").is_none());
    }

    #[test]
    fn absolute_paths_are_compared_from_the_root() {
        for written in ["/proc/*/envir*", "/proc/1/e*n", "/e*/shadow", "/etc/sh*", "sh*", "/x/../etc/sh*"] {
            assert!(["/proc/*/environ", "/etc/shadow*"].iter().any(|pattern| could_fit(pattern, written)), "{written}");
        }
        for written in ["/var/log/*", "/usr/lib/python3*", "/etc/nginx/*.conf"] {
            assert!(!["/proc/*/environ", "/etc/shadow*", "/run/secrets*"].iter().any(|pattern| could_fit(pattern, written)), "{written}");
        }
    }

    #[test]
    fn wildcards_that_could_name_a_secret_are_found() {
        for written in [".e*", ".e?v", ".[e]nv", ".{env,x}", "src/.en*", "id_r*", "*_rsa", "*.pem", "k*.pem"] {
            assert!([".env", "id_rsa", "*.pem"].iter().any(|pattern| could_fit(pattern, written)), "{written}");
        }
        for written in ["*", "src/*", "*.rs", "**/*.ts", "*.json", "a{,.bak}", "src/**"] {
            assert!(
                ![".env", "id_rsa", "*.pem", "credentials.json", "*kubeconfig*"].iter().any(|pattern| could_fit(pattern, written)),
                "{written}"
            );
        }
    }
}
