//! How far reading is from measuring: each measurement is left out in turn, and read from the
//! others by the very code that steps use.

use super::{
    AttentionKey, AttentionTable, DecodeCurve, GemmTable, KernelDtype, KernelTables, PrefillCurve,
    Reach, RowTable,
};
use crate::perf::accelerator::AcceleratorCard;

/// Where the measurement that was left out lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HeldOutWay {
    /// Between others of its shape.
    Between,
    /// Before the first of its shape, or after the last.
    AtTheEnd,
    /// Its whole shape was left out, and lies between others (products).
    WholeShape,
}

/// One measurement that was left out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeldOut {
    /// The operation, as calibrations call it.
    pub operation: &'static str,
    /// Number type of the arithmetic; of collective operations and small kernels, bf16.
    pub dtype: KernelDtype,
    /// Where it lies.
    pub way: HeldOutWay,
    /// What was measured, microseconds.
    pub measured_us: f64,
    /// What is read from the others, microseconds.
    pub read_us: f64,
    /// What is read from those of its own shape alone, microseconds.
    pub alone_us: Option<f64>,
}

/// The peaks of a device.
struct Peaks<'a> {
    card: &'a AcceleratorCard,
}

impl Peaks<'_> {
    fn flops_per_ns(&self, dtype: KernelDtype) -> f64 {
        self.card.peak_tflops(dtype.rate()) * 1e3
    }

    fn bytes_per_ns(&self) -> f64 {
        self.card.bandwidth_gb_per_s
    }
}

impl KernelTables {
    /// Leaves out each measurement in turn; products are read by the peaks of a card.
    #[must_use]
    pub fn held_out(&self, card: &AcceleratorCard) -> Vec<HeldOut> {
        let peaks = &Peaks { card };
        let mut all = Vec::new();
        products(&self.gemm, peaks, &mut all);
        whole_shapes(&self.gemm, peaks, &mut all);
        scales(&self.gemm, &mut all);
        prompts("prefill_attention", &self.prefill, &mut all);
        decodes("decode_attention", &self.decode, peaks, &mut all);
        for (operation, table) in [
            ("all_reduce", &self.allreduce),
            ("all_gather", &self.all_gather),
            ("reduce_scatter", &self.reduce_scatter),
        ] {
            let rows = table.devices.values();
            lines(
                operation,
                &table.elements,
                rows.map(|row| (KernelDtype::Bf16, row)),
                &mut all,
            );
        }
        let experts = self.moe.shapes.iter().map(|(key, row)| (key.dtype, row));
        lines("experts", &self.moe.tokens, experts, &mut all);
        prompts("mla_prefill", &self.mla_prefill, &mut all);
        decodes("mla_decode", &self.mla_decode, peaks, &mut all);
        for (operation, table) in [
            ("rms_norm", &self.norms),
            ("silu_mul", &self.activations),
            ("rotary", &self.rotations),
        ] {
            small(operation, table, &mut all);
        }
        all
    }
}

/// The places of measurements, with where they lie.
fn places(times: &[f64]) -> Vec<(usize, HeldOutWay)> {
    let measured = |us: &f64| us.is_finite();
    let (first, last) = (
        times.iter().position(measured),
        times.iter().rposition(measured),
    );
    let finite = times.iter().enumerate().filter(|(_, us)| us.is_finite());
    let way = |at: usize| match Some(at) == first || Some(at) == last {
        true => HeldOutWay::AtTheEnd,
        false => HeldOutWay::Between,
    };
    finite.map(|(at, _)| (at, way(at))).collect()
}

fn without(times: &[f64], at: usize) -> Vec<f64> {
    let mut rest = times.to_vec();
    rest[at] = f64::NAN;
    rest
}

fn products(table: &GemmTable, peaks: &Peaks<'_>, all: &mut Vec<HeldOut>) {
    let mut rest = GemmTable::default();
    for (key, times) in &table.shapes {
        let (dtype, n, k) = *key;
        if !rest.has(dtype) {
            rest = of_type(table, dtype);
        }
        let flops = peaks.flops_per_ns(dtype);
        let read = |table: &GemmTable, at: usize| {
            let curve = table.curve(dtype, n.into(), k.into(), flops, peaks.bytes_per_ns())?;
            (curve.reach == Reach::Measured).then(|| curve.ns(table.rows[at]) / 1e3)
        };
        let mut alone = GemmTable {
            rows: table.rows.clone(),
            ..GemmTable::default()
        };
        for (at, way) in places(times) {
            let left = without(times, at);
            alone.shapes.insert(*key, left.clone());
            rest.shapes.insert(*key, left);
            if let Some(read_us) = read(&rest, at) {
                all.push(HeldOut {
                    operation: "gemm",
                    dtype,
                    way,
                    measured_us: times[at],
                    read_us,
                    alone_us: read(&alone, at),
                });
            }
        }
        rest.shapes.insert(*key, times.clone());
    }
}

