//! The settings that limit what a runbook may use and access: `limits`, `sandbox`,
//! `new_privileges`.

use crate::config::value::{At, Fields};
use crate::domain::duration;
use crate::domain::size::Size;
use crate::domain::task::confinement::{Limits, Sandbox};
use serde_json::{Map, Value, json};
use std::path::PathBuf;

pub const KEYS: [&str; 3] = ["limits", "sandbox", "new_privileges"];

/// With less, no program starts.
const LEAST_MEMORY: u64 = 16 << 20;
const LEAST_FILES: u32 = 16;

/// The settings of one runbook, also as a part of its document.
#[derive(Default)]
pub struct Confinement {
    pub limits: Limits,
    pub sandbox: Option<Sandbox>,
    pub new_privileges: bool,
    /// Only the keys that are set, so that the documents of other runbooks stay the same.
    pub document: Map<String, Value>,
}

pub fn read(fields: &Fields<'_>) -> Confinement {
    let limits = fields.get("limits").and_then(|at| limits(&at)).unwrap_or_default();
    let sandbox = fields.get("sandbox").and_then(|at| sandbox(&at));
    let privileges = fields.get("new_privileges");
    let new_privileges = privileges.as_ref().and_then(At::boolean).unwrap_or(false);
    if let (Some(at), true, true) = (privileges, new_privileges, sandbox.is_some()) {
        at.problem("cannot be used in a sandbox; leave this or `sandbox` out");
    }
    let mut document = Map::new();
    if !limits.is_empty() {
        document.insert("limits".to_owned(), json!(limits));
    }
    if let Some(sandbox) = &sandbox {
        document.insert("sandbox".to_owned(), json!(sandbox));
    }
    if new_privileges {
        document.insert("new_privileges".to_owned(), json!(true));
    }
    Confinement { limits, sandbox, new_privileges, document }
}

fn limits(at: &At<'_>) -> Option<Limits> {
    let fields = at.fields(&["cpu", "memory", "processes", "open_files", "file_size"])?;
    let size = |name: &str| fields.get(name).and_then(|at| at.parsed(Size::parse));
    let memory = fields.get("memory").and_then(|at| {
        let enough = |size: &Size| size.bytes() >= LEAST_MEMORY || too_little(&at, "16MiB");
        at.parsed(Size::parse).filter(enough)
    });
    let open_files = fields.get("open_files").and_then(|at| {
        let enough = |files: &u32| *files >= LEAST_FILES || too_little(&at, "16");
        at.count().filter(enough)
    });
    Some(Limits {
        cpu: fields.get("cpu").and_then(|at| at.parsed(duration::parse)),
        memory,
        processes: fields.get("processes").and_then(|at| at.count()),
        open_files,
        file_size: size("file_size"),
    })
}

fn too_little(at: &At<'_>, least: &str) -> bool {
    at.problem(format!("is too little for a program to start; write at least {least}"));
    false
}

/// Reads `{ network: false, write: [PATH] }`.
fn sandbox(at: &At<'_>) -> Option<Sandbox> {
    let fields = at.fields(&["network", "write"])?;
    let network = fields.required("network", "say false for no network, or true for the machine's");
    let write = fields.get("write").and_then(|at| at.items("paths, relative to `working_dir`")).unwrap_or_default();
    let write: Vec<PathBuf> = write.iter().filter_map(path).collect();
    Some(Sandbox { network: network?.boolean()?, write })
}

fn path(at: &At<'_>) -> Option<PathBuf> {
    let text = at.text()?;
    if text.trim().is_empty() || text.contains('\0') {
        at.problem("is not a path; write a folder or a file, which is relative to the runbook's `working_dir`");
        return None;
    }
    Some(PathBuf::from(text))
}
