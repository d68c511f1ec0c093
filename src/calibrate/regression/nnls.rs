//! Non-negative least squares by the active-set method of C. L. Lawson and R. J. Hanson, *Solving
//! Least Squares Problems* (1974, reprinted by SIAM 1995), chapter 23, algorithm NNLS.

use nalgebra::{DMatrix, DVector};

/// What is taken for zero, as a share of the largest of its kind.
const TOLERANCE: f64 = 1e-10;
/// Eigenvalues of the products of columns of length 1 that are taken for zero, as a share of the largest:
/// columns alike to a millionth.
const SINGULAR: f64 = 1e-12;
/// Times that an unknown may enter the passive set, for each unknown: three to four are usual.
const MOST_ENTRIES: usize = 50;

/// The `x >= 0` that makes `|a x - b|` least. Where several do, one of them; an unknown whose column
/// is zero stays zero. `a` has as many rows as `b`; both are finite.
pub fn nnls(a: &DMatrix<f64>, b: &DVector<f64>) -> DVector<f64> {
    let unknowns = a.ncols();
    // Columns of length 1, so that one tolerance serves all.
    let lengths: Vec<f64> = a.column_iter().map(|column| column.norm()).collect();
    let mut scaled = a.clone();
    for (mut column, length) in scaled.column_iter_mut().zip(&lengths) {
        if *length > 0.0 {
            column /= *length;
        }
    }
    // Few unknowns and many rows: their products are formed once (R. Bro and S. de Jong, *A fast
    // non-negativity-constrained least squares algorithm*, Journal of Chemometrics 11, 1997).
    let normal = Normal {
        gram: scaled.transpose() * &scaled,
        moments: scaled.transpose() * b,
    };
    let mut x = DVector::zeros(unknowns);
    let mut passive = vec![false; unknowns];
    let small = TOLERANCE * b.norm().max(f64::MIN_POSITIVE);
    let mut barred = vec![false; unknowns];
    for _ in 0..MOST_ENTRIES * unknowns.max(1) {
        let gradient = &normal.moments - &normal.gram * &x;
        let next = (0..unknowns)
            .filter(|at| !passive[*at] && !barred[*at] && lengths[*at] > 0.0)
            .filter(|at| gradient[*at] > small)
            .max_by(|one, other| gradient[*one].total_cmp(&gradient[*other]));
        let Some(next) = next else { break };
        passive[next] = true;
        let mut trial = normal.solve(&passive);
        if trial[next] <= 0.0 {
            // By rounding alone: the book sets its gradient to zero and takes another.
            passive[next] = false;
            barred[next] = true;
            continue;
        }
        barred.fill(false);
        while let Some(share) = first_below_zero(&x, &trial, &passive) {
            x += (&trial - &x) * share;
            for at in 0..unknowns {
                if passive[at] && x[at] <= TOLERANCE * x.amax() {
                    passive[at] = false;
                    x[at] = 0.0;
                }
            }
            trial = normal.solve(&passive);
        }
        x = trial;
    }
    for (value, length) in x.iter_mut().zip(&lengths) {
        if *length > 0.0 {
            *value /= *length;
        }
    }
    x
}

/// The normal equations.
struct Normal {
    gram: DMatrix<f64>,
    moments: DVector<f64>,
}

impl Normal {
    /// Least squares over the passive unknowns; the others are zero.
    fn solve(&self, passive: &[bool]) -> DVector<f64> {
        let members: Vec<usize> = (0..passive.len()).filter(|at| passive[*at]).collect();
        let mut x = DVector::zeros(passive.len());
        if members.is_empty() {
            return x;
        }
        let gram = self.gram.select_columns(&members).select_rows(&members);
        let moments = self.moments.select_rows(&members);
        // By eigenvalues: columns that are nearly alike do not blow up.
        let eigen = gram.symmetric_eigen();
        let least = SINGULAR * eigen.eigenvalues.amax();
        let mut parts = eigen.eigenvectors.transpose() * moments;
        for (part, value) in parts.iter_mut().zip(eigen.eigenvalues.iter()) {
            *part = if *value > least { *part / value } else { 0.0 };
        }
        let found = &eigen.eigenvectors * parts;
        for (value, at) in found.iter().zip(&members) {
            x[*at] = *value;
        }
        x
    }
}

/// The share of the way from `x` to `trial` after which the first passive unknown is at zero; none
/// if all of `trial` is above.
fn first_below_zero(x: &DVector<f64>, trial: &DVector<f64>, passive: &[bool]) -> Option<f64> {
    let shares = (0..x.len())
        .filter(|at| passive[*at] && trial[*at] <= 0.0)
        .map(|at| {
            let way = x[at] - trial[at];
            if way > 0.0 { x[at] / way } else { 0.0 }
        });
    shares.min_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn solve(rows: usize, a: &[f64], b: &[f64]) -> Vec<f64> {
        let a = DMatrix::from_row_slice(rows, a.len() / rows, a);
        nnls(&a, &DVector::from_row_slice(b)).as_slice().to_vec()
    }

    #[test]
    fn an_exact_solution_is_found() {
        let x = solve(3, &[1.0, 0.0, 1.0, 1.0, 0.0, 2.0], &[2.0, 5.0, 6.0]);
        assert!(
            (x[0] - 2.0).abs() < 1e-9 && (x[1] - 3.0).abs() < 1e-9,
            "{x:?}"
        );
    }

    #[test]
    fn what_would_be_negative_is_zero_and_the_rest_is_best_without_it() {
        // Unbounded: x = (3, -1). With x1 = 0 the best x0 is a mean: 2.5.
        let x = solve(2, &[1.0, 0.0, 1.0, 1.0], &[3.0, 2.0]);
        assert!((x[0] - 2.5).abs() < 1e-9, "{x:?}");
        assert_eq!(x[1], 0.0);
        assert_eq!(solve(1, &[1.0], &[-4.0]), [0.0]);
        assert_eq!(solve(2, &[0.0, 1.0, 0.0, 1.0], &[1.0, 1.0])[0], 0.0);
    }

    /// The conditions of Karush, Kuhn and Tucker hold for any problem, so that no other `x` is better.
    #[test]
    fn solutions_are_optimal() {
        let mut state = 7_u64;
        let mut draw = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as f64 / f64::from(1_u32 << 31) - 0.5
        };
        for case in 0..200 {
            let (rows, columns) = (3 + case % 12, 1 + case % 6);
            let a = DMatrix::from_fn(rows, columns, |_, _| draw());
            let b = DVector::from_fn(rows, |_, _| draw());
            let x = nnls(&a, &b);
            let gradient = a.transpose() * (&b - &a * &x);
            for at in 0..columns {
                assert!(x[at] >= 0.0);
                assert!(gradient[at] < 1e-7, "case {case}: {gradient}");
                assert!(x[at] == 0.0 || gradient[at].abs() < 1e-7, "case {case}");
            }
        }
    }
}
