//! Synthesis: a generator for a trace, and traces from a generator.
//!
//! A generator is the `[workload]` of a scenario. [`fit()`](fit::fit) finds one for a trace and says how well it
//! keeps each statistic ([`judge`]); [`mod@make`] writes a trace of any length from one, in constant
//! memory; [`presets`] ship some.

pub mod arrivals;
pub mod clients;
pub mod error;
pub mod fit;
pub mod generator;
pub mod judge;
pub mod lengths;
pub mod make;
pub mod portrait;
pub mod presets;
pub mod reuse;
pub mod sample;
pub mod shape;
pub mod stamps;

pub use error::SynthesisError;
pub use fit::{Fit, fit};
pub use make::{Made, Order, Span, make};
