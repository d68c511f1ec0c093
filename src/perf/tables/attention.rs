//! Attention of prompts and of decode steps.

mod decode;

use std::collections::BTreeMap;

use super::interpolate::{Curve, between, index_of};
use super::{KernelDtype, Reach, fill};

pub(crate) use decode::DecodeCurve;

/// The shape of a measured attention kernel; heads are those of one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AttentionKey {
    /// Number type of the arithmetic; of the projections for MLA blocks.
    pub query: KernelDtype,
    /// Number type of the KV cache.
    pub kv: KernelDtype,
    /// Query heads.
    pub heads: u32,
    /// KV heads; 0 for MLA.
    pub kv_heads: u32,
    /// Width of a head; 0 for MLA (that of DeepSeek-V3).
    pub head_dim: u32,
    /// Tokens of the sliding window, 0 for none.
    pub window: u32,
}

impl AttentionKey {
    /// An MLA block of that many heads.
    #[must_use]
    pub const fn mla(projections: KernelDtype, kv: KernelDtype, heads: u32) -> Self {
        Self {
            query: projections,
            kv,
            heads,
            kv_heads: 0,
            head_dim: 0,
            window: 0,
        }
    }
}

/// Measured attention kernels of one kind.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AttentionTable {
    /// Lengths of the sequences measured, tokens.
    pub(super) lengths: Vec<f64>,
    /// Microseconds at those lengths by shape and number of sequences; NaN where not measured.
    pub(super) shapes: BTreeMap<AttentionKey, BTreeMap<u32, Vec<f64>>>,
}

/// The measured shape nearest to the one wanted, among those of like number types and window, and
/// how near it is; widths of heads count before heads.
pub(crate) fn nearest_key(
    table: &AttentionTable,
    want: &AttentionKey,
) -> Option<(AttentionKey, Reach)> {
    let far = |a: u32, b: u32| (f64::from(a.max(1)) / f64::from(b.max(1))).ln().abs();
    let distance = |key: &AttentionKey| {
        100.0 * far(key.head_dim, want.head_dim)
            + 2.0 * far(key.kv_heads, want.kv_heads)
            + far(key.heads, want.heads)
    };
    let mut best: Option<(f64, AttentionKey)> = None;
    for key in table.shapes.keys() {
        let like = key.query == want.query && key.kv == want.kv && key.window == want.window;
        let distance = distance(key);
        if like && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, *key));
        }
    }
    best.map(|(distance, key)| match distance {
        0.0 => (key, Reach::Measured),
        _ => (key, Reach::Extrapolated),
    })
}

/// How far apart, in logarithms, a row counts e times less as an example.
const ALIKE: f64 = 0.2;

/// What the work of a kernel grows with, beside the length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    /// Heads, which multiply.
    Prompts,
    /// Heads of keys and values, which are read.
    Decodes,
}

impl Work {
    fn of(self, key: &AttentionKey, sequences: u32) -> f64 {
        let heads = match (self, key.kv_heads) {
            (Self::Prompts, _) | (Self::Decodes, 0) => key.heads,
            (Self::Decodes, kv_heads) => kv_heads,
        };
        f64::from(heads.max(1)) * f64::from(sequences.max(1))
    }
}

/// A row of kernels, whose time is what lies between measurements.
struct Line<'a> {
    lengths: &'a [f64],
    times: &'a [f64],
}

impl fill::Row for Line<'_> {
    const LEVELS: &'static [&'static [f64]] = &[];

    fn times(&self) -> &[f64] {
        self.times
    }

    fn line(&self, [a, b]: [usize; 2], at: usize) -> f64 {
        let point = |place: usize| (self.lengths[place], self.times[place]);
        between(point(a), point(b), self.lengths[at])
    }

    fn level(&self, points: &[(usize, f64)], _: usize) -> f64 {
        let times = points
            .iter()
            .map(|(place, weight)| weight * self.times[*place]);
        times.sum()
    }
}

impl AttentionTable {
    /// The measured microseconds for `sequences` sequences of `length` tokens, if measured.
    #[must_use]
    pub fn measured_us(&self, key: &AttentionKey, sequences: u32, length: u32) -> Option<f64> {
        let at = index_of(&self.lengths, f64::from(length))?;
        let us = *self.shapes.get(key)?.get(&sequences)?.get(at)?;
        us.is_finite().then_some(us)
    }

