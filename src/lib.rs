//! Parkbrake: the parking brake of autonomous DevOps agents.
//!
//! An agent says what it wants to do; parkbrake assesses the risk, lets harmless work run, and parks the rest, durably,
//! until the right human says yes. Then it runs exactly what was shown, once, and can prove it.
//!
//! ```text
//! main → cli → app → { http, actors, execution, notify } → storage → domain        config → domain
//! ```
//! Nothing points up. `domain` is pure; all SQL is in `storage`; `ractor` is in `actors` and in the HTTP server's actor;
//! `axum` is in `http`; `serde_yaml` is in `config`. `execution` and `notify` implement traits of `actors::ports`; `http`
//! sees the actors through `actors::engine`. `tests/architecture.rs` holds this.

pub mod actors;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod execution;
pub mod fence;
pub mod hardening;
pub mod http;
pub mod machine;
pub mod notify;
pub mod postgres;
#[cfg(target_os = "linux")]
mod procfs;
pub mod secret_key;
pub mod settings;
pub mod storage;
pub mod telemetry;
