//! The discrete-event kernel: time, event queue, random streams and the run loop.
//!
//! It knows nothing of fleets; `fleet` puts events and a world on it.

pub mod time;

pub use time::{SimDuration, SimTime};
