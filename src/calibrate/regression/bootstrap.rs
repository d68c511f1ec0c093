//! How far estimates move when other rows had been measured: B. Efron, *Bootstrap methods: another
//! look at the jackknife*, Annals of Statistics 7 (1979), over clusters of rows, with percentile
//! intervals.

use nalgebra::DVector;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;

use super::robust::{Loss, Problem};
use crate::measure::quantile_of_sorted;

/// Draws; 2.5 and 97.5 % are then the tenth from either end.
pub const DRAWS: u64 = 400;

/// 95 % intervals of the unknowns: of [`DRAWS`] problems made of as many clusters, drawn with
/// replacement, the 2.5th and 97.5th percentile. `clusters` lists the rows of each. Draw `k` is seeded
/// with `k`, so that the result is the same everywhere.
pub fn intervals(problem: &Problem, loss: Loss, clusters: &[Vec<usize>]) -> Vec<(f64, f64)> {
    let draws: Vec<DVector<f64>> = (0..DRAWS)
        .into_par_iter()
        .map(|draw| {
            let mut random = ChaCha8Rng::seed_from_u64(draw);
            let chosen = (0..clusters.len()).map(|_| random.random_range(0..clusters.len()));
            let rows: Vec<usize> = chosen.flat_map(|at| clusters[at].iter().copied()).collect();
            problem.of(&rows).solve(loss, None).x
        })
        .collect();
    let of = |unknown: usize| {
        let mut values: Vec<f64> = draws.iter().map(|x| x[unknown]).collect();
        values.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| quantile_of_sorted(&values, share).unwrap_or(f64::NAN);
        (at(0.025), at(0.975))
    };
    (0..problem.a.ncols()).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::DMatrix;

    /// The mean of normal-like errors has the deviation of theory.
    #[test]
    fn the_interval_of_a_mean_is_that_of_theory() {
        let count = 64_usize;
        // Evenly spread over a unit: deviation 1 / sqrt(12).
        let problem = Problem {
            a: DMatrix::from_element(count, 1, 1.0),
            b: DVector::from_fn(count, |row, _| 5.0 + (row as f64 + 0.5) / count as f64),
            lower: DVector::zeros(1),
            kinds: vec![0; count],
            least_scale: 1e-6,
        };
        let clusters: Vec<Vec<usize>> = (0..count).map(|row| vec![row]).collect();
        let (low, high) = intervals(&problem, Loss::Squares, &clusters)[0];
        let expected = 2.0 * 1.96 / (12.0 * count as f64).sqrt();
        assert!(low < 5.5 && high > 5.5);
        assert!(((high - low) / expected - 1.0).abs() < 0.15, "{low} {high}");
    }
}
