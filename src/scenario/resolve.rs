//! From what a user wrote to a fleet ready to be built: every value checked, every default
//! applied, every card and trace read.

use std::path::Path;
use std::sync::Arc;

use super::certain::is_certain;
use super::error::ScenarioError;
use super::fleet::{AbstractPool, Discipline, LlmPool, Pool, PromptBlocks, Scheduler};
use super::problems::{Problems, grouped};
use super::schema::{Scenario, Tier, Warmup};
use super::text::Document;
use super::validate::{self, MOST_S};
use super::workload::{Arrivals as ArrivalsSpec, Dejitter, Lengths, Workload};
use crate::engine::{SimDuration, SimTime, Streams};
use crate::fleet::llm::EngineRules;
use crate::fleet::plan::{EnginePlan, FleetPlan, PoolPlan, ServicePlan, TierPlan};
use crate::fleet::servers::BatchTime;
use crate::fleet::window::WindowRule;
use crate::perf::{
    AcceleratorCard, Dtype, Dtypes, Floor, MemoryPlan, ModelCard, Overheads, Overlapped,
    Parallelism, PerfError, ProfileSteps, StepModel, StepTimes,
};
use crate::trace::{TraceScan, TraceSource};
use crate::workload::Sampler;
use crate::workload::arrivals::{Arrivals, Modulated, UnitGap};
use crate::workload::lengths::{LengthLaw, LengthPair};
use crate::workload::profile::RateClock;
use crate::workload::source::SourcePlan;

/// Arrivals stop here when a scenario says nothing, seconds.
const DEFAULT_HORIZON_S: f64 = 600.0;
/// The least default drain limit, seconds.
const LEAST_DRAIN_S: f64 = 600.0;
/// The share of the horizon that is warm-up when a scenario says nothing and has no trace.
const DEFAULT_WARMUP_SHARE: f64 = 0.1;
/// Tokens of a request when a scenario says nothing.
const DEFAULT_LENGTHS: (u32, u32) = (512, 128);

/// Engine overhead of an iteration when a scenario states none: an assumption, which brings the
/// roofline near the step times that published tools derive from measured kernels for dense
/// models. It stands for scheduling, input preparation and sampling, and is of the order that
/// engines with a scheduler in Python show between the kernels of successive iterations.
const ASSUMED_OVERHEADS: Overheads = Overheads {
    fixed_us: 1_500.0,
    per_seq_us: 5.0,
};

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
    /// Find the warm-up with MSER-5 on a pilot run.
    pub auto_warmup: bool,
}

impl Plan {
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
}

/// Reads a scenario out of a document and makes a plan of it. Cards and traces are found
/// relative to `base_dir`.
///
/// # Errors
/// Everything that is wrong with it, with the line of each field.
pub fn resolve(document: &Document, base_dir: &Path) -> Result<Plan, ScenarioError> {
    let scenario: Scenario = document.parse_as()?;
    let mut problems = Problems::new(document);
    validate::check(&scenario, &mut problems);
    problems.finish()?;
    let mut problems = Problems::new(document);
    let source = resolve_source(&scenario.workload, base_dir, &mut problems);
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
            Pool::Llm(pool) => pool.tp,
        };
        pools.extend(engine.map(|engine| PoolPlan {
            name: pool.name().to_owned(),
            replicas: pool.replicas(),
            accelerators_per_replica: accelerators,
            engine,
        }));
        llm.push(facts);
    }
    problems.finish()?;
    let Some((source, trace)) = source else {
        // Unreachable: a missing source has noted a problem. Refused rather than assumed.
        return Err(ScenarioError::Invalid(Vec::new()));
    };
    let times = Times::of(&scenario, trace.as_ref());
    times.check(document)?;
    let fleet = fleet_plan(&scenario, source, pools, &times);
    Ok(Plan {
        auto_warmup: matches!(scenario.run.warmup_s, Some(Warmup::Auto(_))),
        scenario,
        fleet,
        llm,
        trace,
    })
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
    };
    let tiers = match scenario.tiers.is_empty() {
        true => std::slice::from_ref(&default_tier),
        false => &scenario.tiers,
    };
    let tiers = tiers.iter().map(|tier| TierPlan {
        name: tier.name.clone(),
        share: tier.share,
        priority: tier.priority,
        slo: tier.slo.or(scenario.slo),
    });
    FleetPlan {
        streams: Streams {
            seed: scenario.run.seed,
            replication: 0,
        },
        warmup: times.warmup,
        horizon: times.horizon,
        end: times.end,
        source,
        max_requests: scenario.workload.max_requests.unwrap_or(u64::MAX),
        max_in_flight: scenario.run.max_in_flight,
        tiers: tiers.collect(),
        to_replica: SimDuration::from_ms_f64(scenario.network.to_replica_ms),
        from_replica: SimDuration::from_ms_f64(scenario.network.from_replica_ms),
        gateway_cost: SimDuration::from_ms_f64(scenario.gateway.cost_ms),
        rate_limit: scenario
            .gateway
            .rate_limit
            .map(|limit| (limit.requests_per_s, limit.burst)),
        router: scenario.router,
        window: WindowRule {
            window: SimDuration::from_ms_f64(scenario.batching.window_ms),
            max_batch: scenario.batching.max_batch,
            preferred: scenario.batching.preferred_batches.clone(),
        },
        pools,
        record_requests: false,
    }
}

