//! Parts of a scenario that can be made ideal.

use serde::Serialize;
use serde_json::json;

use crate::fleet::plan::{EnginePlan, ServicePlan};
use crate::scenario::fleet::{Pool, Router};
use crate::scenario::resolve::Plan;
use crate::scenario::signals::Signals;
use crate::scenario::workload::{Arrivals, Law, Lengths};
use crate::scenario::{Document, ScenarioError};
use crate::workload::source::SourcePlan;

/// Times as many replicas where there are to be enough for anything.
const PLENTY: u32 = 10;
/// Times as many KV blocks and seats, likewise.
const PLENTY_OF_KV: u64 = 1_000;
/// Most KV blocks and seats that the simulator takes.
const MOST: (u64, u32) = (1 << 40, 1 << 20);

/// A part that can be made ideal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The batching window: none.
    Window,
    /// Hops between gateway and replicas: no time.
    Network,
    /// The gateway's fixed cost: none.
    Gateway,
    /// Faults and interruptions: none.
    Failures,
    /// Choosing replicas: the least loaded of all, as it is at that instant.
    Routing,
    /// KV memory and seats of LLM engines: without end.
    KvMemory,
    /// Arrivals: at equal distances, at the same rate.
    Bursts,
    /// Service times and lengths: all at their mean.
    Variability,
    /// Neighbours on the same replica: ten times as many replicas.
    Contention,
}

impl Part {
    /// All of them.
    pub const ALL: [Part; 9] = [
        Part::Window,
        Part::Network,
        Part::Gateway,
        Part::Failures,
        Part::Routing,
        Part::KvMemory,
        Part::Bursts,
        Part::Variability,
        Part::Contention,
    ];

    /// Whether it could be built otherwise; the others are capacity and traffic.
    pub fn can_be_built_otherwise(self) -> bool {
        !matches!(self, Part::Bursts | Part::Variability | Part::Contention)
    }

    /// What it is, in words.
    pub fn text(self, plan: &Plan) -> String {
        let scenario = &plan.scenario;
        match self {
            Part::Window => format!("the batching window of {} ms", scenario.batching.window_ms),
            Part::Network => "the hops between gateway and replicas".to_owned(),
            Part::Gateway => "the gateway's own time".to_owned(),
            Part::Failures => "faults and interruptions".to_owned(),
            Part::Routing => "requests that go to other than the least loaded replica".to_owned(),
            Part::KvMemory => "KV memory and seats that run out".to_owned(),
            Part::Bursts => "arrivals that come unevenly".to_owned(),
            Part::Variability => "requests of unequal length".to_owned(),
            Part::Contention => "sharing replicas with other requests".to_owned(),
        }
    }

    /// Whether a scenario has it.
    pub fn applies(self, plan: &Plan) -> bool {
        let scenario = &plan.scenario;
        match self {
            Part::Window => scenario.batching.window_ms > 0.0,
            Part::Network => {
                scenario.network.to_replica_ms + scenario.network.from_replica_ms > 0.0
            }
            Part::Gateway => scenario.gateway.cost_ms > 0.0,
            Part::Failures => !scenario.faults.is_empty(),
            Part::Routing => {
                let replicas: u32 = scenario.pools.iter().map(Pool::replicas).sum();
                let least = Router::LeastRequest {
                    choices: 0,
                    active_request_bias: 1.0,
                };
                let ideal = scenario.router == least
                    && scenario.signals == Signals::Own {}
                    && scenario.gateway.replicas == 1;
                replicas > 1 && !ideal
            }
            Part::KvMemory => plan.fleet.pools.iter().any(|pool| is_bounded(&pool.engine)),
            Part::Bursts => steady_rate(plan).is_some(),
            Part::Variability => !self.mean_settings(plan, None).is_empty(),
            Part::Contention => scenario.capacity.groups.is_empty(),
        }
    }

    /// Whether it is a matter of one pool at a time, so that it can be told which.
    pub fn is_of_pools(self) -> bool {
        matches!(self, Part::KvMemory | Part::Contention | Part::Variability)
    }

    /// Whether a pool, an index, has it by itself.
    pub fn is_in(self, plan: &Plan, pool: usize) -> bool {
        match self {
            Part::Variability => !self.mean_settings(plan, Some(pool)).is_empty(),
            Part::KvMemory => plan
                .fleet
                .pools
                .get(pool)
                .is_some_and(|pool| is_bounded(&pool.engine)),
            _ => self.is_of_pools(),
        }
    }

