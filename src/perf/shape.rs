//! What follows from a model card: parameters, weights, arithmetic and KV cache per token.

use super::dtype::Dtype;
use super::model::{Attention, ModelCard};

impl ModelCard {
    /// Weights of the attention projections of one layer.
    fn attention_params(&self) -> f64 {
        let [h, n, kv, d] = [self.hidden, self.heads, self.kv_heads, self.head_dim].map(f64::from);
        match self.attention {
            Attention::Gqa => 2.0 * h * n * d + 2.0 * h * kv * d,
            Attention::Mla => {
                let [c, r, q] =
                    [self.kv_lora_rank, self.qk_rope_head_dim, self.q_lora_rank].map(f64::from);
                let [p, v] = [self.qk_nope_head_dim, self.v_head_dim].map(f64::from);
                h * q + q * n * (p + r) + h * (c + r) + c * n * (p + v) + n * v * h
            }
        }
    }

    /// Weights of one feed-forward part of that width.
    fn ffn_params(&self, width: u32) -> f64 {
        let matrices = if self.gated_ffn { 3.0 } else { 2.0 };
        matrices * f64::from(self.hidden) * f64::from(width)
    }

    /// Layers with routed experts.
    pub(crate) fn moe_layers(&self) -> u32 {
        if self.experts == 0 {
            0
        } else {
            self.layers - self.dense_layers
        }
    }

    /// Weights of all routed experts with one index: one expert in every layer that has experts.
    pub(crate) fn expert_params(&self) -> f64 {
        f64::from(self.moe_layers()) * self.ffn_params(self.ffn)
    }

    /// Weights of the blocks that every token uses: attention, dense feed-forward parts, shared
    /// experts and routers.
    pub(crate) fn dense_params(&self) -> f64 {
        let layers = f64::from(self.layers);
        let attention = layers * self.attention_params();
        if self.experts == 0 {
            return attention + layers * self.ffn_params(self.ffn);
        }
        let router = f64::from(self.hidden) * f64::from(self.experts);
        let shared = f64::from(self.shared_experts) * self.ffn_params(self.shared_ffn);
        attention
            + f64::from(self.dense_layers) * self.ffn_params(self.dense_ffn)
            + f64::from(self.moe_layers()) * (router + shared)
    }

    /// Weights of the LM head (equal to those of the embedding).
    pub(crate) fn head_params(&self) -> f64 {
        f64::from(self.vocab) * f64::from(self.hidden)
    }

    /// Weights of embedding, positions and LM head together.
    fn table_params(&self) -> f64 {
        let tables = if self.tied_embeddings { 1.0 } else { 2.0 };
        tables * self.head_params() + f64::from(self.learned_positions) * f64::from(self.hidden)
    }

    /// Whether queries and keys are rotated by their positions.
    #[must_use]
    pub fn rotates(&self) -> bool {
        self.learned_positions == 0 && !self.alibi
    }

    /// All parameters (matrices; norms and biases, below 0.1 %, are left out).
    #[must_use]
    pub fn params(&self) -> f64 {
        self.dense_params() + f64::from(self.experts) * self.expert_params() + self.table_params()
    }

    /// Parameters one token uses, embedding and LM head included.
    #[must_use]
    pub fn params_active_per_token(&self) -> f64 {
        self.block_params_per_token() + self.table_params()
    }

    /// Weights of the blocks that one token is multiplied with.
    fn block_params_per_token(&self) -> f64 {
        self.dense_params() + f64::from(self.experts_per_token) * self.expert_params()
    }

    /// Bytes of all weights over all devices: the blocks at `dtype`, embedding, positions and LM
    /// head at no less than 16 bits (as published fp8 and fp4 checkpoints keep them).
    #[must_use]
    pub fn weight_bytes(&self, dtype: Dtype) -> f64 {
        (self.params() - self.table_params()) * dtype.bytes()
            + self.table_params() * table_dtype(dtype).bytes()
    }

    /// Bytes of the routed experts of all layers over all devices.
    pub(crate) fn expert_weight_bytes(&self, dtype: Dtype) -> f64 {
        f64::from(self.experts) * self.expert_params() * dtype.bytes()
    }

    /// Bytes of the weights of a pipeline stage with that share of the layers, over its devices: the
    /// first one has the embedding and positions, the last one the LM head (a copy of the embedding
    /// where the two are tied).
    pub(crate) fn stage_weight_bytes(
        &self,
        dtype: Dtype,
        share: f64,
        first: bool,
        last: bool,
    ) -> f64 {
        let positions = f64::from(self.learned_positions) * f64::from(self.hidden);
        let mut tables = 0.0;
        if first {
            tables += self.head_params() + positions;
        }
        if last && !(first && self.tied_embeddings) {
            tables += self.head_params();
        }
        (self.params() - self.table_params()) * dtype.bytes() * share
            + tables * table_dtype(dtype).bytes()
    }

    /// Inputs and outputs of the matrix products of one feed-forward part, in values per row.
    pub(crate) fn ffn_row_values(&self, width: u32) -> f64 {
        let wide = if self.gated_ffn { 3.0 } else { 2.0 };
        2.0 * f64::from(self.hidden) + wide * f64::from(width)
    }

