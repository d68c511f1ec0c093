//! Shapley values from runs with sets of parts taken out. A set is a number whose bits are its parts.

use std::collections::BTreeSet;

use rand::Rng;
use rand::seq::SliceRandom;

/// How the orders are gone through in which parts can be taken out.
#[derive(Debug, Clone, PartialEq)]
pub enum Orders {
    /// All of them, by sets: of so many parts.
    All(usize),
    /// Drawn: pairs of an order and its reverse, which have less error than as many drawn apart.
    Drawn(Vec<[Vec<usize>; 2]>),
}

/// The orders of so many parts: all, or pairs that are drawn.
pub fn orders(parts: usize, all: bool, pairs: usize, rng: &mut impl Rng) -> Orders {
    if all {
        return Orders::All(parts);
    }
    let drawn = (0..pairs).map(|_| {
        let mut order: Vec<usize> = (0..parts).collect();
        order.shuffle(rng);
        let reverse = order.iter().rev().copied().collect();
        [order, reverse]
    });
    Orders::Drawn(drawn.collect())
}

impl Orders {
    /// The sets that must be run; no part at all is the first.
    pub fn sets(&self) -> Vec<u32> {
        match self {
            Orders::All(parts) => (0..1 << parts).collect(),
            Orders::Drawn(pairs) => {
                let mut sets = BTreeSet::from([0]);
                for order in pairs.iter().flatten() {
                    let mut set = 0;
                    for part in order {
                        set |= 1 << part;
                        sets.insert(set);
                    }
                    // What each does alone is told, too.
                    sets.extend(order.iter().map(|part| 1 << part));
                }
                sets.into_iter().collect()
            }
        }
    }
}

/// What each part is responsible for.
#[derive(Debug, Clone, PartialEq)]
pub struct Shares {
    /// By part and replication.
    pub by_replication: Vec<Vec<f64>>,
    /// By part and pair of orders, over all replications; empty where all orders were gone through.
    pub by_pair: Vec<Vec<f64>>,
}

/// The Shapley values of the parts: how much less the figure is without each, over all orders.
/// `value(set, replication)` is the figure without a set.
pub fn shares(
    orders: &Orders,
    parts: usize,
    replications: usize,
    value: &dyn Fn(u32, usize) -> f64,
) -> Shares {
    let each = |share: &dyn Fn(usize, usize) -> f64| -> Vec<Vec<f64>> {
        (0..parts)
            .map(|part| (0..replications).map(|run| share(part, run)).collect())
            .collect()
    };
    match orders {
        Orders::All(_) => Shares {
            by_replication: each(&|part, run| exact(parts, part, &|set| value(set, run))),
            by_pair: vec![Vec::new(); parts],
        },
        Orders::Drawn(pairs) => {
            let of_pair = |pair: &[Vec<usize>; 2], part: usize, run: usize| {
                let both = pair
                    .iter()
                    .map(|order| along(order, part, &|set| value(set, run)));
                both.sum::<f64>() / 2.0
            };
            let count = pairs.len().max(1) as f64;
            Shares {
                by_replication: each(&|part, run| {
                    pairs
                        .iter()
                        .map(|pair| of_pair(pair, part, run))
                        .sum::<f64>()
                        / count
                }),
                by_pair: (0..parts)
                    .map(|part| {
                        let mean = |pair| {
                            let runs = (0..replications).map(|run| of_pair(pair, part, run));
                            runs.sum::<f64>() / replications.max(1) as f64
                        };
                        pairs.iter().map(mean).collect()
                    })
                    .collect(),
            }
        }
    }
}

/// `sum over S without i of |S|! (n - |S| - 1)! / n! (v(S) - v(S + i))`.
fn exact(parts: usize, part: usize, value: &dyn Fn(u32) -> f64) -> f64 {
    let bit = 1_u32 << part;
    let sets = (0..1_u32 << parts).filter(|set| set & bit == 0);
    let terms = sets.map(|set| {
        let size = set.count_ones() as usize;
        weight(parts, size) * (value(set) - value(set | bit))
    });
    terms.sum()
}

/// `|S|! (n - |S| - 1)! / n!`, which is 1 over n times the binomial coefficient of n - 1 over |S|.
fn weight(parts: usize, size: usize) -> f64 {
    let mut choose = 1.0;
    for index in 0..size {
        choose *= (parts - 1 - index) as f64 / (index + 1) as f64;
    }
    1.0 / (parts as f64 * choose)
}

/// What taking a part out brings in its turn of an order.
fn along(order: &[usize], part: usize, value: &dyn Fn(u32) -> f64) -> f64 {
    let before = order.iter().take_while(|other| **other != part);
    let set = before.fold(0_u32, |set, other| set | 1 << other);
    value(set) - value(set | 1 << part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Streams;

    /// Three parts: 5 for the first, 3 for the second whatever else is out; 8 for the second and
    /// third only where both are.
    fn figure(set: u32, _: usize) -> f64 {
        let out = |part: u32| set & (1 << part) != 0;
        let mut value = 100.0;
        value -= if out(0) { 5.0 } else { 0.0 };
        value -= if out(1) { 3.0 } else { 0.0 };
        value - if out(1) && out(2) { 8.0 } else { 0.0 }
    }

    #[test]
    fn shares_are_those_of_the_definition_and_add_up() {
        let all = Orders::All(3);
        assert_eq!(all.sets().len(), 8);
        let found = shares(&all, 3, 1, &figure);
        for (share, expected) in found.by_replication.iter().zip([5.0, 7.0, 4.0]) {
            assert!((share[0] - expected).abs() < 1e-12, "{share:?} {expected}");
        }
        let sum: f64 = found.by_replication.iter().map(|share| share[0]).sum();
        assert!((sum - (figure(0, 0) - figure(7, 0))).abs() < 1e-12);
    }

    #[test]
    fn drawn_orders_come_near_and_add_up_exactly() {
        let streams = Streams {
            seed: 3,
            replication: 0,
        };
        let drawn = orders(3, false, 12, &mut streams.stream("explain", 0, "orders"));
        let found = shares(&drawn, 3, 1, &figure);
        let sum: f64 = found.by_replication.iter().map(|share| share[0]).sum();
        assert!((sum - 16.0).abs() < 1e-12);
        // A pair splits what two parts do together evenly, since each is the first once.
        for (share, expected) in found.by_replication.iter().zip([5.0, 7.0, 4.0]) {
            assert!((share[0] - expected).abs() < 1e-12, "{share:?} {expected}");
        }
        for set in drawn.sets() {
            assert!(set < 8);
        }
    }
}
