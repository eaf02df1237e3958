//! The core: what a task is, how dangerous it is, who may decide, and what follows.
//!
//! Nothing in here knows a clock, a database, a runtime or the network; every function gives the
//! same answer for the same arguments. The server, the tests and every checker run these same
//! functions.
//!
//! One folder for each concept, each of which uses only those before it:
//!
//! ```text
//! task → risk → tools → hold → policy → grant → request → workflow → notice
//! ```
//! What is beside the folders is used by all of them.

pub mod duration;
pub mod figures;
pub mod grant;
pub mod hold;
pub mod hosts;
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
