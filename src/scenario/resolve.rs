//! From what a user wrote to a fleet ready to be built: every value checked, every default
//! applied, every card and trace read.

mod capacity;
mod erasure;
mod llm;
mod money;
mod pipeline;
mod profile;
mod source;
mod speculative;
mod topology;
pub(crate) mod worth;

use std::path::Path;

use self::capacity::{add_capacity, slots_of};
pub use self::erasure::LogFacts;
use self::erasure::erasure_of;
use self::llm::resolve_llm;
pub use self::money::{EgressPlan, EnergyPlan, MoneyPlan, StoragePlan};
use self::money::{book_of, money_of};
pub use self::source::{Traffic, traffic};
use self::source::{resolve_sessions, resolve_source, session_means};
pub use self::speculative::Draft;
pub(in crate::scenario) use self::topology::layout_of;
use self::topology::{faults_of, region_of, topology_of};
use super::certain::is_certain;
use super::erasure::InFlight;
use super::error::ScenarioError;
use super::faults::Faults;
use super::fleet::{AbstractPool, Discipline, Pool};
use super::problems::Problems;
use super::roles::check_same_kv;
use super::schema::{Scenario, Tier, Warmup};
use super::signals::Signals;
use super::text::Document;
use super::tries::Clients;
use super::validate::{self, MOST_S};
use crate::engine::{SimDuration, SimTime, Streams};
use crate::fleet::calls::ClientPlan;
use crate::fleet::gate::{GatePlan, TierGate};
use crate::fleet::groups::Groups;
use crate::fleet::plan::{EnginePlan, FaultPlan, FleetPlan, PoolPlan, ServicePlan, TierPlan};
use crate::fleet::retry::{Backoff, Budget};
use crate::fleet::servers::BatchTime;
use crate::fleet::signals::SignalRule;
use crate::fleet::store::StoreRule;
use crate::fleet::topology::Topology;
use crate::fleet::transfer::TransferPlan;
use crate::fleet::window::WindowRule;
use crate::perf::{AcceleratorCard, Dtypes, MemoryPlan, ModelCard, Overheads, StepModel};
use crate::trace::TraceScan;
use crate::workload::Sampler;
use crate::workload::session_means::SessionMeans;
use crate::workload::source::SourcePlan;

/// Arrivals stop here when a scenario says nothing, seconds.
const DEFAULT_HORIZON_S: f64 = 600.0;
/// The least default drain limit, seconds.
const LEAST_DRAIN_S: f64 = 600.0;
/// The share of the horizon that is warm-up when a scenario says nothing and has no trace.
const DEFAULT_WARMUP_SHARE: f64 = 0.1;

/// A scenario ready to run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What the user wrote, with overrides and defaults.
    pub scenario: Scenario,
    /// What the simulator is built from; the streams are those of replication 0.
    pub fleet: FleetPlan,
    /// What is known of the language-model pools, by pool.
    pub llm: Vec<Option<LlmFacts>>,
    /// What one pass over the trace found, with trace arrivals.
    pub trace: Option<TraceScan>,
    /// How many turns sessions have and how long they are on average, where there are any.
    pub session_means: Option<SessionMeans>,
    /// What is known of the request logs that erasures go to, in their order.
    pub logs: Vec<LogFacts>,
    /// What power and moved bytes are taken to be.
    pub money: MoneyPlan,
    /// Find the warm-up with MSER-5 on a pilot run.
    pub auto_warmup: bool,
}

