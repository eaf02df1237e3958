//! The open connections: how many there may be, and which of them is closed first if there are too
//! many.
//!
//! A connection that waits for its client costs the client nothing, so it is bounded in three ways:
//! by time, by the number per address, and by eviction. If none is free, the connection whose
//! client has been silent the longest is closed; one without a single request goes before one that
//! has had an answer. A connection whose request is being answered is never evicted.

use crate::http::peer::Peer;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How long a new connection may take to send its first byte.
const FIRST_BYTE: Duration = Duration::from_secs(5);
/// How long the head of a request may take, from its first byte on.
const HEAD: Duration = Duration::from_secs(10);
/// How long a connection may rest between two requests.
const REST: Duration = Duration::from_secs(60);
/// How long a client may stop reading an answer.
const STALLED: Duration = Duration::from_secs(30);
/// The time between two checks of a connection.
const LOOK: Duration = Duration::from_secs(1);

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// It has not sent a byte.
    New,
    /// A part of a request's head has arrived.
    Head,
    /// It has had an answer, and has sent nothing since.
    Resting,
    /// A request is being answered.
    Busy,
}

#[derive(Debug, Clone, Copy)]
struct Activity {
    phase: Phase,
    since: Instant,
    /// Since when the client has not read what was ready to send.
    stalled: Option<Instant>,
}

impl Activity {
    /// When the client's time is up; `None` while the server has to act.
    fn due(&self) -> Option<Instant> {
        match self.phase {
            Phase::New => Some(self.since + FIRST_BYTE),
            Phase::Head => Some(self.since + HEAD),
            Phase::Resting => Some(self.since + REST),
            Phase::Busy => self.stalled.map(|since| since + STALLED),
        }
    }
}

/// One open connection.
#[derive(Debug)]
pub struct Connection {
    pub peer: Peer,
    activity: Mutex<Activity>,
    evicted: Notify,
}

impl Connection {
    fn new(peer: Peer) -> Self {
        let activity = Activity { phase: Phase::New, since: Instant::now(), stalled: None };
        Self { peer, activity: Mutex::new(activity), evicted: Notify::new() }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Activity) -> T) -> T {
        work(&mut self.activity.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn turn_to(&self, phase: Phase) {
        self.with(|activity| *activity = Activity { phase, since: Instant::now(), stalled: activity.stalled });
    }

    /// Notes that bytes have arrived; returns whether they belong to the head of a request.
    pub fn received(&self) -> bool {
        self.with(|activity| {
            if matches!(activity.phase, Phase::New | Phase::Resting) {
                *activity = Activity { phase: Phase::Head, since: Instant::now(), stalled: None };
            }
            activity.phase == Phase::Head
        })
    }

    /// Notes whether the client reads what is ready to send.
    pub fn sending(&self, taken: bool) {
        self.with(|activity| activity.stalled = if taken { None } else { activity.stalled.or_else(|| Some(Instant::now())) });
    }

    /// Marks the connection as answering a request until the guard is dropped.
    pub fn answer(self: &Arc<Self>) -> Answering {
        self.turn_to(Phase::Busy);
        Answering(Arc::clone(self))
    }

    /// Returns when the connection has to be closed: its client's time is up, or another one
    /// needs its slot.
    pub async fn outlived(&self) {
        loop {
            let (due, is_new) = self.with(|activity| (activity.due(), activity.phase == Phase::New));
            let now = Instant::now();
            if due.is_some_and(|due| due <= now) {
                return;
            }
            // Only a new connection can become due earlier than it is now.
            let look = due.filter(|due| is_new || *due < now + LOOK).unwrap_or(now + LOOK);
            tokio::select! {
                () = self.evicted.notified() => return,
                () = tokio::time::sleep_until(look.into()) => {}
            }
        }
    }
}

/// Held while a request is answered.
#[derive(Debug)]
pub struct Answering(Arc<Connection>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.turn_to(Phase::Resting);
    }
}

/// All open connections.
#[derive(Debug)]
pub struct Connections {
    most: usize,
    most_each: usize,
    open: Mutex<HashMap<u64, Arc<Connection>>>,
    next: AtomicU64,
}

impl Connections {
    /// At most `most` connections, and at most `most_each` from one address.
    pub fn new(most: usize, most_each: usize) -> Arc<Self> {
        Arc::new(Self { most, most_each, open: Mutex::default(), next: AtomicU64::new(0) })
    }

