//! Prompts that go on from earlier ones, as names of their stretches.

use std::collections::VecDeque;
use std::sync::Arc;

use rand::RngExt;

use crate::engine::{SimRng, Streams};
use crate::scenario::workload::PrefixReuse;
use crate::trace::HASHED_TOKENS;

use super::law::Knots;

/// Prompts next to the one drawn that are looked at for one that is long enough, on either side.
const NEAR: usize = 64;

/// Names the stretches of prompts. It keeps those of the last prompts, as many as the longest
/// distance: its memory does not grow with the trace.
#[derive(Debug, Clone)]
pub struct Reuse {
    rule: PrefixReuse,
    depth: Knots,
    distance: Knots,
    root: usize,
    /// The last first.
    earlier: VecDeque<Arc<[u64]>>,
    most: usize,
    named: u64,
    rng: SimRng,
}

impl Reuse {
    /// Prepares the rule, or says what is wrong with it.
    pub fn new(rule: &PrefixReuse, streams: Streams) -> Result<Reuse, String> {
        let distance = Knots::new(&rule.distance)?;
        let root = rule.root_tokens / HASHED_TOKENS;
        Ok(Reuse {
            depth: Knots::new(&rule.depth)?,
            most: (distance.quantile(1.0).ceil().max(1.0) as usize).saturating_add(NEAR),
            distance,
            root: root as usize,
            earlier: VecDeque::new(),
            // The first names are the root's.
            named: u64::from(root),
            rule: rule.clone(),
            rng: streams.stream("workload", 0, "prefix reuse"),
        })
    }

    /// Names of the stretches of the next prompt; a last stretch may be shorter.
    pub fn next(&mut self, prompt_tokens: u32) -> Arc<[u64]> {
        let stretches = prompt_tokens.div_ceil(HASHED_TOKENS) as usize;
        // Three draws for every prompt, so that one that repeats nothing moves no other.
        let chance = self.rng.random::<f64>();
        let depth = self.depth.quantile(self.rng.random::<f64>());
        let back = self.distance.quantile(self.rng.random::<f64>());
        let root = self.root.min(stretches);
        let mut names: Vec<u64> = (0..root as u64).collect();
        let rest = stretches - root;
        if rest > 0 && chance < self.probability(prompt_tokens) {
            let wanted = (depth * rest as f64).round().max(1.0) as usize;
            let back = back.round().max(1.0) as usize - 1;
            if let Some(source) = self.near(back, self.root + wanted) {
                let upto = source.len().min(self.root + wanted);
                names.extend_from_slice(&source[root.min(upto)..upto]);
            }
        }
        while names.len() < stretches {
            names.push(self.named);
            self.named += 1;
        }
        let names: Arc<[u64]> = Arc::from(names);
        self.earlier.push_front(Arc::clone(&names));
        self.earlier.truncate(self.most);
        names
    }

    fn probability(&self, prompt_tokens: u32) -> f64 {
        let steps = &self.rule.probability;
        let after = steps.partition_point(|step| step.0 <= prompt_tokens);
        after.checked_sub(1).map_or(0.0, |index| steps[index].1)
    }

    /// The prompt nearest to `back` that has so many stretches; else the longest of those near.
    fn near(&self, back: usize, stretches: usize) -> Option<&Arc<[u64]>> {
        let back = back.min(self.earlier.len().checked_sub(1)?);
        let mut longest: Option<&Arc<[u64]>> = None;
        for step in 0..=NEAR {
            for place in [back.checked_add(step), back.checked_sub(step)] {
                let Some(prompt) = place.and_then(|place| self.earlier.get(place)) else {
                    continue;
                };
                if prompt.len() >= stretches {
                    return Some(prompt);
                }
                if longest.is_none_or(|best| best.len() < prompt.len()) {
                    longest = Some(prompt);
                }
            }
        }
        longest
    }
}
