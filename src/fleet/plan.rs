//! A fleet ready to be built: every number checked and in the simulator's own units.

use std::sync::Arc;

use crate::engine::{SimDuration, SimTime, Streams};
use crate::perf::StepTimes;
use crate::scenario::balance::{PrefixIndex, Scorers};
use crate::scenario::clock::Clock;
use crate::scenario::faults::{Faults, Layout};
use crate::scenario::fleet::Router as RouterPolicy;
use crate::scenario::health::HealthRules;
use crate::scenario::roles::Role;
use crate::scenario::routing::SessionAffinity;
use crate::scenario::schema::Slo;
use crate::scenario::workload::PrefixSharing;
use crate::workload::Sampler;
use crate::workload::sessions::SessionPlan;
use crate::workload::source::SourcePlan;

use super::calls::ClientPlan;
use super::capacity::plan::CapacityPlan;
use super::erasure::plan::ErasurePlan;
use super::gate::GatePlan;
use super::groups::Groups;
use super::llm::EngineRules;
use super::servers::BatchTime;
use super::signals::SignalRule;
use super::store::StoreRule;
use super::topology::Topology;
use super::transfer::TransferPlan;
use super::window::WindowRule;
use super::worth::WorthClass;

/// Everything a [`super::world::World`] is built from.
#[derive(Debug, Clone)]
pub struct FleetPlan {
    /// Seed and replication.
    pub streams: Streams,
    /// What the clock on the wall says, for accounts; nothing else depends on it.
    pub clock: Option<Clock>,
    /// Requests that arrive before this are not measured.
    pub warmup: SimTime,
    /// Arrivals stop here.
    pub horizon: SimTime,
    /// The run stops here at the latest.
    pub end: SimTime,
    /// The traffic.
    pub source: SourcePlan,
    /// What prompts have in common, unless the trace says it.
    pub prefix: Option<PrefixSharing>,
    /// How the requests of a session follow one another, where arrivals are those of sessions.
    pub sessions: Option<SessionPlan>,
    /// Most requests offered.
    pub max_requests: u64,
    /// Most requests in flight: the run ends early beyond it.
    pub max_in_flight: u64,
    /// Service levels, at least one.
    pub tiers: Vec<TierPlan>,
    /// Gateway to replica, without what the pool adds.
    pub to_replica: SimDuration,
    /// Replica to gateway, without what the pool adds.
    pub from_replica: SimDuration,
    /// How long a gateway waits for a replica.
    pub gateway_timeout: Option<SimDuration>,
    /// Fixed cost of the gateway.
    pub gateway_cost: SimDuration,
    /// `(requests per second, burst)` of the gateway's token bucket.
    pub rate_limit: Option<(f64, f64)>,
    /// What clients do about what fails; none where nothing can be given up or fail.
    pub clients: Option<ClientPlan>,
    /// Where everything is.
    pub topology: Topology,
    /// How gateways judge the replicas; none where they do not.
    pub health: Option<HealthRules>,
    /// KV that replicas share; none where each has its own.
    pub store: Option<StoreRule>,
    /// What breaks; none where nothing does.
    pub faults: Option<FaultPlan>,
    /// Where nodes come from; none where all are there all the time.
    pub capacity: Option<Arc<CapacityPlan>>,
    /// How long one tries to connect to what does not answer.
    pub connect_timeout: SimDuration,
    /// How long a lost message waits until it is sent again.
    pub retransmit: SimDuration,
    /// Which pools can serve which requests.
    pub groups: Groups,
    /// Who is let in at the gateways; none where all are.
    pub gate: Option<GatePlan>,
    /// Whether sessions stay where they are.
    pub affinity: Option<SessionAffinity>,
    /// The routers' policy.
    pub router: RouterPolicy,
    /// How routers ask the replicas for their load; none where each counts what it sent.
    pub signals: Option<SignalRule>,
    /// The batching window.
    pub window: WindowRule,
    /// The pools, at least one.
    pub pools: Vec<PoolPlan>,
    /// What replicas are worth, where the router goes by that.
    pub worth: Vec<WorthClass>,
    /// The way of KV from prefill pools to decode pools, where there are any.
    pub transfer: Option<TransferPlan>,
    /// Keep account of who answered what for whom, and of backlogs: where there are costs, nodes that
    /// come and go, several tiers, or deadlines.
    pub keeps_account: bool,
    /// Keep a row for every request.
    pub record_requests: bool,
    /// Keep what reports draw over time.
    pub record_series: bool,
    /// People who ask to be forgotten, and stores that hold something of them; none where there are none.
    pub erasure: Option<Arc<ErasurePlan>>,
    /// Keep a line for every erasure and place.
    pub record_erasures: bool,
}

impl FleetPlan {
    /// Whether requests are their one try, all are let in, nothing breaks, and routers go by what
    /// they count themselves.
    pub fn is_plain(&self) -> bool {
        let counts = !matches!(
            self.router,
            RouterPolicy::Scored { .. }
                | RouterPolicy::Cheapest { .. }
                | RouterPolicy::Fastest {}
                | RouterPolicy::RingHash { .. }
                | RouterPolicy::Maglev { .. }
        );
        counts
            && self.clients.is_none()
            && self.store.is_none()
            && self.signals.is_none()
            && self.affinity.is_none()
            && self.groups.count() == 1
    }

