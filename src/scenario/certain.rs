//! Whether anything in a scenario is random.

use super::admission::ConcurrencyLimit;
use super::clients::Jitter;
use super::faults::FaultKind;
use super::fleet::{Pool, Router};
use super::schema::Scenario;
use super::signals::Signals;
use super::workload::{Arrivals, Dejitter, Law, Lengths, PrefixSharing, Sessions, Turns};

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
    let sessions = workload.sessions.as_ref().is_none_or(|sessions| {
        let Sessions {
            turns,
            think,
            prompt_tokens,
            output_tokens,
            // Numbers, the same for all.
            system_prompt_tokens: _,
            max_context_tokens: _,
        } = sessions;
        let turns = match turns {
            Turns::Constant { .. } => true,
            // One turn on average is one turn always.
            Turns::Geometric { mean_turns } => *mean_turns == 1.0,
        };
        turns && is_fixed(think) && fixed(prompt_tokens) && fixed(output_tokens)
    });
    // Which group a request belongs to is drawn, where there are several.
    let prefix = match &workload.prefix {
        None | Some(PrefixSharing::None {} | PrefixSharing::Repeated { .. }) => true,
        Some(PrefixSharing::Groups { groups, .. }) => *groups == 1,
        Some(PrefixSharing::Reuse(_)) => false,
    };
    let replicas: u64 = scenario
        .pools
        .iter()
        .map(|pool| u64::from(pool.replicas()))
        .sum();
    // A request comes to any of several gateway replicas, and answers may be lost.
    let front = scenario.gateway.replicas == 1
        && match scenario.signals {
            Signals::Own {} => true,
            Signals::Reported { loss, .. } => loss == 0.0 || loss == 1.0,
        };
    let router = match scenario.router {
        Router::RoundRobin {}
        | Router::LeastTokens { .. }
        | Router::Weighted {}
        | Router::RingHash { .. }
        | Router::Maglev { .. }
        | Router::Cheapest { .. }
        | Router::Fastest {} => true,
        Router::LeastRequest { choices, .. } => choices == 0,
        // Ties are drawn.
        Router::Random {} | Router::Scored { .. } => false,
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
    arrivals
        && lengths
        && sessions
        && prefix
        && tiers
        && pools
        && (router || replicas == 1)
        && front
        && around_is_certain(scenario)
}

/// Whether clients, regions, admission, health and faults leave nothing to chance.
fn around_is_certain(scenario: &Scenario) -> bool {
    let clients = scenario.clients.as_ref().is_none_or(|clients| {
        let patience = clients.patience.as_ref();
        let again = clients.max_retries == 0 || clients.backoff.jitter == Jitter::None;
        again && patience.is_none_or(|patience| is_fixed(&patience.after))
    });
    // Users are drawn, and resolvers by user; gateways of a region, too.
    let regions = scenario.regions.is_empty();
    let faults = &scenario.faults;
    let drawn = |kind: &FaultKind| {
        matches!(
            kind,
            FaultKind::PacketLoss { .. }
                | FaultKind::BadDeploy { .. }
                | FaultKind::TrafficSpike { .. }
                | FaultKind::Oscillating { .. }
        )
    };
    let faults = faults.file.is_none()
        && faults.random.is_empty()
        && !faults.timeline.iter().any(|fault| drawn(&fault.fault));
    let health = scenario.health.as_ref().is_none_or(|health| {
        health.outlier.is_none() && health.active.is_none() && health.slow_start.is_none()
    });
    let admission = scenario.admission.as_ref().is_none_or(|admission| {
        admission.shedding.is_none()
            && admission.by_success.is_none()
            && admission.tenants.len() <= 1
            && !matches!(
                admission.concurrency,
                Some(ConcurrencyLimit::Gradient { .. })
            )
    });
    clients && regions && faults && health && admission
}

fn is_fixed(law: &Law) -> bool {
    matches!(law, Law::Deterministic { .. })
}
