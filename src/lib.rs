//! Parkbrake.
pub mod domain;
pub mod execution;
pub mod postgres;
