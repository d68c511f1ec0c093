//! How far an unknown may go without moving anything where a fit ends: rows of prompts that already take
//! what the hardware takes at least, say, bound the factor of their kernels from above and not from below.

use super::model::{LEAST_SCALE, Model};
use super::parameter::{Parameter, Values};

/// Halvings of the stretch in which an end lies: to a part in sixteen of the difference that effects are
/// taken over, where it is near.
const HALVINGS: usize = 4;

/// Values of an unknown between which it moves no mean by a thousandth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flat {
    /// The unknown.
    pub parameter: Parameter,
    /// The least of them.
    pub low: f64,
    /// The greatest.
    pub high: f64,
    /// Which of them is written: where it moves nothing either way the nearest to what is assumed without
    /// rows, or else the one that the fit has come to.
    pub written: f64,
    /// Whether greater values move nothing, either.
    pub idle: bool,
}

impl Flat {
    /// Around the values that a fit has come to; `idle` where greater values are known to move nothing, or
    /// downwards alone. Means that have no weight in the fit may move.
    pub fn around(
        model: &mut Model<'_>,
        rows: &[usize],
        weights: &[f64],
        values: Values,
        (parameter, idle): (Parameter, bool),
    ) -> Flat {
        let here = model.residuals(rows, values);
        let mut still = |value: f64| {
            let mut beside = values;
            beside[parameter as usize] = value;
            let there = model.residuals(rows, beside);
            let both = here.as_ref().zip(there.as_ref());
            both.is_some_and(|(here, there)| {
                let mut pairs = here.iter().zip(there).zip(weights);
                pairs.all(|((one, other), weight)| {
                    *weight == 0.0 || (one - other).abs() < LEAST_SCALE
                })
            })
        };
        let (from, size) = (values[parameter as usize], parameter.difference());
        let low = end(from, -size, parameter.least(), &mut still);
        let high = match idle {
            true => end(from, size, parameter.most(), &mut still),
            false => from,
        };
        Flat {
            parameter,
            low,
            high,
            idle,
            written: match idle {
                true => parameter.start().clamp(low, high),
                false => from,
            },
        }
    }

    /// Whether there is more than one.
    pub fn is_wide(&self) -> bool {
        self.low < self.high
    }

    /// Whether all values that are sought are alike.
    pub fn everywhere(&self) -> bool {
        self.low <= self.parameter.least() && self.high >= self.parameter.most()
    }
}

/// The last value from `from` on towards `bound` that is still: by steps that double, then by halving; `from`
/// itself where the first step moves something, which every unknown does that says anything.
fn end(from: f64, step: f64, bound: f64, still: &mut dyn FnMut(f64) -> bool) -> f64 {
    let within = |value: f64| match step > 0.0 {
        true => value.min(bound),
        false => value.max(bound),
    };
    let (mut known, mut step) = (from, step);
    let mut moved = loop {
        let next = within(known + step);
        if !still(next) {
            break next;
        }
        if next == bound {
            return bound;
        }
        (known, step) = (next, 2.0 * step);
    };
    if known == from {
        return from;
    }
    for _ in 0..HALVINGS {
        let middle = 0.5 * (known + moved);
        match still(middle) {
            true => known = middle,
            false => moved = middle,
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_found_on_both_sides() {
        let mut still = |value: f64| (0.3..=0.72).contains(&value);
        let high = end(0.4, 0.1, 100.0, &mut still);
        assert!(high <= 0.72 && high > 0.72 - 0.05, "{high}");
        let low = end(0.4, -0.06, 0.1, &mut still);
        assert!((0.3..0.32).contains(&low), "{low}");
        assert_eq!(end(0.4, 0.1, 0.7, &mut |_| true), 0.7);
        assert_eq!(end(0.4, -0.1, 0.1, &mut |_| true), 0.1);
        // Where nothing beside is still, nothing but the place itself is known.
        assert_eq!(end(0.4, 0.1, 100.0, &mut |_| false), 0.4);
    }
}
