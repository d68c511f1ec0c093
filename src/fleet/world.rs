//! The simulated fleet, and the one match that says who talks to whom.
//!
//! ```text
//! workload -> gateway -> router -> (hop) -> window -> engine -> (hop) -> gateway
//!             rate limit            replica: ------------------
//! ```
//!
//! Where prompts and answers are computed apart, see [`handover`] for what lies between the two.
//!
//! Components never hold one another. The world hands each a
//! [`Context`](super::context::Context), and routes what they return.

mod calls;
mod cancel;
mod capacity;
mod erasure;
mod evacuate;
mod faults;
mod gate;
mod gateways;
pub mod handover;
mod health;
mod inspect;
mod replicas;
mod routing;
mod scaling;
mod travel;

use std::collections::VecDeque;
use std::sync::Arc;

use rand::RngExt;

use crate::engine::queue::LaneId;
use crate::engine::{EventQueue, Model, SimDuration, SimRng, SimTime};
use crate::trace::TraceError;
use crate::workload::{Offered, Source};

use super::calls::Calls;
use super::capacity::Capacity;
use super::capacity::scaler::Scaler;
use super::erasure::Erasure;
use super::event::Event;
use super::gate::Gate;
use super::gateway::{Gateway, TokenBucket};
use super::geo::Geo;
use super::health::Change;
use super::ids::{NONE, PoolId, ReplicaId, RequestId};
use super::meters::PoolMeter;
use super::outcome::{Beside, Ending, FleetMeters, RequestRow};
use super::plan::FleetPlan;
use super::replica::{Replica, ReplicaEngine};
use super::request::{Request, Requests, Status};
use super::served::Answerer;
use super::slab::Slab;
use super::store::SharedStore;
use faults::Faults;
use gateways::Gateways;
use handover::Handover;

/// How long a closed-loop user who was turned away and does not think stays away: otherwise the
/// next request would come at the same instant, for ever. An assumption.
const BACK_OFF: SimDuration = SimDuration(1_000_000_000);

/// Where traffic is heavier than the arrival process, the requests beside it come within so long of
/// those that they are like. An assumption: long against the gaps of any fleet worth the name, short
/// against any spike.
const EXTRA_WITHIN: SimDuration = SimDuration(1_000_000_000);

/// How clients find a region, where there are regions.
fn geo_of(plan: &FleetPlan) -> Result<Option<Geo>, TraceError> {
    let topology = &plan.topology;
    let Some(steering) = &topology.steering else {
        return Ok(None);
    };
    let names = topology.regions.iter().map(|region| region.name.clone());
    let names: Vec<String> = names.collect();
    let (matrix, places) = (&steering.matrix, &steering.places);
    Geo::new(&steering.steering, &names, matrix, places, plan.streams)
        .map(Some)
        .map_err(|reason| TraceError::Setup { reason })
}

/// The nodes that are bought, where any are.
fn capacity_of(plan: &FleetPlan) -> Result<Option<Box<Capacity>>, TraceError> {
    let Some(nodes) = &plan.capacity else {
        return Ok(None);
    };
    let window = (plan.warmup, plan.horizon);
    Capacity::new(nodes, plan.replicas(), window, plan.streams)
        .map(|capacity| Some(Box::new(capacity)))
        .map_err(|error| TraceError::Setup {
            reason: error.to_string(),
        })
}

