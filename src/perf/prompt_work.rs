//! An engine whose prompts take longer than their kernels as measured.

use std::sync::Arc;

use super::floor::NodeCeiling;
use super::step::{DecodePiece, PrefillChunk};
use super::times::{RankWork, StepParts, StepTimes};

/// Iterations with some time more for every prompt token that they compute: kernels launched without
/// a captured graph, or others than those measured. Everybody in the iteration waits for it.
#[derive(Debug)]
pub struct PromptWork {
    times: Arc<dyn StepTimes>,
    token_ns: f64,
}

impl PromptWork {
    /// `times` with so many microseconds more per prompt token.
    pub fn new(times: Arc<dyn StepTimes>, per_token_us: f64) -> PromptWork {
        PromptWork {
            times,
            token_ns: per_token_us * 1e3,
        }
    }

    fn prompts_ns(&self, prefill: &[PrefillChunk]) -> f64 {
        let tokens: f64 = prefill.iter().map(|chunk| f64::from(chunk.tokens)).sum();
        tokens * self.token_ns
    }
}

impl StepTimes for PromptWork {
    fn step_ns(&self, prefill: &[PrefillChunk], decodes: u32, context: u64) -> f64 {
        self.times.step_ns(prefill, decodes, context) + self.prompts_ns(prefill)
    }

    fn decode_piece(&self, decodes: u32, context: u64) -> DecodePiece {
        self.times.decode_piece(decodes, context)
    }

    fn spread_step_ns(
        &self,
        prefill: &[PrefillChunk],
        decodes: u32,
        context: u64,
        spread: f64,
    ) -> f64 {
        let times = &self.times;
        times.spread_step_ns(prefill, decodes, context, spread) + self.prompts_ns(prefill)
    }

    fn spread_piece(&self, decodes: u32, context: u64, spread: f64) -> DecodePiece {
        self.times.spread_piece(decodes, context, spread)
    }

    fn parts(
        &self,
        prefill: &[PrefillChunk],
        decodes: u32,
        context: u64,
        spread: f64,
    ) -> StepParts {
        let mut parts = self.times.parts(prefill, decodes, context, spread);
        parts.layers_ns += self.prompts_ns(prefill);
        parts
    }

    fn joint_ns(&self, ranks: &[RankWork<'_>]) -> f64 {
        // The slowest holds up the others.
        let prompts = ranks.iter().map(|rank| self.prompts_ns(rank.prefill));
        self.times.joint_ns(ranks) + prompts.fold(0.0, f64::max)
    }

    fn joint_floor_ns(&self, ranks: &[RankWork<'_>]) -> f64 {
        self.times.joint_floor_ns(ranks)
    }

    fn verify_ns(&self, chunks: &[PrefillChunk], prompts: usize, spread: f64) -> f64 {
        // Drafts are no prompts.
        let computed = chunks.get(..prompts).unwrap_or(chunks);
        self.times.verify_ns(chunks, prompts, spread) + self.prompts_ns(computed)
    }

    fn per_sequence_ns(&self) -> f64 {
        self.times.per_sequence_ns()
    }

    fn physical_floor_ns(&self, prefill: &[PrefillChunk], decodes: u32, context: u64) -> f64 {
        self.times.physical_floor_ns(prefill, decodes, context)
    }

    fn request_floor_ns(&self, prompt: u32, output: u32) -> Option<(f64, f64)> {
        self.times.request_floor_ns(prompt, output)
    }

    fn max_requests_per_s(&self, prompt: u32, output: u32) -> Option<NodeCeiling> {
        self.times.max_requests_per_s(prompt, output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Flat;

    impl StepTimes for Flat {
        fn step_ns(&self, _: &[PrefillChunk], decodes: u32, context: u64) -> f64 {
            1e6 + f64::from(decodes) + context as f64
        }

        fn decode_piece(&self, decodes: u32, _: u64) -> DecodePiece {
            DecodePiece {
                base_ns: 1e6 + f64::from(decodes),
                per_context_ns: 1.0,
                until_context: u64::MAX,
            }
        }
    }

    #[test]
    fn prompts_take_longer_and_decodes_do_not() {
        let times = PromptWork::new(Arc::new(Flat), 5.0);
        let chunk = |tokens: u32| PrefillChunk { tokens, context: 0 };
        let with = times.step_ns(&[chunk(100), chunk(50)], 3, 40);
        assert!((with - Flat.step_ns(&[], 3, 40) - 150.0 * 5e3).abs() < 1e-6);
        assert_eq!(times.step_ns(&[], 3, 40), Flat.step_ns(&[], 3, 40));
        assert_eq!(times.decode_piece(3, 40), Flat.decode_piece(3, 40));
        let spread = times.spread_step_ns(&[chunk(10)], 3, 40, 9.0);
        assert_eq!(spread, times.step_ns(&[chunk(10)], 3, 40));
        // One prompt, and a sequence with its drafts.
        let chunks = [chunk(10), chunk(4)];
        let more = times.verify_ns(&chunks, 1, 0.0) - Flat.verify_ns(&chunks, 1, 0.0);
        assert!((more - 10.0 * 5e3).abs() < 1e-6);
    }
}
