//! Model cards: the shape of a decoder-only transformer, from which weights, arithmetic and KV
//! cache per token follow.

use std::path::Path;

use super::dtype::Dtype;
use super::error::{PerfError, card_text, parse_error};

macro_rules! cards {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../models/", $name, ".toml")))),*]
    };
}

/// The built-in cards: name and TOML text.
const BUILTIN: &[(&str, &str)] = cards![
    "bloom-176b",
    "codellama-34b",
    "deepseek-v3",
    "gpt-3-175b",
    "gpt-oss-120b",
    "llama-2-13b",
    "llama-2-70b",
    "llama-2-7b",
    "llama-3.1-405b",
    "llama-3.1-70b",
    "llama-3.1-8b",
    "mixtral-8x7b",
    "qwen3-235b-a22b",
    "qwen3-30b-a3b",
    "qwen3-32b",
];

/// How keys and values are kept.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Attention {
    /// Grouped-query attention, multi-head (`kv_heads` = `heads`) and multi-query included.
    Gqa,
    /// Multi-head latent attention (DeepSeek-V2/V3): one compressed vector per token and layer.
    Mla,
}

/// A model's shape. Read from `models/NAME.toml` or from a file of the user's.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelCard {
    /// The model's name.
    pub name: String,
    /// Where the figures come from.
    pub source: String,
    /// Transformer blocks, 1 to 10,000.
    pub layers: u32,
    /// Width of the residual stream.
    pub hidden: u32,
    /// Query heads.
    pub heads: u32,
    /// Key/value heads; divides `heads`.
    pub kv_heads: u32,
    /// Width of a head (of queries and keys without MLA).
    pub head_dim: u32,
    /// Feed-forward width; of one expert if the model has experts.
    pub ffn: u32,
    /// Whether the feed-forward part has a gate (three matrices instead of two).
    pub gated_ffn: bool,
    /// Vocabulary size.
    pub vocab: u32,
    /// Whether the LM head is the embedding matrix.
    pub tied_embeddings: bool,
    /// Learned position embeddings (rows), 0 if positions are rotary or by bias.
    #[serde(default)]
    pub learned_positions: u32,
    /// Whether positions are a bias on attention (`ALiBi`) instead of rotations.
    #[serde(default)]
    pub alibi: bool,
    /// Routed experts per layer, 0 if the model is dense.
    #[serde(default)]
    pub experts: u32,
    /// Routed experts each token uses, at most `experts`.
    #[serde(default)]
    pub experts_per_token: u32,
    /// Experts every token uses.
    #[serde(default)]
    pub shared_experts: u32,
    /// Width of one shared expert.
    #[serde(default)]
    pub shared_ffn: u32,
    /// First layers that have a dense feed-forward part although the model has experts.
    #[serde(default)]
    pub dense_layers: u32,
    /// Width of that part.
    #[serde(default)]
    pub dense_ffn: u32,
    /// How keys and values are kept.
    pub attention: Attention,
    /// MLA: width of the compressed keys and values.
    #[serde(default)]
    pub kv_lora_rank: u32,
    /// MLA: width of the rotary part of a head.
    #[serde(default)]
    pub qk_rope_head_dim: u32,
    /// MLA: width of the compressed queries.
    #[serde(default)]
    pub q_lora_rank: u32,
    /// MLA: width of the other part of a query or key head.
    #[serde(default)]
    pub qk_nope_head_dim: u32,
    /// MLA: width of a value head.
    #[serde(default)]
    pub v_head_dim: u32,
    /// Tokens a layer with a sliding window attends to, the token itself included; 0 if none.
    #[serde(default)]
    pub sliding_window: u32,
    /// Layers with that window, at most `layers`.
    #[serde(default)]
    pub window_layers: u32,
    /// Number type of the published weights.
    pub weight_dtype: Dtype,
    /// Number type of the KV cache unless the scenario says otherwise.
    pub kv_dtype: Dtype,
    /// Longest context in tokens.
    pub max_context: u32,
    /// Parameters as published, in 1e9; checked against [`ModelCard::params`] in tests.
    pub published_params_b: f64,
}

impl ModelCard {
    /// The built-in card of that name, or the card in a file (a value with a `/` or ending in
    /// `.toml` is a path relative to `base_dir`).
    ///
    /// # Errors
    /// An unknown name (the error offers the nearest and lists all), an unreadable file, a file
    /// that is not a card, or a field outside its range.
    pub fn load(name_or_path: &str, base_dir: &Path) -> Result<Self, PerfError> {
        let (file, text) = card_text("model", BUILTIN, name_or_path, base_dir)?;
        let card: Self = toml::from_str(&text).map_err(|e| parse_error(&file, &text, &e))?;
        card.check(&file)?;
        Ok(card)
    }

    /// The names of the built-in cards, sorted.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILTIN.iter().map(|(name, _)| *name)
    }

    /// Checks the ranges and the fields that go together.
    fn check(&self, file: &str) -> Result<(), PerfError> {
        let fail = |field, value: u32, allowed: String, remedy: &str| {
            Err(PerfError::Field {
                file: file.to_owned(),
                field,
                value: value.to_string(),
                allowed,
                remedy: remedy.to_owned(),
            })
        };
        let needs = |field, value: u32, high: u32| {
            if (1..=high).contains(&value) {
                Ok(())
            } else {
                fail(
                    field,
                    value,
                    format!("1 to {high}"),
                    "take it from the model's config",
                )
            }
        };
        needs("layers", self.layers, 10_000)?;
        needs("hidden", self.hidden, 1_000_000)?;
        needs("heads", self.heads, 65_536)?;
        needs("head_dim", self.head_dim, 65_536)?;
        needs("ffn", self.ffn, 10_000_000)?;
        needs("vocab", self.vocab, 100_000_000)?;
        needs("max_context", self.max_context, 1_000_000_000)?;
        needs("kv_heads", self.kv_heads, self.heads)?;
        if !self.heads.is_multiple_of(self.kv_heads) {
            let allowed = format!("a divisor of `heads` ({})", self.heads);
            return fail(
                "kv_heads",
                self.kv_heads,
                allowed,
                "take it from the model's config",
            );
        }
        if self.experts > 0 {
            needs("experts", self.experts, 65_536)?;
            needs("experts_per_token", self.experts_per_token, self.experts)?;
        } else if self.experts_per_token > 0 {
            return fail(
                "experts_per_token",
                self.experts_per_token,
                "0 where `experts` is 0".into(),
                "give `experts` too, or drop it",
            );
        }
        if self.shared_experts > 0 {
            needs("shared_ffn", self.shared_ffn, 10_000_000)?;
        }
        if self.dense_layers > 0 {
            needs("dense_layers", self.dense_layers, self.layers)?;
            needs("dense_ffn", self.dense_ffn, 10_000_000)?;
        }
        if self.attention == Attention::Mla {
            needs("kv_lora_rank", self.kv_lora_rank, 65_536)?;
            needs("q_lora_rank", self.q_lora_rank, 65_536)?;
            needs("qk_nope_head_dim", self.qk_nope_head_dim, 65_536)?;
            needs("v_head_dim", self.v_head_dim, 65_536)?;
        }
        if self.window_layers > 0 {
            needs("window_layers", self.window_layers, self.layers)?;
            needs("sliding_window", self.sliding_window, self.max_context)?;
        } else if self.sliding_window > 0 {
            return fail(
                "window_layers",
                0,
                format!("1 to {} where `sliding_window` is given", self.layers),
                "say how many layers have the window",
            );
        }
        Ok(())
    }
}
