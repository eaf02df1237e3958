//! The documents, held to the program: their commands run, their examples are read, and the
//! references are written from it.

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

use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The documents that people read.
fn documents() -> Vec<String> {
    let mut found: Vec<String> = ["README.md", "CONTRIBUTING.md", "SECURITY.md"].map(str::to_owned).to_vec();
    let pages = std::fs::read_dir(root().join("support/docs")).expect("the documents").map(|entry| entry.expect("an entry").path());
    let named = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).map(|name| format!("support/docs/{name}"));
    found.extend(pages.filter(|path| path.extension().is_some_and(|end| end == "md")).filter_map(|path| named(&path)));
    found.sort();
    found
}

/// A fenced block of a document.
struct Block {
    language: String,
    text: String,
    /// Where it begins, for a message.
    line: usize,
    /// The heading that it stands under.
    heading: String,
}

fn blocks(page: &str) -> Vec<Block> {
    let (mut found, mut open, mut heading): (Vec<Block>, Option<Block>, String) = (Vec::new(), None, String::new());
    for (at, line) in page.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(language)) => {
                open = Some(Block { language: language.trim().to_owned(), text: String::new(), line: at + 1, heading: heading.clone() });
            }
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(block), None) => block.text.extend([line, "\n"]),
            (None, None) => {
                if let Some(text) = line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')) {
                    text.clone_into(&mut heading);
                }
            }
        }
    }
    assert!(open.is_none(), "a block does not end");
    found
}
