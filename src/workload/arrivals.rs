//! Arrival processes, in operational time.

use rand_distr::{Distribution, Exp1, Gamma, Weibull};
use statrs::function::gamma::ln_gamma;

use crate::engine::SimRng;

/// A process of arrivals that makes one gap at a time.
#[derive(Debug, Clone)]
pub enum Arrivals {
    /// Independent gaps of one law.
    Renewal {
        /// Mean gap, nanoseconds.
        mean_ns: f64,
        /// The law of a gap over its mean.
        gap: UnitGap,
        /// Squared coefficient of variation of a gap.
        scv: f64,
    },
    /// Poisson at a rate that depends on a state, states lasting exponential times.
    Modulated(Modulated),
}

/// The law of a gap with mean 1.
#[derive(Debug, Clone)]
pub enum UnitGap {
    /// Poisson arrivals.
    Exponential,
    /// Equal gaps.
    Constant,
    /// Gamma gaps.
    Gamma(Gamma<f64>),
    /// Weibull gaps.
    Weibull(Weibull<f64>),
}

impl UnitGap {
    /// Gamma with coefficient of variation `cv`: shape `1/cv^2`.
    pub fn gamma(cv: f64) -> Result<UnitGap, String> {
        let shape = 1.0 / (cv * cv);
        Gamma::new(shape, 1.0 / shape)
            .map(UnitGap::Gamma)
            .map_err(|error| error.to_string())
    }

    /// Weibull with coefficient of variation `cv`, its shape found by bisection of
    /// `cv^2 + 1 = G(1 + 2/k) / G(1 + 1/k)^2`.
    pub fn weibull(cv: f64) -> Result<UnitGap, String> {
        let scv = |shape: f64| {
            (ln_gamma(1.0 + 2.0 / shape) - 2.0 * ln_gamma(1.0 + 1.0 / shape)).exp() - 1.0
        };
        let (mut low, mut high) = (0.05_f64, 200.0_f64);
        for _ in 0..200 {
            let middle = (low * high).sqrt();
            if scv(middle) > cv * cv {
                low = middle;
            } else {
                high = middle;
            }
        }
        let shape = (low * high).sqrt();
        let scale = (-ln_gamma(1.0 + 1.0 / shape)).exp();
        Weibull::new(scale, shape)
            .map(UnitGap::Weibull)
            .map_err(|error| error.to_string())
    }

    fn sample(&self, rng: &mut SimRng) -> f64 {
        match self {
            UnitGap::Exponential => Exp1.sample(rng),
            UnitGap::Constant => 1.0,
            UnitGap::Gamma(law) => law.sample(rng),
            UnitGap::Weibull(law) => law.sample(rng),
        }
    }
}

/// A Markov-modulated Poisson process whose states are visited in turn.
#[derive(Debug, Clone)]
pub struct Modulated {
    /// `(rate per ns, mean stay in ns)` of each state.
    states: Vec<(f64, f64)>,
    state: usize,
    /// What is left of the present stay; negative before the first.
    left_ns: f64,
}

impl Modulated {
    /// A process that begins with the first state's stay.
    pub fn new(states: Vec<(f64, f64)>) -> Modulated {
        Modulated {
            states,
            state: 0,
            left_ns: -1.0,
        }
    }

    fn gap_ns(&mut self, rng: &mut SimRng) -> f64 {
        let stay = |rng: &mut SimRng, mean: f64| {
            let unit: f64 = Exp1.sample(rng);
            unit * mean
        };
        if self.left_ns < 0.0 {
            self.left_ns = stay(rng, self.states[self.state].1);
        }
        // A unit exponential is used up at the rate of each state passed through.
        let mut wanted: f64 = Exp1.sample(rng);
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
            self.state = (self.state + 1) % self.states.len();
            self.left_ns = stay(rng, self.states[self.state].1);
        }
    }
}

impl Arrivals {
    /// The gap to the next arrival, nanoseconds of operational time.
    pub fn gap_ns(&mut self, rng: &mut SimRng) -> f64 {
        match self {
            Arrivals::Renewal { mean_ns, gap, .. } => *mean_ns * gap.sample(rng),
            Arrivals::Modulated(process) => process.gap_ns(rng),
        }
    }

    /// The long-run mean rate, per second of operational time.
    pub fn mean_rate_per_s(&self) -> f64 {
        match self {
            Arrivals::Renewal { mean_ns, .. } => 1e9 / mean_ns,
            Arrivals::Modulated(process) => {
                let time: f64 = process.states.iter().map(|state| state.1).sum();
                let count: f64 = process.states.iter().map(|state| state.0 * state.1).sum();
                1e9 * count / time
            }
        }
    }

    /// The squared coefficient of variation of a gap, where it is known in closed form.
    pub fn gap_scv(&self) -> Option<f64> {
        match self {
            Arrivals::Renewal { scv, .. } => Some(*scv),
            Arrivals::Modulated(_) => None,
        }
    }
}
