//! Sharing a cost out so that the parts sum to the whole.

use super::money::mul_div;
use super::{BillError, Nanodollars};

/// Shares `cost` out in proportion to `weights` (tokens, busy nanoseconds: any one unit), one part per
/// weight, so that the parts sum to `cost` exactly. A weight of 0 gets nothing.
///
/// Every part is first rounded towards zero; the nano-dollars left over, fewer than there are weights, go
/// one each to the parts with the largest remainders, equal ones in order. So every part is within one
/// nano-dollar of its exact share. Weights may be any numbers that sum to at most 2^127.
///
/// # Errors
/// Weights that are all zero (or none at all), or whose sum does not fit.
///
/// Source: the method of largest remainders (Hamilton), as for seats by votes; Balinski & Young, Fair
/// Representation, 1982.
pub fn attribute(cost: Nanodollars, weights: &[u128]) -> Result<Vec<Nanodollars>, BillError> {
    const TOO_LARGE: BillError = BillError::Overflow {
        what: "the sum of the weights",
    };
    let sum = weights
        .iter()
        .try_fold(0_u128, |sum, &weight| sum.checked_add(weight))
        .ok_or(TOO_LARGE)?;
    if sum == 0 {
        return Err(BillError::NoWeight);
    }
    let size = cost.0.unsigned_abs();
    let mut parts = Vec::with_capacity(weights.len());
    for (index, &weight) in weights.iter().enumerate() {
        let (share, remainder) = mul_div(size, weight, sum).ok_or(TOO_LARGE)?;
        parts.push((share, remainder, index));
    }
    // No part exceeds the whole, so that this neither overflows nor goes below 0.
    let left = parts.iter().fold(size, |left, part| left - part.0);
    parts.sort_by_key(|&(_, remainder, index)| (std::cmp::Reverse(remainder), index));
    for (part, _) in parts.iter_mut().zip(0..left) {
        part.0 += 1;
    }
    parts.sort_by_key(|&(_, _, index)| index);
    Ok(parts
        .into_iter()
        .map(|(share, _, _)| signed(share, cost.0 < 0))
        .collect())
}

/// A size with its sign: the size is at most that of an `i128`, whose lowest value has no positive.
fn signed(size: u128, negative: bool) -> Nanodollars {
    if negative {
        Nanodollars(0_i128.wrapping_sub_unsigned(size))
    } else {
        Nanodollars(i128::try_from(size).unwrap_or(i128::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn largest_remainders_get_what_is_left() {
        // 10 by 1:1:1 is 3 each and one left: the first of equals.
        let parts = attribute(Nanodollars(10), &[1, 1, 1]).unwrap();
        assert_eq!(parts, [Nanodollars(4), Nanodollars(3), Nanodollars(3)]);
        // 100 by 1:2:4 is 14.29, 28.57, 57.14: one left, to the second.
        let parts = attribute(Nanodollars(100), &[1, 2, 4]).unwrap();
        assert_eq!(parts, [Nanodollars(14), Nanodollars(29), Nanodollars(57)]);
        assert_eq!(
            attribute(Nanodollars(-10), &[0, 5]).unwrap(),
            [Nanodollars(0), Nanodollars(-10)]
        );
    }

    #[test]
    fn nothing_to_share_by() {
        assert_eq!(attribute(Nanodollars(1), &[]), Err(BillError::NoWeight));
        assert_eq!(attribute(Nanodollars(1), &[0, 0]), Err(BillError::NoWeight));
        assert!(attribute(Nanodollars(1), &[u128::MAX, 1]).is_err());
        assert!(attribute(Nanodollars(1), &[u128::MAX]).is_err());
        assert_eq!(
            attribute(Nanodollars(i128::MIN), &[3]).unwrap(),
            [Nanodollars(i128::MIN)]
        );
    }

    proptest! {
        #[test]
        fn parts_sum_to_the_whole(
            cost in any::<i128>(),
            weights in proptest::collection::vec(0_u128..(1 << 120), 1..40),
        ) {
            prop_assume!(weights.iter().any(|&weight| weight > 0));
            let parts = attribute(Nanodollars(cost), &weights).unwrap();
            prop_assert_eq!(parts.len(), weights.len());
            prop_assert_eq!(parts.iter().map(|part| part.0).sum::<i128>(), cost);
            for (part, &weight) in parts.iter().zip(&weights) {
                prop_assert!(weight > 0 || part.0 == 0);
                prop_assert!(part.0 == 0 || (part.0 < 0) == (cost < 0));
            }
        }

        #[test]
        fn every_part_is_within_one_of_its_share(
            cost in 0_i128..1_000_000,
            weights in proptest::collection::vec(1_u128..1_000, 1..20),
        ) {
            let sum = i128::try_from(weights.iter().sum::<u128>()).unwrap();
            let parts = attribute(Nanodollars(cost), &weights).unwrap();
            for (part, &weight) in parts.iter().zip(&weights) {
                let exact = cost * i128::try_from(weight).unwrap();
                prop_assert!((part.0 * sum - exact).abs() < sum);
            }
        }
    }
}
