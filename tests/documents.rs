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
#[path = "support/pages.rs"]
mod pages;
#[path = "documents/reference.rs"]
mod reference;
#[path = "documents/reference_of_calls.rs"]
mod reference_of_calls;
#[path = "documents/reference_of_configuration.rs"]
mod reference_of_configuration;
#[path = "documents/shapes.rs"]
mod shapes;

use blocks::{Block, blocks};
use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The documents that are generated from the program.
const GENERATED: [&str; 3] = ["CLI_REFERENCE.md", "CONFIGURATION.md", "HTTP_REFERENCE.md"];

/// The documents for people.
fn documents() -> Vec<String> {
    pages::pages(root())
}
