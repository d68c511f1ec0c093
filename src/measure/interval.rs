//! Confidence intervals by Student's t: over replications, and of paired comparisons.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

/// [`Interval::method`] of an interval over independent replications.
pub const REPLICATIONS: &str = "replications";
/// [`Interval::method`] of an interval over the batches of one long run.
pub const BATCH_MEANS: &str = "batch_means";

/// Degrees of freedom from which Student's t is taken for the normal distribution.
const NORMAL_FROM: f64 = 1e6;

/// A confidence interval. Values have the unit of what was measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// The point estimate.
    pub estimate: f64,
    /// Half of the distance from `low` to `high`, before they were cut to what is possible.
    pub half_width: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// The probability, from 0 to 1, with which such an interval holds the true value.
    pub confidence: f64,
    /// Replications, pairs or batches it rests on.
    pub n: usize,
    /// `"replications"` or `"batch_means"`.
    pub method: &'static str,
}

impl Interval {
    /// `estimate ± t·standard_error` with `n - 1` degrees of freedom; none below two values or
    /// with a confidence outside (0, 1).
    pub(super) fn around(
        estimate: f64,
        standard_error: f64,
        n: usize,
        confidence: f64,
        method: &'static str,
    ) -> Option<Interval> {
        let half_width = half_width(standard_error, n, confidence)?;
        Some(Interval {
            estimate,
            half_width,
            low: estimate - half_width,
            high: estimate + half_width,
            confidence,
            n,
            method,
        })
    }

    /// The interval of the mean of independent replications, each of which gave one value.
    /// None with fewer than two values, a value that is not finite, or a confidence outside
    /// (0, 1).
    pub fn from_replications(values: &[f64], confidence: f64) -> Option<Interval> {
        let (mean, variance) = mean_and_variance(values)?;
        let error = (variance / values.len() as f64).sqrt();
        Interval::around(mean, error, values.len(), confidence, REPLICATIONS)
    }

    /// The interval of what all replications say together, `whole`, by how much `values`, each
    /// replication's own, differ: `whole ± t·standard error of their mean`. A quantile of all requests
    /// together is not the mean of the replications' quantiles, which is off by more the fewer requests
    /// each has; to first order both are off by chance alike. None as in
    /// [`Interval::from_replications`], or when `whole` is not finite.
    pub fn of_whole(whole: f64, values: &[f64], confidence: f64) -> Option<Interval> {
        let spread = Interval::from_replications(values, confidence)?;
        whole.is_finite().then_some(Interval {
            estimate: whole,
            low: whole - spread.half_width,
            high: whole + spread.half_width,
            ..spread
        })
    }

    /// The same without what cannot be: a time below 0, a share above 1. The estimate stays within.
    pub fn within(self, (least, most): (f64, f64)) -> Interval {
        Interval {
            low: self.low.max(least).min(self.estimate),
            high: self.high.min(most).max(self.estimate),
            ..self
        }
    }

    /// The interval of the mean of `a - b` over pairs that share their random numbers. None as
    /// in [`Interval::from_replications`], or when the lengths differ.
    pub fn paired_difference(a: &[f64], b: &[f64], confidence: f64) -> Option<Interval> {
        if a.len() != b.len() {
            return None;
        }
        let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
        Interval::from_replications(&differences, confidence)
    }

    /// The interval of the ratio of means, `mean(a) / mean(b)`, over pairs that share their
    /// random numbers, by the delta method: the variance is that of `(a - ratio·b) / mean(b)`.
    /// None as in [`Interval::paired_difference`], or when the mean of `b` is 0.
    pub fn paired_ratio(a: &[f64], b: &[f64], confidence: f64) -> Option<Interval> {
        if a.len() != b.len() {
            return None;
        }
        let (mean_a, _) = mean_and_variance(a)?;
        let (mean_b, _) = mean_and_variance(b)?;
        if mean_b == 0.0 {
            return None;
        }
        let ratio = mean_a / mean_b;
        let residuals: Vec<f64> = a
            .iter()
            .zip(b)
            .map(|(a, b)| (a - ratio * b) / mean_b)
            .collect();
        let (_, variance) = mean_and_variance(&residuals)?;
        let error = (variance / a.len() as f64).sqrt();
        Interval::around(ratio, error, a.len(), confidence, REPLICATIONS)
    }

