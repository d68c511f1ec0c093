//! Exact billing: node lifetimes into whole nano-dollars, and what they come to per token and request.
//!
//! # Rounding
//! Money is rounded at two places only, and sums are of whole numbers after that:
//! 1. a price is rounded to the nearest nano-dollar per hour when an [`HourlyRate`] is made of it;
//! 2. what *one node* costs (rate x billed time) is rounded to the nearest nano-dollar, halves up, when it
//!    is added to a [`Bill`].
//!
//! So a bill of n nodes is within n/2 nano-dollars of the unrounded product, and the sums over pools, over
//! markets and over regions equal the total exactly, whatever the prices.

mod attribute;
mod data;
mod ledger;
mod money;
mod rule;
#[cfg(test)]
mod tests;
mod unit;

pub use attribute::attribute;
pub use data::{HOURS_PER_MONTH, egress_cost, storage_cost};
pub use ledger::{Bill, BillKey, BillLine, NodeCharge};
pub use money::{HourlyRate, MAX_USD_PER_HOUR, Nanodollars};
pub use rule::{BilledFrom, BillingRule, NodeTimes, billed};
pub use unit::{HOURS_PER_YEAR, usd_per_million};

/// Why a bill could not be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BillError {
    /// An argument lies outside what is defined.
    #[error("{name} = {value} is out of range: it must be {allowed}")]
    OutOfRange {
        /// The argument's name.
        name: &'static str,
        /// The value given.
        value: f64,
        /// What is allowed, in words.
        allowed: &'static str,
    },
    /// A node's interval ends before it begins.
    #[error("a node's interval ends at {to_ns} ns, before it begins at {from_ns} ns")]
    EndsBeforeStart {
        /// Its begin, nanoseconds of simulated time.
        from_ns: u64,
        /// Its end, nanoseconds of simulated time.
        to_ns: u64,
    },
    /// Costs are to be shared out, but nothing has a weight.
    #[error("a cost cannot be shared out by weights that are all zero: give at least one above 0")]
    NoWeight,
    /// A sum does not fit.
    #[error("{what} is too large to be added up exactly")]
    Overflow {
        /// What was being added up.
        what: &'static str,
    },
}
