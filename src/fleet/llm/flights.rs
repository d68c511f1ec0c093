//! What an engine is computing, for those who look on.

use super::origin::Origin;
use super::{Chunk, Engine, Flight, Ranks};
use crate::engine::SimTime;

/// What is under way in an engine: one iteration, or a run of decode iterations of the same sequences.
#[derive(Debug, Clone, Copy)]
pub struct FlightView {
    /// The micro-batch or rank; 0 without either.
    pub lane: u16,
    /// When it began.
    pub start: SimTime,
    /// Iterations done before it.
    pub iteration: u64,
    /// Prompts with a chunk in it.
    pub prompts: u32,
    /// Their tokens in it.
    pub prompt_tokens: u64,
    /// Sequences that decode in it.
    pub decodes: u32,
    /// When the iterations of a run end.
    origin: Option<Origin>,
}

impl FlightView {
    /// Whether it is the same as another: a run that is cut short is.
    pub fn is_same(&self, other: &FlightView) -> bool {
        (self.lane, self.start, self.iteration) == (other.lane, other.start, other.iteration)
    }

    /// When the iterations of a run end that end by `now`; nothing where it is no run.
    pub fn boundaries(&self, now: SimTime) -> impl Iterator<Item = SimTime> {
        let iteration = self.iteration;
        let origin = self.origin.into_iter();
        let ends = origin.flat_map(move |origin| {
            (iteration + 1..).map(move |iteration| origin.boundary(iteration))
        });
        ends.take_while(move |end| *end <= now)
    }
}

/// The flight of a micro-batch.
pub(super) fn view(
    (lane, flight, start): (u16, Flight, SimTime),
    iteration: u64,
    chunks: &[Chunk],
    decodes: u32,
    origin: Option<Origin>,
) -> Option<FlightView> {
    let (chunks, decodes, origin) = match flight {
        Flight::Idle | Flight::Waking => return None,
        Flight::Mixed { decoding: true } => (chunks, decodes, None),
        Flight::Mixed { decoding: false } => (chunks, 0, None),
        Flight::Decode { .. } => (&[][..], decodes, origin),
    };
    Some(FlightView {
        lane,
        start,
        iteration,
        prompts: chunks.len() as u32,
        prompt_tokens: chunks.iter().map(|chunk| u64::from(chunk.tokens)).sum(),
        decodes,
        origin,
    })
}

impl Engine {
    /// What is under way.
    pub fn flights(&self) -> Vec<FlightView> {
        let own = (self.lane(), self.flight, self.flight_start);
        let own = view(own, self.iteration, &self.chunks, self.decodes, self.origin);
        let others = self.pipeline.iter().flat_map(|it| it.flights());
        own.into_iter().chain(others).collect()
    }
}

impl Ranks {
    /// What is under way, rank by rank.
    pub fn flights(&self) -> Vec<FlightView> {
        self.engines.iter().flat_map(Engine::flights).collect()
    }
}
