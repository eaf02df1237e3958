//! All SQL. Rows become domain values here and nowhere else.
//!
//! Two rules make this reliable. Every change of a workflow is one statement, which is one
//! transaction (`checkpoint.rs`), so no transaction is ever held open, except when a request is
//! superseded (`checkpoint/replace.rs`). And a connection returns to the pool only after its work
//! has ended well: a connection whose query failed, hung, or was abandoned is closed, because it
//! may still receive the old answer.

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
mod push;
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
pub use export::{ExportPosition, ExportRow};
pub use feed::{FeedMark, FeedPage, FeedPosition};
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
pub use push::BrowserRow;
pub use quarantine::Quarantine;
pub use reseal::{Resealed, Sealing};
pub use reviews::OpenReviewRow;
pub use search::{Finds, FoundRow, SearchFilter};
pub use sessions::{GoodSession, Proof, Said, SignIn};
pub use sign_in_links::{GoodLink, LINK_LIFETIME};
pub use statistics::{Asked, MOST_REQUESTS, MOST_WAITING, OpenFigures, SettledRow, WaitingRow};
pub use suspensions::SuspensionRow;
pub use system::{ChannelRow, LATEST_NOTICES, QuarantineRow, ServerRow};
pub use targets::AboutRow;
pub use tokens::{NewToken, Presented, TokenHolder, TokenRow};
pub use tool_calls::{LatestCall, call_key, use_key};
pub use undecidable::PendingGroup;
pub use waiting::MOST_COUNTED_OF_BUCKET;
pub use workflows::QueuedRow;

use crate::domain::page::Page;
use std::sync::Arc;
use uuid::Uuid;

/// An error of the storage.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The database did not answer in time. It is not known whether a write took place.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// Another transaction holds a lock that a commit needs; nothing was written.
    #[error("another transaction has locked it")]
    Locked,
    /// Stored data is inconsistent.
    #[error("what is stored of workflow {workflow_id} cannot be read: {detail}")]
    Corrupt { workflow_id: Uuid, detail: String },
    /// Stored data was written without the server's secret key.
    #[error("workflow {workflow_id} is not acted on, because its log was not written by this server: {detail}")]
    Tampered { workflow_id: Uuid, detail: String },
    /// Without a secret key, sealed data can be neither written nor read.
    #[error("this needs the secret key, and none was given")]
    Keyless,
    /// The database cannot hold what parkbrake stores.
    #[error(
        "the database's encoding is {0}, and parkbrake needs UTF8, which can store every text: create a database with \
         `createdb --encoding=UTF8 --template=template0 NAME` and let DATABASE_URL name it"
    )]
    Encoding(String),
    /// The database refused the statement.
    #[error("the database refused: {0}")]
    Refused(Arc<sqlx::Error>),
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if is_transient(&error) { Self::Unavailable(error.to_string()) } else { Self::Refused(Arc::new(error)) }
    }
}

/// Whether the same statement may succeed a moment later: the connection is gone, or the database
/// is stopping, starting, out of a resource, still read-only (a standby about to be promoted), or
/// has broken a deadlock (SQLSTATE classes 08, 40, 53, 55, 57, 58, and 25006).
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

/// A page of these rows, without the extra one that was read beyond it. If the page is not full,
/// the next one begins at `end`, if given.
fn page_of<R, C>(mut rows: Vec<R>, size: i64, end: Option<C>, cursor: impl Fn(&R) -> C) -> Page<R, C> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let is_full = rows.len() > size;
    rows.truncate(size);
    let next = if is_full { rows.last().map(cursor) } else { end };
    Page { items: rows, next }
}
