//! Batch means: intervals of a mean and of a quantile from one long run.

use super::buckets::{Dense, Sparse, merged, samples_below};
use super::interval::{BATCH_MEANS, Interval, half_width, mean_and_variance};

/// Complete batches kept at most; reaching this many, pairs merge and the size doubles.
const MOST: usize = 64;
/// Batches below which there is no interval.
const LEAST: usize = 10;
/// Lag-1 correlation of batch means above which batches are grouped further.
const CORRELATED: f64 = 0.2;

/// One complete batch.
#[derive(Debug, Clone, Default)]
struct Batch {
    sum: u128,
    counts: Sparse,
}

/// Batch means over one long run of correlated samples, in ns.
///
/// The run is cut into 32 to 63 batches of equal size (a sample a batch at first), whose size
/// doubles as the run grows. When the means of neighbouring batches correlate by more than 0.2,
/// an interval rests on groups of 2, 3, ... batches, as few as 10 groups. Each batch keeps its
/// sum and its counts by buckets under 0.8 % wide, so memory is bounded by the batches and the
/// spread of the values: tens of kB as a rule, 4 MB at most.
#[derive(Debug, Clone, Default)]
pub struct BatchMeans {
    complete: Vec<Batch>,
    /// Samples in a batch, as a power of two.
    size_log2: u32,
    open: Dense,
    open_sum: u128,
    open_count: u64,
}

impl BatchMeans {
    /// No samples.
    pub fn new() -> BatchMeans {
        BatchMeans::default()
    }

    /// Records the next sample, in ns.
    #[inline]
    pub fn record(&mut self, ns: u64) {
        self.open.record(ns);
        self.open_sum += u128::from(ns);
        self.open_count += 1;
        if self.open_count == self.size() {
            self.close();
        }
    }

    /// Forgets every sample.
    pub fn clear(&mut self) {
        self.complete.clear();
        self.size_log2 = 0;
        self.open.clear();
        self.open_sum = 0;
        self.open_count = 0;
    }

    /// Samples recorded.
    pub fn count(&self) -> u64 {
        self.complete.len() as u64 * self.size() + self.open_count
    }

    /// Complete batches, before any grouping for correlation.
    pub fn batches(&self) -> usize {
        self.complete.len()
    }

    /// The interval of the mean, in ns: the mean of all samples, with the error of the batch
    /// means. None with fewer than 10 batches or a confidence outside (0, 1).
    pub fn mean_interval(&self, confidence: f64) -> Option<Interval> {
        let means = decorrelated(&self.means())?;
        let (_, variance) = mean_and_variance(&means)?;
        let error = (variance / means.len() as f64).sqrt();
        let sum: u128 = self.complete.iter().map(|batch| batch.sum).sum();
        let mean = (sum + self.open_sum) as f64 / self.count() as f64;
        Interval::around(mean, error, means.len(), confidence, BATCH_MEANS)
    }

    /// The interval of the `q` quantile, in ns. The share of each batch below the estimate has
    /// mean `q`; its half-width over the batches, `h`, gives the quantiles `q - h` and `q + h`
    /// of all samples as the ends. So the ends need not lie evenly about the estimate, and
    /// buckets add an error of up to 0.8 %.
    ///
    /// None with fewer than 10 batches, a confidence or `q` outside (0, 1), or when `q ± h`
    /// leaves that range: the run is then too short to bound this quantile.
    pub fn quantile_interval(&self, q: f64, confidence: f64) -> Option<Interval> {
        if !(q > 0.0 && q < 1.0) {
            return None;
        }
        let mut all = self.open.clone();
        for batch in &self.complete {
            all.add_sparse(&batch.counts);
        }
        let at = all.quantile(q)?;
        let size = self.size() as f64;
        let shares: Vec<f64> = self
            .complete
            .iter()
            .map(|batch| samples_below(&batch.counts, at) / size)
            .collect();
        let shares = decorrelated(&shares)?;
        let (_, variance) = mean_and_variance(&shares)?;
        let error = (variance / shares.len() as f64).sqrt();
        let h = half_width(error, shares.len(), confidence)?;
        if q - h <= 0.0 || q + h >= 1.0 {
            return None;
        }
        let mut low = all.quantile(q - h)?.ns;
        let mut high = all.quantile(q + h)?.ns;
        if high <= low {
            // Known to the bucket it lies in, no finer.
            (low, high) = at.edges();
        }
        Some(Interval {
            estimate: at.ns,
            half_width: (high - low) / 2.0,
            low,
            high,
            confidence,
            n: shares.len(),
            method: BATCH_MEANS,
        })
    }

