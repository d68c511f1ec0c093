//! Pipeline stages: what each has of the layers, and what goes from one to the next.

use crate::fleet::llm::PipelineRule;
use crate::perf::{AcceleratorCard, ModelCard, stage_layers};
use crate::scenario::fleet::LlmPool;

/// Microseconds of a transfer between stages where a scenario states none: an assumption, of the
/// order of a send and a receive between two devices.
const ASSUMED_LATENCY_US: f64 = 10.0;

/// Bytes of one token between stages for each value of the hidden state: the hidden state and the
/// residual, 16 bits each, as vLLM sends them.
const BYTES_PER_VALUE: f64 = 4.0;

/// What is wrong: the field, its value, what is allowed and the remedy.
type Refusal = (&'static str, String, String, &'static str);

/// The stages that a pool asks for, if there are several.
pub(super) fn rule(
    pool: &LlmPool,
    model: &ModelCard,
    accelerator: &AcceleratorCard,
) -> Result<Option<PipelineRule>, Refusal> {
    if pool.pp <= 1 {
        return Ok(None);
    }
    if pool.pp > model.layers {
        let allowed = format!("must be at most {}, the layers of the model", model.layers);
        return Err(("pp", pool.pp.to_string(), allowed, "lower it"));
    }
    let devices = pool.tp * pool.pp;
    let scale_up = accelerator
        .scale_up_gb_per_s_per_direction
        .filter(|_| devices <= accelerator.scale_up_domain)
        .map(|rate| rate * accelerator.efficiency.link_efficiency);
    let Some(gb_per_s) = pool.pp_link_gb_per_s.or(scale_up) else {
        let allowed = format!(
            "must be stated: tp x pp = {devices} accelerators, and the scale-up links join {}",
            match accelerator.scale_up_gb_per_s_per_direction {
                Some(_) => accelerator.scale_up_domain,
                None => 1,
            }
        );
        let remedy = "give the bandwidth of the network between the nodes, for one accelerator";
        return Err(("pp_link_gb_per_s", String::new(), allowed, remedy));
    };
    let layers = stage_layers(model.layers, pool.pp);
    let all = f64::from(model.layers);
    let latency_us = pool.pp_link_latency_us.unwrap_or(ASSUMED_LATENCY_US);
    // Each device sends its part to its like in the next stage.
    let bytes = BYTES_PER_VALUE * f64::from(model.hidden) / f64::from(pool.tp);
    Ok(Some(PipelineRule {
        layer_shares: layers.iter().map(|own| f64::from(*own) / all).collect(),
        hop_ns: latency_us * 1e3,
        hop_row_ns: bytes / gb_per_s,
        micro_batch_seqs: match pool.micro_batch_seqs {
            0 => u32::MAX,
            most => most,
        },
    }))
}
