//! Routed experts: routing excluded, the products of all experts on one device included.

use std::collections::BTreeMap;

use super::KernelDtype;
use super::interpolate::{Curve, index_of};

/// How evenly tokens fall on experts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spread {
    /// All experts get as many (`balanced`).
    Balanced,
    /// A power law of exponent 1.2 (`power_law_1.2`).
    PowerLaw,
}

/// The shape of a measured layer of experts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExpertsKey {
    /// Number type.
    pub dtype: KernelDtype,
    /// Width of the residual stream.
    pub hidden: u32,
    /// Width of an expert before any split.
    pub width: u32,
    /// Experts of a token.
    pub per_token: u32,
    /// Experts.
    pub experts: u32,
    /// Devices each expert is split over.
    pub tp: u32,
    /// Devices the experts are dealt out to.
    pub ep: u32,
    /// How tokens fall on experts.
    pub spread: Spread,
}

/// Measured layers of experts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MoeTable {
    /// Tokens measured.
    pub(super) tokens: Vec<f64>,
    /// Microseconds at those tokens; NaN where not measured.
    pub(super) shapes: BTreeMap<ExpertsKey, Vec<f64>>,
}

impl MoeTable {
    /// The measured microseconds of a layer for `tokens` tokens, if it was measured.
    #[must_use]
    pub fn measured_us(&self, key: &ExpertsKey, tokens: u32) -> Option<f64> {
        let at = index_of(&self.tokens, f64::from(tokens))?;
        let us = *self.shapes.get(key)?.get(at)?;
        us.is_finite().then_some(us)
    }

    /// The shapes measured.
    pub fn keys(&self) -> impl Iterator<Item = &ExpertsKey> {
        self.shapes.keys()
    }

    /// Nanoseconds by tokens, for exactly that shape.
    pub(crate) fn curve(&self, key: &ExpertsKey) -> Option<Curve> {
        Curve::through(&self.tokens, self.shapes.get(key)?, 1e3)
    }
}