impl Plan {
    /// Mean prompt and output tokens of a request; none where a trace has not been looked at.
    pub fn mean_tokens(&self) -> Option<(f64, f64)> {
        match &self.fleet.source {
            SourcePlan::Drawn { lengths, .. } | SourcePlan::ClosedLoop { lengths, .. } => {
                Some(match &self.session_means {
                    Some(sessions) => (sessions.prompt_tokens, sessions.output_tokens),
                    None => lengths.means(),
                })
            }
            SourcePlan::Observed(arrivals) => {
                let count = arrivals.len().max(1) as f64;
                let prompt = arrivals.iter().map(|it| f64::from(it.prompt_tokens));
                let output = arrivals.iter().map(|it| f64::from(it.output_tokens));
                Some((prompt.sum::<f64>() / count, output.sum::<f64>() / count))
            }
            SourcePlan::Trace { prompt, output, .. } => {
                let scan = self.trace.as_ref()?;
                let count = scan.requests.max(1) as f64;
                let own = |total: u64| total as f64 / count;
                let prompt = prompt.as_ref().map(|law| law.mean());
                let output = output.as_ref().map(|law| law.mean());
                Some((
                    prompt.unwrap_or(own(scan.prompt_tokens)),
                    output.unwrap_or(own(scan.output_tokens)),
                ))
            }
        }
    }

    /// Whether nothing in its runs is random.
    pub fn is_certain(&self) -> bool {
        is_certain(&self.scenario)
    }
}

/// What a language-model pool was worked out from.
#[derive(Debug, Clone)]
pub struct LlmFacts {
    /// The model.
    pub model: ModelCard,
    /// The accelerator.
    pub accelerator: AcceleratorCard,
    /// Number types.
    pub dtypes: Dtypes,
    /// Where the memory of a device goes.
    pub memory: MemoryPlan,
    /// KV blocks the replicas have: pinned by the scenario, or computed.
    pub kv_blocks: u64,
    /// Whether the scenario pinned them.
    pub kv_blocks_pinned: bool,
    /// The engine's own time of an iteration.
    pub overheads: Overheads,
    /// How long an iteration takes by the cards.
    pub step: StepModel,
    /// The draft model, with speculative decoding by one.
    pub draft: Option<Draft>,
    /// The kernels that the pool names by file.
    pub kernel_tables: Option<std::sync::Arc<crate::perf::tables::KernelTables>>,
}

