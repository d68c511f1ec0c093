//! Which replica serves a request.

use rand::RngExt;

use crate::engine::{SimRng, Streams};
use crate::scenario::fleet::Router as Policy;

use super::ids::{NONE, ReplicaId};
use super::least::LeastLoaded;

/// The router and what it believes of the replicas: it counts what it sent and what came back.
#[derive(Debug, Clone)]
pub struct Router {
    policy: Policy,
    rng: SimRng,
    /// Whom it chooses from.
    members: Vec<ReplicaId>,
    /// The index in `members` of each replica of all pools.
    index_of: Vec<u32>,
    next: u32,
    /// Requests (or tokens) outstanding at each replica.
    outstanding: LeastLoaded,
    /// Whether the policy looks at all of them.
    looks_at_all: bool,
}

impl Router {
    /// Router number `number` of a fleet, over those replicas (at least one).
    pub fn new(policy: Policy, members: Vec<ReplicaId>, streams: Streams, number: u64) -> Router {
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
            next: 0,
            outstanding: LeastLoaded::new(replicas as usize),
            looks_at_all,
        }
    }

    /// Chooses a replica.
    pub fn choose(&mut self) -> ReplicaId {
        let index = self.choose_index();
        self.members[index as usize]
    }

    fn choose_index(&mut self) -> u32 {
        let replicas = self.members.len() as u32;
        if replicas == 1 {
            return 0;
        }
        if self.looks_at_all {
            return self.outstanding.least();
        }
        match self.policy {
            Policy::RoundRobin {} => {
                let index = self.next;
                self.next = (index + 1) % replicas;
                index
            }
            Policy::LeastRequest { choices } if choices > 1 => {
                let mut best = self.draw();
                for _ in 1..choices {
                    let other = self.draw();
                    // Ties stay with the one sampled first.
                    if self.outstanding.load(other) < self.outstanding.load(best) {
                        best = other;
                    }
                }
                best
            }
            Policy::Random {} | Policy::LeastRequest { .. } | Policy::LeastTokens { .. } => {
                self.draw()
            }
        }
    }

    /// Notes that a request was sent to `replica`.
    pub fn sent(&mut self, replica: ReplicaId, prompt_tokens: u32) {
        let weight = self.weight(prompt_tokens);
        self.change(replica, |load| load + weight);
    }

    /// Notes that a request came back from `replica`.
    pub fn returned(&mut self, replica: ReplicaId, prompt_tokens: u32) {
        let weight = self.weight(prompt_tokens);
        self.change(replica, |load| load - weight);
    }

    /// Load outstanding over all replicas: 0 when nothing is in flight (checked at a run's end).
    pub fn total_outstanding(&self) -> u64 {
        self.outstanding.total()
    }

    fn weight(&self, prompt_tokens: u32) -> u64 {
        match self.policy {
            Policy::LeastTokens {
                expected_output_tokens,
            } => u64::from(prompt_tokens) + u64::from(expected_output_tokens),
            _ => 1,
        }
    }

    fn change(&mut self, replica: ReplicaId, to: impl Fn(u64) -> u64) {
        let index = self.index_of[replica.0 as usize];
        let load = to(self.outstanding.load(index));
        self.outstanding.set(index, load);
    }

    fn draw(&mut self) -> u32 {
        let replicas = self.members.len() as u32;
        self.rng.random_range(0..replicas)
    }
}