/// The products of one number type: those of others say nothing of them, and are many to go over.
fn of_type(table: &GemmTable, dtype: KernelDtype) -> GemmTable {
    let mut own = table.clone();
    own.shapes.retain(|key, _| key.0 == dtype);
    own
}

/// Products whose n and k are left out with all their rows, where others lie around them.
fn whole_shapes(table: &GemmTable, peaks: &Peaks<'_>, all: &mut Vec<HeldOut>) {
    let mut rest = GemmTable::default();
    for (key, times) in &table.shapes {
        let (dtype, n, k) = *key;
        if !rest.has(dtype) {
            rest = of_type(table, dtype);
        }
        rest.shapes.remove(key);
        let flops = peaks.flops_per_ns(dtype);
        let curve = rest.curve(dtype, n.into(), k.into(), flops, peaks.bytes_per_ns());
        if let Some(curve) = curve.filter(|curve| curve.reach != Reach::Extrapolated) {
            for (at, _) in places(times) {
                all.push(HeldOut {
                    operation: "gemm",
                    dtype,
                    way: HeldOutWay::WholeShape,
                    measured_us: times[at],
                    read_us: curve.ns(table.rows[at]) / 1e3,
                    alone_us: None,
                });
            }
        }
        rest.shapes.insert(*key, times.clone());
    }
}

fn scales(table: &GemmTable, all: &mut Vec<HeldOut>) {
    let rows = table.scales.values().map(|row| (KernelDtype::Fp8, row));
    lines("find_scale", &table.scale_rows, rows, all);
}

fn small(operation: &'static str, table: &RowTable, all: &mut Vec<HeldOut>) {
    let rows = table.shapes.values().map(|row| (KernelDtype::Bf16, row));
    lines(operation, &table.rows, rows, all);
}

/// Rows that are read by a line between their own measurements.
fn lines<'a>(
    operation: &'static str,
    axis: &[f64],
    rows: impl Iterator<Item = (KernelDtype, &'a Vec<f64>)>,
    all: &mut Vec<HeldOut>,
) {
    for (dtype, times) in rows {
        for (at, way) in places(times) {
            let curve = super::Curve::through(axis, &without(times, at), 1e3);
            if let Some(curve) = curve {
                let read_us = curve.at(axis[at]) / 1e3;
                all.push(HeldOut {
                    operation,
                    dtype,
                    way,
                    measured_us: times[at],
                    read_us,
                    alone_us: Some(read_us),
                });
            }
        }
    }
}

fn prompts(operation: &'static str, table: &AttentionTable, all: &mut Vec<HeldOut>) {
    let read = |table: &AttentionTable, key: &AttentionKey, batch: u32, length: f64| {
        let curve = PrefillCurve::new(table, key, 1.0)?;
        Some(curve.ns(batch.into(), length) / 1e3)
    };
    each_row(operation, table, all, &read);
}

fn decodes(
    operation: &'static str,
    table: &AttentionTable,
    peaks: &Peaks<'_>,
    all: &mut Vec<HeldOut>,
) {
    let read = |table: &AttentionTable, key: &AttentionKey, batch: u32, length: f64| {
        let values = f64::from(key.kv_heads) * f64::from(key.head_dim);
        let least_slope = 2.0 * key.kv.bytes().0 * values / peaks.bytes_per_ns();
        let curve = DecodeCurve::new(table, key, 1.0, least_slope)?;
        let piece = curve.piece(batch.into(), length);
        Some((piece.base + piece.slope * length) / 1e3)
    };
    each_row(operation, table, all, &read);
}

fn each_row(
    operation: &'static str,
    table: &AttentionTable,
    all: &mut Vec<HeldOut>,
    read: &dyn Fn(&AttentionTable, &AttentionKey, u32, f64) -> Option<f64>,
) {
    let mut rest = table.clone();
    for (key, rows) in &table.shapes {
        for (batch, times) in rows {
            let mut alone = AttentionTable {
                lengths: table.lengths.clone(),
                ..AttentionTable::default()
            };
            for (at, way) in places(times) {
                let left = without(times, at);
                rest.shapes
                    .entry(*key)
                    .or_default()
                    .insert(*batch, left.clone());
                alone.shapes.entry(*key).or_default().insert(*batch, left);
                let length = table.lengths[at];
                if let Some(read_us) = read(&rest, key, *batch, length) {
                    all.push(HeldOut {
                        operation,
                        dtype: key.query,
                        way,
                        measured_us: times[at],
                        read_us,
                        alone_us: read(&alone, key, *batch, length),
                    });
                }
            }
            rest.shapes
                .entry(*key)
                .or_default()
                .insert(*batch, times.clone());
        }
    }
}
