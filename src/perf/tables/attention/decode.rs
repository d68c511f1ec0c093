//! Attention of decode steps by number of sequences and their context.

use super::super::interpolate::{between, index_of};
use super::{AttentionKey, AttentionTable, Work};

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
    /// lacks between others follow rows of like work; those after the last its last slope, which is at least `least_slope` nanoseconds per
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
            let whole = table.whole(key, *sequences, times, Work::Decodes);
            let times = whole.as_deref().unwrap_or(times);
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
