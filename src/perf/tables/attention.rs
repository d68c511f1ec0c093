//! Attention of prompts and of decode steps.

use std::collections::BTreeMap;

use super::interpolate::{Curve, between, index_of};
use super::{KernelDtype, Reach, fill};

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

    /// The times of prompts, where some between measurements are missing: read from the line
    /// between those around them, and after the example of the rows with the nearest work, of any
    /// heads and number of sequences. None where nothing is missing.
    fn whole(&self, key: &AttentionKey, sequences: u32, times: &[f64]) -> Option<Vec<f64>> {
        let far = |a: u32, b: u32| (f64::from(a.max(1)) / f64::from(b.max(1))).ln().abs();
        let line = |times: &[f64], [a, b]: [usize; 2], at: usize| {
            let point = |place: usize| (self.lengths[place], times[place]);
            between(point(a), point(b), self.lengths[at])
        };
        let neighbours = || {
            let like = self.shapes.iter().filter(|(other, _)| {
                let types = (other.query, other.kv) == (key.query, key.kv);
                types && (other.head_dim, other.window) == (key.head_dim, key.window)
            });
            let rows = like.flat_map(|(other, rows)| rows.iter().map(move |row| (other, row)));
            let others = rows.filter(|(other, (batch, _))| (*other, **batch) != (key, sequences));
            let each = others.map(|(other, (batch, times))| {
                let work = f64::from(other.heads) * f64::from(*batch);
                let own = f64::from(key.heads) * f64::from(sequences);
                let apart = (work / own).ln().abs()
                    + 0.3 * far(other.heads, key.heads)
                    + 0.3 * far(other.kv_heads, key.kv_heads);
                (apart, times.as_slice(), line)
            });
            each.collect()
        };
        fill::filled(times, line, neighbours)
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
            let whole = table.whole(key, *sequences, times);
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

/// A straight piece of a decode curve: nanoseconds at context 0 (extrapolated), per token of one
/// sequence's context, and the context per sequence to which it holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Piece {
    pub(crate) base: f64,
    pub(crate) slope: f64,
    pub(crate) until: f64,
}

/// Decode attention of all layers by number of sequences and their mean context: linear between
/// the points of both, and never falling as the context grows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DecodeCurve {
    sequences: Vec<f64>,
    lengths: Vec<f64>,
    /// Nanoseconds, a row per number of sequences.
    rows: Vec<Vec<f64>>,
    /// The slope of each row beyond the last length.
    beyond: Vec<f64>,
}

impl DecodeCurve {
    /// The curve of one layer of a measured shape, for `scale` times its work. Lengths that a row
    /// lacks are filled in along its last slope, which is at least `least_slope` nanoseconds per
    /// token and sequence. Dips between neighbouring lengths (noise of the measurement) are raised
    /// to what came before.
    pub(crate) fn new(
        table: &AttentionTable,
        key: &AttentionKey,
        scale: f64,
        least_slope: f64,
    ) -> Option<Self> {
        let lengths = table.lengths.clone();
        let mut curve = Self {
            sequences: Vec::new(),
            rows: Vec::new(),
            beyond: Vec::new(),
            lengths,
        };
        let shapes = table.shapes.get(key)?;
        let launch = shapes
            .values()
            .flatten()
            .copied()
            .fold(f64::INFINITY, f64::min)
            * 1e3;
        for (sequences, times) in shapes {
            let points: Vec<(f64, f64)> = curve
                .lengths
                .iter()
                .zip(times)
                .filter(|(_, us)| us.is_finite())
                .map(|(length, us)| {
                    let ns = us * 1e3;
                    let scaled = launch + (ns - launch) * scale;
                    (*length, if scale == 1.0 { ns } else { scaled })
                })
                .collect();
            let [.., a, b] = points.as_slice() else {
                continue;
            };
            let batch = f64::from(*sequences);
            let slope = ((b.1 - a.1) / (b.0 - a.0)).max(least_slope * batch);
            let mut most = 0.0_f64;
            let row = curve.lengths.iter().map(|length| {
                let at = points.partition_point(|point| point.0 < *length);
                let ns = match points.get(at) {
                    Some(point) if point.0 == *length || at == 0 => point.1,
                    Some(point) => between(points[at - 1], *point, *length),
                    None => b.1 + slope * (length - b.0),
                };
                most = most.max(ns);
                most
            });
            let row = row.collect();
            curve.sequences.push(batch);
            curve.rows.push(row);
            curve.beyond.push(slope);
        }
        (!curve.rows.is_empty()).then_some(curve)
    }

