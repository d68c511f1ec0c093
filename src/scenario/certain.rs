//! Whether anything in a scenario is random.

use super::fleet::{Pool, Router};
use super::schema::Scenario;
use super::workload::{Arrivals, Dejitter, Law, Lengths};

/// Whether a run of the scenario draws no number that could change its result: a trace replayed
/// with its own lengths, or clockwork arrivals, through deterministic servers. Its figures are then
/// exact for what it describes, and replications are all alike.
#[must_use]
pub fn is_certain(scenario: &Scenario) -> bool {
    let workload = &scenario.workload;
    let fixed = |lengths: &Option<Lengths>| match lengths {
        None => true,
        Some(Lengths::Constant { .. } | Lengths::Trace {}) => true,
        Some(_) => false,
    };
    let arrivals = match &workload.arrivals {
        Arrivals::Constant { .. } => true,
        Arrivals::Trace { dejitter, .. } => *dejitter == Dejitter::None,
        Arrivals::ClosedLoop { think, .. } => think.as_ref().is_none_or(is_fixed),
        _ => false,
    };
    let lengths = fixed(&workload.prompt_tokens) && fixed(&workload.output_tokens);
    let replicas: u64 = scenario
        .pools
        .iter()
        .map(|pool| u64::from(pool.replicas()))
        .sum();
    let router = match scenario.router {
        Router::RoundRobin {} | Router::LeastTokens { .. } => true,
        Router::LeastRequest { choices } => choices == 0,
        Router::Random {} => false,
    };
    let pools = scenario.pools.iter().all(|pool| match pool {
        // Drafts that are always accepted, or never, leave nothing to chance.
        Pool::Llm(pool) => pool
            .speculative
            .as_ref()
            .is_none_or(|drafts| drafts.acceptance == 0.0 || drafts.acceptance == 1.0),
        Pool::Abstract(pool) => match (&pool.service, &pool.batch_service) {
            (Some(law), _) => is_fixed(law),
            (_, Some(batch)) => batch.variability.as_ref().is_none_or(is_fixed),
            _ => false,
        },
    });
    let tiers = scenario.tiers.len() <= 1;
    arrivals && lengths && tiers && pools && (router || replicas == 1)
}

fn is_fixed(law: &Law) -> bool {
    matches!(law, Law::Deterministic { .. })
}
