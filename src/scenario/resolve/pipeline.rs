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

/// Refuses ranks of data-parallel attention that share no experts or have no known link.
pub(super) fn check_ranks(
    pool: &LlmPool,
    model: &ModelCard,
    accelerator: &AcceleratorCard,
) -> Result<(), Refusal> {
    let dense = "goes with models that have experts";
    if model.experts == 0 && pool.dp > 1 {
        let remedy = "state replicas instead: ranks of a dense model share nothing";
        return Err(("dp", pool.dp.to_string(), dense.into(), remedy));
    }
    if model.experts == 0 && pool.expert_parallel {
        let remedy = "take it away";
        return Err(("expert_parallel", "true".into(), dense.into(), remedy));
    }
    let devices = pool.tp * pool.dp;
    if pool.expert_parallel && devices > model.experts {
        let allowed = format!(
            "needs an expert for each of the tp x dp = {devices} accelerators, and the model has {}",
            model.experts
        );
        let remedy = "take it away, or lower dp";
        return Err(("expert_parallel", "true".into(), allowed, remedy));
    }
    if pool.dp > 1 && pool.dp_link_gb_per_s.is_none() && !joined(accelerator, devices) {
        let allowed = unknown_link("tp x dp", devices, accelerator);
        return Err(("dp_link_gb_per_s", String::new(), allowed, GIVE_LINK));
    }
    Ok(())
}

const GIVE_LINK: &str = "give the bandwidth of the network between the nodes, for one accelerator";

/// Whether the scale-up links join so many devices.
fn joined(accelerator: &AcceleratorCard, devices: u32) -> bool {
    let links = accelerator.scale_up_gb_per_s_per_direction;
    links.is_some() && devices <= accelerator.scale_up_domain
}

fn unknown_link(product: &str, devices: u32, accelerator: &AcceleratorCard) -> String {
    let joins = match accelerator.scale_up_gb_per_s_per_direction {
        Some(_) => accelerator.scale_up_domain,
        None => 1,
    };
    format!(
        "must be stated: {product} = {devices} accelerators, and the scale-up links join {joins}"
    )
}

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
        .filter(|_| joined(accelerator, devices))
        .map(|rate| rate * accelerator.efficiency.link_efficiency);
    let Some(gb_per_s) = pool.pp_link_gb_per_s.or(scale_up) else {
        let allowed = unknown_link("tp x pp", devices, accelerator);
        return Err(("pp_link_gb_per_s", String::new(), allowed, GIVE_LINK));
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
