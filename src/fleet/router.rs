//! Which replica serves a request.

use std::collections::BTreeMap;

use rand::RngExt;

use crate::engine::{SimRng, SimTime, Streams};
use crate::scenario::fleet::Router as Policy;

use super::balance::SlowStartRise;
use super::ids::{NONE, ReplicaId};
use super::least::LeastLoaded;

/// Where the loads come from that a router compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loads {
    /// What it sent itself and has not got back.
    Own,
    /// What it was told last.
    Told {
        /// And what it sent itself since.
        and_own: bool,
    },
}

/// A router of one gateway replica, and what it believes of the replicas.
#[derive(Debug, Clone)]
pub struct Router {
    policy: Policy,
    rng: SimRng,
    /// Whom it chooses from.
    members: Vec<ReplicaId>,
    /// The index in `members` of each replica of all pools.
    index_of: Vec<u32>,
    /// The indices of those that may be chosen, rising.
    eligible: Vec<u32>,
    next: u32,
    source: Loads,
    /// Load it takes each eligible member to have; those of the others are in `aside`.
    loads: LeastLoaded,
    aside: BTreeMap<u32, u64>,
    /// What it sent and has not got back, over all members.
    outstanding: u64,
    /// Whether the policy looks at all of them.
    looks_at_all: bool,
    /// The sum of the loads of those that may be chosen.
    load: u64,
    /// How a replica that comes back gets its share, and those that have come back lately.
    slow_start: Option<SlowStartRise>,
    rising: Vec<(u32, SimTime)>,
}

impl Router {
    /// Router number `number` of a fleet, over those replicas (at least one).
    pub fn new(
        policy: Policy,
        source: Loads,
        members: Vec<ReplicaId>,
        streams: Streams,
        number: u64,
    ) -> Router {
        let replicas = members.len() as u32;
        let looks_at_all = replicas > 1
            && matches!(
                policy,
                Policy::LeastRequest { choices: 0 } | Policy::LeastTokens { .. }
            );
        let all_replicas = members.iter().map(|id| id.0 as usize + 1).max();
        let mut index_of = vec![NONE; all_replicas.unwrap_or(0)];
        for (index, id) in members.iter().enumerate() {
            index_of[id.0 as usize] = index as u32;
        }
        Router {
            policy,
            rng: streams.stream("router", number, "choices"),
            members,
            index_of,
            eligible: (0..replicas).collect(),
            next: 0,
            source,
            loads: LeastLoaded::new(replicas as usize),
            aside: BTreeMap::new(),
            outstanding: 0,
            looks_at_all,
            load: 0,
            slow_start: None,
            rising: Vec::new(),
        }
    }

    /// The same router, which gives replicas that come back their share little by little.
    pub fn with_slow_start(mut self, rise: Option<SlowStartRise>) -> Router {
        self.slow_start = rise;
        self
    }

    /// Chooses a replica; none when none may be chosen.
    pub fn choose(&mut self, now: SimTime) -> Option<ReplicaId> {
        let mut index = self.choose_index()?;
        if !self.rising.is_empty() {
            index = self.thinned(index, now);
        }
        Some(self.members[index as usize])
    }

    /// The choice that fell on `index`: another one, as likely as that has not yet its full share.
    fn thinned(&mut self, index: u32, now: SimTime) -> u32 {
        let Some(rise) = &self.slow_start else {
            return index;
        };
        let window = rise.window();
        self.rising.retain(|(_, since)| now.since(*since) < window);
        let rising = self.rising.iter().find(|(member, _)| *member == index);
        match rising {
            Some((_, since)) if self.rng.random::<f64>() >= rise.factor(now.since(*since)) => {
                self.draw()
            }
            _ => index,
        }
    }

