//! Routers that score every member by what they know of it: one pass over all members.

use rand::RngExt;

use crate::engine::SimRng;
use crate::scenario::balance::Scorers;

use super::draw::Least;
use super::prefix_index::Matches;

/// What is known of a member, as stale as the caller has it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Signals {
    /// Requests that wait there.
    pub waiting: u32,
    /// Requests that run there.
    pub running: u32,
    /// Share of the KV cache in use, 0 to 1.
    pub kv_usage: f64,
    /// Prompt tokens that are still to be computed there.
    pub prefill_tokens: u64,
    /// Tokens of context that are decoding there ([`Scorers::KvCost`]) or output tokens still to
    /// come ([`Scorers::TokenCost`]).
    pub decode_tokens: u64,
}

impl Signals {
    /// Requests waiting and running: `cache_aware` calls it load.
    fn requests(&self) -> u64 {
        u64::from(self.waiting) + u64::from(self.running)
    }
}

/// What is known of the request that asks.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// Tokens of its prompt.
    pub prompt_tokens: u32,
    /// Tokens of a block.
    pub block_size: u32,
    /// What members hold of its blocks.
    pub matches: Matches<'a>,
}

impl Asked<'_> {
    /// Tokens of the prompt that a member holds.
    fn matched_tokens(&self, member: u32) -> u64 {
        let tokens = u64::from(self.matches.of(member)) * u64::from(self.block_size);
        tokens.min(u64::from(self.prompt_tokens))
    }
}

/// A scoring router, ready to choose.
#[derive(Debug, Clone, Copy)]
pub struct Scorer {
    policy: Scorers,
}

/// The least and the most of something over the eligible members.
#[derive(Debug, Clone, Copy)]
struct Range {
    least: u64,
    most: u64,
}

impl Scorer {
    /// The router that the scenario describes.
    pub fn new(policy: &Scorers) -> Scorer {
        Scorer { policy: *policy }
    }

    /// The eligible member with the best score; of several each alike. `signals` holds a member a
    /// place.
    pub fn choose(
        &self,
        signals: &[Signals],
        asked: &Asked<'_>,
        eligible: impl Fn(u32) -> bool,
        rng: &mut SimRng,
    ) -> Option<u32> {
        match self.policy {
            Scorers::Weighted { .. } => self.by_weights(signals, asked, eligible, rng),
            Scorers::CacheAware { .. } => self.cache_aware(signals, asked, eligible, rng),
            Scorers::KvCost { temperature, .. } => {
                let cost = |member: u32| self.cost(&signals[member as usize], member, asked);
                match temperature > 0.0 {
                    true => softmax(signals.len() as u32, cost, temperature, eligible, rng),
                    false => least(signals, |member, _| cost(member), eligible, rng),
                }
            }
            Scorers::TokenCost { .. } => {
                let cost = |member: u32, signals: &Signals| self.cost(signals, member, asked);
                least(signals, cost, eligible, rng)
            }
        }
    }

    /// What a member costs under `kv_cost` and `token_cost`, in blocks and tokens; 0 for others.
    ///
    /// Dynamo: `overlap_weight x (prefill tokens there + prompt tokens - matched) / block + decode
    /// tokens / block`. It adds the request's own blocks to those decoding, the same at all members
    /// and so left out. Tokens: `prefill + decode_weight x decode`.
    pub fn cost(&self, signals: &Signals, member: u32, asked: &Asked<'_>) -> f64 {
        match self.policy {
            Scorers::KvCost { overlap_weight, .. } => {
                let block = f64::from(asked.block_size.max(1));
                let own = u64::from(asked.prompt_tokens) - asked.matched_tokens(member);
                let prefill = (signals.prefill_tokens + own) as f64 / block;
                overlap_weight * prefill + signals.decode_tokens as f64 / block
            }
            Scorers::TokenCost { decode_weight } => {
                signals.prefill_tokens as f64 + decode_weight * signals.decode_tokens as f64
            }
            Scorers::Weighted { .. } | Scorers::CacheAware { .. } => 0.0,
        }
    }

