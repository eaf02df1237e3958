//! The reviews that are due after somebody has broken the glass.

use crate::domain::workflow::{Approval, GlassBroken, Workflow};
use chrono::{DateTime, Utc};

/// The review, by another person, of an action that one person released alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AfterReview {
    /// Who broke the glass, and may not break it again while this is open.
    pub broken_by: String,
    pub opened_at: DateTime<Utc>,
    /// `None` while it is open.
    pub closed: Option<ClosedReview>,
}

/// The findings of the reviewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedReview {
    pub by: String,
    pub finding: String,
    pub at: DateTime<Utc>,
}

impl Workflow {
    /// The open review.
    pub fn open_review(&self) -> Option<&AfterReview> {
        self.reviews.last().filter(|review| review.closed.is_none())
    }
}

impl GlassBroken {
    /// The approval that it represents.
    pub(super) fn as_approval(&self) -> Approval {
        let Self { round, approver, roles, digest, justification, .. } = self.clone();
        Approval {
            round,
            approver,
            roles,
            digest,
            justification: Some(justification),
            remaining: 0,
            by_groups: Vec::new(),
            cover: Vec::new(),
        }
    }
}
