//! Parkbrake.
pub mod domain;
pub mod execution;
