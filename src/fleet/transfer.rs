//! Links that carry the KV of computed prompts from prefill replicas to decode replicas.
//!
//! A link sends one prompt's KV at a time, first come first served, so that when one will have
//! come is known the moment it is handed over: no queue is kept, only when each link is free.

use crate::engine::{SimDuration, SimTime};
use crate::scenario::resolve::LlmFacts;
use crate::scenario::roles::{Role, SharedBy};
use crate::scenario::schema::Scenario;

use super::ids::{NONE, ReplicaId};
use super::meters::PoolMeter;
use super::plan::FleetPlan;

/// How KV is transferred.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TransferPlan {
    /// Bytes of KV of one token, of all devices together.
    pub bytes_per_token: f64,
    /// Bandwidth of a link, bytes a nanosecond (GB a second).
    pub bytes_per_ns: f64,
    /// Time on top of each transfer.
    pub latency: SimDuration,
    /// Who shares a link.
    pub shared_by: SharedBy,
}

impl TransferPlan {
    /// The plan of a scenario whose pools are what `facts` says; none where no pool has a role.
    pub fn new(scenario: &Scenario, facts: &[Option<LlmFacts>]) -> Option<TransferPlan> {
        let pools = scenario.pools.iter().zip(facts);
        let mut prefill = pools.filter(|(pool, _)| pool.role() == Role::Prefill);
        let (_, facts) = prefill.next()?;
        let facts = facts.as_ref()?;
        let written = &scenario.kv_transfer;
        Some(TransferPlan {
            bytes_per_token: facts.model.kv_bytes_per_token(facts.dtypes.kv),
            bytes_per_ns: written.bandwidth_gb_per_s,
            latency: SimDuration::from_ms_f64(written.latency_ms),
            shared_by: written.shared_by,
        })
    }

    /// How long the KV of `tokens` tokens keeps a link busy.
    pub fn on_the_link(&self, tokens: u32) -> SimDuration {
        let ns = f64::from(tokens) * self.bytes_per_token / self.bytes_per_ns;
        SimDuration(ns.round() as u64)
    }

    /// Links that a prefill pool of `replicas` replicas uses.
    pub fn links_of(&self, replicas: u32) -> u32 {
        match self.shared_by {
            SharedBy::Replica => replicas,
            SharedBy::Pool | SharedBy::Fleet => 1,
        }
    }
}

/// The links of a fleet.
#[derive(Debug, Clone)]
pub struct Links {
    plan: TransferPlan,
    /// The link of each replica of all pools; [`NONE`] for those that send nothing.
    link_of: Vec<u32>,
    /// When each link will have sent what it was given.
    free_at: Vec<SimTime>,
}

impl Links {
    /// Idle links.
    pub fn new(plan: TransferPlan, fleet: &FleetPlan) -> Links {
        let mut link_of = Vec::new();
        let mut links = 0;
        for pool in &fleet.pools {
            let sends = pool.role == Role::Prefill;
            let first = match plan.shared_by {
                SharedBy::Fleet => 0,
                SharedBy::Replica | SharedBy::Pool => links,
            };
            link_of.extend(
                (0..pool.replicas).map(|index| match (sends, plan.shared_by) {
                    (false, _) => NONE,
                    (true, SharedBy::Replica) => first + index,
                    (true, SharedBy::Pool | SharedBy::Fleet) => first,
                }),
            );
            if sends {
                links = first + plan.links_of(pool.replicas);
            }
        }
        Links {
            plan,
            link_of,
            free_at: vec![SimTime::ZERO; links as usize],
        }
    }

    /// Gives the KV of `tokens` tokens to the link of `replica`; says when it will have come.
    pub fn send(
        &mut self,
        replica: ReplicaId,
        tokens: u32,
        now: SimTime,
        meter: &mut PoolMeter,
    ) -> SimTime {
        let link = self.link_of.get(replica.0 as usize).copied();
        let Some(free_at) = link.and_then(|link| self.free_at.get_mut(link as usize)) else {
            debug_assert!(false, "a replica without a link sends KV");
            return now;
        };
        let start = now.max(*free_at);
        let sent = start.saturating_add(self.plan.on_the_link(tokens));
        *free_at = sent;
        meter.sent(now, start, sent, tokens);
        sent.saturating_add(self.plan.latency)
    }
}
