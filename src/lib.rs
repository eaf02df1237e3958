//! Parkbrake: the parking brake of autonomous DevOps agents.
//!
//! An agent says what it wants to do; parkbrake assesses the risk, lets harmless work run, and
//! parks the rest, durably, until the right people approve it. Then it runs exactly what was shown,
//! once, and can prove it.
//!
//! ```text
//! main → cli → app → { api, agents, mcp, web, slack } → http → service → actors → identity → storage → domain        config → domain
//! ```
//! Nothing depends on a layer to its left, and no way in (`api`, `agents`, `mcp`, `web`, `slack`)
//! knows another. `domain` is pure; all SQL is in `storage`; `ractor` is in `actors` and in the
//! HTTP server's actor; `serde_yaml` is in `config`. `execution` and `notify` implement traits of
//! `actors::ports`; `service` reaches the actors through `actors::engine`. `tests/architecture.rs`
//! checks this.

// `clippy.toml` says what is banned, and why. Tests are exempt.
#![cfg_attr(
    not(test),
    warn(clippy::disallowed_macros, clippy::disallowed_methods, clippy::disallowed_types, clippy::print_stderr, clippy::unwrap_used)
)]

pub mod actors;
pub mod agents;
pub mod api;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod execution;
pub mod fence;
pub mod github;
pub mod hardening;
pub mod http;
pub mod identity;
pub mod machine;
pub mod mcp;
pub mod notify;
pub mod openid;
pub mod outbound;
pub mod postgres;
#[cfg(target_os = "linux")]
mod procfs;
pub mod secret_key;
pub mod service;
pub mod settings;
pub mod slack;
pub mod storage;
pub mod telemetry;
pub mod web;
