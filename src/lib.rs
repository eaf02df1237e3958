//! Parkbrake.
pub mod actors;
pub mod clock;
pub mod config;
pub mod domain;
pub mod http;
pub mod storage;
