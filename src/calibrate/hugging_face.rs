//! Model cards from the `config.json` that Hugging Face publishes with a model.

use serde_json::{Map, Value};

use crate::perf::{Attention, Dtype, ModelCard};

/// Why a config was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// The text is no JSON object.
    #[error("{file}, line {line}, column {column}: {reason}; give the model's config.json")]
    Json {
        /// The file.
        file: String,
        /// Line of the fault.
        line: usize,
        /// Column of the fault.
        column: usize,
        /// What is wrong.
        reason: String,
    },
    /// The architecture is not known.
    #[error("{file}: `model_type` is {found}; allowed: {known}; {remedy}")]
    Architecture {
        /// The file.
        file: String,
        /// What the config says.
        found: String,
        /// The types that are known.
        known: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A field is missing, or its value cannot be expressed in a card.
    #[error("{file}: `{field}` is {found}; allowed: {allowed}; {remedy}")]
    Field {
        /// The file.
        file: String,
        /// The field.
        field: String,
        /// What the config says.
        found: String,
        /// What is allowed.
        allowed: String,
        /// What to do.
        remedy: &'static str,
    },
}

/// What the blocks of an architecture are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    /// Gated feed-forward part in every layer.
    Dense,
    /// The same; its sliding window counts only if `use_sliding_window`.
    DenseQwen,
    /// `num_local_experts` of width `intermediate_size` in every layer.
    Mixtral,
    /// `num_experts` of width `moe_intermediate_size`, perhaps one shared.
    QwenMoe,
    /// As Mixtral, with a sliding window in some layers.
    GptOss,
    /// Latent attention, shared experts, first layers dense.
    DeepSeek,
    /// GPT-2's names; learned positions.
    Gpt2,
    /// Two matrices in the feed-forward part, rotary positions.
    GptNeox,
    /// As GPT-NeoX with BLOOM's names.
    Bloom,
}

const FAMILIES: [(&str, Family); 13] = [
    ("llama", Family::Dense),
    ("mistral", Family::Dense),
    ("qwen2", Family::DenseQwen),
    ("qwen3", Family::DenseQwen),
    ("mixtral", Family::Mixtral),
    ("qwen2_moe", Family::QwenMoe),
    ("qwen3_moe", Family::QwenMoe),
    ("gpt_oss", Family::GptOss),
    ("deepseek_v2", Family::DeepSeek),
    ("deepseek_v3", Family::DeepSeek),
    ("gpt2", Family::Gpt2),
    ("gpt_neox", Family::GptNeox),
    ("bloom", Family::Bloom),
];

/// Makes a card of a config. `name` is the card's; `file` is named in errors and in the source.
///
/// # Errors
/// [`ConfigError`]: an unknown architecture, a missing field, or what a card cannot express.
pub fn import(file: &str, text: &str, name: &str) -> Result<ModelCard, ConfigError> {
    let fields: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| ConfigError::Json {
            file: file.to_owned(),
            line: error.line(),
            column: error.column(),
            reason: error.to_string(),
        })?;
    let config = Config { file, fields };
    let family = config.family()?;
    let mut card = config.dense(family, name)?;
    match family {
        Family::Mixtral | Family::GptOss => config.local_experts(&mut card)?,
        Family::QwenMoe => config.qwen_experts(&mut card)?,
        Family::DeepSeek => config.deepseek(&mut card)?,
        _ => {}
    }
    if family != Family::DenseQwen || config.flag("use_sliding_window") == Some(true) {
        config.window(&mut card)?;
    }
    card.published_params_b = (card.params() / 1e7).round() / 100.0;
    Ok(card)
}

/// The card as TOML, without the fields that are 0 by default.
pub fn to_toml(card: &ModelCard) -> String {
    let text = toml::to_string(card).unwrap_or_default();
    let kept = text.lines().filter(|line| !line.ends_with("= 0"));
    kept.map(|line| format!("{line}\n")).collect()
}

struct Config<'a> {
    file: &'a str,
    fields: Map<String, Value>,
}

