//! What replicas are worth to routers that go by cost or latency.

use crate::fleet::capacity::plan::GroupPlan;
use crate::fleet::plan::{EnginePlan, PoolPlan, ServicePlan};
use crate::fleet::worth::{Worth, WorthClass};
use crate::perf::{PrefillChunk, StepTimes};
use crate::scenario::fleet::Router;
use crate::scenario::problems::Problems;
use crate::scenario::roles::Role;

use super::Plan;

/// The kinds of replicas, where the router goes by them: those of each group of nodes, and of each
/// pool that is of none.
pub(super) fn classes_of(plan: &Plan, problems: &mut Problems<'_>) -> Vec<WorthClass> {
    let by_cost = match plan.fleet.router {
        Router::Cheapest { .. } => true,
        Router::Fastest {} => false,
        _ => return Vec::new(),
    };
    let groups = plan.fleet.capacity.as_ref();
    let groups = || groups.iter().flat_map(|capacity| &capacity.groups);
    let standing = plan.scenario.cost.as_ref();
    let standing = standing.and_then(|cost| cost.blended_usd_per_gpu_hour());
    let mut classes = Vec::new();
    let mut first = 0;
    for (index, pool) in (0_u16..).zip(&plan.fleet.pools) {
        let (seats, alone_ns, full_ns) = speed_of(plan, pool);
        let class = |replicas, usd_per_hour| WorthClass {
            pool: index,
            replicas,
            worth: Worth {
                usd_per_hour,
                seats,
                alone_ns,
                full_ns,
            },
        };
        let own: Vec<&GroupPlan> = groups().filter(|group| group.pool == index).collect();
        for group in &own {
            let usd = group.price.usd_per_hour_at_start();
            classes.push(class(group.replicas(), usd));
        }
        if own.is_empty() {
            let usd = standing.map(|usd| usd * f64::from(pool.accelerators_per_replica));
            if usd.is_none() && by_cost {
                let at = format!("pools.{index}.name");
                let allowed = "has no price for router.policy = \"cheapest\" to go by";
                let remedy = "state cost.on_demand_usd_per_gpu_hour, or [[capacity.groups]] for it";
                problems.push(&at, &pool.name, allowed, remedy);
            }
            let replicas = first..first + pool.replicas;
            classes.push(class(replicas, usd.unwrap_or(0.0)));
        }
        first += pool.replicas;
    }
    classes
}

/// Seats of a replica, and how long a request of mean lengths takes there alone and when all seats
/// are taken, nanoseconds.
pub fn speed_of(plan: &Plan, pool: &PoolPlan) -> (u32, f64, f64) {
    let seats = u32::try_from(pool.seats(&plan.fleet.window)).unwrap_or(u32::MAX);
    match &pool.engine {
        EnginePlan::Abstract {
            service: ServicePlan::Single(law) | ServicePlan::Shared(law),
            ..
        } => (seats, law.mean_ns(), law.mean_ns()),
        EnginePlan::Abstract {
            service: ServicePlan::Batch(batch),
            ..
        } => {
            let most = plan.fleet.window.max_batch;
            (seats, batch.mean_ns(1.0), batch.mean_ns(f64::from(most)))
        }
        EnginePlan::Llm { rules, step } => {
            let (prompt, output) = plan.mean_tokens().unwrap_or((512.0, 128.0));
            let held = (prompt + output).max(1.0);
            let tokens = rules.kv_blocks as f64 * f64::from(rules.block_size);
            let fit = (tokens * f64::from(rules.data_parallel) / held).max(1.0);
            let seats = seats.min(fit as u32).max(1);
            let each = f64::from(seats) / f64::from(rules.data_parallel.max(1));
            // What a pool leaves to others takes no time there.
            let (prompt, output) = match pool.role {
                Role::Mixed => (Some(prompt), output),
                Role::Prefill => (Some(prompt), 1.0),
                Role::Decode => (None, output),
            };
            let time = |sequences: f64| llm_ns(step.as_ref(), sequences, (prompt, held), output);
            (seats, time(1.0), time(each.max(1.0)))
        }
    }
}

/// How long a request takes of a language model among so many: its steps, each of which has a share
/// of everybody's prompts in it.
fn llm_ns(
    step: &dyn StepTimes,
    sequences: f64,
    (prompt, held): (Option<f64>, f64),
    output: f64,
) -> f64 {
    let prefill = prompt.map_or(0.0, |prompt| {
        let chunk = PrefillChunk {
            tokens: prompt.round().max(1.0) as u32,
            context: 0,
        };
        step.step_ns(&[chunk], 0, 0)
    });
    let decodes = sequences.round().max(1.0) as u32;
    let context = sequences * (held - output / 2.0).max(1.0);
    let decode = step.step_ns(&[], decodes, context as u64);
    (output - 1.0).max(0.0) * decode + sequences * prefill
}
