//! Draws of one member out of those that are eligible.

use rand::RngExt;

use crate::engine::SimRng;

/// Draws before members are counted instead: where half are eligible, one run in 2^32 gets there.
pub(super) const TRIES: u32 = 32;

/// An eligible member of `0..members`, each alike: drawn until one is eligible, which is O(1) where
/// a fair share is; O(n) where hardly any is.
pub(super) fn uniform(
    members: u32,
    rng: &mut SimRng,
    eligible: impl Fn(u32) -> bool,
) -> Option<u32> {
    if members == 0 {
        return None;
    }
    for _ in 0..TRIES {
        let member = rng.random_range(0..members);
        if eligible(member) {
            return Some(member);
        }
    }
    let count = (0..members).filter(|member| eligible(*member)).count();
    if count == 0 {
        return None;
    }
    let nth = rng.random_range(0..count);
    (0..members).filter(|member| eligible(*member)).nth(nth)
}

/// The member with the least cost offered so far; of several each alike.
#[derive(Debug, Clone, Copy)]
pub(super) struct Least {
    member: Option<u32>,
    cost: f64,
    ties: u32,
}

impl Least {
    /// Nobody so far.
    pub(super) fn new() -> Least {
        Least {
            member: None,
            cost: f64::INFINITY,
            ties: 0,
        }
    }

    /// Offers a member. A random number is drawn only for a tie.
    pub(super) fn offer(&mut self, member: u32, cost: f64, rng: &mut SimRng) {
        if self.member.is_none() || cost < self.cost {
            *self = Least {
                member: Some(member),
                cost,
                ties: 1,
            };
        } else if cost == self.cost {
            self.ties += 1;
            // The k-th of several replaces the one kept with probability 1/k.
            if rng.random_range(0..self.ties) == 0 {
                self.member = Some(member);
            }
        }
    }

    /// Who it is.
    pub(super) fn member(&self) -> Option<u32> {
        self.member
    }
}