    /// Whether `x` lies within the interval, ends included.
    pub fn contains(&self, x: f64) -> bool {
        self.low <= x && x <= self.high
    }

    /// The same interval in another unit, all values times `factor`.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Interval {
        let (low, high) = (self.low * factor, self.high * factor);
        Interval {
            estimate: self.estimate * factor,
            half_width: self.half_width * factor.abs(),
            low: low.min(high),
            high: low.max(high),
            ..*self
        }
    }
}

/// What a figure of all replications together, `whole`, is of one of them, given each one's own. A mean, a
/// quantile, a share or a ratio of all of them lies among their own; what does not is made of counts,
/// which add up over replications, and is of one as the mean of their own.
pub fn of_one(whole: f64, values: &[f64]) -> f64 {
    let sum: f64 = values.iter().sum();
    let near = |other: f64| (whole - other).abs() <= 1e-9 * other.abs();
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let among = (least..=most).contains(&whole) || near(least) || near(most);
    match values.len() < 2 || (among && !near(sum)) {
        true => whole,
        false => sum / values.len() as f64,
    }
}

/// The half-width `t·standard_error` of a two-sided interval over `n` values; none below two
/// values or with a confidence outside (0, 1).
pub(super) fn half_width(standard_error: f64, n: usize, confidence: f64) -> Option<f64> {
    if n < 2 || !(confidence > 0.0 && confidence < 1.0) {
        return None;
    }
    let t = t_quantile(0.5 + confidence / 2.0, (n - 1) as f64);
    Some(t * standard_error)
}

/// Mean and unbiased variance; none below two values or with a value that is not finite.
pub(super) fn mean_and_variance(values: &[f64]) -> Option<(f64, f64)> {
    if values.len() < 2 || values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let n = values.len() as f64;
    let first = values[0];
    // About the first value, so that equal values have exactly no variance.
    let mean = first + values.iter().map(|value| value - first).sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((mean, squares / (n - 1.0)))
}

/// The `p` quantile of Student's t with `dof` degrees of freedom. Not a number when `p` is
/// outside (0, 1) or `dof` is not above 0; the normal distribution from a million on.
pub fn t_quantile(p: f64, dof: f64) -> f64 {
    if !(p > 0.0 && p < 1.0) {
        return f64::NAN;
    }
    if p == 0.5 {
        return 0.0;
    }
    if dof >= NORMAL_FROM {
        return Normal::new(0.0, 1.0).map_or(f64::NAN, |normal| normal.inverse_cdf(p));
    }
    StudentsT::new(0.0, 1.0, dof).map_or(f64::NAN, |student| student.inverse_cdf(p))
}

