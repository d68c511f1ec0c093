//! Values over simulated time: the integral of a step function, and a series of bins.

use serde::Serialize;

/// A step function of simulated time: its integral, mean and greatest value.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeWeighted {
    start_ns: u64,
    last_ns: u64,
    value: f64,
    max: f64,
    integral: f64,
}

impl TimeWeighted {
    /// A function that has the value `value` from `start_ns` on.
    pub fn new(start_ns: u64, value: f64) -> TimeWeighted {
        TimeWeighted {
            start_ns,
            last_ns: start_ns,
            value,
            max: value,
            integral: 0.0,
        }
    }

    /// The function has the value `value` from `now_ns` on. Time must not go back.
    #[inline]
    pub fn set(&mut self, now_ns: u64, value: f64) {
        debug_assert!(now_ns >= self.last_ns);
        self.integral = self.integral_until(now_ns);
        self.last_ns = self.last_ns.max(now_ns);
        self.value = value;
        self.max = self.max.max(value);
    }

    /// The value changes by `change` at `now_ns`.
    #[inline]
    pub fn add(&mut self, now_ns: u64, change: f64) {
        self.set(now_ns, self.value + change);
    }

    /// Starts afresh at `now_ns` with the present value, as at the end of a warm-up.
    pub fn restart(&mut self, now_ns: u64) {
        *self = TimeWeighted::new(now_ns, self.value);
    }

    /// The present value.
    pub fn value(&self) -> f64 {
        self.value
    }

    /// The greatest value since the start.
    pub fn max(&self) -> f64 {
        self.max
    }

    /// The integral from the start to `now_ns`, at or after the last change, in the value's
    /// unit times ns.
    pub fn integral_until(&self, now_ns: u64) -> f64 {
        self.integral + self.value * now_ns.saturating_sub(self.last_ns) as f64
    }

    /// The mean over time from the start to `now_ns`, at or after the last change; none when no
    /// time has passed.
    pub fn mean_until(&self, now_ns: u64) -> Option<f64> {
        let elapsed = now_ns.saturating_sub(self.start_ns);
        (elapsed > 0).then(|| self.integral_until(now_ns) / elapsed as f64)
    }
}

/// What a bin of a [`TimeSeries`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct TimeBin {
    /// Values recorded.
    pub count: u64,
    /// Their sum, in their unit.
    pub sum: f64,
    /// The greatest of them; none without values.
    pub max: Option<f64>,
}

impl TimeBin {
    /// The mean of the values; none without values.
    pub fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }

    fn merge(&mut self, other: &TimeBin) {
        self.count += other.count;
        self.sum += other.sum;
        self.max = match (self.max, other.max) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
    }
}

/// Values over simulated time in bins of equal width from time 0, a bounded number of them:
/// when a value lies beyond the last, neighbouring bins merge and the width doubles.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeSeries {
    bins: Vec<TimeBin>,
    most: usize,
    width_ns: u64,
}

impl TimeSeries {
    /// A series of at most `bins` bins (2 at least), each `width_ns` wide at first (1 at least).
    pub fn new(bins: usize, width_ns: u64) -> TimeSeries {
        TimeSeries {
            bins: Vec::new(),
            most: bins.max(2),
            width_ns: width_ns.max(1),
        }
    }

    /// Records `value` at `t_ns`. Times need not be in order.
    #[inline]
    pub fn record(&mut self, t_ns: u64, value: f64) {
        while t_ns / self.width_ns >= self.most as u64 {
            self.halve();
        }
        let index = (t_ns / self.width_ns) as usize;
        if index >= self.bins.len() {
            self.bins.resize(index + 1, TimeBin::default());
        }
        self.bins[index].merge(&TimeBin {
            count: 1,
            sum: value,
            max: Some(value),
        });
    }

    /// Width of a bin in ns.
    pub fn width_ns(&self) -> u64 {
        self.width_ns
    }

    /// The bins from time 0 to the last that holds a value; the first starts at 0, and each
    /// holds its start but not its end.
    pub fn bins(&self) -> &[TimeBin] {
        &self.bins
    }

    #[cold]
    fn halve(&mut self) {
        let pairs = self.bins.chunks(2).map(|pair| {
            let mut both = pair[0];
            for other in &pair[1..] {
                both.merge(other);
            }
            both
        });
        self.bins = pairs.collect();
        self.width_ns = self.width_ns.saturating_mul(2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_function_is_weighted_by_time() {
        let mut busy = TimeWeighted::new(100, 0.0);
        assert_eq!(busy.mean_until(100), None);
        busy.set(110, 4.0);
        busy.add(120, -3.0);
        assert_eq!(busy.integral_until(130), 50.0);
        assert_eq!(busy.mean_until(130), Some(50.0 / 30.0));
        assert_eq!((busy.value(), busy.max()), (1.0, 4.0));
        busy.restart(130);
        assert_eq!(busy.mean_until(140), Some(1.0));
        assert_eq!(busy.max(), 1.0);
    }

    #[test]
    fn a_series_keeps_everything_in_few_bins() {
        let mut series = TimeSeries::new(100, 10);
        for t in 0..100_000_u64 {
            series.record(t, t as f64);
        }
        assert!(series.bins().len() <= 100);
        assert_eq!(series.width_ns(), 1280);
        let count: u64 = series.bins().iter().map(|bin| bin.count).sum();
        assert_eq!(count, 100_000);
        assert_eq!(series.bins()[0].max, Some(1279.0));
        assert_eq!(series.bins()[1].mean(), Some(1280.0 + 639.5));
    }

    #[test]
    fn a_far_value_and_a_gap_are_taken() {
        let mut series = TimeSeries::new(4, 1);
        series.record(0, -1.0);
        series.record(u64::MAX, -2.0);
        assert!(series.bins().len() <= 4);
        assert_eq!(series.bins()[0].max, Some(-1.0));
        assert_eq!(series.bins()[1], TimeBin::default());
        assert_eq!(series.bins().last().unwrap().mean(), Some(-2.0));
    }
}
