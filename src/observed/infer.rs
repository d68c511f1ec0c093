//! Lengths that a log does not have: from bytes, from a law, or from its other requests.

use rand::RngExt;

use super::attempt::Attempt;
use super::record::{Ending, Tokens};
use super::report::LengthSources;
use crate::engine::SimRng;
use crate::engine::rng::Streams;
use crate::workload::lengths::LengthLaw;

/// How to infer lengths that a log does not have.
#[derive(Debug, Clone, Default)]
pub struct Inference {
    /// Bytes of a request for each prompt token.
    pub bytes_per_prompt_token: Option<f64>,
    /// Bytes of an answer for each output token.
    pub bytes_per_output_token: Option<f64>,
    /// A law of prompt lengths.
    pub prompt: Option<LengthLaw>,
    /// A law of output lengths.
    pub output: Option<LengthLaw>,
}

/// Lengths kept to draw from: a sample of the log's, each equally likely to be in it.
const KEPT: usize = 4096;

/// The lengths that a log has, to stand in for those that it does not have.
#[derive(Debug)]
pub struct Lengths {
    rules: Inference,
    prompts: Sample,
    outputs: Sample,
    rng: SimRng,
    pub(super) prompt: LengthSources,
    pub(super) output: LengthSources,
    /// Whether any record told of bytes: of a request, of an answer.
    pub(super) saw_bytes: [bool; 2],
    /// Requests whose length cannot be told: prompts, outputs.
    pub(super) missing: [u64; 2],
}

impl Lengths {
    pub(super) fn new(rules: Inference) -> Lengths {
        let streams = Streams {
            seed: 0,
            replication: 0,
        };
        Lengths {
            rules,
            prompts: Sample::default(),
            outputs: Sample::default(),
            rng: streams.stream("observed", 0, "lengths"),
            prompt: LengthSources::default(),
            output: LengthSources::default(),
            saw_bytes: [false; 2],
            missing: [0; 2],
        }
    }

    /// Learns the lengths of a record.
    pub(super) fn learn(&mut self, attempt: &Attempt) {
        self.saw_bytes[0] |= attempt.bytes_in.is_some();
        self.saw_bytes[1] |= attempt.bytes_out.is_some();
        let prompt = attempt.prompt.or_else(|| self.prompt_by_bytes(attempt));
        if let Some(tokens) = prompt.filter(|tokens| *tokens > 0) {
            self.prompts.add(tokens, &mut self.rng);
        }
        // The answer of a request that failed is none, or cut short: it tells nothing.
        if attempt.ending == Ending::Completed {
            let output = attempt.output.or_else(|| self.output_by_bytes(attempt));
            if let Some(tokens) = output.filter(|tokens| *tokens > 0) {
                self.outputs.add(tokens, &mut self.rng);
            }
        }
    }

    /// The length of a request's prompt.
    pub(super) fn prompt(&mut self, attempt: &Attempt) -> Tokens {
        let logged = attempt.prompt.filter(|tokens| *tokens > 0);
        if let Some(count) = logged {
            self.prompt.count_logged(attempt.inferred[0]);
            return Tokens {
                count,
                inferred: attempt.inferred[0],
            };
        }
        let by_bytes = self.prompt_by_bytes(attempt);
        let law = self.rules.prompt.as_ref();
        let (count, source) = inferred(
            by_bytes,
            law,
            &self.prompts,
            &mut self.rng,
            &mut self.prompt,
        );
        if !source {
            self.missing[0] += 1;
        }
        Tokens {
            count,
            inferred: true,
        }
    }

    /// The length of a request's answer; of one that failed, that it would have had.
    pub(super) fn output(&mut self, attempt: &Attempt) -> Tokens {
        let completed = attempt.ending == Ending::Completed;
        let whole = completed || attempt.output_is_whole;
        let logged = attempt.output.filter(|tokens| *tokens > 0 && whole);
        if let Some(count) = logged {
            self.output.count_logged(attempt.inferred[1]);
            return Tokens {
                count,
                inferred: attempt.inferred[1],
            };
        }
        let by_bytes = self.output_by_bytes(attempt).filter(|_| completed);
        let law = self.rules.output.as_ref();
        let (count, source) = inferred(
            by_bytes,
            law,
            &self.outputs,
            &mut self.rng,
            &mut self.output,
        );
        if !source {
            self.missing[1] += 1;
        }
        Tokens {
            count,
            inferred: true,
        }
    }

    fn prompt_by_bytes(&self, attempt: &Attempt) -> Option<u32> {
        by_bytes(attempt.bytes_in, self.rules.bytes_per_prompt_token)
    }

    fn output_by_bytes(&self, attempt: &Attempt) -> Option<u32> {
        by_bytes(attempt.bytes_out, self.rules.bytes_per_output_token)
    }
}

/// Tokens of so many bytes, at least one; none without bytes or with more than there can be.
fn by_bytes(bytes: Option<u64>, per_token: Option<f64>) -> Option<u32> {
    let tokens = (bytes.filter(|it| *it > 0)? as f64 / per_token?).round();
    (tokens <= f64::from(u32::MAX)).then(|| (tokens as u32).max(1))
}

/// A length by the first rule that gives one, and whether any does.
fn inferred(
    by_bytes: Option<u32>,
    law: Option<&LengthLaw>,
    others: &Sample,
    rng: &mut SimRng,
    sources: &mut LengthSources,
) -> (u32, bool) {
    if let Some(count) = by_bytes {
        sources.from_bytes += 1;
        return (count, true);
    }
    if let Some(law) = law {
        sources.from_law += 1;
        return (law.quantile(rng.random::<f64>()).max(1), true);
    }
    match others.draw(rng) {
        Some(count) => {
            sources.from_others += 1;
            (count, true)
        }
        None => (0, false),
    }
}

/// A sample of bounded size, each value equally likely to be in it (Vitter's algorithm R).
#[derive(Debug, Default)]
struct Sample {
    kept: Vec<u32>,
    seen: u64,
}

impl Sample {
    fn add(&mut self, value: u32, rng: &mut SimRng) {
        self.seen += 1;
        if self.kept.len() < KEPT {
            self.kept.push(value);
            return;
        }
        let place = rng.random_range(0..self.seen);
        if let Some(slot) = usize::try_from(place)
            .ok()
            .and_then(|it| self.kept.get_mut(it))
        {
            *slot = value;
        }
    }

    fn draw(&self, rng: &mut SimRng) -> Option<u32> {
        if self.kept.is_empty() {
            return None;
        }
        self.kept.get(rng.random_range(0..self.kept.len())).copied()
    }
}
