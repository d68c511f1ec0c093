//! What an engine asks of a step model.

use std::fmt::Debug;

use super::floor::NodeCeiling;
use super::step::{DecodePiece, PrefillChunk, StepModel};

/// How long the iterations of one replica take. [`StepModel`] is the one scenarios use; a test may
/// bring its own, for instance the tables of another simulator.
pub trait StepTimes: Debug + Send + Sync {
    /// Nanoseconds of one iteration: `prefill` chunks together with `decodes` sequences of one
    /// token each, whose KV is `context` tokens long in all before it.
    fn step_ns(&self, prefill: &[PrefillChunk], decodes: u32, context: u64) -> f64;

    /// The time of pure decode iterations of `decodes` (1 or more) sequences as a function of
    /// `context`, from the one given on: the same numbers as [`StepTimes::step_ns`].
    fn decode_piece(&self, decodes: u32, context: u64) -> DecodePiece;

    /// Least nanoseconds of an iteration that the hardware permits; 0 where nothing is known.
    fn physical_floor_ns(&self, _prefill: &[PrefillChunk], _decodes: u32, _context: u64) -> f64 {
        0.0
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
    fn step_ns(&self, prefill: &[PrefillChunk], decodes: u32, context: u64) -> f64 {
        StepModel::step_ns(self, prefill, decodes, context)
    }

    fn decode_piece(&self, decodes: u32, context: u64) -> DecodePiece {
        StepModel::decode_piece(self, decodes, context)
    }

    fn physical_floor_ns(&self, prefill: &[PrefillChunk], decodes: u32, context: u64) -> f64 {
        StepModel::physical_floor_ns(self, prefill, decodes, context)
    }

    fn request_floor_ns(&self, prompt: u32, output: u32) -> Option<(f64, f64)> {
        Some(StepModel::request_floor_ns(self, prompt, output))
    }

    fn max_requests_per_s(&self, prompt: u32, output: u32) -> Option<NodeCeiling> {
        Some(StepModel::max_requests_per_s(self, prompt, output))
    }
}
