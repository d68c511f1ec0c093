//! One rate for capacity that is bought on several markets.

use super::{BillError, HourlyRate, Nanodollars};

/// Shares are taken to this many parts, so that a blend is worked out in whole numbers.
const PARTS: f64 = 1e9;

/// The mean rate of capacity of which each `(share, rate)` buys its share: 60 % at $1.20 and 40 % at $3.20
/// are $2.00. Rounded to the nearest nano-dollar per hour, halves up.
///
/// Every share is 0 to 1 (rounded to a billionth); together they are 1, to a billionth per share.
///
/// # Errors
/// A share out of range, or shares that do not sum to 1.
pub fn blended(shares: &[(f64, HourlyRate)]) -> Result<HourlyRate, BillError> {
    let (mut parts, mut product) = (0_u128, 0_u128);
    for &(share, rate) in shares {
        if !(0.0..=1.0).contains(&share) {
            return Err(BillError::OutOfRange {
                name: "share",
                value: share,
                allowed: "0 or more and at most 1",
            });
        }
        let part = (share * PARTS).round() as u128;
        // At most 1e9 x 1e18 per share: a slice of them cannot overflow.
        parts = parts.saturating_add(part);
        product = product.saturating_add(part * u128::from(rate.nanodollars_per_hour()));
    }
    let off = (parts as f64 - PARTS).abs();
    if off > shares.len() as f64 || parts == 0 {
        return Err(BillError::OutOfRange {
            name: "sum of the shares",
            value: parts as f64 / PARTS,
            allowed: "1",
        });
    }
    u64::try_from((product + parts / 2) / parts)
        .ok()
        .and_then(HourlyRate::from_nanodollars_per_hour)
        .ok_or(BillError::Overflow {
            what: "a blended rate",
        })
}

/// The share of `full` that paying `paid` instead saves, 0 to 1, or negative where `paid` is more; `None`
/// when `full` is not above 0.
#[must_use]
pub fn saved_share(full: Nanodollars, paid: Nanodollars) -> Option<f64> {
    let saved = full.checked_sub(paid)?;
    (full.0 > 0).then(|| saved.0 as f64 / full.0 as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(usd: f64) -> HourlyRate {
        HourlyRate::from_usd_per_hour(usd).unwrap()
    }

    #[test]
    fn blends_are_exact() {
        assert_eq!(
            blended(&[(0.6, rate(1.2)), (0.4, rate(3.2))]),
            Ok(rate(2.0))
        );
        let third = 1.0 / 3.0;
        let three = [(third, rate(1.0)), (third, rate(2.0)), (third, rate(3.0))];
        assert_eq!(blended(&three), Ok(rate(2.0)));
        assert_eq!(blended(&[(1.0, rate(1e9))]), Ok(rate(1e9)));
    }

    #[test]
    fn shares_must_make_a_whole() {
        assert!(blended(&[]).is_err());
        assert!(blended(&[(0.0, rate(1.0))]).is_err());
        assert!(blended(&[(0.6, rate(1.0)), (0.3, rate(1.0))]).is_err());
        assert!(blended(&[(f64::NAN, rate(1.0))]).is_err());
        assert!(blended(&[(1.5, rate(1.0)), (-0.5, rate(1.0))]).is_err());
    }

    #[test]
    fn savings() {
        assert_eq!(saved_share(Nanodollars(8), Nanodollars(5)), Some(0.375));
        assert_eq!(saved_share(Nanodollars(0), Nanodollars(5)), None);
        assert_eq!(
            saved_share(Nanodollars(i128::MAX), Nanodollars(i128::MIN)),
            None
        );
    }
}
