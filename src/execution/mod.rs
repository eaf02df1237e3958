//! What runs an action once it may run.
//!
//! Parkbrake promises that what was approved is what runs, and that an attempt has one outcome. So a run is closed in
//! all directions: an argument vector and never a shell line, an environment that is named variable by variable,
//! output that cannot fill the memory or carry a secret along, and a process tree that ends when its time is up.

mod environment;
mod output;
mod processes;
#[cfg(target_os = "linux")]
mod procfs;
pub mod runbook;
