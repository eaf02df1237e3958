//! Who sent a message, and the room that was admitted for it.

use crate::identity::Caller;
use crate::service::ServiceError;
use crate::service::admission::Permit;
use std::sync::{Arc, Mutex, PoisonError};

/// Who sent a message, and the room that was admitted for it.
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

    /// The room for a change, which goes along with its work. Whoever only looks or waits drops it.
    ///
    /// # Errors
    /// The key was taken before: a message is one call.
    pub fn take(&self) -> Result<Arc<Permit>, ServiceError> {
        self.permit.lock().unwrap_or_else(PoisonError::into_inner).take().ok_or_else(ServiceError::internal)
    }
}
