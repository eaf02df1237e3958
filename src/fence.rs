//! The fence: how long this server may still act, by a clock that only it can read.
//!
//! A server acts under a lease that the database measures. It must stop before the database would
//! let another server act, even if it cannot ask: because the connection is down, or because the
//! whole process was frozen and has just resumed. So it counts on its own, from the moment *before*
//! it sent the last successful renewal. The database started to count later than that, so the fence
//! falls first.
//!
//! The clock goes on while the machine is suspended. It is never set.

use rustix::time::{ClockId, clock_gettime};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

/// This long before the lease ends, nothing more is started, and what runs is stopped: its
/// processes are asked to end, killed two seconds later, and gone when the lease lapses.
pub const ENDING: Duration = Duration::from_secs(3);

/// The time between two checks of the clock while something waits for the fence to fall: a sleep
/// does not count the time during which the machine was suspended.
const LOOK: Duration = Duration::from_millis(100);

#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// A time of the fence's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FenceTime(Duration);

impl FenceTime {
    pub fn now() -> Self {
        let time = clock_gettime(CLOCK);
        Self(Duration::new(time.tv_sec.try_into().unwrap_or_default(), time.tv_nsec.try_into().unwrap_or_default()))
    }
}

#[derive(Debug, Clone, Copy)]
struct State {
    /// When the last successful renewal was sent; `None` before the first, and after the lease was
    /// lost for good.
    asked: Option<FenceTime>,
    lost: bool,
}

/// What this server knows about its own lease.
#[derive(Debug)]
pub struct Fence {
    server_id: Uuid,
    lease: Duration,
    state: Mutex<State>,
    /// How many pieces of work are in progress that must end before the lease does.
    work: watch::Sender<usize>,
}

impl Fence {
    /// The fence of a server that has no lease yet.
    pub fn new(server_id: Uuid, lease: Duration) -> Arc<Self> {
        let state = Mutex::new(State { asked: None, lost: false });
        Arc::new(Self { server_id, lease, state, work: watch::Sender::new(0) })
    }

    /// The server that has this fence.
    pub fn server_id(&self) -> Uuid {
        self.server_id
    }

    /// The length of each lease.
    pub fn lease(&self) -> Duration {
        self.lease
    }

    /// Records that a statement sent after this time was granted or renewed the lease.
    pub fn renewed(&self, asked: FenceTime) {
        let mut state = self.state();
        if !state.lost {
            state.asked = state.asked.max(Some(asked));
        }
    }

    /// Records that the lease belongs to another server, or is about to be released. It does not
    /// return.
    pub fn lose(&self) {
        *self.state() = State { asked: None, lost: true };
    }

    /// Whether this server may still start something.
    pub fn holds(&self) -> bool {
        !self.left().is_zero()
    }

    /// Begins a piece of work that ends before the lease does: it has to watch [`Self::fallen`].
    /// `None` if nothing may be begun.
    pub fn enter(self: &Arc<Self>) -> Option<Work> {
        self.work.send_modify(|count| *count += 1);
        // Counted first, so that whoever waits for the end of all work after the fence has fallen
        // waits for this work, too.
        let work = Work(Arc::clone(self));
        self.holds().then_some(work)
    }

    /// Waits until nothing more may be started and what runs has to stop.
    pub async fn fallen(&self) {
        loop {
            let left = self.left();
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(LOOK)).await;
        }
    }

    /// Waits until something may be started.
    pub async fn stands(&self) {
        while !self.holds() {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until no work is in progress.
    pub async fn idle(&self) {
        let _ = self.work.subscribe().wait_for(|count| *count == 0).await;
    }

    /// How long something may still be started.
    fn left(&self) -> Duration {
        let Some(FenceTime(asked)) = self.state().asked else { return Duration::ZERO };
        (asked + self.lease).saturating_sub(ENDING).saturating_sub(FenceTime::now().0)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Work in progress.
#[derive(Debug)]
pub struct Work(Arc<Fence>);

impl Drop for Work {
    fn drop(&mut self) {
        self.0.work.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(10);

    fn ago(seconds: u64) -> FenceTime {
        FenceTime(FenceTime::now().0 - Duration::from_secs(seconds))
    }

    #[test]
    fn nothing_starts_before_the_first_lease_or_after_the_last() {
        let fence = Fence::new(Uuid::nil(), LEASE);
        assert!(!fence.holds() && fence.enter().is_none());
        fence.renewed(FenceTime::now());
        assert!(fence.holds() && fence.enter().is_some());
        fence.lose();
        fence.renewed(FenceTime::now());
        assert!(!fence.holds(), "what is lost stays lost");
    }

    #[test]
    fn the_fence_falls_before_the_lease_lapses_counted_from_the_request_to_renew_it() {
        let fence = Fence::new(Uuid::nil(), LEASE);
        fence.renewed(ago(6));
        assert!(fence.holds());
        let fence = Fence::new(Uuid::nil(), LEASE);
        fence.renewed(ago(7));
        assert!(!fence.holds(), "three seconds are kept for ending what runs");
    }

    #[test]
    fn an_answer_that_comes_late_does_not_shorten_what_a_later_renewal_gave() {
        let fence = Fence::new(Uuid::nil(), LEASE);
        fence.renewed(ago(1));
        fence.renewed(ago(9));
        assert!(fence.holds());
    }

    #[tokio::test]
    async fn idle_waits_for_all_work_to_end() {
        let fence = Fence::new(Uuid::nil(), LEASE);
        fence.renewed(FenceTime::now());
        let work = fence.enter().unwrap();
        fence.lose();
        fence.fallen().await;
        assert!(tokio::time::timeout(LOOK, fence.idle()).await.is_err());
        drop(work);
        fence.idle().await;
    }
}
