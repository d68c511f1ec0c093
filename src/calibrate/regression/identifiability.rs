//! Which unknowns some rows cannot tell apart.
//!
//! D. A. Belsley, E. Kuh and R. E. Welsch, *Regression Diagnostics* (1980), chapter 3: the columns
//! are scaled to length 1; a singular value 30 times below the largest in which two or more
//! unknowns have more than half of their variance means that these are confounded.

use nalgebra::DMatrix;
use serde::Serialize;

/// Condition index from which on the book calls a dependency strong.
pub const MOST_CONDITION: f64 = 30.0;
/// Correlation of two estimates from which on they are called confounded.
pub const MOST_CORRELATION: f64 = 0.95;
/// Share of its variance by which an unknown takes part in a dependency, after the book.
const LEAST_SHARE: f64 = 0.5;
/// A column counts as none below this share of the longest.
const NOTHING: f64 = 1e-9;

/// What the design says of its unknowns.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Identifiability {
    /// Largest condition index of the scaled columns; 1 where all are at right angles. Absent where
    /// fewer than two unknowns have any effect, or two do exactly the same.
    pub condition: Option<f64>,
    /// Unknowns that move nothing.
    pub without_effect: Vec<usize>,
    /// Pairs of unknowns and the correlation of their estimates, each once, strongest first.
    pub correlations: Vec<(usize, usize, f64)>,
    /// Sets of two or more unknowns that cannot be told apart.
    pub confounded: Vec<Vec<usize>>,
}

/// Of a design whose rows carry the roots of their weights.
pub fn identifiability(design: &DMatrix<f64>) -> Identifiability {
    let lengths: Vec<f64> = design.column_iter().map(|column| column.norm()).collect();
    let longest = lengths.iter().copied().fold(0.0, f64::max);
    let (known, without_effect): (Vec<usize>, Vec<usize>) =
        (0..design.ncols()).partition(|at| lengths[*at] > NOTHING * longest);
    let mut found = Identifiability {
        condition: None,
        without_effect,
        correlations: Vec::new(),
        confounded: Vec::new(),
    };
    if known.len() < 2 {
        return found;
    }
    let mut scaled = design.select_columns(&known);
    for (mut column, at) in scaled.column_iter_mut().zip(&known) {
        column /= lengths[*at];
    }
    let normal = (scaled.transpose() * scaled).symmetric_eigen();
    let largest = normal.eigenvalues.amax();
    // Rounding may leave a zero slightly below it.
    let least = f64::EPSILON * largest * known.len() as f64;
    let values = normal.eigenvalues.map(|value| value.max(least));
    let inverse = |one: usize, other: usize| -> f64 {
        let terms = (0..known.len())
            .map(|k| normal.eigenvectors[(one, k)] * normal.eigenvectors[(other, k)] / values[k]);
        terms.sum()
    };
    let singular = normal.eigenvalues.min() <= least;
    found.condition = (!singular).then(|| (largest / values.min()).sqrt());
    for one in 0..known.len() {
        for other in one + 1..known.len() {
            let both = (inverse(one, one) * inverse(other, other)).sqrt();
            let correlation = (inverse(one, other) / both).clamp(-1.0, 1.0);
            found
                .correlations
                .push((known[one], known[other], correlation));
        }
    }
    let strength = |pair: &(usize, usize, f64)| -pair.2.abs();
    found
        .correlations
        .sort_by(|one, other| strength(one).total_cmp(&strength(other)));
    for k in 0..known.len() {
        if (largest / values[k]).sqrt() < MOST_CONDITION {
            continue;
        }
        let share =
            |one: usize| normal.eigenvectors[(one, k)].powi(2) / values[k] / inverse(one, one);
        let members = (0..known.len()).filter(|one| share(*one) > LEAST_SHARE);
        let members: Vec<usize> = members.map(|one| known[one]).collect();
        if members.len() > 1 {
            found.confounded.push(members);
        }
    }
    for (one, other, correlation) in &found.correlations {
        let told = found
            .confounded
            .iter()
            .any(|set| set.contains(one) && set.contains(other));
        if correlation.abs() >= MOST_CORRELATION && !told {
            found.confounded.push(vec![*one, *other]);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_at_right_angles_are_told_apart() {
        let design = DMatrix::from_row_slice(4, 2, &[1.0, 0.0, 0.0, 9.0, 1.0, 0.0, 0.0, 9.0]);
        let found = identifiability(&design);
        assert!((found.condition.unwrap() - 1.0).abs() < 1e-9);
        assert!(found.correlations[0].2.abs() < 1e-9);
        assert!(found.confounded.is_empty() && found.without_effect.is_empty());
    }

    #[test]
    fn columns_that_are_nearly_alike_are_named() {
        // The third is twice the first, but for a thousandth; the second is alone.
        let rows = 12;
        let design = DMatrix::from_fn(rows, 4, |row, column| {
            let t = row as f64;
            match column {
                0 => 1.0 + t,
                1 => {
                    if row % 2 == 0 {
                        1.0
                    } else {
                        -1.0
                    }
                }
                2 => 2.0 * (1.0 + t) + 1e-3 * (t * 1.7).sin(),
                _ => 0.0,
            }
        });
        let found = identifiability(&design);
        assert_eq!(found.confounded, [vec![0, 2]]);
        assert_eq!(found.without_effect, [3]);
        assert!(found.condition.unwrap() > 1_000.0);
        let (one, other, correlation) = found.correlations[0];
        assert_eq!((one, other), (0, 2));
        assert!(correlation < -0.999, "{correlation}");
    }

    #[test]
    fn columns_that_are_alike_have_no_condition() {
        let design = DMatrix::from_fn(5, 2, |row, _| 1.0 + row as f64);
        let found = identifiability(&design);
        assert_eq!(found.condition, None);
        assert_eq!(found.confounded, [vec![0, 1]]);
    }
}
