//! Repeats idempotent statements until they are answered, and completes work without its caller.

use crate::storage::Error;
use std::future::Future;
use std::time::{Duration, Instant};

/// How long a statement is repeated while the database does not answer.
const REPEATED_FOR: Duration = Duration::from_secs(6);
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// Sends an idempotent statement until it is answered.
pub async fn repeat_until_answered<T, F: Future<Output = Result<T, Error>>>(statement: impl Fn() -> F) -> Result<T, Error> {
    let began = Instant::now();
    loop {
        match statement().await {
            Err(Error::Unavailable(_) | Error::Locked) if began.elapsed() < REPEATED_FOR => tokio::time::sleep(PAUSE).await,
            answer => return answer,
        }
    }
}

/// Completes work even if the caller goes away.
#[expect(clippy::disallowed_methods, reason = "it is awaited below, and continues without the caller")]
pub async fn complete<T: Send + 'static>(work: impl Future<Output = Result<T, Error>> + Send + 'static) -> Result<T, Error> {
    tokio::spawn(work).await.map_err(|error| Error::Unavailable(error.to_string()))?
}
