//! Arrivals that are switched on and off, with bursts while they are on.
//!
//! While on, gaps are Weibull; after some arrivals comes an off period, exponential. Seen from one
//! arrival to the next that is a mixture of two laws, fitted by expectation maximisation.

use super::renewal::{Family, Law};
use crate::scenario::workload::Arrivals;

/// Steps of expectation maximisation.
const STEPS: usize = 25;
/// An off period is this many times as long as a gap while on, or it is none.
const LEAST_RATIO: f64 = 5.0;
/// Off periods from which on there is something to fit.
const LEAST_OFF: f64 = 5.0;

/// A process that is switched on and off.
#[derive(Debug, Clone, Copy, PartialEq)]
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
}

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
        };
        for _ in 0..STEPS {
            let before = found.log_likelihood;
            found = found.step(gaps, resolution_s)?;
            if found.log_likelihood - before < 1e-6 * all {
                break;
            }
        }
        let enough = found.off_share * all >= LEAST_OFF;
        (enough && found.off_s > LEAST_RATIO * found.on_gap_s).then_some(found)
    }

    /// One step; the logarithm of the likelihood is that of the process before it.
    fn step(&self, gaps: &[f64], resolution_s: f64) -> Option<Switched> {
        let on = Law::new(Family::Weibull, self.cv, self.on_gap_s);
        let off = Law::new(Family::Exponential, 1.0, self.off_s);
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
            gap_cv: self.cv,
        }
    }
}
