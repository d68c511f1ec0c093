//! What the kernels should give, in 64 bits.

use rayon::prelude::*;

use super::record::Checked;

/// Keys that a thread takes at the least.
const LEAST_APART: usize = 256;

/// Compares results with references: the error of a value is relative to its size plus the root
/// mean square of all references, since sums that cancel keep the error of their terms.
#[must_use]
pub fn compare(pairs: &[(f64, f64)], tolerance: f64) -> Checked {
    let squares: f64 = pairs.iter().map(|(_, wanted)| wanted * wanted).sum();
    let scale = (squares / pairs.len().max(1) as f64).sqrt().max(1e-30);
    let errors = pairs.iter().map(|(got, wanted)| {
        let error = (got - wanted).abs() / (wanted.abs() + scale);
        if error.is_nan() { f64::INFINITY } else { error }
    });
    Checked {
        values: pairs.len() as u64,
        max_error: errors.fold(0.0, f64::max),
        tolerance,
    }
}

/// Attention of one query over keys and values that are asked for by (key, column); scores are
/// multiplied by `scale`.
#[must_use]
pub fn attention(
    query: &[f64],
    keys: u64,
    scale: f64,
    key: &(impl Fn(u64, u64) -> f64 + Sync),
    value: &(impl Fn(u64, u64) -> f64 + Sync),
) -> Vec<f64> {
    let scores: Vec<f64> = (0..keys as usize)
        .into_par_iter()
        .with_min_len(LEAST_APART)
        .map(|index| {
            let terms = query
                .iter()
                .zip(0..)
                .map(|(q, column)| q * key(index as u64, column));
            terms.sum::<f64>() * scale
        })
        .collect();
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|score| (score - top).exp()).collect();
    let total: f64 = weights.iter().sum();
    (0..query.len())
        .into_par_iter()
        .with_min_len(if weights.len() < LEAST_APART {
            query.len()
        } else {
            1
        })
        .map(|column| {
            let terms = weights
                .iter()
                .zip(0..)
                .map(|(w, index)| w * value(index, column as u64));
            terms.sum::<f64>() / total
        })
        .collect()
}

/// `RMSNorm` of a row that is already a sum.
#[must_use]
pub fn rms_norm(row: &[f64], weight: &[f64]) -> Vec<f64> {
    let mean = row.iter().map(|x| x * x).sum::<f64>() / row.len() as f64;
    let factor = 1.0 / (mean + 1e-5).sqrt();
    row.iter()
        .zip(weight)
        .map(|(x, w)| x * factor * w)
        .collect()
}

/// `silu(gate) * up`.
#[must_use]
pub fn silu_mul(gate: f64, up: f64) -> f64 {
    gate / (1.0 + (-gate).exp()) * up
}

/// The two coordinates of a pair, turned by an angle.
#[must_use]
pub fn rotate(first: f64, second: f64, angle: f64) -> [f64; 2] {
    let (sine, cosine) = angle.sin_cos();
    [
        first * cosine - second * sine,
        second * cosine + first * sine,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attention_of_equal_keys_is_the_mean_of_values() {
        let got = attention(&[1.0, 2.0], 4, 0.5, &|_, _| 1.0, &|key, column| {
            (key + 10 * column) as f64
        });
        assert!((got[0] - 1.5).abs() < 1e-12 && (got[1] - 11.5).abs() < 1e-12);
    }

    #[test]
    fn a_missing_or_infinite_result_never_passes() {
        assert!(compare(&[(f64::NAN, 1.0)], 0.1).max_error.is_infinite());
        assert!(compare(&[(f64::INFINITY, 1.0)], 0.1).max_error > 0.1);
        assert!(compare(&[(1.0, 1.0), (2.01, 2.0)], 0.1).max_error < 0.01);
    }

    #[test]
    fn a_turn_keeps_the_length() {
        let [a, b] = rotate(3.0, 4.0, 0.7);
        assert!((a * a + b * b - 25.0).abs() < 1e-12);
        assert_eq!(rotate(1.0, 2.0, 0.0), [1.0, 2.0]);
    }
}
