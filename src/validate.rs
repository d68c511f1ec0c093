//! A simulated run held against a measured one.
//!
//! [`open()`] reads measured runs, whatever their format, [`replay::replay`] simulates the same
//! arrivals and lengths on the fleet they were measured on, and [`compare::compare`] says how far
//! the two are apart, request by request and as distributions. [`closed_loop`] does the same for
//! tables of servers that were measured at a fixed concurrency.

mod aiperf;
mod bench;
pub mod cards;
pub mod closed_loop;
pub mod compare;
mod error;
mod folder;
mod h100;
pub(crate) mod lines;
mod measured;
mod open;
pub mod picture;
pub mod replay;
pub(crate) mod scratch;
pub mod server;
mod vllm_run;

pub(crate) use bench::is_one as is_bench_result;
pub use error::ValidateError;
pub use measured::{EngineSample, MeasuredRequest, MeasuredRun, Stage};
pub use open::open;
