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
            let sample = self.measure(self.scalers[at].group, self.scalers[at].signal, now);
            self.scalers[at].measured(sample, now);
        }
        let group = self.scalers[at].group;
        let Some((current, most, region)) = self.wanted_of(group) else {
            return;
        };
        let wanted = self.scalers[at].decide(current, now);
        // Nobody hears of it while there is no control plane.
        if let Some(wanted) = wanted.filter(|_| !self.control_plane_is_lost(region)) {
            self.want_nodes(group, wanted.min(most), queue);
        }
        queue.schedule(self.scalers[at].next_at().max(now), Event::ScaleDue(index));
    }

    /// Nodes that a group is to have, the most it may have, and its region.
    fn wanted_of(&self, group: u16) -> Option<(u32, u32, u16)> {
        let rule = &self.plan.capacity.as_ref()?.groups[usize::from(group)];
        let there = &self.capacity.as_ref()?.groups[usize::from(group)];
        Some((there.wanted, rule.slots, rule.region))
    }

    fn measure(&self, group: u16, signal: Signal, now: SimTime) -> Sample {
        let mut sample = Sample {
            values: Vec::new(),
            unready: 0,
            arrived: self.meters.arrived,
        };
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
                    });
                }
                Phase::Starting => sample.unready += 1,
                Phase::Gone | Phase::Draining => {}
            }
        }
        sample
    }
}