    /// Correlation of neighbouring batch means, after the grouping on which
    /// [`BatchMeans::mean_interval`] rests. None with fewer than 10 batches or when all means
    /// are equal.
    pub fn lag1_correlation(&self) -> Option<f64> {
        lag1(&decorrelated(&self.means())?)
    }

    fn size(&self) -> u64 {
        1 << self.size_log2
    }

    fn means(&self) -> Vec<f64> {
        let size = self.size() as f64;
        self.complete
            .iter()
            .map(|batch| batch.sum as f64 / size)
            .collect()
    }

    #[cold]
    fn close(&mut self) {
        self.complete.push(Batch {
            sum: std::mem::take(&mut self.open_sum),
            counts: self.open.drain(),
        });
        self.open_count = 0;
        if self.complete.len() == MOST {
            let pairs = self.complete.chunks(2).map(|pair| {
                pair.iter().fold(Batch::default(), |both, batch| Batch {
                    sum: both.sum + batch.sum,
                    counts: merged(&both.counts, &batch.counts),
                })
            });
            self.complete = pairs.collect();
            self.size_log2 += 1;
        }
    }
}

/// Means of groups of neighbouring batches, the smallest groups whose lag-1 correlation is not
/// above the limit, or else the largest that leave enough of them. Batches short of a last
/// group are left out. None with too few batches.
fn decorrelated(values: &[f64]) -> Option<Vec<f64>> {
    let mut grouped = None;
    for size in 1..=values.len() / LEAST {
        let means: Vec<f64> = values
            .chunks_exact(size)
            .map(|group| group.iter().sum::<f64>() / size as f64)
            .collect();
        let settled = lag1(&means).is_none_or(|lag1| lag1 <= CORRELATED);
        grouped = Some(means);
        if settled {
            break;
        }
    }
    grouped
}

/// Lag-1 autocorrelation; none below two values or when they are equal.
fn lag1(values: &[f64]) -> Option<f64> {
    let (mean, variance) = mean_and_variance(values)?;
    if variance <= 0.0 {
        return None;
    }
    let products: f64 = values
        .windows(2)
        .map(|pair| (pair[0] - mean) * (pair[1] - mean))
        .sum();
    Some(products / (variance * (values.len() - 1) as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_double_and_stay_bounded() {
        let mut batches = BatchMeans::new();
        for i in 1..=100_000_u64 {
            batches.record(i % 1000);
            assert_eq!(batches.count(), i);
            assert!(batches.batches() < MOST);
        }
        assert_eq!(batches.size(), 2048);
        assert_eq!(batches.batches(), 48);
        batches.clear();
        assert_eq!((batches.count(), batches.batches()), (0, 0));
        assert_eq!(batches.mean_interval(0.95), None);
    }

    #[test]
    fn few_samples_give_no_interval() {
        let mut batches = BatchMeans::new();
        for i in 0..9 {
            batches.record(i);
        }
        assert_eq!(batches.mean_interval(0.95), None);
        assert_eq!(batches.quantile_interval(0.5, 0.95), None);
        batches.record(4);
        let interval = batches.mean_interval(0.95).unwrap();
        assert_eq!(interval.method, "batch_means");
        assert!((interval.estimate - 4.0).abs() < 1e-12);
        assert_eq!(batches.quantile_interval(0.99, 0.95), None);
    }

    #[test]
    fn a_constant_has_no_width() {
        let mut batches = BatchMeans::new();
        for _ in 0..10_000 {
            batches.record(77);
        }
        let mean = batches.mean_interval(0.99).unwrap();
        assert_eq!((mean.low, mean.high), (77.0, 77.0));
        let p90 = batches.quantile_interval(0.9, 0.99).unwrap();
        assert_eq!((p90.low, p90.estimate, p90.high), (77.0, 77.0, 77.0));
        assert_eq!(batches.lag1_correlation(), None);
    }

    #[test]
    fn a_trend_makes_the_fewest_batches() {
        let mut batches = BatchMeans::new();
        for i in 0..63_000_u64 {
            batches.record(i);
        }
        assert_eq!(batches.batches(), 61);
        assert_eq!(batches.mean_interval(0.95).unwrap().n, 10);
        assert!(batches.lag1_correlation().unwrap() > CORRELATED);
    }
}
