//! A model whose layers are dealt out to pipeline stages.

use std::sync::Arc;

use super::floor::NodeCeiling;
use super::step::{DecodePiece, PrefillChunk};
use super::times::{StepParts, StepTimes};

/// The layers of each stage, as vLLM deals them out (`get_pp_indices`): all stages have as many, and
/// what is left over goes one each to the last stages but the very last, which has the LM head.
/// `stages` is at least 1 and at most `layers`.
#[must_use]
pub fn stage_layers(layers: u32, stages: u32) -> Vec<u32> {
    let stages = stages.max(1);
    let mut dealt = vec![layers / stages; stages as usize];
    let left = (layers % stages) as usize;
    let before_last = dealt.len() - 1;
    for own in &mut dealt[before_last - left..before_last] {
        *own += 1;
    }
    dealt
}

/// The iterations of a replica of several stages. One alone takes as long as on one stage, since
/// it passes all layers; what several at once gain is up to the engine, and bounded by the ceiling
/// and the floor.
#[derive(Debug)]
pub struct Staged {
    times: Arc<dyn StepTimes>,
    stages: u32,
}

impl Staged {
    /// `times` of all layers on the devices of one stage, dealt out to so many.
    pub fn new(times: Arc<dyn StepTimes>, stages: u32) -> Staged {
        Staged { times, stages }
    }
}

impl StepTimes for Staged {
    fn step_ns(&self, prefill: &[PrefillChunk], decodes: u32, context: u64) -> f64 {
        self.times.step_ns(prefill, decodes, context)
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
        self.times.spread_step_ns(prefill, decodes, context, spread)
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
        self.times.parts(prefill, decodes, context, spread)
    }

    fn verify_ns(&self, chunks: &[PrefillChunk], prompts: usize, spread: f64) -> f64 {
        self.times.verify_ns(chunks, prompts, spread)
    }

    fn per_sequence_ns(&self) -> f64 {
        self.times.per_sequence_ns()
    }

    fn physical_floor_ns(&self, prefill: &[PrefillChunk], decodes: u32, context: u64) -> f64 {
        self.times.physical_floor_ns(prefill, decodes, context)
    }

    /// The chunks of a prompt go through the stages behind one another, so that no more than its
    /// share of a stage is certain; the tokens of an answer wait for one another.
    fn request_floor_ns(&self, prompt: u32, output: u32) -> Option<(f64, f64)> {
        let (first, last) = self.times.request_floor_ns(prompt, output)?;
        let least = first / f64::from(self.stages);
        Some((least, least + (last - first)))
    }

    fn max_requests_per_s(&self, prompt: u32, output: u32) -> Option<NodeCeiling> {
        let of_one = self.times.max_requests_per_s(prompt, output)?;
        Some(of_one.times(f64::from(self.stages)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_dealt_out_as_in_vllm() {
        assert_eq!(stage_layers(80, 4), [20, 20, 20, 20]);
        assert_eq!(stage_layers(61, 4), [15, 15, 16, 15]);
        assert_eq!(stage_layers(126, 8), [15, 16, 16, 16, 16, 16, 16, 15]);
        assert_eq!(stage_layers(32, 1), [32]);
    }
}
