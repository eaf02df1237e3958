//! Retries while the machine is short of files, processes or memory. Nothing of an action has run
//! then, so a shortage is not an outcome: the start is tried again until it succeeds or fails for
//! another reason.

use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::thread;
use std::time::Duration;

/// The pauses between two attempts.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How many file descriptors are left for callers, the database and notices, however many actions
/// run.
const RESERVE: usize = 32;

/// Starts something only if the reserve of descriptors is left beside it; the reserve is held
/// during the start.
///
/// # Errors
/// Starting would use up the reserve, which is a shortage like any other; or the error of the start
/// itself.
pub fn beside_reserve<T>(start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let _reserve = (0..RESERVE).map(|_| File::open("/dev/null")).collect::<io::Result<Vec<_>>>()?;
    start()
}

/// The pauses between attempts, each longer than the one before.
#[derive(Default)]
pub struct Pauses(u32);

impl Pauses {
    /// Logs what the machine is short of, and waits.
    pub async fn sit_out(&mut self, error: &io::Error) {
        warn(error);
        tokio::time::sleep(self.next()).await;
    }

    fn next(&mut self) -> Duration {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.0.min(16)).min(LONGEST_PAUSE);
        self.0 += 1;
        pause
    }
}

/// Tries until the machine is no longer short of anything.
///
/// # Errors
/// Every error that is not a shortage.
pub async fn retry<T>(mut work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut pauses = Pauses::default();
    loop {
        match work() {
            Err(error) if is_shortage(&error) => pauses.sit_out(&error).await,
            answer => return answer,
        }
    }
}

/// Does the same as [`retry`], on a thread that may block.
///
/// # Errors
/// Every error that is not a shortage.
#[expect(clippy::disallowed_methods, reason = "it runs within `spawn_blocking`")]
pub fn retry_blocking<T>(mut work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let mut pauses = Pauses::default();
    loop {
        match work() {
            Err(error) if is_shortage(&error) => {
                warn(&error);
                thread::sleep(pauses.next());
            }
            answer => return answer,
        }
    }
}

fn warn(error: &io::Error) {
    tracing::warn!(%error, "the machine is short of files, processes or memory; retrying the start of an action");
}

/// Whether the error means a temporary shortage.
pub fn is_shortage(error: &io::Error) -> bool {
    let kinds = [Errno::MFILE, Errno::NFILE, Errno::AGAIN, Errno::NOMEM].map(Errno::raw_os_error);
    error.raw_os_error().is_some_and(|code| kinds.contains(&code))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Work that fails twice and then succeeds; it counts the tries.
    fn failing(error: Errno, tried: &mut u32) -> impl FnMut() -> io::Result<&'static str> {
        move || {
            *tried += 1;
            if *tried <= 2 { Err(error.into()) } else { Ok("started") }
        }
    }

    #[tokio::test]
    async fn starts_are_retried_after_a_temporary_shortage() {
        for error in [Errno::MFILE, Errno::NFILE, Errno::AGAIN, Errno::NOMEM] {
            let (mut tried, mut tried_blocking) = (0, 0);
            assert_eq!(retry(failing(error, &mut tried)).await.unwrap(), "started");
            assert_eq!(retry_blocking(failing(error, &mut tried_blocking)).unwrap(), "started");
            assert_eq!((tried, tried_blocking), (3, 3));
        }
    }

    #[tokio::test]
    async fn permanent_start_errors_are_not_retried() {
        for error in [Errno::NOENT, Errno::ACCESS, Errno::NOEXEC, Errno::TOOBIG] {
            let (mut tried, mut tried_blocking) = (0, 0);
            assert!(retry(failing(error, &mut tried)).await.is_err());
            assert!(retry_blocking(failing(error, &mut tried_blocking)).is_err());
            assert_eq!((tried, tried_blocking), (1, 1));
        }
    }
}
