//! Scalers measure, and what they want is done.

use crate::engine::{EventQueue, SimTime};
use crate::fleet::capacity::node::Phase;
use crate::fleet::capacity::scaler::{Sample, Scaler};
use crate::fleet::event::Event;
use crate::fleet::ids::ReplicaId;
use crate::scenario::scaling::Signal;

use super::World;

impl World {
    /// Scalers look for the first time.
    pub(super) fn scalers_begin(&mut self, queue: &mut EventQueue<Event>) {
        for scaler in 0..self.scalers.len() as u16 {
            queue.schedule(queue.now(), Event::ScaleDue(scaler));
        }
    }

    /// All scalers.
    pub fn scalers(&self) -> impl Iterator<Item = &Scaler> {
        self.scalers.iter()
    }

    /// A scaler measures, or learns what was measured.
    pub(super) fn scale_due(&mut self, index: u16, queue: &mut EventQueue<Event>) {
        if self.is_over() {
            return;
        }
        let now = queue.now();
        let at = usize::from(index);
        if self.scalers[at].measures(now) {
            let sample = self.measure(at, now);
            self.scalers[at].measured(sample, now);
        }
        let group = self.scalers[at].group;
        let Some((current, most, region)) = self.wanted_of(group) else {
            return;
        };
        let wanted = self.scalers[at].decide(current, now);
        // Nobody hears of it while there is no control plane.
        if !self.control_plane_is_lost(region) {
            let allowed = self.limited(group, wanted.unwrap_or(current).min(most));
            let differs = wanted.is_some_and(|wanted| wanted.min(most) != allowed);
            self.scalers[at].limited += u64::from(differs);
            if allowed != current {
                self.want_nodes(group, allowed, queue);
            }
        }
        queue.schedule(self.scalers[at].next_at().max(now), Event::ScaleDue(index));
    }

    /// Nodes that a group is to have, the most it may have, and its region.
    fn wanted_of(&self, group: u16) -> Option<(u32, u32, u16)> {
        let rule = &self.plan.capacity.as_ref()?.groups[usize::from(group)];
        let there = &self.capacity.as_ref()?.groups[usize::from(group)];
        Some((there.wanted, rule.slots, rule.region))
    }

    /// What may be asked for of a group, of what its scaler wants.
    fn limited(&self, group: u16, wanted: u32) -> u32 {
        let (Some(plan), Some(capacity)) = (&self.plan.capacity, &self.capacity) else {
            return wanted;
        };
        let others = |other: u16| capacity.groups[usize::from(other)].wanted;
        plan.limited(group, wanted, others)
    }

    fn measure(&self, scaler: usize, now: SimTime) -> Sample {
        let Scaler { group, signal, .. } = self.scalers[scaler];
        let plan = self.plan.capacity.as_ref();
        let tiers = plan.and_then(|plan| plan.scalers.get(scaler));
        let tiers = || {
            let tiers = tiers.iter().flat_map(|scaler| &scaler.tiers);
            tiers.map(|tier| usize::from(*tier))
        };
        let arrived = tiers().map(|tier| self.meters.tiers[tier].began);
        let backlog = tiers().map(|tier| self.meters.backlogs[tier].present());
        let mut sample = Sample {
            values: Vec::new(),
            total: None,
            unready: 0,
            arrived: arrived.sum(),
        };
        if signal == Signal::Backlog {
            sample.total = Some(backlog.sum::<u64>() as f64);
        }
        let (Some(plan), Some(capacity)) = (&self.plan.capacity, &self.capacity) else {
            return sample;
        };
        for slot in plan.groups[usize::from(group)].replicas() {
            match capacity.node(ReplicaId(slot)).phase {
                Phase::Ready => {
                    let signals = self.replicas[slot as usize].signals(&self.requests, now);
                    sample.values.push(match signal {
                        Signal::InFlight => f64::from(signals.waiting + signals.running),
                        Signal::Queue => f64::from(signals.waiting),
                        Signal::KvUse => signals.kv_usage,
                        // Shared out below.
                        Signal::Backlog => 0.0,
                    });
                }
                Phase::Starting => sample.unready += 1,
                Phase::Gone | Phase::Draining => {}
            }
        }
        if let Some(total) = sample.total {
            let each = total / sample.values.len().max(1) as f64;
            sample.values.fill(each);
        }
        sample
    }
}
