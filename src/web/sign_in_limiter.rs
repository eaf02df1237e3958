//! Limits sign-ins: tokens are looked up a few at a time, and nobody has to wait because of
//! somebody else's wrong tokens.
//!
//! A token is 256 random bits, so that guessing is hopeless however fast it is; this limiter bounds
//! the work that guessing causes. A wrong token is answered at once and holds no slot. If an
//! address has sent many wrong tokens, its tokens are looked up one at a time, apart from everybody
//! else's. A valid token is always accepted, so nobody can lock anybody out.

use crate::http::peer::Peer;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, SemaphorePermit};

/// The most tokens that are looked up at the same time.
const AT_ONCE: usize = 4;
/// How long a sign-in waits for its lookup.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// How many wrong tokens an address may send within the window before it has to wait.
const ALLOWED: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// The most addresses that are remembered.
const MOST: usize = 10_000;

/// Who looks up tokens, and which addresses have sent wrong ones.
#[derive(Debug)]
pub struct SignInLimiter {
    usual: Semaphore,
    /// The slot for addresses that have sent many wrong tokens.
    suspicious: Semaphore,
    wrong: Mutex<HashMap<Peer, Wrong>>,
}

/// The wrong tokens of one address.
#[derive(Debug, Clone, Copy)]
struct Wrong {
    count: u32,
    since: Instant,
}

impl Default for SignInLimiter {
    fn default() -> Self {
        Self { usual: Semaphore::new(AT_ONCE), suspicious: Semaphore::new(1), wrong: Mutex::default() }
    }
}

impl SignInLimiter {
    /// Waits until a token from this address may be looked up; `None` if that takes too long.
    pub async fn enter(&self, peer: Peer) -> Option<SemaphorePermit<'_>> {
        let lane = if self.is_suspicious(peer, Instant::now()) { &self.suspicious } else { &self.usual };
        tokio::time::timeout(LOOKUP_TIMEOUT, lane.acquire()).await.ok()?.ok()
    }

    /// Records that an address has sent a wrong token or asked for a mail. If there were many,
    /// returns how long it should wait.
    pub fn note_wrong(&self, peer: Peer, now: Instant) -> Option<Duration> {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if wrong.len() >= MOST {
            wrong.retain(|_, wrong| now.duration_since(wrong.since) < WINDOW);
        }
        if wrong.len() >= MOST {
            wrong.clear();
        }
        let own = wrong.entry(peer).or_insert(Wrong { count: 0, since: now });
        if now.duration_since(own.since) >= WINDOW {
            *own = Wrong { count: 0, since: now };
        }
        own.count = own.count.saturating_add(1);
        (own.count > ALLOWED).then(|| WINDOW.saturating_sub(now.duration_since(own.since)))
    }

    fn is_suspicious(&self, peer: Peer, now: Instant) -> bool {
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        wrong.get(&peer).is_some_and(|wrong| wrong.count >= ALLOWED && now.duration_since(wrong.since) < WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn peer(last: u8) -> Peer {
        Peer::from(SocketAddr::from(([192, 0, 2, last], 1)))
    }

    #[tokio::test]
    async fn an_address_with_many_wrong_tokens_waits_for_itself_and_holds_nobody_else_up() {
        let limiter = SignInLimiter::default();
        let now = Instant::now();
        let told: Vec<_> = (0..12).map(|_| limiter.note_wrong(peer(1), now).is_some()).collect();
        assert_eq!(told, [[false; 10].as_slice(), &[true; 2]].concat());
        let _first = limiter.enter(peer(1)).await.unwrap();
        let second = tokio::time::timeout(Duration::from_millis(50), limiter.enter(peer(1))).await;
        assert!(second.is_err(), "two tokens of a suspicious address were looked up at once");
        let _others = [limiter.enter(peer(2)).await.unwrap(), limiter.enter(peer(2)).await.unwrap(), limiter.enter(peer(3)).await.unwrap()];
    }

    #[test]
    fn wrong_tokens_are_forgiven_after_a_while_and_the_memory_of_them_is_bounded() {
        let limiter = SignInLimiter::default();
        let now = Instant::now();
        for _ in 0..ALLOWED {
            limiter.note_wrong(peer(1), now);
        }
        assert!(limiter.is_suspicious(peer(1), now));
        assert!(!limiter.is_suspicious(peer(1), now + WINDOW));
        assert_eq!(limiter.note_wrong(peer(1), now + WINDOW), None);
        for number in 0..=u32::try_from(MOST).unwrap() {
            limiter.note_wrong(Peer::from(SocketAddr::from((number.to_be_bytes(), 1))), now);
        }
        assert!(limiter.wrong.lock().unwrap().len() <= MOST);
    }
}
