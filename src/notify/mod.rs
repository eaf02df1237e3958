//! The channels by which notices leave: one file for each kind, behind the port of the actors.

pub mod http;
