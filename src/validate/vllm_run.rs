//! Folders of vLLM runs: `meta.json` (the engine's arguments), `requests.jsonl` (stamps of every
//! request) and `timeseries.csv` (the engine's state).

use std::path::Path;

use serde_json::Value;

use crate::perf::MOST_CAPTURED;

use super::error::ValidateError;
use super::lines::{Table, json_lines, json_number, read_text, tokens};
use super::measured::{EngineSample, MeasuredRequest, MeasuredRun, from_clock};
use super::server::Server;

/// Whether a folder is such a run.
pub fn is_one(folder: &Path) -> bool {
    folder.join("meta.json").is_file() && folder.join("requests.jsonl").is_file()
}

/// Reads such a folder.
pub fn read(folder: &Path, name: String) -> Result<MeasuredRun, ValidateError> {
    let meta_path = folder.join("meta.json");
    let file = meta_path.display().to_string();
    let text = read_text(&meta_path)?;
    let meta: Value = serde_json::from_str(&text).map_err(|error| {
        ValidateError::value(
            &file,
            format!("line {}, byte {}", error.line(), error.column()),
            error.to_string(),
            "one JSON document",
            "correct the file",
        )
    })?;
    let server = server(&meta, &name);
    let fleet = server.fleet(&file)?;
    let mut notes = Vec::new();
    if server.kv_blocks.is_none() {
        notes.push(
            "the run does not state its KV blocks: they are computed from the memory".to_owned(),
        );
    }
    let requests = requests(&folder.join("requests.jsonl"), &mut notes)?;
    Ok(MeasuredRun {
        name,
        format: "vllm-run",
        fleet,
        base_dir: folder.to_owned(),
        requests,
        stages: Vec::new(),
        engine: engine(&folder.join("timeseries.csv"))?,
        notes,
    })
}

fn server(meta: &Value, name: &str) -> Server {
    let whole = |pointer: &str| {
        let value = meta.pointer(pointer).and_then(Value::as_u64);
        value.and_then(|value| u32::try_from(value).ok())
    };
    let text = |pointer: &str| meta.pointer(pointer).and_then(Value::as_str);
    let flag = |name: &str| {
        let value = meta.pointer(&format!("/resolved_config/scheduler_config/{name}"));
        value.and_then(Value::as_bool)
    };
    let new = is_new(text("/vllm_version").unwrap_or_default());
    let kv = text("/engine_kwargs/kv_cache_dtype").filter(|kv| *kv != "auto");
    // A run that does not state its device names it in the folder: RTXPRO6000_Llama-3.1-8B.
    let named = name.split('_').next().unwrap_or(name);
    let named = named.replace("RTXPRO", "RTX PRO ").replace("RTX4", "RTX 4");
    Server {
        model: text("/model").unwrap_or_default().to_owned(),
        device: text("/hardware/device_name").unwrap_or(&named).to_owned(),
        tp: whole("/engine_kwargs/tensor_parallel_size").unwrap_or(1),
        max_num_seqs: whole("/engine_kwargs/max_num_seqs"),
        max_num_batched_tokens: whole("/engine_kwargs/max_num_batched_tokens"),
        max_model_len: whole("/engine_kwargs/max_model_len"),
        kv_blocks: whole("/kv_cache/num_gpu_blocks"),
        block_size: whole("/kv_cache/block_size"),
        memory_utilization: meta
            .pointer("/kv_cache/gpu_memory_utilization")
            .and_then(Value::as_f64),
        async_scheduling: flag("async_scheduling").or(Some(new)),
        // On by default in vLLM v1.
        prefix_caching: Some(
            meta.pointer("/kv_cache/enable_prefix_caching")
                .and_then(Value::as_bool)
                .unwrap_or(true),
        ),
        prompt_blocks: flag("scheduler_reserve_full_isl")
            .unwrap_or(new)
            .then(|| "check_whole".to_owned()),
        max_graph_tokens: whole("/resolved_config/compilation_config/max_cudagraph_capture_size")
            .or(whole("/engine_kwargs/max_num_seqs").map(default_graph_tokens)),
        kv_dtype: kv.map(|kv| kv.replace("_e4m3", "").replace("_e5m2", "")),
        ..Server::default()
    }
}

/// What vLLM captures graphs for where nothing is stated: twice the sequences, at most 512.
pub(super) fn default_graph_tokens(max_num_seqs: u32) -> u32 {
    max_num_seqs.saturating_mul(2).min(MOST_CAPTURED)
}

/// Whether a version has the defaults of 0.19: iterations planned ahead, and prompts admitted only
/// where all their blocks are free. Used where a run does not state them.
fn is_new(version: &str) -> bool {
    let mut parts = version
        .split('.')
        .map_while(|part| part.parse::<u32>().ok());
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= (0, 19)
}

/// The engine stamps on its own clock: the two clocks are joined where a request reached the
/// engine soonest after its arrival.
fn requests(path: &Path, notes: &mut Vec<String>) -> Result<Vec<MeasuredRequest>, ValidateError> {
    let file = path.display().to_string();
    let mut stamps = Vec::new();
    for (line, value) in json_lines(&file, &read_text(path)?)? {
        let place = format!("line {line}");
        let mut fields = [0.0; 7];
        for (field, name) in fields.iter_mut().zip([
            "/arrival_time",
            "/queued_ts",
            "/scheduled_ts",
            "/first_token_ts",
            "/last_token_ts",
            "/input_toks",
            "/output_toks",
        ]) {
            *field = json_number(&file, &place, &value, name)?;
        }
        let prompt = tokens(&file, &place, "input_toks", fields[5])?;
        let output = tokens(&file, &place, "output_toks", fields[6])?;
        stamps.push((fields, prompt, output));
    }
    let offset = stamps
        .iter()
        .map(|(fields, ..)| fields[1] - fields[0])
        .fold(f64::INFINITY, f64::min);
    notes.push(
        "arrivals are the client's, joined to the engine's clock where a request reached the \
         engine soonest; queue times are from arrival to first scheduled"
            .to_owned(),
    );
    let timed = stamps
        .into_iter()
        .map(|(fields, prompt_tokens, output_tokens)| {
            let since = |stamp: f64| Some((stamp - fields[0] - offset) * 1e3);
            let request = MeasuredRequest {
                prompt_tokens,
                output_tokens,
                completed: true,
                ttft_ms: since(fields[3]),
                e2e_ms: since(fields[4]),
                queue_ms: since(fields[2]),
                ..MeasuredRequest::default()
            };
            (fields[0], request)
        });
    Ok(from_clock(timed.collect()))
}

fn engine(path: &Path) -> Result<Vec<EngineSample>, ValidateError> {
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let table = Table::read(path)?;
    table.need(&["t", "running", "waiting"])?;
    let samples: Result<Vec<Option<EngineSample>>, ValidateError> = table
        .rows()
        .map(|row| {
            let values = (
                row.measure("t")?,
                row.measure("running")?,
                row.measure("waiting")?,
            );
            Ok(match values {
                (Some(t_s), Some(running), Some(waiting)) => Some(EngineSample {
                    t_s,
                    running,
                    waiting,
                }),
                _ => None,
            })
        })
        .collect();
    Ok(samples?.into_iter().flatten().collect())
}