    fn choose_index(&mut self) -> Option<u32> {
        if self.looks_at_all {
            let least = self.loads.least();
            return (self.loads.load(least) != LeastLoaded::NEVER).then_some(least);
        }
        match self.eligible[..] {
            [] => return None,
            [only] => return Some(only),
            _ => {}
        }
        Some(match self.policy {
            Policy::RoundRobin {} => {
                // The next eligible one after the last.
                let from = self.eligible.partition_point(|&index| index < self.next);
                let index = self.eligible[from % self.eligible.len()];
                self.next = index + 1;
                index
            }
            Policy::LeastRequest { choices } if choices > 1 => {
                let mut best = self.draw();
                for _ in 1..choices {
                    let other = self.draw();
                    // Ties stay with the one sampled first.
                    if self.loads.load(other) < self.loads.load(best) {
                        best = other;
                    }
                }
                best
            }
            Policy::Random {} | Policy::LeastRequest { .. } | Policy::LeastTokens { .. } => {
                self.draw()
            }
        })
    }

    /// Whether a replica may be chosen from now on.
    pub fn set_eligible(&mut self, replica: ReplicaId, may: bool, now: SimTime) {
        let index = self.index_of[replica.0 as usize];
        match (self.eligible.binary_search(&index), may) {
            (Err(place), true) => {
                self.eligible.insert(place, index);
                let load = self.aside.remove(&index).unwrap_or(0);
                self.loads.set(index, load);
                self.load += load;
                if self.slow_start.is_some() {
                    self.rising.push((index, now));
                }
            }
            (Ok(place), false) => {
                self.eligible.remove(place);
                let load = self.loads.load(index);
                self.aside.insert(index, load);
                self.loads.set(index, LeastLoaded::NEVER);
                self.load -= load;
                self.rising.retain(|(member, _)| *member != index);
            }
            _ => {}
        }
    }

    /// Its members.
    pub fn members(&self) -> &[ReplicaId] {
        &self.members
    }

    /// Whether a replica is one of them.
    pub fn has(&self, replica: ReplicaId) -> bool {
        let index = self.index_of.get(replica.0 as usize);
        index.is_some_and(|index| *index != NONE)
    }

    /// Load for each member that may be chosen; infinite where none may.
    pub fn load_per_member(&self) -> f64 {
        match self.eligible.len() {
            0 => f64::INFINITY,
            members => self.load as f64 / members as f64,
        }
    }

    /// How many of its members may be chosen, and how many it has.
    pub fn eligible(&self) -> (usize, usize) {
        (self.eligible.len(), self.members.len())
    }

    /// Notes that a request was sent to `replica`.
    #[inline]
    pub fn sent(&mut self, replica: ReplicaId, prompt_tokens: u32) {
        let weight = weight_of(&self.policy, prompt_tokens);
        self.outstanding += weight;
        if self.source != (Loads::Told { and_own: false }) {
            self.change(replica, |load| load + weight);
        }
    }

    /// Notes that a request came back from `replica`.
    #[inline]
    pub fn returned(&mut self, replica: ReplicaId, prompt_tokens: u32) {
        let weight = weight_of(&self.policy, prompt_tokens);
        self.outstanding -= weight;
        if self.source == Loads::Own {
            self.change(replica, |load| load - weight);
        }
    }

    /// Notes what `replica` says of itself.
    pub fn told(&mut self, replica: ReplicaId, load: u64) {
        self.change(replica, |_| load);
    }

    /// Load outstanding over all replicas: 0 when nothing is in flight (checked at a run's end).
    pub fn total_outstanding(&self) -> u64 {
        self.outstanding
    }

    #[inline]
    fn change(&mut self, replica: ReplicaId, to: impl Fn(u64) -> u64) {
        let index = self.index_of[replica.0 as usize];
        match self.loads.load(index) {
            LeastLoaded::NEVER => {
                if let Some(load) = self.aside.get_mut(&index) {
                    *load = to(*load);
                }
            }
            load => {
                let after = to(load);
                self.load = self.load - load + after;
                self.loads.set(index, after);
            }
        }
    }

    fn draw(&mut self) -> u32 {
        let eligible = self.eligible.len() as u32;
        self.eligible[self.rng.random_range(0..eligible) as usize]
    }
}

/// The load that one request is to a policy.
#[inline]
pub fn weight_of(policy: &Policy, prompt_tokens: u32) -> u64 {
    match policy {
        Policy::LeastTokens {
            expected_output_tokens,
        } => u64::from(prompt_tokens) + u64::from(*expected_output_tokens),
        _ => 1,
    }
}
