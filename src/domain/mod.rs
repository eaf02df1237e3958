//! The core: what a task is, how dangerous it is, who may decide, and what follows.
//!
//! Nothing in here knows a clock, a database, a runtime or the network; every function gives the same answer for the same
//! arguments. The server, the tests and every checker run these same functions.

pub mod approval;
pub mod attempts;
pub mod baseline;
pub mod buttons;
pub mod canonical;
pub mod commit;
pub mod difference;
pub mod digest;
pub mod duration;
pub mod expression;
pub mod hosts;
pub mod invocation;
pub mod level;
pub mod matrix;
pub mod notice;
pub mod outbox;
pub mod policy;
pub mod quota;
pub mod readings;
pub mod registry;
pub mod request;
pub mod risk;
pub mod runbook;
pub mod severity;
pub mod status;
pub mod target;
pub mod task;
pub mod text;
pub mod today;
pub mod transition;
pub mod triggers;
pub mod via;
pub mod vocabulary;
pub mod workflow;
