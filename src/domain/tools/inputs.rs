//! Tools other than shells: what they do, by their name, and which files they read and write, by
//! their input.

use crate::domain::tools::address::is_public;
use crate::domain::tools::reading::Part;
use crate::domain::tools::rules::Writes;
use crate::domain::tools::word::Word;
use crate::domain::tools::{ToolCall, ToolRules};
use serde_json::Value;

/// The members of an input that name a file or a folder.
const PATHS: [&str; 4] = ["file_path", "path", "notebook_path", "glob"];
/// The same for tools whose pattern matches paths and not text.
const PATHS_AND_PATTERN: [&str; 5] = ["file_path", "path", "notebook_path", "glob", "pattern"];
/// The members that name a file to write.
const WRITTEN: [&str; 3] = ["file_path", "notebook_path", "path"];

/// The longest path that is checked, in bytes.
const LONGEST_PATH: usize = 4_096;
/// The most files in a patch.
const MOST_FILES: usize = 400;

/// The parts of a call of a tool that takes no shell command.
pub fn read(rules: &ToolRules, call: &ToolCall) -> Vec<Part> {
    if call.tool_name == "apply_patch" {
        return patch(rules, call);
    }
    let paths: &[&str] = if call.tool_name == "Glob" { &PATHS_AND_PATTERN } else { &PATHS };
    if let Some(path) = texts(call, paths).find(|path| path.len() > LONGEST_PATH) {
        return vec![rules.unmatched(path, "it is too long for a path")];
    }
    for list in rules.lists() {
        let entries: Vec<_> = list.iter().filter(|entry| entry.command.is_none() && entry.tool.fit(&call.tool_name)).collect();
        if entries.is_empty() {
            continue;
        }
        let mut parts: Vec<Part> = Vec::new();
        let found = rules.environment(std::iter::once(call.cwd.as_str()).chain(texts(call, paths)));
        for entry in entries {
            let mut part = rules.part(&call.tool_name, &entry.is, &entry.named);
            rules.assign_environment(&mut part, found.as_ref());
            part.names = texts(call, paths).chain(texts(call, &["url"])).map(str::to_owned).collect();
            parts.push(part);
            if entry.writes != Writes::Nothing {
                parts.extend(written(rules, call, texts(call, &WRITTEN)));
            }
        }
        parts.extend(texts(call, paths).filter_map(|path| rules.named(&path_word(path), &call.cwd)));
        parts.extend(
            texts(call, &["url"])
                .filter(|url| !is_public(url))
                .map(|url| rules.unmatched(url, "it is not the address of a public host, so fetching it may do more than read a page")),
        );
        return parts;
    }
    vec![rules.unmatched(&call.tool_name, "no entry names this tool")]
}

/// The files that a tool writes. A tool that writes and names no file is unmatched.
fn written<'c>(rules: &ToolRules, call: &ToolCall, paths: impl Iterator<Item = &'c str>) -> Vec<Part> {
    let paths: Vec<&str> = paths.collect();
    if paths.is_empty() {
        return vec![rules.unmatched(&call.tool_name, "it writes, and its input names no file")];
    }
    let folders = [call.cwd.clone()];
    paths.iter().map(|path| rules.written(&Word::literal(*path), &call.cwd, &folders)).collect()
}

/// The parts of a patch in the format of Codex: each file that it adds, updates, deletes or moves.
fn patch(rules: &ToolRules, call: &ToolCall) -> Vec<Part> {
    const FILES: [&str; 4] = ["*** Add File: ", "*** Update File: ", "*** Delete File: ", "*** Move to: "];
    let text = ["command", "input", "patch"].iter().find_map(|name| call.tool_input.get(name)).unwrap_or(&call.tool_input);
    let text = match text {
        Value::String(text) => text.as_str(),
        Value::Array(words) => words.last().and_then(Value::as_str).unwrap_or_default(),
        _ => "",
    };
    let files = text.lines().filter_map(|line| FILES.iter().find_map(|start| line.trim_start().strip_prefix(start))).map(str::trim);
    let files: Vec<&str> = files.collect();
    if !text.trim_start().starts_with("*** Begin Patch") {
        return vec![rules.unmatched(&call.tool_name, "its input is not a patch")];
    }
    if files.len() > MOST_FILES || files.iter().any(|file| file.len() > LONGEST_PATH) {
        return vec![rules.unmatched(&call.tool_name, "it names too many files, or one that is too long for a path")];
    }
    written(rules, call, files.into_iter())
}

/// The texts of these members of the input.
fn texts<'c>(call: &'c ToolCall, names: &'c [&'c str]) -> impl Iterator<Item = &'c str> {
    names.iter().filter_map(|name| call.tool_input.get(name)?.as_str())
}

/// A path argument of a tool, which may have wildcards.
fn path_word(path: &str) -> Word {
    use crate::domain::tools::word::Known;
    let known = if path.contains(['*', '?', '[', '{']) { Known::Glob } else { Known::Literal };
    Word { text: path.to_owned(), known }
}
