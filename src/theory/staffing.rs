//! How many servers and how many spares a target needs.
//!
//! Pure functions of numbers. Times are in the caller's unit (any one unit, used throughout), rates are per
//! that unit, `mu` is one server's rate, and an offered load is in Erlangs: arrival rate x mean service
//! time. What counts as a server is the caller's choice: a node, or one slot of a replica's batch.
//!
//! | Question | Item |
//! |---|---|
//! | A rule of thumb for large pools, and what it promises | [`square_root_staffing_for_wait`], [`halfin_whitt_p_wait`], [`halfin_whitt_beta`] |
//! | Fewest servers for a wait, for a response time | [`servers_for_wait`], [`servers_for_sojourn`] |
//! | Fewest nodes so that enough are up | [`spare_nodes`], [`spare_nodes_in_groups`], [`p_enough`] |

mod servers;
mod spares;
mod square_root;
#[cfg(test)]
mod tests;

pub use servers::{servers_for_sojourn, servers_for_wait, sojourn_tail, wait_tail};
pub use spares::{
    Availability, DownNodes, MAX_NODES, SparePlan, expected_down, p_enough, spare_nodes,
    spare_nodes_in_groups,
};
pub use square_root::{
    beta_of, halfin_whitt_beta, halfin_whitt_p_wait, square_root_staffing_for_wait,
};

use super::TheoryError;

/// Why a staffing question has no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StaffingError {
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
    /// A formula of queueing says so.
    #[error(transparent)]
    Queueing(#[from] TheoryError),
    /// No number of servers meets the target.
    #[error("no number of {what} meets the target: {because}")]
    Unreachable {
        /// What was to be counted.
        what: &'static str,
        /// Why more of them do not help.
        because: &'static str,
    },
}

fn positive(name: &'static str, value: f64) -> Result<f64, StaffingError> {
    if value.is_finite() && value > 0.0 {
        return Ok(value);
    }
    let allowed = "finite and above 0";
    Err(StaffingError::OutOfRange {
        name,
        value,
        allowed,
    })
}

fn non_negative(name: &'static str, value: f64) -> Result<f64, StaffingError> {
    if value.is_finite() && value >= 0.0 {
        return Ok(value);
    }
    let allowed = "finite and 0 or more";
    Err(StaffingError::OutOfRange {
        name,
        value,
        allowed,
    })
}

fn open_unit(name: &'static str, value: f64) -> Result<f64, StaffingError> {
    if value > 0.0 && value < 1.0 {
        return Ok(value);
    }
    let allowed = "above 0 and below 1";
    Err(StaffingError::OutOfRange {
        name,
        value,
        allowed,
    })
}