    /// The sum of `full` layers like this one and `windowed` layers that read no more than
    /// `window` tokens of a sequence.
    pub(crate) fn layers(&self, full: f64, windowed: f64, window: f64) -> Self {
        let mut lengths = self.lengths.clone();
        if windowed > 0.0 && index_of(&lengths, window).is_none() {
            lengths.push(window);
            lengths.sort_by(f64::total_cmp);
        }
        let value = |row: usize, length: f64| {
            let piece = self.row_piece(row, length);
            piece.base + piece.slope * length
        };
        let rows = (0..self.rows.len()).map(|row| {
            let at = |length: &f64| {
                full * value(row, *length) + windowed * value(row, length.min(window))
            };
            lengths.iter().map(at).collect()
        });
        Self {
            sequences: self.sequences.clone(),
            rows: rows.collect(),
            beyond: self.beyond.iter().map(|slope| slope * full).collect(),
            lengths,
        }
    }

    /// The same curve on the lengths of another, which have all of its own.
    pub(crate) fn on_axis_of(&self, other: &Self) -> Self {
        let value = |row: usize, length: f64| {
            let piece = self.row_piece(row, length);
            piece.base + piece.slope * length
        };
        let row_of = |row| {
            other
                .lengths
                .iter()
                .map(|length| value(row, *length))
                .collect()
        };
        Self {
            sequences: self.sequences.clone(),
            rows: (0..self.rows.len()).map(row_of).collect(),
            beyond: self.beyond.clone(),
            lengths: other.lengths.clone(),
        }
    }

    /// The same with another curve, on the same axes, added; none if the axes differ.
    pub(crate) fn plus(mut self, other: &Self) -> Option<Self> {
        if self.lengths != other.lengths || self.sequences != other.sequences {
            return None;
        }
        for (row, more) in self.rows.iter_mut().zip(&other.rows) {
            for (value, more) in row.iter_mut().zip(more) {
                *value += more;
            }
        }
        for (slope, more) in self.beyond.iter_mut().zip(&other.beyond) {
            *slope += more;
        }
        Some(self)
    }

    /// The piece of one row at a length.
    fn row_piece(&self, row: usize, length: f64) -> Piece {
        let values = &self.rows[row];
        let last = self.lengths.len() - 1;
        // At a point, the piece that begins there.
        let above = self.lengths.partition_point(|point| *point <= length);
        if above == 0 {
            return Piece {
                base: values[0],
                slope: 0.0,
                until: self.lengths[0],
            };
        }
        if above > last {
            let slope = self.beyond[row];
            return Piece {
                base: values[last] - slope * self.lengths[last],
                slope,
                until: f64::INFINITY,
            };
        }
        let (a, b) = (self.lengths[above - 1], self.lengths[above]);
        let slope = (values[above] - values[above - 1]) / (b - a);
        Piece {
            base: values[above - 1] - slope * a,
            slope,
            until: b,
        }
    }

    /// The piece for `sequences` sequences of mean context `length`; with more sequences than were
    /// measured, in proportion to them.
    pub(crate) fn piece(&self, sequences: f64, length: f64) -> Piece {
        let above = self.sequences.partition_point(|batch| *batch < sequences);
        let last = self.sequences.len() - 1;
        let (row, factor) = match above {
            _ if above > last => (last, sequences / self.sequences[last]),
            0 => (0, 1.0),
            _ if self.sequences[above] == sequences => (above, 1.0),
            _ => {
                let (low, high) = (self.sequences[above - 1], self.sequences[above]);
                let weight = (sequences - low) / (high - low);
                let (a, b) = (
                    self.row_piece(above - 1, length),
                    self.row_piece(above, length),
                );
                return Piece {
                    base: a.base + (b.base - a.base) * weight,
                    slope: a.slope + (b.slope - a.slope) * weight,
                    until: a.until.min(b.until),
                };
            }
        };
        let piece = self.row_piece(row, length);
        Piece {
            base: piece.base * factor,
            slope: piece.slope * factor,
            until: piece.until,
        }
    }
}
