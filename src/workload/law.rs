//! Laws of time, ready to draw from.

use rand::RngExt;
use rand_distr::{Distribution, Exp1, Gamma, LogNormal};

use crate::engine::{SimDuration, SimRng};
use crate::scenario::workload::Law;

/// A [`Law`] with its constants worked out. Draws are rounded to whole nanoseconds.
#[derive(Debug, Clone)]
pub struct Sampler {
    mean_ns: f64,
    scv: f64,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Deterministic,
    Exponential,
    Gamma(Gamma<f64>),
    /// With probability `first_probability` an exponential of the first mean, else of the second.
    TwoBranches {
        first_probability: f64,
        first_mean_ns: f64,
        second_mean_ns: f64,
    },
    LogNormal(LogNormal<f64>),
    Uniform {
        low_ns: f64,
        width_ns: f64,
    },
    Knots(Knots),
}

impl Sampler {
    /// Prepares a law. Returns what is wrong with it when it cannot be drawn from; scenario
    /// validation asks first, so that a run never sees this.
    pub fn new(law: &Law) -> Result<Sampler, String> {
        let ns = |ms: f64| ms * 1e6;
        let sampler = |mean_ns, scv, kind| Sampler { mean_ns, scv, kind };
        Ok(match *law {
            Law::Exponential { mean_ms } => sampler(ns(mean_ms), 1.0, Kind::Exponential),
            Law::Deterministic { mean_ms } => sampler(ns(mean_ms), 0.0, Kind::Deterministic),
            Law::Erlang { mean_ms, stages } => {
                let shape = f64::from(stages);
                let gamma =
                    Gamma::new(shape, ns(mean_ms) / shape).map_err(|error| error.to_string())?;
                sampler(ns(mean_ms), 1.0 / shape, Kind::Gamma(gamma))
            }
            Law::Hyperexponential { mean_ms, scv } => {
                // Balanced means: p/mu1 = (1-p)/mu2 (Whitt 1982).
                let first_probability = 0.5 * (1.0 + ((scv - 1.0) / (scv + 1.0)).sqrt());
                let kind = Kind::TwoBranches {
                    first_probability,
                    first_mean_ns: ns(mean_ms) / (2.0 * first_probability),
                    second_mean_ns: ns(mean_ms) / (2.0 * (1.0 - first_probability)),
                };
                sampler(ns(mean_ms), scv, kind)
            }
            Law::Lognormal { mean_ms, scv } => {
                let variance = scv.ln_1p();
                let mu = ns(mean_ms).ln() - variance / 2.0;
                let law = LogNormal::new(mu, variance.sqrt()).map_err(|error| error.to_string())?;
                sampler(ns(mean_ms), scv, Kind::LogNormal(law))
            }
            Law::Uniform { low_ms, high_ms } => {
                let mean_ns = ns(low_ms + high_ms) / 2.0;
                let width_ns = ns(high_ms - low_ms);
                let kind = Kind::Uniform {
                    low_ns: ns(low_ms),
                    width_ns,
                };
                sampler(
                    mean_ns,
                    width_ns * width_ns / 12.0 / (mean_ns * mean_ns),
                    kind,
                )
            }
            Law::Quantiles { ref knots_ms } => {
                let knots = Knots::new(knots_ms)?.scaled(1e6);
                let (mean_ns, second) = knots.moments();
                let scv = second / (mean_ns * mean_ns) - 1.0;
                sampler(mean_ns, scv, Kind::Knots(knots))
            }
        })
    }

    /// The mean, nanoseconds.
    pub fn mean_ns(&self) -> f64 {
        self.mean_ns
    }

    /// The squared coefficient of variation.
    pub fn scv(&self) -> f64 {
        self.scv
    }

    /// Draws a time in nanoseconds, not rounded.
    pub fn sample_ns(&self, rng: &mut SimRng) -> f64 {
        let exponential = |rng: &mut SimRng, mean: f64| {
            let unit: f64 = Exp1.sample(rng);
            unit * mean
        };
        match &self.kind {
            Kind::Deterministic => self.mean_ns,
            Kind::Exponential => exponential(rng, self.mean_ns),
            Kind::Gamma(law) => law.sample(rng),
            Kind::TwoBranches {
                first_probability,
                first_mean_ns,
                second_mean_ns,
            } => {
                let first = rng.random::<f64>() < *first_probability;
                exponential(
                    rng,
                    if first {
                        *first_mean_ns
                    } else {
                        *second_mean_ns
                    },
                )
            }
            Kind::LogNormal(law) => law.sample(rng),
            Kind::Uniform { low_ns, width_ns } => low_ns + width_ns * rng.random::<f64>(),
            Kind::Knots(knots) => knots.quantile(rng.random::<f64>()),
        }
    }

    /// Draws a time.
    pub fn sample(&self, rng: &mut SimRng) -> SimDuration {
        SimDuration(self.sample_ns(rng).round() as u64)
    }
}

/// An empirical law: quantile knots joined by straight lines.
#[derive(Debug, Clone, PartialEq)]
pub struct Knots(Vec<(f64, f64)>);

impl Knots {
    /// Checks `(probability, value)` pairs: both rising, values at least 0, from 0 to 1.
    pub fn new(pairs: &[(f64, f64)]) -> Result<Knots, String> {
        let [(first, _), .., (last, _)] = pairs else {
            return Err("needs at least two knots, [0, lowest] and [1, highest]".to_owned());
        };
        if *first != 0.0 || *last != 1.0 {
            return Err("must begin at probability 0 and end at probability 1".to_owned());
        }
        if !pairs
            .iter()
            .all(|(_, value)| value.is_finite() && *value >= 0.0)
        {
            return Err("needs finite values of at least 0".to_owned());
        }
        let rises = pairs
            .windows(2)
            .all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
        if !rises {
            return Err("must rise: probabilities strictly, values or stay equal".to_owned());
        }
        Ok(Knots(pairs.to_vec()))
    }

    /// The law of the values times a factor of at least 0.
    #[must_use]
    pub fn scaled(mut self, factor: f64) -> Knots {
        for knot in &mut self.0 {
            knot.1 *= factor;
        }
        self
    }

    /// The value below which a share `probability` of the law lies.
    pub fn quantile(&self, probability: f64) -> f64 {
        let after = self.0.partition_point(|knot| knot.0 <= probability);
        let right = after.clamp(1, self.0.len() - 1);
        let (p0, v0) = self.0[right - 1];
        let (p1, v1) = self.0[right];
        v0 + (v1 - v0) * (probability - p0) / (p1 - p0)
    }

    /// Mean and second moment: each stretch between knots is uniform.
    pub fn moments(&self) -> (f64, f64) {
        self.0.windows(2).fold((0.0, 0.0), |(mean, second), pair| {
            let weight = pair[1].0 - pair[0].0;
            let (a, b) = (pair[0].1, pair[1].1);
            (
                mean + weight * (a + b) / 2.0,
                second + weight * (a * a + a * b + b * b) / 3.0,
            )
        })
    }
}
