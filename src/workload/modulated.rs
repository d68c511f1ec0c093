//! Markov-modulated Poisson arrivals.

use rand::RngExt;
use rand_distr::{Distribution, Exp1};

use super::arrivals::UnitGap;
use crate::engine::SimRng;

/// A Markov-modulated Poisson process.
#[derive(Debug, Clone)]
pub struct Modulated {
    /// `(rate per ns, mean stay in ns)` of each state.
    states: Vec<(f64, f64)>,
    /// Probabilities of the states that follow each; empty where they are visited in turn.
    next: Vec<Vec<f64>>,
    /// Gaps on a clock that runs at the rate of the state.
    gap: UnitGap,
    state: usize,
    /// What is left of the present stay; negative before the first.
    left_ns: f64,
}

impl Modulated {
    /// A process that begins with the first state's stay and visits the states in turn.
    pub fn new(states: Vec<(f64, f64)>) -> Modulated {
        Modulated::with_jumps(states, Vec::new())
    }

    /// A process that begins with the first state's stay; `next[i][j]` is the probability that
    /// state `j` follows state `i`. Without any, they are visited in turn.
    pub fn with_jumps(states: Vec<(f64, f64)>, next: Vec<Vec<f64>>) -> Modulated {
        Modulated {
            states,
            next,
            gap: UnitGap::Exponential,
            state: 0,
            left_ns: -1.0,
        }
    }

    /// The same with gaps of another law on a clock that runs at the rate of the state.
    #[must_use]
    pub fn with_gaps(mut self, gap: UnitGap) -> Modulated {
        self.gap = gap;
        self
    }

    /// The gap to the next arrival, nanoseconds.
    pub fn gap_ns(&mut self, rng: &mut SimRng) -> f64 {
        let stay = |rng: &mut SimRng, mean: f64| {
            let unit: f64 = Exp1.sample(rng);
            unit * mean
        };
        if self.left_ns < 0.0 {
            self.left_ns = stay(rng, self.states[self.state].1);
        }
        // A gap of mean 1 is used up at the rate of each state passed through.
        let mut wanted = self.gap.sample(rng);
        let mut gap_ns = 0.0;
        loop {
            let (rate, _) = self.states[self.state];
            if rate * self.left_ns >= wanted {
                let advance = wanted / rate;
                self.left_ns -= advance;
                return gap_ns + advance;
            }
            wanted -= rate * self.left_ns;
            gap_ns += self.left_ns;
            self.state = self.following(rng);
            self.left_ns = stay(rng, self.states[self.state].1);
        }
    }

    fn following(&self, rng: &mut SimRng) -> usize {
        let Some(next) = self.next.get(self.state) else {
            return (self.state + 1) % self.states.len();
        };
        let mut left = rng.random::<f64>();
        for (state, probability) in next.iter().enumerate() {
            left -= probability;
            if left < 0.0 {
                return state;
            }
        }
        // What rounding leaves goes to the likeliest.
        let likeliest = (0..next.len()).max_by(|a, b| next[*a].total_cmp(&next[*b]));
        likeliest.unwrap_or(0)
    }

    /// The long-run mean rate, per second.
    pub fn mean_rate_per_s(&self) -> f64 {
        let visits = visits(&self.next, self.states.len());
        let states = self.states.iter().zip(&visits);
        let (time, count) = states.fold((0.0, 0.0), |(time, count), ((rate, stay), visits)| {
            (time + visits * stay, count + visits * rate * stay)
        });
        1e9 * count / time
    }
}

/// How often each state of a chain is visited, relative to the others: by the elimination of
/// Grassmann, Taksar and Heyman (1985), which subtracts nothing. All alike where states are
/// visited in turn.
#[allow(clippy::needless_range_loop)] // the indices are those of matrices
pub fn visits(next: &[Vec<f64>], states: usize) -> Vec<f64> {
    if next.len() != states || states == 0 {
        return vec![1.0; states];
    }
    let mut chain = next.to_vec();
    for last in (1..states).rev() {
        let leaving: f64 = chain[last][..last].iter().sum();
        for row in 0..last {
            let through = match leaving > 0.0 {
                true => chain[row][last] / leaving,
                false => 0.0,
            };
            chain[row][last] = through;
            for column in 0..last {
                chain[row][column] += through * chain[last][column];
            }
        }
    }
    let mut visits = vec![1.0; states];
    for state in 1..states {
        visits[state] = (0..state)
            .map(|from| visits[from] * chain[from][state])
            .sum();
    }
    visits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visits_balance() {
        let next = vec![
            vec![0.0, 0.75, 0.25],
            vec![0.5, 0.0, 0.5],
            vec![1.0, 0.0, 0.0],
        ];
        let visits = visits(&next, 3);
        for (to, here) in visits.iter().enumerate() {
            let flow: f64 = (0..3).map(|from| visits[from] * next[from][to]).sum();
            assert!((flow - here).abs() < 1e-12, "{visits:?}");
        }
    }
}
