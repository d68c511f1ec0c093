//! An engine whose kernels take longer, or shorter, than the model says by constant factors.

use std::sync::Arc;

use super::floor::NodeCeiling;
use super::step::{DecodePiece, Overheads, PrefillChunk};
use super::times::{RankWork, StepParts, StepTimes};

/// What the kernels of an engine take, divided by what the model says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KernelFactors {
    /// Of what prompts add to an iteration.
    pub prefill: f64,
    /// Of what an iteration takes without its prompts.
    pub decode: f64,
}

impl KernelFactors {
    /// The least factor: below it is another kernel, or another device.
    pub const LEAST: f64 = 0.1;
    /// The greatest.
    pub const MOST: f64 = 100.0;
}

impl Default for KernelFactors {
    fn default() -> KernelFactors {
        KernelFactors {
            prefill: 1.0,
            decode: 1.0,
        }
    }
}

/// Iterations of scaled kernels. The part of an iteration that is of its decodes is that of the same
/// iteration without prompts; the rest is of its prompts. None is below the floor of the hardware.
#[derive(Debug)]
pub struct Scaled {
    kernels: Arc<dyn StepTimes>,
    factors: KernelFactors,
    overheads: Overheads,
}

impl Scaled {
    /// `kernels` without any overhead of their own, their factors, and the overheads of the engine,
    /// which are not scaled.
    pub fn new(
        kernels: Arc<dyn StepTimes>,
        factors: KernelFactors,
        overheads: Overheads,
    ) -> Scaled {
        Scaled {
            kernels,
            factors,
            overheads,
        }
    }

    fn engine_ns(&self, sequences: f64) -> f64 {
        1e3 * (self.overheads.fixed_us + sequences * self.overheads.per_seq_us)
    }

    /// Scaled kernels of an iteration: all of it, and the same without prompts.
    fn kernels_ns(&self, whole: f64, decodes: f64) -> f64 {
        self.factors.decode * decodes + self.factors.prefill * (whole - decodes)
    }
}

impl StepTimes for Scaled {
    fn step_ns(&self, prefill: &[PrefillChunk], decodes: u32, context: u64) -> f64 {
        self.spread_step_ns(prefill, decodes, context, 0.0)
    }

    fn decode_piece(&self, decodes: u32, context: u64) -> DecodePiece {
        self.spread_piece(decodes, context, 0.0)
    }

    fn spread_step_ns(
        &self,
        prefill: &[PrefillChunk],
        decodes: u32,
        context: u64,
        spread: f64,
    ) -> f64 {
        let sequences = f64::from(decodes) + prefill.len() as f64;
        if sequences == 0.0 {
            return 0.0;
        }
        let kernels = &self.kernels;
        let whole = kernels.spread_step_ns(prefill, decodes, context, spread);
        let alone = match (decodes, prefill.is_empty()) {
            (0, _) => 0.0,
            (_, true) => whole,
            (_, false) => kernels.spread_step_ns(&[], decodes, context, spread),
        };
        let floor = self.physical_floor_ns(prefill, decodes, context);
        (self.kernels_ns(whole, alone) + self.engine_ns(sequences)).max(floor)
    }

    fn spread_piece(&self, decodes: u32, context: u64, spread: f64) -> DecodePiece {
        let piece = self.kernels.spread_piece(decodes, context, spread);
        let scaled = DecodePiece {
            base_ns: self.factors.decode * piece.base_ns + self.engine_ns(f64::from(decodes)),
            per_context_ns: self.factors.decode * piece.per_context_ns,
            until_context: piece.until_context,
        };
        scaled.or_floor(self.kernels.floor_piece(decodes, context), context)
    }

    fn parts(
        &self,
        prefill: &[PrefillChunk],
        decodes: u32,
        context: u64,
        spread: f64,
    ) -> StepParts {
        let total = self.spread_step_ns(prefill, decodes, context, spread);
        let sequences = f64::from(decodes) + prefill.len() as f64;
        let engine_ns = self.engine_ns(sequences).min(total);
        let last = |prefill| {
            self.kernels
                .parts(prefill, decodes, context, spread)
                .last_ns
        };
        let alone = if decodes > 0 { last(&[]) } else { 0.0 };
        let last_ns = self.kernels_ns(last(prefill), alone);
        let last_ns = last_ns.clamp(0.0, total - engine_ns);
        StepParts {
            engine_ns,
            layers_ns: total - engine_ns - last_ns,
            last_ns,
        }
    }

