//! The policies of a router.

use crate::fleet::balance::{Bound, Edf, LeastRequestChoice, MaglevTable, Ring};
use crate::fleet::least::LeastLoaded;
use crate::scenario::balance::LeastRequest;
use crate::scenario::fleet::Router as Policy;

use super::priced::Priced;
use super::scored::Scored;
use super::{Router, Wanted};

/// A policy at work.
#[derive(Debug, Clone)]
pub(super) enum Chooser {
    /// Each in turn; the one after the last that was chosen comes next.
    RoundRobin(u32),
    /// Any.
    Random,
    /// The least loaded of so many that are drawn.
    LeastOf(u32),
    /// The least loaded of all.
    LeastOfAll,
    /// The least loaded, by weights that differ.
    LeastByWeight(Box<LeastRequestChoice>),
    /// Each in turn, by weight.
    Weighted(Box<Edf>),
    /// The next point of a ring.
    Ring(Box<Ring>),
    /// A place of a table.
    Maglev(Box<MaglevTable>),
    /// The cheapest that will do, or the fastest.
    Priced(Box<Priced>),
    /// The best of all by several scores.
    Scored(Box<Scored>),
}

impl Chooser {
    pub fn new(policy: &Policy, weights: &[u32]) -> Chooser {
        let members = weights.len() as u32;
        let differ = weights.windows(2).any(|pair| pair[0] != pair[1]);
        match policy {
            Policy::RoundRobin {} => Chooser::RoundRobin(0),
            Policy::Random {} => Chooser::Random,
            Policy::LeastRequest {
                choices,
                active_request_bias,
            } if differ => Chooser::LeastByWeight(Box::new(LeastRequestChoice::new(
                &LeastRequest {
                    choices: (*choices).max(2),
                    active_request_bias: *active_request_bias,
                },
                members,
            ))),
            // What members are worth is told next.
            Policy::LeastRequest { choices: 0, .. }
            | Policy::LeastTokens { .. }
            | Policy::Cheapest { .. }
            | Policy::Fastest {} => Chooser::LeastOfAll,
            Policy::LeastRequest { choices: 1, .. } => Chooser::Random,
            Policy::LeastRequest { choices, .. } => Chooser::LeastOf(*choices),
            Policy::Weighted {} => {
                let weight = |member: u32| f64::from(weights[member as usize]);
                Chooser::Weighted(Box::new(Edf::new(members, weight)))
            }
            Policy::RingHash { ring, .. } => Chooser::Ring(Box::new(Ring::new(ring, weights))),
            Policy::Maglev { maglev, .. } => {
                Chooser::Maglev(Box::new(MaglevTable::new(maglev, weights)))
            }
            Policy::Scored {
                scorers,
                prefix_index,
                expected_output_tokens,
            } => Chooser::Scored(Box::new(Scored::new(
                scorers,
                prefix_index.as_ref(),
                *expected_output_tokens,
                members,
            ))),
        }
    }
}

impl Router {
    /// The member that the policy chooses, none when none may be chosen.
    pub(super) fn choose_by_policy(&mut self, wanted: &Wanted<'_>) -> Option<u32> {
        match self.chooser {
            Chooser::RoundRobin(_)
            | Chooser::Random
            | Chooser::LeastOf(_)
            | Chooser::LeastOfAll
            | Chooser::LeastByWeight(_)
            | Chooser::Weighted(_) => self.choose_by_count(),
            _ => match self.eligible[..] {
                [] => None,
                [only] => Some(only),
                _ => self.choose_by_more(wanted),
            },
        }
    }

    /// The same of policies that need know nothing of a request.
    #[inline]
    pub(super) fn choose_by_count(&mut self) -> Option<u32> {
        if let Chooser::LeastOfAll = self.chooser {
            if self.members.is_empty() {
                return None;
            }
            let least = self.loads.least();
            return (self.loads.load(least) < LeastLoaded::NEVER).then_some(least);
        }
        match self.eligible[..] {
            [] => return None,
            [only] => return Some(only),
            _ => {}
        }
        match &mut self.chooser {
            Chooser::RoundRobin(next) => {
                // The next eligible one after the last.
                let from = self.eligible.partition_point(|&index| index < *next);
                let index = self.eligible[from % self.eligible.len()];
                *next = index + 1;
                Some(index)
            }
            Chooser::LeastByWeight(_) | Chooser::Weighted(_) => self.choose_by_weight(),
            Chooser::LeastOf(choices) => {
                let choices = *choices;
                let mut best = self.draw();
                for _ in 1..choices {
                    let other = self.draw();
                    // Ties stay with the one sampled first.
                    if self.loads.load(other) < self.loads.load(best) {
                        best = other;
                    }
                }
                Some(best)
            }
            _ => Some(self.draw()),
        }
    }

    fn choose_by_weight(&mut self) -> Option<u32> {
        let Router {
            chooser,
            loads,
            weights,
            ..
        } = self;
        let eligible = |member: u32| loads.load(member) != LeastLoaded::NEVER;
        let weight = |member: u32| f64::from(weights[member as usize]);
        match chooser {
            Chooser::LeastByWeight(choice) => {
                choice.choose_weighted(|member| loads.load(member), weight, eligible)
            }
            Chooser::Weighted(edf) => edf.choose(eligible, weight),
            _ => None,
        }
    }

    /// The policies that look at keys or scores.
    fn choose_by_more(&mut self, wanted: &Wanted<'_>) -> Option<u32> {
        let Router {
            chooser,
            loads,
            rng,
            load,
            eligible_weight,
            ..
        } = self;
        let eligible = |member: u32| loads.load(member) != LeastLoaded::NEVER;
        let bound = |factor_pct: u32| Bound {
            factor_pct,
            total_load: *load,
            eligible_weight: *eligible_weight,
        };
        match chooser {
            Chooser::Ring(ring) => match ring.factor_pct() {
                Some(factor) => ring.choose_bounded(
                    wanted.key,
                    eligible,
                    |member| loads.load(member),
                    bound(factor),
                ),
                None => ring.choose(wanted.key, eligible),
            },
            Chooser::Maglev(table) => match table.factor_pct() {
                Some(factor) => table.choose_bounded(
                    wanted.key,
                    eligible,
                    |member| loads.load(member),
                    bound(factor),
                ),
                None => table.choose(wanted.key, eligible),
            },
            Chooser::Scored(scored) => scored.choose(wanted, eligible, rng),
            Chooser::Priced(priced) => priced.choose(),
            _ => None,
        }
    }
}
