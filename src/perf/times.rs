//! What an engine asks of a step model.

use std::fmt::Debug;

use super::floor::NodeCeiling;
use super::step::{DecodePiece, PrefillChunk, StepModel};

/// The time of an iteration by who spends it: what a pipeline deals out to its stages.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepParts {
    /// The engine's own work before the kernels, nanoseconds.
    pub engine_ns: f64,
    /// The layers, nanoseconds.
    pub layers_ns: f64,
    /// What follows the last layer (LM head and sampling), nanoseconds.
    pub last_ns: f64,
}

impl StepParts {
    /// All of it, one after the other.
    #[must_use]
    pub fn total_ns(&self) -> f64 {
        self.engine_ns + self.layers_ns + self.last_ns
    }
}

/// What one rank of data-parallel attention computes in an iteration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankWork<'a> {
    /// Pieces of prompts.
    pub prefill: &'a [PrefillChunk],
    /// Decoding sequences.
    pub decodes: u32,
    /// Tokens of their KV in all.
    pub context: u64,
    /// The standard deviation of these, tokens.
    pub spread: f64,
}

impl RankWork<'_> {
    /// Tokens computed.
    #[must_use]
    pub fn rows(&self) -> f64 {
        let chunks = self.prefill.iter().map(|chunk| f64::from(chunk.tokens));
        f64::from(self.decodes) + chunks.sum::<f64>()
    }

    /// Sequences in it.
    #[must_use]
    pub fn sequences(&self) -> f64 {
        f64::from(self.decodes) + self.prefill.len() as f64
    }
}

/// How long the iterations of one replica take. [`StepModel`] is the one scenarios use; a test may
/// bring its own, for instance the tables of another simulator.
pub trait StepTimes: Debug + Send + Sync {
    /// Nanoseconds of one iteration: `prefill` chunks together with `decodes` sequences of one
    /// token each, whose KV is `context` tokens long in all before it.
    fn step_ns(&self, prefill: &[PrefillChunk], decodes: u32, context: u64) -> f64;

    /// The time of pure decode iterations of `decodes` (1 or more) sequences as a function of
    /// `context`, from the one given on: the same numbers as [`StepTimes::step_ns`].
    fn decode_piece(&self, decodes: u32, context: u64) -> DecodePiece;

    /// The same where the contexts of the sequences have a standard deviation of `spread` tokens:
    /// kernels that split long sequences badly take longer. By default no attention is paid to it.
    fn spread_step_ns(
        &self,
        prefill: &[PrefillChunk],
        decodes: u32,
        context: u64,
        _spread: f64,
    ) -> f64 {
        self.step_ns(prefill, decodes, context)
    }

    /// The same for [`StepTimes::decode_piece`]. All sequences grow alike, so the spread stays.
    fn spread_piece(&self, decodes: u32, context: u64, _spread: f64) -> DecodePiece {
        self.decode_piece(decodes, context)
    }

    /// The time of [`StepTimes::spread_step_ns`] in parts; by default all of it is the layers'.
    fn parts(
        &self,
        prefill: &[PrefillChunk],
        decodes: u32,
        context: u64,
        spread: f64,
    ) -> StepParts {
        StepParts {
            engine_ns: 0.0,
            layers_ns: self.spread_step_ns(prefill, decodes, context, spread),
            last_ns: 0.0,
        }
    }

