//! What residuals cost, and by that how much each row counts: wild ones less.
//!
//! P. J. Huber, *Robust estimation of a location parameter*, Annals of Mathematical Statistics 35
//! (1964), gives the first loss and the standard deviation that is found with it; A. E. Beaton and
//! J. W. Tukey, Technometrics 16 (1974), the second; P. W. Holland and R. E. Welsch, *Robust regression
//! using iteratively reweighted least squares*, Communications in Statistics A6 (1977), the constants.

use nalgebra::DVector;
use serde::Serialize;

/// Huber's constant: 95 % of the efficiency of least squares where errors are normal.
const HUBER: f64 = 1.345;
/// Half the mean of the squares of normal deviations that are cut off at it: what makes its standard
/// deviation that of the normal law.
const HUBER_SHARE: f64 = 0.355_082;
/// Tukey's constant, for the same efficiency.
const TUKEY: f64 = 4.685;
/// Median absolute deviations in a standard deviation of the normal law: 1 / 0.6745.
const TO_DEVIATION: f64 = 1.4826;
/// Times that a standard deviation is found anew.
const MOST_ROUNDS: usize = 100;
/// Change of it, relative, at which it has settled.
const SETTLED: f64 = 1e-9;

/// What a residual costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Its square: every row counts fully.
    Squares,
    /// Its square near zero, and its size beyond: wild rows pull, but not more the wilder they are.
    Huber,
    /// Nothing more beyond 4.7 standard deviations: wild rows do not count at all.
    Tukey,
}

impl Loss {
    /// The weight of a residual of so many standard deviations, 0 to 1.
    pub fn weight(self, deviations: f64) -> f64 {
        let size = deviations.abs();
        match self {
            Loss::Squares => 1.0,
            Loss::Huber if size <= HUBER => 1.0,
            Loss::Huber => HUBER / size,
            Loss::Tukey if size >= TUKEY => 0.0,
            Loss::Tukey => {
                let left = 1.0 - (size / TUKEY).powi(2);
                left * left
            }
        }
    }

    /// What a residual of so many standard deviations costs; its slope is [`Loss::weight`] times the
    /// residual.
    pub fn cost(self, deviations: f64) -> f64 {
        let size = deviations.abs();
        match self {
            Loss::Squares => size * size / 2.0,
            Loss::Huber if size <= HUBER => size * size / 2.0,
            Loss::Huber => HUBER * (size - HUBER / 2.0),
            Loss::Tukey => {
                let left = 1.0 - (size / TUKEY).powi(2).min(1.0);
                TUKEY * TUKEY / 6.0 * (1.0 - left.powi(3))
            }
        }
    }
}

/// What all residuals cost together, a figure that fits to the same rows can be compared by.
///
/// Squares are those of the residuals as they are. With Huber's loss the standard deviation of each
/// kind is sought with the unknowns, as he does it: the cost of a kind is then about as its standard
/// deviation, so that none is given up for another to fit exactly, and linear problems have one
/// minimum. Tukey's needs standard deviations that are given.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    /// The loss.
    pub loss: Loss,
    /// Standard deviations by kind; sought where there are none.
    held: Option<Vec<f64>>,
    /// The least of them, above 0.
    least: f64,
}

impl Objective {
    /// A loss whose standard deviations are sought, or 1 with squares; none is below `least`.
    #[must_use]
    pub fn seeking(loss: Loss, least: f64) -> Objective {
        Objective {
            loss,
            held: None,
            least,
        }
    }

    /// The same with standard deviations that stay as they are.
    #[must_use]
    pub fn holding(&self, scales: Vec<f64>, loss: Loss) -> Objective {
        Objective {
            loss,
            held: Some(scales),
            least: self.least,
        }
    }

    /// Standard deviations of these residuals by kind, 1 with squares.
    #[must_use]
    pub fn scales(&self, residuals: &[f64], kinds: &[usize]) -> Vec<f64> {
        let count = kinds.iter().max().map_or(0, |most| most + 1);
        match (&self.held, self.loss) {
            (Some(held), _) => held.clone(),
            (None, Loss::Squares) => vec![1.0; count],
            (None, Loss::Huber | Loss::Tukey) => {
                let begun = scales(residuals, kinds, self.least);
                let own = begun.iter().enumerate();
                own.map(|(kind, begun)| self.scale(residuals, kinds, kind, *begun))
                    .collect()
            }
        }
    }

