//! What moved and stored bytes cost.

use super::money::{NS_PER_HOUR, scale};
use super::{BillError, HourlyRate, Nanodollars};
use crate::engine::SimDuration;

/// Hours in the month that prices per GB-month speak of: 8,760 / 12, as price calculators take it.
pub const HOURS_PER_MONTH: u64 = 730;

/// Bytes in the GB of a price: decimal, as the simulator counts bytes. A provider whose GB is 2^30 bytes
/// bills 6.9 % less.
const BYTES_PER_GB: u128 = 1_000_000_000;

/// The price of a GB in whole nano-dollars; an [`HourlyRate`] has the same range and rounding.
fn nanodollars_per_gb(usd_per_gb: f64) -> Result<Nanodollars, BillError> {
    HourlyRate::from_usd_per_hour(usd_per_gb)
        .map(|rate| Nanodollars(i128::from(rate.nanodollars_per_hour())))
        .map_err(|_| BillError::OutOfRange {
            name: "price in USD per GB",
            value: usd_per_gb,
            allowed: "finite, 0 or more and at most 1e9",
        })
}

/// What moving `bytes` costs at `usd_per_gb` US dollars per 1e9 bytes (0 to 1e9), to the nearest
/// nano-dollar, halves up.
///
/// # Errors
/// A price out of range.
pub fn egress_cost(bytes: u64, usd_per_gb: f64) -> Result<Nanodollars, BillError> {
    scale(
        nanodollars_per_gb(usd_per_gb)?,
        u128::from(bytes),
        BYTES_PER_GB,
    )
    .ok_or(BillError::Overflow {
        what: "a cost of moved bytes",
    })
}

/// What keeping `bytes` for `duration` costs at `usd_per_gb_month` US dollars per 1e9 bytes and month of
/// [`HOURS_PER_MONTH`] (0 to 1e9), to the nearest nano-dollar, halves up.
///
/// # Errors
/// A price out of range.
pub fn storage_cost(
    bytes: u64,
    duration: SimDuration,
    usd_per_gb_month: f64,
) -> Result<Nanodollars, BillError> {
    let month_ns = u128::from(HOURS_PER_MONTH) * u128::from(NS_PER_HOUR);
    scale(
        nanodollars_per_gb(usd_per_gb_month)?,
        u128::from(bytes) * u128::from(duration.0),
        BYTES_PER_GB * month_ns,
    )
    .ok_or(BillError::Overflow {
        what: "a cost of stored bytes",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_by_hand() {
        // 250 GB at $0.02 are $5.
        let cost = egress_cost(250_000_000_000, 0.02).unwrap();
        assert_eq!(cost, Nanodollars(5_000_000_000));
        // 1 TB for half a month at $0.08 is $40.
        let half = SimDuration(365 * NS_PER_HOUR);
        let cost = storage_cost(1_000_000_000_000, half, 0.08).unwrap();
        assert_eq!(cost, Nanodollars(40_000_000_000));
        assert_eq!(egress_cost(u64::MAX, 0.0), Ok(Nanodollars(0)));
    }

    #[test]
    fn extremes() {
        assert!(egress_cost(u64::MAX, 1e9).is_ok());
        assert!(storage_cost(u64::MAX, SimDuration(u64::MAX), 1e9).is_ok());
        assert!(egress_cost(1, f64::NAN).is_err());
        assert!(storage_cost(1, SimDuration(1), -1.0).is_err());
    }
}
