//! Nodes that come and go: where they are bought, how they start, and how they are lost.
//!
//! ```text
//! gone -> starting (provision, boot, image, weights, warm-up) -> ready -> leaving -> gone
//!          '-> refused: asked for again, or taken from another group
//! ```
//!
//! A node is a replica of a pool. Every node that there may ever be has its place among the
//! replicas from the beginning; one that is not there counts as dead, and gateways know it.

pub mod group;
mod index;
pub mod node;
pub mod plan;
pub mod scaler;

use std::collections::BTreeSet;

use crate::engine::{SimTime, Streams};
use crate::fleet::spot::errors::RuleError;
use crate::money::bill::{Bill, BillKey, NodeTimes};

use self::group::Group;
use self::index::Index;
use self::node::{Next, Node, Phase};
use self::plan::{CapacityPlan, GroupPlan};
use super::ids::ReplicaId;
use super::plan::FleetPlan;

/// No group.
const NO_GROUP: u16 = u16::MAX;

/// All nodes that are bought, and the groups they are of.
#[derive(Debug, Clone)]
pub struct Capacity {
    /// By replica.
    nodes: Vec<Node>,
    group_of: Vec<u16>,
    /// By group.
    indices: Vec<Index>,
    /// The groups.
    pub groups: Vec<Group>,
    /// What has been paid for.
    pub bill: Bill,
    /// The measured window; nothing is billed from its end on.
    start: SimTime,
    end: SimTime,
}

impl Capacity {
    /// The nodes of a plan: those of the start are ready at time 0.
    ///
    /// # Errors
    /// When a market's rule is out of range, which scenarios are checked for.
    pub fn new(
        plan: &CapacityPlan,
        replicas: u32,
        (start, end): (SimTime, SimTime),
        streams: Streams,
    ) -> Result<Capacity, RuleError> {
        let mut capacity = Capacity {
            nodes: vec![Node::default(); replicas as usize],
            group_of: vec![NO_GROUP; replicas as usize],
            indices: Vec::new(),
            groups: Vec::new(),
            bill: Bill::default(),
            start,
            end,
        };
        for (index, group) in (0_u16..).zip(&plan.groups) {
            for slot in group.replicas() {
                capacity.group_of[slot as usize] = index;
            }
            capacity.indices.push(Index::new(group.replicas()));
            capacity.groups.push(Group::new(group, index, streams)?);
        }
        Ok(capacity)
    }

    /// The group of a replica; none where it is not bought.
    pub fn group_of(&self, replica: ReplicaId) -> Option<u16> {
        let group = self.group_of[replica.0 as usize];
        (group != NO_GROUP).then_some(group)
    }

    /// A node.
    pub fn node(&self, replica: ReplicaId) -> &Node {
        &self.nodes[replica.0 as usize]
    }

    /// A node, to change all but its phase and whether it is leaving.
    pub fn node_mut(&mut self, replica: ReplicaId) -> &mut Node {
        &mut self.nodes[replica.0 as usize]
    }

    /// Changes a node.
    pub fn change(&mut self, replica: ReplicaId, change: impl FnOnce(&mut Node)) {
        let group = self.group_of[replica.0 as usize];
        let node = &mut self.nodes[replica.0 as usize];
        match self.indices.get_mut(usize::from(group)) {
            Some(index) => {
                index.forget(replica.0, node);
                change(node);
                index.learn(replica.0, node);
            }
            None => change(node),
        }
    }

    /// Nodes of a group that are ready or will be, and are not on their way out.
    pub fn held(&self, group: u16) -> u32 {
        self.indices[usize::from(group)].held()
    }

    /// Nodes of a group that are ready, and not on their way out.
    pub fn ready_to_stay(&self, group: u16) -> u32 {
        self.indices[usize::from(group)].ready()
    }

    /// Nodes of a group that the provider has given and not got back.
    pub fn on_the_market(&self, group: u16) -> u32 {
        self.present(group).len() as u32
    }

    /// The places of those.
    pub fn present(&self, group: u16) -> &BTreeSet<u32> {
        self.indices[usize::from(group)].present()
    }

    /// A place of a group where no node is.
    pub fn free_place(&self, group: u16) -> Option<ReplicaId> {
        let place = self.indices[usize::from(group)].free_place();
        place.map(ReplicaId)
    }

    /// Whom a group gives back first: who is not ready yet, then who came last.
    pub fn first_to_go(&self, group: u16) -> Option<ReplicaId> {
        let node = self.indices[usize::from(group)].first_to_go();
        node.map(ReplicaId)
    }

    /// Ready nodes of the same pool that another group lends one, those that came last first.
    pub fn lent_to(&self, plan: &CapacityPlan, group: u16) -> impl Iterator<Item = u32> {
        let rule = &plan.groups[usize::from(group)];
        let borrowed = self.groups[usize::from(group)].borrowed as usize;
        let lender = rule
            .fall_back_on
            .map(|lender| &plan.groups[usize::from(lender)]);
        let lender = lender.filter(|lender| lender.pool == rule.pool && borrowed > 0);
        let slots = lender.map_or(0..0, GroupPlan::replicas);
        let group = rule.fall_back_on.unwrap_or(group);
        let present = self.present(group).range(slots).rev().copied();
        let ready = present.filter(|slot| {
            let node = &self.nodes[*slot as usize];
            node.phase == Phase::Ready && !node.leaving
        });
        ready.take(borrowed)
    }

