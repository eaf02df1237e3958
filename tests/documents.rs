//! The documents, compared with the program: their commands run, their examples load, and the
//! references are generated from it.

#[path = "documents/blocks.rs"]
mod blocks;
#[path = "documents/clap.rs"]
mod clap;
#[path = "documents/commands.rs"]
mod commands;
#[path = "documents/examples.rs"]
mod examples;
#[path = "documents/reference.rs"]
mod reference;
#[path = "documents/reference_of_calls.rs"]
mod reference_of_calls;
#[path = "documents/reference_of_configuration.rs"]
mod reference_of_configuration;
#[path = "documents/shapes.rs"]
mod shapes;

use blocks::{Block, blocks};
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The documents that are generated from the program.
const GENERATED: [&str; 3] = ["CLI_REFERENCE.md", "CONFIGURATION.md", "HTTP_REFERENCE.md"];

/// The pages beside those in `support/docs`.
const PAGES: [&str; 12] = [
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

/// The documents for people.
fn documents() -> Vec<String> {
    let mut found: Vec<String> = PAGES.map(str::to_owned).to_vec();
    let pages = std::fs::read_dir(root().join("support/docs")).expect("the documents").map(|entry| entry.expect("an entry").path());
    let named = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).map(|name| format!("support/docs/{name}"));
    found.extend(pages.filter(|path| path.extension().is_some_and(|end| end == "md")).filter_map(|path| named(&path)));
    found.sort();
    found
}
