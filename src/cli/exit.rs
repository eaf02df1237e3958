//! Exit statuses that scripts can distinguish.

/// Somebody rejected it.
pub const REJECTED: u8 = 3;
/// Nobody decided in time.
pub const EXPIRED: u8 = 4;
/// The server does not answer.
pub const UNREACHABLE: u8 = 5;
/// The caller may not do this.
pub const NOT_PERMITTED: u8 = 6;
