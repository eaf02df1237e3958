//! The actors. PostgreSQL holds the truth; the actors act on it.
//!
//! ```text
//! root ─┬─ checkpointer           the sole writer of workflow state; commits in groups
//!       ├─ workflow supervisor ── one actor for each workflow that is being acted upon
//!       ├─ approval registry      routes decisions and results to their workflows; keeps the state of parked ones
//!       ├─ timer                  fires deadlines, and finds what a crash left behind
//!       ├─ notifier               delivers notices, with one delivery worker for each channel
//!       ├─ follower               sends new events to the followers of the log
//!       └─ http                   (in `crate::http`) starts last and stops first
//! ```
//!
//! A workflow's actor knows what its workflow's log says and what has to be done next. When it has
//! done that, it parks: it ends, and the registry keeps its state as plain data. Any actor may die
//! at any moment: nothing is answered before it is committed, and what has to happen next is
//! computed from the log. A message between actors is a hint: losing one may cost time, never a
//! fact.
//!
//! The rest of the program sees only [`engine::Engine`] and the types of [`protocol`].

mod answering;
pub mod approval_registry;
pub mod as_approved;
pub mod attempt;
pub mod batch;
pub mod checkpointer;
mod completion;
pub mod dispatcher;
pub mod engine;
pub mod feed;
pub mod filling;
mod follower;
pub mod gate;
mod granting;
pub mod grants;
pub mod halting;
mod hold_follower;
pub mod holds;
pub mod lanes;
pub mod log_reader;
pub mod messages;
pub mod metrics;
pub mod notifier;
pub mod parked_state;
pub mod ports;
mod precondition;
pub mod protocol;
mod rehydrate;
pub mod restart;
pub mod root;
pub mod runner;
mod subscriptions;
pub mod timer;
mod trouble_watch;
mod troubles;
pub mod turns;
mod undecidable;
pub mod versions;
pub mod wakeup;
pub mod workflow;
pub mod workflow_supervisor;
