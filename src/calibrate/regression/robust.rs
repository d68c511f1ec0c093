//! Least squares with lower bounds in which wild rows count less, by iteratively reweighted
//! [`nnls`].
//!
//! P. W. Holland and R. E. Welsch, *Robust regression using iteratively reweighted least squares*,
//! Communications in Statistics A6 (1977), gives the method and its constants; P. J. Huber, *Robust
//! estimation of a location parameter*, Annals of Mathematical Statistics 35 (1964), the first loss,
//! and A. E. Beaton and J. W. Tukey, Technometrics 16 (1974), the second.

use nalgebra::{DMatrix, DVector};
use serde::Serialize;

use super::nnls::nnls;

/// Huber's constant: 95 % of the efficiency of least squares where errors are normal.
const HUBER: f64 = 1.345;
/// Tukey's, for the same efficiency.
const TUKEY: f64 = 4.685;
/// Median absolute deviations in a standard deviation of the normal law: 1 / 0.6745.
const TO_DEVIATION: f64 = 1.4826;
/// Times that weights are found anew.
const MOST_ROUNDS: usize = 60;
/// Change of the solution, relative, at which weights have settled.
const SETTLED: f64 = 1e-6;

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

/// Rows `a x = b`, up to errors, with `x` no less than `lower`.
#[derive(Debug, Clone)]
pub struct Problem {
    /// One row a measurement, one column an unknown.
    pub a: DMatrix<f64>,
    /// What was measured.
    pub b: DVector<f64>,
    /// Least values of the unknowns.
    pub lower: DVector<f64>,
    /// The kind of each row, from 0: those of one kind have errors of one size.
    pub kinds: Vec<usize>,
    /// Least standard deviation of an error, above 0: where rows fit better than this, none is wild.
    pub least_scale: f64,
}

/// What fits best.
#[derive(Debug, Clone)]
pub struct Solution {
    /// The unknowns.
    pub x: DVector<f64>,
    /// Weights of the rows, 0 to 1.
    pub weights: DVector<f64>,
    /// The standard deviation of errors of each kind, from the median of their sizes.
    pub scales: Vec<f64>,
}

impl Problem {
    /// `a x - b`.
    pub fn residuals(&self, x: &DVector<f64>) -> DVector<f64> {
        &self.a * x - &self.b
    }

    /// The rows at these places, which may come several times.
    pub fn of(&self, rows: &[usize]) -> Problem {
        Problem {
            a: self.a.select_rows(rows),
            b: self.b.select_rows(rows),
            lower: self.lower.clone(),
            kinds: rows.iter().map(|row| self.kinds[*row]).collect(),
            least_scale: self.least_scale,
        }
    }

    /// Weighted least squares within the bounds.
    fn weighted(&self, weights: &DVector<f64>) -> DVector<f64> {
        let roots = weights.map(f64::sqrt);
        let mut a = self.a.clone();
        for (mut row, root) in a.row_iter_mut().zip(roots.iter()) {
            row *= *root;
        }
        let b = (&self.b - &self.a * &self.lower).component_mul(&roots);
        nnls(&a, &b) + &self.lower
    }

    /// The unknowns that cost least. Standard deviations are found on the way unless `scales` gives
    /// them; Tukey's loss, which has many minima, begins where Huber's ends and keeps its deviations.
    pub fn solve(&self, loss: Loss, scales: Option<&[f64]>) -> Solution {
        match (loss, scales) {
            (Loss::Tukey, None) => {
                let begun = self.solve(Loss::Huber, None);
                self.reweight(loss, Some(&begun.scales), begun.x)
            }
            _ => {
                let start = self.weighted(&DVector::repeat(self.b.len(), 1.0));
                self.reweight(loss, scales, start)
            }
        }
    }

    /// The same from where one is: deviations are found on the way unless they are given.
    pub fn solve_from(&self, loss: Loss, scales: Option<&[f64]>, start: DVector<f64>) -> Solution {
        self.reweight(loss, scales, start)
    }

    fn reweight(&self, loss: Loss, fixed: Option<&[f64]>, start: DVector<f64>) -> Solution {
        let mut x = start;
        for _ in 0..MOST_ROUNDS {
            let residuals = self.residuals(&x);
            let scales = self.scales(&residuals, fixed);
            let weights = self.weights(loss, &residuals, &scales);
            let next = self.weighted(&weights.component_div(&self.variances(&scales)));
            let moved = (&next - &x).amax();
            x = next;
            if moved <= SETTLED * x.amax() {
                break;
            }
        }
        let residuals = self.residuals(&x);
        let scales = self.scales(&residuals, fixed);
        Solution {
            weights: self.weights(loss, &residuals, &scales),
            x,
            scales,
        }
    }

    /// Standard deviations by kind, unless they are given.
    fn scales(&self, residuals: &DVector<f64>, fixed: Option<&[f64]>) -> Vec<f64> {
        match fixed {
            Some(fixed) => fixed.to_vec(),
            None => scales(residuals.as_slice(), &self.kinds, self.least_scale),
        }
    }

    fn weights(&self, loss: Loss, residuals: &DVector<f64>, scales: &[f64]) -> DVector<f64> {
        let of = |row: usize| loss.weight(residuals[row] / scales[self.kinds[row]]);
        DVector::from_fn(self.b.len(), |row, _| of(row))
    }

    fn variances(&self, scales: &[f64]) -> DVector<f64> {
        DVector::from_fn(self.b.len(), |row, _| scales[self.kinds[row]].powi(2))
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

/// What all residuals cost together.
pub fn cost(residuals: &[f64], kinds: &[usize], scales: &[f64], loss: Loss) -> f64 {
    let each = residuals.iter().zip(kinds);
    each.map(|(residual, kind)| loss.cost(residual / scales[*kind]))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `b = 2 + 3 t` at 20 points, of which every fifth is off by a lot.
    fn line() -> Problem {
        let t = |row: usize| row as f64 / 4.0;
        let noise = |row: usize| 0.01 * ((row * 7 % 5) as f64 - 2.0);
        Problem {
            a: DMatrix::from_fn(20, 2, |row, column| if column == 0 { 1.0 } else { t(row) }),
            b: DVector::from_fn(20, |row, _| {
                let wild = if row % 5 == 4 { 40.0 } else { 0.0 };
                2.0 + 3.0 * t(row) + noise(row) + wild
            }),
            lower: DVector::zeros(2),
            kinds: vec![0; 20],
            least_scale: 1e-3,
        }
    }

    #[test]
    fn wild_rows_do_not_lead() {
        let problem = line();
        let squares = problem.solve(Loss::Squares, None);
        assert!((squares.x[0] - 2.0).abs() > 1.0, "{}", squares.x);
        let tukey = problem.solve(Loss::Tukey, None);
        assert!((tukey.x[0] - 2.0).abs() < 0.03, "{}", tukey.x);
        assert!((tukey.x[1] - 3.0).abs() < 0.01, "{}", tukey.x);
        assert!((0..20).all(|row| (tukey.weights[row] < 0.5) == (row % 5 == 4)));
        // Huber's loss is moved, but by a fraction.
        let huber = problem.solve(Loss::Huber, None);
        assert!((huber.x[0] - 2.0).abs() < 0.1, "{}", huber.x);
    }

    #[test]
    fn bounds_hold_wherever_they_are() {
        let mut problem = line();
        problem.lower = DVector::from_row_slice(&[2.5, 0.0]);
        let found = problem.solve(Loss::Tukey, None);
        assert_eq!(found.x[0], 2.5);
        assert!(found.x[1] > 2.0 && found.x[1] < 3.0, "{}", found.x);
    }

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
}
