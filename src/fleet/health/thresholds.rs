//! Limits on what is under way at once, with the semantics of Envoy's `circuit_breakers`
//! (`resource_manager_impl.h`): what would go above a limit is turned away at once.

use crate::scenario::health::CircuitLimits as Config;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Requests that wait for a place at a host.
    Pending,
    /// Requests at hosts.
    Request,
    /// Retries outstanding.
    Retry,
}

/// The limits of one cluster.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    counters: [Counter; 3],
}

#[derive(Debug, Clone, Copy)]
struct Counter {
    limit: u64,
    held: u64,
    overflows: u64,
}

impl Limits {
    /// Limits of which nothing is taken.
    pub fn new(config: &Config) -> Limits {
        let counter = |limit: u32| Counter {
            limit: u64::from(limit),
            held: 0,
            overflows: 0,
        };
        Limits {
            counters: [
                counter(config.max_pending_requests),
                counter(config.max_requests),
                counter(config.max_retries),
            ],
        }
    }

    /// Takes one, if the limit allows; otherwise that is counted as an overflow.
    pub fn try_take(&mut self, resource: Resource) -> bool {
        let counter = &mut self.counters[resource as usize];
        let allowed = counter.held < counter.limit;
        counter.held += u64::from(allowed);
        counter.overflows += u64::from(!allowed);
        allowed
    }

    /// Gives one back. Returns false when none was taken; the count then stays at zero.
    pub fn give_back(&mut self, resource: Resource) -> bool {
        let counter = &mut self.counters[resource as usize];
        let held = counter.held > 0;
        counter.held -= u64::from(held);
        held
    }

    /// How many are taken.
    pub fn held(&self, resource: Resource) -> u64 {
        self.counters[resource as usize].held
    }

    /// How many may still be taken.
    pub fn remaining(&self, resource: Resource) -> u64 {
        let counter = self.counters[resource as usize];
        counter.limit - counter.held
    }

    /// How many were turned away so far.
    pub fn overflows(&self, resource: Resource) -> u64 {
        self.counters[resource as usize].overflows
    }

    /// Requests active and pending: what a retry budget is a share of.
    pub fn load(&self) -> u64 {
        self.held(Resource::Pending) + self.held(Resource::Request)
    }
}