    /// Inputs and outputs of the matrix products that every row passes, averaged over the layers,
    /// in values per row: attention projections, dense feed-forward parts and shared experts.
    pub(crate) fn dense_row_values(&self) -> f64 {
        let [h, n, kv, d] = [self.hidden, self.heads, self.kv_heads, self.head_dim].map(f64::from);
        let attention = 2.0 * h + 2.0 * n * d + 2.0 * kv * d;
        if self.experts == 0 {
            return attention + self.ffn_row_values(self.ffn);
        }
        let dense = f64::from(self.dense_layers) * self.ffn_row_values(self.dense_ffn);
        let shared = f64::from(self.moe_layers() * self.shared_experts)
            * self.ffn_row_values(self.shared_ffn);
        attention + (dense + shared) / f64::from(self.layers)
    }

    /// FLOPs of the blocks' matrix products for one token: 2 per active weight. The LM head
    /// ([`ModelCard::head_flops_per_row`]) is apart, as only rows that give a token pass it.
    #[must_use]
    pub fn matmul_flops_per_token(&self) -> f64 {
        2.0 * self.block_params_per_token()
    }

    /// FLOPs of the LM head for one row.
    #[must_use]
    pub fn head_flops_per_row(&self) -> f64 {
        2.0 * self.head_params()
    }

    /// FLOPs of attention in all layers for one pair of a query and a key while a prompt is
    /// processed: 2 per width of key and value, per head.
    fn prefill_pair_flops(&self) -> f64 {
        let widths = match self.attention {
            Attention::Gqa => 2 * self.head_dim,
            Attention::Mla => self.qk_nope_head_dim + self.qk_rope_head_dim + self.v_head_dim,
        };
        2.0 * f64::from(self.heads) * f64::from(widths)
    }

    /// The same for one layer while decoding; MLA works on the compressed vectors then.
    pub(crate) fn decode_pair_flops(&self) -> f64 {
        match self.attention {
            Attention::Gqa => self.prefill_pair_flops(),
            Attention::Mla => {
                let widths = 2 * self.kv_lora_rank + self.qk_rope_head_dim;
                2.0 * f64::from(self.heads) * f64::from(widths)
            }
        }
    }

    /// FLOPs of causal attention, all layers, for `tokens` new tokens of one sequence after
    /// `context` earlier ones: a token attends to itself and to all before it, or to the last
    /// `sliding_window` of them in layers with a window.
    #[must_use]
    pub fn attention_flops(&self, tokens: u32, context: u32) -> f64 {
        let full = f64::from(self.layers - self.window_layers) * causal_pairs(tokens, context);
        let windowed =
            f64::from(self.window_layers) * windowed_pairs(tokens, context, self.sliding_window);
        (full + windowed) * self.prefill_pair_flops()
    }

    /// KV values one token leaves in one layer.
    fn kv_values_per_layer(&self) -> f64 {
        match self.attention {
            Attention::Gqa => 2.0 * f64::from(self.kv_heads) * f64::from(self.head_dim),
            Attention::Mla => f64::from(self.kv_lora_rank + self.qk_rope_head_dim),
        }
    }

    /// KV bytes of one token in one layer, over all devices, without replication.
    pub(crate) fn kv_bytes_per_layer(&self, dtype: Dtype) -> f64 {
        self.kv_values_per_layer() * dtype.bytes()
    }

    /// KV bytes of one token, all layers, without replication: 2 x `kv_heads` x `head_dim` per
    /// layer, or with MLA `kv_lora_rank` + `qk_rope_head_dim`.
    #[must_use]
    pub fn kv_bytes_per_token(&self, dtype: Dtype) -> f64 {
        f64::from(self.layers) * self.kv_bytes_per_layer(dtype)
    }

    /// The part of [`ModelCard::kv_bytes_per_token`] that each of `tp` devices keeps: KV heads
    /// are split, and copied once `tp` exceeds their number; with MLA every device keeps all.
    #[must_use]
    pub fn kv_share(&self, tp: u32) -> f64 {
        match self.attention {
            Attention::Gqa => {
                f64::from(self.kv_heads.div_ceil(tp.max(1))) / f64::from(self.kv_heads)
            }
            Attention::Mla => 1.0,
        }
    }

    /// KV bytes of one token on each of `tp` devices.
    #[must_use]
    pub fn kv_bytes_per_token_per_device(&self, dtype: Dtype, tp: u32) -> f64 {
        self.kv_bytes_per_token(dtype) * self.kv_share(tp)
    }
}

/// The number type of embedding and LM head beside blocks of `dtype`: 16 bits or more.
pub(crate) fn table_dtype(dtype: Dtype) -> Dtype {
    if dtype.bytes() < 2.0 {
        Dtype::Bf16
    } else {
        dtype
    }
}

/// Pairs of a query and a key: token i of `tokens` sees `context` + i + 1.
fn causal_pairs(tokens: u32, context: u32) -> f64 {
    let [t, c] = [tokens, context].map(f64::from);
    t * c + t * (t + 1.0) / 2.0
}

/// The same where a token sees at most `window`.
fn windowed_pairs(tokens: u32, context: u32, window: u32) -> f64 {
    let growing = tokens.min(window.saturating_sub(context));
    causal_pairs(growing, context) + f64::from(tokens - growing) * f64::from(window)
}
