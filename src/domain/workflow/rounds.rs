//! Rounds of approval: people are asked about one digest, under one set of terms, until the round
//! ends.

use crate::domain::policy::{ApprovalTerms, Cover, Role};
use crate::domain::task::digest::Digest;
use crate::domain::via::Via;
use crate::domain::workflow::Approval;
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::sync::Arc;
use uuid::Uuid;

/// One round of approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// Counted from 1.
    pub number: u32,
    /// The digest of what people are asked about. Every decision of the round is about this and
    /// nothing else.
    pub subject: Digest,
    /// The step that people are asked about; `None` for the whole.
    pub step: Option<u32>,
    /// The number of the document that the subject belongs to; the submitted one is number 1.
    pub document: u32,
    pub terms: Arc<ApprovalTerms>,
    pub opened_at: DateTime<Utc>,
    /// How many escalation steps have been taken.
    pub escalation_level: u32,
    /// The approvals of this round that have not been withdrawn.
    pub approvals: Vec<Approval>,
    /// The standing grant that answered instead of people.
    pub grant: Option<Uuid>,
    /// The person who broke the glass, and so approved alone.
    pub broken_by: Option<String>,
    /// `None` while it is open.
    pub outcome: Option<RoundOutcome>,
}

/// How a round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoundOutcome {
    /// Enough people approved.
    Approved,
    Rejected,
    /// Nobody decided in time.
    Expired,
    /// The task was cancelled or superseded before the round was decided.
    Cancelled,
    /// The next round has been opened, and approvals of this one no longer count.
    Voided,
}

impl Round {
    /// A new round.
    pub fn open(number: u32, (subject, step): (Digest, Option<u32>), terms: Arc<ApprovalTerms>, opened_at: DateTime<Utc>) -> Self {
        Self {
            number,
            subject,
            step,
            document: 1,
            terms,
            opened_at,
            escalation_level: 0,
            approvals: Vec::new(),
            grant: None,
            broken_by: None,
            outcome: None,
        }
    }

    /// Whether people can still answer.
    pub fn is_open(&self) -> bool {
        self.outcome.is_none()
    }
}

/// One decision of a person, for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub round: u32,
    pub approver: String,
    pub roles: Vec<Role>,
    pub verdict: Verdict,
    pub justification: Option<String>,
    /// How many more approvals were needed after it.
    pub remaining: u32,
    pub at: DateTime<Utc>,
    /// The way in by which it came.
    pub via: Via,
    /// The standing grant that gave it in advance; `None` if the person decided this very request.
    pub grant: Option<Uuid>,
    /// Whether the person broke the glass.
    pub break_glass: bool,
    /// The people for whom the person covered.
    pub cover: Vec<Cover>,
}

/// The verdict of a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Approved,
    Rejected,
    Withdrawn,
}

impl Verdict {
    /// Every one of them.
    pub const ALL: [Self; 3] = [Self::Approved, Self::Rejected, Self::Withdrawn];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
        }
    }
}