impl Config<'_> {
    fn refuse(&self, field: &str, allowed: &str, remedy: &'static str) -> ConfigError {
        let found = match self.fields.get(field) {
            None => "missing".to_owned(),
            Some(value) => value.to_string().chars().take(80).collect(),
        };
        ConfigError::Field {
            file: self.file.to_owned(),
            field: field.to_owned(),
            found,
            allowed: allowed.to_owned(),
            remedy,
        }
    }

    fn family(&self) -> Result<Family, ConfigError> {
        let said = self.fields.get("model_type").and_then(Value::as_str);
        let known = FAMILIES.iter().find(|(name, _)| Some(*name) == said);
        known.map(|(_, family)| *family).ok_or_else(|| {
            let known: Vec<&str> = FAMILIES.iter().map(|(name, _)| *name).collect();
            ConfigError::Architecture {
                file: self.file.to_owned(),
                found: said.map_or_else(|| "missing".to_owned(), |said| format!("`{said}`")),
                known: known.join(", "),
                remedy: match self.fields.contains_key("text_config") {
                    true => "give its `text_config` as a file of its own",
                    false => "write the card by hand (see models/README.md)",
                },
            }
        })
    }

    /// The first of the names that has a value; `None` if all are missing or null.
    fn optional(&self, names: &[&str]) -> Result<Option<u32>, ConfigError> {
        let given = names.iter().find_map(|name| {
            let value = self.fields.get(*name)?;
            (!value.is_null()).then_some((name, value))
        });
        let Some((name, value)) = given else {
            return Ok(None);
        };
        let whole = value.as_u64().and_then(|value| u32::try_from(value).ok());
        match whole {
            Some(value) => Ok(Some(value)),
            None => Err(self.refuse(name, "a whole number, 0 to 4,294,967,295", "correct it")),
        }
    }

    fn count(&self, names: &[&str]) -> Result<u32, ConfigError> {
        match self.optional(names)? {
            Some(value) if value > 0 => Ok(value),
            _ => Err(self.refuse(
                names.first().copied().unwrap_or_default(),
                "a whole number of at least 1",
                "take the config as it was published with the weights",
            )),
        }
    }

    fn flag(&self, name: &str) -> Option<bool> {
        self.fields.get(name).and_then(Value::as_bool)
    }

    /// What all architectures have.
    fn dense(&self, family: Family, name: &str) -> Result<ModelCard, ConfigError> {
        let hidden = self.count(&["hidden_size", "n_embd", "n_embed"])?;
        let heads = self.count(&["num_attention_heads", "n_head"])?;
        let layers = self.count(&["num_hidden_layers", "n_layer"])?;
        let old_style = matches!(family, Family::Gpt2 | Family::GptNeox | Family::Bloom);
        let kv_heads = match old_style {
            true => heads,
            false => self.optional(&["num_key_value_heads"])?.unwrap_or(heads),
        };
        let head_dim = match self.optional(&["head_dim"])? {
            Some(head_dim) if head_dim > 0 => head_dim,
            _ if hidden.is_multiple_of(heads) => hidden / heads,
            _ => {
                return Err(self.refuse(
                    "head_dim",
                    "hidden_size / num_attention_heads",
                    "give it",
                ));
            }
        };
        let ffn = match family {
            Family::Gpt2 | Family::Bloom => match self.optional(&["n_inner"])? {
                Some(ffn) => ffn,
                None => hidden.saturating_mul(4),
            },
            _ => self.count(&["intermediate_size"])?,
        };
        let max_context = self.count(&["max_position_embeddings", "n_positions", "seq_length"])?;
        let tied = matches!(family, Family::Gpt2 | Family::Bloom);
        let (weight_dtype, kv_dtype) = self.dtypes()?;
        Ok(ModelCard {
            name: name.to_owned(),
            source: format!("Hugging Face config {}", self.file),
            layers,
            hidden,
            heads,
            kv_heads,
            head_dim,
            ffn,
            gated_ffn: !old_style,
            vocab: self.count(&["vocab_size"])?,
            tied_embeddings: self.flag("tie_word_embeddings").unwrap_or(tied),
            learned_positions: match family {
                Family::Gpt2 => max_context,
                _ => 0,
            },
            alibi: family == Family::Bloom,
            experts: 0,
            experts_per_token: 0,
            shared_experts: 0,
            shared_ffn: 0,
            dense_layers: 0,
            dense_ffn: 0,
            attention: Attention::Gqa,
            kv_lora_rank: 0,
            qk_rope_head_dim: 0,
            q_lora_rank: 0,
            qk_nope_head_dim: 0,
            v_head_dim: 0,
            sliding_window: 0,
            window_layers: 0,
            weight_dtype,
            kv_dtype,
            max_context,
            published_params_b: 0.0,
        })
    }

    /// Number types of the weights and of the KV cache.
    fn dtypes(&self) -> Result<(Dtype, Dtype), ConfigError> {
        let field = match self.fields.contains_key("dtype") {
            true => "dtype",
            false => "torch_dtype",
        };
        let whole = match self.fields.get(field).and_then(Value::as_str) {
            // Engines load 32-bit weights as 16-bit ones.
            None | Some("bfloat16" | "float32" | "auto") => Dtype::Bf16,
            Some("float16") => Dtype::Fp16,
            Some(_) => {
                let remedy =
                    "set it to bfloat16, and the scenario's weight_dtype to what is served";
                return Err(self.refuse(field, "bfloat16, float16 or float32", remedy));
            }
        };
        let Some(quantization) = self
            .fields
            .get("quantization_config")
            .filter(|q| !q.is_null())
        else {
            return Ok((whole, whole));
        };
        let text = quantization.to_string().to_lowercase();
        let narrow = match quantization.get("quant_method").and_then(Value::as_str) {
            Some("fp8") => Some(Dtype::Fp8),
            Some("mxfp4") => Some(Dtype::Fp4),
            Some("modelopt" | "modelopt_fp4" | "compressed-tensors") => {
                match (
                    text.contains("fp4"),
                    text.contains("fp8") || text.contains("float"),
                ) {
                    (true, _) => Some(Dtype::Fp4),
                    (false, true) => Some(Dtype::Fp8),
                    (false, false) => None,
                }
            }
            _ => None,
        };
        match narrow {
            Some(narrow) => Ok((narrow, whole)),
            None => Err(self.refuse(
                "quantization_config",
                "fp8, mxfp4, or modelopt and compressed-tensors with fp8 or fp4",
                "remove it, and set the scenario's weight_dtype to what comes nearest",
            )),
        }
    }

    fn local_experts(&self, card: &mut ModelCard) -> Result<(), ConfigError> {
        card.experts = self.count(&["num_local_experts"])?;
        card.experts_per_token = self.count(&["num_experts_per_tok", "experts_per_token"])?;
        Ok(())
    }

    fn qwen_experts(&self, card: &mut ModelCard) -> Result<(), ConfigError> {
        if self.optional(&["decoder_sparse_step"])?.unwrap_or(1) != 1 {
            return Err(self.refuse("decoder_sparse_step", "1: experts in every layer", BY_HAND));
        }
        card.dense_ffn = card.ffn;
        card.ffn = self.count(&["moe_intermediate_size"])?;
        card.experts = self.count(&["num_experts"])?;
        card.experts_per_token = self.count(&["num_experts_per_tok"])?;
        if let Some(shared) = self.optional(&["shared_expert_intermediate_size"])?
            && shared > 0
        {
            (card.shared_experts, card.shared_ffn) = (1, shared);
        }
        let dense = self.fields.get("mlp_only_layers").and_then(Value::as_array);
        let dense = dense.map(Vec::as_slice).unwrap_or_default();
        let first = dense
            .iter()
            .zip(0_u64..)
            .all(|(layer, at)| layer.as_u64() == Some(at));
        if !first {
            return Err(self.refuse("mlp_only_layers", "the first layers, in order", BY_HAND));
        }
        card.dense_layers = dense.len() as u32;
        if dense.is_empty() {
            card.dense_ffn = 0;
        }
        Ok(())
    }

    fn deepseek(&self, card: &mut ModelCard) -> Result<(), ConfigError> {
        if self.optional(&["moe_layer_freq"])?.unwrap_or(1) != 1 {
            return Err(self.refuse("moe_layer_freq", "1: experts in every layer", BY_HAND));
        }
        card.attention = Attention::Mla;
        card.kv_lora_rank = self.count(&["kv_lora_rank"])?;
        card.q_lora_rank = self.count(&["q_lora_rank"])?;
        card.qk_rope_head_dim = self.count(&["qk_rope_head_dim"])?;
        card.qk_nope_head_dim = self.count(&["qk_nope_head_dim"])?;
        card.v_head_dim = self.count(&["v_head_dim"])?;
        card.head_dim = card.qk_nope_head_dim;
        card.dense_layers = self.optional(&["first_k_dense_replace"])?.unwrap_or(0);
        card.dense_ffn = match card.dense_layers {
            0 => 0,
            _ => card.ffn,
        };
        card.ffn = self.count(&["moe_intermediate_size"])?;
        card.experts = self.count(&["n_routed_experts"])?;
        card.experts_per_token = self.count(&["num_experts_per_tok"])?;
        card.shared_experts = self.optional(&["n_shared_experts"])?.unwrap_or(0);
        if card.shared_experts > 0 {
            card.shared_ffn = card.ffn;
        }
        Ok(())
    }

    /// The sliding window, in the layers that `layer_types` names, or in all.
    fn window(&self, card: &mut ModelCard) -> Result<(), ConfigError> {
        let Some(window) = self
            .optional(&["sliding_window"])?
            .filter(|window| *window > 0)
        else {
            return Ok(());
        };
        let layers = match self.fields.get("layer_types").and_then(Value::as_array) {
            // The first layers attend to everything.
            None => {
                (card.layers).saturating_sub(self.optional(&["max_window_layers"])?.unwrap_or(0))
            }
            Some(types) => {
                let sliding = |kind: &&Value| kind.as_str() == Some("sliding_attention");
                types.iter().filter(sliding).count() as u32
            }
        };
        if layers > card.layers {
            return Err(self.refuse("layer_types", "one type a layer", "correct it"));
        }
        if layers > 0 {
            card.sliding_window = window.min(card.max_context);
            card.window_layers = layers;
        }
        Ok(())
    }
}

const BY_HAND: &str = "write the card by hand (see models/README.md)";