    /// The standard deviation of one kind: that at which the mean of its squares, cut off, is as with
    /// normal errors.
    fn scale(&self, residuals: &[f64], kinds: &[usize], kind: usize, begun: f64) -> f64 {
        let own = || residuals.iter().zip(kinds).filter(|(_, own)| **own == kind);
        let count = own().count().max(1) as f64;
        let mut scale = begun;
        for _ in 0..MOST_ROUNDS {
            let cut = own().map(|(residual, _)| (residual / scale).powi(2).min(HUBER * HUBER));
            let share = cut.sum::<f64>() / 2.0 / count;
            let next = (scale * (share / HUBER_SHARE).sqrt()).max(self.least);
            let moved = (next / scale - 1.0).abs();
            scale = next;
            if moved <= SETTLED {
                break;
            }
        }
        scale
    }

    /// What the residuals cost together.
    #[must_use]
    pub fn cost(&self, residuals: &[f64], kinds: &[usize]) -> f64 {
        let scales = self.scales(residuals, kinds);
        let each = residuals.iter().zip(kinds).map(|(residual, kind)| {
            let scale = scales[*kind];
            let cost = self.loss.cost(residual / scale);
            match self.loss {
                Loss::Squares | Loss::Tukey => cost,
                Loss::Huber => scale * (cost + HUBER_SHARE),
            }
        });
        each.sum()
    }

    /// What the square of each residual counts for: the slope of the cost over the residual.
    #[must_use]
    pub fn pulls(&self, residuals: &[f64], kinds: &[usize]) -> DVector<f64> {
        let scales = self.scales(residuals, kinds);
        DVector::from_fn(residuals.len(), |row, _| {
            let scale = scales[kinds[row]];
            let weight = self.loss.weight(residuals[row] / scale);
            match self.loss {
                Loss::Huber => weight / scale,
                Loss::Squares | Loss::Tukey => weight / (scale * scale),
            }
        })
    }
}

/// Standard deviations of each kind of residual by the median of their sizes, which half of them
/// may be wild without moving far; no less than `least`.
pub fn scales(residuals: &[f64], kinds: &[usize], least: f64) -> Vec<f64> {
    let count = kinds.iter().max().map_or(0, |most| most + 1);
    let of = |kind: usize| {
        let own = residuals.iter().zip(kinds).filter(|(_, own)| **own == kind);
        let mut sizes: Vec<f64> = own.map(|(residual, _)| residual.abs()).collect();
        sizes.sort_unstable_by(f64::total_cmp);
        let median = crate::measure::quantile_of_sorted(&sizes, 0.5);
        (median.unwrap_or(0.0) * TO_DEVIATION).max(least)
    };
    (0..count).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_the_slope_of_the_cost() {
        for loss in [Loss::Squares, Loss::Huber, Loss::Tukey] {
            for at in [0.1, 1.0, 1.3, 2.0, 4.0, 6.0] {
                let slope = (loss.cost(at + 1e-6) - loss.cost(at - 1e-6)) / 2e-6;
                let told = loss.weight(at) * at;
                assert!((slope - told).abs() < 1e-5, "{loss:?} at {at}");
            }
        }
    }

    /// Of the cost of all, too, though standard deviations move with the residuals.
    #[test]
    fn a_pull_is_the_slope_of_the_whole_cost() {
        let residuals = [0.1, -0.3, 0.02, 2.0, 0.25, -0.01, 0.4, 0.03];
        let kinds = [0, 0, 1, 0, 0, 1, 0, 1];
        let seeking = Objective::seeking(Loss::Huber, 1e-3);
        let tukey = seeking.holding(vec![0.3, 0.02], Loss::Tukey);
        let squares = Objective::seeking(Loss::Squares, 1e-3);
        for objective in [seeking, tukey, squares] {
            let pulls = objective.pulls(&residuals, &kinds);
            for row in 0..residuals.len() {
                let at = |moved: f64| {
                    let mut own = residuals;
                    own[row] += moved;
                    objective.cost(&own, &kinds)
                };
                let slope = (at(1e-6) - at(-1e-6)) / 2e-6;
                let told = pulls[row] * residuals[row];
                assert!(
                    (slope - told).abs() < 1e-4 * slope.abs().max(1.0),
                    "{objective:?} {row}: {slope} {told}"
                );
            }
        }
    }

    /// Normal errors have the deviation of theory by either way.
    #[test]
    fn deviations_are_those_of_the_normal_law() {
        let sized = |at: usize| {
            let share = (at as f64 + 0.5) / 2_000.0;
            let normal = statrs::distribution::Normal::new(0.0, 0.07).unwrap();
            statrs::distribution::ContinuousCDF::inverse_cdf(&normal, share)
        };
        let residuals: Vec<f64> = (0..2_000).map(sized).collect();
        let kinds = vec![0; residuals.len()];
        let sought = Objective::seeking(Loss::Huber, 1e-3).scales(&residuals, &kinds)[0];
        assert!((sought / 0.07 - 1.0).abs() < 0.01, "{sought}");
        let median = scales(&residuals, &kinds, 1e-3)[0];
        assert!((median / 0.07 - 1.0).abs() < 0.01, "{median}");
    }
}
