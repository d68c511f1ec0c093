//! How long each row may take, so that a capture ends in its time whatever rows cost beside their
//! samples.

use super::measure::Budget;
use super::plan::Effort;

/// The least and the most time for the samples of a row, seconds.
const SAMPLES_S: [f64; 2] = [0.008, 0.4];
/// Share of the time left that is kept for rows which need more than their part.
const RESERVE: f64 = 0.05;

/// The pace of a capture: time left and rows left.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    end_s: f64,
    least_samples: u32,
    /// Time that rows took beside their samples, seconds, and how many rows.
    beside: (f64, u32),
}

impl Pace {
    /// The pace that ends `whole_s` seconds after the capture began.
    #[must_use]
    pub const fn new(effort: Effort) -> Pace {
        Pace {
            end_s: effort.whole_s(),
            least_samples: effort.least_samples(),
            beside: (0.0, 0),
        }
    }

    /// The budget of the next row, `now_s` seconds after the capture began, with so many rows left
    /// (it among them).
    #[must_use]
    pub fn budget(&self, now_s: f64, rows_left: usize) -> Budget {
        let beside_s = match self.beside {
            (_, 0) => super::plan::ROW_OVERHEAD_S,
            (all, rows) => all / f64::from(rows),
        };
        let left_s = (self.end_s - now_s) * (1.0 - RESERVE);
        let samples_s = left_s / rows_left.max(1) as f64 - beside_s;
        Budget {
            samples_s: samples_s.clamp(SAMPLES_S[0], SAMPLES_S[1]),
            least_samples: self.least_samples,
        }
    }

    /// Takes note of a row that took `took_s` seconds in all with a budget.
    pub fn took(&mut self, budget: Budget, took_s: f64) {
        let (all, rows) = self.beside;
        self.beside = (all + (took_s - budget.samples_s).max(0.0), rows + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_share_the_time_that_is_left() {
        let mut pace = Pace::new(Effort::Quick);
        let first = pace.budget(5.0, 100);
        let expected = 0.95 * (Effort::Quick.whole_s() - 5.0) / 100.0;
        let expected = expected - super::super::plan::ROW_OVERHEAD_S;
        assert!((first.samples_s - expected).abs() < 1e-12, "{first:?}");
        // Rows that cost much beside their samples leave the others less.
        pace.took(first, first.samples_s + 0.2);
        assert!(pace.budget(5.0, 100).samples_s < first.samples_s);
        // Late, each has the least; with few left, none has more than the most.
        assert_eq!(pace.budget(1e6, 10).samples_s, SAMPLES_S[0]);
        assert_eq!(pace.budget(5.0, 1).samples_s, SAMPLES_S[1]);
    }

    #[test]
    fn a_capture_ends_in_its_time() {
        for effort in [Effort::Quick, Effort::Full] {
            let mut pace = Pace::new(effort);
            let rows = if effort == Effort::Full { 2_300 } else { 300 };
            let mut now_s = 6.0;
            for row in 0..rows {
                let budget = pace.budget(now_s, rows - row);
                // Every tenth row drifts, and is measured again.
                let times = if row % 10 == 0 { 2.0 } else { 1.0 };
                let took_s = 0.02 + times * budget.samples_s;
                pace.took(budget, took_s);
                now_s += took_s;
            }
            assert!(now_s <= effort.whole_s(), "{effort:?} {now_s}");
            assert!(now_s >= 0.8 * effort.whole_s(), "{effort:?} {now_s}");
        }
    }
}
