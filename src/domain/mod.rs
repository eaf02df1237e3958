//! The core: tasks, risk levels, who may decide, and the state machine of a workflow.
//!
//! Nothing in the core knows a clock, a database, a runtime or the network; every function returns
//! the same result for the same arguments. The server, the tests and every checker run these
//! functions.
//!
//! There is a folder for each concept. Each uses only those before it:
//!
//! ```text
//! task → risk → tools → hold → policy → grant → request → workflow → notice
//! ```
//! The files beside the folders are used by all of them.

pub mod duration;
pub mod figures;
pub mod grant;
pub mod hold;
pub mod hosts;
pub mod hours;
pub mod json;
pub mod notice;
pub mod page;
pub mod policy;
pub mod request;
pub mod risk;
pub mod size;
pub mod task;
pub mod text;
pub mod tools;
pub mod trouble;
pub mod via;
pub mod workflow;
