//! Attention of mixed batches on a grid of four measured axes.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::error::PerfError;
use super::curve::{number, records};
use super::read_text;

const COLUMNS: [&str; 5] = [
    "prefill_chunk",
    "kv_prefill",
    "n_decode",
    "kv_decode",
    "time_us",
];

/// Measured points by their four coordinates.
type Points = BTreeMap<[u64; 4], f64>;

/// A full grid over some axes, with times in row-major order.
#[derive(Debug, Clone)]
struct Grid {
    axes: Vec<Vec<f64>>,
    us: Vec<f64>,
}

/// Times of one layer's attention: of prompts alone, of decoding sequences alone, of both.
#[derive(Debug, Clone)]
pub(super) struct AttentionGrid {
    prompts: Grid,
    decodes: Grid,
    mixed: Grid,
}

impl AttentionGrid {
    pub fn read(folder: &Path) -> Result<AttentionGrid, PerfError> {
        let (file, text) = read_text(folder, "attention")?;
        let mut points = Points::new();
        for (line, fields) in records(&file, &text, &COLUMNS)? {
            let mut at = [0; 4];
            for (axis, place) in at.iter_mut().enumerate() {
                *place = number(&file, line, COLUMNS[axis], &fields[axis])? as u64;
            }
            points.insert(at, number(&file, line, COLUMNS[4], &fields[4])?);
        }
        let part = |what: &str, axes: &[usize], keep: &dyn Fn(&[u64; 4]) -> bool| {
            let kept = points.iter().filter(|(at, _)| keep(at));
            let kept: Points = kept.map(|(at, us)| (*at, *us)).collect();
            Grid::new(&kept, axes).ok_or_else(|| PerfError::Field {
                file: file.clone(),
                field: "attention",
                value: format!("no full grid of {what}"),
                allowed: "at least two points on each axis, all combinations measured".into(),
                remedy: "profile the model again".into(),
            })
        };
        Ok(AttentionGrid {
            prompts: part("prompts", &[0, 1], &|at| at[0] > 0 && at[2] == 0)?,
            decodes: part("decodes", &[2, 3], &|at| at[0] == 0 && at[2] > 0)?,
            mixed: part("mixed batches", &[0, 1, 2, 3], &|at| at[0] > 0 && at[2] > 0)?,
        })
    }

    /// Microseconds of a prompt of `chunk` new tokens after `earlier` ones, beside `n` sequences of
    /// `mean` tokens each.
    pub fn us(&self, chunk: f64, earlier: f64, n: f64, mean: f64) -> f64 {
        match (chunk > 0.0, n > 0.0) {
            (false, false) => 0.0,
            (true, false) => self.prompts.at(&[chunk, earlier]),
            (false, true) => self.decodes.at(&[n, mean]),
            (true, true) => self.mixed.at(&[chunk, earlier, n, mean]),
        }
    }

    /// The time of `n` sequences as a line over their mean context, from `mean` on: microseconds at
    /// 0, the slope, and the mean up to which it holds.
    pub fn decode_line(&self, n: f64, mean: f64) -> (f64, f64, f64) {
        let contexts = &self.decodes.axes[1];
        let right = contexts.partition_point(|&x| x <= mean);
        let last = contexts.len() - 1;
        let right = right.clamp(1, last);
        let (x0, x1) = (contexts[right - 1], contexts[right]);
        let [y0, y1] = [x0, x1].map(|x| self.decodes.at(&[n, x]));
        let slope = (y1 - y0) / (x1 - x0);
        let end = if right == last { f64::INFINITY } else { x1 };
        (y0 - slope * x0, slope, end)
    }
}

impl Grid {
    /// The largest full grid that greedy removal of incomplete values leaves.
    fn new(points: &Points, axes: &[usize]) -> Option<Grid> {
        let mut values: Vec<Vec<u64>> = axes
            .iter()
            .map(|&axis| {
                let mut values: Vec<u64> = points.keys().map(|at| at[axis]).collect();
                values.sort_unstable();
                values.dedup();
                values
            })
            .collect();
        loop {
            if values.iter().any(|axis| axis.len() < 2) {
                return None;
            }
            let Some(worst) = most_missing(points, axes, &values) else {
                break;
            };
            values[worst.0].remove(worst.1);
        }
        let mut us = Vec::new();
        each(&values, &mut |places| {
            us.extend(points.get(&place(axes, &values, places)));
        });
        let axes = values
            .iter()
            .map(|axis| axis.iter().map(|&x| x as f64).collect());
        Some(Grid {
            axes: axes.collect(),
            us,
        })
    }

    /// Linear in each axis; beyond an axis along its last two points, below it as at its first.
    fn at(&self, point: &[f64]) -> f64 {
        let mut corners = vec![(0_usize, 1.0_f64)];
        for (axis, &x) in self.axes.iter().zip(point) {
            let x = x.max(axis[0]);
            let right = axis
                .partition_point(|&value| value <= x)
                .clamp(1, axis.len() - 1);
            let share = (x - axis[right - 1]) / (axis[right] - axis[right - 1]);
            let mut next = Vec::with_capacity(corners.len() * 2);
            for &(index, weight) in &corners {
                next.push((index * axis.len() + right - 1, weight * (1.0 - share)));
                next.push((index * axis.len() + right, weight * share));
            }
            corners = next;
        }
        let sum: f64 = corners
            .iter()
            .map(|&(index, weight)| self.us[index] * weight)
            .sum();
        sum.max(0.0)
    }
}

fn place(axes: &[usize], values: &[Vec<u64>], places: &[usize]) -> [u64; 4] {
    let mut at = [0; 4];
    for ((&axis, values), &place) in axes.iter().zip(values).zip(places) {
        at[axis] = values[place];
    }
    at
}

/// Calls `visit` with the indices of every combination, in row-major order.
fn each(values: &[Vec<u64>], visit: &mut dyn FnMut(&[usize])) {
    let mut places = vec![0; values.len()];
    loop {
        visit(&places);
        let mut axis = values.len();
        loop {
            let Some(lower) = axis.checked_sub(1) else {
                return;
            };
            axis = lower;
            places[axis] += 1;
            if places[axis] < values[axis].len() {
                break;
            }
            places[axis] = 0;
        }
    }
}

/// The value (by axis and index) with the largest share of combinations that were not measured.
fn most_missing(points: &Points, axes: &[usize], values: &[Vec<u64>]) -> Option<(usize, usize)> {
    let mut missing: Vec<Vec<u64>> = values.iter().map(|axis| vec![0; axis.len()]).collect();
    let (mut all, mut any) = (0_u64, false);
    each(values, &mut |places| {
        all += 1;
        if !points.contains_key(&place(axes, values, places)) {
            any = true;
            for (axis, &index) in places.iter().enumerate() {
                missing[axis][index] += 1;
            }
        }
    });
    if !any {
        return None;
    }
    let mut worst = (0, 0, -1.0);
    for (axis, counts) in missing.iter().enumerate() {
        let each = all as f64 / counts.len() as f64;
        for (index, &count) in counts.iter().enumerate() {
            if count as f64 / each > worst.2 {
                worst = (axis, index, count as f64 / each);
            }
        }
    }
    Some((worst.0, worst.1))
}
