//! The operations of a transformer layer on one device.

use crate::calibrate::gpu::operation::Operation;
use crate::perf::ModelCard;

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
    pub fn of(card: &ModelCard, tp: u32) -> Self {
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

    /// The part of one of `tp` devices.
    pub fn split(self, tp: u64) -> Self {
        let tp = tp.max(1);
        Self {
            heads: (self.heads / tp).max(1),
            kv_heads: self.kv_heads.div_ceil(tp).max(1),
            ffn: (self.ffn / tp).max(1),
            vocab: (self.vocab / tp).max(1),
            ..self
        }
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
