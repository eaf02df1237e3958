//! What people and agents say about a workflow, beside what they decide. What was said stands in
//! the log alone.

use crate::domain::policy::{Principal, PrincipalKind};
use crate::domain::task::digest::Digest;
use crate::domain::workflow::Submission;
use chrono::{DateTime, TimeDelta, Utc};

/// Comments that a workflow may have.
pub const MOST_COMMENTS: u32 = 200;
/// For how long reminders rest where a question is not answered.
pub const RESTS_FOR: TimeDelta = TimeDelta::hours(1);

/// Where the discussion of a workflow stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Discussion {
    pub comments: u32,
    /// The last comment: the same one again changes nothing.
    pub last: Option<LastComment>,
    /// The last question to the requester, as long as nobody on the requester's side has said
    /// anything since.
    pub question: Option<Question>,
}

/// A comment, as far as it has to be known again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastComment {
    pub by: String,
    pub ask: bool,
    /// Of its text.
    pub text: Digest,
    /// The version of its event.
    pub version: u32,
}

/// A question to the requester that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub by: String,
    pub at: DateTime<Utc>,
}

impl Question {
    /// Until when reminders rest because of it.
    pub fn rests_until(&self) -> DateTime<Utc> {
        self.at.checked_add_signed(RESTS_FOR).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

impl Discussion {
    /// What it becomes by one more comment.
    pub fn add(&mut self, submission: &Submission, by: &str, text: &str, ask: bool, version: u32, at: DateTime<Utc>) {
        self.comments += 1;
        self.last = Some(LastComment { by: by.to_owned(), ask, text: Digest::of(text.as_bytes()), version });
        if ask {
            self.question = Some(Question { by: by.to_owned(), at });
        } else if submission.is_of(by) {
            self.question = None;
        }
    }

    /// The version of the last comment, if it is this very one.
    pub fn repeats(&self, by: &str, text: &str, ask: bool) -> Option<u32> {
        let last = self.last.as_ref()?;
        (last.by == by && last.ask == ask && last.text == Digest::of(text.as_bytes())).then_some(last.version)
    }
}

impl Submission {
    /// Whether this name is the requester's, or of the person that it acts for.
    pub fn is_of(&self, name: &str) -> bool {
        self.requested_by == name || self.on_behalf_of.as_deref() == Some(name)
    }

    /// Whether somebody is the principal that submitted, or the person it did so for.
    pub fn is_from(&self, by: &Principal) -> bool {
        by.name == self.requested_by || (by.kind == PrincipalKind::Person && self.on_behalf_of.as_deref() == Some(&by.name))
    }
}
