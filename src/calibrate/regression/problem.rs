//! Linear least squares with lower bounds in which wild rows count less, by iteratively reweighted
//! [`nnls`] (P. W. Holland and R. E. Welsch, *Robust regression using iteratively reweighted least
//! squares*, Communications in Statistics A6, 1977).

use nalgebra::{DMatrix, DVector};

use super::nnls::nnls;
use super::robust::Objective;

/// Times that weights are found anew.
const MOST_ROUNDS: usize = 60;
/// Change of the solution, relative, at which weights have settled.
const SETTLED: f64 = 1e-6;

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
        }
    }

    /// Least squares within the bounds whose rows count for their `pulls`, held near `from`: what each
    /// unknown moves the rows by on its way from there is a residual, too, that counts `damping` times
    /// (D. W. Marquardt, *An algorithm for least-squares estimation of nonlinear parameters*, SIAM
    /// Journal 11, 1963). With damping, an unknown that moves nothing stays where it is.
    pub fn damped(&self, pulls: &DVector<f64>, from: &DVector<f64>, damping: f64) -> DVector<f64> {
        let (rows, unknowns) = self.a.shape();
        let mut a = self.a.clone().resize(rows + unknowns, unknowns, 0.0);
        let moved = &self.b - &self.a * &self.lower;
        let mut b = moved.resize_vertically(rows + unknowns, 0.0);
        for row in 0..rows {
            let root = pulls[row].sqrt();
            a.row_mut(row).scale_mut(root);
            b[row] *= root;
        }
        if damping > 0.0 {
            for unknown in 0..unknowns {
                let length = a.column(unknown).norm();
                let size = if length > 0.0 { length } else { 1.0 };
                let held = size * damping.sqrt();
                a[(rows + unknown, unknown)] = held;
                b[rows + unknown] = held * (from[unknown] - self.lower[unknown]);
            }
        }
        nnls(&a, &b) + &self.lower
    }

    /// The unknowns that cost least, from where one is: of several minima the one near there.
    pub fn settle(&self, objective: &Objective, start: DVector<f64>) -> DVector<f64> {
        let mut x = start;
        for _ in 0..MOST_ROUNDS {
            let pulls = objective.pulls(self.residuals(&x).as_slice(), &self.kinds);
            let next = self.damped(&pulls, &x, 0.0);
            let moved = (&next - &x).amax();
            x = next;
            if moved <= SETTLED * x.amax() {
                break;
            }
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::regression::robust::{Loss, scales};

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
        }
    }

    /// As the search does it: Huber's loss from squares, Tukey's from there.
    fn found(problem: &Problem, loss: Loss) -> DVector<f64> {
        let squares = Objective::seeking(Loss::Squares, 1e-3);
        let x = problem.settle(&squares, problem.lower.clone());
        if loss == Loss::Squares {
            return x;
        }
        let huber = Objective::seeking(Loss::Huber, 1e-3);
        let x = problem.settle(&huber, x);
        if loss == Loss::Huber {
            return x;
        }
        let held = scales(problem.residuals(&x).as_slice(), &problem.kinds, 1e-3);
        problem.settle(&huber.holding(held, loss), x)
    }

    #[test]
    fn wild_rows_do_not_lead() {
        let problem = line();
        let squares = found(&problem, Loss::Squares);
        assert!((squares[0] - 2.0).abs() > 1.0, "{squares}");
        let tukey = found(&problem, Loss::Tukey);
        assert!((tukey[0] - 2.0).abs() < 0.03, "{tukey}");
        assert!((tukey[1] - 3.0).abs() < 0.01, "{tukey}");
        // Huber's loss is moved, but less than by half.
        let huber = found(&problem, Loss::Huber);
        assert!((huber[0] - 2.0).abs() < 1.0, "{huber}");
        assert!(
            (huber[0] - 2.0).abs() < (squares[0] - 2.0).abs() / 2.0,
            "{huber}"
        );
    }

    #[test]
    fn bounds_hold_wherever_they_are() {
        let mut problem = line();
        problem.lower = DVector::from_row_slice(&[2.5, 0.0]);
        let found = found(&problem, Loss::Tukey);
        assert_eq!(found[0], 2.5);
        assert!(found[1] > 2.0 && found[1] < 3.0, "{found}");
    }

    #[test]
    fn damping_holds_what_it_is_told_to() {
        let problem = line();
        let from = DVector::from_row_slice(&[7.0, 1.0]);
        let pulls = DVector::repeat(20, 1.0);
        let free = problem.damped(&pulls, &from, 0.0);
        let near = problem.damped(&pulls, &from, 1e9);
        assert!((&near - &from).amax() < 1e-6, "{near}");
        let way = |x: &DVector<f64>| (x - &from).norm();
        let half = problem.damped(&pulls, &from, 0.3);
        assert!(way(&half) > 0.1 && way(&half) < way(&free), "{half}");
        // What moves nothing stays.
        let mut idle = problem;
        idle.a.set_column(1, &DVector::zeros(20));
        assert_eq!(idle.damped(&pulls, &from, 1e-3)[1], 1.0);
    }
}