    /// A node is asked for and will be there.
    pub fn launch(
        &mut self,
        plan: &CapacityPlan,
        replica: ReplicaId,
        now: SimTime,
    ) -> Option<SimTime> {
        let group = self.group_of(replica)?;
        let there = &mut self.groups[usize::from(group)];
        let [provision, boot, rest] = there.draw_start(&plan.groups[usize::from(group)]);
        there.counts.launched += 1;
        let due = now + provision + boot + rest;
        let fresh = Node {
            phase: Phase::Starting,
            requested: now,
            booted: now + provision,
            running: now + provision + boot,
            ready: due,
            next: Next::Ready,
            due,
            ..Node::default()
        };
        self.change(replica, |node| *node = fresh);
        Some(due)
    }

    /// A node is gone: it is billed for.
    pub fn retire(&mut self, plan: &CapacityPlan, replica: ReplicaId, now: SimTime) {
        let Some(group) = self.group_of(replica) else {
            return;
        };
        let rule = &plan.groups[usize::from(group)];
        let end = now.min(self.end);
        let node = *self.node(replica);
        self.change(replica, |node| *node = Node::default());
        let counts = &mut self.groups[usize::from(group)].counts;
        counts.ready_ns += u128::from(node.time_ready(SimTime::ZERO, end).0);
        counts.ready_measured_ns += u128::from(node.time_ready(self.start, end).0);
        let times = NodeTimes {
            requested: node.requested,
            booted: (node.booted <= end).then_some(node.booted),
            running: (node.running <= end).then_some(node.running),
            released: end,
        };
        // What begins after the end of the account is not on it.
        if rule.is_paid_ahead() || node.requested >= self.end {
            return;
        }
        if let Some(interval) = rule.billing.interval(&times) {
            self.charge(group, rule, interval);
        }
    }

    fn charge(&mut self, group: u16, rule: &GroupPlan, interval: (SimTime, SimTime)) {
        let key = BillKey {
            pool: u32::from(rule.pool),
            market: rule.market as u32,
            region: u32::from(rule.region),
        };
        let cost = |billed| rule.price.cost(interval.0, billed);
        let charged = self.bill.add_priced(key, rule.billing, interval, cost);
        debug_assert!(charged.is_ok(), "{charged:?}");
        if let Ok(charged) = charged {
            let counts = &mut self.groups[usize::from(group)].counts;
            counts.nodes_billed += 1;
            counts.billed_node_ns += u128::from(charged.billed.0);
            counts.cost += charged.cost.0;
        }
    }

    /// Time that the nodes of a pool were ready within the measured window, node-seconds; none of a
    /// pool that is not bought.
    pub fn ready_measured_s(&self, plan: &FleetPlan, pool: u16) -> Option<f64> {
        let rules = plan.capacity.as_ref()?.groups.iter().zip(&self.groups);
        let mut of_pool = rules.filter(|(rule, _)| rule.pool == pool).peekable();
        of_pool.peek()?;
        let ns: u128 = of_pool
            .map(|(_, group)| group.counts.ready_measured_ns)
            .sum();
        Some(ns as f64 / 1e9)
    }

    /// What is wrong with the account, if anything is: its parts add up to its total, to the
    /// nano-dollar and the nanosecond.
    ///
    /// # Errors
    /// Which sum does not.
    pub fn check(&self) -> Result<(), String> {
        let total = self.bill.total();
        let groups = self.groups.iter().map(|group| group.counts);
        let (cost, ns) = groups.fold((0, 0), |(cost, ns), counts| {
            (cost + counts.cost, ns + counts.billed_node_ns)
        });
        let parts = [
            self.bill.by_pool(),
            self.bill.by_market(),
            self.bill.by_region(),
        ];
        let sums = parts.iter().map(|lines| {
            let cost: i128 = lines.values().map(|line| line.cost.0).sum();
            let ns: u128 = lines.values().map(|line| line.billed_node_ns).sum();
            (cost, ns)
        });
        for (cost, ns) in sums.chain([(cost, ns)]) {
            if (cost, ns) != (total.cost.0, total.billed_node_ns) {
                return Err(format!(
                    "parts of the bill come to {cost} nano-dollars and {ns} node-nanoseconds, the \
                     whole to {total:?}"
                ));
            }
        }
        Ok(())
    }

    /// The end of the account: all that is there is billed until then, and what was paid ahead.
    pub fn close(&mut self, plan: &CapacityPlan) {
        for slot in 0..self.nodes.len() as u32 {
            if self.nodes[slot as usize].phase != Phase::Gone {
                self.retire(plan, ReplicaId(slot), self.end);
            }
        }
        for (index, rule) in (0_u16..).zip(&plan.groups) {
            if rule.is_paid_ahead() {
                for _ in 0..rule.at_start {
                    self.charge(index, rule, (SimTime::ZERO, self.end));
                }
            }
        }
    }
}