    fn joint_ns(&self, ranks: &[RankWork<'_>]) -> f64 {
        let whole = self.kernels.joint_ns(ranks);
        let without: Vec<RankWork<'_>> = ranks
            .iter()
            .map(|rank| RankWork {
                prefill: &[],
                ..*rank
            })
            .collect();
        let alone = match without.iter().any(|rank| rank.decodes > 0) {
            true => self.kernels.joint_ns(&without),
            false => 0.0,
        };
        let engines = ranks.iter().map(|rank| self.engine_ns(rank.sequences()));
        let scaled = self.kernels_ns(whole, alone) + engines.fold(0.0, f64::max);
        scaled.max(self.joint_floor_ns(ranks))
    }

    fn joint_floor_ns(&self, ranks: &[RankWork<'_>]) -> f64 {
        self.kernels.joint_floor_ns(ranks)
    }

    fn verify_ns(&self, chunks: &[PrefillChunk], prompts: usize, spread: f64) -> f64 {
        let whole = self.kernels.verify_ns(chunks, prompts, spread);
        let drafts = chunks.get(prompts..).unwrap_or_default();
        let alone = match drafts {
            [] => 0.0,
            _ => self.kernels.verify_ns(drafts, 0, spread),
        };
        let floor = self.physical_floor_ns(chunks, 0, 0);
        (self.kernels_ns(whole, alone) + self.engine_ns(chunks.len() as f64)).max(floor)
    }

    fn per_sequence_ns(&self) -> f64 {
        self.overheads.per_seq_us * 1e3
    }

    fn physical_floor_ns(&self, prefill: &[PrefillChunk], decodes: u32, context: u64) -> f64 {
        self.kernels.physical_floor_ns(prefill, decodes, context)
    }

    fn floor_piece(&self, decodes: u32, context: u64) -> DecodePiece {
        self.kernels.floor_piece(decodes, context)
    }

    fn request_floor_ns(&self, prompt: u32, output: u32) -> Option<(f64, f64)> {
        self.kernels.request_floor_ns(prompt, output)
    }

    fn max_requests_per_s(&self, prompt: u32, output: u32) -> Option<NodeCeiling> {
        self.kernels.max_requests_per_s(prompt, output)
    }
}

impl DecodePiece {
    /// The larger of two lines from a context on, for as long as it is the larger and both hold.
    fn or_floor(self, floor: DecodePiece, context: u64) -> DecodePiece {
        let at = |piece: &DecodePiece| piece.base_ns + piece.per_context_ns * context as f64;
        let (own, other) = (at(&self), at(&floor));
        let floor_is_top =
            other > own || (other == own && floor.per_context_ns > self.per_context_ns);
        let (top, below) = match floor_is_top {
            true => (floor, self),
            false => (self, floor),
        };
        let mut until = self.until_context.min(floor.until_context);
        if below.per_context_ns > top.per_context_ns {
            let steeper = below.per_context_ns - top.per_context_ns;
            // `as` saturates: what is far away is no bound.
            until = until.min(((top.base_ns - below.base_ns) / steeper) as u64);
        }
        DecodePiece {
            until_context: until.max(context),
            ..top
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1 ms and 3 ns a token of context; 2 us a prompt token; a floor of 0.9 ms and 1 ns.
    #[derive(Debug)]
    struct Flat;

    impl StepTimes for Flat {
        fn step_ns(&self, prefill: &[PrefillChunk], _: u32, context: u64) -> f64 {
            let tokens: f64 = prefill.iter().map(|chunk| f64::from(chunk.tokens)).sum();
            1e6 + 3.0 * context as f64 + 2e3 * tokens
        }

        fn decode_piece(&self, _: u32, _: u64) -> DecodePiece {
            DecodePiece {
                base_ns: 1e6,
                per_context_ns: 3.0,
                until_context: u64::MAX,
            }
        }

        fn physical_floor_ns(&self, _: &[PrefillChunk], _: u32, context: u64) -> f64 {
            0.9e6 + context as f64
        }

        fn floor_piece(&self, _: u32, _: u64) -> DecodePiece {
            DecodePiece {
                base_ns: 0.9e6,
                per_context_ns: 1.0,
                until_context: u64::MAX,
            }
        }
    }

    fn scaled(prefill: f64, decode: f64) -> Scaled {
        let overheads = Overheads {
            fixed_us: 100.0,
            per_seq_us: 10.0,
        };
        Scaled::new(Arc::new(Flat), KernelFactors { prefill, decode }, overheads)
    }

    #[test]
    fn each_part_has_its_factor_and_overheads_have_none() {
        let times = scaled(3.0, 2.0);
        let chunk = PrefillChunk {
            tokens: 500,
            context: 0,
        };
        assert_eq!(times.step_ns(&[], 4, 1_000), 2.0 * 1_003_000.0 + 140_000.0);
        let mixed = 2.0 * 1_003_000.0 + 3.0 * 1e6 + 150_000.0;
        assert_eq!(times.step_ns(&[chunk], 4, 1_000), mixed);
        // A prompt alone is all prefill.
        assert_eq!(times.step_ns(&[chunk], 0, 0), 3.0 * 2e6 + 110_000.0);
        assert_eq!(times.step_ns(&[], 0, 0), 0.0);
        let verify = times.verify_ns(&[chunk], 1, 0.0);
        assert_eq!(verify, 3.0 * Flat.verify_ns(&[chunk], 1, 0.0) + 110_000.0);
    }

    #[test]
    fn no_factor_beats_the_hardware() {
        let times = scaled(1.0, 0.5);
        for context in [0, 100_000, 300_000, 700_000, 2_000_000] {
            let step = times.step_ns(&[], 4, context);
            assert!(step >= times.physical_floor_ns(&[], 4, context));
            let piece = times.decode_piece(4, context);
            // The piece is the step wherever it holds.
            let end = piece.until_context.min(5_000_000);
            for at in [context, (context + end) / 2, end] {
                let line = piece.base_ns + piece.per_context_ns * at as f64;
                let step = times.step_ns(&[], 4, at);
                assert!((line - step).abs() < 1e-3, "{context} {at}: {line} {step}");
            }
        }
    }
}
