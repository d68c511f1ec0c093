//! Independent gaps: how likely they are under a law, and which law of a family is likeliest.

use statrs::function::gamma::{gamma_lr, ln_gamma};

use crate::workload::arrivals::weibull_shape;

/// A family of laws of gaps, by coefficient of variation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Exponential gaps.
    Exponential,
    /// Gamma gaps.
    Gamma,
    /// Weibull gaps.
    Weibull,
}

/// Coefficients of variation that are tried.
const LEAST_CV: f64 = 0.05;
const MOST_CV: f64 = 20.0;
/// Gaps shorter than so many times the resolution count as a stretch of it rather than a point.
const COARSE: f64 = 20.0;

impl Family {
    /// Logarithm of the likelihood of gaps (seconds) under the law with their own mean. A gap of 0
    /// is one shorter than `resolution_s`: a density there may be infinite.
    pub fn log_likelihood(self, gaps: &[f64], cv: f64, resolution_s: f64) -> f64 {
        let mean = gaps.iter().sum::<f64>() / gaps.len().max(1) as f64;
        let law = Law::new(self, cv, mean);
        gaps.iter()
            .map(|gap| law.density(*gap, resolution_s).ln())
            .sum()
    }

    /// The likeliest coefficient of variation, and the logarithm of the likelihood there.
    pub fn fit(self, gaps: &[f64], resolution_s: f64) -> (f64, f64) {
        likeliest(|cv| self.log_likelihood(gaps, cv, resolution_s))
    }

    /// The likeliest coefficient of variation of gaps that count as much as their weights say,
    /// and their mean.
    pub fn fit_weighted(self, gaps: &[f64], weights: &[f64], resolution_s: f64) -> (f64, f64) {
        let total: f64 = weights.iter().sum();
        let mean = gaps
            .iter()
            .zip(weights)
            .map(|(gap, weight)| gap * weight)
            .sum::<f64>()
            / total;
        let (cv, _) = likeliest(|cv| {
            let law = Law::new(self, cv, mean);
            let each = gaps
                .iter()
                .zip(weights)
                .filter(|(_, weight)| **weight > 1e-9);
            each.map(|(gap, weight)| weight * law.density(*gap, resolution_s).ln())
                .sum()
        });
        (cv, mean)
    }
}

/// The coefficient of variation at which a likelihood is greatest, by golden section on its
/// logarithm, and its value there.
fn likeliest(log_likelihood: impl Fn(f64) -> f64) -> (f64, f64) {
    let at = |ln_cv: f64| log_likelihood(ln_cv.exp());
    let golden = (5.0_f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (LEAST_CV.ln(), MOST_CV.ln());
    let mut inner = (high - golden * (high - low), low + golden * (high - low));
    let mut values = (at(inner.0), at(inner.1));
    while high - low > 2e-3 {
        if values.0 > values.1 {
            high = inner.1;
            inner = (high - golden * (high - low), inner.0);
            values = (at(inner.0), values.0);
        } else {
            low = inner.0;
            inner = (inner.1, low + golden * (high - low));
            values = (values.1, at(inner.1));
        }
    }
    let middle = (low + high) / 2.0;
    (middle.exp(), at(middle))
}

/// A law with its constants worked out.
pub(super) struct Law {
    family: Family,
    shape: f64,
    scale: f64,
    constant: f64,
}

impl Law {
    pub(super) fn new(family: Family, cv: f64, mean: f64) -> Law {
        let (shape, scale, constant) = match family {
            Family::Exponential => (1.0, mean, -mean.ln()),
            Family::Gamma => {
                let shape = 1.0 / (cv * cv);
                let scale = mean / shape;
                (shape, scale, -shape * scale.ln() - ln_gamma(shape))
            }
            Family::Weibull => {
                let shape = weibull_shape(cv);
                let scale = mean / ln_gamma(1.0 + 1.0 / shape).exp();
                (shape, scale, (shape / scale).ln())
            }
        };
        Law {
            family,
            shape,
            scale,
            constant,
        }
    }

    /// Density at a gap; near 0 that of the stretch of `resolution_s` around it. Above 0.
    pub(super) fn density(&self, gap: f64, resolution_s: f64) -> f64 {
        if gap > COARSE * resolution_s {
            return self.ln_density(gap).exp().max(1e-300);
        }
        let (low, high) = (
            (gap - resolution_s / 2.0).max(0.0),
            gap + resolution_s / 2.0,
        );
        ((self.below(high) - self.below(low)) / (high - low)).max(1e-300)
    }

    fn ln_density(&self, gap: f64) -> f64 {
        let relative = gap / self.scale;
        self.constant
            + match self.family {
                Family::Exponential => -relative,
                Family::Gamma => (self.shape - 1.0) * gap.ln() - relative,
                Family::Weibull => (self.shape - 1.0) * relative.ln() - relative.powf(self.shape),
            }
    }

    fn below(&self, gap: f64) -> f64 {
        let relative = gap / self.scale;
        match self.family {
            _ if gap <= 0.0 => 0.0,
            Family::Exponential => -(-relative).exp_m1(),
            Family::Gamma => gamma_lr(self.shape, relative),
            Family::Weibull => -(-relative.powf(self.shape)).exp_m1(),
        }
    }
}
