//! Where the step model's figures come from.

use super::accelerator::AcceleratorCard;
use super::dtype::Dtypes;
use super::measured::Measured;
use super::model::ModelCard;
use super::step::Overheads;
use super::tables::{Reach, TablesOrigin};

/// A figure chosen as plausible, not measured.
const ASSUMED: &str = "assumed";
/// A figure of the accelerator card.
const DEVICE: &str = "imported: accelerator card";
/// A figure of the model card.
const MODEL: &str = "imported: model card";
/// A figure the user gave, or left to its default.
const STATED: &str = "given: scenario, or its default";
/// A figure the user gave.
const GIVEN: &str = "given: scenario";
/// A figure computed from a card.
const DERIVED: &str = "derived: model card";

/// Name, value with unit, and origin of every figure that a step's time rests on.
pub(crate) fn rows(
    model: &ModelCard,
    accelerator: &AcceleratorCard,
    tp: u32,
    dtypes: Dtypes,
    overheads: Overheads,
) -> Vec<(String, String, &'static str)> {
    let e = &accelerator.efficiency;
    let link = accelerator
        .scale_up_gb_per_s_per_direction
        .map_or_else(|| "none".to_owned(), |l| format!("{l} GB/s"));
    [
        ("model", model.name.clone(), MODEL),
        ("model.source", model.source.clone(), MODEL),
        (
            "model.params",
            format!("{:.2}e9", model.params() / 1e9),
            DERIVED,
        ),
        (
            "model.matmul_flops_per_token",
            format!("{:.4e} FLOP", model.matmul_flops_per_token()),
            DERIVED,
        ),
        (
            "model.kv_bytes_per_token",
            format!("{} B", model.kv_bytes_per_token(dtypes.kv)),
            DERIVED,
        ),
        ("accelerator", accelerator.name.clone(), DEVICE),
        ("accelerator.source", accelerator.source.clone(), DEVICE),
        (
            "accelerator.peak",
            format!(
                "{} TFLOP/s ({}{})",
                accelerator.peak_tflops(dtypes.weight),
                dtypes.weight,
                match accelerator.has_rate(dtypes.weight) {
                    true => "",
                    false => ", for which the card has no rate: that of bf16",
                }
            ),
            DEVICE,
        ),
        (
            "accelerator.bandwidth",
            format!("{} GB/s", accelerator.bandwidth_gb_per_s),
            DEVICE,
        ),
        (
            "accelerator.memory",
            format!("{} GiB", accelerator.memory_gb),
            DEVICE,
        ),
        ("accelerator.scale_up", link, DEVICE),
        ("tp", tp.to_string(), STATED),
        ("weight_dtype", dtypes.weight.to_string(), STATED),
        ("kv_dtype", dtypes.kv.to_string(), STATED),
        (
            "fixed_us",
            format!("{} us per step", overheads.fixed_us),
            GIVEN,
        ),
        (
            "per_seq_us",
            format!("{} us per sequence", overheads.per_seq_us),
            GIVEN,
        ),
        (
            "compute_efficiency",
            format!("{} of peak", e.compute_efficiency),
            ASSUMED,
        ),
        (
            "attention_efficiency",
            format!("{} of peak", e.attention_efficiency),
            ASSUMED,
        ),
        (
            "bandwidth_efficiency",
            format!("{} of peak", e.bandwidth_efficiency),
            ASSUMED,
        ),
        (
            "link_efficiency",
            format!("{} of peak", e.link_efficiency),
            ASSUMED,
        ),
        (
            "all_reduce_latency_us",
            format!("{} us per all-reduce", e.all_reduce_latency_us),
            ASSUMED,
        ),
        (
            "launch_us_per_layer",
            format!("{} us per layer", e.launch_us_per_layer),
            ASSUMED,
        ),
        (
            "expert routing",
            "uniform, all devices equally loaded".to_owned(),
            ASSUMED,
        ),
    ]
    .into_iter()
    .map(|(name, value, origin)| (name.to_owned(), value, origin))
    .collect()
}

/// Adds where each part of a step from kernel tables comes from.
pub(crate) fn add_tables(measured: &Measured, rows: &mut Vec<(String, String, &'static str)>) {
    let tables = &measured.tables;
    let what = format!("{} {} on {}", tables.backend, tables.version, tables.system);
    let (value, origin) = match &tables.origin {
        TablesOrigin::Shipped => (
            what,
            "imported: calibration/kernels (measured; aiconfigurator-core 0.12.0)",
        ),
        TablesOrigin::Captured { file, .. } => (
            format!("{what}, {file}"),
            "measured: kernel_tables of the pool, a capture of this program",
        ),
        TablesOrigin::Imported { file, source } => (
            format!("{what}, {file}, from {source}"),
            "imported: kernel_tables of the pool",
        ),
    };
    rows.push(("kernels".to_owned(), value, origin));
    for part in &measured.parts {
        let origin = origin_of(&tables.origin, part.reach);
        rows.push((part.name.to_owned(), part.value.clone(), origin));
    }
    if measured.joins_attention {
        rows.push((
            "kernels.attention".to_owned(),
            "prompts share a kernel with decoding sequences: its launch is counted once".to_owned(),
            ASSUMED,
        ));
    }
    rows.push((
        "kernels.small".to_owned(),
        format!(
            "{}: bytes at 0.8 of the peak bandwidth + 3 us each",
            measured.small.by_bytes.join(", ")
        ),
        ASSUMED,
    ));
}

/// Where a part of a step was found.
fn origin_of(tables: &TablesOrigin, reach: Option<Reach>) -> &'static str {
    let Some(reach) = reach else {
        return match tables {
            TablesOrigin::Shipped => "assumed: no table, by the roofline",
            _ => "assumed: not in the pool's kernel_tables, by the roofline",
        };
    };
    match (tables, reach) {
        (TablesOrigin::Shipped, Reach::Measured) => "measured: calibration/kernels",
        (TablesOrigin::Shipped, Reach::BetweenShapes) => {
            "measured: calibration/kernels, interpolated between shapes"
        }
        (TablesOrigin::Shipped, Reach::Extrapolated) => {
            "extrapolated: calibration/kernels, nearest shape"
        }
        (TablesOrigin::Captured { .. }, Reach::Measured) => "measured: kernel_tables",
        (TablesOrigin::Captured { .. }, Reach::BetweenShapes) => {
            "measured: kernel_tables, interpolated between shapes"
        }
        (TablesOrigin::Imported { .. }, Reach::Measured) => "imported: kernel_tables",
        (TablesOrigin::Imported { .. }, Reach::BetweenShapes) => {
            "imported: kernel_tables, interpolated between shapes"
        }
        (_, Reach::Extrapolated) => "extrapolated: kernel_tables, nearest shape",
    }
}
