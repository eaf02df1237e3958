//! The log: one line an event on standard error, for people on a terminal and as JSON everywhere else.

use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// What is logged where `PARKBRAKE_LOG` says nothing (its syntax is that of `tracing-subscriber`'s `EnvFilter`).
///
/// Actors come and go by the thousand: the spans that ractor opens for each of them cost more than they tell.
const DEFAULT: &str = "info,ractor=warn,sqlx=warn";

/// Starts the log of this process.
pub fn start() {
    let filter = EnvFilter::try_from_env("PARKBRAKE_LOG").unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        log.compact().with_target(false).init();
    } else {
        log.json().flatten_event(true).with_current_span(false).with_span_list(false).init();
    }
}
