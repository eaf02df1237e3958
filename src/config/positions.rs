//! The position (file and line) of each rule, by the path of its keys, for pages that show the
//! rules in force.

use crate::config::source::Source;
use std::collections::BTreeMap;
use std::path::Path;

/// The sections whose entries are looked up.
const SECTIONS: [&str; 8] = ["triggers", "risk_levels", "people", "agents", "policies", "escalation", "freezes", "runbooks"];
/// How many entries of one file are looked up; each takes another pass over its text.
const MOST: usize = 200;
/// For a file with more bytes than this, only the name is shown.
const LARGEST: usize = 128 * 1024;

/// Looks up the entries of these files. If two files have the same entry, the first one counts.
pub fn of<'s>(files: impl Iterator<Item = &'s Source>, dir: &Path) -> BTreeMap<String, String> {
    let mut positions = BTreeMap::new();
    for file in files {
        let name = file.file().strip_prefix(dir).unwrap_or_else(|_| file.file()).display().to_string();
        let sections = file.root().entries_if_any().into_iter().filter(|(section, _)| SECTIONS.contains(section));
        let entries = sections.flat_map(|(section, at)| {
            let entries = at.entries_if_any();
            entries.into_iter().map(move |(name, at)| (format!("{section}.{name}"), at)).collect::<Vec<_>>()
        });
        for (index, (key, at)) in entries.enumerate() {
            let line = if index < MOST && file.size() <= LARGEST { at.line() } else { None };
            positions.entry(key).or_insert_with(|| line.map_or_else(|| name.clone(), |line| format!("{name}:{line}")));
        }
    }
    positions
}
