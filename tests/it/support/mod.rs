//! What the tests have in common.

pub mod browser;
pub mod client;
pub mod config;
pub mod contract;
pub mod database;
pub mod hook;
pub mod ledger;
pub mod notices;
pub mod proxy;
pub mod raw;
pub mod server;
pub mod services;
pub mod stream;

pub use browser::Browser;
pub use client::{Answer, Client};
pub use config::Config;
pub use database::Database;
pub use ledger::Ledger;
pub use server::{Process, SECRET_KEY, TestApp, keys};

use std::future::{Future, poll_fn};
use std::panic::Location;
use std::time::{Duration, Instant};

/// How long asynchronous work may take; far more than it ever needs.
pub const WAIT_LIMIT: Duration = Duration::from_secs(20);

/// Waits until a value is available, and returns it.
#[track_caller]
pub fn eventually<T, F: Future<Output = Option<T>>>(what: &str, look: impl Fn() -> F) -> impl Future<Output = T> {
    let caller = Location::caller();
    async move {
        let began = Instant::now();
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(began.elapsed() < WAIT_LIMIT, "{what}: not within {WAIT_LIMIT:?} (at {caller})");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Lets a helper fail at its caller's line: a panic within an `async fn` knows only its own. A
/// helper with `#[track_caller]` returns its future through this, which says where the helper was
/// called if anything within it panics.
#[track_caller]
pub fn called<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let caller = Location::caller();
    // On the heap, because an `async` block that keeps a future has room for it twice, and helpers
    // that call helpers would double that each time.
    let mut future = Box::pin(future);
    async move {
        poll_fn(|context| {
            let _trace = Trace(caller);
            future.as_mut().poll(context)
        })
        .await
    }
}

struct Trace(&'static Location<'static>);

impl Drop for Trace {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("called at {}", self.0);
        }
    }
}
