//! What breaks: replicas that die, hang or slow down, regions that leave, deployments that fail.

use rand::RngExt;
use rustc_hash::FxHashMap;

use crate::engine::{EventQueue, SimDuration, SimRng, SimTime, Timer};
use crate::fleet::context::Context;
use crate::fleet::event::Event;
use crate::fleet::faults::{
    Change, Condition, Effect, FaultSchedule, FleetImpairments, Impairments, Peer, Scope, What,
};
use crate::fleet::geo::RegionIndex;
use crate::fleet::health::watch::Reason;
use crate::fleet::ids::{PoolId, ReplicaId};
use crate::fleet::plan::FleetPlan;
use crate::fleet::request::Status;
use crate::fleet::timeline::Note;
use crate::trace::TraceError;

use super::World;

/// Factor on the arrivals of a population.
pub(super) fn traffic_factor(faults: &Option<Box<Faults>>, population: u16) -> f64 {
    let faults = faults.as_ref();
    faults.map_or(1.0, |faults| faults.wide.traffic_factor(population))
}

/// Most times that a lost message is sent again, as Linux's `tcp_retries2`.
const MOST_RETRANSMITS: u32 = 15;

/// What is broken, and what will be.
#[derive(Debug, Clone)]
pub(super) struct Faults {
    schedule: FaultSchedule,
    replicas: Impairments,
    wide: FleetImpairments,
    /// Crashes in force of each region's gateways.
    regions_down: Vec<u32>,
    /// Replicas that are dead or hung.
    down: u64,
    /// Which those are.
    is_down: Vec<bool>,
    /// Events of replicas that hang, until they go on.
    held: FxHashMap<u32, Vec<Event>>,
    /// Messages between a client and a region, or a gateway and a replica, that are cut off from
    /// one another: they come through when that is over.
    waiting: Vec<(Way, SimDuration, Event)>,
    rng: SimRng,
    /// The next change.
    timer: Option<Timer>,
}

/// A way that may be cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Between clients and the gateways of a region.
    Clients(u16),
    /// Between the gateways of a region and the replicas of another, or its own.
    Replicas(u16, u16),
}

impl Faults {
    /// What will break, from time 0 on; none where nothing does.
    pub fn new(plan: &FleetPlan) -> Result<Option<Box<Faults>>, TraceError> {
        let Some(faults) = &plan.faults else {
            return Ok(None);
        };
        let end = plan.end;
        let schedule = FaultSchedule::new(&faults.faults, &faults.layout, plan.streams, end)
            .map_err(|reason| TraceError::Setup { reason })?;
        let regions = plan.topology.regions.len();
        Ok(Some(Box::new(Faults {
            schedule,
            replicas: Impairments::new(plan.replicas()),
            wide: FleetImpairments::new(regions, plan.topology.populations.len()),
            regions_down: vec![0; regions],
            down: 0,
            is_down: vec![false; plan.replicas() as usize],
            held: FxHashMap::default(),
            waiting: Vec::new(),
            rng: plan.streams.stream("fault", 0, "messages"),
            timer: None,
        })))
    }

    /// Applies to a replica what is not a fault; how it was and how it is.
    pub fn impair(&mut self, replica: ReplicaId, what: What) -> (Condition, Condition) {
        self.replicas.apply(replica.0, what)
    }

    /// Whether a replica answers at all.
    pub fn answers(&self, replica: ReplicaId) -> bool {
        self.replicas.condition(replica.0).answers()
    }

    /// Whether a region's gateways live and clients are not cut off from them.
    fn clients_reach(&self, region: u16) -> bool {
        self.regions_down[usize::from(region)] == 0 && !self.is_cut_off(Way::Clients(region))
    }

