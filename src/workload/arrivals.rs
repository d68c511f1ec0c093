//! Arrival processes, in operational time.

use rand::RngExt;
use rand_distr::{Distribution, Exp1, Gamma, Weibull};
use statrs::function::gamma::ln_gamma;

use super::clients::Clients;
use super::law::Knots;
use super::modulated::Modulated;
use crate::engine::{SimRng, Streams};

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
    /// The sum of many clients.
    Clients(Box<Clients>),
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
    /// Empirical gaps.
    Knots(Knots),
}

impl UnitGap {
    /// Gamma with coefficient of variation `cv`: shape `1/cv^2`.
    pub fn gamma(cv: f64) -> Result<UnitGap, String> {
        let shape = 1.0 / (cv * cv);
        Gamma::new(shape, 1.0 / shape)
            .map(UnitGap::Gamma)
            .map_err(|error| error.to_string())
    }

    /// Weibull with coefficient of variation `cv`.
    pub fn weibull(cv: f64) -> Result<UnitGap, String> {
        let shape = weibull_shape(cv);
        let scale = (-ln_gamma(1.0 + 1.0 / shape)).exp();
        Weibull::new(scale, shape)
            .map(UnitGap::Weibull)
            .map_err(|error| error.to_string())
    }

    /// Knots of a quantile function, scaled to mean 1.
    pub fn knots(pairs: &[(f64, f64)]) -> Result<UnitGap, String> {
        let knots = Knots::new(pairs)?;
        let (mean, _) = knots.moments();
        match mean > 0.0 {
            true => Ok(UnitGap::Knots(knots.scaled(1.0 / mean))),
            false => Err("must have a mean above 0".to_owned()),
        }
    }

    /// Draws a gap.
    pub fn sample(&self, rng: &mut SimRng) -> f64 {
        match self {
            UnitGap::Exponential => Exp1.sample(rng),
            UnitGap::Constant => 1.0,
            UnitGap::Gamma(law) => law.sample(rng),
            UnitGap::Weibull(law) => law.sample(rng),
            UnitGap::Knots(law) => law.quantile(rng.random::<f64>()),
        }
    }
}

/// The shape of Weibull gaps with coefficient of variation `cv`, found by bisection of
/// `cv^2 + 1 = G(1 + 2/k) / G(1 + 1/k)^2`.
pub fn weibull_shape(cv: f64) -> f64 {
    let scv =
        |shape: f64| (ln_gamma(1.0 + 2.0 / shape) - 2.0 * ln_gamma(1.0 + 1.0 / shape)).exp() - 1.0;
    let (mut low, mut high) = (0.05_f64, 200.0_f64);
    for _ in 0..200 {
        let middle = (low * high).sqrt();
        if scv(middle) > cv * cv {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low * high).sqrt()
}

impl Arrivals {
    /// Gives the process the streams of the run: what it draws beside the gaps comes from there.
    pub fn begin(&mut self, streams: Streams) {
        if let Arrivals::Clients(clients) = self {
            clients.begin(streams);
        }
    }

    /// The gap to the next arrival, nanoseconds of operational time.
    pub fn gap_ns(&mut self, rng: &mut SimRng) -> f64 {
        match self {
            Arrivals::Renewal { mean_ns, gap, .. } => *mean_ns * gap.sample(rng),
            Arrivals::Modulated(process) => process.gap_ns(rng),
            Arrivals::Clients(clients) => clients.gap_ns(),
        }
    }

    /// The clients that requests come from, where there are some.
    pub fn clients(&self) -> Option<&Clients> {
        match self {
            Arrivals::Clients(clients) => Some(clients),
            _ => None,
        }
    }

    /// The long-run mean rate, per second of operational time.
    pub fn mean_rate_per_s(&self) -> f64 {
        match self {
            Arrivals::Renewal { mean_ns, .. } => 1e9 / mean_ns,
            Arrivals::Modulated(process) => process.mean_rate_per_s(),
            Arrivals::Clients(clients) => clients.mean_rate_per_s(),
        }
    }

    /// The squared coefficient of variation of a gap, where it is known in closed form.
    pub fn gap_scv(&self) -> Option<f64> {
        match self {
            Arrivals::Renewal { scv, .. } => Some(*scv),
            Arrivals::Modulated(_) | Arrivals::Clients(_) => None,
        }
    }
}