    /// Takes it out of a scenario, as far as a scenario can say so; out of one pool, an index, where that
    /// is told and it is of pools.
    ///
    /// # Errors
    /// A path that leads nowhere.
    pub fn edit(
        self,
        document: &mut Document,
        plan: &Plan,
        only: Option<usize>,
    ) -> Result<(), ScenarioError> {
        match self {
            Part::Window => document.set("batching.window_ms", "0"),
            Part::Network => {
                document.set("network.to_replica_ms", "0")?;
                document.set("network.from_replica_ms", "0")
            }
            Part::Gateway => document.set("gateway.cost_ms", "0"),
            Part::Failures => document.unset("faults"),
            Part::Routing => {
                document.set("router", "{ policy = \"least_request\", choices = 0 }")?;
                document.set("signals", "{ source = \"own\" }")?;
                document.set("gateway.replicas", "1")
            }
            Part::KvMemory => Ok(()),
            Part::Bursts => match steady_rate(plan) {
                Some(rate) => {
                    let steady = format!("{{ process = \"constant\", rate_per_s = {rate:?} }}");
                    document.set("workload.arrivals", &steady)
                }
                None => Ok(()),
            },
            Part::Variability => {
                let settings = self.mean_settings(plan, only);
                settings
                    .into_iter()
                    .try_for_each(|(path, value)| document.set(&path, &value))
            }
            Part::Contention => {
                let pools = plan.scenario.pools.iter().enumerate();
                let pools = pools.filter(|(index, _)| only.is_none_or(|only| only == *index));
                let mut pools = pools.map(|(index, pool)| (index, pool.replicas()));
                pools.try_for_each(|(index, replicas)| {
                    let many = replicas.saturating_mul(PLENTY).to_string();
                    document.set(&format!("pools.{index}.replicas"), &many)
                })
            }
        }
    }

    /// Takes out what no scenario can be without; out of one pool where that is told.
    pub fn free(self, plan: &mut Plan, only: Option<usize>) {
        if self != Part::KvMemory {
            return;
        }
        let pools = plan.fleet.pools.iter_mut().enumerate();
        for (_, pool) in pools.filter(|(index, _)| only.is_none_or(|only| only == *index)) {
            if let EnginePlan::Llm { rules, .. } = &mut pool.engine
                && !rules.prefix_caching
            {
                rules.kv_blocks = rules.kv_blocks.saturating_mul(PLENTY_OF_KV).min(MOST.0);
                rules.watermark_blocks = 0;
                let seats = u64::from(rules.max_num_seqs).saturating_mul(PLENTY_OF_KV);
                let seats = u32::try_from(seats).unwrap_or(MOST.1).min(MOST.1);
                // No more than the iteration's budget of tokens has a place for: that is a part of its own.
                let places = rules.max_num_batched_tokens.max(rules.max_num_seqs);
                rules.max_num_seqs = seats.min(places);
            }
        }
    }

    /// Paths and values that put the mean in place of what is drawn; of one pool's service, where that is
    /// told. Lengths are of the traffic, which no one pool has.
    fn mean_settings(self, plan: &Plan, only: Option<usize>) -> Vec<(String, String)> {
        let mut settings = Vec::new();
        for (index, pool) in plan.scenario.pools.iter().enumerate() {
            let Pool::Abstract(pool) = pool else { continue };
            if only.is_some_and(|only| only != index) {
                continue;
            }
            let fixed = matches!(pool.service, None | Some(Law::Deterministic { .. }));
            let engine = &plan.fleet.pools[index].engine;
            if let (false, EnginePlan::Abstract { service, .. }) = (fixed, engine)
                && let ServicePlan::Single(law) | ServicePlan::Shared(law) = service
            {
                let mean_ms = law.mean_ns() / 1e6;
                let law = json!(mean_ms);
                settings.push((
                    format!("pools.{index}.service"),
                    format!("{{ law = \"deterministic\", mean_ms = {law} }}"),
                ));
            }
        }
        if only.is_some() {
            return settings;
        }
        let has_llm = plan
            .scenario
            .pools
            .iter()
            .any(|pool| matches!(pool, Pool::Llm(_)));
        let workload = &plan.scenario.workload;
        let drawn = matches!(plan.fleet.source, SourcePlan::Drawn { .. });
        if let (true, true, None, Some((prompt, output))) =
            (has_llm, drawn, &workload.sessions, plan.mean_tokens())
        {
            for (field, lengths, mean) in [
                ("prompt_tokens", &workload.prompt_tokens, prompt),
                ("output_tokens", &workload.output_tokens, output),
            ] {
                if !matches!(lengths, None | Some(Lengths::Constant { .. })) {
                    let tokens = mean.round().max(1.0) as u64;
                    settings.push((
                        format!("workload.{field}"),
                        format!("{{ law = \"constant\", tokens = {tokens} }}"),
                    ));
                }
            }
            // Constant lengths have no correlation.
            if !settings.is_empty() && workload.length_rank_correlation != 0.0 {
                settings.push((
                    "workload.length_rank_correlation".to_owned(),
                    "0".to_owned(),
                ));
            }
        }
        settings
    }
}

fn is_bounded(engine: &EnginePlan) -> bool {
    // With prefix caching less memory is also less that is remembered: another question.
    matches!(engine, EnginePlan::Llm { rules, .. } if !rules.prefix_caching)
}

/// The mean rate of arrivals that come unevenly.
fn steady_rate(plan: &Plan) -> Option<f64> {
    let uneven = !matches!(plan.scenario.workload.arrivals, Arrivals::Constant { .. });
    match &plan.fleet.source {
        SourcePlan::Drawn { arrivals, .. } if uneven => Some(arrivals.mean_rate_per_s()),
        _ => None,
    }
}
