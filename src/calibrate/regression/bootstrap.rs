//! How far estimates move when other rows had been measured: B. Efron, *Bootstrap methods: another
//! look at the jackknife*, Annals of Statistics 7 (1979), over clusters of rows.

use nalgebra::DVector;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rayon::prelude::*;

use super::problem::Problem;
use super::robust::Objective;
use crate::measure::quantile_of_sorted;

/// Draws; 2.5 and 97.5 % are then the tenth from either end.
pub const DRAWS: u64 = 400;

/// 95 % intervals around estimates: [`DRAWS`] problems are made of as many clusters, drawn with
/// replacement, and settled from the estimates on; from 2.5 to 97.5 % they move away from where all rows
/// settle by so much up and so much down. The interval reaches from the estimate as far both as they do
/// and as their mirror image does, so that it is around the estimate even where the rows, which the
/// problem has as linear, settle a little beside it; it ends at `most` and at the least values.
///
/// `clusters` lists the rows of each. Draw `k` is seeded with `k`, so that the result is the same
/// everywhere.
pub fn intervals(
    problem: &Problem,
    objective: &Objective,
    estimates: &DVector<f64>,
    most: &[f64],
    clusters: &[Vec<usize>],
) -> Vec<(f64, f64)> {
    let whole = problem.settle(objective, estimates.clone());
    let moved: Vec<DVector<f64>> = (0..DRAWS)
        .into_par_iter()
        .map(|draw| {
            let mut random = ChaCha8Rng::seed_from_u64(draw);
            let chosen = (0..clusters.len()).map(|_| random.random_range(0..clusters.len()));
            let rows: Vec<usize> = chosen.flat_map(|at| clusters[at].iter().copied()).collect();
            problem.of(&rows).settle(objective, estimates.clone()) - &whole
        })
        .collect();
    let of = |unknown: usize| {
        let mut moves: Vec<f64> = moved.iter().map(|x| x[unknown]).collect();
        moves.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| quantile_of_sorted(&moves, share).unwrap_or(f64::NAN);
        let reach = at(0.025).abs().max(at(0.975).abs());
        let (least, most) = (problem.lower[unknown], most[unknown]);
        let estimate = estimates[unknown];
        (
            (estimate - reach).max(least).min(estimate),
            (estimate + reach).min(most).max(estimate),
        )
    };
    (0..problem.a.ncols()).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::regression::robust::Loss;
    use nalgebra::DMatrix;

    fn mean_of(count: usize) -> Problem {
        // Evenly spread over a unit: deviation 1 / sqrt(12).
        Problem {
            a: DMatrix::from_element(count, 1, 1.0),
            b: DVector::from_fn(count, |row, _| 5.0 + (row as f64 + 0.5) / count as f64),
            lower: DVector::zeros(1),
            kinds: vec![0; count],
        }
    }

    fn found(problem: &Problem, estimate: f64) -> (f64, f64) {
        let count = problem.b.len();
        let clusters: Vec<Vec<usize>> = (0..count).map(|row| vec![row]).collect();
        let squares = Objective::seeking(Loss::Squares, 1e-6);
        let estimate = DVector::from_element(1, estimate);
        intervals(problem, &squares, &estimate, &[1e7], &clusters)[0]
    }

    /// The mean of normal-like errors has the deviation of theory.
    #[test]
    fn the_interval_of_a_mean_is_that_of_theory() {
        let (low, high) = found(&mean_of(64), 5.5);
        let expected = 2.0 * 1.96 / (12.0 * 64.0_f64).sqrt();
        assert!(low < 5.5 && high > 5.5);
        assert!(((high - low) / expected - 1.0).abs() < 0.15, "{low} {high}");
    }

    /// An estimate beside the best of the linear problem, as simulated rows have it, is within its own
    /// interval, and at a bound the interval goes up only.
    #[test]
    fn an_interval_is_around_its_estimate_wherever_that_is() {
        let problem = mean_of(64);
        for estimate in [0.0, 0.01, 3.0, 5.5, 80.0, 1e7] {
            let (low, high) = found(&problem, estimate);
            assert!(low <= estimate && estimate <= high, "{low} {high}");
            assert!((0.0..=1e7).contains(&low) && high <= 1e7);
            assert!(high - low > 0.05, "{low} {high}");
        }
    }
}
