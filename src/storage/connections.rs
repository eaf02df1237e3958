//! The connections of one kind of work, and how they come back: only after their work has ended
//! well.
//!
//! sqlx asks each connection that comes back whether it still works, which is one more round trip
//! for every query. A connection in steady use stays at hand instead, and the next query takes it
//! as it is. Once it has rested, or has been at hand for a while, it goes back to sqlx, which tries
//! it, and closes it when it has grown old or is not needed any more.

use super::Error;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool, Postgres};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a caller waits for a connection before it is told that the database is not available.
const ACQUIRE: Duration = Duration::from_secs(2);
/// After this long without work a connection is tried before it is used.
const RESTED: Duration = Duration::from_millis(500);
/// After this long at hand a connection goes back to sqlx.
const LONGEST_AT_HAND: Duration = Duration::from_secs(60);

/// At most so many connections.
#[derive(Clone)]
pub(super) struct Connections(Arc<Shared>);

struct Shared {
    pool: PgPool,
    at_hand: Mutex<AtHand>,
}

#[derive(Default)]
struct AtHand {
    /// The one that was used last is the last.
    ready: Vec<Ready>,
    /// How many wait for sqlx to give them one. What comes back meanwhile goes to them.
    waiting: usize,
}

/// A connection whose work has ended well.
struct Ready {
    connection: PoolConnection<Postgres>,
    /// When sqlx gave it out.
    taken: Instant,
    /// Since when it has had no work.
    since: Instant,
}

impl Connections {
    /// At most so many, set up like this. Nothing is connected yet.
    pub fn new(options: PgConnectOptions, most: u32) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(most)
            .acquire_timeout(ACQUIRE)
            .test_before_acquire(false)
            // A connection that has rested may have lost its server meanwhile; one in steady use is
            // not asked each time.
            .before_acquire(|connection, rest| {
                Box::pin(async move {
                    if rest.idle_for > RESTED {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            });
        Self(Arc::new(Shared { pool: pool.connect_lazy_with(options), at_hand: Mutex::default() }))
    }

    /// Takes one.
    ///
    /// # Errors
    /// No connection is free in time, or the database is unavailable.
    pub async fn lease(&self) -> Result<Lease, Error> {
        let (connection, taken) = match self.0.take() {
            Ok(Ready { connection, taken, .. }) => (connection, taken),
            Err(_waiting) => (self.0.pool.acquire().await?, Instant::now()),
        };
        Ok(Lease { of: Arc::clone(&self.0), connection: Some(connection), taken, is_in_order: false })
    }

    /// Closes all of them; later queries fail.
    pub async fn close(&self) {
        let closing = self.0.pool.close();
        self.0.at_hand().ready.clear();
        closing.await;
    }
}

impl Shared {
    fn at_hand(&self) -> MutexGuard<'_, AtHand> {
        self.at_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection that was used last; where there is none, a place among those who wait for
    /// sqlx.
    fn take(&self) -> Result<Ready, Waiting<'_>> {
        let mut at_hand = self.at_hand();
        at_hand.send_rested_back(Instant::now());
        at_hand.ready.pop().ok_or_else(|| {
            at_hand.waiting += 1;
            Waiting(self)
        })
    }

    /// Takes back a connection whose work has ended well.
    fn take_back(&self, connection: PoolConnection<Postgres>, taken: Instant) {
        let since = Instant::now();
        let mut at_hand = self.at_hand();
        at_hand.send_rested_back(since);
        let is_due = at_hand.waiting > 0 || since.duration_since(taken) > LONGEST_AT_HAND || self.pool.is_closed();
        if !is_due {
            at_hand.ready.push(Ready { connection, taken, since });
        }
    }
}

impl AtHand {
    /// Sends those back to sqlx that nobody has needed for a while: to drop them is to send them.
    fn send_rested_back(&mut self, now: Instant) {
        let rested = self.ready.iter().take_while(|ready| now.duration_since(ready.since) > RESTED).count();
        self.ready.drain(..rested);
    }
}

impl Drop for Shared {
    /// Sending them back takes a runtime, and there may be none any more.
    fn drop(&mut self) {
        let at_hand = self.at_hand.get_mut().unwrap_or_else(PoisonError::into_inner);
        for ready in at_hand.ready.drain(..) {
            drop(ready.connection.detach());
        }
    }
}

/// Counts one who waits for sqlx, until it has a connection or goes away.
struct Waiting<'a>(&'a Shared);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.at_hand().waiting -= 1;
    }
}

/// A connection that is closed when dropped, unless it was released.
pub(super) struct Lease {
    of: Arc<Shared>,
    connection: Option<PoolConnection<Postgres>>,
    taken: Instant,
    is_in_order: bool,
}

impl Lease {
    /// Gives the connection back, after its work has ended well.
    pub(super) fn release(mut self) {
        self.is_in_order = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        if self.is_in_order {
            self.of.take_back(connection, self.taken);
        } else {
            connection.close_on_drop();
        }
    }
}

impl Deref for Lease {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.connection.as_ref().expect("held until dropped")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect("held until dropped")
    }
}
