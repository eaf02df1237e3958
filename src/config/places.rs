//! Where each rule stands, for pages that show what holds: by the path of its keys, its file and
//! line.

use crate::config::source::Source;
use std::collections::BTreeMap;
use std::path::Path;

/// The sections whose entries are looked up.
const SECTIONS: [&str; 8] = ["triggers", "risk_levels", "people", "agents", "policies", "escalation", "freezes", "runbooks"];
/// Entries of one file that are looked up, each by another pass over its text.
const MOST: usize = 200;
/// Bytes of a file beyond which only its name is said.
const LARGEST: usize = 128 * 1024;

/// Looks up the entries of these files. What stands in two of them is said of the first.
pub fn of<'s>(files: impl Iterator<Item = &'s Source>, dir: &Path) -> BTreeMap<String, String> {
    let mut places = BTreeMap::new();
    for file in files {
        let name = file.file().strip_prefix(dir).unwrap_or_else(|_| file.file()).display().to_string();
        let sections = file.root().entries_if_any().into_iter().filter(|(section, _)| SECTIONS.contains(section));
        let entries = sections.flat_map(|(section, at)| {
            let entries = at.entries_if_any();
            entries.into_iter().map(move |(name, at)| (format!("{section}.{name}"), at)).collect::<Vec<_>>()
        });
        for (place, (key, at)) in entries.enumerate() {
            let line = if place < MOST && file.size() <= LARGEST { at.line() } else { None };
            places.entry(key).or_insert_with(|| line.map_or_else(|| name.clone(), |line| format!("{name}:{line}")));
        }
    }
    places
}
