//! Arrivals that are switched on and off, with bursts while they are on.
//!
//! After some arrivals comes an off period, exponential. Seen from one arrival to the next that is a
//! mixture of two laws, fitted by expectation maximisation with Weibull gaps while on; the gaps that
//! are then most likely of an on period give their own law, by knots.

use super::renewal::{Family, Law};
use crate::measure::quantile_of_sorted;
use crate::scenario::workload::Arrivals;

/// Steps of expectation maximisation.
const STEPS: usize = 25;
/// An off period is this many times as long as a gap while on, or it is none.
const LEAST_RATIO: f64 = 5.0;
/// Off periods from which on there is something to fit.
const LEAST_OFF: f64 = 5.0;

/// A process that is switched on and off.
#[derive(Debug, Clone, PartialEq)]
pub struct Switched {
    /// Mean gap while on, seconds.
    pub on_gap_s: f64,
    /// Coefficient of variation of gaps while on.
    pub cv: f64,
    /// Share of arrivals that an off period follows.
    pub off_share: f64,
    /// Mean off period, seconds.
    pub off_s: f64,
    /// Logarithm of the likelihood of the gaps.
    pub log_likelihood: f64,
    /// Gaps while on over their mean, as knots of a quantile function.
    pub knots: Vec<(f64, f64)>,
}

/// Probabilities of the knots, close together where gaps are long: straight lines over a convex tail
/// would lengthen the mean, and with it shorten all gaps in proportion.
const KNOTS: [f64; 38] = [
    0.0, 0.01, 0.03, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7,
    0.75, 0.8, 0.825, 0.85, 0.875, 0.9, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.975, 0.98,
    0.985, 0.99, 0.993, 0.996, 0.998, 1.0,
];

impl Switched {
    /// The likeliest one for gaps, seconds; none where no off periods stand out.
    pub fn fit(gaps: &[f64], resolution_s: f64) -> Option<Switched> {
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let long = gaps.iter().filter(|gap| **gap > 5.0 * mean);
        let (count, sum) = long.fold((0.0, 0.0), |(count, sum), gap| (count + 1.0, sum + gap));
        if count < LEAST_OFF {
            return None;
        }
        let all = gaps.len() as f64;
        let mut found = Switched {
            on_gap_s: (mean * all - sum) / (all - count),
            cv: 1.5,
            off_share: count / all,
            off_s: sum / count,
            log_likelihood: f64::NEG_INFINITY,
            knots: Vec::new(),
        };
        for _ in 0..STEPS {
            let before = found.log_likelihood;
            found = found.step(gaps, resolution_s)?;
            if found.log_likelihood - before < 1e-6 * all {
                break;
            }
        }
        let enough = found.off_share * all >= LEAST_OFF;
        let apart = found.off_s > LEAST_RATIO * found.on_gap_s;
        (enough && apart).then(|| found.with_knots(gaps, resolution_s))
    }

    /// Parameters: two of periods, the rate, and the knots but for the scale.
    pub fn parameters(&self) -> usize {
        3 + self.knots.len().saturating_sub(1)
    }

    /// Takes the law of gaps while on from the gaps themselves.
    fn with_knots(mut self, gaps: &[f64], resolution_s: f64) -> Switched {
        let (on, off) = self.laws();
        let likely_on = |gap: &&f64| {
            let while_on = (1.0 - self.off_share) * on.density(**gap, resolution_s);
            while_on >= self.off_share * off.density(**gap, resolution_s)
        };
        let mut short: Vec<f64> = gaps.iter().filter(likely_on).copied().collect();
        short.sort_by(f64::total_cmp);
        let mean = short.iter().sum::<f64>() / short.len() as f64;
        let knot = |p: &f64| quantile_of_sorted(&short, *p).map(|gap| (*p, gap / mean));
        let knots: Option<Vec<(f64, f64)>> = KNOTS.iter().map(knot).collect();
        let Some(knots) = knots.filter(|_| mean > 0.0) else {
            return self;
        };
        // Off is what is left: all gaps together keep their mean.
        self.off_share = 1.0 - short.len() as f64 / gaps.len() as f64;
        let all: f64 = gaps.iter().sum();
        self.off_s = (all - mean * short.len() as f64) / (self.off_share * gaps.len() as f64);
        self.on_gap_s = mean;
        let off = Law::new(Family::Exponential, 1.0, self.off_s);
        let each = gaps.iter().map(|gap| {
            let while_on = density_of_knots(&knots, gap / mean, resolution_s / mean) / mean;
            let while_off = off.density(*gap, resolution_s);
            ((1.0 - self.off_share) * while_on + self.off_share * while_off).ln()
        });
        self.log_likelihood = each.sum();
        self.knots = knots;
        self
    }

    fn laws(&self) -> (Law, Law) {
        let on = Law::new(Family::Weibull, self.cv, self.on_gap_s);
        (on, Law::new(Family::Exponential, 1.0, self.off_s))
    }

    /// One step; the logarithm of the likelihood is that of the process before it.
    fn step(&self, gaps: &[f64], resolution_s: f64) -> Option<Switched> {
        let (on, off) = self.laws();
        let (mut likelihood, mut count, mut sum) = (0.0, 0.0, 0.0);
        let mut weights = Vec::with_capacity(gaps.len());
        for gap in gaps {
            let while_on = (1.0 - self.off_share) * on.density(*gap, resolution_s);
            let while_off = self.off_share * off.density(*gap, resolution_s);
            likelihood += (while_on + while_off).ln();
            let share = while_off / (while_on + while_off);
            count += share;
            sum += share * gap;
            weights.push(1.0 - share);
        }
        let (cv, on_gap_s) = Family::Weibull.fit_weighted(gaps, &weights, resolution_s);
        let next = Switched {
            on_gap_s,
            cv,
            off_share: count / gaps.len() as f64,
            off_s: sum / count,
            log_likelihood: likelihood,
            knots: Vec::new(),
        };
        let sound = [next.on_gap_s, next.off_s, likelihood]
            .iter()
            .all(|x| x.is_finite());
        (sound && next.on_gap_s > 0.0 && count > 0.0).then_some(next)
    }

    /// As a process of a workload with that mean rate.
    pub fn arrivals(&self, rate_per_s: f64) -> Arrivals {
        let on_mean_s = self.on_gap_s / self.off_share;
        Arrivals::OnOff {
            // All requests come while it is on.
            on_rate_per_s: rate_per_s * (on_mean_s + self.off_s) / on_mean_s,
            on_mean_s,
            off_mean_s: self.off_s,
            off_rate_per_s: 0.0,
            gap_knots: self.knots.clone(),
        }
    }
}

/// Density of a quantile function's law: uniform between knots, none of them narrower than what
/// can be told.
fn density_of_knots(knots: &[(f64, f64)], gap: f64, resolution: f64) -> f64 {
    let right = knots.partition_point(|knot| knot.1 < gap).max(1);
    let Some(right) = knots.get(right) else {
        return 0.0;
    };
    let left = knots.iter().rev().find(|knot| knot.1 < right.1);
    let Some(left) = left.filter(|left| left.1 <= gap) else {
        return 0.0;
    };
    (right.0 - left.0) / (right.1 - left.1).max(resolution)
}
