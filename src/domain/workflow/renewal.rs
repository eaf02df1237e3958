//! A document that takes the place of the one before: what is about to start is not what the
//! earlier one says.
//!
//! A workflow has the document that was submitted, and each later one that an event of its log
//! names. The last of them holds: it is what people are asked about, what is hashed, and what runs.

use crate::domain::task::difference::{self, Difference};
use crate::domain::task::digest::Digest;
use crate::domain::task::plan::step_digest;
use crate::domain::workflow::{Event, Round, Workflow};
use serde_json::Value;

/// A document that is to take the place of the one before, in the commit that asks about it or
/// starts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewed {
    /// The canonical bytes.
    pub bytes: Vec<u8>,
    pub digest: Digest,
    /// Why it takes the place of the other, in a sentence.
    pub reason: String,
    pub changes: Vec<Difference>,
}

impl Renewed {
    /// What takes the place of a document, with all in which the two differ.
    pub fn of(before: &[u8], bytes: Vec<u8>, reason: String) -> Self {
        let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap_or_default();
        let changes = difference::between(&read(before), &read(&bytes));
        Self { digest: Digest::of(&bytes), bytes, reason, changes }
    }

    /// What a decision about a step of it, or about the whole, is about.
    pub fn subject(&self, step: Option<u32>) -> Digest {
        step.map_or_else(|| self.digest.clone(), |step| step_digest(&self.digest, step))
    }

    /// The event that records it.
    pub fn event(&self, step: u32, attempt: u32) -> Event {
        let Self { digest, reason, changes, .. } = self.clone();
        Event::DocumentRenewed { step, attempt, digest, reason, changes }
    }
}

/// A document that has taken the place of the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// The step that was about to start.
    pub step: u32,
    pub digest: Digest,
    pub reason: String,
    pub changes: Vec<Difference>,
}

impl Workflow {
    /// The digest of the document that holds.
    pub fn document(&self) -> &Digest {
        self.renewals.last().map_or(&self.submission.digest, |renewal| &renewal.digest)
    }

    /// The number of the document that holds; the one that was submitted is the first.
    pub fn document_number(&self) -> u32 {
        u32::try_from(self.renewals.len()).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// What a decision about a step, or about the whole, is about by the document that holds.
    pub fn subject_of(&self, step: Option<u32>) -> Digest {
        step.map_or_else(|| self.document().clone(), |step| step_digest(self.document(), step))
    }

    /// What is about to start where people are asked before it: one step of a plan, or the whole.
    pub fn subject_of_start(&self, step: u32) -> Digest {
        self.subject_of(self.submission.asked_about(step))
    }

    /// The document that a round is about, where people were asked about another one before:
    /// whoever answers has to name it.
    pub fn renewal_of(&self, round: &Round) -> Option<&Renewal> {
        let is_another = |earlier: &Round| earlier.number < round.number && earlier.step == round.step && earlier.subject != round.subject;
        self.rounds.iter().any(is_another).then(|| self.renewals.get(usize::try_from(round.document).ok()?.checked_sub(2)?))?
    }
}