/// Reads a scenario out of a document and makes a plan of it. Cards and traces are found
/// relative to `base_dir`.
///
/// # Errors
/// Everything that is wrong with it, with the line of each field.
pub fn resolve(document: &Document, base_dir: &Path) -> Result<Plan, ScenarioError> {
    let mut scenario: Scenario = document.parse_as()?;
    let mut problems = Problems::new(document);
    profile::apply(&mut scenario, document, base_dir, &mut problems);
    validate::check(&scenario, &mut problems);
    problems.finish()?;
    let mut problems = Problems::new(document);
    let source = resolve_source(&scenario.workload, base_dir, &mut problems);
    let sessions = resolve_sessions(&scenario.workload, &mut problems);
    let mut llm = Vec::new();
    let mut pools = Vec::new();
    for (index, pool) in scenario.pools.iter().enumerate() {
        let at = format!("pools.{index}");
        let (engine, facts) = match pool {
            Pool::Abstract(pool) => (resolve_abstract(pool, &at, &mut problems), None),
            Pool::Llm(pool) => match resolve_llm(pool, &at, base_dir, &mut problems) {
                Some((engine, facts)) => (Some(engine), Some(facts)),
                None => (None, None),
            },
        };
        let accelerators = match pool {
            Pool::Abstract(pool) => pool.accelerators_per_replica,
            Pool::Llm(pool) => pool.tp * pool.pp * pool.dp,
        };
        let slots = slots_of(&scenario, index);
        if slots == 0 {
            let remedy =
                "raise it, let another group fall back on one of its groups, or add a scaler";
            problems.push(
                &format!("{at}.replicas"),
                0,
                "leaves the pool without a node for ever",
                remedy,
            );
        }
        let (inbound_ms, outbound_ms) = match pool {
            Pool::Abstract(_) => (0.0, 0.0),
            Pool::Llm(pool) => (pool.request_overhead_ms, pool.response_overhead_ms),
        };
        pools.extend(engine.map(|engine| PoolPlan {
            name: pool.name().to_owned(),
            replicas: slots,
            at_start: pool.replicas(),
            accelerators_per_replica: accelerators,
            inbound: SimDuration::from_ms_f64(inbound_ms),
            outbound: SimDuration::from_ms_f64(outbound_ms),
            role: pool.role(),
            region: region_of(&scenario, pool),
            weight: pool.weight(),
            engine,
        }));
        llm.push(facts);
    }
    check_same_kv(&scenario, &llm, &mut problems);
    problems.finish()?;
    let Some((source, trace)) = source else {
        // Unreachable: a missing source has noted a problem. Refused rather than assumed.
        return Err(ScenarioError::Invalid(Vec::new()));
    };
    let times = Times::of(&scenario, trace.as_ref());
    times.check(document)?;
    let session_means = session_means(&scenario.workload, &source, sessions.as_ref());
    let mut problems = Problems::new(document);
    let topology = topology_of(&scenario, &mut problems);
    let unstated = Clients::default();
    let clients = scenario.clients.as_ref().unwrap_or(&unstated);
    let clients = client_plan(clients, &mut problems);
    problems.finish()?;
    let mut fleet = fleet_plan(&scenario, source, pools, &times);
    if let Some(topology) = topology {
        fleet.topology = topology;
    }
    let layout = layout_of(&scenario);
    let faults = faults_of(&scenario, &layout, base_dir, document)?;
    fleet.faults = (!faults.is_empty()).then_some(FaultPlan { faults, layout });
    fleet.health = scenario.health;
    let mut problems = Problems::new(document);
    let book = book_of(scenario.cost.as_ref(), base_dir, &mut problems);
    let mut money = MoneyPlan::default();
    if let Some(book) = &book {
        add_capacity(&scenario, &mut fleet, &llm, (book, base_dir), &mut problems);
        money = money_of(&scenario, &fleet, &llm, book, &mut problems);
    }
    problems.finish()?;
    if fleet.capacity.is_some() && fleet.faults.is_none() {
        // Nodes that are not there are as good as dead.
        let layout = layout_of(&scenario);
        let faults = Faults::default();
        fleet.faults = Some(FaultPlan { faults, layout });
    }
    let mut problems = Problems::new(document);
    let erasure = erasure_of(&scenario, times.horizon, base_dir, &mut problems);
    problems.finish()?;
    let mut logs = Vec::new();
    let mut asks_fleet = false;
    if let Some((erasure, facts)) = erasure {
        logs = facts;
        if erasure.logs.iter().any(|log| log.slow_factor.is_some()) && fleet.faults.is_none() {
            // What slows a replica down is told as faults are.
            let layout = layout_of(&scenario);
            let faults = Faults::default();
            fleet.faults = Some(FaultPlan { faults, layout });
        }
        asks_fleet = erasure.in_flight == InFlight::Cancel
            || erasure.kv.is_some()
            || erasure.logs.iter().any(|log| log.before_answer);
        fleet.erasure = Some(erasure);
    }
    fleet.store = store_of(&scenario, &llm);
    // Where nothing can be given up or fail a request is its one try.
    let may_fail = scenario.clients.is_some()
        || scenario.gateway.timeout_ms.is_some()
        || !scenario.regions.is_empty()
        || fleet.health.is_some()
        || fleet.gate.is_some()
        || fleet.faults.is_some()
        || asks_fleet;
    fleet.clients = clients.filter(|_| may_fail);
    fleet.sessions = sessions;
    fleet.transfer = TransferPlan::new(&scenario, &llm);
    let mut plan = Plan {
        auto_warmup: matches!(scenario.run.warmup_s, Some(Warmup::Auto(_))),
        scenario,
        fleet,
        llm,
        trace,
        session_means,
        money,
        logs,
    };
    let mut problems = Problems::new(document);
    plan.fleet.worth = worth::classes_of(&plan, &mut problems);
    problems.finish()?;
    Ok(plan)
}

