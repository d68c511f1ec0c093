//! The simulated fleet, and the one match that says who talks to whom.
//!
//! ```text
//! workload -> gateway -> router -> (hop) -> window -> engine -> (hop) -> gateway
//!             rate limit            replica: ------------------
//! ```
//!
//! Where prompts and answers are computed apart, see [`handover`] for what lies between the two.
//!
//! Components never hold one another. The world hands each a [`Context`], and routes what they
//! return.

pub mod handover;

use std::sync::Arc;

use crate::engine::queue::LaneId;
use crate::engine::{EventQueue, Model, SimDuration, SimRng, SimTime};
use crate::measure::SloMeter;
use crate::scenario::roles::Role;
use crate::trace::TraceError;
use crate::workload::sessions::SessionCounts;
use crate::workload::{Offered, Source};

use super::context::Context;
use super::event::Event;
use super::gateway::{Gateway, TokenBucket};
use super::ids::{NONE, PoolId, ReplicaId, RequestId};
use super::meters::PoolMeter;
use super::outcome::{FleetMeters, RequestRow};
use super::plan::{EnginePlan, FleetPlan, ServicePlan};
use super::replica::{Replica, ReplicaEngine};
use super::request::{Request, Requests, Status};
use super::router::Router;
use super::servers::Batching;
use super::window::Window;
use handover::{Handover, replicas_where};

/// How long a closed-loop user who was turned away and does not think stays away: otherwise the
/// next request would come at the same instant, for ever. An assumption.
const BACK_OFF: SimDuration = SimDuration(1_000_000_000);

/// A pool at work: its plan's engine, its service stream, its meters.
#[derive(Debug, Clone)]
struct Pool {
    rng: SimRng,
    meter: PoolMeter,
}

/// The simulated fleet.
#[derive(Debug, Clone)]
pub struct World {
    plan: Arc<FleetPlan>,
    source: Source,
    gateway: Gateway,
    router: Router,
    handover: Option<Handover>,
    pools: Vec<Pool>,
    replicas: Vec<Replica>,
    requests: Requests,
    /// Numbers over all requests.
    pub meters: FleetMeters,
    /// Rows of requests that ended, until somebody takes them.
    pub rows: Vec<RequestRow>,
    pending: Option<Offered>,
    serial: u64,
    lanes: Lanes,
    done: Vec<u32>,
    released: Vec<u32>,
}

/// Lanes of the constant delays; those of replicas by pool.
#[derive(Debug, Clone)]
struct Lanes {
    gateway: LaneId,
    to_replica: Vec<LaneId>,
    from_replica: Vec<LaneId>,
}

impl World {
    /// Builds the fleet, and schedules what starts it.
    ///
    /// # Errors
    /// When a trace cannot be opened.
    pub fn new(plan: Arc<FleetPlan>, queue: &mut EventQueue<Event>) -> Result<World, TraceError> {
        let shares: Vec<f64> = plan.tiers.iter().map(|tier| tier.share).collect();
        let source = Source::new(
            plan.source.clone(),
            plan.streams,
            plan.horizon,
            plan.max_requests,
            &shares,
            plan.prefix.clone(),
            plan.sessions.clone(),
        )?;
        let mut replicas = Vec::new();
        let mut pools = Vec::new();
        for (index, pool) in plan.pools.iter().enumerate() {
            pools.push(Pool {
                rng: plan.streams.stream("pool", index as u64, "service"),
                meter: PoolMeter::new(plan.warmup, plan.horizon),
            });
            for _ in 0..pool.replicas {
                let id = ReplicaId(replicas.len() as u32);
                replicas.push(Replica {
                    pool: PoolId(index as u16),
                    window: Window::default(),
                    engine: ReplicaEngine::new(&pool.engine, pool.role, id, plan.streams),
                });
            }
        }
        let mut by_pool = |hop: &dyn Fn(usize) -> SimDuration| -> Vec<LaneId> {
            (0..plan.pools.len())
                .map(|pool| queue.lane(hop(pool)))
                .collect()
        };
        let to_replica = by_pool(&|pool| plan.hop_to(pool));
        let from_replica = by_pool(&|pool| plan.hop_back(pool));
        let lanes = Lanes {
            gateway: queue.lane(plan.gateway_cost),
            to_replica,
            from_replica,
        };
        let bucket = plan
            .rate_limit
            .map(|(rate, burst)| TokenBucket::new(rate, burst));
        let mut world = World {
            router: Router::new(
                plan.router,
                replicas_where(&plan, Role::is_entry),
                plan.streams,
                0,
            ),
            handover: Handover::new(&plan),
            gateway: Gateway::new(bucket),
            meters: FleetMeters::new(&plan),
            source,
            pools,
            replicas,
            requests: Requests::new(),
            rows: Vec::new(),
            pending: None,
            serial: 0,
            lanes,
            done: Vec::new(),
            released: Vec::new(),
            plan,
        };
        for user in 0..world.source.users() {
            // Users begin by thinking, so that they do not all come at once.
            let ready = SimTime::ZERO + world.source.think_time();
            queue.schedule(ready, Event::UserReady(user));
        }
        world.await_next(queue);
        Ok(world)
    }

