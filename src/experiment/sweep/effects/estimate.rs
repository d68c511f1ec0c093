//! Estimators of Sobol indices, and how well they are known.

use rand::RngExt;

use super::Index;
use crate::engine::Streams;
use crate::measure::interval::t_quantile;

/// Resamples of a bootstrap.
const RESAMPLES: usize = 1_000;

/// The two indices of an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    pub first: Index,
    pub total: Index,
}

fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = values.clone().count() as f64;
    values.sum::<f64>() / count
}

/// The variance of equally likely values.
fn variance(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let centre = mean(values.clone());
    mean(values.map(|value| (value - centre).powi(2)))
}

/// First-order and total indices of a function known at all combinations of values, the last axis
/// changing fastest: by their definitions, `V(E(y|x_i)) / V(y)` and `E(V(y|x_others)) / V(y)`.
pub fn of_grid(levels: &[usize], values: &[f64]) -> Vec<(f64, f64)> {
    let whole = variance(values.iter().copied());
    let mut stride = values.len();
    let indices = levels.iter().map(|count| {
        stride /= count;
        let level_of = |index: usize| index / stride % count;
        let mut sums = vec![0.0; *count];
        for (index, value) in values.iter().enumerate() {
            sums[level_of(index)] += value;
        }
        let each = (values.len() / count) as f64;
        let first = variance(sums.iter().map(|sum| sum / each));
        let lines = (0..values.len()).filter(|index| level_of(*index) == 0);
        let total = mean(
            lines.map(|start| variance((0..*count).map(|level| values[start + level * stride]))),
        );
        (first / whole, total / whole)
    });
    indices.collect()
}

/// The same by Jansen's estimators (Computer Physics Communications 117, 1999; table 2 of Saltelli
/// et al., 181, 2010) from rows of f(A), f(B) and, for each axis, f of A with that axis from B.
pub fn of_saltelli(rows: &[&[f64]]) -> Vec<(f64, f64)> {
    let axes = rows.first().map_or(0, |row| row.len().saturating_sub(2));
    let whole = variance(rows.iter().flat_map(|row| row[..2].iter().copied()));
    let half_square = |a: f64, b: f64| (a - b).powi(2) / 2.0;
    let indices = (0..axes).map(|axis| {
        let from_b = mean(rows.iter().map(|row| half_square(row[1], row[2 + axis])));
        let from_a = mean(rows.iter().map(|row| half_square(row[0], row[2 + axis])));
        (1.0 - from_b / whole, from_a / whole)
    });
    indices.collect()
}

fn bare(value: f64) -> Index {
    Index {
        value,
        low: None,
        high: None,
    }
}

/// Intervals from the indices without each of the replications: the jackknife of Efron and Stein
/// (Annals of Statistics 9, 1981) with Student's t.
pub fn jackknife(
    whole: &[(f64, f64)],
    parts: Option<Vec<Vec<(f64, f64)>>>,
    confidence: f64,
) -> Vec<Pair> {
    let parts = parts.filter(|parts| parts.len() >= 2).unwrap_or_default();
    let index = |value: f64, axis: usize, pick: fn(&(f64, f64)) -> f64| {
        if parts.is_empty() {
            return bare(value);
        }
        let count = parts.len() as f64;
        let left_out = parts.iter().map(|part| pick(&part[axis]));
        let error = ((count - 1.0) * variance(left_out)).sqrt();
        let half = error * t_quantile(0.5 + confidence / 2.0, count - 1.0);
        Index {
            value,
            low: Some(value - half),
            high: Some(value + half),
        }
    };
    let pairs = whole.iter().enumerate().map(|(axis, (first, total))| Pair {
        first: index(*first, axis, |pair| pair.0),
        total: index(*total, axis, |pair| pair.1),
    });
    pairs.collect()
}

