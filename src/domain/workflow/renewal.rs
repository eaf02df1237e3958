//! Renewals: documents that replace the previous one, because the action that is about to start
//! differs from it.
//!
//! A workflow has the submitted document, and each later one named by an event of its log. The last
//! of them is in force: people are asked about it, it is hashed, and it is what runs.

use crate::domain::task::difference::{self, Difference};
use crate::domain::task::digest::Digest;
use crate::domain::task::plan::step_digest;
use crate::domain::workflow::{Event, Round, Workflow};
use serde_json::Value;

/// A document that will replace the previous one, in the commit that asks about it or starts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewed {
    /// The canonical bytes.
    pub bytes: Vec<u8>,
    pub digest: Digest,
    /// Why it replaces the other, in a sentence.
    pub reason: String,
    pub changes: Vec<Difference>,
}

impl Renewed {
    /// The replacement of a document, with all differences between the two.
    pub fn of(before: &[u8], bytes: Vec<u8>, reason: String) -> Self {
        let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
        let changes = difference::between(&read(before), &read(&bytes));
        Self { digest: Digest::of(&bytes), bytes, reason, changes }
    }

    /// The subject of a decision about one of its steps, or about the whole.
    pub fn subject(&self, step: Option<u32>) -> Digest {
        step.map_or_else(|| self.digest.clone(), |step| step_digest(&self.digest, step))
    }

    /// The event that records it.
    pub fn event(&self, step: u32, attempt: u32) -> Event {
        let Self { digest, reason, changes, .. } = self.clone();
        Event::DocumentRenewed { step, attempt, digest, reason, changes }
    }
}

/// A document that replaced the previous one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// The step that was about to start.
    pub step: u32,
    pub digest: Digest,
    pub reason: String,
    pub changes: Vec<Difference>,
}

impl Workflow {
    /// The digest of the document in force.
    pub fn document(&self) -> &Digest {
        self.renewals.last().map_or(&self.submission.digest, |renewal| &renewal.digest)
    }

    /// The number of the document in force; the submitted one is number 1.
    pub fn document_number(&self) -> u32 {
        u32::try_from(self.renewals.len()).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// The subject of a decision about a step, or about the whole, in the document in force.
    pub fn subject_of(&self, step: Option<u32>) -> Digest {
        step.map_or_else(|| self.document().clone(), |step| step_digest(self.document(), step))
    }

    /// The subject to approve before a step starts: the step of a plan, or the whole.
    pub fn subject_of_start(&self, step: u32) -> Digest {
        self.subject_of(self.submission.asked_about(step))
    }

    /// The document of a round, if people were asked about another one before. Approvals then have
    /// to name it.
    pub fn renewal_of(&self, round: &Round) -> Option<&Renewal> {
        let is_another = |earlier: &Round| earlier.number < round.number && earlier.step == round.step && earlier.subject != round.subject;
        self.rounds.iter().any(is_another).then(|| self.renewals.get(usize::try_from(round.document).ok()?.checked_sub(2)?))?
    }
}