fn scalers_of(plan: &FleetPlan) -> Vec<Scaler> {
    let nodes = plan.capacity.iter();
    let rules = nodes.flat_map(|nodes| &nodes.scalers);
    rules.map(|scaler| Scaler::new(&scaler.rule)).collect()
}

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
    gateways: Gateways,
    handover: Option<Handover>,
    pools: Vec<Pool>,
    replicas: Vec<Replica>,
    requests: Requests,
    /// What clients want, where they may try more than once.
    calls: Option<Box<Calls>>,
    /// How clients find a region, where there are several.
    geo: Option<Box<Geo>>,
    /// Who is let in at each gateway replica, where not all are; and when each is looked at next.
    gates: Vec<Gate>,
    gate_wakes: Vec<Option<SimTime>>,
    /// KV that the replicas share.
    store: Option<Box<SharedStore>>,
    /// What breaks, if anything does.
    faults: Option<Box<Faults>>,
    /// Nodes that come and go, and who asks for them.
    capacity: Option<Box<Capacity>>,
    scalers: Vec<Scaler>,
    /// Numbers over all requests.
    pub meters: FleetMeters,
    /// Rows of requests that ended, until somebody takes them.
    pub rows: Vec<RequestRow>,
    pending: Option<Offered>,
    /// Whether the arrival process has no more requests.
    arrivals_over: bool,
    serial: u64,
    lanes: Lanes,
    done: Vec<u32>,
    released: Vec<u32>,
    ejections: Vec<Change>,
    /// Requests that have just made their first token, where routers want to know.
    firsts: Vec<u32>,
    tells_firsts: bool,
    /// Whether nothing is there of what may turn away, break, be told or be tried again: most of a
    /// request's way then has nothing to ask.
    plain: bool,
    /// Blocks stored and evicted that routers have not heard of yet.
    block_news: VecDeque<(SimTime, ReplicaId, u64, bool)>,
    /// Requests beside those of the arrival process, until they are due.
    extras: Slab<Offered>,
    extra_rng: SimRng,
    /// People who ask to be forgotten, and what holds something of them, where there are any.
    erasure: Option<Box<Erasure>>,
    /// When its next event is due; past where none is under way.
    erasure_at: SimTime,
    /// Whether answers wait for their records.
    writes_before_answer: bool,
}

/// Lanes of the constant delays; those of replicas by pool.
#[derive(Debug, Clone)]
struct Lanes {
    gateway: LaneId,
    /// By region of the gateway and pool, with the delay.
    to_replica: Vec<(LaneId, SimDuration)>,
    from_replica: Vec<(LaneId, SimDuration)>,
    pools: usize,
    call_due: Option<LaneId>,
    gateway_due: Option<LaneId>,
    hedge: Option<LaneId>,
    /// For a try's last token, and for its first.
    try_due: [Option<LaneId>; 2],
}

impl Lanes {
    fn new(plan: &FleetPlan, queue: &mut EventQueue<Event>) -> Lanes {
        let pools = plan.pools.len();
        let regions = 0..plan.topology.regions.len() as u16;
        let pairs = regions.flat_map(|region| (0..pools).map(move |pool| (region, pool)));
        let pairs: Vec<(u16, usize)> = pairs.collect();
        let mut lanes_of = |hop: &dyn Fn(u16, usize) -> SimDuration| {
            let delays = pairs.iter().map(|&(region, pool)| hop(region, pool));
            delays.map(|delay| (queue.lane(delay), delay)).collect()
        };
        let to_replica = lanes_of(&|region, pool| plan.hop_to(region, pool));
        let from_replica = lanes_of(&|region, pool| plan.hop_back(region, pool));
        let gateway = queue.lane(plan.gateway_cost);
        let mut lane = |delay: Option<SimDuration>| delay.map(|delay| queue.lane(delay));
        let clients = plan.clients.as_ref();
        Lanes {
            gateway,
            to_replica,
            from_replica,
            pools,
            gateway_due: lane(plan.gateway_timeout),
            call_due: lane(clients.and_then(|clients| clients.timeout)),
            hedge: lane(clients.and_then(|clients| Some(clients.hedge?.0))),
            try_due: [
                lane(clients.and_then(|clients| clients.try_timeout)),
                lane(clients.and_then(|clients| clients.first_token_timeout)),
            ],
        }
    }
}

impl Lanes {
    #[inline]
    fn to_replica(&self, region: u16, pool: usize) -> (LaneId, SimDuration) {
        self.to_replica[usize::from(region) * self.pools + pool]
    }

