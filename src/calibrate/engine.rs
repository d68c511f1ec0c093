//! What an engine adds to the kernels, fitted to end-to-end measurements.
//!
//! [`measurement`] reads rows of mean TTFT and TPOT, [`model`] simulates the client that measured
//! each and says how the two move with every unknown of [`parameter`], [`solve`] fits the unknowns by
//! robust least squares within bounds, from several starts down by [`descent`], and [`judge`] says what the
//! fit is worth: errors on rows that it has not seen ([`split`]), what rows of the same setting differ by
//! ([`repeated`]), intervals, how far what moves nothing may go ([`flat`]), and which unknowns the rows
//! cannot tell apart ([`beware`]). [`picture`] draws it.

pub mod beware;
pub mod descent;
pub mod fitted;
pub mod flat;
pub mod judge;
pub mod measurement;
pub mod model;
pub mod parameter;
pub mod picture;
pub mod read;
mod refusal;
pub mod repeated;
pub mod solve;
pub mod split;
