//! What a grant binds to: the runbook or the destination as it was when the grant was given. A
//! changed runbook or a replaced program is a different one, which nobody has granted.
//!
//! The binding leaves out arguments, which the pattern covers. A file whose name depends on an
//! argument is known only once a request names it, and only the request's own digest covers it.

use crate::domain::task::ActionKind;
use crate::domain::task::call::Call;
use crate::domain::task::digest::{self, Digest};
use crate::domain::task::invocation::{Artifact, Invocation};
use serde::Serialize;

/// A runbook's command with its placeholders unfilled, and which of its files have names that do
/// not depend on arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfilled {
    pub invocation: Invocation,
    /// For each file of a request's command, in order, whether its name is independent of
    /// arguments.
    pub is_fixed: Vec<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Bound<'a> {
    Runs(&'a Invocation),
    Calls(&'a Call),
}

/// The binding of a command that was found on the machine, with its placeholders unfilled.
pub fn of_command(found: &Invocation) -> Digest {
    seal(&Bound::Runs(found))
}

/// The binding of a destination.
pub fn of_call(call: &Call) -> Digest {
    seal(&Bound::Calls(call))
}

/// The binding of a request's command, whose program and files have been found: the same as
/// [`of_command`] of the unfilled command, as long as neither the runbook nor these files have
/// changed.
pub fn of_request(unfilled: &Unfilled, request: &Invocation) -> Digest {
    let fixed = request.files.iter().zip(&unfilled.is_fixed).filter(|(_, is_fixed)| **is_fixed);
    let files: Vec<Artifact> = fixed.map(|(file, _)| file.clone()).collect();
    seal(&Bound::Runs(&Invocation {
        program: request.program.clone(),
        files,
        working_dir: request.working_dir.clone(),
        ..unfilled.invocation.clone()
    }))
}

/// Whether parkbrake itself performs such an action, so that a grant binds to it.
pub fn is_needed(kind: ActionKind) -> bool {
    kind != ActionKind::External
}

fn seal(bound: &Bound<'_>) -> Digest {
    Digest::of(&digest::canonical(bound))
}
