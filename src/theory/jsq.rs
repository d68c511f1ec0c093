//! Joining the shorter of two queues.

use super::{TheoryError, positive, stable};

/// The largest number that one queue is solved up to.
const MAX_LEVEL: f64 = 400.0;

/// The mean number in the system of two M/M/1 queues where each arrival joins the shorter one, ties split
/// evenly, and nobody changes queues.
///
/// `lambda` (arrivals per unit, to both together) and `mu` (rate of each server) are above 0. The value
/// is that of the Markov chain on (longer, shorter), cut where less than about 1e-14 is lost, and solved
/// by state reduction without subtractions. The load lambda / (2 mu) is at most about 0.95.
///
/// # Errors
/// An argument out of range, [`TheoryError::Unstable`] at a load of 1 or more, or
/// [`TheoryError::TooLarge`] at a load too near 1.
///
/// Source: Haight 1958; Flatto & McKean 1977 (the tail falls by rho^2 a level); Grassmann, Taksar &
/// Heyman 1985 for the reduction.
pub fn jsq2_mean_in_system(lambda: f64, mu: f64) -> Result<f64, TheoryError> {
    positive("lambda", lambda)?;
    positive("mu", mu)?;
    let rho = stable("utilization", lambda / (2.0 * mu))?;
    // The shorter queue's tail falls by rho^2 a level.
    let levels = (36.0 / (-2.0 * rho.ln()) + 12.0).ceil();
    if levels > MAX_LEVEL {
        return Err(TheoryError::TooLarge {
            name: "utilization",
            value: rho,
            allowed: "at most about 0.95 for the exact law of two queues",
        });
    }
    let top = levels as usize;
    let index = |long: usize, short: usize| long * (long + 1) / 2 + short;
    let count = index(top, top) + 1;
    // A jump changes the index by at most `top` + 1.
    let mut chain = Banded::new(count, top + 1);
    for long in 0..=top {
        for short in 0..=long {
            let from = index(long, short);
            if short < long {
                chain.add(from, index(long, short + 1), lambda);
                chain.add(from, index(long - 1, short), mu);
                if short > 0 {
                    chain.add(from, index(long, short - 1), mu);
                }
            } else {
                if long < top {
                    chain.add(from, index(long + 1, short), lambda);
                }
                if long > 0 {
                    chain.add(from, index(long, short - 1), 2.0 * mu);
                }
            }
        }
    }
    let law = chain.stationary();
    let mut mean = 0.0;
    for long in 0..=top {
        for short in 0..=long {
            mean += law[index(long, short)] * (long + short) as f64;
        }
    }
    Ok(mean)
}

/// The off-diagonal rates of a Markov chain whose jumps stay within a band.
struct Banded {
    count: usize,
    band: usize,
    rates: Vec<f64>,
}

impl Banded {
    fn new(count: usize, band: usize) -> Self {
        Self {
            count,
            band,
            rates: vec![0.0; count * (2 * band + 1)],
        }
    }

    fn at(&self, from: usize, to: usize) -> usize {
        from * (2 * self.band + 1) + (to + self.band - from)
    }

    fn add(&mut self, from: usize, to: usize, rate: f64) {
        let at = self.at(from, to);
        self.rates[at] += rate;
    }

    /// The stationary law, by eliminating states from the last to the first.
    fn stationary(mut self) -> Vec<f64> {
        for state in (1..self.count).rev() {
            let low = state.saturating_sub(self.band);
            let out: f64 = (low..state).map(|to| self.rates[self.at(state, to)]).sum();
            for from in low..state {
                let at = self.at(from, state);
                if self.rates[at] == 0.0 {
                    continue;
                }
                self.rates[at] /= out;
                let share = self.rates[at];
                for to in low..state {
                    if to != from {
                        let add = share * self.rates[self.at(state, to)];
                        self.add(from, to, add);
                    }
                }
            }
        }
        let mut law = vec![1.0; self.count];
        let mut total = 1.0;
        for state in 1..self.count {
            let low = state.saturating_sub(self.band);
            law[state] = (low..state)
                .map(|from| law[from] * self.rates[self.at(from, state)])
                .sum();
            total += law[state];
        }
        for p in &mut law {
            *p /= total;
        }
        law
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lies_between_one_fast_queue_and_two_split_ones() {
        for rho in [0.1, 0.5, 0.8] {
            let mean = jsq2_mean_in_system(2.0 * rho, 1.0).unwrap();
            let pooled = crate::theory::Mmc::new(2.0 * rho, 1.0, 2)
                .unwrap()
                .mean_in_system();
            let split = 2.0 * rho / (1.0 - rho);
            assert!(pooled < mean && mean < split, "{pooled} {mean} {split}");
        }
        assert!(jsq2_mean_in_system(2.0, 1.0).is_err());
        assert!(jsq2_mean_in_system(1.99, 1.0).is_err());
    }
}
