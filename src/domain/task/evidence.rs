//! What a requester shows beside its words: a document that a tool made, of which what people and
//! rules need is kept.
//!
//! Evidence is a claim like any other: it raises the level of a task, and never lowers it.

use crate::domain::task::digest::Digest;
use crate::domain::task::terraform::Summary;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// One document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Evidence {
    TerraformPlan(TerraformPlan),
}

/// A plan of Terraform or OpenTofu.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TerraformPlan {
    /// Of everything that the plan would do.
    pub fingerprint: Fingerprint,
    pub summary: Summary,
}

impl Evidence {
    /// The plan, if it is one.
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

/// What tells a document from every other one, its sensitive values included.
///
/// A bare digest would let whoever reads it guess a short secret. So it is sealed with the server's
/// secret key before anything is stored, hashed or shown, and the bare one can be written nowhere.
#[derive(Clone, PartialEq, Eq)]
pub enum Fingerprint {
    /// The digest, as the requester's side took it.
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
