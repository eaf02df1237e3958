//! What a grant binds to: the runbook or the destination as it was when the grant was given. A
//! runbook that has been changed since, or a program that has been swapped, is another one, and
//! nobody has granted it.
//!
//! Arguments are not in it: the pattern speaks of them. A file whose name depends on an argument is
//! known only with the request, and is covered by the request's own digest alone.

use crate::domain::task::ActionKind;
use crate::domain::task::call::Call;
use crate::domain::task::digest::{self, Digest};
use crate::domain::task::invocation::{Artifact, Invocation};
use serde::Serialize;

/// A runbook's command with its placeholders unfilled, and which of its files have the same name
/// whatever the arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfilled {
    pub invocation: Invocation,
    /// For each file of a request's command, in their order, whether it is one of these.
    pub is_fixed: Vec<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Bound<'a> {
    Runs(&'a Invocation),
    Calls(&'a Call),
}

/// Of a command that was found on the machine, placeholders and all.
pub fn of_command(found: &Invocation) -> Digest {
    seal(&Bound::Runs(found))
}

/// Of a destination.
pub fn of_call(call: &Call) -> Digest {
    seal(&Bound::Calls(call))
}

/// Of a request's command, whose program and files have been found: the same as [`of_command`] of
/// the unfilled command, as long as neither the runbook nor these have changed.
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

/// Whether what is done is parkbrake's to do, and so bound.
pub fn is_needed(kind: ActionKind) -> bool {
    kind != ActionKind::External
}

fn seal(bound: &Bound<'_>) -> Digest {
    Digest::of(&digest::canonical(bound))
}
