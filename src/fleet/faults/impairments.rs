//! What the faults in force do to each replica.

use super::factors::Factors;
use super::{Effect, What};
use crate::fleet::ids::NONE;

/// How a replica is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Condition {
    /// No crash is in force.
    pub alive: bool,
    /// It takes requests in and answers none.
    pub hung: bool,
    /// It has been told to drain: no new requests.
    pub draining: bool,
    /// Factor on service times: the product of those in force.
    pub slow_factor: f64,
    /// Probability that a message is lost: 1 - product of (1 - p), as for independent losses.
    pub loss_probability: f64,
    /// The share of its capacity that is left: product of (1 - share lost).
    pub capacity_share: f64,
}

impl Condition {
    /// Nothing is wrong.
    pub const WELL: Condition = Condition {
        alive: true,
        hung: false,
        draining: false,
        slow_factor: 1.0,
        loss_probability: 0.0,
        capacity_share: 1.0,
    };

    /// Whether it can answer at all.
    pub fn answers(self) -> bool {
        self.alive && !self.hung
    }
}

/// Counts the faults in force at every replica: it is well again only when all have ended. A
/// replica that is well takes four bytes.
#[derive(Debug, Clone)]
pub struct Impairments {
    /// Where a replica's faults are in `slots`; [`NONE`] where it is well.
    slot_of: Vec<u32>,
    slots: Vec<InForce>,
    free: Vec<u32>,
}

#[derive(Debug, Clone, Default)]
struct InForce {
    crashes: u32,
    hangs: u32,
    drains: u32,
    slow: Factors,
    passes: Factors,
    left: Factors,
}

impl Impairments {
    /// So many replicas, all well.
    pub fn new(replicas: u32) -> Impairments {
        Impairments {
            slot_of: vec![NONE; replicas as usize],
            slots: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Grows to so many replicas, when some are launched; new ones are well.
    pub fn grow(&mut self, replicas: u32) {
        let most = self.slot_of.len().max(replicas as usize);
        self.slot_of.resize(most, NONE);
    }

    /// How a replica is, O(1). One that is not known is well.
    pub fn condition(&self, replica: u32) -> Condition {
        let slot = self.slot_of.get(replica as usize).copied();
        match slot {
            None | Some(NONE) => Condition::WELL,
            Some(slot) => self.slots[slot as usize].condition(),
        }
    }

    /// Whether no crash is in force.
    pub fn is_alive(&self, replica: u32) -> bool {
        self.condition(replica).alive
    }

    /// Applies a change to one replica of its scope; returns how it was and how it is. Effects that
    /// are not of replicas (partitions, deployments, DNS) change nothing here, nor does the end of
    /// what never began.
    pub fn apply(&mut self, replica: u32, what: What) -> (Condition, Condition) {
        let before = self.condition(replica);
        let (begins, effect) = match what {
            What::Begin(effect) => (true, effect),
            What::End(effect) => (false, effect),
        };
        let Some(slot) = self.slot_for(replica, begins, effect) else {
            return (before, before);
        };
        let in_force = &mut self.slots[slot as usize];
        in_force.change(begins, effect);
        let after = in_force.condition();
        if in_force.is_empty() {
            self.slot_of[replica as usize] = NONE;
            self.free.push(slot);
        }
        (before, after)
    }

    /// The slot of a replica, a new one where something begins.
    fn slot_for(&mut self, replica: u32, begins: bool, effect: Effect) -> Option<u32> {
        let slot = *self.slot_of.get(replica as usize)?;
        if slot != NONE {
            return Some(slot);
        }
        if !begins || !is_of_replicas(effect) {
            return None;
        }
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.slots.push(InForce::default());
                u32::try_from(self.slots.len() - 1).ok()?
            }
        };
        self.slot_of[replica as usize] = slot;
        Some(slot)
    }
}

impl InForce {
    fn change(&mut self, begins: bool, effect: Effect) {
        let count = |counter: &mut u32| {
            *counter = match begins {
                true => counter.saturating_add(1),
                false => counter.saturating_sub(1),
            };
        };
        let factor = |factors: &mut Factors, value: f64| match begins {
            true => factors.add(value),
            false => factors.remove(value),
        };
        match effect {
            Effect::Crash => count(&mut self.crashes),
            Effect::Hang => count(&mut self.hangs),
            Effect::Draining { .. } => count(&mut self.drains),
            Effect::Slow { factor: slower } => factor(&mut self.slow, slower),
            Effect::PacketLoss { probability } => factor(&mut self.passes, 1.0 - probability),
            Effect::BrownOut { share } => factor(&mut self.left, 1.0 - share),
            Effect::Partition { .. }
            | Effect::BadDeploy { .. }
            | Effect::ControlPlaneLoss
            | Effect::LaunchRefusal
            | Effect::DnsOutage
            | Effect::TrafficSpike { .. } => {}
        }
    }

    fn condition(&self) -> Condition {
        Condition {
            alive: self.crashes == 0,
            hung: self.hangs > 0,
            draining: self.drains > 0,
            slow_factor: self.slow.product(),
            loss_probability: 1.0 - self.passes.product(),
            capacity_share: self.left.product(),
        }
    }

    fn is_empty(&self) -> bool {
        self.crashes == 0
            && self.hangs == 0
            && self.drains == 0
            && self.slow.is_empty()
            && self.passes.is_empty()
            && self.left.is_empty()
    }
}

fn is_of_replicas(effect: Effect) -> bool {
    matches!(
        effect,
        Effect::Crash
            | Effect::Hang
            | Effect::Draining { .. }
            | Effect::Slow { .. }
            | Effect::PacketLoss { .. }
            | Effect::BrownOut { .. }
    )
}
