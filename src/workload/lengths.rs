//! Prompt and output lengths, ready to draw from.

use rand::RngExt;
use statrs::distribution::{ContinuousCDF, Normal};

use crate::engine::SimRng;
use crate::scenario::workload::Lengths;

use super::law::Knots;

/// A law of token counts as a quantile function, so that a copula can join two of them.
#[derive(Debug, Clone)]
pub enum LengthLaw {
    /// Always the same.
    Constant(u32),
    /// Lognormal, truncated at probability `top`.
    Lognormal {
        /// Mean of the logarithm.
        mu: f64,
        /// Standard deviation of the logarithm.
        sigma: f64,
        /// Probability of not being cut off, 1 without truncation.
        top: f64,
        /// Largest number of tokens.
        max_tokens: u32,
    },
    /// Exponential, truncated likewise.
    Exponential {
        /// Mean before truncation.
        mean: f64,
        /// Probability of not being cut off.
        top: f64,
        /// Largest number of tokens.
        max_tokens: u32,
    },
    /// Empirical.
    Knots(Knots),
}

/// Draws of 2^30 tokens and more are cut there, far above any model's context: with it a draw
/// always fits the integers used, and the request is then refused as too long with a count.
const MOST_TOKENS: u32 = 1 << 30;

impl LengthLaw {
    /// Prepares a law; `None` for [`Lengths::Trace`], which is not drawn.
    pub fn new(lengths: &Lengths) -> Result<Option<LengthLaw>, String> {
        Ok(Some(match lengths {
            Lengths::Trace {} => return Ok(None),
            Lengths::Constant { tokens } => LengthLaw::Constant(*tokens),
            Lengths::Lognormal {
                mean_tokens,
                cv,
                max_tokens,
            } => {
                let variance = (cv * cv).ln_1p();
                let (mu, sigma) = (mean_tokens.ln() - variance / 2.0, variance.sqrt());
                let top = max_tokens.map_or(1.0, |max| {
                    standard_normal().map_or(1.0, |law| law.cdf((f64::from(max).ln() - mu) / sigma))
                });
                LengthLaw::Lognormal {
                    mu,
                    sigma,
                    top,
                    max_tokens: max_tokens.unwrap_or(MOST_TOKENS),
                }
            }
            Lengths::Exponential {
                mean_tokens,
                max_tokens,
            } => LengthLaw::Exponential {
                mean: *mean_tokens,
                top: max_tokens.map_or(1.0, |max| -(-f64::from(max) / mean_tokens).exp_m1()),
                max_tokens: max_tokens.unwrap_or(MOST_TOKENS),
            },
            Lengths::Quantiles { knots } => LengthLaw::Knots(Knots::new(knots)?),
        }))
    }

    /// The number of tokens at a probability.
    pub fn quantile(&self, probability: f64) -> u32 {
        let (value, most) = match self {
            LengthLaw::Constant(tokens) => return *tokens,
            LengthLaw::Lognormal {
                mu,
                sigma,
                top,
                max_tokens,
            } => {
                let normal =
                    standard_normal().map_or(0.0, |law| law.inverse_cdf(probability * top));
                ((mu + sigma * normal).exp(), *max_tokens)
            }
            LengthLaw::Exponential {
                mean,
                top,
                max_tokens,
            } => (-mean * (-probability * top).ln_1p(), *max_tokens),
            LengthLaw::Knots(knots) => (knots.quantile(probability), MOST_TOKENS),
        };
        (value.round().min(f64::from(most)) as u32).max(1)
    }

    /// The mean, for estimates: in closed form for lognormal lengths (whose tail no rule on a grid
    /// would see), else by the midpoint rule on the quantile function (10,000 points).
    pub fn mean(&self) -> f64 {
        if let LengthLaw::Lognormal {
            mu,
            sigma,
            top,
            max_tokens,
        } = self
        {
            // E[X; X <= max] = e^(mu + s^2/2) Phi((ln max - mu - s^2) / s), over P(X <= max).
            let below = match *top < 1.0 {
                true => standard_normal().map_or(1.0, |law| {
                    law.cdf((f64::from(*max_tokens).ln() - mu - sigma * sigma) / sigma)
                }),
                false => 1.0,
            };
            return ((mu + sigma * sigma / 2.0).exp() * below / top).max(1.0);
        }
        const POINTS: u32 = 10_000;
        let sum: f64 = (0..POINTS)
            .map(|i| f64::from(self.quantile((f64::from(i) + 0.5) / f64::from(POINTS))))
            .sum();
        sum / f64::from(POINTS)
    }
}

fn standard_normal() -> Option<Normal> {
    Normal::new(0.0, 1.0).ok()
}

/// Draws prompt and output lengths together.
#[derive(Debug, Clone)]
pub struct LengthPair {
    prompt: LengthLaw,
    output: LengthLaw,
    copula: Option<Copula>,
}

#[derive(Debug, Clone)]
struct Copula {
    /// Correlation of the two normals.
    pearson: f64,
    /// `sqrt(1 - pearson^2)`.
    rest: f64,
}

impl LengthPair {
    /// Joins two laws; `rank_correlation` is Spearman's, reached by the Gaussian copula with
    /// Pearson correlation `2 sin(pi r / 6)` (Kruskal 1958).
    pub fn new(prompt: LengthLaw, output: LengthLaw, rank_correlation: f64) -> LengthPair {
        let copula = (rank_correlation != 0.0).then(|| {
            let pearson = 2.0 * (std::f64::consts::PI * rank_correlation / 6.0).sin();
            let pearson = pearson.clamp(-1.0, 1.0);
            Copula {
                pearson,
                rest: (1.0 - pearson * pearson).sqrt(),
            }
        });
        LengthPair {
            prompt,
            output,
            copula,
        }
    }

    /// Draws `(prompt, output)` tokens. Two random numbers are used whatever the laws are, so
    /// that another law for one length leaves the other's draws in place.
    pub fn sample(&self, rng: &mut SimRng) -> (u32, u32) {
        self.sample_by(rng, |ranks| ranks)
    }

    /// The same, where `rank` turns how the lengths rank within their client into how they rank over
    /// all.
    pub fn sample_by(
        &self,
        rng: &mut SimRng,
        rank: impl FnOnce((f64, f64)) -> (f64, f64),
    ) -> (u32, u32) {
        if let (LengthLaw::Constant(prompt), LengthLaw::Constant(output)) =
            (&self.prompt, &self.output)
        {
            return (*prompt, *output);
        }
        let (first, second) = (rng.random::<f64>(), rng.random::<f64>());
        let second = match (&self.copula, standard_normal()) {
            (Some(copula), Some(normal)) => {
                let z = copula.pearson * normal.inverse_cdf(first)
                    + copula.rest * normal.inverse_cdf(second);
                normal.cdf(z)
            }
            _ => second,
        };
        let (first, second) = rank((first, second));
        (self.prompt.quantile(first), self.output.quantile(second))
    }

    /// Mean prompt and output tokens.
    pub fn means(&self) -> (f64, f64) {
        (self.prompt.mean(), self.output.mean())
    }
}
