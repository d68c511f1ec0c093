//! Sizing: the cheapest design of those that knobs allow which meets its constraints, with stated
//! confidence.
//!
//! A sizing file ([`schema`]) names a scenario, the knobs, the objective (cost, unless another is
//! stated), the constraints (the scenario's objectives, unless others are stated), the confidence and
//! how much may be simulated. [`setup`] reads and checks it all before anything runs. A look at a design
//! is a run of so many replications ([`look`]); [`verdict`] says what it shows: met only where the whole
//! interval is within the bound, `grows` of which there is more, the larger a fleet is. [`mod@bench`] runs looks, remembers them, and has each on the disk at once;
//! [`search`] decides which, with a model of the objective where there are many combinations. [`outcome`] is the answer, with what closed forms ask for beside it
//! ([`theory`]). It depends on the file alone, not on threads, machines or interruptions: the budget
//! counts simulated events.

pub mod bench;
mod entry;
pub mod error;
mod grows;
pub mod journal;
pub mod look;
mod model;
pub mod outcome;
pub mod schema;
pub mod search;
pub mod setup;
pub mod theory;
pub mod verdict;
