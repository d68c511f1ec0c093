//! Whole nano-dollars, hourly rates, and exact multiplication and division.

use serde::{Deserialize, Serialize};

use super::BillError;
use crate::engine::SimDuration;

/// Nano-dollars in a dollar.
pub(super) const NANODOLLARS_PER_USD: f64 = 1e9;
/// Nanoseconds in an hour.
pub(super) const NS_PER_HOUR: u64 = 3_600_000_000_000;

/// The highest hourly rate that is accepted, in US dollars per hour: no node costs a billion dollars an
/// hour, and below it every cost of a node fits many times over.
pub const MAX_USD_PER_HOUR: f64 = 1e9;

/// An amount of money in whole nano-dollars (1e-9 US dollars); negative amounts are credits.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Nanodollars(pub i128);

impl Nanodollars {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// The nearest whole nano-dollar to `usd` US dollars, halves away from zero. `usd` is between -1e18
    /// and 1e18; beyond about 9e6 dollars a double itself is coarser than a nano-dollar.
    ///
    /// # Errors
    /// `usd` out of that range or not finite.
    pub fn from_usd(usd: f64) -> Result<Self, BillError> {
        if usd.abs() <= 1e18 {
            Ok(Self((usd * NANODOLLARS_PER_USD).round() as i128))
        } else {
            Err(BillError::OutOfRange {
                name: "amount in USD",
                value: usd,
                allowed: "finite and between -1e18 and 1e18",
            })
        }
    }

    /// In US dollars, for reports; not for sums, which are exact only in nano-dollars.
    #[must_use]
    pub fn as_usd(self) -> f64 {
        self.0 as f64 / NANODOLLARS_PER_USD
    }

    /// The sum, or `None` when it does not fit.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, or `None` when it does not fit.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }
}

/// A price per hour in whole nano-dollars, 0 to [`MAX_USD_PER_HOUR`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct HourlyRate(u64);

impl HourlyRate {
    /// The nearest whole nano-dollar per hour to `usd_per_hour` US dollars, 0 to [`MAX_USD_PER_HOUR`].
    ///
    /// # Errors
    /// A rate out of that range or not finite.
    pub fn from_usd_per_hour(usd_per_hour: f64) -> Result<Self, BillError> {
        if (0.0..=MAX_USD_PER_HOUR).contains(&usd_per_hour) {
            Ok(Self((usd_per_hour * NANODOLLARS_PER_USD).round() as u64))
        } else {
            Err(BillError::OutOfRange {
                name: "rate in USD per hour",
                value: usd_per_hour,
                allowed: "finite, 0 or more and at most 1e9",
            })
        }
    }

    /// A rate of whole nano-dollars per hour; `None` above [`MAX_USD_PER_HOUR`].
    #[must_use]
    pub fn from_nanodollars_per_hour(nanodollars_per_hour: u64) -> Option<Self> {
        let max = (MAX_USD_PER_HOUR * NANODOLLARS_PER_USD) as u64;
        (nanodollars_per_hour <= max).then_some(Self(nanodollars_per_hour))
    }

    /// The rate of `count` at this rate each: a node's from its accelerators'. Exact.
    ///
    /// # Errors
    /// A product above [`MAX_USD_PER_HOUR`].
    pub fn times(self, count: u32) -> Result<Self, BillError> {
        self.0
            .checked_mul(u64::from(count))
            .and_then(Self::from_nanodollars_per_hour)
            .ok_or(BillError::Overflow {
                what: "an hourly rate",
            })
    }

    /// In nano-dollars per hour.
    #[must_use]
    pub fn nanodollars_per_hour(self) -> u64 {
        self.0
    }

    /// In US dollars per hour, for reports.
    #[must_use]
    pub fn as_usd_per_hour(self) -> f64 {
        self.0 as f64 / NANODOLLARS_PER_USD
    }

    /// What `duration` costs: rate x duration to the nearest nano-dollar, halves up.
    #[must_use]
    pub fn cost(self, duration: SimDuration) -> Nanodollars {
        // Below 1.9e37, so that neither the product nor the half overflows.
        let product = u128::from(self.0) * u128::from(duration.0);
        let rounded = (product + u128::from(NS_PER_HOUR / 2)) / u128::from(NS_PER_HOUR);
        Nanodollars(i128::try_from(rounded).unwrap_or(i128::MAX))
    }
}

