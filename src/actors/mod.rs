//! The actors: the hands of PostgreSQL, which is the truth.
//!
//! ```text
//! root ─┬─ checkpointer           sole writer of workflow state; group commit
//!       ├─ workflow supervisor ── one actor for each workflow that is acted upon
//!       ├─ approval registry      routes decisions and results to their workflows; keeps the state of parked ones
//!       ├─ timer                  deadlines, and what a crash left behind
//!       ├─ notifier               delivers notices; a courier for each channel
//!       ├─ follower               tells those who follow the log what is new in it
//!       └─ http                   (in `crate::http`) the last to start, the first to stop
//! ```
//!
//! An actor knows what one workflow's log says, and what to do next. When it has done that it parks: it ends, and what it knew stays with
//! the registry as plain data. Kill any of them at any moment: nothing was
//! answered before it was committed, and what has to happen next is computed from the log. A message between actors is a
//! hint; losing one may cost a moment, never a fact.
//!
//! The rest of the program sees only [`engine::Engine`] and what is exchanged with it.

pub mod approval_registry;
pub mod attempt;
pub mod batch;
pub mod bell;
pub mod checkpointer;
pub mod courier;
pub mod engine;
pub mod exchange;
pub mod feed;
pub mod follower;
pub mod gate;
pub mod gathering;
pub mod halting;
pub mod holds;
pub mod letters;
pub mod log_reader;
pub mod messages;
pub mod metrics;
pub mod notifier;
pub mod ports;
mod rehydrate;
pub mod restart;
pub mod root;
pub mod runner;
pub mod timer;
pub mod turns;
pub mod unchanged;
mod undecidable;
pub mod versions;
pub mod workflow;
pub mod workflow_supervisor;
