//! The pages of the documentation, for the tests that compare them with the program.

use std::path::Path;

/// The pages beside those in `support/docs`.
const BESIDE: [&str; 12] = [
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "README.md",
    "SECURITY.md",
    "support/bench/README.md",
    "support/clients/python/README.md",
    "support/github-action/README.md",
    "tests/README.md",
    "tests/fixtures/databases/README.md",
    "tests/fixtures/events/README.md",
    "tests/fixtures/github/README.md",
    "tests/fixtures/web_push/README.md",
];

/// Every page, also those that are generated from the program.
pub fn pages(root: &Path) -> Vec<String> {
    let folder = std::fs::read_dir(root.join("support/docs")).expect("the pages");
    let names = folder.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
    let mut found: Vec<String> = names.filter(|name| name.ends_with(".md")).map(|name| format!("support/docs/{name}")).collect();
    found.extend(BESIDE.map(str::to_owned));
    found.sort();
    found
}
