//! Limits on the work in progress: per principal, so that none crowds out the others, and in total,
//! so that memory stays bounded.
//!
//! A permit counts one request and the bytes of its body. It belongs to the work and not to the
//! connection, so a client that hangs up frees nothing: the permit is dropped when the work has
//! been answered or abandoned.

use crate::service::ServiceError;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A number of requests, and the bytes of their bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Share {
    pub requests: usize,
    pub bytes: usize,
}

impl Share {
    /// The sum of both, if it is within the limit.
    fn with(self, more: Self, limit: Self) -> Option<Self> {
        let sum = Self { requests: self.requests.saturating_add(more.requests), bytes: self.bytes.saturating_add(more.bytes) };
        (sum.requests <= limit.requests && sum.bytes <= limit.bytes).then_some(sum)
    }

    fn without(self, less: Self) -> Self {
        Self { requests: self.requests.saturating_sub(less.requests), bytes: self.bytes.saturating_sub(less.bytes) }
    }
}

/// Counts the work in progress, by the name of the caller.
#[derive(Debug)]
pub struct Admission {
    each: Share,
    all: Share,
    /// The advice in the error of a caller that has too much in progress.
    advice: &'static str,
    under_way: Mutex<UnderWay>,
}

#[derive(Debug, Default)]
struct UnderWay {
    all: Share,
    each: HashMap<String, Share>,
}

impl Admission {
    /// Limits for each name and for all of them together.
    pub fn new(each: Share, all: Share, advice: &'static str) -> Arc<Self> {
        Arc::new(Self { each, all, advice, under_way: Mutex::default() })
    }

    /// Admits one more request, with a body of this size. It counts until the last copy of its
    /// permit is dropped.
    ///
    /// # Errors
    /// `rate-limited` if this caller has too many requests in progress, `busy` if all callers
    /// together have.
    pub fn admit(self: &Arc<Self>, name: &str, bytes: usize) -> Result<Arc<Permit>, ServiceError> {
        let asked = Share { requests: 1, bytes };
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let own = under_way.each.get(name).copied().unwrap_or_default();
        let own = own.with(asked, self.each).ok_or_else(|| ServiceError::too_much(self.advice))?;
        let all = under_way.all.with(asked, self.all);
        under_way.all =
            all.ok_or_else(|| ServiceError::Busy("the server has too many requests in progress; try again in a moment".to_owned()))?;
        under_way.each.insert(name.to_owned(), own);
        Ok(Arc::new(Permit { admission: Arc::clone(self), name: name.to_owned(), share: asked }))
    }

    /// The work in progress of all callers together.
    pub fn under_way(&self) -> Share {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).all
    }

    fn give_back(&self, name: &str, share: Share) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.all = under_way.all.without(share);
        if let Some(own) = under_way.each.get_mut(name) {
            *own = own.without(share);
            if own.requests == 0 {
                under_way.each.remove(name);
            }
        }
    }
}

/// An admitted request.
#[derive(Debug)]
pub struct Permit {
    admission: Arc<Admission>,
    name: String,
    share: Share,
}

impl Permit {
    /// Gives back the bytes that were reserved and that the body does not need.
    pub fn shrink(permit: &mut Arc<Self>, bytes: usize) {
        if let Some(permit) = Arc::get_mut(permit)
            && bytes < permit.share.bytes
        {
            permit.admission.give_back(&permit.name, Share { requests: 0, bytes: permit.share.bytes - bytes });
            permit.share.bytes = bytes;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.admission.give_back(&self.name, self.share);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission() -> Arc<Admission> {
        Admission::new(Share { requests: 3, bytes: 100 }, Share { requests: 5, bytes: 150 }, "wait")
    }

    fn refused(answer: Result<Arc<Permit>, ServiceError>) -> ServiceError {
        answer.expect_err("it was let in")
    }

    #[test]
    fn one_name_has_its_own_limits_of_requests_and_of_bytes() {
        let admission = admission();
        let held: Vec<_> = (0..3).map(|_| admission.admit("a", 1).unwrap()).collect();
        assert!(matches!(refused(admission.admit("a", 0)), ServiceError::RateLimited { .. }));
        drop(held);
        let large = admission.admit("a", 99).unwrap();
        assert!(matches!(refused(admission.admit("a", 2)), ServiceError::RateLimited { .. }));
        assert!(admission.admit("a", 1).is_ok() && admission.admit("b", 2).is_ok());
        drop(large);
        assert_eq!(admission.under_way(), Share::default());
        assert!(admission.under_way.lock().unwrap().each.is_empty());
    }

    #[test]
    fn all_names_together_have_limits_too() {
        let admission = admission();
        let _large = (admission.admit("a", 75).unwrap(), admission.admit("b", 75).unwrap());
        assert!(matches!(refused(admission.admit("c", 1)), ServiceError::Busy(_)));
        let _small = (admission.admit("c", 0).unwrap(), admission.admit("d", 0).unwrap(), admission.admit("e", 0).unwrap());
        assert!(matches!(refused(admission.admit("f", 0)), ServiceError::Busy(_)));
        assert_eq!(admission.under_way(), Share { requests: 5, bytes: 150 });
    }

    #[test]
    fn a_permit_counts_until_its_last_copy_is_dropped_and_a_body_by_its_size() {
        let admission = admission();
        let mut permit = admission.admit("a", 100).unwrap();
        Permit::shrink(&mut permit, 10);
        assert_eq!(admission.under_way(), Share { requests: 1, bytes: 10 });
        let copy = Arc::clone(&permit);
        drop(permit);
        assert_eq!(admission.under_way(), Share { requests: 1, bytes: 10 });
        drop(copy);
        assert_eq!(admission.under_way(), Share::default());
    }
}
