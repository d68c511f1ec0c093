//! What prompts repeat of earlier ones, by the hashes of a trace.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::scenario::workload::PrefixReuse;
use crate::trace::HASHED_TOKENS;

/// What is found of each prompt where nothing is ever forgotten.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reuse {
    /// Share of all stretches that an earlier prompt had.
    pub found: f64,
    /// Share of distinct stretches that only one prompt has.
    pub once: f64,
    /// Share of prompts that repeat more than the root.
    pub going_on: f64,
    /// Stretches that all prompts begin with.
    pub root: usize,
    /// Of each prompt that repeats more than the root: its stretches, how many of those after the
    /// root are repeated, and how many requests back they were last.
    pub steps: Vec<(usize, usize, usize)>,
}

/// Share of prompts that must begin with a stretch for it to be of the root.
const ROOT_SHARE: f64 = 0.95;
/// Longest root that is looked for, stretches.
const MOST_ROOT: usize = 256;

/// Looks at the hashes of prompts in order.
pub fn measure(prompts: &[Arc<[u64]>]) -> Reuse {
    let root = root_of(prompts);
    let mut last: BTreeMap<u64, (usize, bool)> = BTreeMap::new();
    let (mut all, mut found) = (0u64, 0u64);
    let mut steps = Vec::new();
    for (index, names) in prompts.iter().enumerate() {
        let repeated = names
            .iter()
            .take_while(|name| last.contains_key(name))
            .count();
        all += names.len() as u64;
        found += repeated as u64;
        if repeated > root
            && let Some((before, _)) = last.get(&names[repeated - 1])
        {
            steps.push((names.len(), repeated - root, index - before));
        }
        for name in names.iter() {
            let again = last.contains_key(name);
            last.insert(*name, (index, again));
        }
    }
    let once = last.values().filter(|(_, again)| !again).count();
    Reuse {
        found: found as f64 / all.max(1) as f64,
        once: once as f64 / last.len().max(1) as f64,
        going_on: steps.len() as f64 / prompts.len().max(1) as f64,
        root,
        steps,
    }
}

/// Stretches at the beginning that nearly all prompts share.
fn root_of(prompts: &[Arc<[u64]>]) -> usize {
    for depth in 0..MOST_ROOT {
        let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
        let here = prompts.iter().filter_map(|names| names.get(depth));
        let mut total = 0;
        for name in here {
            *counts.entry(*name).or_insert(0) += 1;
            total += 1;
        }
        let most = counts.values().copied().max().unwrap_or(0);
        // A single prompt shares its beginning with itself.
        if total < 2 || (most as f64) < ROOT_SHARE * total as f64 {
            return depth;
        }
    }
    MOST_ROOT
}

/// Probabilities of knots of depth and distance.
const KNOTS: [f64; 13] = [
    0.0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0,
];
/// Steps of the probability over prompt lengths.
const STEPS: usize = 10;
/// Farthest back that is remembered, requests.
const MOST_BACK: f64 = 65_536.0;

/// The rule by which prompts go on from others; none where they share nothing.
pub fn fit(prompts: &[Arc<[u64]>], tokens: &[u32], measured: &Reuse) -> Option<PrefixReuse> {
    if measured.steps.is_empty() && measured.root == 0 {
        return None;
    }
    let root = measured.root;
    // Depth in proportion to length: what is kept is the share of all stretches that is found.
    let weigh = |(stretches, deep, _): &(usize, usize, usize)| {
        let rest = stretches - root;
        (*deep as f64 / rest.max(1) as f64, rest as f64)
    };
    let depth = weighted_knots(measured.steps.iter().map(weigh).collect());
    let back = |(_, _, back): &(usize, usize, usize)| ((*back as f64).clamp(1.0, MOST_BACK), 1.0);
    let distance = weighted_knots(measured.steps.iter().map(back).collect());
    Some(PrefixReuse {
        root_tokens: root as u32 * HASHED_TOKENS,
        probability: probability(prompts, tokens, root),
        depth: depth.unwrap_or(vec![(0.0, 1.0), (1.0, 1.0)]),
        distance: distance.unwrap_or(vec![(0.0, 1.0), (1.0, 1.0)]),
    })
}

/// How likely prompts of a length are to go on from another, in steps of as many prompts each.
fn probability(prompts: &[Arc<[u64]>], tokens: &[u32], root: usize) -> Vec<(u32, f64)> {
    let mut seen: BTreeMap<u64, ()> = BTreeMap::new();
    let mut each: Vec<(u32, bool)> = Vec::with_capacity(prompts.len());
    for (names, tokens) in prompts.iter().zip(tokens) {
        let goes_on = names.get(root).is_some_and(|name| seen.contains_key(name));
        each.push((*tokens, goes_on));
        seen.extend(names.iter().map(|name| (*name, ())));
    }
    each.sort_unstable();
    let size = each.len().div_ceil(STEPS).max(1);
    let mut steps: Vec<(u32, f64)> = Vec::new();
    for part in each.chunks(size) {
        let share = part.iter().filter(|it| it.1).count() as f64 / part.len() as f64;
        let from = match steps.last() {
            None => 0,
            Some(before) if before.0 >= part[0].0 => continue,
            Some(_) => part[0].0,
        };
        steps.push((from, (share * 1e4).round() / 1e4));
    }
    steps
}

/// Knots of values with weights; none without any.
fn weighted_knots(mut values: Vec<(f64, f64)>) -> Option<Vec<(f64, f64)>> {
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = values.iter().map(|value| value.1).sum();
    let mut upto = Vec::with_capacity(values.len());
    let mut sum = 0.0;
    for (_, weight) in &values {
        sum += weight;
        upto.push(sum / total);
    }
    let last = values.len().checked_sub(1)?;
    let at = |p: &f64| {
        let index = upto.partition_point(|share| share < p).min(last);
        (*p, (values[index].0 * 1e4).round() / 1e4)
    };
    Some(KNOTS.iter().map(at).collect())
}