/// When things begin and end.
struct Times {
    warmup: SimTime,
    horizon: SimTime,
    end: SimTime,
}

impl Times {
    fn of(scenario: &Scenario, trace: Option<&TraceScan>) -> Times {
        let run = &scenario.run;
        let at = |seconds: f64| SimTime::ZERO + SimDuration::from_secs_f64(seconds);
        let horizon = match (run.horizon_s, trace) {
            (Some(seconds), _) => at(seconds),
            // The last request is to arrive too.
            (None, Some(scan)) => SimTime(scan.last_ns.saturating_add(1)),
            (None, None) => at(DEFAULT_HORIZON_S),
        };
        let warmup = match (run.warmup_s, trace) {
            (Some(Warmup::Seconds(seconds)), _) => at(seconds),
            (Some(Warmup::Auto(_)), _) | (None, Some(_)) => SimTime::ZERO,
            (None, None) => at(horizon.as_secs_f64() * DEFAULT_WARMUP_SHARE),
        };
        let drain_s = run
            .drain_limit_s
            .unwrap_or_else(|| horizon.as_secs_f64().max(LEAST_DRAIN_S));
        let end = horizon.saturating_add(SimDuration::from_secs_f64(drain_s));
        Times {
            warmup,
            horizon,
            end,
        }
    }

    fn check(&self, document: &Document) -> Result<(), ScenarioError> {
        let mut problems = Problems::new(document);
        if self.horizon.as_secs_f64() > MOST_S {
            problems.push(
                "workload.arrivals.path",
                format!("a span of {} s", self.horizon.as_secs_f64()),
                &format!("must span {MOST_S} s (about three years) at most"),
                "check its stamps, or replay a slice with from_s and to_s",
            );
        } else if self.warmup >= self.horizon {
            problems.push(
                "run.warmup_s",
                self.warmup.as_secs_f64(),
                &format!(
                    "must be before the horizon, {} s",
                    self.horizon.as_secs_f64()
                ),
                "shorten the warm-up: nothing would be measured",
            );
        }
        problems.finish()
    }
}

fn fleet_plan(
    scenario: &Scenario,
    source: SourcePlan,
    pools: Vec<PoolPlan>,
    times: &Times,
) -> FleetPlan {
    let default_tier = Tier {
        name: "default".to_owned(),
        share: 1.0,
        priority: 0,
        slo: None,
        model: None,
        hardware: Vec::new(),
        rate: None,
        concurrency: None,
        quotas: Vec::new(),
        weight: 1.0,
        deadline_ms: None,
    };
    let tiers = match scenario.tiers.is_empty() {
        true => std::slice::from_ref(&default_tier),
        false => &scenario.tiers,
    };
    let mut priorities: Vec<i32> = tiers.iter().map(|tier| tier.priority).collect();
    priorities.sort_unstable();
    priorities.dedup();
    let tier_plans = tiers.iter().map(|tier| TierPlan {
        name: tier.name.clone(),
        share: tier.share,
        priority: tier.priority,
        deadline: tier.deadline_ms.map(SimDuration::from_ms_f64),
        rank: priorities.partition_point(|other| *other < tier.priority) as u16,
        slo: tier.slo.or(scenario.slo),
    });
    FleetPlan {
        streams: Streams {
            seed: scenario.run.seed,
            replication: 0,
        },
        clock: scenario.run.clock.clone(),
        warmup: times.warmup,
        horizon: times.horizon,
        end: times.end,
        source,
        prefix: scenario.workload.prefix.clone(),
        sessions: None,
        max_requests: scenario.workload.max_requests.unwrap_or(u64::MAX),
        max_in_flight: scenario.run.max_in_flight,
        tiers: tier_plans.collect(),
        to_replica: SimDuration::from_ms_f64(scenario.network.to_replica_ms),
        from_replica: SimDuration::from_ms_f64(scenario.network.from_replica_ms),
        gateway_timeout: scenario.gateway.timeout_ms.map(SimDuration::from_ms_f64),
        gateway_cost: SimDuration::from_ms_f64(scenario.gateway.cost_ms),
        rate_limit: scenario
            .gateway
            .rate_limit
            .map(|limit| (limit.requests_per_s, limit.burst)),
        clients: None,
        topology: Topology::single(scenario.gateway.replicas),
        health: None,
        store: None,
        faults: None,
        capacity: None,
        connect_timeout: SimDuration::from_ms_f64(scenario.network.connect_timeout_ms()),
        retransmit: SimDuration::from_ms_f64(scenario.network.retransmit_ms()),
        groups: groups_of(scenario, tiers, &pools),
        gate: gate_of(scenario, tiers),
        affinity: scenario.affinity,
        router: scenario.router,
        signals: signal_rule(&scenario.signals),
        window: WindowRule {
            window: SimDuration::from_ms_f64(scenario.batching.window_ms),
            max_batch: scenario.batching.max_batch,
            preferred: scenario.batching.preferred_batches.clone(),
        },
        pools,
        transfer: None,
        worth: Vec::new(),
        keeps_account: scenario.cost.is_some()
            || !scenario.capacity.groups.is_empty()
            || scenario.tiers.len() > 1
            || scenario.tiers.iter().any(|tier| tier.deadline_ms.is_some()),
        record_requests: false,
        record_series: false,
        erasure: None,
        record_erasures: false,
    }
}