    fn is_cut_off(&self, way: Way) -> bool {
        match way {
            Way::Clients(region) => self.wide.is_cut_off(RegionIndex(region), Peer::Clients),
            Way::Replicas(from, to) if from == to => {
                self.wide.is_cut_off(RegionIndex(from), Peer::Gateways)
            }
            Way::Replicas(from, to) => self
                .wide
                .is_cut_off(RegionIndex(from), Peer::Region(RegionIndex(to))),
        }
    }
}

impl World {
    /// Faults begin or end now.
    pub(super) fn faults_change(&mut self, queue: &mut EventQueue<Event>) {
        loop {
            let Some(faults) = &mut self.faults else {
                return;
            };
            match faults.schedule.next_at() {
                Some(at) if at <= queue.now() => {}
                Some(at) => {
                    faults.timer = Some(queue.schedule_timer(at, Event::Fault));
                    return self.rest_if_over(queue);
                }
                None => return,
            }
            if let Some(change) = faults.schedule.next_change() {
                self.erasure_conditions(true, queue);
                self.apply(&change, queue);
                self.erasure_conditions(false, queue);
            }
        }
    }

    /// Nobody is left to be hit: a run ends when nothing is in flight and nothing comes.
    pub(super) fn rest_if_over(&mut self, queue: &mut EventQueue<Event>) {
        if !self.is_over() {
            return;
        }
        if let Some(faults) = &mut self.faults
            && let Some(timer) = faults.timer.take()
        {
            queue.cancel(timer);
        }
    }

    /// Whether nothing is in flight and nothing comes.
    pub(super) fn is_over(&self) -> bool {
        let more = !self.arrivals_over || !self.extras.is_empty() || self.source.has_users();
        !more && self.in_flight() == 0
    }

    fn apply(&mut self, change: &Change, queue: &mut EventQueue<Event>) {
        self.note(queue.now(), Note::Fault(*change));
        let Some(faults) = &mut self.faults else {
            return;
        };
        if faults.wide.apply(change) {
            return self.wide_change(change, queue);
        }
        let replicas: Vec<u32> = faults.schedule.places().replicas(change.scope).collect();
        if let (Scope::Region(region), What::Begin(Effect::Crash)) = (change.scope, change.what) {
            self.region_leaves(region.0, queue);
        }
        if let (Scope::Region(region), What::End(Effect::Crash)) = (change.scope, change.what) {
            self.region_returns(region.0, queue);
        }
        for replica in replicas {
            let Some(faults) = &mut self.faults else {
                return;
            };
            let (before, after) = faults.replicas.apply(replica, change.what);
            self.condition_changes(ReplicaId(replica), before, after, queue);
        }
    }

    pub(super) fn condition_changes(
        &mut self,
        replica: ReplicaId,
        before: Condition,
        after: Condition,
        queue: &mut EventQueue<Event>,
    ) {
        let now = queue.now();
        if before.answers() != after.answers() {
            self.recount(replica, now);
        }
        if before.alive && !after.alive {
            self.crash(replica, queue);
        }
        if !before.hung && after.hung {
            self.with_replica(replica, queue, |replica, id, ctx| replica.stall(id, ctx));
        }
        if before.hung && !after.hung {
            self.go_on(replica, queue);
        }
        let slowness = |condition: &Condition| condition.slow_factor / condition.capacity_share;
        if slowness(&before) != slowness(&after) {
            let factor = slowness(&after);
            self.with_replica(replica, queue, |there, id, ctx| {
                there.slow_down(factor, id, ctx);
            });
        }
        if before.draining != after.draining {
            for gateway in 0..self.gateways.count() {
                let gone = after.draining;
                self.set_reason(gateway, replica, Reason::Draining, gone, queue);
            }
        }
        self.probe_in_time(replica, queue);
    }

