//! The connections for one kind of work. A connection is reused only after its work has ended well.
//!
//! sqlx pings each returned connection, which is one more round trip for every query. Here, a
//! connection in steady use stays ready instead, and the next query takes it as it is. Once it has
//! been idle, or ready for a while, it goes back to sqlx, which pings it, and closes it when it is
//! old or not needed any more.

use super::Error;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool, Postgres};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a caller waits for a connection before the database counts as unavailable.
const ACQUIRE: Duration = Duration::from_secs(2);
/// After this idle time a connection is pinged before it is used.
const RESTED: Duration = Duration::from_millis(500);
/// After this time as ready, a connection goes back to sqlx.
const LONGEST_AT_HAND: Duration = Duration::from_secs(60);

/// A bounded set of connections.
#[derive(Clone)]
pub(super) struct Connections(Arc<Shared>);

struct Shared {
    pool: PgPool,
    at_hand: Mutex<AtHand>,
}

#[derive(Default)]
struct AtHand {
    /// The most recently used is last.
    ready: Vec<Ready>,
    /// How many callers wait for sqlx. Returned connections go to them.
    waiting: usize,
}

/// A connection whose work has ended well.
struct Ready {
    connection: PoolConnection<Postgres>,
    /// When sqlx gave it out.
    taken: Instant,
    /// Since when it has been idle.
    since: Instant,
}

impl Connections {
    /// At most this many connections with these options. Nothing is connected yet.
    pub fn new(options: PgConnectOptions, most: u32) -> Self {
        let pool = PgPoolOptions::new()
            .max_connections(most)
            .acquire_timeout(ACQUIRE)
            .test_before_acquire(false)
            // An idle connection may have lost its server; one in steady use is not pinged.
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

    /// Takes a connection.
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

    /// Closes all connections; later queries fail.
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

    /// The most recently used connection, or else a place among the callers that wait for sqlx.
    fn take(&self) -> Result<Ready, Waiting<'_>> {
        let mut at_hand = self.at_hand();
        at_hand.send_rested_back(Instant::now());
        at_hand.ready.pop().ok_or_else(|| {
            at_hand.waiting += 1;
            Waiting(self)
        })
    }

    /// Keeps a connection whose work has ended well, or returns it to the pool.
    fn put_back(&self, connection: PoolConnection<Postgres>, taken: Instant) {
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
    /// Returns connections that have been idle for a while to sqlx, by dropping them.
    fn send_rested_back(&mut self, now: Instant) {
        let rested = self.ready.iter().take_while(|ready| now.duration_since(ready.since) > RESTED).count();
        self.ready.drain(..rested);
    }
}

impl Drop for Shared {
    /// Returning connections needs a runtime, which may be gone.
    fn drop(&mut self) {
        let at_hand = self.at_hand.get_mut().unwrap_or_else(PoisonError::into_inner);
        for ready in at_hand.ready.drain(..) {
            drop(ready.connection.detach());
        }
    }
}

/// Counts a caller that waits for sqlx, until it has a connection or goes away.
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
            self.of.put_back(connection, self.taken);
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
