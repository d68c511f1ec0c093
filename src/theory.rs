//! Queueing formulas that a simulated fleet can be held against.
//!
//! Everything here is a pure function of numbers: no random draws, no clocks, no state. Times are in
//! the caller's unit (seconds, milliseconds, service times: any one unit, used throughout), rates are
//! per that same unit, and service rates are one server's rate. Arguments are checked: a value out of
//! range gives a [`TheoryError`] that names the argument, the value and what is allowed.
//!
//! | Model | Item |
//! |---|---|
//! | Erlang B and C, staffing | [`erlang_b`], [`erlang_c`], [`servers_for_erlang_c`], [`servers_for_wait_quantile`], [`square_root_staffing`] |
//! | M/M/c, M/M/1 | [`Mmc`] |
//! | M/M/c/K, M/M/c/c | [`Mmck`], [`erlang_b`] |
//! | M/D/1, M/D/c | [`Md1`], [`Mdc`] |
//! | M/G/1, M/H2/1, vacations, batch arrivals | [`Mg1`], [`Mh21`], [`mg1_vacation_wait`], [`batch_arrivals_mean_in_system`] |
//! | Processor sharing | [`ps_mean_sojourn`], [`ps_conditional_sojourn`], [`mm1_ps_sojourn_variance`], [`mmc_ps_mean_sojourn`] |
//! | G/G/c approximations | [`allen_cunneen`], [`kingman`], [`kingman_bound`] |
//! | Batches | [`BatchingWindow`], [`BulkService`], [`batch_saturation_rate`] |
//! | Closed systems and impatience | [`MachineRepair`], [`ErlangA`] |
//! | Priority and routing | [`priority_waits_mmc`], [`priority_waits_mg1`], [`supermarket_mean_sojourn`], [`jsq2_mean_in_system`] |
//! | Log-structured merge trees | [`lsm_levels`], [`lsm_write_amplification`], [`lsm_space_amplification_bound`], [`bloom_false_positive`], [`absent_lookup_blocks`], [`monkey_absent_lookup_blocks`], [`delete_persistence`], [`fade_first_ttl`], [`fade_deadline`] |
//! | Networks and other M/M/1 variants | [`Jackson`], [`mm1_feedback`], [`Retrial`], [`breakdown_mean_in_system`] |
//!
//! [`sheet`] writes the formulas that apply to one queue out as rows with the numbers put in.

mod applied;
mod approx;
mod batching;
mod deterministic;
mod erlang;
mod finite;
mod jsq;
mod lsm;
mod mg1;
mod mmc;
mod network;
mod numeric;
mod priority;
mod sharing;
pub mod sheet;
pub mod staffing;

pub use approx::{allen_cunneen, kingman, kingman_bound, little_number, little_time};
pub use batching::{BatchingWindow, BulkService, batch_saturation_rate, batch_service_time};
pub use deterministic::{Md1, Mdc};
pub use erlang::{
    MAX_SERVERS, erlang_b, erlang_c, servers_for_erlang_c, servers_for_wait_quantile,
    square_root_staffing,
};
pub use finite::{ErlangA, MachineRepair, Mmck};
pub use jsq::jsq2_mean_in_system;
pub use lsm::{
    Merging, absent_lookup_blocks, bloom_false_positive, delete_persistence, fade_deadline,
    fade_first_ttl, lsm_levels, lsm_runs, lsm_space_amplification_bound, lsm_write_amplification,
    monkey_absent_lookup_blocks,
};
pub use mg1::{
    Mg1, Mh21, batch_arrivals_mean_in_system, mg1_vacation_wait, mg1_wait, mg1_wait_second_moment,
};
pub use mmc::Mmc;
pub use network::{
    FeedbackQueue, Jackson, Retrial, breakdown_mean_in_system, mm1_feedback,
    supermarket_mean_sojourn,
};
pub use priority::{PriorityClass, priority_waits_mg1, priority_waits_mmc};
pub use sharing::{
    mm1_ps_sojourn_variance, mmc_ps_mean_sojourn, ps_conditional_sojourn, ps_mean_sojourn,
    ps_slowdown,
};
pub use sheet::{Applied, QueueingInput, ServiceKind};

/// Why a formula could not be evaluated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TheoryError {
    /// An argument lies outside what the formula is defined for.
    #[error("{name} = {value} is out of range: it must be {allowed}")]
    OutOfRange {
        /// The argument's name.
        name: &'static str,
        /// The value given.
        value: f64,
        /// What is allowed, in words.
        allowed: &'static str,
    },
    /// The queue gets more work than it can do, so that no steady state exists.
    #[error(
        "{name} = {value} is out of range: it must be below 1, or the queue grows without bound"
    )]
    Unstable {
        /// The name of the load.
        name: &'static str,
        /// The load given (work offered over capacity).
        value: f64,
    },
    /// The numbers are valid but the computation would be too large.
    #[error("{name} = {value} is too large for this computation: it must be {allowed}")]
    TooLarge {
        /// The name of the quantity.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What is allowed, in words.
        allowed: &'static str,
    },
}

/// A finite number above 0, or an error naming it.
pub(crate) fn positive(name: &'static str, value: f64) -> Result<f64, TheoryError> {
    if value.is_finite() && value > 0.0 {
        Ok(value)
    } else {
        Err(TheoryError::OutOfRange {
            name,
            value,
            allowed: "finite and above 0",
        })
    }
}

/// A finite number of 0 or more, or an error naming it.
pub(crate) fn non_negative(name: &'static str, value: f64) -> Result<f64, TheoryError> {
    if value.is_finite() && value >= 0.0 {
        Ok(value)
    } else {
        Err(TheoryError::OutOfRange {
            name,
            value,
            allowed: "finite and 0 or more",
        })
    }
}

/// A probability that a quantile can be asked for: 0 or more and below 1.
pub(crate) fn quantile_level(name: &'static str, value: f64) -> Result<f64, TheoryError> {
    if (0.0..1.0).contains(&value) {
        Ok(value)
    } else {
        Err(TheoryError::OutOfRange {
            name,
            value,
            allowed: "0 or more and below 1",
        })
    }
}

/// A probability strictly between 0 and 1.
pub(crate) fn open_unit(name: &'static str, value: f64) -> Result<f64, TheoryError> {
    if value > 0.0 && value < 1.0 {
        Ok(value)
    } else {
        Err(TheoryError::OutOfRange {
            name,
            value,
            allowed: "above 0 and below 1",
        })
    }
}

/// A count of 1 or more.
pub(crate) fn at_least_one(name: &'static str, value: u64) -> Result<u64, TheoryError> {
    if value >= 1 {
        Ok(value)
    } else {
        Err(TheoryError::OutOfRange {
            name,
            value: value as f64,
            allowed: "1 or more",
        })
    }
}

/// A load below 1, or [`TheoryError::Unstable`].
pub(crate) fn stable(name: &'static str, rho: f64) -> Result<f64, TheoryError> {
    if rho < 1.0 {
        Ok(rho)
    } else {
        Err(TheoryError::Unstable { name, value: rho })
    }
}