    /// Whether more requests came than may be in flight: the run ends there.
    pub fn over_limit(&self) -> bool {
        self.requests.most() as u64 > self.plan.max_in_flight
    }

    /// What went wrong with the workload, if anything did.
    pub fn failure(&self) -> Option<&str> {
        self.source.failure()
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> u64 {
        self.requests.len() as u64
    }

    /// The most requests that were in flight at once.
    pub fn most_in_flight(&self) -> u64 {
        self.requests.most() as u64
    }

    /// Counts the measured requests in flight at `now` against their objectives: for the end of a
    /// run.
    pub fn slo_with_in_flight(&self, now: SimTime) -> Vec<SloMeter> {
        let mut meters = self.meters.slo.clone();
        for request in self.requests.live() {
            if self.meters.measures(request.arrival) {
                let seen = request.first_token != SimTime::NEVER;
                let age_ns = now.since(request.arrival).0;
                meters[request.tier as usize].record_in_flight(age_ns, seen);
            }
        }
        meters
    }

    /// Requests in flight that arrived within the measured window.
    pub fn measured_in_flight(&self) -> u64 {
        let live = self.requests.live();
        live.filter(|request| self.meters.measures(request.arrival))
            .count() as u64
    }

    /// Rows of the requests in flight, in order of arrival.
    pub fn in_flight_rows(&self) -> Vec<RequestRow> {
        let row = |request| RequestRow::new(request, "in_flight", &self.plan, &self.replicas);
        let mut rows: Vec<RequestRow> = self.requests.live().map(row).collect();
        rows.sort_by_key(|row| row.id);
        rows
    }

    /// Work of a pool that is under way at `now` and not yet in its meters, nanoseconds within the
    /// measured window.
    pub fn busy_under_way_ns(&self, pool: usize, now: SimTime) -> u128 {
        let meter = &self.pools[pool].meter;
        let replicas = self
            .replicas
            .iter()
            .filter(|replica| replica.pool.0 as usize == pool);
        let under_way = replicas.map(|replica| match &replica.engine {
            ReplicaEngine::Llm(engine) => engine.busy_under_way_ns(meter, now),
            ReplicaEngine::Ranks(ranks) => ranks.busy_under_way_ns(meter, now),
            ReplicaEngine::Sharing(sharing) => {
                let (servers, since) = sharing.at_work();
                u128::from(servers) * u128::from(meter.overlap_ns(since, now))
            }
            // Their meter counts the servers at work.
            ReplicaEngine::Servers(_) | ReplicaEngine::Batches(_) => 0,
        });
        under_way.sum()
    }

    /// Meters of a pool.
    pub fn pool_meter(&mut self, pool: usize) -> &mut PoolMeter {
        &mut self.pools[pool].meter
    }

    /// What became of sessions, where there are any.
    pub fn session_counts(&self) -> Option<SessionCounts> {
        self.source.session_counts()
    }

    /// Checks what must hold at any instant between events: KV blocks held are KV blocks taken,
    /// and the router counts what is outstanding. Returns the first thing that does not hold.
    pub fn check_conservation(&self) -> Result<(), String> {
        for (index, replica) in self.replicas.iter().enumerate() {
            let balance = match &replica.engine {
                ReplicaEngine::Llm(engine) => Some(engine.block_balance(&self.requests)),
                ReplicaEngine::Ranks(ranks) => Some(ranks.block_balance(&self.requests)),
                _ => None,
            };
            if let Some((held, taken)) = balance
                && held != taken
            {
                return Err(format!(
                    "replica {index}: sequences hold {held} KV blocks but {taken} are taken"
                ));
            }
        }
        for (pool, plan) in self.pools.iter().zip(&self.plan.pools) {
            let count = pool.meter.faster_than_physics;
            if count > 0 {
                return Err(format!(
                    "{count} iterations of pool {} were given less time than the hardware needs",
                    plan.name
                ));
            }
        }
        let handover = self.handover.as_ref();
        let outstanding =
            self.router.total_outstanding() + handover.map_or(0, Handover::total_outstanding);
        if let Some(counts) = self.session_counts()
            && !counts.balances()
        {
            return Err(format!("sessions do not add up: {counts:?}"));
        }
        if self.requests.is_empty() && outstanding != 0 {
            return Err(format!(
                "nothing is in flight but the routers count {outstanding} outstanding"
            ));
        }
        Ok(())
    }

    // ---- the workload ------------------------------------------------------------------------

    /// Keeps one arrival pending: a trace is never preloaded.
    fn await_next(&mut self, queue: &mut EventQueue<Event>) {
        self.pending = self.source.next_offered();
        if let Some(offered) = &self.pending {
            queue.schedule(offered.time.max(queue.now()), Event::Arrival);
        }
    }

    fn arrive(&mut self, offered: Offered, queue: &mut EventQueue<Event>) {
        let mut request = Request::new(
            self.serial,
            queue.now(),
            offered.prompt_tokens,
            offered.output_tokens,
        );
        self.serial += 1;
        request.tier = offered.tier;
        request.prefix = offered.prefix;
        request.priority = self.plan.tiers[offered.tier as usize].priority;
        request.user = offered.user;
        self.meters.arrived(&request, &self.plan);
        let id = self.requests.insert(request);
        self.meters
            .present_at_arrival(queue.now(), self.requests.len() as u64);
        let slot = id.slot;
        if !self.gateway.admit(queue.now()) {
            self.end(slot, Status::RejectedRateLimit, queue);
        } else if self.plan.gateway_cost == SimDuration::ZERO {
            self.route(slot, queue);
        } else {
            queue.schedule_in_lane(self.lanes.gateway, Event::GatewayDone(id));
        }
    }

    // ---- the way to a replica ----------------------------------------------------------------

    fn route(&mut self, slot: u32, queue: &mut EventQueue<Event>) {
        let replica = self.router.choose();
        let request = self.requests.at_mut(slot);
        request.gateway = queue.now();
        request.replica = replica;
        self.router.sent(replica, request.prompt_tokens);
        let pool = self.replicas[replica.0 as usize].pool.0 as usize;
        if self.plan.hop_to(pool) == SimDuration::ZERO {
            self.deliver(slot, queue);
        } else {
            let id = self.requests.id(slot);
            queue.schedule_in_lane(self.lanes.to_replica[pool], Event::Delivered(id));
        }
    }

    fn deliver(&mut self, slot: u32, queue: &mut EventQueue<Event>) {
        let plan = Arc::clone(&self.plan);
        let now = queue.now();
        let request = self.requests.at_mut(slot);
        request.delivered = now;
        let id = request.replica;
        let replica = &mut self.replicas[id.0 as usize];
        let pool = &mut self.pools[replica.pool.0 as usize];
        pool.meter.came(now);
        let mut ctx = Context {
            now,
            queue,
            requests: &mut self.requests,
            meter: &mut pool.meter,
            done: &mut self.done,
        };
        if let ReplicaEngine::Batches(servers) = &mut replica.engine {
            if let Some(mut batching) = batching(&plan, replica.pool, id, &mut pool.rng)
                && !servers.offer(slot, &mut batching, &mut ctx)
            {
                self.end(slot, Status::RejectedQueueFull, queue);
            }
        } else if plan.window.passes_through() {
            self.released.push(slot);
            self.join_released(id, queue);
        } else {
            let released = &mut self.released;
            replica
                .window
                .offer(slot, &plan.window, id, &mut ctx, released);
            self.join_released(id, queue);
        }
    }

    /// Passes what the window let go to the engine.
    fn join_released(&mut self, id: ReplicaId, queue: &mut EventQueue<Event>) {
        let mut released = std::mem::take(&mut self.released);
        for slot in released.drain(..) {
            if let Err(status) = self.join(slot, id, queue) {
                self.end(slot, status, queue);
            }
        }
        self.released = released;
    }

    fn join(
        &mut self,
        slot: u32,
        id: ReplicaId,
        queue: &mut EventQueue<Event>,
    ) -> Result<(), Status> {
        let replica = &mut self.replicas[id.0 as usize];
        let pool_index = replica.pool.0 as usize;
        let pool = &mut self.pools[pool_index];
        let plan = &self.plan.pools[pool_index].engine;
        let request = self.requests.at_mut(slot);
        request.queued = queue.now();
        if let EnginePlan::Abstract {
            service: ServicePlan::Single(law) | ServicePlan::Shared(law),
            ..
        } = plan
        {
            request.work.service = law.sample(&mut pool.rng);
        }
        let (prompt, output) = (request.prompt_tokens, request.output_tokens);
        let mut ctx = Context {
            now: queue.now(),
            queue,
            requests: &mut self.requests,
            meter: &mut pool.meter,
            done: &mut self.done,
        };
        let accepted = match (&mut replica.engine, plan) {
            (ReplicaEngine::Servers(servers), _) => servers.offer(slot, &mut ctx),
            (ReplicaEngine::Sharing(sharing), _) => sharing.offer(slot, id, &mut ctx),
            (ReplicaEngine::Llm(engine), EnginePlan::Llm { rules, .. }) => {
                if !handover::fits(&self.plan, pool_index, prompt, output) {
                    return Err(Status::RejectedTooLong);
                }
                engine.offer(slot, rules, &mut ctx);
                true
            }
            (ReplicaEngine::Ranks(ranks), _) => {
                if !handover::fits(&self.plan, pool_index, prompt, output) {
                    return Err(Status::RejectedTooLong);
                }
                ranks.offer(slot, &mut ctx);
                true
            }
            _ => true,
        };
        accepted.then_some(()).ok_or(Status::RejectedQueueFull)
    }

    // ---- work at a replica -------------------------------------------------------------------

    /// Lets a replica handle one of its own events, then sends off what it has finished.
    fn at_replica(&mut self, id: ReplicaId, event: Event, queue: &mut EventQueue<Event>) {
        let plan = Arc::clone(&self.plan);
        let replica = &mut self.replicas[id.0 as usize];
        let pool = &mut self.pools[replica.pool.0 as usize];
        let mut ctx = Context {
            now: queue.now(),
            queue,
            requests: &mut self.requests,
            meter: &mut pool.meter,
            done: &mut self.done,
        };
        let engine_plan = &plan.pools[replica.pool.0 as usize].engine;
        match (&mut replica.engine, event, engine_plan) {
            (ReplicaEngine::Llm(engine), Event::Step(_, lane), EnginePlan::Llm { rules, step }) => {
                engine.step(lane, rules, step.as_ref(), &mut ctx);
            }
            (ReplicaEngine::Ranks(ranks), Event::Step(..), EnginePlan::Llm { rules, step }) => {
                ranks.step(rules, step.as_ref(), &mut ctx);
            }
            (ReplicaEngine::Servers(servers), Event::ServiceDone(request), _) => {
                servers.served(request.slot, &mut ctx);
            }
            (ReplicaEngine::Sharing(sharing), Event::ShareDone(_), _) => {
                sharing.share_done(id, &mut ctx);
            }
            (ReplicaEngine::Batches(servers), _, _) => {
                if let Some(mut batching) = batching(&plan, replica.pool, id, &mut pool.rng) {
                    match event {
                        Event::ServiceDone(leader) => {
                            servers.served(leader.slot, &mut batching, &mut ctx);
                        }
                        _ => servers.window_due(&mut batching, &mut ctx),
                    }
                }
            }
            (_, Event::WindowDue(_), _) => {
                let released = &mut self.released;
                replica
                    .window
                    .window_due(&plan.window, id, &mut ctx, released);
            }
            _ => debug_assert!(false, "{event:?} came to a replica of another kind"),
        }
        self.send_done(queue);
        self.join_released(id, queue);
    }

    /// Sends the answers of requests that have just made their last token.
    fn send_done(&mut self, queue: &mut EventQueue<Event>) {
        let mut done = std::mem::take(&mut self.done);
        for slot in done.drain(..) {
            if self.goes_on_elsewhere(slot) {
                self.hand_over(slot, queue);
                continue;
            }
            let id = self.requests.id(slot);
            self.requests.at_mut(slot).last_token = queue.now();
            self.leave_replica(slot, queue.now());
            let replica = self.requests.at(slot).replica;
            let pool = self.replicas[replica.0 as usize].pool.0 as usize;
            if self.plan.hop_back(pool) == SimDuration::ZERO {
                self.respond(id, queue);
            } else {
                queue.schedule_in_lane(self.lanes.from_replica[pool], Event::Responded(id));
            }
        }
        self.done = done;
    }

    fn leave_replica(&mut self, slot: u32, now: SimTime) {
        let id = self.requests.at(slot).replica;
        let pool = self.replicas[id.0 as usize].pool;
        self.pools[pool.0 as usize].meter.left(now);
    }

    fn respond(&mut self, id: RequestId, queue: &mut EventQueue<Event>) {
        if let Some(slot) = self.requests.live_slot(id) {
            self.end(slot, Status::Completed, queue);
        }
    }

    fn completed_at(&mut self, slot: u32, pool: usize, now: SimTime) {
        let meter = &mut self.pools[pool].meter;
        if !meter.measures(now) {
            return;
        }
        meter.completed += 1;
        let request = self.requests.at(slot);
        meter.wait_ns += u128::from(match self.plan.pools[pool].role {
            Role::Mixed => 0,
            Role::Prefill => (request.scheduled - request.queued).0,
            Role::Decode => (request.resumed - request.kv_arrived).0,
        });
        // What was cached was not computed.
        let computed = request.prompt_tokens - request.cached_tokens;
        let output = request.output_tokens;
        if let Some(ceiling) = handover::ceiling(&self.plan, pool, computed, output) {
            meter.completed_on(&ceiling);
        }
    }

    // ---- the end of a request ----------------------------------------------------------------

    fn end(&mut self, slot: u32, status: Status, queue: &mut EventQueue<Event>) {
        let request = self.requests.at(slot);
        let user = request.user;
        if request.replica.0 != NONE {
            let replica = request.replica;
            let prompt_tokens = request.prompt_tokens;
            self.router_of(replica).returned(replica, prompt_tokens);
            let pool = self.replicas[replica.0 as usize].pool.0 as usize;
            if status == Status::Completed {
                self.completed_at(slot, pool, queue.now());
            } else {
                self.leave_replica(slot, queue.now());
            }
        }
        let request = self.requests.at(slot);
        self.meters.ended(request, status, queue.now());
        if self.plan.record_requests {
            let request = self.requests.at(slot);
            self.rows.push(RequestRow::new(
                request,
                status.name(),
                &self.plan,
                &self.replicas,
            ));
        }
        self.requests.remove(slot);
        if user == NONE {
            return;
        }
        let answered = status == Status::Completed;
        if let Some(pause) = self.source.ended(user, answered, BACK_OFF) {
            queue.schedule(queue.now() + pause, Event::UserReady(user));
        }
    }
}

impl Model for World {
    type Event = Event;