    /// llm-d's score of a member, given the least and the most that wait at any eligible one:
    /// `queue x (most - waiting) / (most - least)` (1 where they are equal) `+
    /// kv_cache_utilization x (1 - usage) + prefix_cache x matched / blocks asked for`.
    fn score(&self, signals: &Signals, member: u32, asked: &Asked<'_>, waiting: Range) -> f64 {
        let Scorers::Weighted {
            queue,
            kv_cache_utilization,
            prefix_cache,
        } = self.policy
        else {
            return 0.0;
        };
        let short = match waiting.most - waiting.least {
            0 => 1.0,
            range => (waiting.most - u64::from(signals.waiting)) as f64 / range as f64,
        };
        let free = 1.0 - signals.kv_usage;
        let matched = match asked.matches.asked() {
            0 => 0.0,
            blocks => f64::from(asked.matches.of(member)) / f64::from(blocks),
        };
        queue * short + kv_cache_utilization * free + prefix_cache * matched
    }

    fn by_weights(
        &self,
        signals: &[Signals],
        asked: &Asked<'_>,
        eligible: impl Fn(u32) -> bool,
        rng: &mut SimRng,
    ) -> Option<u32> {
        let waiting = range(signals, |signals| u64::from(signals.waiting), &eligible)?;
        let cost = |member: u32, signals: &Signals| -self.score(signals, member, asked, waiting);
        least(signals, cost, eligible, rng)
    }

    /// `SGLang`'s `cache_aware`: the least loaded where loads are unbalanced; else the longest
    /// match where it is more than the threshold's share of the prompt; else the smallest record.
    fn cache_aware(
        &self,
        signals: &[Signals],
        asked: &Asked<'_>,
        eligible: impl Fn(u32) -> bool,
        rng: &mut SimRng,
    ) -> Option<u32> {
        let Scorers::CacheAware {
            cache_threshold,
            balance_abs_threshold,
            balance_rel_threshold,
        } = self.policy
        else {
            return None;
        };
        let load = range(signals, Signals::requests, &eligible)?;
        let unbalanced = load.most - load.least > balance_abs_threshold
            && load.most as f64 > balance_rel_threshold * load.least as f64;
        if unbalanced {
            let cost = |_: u32, signals: &Signals| signals.requests() as f64;
            return least(signals, cost, eligible, rng);
        }
        let mut longest = Least::new();
        for (member, blocks) in asked.matches.members() {
            let share = asked.matched_tokens(member) as f64 / f64::from(asked.prompt_tokens.max(1));
            if share > cache_threshold && eligible(member) {
                longest.offer(member, -f64::from(blocks), rng);
            }
        }
        longest.member().or_else(|| {
            let record = |member: u32, _: &Signals| f64::from(asked.matches.record(member));
            least(signals, record, eligible, rng)
        })
    }
}

fn range(
    signals: &[Signals],
    value: impl Fn(&Signals) -> u64,
    eligible: impl Fn(u32) -> bool,
) -> Option<Range> {
    let members = (0_u32..).zip(signals);
    let mut values = members
        .filter(|(member, _)| eligible(*member))
        .map(|(_, signals)| value(signals));
    let first = values.next()?;
    let range = Range {
        least: first,
        most: first,
    };
    Some(values.fold(range, |range, value| Range {
        least: range.least.min(value),
        most: range.most.max(value),
    }))
}

fn least(
    signals: &[Signals],
    cost: impl Fn(u32, &Signals) -> f64,
    eligible: impl Fn(u32) -> bool,
    rng: &mut SimRng,
) -> Option<u32> {
    let mut least = Least::new();
    for (member, signals) in (0_u32..).zip(signals) {
        if eligible(member) {
            least.offer(member, cost(member, signals), rng);
        }
    }
    least.member()
}

/// A member with probability in proportion to `exp(-cost / (range of costs x temperature))`, as
/// Dynamo draws it: costs are scaled to their range first.
fn softmax(
    members: u32,
    cost: impl Fn(u32) -> f64,
    temperature: f64,
    eligible: impl Fn(u32) -> bool,
    rng: &mut SimRng,
) -> Option<u32> {
    let members = || (0..members).filter(|member| eligible(*member));
    let costs = || members().map(&cost);
    let low = costs().fold(f64::INFINITY, f64::min);
    let high = costs().fold(f64::NEG_INFINITY, f64::max);
    let weight = |member: u32| match high > low {
        true => ((low - cost(member)) / ((high - low) * temperature)).exp(),
        false => 1.0,
    };
    let total: f64 = members().map(weight).sum();
    let mut left = rng.random::<f64>() * total;
    let mut last = None;
    for member in members() {
        last = Some(member);
        left -= weight(member);
        if left < 0.0 {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests;
