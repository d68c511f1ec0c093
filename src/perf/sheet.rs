//! A sheet of arithmetic that can be checked by hand: each row gives a formula, the formula with
//! the numbers in it, and the result.

use super::accelerator::AcceleratorCard;
use super::dtype::Dtypes;
use super::floor::Floor;
use super::memory::MemoryPlan;
use super::model::ModelCard;

/// One row of the sheet.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct SheetRow {
    /// What is computed.
    pub name: String,
    /// The formula in words.
    pub formula: String,
    /// The formula with its numbers.
    pub substituted: String,
    /// The result, absent where there is none (no decode step, say).
    pub value: Option<f64>,
    /// Unit of the result.
    pub unit: &'static str,
    /// Where the numbers come from.
    pub source: &'static str,
}

/// Figures from the model card.
const MODEL: &str = "model card";
/// Figures from both cards.
const CARDS: &str = "model and accelerator cards, un-derated peaks";

/// The sheet for requests of `prompt` and `output` tokens on `tp` devices (0 is taken as 1).
#[must_use]
pub fn arithmetic(
    model: &ModelCard,
    accelerator: &AcceleratorCard,
    tp: u32,
    dtypes: Dtypes,
    memory: &MemoryPlan,
    prompt: u32,
    output: u32,
) -> Vec<SheetRow> {
    let tp = tp.max(1);
    let floor = Floor::new(model, accelerator, tp, dtypes);
    let mut rows = Vec::new();
    let mut row = |name: &str, formula: &str, substituted: String, value, unit, source| {
        rows.push(SheetRow {
            name: name.to_owned(),
            formula: formula.to_owned(),
            substituted,
            value,
            unit,
            source,
        });
    };
    let bandwidth = accelerator.bandwidth_gb_per_s;
    let peak = accelerator.peak_tflops(dtypes.weight);
    let devices = f64::from(tp);
    let token_flops = floor.row_flops + floor.head_flops;
    row(
        "weights read per decode step",
        "(active block weights x bytes + LM head bytes) / (tp x peak bandwidth)",
        format!(
            "{:.2} GB / ({tp} x {bandwidth} GB/s)",
            floor.weight_bytes / 1e9
        ),
        Some(floor.weight_bytes / floor.byte_rate / 1e6),
        "ms",
        CARDS,
    );
    row(
        "FLOPs per token",
        "2 x active block weights + 2 x LM head weights",
        format!("{:.3e} + {:.3e}", floor.row_flops, floor.head_flops),
        Some(token_flops),
        "FLOP",
        MODEL,
    );
    row(
        "compute time per token",
        "block FLOPs / (tp x peak) + LM head FLOPs / (tp x peak at 16 bits)",
        format!(
            "{:.3e} / ({tp} x {peak} TFLOP/s) + {:.3e} / ({tp} x {} TFLOP/s)",
            floor.row_flops,
            floor.head_flops,
            floor.head_rate / devices / 1e3
        ),
        Some((floor.row_flops / floor.row_rate + floor.head_flops / floor.head_rate) / 1e6),
        "ms",
        CARDS,
    );
    let kv = model.kv_bytes_per_token(dtypes.kv);
    let per_layer = model.kv_bytes_per_layer(dtypes.kv);
    row(
        "KV bytes per token",
        "layers x KV values per layer x bytes",
        format!("{} x {per_layer} B", model.layers),
        Some(kv),
        "B",
        MODEL,
    );
    let length = u64::from(prompt) + u64::from(output);
    row(
        "most sequences in the KV cache",
        "floor(KV tokens / (prompt + output))",
        format!("{} / ({prompt} + {output})", memory.kv_tokens),
        memory.kv_tokens.checked_div(length).map(|n| n as f64),
        "sequences",
        "memory plan",
    );
    let ceiling = floor.max_requests_per_s(prompt, output);
    let seconds = 1.0 / ceiling.by_compute_rps;
    row(
        "most requests per second at peak compute",
        "1 / (FLOPs per request / (tp x peak))",
        format!("1 / {seconds:.4e} s"),
        Some(ceiling.by_compute_rps),
        "requests/s",
        CARDS,
    );
    row(
        "most requests per second at peak bandwidth",
        "tp x peak bandwidth / KV bytes that a request's decode steps read",
        format!(
            "{tp} x {bandwidth} GB/s / {:.2} GB",
            ceiling
                .by_bandwidth_rps
                .map_or(0.0, |r| floor.byte_rate / r)
        ),
        ceiling.by_bandwidth_rps,
        "requests/s",
        CARDS,
    );
    row(
        "tokens per second at peak compute",
        "tp x peak / FLOPs per token; over R it is the tokens of compute per request at R requests/s",
        format!("{tp} x {peak} TFLOP/s / {token_flops:.3e}"),
        Some(tokens_per_s(&floor)),
        "tokens/s",
        CARDS,
    );
    let (ttft, e2e) = floor.request_floor_ns(prompt, output);
    row(
        "TTFT floor",
        "max(prompt FLOPs / (tp x peak), weight bytes / (tp x peak bandwidth))",
        format!("one step of {prompt} tokens on {tp} devices"),
        Some(ttft / 1e6),
        "ms",
        CARDS,
    );
    let steps = output.saturating_sub(1);
    row(
        "TPOT floor",
        "mean over decode steps of max(FLOPs / (tp x peak), (weight + KV bytes) / (tp x peak bandwidth))",
        format!("({:.4} ms - {:.4} ms) / {steps}", e2e / 1e6, ttft / 1e6),
        (steps > 0).then(|| (e2e - ttft) / f64::from(steps) / 1e6),
        "ms",
        CARDS,
    );
    rows
}

/// Tokens per second that the peaks permit, attention left out.
fn tokens_per_s(floor: &Floor) -> f64 {
    1e9 / (floor.row_flops / floor.row_rate + floor.head_flops / floor.head_rate)
}

/// Tokens of compute that a replica of `tp` devices has for each request at `rps` requests per
/// second, at peak and with attention left out; none if `rps` is not above 0.
#[must_use]
pub fn tokens_per_request_at(
    model: &ModelCard,
    accelerator: &AcceleratorCard,
    tp: u32,
    dtypes: Dtypes,
    rps: f64,
) -> Option<f64> {
    (rps > 0.0).then(|| tokens_per_s(&Floor::new(model, accelerator, tp, dtypes)) / rps)
}