    fn handle(&mut self, event: Event, queue: &mut EventQueue<Event>) {
        self.meters.events_by_kind[event.kind()] += 1;
        match event {
            Event::Arrival => {
                if let Some(offered) = self.pending.take() {
                    self.arrive(offered, queue);
                }
                self.await_next(queue);
            }
            Event::UserReady(user) => {
                if let Some(offered) = self.source.user_request(user, queue.now()) {
                    self.arrive(offered, queue);
                }
            }
            Event::GatewayDone(id) => {
                if let Some(slot) = self.requests.live_slot(id) {
                    self.route(slot, queue);
                }
            }
            Event::Delivered(id) => {
                if let Some(slot) = self.requests.live_slot(id) {
                    self.deliver(slot, queue);
                }
            }
            Event::ServiceDone(id) => {
                if let Some(slot) = self.requests.live_slot(id) {
                    self.at_replica(self.requests.at(slot).replica, event, queue);
                }
            }
            Event::WindowDue(replica) | Event::ShareDone(replica) | Event::Step(replica, _) => {
                self.at_replica(replica, event, queue);
            }
            Event::Responded(id) => self.respond(id, queue),
            Event::KvArrived(id) => {
                if let Some(slot) = self.requests.live_slot(id) {
                    self.take_over(slot, queue);
                }
            }
        }
        #[cfg(debug_assertions)]
        debug_assert_eq!(self.check_conservation(), Ok(()));
    }

    fn word(event: &Event) -> u64 {
        event.word()
    }

    fn failed(&self) -> bool {
        self.source.failure().is_some() || self.over_limit()
    }
}

fn batching<'a>(
    plan: &'a FleetPlan,
    pool: PoolId,
    replica: ReplicaId,
    rng: &'a mut SimRng,
) -> Option<Batching<'a>> {
    match &plan.pools[pool.0 as usize].engine {
        EnginePlan::Abstract {
            service: ServicePlan::Batch(time),
            ..
        } => Some(Batching {
            replica,
            rule: &plan.window,
            time,
            rng,
        }),
        _ => None,
    }
}
