//! The operations of a transformer layer on one device.

use crate::calibrate::gpu::operation::Operation;
use crate::perf::ModelCard;

/// Why layers are not split: what is counted so is left out.
const HEADS: &str = "of heads that cannot be split evenly over the devices";
const KV_HEADS: &str =
    "of key-value heads that can neither be split evenly over the devices nor be copied to them";
const SHARED: &str = "of key-value heads that query heads do not share evenly";
const FFN: &str = "of a feed-forward part that cannot be split evenly over the devices";

/// The sizes of a layer on one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    pub hidden: u64,
    pub heads: u64,
    pub kv_heads: u64,
    pub head_dim: u64,
    pub ffn: u64,
    pub gated: bool,
    pub vocab: u64,
}

impl Layer {
    /// The layer of a card's model, split over `tp` devices.
    ///
    /// # Errors
    /// Why it cannot be, as [`Layer::split`] says it.
    pub fn of(card: &ModelCard, tp: u32) -> Result<Self, &'static str> {
        let whole = Self {
            hidden: u64::from(card.hidden),
            heads: u64::from(card.heads),
            kv_heads: u64::from(card.kv_heads),
            head_dim: u64::from(card.head_dim),
            ffn: u64::from(card.ffn),
            gated: card.gated_ffn,
            vocab: u64::from(card.vocab),
        };
        whole.split(u64::from(tp))
    }

    /// The part of one of `tp` devices: heads and the feed-forward part are shared evenly, key-value
    /// heads too or each is on several devices, and the vocabulary is padded.
    ///
    /// # Errors
    /// Why it cannot be split so.
    pub fn split(self, tp: u64) -> Result<Self, &'static str> {
        if tp == 0 || !self.heads.is_multiple_of(tp) {
            return Err(HEADS);
        }
        if self.kv_heads == 0 || !self.heads.is_multiple_of(self.kv_heads) {
            return Err(SHARED);
        }
        if !self.kv_heads.is_multiple_of(tp) && !tp.is_multiple_of(self.kv_heads) {
            return Err(KV_HEADS);
        }
        // A card of experts alone has no such part.
        if !self.ffn.is_multiple_of(tp) {
            return Err(FFN);
        }
        Ok(Self {
            heads: self.heads / tp,
            kv_heads: self.kv_heads.div_ceil(tp),
            ffn: self.ffn / tp,
            vocab: self.vocab.div_ceil(tp),
            ..self
        })
    }

    /// Queries, keys and values in one product.
    pub fn qkv(&self, m: u64) -> Operation {
        let heads = self.heads.saturating_add(self.kv_heads.saturating_mul(2));
        let n = heads.saturating_mul(self.head_dim);
        Operation::Gemm {
            m,
            n,
            k: self.hidden,
        }
    }

    /// The product after attention.
    pub fn attention_out(&self, m: u64) -> Operation {
        Operation::Gemm {
            m,
            n: self.hidden,
            k: self.heads.saturating_mul(self.head_dim),
        }
    }

    /// The first product of the feed-forward part, its gate included.
    pub fn up(&self, m: u64) -> Operation {
        let gates = if self.gated { 2 } else { 1 };
        Operation::Gemm {
            m,
            n: self.ffn.saturating_mul(gates),
            k: self.hidden,
        }
    }

    /// The second product of the feed-forward part.
    pub fn down(&self, m: u64) -> Operation {
        Operation::Gemm {
            m,
            n: self.hidden,
            k: self.ffn,
        }
    }

    /// The LM head.
    pub fn head(&self, m: u64) -> Operation {
        Operation::Gemm {
            m,
            n: self.vocab,
            k: self.hidden,
        }
    }

    /// A norm with the residual added.
    pub fn norm(&self, rows: u64) -> Operation {
        Operation::RmsNorm {
            rows,
            width: self.hidden,
        }
    }

    /// The activation of a gated feed-forward part.
    pub fn activation(&self, rows: u64) -> Operation {
        Operation::SiluMul {
            rows,
            width: self.ffn,
        }
    }

    /// Rotary positions.
    pub fn rotary(&self, rows: u64) -> Operation {
        Operation::Rotary {
            rows,
            heads: self.heads.saturating_add(self.kv_heads),
            head_dim: self.head_dim,
        }
    }

    /// Attention of whole prompts.
    pub fn prefill(&self, sequences: u64, tokens: u64) -> Operation {
        Operation::PrefillAttention {
            sequences,
            tokens,
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            kv: None,
            window: 0,
        }
    }

    /// Attention of a decode step.
    pub fn decode(&self, sequences: u64, context: u64) -> Operation {
        Operation::DecodeAttention {
            sequences,
            context,
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            kv: None,
            window: 0,
        }
    }
}
