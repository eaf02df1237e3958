//! Following events: of one workflow, or of all workflows that the caller may see.
//!
//! The stream of one workflow is numbered by its versions and read from its log (`follow/one.rs`).
//! The stream of all workflows is read in the order in which events become known (`follow/all.rs`).
//! A way in supplies a [`Sink`], which writes messages in its own protocol.

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

/// The time between two heartbeats. With each heartbeat the stream checks that the caller still has
/// the right to it.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The pause before the database is read again after an error.
const PAUSE: Duration = Duration::from_secs(1);

/// Takes the messages of a stream. Each carries the id from which a client resumes.
pub trait Sink: Default + Send {
    /// Writes the beginning of the stream.
    fn opening(&mut self, id: &dyn Display);
    /// Writes that nothing more has happened up to here.
    fn heartbeat(&mut self, id: &dyn Display);
    /// Writes that the client has missed too much to catch up and has to read the lists again.
    fn reset(&mut self, id: &dyn Display, reason: &str);
    fn event(&mut self, id: &dyn Display, entry: &FeedEntry);
    /// Whether there is nothing to send.
    fn is_empty(&self) -> bool;
}

/// The id from which a client resumes, and the name of the field that it came in.
#[derive(Debug, Clone, Copy)]
pub struct Since<T> {
    pub name: &'static str,
    pub id: T,
}

impl<T> Since<T> {
    /// The error for an id that has not been sent yet: it may come from another stream or another
    /// database.
    fn ahead(&self) -> ServiceError {
        let advice = "is later than anything that this stream has sent; leave it out, read the lists again, and continue from there";
        ServiceError::invalid("", format!("`{}`: {advice}", self.name))
    }
}

/// Counts an open stream as long as it lives.
struct Slot {
    service: Service,
    _permit: Arc<Permit>,
}

impl Slot {
    fn take(service: &Service, name: &str) -> Result<Self, ServiceError> {
        let permit = service.admissions.streams.admit(name, 0)?;
        service.engine.metrics.event_streams.inc();
        Ok(Self { service: service.clone(), _permit: permit })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.service.engine.metrics.event_streams.dec();
    }
}
