//! An engine that drafts tokens before it verifies them.

use std::sync::Arc;

use super::floor::{Floor, NodeCeiling};
use super::step::{DecodePiece, PrefillChunk, StepModel};
use super::times::StepTimes;

/// Who makes the drafts, and how long that takes.
#[derive(Debug, Clone)]
pub enum Drafter {
    /// A smaller model on the same devices.
    Model(Box<StepModel>),
    /// Anything else, such as heads on the model itself or n-grams: nanoseconds per token drafted,
    /// for the whole batch at once.
    Fixed(f64),
}

/// The iterations of speculative decoding: drafts are made, then verified.
#[derive(Debug)]
pub struct Drafting {
    kernels: Arc<dyn StepTimes>,
    floor: Floor,
    drafter: Drafter,
    draft_tokens: u32,
}

impl Drafting {
    /// `kernels` verify `draft_tokens` (1 or more) tokens of the drafter for each sequence; `floor`
    /// is that of the model that verifies.
    pub fn new(
        kernels: Arc<dyn StepTimes>,
        floor: Floor,
        drafter: Drafter,
        draft_tokens: u32,
    ) -> Drafting {
        Drafting {
            kernels,
            floor,
            drafter,
            draft_tokens,
        }
    }

    /// A draft model takes one step for each token drafted, over all decoding sequences at once;
    /// contexts grow by a token a step, and the mean one stands for all but the first. In the first
    /// it reads the prompts of the iteration too, since it has a KV cache of its own.
    fn draft_ns(&self, chunks: &[PrefillChunk], prompts: usize) -> f64 {
        let (prompts, verified) = chunks.split_at(prompts.min(chunks.len()));
        let sequences = verified.len() as u32;
        let more = match sequences {
            0 => 0.0,
            _ => f64::from(self.draft_tokens),
        };
        match &self.drafter {
            Drafter::Fixed(ns) => more * ns,
            Drafter::Model(model) => {
                let context = verified.iter().map(|chunk| u64::from(chunk.context)).sum();
                let first = model.step_ns(prompts, sequences, context);
                let mean = context + u64::from(sequences) * u64::from(self.draft_tokens) / 2;
                first + (more - 1.0).max(0.0) * model.step_ns(&[], sequences, mean)
            }
        }
    }
}

impl StepTimes for Drafting {
    fn step_ns(&self, prefill: &[PrefillChunk], decodes: u32, context: u64) -> f64 {
        self.kernels.step_ns(prefill, decodes, context)
    }

    fn decode_piece(&self, decodes: u32, context: u64) -> DecodePiece {
        self.kernels.decode_piece(decodes, context)
    }

    fn spread_step_ns(
        &self,
        prefill: &[PrefillChunk],
        decodes: u32,
        context: u64,
        spread: f64,
    ) -> f64 {
        self.kernels
            .spread_step_ns(prefill, decodes, context, spread)
    }

    fn spread_piece(&self, decodes: u32, context: u64, spread: f64) -> DecodePiece {
        self.kernels.spread_piece(decodes, context, spread)
    }

    fn verify_ns(&self, chunks: &[PrefillChunk], prompts: usize, spread: f64) -> f64 {
        self.kernels.verify_ns(chunks, prompts, spread) + self.draft_ns(chunks, prompts)
    }

    fn per_sequence_ns(&self) -> f64 {
        self.kernels.per_sequence_ns()
    }

    fn physical_floor_ns(&self, prefill: &[PrefillChunk], decodes: u32, context: u64) -> f64 {
        self.kernels.physical_floor_ns(prefill, decodes, context)
    }

    fn request_floor_ns(&self, prompt: u32, output: u32) -> Option<(f64, f64)> {
        let most = self.draft_tokens.saturating_add(1);
        Some(
            self.floor
                .speculative_request_floor_ns(prompt, output, most),
        )
    }

    fn max_requests_per_s(&self, prompt: u32, output: u32) -> Option<NodeCeiling> {
        let most = self.draft_tokens.saturating_add(1);
        Some(
            self.floor
                .speculative_max_requests_per_s(prompt, output, most),
        )
    }
}
