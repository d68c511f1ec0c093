//! The way of a try from its client to a gateway, and of what became of it back.
//!
//! ```text
//! client -> (DNS names a region) -> way there -> gateway ... gateway -> way back -> client
//! ```

use crate::engine::{EventQueue, SimDuration, SimTime};
use crate::fleet::event::Event;
use crate::fleet::geo::RegionIndex;
use crate::fleet::ids::{NONE, ReplicaId, RequestId};
use crate::fleet::request::Status;

use super::World;
use super::faults::Way;

impl World {
    /// A try sets out for the region that its client is told.
    pub(super) fn set_out(
        &mut self,
        id: RequestId,
        population: u16,
        who: u32,
        queue: &mut EventQueue<Event>,
    ) {
        self.report_loads(queue.now());
        let region = match &mut self.geo {
            Some(geo) => geo.choose(population, u64::from(who), queue.now()),
            None => Ok(RegionIndex(0)),
        };
        let regions = self.plan.topology.regions.len() as u16;
        let named = region.map_or(regions, |region| region.0);
        if let Some(calls) = &mut self.calls {
            calls.attempt_mut(id.slot).region = named;
        }
        self.meters.regions[usize::from(named)].began += 1;
        let Ok(region) = region else {
            return self.try_ended(id.slot, Status::FailedDns, queue);
        };
        let region = region.0;
        self.meters.timeline.set_out(queue.now(), region);
        let way =
            self.plan.topology.populations[usize::from(population)].one_way[usize::from(region)];
        self.requests.at_mut(id.slot).gateway_replica = self.gateways.pick(region);
        if let Some(calls) = &mut self.calls {
            calls.attempt_mut(id.slot).outward = way;
        }
        if self.is_cut_off(Way::Clients(region)) || self.region_is_down(region) {
            let timeout = self.plan.connect_timeout;
            return self.fail_after(id.slot, Status::FailedNetwork, timeout, queue);
        }
        match way {
            SimDuration::ZERO => self.enter(id, queue),
            way => queue.schedule(queue.now() + way, Event::AtGateway(id)),
        }
    }

    /// Tells whoever sends clients to regions how full those are, if that is due. Only answers rest
    /// on it, so that a try that asks for one is early enough.
    fn report_loads(&mut self, now: SimTime) {
        if !self.geo.as_mut().is_some_and(|geo| geo.loads_are_due(now)) {
            return;
        }
        for region in 0..self.plan.topology.regions.len() as u16 {
            let load = self.load_of(region, now);
            if let Some(geo) = &mut self.geo {
                geo.report_load(RegionIndex(region), load, now);
            }
        }
    }

    /// Requests at the replicas of a region, by what its living ones can work on at once. Without
    /// any it is as full as can be.
    fn load_of(&self, region: u16, now: SimTime) -> f64 {
        let (mut present, mut seats) = (0, 0);
        for (id, replica) in (0..).map(ReplicaId).zip(&self.replicas) {
            let pool = &self.plan.pools[usize::from(replica.pool.0)];
            if pool.region == region && self.is_alive(id) {
                let running = replica.signals(&self.requests, now).running;
                present += u64::from(running) + u64::from(replica.waiting());
                seats += pool.seats(&self.plan.window);
            }
        }
        match seats {
            0 => f64::INFINITY,
            seats => present as f64 / seats as f64,
        }
    }

    /// A try has failed, and the news takes that long to its gateway.
    pub(super) fn fail_after(
        &mut self,
        slot: u32,
        status: Status,
        delay: SimDuration,
        queue: &mut EventQueue<Event>,
    ) {
        if delay == SimDuration::ZERO {
            return self.end(slot, status, queue);
        }
        let id = self.requests.id(slot);
        if let Some(calls) = &mut self.calls {
            calls.attempt_mut(slot).failed = Some(status);
        }
        queue.schedule(queue.now() + delay, Event::Failed(id));
    }

    /// The news of a failure has come.
    pub(super) fn failed(&mut self, id: RequestId, queue: &mut EventQueue<Event>) {
        let Some(slot) = self.requests.live_slot(id) else {
            return;
        };
        let failed = self
            .calls
            .as_ref()
            .and_then(|calls| calls.attempt(slot).failed);
        if let Some(status) = failed {
            self.end(slot, status, queue);
        }
    }

    /// What became of a try goes from its gateway to its client.
    pub(super) fn answer(&mut self, slot: u32, status: Status, queue: &mut EventQueue<Event>) {
        let id = self.requests.id(slot);
        let Some(calls) = &mut self.calls else { return };
        let attempt = calls.attempt_mut(slot);
        attempt.back_at = queue.now();
        if attempt.is_given_up() {
            return self.try_ended(slot, status, queue);
        }
        attempt.ended = Some(status);
        let region = attempt.region;
        let way = self.plan.topology.populations[usize::from(attempt.population)].one_way
            [usize::from(region)];
        if self.is_cut_off(Way::Clients(region)) {
            return self.hold(Way::Clients(region), way, Event::Answered(id));
        }
        match way {
            SimDuration::ZERO => self.try_ended(slot, status, queue),
            way => queue.schedule(queue.now() + way, Event::Answered(id)),
        }
    }

    /// What became of a try has come to its client.
    pub(super) fn answered(&mut self, id: RequestId, queue: &mut EventQueue<Event>) {
        let Some(slot) = self.requests.live_slot(id) else {
            return;
        };
        let ended = self
            .calls
            .as_ref()
            .and_then(|calls| calls.attempt(slot).ended);
        if let Some(status) = ended {
            self.try_ended(slot, status, queue);
        }
    }

    /// The gateway of a try has died: its client sees the connection break. What a replica has of
    /// it goes on for nobody.
    pub(super) fn lost_at_gateway(&mut self, slot: u32, queue: &mut EventQueue<Event>) {
        let Some(calls) = &self.calls else { return };
        let attempt = calls.attempt(slot);
        if attempt.is_given_up() {
            return;
        }
        if attempt.ended.is_some() {
            return self.try_ended(slot, Status::FailedGateway, queue);
        }
        let call = attempt.call;
        if self.requests.at(slot).replica.0 == NONE {
            if !self.gates.is_empty() {
                self.leave_gate(slot, Status::FailedGateway, queue);
            }
            return self.try_ended(slot, Status::FailedGateway, queue);
        }
        self.give_up(slot, queue);
        self.try_failed(call, Status::FailedGateway, slot, queue);
        self.drop_try(slot, queue);
    }
}