    #[inline]
    fn back_from(&self, region: u16, pool: usize) -> (LaneId, SimDuration) {
        self.from_replica[usize::from(region) * self.pools + pool]
    }
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
                    window: Box::default(),
                    engine: ReplicaEngine::new(&pool.engine, pool.role, id, plan.streams),
                });
            }
        }
        if plan.tells_blocks() || plan.store.is_some() {
            for replica in &mut replicas {
                replica.keep_news();
            }
        }
        let lanes = Lanes::new(&plan, queue);
        let calls = plan.clients.as_ref();
        let calls = calls.map(|clients| Box::new(Calls::new(clients, plan.streams)));
        let bucket = plan
            .rate_limit
            .map(|(rate, burst)| TokenBucket::new(rate, burst));
        let gates = plan.gate.iter().flat_map(|gate| {
            (0..plan.topology.gateways()).map(|index| Gate::new(gate, index, plan.streams))
        });
        let gates: Vec<Gate> = gates.collect();
        let gate_wakes = vec![None; gates.len()];
        let mut world = World {
            gateways: Gateways::new(&plan),
            handover: Handover::new(&plan),
            gateway: Gateway::new(bucket),
            meters: FleetMeters::new(&plan),
            source,
            pools,
            replicas,
            requests: Requests::new(),
            calls,
            geo: geo_of(&plan)?.map(Box::new),
            gates,
            gate_wakes,
            store: plan.store.map(|rule| Box::new(SharedStore::new(rule))),
            faults: Faults::new(&plan)?,
            capacity: capacity_of(&plan)?,
            scalers: scalers_of(&plan),
            rows: Vec::new(),
            pending: None,
            arrivals_over: false,
            serial: 0,
            lanes,
            done: Vec::new(),
            released: Vec::new(),
            ejections: Vec::new(),
            firsts: Vec::new(),
            tells_firsts: plan.tells_first_tokens(),
            plain: plan.is_plain(),
            block_news: VecDeque::new(),
            extras: Slab::new(),
            extra_rng: plan.streams.stream("workload", 0, "extra requests"),
            erasure: Erasure::new(&plan).map_err(|error| TraceError::Setup {
                reason: error.to_string(),
            })?,
            erasure_at: SimTime::ZERO,
            writes_before_answer: plan
                .erasure
                .iter()
                .any(|it| it.logs.iter().any(|log| log.before_answer)),
            plan,
        };
        if world
            .plan
            .erasure
            .as_ref()
            .is_some_and(|it| it.kv.is_some())
        {
            world.replicas.iter_mut().for_each(Replica::keep_owners);
        }
        for user in 0..world.source.users() {
            // Users begin by thinking, so that they do not all come at once.
            let ready = SimTime::ZERO + world.source.think_time();
            queue.schedule(ready, Event::UserReady(user));
        }
        world.capacity_begins(queue);
        world.await_next(queue);
        world.faults_change(queue);
        world.erasure_begins(queue);
        Ok(world)
    }

    // ---- the workload ------------------------------------------------------------------------

    /// Keeps one arrival pending: a trace is never preloaded.
    fn await_next(&mut self, queue: &mut EventQueue<Event>) {
        self.pending = self.source.next_offered();
        match &self.pending {
            Some(offered) => queue.schedule(offered.time.max(queue.now()), Event::Arrival),
            None => {
                self.arrivals_over = true;
                self.rest_if_over(queue);
            }
        }
    }

    /// A request of the arrival process is due. Where a fault makes traffic heavier, others like it
    /// come within the next second; where it makes it lighter, it may not come at all.
    fn offer(&mut self, offered: &Offered, queue: &mut EventQueue<Event>) {
        if self.faults.is_none() {
            return self.arrive(offered, queue);
        }
        let populations = self.plan.topology.populations.iter();
        let factors = (0_u16..)
            .zip(populations)
            .map(|(at, population)| population.share * faults::traffic_factor(&self.faults, at));
        let factor: f64 = factors.sum();
        if factor == 1.0 {
            return self.arrive(offered, queue);
        }
        // As many in all as the factor says on average.
        let mut copies = factor as u64;
        copies += u64::from(self.extra_rng.random::<f64>() < factor.fract());
        for _ in 1..copies {
            let id = self.extras.insert(offered.clone());
            let within = self.extra_rng.random_range(0..EXTRA_WITHIN.0);
            queue.schedule(queue.now() + SimDuration(within), Event::Extra(id));
        }
        match copies {
            0 => self.source.never_came(offered),
            _ => self.arrive(offered, queue),
        }
    }

    fn arrive(&mut self, offered: &Offered, queue: &mut EventQueue<Event>) {
        let request = Request::of(offered, self.serial, queue.now());
        if self.calls.is_some() {
            self.serial += 1;
            self.meters.arrived(&request, &self.plan);
            self.erasure_began(request.prefix.own_name());
            self.open_call(offered, request.serial, queue);
            if self.meters.timeline.is_new(queue.now()) {
                let waiting = self.waiting();
                self.meters.timeline.waiting(queue.now(), waiting);
            }
            let in_flight = self.in_flight();
            self.meters.present_at_arrival(queue.now(), in_flight);
            self.meters.timeline.arrived(queue.now(), in_flight);
            return;
        }
        self.begin(request, queue);
    }

    /// A request that is its one try begins.
    #[inline]
    fn begin(&mut self, mut request: Request, queue: &mut EventQueue<Event>) {
        self.serial += 1;
        self.meters.arrived(&request, &self.plan);
        self.erasure_began(request.prefix.own_name());
        request.rank = self.plan.tiers[request.tier as usize].rank;
        request.gateway_replica = self.gateways.pick(0);
        let id = self.requests.insert(request);
        self.meters
            .present_at_arrival(queue.now(), self.requests.len() as u64);
        self.enter(id, queue);
    }

    /// A request comes to its gateway replica.
    #[inline]
    fn enter(&mut self, id: RequestId, queue: &mut EventQueue<Event>) {
        let slot = id.slot;
        if self.faults.is_some() {
            let region = self.gateways.region(self.requests.at(slot).gateway_replica);
            if self.region_is_down(region) {
                return self.end(slot, Status::FailedGateway, queue);
            }
        }
        if !self.gateway.admit(queue.now()) {
            self.end(slot, Status::RejectedRateLimit, queue);
        } else if self.gates.is_empty() {
            self.pass_gate(slot, queue);
        } else {
            self.ask_gate(slot, queue);
        }
    }

    /// A request has been let in.
    #[inline]
    fn pass_gate(&mut self, slot: u32, queue: &mut EventQueue<Event>) {
        if self.plan.gateway_cost == SimDuration::ZERO {
            return self.route(slot, queue);
        }
        let id = self.requests.id(slot);
        queue.schedule_in_lane(self.lanes.gateway, Event::GatewayDone(id));
    }

    // ---- the end of a request ----------------------------------------------------------------

    fn end(&mut self, slot: u32, status: Status, queue: &mut EventQueue<Event>) {
        let request = self.requests.at(slot);
        let (replica, present) = (request.replica, request.work.present);
        if replica.0 != NONE {
            let pool = self.replicas[replica.0 as usize].pool.0 as usize;
            if self.plain {
                let (gateway, prompt_tokens) = (request.gateway_replica, request.prompt_tokens);
                let role = self.plan.pools[pool].role;
                let router = self.gateways.plain_router(gateway, role);
                router.returned_plainly(replica, prompt_tokens);
            } else {
                self.uncount(slot);
            }
            if status == Status::Completed {
                self.completed_at(slot, pool, queue.now());
            } else if present {
                self.leave_replica(slot, queue);
            }
        }
        if self.plain {
            return self.end_for_good(slot, status, queue);
        }
        if self.capacity.is_some() && replica.0 != NONE {
            self.left_node(replica, queue);
        }
        if self.plan.health.is_some() {
            self.note_result(slot, status, queue);
        }
        if !self.gates.is_empty() {
            self.leave_gate(slot, status, queue);
        }
        if self.calls.is_some() {
            return self.answer(slot, status, queue);
        }
        self.end_for_good(slot, status, queue);
    }

    /// A request that is its one try has ended.
    #[inline]
    fn end_for_good(&mut self, slot: u32, status: Status, queue: &mut EventQueue<Event>) {
        let request = self.requests.at(slot);
        let user = request.user;
        let ending = Ending::of(request);
        let kept = self.plan.keeps_account && status == Status::Completed;
        let who = kept.then(|| {
            let region = self.gateways.region(request.gateway_replica);
            Answerer::of(request, &self.replicas, region)
        });
        let served = self.erasure.as_ref();
        let served = served.map(|_| self.served(request, &ending, status == Status::Completed));
        self.meters
            .ended(request, &ending, status, Beside::NOTHING, who, queue.now());
        if self.plan.record_requests {
            let name = status.name();
            let mut row = RequestRow::new(request, &ending, name, &self.plan, &self.replicas);
            row.ended_ns = Some(queue.now().0);
            self.rows.push(row);
        }
        let name = request.prefix.own_name();
        self.requests.remove(slot);
        self.kv_gone(name, queue);
        if let Some(served) = served {
            self.erasure_ended(&served, queue);
        }
        if user != NONE {
            self.user_goes_on(user, status == Status::Completed, queue);
        }
    }

    /// The request of a user has ended: the next one comes in time.
    fn user_goes_on(&mut self, user: u32, answered: bool, queue: &mut EventQueue<Event>) {
        if user == NONE {
            return;
        }
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
                match &self.pending {
                    Some(offered) if self.plain => {
                        let request = Request::of(offered, self.serial, queue.now());
                        self.begin(request, queue);
                    }
                    _ => {
                        if let Some(offered) = self.pending.take() {
                            self.offer(&offered, queue);
                        }
                    }
                }
                self.await_next(queue);
            }
            Event::UserReady(user) => {
                if let Some(offered) = self.source.user_request(user, queue.now()) {
                    self.arrive(&offered, queue);
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
                // One that was lost with its replica is served no more; one that was handed over is
                // not served yet where it went.
                if let Some(slot) = self.requests.live_slot(id)
                    && self.requests.at(slot).work.present
                    && self.requests.at(slot).scheduled != SimTime::NEVER
                {
                    self.at_replica(self.requests.at(slot).replica, event, queue);
                }
            }
            Event::WindowDue(replica) | Event::ShareDone(replica) | Event::Step(replica, _) => {
                self.at_replica(replica, event, queue);
            }
            Event::Responded(id) => self.respond(id, queue),
            Event::CallDue(id) => self.call_due(id, queue),
            Event::UserLeaves(id) => self.user_leaves(id, queue),
            Event::Retry(id) => self.retry(id, queue),
            Event::Hedge(id) => self.hedge(id, queue),
            Event::TryDue(id) => self.try_due(id, queue),
            Event::Cancel(id) => {
                if let Some(slot) = self.requests.live_slot(id) {
                    self.cancel(slot, queue);
                }
            }
            Event::AtGateway(id) => {
                if self.requests.live_slot(id).is_some() {
                    self.enter(id, queue);
                }
            }
            Event::Answered(id) => self.answered(id, queue),
            Event::Failed(id) => self.failed(id, queue),
            Event::Extra(id) => {
                let offered = self.source.beside(self.extras.at(id.slot), queue.now());
                self.extras.remove(id.slot);
                self.arrive(&offered, queue);
            }
            Event::LetIn(gateway) => self.let_in(gateway, queue),
            Event::GatewayDue(id) => self.gateway_due(id, queue),
            Event::NodeDue(replica) => self.node_due(replica, queue),
            Event::AskNodes(group) => self.ask_nodes(group, queue),
            Event::MarketDue(group) => self.market_due(group, queue),
            Event::ScaleDue(scaler) => self.scale_due(scaler, queue),
            Event::ErasureDue => self.erasure_due(queue),
            Event::Logged(id) => self.logged(id, queue),
            Event::BlocksTold => self.blocks_told(queue),
            Event::Fault => self.faults_change(queue),
            Event::Probe(gateway, replica) => self.probe(gateway, replica, queue),
            Event::ProbeLost(gateway, replica) => {
                self.probe_over(gateway, replica, false, queue);
            }
            Event::Sweep(gateway) => self.sweep(gateway, queue),
            Event::BreakerDue(gateway, index) => self.breaker_due(gateway, index, queue),
            Event::AskReplicas(gateway) => self.ask_replicas(gateway, queue),
            Event::ReportsSeen(gateway) => self.reports_seen(gateway, queue),
            Event::KvArrived(id) => {
                // Its replica may have died, and the news of that be on its way.
                if let Some(slot) = self.requests.live_slot(id)
                    && self.requests.at(slot).work.present
                {
                    self.take_over(slot, queue);
                }
            }
        }
        #[cfg(debug_assertions)]
        debug_assert_eq!(self.check_after(&event), Ok(()));
    }

    fn word(event: &Event) -> u64 {
        event.word()
    }

    fn failed(&self) -> bool {
        self.source.failure().is_some() || self.over_limit()
    }
}