fn client_plan(clients: &Clients, problems: &mut Problems<'_>) -> Option<ClientPlan> {
    let ms = |value: Option<f64>| value.map(SimDuration::from_ms_f64);
    let patience = match &clients.patience {
        Some(patience) => {
            let law = Sampler::new(&patience.after);
            let law = noted(law, "clients.patience.after", problems)?;
            Some((law, patience.unless))
        }
        None => None,
    };
    let hedge = clients.hedge;
    Some(ClientPlan {
        timeout: ms(clients.timeout_ms),
        try_timeout: ms(clients.try_timeout_ms),
        first_token_timeout: ms(clients.first_token_timeout_ms),
        patience,
        max_retries: u16::try_from(clients.max_retries).unwrap_or(u16::MAX),
        retry_on: clients.retry_on.clone(),
        backoff: Backoff::new(&clients.backoff),
        budget: Budget::new(&clients.retry_budget),
        hedge: hedge.map(|hedge| (SimDuration::from_ms_f64(hedge.after_ms), hedge.max)),
        propagate_cancel: clients.propagate_cancel,
    })
}

/// The store of KV that replicas share, if there is one.
fn store_of(scenario: &Scenario, llm: &[Option<LlmFacts>]) -> Option<StoreRule> {
    let store = scenario.kv_store?;
    let facts = llm.first()?.as_ref()?;
    let Some(Pool::Llm(pool)) = scenario.pools.first() else {
        return None;
    };
    let bytes = facts.model.kv_bytes_per_token(facts.dtypes.kv) * f64::from(pool.block_size);
    Some(StoreRule {
        blocks: ((store.capacity_gb * 1e9 / bytes) as u64).max(1),
        // GB per second are bytes per nanosecond.
        block_ns: bytes / store.bandwidth_gb_per_s,
        latency_ns: store.latency_ms * 1e6,
        lag: SimDuration::from_ms_f64(store.lag_ms),
        region_lag: store.region_lag_ms.map(SimDuration::from_ms_f64),
    })
}

