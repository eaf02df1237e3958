//! How many changes of one principal may be on their way at once, and how many event streams may be open.

use crate::http::problem::{Code, Problem};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts what is going on, by principal, so that none can crowd out the others.
#[derive(Debug)]
pub struct Admission {
    most: usize,
    /// What to do for somebody who has as many.
    advice: &'static str,
    counts: Mutex<HashMap<String, usize>>,
}

impl Admission {
    /// For changes that are on their way.
    pub fn of_changes() -> Arc<Self> {
        let advice = "of your requests are on their way; wait for some of them to be answered";
        Arc::new(Self { most: 512, advice, counts: Mutex::default() })
    }

    /// For event streams that are open.
    pub fn of_streams() -> Arc<Self> {
        let advice = "event streams are open for you; close some of them, or follow all workflows with one";
        Arc::new(Self { most: 64, advice, counts: Mutex::default() })
    }

    /// Lets one more in; it is counted until the permit is dropped.
    ///
    /// # Errors
    /// `rate-limited` where there are too many.
    pub fn admit(self: &Arc<Self>, name: &str) -> Result<Permit, Problem> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(name.to_owned()).or_default();
        if *count >= self.most {
            return Err(Problem::new(Code::RateLimited, format!("{} {}", self.most, self.advice)));
        }
        *count += 1;
        Ok(Permit { admission: Arc::clone(self), name: name.to_owned() })
    }
}

/// One that was let in.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    name: String,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut counts = self.admission.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.name);
            }
        }
    }
}
