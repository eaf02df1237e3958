//! How many changes may be on their way at once.

use crate::http::problem::{Code, Problem};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How many changes of one principal may be on their way at once, so that none can crowd out the others.
const MOST_AT_ONCE: usize = 512;

/// Counts the changes that are on their way, by principal.
#[derive(Debug, Default)]
pub struct Admission(Mutex<HashMap<String, usize>>);

impl Admission {
    /// Lets one more in; it is counted until the permit is dropped.
    ///
    /// # Errors
    /// `rate-limited` where too many are on their way.
    pub fn admit<'a>(&'a self, name: &str) -> Result<Permit<'a>, Problem> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(name.to_owned()).or_default();
        if *count >= MOST_AT_ONCE {
            let detail = format!("{MOST_AT_ONCE} of your requests are on their way; wait for some of them to be answered");
            return Err(Problem::new(Code::RateLimited, detail));
        }
        *count += 1;
        Ok(Permit { admission: self, name: name.to_owned() })
    }
}

/// One change on its way.
pub struct Permit<'a> {
    admission: &'a Admission,
    name: String,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut counts = self.admission.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.name);
            }
        }
    }
}
