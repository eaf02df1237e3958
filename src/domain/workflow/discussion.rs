//! Comments of people and agents on a workflow. Their text is only in the log.

use crate::domain::policy::{Principal, PrincipalKind};
use crate::domain::task::digest::Digest;
use crate::domain::workflow::Submission;
use chrono::{DateTime, TimeDelta, Utc};

/// The most comments on a workflow.
pub const MOST_COMMENTS: u32 = 200;
/// How long reminders pause while a question is open.
pub const RESTS_FOR: TimeDelta = TimeDelta::hours(1);

/// The state of the discussion of a workflow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Discussion {
    pub comments: u32,
    /// The last comment. Repeating it changes nothing.
    pub last: Option<LastComment>,
    /// The last question to the requester, until somebody on the requester's side comments.
    pub question: Option<Question>,
}

/// What is needed to recognize a repeated comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastComment {
    pub by: String,
    pub ask: bool,
    /// The digest of its text.
    pub text: Digest,
    /// The version of its event.
    pub version: u32,
}

/// An open question to the requester.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    pub by: String,
    pub at: DateTime<Utc>,
}

impl Question {
    /// Until when reminders pause because of it.
    pub fn rests_until(&self) -> DateTime<Utc> {
        self.at.checked_add_signed(RESTS_FOR).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }
}

impl Discussion {
    /// Adds a comment.
    pub fn add(&mut self, submission: &Submission, by: &str, text: &str, ask: bool, version: u32, at: DateTime<Utc>) {
        self.comments += 1;
        self.last = Some(LastComment { by: by.to_owned(), ask, text: Digest::of(text.as_bytes()), version });
        if ask {
            self.question = Some(Question { by: by.to_owned(), at });
        } else if submission.is_of(by) {
            self.question = None;
        }
    }

    /// The version of the last comment, if this comment repeats it.
    pub fn repeats(&self, by: &str, text: &str, ask: bool) -> Option<u32> {
        let last = self.last.as_ref()?;
        (last.by == by && last.ask == ask && last.text == Digest::of(text.as_bytes())).then_some(last.version)
    }
}

impl Submission {
    /// Whether this name is that of the requester or of the person it acts for.
    pub fn is_of(&self, name: &str) -> bool {
        self.requested_by == name || self.on_behalf_of.as_deref() == Some(name)
    }

    /// Whether the principal is the requester or the person it acts for.
    pub fn is_from(&self, by: &Principal) -> bool {
        by.name == self.requested_by || (by.kind == PrincipalKind::Person && self.on_behalf_of.as_deref() == Some(&by.name))
    }
}
