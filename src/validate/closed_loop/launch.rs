//! How the servers of the public benchmark were launched: what its scripts set (the repository
//! `SemiAnalysisAI/InferenceX`, folder `benchmarks`), as far as a simulated engine has it. Where a
//! script is not known, the engine's defaults.

use crate::validate::server::Server;

use super::row::Row;

/// Tokens beyond prompt and output in the longest request that a script allows.
const SPARE: u32 = 200;

/// A row's server with the settings of the script that launched it.
///
/// # Errors
/// Where it did what cannot be simulated.
pub fn launched(row: &Row, server: Server) -> Result<Server, String> {
    if speculates(row) {
        return Err("speculative decoding, by the engine's image".to_owned());
    }
    let blackwell = is_blackwell(&row.system);
    let shape = Shape {
        isl: row.isl.unwrap_or(0),
        osl: row.osl.unwrap_or(0),
        users: row.concurrency.unwrap_or(0),
        tp: row.tp.unwrap_or(1),
    };
    let name = row.model.to_lowercase();
    let model = [("deepseek", Model::DeepSeek), ("gpt-oss", Model::GptOss)]
        .iter()
        .find(|(part, _)| name.contains(part))
        .map_or(Model::Llama, |(_, model)| *model);
    Ok(match row.backend.as_str() {
        "vllm" => vllm(server, model, blackwell),
        "sglang" => sglang(server, row, &shape, model, blackwell),
        "trtllm" => trtllm(server, row, &shape, model, blackwell),
        _ => server,
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Model {
    DeepSeek,
    GptOss,
    Llama,
}

struct Shape {
    isl: u32,
    osl: u32,
    users: u32,
    tp: u32,
}

fn is_blackwell(system: &str) -> bool {
    ["b200", "b300", "gb300"]
        .iter()
        .any(|name| system.contains(name))
}

/// Images that the benchmark used for DeepSeek with multi-token prediction and not without. SGLang's
/// were the same for both on B200 at 8 bits, so that its rows cannot be told apart.
fn speculates(row: &Row) -> bool {
    let deepseek = row.model.to_lowercase().contains("deepseek");
    let month = row.measured.get(..7).unwrap_or_default();
    deepseek
        && match row.backend.as_str() {
            "trtllm" => {
                row.version == "1.2.0rc6.post3"
                    || (row.version == "1.1.0rc2.post2" && month == "2026-01")
            }
            "sglang" => {
                row.version == "0.5.9"
                    && row.precision == "fp8"
                    && row.system == "b200_sxm"
                    && row.tp == Some(8)
            }
            _ => false,
        }
}

/// An 8-bit cache where weights have fewer than 16 bits and the script asks for one.
fn narrow(server: &Server, asked: bool) -> Option<String> {
    let wide = matches!(server.weight_dtype.as_deref(), Some("bf16" | "fp16"));
    (asked && !wide).then(|| "fp8".to_owned())
}

/// 8,192 tokens everywhere. The scripts also plan ahead, which is fitted instead.
fn vllm(mut server: Server, model: Model, blackwell: bool) -> Server {
    server.kv_dtype = narrow(&server, model != Model::GptOss || blackwell);
    server
}

/// Prompts in iterations of their own, which are not mixed with decodes.
fn sglang(mut server: Server, row: &Row, shape: &Shape, model: Model, blackwell: bool) -> Server {
    let fp4 = row.precision == "fp4";
    let (tokens, memory) = match (model, blackwell, fp4, shape.tp) {
        (Model::DeepSeek, true, true, _) => (16_384, 0.85),
        (Model::DeepSeek, true, false, 4) => (8_192, 0.95),
        (Model::DeepSeek, ..) => (32_768, 0.82),
        _ => (8_192, 0.85),
    };
    let longest = shape.isl + shape.osl;
    server.scheduler = Some("vllm_v0".to_owned());
    server.max_num_batched_tokens = Some(tokens.max(longest));
    server.memory_utilization = Some(memory);
    if model == Model::DeepSeek && blackwell {
        server.kv_dtype = Some("fp8".to_owned());
        let rarely = shape.users >= 16 && (fp4 || shape.tp == 8);
        server.prompt_wait = Some((if rarely { 30 } else { 10 }, 0));
    }
    server
}

/// No chunked prefill: as many whole prompts as `max_num_tokens` holds, together with the decodes.
fn trtllm(mut server: Server, row: &Row, shape: &Shape, model: Model, blackwell: bool) -> Server {
    let longest = shape.isl + shape.osl + SPARE;
    let (tokens, memory) = match model {
        Model::DeepSeek => (
            (shape.users + shape.isl + 64).max(8_192),
            if blackwell { 0.8 } else { 0.75 },
        ),
        Model::GptOss => (20_000, 0.85),
        Model::Llama if blackwell && row.precision == "fp8" => (16_384, 0.9),
        Model::Llama => (longest, 0.9),
    };
    // A sequence that is computed again must fit, too.
    let tokens = tokens.max(longest).max(shape.users + shape.isl);
    server.max_num_batched_tokens = Some(tokens);
    server.chunked_prefill = Some(false);
    server.memory_utilization = Some(memory);
    server.kv_dtype = narrow(&server, model != Model::GptOss || blackwell);
    if model == Model::Llama && (shape.isl, shape.osl) == (1_024, 1_024) && shape.tp < 8 {
        server.prompt_wait = Some((20, tokens * 9 / 10));
    }
    server
}
