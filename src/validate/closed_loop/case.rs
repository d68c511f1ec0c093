//! From a row to a server that can be simulated, or the reason why it cannot.

use crate::validate::cards::{accelerator_card, model_card};
use crate::validate::server::Server;

use super::launch::launched;
use super::row::Row;

/// Users and tokens beyond these are taken for mistakes.
const MOST_USERS: u32 = 65_536;
const MOST_TOKENS: u32 = 4_000_000;

/// A row that can be simulated.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The server.
    pub server: Server,
    /// Users.
    pub users: u32,
    /// Least and most prompt tokens, drawn uniformly.
    pub prompt: (u32, u32),
    /// Least and most output tokens, drawn uniformly.
    pub output: (u32, u32),
    /// Requests that were measured; absent: ten a user.
    pub requests: Option<u32>,
    /// Measured mean time to first token.
    pub ttft_ms: f64,
    /// Measured mean time per output token.
    pub tpot_ms: f64,
}

impl Case {
    /// Thousands of tokens of the mean prompt.
    pub fn prompt_thousands(&self) -> f64 {
        f64::from(self.prompt.0 + self.prompt.1) / 2e3
    }
}

/// What an engine does where a row does not say. Values of the engines' own defaults on large
/// devices, and of the public benchmark's launch scripts.
struct Engine {
    max_num_batched_tokens: u32,
    memory_utilization: f64,
    /// Whether an 8-bit or 4-bit checkpoint comes with an 8-bit KV cache.
    narrow_kv: bool,
}

fn engine(backend: &str) -> Option<Engine> {
    match backend {
        "vllm" => Some(Engine {
            max_num_batched_tokens: 8_192,
            memory_utilization: 0.9,
            narrow_kv: false,
        }),
        "sglang" => Some(Engine {
            max_num_batched_tokens: 8_192,
            memory_utilization: 0.85,
            narrow_kv: false,
        }),
        "trtllm" => Some(Engine {
            max_num_batched_tokens: 8_192,
            memory_utilization: 0.9,
            narrow_kv: true,
        }),
        _ => None,
    }
}

/// Makes a case of a row.
///
/// # Errors
/// The reason why the row cannot be simulated.
pub fn case(row: &Row) -> Result<Case, String> {
    let (model, device) = (model_card(&row.model), accelerator_card(&row.system));
    let Some(engine) = engine(&row.backend) else {
        return Err(format!("engine `{}` is not known", row.backend));
    };
    if row.mode != "agg" {
        return Err(match row.mode.as_str() {
            "disagg" => "prefill and decode on separate servers".to_owned(),
            other => format!("mode `{other}` is not known"),
        });
    }
    if row.model == "nvidia/Llama-3.1-8B-Instruct-FP8" && row.system == "h200_sxm" {
        return Err("mislabelled: twice what the hardware can do".to_owned());
    }
    if model.is_none() {
        return Err(format!("no model card: {}", row.model));
    }
    if device.is_none() {
        return Err(format!("no accelerator card: {}", row.system));
    }
    if row.pp.is_some_and(|pp| pp > 1) {
        return Err("pipeline parallelism".to_owned());
    }
    if row.attention_dp.is_some_and(|dp| dp > 1) {
        return Err("data parallelism of the attention".to_owned());
    }
    if row.moe_ep.is_some_and(|ep| ep > 1) {
        return Err("expert parallelism".to_owned());
    }
    let within = |value: Option<u32>, name: &str, most: u32| match value {
        None | Some(0) => Err(format!("no {name}")),
        Some(value) if value > most => Err(format!("{name} above {most}")),
        Some(value) => Ok(value),
    };
    let users = within(row.concurrency, "concurrency", MOST_USERS)?;
    let isl = within(row.isl, "isl", MOST_TOKENS)?;
    let osl = within(row.osl, "osl", MOST_TOKENS)?;
    let tp = within(row.tp, "tp_size", 1_024)?;
    let measured = |value: Option<f64>, name: &str| match value {
        Some(value) if value > 0.0 => Ok(value),
        _ => Err(format!("no measured {name}")),
    };
    let ttft_ms = measured(row.ttft_ms, "TTFT")?;
    let tpot_ms = measured(row.tpot_ms, "TPOT")?;
    let (weight_dtype, narrow) = weight_dtype(row)?;
    // On Blackwell a 16-bit cache would not hold what the measured servers held.
    let narrow_kv = engine.narrow_kv || (row.backend == "vllm" && is_blackwell(&row.system));
    let kv_dtype = (narrow && narrow_kv).then(|| "fp8".to_owned());
    let server = Server {
        model: row.model.clone(),
        device: row.system.clone(),
        tp,
        max_num_seqs: Some(users.max(256)),
        max_num_batched_tokens: Some(engine.max_num_batched_tokens.max(users.max(256))),
        memory_utilization: Some(engine.memory_utilization),
        weight_dtype,
        kv_dtype,
        kernel_backend: Some(row.backend.clone()),
        ..Server::default()
    };
    Ok(Case {
        server: match row.client_is_known() {
            true => launched(row, server)?,
            false => server,
        },
        users,
        prompt: lengths(isl, row.client_is_known()),
        output: lengths(osl, row.client_is_known()),
        requests: None,
        ttft_ms,
        tpot_ms,
    })
}

fn is_blackwell(system: &str) -> bool {
    ["b200", "b300"].iter().any(|name| system.contains(name))
}

/// The number type of the weights, and whether it has fewer than 16 bits. Where a row does not
/// say, the end of the model's name may.
fn weight_dtype(row: &Row) -> Result<(Option<String>, bool), String> {
    let name = row.model.to_lowercase();
    let said = match row.precision.as_str() {
        "" if name.contains("nvfp4") || name.contains("fp4") => "fp4",
        "" if name.contains("fp8") => "fp8",
        said => said,
    };
    match said {
        // gpt-oss is published with 4-bit experts only, whatever the table calls its activations.
        _ if name.contains("gpt-oss") => Ok((None, true)),
        "" => Ok((None, false)),
        "bf16" | "fp16" => Ok((Some(said.to_owned()), false)),
        "fp8" | "fp4" => Ok((Some(said.to_owned()), true)),
        other => Err(format!("precision `{other}`")),
    }
}

/// The lengths that the client drew: the public benchmark from 0.8 of the nominal to the nominal;
/// of the others nothing is known, so that a tenth around the nominal is assumed, which keeps
/// users out of step.
fn lengths(nominal: u32, client_is_known: bool) -> (u32, u32) {
    let share = |tenths: u64| (u64::from(nominal) * tenths / 10).max(1) as u32;
    match client_is_known {
        true => (share(8), nominal),
        false => (share(9), share(11)),
    }
}
