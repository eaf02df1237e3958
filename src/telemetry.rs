//! The log: one line per event on standard error, as text on a terminal and as JSON everywhere
//! else.
//!
//! Each line about a workflow has the field `workflow.id`, its own or that of the span in which it
//! was written: searching the log for one id finds everything about the workflow.

mod json;

use crate::telemetry::json::JsonLines;
use std::fmt;
use std::io::IsTerminal as _;
use tracing::Span;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::JsonFields;
use uuid::Uuid;

/// What is logged if `PARKBRAKE_LOG` is not set. Its syntax is that of `tracing-subscriber`'s
/// `EnvFilter`.
///
/// ractor opens a span for each of thousands of actors, which costs more than it is worth.
const DEFAULT: &str = "info,ractor=warn,sqlx=warn";

/// Starts the log of this process.
pub fn start() {
    let filter = EnvFilter::try_from_env("PARKBRAKE_LOG").unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        log.compact().with_target(false).init();
    } else {
        log.fmt_fields(JsonFields::new()).event_format(JsonLines).init();
    }
}

/// The span of work for a workflow. It has the highest level, so that a filter never removes the id
/// from a line that it lets through.
pub fn workflow(id: Uuid) -> Span {
    tracing::error_span!("workflow", workflow.id = %id)
}

/// The span of work for several workflows at once; its `workflow.id` lists all of them.
pub fn workflows(ids: impl Iterator<Item = Uuid> + Clone) -> Span {
    tracing::error_span!("workflow", workflow.id = %Listed(ids))
}

/// Ids, separated by commas.
struct Listed<I>(I);

impl<I: Iterator<Item = Uuid> + Clone> fmt::Display for Listed<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, id) in self.0.clone().enumerate() {
            write!(f, "{}{id}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}
