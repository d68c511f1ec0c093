//! A night that was observed, simulated beside what was observed of it.
//!
//! A log of requests says when they came and what became of them. [`stage`] has the scenario's
//! fleet serve the same arrivals; [`fit`](mod@fit) finds what the scenario leaves open on a window
//! in which all was well; [`series`] lays both sides beside each other minute by minute, [`score`]
//! says how far they are apart and where the model is not to be trusted, and [`what_if`] changes one
//! thing of the night, on the same random numbers. [`replay`] does all of it.
//!
//! What no log of requests has, replicas and queues, comes from what a monitor saw ([`levels`]).
//!
//! A log is held in memory, some 60 bytes a request: requests are compared one by one.

mod assumptions;
pub mod error;
mod features;
pub mod fit;
mod least_squares;
pub mod lengths;
pub mod levels;
pub mod night;
pub mod open;
pub mod outcome;
mod run;
pub mod score;
pub mod series;
pub mod stage;
pub mod what_if;
pub mod window;
pub mod words;

pub use error::ReplayError;
pub use night::Night;
pub use open::Open;
pub use outcome::Outcome;
pub use run::{Settings, replay};
pub use window::Window;
