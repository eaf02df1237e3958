//! The troubles found by the last check, kept in memory for every page.

use crate::domain::trouble::Troubles;
use std::sync::{Arc, Mutex, PoisonError};

/// The troubles found by the last check.
#[derive(Debug, Default)]
pub struct TroubleWatch(Mutex<Arc<Troubles>>);

impl TroubleWatch {
    /// Replaces the known troubles.
    pub fn set(&self, troubles: Troubles) -> Arc<Troubles> {
        let troubles = Arc::new(troubles);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&troubles);
        troubles
    }

    /// The known troubles.
    pub fn known(&self) -> Arc<Troubles> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
