//! Evidence: a document made by a tool that a requester adds to its description. Only what people
//! and rules need of it is kept.
//!
//! Evidence is a claim like any other: it can raise the level of a task, and never lowers it.

use crate::domain::task::digest::Digest;
use crate::domain::task::terraform::Summary;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// A piece of evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Evidence {
    TerraformPlan(TerraformPlan),
}

/// A plan of Terraform or OpenTofu.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TerraformPlan {
    /// The fingerprint of everything that the plan would do.
    pub fingerprint: Fingerprint,
    pub summary: Summary,
}

impl Evidence {
    /// The Terraform plan, if it is one.
    pub fn terraform_plan(&self) -> Option<&TerraformPlan> {
        match self {
            Self::TerraformPlan(plan) => Some(plan),
        }
    }

    /// The fingerprint, to be sealed.
    pub fn fingerprint_mut(&mut self) -> &mut Fingerprint {
        match self {
            Self::TerraformPlan(plan) => &mut plan.fingerprint,
        }
    }
}

/// Identifies a document, including its sensitive values.
///
/// A reader of a bare digest could guess a short secret. So it is sealed with the server's secret
/// key before anything is stored, hashed or shown, and the bare digest cannot be serialized.
#[derive(Clone, PartialEq, Eq)]
pub enum Fingerprint {
    /// The digest as the requester computed it.
    Bare(Digest),
    /// The digest under the server's key.
    Sealed(String),
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.written())
    }
}

impl Fingerprint {
    fn written(&self) -> &str {
        match self {
            Self::Bare(_) => "unsealed",
            Self::Sealed(seal) => seal,
        }
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.written())
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::Sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_fingerprint_is_written_nowhere() {
        let digest = Digest::of(b"hunter2");
        let bare = Fingerprint::Bare(digest.clone());
        assert!(!format!("{bare:?}").contains(digest.as_str()));
        assert_eq!(serde_json::to_string(&bare).unwrap(), "\"unsealed\"");
    }
}
