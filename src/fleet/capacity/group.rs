//! A group of nodes at work: its market, its random numbers, its counts.

use std::collections::VecDeque;

use crate::engine::{SimDuration, SimRng, SimTime, Streams};
use crate::fleet::spot::errors::RuleError;
use crate::fleet::spot::market::{Loss, Market};

use super::plan::GroupPlan;

/// What became of the nodes of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupCounts {
    /// Nodes that were asked for, those refused among them.
    pub requested: u64,
    /// Of these: refused.
    pub refused: u64,
    /// Nodes launched.
    pub launched: u64,
    /// Nodes that the provider took away.
    pub lost: u64,
    /// The most it took away at one instant.
    pub most_lost_at_once: u32,
    /// When it took some last, and how many by then.
    pub last_loss: (SimTime, u32),
    /// Nodes that became ready, and how long that took, nanoseconds, summed.
    pub cold_starts: u64,
    /// See there.
    pub cold_start_ns: u128,
    /// Requests that were handed over from nodes that were told to go.
    pub handed_over: u64,
    /// Of these: with their KV, and the tokens of it.
    pub migrated: u64,
    /// See there.
    pub migrated_tokens: u64,
    /// Nodes that were billed.
    pub nodes_billed: u64,
    /// What was billed, node-nanoseconds.
    pub billed_node_ns: u128,
    /// What that costs, nano-dollars.
    pub cost: i128,
    /// Time that nodes were ready until the end of the account, node-nanoseconds.
    pub ready_ns: u128,
    /// The same within the measured window.
    pub ready_measured_ns: u128,
}

impl GroupCounts {
    /// So many nodes are taken at an instant.
    pub fn loses(&mut self, nodes: u32, at: SimTime) {
        self.lost += u64::from(nodes);
        self.last_loss = match self.last_loss {
            (last, before) if last == at => (at, before + nodes),
            _ => (at, nodes),
        };
        self.most_lost_at_once = self.most_lost_at_once.max(self.last_loss.1);
    }

    /// Adds what another replication counted.
    pub fn merge(&mut self, other: &GroupCounts) {
        self.requested += other.requested;
        self.refused += other.refused;
        self.launched += other.launched;
        self.lost += other.lost;
        self.most_lost_at_once = self.most_lost_at_once.max(other.most_lost_at_once);
        self.cold_starts += other.cold_starts;
        self.cold_start_ns += other.cold_start_ns;
        self.handed_over += other.handed_over;
        self.migrated += other.migrated;
        self.migrated_tokens += other.migrated_tokens;
        self.nodes_billed += other.nodes_billed;
        self.billed_node_ns += other.billed_node_ns;
        self.cost += other.cost;
        self.ready_ns += other.ready_ns;
        self.ready_measured_ns += other.ready_measured_ns;
    }
}

/// A group of nodes.
#[derive(Debug, Clone)]
pub struct Group {
    /// Nodes that it is to have of its own.
    pub wanted: u32,
    /// Nodes that another group lends it.
    pub borrowed: u32,
    /// Nodes that it lends others.
    pub lent: u32,
    /// Whether it will ask again for nodes that it could not have.
    pub asks_again: bool,
    /// What became of its nodes.
    pub counts: GroupCounts,
    market: Market,
    /// Losses that are decided and not told yet.
    decided: VecDeque<Loss>,
    /// How long before a loss the first warning comes.
    lead: SimDuration,
    /// Until when the market gives no nodes: several have been told that they go then.
    pub closed_until: SimTime,
    awaited: SimTime,
    /// Losses until then have been looked for.
    looked: SimTime,
    starts: SimRng,
    warnings: SimRng,
}

