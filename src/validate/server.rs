//! A server as measured runs describe it, and the pool that stands for it.

use toml::{Table, Value};

use crate::scenario::{Document, SourceText};

use super::cards::{accelerator_card, model_card};
use super::error::ValidateError;

/// A server of one model replica. What is `None` is left to the defaults of a pool.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Server {
    /// The model's published name.
    pub model: String,
    /// The device, by its driver's name or a table's.
    pub device: String,
    /// Tensor parallelism.
    pub tp: u32,
    /// Most sequences in one iteration.
    pub max_num_seqs: Option<u32>,
    /// Most tokens in one iteration.
    pub max_num_batched_tokens: Option<u32>,
    /// Longest prompt plus output.
    pub max_model_len: Option<u32>,
    /// KV blocks as the engine's log reports them.
    pub kv_blocks: Option<u32>,
    /// Tokens of a block.
    pub block_size: Option<u32>,
    /// Share of the memory that the engine may use.
    pub memory_utilization: Option<f64>,
    /// Weight dtype.
    pub weight_dtype: Option<String>,
    /// KV-cache dtype.
    pub kv_dtype: Option<String>,
    /// Whether an iteration is planned while the one before it runs.
    pub async_scheduling: Option<bool>,
    /// Whether blocks are kept for prompts that begin alike.
    pub prefix_caching: Option<bool>,
    /// Blocks that a prompt needs to be admitted, as in a pool.
    pub prompt_blocks: Option<String>,
    /// Most tokens of an iteration that runs from a captured graph.
    pub max_graph_tokens: Option<u32>,
    /// Whose measured kernels are used: `vllm`, `trtllm` or `sglang`.
    pub kernel_backend: Option<String>,
    /// Whose scheduler it is, as in a pool.
    pub scheduler: Option<String>,
    /// Whether a prompt may be computed over several iterations.
    pub chunked_prefill: Option<bool>,
    /// Iterations that prompts wait for, and the tokens that end the wait, as in a pool.
    pub prompt_wait: Option<(u32, u32)>,
    /// Engine overhead of an iteration, microseconds.
    pub overhead_fixed_us: Option<f64>,
    /// Engine overhead per sequence of an iteration, microseconds.
    pub overhead_per_seq_us: Option<f64>,
    /// Engine overhead per prompt token of an iteration, microseconds.
    pub overhead_per_prompt_token_us: Option<f64>,
    /// What kernels of prompts take, divided by what the step model says.
    pub prefill_time_factor: Option<f64>,
    /// The same of kernels of decodes.
    pub decode_time_factor: Option<f64>,
}

impl Server {
    /// The pool as a table of a scenario. `file` is named in errors.
    ///
    /// # Errors
    /// When there is no card for the model or the device.
    pub fn pool(&self, file: &str) -> Result<Value, ValidateError> {
        let Some(model) = named(&self.model, model_card) else {
            return Err(ValidateError::value(
                file,
                "model",
                format!("there is no card for `{}`", self.model),
                crate::perf::ModelCard::names()
                    .collect::<Vec<_>>()
                    .join(", "),
                "import its config with `seatrial model import`, and name the card in a run.toml",
            ));
        };
        let Some(device) = named(&self.device, accelerator_card) else {
            return Err(ValidateError::value(
                file,
                "device",
                format!("there is no card for `{}`", self.device),
                crate::perf::AcceleratorCard::names()
                    .collect::<Vec<_>>()
                    .join(", "),
                "write a card for it, and name it in a run.toml",
            ));
        };
        let mut pool = Table::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                pool.insert(key.to_owned(), value);
            }
        };
        let whole = |value: Option<u32>| value.map(|value| Value::Integer(i64::from(value)));
        let text = |value: &Option<String>| value.clone().map(Value::String);
        put("name", Some(Value::String("server".to_owned())));
        put("engine", Some(Value::String("llm".to_owned())));
        put("model", Some(Value::String(model.to_owned())));
        put("accelerator", Some(Value::String(device.to_owned())));
        put("tp", whole(Some(self.tp)));
        put("max_num_seqs", whole(self.max_num_seqs));
        put("max_num_batched_tokens", whole(self.max_num_batched_tokens));
        put("max_model_len", whole(self.max_model_len));
        put("kv_blocks", whole(self.kv_blocks));
        put("block_size", whole(self.block_size));
        put(
            "memory_utilization",
            self.memory_utilization.map(Value::Float),
        );
        put("weight_dtype", text(&self.weight_dtype));
        put("kv_dtype", text(&self.kv_dtype));
        put("kernel_backend", text(&self.kernel_backend));
        put(
            "async_scheduling",
            self.async_scheduling.map(Value::Boolean),
        );
        put("scheduler", text(&self.scheduler));
        put("chunked_prefill", self.chunked_prefill.map(Value::Boolean));
        let wait = self.prompt_wait;
        put("prompt_wait_iterations", whole(wait.map(|wait| wait.0)));
        put("prompt_wait_tokens", whole(wait.map(|wait| wait.1)));
        put("prefix_caching", self.prefix_caching.map(Value::Boolean));
        put("prompt_blocks", text(&self.prompt_blocks));
        put("max_graph_tokens", whole(self.max_graph_tokens));
        put(
            "overhead_fixed_us",
            self.overhead_fixed_us.map(Value::Float),
        );
        put(
            "overhead_per_seq_us",
            self.overhead_per_seq_us.map(Value::Float),
        );
        put(
            "overhead_per_prompt_token_us",
            self.overhead_per_prompt_token_us.map(Value::Float),
        );
        for (field, factor) in [
            ("prefill_time_factor", self.prefill_time_factor),
            ("decode_time_factor", self.decode_time_factor),
        ] {
            put(field, factor.map(Value::Float));
        }
        Ok(Value::Table(pool))
    }

    /// A scenario of this one pool, without workload.
    ///
    /// # Errors
    /// As [`Server::pool`].
    pub fn fleet(&self, file: &str) -> Result<Document, ValidateError> {
        let pools = Value::Array(vec![self.pool(file)?]);
        document(file, [("pools", pools)])
    }
}

/// A card of one's own by the path of its file, or the built-in one that a name means.
fn named(name: &str, card: fn(&str) -> Option<&'static str>) -> Option<&str> {
    match name.ends_with(".toml") {
        true => Some(name),
        false => card(name),
    }
}

/// A document of these values.
pub(crate) fn document(
    file: &str,
    values: impl IntoIterator<Item = (&'static str, Value)>,
) -> Result<Document, ValidateError> {
    let failed = |error| ValidateError::scenario(file, error);
    let mut document = Document::parse(SourceText::new(file, "")).map_err(failed)?;
    for (path, value) in values {
        document.set_value(path, value).map_err(failed)?;
    }
    Ok(document)
}