/// The limit on |t| for each of `checks` two-sided tests with `dof` degrees of freedom, so that
/// the probability that any of them rejects what is true is at most `alpha` (Bonferroni).
pub fn bonferroni_t_limit(alpha: f64, checks: usize, dof: f64) -> f64 {
    t_quantile(1.0 - alpha / (2.0 * checks.max(1) as f64), dof)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64, tolerance: f64) {
        assert!((a - b).abs() <= tolerance, "{a} against {b}");
    }

    #[test]
    fn quantiles_of_t_are_those_of_the_tables() {
        for (p, dof, expected) in [
            (0.975, 1.0, 12.706_204_736),
            (0.975, 4.0, 2.776_445_105),
            (0.975, 9.0, 2.262_157_163),
            (0.95, 30.0, 1.697_260_887),
            (0.995, 19.0, 2.860_934_606),
            (0.025, 9.0, -2.262_157_163),
            (0.9995, 60.0, 3.460_200_469),
            (0.975, 1e9, 1.959_963_985),
        ] {
            close(t_quantile(p, dof), expected, 1e-6 * expected.abs());
        }
        assert_eq!(t_quantile(0.5, 7.0), 0.0);
        assert!(t_quantile(1.0, 7.0).is_nan());
        assert!(t_quantile(0.9, 0.0).is_nan());
    }

    #[test]
    fn bonferroni_shares_alpha_among_the_checks() {
        close(bonferroni_t_limit(0.05, 1, 9.0), 2.262_157_163, 1e-6);
        close(
            bonferroni_t_limit(0.01, 100, 19.0),
            t_quantile(0.99995, 19.0),
            1e-9,
        );
    }

    #[test]
    fn replications_give_a_known_interval() {
        let interval = Interval::from_replications(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.95).unwrap();
        close(interval.estimate, 3.0, 1e-12);
        close(interval.half_width, 1.963_243_161, 1e-6);
        assert!(interval.contains(1.1) && !interval.contains(1.0));
        assert_eq!((interval.n, interval.method), (5, "replications"));
        let ms = interval.scaled(-2.0);
        close(ms.high, -2.0 * interval.low, 1e-12);
        assert!(ms.low < ms.high && ms.half_width > 0.0);
    }

    #[test]
    fn an_interval_of_the_whole_lies_around_it() {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0];
        let of_each = Interval::from_replications(&values, 0.95).unwrap();
        assert_eq!(Interval::of_whole(3.0, &values, 0.95), Some(of_each));
        let whole = Interval::of_whole(6.0, &values, 0.95).unwrap();
        assert_eq!(
            (whole.estimate, whole.half_width),
            (6.0, of_each.half_width)
        );
        assert_eq!(
            (whole.low, whole.high),
            (of_each.low + 3.0, of_each.high + 3.0)
        );
        assert_eq!(Interval::of_whole(f64::NAN, &values, 0.95), None);
        assert_eq!(Interval::of_whole(1.0, &values[..1], 0.95), None);
    }

    #[test]
    fn counts_are_of_one_replication() {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!((of_one(15.0, &values), of_one(2.9, &values)), (3.0, 2.9));
        // Less 2, and over one: the counts in them are of all, the figure of one.
        assert_eq!(of_one(13.0, &[-1.0, 0.0, 1.0, 2.0, 3.0]), 1.0);
        assert_eq!(of_one(0.2, &[0.9, 1.1]), 1.0);
        assert_eq!(
            (of_one(5.0, &values[4..]), of_one(0.0, &[0.0, 0.0])),
            (5.0, 0.0)
        );
        // Rare ones, too.
        assert_eq!(of_one(4.0, &[4.0, 0.0, 0.0, 0.0]), 1.0);
    }

    #[test]
    fn too_little_gives_no_interval() {
        assert_eq!(Interval::from_replications(&[1.0], 0.95), None);
        assert_eq!(Interval::from_replications(&[1.0, f64::NAN], 0.95), None);
        assert_eq!(Interval::from_replications(&[1.0, 2.0], 1.0), None);
        assert_eq!(Interval::paired_difference(&[1.0, 2.0], &[1.0], 0.9), None);
        assert_eq!(Interval::paired_ratio(&[1.0, 2.0], &[1.0, -1.0], 0.9), None);
    }

    #[test]
    fn pairs_cancel_what_they_share() {
        let b = [10.0, 20.0, 30.0, 40.0];
        let a: Vec<f64> = b.iter().map(|b| 1.5 * b).collect();
        let ratio = Interval::paired_ratio(&a, &b, 0.95).unwrap();
        close(ratio.estimate, 1.5, 1e-12);
        close(ratio.half_width, 0.0, 1e-12);
        let shifted: Vec<f64> = b.iter().map(|b| b + 3.0).collect();
        let difference = Interval::paired_difference(&shifted, &b, 0.95).unwrap();
        assert_eq!((difference.low, difference.high), (3.0, 3.0));
    }

    #[test]
    fn an_interval_does_not_leave_what_is_possible() {
        let found = Interval::of_whole(0.9, &[0.2, 1.0, 0.9], 0.95).unwrap();
        assert!(found.low < 0.0 && found.high > 1.0);
        let cut = found.within((0.0, 1.0));
        assert_eq!((cut.low, cut.high, cut.estimate), (0.0, 1.0, 0.9));
        assert_eq!(cut.half_width, found.half_width);
        let free = found.within((f64::NEG_INFINITY, f64::INFINITY));
        assert_eq!((free.low, free.high), (found.low, found.high));
    }
}
