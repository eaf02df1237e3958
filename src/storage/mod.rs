//! All SQL. Rows become domain values here and nowhere else.
//!
//! Two rules keep this safe to build on. Every change of a workflow is one statement, which is one
//! transaction (`checkpoint.rs`), so nothing here ever holds a transaction open; but for the one
//! that ends a request and begins the one that takes its place (`checkpoint/replace.rs`). And a
//! connection returns to the pool only after its work has ended well: one whose query failed, hung,
//! or was abandoned is closed, because nobody can say what it still has to tell.

mod approvals;
mod candidates;
mod checkpoint;
mod connections;
mod decisions;
mod encoding;
mod evidence;
mod export;
mod feed;
mod grants;
mod halts;
mod idempotency;
mod lease;
mod logs;
mod migrate;
mod notices;
mod outbox;
mod policies;
mod pool;
mod precedent;
mod proposals;
mod prune;
mod quarantine;
mod quota;
mod record;
mod rejections;
mod reseal;
mod reviews;
mod seal;
mod search;
mod sessions;
mod sign_in_links;
mod statistics;
mod suspensions;
mod system;
mod targets;
mod terms;
mod tokens;
mod tool_calls;
mod undecidable;
mod waiting;
mod workflows;

pub use approvals::{Decider, Due, PendingFilter, PendingRow};
pub use candidates::{Visible, WINDOW};
pub use checkpoint::{Advance, Begins, Opening, Replacement, Written};
pub use decisions::DecisionRow;
pub use export::{ExportPlace, ExportRow};
pub use feed::{FeedMark, FeedPage, FeedPlace};
pub use grants::{NewGrant, Revocation};
pub use halts::{HaltKnown, HaltState, Halted, Lift, Lifted, NewHalt, OperationRow};
pub use idempotency::FirstUse;
pub use lease::{Claim, Holder, Server, ServerLease, ServerProcess};
pub use logs::Logs;
pub use migrate::migrate;
pub use notices::{NoticeFilter, NoticeRow, Resent};
pub use outbox::{Done, DueNotice, Next};
pub use pool::Storage;
pub use precedent::{Kind, LOOKED_THROUGH, Precedent};
pub use proposals::PastRequests;
pub use prune::{PrunePreview, PruneStep};
pub use quarantine::Quarantine;
pub use reseal::{Resealed, Sealing};
pub use reviews::OpenReviewRow;
pub use search::{Finds, FoundRow, SearchFilter};
pub use sessions::{GoodSession, Proof, Said, SignIn};
pub use sign_in_links::{GoodLink, LINK_LIFETIME};
pub use statistics::{Asked, MOST_REQUESTS, MOST_WAITING, OpenFigures, SettledRow, WaitingRow};
pub use suspensions::SuspensionRow;
pub use system::{ChannelRow, LATEST_NOTICES, LeftAloneRow, ServerRow};
pub use targets::AboutRow;
pub use tokens::{NewToken, Presented, TokenHolder, TokenRow};
pub use tool_calls::{LatestCall, call_key, use_key};
pub use undecidable::PendingGroup;
pub use waiting::MOST_COUNTED_OF_PLACE;
pub use workflows::QueuedRow;

use crate::domain::page::Page;
use std::sync::Arc;
use uuid::Uuid;

/// Why storage could not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The database did not answer, or not in time. Whether a write took place is not known.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// Somebody else has locked what a commit needs; nothing was written.
    #[error("it is locked by somebody else just now")]
    Locked,
    /// What is stored does not make sense.
    #[error("what is stored of workflow {workflow_id} cannot be read: {detail}")]
    Corrupt { workflow_id: Uuid, detail: String },
    /// Somebody without the server's secret key has written what is stored.
    #[error("workflow {workflow_id} is not acted upon, because what is stored of it was not written by this server: {detail}")]
    Tampered { workflow_id: Uuid, detail: String },
    /// What is sealed can be neither written nor read.
    #[error("this needs the secret key, and none was given")]
    Keyless,
    /// The database cannot hold what parkbrake stores.
    #[error(
        "the database's encoding is {0}, and parkbrake needs UTF8, in which every text can be stored and read back: make a database with \
         `createdb --encoding=UTF8 --template=template0 NAME` and let DATABASE_URL name it"
    )]
    Encoding(String),
    /// The database refused.
    #[error("the database refused: {0}")]
    Refused(Arc<sqlx::Error>),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if is_transient(&error) { Self::Unavailable(error.to_string()) } else { Self::Refused(Arc::new(error)) }
    }
}

/// Whether the same statement may well succeed a moment later: the connection is gone, or the
/// database is stopping, starting, out of something, still read-only (a standby that is about to be
/// promoted), or has broken a deadlock (SQLSTATE classes 08, 40, 53, 55, 57, 58, and 25006).
fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(refusal) => {
            refusal.code().is_some_and(|code| ["08", "25006", "40", "53", "55", "57", "58"].iter().any(|class| code.starts_with(class)))
        }
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

/// A page of these rows, without the one that was asked for beyond it. Where it is not full, the
/// next one begins at `end`, if there is one.
fn page_of<R, C>(mut rows: Vec<R>, size: i64, end: Option<C>, cursor: impl Fn(&R) -> C) -> Page<R, C> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let is_full = rows.len() > size;
    rows.truncate(size);
    let next = if is_full { rows.last().map(cursor) } else { end };
    Page { items: rows, next }
}
