//! What a user writes, checked as a whole before anything runs.
//!
//! [`SourceText`] reads a file, [`Document`] keeps its values with the line each was written on
//! and takes overrides, and [`Problems`] gathers everything that is wrong with the values. None
//! of the three knows what a document is about: any serde type can be read through them.

pub mod admission;
pub mod balance;
pub mod capacity;
pub mod certain;
pub mod clients;
pub mod clock;
pub mod cost;
mod decode;
pub mod erasure;
pub mod error;
pub mod faults;
pub mod fleet;
pub mod health;
pub mod kv_store;
pub mod locality;
mod overrides;
mod probe;
pub mod problems;
pub mod regions;
pub mod resolve;
pub mod roles;
pub mod routing;
pub mod scaling;
pub mod schema;
pub mod signals;
pub mod steering;
mod suggest;
pub mod text;
mod tree;
pub mod tries;
mod validate;
pub mod workload;

pub use error::{Location, Problem, ScenarioError};
pub use problems::Problems;
pub use suggest::nearest;
pub use text::{Document, SourceText};
pub(crate) use validate::MOST_S;
