//! Following what happens: one workflow, or all that the caller may see.
//!
//! A stream of one workflow is numbered by its versions and read from its log (`follow/one.rs`).
//! The stream of all workflows is read in the order in which events become known (`follow/all.rs`).
//! A way in gives a [`Sink`], which writes messages as its protocol has them.

mod all;
mod one;

pub use all::{Everything, Position};
pub use one::{OneWorkflow, Opened};

use crate::domain::workflow::FeedEntry;
use crate::service::admission::Permit;
use crate::service::{Service, ServiceError};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

/// Between two heartbeats; with each of them the caller is asked for proof again.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The pause before the database is asked again that did not answer.
const PAUSE: Duration = Duration::from_secs(1);

/// Takes the messages of a stream. Each carries the id to which a client comes back.
pub trait Sink: Default + Send {
    /// How the stream begins.
    fn opening(&mut self, id: &dyn Display);
    /// Nothing has happened up to here.
    fn heartbeat(&mut self, id: &dyn Display);
    /// There is too much that was missed: whoever follows has to look anew.
    fn reset(&mut self, id: &dyn Display, reason: &str);
    fn event(&mut self, id: &dyn Display, entry: &FeedEntry);
    /// Whether there is nothing to send.
    fn is_empty(&self) -> bool;
}

/// Where a client comes back to, and by which name it said so.
#[derive(Debug, Clone, Copy)]
pub struct Since<T> {
    pub name: &'static str,
    pub id: T,
}

impl<T> Since<T> {
    /// What a client cannot have heard, because it has not happened: it may have come from another
    /// stream, or another database.
    fn ahead(&self) -> ServiceError {
        let advice = "is ahead of what this stream has told; leave it out, read the lists anew, and go on from there";
        ServiceError::invalid("", format!("`{}`: {advice}", self.name))
    }
}

/// An open stream is counted as long as this lives.
struct Place {
    service: Service,
    _permit: Arc<Permit>,
}

impl Place {
    fn take(service: &Service, name: &str) -> Result<Self, ServiceError> {
        let permit = service.admissions.streams.admit(name, 0)?;
        service.engine.metrics.event_streams.inc();
        Ok(Self { service: service.clone(), _permit: permit })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.service.engine.metrics.event_streams.dec();
    }
}
