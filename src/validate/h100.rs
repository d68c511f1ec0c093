//! Files of runs made with inference-perf: `configs.json` and `stages.csv` for all of them, and
//! one `NAME.csv.gz` of requests for each.
//!
//! Their traps: `output_tokens` counts re-tokenised text, so the forced length of the stage is
//! taken; and prompts repeat with period 100.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::error::ValidateError;
use super::lines::{Row, Table, read_text};
use super::measured::{MeasuredRequest, MeasuredRun, Stage};
use super::server::Server;
use super::vllm_run::default_graph_tokens;

/// Distinct prompts of these runs: request i carries prompt i modulo this.
const PROMPTS: usize = 100;

/// Whether a folder holds such runs.
pub fn holds_some(folder: &Path) -> bool {
    folder.join("configs.json").is_file() && folder.join("stages.csv").is_file()
}

/// Reads all runs of a folder, in order of name.
pub fn read_all(folder: &Path) -> Result<Vec<MeasuredRun>, ValidateError> {
    let entries = std::fs::read_dir(folder).map_err(|error| ValidateError::Read {
        file: folder.display().to_string(),
        cause: error.to_string(),
        remedy: "check the path",
    })?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            run_name(path).is_some() && path.file_name().is_some_and(|n| n != "stages.csv")
        })
        .collect();
    files.sort();
    files.iter().map(|file| read(file)).collect()
}

fn run_name(file: &Path) -> Option<&str> {
    let name = file.file_name()?.to_str()?;
    name.strip_suffix(".csv.gz").or(name.strip_suffix(".csv"))
}

/// Reads one run; its configuration stands in the same folder.
pub fn read(file: &Path) -> Result<MeasuredRun, ValidateError> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let name = run_name(file).unwrap_or_default().to_owned();
    let configs_path = folder.join("configs.json");
    let configs_file = configs_path.display().to_string();
    let stages_path = folder.join("stages.csv");
    let stages_file = stages_path.display().to_string();
    let configs: Value = serde_json::from_str(&read_text(&configs_path)?).map_err(|error| {
        ValidateError::value(
            &configs_file,
            format!("line {}, byte {}", error.line(), error.column()),
            error.to_string(),
            "one JSON document",
            "correct the file",
        )
    })?;
    let Some(config) = configs.get(&name) else {
        return Err(ValidateError::value(
            &configs_file,
            format!("field `{name}`"),
            "missing",
            "the configuration of every run",
            "add it, or leave the run out",
        ));
    };
    let table = Table::read(&stages_path)?;
    table.need(&["experiment", "stage", "hardware", "output_len", "sent"])?;
    let rows: Vec<Row<'_>> = table
        .rows()
        .filter(|row| row.text("experiment") == name && row.text("stage") != "all")
        .collect();
    let Some(first) = rows.first() else {
        return Err(ValidateError::value(
            &stages_file,
            "column `experiment`",
            format!("there is no stage of `{name}`"),
            "at least one",
            "add its stages, or leave the run out",
        ));
    };
    let forced = first
        .count("output_len")?
        .filter(|tokens| *tokens > 0)
        .ok_or_else(|| first.fault("output_len", "the forced output tokens, at least 1"))?;
    let server = server(config, first)?;
    let requests = requests(&Table::read(file)?, forced)?;
    Ok(MeasuredRun {
        fleet: server.fleet(&configs_file)?,
        format: "inference-perf",
        base_dir: folder.to_owned(),
        stages: stages(&rows, &requests)?,
        requests,
        engine: Vec::new(),
        notes: vec![
            format!(
                "output tokens are the {forced} that were forced: the file counts re-tokenised text"
            ),
            "prompts repeat with period 100 and prefix caching was on: the replay does both"
                .to_owned(),
            "what a request costs beside the engine (HTTP, tokens to text) is not stated: give it \
             as gateway.cost_ms"
                .to_owned(),
        ],
        name,
    })
}

fn server(config: &Value, stage: &Row<'_>) -> Result<Server, ValidateError> {
    let whole = |pointer: &str| {
        let value = config.pointer(pointer).and_then(Value::as_u64);
        value.and_then(|value| u32::try_from(value).ok())
    };
    let model = config.pointer("/model_id").and_then(Value::as_str);
    Ok(Server {
        model: model.unwrap_or_default().to_owned(),
        device: stage.text("hardware").to_owned(),
        tp: whole("/config/tensor_parallelism").unwrap_or(1),
        max_num_seqs: whole("/config/max_num_seqs"),
        max_num_batched_tokens: whole("/config/max_num_batched_tokens"),
        max_model_len: stage.count("max_model_len")?,
        kv_blocks: whole("/config/kv_blocks_total_gpu"),
        block_size: whole("/config/block_size"),
        // As the runs' own notes say, and as vLLM 0.15 does by default.
        prefix_caching: Some(true),
        async_scheduling: Some(true),
        max_graph_tokens: whole("/config/max_num_seqs").map(default_graph_tokens),
        ..Server::default()
    })
}

/// Stages follow one another with a pause: each begins with the request after those sent before.
fn stages(rows: &[Row<'_>], requests: &[MeasuredRequest]) -> Result<Vec<Stage>, ValidateError> {
    let mut sent = 0;
    let at_s = |index: usize| {
        let request = requests.get(index);
        request.map_or(f64::MAX, |request| request.arrival_ns as f64 / 1e9)
    };
    rows.iter()
        .map(|row| {
            let count = row
                .count("sent")?
                .ok_or_else(|| row.fault("sent", "the number of requests"))?;
            let from_s = at_s(sent);
            sent += count as usize;
            Ok(Stage {
                name: row.text("stage").to_owned(),
                from_s,
                to_s: at_s(sent),
            })
        })
        .collect()
}

fn requests(table: &Table, forced: u32) -> Result<Vec<MeasuredRequest>, ValidateError> {
    table.need(&["arrival_us", "input_tokens", "ttft_us", "e2e_us", "error"])?;
    let mut requests = Vec::new();
    let mut typical = [0_u32; PROMPTS];
    for (index, row) in table.rows().enumerate() {
        let arrival_us = row
            .measure("arrival_us")?
            .ok_or_else(|| row.fault("arrival_us", "microseconds"))?;
        let prompt = index % PROMPTS;
        let counted = row.count("input_tokens")?.unwrap_or(0);
        // A failed request has no count, but the prompt it repeats has.
        if counted > 0 {
            typical[prompt] = counted;
        }
        let failed = row.text("error") == "1";
        let latency =
            |column: &str| Ok::<_, ValidateError>(row.measure(column)?.map(|us| us / 1e3));
        requests.push(MeasuredRequest {
            arrival_ns: (arrival_us * 1e3).round() as u64,
            prompt_tokens: counted,
            output_tokens: forced,
            prompt_id: Some(prompt as u32),
            completed: !failed,
            ttft_ms: latency("ttft_us")?,
            e2e_ms: latency("e2e_us")?,
            queue_ms: None,
        });
    }
    for request in &mut requests {
        let prompt = request.prompt_id.unwrap_or(0) as usize;
        if request.prompt_tokens == 0 {
            request.prompt_tokens = typical[prompt].max(1);
        }
    }
    requests.sort_by_key(|request| request.arrival_ns);
    Ok(requests)
}
