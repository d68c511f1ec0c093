//! Distance between distributions (Kolmogorov-Smirnov), and quantiles of plain samples.

/// The greatest distance between the empirical distribution of `sample`, which it sorts, and
/// the distribution function `cdf`; from 0 to 1, and 0 for an empty sample. Meant for a
/// continuous `cdf`: steps of it count as distance.
pub fn ks_distance(sample: &mut [f64], cdf: impl Fn(f64) -> f64) -> f64 {
    sample.sort_unstable_by(f64::total_cmp);
    let n = sample.len() as f64;
    sample
        .iter()
        .enumerate()
        .map(|(index, &x)| {
            let at = cdf(x);
            let below = at - index as f64 / n;
            let above = (index + 1) as f64 / n - at;
            below.max(above)
        })
        .fold(0.0, f64::max)
}

/// The greatest distance between the empirical distributions of `a` and `b`, which it sorts;
/// from 0 to 1, and 0 when either is empty. Equal values are stepped over together.
pub fn ks_distance_two(a: &mut [f64], b: &mut [f64]) -> f64 {
    a.sort_unstable_by(f64::total_cmp);
    b.sort_unstable_by(f64::total_cmp);
    let (n, m) = (a.len() as f64, b.len() as f64);
    let (mut i, mut j) = (0, 0);
    let mut distance = 0.0_f64;
    while let (Some(&x), Some(&y)) = (a.get(i), b.get(j)) {
        let step = if x.total_cmp(&y).is_le() { x } else { y };
        i += a[i..].partition_point(|value| value.total_cmp(&step).is_le());
        j += b[j..].partition_point(|value| value.total_cmp(&step).is_le());
        distance = distance.max((i as f64 / n - j as f64 / m).abs());
    }
    distance
}

/// The distance that a sample of `n` from the distribution itself exceeds with probability at
/// most `alpha`: `sqrt(ln(2/alpha) / 2n)`, a bound for every `n` (Dvoretzky, Kiefer, Wolfowitz
/// with Massart's constant). For two samples of `n` and `m`, take `n·m / (n + m)` for `n`.
pub fn ks_limit(n: f64, alpha: f64) -> f64 {
    ((2.0 / alpha).ln() / (2.0 * n)).sqrt()
}

/// The `q` quantile, `q` from 0 to 1, of a sample in ascending order, linear between
/// neighbours: the first at 0, the last at 1. None without values or when `q` is not a number.
pub fn quantile_of_sorted(sorted: &[f64], q: f64) -> Option<f64> {
    if q.is_nan() {
        return None;
    }
    let last = sorted.len().checked_sub(1)?;
    let place = q.clamp(0.0, 1.0) * last as f64;
    let index = (place.floor() as usize).min(last);
    let low = sorted[index];
    let high = sorted[(index + 1).min(last)];
    Some(low + (high - low) * (place - index as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_known() {
        let mut sample = [0.9, 0.1, 0.5];
        let distance = ks_distance(&mut sample, |x| x);
        assert!((distance - 7.0 / 30.0).abs() < 1e-12, "{distance}");
        assert_eq!(ks_distance(&mut [], |x| x), 0.0);
        assert_eq!(ks_distance(&mut [2.0], |_| 1.0), 1.0);
    }

    #[test]
    fn two_samples_compare_with_ties() {
        let mut a = [1.0, 2.0, 2.0, 3.0];
        let mut b = a;
        assert_eq!(ks_distance_two(&mut a, &mut b), 0.0);
        assert_eq!(ks_distance_two(&mut a, &mut [4.0, 5.0]), 1.0);
        assert_eq!(ks_distance_two(&mut a, &mut [2.0, 4.0]), 0.5);
        assert_eq!(ks_distance_two(&mut a, &mut []), 0.0);
    }

    #[test]
    fn the_limit_is_that_of_the_tables() {
        assert!((ks_limit(1.0, 0.05) - 1.3581).abs() < 1e-4);
        assert!((ks_limit(10_000.0, 0.01) - 0.016276).abs() < 1e-6);
    }

    #[test]
    fn quantiles_are_linear_between_values() {
        let sorted = [1.0, 2.0, 4.0];
        assert_eq!(quantile_of_sorted(&sorted, 0.0), Some(1.0));
        assert_eq!(quantile_of_sorted(&sorted, 0.5), Some(2.0));
        assert_eq!(quantile_of_sorted(&sorted, 0.75), Some(3.0));
        assert_eq!(quantile_of_sorted(&sorted, 1.0), Some(4.0));
        assert_eq!(quantile_of_sorted(&[], 0.5), None);
        assert_eq!(quantile_of_sorted(&[7.0], 0.3), Some(7.0));
    }
}
