//! Lengths that a log does not tell, drawn anew for every simulated night.
//!
//! Requests that failed have no answer to count. Those that were answered beside them do not stand in for
//! them: while a fleet is overloaded short ones get through and long ones do not, so that lengths of those
//! that were answered are shorter than what was asked for (length-biased sampling: D. R. Cox, *Some Sampling
//! Problems in Technology*, 1969). What is taken to be so instead is that all that arrives, answered or not,
//! asks for what it asks for while all is well, and that the odds of an answer that nobody counted go with a
//! power of the odds of its length's rank. That power is found, from some hundred requests to the next, from how
//! much shorter than in calm minutes those were that got through beside others that did not: a crash takes what is
//! there, a queue that is too long takes the long ones first. How many failed is as it is observed.

mod laws;

use std::ops::Range;
use std::sync::Arc;

use rand::RngExt;

use self::laws::{Law, PARTS, Stretches};
use super::night::Night;
use super::window::Window;
use crate::engine::{SimRng, Streams};
use crate::workload::source::Arrival;

/// Requests of a stretch: what fails in it is taken to fail alike. In some seconds of a fleet that is going
/// under the long ones fail first; four times as many would mix them with what comes when all do.
const STRETCH: usize = 100;
/// Requests that tell lengths at least; with fewer in the calm window, those of the whole log are taken.
const LEAST_KNOWN: usize = 100;

/// What is not known of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lacks {
    /// How long its prompt is.
    pub prompt: bool,
    /// How long its answer is, or would have been.
    pub output: bool,
}

impl Lacks {
    /// Whether anything.
    pub fn any(self) -> bool {
        self.prompt || self.output
    }
}

/// Draws the lengths that a log does not tell.
#[derive(Debug, Clone, Default)]
pub struct Unknown {
    lacks: Arc<[Lacks]>,
    /// Lengths of prompts and answers that are known, the shortest answers first.
    known: Arc<[(u32, u32)]>,
    stretches: Arc<Stretches>,
}

impl Unknown {
    /// Of a night, with the lengths of a window in which all was well.
    pub fn of(night: &Night, calm: &Window) -> Unknown {
        let mut known = told(night, night.within(calm));
        if known.len() < LEAST_KNOWN {
            known = told(night, 0..night.requests.len());
        }
        if known.is_empty() || !night.lacks.iter().any(|it| it.any()) {
            return Unknown::default();
        }
        known.sort_unstable_by_key(|it| (it.1, it.0));
        Unknown {
            lacks: night.lacks.as_slice().into(),
            stretches: Arc::new(Stretches::of(night, &known)),
            known: known.into(),
        }
    }

    /// Arrivals of a night with lengths in place of those that are not known; `streams` are
    /// those of its own luck.
    pub fn fill(
        &self,
        arrivals: &Arc<[Arrival]>,
        part: Range<usize>,
        streams: &Streams,
    ) -> Arc<[Arrival]> {
        if self.lacks.is_empty() && part == (0..arrivals.len()) {
            return Arc::clone(arrivals);
        }
        // Of a stretch at a time: its law is the same for all of it.
        let mut law = (usize::MAX, Law::default());
        let filled = part.map(|at| {
            let arrival = arrivals[at].clone();
            let lacks = self.lacks.get(at).copied().unwrap_or_default();
            if !lacks.any() {
                return arrival;
            }
            let stretch = at / STRETCH;
            if law.0 != stretch {
                law = (stretch, self.stretches.law_at(stretch, streams));
            }
            let mut rng = streams.stream("replay", at as u64, "lengths");
            self.drawn(arrival, lacks, &law.1, &mut rng)
        });
        filled.collect()
    }

    fn drawn(&self, mut arrival: Arrival, lacks: Lacks, law: &Law, rng: &mut SimRng) -> Arrival {
        let mut left = rng.random::<f64>() * law.iter().sum::<f64>();
        let part = law.iter().position(|share| {
            left -= share;
            left < 0.0
        });
        let part = part.unwrap_or(PARTS - 1);
        let bound = |part: usize| self.known.len() * part / PARTS;
        // Where fewer are known than there are parts some are empty: all are as likely then.
        let range = match bound(part)..bound(part + 1) {
            none if none.is_empty() => 0..self.known.len(),
            some => some,
        };
        let (prompt, output) = self.known[rng.random_range(range)];
        // Hashes of its blocks say how long a prompt is.
        if lacks.prompt && arrival.blocks.is_none() {
            arrival.prompt_tokens = prompt;
        }
        if lacks.output {
            arrival.output_tokens = output;
        }
        arrival
    }
}

