//! What was observed of a real fleet: requests as a log tells of them, and series as a monitor
//! scraped them. A replay lays what it simulates beside this.

pub mod own;
pub mod record;

pub use record::{Ending, Observed, Tokens};
