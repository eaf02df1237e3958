//! Drafts: what people wrote into a form that was refused because they had to sign in again. They
//! exist only in memory, so a restarted server has lost them.

use crate::web::detail::Attempted;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How long a draft is kept.
const KEPT: Duration = Duration::from_secs(15 * 60);
/// The most drafts; one more replaces the oldest.
const MOST: usize = 256;
/// The largest draft, in bytes; longer texts are not kept, and would be refused anyway.
const LONGEST: usize = 16 * 1024;

/// The drafts, by person and request.
#[derive(Debug, Default)]
pub struct Drafts(Mutex<HashMap<(String, Uuid), (Instant, Attempted)>>);

impl Drafts {
    /// Keeps a draft; returns whether it did.
    pub fn keep(&self, name: &str, id: Uuid, written: Attempted, now: Instant) -> bool {
        let Attempted { justification, reason, confirmation, comment, .. } = &written;
        if [justification, reason, confirmation, comment].into_iter().map(String::len).sum::<usize>() > LONGEST {
            return false;
        }
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, (since, _)| now.duration_since(*since) < KEPT);
        if kept.len() >= MOST
            && let Some(oldest) = kept.iter().min_by_key(|(_, (since, _))| *since).map(|(key, _)| key.clone())
        {
            kept.remove(&oldest);
        }
        kept.insert((name.to_owned(), id), (now, written));
        true
    }

    /// A person's draft about a request. It stays, because reading a page changes nothing.
    pub fn of(&self, name: &str, id: Uuid, now: Instant) -> Option<Attempted> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, written) = kept.get(&(name.to_owned(), id))?;
        (now.duration_since(*since) < KEPT).then(|| written.clone())
    }

    /// Drops the draft, because the person has decided.
    pub fn forget(&self, name: &str, id: Uuid) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&(name.to_owned(), id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Attempted {
        Attempted { justification: text.to_owned(), ..Attempted::default() }
    }

    #[test]
    fn drafts_are_private_expire_and_are_limited_in_number() {
        let (drafts, now) = (Drafts::default(), Instant::now());
        let id = Uuid::from_u128;
        assert!(drafts.keep("alice", id(0), written("because"), now));
        assert!(!drafts.keep("alice", id(9), written(&"x".repeat(LONGEST + 1)), now));
        let of = |name: &str, number: u128, at: Instant| drafts.of(name, id(number), at).map(|kept| kept.justification);
        assert_eq!(of("alice", 0, now).as_deref(), Some("because"));
        assert_eq!((of("tom", 0, now), of("alice", 1, now), of("alice", 9, now)), (None, None, None));
        assert_eq!(of("alice", 0, now + KEPT), None);
        let later = now + Duration::from_secs(1);
        for number in 1..=MOST as u128 {
            drafts.keep("alice", id(number), written("more"), later);
        }
        assert_eq!((of("alice", 0, later), of("alice", 1, later).as_deref()), (None, Some("more")), "the oldest is dropped");
        drafts.forget("alice", id(1));
        assert_eq!(of("alice", 1, later), None);
    }
}
