//! Parkbrake.
pub mod domain;