impl Group {
    /// A group without nodes.
    ///
    /// # Errors
    /// When its market's rule is out of range, which scenarios are checked for.
    pub fn new(plan: &GroupPlan, index: u16, streams: Streams) -> Result<Group, RuleError> {
        let stream = |purpose| streams.stream("nodes", u64::from(index), purpose);
        let availability = plan.availability.as_ref().map(|it| (**it).clone());
        let market = Market::new(plan.interruption.clone(), availability, stream("market"))?
            .with_refusal_probability(plan.refusal_probability)?;
        let early = plan.notice.rebalance.map_or(0.0, |it| it.lead_s);
        Ok(Group {
            wanted: plan.at_start,
            borrowed: 0,
            lent: 0,
            asks_again: false,
            counts: GroupCounts::default(),
            market,
            decided: VecDeque::new(),
            lead: SimDuration::from_secs_f64(plan.notice.notice_s + early),
            closed_until: SimTime::ZERO,
            awaited: SimTime::NEVER,
            looked: SimTime::ZERO,
            starts: stream("starts"),
            warnings: stream("warnings"),
        })
    }

    /// Nodes that it is to have, those that it lends among them.
    pub fn wanted_in_all(&self) -> u32 {
        self.wanted + self.lent
    }

    /// Whether a node can be had beside so many, of which `staying` are not on their way out. A
    /// provider that has told nodes to go gives no others in their place that it would take, too.
    pub fn grants(&self, held: u32, staying: u32, now: SimTime) -> bool {
        let soon = self.market.capacity(now.saturating_add(self.lead));
        now >= self.closed_until
            && soon.is_none_or(|most| staying < most)
            && self.market.may_launch(held, now)
    }

    /// A node comes.
    pub fn comes(&mut self, node: u32, now: SimTime) {
        self.decide(now);
        self.market.node_started(node, now);
        self.looked = now;
    }

    /// A node goes, for whatever reason.
    pub fn goes(&mut self, node: u32, now: SimTime) {
        self.decide(now);
        self.market.node_ended(node, now);
    }

    fn decide(&mut self, until: SimTime) {
        while let Some(loss) = self.market.take_due(until) {
            self.decided.push_back(loss);
        }
    }

    /// When the next loss is to be looked for, if that is not awaited already.
    pub fn next_loss_to_await(&mut self, now: SimTime) -> Option<SimTime> {
        let at = match self.decided.is_empty() {
            false => now,
            true => match self.market.next_at()? {
                // It was looked at, and took nobody: whoever comes before is looked at then.
                next if next <= self.looked => SimTime(next.0.max(now.0 + 1)),
                next => SimTime(next.0.saturating_sub(self.lead.0)).max(now),
            },
        };
        if self.awaited > now && self.awaited <= at && self.awaited != SimTime::NEVER {
            return None;
        }
        self.awaited = at;
        Some(at)
    }

    /// Nodes that will be taken away, and when: as early as their warnings may come.
    pub fn take_losses(&mut self, now: SimTime) -> Option<Loss> {
        self.awaited = SimTime::NEVER;
        self.looked = now.saturating_add(self.lead);
        self.decide(self.looked);
        self.decided.pop_front()
    }

    /// When a node that goes at `gone` is warned: early, and by the notice.
    pub fn draw_warnings(
        &mut self,
        plan: &GroupPlan,
        gone: SimTime,
        started: SimTime,
        now: SimTime,
    ) -> (Option<SimTime>, SimTime) {
        let warnings = plan.notice.warnings(gone, started, now, &mut self.warnings);
        (warnings.rebalance_at, warnings.notice_at)
    }

    /// How long a node takes until it boots, from there until it runs, and from there until it is
    /// ready.
    pub fn draw_start(&mut self, plan: &GroupPlan) -> [SimDuration; 3] {
        let rng = &mut self.starts;
        let provision = plan.start.provision.as_ref();
        let provision = provision.map_or(SimDuration::ZERO, |law| law.sample(rng));
        let boot = plan.start.boot.sample(rng);
        let phases = plan.start.phases.iter().map(|law| law.sample(rng).0);
        let rest: u64 = phases.sum();
        let weights = plan.start.weights.0;
        let factor = plan.start.variability.as_ref();
        let factor = factor.map(|law| law.sample_ns(rng) / law.mean_ns());
        let rest = rest + factor.map_or(weights, |by| (weights as f64 * by).round() as u64);
        [provision, boot, SimDuration(rest)]
    }
}