/// `a * b / divisor` as a whole quotient and a remainder, exact although the product may need 256 bits.
/// `None` when `divisor` is 0 or above 2^127, or the quotient does not fit.
pub(super) fn mul_div(a: u128, b: u128, divisor: u128) -> Option<(u128, u128)> {
    // Below 2^127, a remainder can be doubled.
    if divisor == 0 || divisor > 1 << 127 {
        return None;
    }
    let (whole, part) = (a / divisor, a % divisor);
    let (mut quotient, mut remainder) = (0_u128, 0_u128);
    // Long multiplication by b from its highest bit, with every step divided at once.
    for bit in (0..u128::BITS - b.leading_zeros()).rev() {
        quotient = quotient.checked_mul(2)?;
        remainder *= 2;
        if remainder >= divisor {
            remainder -= divisor;
            quotient = quotient.checked_add(1)?;
        }
        if b >> bit & 1 == 1 {
            quotient = quotient.checked_add(whole)?;
            // Both are below the divisor: the sum without overflow.
            if remainder >= divisor - part {
                remainder -= divisor - part;
                quotient = quotient.checked_add(1)?;
            } else {
                remainder += part;
            }
        }
    }
    Some((quotient, remainder))
}

/// `a * b / divisor` to the nearest whole number, halves away from zero, keeping the sign of `a`.
pub(super) fn scale(amount: Nanodollars, by: u128, divisor: u128) -> Option<Nanodollars> {
    let (quotient, remainder) = mul_div(amount.0.unsigned_abs(), by, divisor)?;
    let up = u128::from(remainder >= divisor - remainder && remainder > 0);
    let size = i128::try_from(quotient.checked_add(up)?).ok()?;
    Some(Nanodollars(if amount.0 < 0 { -size } else { size }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rates_round_to_the_nanodollar() {
        let rate = HourlyRate::from_usd_per_hour(3.2).unwrap();
        assert_eq!(rate.nanodollars_per_hour(), 3_200_000_000);
        assert_eq!(
            rate.times(8).unwrap().nanodollars_per_hour(),
            25_600_000_000
        );
        // 1 nano-dollar per hour for half an hour is half a nano-dollar: up.
        let least = HourlyRate::from_nanodollars_per_hour(1).unwrap();
        assert_eq!(least.cost(SimDuration(NS_PER_HOUR / 2)), Nanodollars(1));
        assert_eq!(least.cost(SimDuration(NS_PER_HOUR / 2 - 1)), Nanodollars(0));
    }

    #[test]
    fn rates_out_of_range_are_refused() {
        for usd in [f64::NAN, f64::INFINITY, -1e-9, 1.1e9] {
            assert!(HourlyRate::from_usd_per_hour(usd).is_err(), "{usd}");
        }
        let most = HourlyRate::from_usd_per_hour(MAX_USD_PER_HOUR).unwrap();
        assert!(most.times(2).is_err());
        assert!(most.cost(SimDuration(u64::MAX)).0 > 0);
        assert!(Nanodollars::from_usd(f64::NAN).is_err());
        assert_eq!(Nanodollars::from_usd(-1.5).unwrap().0, -1_500_000_000);
    }

    #[test]
    fn scaling_rounds_halves_away_from_zero() {
        assert_eq!(scale(Nanodollars(5), 1, 2), Some(Nanodollars(3)));
        assert_eq!(scale(Nanodollars(-5), 1, 2), Some(Nanodollars(-3)));
        assert_eq!(scale(Nanodollars(6), 1, 2), Some(Nanodollars(3)));
        assert_eq!(scale(Nanodollars(1), 1, 0), None);
        assert_eq!(scale(Nanodollars(i128::MAX), u128::MAX, 1), None);
        assert_eq!(
            mul_div(u128::MAX, u128::MAX >> 1, u128::MAX >> 1),
            Some((u128::MAX, 0))
        );
    }

    proptest! {
        #[test]
        fn mul_div_is_exact(a in any::<u64>(), b in any::<u64>(), divisor in 1_u64..) {
            let product = u128::from(a) * u128::from(b);
            let divisor = u128::from(divisor);
            prop_assert_eq!(
                mul_div(u128::from(a), u128::from(b), divisor),
                Some((product / divisor, product % divisor))
            );
        }

        #[test]
        fn mul_div_undoes_itself(a in any::<u128>(), b in 1_u128..=(1 << 127)) {
            prop_assert_eq!(mul_div(a, b, b), Some((a, 0)));
        }
    }
}
