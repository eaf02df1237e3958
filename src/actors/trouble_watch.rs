//! What was wrong at the last look, kept in memory for every page.

use crate::domain::trouble::Troubles;
use std::sync::{Arc, Mutex, PoisonError};

/// What was wrong when it was looked for last.
#[derive(Debug, Default)]
pub struct TroubleWatch(Mutex<Arc<Troubles>>);

impl TroubleWatch {
    /// Replaces what is known.
    pub fn set(&self, troubles: Troubles) -> Arc<Troubles> {
        let troubles = Arc::new(troubles);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&troubles);
        troubles
    }

    /// What is known.
    pub fn known(&self) -> Arc<Troubles> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
