//! What parkbrake does for those who come in by any of its doors: the use cases.
//!
//! Who may see and who may do, how much may be under way, quotas and idempotency are looked after here, once for every door. A door
//! parses what it is sent, calls a use case, and renders what it gives.

pub mod admission;
pub mod decide;
pub mod error;
mod limits;
pub mod quotas;
pub mod visibility;

pub use error::ServiceError;
pub use limits::{Admissions, Limits};

use crate::actors::engine::Engine;
use crate::identity::Identity;
use crate::service::quotas::Quotas;
use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use tokio::sync::watch;

/// The use cases of one server; a handle that is copied for each request.
#[derive(Clone)]
pub struct Service(Arc<Shared>);

impl Deref for Service {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// What the use cases work with.
pub struct Shared {
    pub engine: Arc<Engine>,
    pub identity: Identity,
    pub admissions: Admissions,
    pub quotas: Quotas,
    /// True once the server is stopping.
    closing: watch::Receiver<bool>,
}

impl Service {
    /// The use cases over an engine. Who is waiting when `closing` becomes true is answered at once.
    pub fn new(engine: Arc<Engine>, limits: Limits, closing: watch::Receiver<bool>) -> Self {
        let identity = Identity::new(engine.storage.clone(), Arc::clone(&engine.configuration), Arc::clone(&engine.suspensions));
        Self(Arc::new(Shared { engine, identity, admissions: Admissions::new(limits), quotas: Quotas::default(), closing }))
    }

    /// Whether the server is stopping.
    pub fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Waits for something, but not beyond the server's end; `None` is its end.
    pub async fn until_closing<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut closing = self.closing.clone();
        tokio::select! {
            answer = work => Some(answer),
            _ = closing.wait_for(|closing| *closing) => None,
        }
    }
}
