//! The discrete-event kernel: time, event queue, random streams and the run loop.
//!
//! It knows nothing of fleets; `fleet` puts events and a world on it.

pub mod digest;
pub mod queue;
mod ring;
pub mod rng;
pub mod run;
pub mod time;

pub use digest::Digest;
pub use queue::{EventQueue, LaneId, Timer};
pub use rng::{SimRng, Streams};
pub use run::{Ended, Limits, Model};
pub use time::{NS_PER_S, SimDuration, SimTime};
