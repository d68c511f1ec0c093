//! How the rate changes over a trace.

use super::sample::Sample;
use crate::scenario::workload::Profile;

const HOUR_S: f64 = 3_600.0;
const DAY_S: f64 = 24.0 * HOUR_S;
/// Widths of windows that people use, seconds.
const WIDTHS_S: [f64; 8] = [60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0];
/// Most windows of a trace shorter than two days.
const MOST_WINDOWS: f64 = 24.0;
/// Requests of a window, on average, below which its rate is mostly chance.
const LEAST_IN_WINDOW: f64 = 50.0;

/// Factors on the mean rate in windows, repeated with a period.
#[derive(Debug, Clone, PartialEq)]
pub struct RateShape {
    /// Width of a window, seconds.
    pub width_s: f64,
    /// Factors, 1 on average.
    pub factors: Vec<f64>,
    /// After this the factors repeat, seconds; the last window may be cut short by it.
    pub period_s: f64,
}

impl RateShape {
    /// The shapes that a trace is long enough for: hours of the week from two weeks on, hours of
    /// the day from two days on, else at most 24 windows.
    pub fn of(sample: &Sample) -> Option<RateShape> {
        let (span_s, count) = (sample.span_s, sample.len() as f64);
        let (width_s, period_s) = if span_s >= 14.0 * DAY_S {
            (HOUR_S, 7.0 * DAY_S)
        } else if span_s >= 2.0 * DAY_S {
            (HOUR_S, DAY_S)
        } else {
            let fits = |width: &&f64| span_s / **width <= MOST_WINDOWS;
            (*WIDTHS_S.iter().find(fits)?, span_s)
        };
        let windows = (period_s / width_s).ceil();
        if windows < 3.0 || count / windows < LEAST_IN_WINDOW {
            return None;
        }
        let mut counts = vec![0.0; windows as usize];
        for t_ns in &sample.t_ns {
            let within = (*t_ns as f64 / 1e9) % period_s;
            if let Some(here) = counts.get_mut((within / width_s) as usize) {
                *here += 1.0;
            }
        }
        let mean = count / span_s;
        let factors = counts.iter().enumerate().map(|(index, count)| {
            let from = index as f64 * width_s;
            count / mean / exposure(from, width_s.min(period_s - from), period_s, span_s)
        });
        let factors: Vec<f64> = factors.collect();
        let mut shape = RateShape {
            width_s,
            factors,
            period_s,
        };
        shape.normalise();
        Some(shape)
    }

    /// Makes the factors 1 on average over a period.
    fn normalise(&mut self) {
        let (width_s, period_s) = (self.width_s, self.period_s);
        let of = |index: usize| width_s.min(period_s - index as f64 * width_s);
        let weighed = self.factors.iter().enumerate();
        let mean = weighed.map(|(index, f)| f * of(index)).sum::<f64>() / self.period_s;
        for factor in &mut self.factors {
            *factor /= mean;
        }
    }

    /// The factor at an instant, seconds.
    pub fn factor(&self, t_s: f64) -> f64 {
        let index = (t_s % self.period_s / self.width_s) as usize;
        self.factors.get(index).copied().unwrap_or(1.0)
    }

    /// Arrivals in operational time, seconds, in which the rate is the same throughout.
    pub fn operational_s(&self, t_ns: &[u64]) -> Vec<f64> {
        let mut before = vec![0.0];
        for (index, factor) in self.factors.iter().enumerate() {
            let width = self
                .width_s
                .min(self.period_s - index as f64 * self.width_s);
            before.push(before[index] + factor * width);
        }
        let cycle = before[self.factors.len()];
        let at = |t_ns: &u64| {
            let t_s = *t_ns as f64 / 1e9;
            let whole = (t_s / self.period_s).floor();
            let within = t_s - whole * self.period_s;
            let index = ((within / self.width_s) as usize).min(self.factors.len() - 1);
            let part = within - index as f64 * self.width_s;
            whole * cycle + before[index] + self.factors[index] * part
        };
        t_ns.iter().map(at).collect()
    }

    /// Whether it repeats by the day or the week.
    pub fn is_of_days(&self) -> bool {
        self.period_s % DAY_S == 0.0
    }

    /// As a profile of a workload.
    pub fn profile(&self) -> Profile {
        let knot = |(index, factor): (usize, &f64)| (index as f64 * self.width_s, *factor);
        Profile::Points {
            points: self.factors.iter().enumerate().map(knot).collect(),
            step: true,
            period_s: Some(self.period_s),
        }
    }
}

/// How long a trace of `span_s` is in a window of its periods, seconds.
fn exposure(from_s: f64, width_s: f64, period_s: f64, span_s: f64) -> f64 {
    let whole = (span_s / period_s).floor();
    let rest = span_s - whole * period_s;
    (whole * width_s + (rest - from_s).clamp(0.0, width_s)).max(1e-9)
}