    /// Whether sequences and length lie among what was measured of a shape: neither shorter than
    /// the least length nor beyond what as many sequences or more were measured with.
    pub(crate) fn covers(&self, key: &AttentionKey, sequences: u32, length: u32) -> bool {
        let length = f64::from(length);
        let measured = |times: &Vec<f64>, wanted: &dyn Fn(f64) -> bool| {
            let mut points = self.lengths.iter().zip(times);
            points.any(|(point, us)| us.is_finite() && wanted(*point))
        };
        self.shapes.get(key).is_some_and(|rows| {
            let mut more = rows.range(sequences..);
            more.any(|(_, times)| {
                measured(times, &|point| point >= length)
                    && measured(times, &|point| point <= length)
            })
        })
    }

    /// The times of a row, where some between measurements are missing: read from the line between
    /// those around them, and after the example of the rows with the nearest work, of any heads and
    /// number of sequences. None where nothing is missing.
    fn whole(
        &self,
        key: &AttentionKey,
        sequences: u32,
        times: &[f64],
        work: Work,
    ) -> Option<Vec<f64>> {
        let far = |a: u32, b: u32| (f64::from(a.max(1)) / f64::from(b.max(1))).ln().abs();
        let own = work.of(key, sequences);
        let row = |times| Line {
            lengths: &self.lengths,
            times,
        };
        let neighbours = || {
            let like = self.shapes.iter().filter(|(other, _)| {
                let types = (other.query, other.kv) == (key.query, key.kv);
                types && (other.head_dim, other.window) == (key.head_dim, key.window)
            });
            let rows = like.flat_map(|(other, rows)| rows.iter().map(move |row| (other, row)));
            let others = rows.filter(|(other, (batch, _))| (*other, **batch) != (key, sequences));
            let each = others.map(|(other, (batch, times))| {
                let apart = (work.of(other, *batch) / own).ln().abs()
                    + 0.3 * far(other.heads, key.heads)
                    + 0.3 * far(other.kv_heads, key.kv_heads);
                (apart / ALIKE, row(times))
            });
            each.collect()
        };
        fill::filled(&row(times), neighbours)
    }

    /// The shapes measured.
    pub fn keys(&self) -> impl Iterator<Item = &AttentionKey> {
        self.shapes.keys()
    }
}

/// Prompt attention of one layer by number of sequences and their length.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PrefillCurve {
    /// Sequences, rising, each with its nanoseconds by length.
    rows: Vec<(f64, Curve)>,
    /// Nanoseconds of the least kernel, which do not grow with the work.
    launch: f64,
    /// Work here over work of the shape measured.
    scale: f64,
}

impl PrefillCurve {
    /// The curves of a measured shape, for `scale` times its work.
    pub(crate) fn new(table: &AttentionTable, key: &AttentionKey, scale: f64) -> Option<Self> {
        let mut rows = Vec::new();
        let mut launch = f64::INFINITY;
        for (sequences, times) in table.shapes.get(key)? {
            let least = times.iter().copied().fold(f64::INFINITY, f64::min);
            launch = launch.min(least * 1e3);
            let whole = table.whole(key, *sequences, times, Work::Prompts);
            let times = whole.as_deref().unwrap_or(times);
            if let Some(curve) = Curve::through(&table.lengths, times, 1e3) {
                rows.push((f64::from(*sequences), curve));
            }
        }
        (!rows.is_empty()).then_some(Self {
            rows,
            launch,
            scale,
        })
    }

    /// Nanoseconds of the least kernel, which do not grow with the work.
    pub(crate) fn launch_ns(&self) -> f64 {
        self.launch
    }

    /// Nanoseconds for `sequences` sequences of `length` tokens each: interpolated linearly in
    /// length and in sequences; with more sequences than were measured at that length, in
    /// proportion to them; at longer lengths, in proportion to their square.
    pub(crate) fn ns(&self, sequences: f64, length: f64) -> f64 {
        let measured = self.measured(sequences, length);
        if self.scale == 1.0 {
            return measured;
        }
        self.launch + (measured - self.launch).max(0.0) * self.scale
    }

    fn measured(&self, sequences: f64, length: f64) -> f64 {
        // Rows are shorter the more sequences they have.
        let usable = self
            .rows
            .partition_point(|(_, curve)| curve.last_x() >= length);
        if usable == 0 {
            let (batch, curve) = &self.rows[0];
            let beyond = length / curve.last_x();
            return curve.at(curve.last_x()) * beyond * beyond * (sequences / batch).max(1.0);
        }
        let rows = &self.rows[..usable];
        let above = rows.partition_point(|(batch, _)| *batch < sequences);
        let Some((high, upper)) = rows.get(above) else {
            let (batch, curve) = &rows[usable - 1];
            return curve.at(length) * sequences / batch;
        };
        if above == 0 || *high == sequences {
            return upper.at(length);
        }
        let (low, lower) = &rows[above - 1];
        between(
            (*low, lower.at(length)),
            (*high, upper.at(length)),
            sequences,
        )
    }
}
