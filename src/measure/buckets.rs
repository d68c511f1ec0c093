//! Log-linear buckets of nanoseconds, less than 0.8 % wide, and sparse counts over them.

/// Buckets in each doubling of the value.
const PER_OCTAVE: u64 = 128;
/// log2 of [`PER_OCTAVE`].
const OCTAVE_BITS: u32 = PER_OCTAVE.trailing_zeros();

/// The bucket that holds `ns`. Values below 128 ns have a bucket each; above that a bucket is
/// at most 1/128 of its lower bound wide. The greatest index is 7423.
#[inline]
pub(super) fn bucket_of(ns: u64) -> u16 {
    if ns < PER_OCTAVE {
        return ns as u16;
    }
    let shift = 63 - ns.leading_zeros() - OCTAVE_BITS;
    ((u64::from(shift) << OCTAVE_BITS) + (ns >> shift)) as u16
}

/// The lower bound of a bucket in ns, and its width in ns (1 or more).
pub(super) fn bounds_of(bucket: u16) -> (u64, u64) {
    let bucket = u64::from(bucket);
    if bucket < PER_OCTAVE {
        return (bucket, 1);
    }
    let shift = (bucket >> OCTAVE_BITS) - 1;
    let within = bucket - (shift << OCTAVE_BITS);
    (within << shift, 1 << shift)
}

/// Counts by bucket, in order of bucket, without the empty ones.
pub(super) type Sparse = Vec<(u16, u32)>;

/// The sum of two sparse counts; a count that would overflow stays at `u32::MAX`.
pub(super) fn merged(a: &[(u16, u32)], b: &[(u16, u32)]) -> Sparse {
    let mut out = Vec::with_capacity(a.len().max(b.len()));
    let (mut i, mut j) = (0, 0);
    while let (Some(&(x, m)), Some(&(y, n))) = (a.get(i), b.get(j)) {
        if x < y {
            out.push((x, m));
            i += 1;
        } else if y < x {
            out.push((y, n));
            j += 1;
        } else {
            out.push((x, m.saturating_add(n)));
            i += 1;
            j += 1;
        }
    }
    out.extend_from_slice(&a[i..]);
    out.extend_from_slice(&b[j..]);
    out
}

/// Counts by bucket in a plain array as long as the greatest value needs: fast to record into.
#[derive(Debug, Clone, Default)]
pub(super) struct Dense {
    counts: Vec<u64>,
    low: usize,
    high: usize,
    total: u64,
}

impl Dense {
    #[inline]
    pub(super) fn record(&mut self, ns: u64) {
        self.add(bucket_of(ns), 1);
    }

    #[inline]
    pub(super) fn add(&mut self, bucket: u16, count: u64) {
        let index = usize::from(bucket);
        if index >= self.counts.len() {
            self.counts.resize(index + 1, 0);
        }
        self.counts[index] += count;
        if self.total == 0 {
            self.low = index;
            self.high = index;
        } else {
            self.low = self.low.min(index);
            self.high = self.high.max(index);
        }
        self.total += count;
    }

    pub(super) fn add_sparse(&mut self, sparse: &[(u16, u32)]) {
        for &(bucket, count) in sparse {
            self.add(bucket, u64::from(count));
        }
    }

    /// The counts without the empty buckets, leaving `self` empty.
    pub(super) fn drain(&mut self) -> Sparse {
        let mut out = Vec::new();
        if self.total > 0 {
            for index in self.low..=self.high {
                let count = std::mem::take(&mut self.counts[index]);
                if count > 0 {
                    out.push((index as u16, u32::try_from(count).unwrap_or(u32::MAX)));
                }
            }
        }
        self.total = 0;
        out
    }

    pub(super) fn clear(&mut self) {
        self.drain();
    }

    /// The buckets that hold something, with their counts, in order.
    fn filled(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        let range = if self.total == 0 {
            &[][..]
        } else {
            &self.counts[self.low..=self.high]
        };
        let low = self.low;
        range
            .iter()
            .enumerate()
            .filter(|&(_, &count)| count > 0)
            .map(move |(offset, &count)| ((low + offset) as u16, count))
    }

    /// The value in ns below which a share `q` lies, interpolated within its bucket, with that
    /// bucket and the share of it that lies below.
    pub(super) fn quantile(&self, q: f64) -> Option<Position> {
        let rank = q.clamp(0.0, 1.0) * self.total as f64;
        let mut below = 0_u64;
        let mut found = None;
        for (bucket, count) in self.filled() {
            let share = ((rank - below as f64) / count as f64).clamp(0.0, 1.0);
            found = Some((bucket, share));
            below += count;
            if below as f64 >= rank {
                break;
            }
        }
        found.map(|(bucket, share)| {
            let (low, width) = bounds_of(bucket);
            // A bucket of one integer needs no interpolation.
            let offset = if width == 1 {
                0.0
            } else {
                share * width as f64
            };
            Position {
                ns: low as f64 + offset,
                bucket,
                share,
            }
        })
    }
}

impl Position {
    /// The least and the greatest value of its bucket, in ns.
    pub(super) fn edges(&self) -> (f64, f64) {
        let (low, width) = bounds_of(self.bucket);
        (low as f64, (low + width - 1) as f64)
    }
}

/// A place among the buckets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Position {
    /// Value in ns.
    pub(super) ns: f64,
    /// The bucket that holds it.
    pub(super) bucket: u16,
    /// The share of that bucket's samples taken to lie below it.
    pub(super) share: f64,
}

/// How many of the samples in `sparse` lie below `at`.
pub(super) fn samples_below(sparse: &[(u16, u32)], at: Position) -> f64 {
    let split = sparse.partition_point(|&(bucket, _)| bucket < at.bucket);
    let whole: u64 = sparse[..split].iter().map(|&(_, n)| u64::from(n)).sum();
    let part = match sparse.get(split) {
        Some(&(bucket, count)) if bucket == at.bucket => at.share * f64::from(count),
        _ => 0.0,
    };
    whole as f64 + part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket_and_buckets_follow_on() {
        let mut next = 0_u64;
        for bucket in 0..=7423_u16 {
            let (low, width) = bounds_of(bucket);
            assert_eq!(low, next);
            assert_eq!(bucket_of(low), bucket);
            assert_eq!(bucket_of(low + (width - 1)), bucket);
            assert!(low < 128 || width as f64 / low as f64 <= 1.0 / 128.0);
            next = low.wrapping_add(width);
        }
        assert_eq!(next, 0, "the last bucket ends at u64::MAX");
        assert_eq!(bucket_of(u64::MAX), 7423);
    }

    #[test]
    fn merging_sparse_counts_is_recording_all() {
        let mut all = Dense::default();
        let mut parts = [Dense::default(), Dense::default()];
        for i in 0..5000_u64 {
            let ns = i * i * 37 + 5;
            all.record(ns);
            parts[(i % 3 == 0) as usize].record(ns);
        }
        let [mut a, mut b] = parts;
        assert_eq!(merged(&a.drain(), &b.drain()), all.drain());
    }

    #[test]
    fn quantiles_and_counts_below_agree() {
        let mut dense = Dense::default();
        for ns in 0..100_000_u64 {
            dense.record(ns * 1000);
        }
        let at = dense.quantile(0.95).unwrap();
        assert!((at.ns / 95e6 - 1.0).abs() < 1e-3, "{}", at.ns);
        let sparse = dense.drain();
        assert!((samples_below(&sparse, at) - 95_000.0).abs() < 1e-6);
        assert!(dense.quantile(0.5).is_none());
    }
}
