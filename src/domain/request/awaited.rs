//! Arguments that name outputs of earlier steps of a plan, and so have no value when it is
//! submitted.

use super::{Fault, escaped};
use crate::domain::task::outputs::{self, Reference};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The arguments that each name an output of one of these steps.
pub(super) fn awaited(args: &Map<String, Value>, earlier: &BTreeSet<String>) -> Result<Vec<String>, Vec<Fault>> {
    let mut faults = Vec::new();
    for (name, value) in args {
        let Some(text) = value.as_str().filter(|text| outputs::means_one(text)) else { continue };
        let detail = match Reference::read(text) {
            Some(Reference { step, .. }) if earlier.contains(&step) => continue,
            Some(Reference { step, .. }) => {
                format!(
                    "names an output of `{step}`, and no earlier step has this name: name the step that provides it, and put it before this one"
                )
            }
            None => "has to be one output and nothing else, such as `{{ steps.backup.output.path }}`".to_owned(),
        };
        faults.push(Fault::new(format!("/action/args/{}", escaped(name)), detail));
    }
    if faults.is_empty() { Ok(outputs::named_in(args)) } else { Err(faults) }
}
