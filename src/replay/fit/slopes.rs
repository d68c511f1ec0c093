//! Slopes from finite differences, smoothed over the blocks of a window.
//!
//! Two sides of a nudge are two paths of luck, and what they differ by is noise as well as slope. Noise
//! in the slopes of a block adds to the normal equations as a ridge would (errors in variables: W. A.
//! Fuller, *Measurement Error Models*, 1987): in a direction in which two unknowns nearly make up for one
//! another it is most of what is there, so that steps are too short and intervals too narrow. The slope
//! of a feature is much the same in all blocks, but for their load: a line over the load keeps what tells
//! unknowns apart, and leaves a share of 2/blocks of the noise.

use crate::replay::features::{FEATURES, Features};
use crate::replay::least_squares::Residuals;
use crate::replay::night::Seen;

/// Tokens/s that requests ask for; 0 of fewer than two.
pub(super) fn load_of(requests: &[Seen]) -> f64 {
    let (Some(first), Some(last)) = (requests.first(), requests.last()) else {
        return 0.0;
    };
    let tokens = requests
        .iter()
        .map(|it| f64::from(it.prompt_tokens) + f64::from(it.output_tokens));
    let span_ns = last.t_ns.saturating_sub(first.t_ns);
    match span_ns {
        0 => 0.0,
        span_ns => tokens.sum::<f64>() / (span_ns as f64 / 1e9),
    }
}

/// Each feature's slopes as a line over the loads of the blocks (least squares); 0 where a block's is not
/// known. Where loads are all the same the line is flat.
pub(super) fn smoothed(slopes: &[Features], loads: &[f64]) -> Residuals {
    let mut rows = vec![vec![0.0; FEATURES.len()]; slopes.len()];
    for feature in 0..FEATURES.len() {
        let known = slopes.iter().zip(loads);
        let known: Vec<(f64, f64)> = known
            .filter_map(|(slopes, load)| Some((*load, slopes[feature]?)))
            .collect();
        let (middle, mean, rise) = line(&known);
        for ((row, slopes), load) in rows.iter_mut().zip(slopes).zip(loads) {
            if slopes[feature].is_some() {
                row[feature] = mean + rise * (load - middle);
            }
        }
    }
    rows
}

/// The line through points: their middle, its height there, its rise.
fn line(points: &[(f64, f64)]) -> (f64, f64, f64) {
    let count = points.len().max(1) as f64;
    let middle = points.iter().map(|point| point.0).sum::<f64>() / count;
    let mean = points.iter().map(|point| point.1).sum::<f64>() / count;
    let across: f64 = points.iter().map(|point| (point.0 - middle).powi(2)).sum();
    let both = points
        .iter()
        .map(|point| (point.0 - middle) * (point.1 - mean));
    // Of two points or fewer a line says as much as they do, and smooths nothing.
    let is_line = points.len() > 2 && across > 1e-12 * middle * middle * count;
    let rise = if is_line {
        both.sum::<f64>() / across
    } else {
        0.0
    };
    (middle, mean, rise)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slopes(values: &[Option<f64>]) -> Vec<Features> {
        let one = |value: &Option<f64>| std::array::from_fn(|at| value.filter(|_| at == 1));
        values.iter().map(one).collect()
    }

    #[test]
    fn a_line_over_the_load_is_kept_and_what_is_off_it_is_not() {
        let loads = [1.0, 2.0, 3.0, 4.0];
        let on_it = slopes(&[Some(3.0), Some(5.0), Some(7.0), Some(9.0)]);
        let kept: Vec<f64> = smoothed(&on_it, &loads).iter().map(|row| row[1]).collect();
        for (kept, expected) in kept.iter().zip([3.0, 5.0, 7.0, 9.0]) {
            assert!((kept - expected).abs() < 1e-12, "{kept} for {expected}");
        }
        // One up, one down, one up, one down again, evenly about the line: half of it goes away.
        let off_it = slopes(&[Some(4.0), Some(4.0), Some(6.0), Some(10.0)]);
        let kept: Vec<f64> = smoothed(&off_it, &loads).iter().map(|row| row[1]).collect();
        for (kept, expected) in kept.iter().zip([3.0, 5.0, 7.0, 9.0]) {
            assert!((kept - expected).abs() < 1e-12, "{kept} for {expected}");
        }
    }

    #[test]
    fn what_a_block_does_not_know_stays_unknown() {
        let rows = smoothed(&slopes(&[Some(1.0), None, Some(1.0), Some(1.0)]), &[5.0; 4]);
        let of_it: Vec<f64> = rows.iter().map(|row| row[1]).collect();
        assert_eq!(of_it, [1.0, 0.0, 1.0, 1.0]);
        assert!(rows.iter().all(|row| row[0] == 0.0));
    }

    #[test]
    fn a_load_is_tokens_over_time() {
        let seen = |t_ns| Seen {
            t_ns,
            prompt_tokens: 30,
            output_tokens: 10,
            ttft_ns: None,
            e2e_ns: None,
            failed_ns: None,
            ending: crate::observed::Ending::Completed,
            attempts: Some(1),
            tier: 0,
        };
        assert_eq!(load_of(&[seen(0), seen(2_000_000_000)]), 40.0);
        assert_eq!(load_of(&[seen(7)]), 0.0);
        assert_eq!(load_of(&[]), 0.0);
    }
}
