//! Terraform plans: read and summarized here, so that neither the plan nor a secret in it leaves
//! the machine that made it.

use crate::cli::Error;
use crate::domain::task::terraform::{self, Plan};
use crate::domain::text::escaped;
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The largest plan, in bytes.
const LARGEST: u64 = 256 * 1024 * 1024;
/// The file in which Terraform keeps the name of the selected workspace.
const SELECTED: &str = ".terraform/environment";

/// Reads a plan from a file, or from standard input for `-`.
///
/// # Errors
/// Why it cannot be read. The text shows no value of it.
pub fn read(file: &Path, workspace: Option<String>) -> Result<Plan, Error> {
    let name = escaped(&file.display().to_string());
    let bytes = bytes(file).map_err(|error| Error::Other(format!("cannot read {name}: {error}")))?;
    if bytes.len() as u64 > LARGEST {
        return Err(Error::Other(format!("{name} has more than {} MiB, which is more than parkbrake reads as a plan", LARGEST >> 20)));
    }
    let plan: Value = serde_json::from_slice(&bytes).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Error::Other(format!(
            "{name} is not a plan in JSON (line {line}, column {column}): write it with `terraform show -json PLANFILE > plan.json`; what \
             `terraform plan -json` and `-out` write is something else"
        ))
    })?;
    drop(bytes);
    terraform::read(&plan, workspace.or_else(selected)).map_err(|error| Error::Other(format!("{name} cannot be used as a plan: {error}")))
}

fn bytes(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes)?;
    } else {
        File::open(file)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// The workspace that is selected in the current folder.
fn selected() -> Option<String> {
    let name = std::fs::read_to_string(SELECTED).ok()?.trim().to_owned();
    (!name.is_empty()).then_some(name)
}
