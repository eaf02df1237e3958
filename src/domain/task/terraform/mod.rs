//! A Terraform or OpenTofu plan as evidence: what people need to see of it, and a digest of
//! everything that it would do.
//!
//! A plan holds secrets, and far more than anybody reads. So it is read once, as
//! `terraform show -json` writes it, and only a [`Summary`] is kept. What the plan marks as
//! sensitive never gets into the summary ([`sensitive`]). The digest covers the values that the
//! summary leaves out ([`contents`]), and is never stored as it is, because a short secret could be
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

/// Changes that a summary lists; it counts all of them.
pub const MOST_CHANGES: usize = 200;
/// Outputs that a summary lists.
pub const MOST_OUTPUTS: usize = 50;
/// Attributes that a summary lists of one change, and of all together.
pub const MOST_ATTRIBUTES_OF_ONE: usize = 40;
pub const MOST_ATTRIBUTES: usize = 400;
/// Characters of a value, beyond which it is cut.
pub const LONGEST_VALUE: usize = 240;
/// Characters of an address or the path of an attribute.
pub const LONGEST_NAME: usize = 512;
/// Types of resources. Conditions look for types, so none may be left out.
pub const MOST_TYPES: usize = 500;

/// What stands in place of a sensitive value. A text value stands in quotes, so none looks like it.
pub const SENSITIVE: &str = "(sensitive)";
/// What stands in place of a value that nobody knows yet.
pub const UNKNOWN: &str = "(known after apply)";

/// A plan that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    pub summary: Summary,
    /// The digest of everything that it would do, sensitive values included.
    pub contents: Digest,
}

/// What people need to know of a plan.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The version of the program that made the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terraform_version: Option<String>,
    /// The workspace that the requester names; a plan does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// The state that the plan was made against, where the plan says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    pub counts: Counts,
    /// The types of the resources that change, in alphabetical order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// The types of the resources that are deleted or replaced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub destroyed_types: Vec<String>,
    /// What changes, the most dangerous first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// Changes that are counted and not listed.
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

/// A state, by what tells it from every other one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineage: Option<String>,
}

/// How many resources each thing happens to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    pub creates: u64,
    pub updates: u64,
    pub deletes: u64,
    /// Deleted and created anew; these are counted nowhere else.
    pub replaces: u64,
    /// Taken out of the state, and left as they are.
    pub forgets: u64,
    /// Data sources that are read while the plan is applied.
    pub reads: u64,
    /// Taken into the state; they are counted by what else happens to them too.
    pub imports: u64,
    /// At another address from now on; they are counted by what else happens to them too.
    pub moves: u64,
    /// Actions of providers that are invoked.
    pub actions: u64,
    /// Outputs that change.
    pub outputs: u64,
    /// Changed outside Terraform since it last ran.
    pub drifted: u64,
    /// Put off to a later plan.
    pub deferred: u64,
}

/// What happens to a resource. The order is that of danger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    Delete,
    Replace,
    Forget,
    Update,
    Create,
    /// An action of a provider, which does what its provider says.
    Invoke,
    /// Only its place in the state changes: it is imported or moved.
    Adopt,
    Read,
}

impl Act {
    /// What it does, as a sentence says it: `aws_instance.api` …
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

/// What happens to one resource.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    pub address: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub act: Act,
    /// Why, as the plan says it: `replace_because_tainted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Where it was until now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_address: Option<String>,
    /// The key of an object that was to be replaced and is still there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deposed: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_imported: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<Attribute>,
    /// Attributes that change and are not listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unlisted: u64,
}

/// An attribute or an output that changes. Values are JSON, cut where they are long; [`SENSITIVE`]
/// and [`UNKNOWN`] stand for others.
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
    /// Counts what happens to one resource.
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

    /// Whether something that exists is taken away.
    pub fn destroys(&self) -> bool {
        self.deletes + self.replaces > 0
    }

    /// Whether applying the plan changes anything at all, in the world or in the state.
    pub fn changes_anything(&self) -> bool {
        let Self { creates, updates, deletes, replaces, forgets, imports, moves, actions, outputs, deferred, reads: _, drifted: _ } = *self;
        creates + updates + deletes + replaces + forgets + imports + moves + actions + outputs + deferred > 0
    }

    /// Each count with its words, what is most dangerous first; those that are zero are left out.
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
    /// Its address, and what else tells it from others.
    pub fn name(&self) -> String {
        let deposed = self.deposed.as_ref().map(|key| format!(" (deposed object {key})")).unwrap_or_default();
        format!("{}{deposed}", self.address)
    }
}

#[cfg(test)]
mod tests;
