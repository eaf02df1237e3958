//! The real workflow scripts, run with bash, the Taskfile, run with go-task, and the guide's
//! examples, against a stand-in for the server.

#[path = "../support/stub.rs"]
mod stub;

mod guide;
mod shell;
mod taskfile;

use std::path::PathBuf;

/// The repository.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