    /// Adds a new connection, in place of another one if no slot is free; `None` if all of them
    /// are busy.
    pub fn enter(self: &Arc<Self>, peer: Peer) -> Option<Slot> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.values().filter(|connection| connection.peer == peer).count() >= self.most_each {
            evict(&mut open, |connection| connection.peer == peer)?;
        }
        if open.len() >= self.most {
            evict(&mut open, |_| true)?;
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let connection = Arc::new(Connection::new(peer));
        open.insert(id, Arc::clone(&connection));
        Some(Slot { connections: Arc::clone(self), id, connection })
    }

    /// Closes the connection that has been silent the longest, because file descriptors are needed.
    pub fn make_room(&self) {
        evict(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner), |_| true);
    }

    /// Closes all connections without a request.
    pub fn close_resting(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        while evict(&mut open, |_| true).is_some() {}
    }

    /// The number of connections.
    pub fn count(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Closes the connection that can best be spared; `None` if there is none.
fn evict(open: &mut HashMap<u64, Arc<Connection>>, of: impl Fn(&Connection) -> bool) -> Option<()> {
    let spared = open.iter().filter(|(_, connection)| of(connection)).filter_map(|(id, connection)| {
        let (phase, since) = connection.with(|activity| (activity.phase, activity.since));
        (phase != Phase::Busy).then_some((phase == Phase::Resting, since, *id))
    });
    let (_, _, id) = spared.min()?;
    open.remove(&id)?.evicted.notify_one();
    Some(())
}

/// The slot of an open connection; dropping it frees the slot.
#[derive(Debug)]
pub struct Slot {
    connections: Arc<Connections>,
    id: u64,
    pub connection: Arc<Connection>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.connections.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn peer(last: u8) -> Peer {
        Peer::from(SocketAddr::from(([192, 0, 2, last], 1)))
    }

    async fn is_evicted(slot: &Slot) -> bool {
        tokio::time::timeout(Duration::from_millis(20), slot.connection.outlived()).await.is_ok()
    }

    #[tokio::test]
    async fn one_address_makes_room_for_itself_at_its_own_cost() {
        let connections = Connections::new(10, 2);
        let other = connections.enter(peer(2)).unwrap();
        let (first, second) = (connections.enter(peer(1)).unwrap(), connections.enter(peer(1)).unwrap());
        let third = connections.enter(peer(1)).unwrap();
        assert!(is_evicted(&first).await);
        assert!(!is_evicted(&second).await && !is_evicted(&third).await && !is_evicted(&other).await);
        assert_eq!(connections.count(), 3);
        drop(first);
        assert_eq!(connections.count(), 3, "a slot that was taken over is not given back twice");
    }

    #[tokio::test]
    async fn when_it_is_full_the_silent_go_first_and_the_busy_never() {
        let connections = Connections::new(3, 3);
        let busy = connections.enter(peer(1)).unwrap();
        let _answering = busy.connection.answer();
        let rests = connections.enter(peer(2)).unwrap();
        drop(rests.connection.answer());
        let silent = connections.enter(peer(3)).unwrap();
        let fourth = connections.enter(peer(4)).unwrap();
        assert!(is_evicted(&silent).await && !is_evicted(&rests).await);
        assert!(fourth.connection.received());
        let fifth = connections.enter(peer(5)).unwrap();
        assert!(is_evicted(&fourth).await && !is_evicted(&rests).await);
        let (_one, _two) = (rests.connection.answer(), fifth.connection.answer());
        assert!(connections.enter(peer(6)).is_none(), "all are busy");
        assert!(!is_evicted(&busy).await);
    }

    #[test]
    fn the_deadline_of_a_client_depends_on_what_it_owes() {
        let connection = Arc::new(Connection::new(peer(1)));
        let wait = |connection: &Connection| connection.with(|activity| activity.due().map(|due| due - activity.since));
        assert_eq!(wait(&connection), Some(FIRST_BYTE));
        assert!(connection.received());
        assert_eq!(wait(&connection), Some(HEAD));
        let answering = connection.answer();
        assert!(!connection.received(), "a body is no head");
        assert_eq!(wait(&connection), None);
        connection.sending(false);
        assert!(wait(&connection).is_some_and(|wait| wait >= STALLED));
        connection.sending(true);
        assert_eq!(wait(&connection), None);
        drop(answering);
        assert_eq!(wait(&connection), Some(REST));
    }
}