    /// Whether a replica counts as down may be another now: nodes that are not there do not.
    pub(super) fn recount(&mut self, replica: ReplicaId, now: SimTime) {
        let absent = self.is_absent(replica);
        let Some(faults) = &mut self.faults else {
            return;
        };
        let is_down = !faults.answers(replica) && !absent;
        let known = &mut faults.is_down[replica.0 as usize];
        match (*known, is_down) {
            (false, true) => faults.down += 1,
            (true, false) => faults.down -= 1,
            _ => return,
        }
        *known = is_down;
        self.meters.timeline.down(now, faults.down);
    }

    /// Does something with a replica, in its surroundings.
    pub(super) fn with_replica<T>(
        &mut self,
        id: ReplicaId,
        queue: &mut EventQueue<Event>,
        act: impl FnOnce(&mut super::Replica, ReplicaId, &mut Context<'_>) -> T,
    ) -> T {
        let replica = &mut self.replicas[id.0 as usize];
        let pool = replica.pool.0 as usize;
        let mut ctx = Context {
            now: queue.now(),
            queue,
            requests: &mut self.requests,
            meter: &mut self.pools[pool].meter,
            done: &mut self.done,
            firsts: self.tells_firsts.then_some(&mut self.firsts),
            store: self.store.as_deref(),
            region: self.plan.pools[pool].region,
        };
        act(replica, id, &mut ctx)
    }

    /// A replica dies: all that it had is lost, and its gateways hear of the broken connections.
    fn crash(&mut self, id: ReplicaId, queue: &mut EventQueue<Event>) {
        if let Some(faults) = &mut self.faults {
            faults.held.remove(&id.0);
        }
        let lost = self.requests.live_slots().filter(|slot| {
            let request = self.requests.at(*slot);
            request.replica == id && request.work.present
        });
        let lost: Vec<u32> = lost.collect();
        let pool = self.replicas[id.0 as usize].pool.0 as usize;
        let plan = std::sync::Arc::clone(&self.plan);
        self.with_replica(id, queue, |replica, id, ctx| {
            replica.crash(id, &plan.pools[pool].engine, ctx);
        });
        self.block_news.retain(|(_, replica, ..)| *replica != id);
        self.gateways.everywhere(id, |router| router.forget(id));
        for slot in lost {
            self.leave_replica(slot, queue);
            self.lost_at_replica(slot, queue);
        }
    }

    /// A request was at a dead replica, or came to one: the news goes back.
    pub(super) fn lost_at_replica(&mut self, slot: u32, queue: &mut EventQueue<Event>) {
        let request = self.requests.at(slot);
        let pool = self.replicas[request.replica.0 as usize].pool.0 as usize;
        let region = self.gateways.region(request.gateway_replica);
        let back = self.plan.hop_back(region, pool);
        self.fail_after(slot, Status::FailedReplica, back, queue);
    }

    /// A hung replica goes on with what it should have done.
    fn go_on(&mut self, id: ReplicaId, queue: &mut EventQueue<Event>) {
        let held = match &mut self.faults {
            Some(faults) => faults.held.remove(&id.0).unwrap_or_default(),
            None => return,
        };
        for event in held {
            match event {
                Event::Step(..) => {
                    queue.schedule_late(queue.now(), id.0, event);
                }
                _ => queue.schedule(queue.now(), event),
            }
        }
        self.with_replica(id, queue, |replica, id, ctx| replica.resume(id, ctx));
    }

    /// Holds back an event of a replica that hangs; true where it does.
    #[inline]
    pub(super) fn is_held(&mut self, id: ReplicaId, event: Event) -> bool {
        let Some(faults) = &mut self.faults else {
            return false;
        };
        let condition = faults.replicas.condition(id.0);
        if condition.hung && condition.alive {
            faults.held.entry(id.0).or_default().push(event);
        }
        !condition.answers()
    }

    /// Whether a replica is alive.
    #[inline]
    pub(super) fn is_alive(&self, replica: ReplicaId) -> bool {
        let faults = self.faults.as_ref();
        faults.is_none_or(|faults| faults.replicas.is_alive(replica.0))
    }

    /// Whether a replica answers a gateway's probe.
    pub(super) fn answers_probe(&self, gateway: u16, replica: ReplicaId) -> bool {
        let Some(faults) = &self.faults else {
            return true;
        };
        let from = self.gateways.region(gateway);
        let pool = self.replicas[replica.0 as usize].pool.0 as usize;
        let way = Way::Replicas(from, self.plan.pools[pool].region);
        faults.replicas.condition(replica.0).answers() && !faults.is_cut_off(way)
    }

    /// Whether nothing passes on a way.
    pub(super) fn is_cut_off(&self, way: Way) -> bool {
        let faults = self.faults.as_ref();
        faults.is_some_and(|faults| faults.is_cut_off(way))
    }

    /// Keeps a message until its way is free: then it goes again, and takes as long as any.
    pub(super) fn hold(&mut self, way: Way, takes: SimDuration, event: Event) {
        if let Some(faults) = &mut self.faults {
            faults.waiting.push((way, takes, event));
        }
    }

    /// Whether the gateways of a region are dead.
    pub(super) fn region_is_down(&self, region: u16) -> bool {
        let faults = self.faults.as_ref();
        faults.is_some_and(|faults| faults.regions_down[usize::from(region)] > 0)
    }

    /// Whether a region goes on with what it knew of the replicas' health.
    pub(super) fn control_plane_is_lost(&self, region: u16) -> bool {
        let faults = self.faults.as_ref();
        faults.is_some_and(|faults| faults.wide.control_plane_is_lost(RegionIndex(region)))
    }

    /// Whether requests for nodes of a region are refused.
    pub(super) fn launches_are_refused(&self, region: u16) -> bool {
        let faults = self.faults.as_ref();
        faults.is_some_and(|faults| faults.wide.launches_are_refused(RegionIndex(region)))
    }

    fn region_leaves(&mut self, region: u16, queue: &mut EventQueue<Event>) {
        let Some(faults) = &mut self.faults else {
            return;
        };
        let crashes = &mut faults.regions_down[usize::from(region)];
        *crashes += 1;
        if *crashes > 1 {
            return;
        }
        self.steering_sees(region, queue.now());
        if let Some(store) = &mut self.store {
            store.region_lost(region, queue.now());
        }
        // Whatever its gateways were at is lost; clients see their connections break.
        let held = self.requests.live_slots().filter(|slot| {
            let request = self.requests.at(*slot);
            self.gateways.region(request.gateway_replica) == region
        });
        let held: Vec<u32> = held.collect();
        for slot in held {
            self.lost_at_gateway(slot, queue);
        }
    }

    fn region_returns(&mut self, region: u16, queue: &mut EventQueue<Event>) {
        let Some(faults) = &mut self.faults else {
            return;
        };
        let crashes = &mut faults.regions_down[usize::from(region)];
        *crashes = crashes.saturating_sub(1);
        self.steering_sees(region, queue.now());
    }

    /// Tells whoever sends clients to regions whether clients reach one now. A region may be dead
    /// and cut off at once, more than once: it is back when all of that is over.
    fn steering_sees(&mut self, region: u16, now: SimTime) {
        let (Some(geo), Some(faults)) = (&mut self.geo, &self.faults) else {
            return;
        };
        // Nobody tells it while there is no control plane anywhere: it is told afterwards.
        if faults.wide.control_plane_is_lost_everywhere() {
            return;
        }
        match faults.clients_reach(region) {
            true => geo.region_up(RegionIndex(region), now),
            false => geo.region_down(RegionIndex(region), now),
        }
    }

    fn wide_change(&mut self, change: &Change, queue: &mut EventQueue<Event>) {
        let (What::Begin(effect) | What::End(effect)) = change.what;
        let begins = matches!(change.what, What::Begin(_));
        match effect {
            Effect::Partition { from } => {
                // A region that no client reaches counts as down where clients are sent.
                if let (Peer::Clients, Scope::Region(region)) = (from, change.scope) {
                    self.steering_sees(region.0, queue.now());
                }
                if let Scope::Region(_) = change.scope {
                    for replica in 0..self.replicas.len() as u32 {
                        self.probe_in_time(ReplicaId(replica), queue);
                    }
                }
                if !begins {
                    self.ways_are_free(queue);
                }
            }
            Effect::DnsOutage => {
                let populations = self.plan.topology.populations.len() as u16;
                let (Some(geo), Some(faults)) = (&mut self.geo, &self.faults) else {
                    return;
                };
                for population in 0..populations {
                    let out = faults.wide.dns_is_out(population);
                    geo.set_dns_outage(population, out, queue.now());
                }
            }
            Effect::ControlPlaneLoss if !begins => {
                for region in 0..self.plan.topology.regions.len() as u16 {
                    self.steering_sees(region, queue.now());
                }
                // Gateways learn at once what they were not told.
                for gateway in 0..self.gateways.count() {
                    if let Some(watch) = self.gateways.watch(gateway) {
                        watch.tell_all();
                    }
                    for replica in 0..self.replicas.len() as u32 {
                        self.gateways.heed(gateway, ReplicaId(replica), queue.now());
                    }
                }
            }
            _ => {}
        }
    }

    /// Messages set out again whose way is free.
    fn ways_are_free(&mut self, queue: &mut EventQueue<Event>) {
        let Some(faults) = &mut self.faults else {
            return;
        };
        let waiting = std::mem::take(&mut faults.waiting);
        for (way, takes, event) in waiting {
            match faults.is_cut_off(way) {
                true => faults.waiting.push((way, takes, event)),
                false => queue.schedule(queue.now() + takes, event),
            }
        }
    }

    /// How much later a message comes for having been lost and sent again, between a gateway and a
    /// replica.
    pub(super) fn delay_of_losses(&mut self, replica: ReplicaId) -> SimDuration {
        let Some(faults) = &mut self.faults else {
            return SimDuration::ZERO;
        };
        let loss = faults.replicas.condition(replica.0).loss_probability;
        if loss <= 0.0 {
            return SimDuration::ZERO;
        }
        let mut delay = SimDuration::ZERO;
        let mut wait = self.plan.retransmit;
        for _ in 0..MOST_RETRANSMITS {
            if faults.rng.random::<f64>() >= loss {
                break;
            }
            delay = SimDuration(delay.0.saturating_add(wait.0));
            wait = SimDuration(wait.0.saturating_mul(2));
        }
        delay
    }

    /// Whether a bad deployment hits a request of a user to a replica: then where it goes, or that
    /// it fails.
    pub(super) fn misdeployed(
        &mut self,
        replica: ReplicaId,
        user: u64,
        now: SimTime,
    ) -> Option<Option<PoolId>> {
        let faults = self.faults.as_mut()?;
        if faults.wide.deploys().is_empty() {
            return None;
        }
        let pool = self.replicas[replica.0 as usize].pool;
        let region = RegionIndex(self.plan.pools[usize::from(pool.0)].region);
        let hit = faults
            .wide
            .hit((pool, Some(region)), user, now, &mut faults.rng)?;
        Some(hit.misroute_to)
    }

    /// A replica of a pool, any of them.
    pub(super) fn any_of(&mut self, pool: PoolId) -> Option<ReplicaId> {
        let first: u32 = self.plan.pools[..usize::from(pool.0)]
            .iter()
            .map(|pool| pool.replicas)
            .sum();
        let count = self.plan.pools[usize::from(pool.0)].replicas;
        let faults = self.faults.as_mut()?;
        Some(ReplicaId(first + faults.rng.random_range(0..count)))
    }

    /// Notes that something changed.
    pub(super) fn note(&mut self, now: SimTime, note: Note) {
        self.meters.timeline.note(now, note);
    }
}