/// Notes a reason against a path, when there is one.
fn noted<T>(result: Result<T, String>, path: &str, problems: &mut Problems<'_>) -> Option<T> {
    result
        .map_err(|reason| problems.push(path, "", &reason, ""))
        .ok()
}

fn resolve_source(
    workload: &Workload,
    base_dir: &Path,
    problems: &mut Problems<'_>,
) -> Option<(SourcePlan, Option<TraceScan>)> {
    let path = "workload.arrivals";
    if let ArrivalsSpec::Trace {
        path: file,
        rate_scale,
        from_s,
        to_s,
        dejitter,
    } = &workload.arrivals
    {
        let opened = TraceSource::open(&base_dir.join(file)).map(|source| TraceSource {
            rate_scale: *rate_scale,
            from_s: *from_s,
            to_s: *to_s,
            dejitter: *dejitter == Dejitter::Uniform,
            ..source
        });
        let scanned = opened.and_then(|source| Ok((source.scan()?, source)));
        let at = "workload.arrivals.path";
        let (scan, source) = noted(scanned.map_err(|error| error.to_string()), at, problems)?;
        let mut own = |lengths: &Option<Lengths>, at: &str| match lengths {
            Some(lengths) => noted(LengthLaw::new(lengths), at, problems),
            None => Some(None),
        };
        let prompt = own(&workload.prompt_tokens, "workload.prompt_tokens")?;
        let output = own(&workload.output_tokens, "workload.output_tokens")?;
        let plan = SourcePlan::Trace {
            source,
            prompt,
            output,
        };
        return Some((plan, Some(scan)));
    }
    let lengths = resolve_lengths(workload, problems)?;
    if let ArrivalsSpec::ClosedLoop { users, think } = &workload.arrivals {
        let think = match think {
            Some(law) => Some(noted(
                Sampler::new(law),
                "workload.arrivals.think",
                problems,
            )?),
            None => None,
        };
        let plan = SourcePlan::ClosedLoop {
            users: *users,
            think,
            lengths,
        };
        return Some((plan, None));
    }
    let arrivals = noted(resolve_arrivals(&workload.arrivals), path, problems)?;
    let clock = match &workload.profile {
        Some(profile) => Some(noted(
            RateClock::new(profile),
            "workload.profile",
            problems,
        )?),
        None => None,
    };
    let plan = SourcePlan::Drawn {
        arrivals,
        clock,
        lengths,
    };
    Some((plan, None))
}

fn resolve_lengths(workload: &Workload, problems: &mut Problems<'_>) -> Option<LengthPair> {
    let mut law = |lengths: &Option<Lengths>, default: u32, path: &str| {
        let default = Lengths::Constant { tokens: default };
        noted(
            LengthLaw::new(lengths.as_ref().unwrap_or(&default)),
            path,
            problems,
        )
        .flatten()
    };
    let prompt = law(
        &workload.prompt_tokens,
        DEFAULT_LENGTHS.0,
        "workload.prompt_tokens",
    )?;
    let output = law(
        &workload.output_tokens,
        DEFAULT_LENGTHS.1,
        "workload.output_tokens",
    )?;
    let correlation = workload.length_rank_correlation;
    Some(LengthPair::new(prompt, output, correlation))
}