/// Whether the calm window has enough answers to tell lengths by.
pub(super) fn calm_tells(night: &Night, calm: &Window) -> bool {
    told(night, night.within(calm)).len() >= LEAST_KNOWN
}

/// The lengths of those of some requests that were answered, and whose lengths are known.
fn told(night: &Night, range: Range<usize>) -> Vec<(u32, u32)> {
    let all = range.filter(|at| !night.lacks[*at].any());
    let answered = all
        .map(|at| &night.requests[at])
        .filter(|it| it.is_answered());
    answered
        .map(|it| (it.prompt_tokens, it.output_tokens))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::{Ending, Observed, Tokens};

    /// Requests of 1 to 100 tokens, first with all answered, then with only those up to 30.
    fn night() -> Night {
        let tokens = |count, inferred| Tokens { count, inferred };
        let log = (0..4_000_u64).map(|number| {
            let asked = (number * 37 % 100) as u32 + 1;
            let answered = number < 2_000 || asked <= 30;
            Observed {
                t_ns: number * 100_000_000,
                ending: if answered {
                    Ending::Completed
                } else {
                    Ending::TimedOut
                },
                prompt: tokens(7, false),
                // An importer draws them from those that were answered.
                output: tokens(if answered { asked } else { asked % 30 + 1 }, !answered),
                cached_tokens: None,
                ttft_ns: None,
                e2e_ns: None,
                attempts: None,
                tenant: None,
                session: None,
                model: None,
                blocks: None,
            }
        });
        Night::of(log.collect(), None).unwrap()
    }

    fn luck(replication: u64) -> Streams {
        Streams {
            seed: 1,
            replication,
        }
    }

    fn lengths(arrivals: &[Arrival]) -> Vec<u32> {
        arrivals.iter().map(|it| it.output_tokens).collect()
    }

    #[test]
    fn what_failed_asked_for_what_the_others_leave() {
        let night = night();
        let calm = Window {
            from_s: 0.0,
            to_s: 200.0,
        };
        let unknown = Unknown::of(&night, &calm);
        let base = night.arrivals();
        let nights: Vec<Vec<u32>> = (0..8)
            .map(|it| lengths(&unknown.fill(&base, 0..4_000, &luck(it))))
            .collect();
        for lengths in &nights {
            assert_eq!(
                lengths[..2_000],
                nights[0][..2_000],
                "what is known is kept"
            );
            let mean = lengths[2_000..].iter().sum::<u32>() as f64 / 2_000.0;
            assert!(
                (mean - 50.5).abs() < 2.0,
                "{mean}: as in calm minutes, 50.5"
            );
        }
        assert_ne!(nights[0], nights[1], "each night has its own");
        assert_eq!(
            nights[3],
            lengths(&unknown.fill(&base, 0..4_000, &luck(3))),
            "the same again"
        );
        // Of a part of the night they are the same as of all of it.
        assert_eq!(
            nights[3][2_500..2_600],
            lengths(&unknown.fill(&base, 2_500..2_600, &luck(3)))
        );
    }

    #[test]
    fn lengths_that_are_all_alike_tell_nothing() {
        let mut night = night();
        night
            .requests
            .iter_mut()
            .for_each(|it| it.output_tokens = 5);
        let calm = Window {
            from_s: 0.0,
            to_s: 200.0,
        };
        let unknown = Unknown::of(&night, &calm);
        let law = unknown.stretches.law_at(
            30,
            &Streams {
                seed: 1,
                replication: 0,
            },
        );
        assert!(
            law.iter().all(|share| (share - 0.7).abs() < 0.02),
            "{law:?}"
        );
        let filled = lengths(&unknown.fill(&night.arrivals(), 0..4_000, &luck(1)));
        assert!(filled.iter().all(|output| *output == 5));
    }
}
