//! The sources and documents of this repository, as the architecture tests read them.

use regex::Regex;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The module of a file, as a list of names.
pub fn module_of(file: &str) -> Vec<&str> {
    let mut module: Vec<&str> = file.trim_end_matches(".rs").split('/').collect();
    if matches!(module.last(), Some(&("mod" | "lib" | "main"))) {
        module.pop();
    }
    module
}

/// One file of `src`.
pub struct Source {
    /// Its path below `src`.
    pub name: String,
    /// The top-level module that contains it.
    pub module: String,
    pub text: String,
    /// The text without comments and without the contents of string literals.
    pub code: String,
    /// The first names of paths.
    pub starts: BTreeSet<String>,
}

impl Source {
    /// The paths below `crate::` (in `main.rs`: below `parkbrake::`) that it names, with lists in
    /// braces expanded.
    pub fn paths(&self) -> Vec<String> {
        static ROOT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b(crate|parkbrake)::").expect("a pattern"));
        ROOT.find_iter(&self.code).flat_map(|found| expanded(&self.code[found.end()..]).0).collect()
    }

    /// The same without its tests, and including paths that go up from its module.
    pub fn paths_of_its_own(&self) -> Vec<String> {
        static UP: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b(crate|parkbrake|super)::").expect("a pattern"));
        let code = self.code.split("#[cfg(test)]").next().unwrap_or_default();
        let module = module_of(&self.name);
        let above = module.split_last().map_or_else(String::new, |(_, above)| above.iter().map(|name| format!("{name}::")).collect());
        let written = |found: regex::Match<'_>| {
            let above = if found.as_str() == "super::" { above.as_str() } else { "" };
            expanded(&code[found.end()..]).0.into_iter().map(move |path| format!("{above}{path}")).collect::<Vec<_>>()
        };
        UP.find_iter(code).flat_map(written).collect()
    }

    /// Whether it names a crate at the start of a path.
    pub fn uses_crate(&self, name: &str) -> bool {
        self.starts.contains(name)
    }
}

/// The paths of a use tree at the start of a text (`a::{b, c::d}` gives `a::b` and `a::c::d`), and
/// the text after it.
pub fn expanded(text: &str) -> (Vec<String>, &str) {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        let mut paths = Vec::new();
        loop {
            rest = rest.trim_start();
            if let Some(rest) = rest.strip_prefix('}') {
                return (paths, rest);
            }
            let (more, after) = expanded(rest);
            paths.extend(more);
            let after = after.trim_start();
            // An alias is skipped.
            rest = after.find([',', '}']).map_or("", |end| after[end..].strip_prefix(',').unwrap_or(&after[end..]));
            if rest.is_empty() {
                return (paths, rest);
            }
        }
    }
    let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    match rest.strip_prefix("::") {
        // `Type::<…>::function` and globs end the path.
        Some(rest) if rest.starts_with(|letter: char| letter.is_alphabetic() || letter == '_' || letter == '{') => {
            let (paths, rest) = expanded(rest);
            let joined = |path: String| if path == "self" { name.to_owned() } else { format!("{name}::{path}") };
            let starts_upper = name.starts_with(char::is_uppercase);
            // Names after a type belong to the type.
            (if starts_upper { vec![name.to_owned()] } else { paths.into_iter().map(joined).collect() }, rest)
        }
        _ => (vec![name.to_owned()], rest),
    }
}

/// Every file of `src`, read once for all tests; `lib.rs` only lists the modules.
pub fn sources() -> &'static [Source] {
    static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(scan);
    &SOURCES
}

#[track_caller]
pub fn scan() -> Vec<Source> {
    let src = root().join("src");
    let start = Regex::new(r"(?:^|[^:\w])([a-z_0-9]+)::|\b(?:use|extern crate) ([a-z_0-9]+)\b").expect("a pattern");
    let source = |path: PathBuf| {
        let name = path.strip_prefix(&src).expect("below src").to_str().expect("a name").replace('\\', "/");
        let module = name.split('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned();
        let text = fs::read_to_string(&path).expect("a source");
        let code = code_of(&text);
        let found = start.captures_iter(&code).filter_map(|found| found.get(1).or(found.get(2)));
        let starts = found.map(|found| found.as_str().to_owned()).collect();
        Source { name, module, text, starts, code }
    };
    let sources: Vec<Source> = files(&src, "rs").into_iter().map(source).filter(|source| source.name != "lib.rs").collect();
    assert!(sources.len() > 50, "the scan finds the sources");
    sources
}

/// The dependencies of the program, as they are spelled in the source.
pub fn dependencies() -> BTreeSet<String> {
    let manifest = read("Cargo.toml");
    let (_, section) = manifest.split_once("\n[dependencies]\n").expect("dependencies");
    let section = section.split("\n[").next().unwrap_or_default();
    section.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name.trim().replace('-', "_")).collect()
}

/// A source without comments and without the contents of string literals, so that neither is
/// mistaken for code.
pub fn code_of(text: &str) -> String {
    static SKIPPED: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(concat!(
            r"(?s)//[^\n]*|/\*.*?\*/",                 // comments
            r##"|\bb?r(#+)".*?"(#+)"##,                // raw text; the hashes are taken to fit
            r#"|\bb?r"[^"]*"|"(?:[^"\\]|\\.)*""#,      // text
            r"|'(?:[^'\\\n]|\\(?:x..|u\{[^}]*\}|.))'"  // one character; a lifetime has no second quote
        ))
        .expect("a pattern")
    });
    SKIPPED.replace_all(text, " ").into_owned()
}

pub fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found
}

#[track_caller]
pub fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
