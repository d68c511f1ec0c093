//! Repeating what failed: how long to wait, and how much of it is allowed.

pub mod backoff;
pub mod budget;

pub use backoff::Backoff;
pub use budget::Budget;
