//! The sender of a message, and the admission permit for it.

use crate::identity::Caller;
use crate::service::ServiceError;
use crate::service::admission::Permit;
use std::sync::{Arc, Mutex, PoisonError};

/// The sender of a message, and the admission permit for it.
#[derive(Clone)]
pub struct Admitted {
    pub by: Caller,
    permit: Arc<Mutex<Option<Arc<Permit>>>>,
}

impl Admitted {
    /// A caller and the permit of the message.
    pub fn new(by: Caller, permit: Arc<Permit>) -> Self {
        Self { by, permit: Arc::new(Mutex::new(Some(permit))) }
    }

    /// The permit for a change, which belongs to its work. A call that only reads or waits drops
    /// it.
    ///
    /// # Errors
    /// The permit was taken before: a message is one call.
    pub fn take(&self) -> Result<Arc<Permit>, ServiceError> {
        self.permit.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or_else(ServiceError::internal)
    }
}
