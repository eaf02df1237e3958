//! A Terraform plan as a page shows it: counts, then what is destroyed, then everything else,
//! folded if it is long.

use crate::domain::task::terraform::{Act, Attribute, Change, SENSITIVE, Summary, UNKNOWN};
use serde::Serialize;

/// The most changes that a page shows open.
const MOST_OPEN: usize = 8;

/// A plan.
#[derive(Debug, Serialize)]
pub struct TerraformView {
    counts: String,
    /// Whether something that exists is destroyed.
    destroys: bool,
    workspace: Option<String>,
    version: Option<String>,
    state: Option<String>,
    /// The changes shown at once, the most dangerous first.
    first: Vec<ChangeView>,
    others: Vec<ChangeView>,
    unlisted: u64,
    outputs: Vec<AttributeView>,
    unlisted_outputs: u64,
    is_partial: bool,
}

/// The change of one resource.
#[derive(Debug, Serialize)]
struct ChangeView {
    act: &'static str,
    destroys: bool,
    name: String,
    /// The reason, an earlier address, and whether the resource is imported.
    notes: Vec<String>,
    attributes: Vec<AttributeView>,
    unlisted: u64,
}

/// One value before and after.
#[derive(Debug, Serialize)]
struct AttributeView {
    path: String,
    before: Option<Shown>,
    after: Option<Shown>,
    forces_replacement: bool,
}

/// A value, or its placeholder.
#[derive(Debug, Serialize)]
struct Shown {
    text: String,
    /// Whether it is a placeholder for a value that is not shown.
    stands_for: bool,
}

impl TerraformView {
    /// A plan as a page shows it.
    pub fn of(summary: &Summary) -> Self {
        let Summary { workspace, terraform_version, state, counts, changes, unlisted, outputs, unlisted_outputs, is_partial, .. } = summary;
        let mut first: Vec<ChangeView> = changes.iter().map(ChangeView::of).collect();
        let others = first.split_off(first.len().min(MOST_OPEN));
        let state = state.as_ref().map(|state| {
            let serial = state.serial.map(|serial| format!("serial {serial}"));
            let lineage = state.lineage.as_ref().map(|lineage| format!("lineage {lineage}"));
            serial.into_iter().chain(lineage).collect::<Vec<_>>().join(", ")
        });
        Self {
            counts: counts.to_string(),
            destroys: counts.destroys(),
            workspace: workspace.clone(),
            version: terraform_version.clone(),
            state,
            first,
            others,
            unlisted: *unlisted,
            outputs: outputs.iter().map(AttributeView::of).collect(),
            unlisted_outputs: *unlisted_outputs,
            is_partial: *is_partial,
        }
    }
}

impl ChangeView {
    fn of(change: &Change) -> Self {
        let reason = change.reason.as_ref().map(|reason| reason.replace('_', " "));
        let moved = change.previous_address.as_ref().map(|previous| format!("until now {previous}"));
        let imported = change.is_imported.then(|| "imported".to_owned());
        Self {
            act: change.act.as_str(),
            destroys: matches!(change.act, Act::Delete | Act::Replace),
            name: change.name(),
            notes: reason.into_iter().chain(moved).chain(imported).collect(),
            attributes: change.attributes.iter().map(AttributeView::of).collect(),
            unlisted: change.unlisted,
        }
    }
}

impl AttributeView {
    fn of(attribute: &Attribute) -> Self {
        let shown = |value: &Option<String>| {
            value.as_ref().map(|text| Shown { stands_for: [SENSITIVE, UNKNOWN].contains(&text.as_str()), text: text.clone() })
        };
        Self {
            path: attribute.path.clone(),
            before: shown(&attribute.before),
            after: shown(&attribute.after),
            forces_replacement: attribute.forces_replacement,
        }
    }
}
