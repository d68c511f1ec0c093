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
        let now = queue.now();
        if self.nobody_pays(now) {
            return;
        }
        let at = usize::from(index);
        if self.scalers[at].measures(now) {
            let sample = self.measure(at, now);
            self.scalers[at].measured(sample, now);
        }
        let Some((current, places, region)) = self.wanted_of(at) else {
            return;
        };
        // As long as it says nothing, as many may stay as there are.
        let most = self.scalers[at].most.min(places);
        let wanted = self.scalers[at].decide(current, now);
        // Nobody hears of it while there is no control plane.
        if !self.control_plane_is_lost(region) {
            let most = match wanted {
                Some(_) => most,
                None => most.max(current),
            };
            let asked = wanted.unwrap_or(current).min(most);
            let allowed = self.limited(at, asked).min(most);
            let differs = wanted.is_some() && asked != allowed;
            self.scalers[at].limited += u64::from(differs);
            if allowed != current {
                self.scalers[at].changes += 1;
                self.want_in_parts(at, allowed, queue);
            }
        }
        queue.schedule(self.scalers[at].next_at().max(now), Event::ScaleDue(index));
    }

    /// Nodes that the groups of a scaler are to have, the most they may have, and their region.
    fn wanted_of(&self, scaler: usize) -> Option<(u32, u32, u16)> {
        let plan = self.plan.capacity.as_ref()?;
        let capacity = self.capacity.as_ref()?;
        let parts = &plan.scalers.get(scaler)?.parts;
        let region = plan.groups[usize::from(parts.first()?.0)].region;
        let groups = parts.iter().map(|(group, _)| usize::from(*group));
        let all = groups.fold((0_u32, 0_u32), |(wanted, places), group| {
            let wanted = wanted.saturating_add(capacity.groups[group].wanted);
            (wanted, places.saturating_add(plan.groups[group].slots))
        });
        Some((all.0, all.1, region))
    }

    /// What may be asked for of the groups of a scaler, of what it wants.
    fn limited(&self, scaler: usize, wanted: u32) -> u32 {
        let (Some(plan), Some(capacity)) = (&self.plan.capacity, &self.capacity) else {
            return wanted;
        };
        let others = |other: u16| capacity.groups[usize::from(other)].wanted;
        plan.limited(&plan.scalers[scaler], wanted, others)
    }

    /// The groups of a scaler are to have so many nodes in all.
    fn want_in_parts(&mut self, scaler: usize, all: u32, queue: &mut EventQueue<Event>) {
        let Some(plan) = self.plan.capacity.clone() else {
            return;
        };
        for (group, wanted) in plan.scalers[scaler].split(all) {
            let places = plan.groups[usize::from(group)].slots;
            self.want_nodes(group, wanted.min(places), queue);
        }
    }

    fn measure(&self, scaler: usize, now: SimTime) -> Sample {
        let signal = self.scalers[scaler].signal;
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
        let Some(plan) = &self.plan.capacity else {
            return sample;
        };
        for (group, _) in &plan.scalers[scaler].parts {
            self.measure_group(*group, scaler, now, &mut sample);
        }
        if let Some(total) = sample.total {
            let each = total / sample.values.len().max(1) as f64;
            sample.values.fill(each);
        }
        sample
    }

    fn measure_group(&self, group: u16, scaler: usize, now: SimTime, sample: &mut Sample) {
        let (Some(plan), Some(capacity)) = (&self.plan.capacity, &self.capacity) else {
            return;
        };
        let signal = self.scalers[scaler].signal;
        let lender = plan.groups[usize::from(group)].fall_back_on;
        let mut own = plan.scalers[scaler].parts.iter();
        let is_counted = own.any(|(part, _)| Some(*part) == lender);
        let (mut ready, mut starting) = (0, 0);
        for &slot in capacity.present(group) {
            match capacity.node(ReplicaId(slot)).phase {
                Phase::Ready => {
                    sample.values.push(self.value_of(slot, signal, now));
                    ready += 1;
                }
                Phase::Starting => starting += 1,
                Phase::Gone | Phase::Draining => {}
            }
        }
        // What others lent does the work of the group, and what could not be had is awaited.
        let there = &capacity.groups[usize::from(group)];
        let mut lacks = there.wanted.saturating_sub(ready + starting);
        for slot in capacity.lent_to(plan, group) {
            if lacks > 0 {
                lacks -= 1;
                if !is_counted {
                    sample.values.push(self.value_of(slot, signal, now));
                }
            }
        }
        sample.unready += starting + lacks;
    }

    fn value_of(&self, slot: u32, signal: Signal, now: SimTime) -> f64 {
        let signals = self.replicas[slot as usize].signals(&self.requests, now);
        match signal {
            Signal::InFlight => f64::from(signals.waiting + signals.running),
            Signal::Queue => f64::from(signals.waiting),
            Signal::KvUse => signals.kv_usage,
            // Shared out by the caller.
            Signal::Backlog => 0.0,
        }
    }
}
