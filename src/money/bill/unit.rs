//! Costs per year, per token and per request.

use serde::Serialize;

use super::Nanodollars;
use super::money::{NS_PER_HOUR, scale};
use crate::engine::SimDuration;

/// Hours in the year that costs are extrapolated to: 365 days of 24 h.
pub const HOURS_PER_YEAR: u64 = 8_760;

/// `cost` over `span` extrapolated to a year of [`HOURS_PER_YEAR`], to the nearest nano-dollar, halves
/// away from zero. `None` for an empty span, or when the result does not fit.
#[must_use]
pub fn per_year(cost: Nanodollars, span: SimDuration) -> Option<Nanodollars> {
    let year_ns = u128::from(HOURS_PER_YEAR) * u128::from(NS_PER_HOUR);
    scale(cost, year_ns, u128::from(span.0))
}

/// US dollars per one of `count`; `None` when there are none.
#[must_use]
pub fn usd_each(cost: Nanodollars, count: u64) -> Option<f64> {
    (count > 0).then(|| cost.as_usd() / count as f64)
}

/// US dollars per million of `count`; `None` when there are none.
#[must_use]
pub fn usd_per_million(cost: Nanodollars, count: u64) -> Option<f64> {
    usd_each(cost, count).map(|usd| usd * 1e6)
}

/// What a cost paid for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Served {
    /// Prompt tokens of completed requests.
    pub input_tokens: u64,
    /// Output tokens of completed requests.
    pub output_tokens: u64,
    /// Completed requests.
    pub requests: u64,
    /// Those of them that met their SLO.
    pub slo_met_requests: u64,
}

/// What one of each thing served cost, in US dollars; `None` where there are none.
///
/// Each figure is the *whole* cost over that count: they are not to be added. For a price list with
/// separate prices of input and output, share the cost out first ([`super::attribute`], by prefill and
/// decode busy time for instance) and take [`usd_per_million`] of each part.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct UnitCosts {
    /// Per million prompt tokens.
    pub usd_per_million_input_tokens: Option<f64>,
    /// Per million output tokens.
    pub usd_per_million_output_tokens: Option<f64>,
    /// Per million tokens, prompt and output together.
    pub usd_per_million_tokens: Option<f64>,
    /// Per completed request.
    pub usd_per_request: Option<f64>,
    /// Per request that met its SLO.
    pub usd_per_slo_met_request: Option<f64>,
}

impl UnitCosts {
    /// The unit costs of `served`, which cost `cost` in all.
    #[must_use]
    pub fn of(cost: Nanodollars, served: &Served) -> Self {
        Self {
            usd_per_million_input_tokens: usd_per_million(cost, served.input_tokens),
            usd_per_million_output_tokens: usd_per_million(cost, served.output_tokens),
            usd_per_million_tokens: usd_per_million(
                cost,
                served.input_tokens.saturating_add(served.output_tokens),
            ),
            usd_per_request: usd_each(cost, served.requests),
            usd_per_slo_met_request: usd_each(cost, served.slo_met_requests),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_into_a_year() {
        let day = SimDuration(24 * NS_PER_HOUR);
        assert_eq!(per_year(Nanodollars(10), day), Some(Nanodollars(3_650)));
        assert_eq!(per_year(Nanodollars(10), SimDuration(0)), None);
        assert_eq!(per_year(Nanodollars(i128::MAX), SimDuration(1)), None);
        let year = SimDuration(HOURS_PER_YEAR * NS_PER_HOUR);
        assert_eq!(
            per_year(Nanodollars(i128::MAX), year),
            Some(Nanodollars(i128::MAX))
        );
    }

    #[test]
    fn units_by_hand() {
        // $6 for 2 million prompt tokens, half a million output tokens, 1,000 requests of which 750 in time.
        let cost = Nanodollars(6_000_000_000);
        let served = Served {
            input_tokens: 2_000_000,
            output_tokens: 500_000,
            requests: 1_000,
            slo_met_requests: 750,
        };
        let units = UnitCosts::of(cost, &served);
        assert_eq!(units.usd_per_million_input_tokens, Some(3.0));
        assert_eq!(units.usd_per_million_output_tokens, Some(12.0));
        assert_eq!(units.usd_per_million_tokens, Some(2.4));
        assert_eq!(units.usd_per_request, Some(0.006));
        assert_eq!(units.usd_per_slo_met_request, Some(0.008));
    }

    #[test]
    fn nothing_served_has_no_unit_cost() {
        let units = UnitCosts::of(Nanodollars(1), &Served::default());
        assert_eq!(units, UnitCosts::default());
    }
}