    /// Nanoseconds of an iteration of several ranks that go in step: by default that of the slowest.
    fn joint_ns(&self, ranks: &[RankWork<'_>]) -> f64 {
        let each = ranks
            .iter()
            .map(|rank| self.spread_step_ns(rank.prefill, rank.decodes, rank.context, rank.spread));
        each.fold(0.0, f64::max)
    }

    /// Least nanoseconds of [`StepTimes::joint_ns`] that the hardware permits; 0 where nothing is
    /// known.
    fn joint_floor_ns(&self, _ranks: &[RankWork<'_>]) -> f64 {
        0.0
    }

    /// Nanoseconds of an iteration that verifies drafts: of `chunks` the first `prompts` are pieces
    /// of prompts and the others are decoding sequences, each with its drafts and the token before
    /// them. `spread` is the standard deviation of the contexts of these, tokens.
    ///
    /// Attention kernels read the KV of a sequence once for all its rows, so a sequence verified
    /// with `r` rows is timed as `r` decoding sequences that have its context between them: as many
    /// rows in the matrix products and in the LM head (every row is judged), and as many bytes of
    /// KV. Where that attention is bound by arithmetic, the same rows taken as pieces of prompts
    /// take longer, and that holds. O(chunks).
    fn verify_ns(&self, chunks: &[PrefillChunk], prompts: usize, spread: f64) -> f64 {
        let (prompts, verified) = chunks.split_at(prompts.min(chunks.len()));
        let rows: u32 = verified.iter().map(|chunk| chunk.tokens).sum();
        let context = verified.iter().map(|chunk| u64::from(chunk.context)).sum();
        let sequences = verified.len() as f64;
        let each = f64::from(rows) / sequences.max(1.0);
        let read_once = self.spread_step_ns(prompts, rows, context, spread / each.max(1.0));
        // The engine's own work is per sequence, not per row.
        let twice = (f64::from(rows) - sequences) * self.per_sequence_ns();
        (read_once - twice).max(self.step_ns(chunks, 0, 0))
    }

    /// Nanoseconds of the engine's own work per sequence that are part of an iteration.
    fn per_sequence_ns(&self) -> f64 {
        0.0
    }

    /// Least nanoseconds of an iteration that the hardware permits; 0 where nothing is known.
    fn physical_floor_ns(&self, _prefill: &[PrefillChunk], _decodes: u32, _context: u64) -> f64 {
        0.0
    }

    /// [`StepTimes::physical_floor_ns`] of pure decode iterations as a function of `context`, from the
    /// one given on; 0 where nothing is known.
    fn floor_piece(&self, _decodes: u32, _context: u64) -> DecodePiece {
        DecodePiece {
            base_ns: 0.0,
            per_context_ns: 0.0,
            until_context: u64::MAX,
        }
    }

    /// Least nanoseconds to first and last token of a request alone, where something is known.
    fn request_floor_ns(&self, _prompt: u32, _output: u32) -> Option<(f64, f64)> {
        None
    }

    /// Upper bounds on requests per second, where something is known.
    fn max_requests_per_s(&self, _prompt: u32, _output: u32) -> Option<NodeCeiling> {
        None
    }
}

impl StepTimes for StepModel {
    fn per_sequence_ns(&self) -> f64 {
        self.overheads().per_seq_us * 1e3
    }

    fn step_ns(&self, prefill: &[PrefillChunk], decodes: u32, context: u64) -> f64 {
        StepModel::step_ns(self, prefill, decodes, context)
    }

    fn decode_piece(&self, decodes: u32, context: u64) -> DecodePiece {
        StepModel::decode_piece(self, decodes, context)
    }

    fn joint_ns(&self, ranks: &[RankWork<'_>]) -> f64 {
        StepModel::joint_ns(self, ranks)
    }

    fn joint_floor_ns(&self, ranks: &[RankWork<'_>]) -> f64 {
        StepModel::joint_floor_ns(self, ranks)
    }

    fn parts(
        &self,
        prefill: &[PrefillChunk],
        decodes: u32,
        context: u64,
        _spread: f64,
    ) -> StepParts {
        let sequences = f64::from(decodes) + prefill.len() as f64;
        let total = StepModel::step_ns(self, prefill, decodes, context);
        let overheads = self.overheads();
        let engine_ns = (overheads.fixed_us + sequences * overheads.per_seq_us) * 1e3;
        let engine_ns = engine_ns.min(total);
        let last_ns = self.head_ns(sequences).min(total - engine_ns);
        StepParts {
            engine_ns,
            layers_ns: total - engine_ns - last_ns,
            last_ns,
        }
    }

    fn physical_floor_ns(&self, prefill: &[PrefillChunk], decodes: u32, context: u64) -> f64 {
        StepModel::physical_floor_ns(self, prefill, decodes, context)
    }

    fn floor_piece(&self, decodes: u32, context: u64) -> DecodePiece {
        StepModel::floor_piece(self, decodes, context)
    }

    fn request_floor_ns(&self, prompt: u32, output: u32) -> Option<(f64, f64)> {
        Some(StepModel::request_floor_ns(self, prompt, output))
    }

    fn max_requests_per_s(&self, prompt: u32, output: u32) -> Option<NodeCeiling> {
        Some(StepModel::max_requests_per_s(self, prompt, output))
    }
}
