//! Files that use each other in a circle cannot be read one after the other.

use crate::source::{module_of, read, sources};
use std::collections::{BTreeMap, BTreeSet};

/// Permitted circles of files, each with its reason. What a folder's main file re-exports from its
/// folder does not count.
const CIRCLES: &[(&[&str], &str)] = &[
    (
        &["config/source.rs", "config/value.rs"],
        "a value notes what is wrong with it in the file that it is from; and a file gives its values, beginning with the one at the root",
    ),
    (&["storage/pool.rs", "storage/terms.rs"], "the handle keeps what is known of terms; and terms are read with the handle's time limit"),
];

#[test]
fn files_have_no_circle_but_those_with_a_reason() {
    let uses = uses_of_files();
    let reached: BTreeMap<&str, BTreeSet<&str>> = uses.keys().map(|file| (*file, reached_from(file, &uses))).collect();
    let circles: BTreeSet<Vec<&str>> = reached
        .iter()
        .filter(|(file, others)| others.contains(*file))
        .map(|(file, others)| others.iter().copied().filter(|other| reached[other].contains(file)).collect())
        .collect();
    let known: BTreeSet<Vec<&str>> = CIRCLES.iter().map(|(files, _)| files.to_vec()).collect();
    let new: Vec<_> = circles.difference(&known).collect();
    assert!(
        new.is_empty(),
        "these files use each other in a circle: {new:?}. Move what both need into a file that uses neither, or pass it in; if it has to \
         stay, add it to CIRCLES of this test and to ARCHITECTURE.md, with the reason"
    );
    let gone: Vec<_> = known.difference(&circles).collect();
    assert!(gone.is_empty(), "{gone:?} is a circle no longer: take it out of CIRCLES of this test and out of ARCHITECTURE.md");
    let page = read("support/docs/ARCHITECTURE.md");
    for (files, _) in CIRCLES {
        for file in *files {
            assert!(page.contains(&format!("`{file}`")), "ARCHITECTURE.md, \"What is left\", has to name the circle of {files:?}");
        }
    }
}

/// Which files each file uses. What a folder's main file re-exports from its folder does not count:
/// that is its purpose.
fn uses_of_files() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let files: BTreeMap<Vec<&str>, &str> = sources().iter().map(|file| (module_of(&file.name), file.name.as_str())).collect();
    let mut uses = BTreeMap::new();
    for file in sources().iter().filter(|file| !file.name.contains("tests")) {
        let module = module_of(&file.name);
        let used: BTreeSet<&str> = file
            .paths_of_its_own()
            .iter()
            .filter_map(|path| {
                let path: Vec<&str> = path.split("::").collect();
                (1..=path.len()).rev().find_map(|length| files.get(&path[..length])).copied()
            })
            .filter(|used| *used != file.name && !module_of(used).starts_with(&module))
            .collect();
        uses.insert(file.name.as_str(), used);
    }
    uses
}

fn reached_from<'a>(file: &str, uses: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut left: Vec<&str> = uses[file].iter().copied().collect();
    while let Some(next) = left.pop() {
        if reached.insert(next) {
            left.extend(uses.get(next).into_iter().flatten());
        }
    }
    reached
}