    /// How many tenants are stated.
    pub fn tenants(&self) -> usize {
        let gate = self.gate.as_ref();
        gate.map_or(0, |gate| gate.tenant_shares.len())
    }

    /// Whether routers have to hear of first tokens.
    pub fn tells_first_tokens(&self) -> bool {
        matches!(
            self.router,
            RouterPolicy::Scored {
                scorers: Scorers::KvCost { .. } | Scorers::TokenCost { .. },
                ..
            }
        ) && self.signals.is_none()
    }

    /// Whether routers remember which prompts they sent where.
    pub fn remembers_prompts(&self) -> bool {
        matches!(
            self.router,
            RouterPolicy::Scored {
                prefix_index: Some(PrefixIndex::Approximate { .. }),
                ..
            }
        )
    }

    /// Whether routers have to hear of blocks that engines store and evict.
    pub fn tells_blocks(&self) -> bool {
        matches!(
            self.router,
            RouterPolicy::Scored {
                prefix_index: Some(PrefixIndex::Precise { .. }),
                ..
            }
        )
    }

    /// From a gateway of a region to an engine of a pool.
    pub fn hop_to(&self, region: u16, pool: usize) -> SimDuration {
        let there = &self.pools[pool];
        let way = self.topology.between(region, there.region);
        self.to_replica + there.inbound + way
    }

    /// The region of a gateway replica.
    pub fn region_of_gateway(&self, gateway: u16) -> u16 {
        let mut first = 0;
        let mut regions = (0_u16..).zip(&self.topology.regions);
        let here = regions.find(|(_, region)| {
            first += region.gateways;
            gateway < first
        });
        here.map_or(0, |(index, _)| index)
    }

    /// From an engine of a pool to a gateway of a region.
    pub fn hop_back(&self, region: u16, pool: usize) -> SimDuration {
        let there = &self.pools[pool];
        let way = self.topology.between(there.region, region);
        self.from_replica + there.outbound + way
    }
}

/// What breaks.
#[derive(Debug, Clone)]
pub struct FaultPlan {
    /// The faults, those of a file among them.
    pub faults: Faults,
    /// What they name.
    pub layout: Layout,
}

/// A service level.
#[derive(Debug, Clone)]
pub struct TierPlan {
    /// Name.
    pub name: String,
    /// Share of the traffic, relative to the others'.
    pub share: f64,
    /// Who is served first where the scheduling policy is `priority`: the lower number. The rank of
    /// the tier's priority among those of all tiers.
    pub rank: u16,
    /// The priority itself.
    pub priority: i32,
    /// When its requests should be done, after they began.
    pub deadline: Option<SimDuration>,
    /// Its objective.
    pub slo: Option<Slo>,
}

/// A pool.
#[derive(Debug, Clone)]
pub struct PoolPlan {
    /// Name.
    pub name: String,
    /// Replicas that there may be at once, at least one.
    pub replicas: u32,
    /// Replicas at the start.
    pub at_start: u32,
    /// Which part of a request it computes.
    pub role: Role,
    /// The region it is in, by index.
    pub region: u16,
    /// Weight of each replica.
    pub weight: u32,
    /// Accelerators of one replica.
    pub accelerators_per_replica: u32,
    /// From the network to the engine's queue.
    pub inbound: SimDuration,
    /// From the engine to the network, for every token.
    pub outbound: SimDuration,
    /// What its replicas are.
    pub engine: EnginePlan,
}

/// What the replicas of a pool are.
#[derive(Debug, Clone)]
pub enum EnginePlan {
    /// Servers and a service-time law.
    Abstract {
        /// Servers of one replica.
        servers: u32,
        /// Requests that may wait.
        capacity: u32,
        /// What a server does.
        service: ServicePlan,
    },
    /// A language model.
    Llm {
        /// The scheduler's limits.
        rules: EngineRules,
        /// How long an iteration takes.
        step: Arc<dyn StepTimes>,
    },
}

impl PoolPlan {
    /// Requests that one of its replicas works on at once at most.
    pub fn seats(&self, window: &WindowRule) -> u64 {
        match &self.engine {
            EnginePlan::Abstract {
                servers,
                service: ServicePlan::Batch(_),
                ..
            } => u64::from(*servers) * u64::from(window.max_batch),
            EnginePlan::Abstract { servers, .. } => u64::from(*servers),
            EnginePlan::Llm { rules, .. } => {
                u64::from(rules.max_num_seqs) * u64::from(rules.data_parallel)
            }
        }
    }
}

/// What an abstract server does.
#[derive(Debug, Clone)]
pub enum ServicePlan {
    /// One request at a time, first come first served.
    Single(Sampler),
    /// All present at once.
    Shared(Sampler),
    /// A batch at a time.
    Batch(BatchTime),
}

impl FleetPlan {
    /// Replicas of all pools.
    pub fn replicas(&self) -> u32 {
        self.pools.iter().map(|pool| pool.replicas).sum()
    }

    /// The pools of a role.
    pub fn pools_of(&self, role: Role) -> impl Iterator<Item = &PoolPlan> {
        self.pools.iter().filter(move |pool| pool.role == role)
    }

    /// The role of a replica of all pools, in order.
    pub fn roles(&self) -> impl Iterator<Item = Role> {
        let pools = self.pools.iter();
        pools.flat_map(|pool| std::iter::repeat_n(pool.role, pool.replicas as usize))
    }
}
