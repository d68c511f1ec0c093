//! A measured run: the fleet it was measured on, and its requests.

use std::path::PathBuf;

use crate::scenario::Document;

/// A run that was measured on a real server.
#[derive(Debug, Clone)]
pub struct MeasuredRun {
    /// Its name: that of its folder or file.
    pub name: String,
    /// The format it was read from.
    pub format: &'static str,
    /// The fleet as a scenario, without name and workload.
    pub fleet: Document,
    /// The folder that paths in it are relative to.
    pub base_dir: PathBuf,
    /// Requests in order of arrival.
    pub requests: Vec<MeasuredRequest>,
    /// Parts of the run that are compared apart, by arrival; none: only as a whole.
    pub stages: Vec<Stage>,
    /// Samples of the engine's state, in order; may be empty.
    pub engine: Vec<EngineSample>,
    /// What was assumed or left out while reading.
    pub notes: Vec<String>,
}

/// The engine's state at an instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EngineSample {
    /// Seconds after the first arrival.
    pub t_s: f64,
    /// Sequences running.
    pub running: f64,
    /// Requests waiting.
    pub waiting: f64,
}

/// A part of a run, by arrival.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// It begins here, seconds after the first arrival.
    pub from_s: f64,
    /// It ends before this, seconds after the first arrival.
    pub to_s: f64,
}

/// A request that was measured. A latency that was not measured is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct MeasuredRequest {
    /// Arrival, nanoseconds after the first one.
    pub arrival_ns: u64,
    /// Prompt tokens, at least 1.
    pub prompt_tokens: u32,
    /// Output tokens the engine made, at least 1.
    pub output_tokens: u32,
    /// Requests with the same number had the same prompt.
    pub prompt_id: Option<u32>,
    /// Whether it ended well; failed requests are offered to the simulated fleet, but not compared.
    pub completed: bool,
    /// Arrival to first token, milliseconds.
    pub ttft_ms: Option<f64>,
    /// Arrival to last token, milliseconds.
    pub e2e_ms: Option<f64>,
    /// In the engine's queue, milliseconds.
    pub queue_ms: Option<f64>,
}

impl MeasuredRequest {
    /// Mean time per output token after the first, milliseconds.
    pub fn tpot_ms(&self) -> Option<f64> {
        let steps = f64::from(self.output_tokens.checked_sub(1)?);
        (steps > 0.0)
            .then_some(())
            .and_then(|()| Some((self.e2e_ms? - self.ttft_ms?) / steps))
    }
}

/// Sorts requests by arrival and makes the first one arrive at 0; `arrivals_s` are on any clock.
pub(crate) fn from_clock(mut timed: Vec<(f64, MeasuredRequest)>) -> Vec<MeasuredRequest> {
    timed.sort_by(|a, b| a.0.total_cmp(&b.0));
    let first = timed.first().map_or(0.0, |(at, _)| *at);
    timed
        .into_iter()
        .map(|(at, request)| MeasuredRequest {
            arrival_ns: ((at - first) * 1e9).round() as u64,
            ..request
        })
        .collect()
}
