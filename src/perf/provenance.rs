//! Where the step model's figures come from.

use super::accelerator::AcceleratorCard;
use super::dtype::Dtypes;
use super::measured::Measured;
use super::model::ModelCard;
use super::step::Overheads;
use super::tables::Reach;

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
    let tables = measured.tables;
    rows.push((
        "kernels".to_owned(),
        format!("{} {} on {}", tables.backend, tables.version, tables.system),
        "imported: calibration/kernels (measured; aiconfigurator-core 0.12.0)",
    ));
    for part in &measured.parts {
        let origin = match part.reach {
            Some(Reach::Measured) => "measured: calibration/kernels",
            Some(Reach::BetweenShapes) => {
                "measured: calibration/kernels, interpolated between shapes"
            }
            Some(Reach::Extrapolated) => "extrapolated: calibration/kernels, nearest shape",
            None => "assumed: no table, by the roofline",
        };
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
            "norms, activations, embedding{}: bytes at 0.8 of the peak bandwidth + 3 us each",
            if measured.rotates_apart {
                ", rotation of queries and keys"
            } else {
                ""
            }
        ),
        ASSUMED,
    ));
}