fn resolve_arrivals(arrivals: &ArrivalsSpec) -> Result<Arrivals, String> {
    let renewal = |rate_per_s: f64, gap: UnitGap, scv: f64| Arrivals::Renewal {
        mean_ns: 1e9 / rate_per_s,
        gap,
        scv,
    };
    Ok(match arrivals {
        ArrivalsSpec::Poisson { rate_per_s } => renewal(*rate_per_s, UnitGap::Exponential, 1.0),
        ArrivalsSpec::Constant { rate_per_s } => renewal(*rate_per_s, UnitGap::Constant, 0.0),
        ArrivalsSpec::Gamma { rate_per_s, cv } => {
            renewal(*rate_per_s, UnitGap::gamma(*cv)?, cv * cv)
        }
        ArrivalsSpec::Weibull { rate_per_s, cv } => {
            renewal(*rate_per_s, UnitGap::weibull(*cv)?, cv * cv)
        }
        ArrivalsSpec::OnOff {
            on_rate_per_s,
            on_mean_s,
            off_mean_s,
            off_rate_per_s,
        } => Arrivals::Modulated(Modulated::new(vec![
            (on_rate_per_s / 1e9, on_mean_s * 1e9),
            (off_rate_per_s / 1e9, off_mean_s * 1e9),
        ])),
        ArrivalsSpec::Mmpp { states } => {
            let states = states
                .iter()
                .map(|state| (state.rate_per_s / 1e9, state.mean_s * 1e9));
            Arrivals::Modulated(Modulated::new(states.collect()))
        }
        ArrivalsSpec::ClosedLoop { .. } | ArrivalsSpec::Trace { .. } => {
            return Err("is not an open arrival process".to_owned());
        }
    })
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

fn resolve_llm(
    pool: &LlmPool,
    at: &str,
    base_dir: &Path,
    problems: &mut Problems<'_>,
) -> Option<(EnginePlan, LlmFacts)> {
    let mut asked = |result: Result<(), PerfError>, field: &str, value: &str| {
        if let Err(error) = &result {
            problems.push(
                &format!("{at}.{field}"),
                match field {
                    "tp" => value.to_owned(),
                    _ => format!("{value:?}"),
                },
                &error.to_string(),
                "",
            );
        }
        result.ok()
    };
    let model = ModelCard::load(&pool.model, base_dir);
    let accelerator = AcceleratorCard::load(&pool.accelerator, base_dir);
    let dtype = |name: &Option<String>, own: Option<Dtype>| match name {
        Some(name) => Dtype::parse(name).map(Some),
        None => Ok(own),
    };
    let own = model.as_ref().ok();
    let weight = dtype(&pool.weight_dtype, own.map(|model| model.weight_dtype));
    let kv = dtype(&pool.kv_dtype, own.map(|model| model.kv_dtype));
    let as_written = |name: &Option<String>| name.clone().unwrap_or_default();
    let checks = [
        asked(
            model.as_ref().map(|_| ()).map_err(Clone::clone),
            "model",
            &pool.model,
        ),
        asked(
            accelerator.as_ref().map(|_| ()).map_err(Clone::clone),
            "accelerator",
            &pool.accelerator,
        ),
        asked(
            weight.as_ref().map(|_| ()).map_err(Clone::clone),
            "weight_dtype",
            &as_written(&pool.weight_dtype),
        ),
        asked(
            kv.as_ref().map(|_| ()).map_err(Clone::clone),
            "kv_dtype",
            &as_written(&pool.kv_dtype),
        ),
    ];
    if checks.contains(&None) {
        return None;
    }
    let (model, accelerator) = (model.ok()?, accelerator.ok()?);
    let dtypes = Dtypes {
        weight: weight.ok()??,
        kv: kv.ok()??,
    };
    let overheads = Overheads {
        fixed_us: pool.overhead_fixed_us.unwrap_or(ASSUMED_OVERHEADS.fixed_us),
        per_seq_us: pool
            .overhead_per_seq_us
            .unwrap_or(ASSUMED_OVERHEADS.per_seq_us),
    };
    let tp = Parallelism { tp: pool.tp };
    let step = StepModel::new(
        &model,
        &accelerator,
        &tp,
        dtypes.weight,
        dtypes.kv,
        overheads,
    );
    asked(
        step.as_ref().map(|_| ()).map_err(Clone::clone),
        "tp",
        &pool.tp.to_string(),
    )?;
    // With the blocks pinned by a measurement only the weights must fit.
    let utilization = match pool.kv_blocks {
        Some(_) => 1.0,
        None => pool.memory_utilization,
    };
    let memory = MemoryPlan::new(
        &model,
        &accelerator,
        pool.tp,
        dtypes.weight,
        dtypes.kv,
        utilization,
        pool.max_num_batched_tokens,
        pool.max_num_seqs,
        pool.block_size,
    );
    asked(
        memory.as_ref().map(|_| ()).map_err(Clone::clone),
        "model",
        &pool.model,
    )?;
    let (step, memory) = (step.ok()?, memory.ok()?);
    let kv_blocks = pool.kv_blocks.unwrap_or(memory.kv_blocks);
    if kv_blocks > memory.most_kv_blocks {
        problems.push(
            &format!("{at}.kv_blocks"),
            kv_blocks,
            &format!(
                "must be at most {}, the blocks that fit beside the weights",
                grouped(memory.most_kv_blocks)
            ),
            "give the block count that the engine prints, or leave it out",
        );
        return None;
    }
    let kv_tokens = kv_blocks * u64::from(pool.block_size);
    let longest = u64::from(pool.max_model_len.unwrap_or(model.max_context));
    let rules = EngineRules {
        scheduler: pool.scheduler,
        policy: pool.scheduling_policy,
        padded_budget: pool.padded_budget,
        long_prefill_token_threshold: pool.long_prefill_token_threshold,
        prompt_blocks: match pool.scheduler {
            Scheduler::VllmV1 => pool.prompt_blocks.unwrap_or_default(),
            Scheduler::VllmV0 | Scheduler::Sarathi => PromptBlocks::ReserveWhole,
        },
        async_scheduling: pool.async_scheduling,
        max_num_seqs: pool.max_num_seqs,
        max_num_batched_tokens: pool.max_num_batched_tokens,
        chunked_prefill: pool.chunked_prefill,
        max_model_len: longest.min(kv_tokens),
        block_size: pool.block_size,
        kv_blocks,
        watermark_blocks: (pool.watermark * kv_blocks as f64).ceil() as u64,
        step_by_step: pool.step_by_step,
    };
    let facts = LlmFacts {
        model,
        accelerator,
        dtypes,
        memory,
        kv_blocks,
        kv_blocks_pinned: pool.kv_blocks.is_some(),
        overheads,
        step,
    };
    let kernels = kernel_times(pool, &facts, base_dir);
    asked(
        kernels.as_ref().map(|_| ()).map_err(Clone::clone),
        "profile",
        pool.profile.as_deref().unwrap_or_default(),
    )?;
    let step = kernels.ok()?;
    Some((EnginePlan::Llm { rules, step }, facts))
}

/// How long the iterations of a pool take.
fn kernel_times(
    pool: &LlmPool,
    facts: &LlmFacts,
    base_dir: &Path,
) -> Result<Arc<dyn StepTimes>, PerfError> {
    // With asynchronous scheduling the engine works beside the kernels and not between them.
    let between = match pool.async_scheduling {
        true => Overheads::default(),
        false => facts.overheads,
    };
    let (model, accelerator) = (&facts.model, &facts.accelerator);
    let kernels: Arc<dyn StepTimes> = match &pool.profile {
        Some(folder) => {
            let floor = Floor::new(model, accelerator, pool.tp, facts.dtypes);
            let folder = base_dir.join(folder);
            Arc::new(ProfileSteps::load(&folder, model.layers, floor, between)?)
        }
        None => Arc::new(StepModel::new(
            model,
            accelerator,
            &Parallelism { tp: pool.tp },
            facts.dtypes.weight,
            facts.dtypes.kv,
            between,
        )?),
    };
    Ok(match pool.async_scheduling {
        true => Arc::new(Overlapped::new(kernels, facts.overheads)),
        false => kernels,
    })
}
