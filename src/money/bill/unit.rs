//! Costs per million of what was served.

use super::Nanodollars;

/// Hours in the year that costs are extrapolated to: 365 days of 24 h.
pub const HOURS_PER_YEAR: u64 = 8_760;

/// US dollars per million of `count`; `None` when there are none.
#[must_use]
pub fn usd_per_million(cost: Nanodollars, count: u64) -> Option<f64> {
    (count > 0).then(|| cost.as_usd() / count as f64 * 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_by_hand() {
        // $6 for 2 million prompt tokens, half a million output tokens, 1,000 requests.
        let cost = Nanodollars(6_000_000_000);
        assert_eq!(usd_per_million(cost, 2_000_000), Some(3.0));
        assert_eq!(usd_per_million(cost, 500_000), Some(12.0));
        assert_eq!(usd_per_million(cost, 1_000), Some(6_000.0));
        assert_eq!(usd_per_million(cost, 0), None);
    }
}
