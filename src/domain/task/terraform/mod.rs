//! A Terraform or OpenTofu plan as evidence: what people need to see of it, and a digest of
//! everything that it would do.
//!
//! A plan contains secrets, and far more than anybody reads. So it is parsed once, as
//! `terraform show -json` writes it, and only a [`Summary`] is kept. Values that the plan marks as
//! sensitive never reach the summary ([`sensitive`]). The digest covers the values that the summary
//! leaves out ([`contents`]). It is never stored in plain form, because a short secret could be
//! guessed from it.

pub mod check;
pub mod compare;
mod contents;
mod leaves;
mod read;
mod sensitive;

pub use read::{Unreadable, read};

use crate::domain::task::digest::Digest;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The most changes in a summary; the counts include all of them.
pub const MOST_CHANGES: usize = 200;
/// The most outputs in a summary.
pub const MOST_OUTPUTS: usize = 50;
/// The most attributes in a summary, of one change and in total.
pub const MOST_ATTRIBUTES_OF_ONE: usize = 40;
pub const MOST_ATTRIBUTES: usize = 400;
/// The most characters of a value, which is cut beyond that.
pub const LONGEST_VALUE: usize = 240;
/// The most characters in an address or an attribute's path.
pub const LONGEST_NAME: usize = 512;
/// The most resource types. Conditions check types, so none may be left out.
pub const MOST_TYPES: usize = 500;

/// Shown in place of a sensitive value. Text values are quoted, so none looks like it.
pub const SENSITIVE: &str = "(sensitive)";
/// Shown in place of a value that is not known yet.
pub const UNKNOWN: &str = "(known after apply)";

/// A parsed plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub summary: Summary,
    /// The digest of everything that it would do, sensitive values included.
    pub contents: Digest,
}

/// What people need to know about a plan.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The version of the program that made the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terraform_version: Option<String>,
    /// The workspace that the requester names; plans do not contain it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// The state that the plan was made against, if the plan has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    pub counts: Counts,
    /// The types of the resources that change, in alphabetical order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// The types of the resources that are deleted or replaced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub destroyed_types: Vec<String>,
    /// The changes, the most dangerous first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// The number of changes that are not listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unlisted: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<Attribute>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unlisted_outputs: u64,
    /// Whether another plan has to follow before everything is as configured.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_partial: bool,
}

/// The identity of a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineage: Option<String>,
}

/// The number of resources for each kind of change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    pub creates: u64,
    pub updates: u64,
    pub deletes: u64,
    /// Deleted and created again; these are counted nowhere else.
    pub replaces: u64,
    /// Removed from the state, but left in place.
    pub forgets: u64,
    /// Data sources that are read while the plan is applied.
    pub reads: u64,
    /// Imported into the state; these are also counted by their other changes.
    pub imports: u64,
    /// Moved to another address; these are also counted by their other changes.
    pub moves: u64,
    /// Actions of providers that are invoked.
    pub actions: u64,
    /// Outputs that change.
    pub outputs: u64,
    /// Changed outside Terraform since it last ran.
    pub drifted: u64,
    /// Deferred to a later plan.
    pub deferred: u64,
}

/// The change of a resource, ordered by danger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    Delete,
    Replace,
    Forget,
    Update,
    Create,
    /// An action of a provider, with effects that only the provider defines.
    Invoke,
    /// Only its entry in the state changes: it is imported or moved.
    Adopt,
    Read,
}

impl Act {
    /// The verb for a sentence that begins with an address: `aws_instance.api` …
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Replace => "replace",
            Self::Forget => "forget",
            Self::Update => "update",
            Self::Create => "create",
            Self::Invoke => "invoke",
            Self::Adopt => "adopt",
            Self::Read => "read",
        }
    }
}

/// The change of one resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    pub address: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub act: Act,
    /// The reason in the plan: `replace_because_tainted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its address before the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_address: Option<String>,
    /// The key of a deposed object: one that should have been replaced and still exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deposed: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_imported: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<Attribute>,
    /// The number of changed attributes that are not listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unlisted: u64,
}

/// An attribute or an output that changes. Values are JSON, and long ones are cut. [`SENSITIVE`]
/// and [`UNKNOWN`] replace other values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attribute {
    pub path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Whether the resource has to be replaced because of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forces_replacement: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Counts {
    /// Counts the change of one resource.
    fn count(&mut self, act: Act) {
        let count = match act {
            Act::Delete => &mut self.deletes,
            Act::Replace => &mut self.replaces,
            Act::Forget => &mut self.forgets,
            Act::Update => &mut self.updates,
            Act::Create => &mut self.creates,
            Act::Invoke => &mut self.actions,
            Act::Read => &mut self.reads,
            Act::Adopt => return,
        };
        *count += 1;
    }

    /// Whether something that exists is destroyed.
    pub fn destroys(&self) -> bool {
        self.deletes + self.replaces > 0
    }

    /// Whether applying the plan changes anything at all, in the world or in the state.
    pub fn changes_anything(&self) -> bool {
        let Self { creates, updates, deletes, replaces, forgets, imports, moves, actions, outputs, deferred, reads: _, drifted: _ } = *self;
        creates + updates + deletes + replaces + forgets + imports + moves + actions + outputs + deferred > 0
    }

    /// Each count with its label, the most dangerous first; zero counts are left out.
    pub fn named(&self) -> Vec<(u64, &'static str)> {
        let all = [
            (self.deletes, "to delete"),
            (self.replaces, "to replace"),
            (self.forgets, "to forget"),
            (self.updates, "to update"),
            (self.creates, "to create"),
            (self.actions, "to invoke"),
            (self.imports, "to import"),
            (self.moves, "to move"),
            (self.reads, "to read"),
            (self.deferred, "put off"),
            (self.drifted, "changed outside Terraform"),
        ];
        all.into_iter().filter(|(count, _)| *count > 0).collect()
    }
}

impl fmt::Display for Counts {
    /// `1 to delete, 2 to update; 1 output changes`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named: Vec<String> = self.named().into_iter().map(|(count, words)| format!("{count} {words}")).collect();
        f.write_str(if named.is_empty() { "no resource changes" } else { "" })?;
        f.write_str(&named.join(", "))?;
        match self.outputs {
            0 => Ok(()),
            1 => f.write_str("; 1 output changes"),
            many => write!(f, "; {many} outputs change"),
        }
    }
}

impl Change {
    /// Its address, and what else identifies it.
    pub fn name(&self) -> String {
        let deposed = self.deposed.as_ref().map(|key| format!(" (deposed object {key})")).unwrap_or_default();
        format!("{}{deposed}", self.address)
    }
}

#[cfg(test)]
mod tests;