/// Intervals from rows drawn again with replacement: the percentiles of the indices.
pub fn bootstrap(
    rows: &[&[f64]],
    whole: &[(f64, f64)],
    (seed, stream): (u64, u64),
    confidence: f64,
) -> Vec<Pair> {
    let streams = Streams {
        seed,
        replication: 0,
    };
    let mut rng = streams.stream("sweep", stream, "bootstrap");
    let mut drawn: Vec<Vec<(f64, f64)>> = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        let again: Vec<&[f64]> = (0..rows.len())
            .map(|_| rows[rng.random_range(0..rows.len())])
            .collect();
        drawn.push(of_saltelli(&again));
    }
    let index = |value: f64, axis: usize, pick: fn(&(f64, f64)) -> f64| {
        let values = drawn.iter().map(|indices| pick(&indices[axis]));
        // A draw in which nothing varies has no index.
        let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let last = values.len().checked_sub(1)?;
            values.get((share * last as f64).round() as usize).copied()
        };
        Index {
            value,
            low: at(0.5 - confidence / 2.0),
            high: at(0.5 + confidence / 2.0),
        }
    };
    let pairs = whole.iter().enumerate().map(|(axis, (first, total))| Pair {
        first: index(*first, axis, |pair| pair.0),
        total: index(*total, axis, |pair| pair.1),
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::PI;

    /// The Ishigami function on (-pi, pi)^3 with a = 7, b = 0.1.
    fn ishigami(place: &[f64]) -> f64 {
        let x = |axis: usize| PI * (2.0 * place[axis] - 1.0);
        x(0).sin() + 7.0 * x(1).sin().powi(2) + 0.1 * x(2).powi(4) * x(0).sin()
    }

    /// Its indices in closed form (Ishigami and Homma, 1990).
    fn exact() -> [(f64, f64); 3] {
        let (a, b) = (7.0_f64, 0.1_f64);
        let v1 = 0.5 * (1.0 + b * PI.powi(4) / 5.0).powi(2);
        let v2 = a * a / 8.0;
        let v13 = b * b * PI.powi(8) * (1.0 / 18.0 - 1.0 / 50.0);
        let v = v1 + v2 + v13;
        [(v1 / v, (v1 + v13) / v), (v2 / v, v2 / v), (0.0, v13 / v)]
    }

    #[test]
    fn saltellis_design_gives_the_known_indices_of_ishigami_within_its_intervals() {
        let rows: Vec<Vec<f64>> = (0..4_096_u32)
            .map(|index| {
                let place = |axis: u32| f64::from(sobol_burley::sample(index, axis, 7));
                let a = [0, 1, 2].map(place);
                let b = [3, 4, 5].map(place);
                let mut row = vec![ishigami(&a), ishigami(&b)];
                for axis in 0..3 {
                    let mut mixed = a;
                    mixed[axis] = b[axis];
                    row.push(ishigami(&mixed));
                }
                row
            })
            .collect();
        let rows: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        let whole = of_saltelli(&rows);
        let pairs = bootstrap(&rows, &whole, (1, 0), 0.99);
        for (pair, (first, total)) in pairs.iter().zip(exact()) {
            for (index, exact) in [(pair.first, first), (pair.total, total)] {
                assert!((index.value - exact).abs() < 0.02, "{index:?} {exact}");
                let (low, high) = (index.low.unwrap(), index.high.unwrap());
                assert!(low <= exact && exact <= high, "{index:?} {exact}");
                assert!(high - low < 0.15, "{index:?}");
            }
        }
    }

    #[test]
    fn a_grid_gives_the_indices_of_its_definition() {
        // y = 3 a + b c over a in {0, 1}, b in {-1, 1}, c in {-1, 0, 1}: V = 9/4 + 2/3, b and c act
        // together alone.
        let mut values = Vec::new();
        for a in [0.0, 1.0] {
            for b in [-1.0, 1.0] {
                for c in [-1.0, 0.0, 1.0] {
                    values.push(3.0 * a + b * c);
                }
            }
        }
        let (va, vbc) = (9.0 / 4.0, 2.0 / 3.0);
        let v = va + vbc;
        let expected = [(va / v, va / v), (0.0, vbc / v), (0.0, vbc / v)];
        for (found, expected) in of_grid(&[2, 2, 3], &values).iter().zip(expected) {
            assert!(
                (found.0 - expected.0).abs() < 1e-12,
                "{found:?} {expected:?}"
            );
            assert!(
                (found.1 - expected.1).abs() < 1e-12,
                "{found:?} {expected:?}"
            );
        }
    }

    #[test]
    fn the_jackknife_of_a_mean_is_the_interval_of_that_mean() {
        let values = [1.0, 2.0, 4.0, 9.0];
        let sum: f64 = values.iter().sum();
        let parts = values
            .iter()
            .map(|left_out| vec![((sum - left_out) / 3.0, 0.0)]);
        let pairs = jackknife(&[(sum / 4.0, 0.0)], Some(parts.collect()), 0.95);
        let known = crate::measure::Interval::from_replications(&values, 0.95).unwrap();
        assert!((pairs[0].first.low.unwrap() - known.low).abs() < 1e-12);
        assert!((pairs[0].first.high.unwrap() - known.high).abs() < 1e-12);
        assert_eq!(jackknife(&[(0.5, 0.5)], None, 0.95)[0].first, bare(0.5));
    }
}