/// What the gates of the gateways are built from; none where all are let in.
fn gate_of(scenario: &Scenario, tiers: &[Tier]) -> Option<GatePlan> {
    let own =
        |tier: &Tier| tier.rate.is_some() || tier.concurrency.is_some() || !tier.quotas.is_empty();
    if scenario.admission.is_none() && !tiers.iter().any(own) {
        return None;
    }
    let admission = scenario.admission.clone().unwrap_or_default();
    let gates = tiers.iter().map(|tier| TierGate {
        name: tier.name.clone(),
        priority: tier.priority,
        rate: tier.rate,
        concurrency: tier.concurrency,
        quotas: tier.quotas.clone(),
    });
    let tenants = &admission.tenants;
    Some(GatePlan {
        tiers: gates.collect(),
        weights: match tenants.is_empty() {
            true => tiers.iter().map(|tier| tier.weight).collect(),
            false => tenants.iter().map(|tenant| tenant.weight).collect(),
        },
        tenant_shares: tenants.iter().map(|tenant| tenant.share).collect(),
        admission,
    })
}

/// Which pools can serve which requests.
fn groups_of(scenario: &Scenario, tiers: &[Tier], pools: &[PoolPlan]) -> Groups {
    let serves = tiers.iter().map(|tier| {
        let pools = scenario.pools.iter();
        pools.map(|pool| serves(pool, tier)).collect()
    });
    let serves: Vec<Vec<bool>> = serves.collect();
    let limits = pools.iter().map(|pool| match &pool.engine {
        EnginePlan::Llm { rules, .. } => rules.longest_request(rules.max_model_len).0,
        EnginePlan::Abstract { .. } => u64::MAX,
    });
    let limits: Vec<u64> = limits.collect();
    let reserve = scenario.capability.map(|it| it.reserve_output_tokens);
    Groups::new(&serves, reserve.map(|reserve| (limits.as_slice(), reserve)))
}

/// Whether a pool can serve a tier.
pub(crate) fn serves(pool: &Pool, tier: &Tier) -> bool {
    let has = |names: &[String], name: &str| names.is_empty() || names.iter().any(|it| it == name);
    let model = tier.model.as_deref();
    model.is_none_or(|model| has(pool.serves(), model))
        && (tier.hardware.is_empty()
            || pool
                .accelerator()
                .is_some_and(|accelerator| has(&tier.hardware, accelerator)))
}

fn signal_rule(signals: &Signals) -> Option<SignalRule> {
    match *signals {
        Signals::Own {} => None,
        Signals::Reported {
            interval_ms,
            delay_ms,
            loss,
            count_own,
        } => Some(SignalRule {
            interval: SimDuration::from_ms_f64(interval_ms),
            delay: SimDuration::from_ms_f64(delay_ms),
            loss,
            count_own,
        }),
    }
}

/// Notes a reason against a path, when there is one.
fn noted<T>(result: Result<T, String>, path: &str, problems: &mut Problems<'_>) -> Option<T> {
    result
        .map_err(|reason| problems.push(path, "", &reason, ""))
        .ok()
}

fn resolve_abstract(
    pool: &AbstractPool,
    at: &str,
    problems: &mut Problems<'_>,
) -> Option<EnginePlan> {
    let service = match (&pool.service, &pool.batch_service) {
        (Some(law), _) => {
            let sampler = noted(Sampler::new(law), &format!("{at}.service"), problems)?;
            match pool.discipline {
                Discipline::Fcfs => ServicePlan::Single(sampler),
                Discipline::ProcessorSharing => ServicePlan::Shared(sampler),
            }
        }
        (None, Some(batch)) => {
            let path = format!("{at}.batch_service.variability");
            let variability = match &batch.variability {
                Some(law) => Some(noted(Sampler::new(law), &path, problems)?),
                None => None,
            };
            ServicePlan::Batch(BatchTime {
                fixed_ns: batch.fixed_ms * 1e6,
                per_item_ns: batch.per_item_ms * 1e6,
                variability,
            })
        }
        (None, None) => return None,
    };
    Some(EnginePlan::Abstract {
        servers: pool.servers,
        capacity: pool.queue_capacity.unwrap_or(u32::MAX),
        service,
    })
}
