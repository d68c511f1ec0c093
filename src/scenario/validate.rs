//! Checks every value of a scenario, as a whole, before anything runs.

mod llm;
mod mixes;
mod speculative;
mod topology;
mod workload;

use std::collections::BTreeMap;

use self::llm::check_llm;
use self::topology::check_topology;
pub(in crate::scenario) use self::workload::check_law;
pub(super) use self::workload::check_traffic;
use self::workload::check_workload;
use super::balance::{PrefixIndex, Scorers};
use super::fleet::{AbstractPool, Discipline, Pool, Router};
use super::problems::{Problems, grouped};
use super::resolve::serves;
use super::roles::check_roles;
use super::routing::KeyOf;
use super::schema::{Bound, Claim, Scenario, Slo, Tier, Warmup};
use super::suggest::nearest;
use super::workload::Arrivals;

/// Longest time in milliseconds that any field takes: 11.5 days.
pub const MOST_MS: f64 = 1e9;
/// Longest time in seconds: about three years.
pub const MOST_S: f64 = 1e8;
/// Highest rate per second.
pub const MOST_PER_S: f64 = 1e9;
/// Most replicas of all pools.
pub const MOST_REPLICAS: u64 = 1_000_000;

/// Notes everything that is wrong with the values of a scenario.
pub fn check(scenario: &Scenario, problems: &mut Problems<'_>) {
    problems.title("name", &scenario.name);
    check_run(scenario, problems);
    check_workload(scenario, problems);
    check_front(scenario, problems);
    check_clients(scenario, problems);
    check_tiers(scenario, problems);
    check_pools(scenario, problems);
    check_roles(scenario, problems);
    check_topology(scenario, problems);
    if let Some(erasure) = &scenario.erasure {
        erasure.check("erasure", scenario, problems);
    }
    if let Some(cost) = &scenario.cost {
        cost.check(problems);
    }
    problems.unique(
        "claims",
        scenario.claims.iter().map(|claim| claim.id.as_str()),
    );
    for name in scenario.variants.keys() {
        problems.name(&format!("variants.{name}"), name);
    }
    for (index, claim) in scenario.claims.iter().enumerate() {
        check_claim(claim, &format!("claims.{index}"), scenario, problems);
    }
}

fn check_run(scenario: &Scenario, problems: &mut Problems<'_>) {
    let run = &scenario.run;
    if let Some(horizon) = run.horizon_s {
        problems.positive("run.horizon_s", horizon, MOST_S);
    }
    if let Some(Warmup::Seconds(warmup)) = run.warmup_s
        && problems.non_negative("run.warmup_s", warmup, MOST_S)
        && run.horizon_s.is_some_and(|horizon| warmup >= horizon)
    {
        problems.push(
            "run.warmup_s",
            warmup,
            "must be before run.horizon_s",
            "shorten the warm-up or run for longer: nothing would be measured",
        );
    }
    if let Some(drain) = run.drain_limit_s {
        problems.non_negative("run.drain_limit_s", drain, MOST_S);
    }
    problems.int_in_range("run.max_events", run.max_events, 1, u64::MAX);
    let in_flight = run.max_in_flight;
    problems.int_in_range("run.max_in_flight", in_flight, 1, 1_000_000_000);
    problems.int_in_range("run.replications", u64::from(run.replications), 1, 10_000);
    problems.in_range("run.confidence", run.confidence, 0.5, 0.9999);
    if let Some(clock) = &run.clock {
        clock.check("run.clock", problems);
    }
}

fn check_clients(scenario: &Scenario, problems: &mut Problems<'_>) {
    let Some(clients) = &scenario.clients else {
        return;
    };
    clients.check("clients", problems);
    if let Some(patience) = &clients.patience {
        check_law(&patience.after, "clients.patience.after", problems);
    }
}

fn check_front(scenario: &Scenario, problems: &mut Problems<'_>) {
    let network = &scenario.network;
    problems.non_negative("network.to_replica_ms", network.to_replica_ms, MOST_MS);
    problems.non_negative("network.from_replica_ms", network.from_replica_ms, MOST_MS);
    problems.non_negative("gateway.cost_ms", scenario.gateway.cost_ms, MOST_MS);
    if let Some(limit) = scenario.gateway.rate_limit {
        let path = "gateway.rate_limit.requests_per_s";
        problems.positive(path, limit.requests_per_s, MOST_PER_S);
        problems.in_range("gateway.rate_limit.burst", limit.burst, 1.0, MOST_PER_S);
    }
    if let Some(timeout) = scenario.gateway.timeout_ms {
        problems.positive("gateway.timeout_ms", timeout, MOST_MS);
    }
    let gateways = u64::from(scenario.gateway.replicas);
    problems.int_in_range("gateway.replicas", gateways, 1, 1_000);
    scenario.signals.check("signals", problems);
    check_signals_are_used(scenario, problems);
    check_router(scenario, problems);
    let batching = &scenario.batching;
    problems.non_negative("batching.window_ms", batching.window_ms, MOST_MS);
    problems.int_in_range(
        "batching.max_batch",
        u64::from(batching.max_batch),
        1,
        65_536,
    );
    let sizes = &batching.preferred_batches;
    let rising = sizes.windows(2).all(|pair| pair[0] < pair[1]);
    let fits = sizes
        .iter()
        .all(|&size| size >= 1 && size <= batching.max_batch);
    if !rising || !fits {
        problems.push(
            "batching.preferred_batches",
            format!("{sizes:?}"),
            &format!(
                "must rise and lie within 1 to max_batch = {}",
                batching.max_batch
            ),
            "sort the sizes and drop those above max_batch",
        );
    }
}

fn check_router(scenario: &Scenario, problems: &mut Problems<'_>) {
    match &scenario.router {
        Router::LeastRequest {
            choices,
            active_request_bias,
        } => {
            problems.int_in_range("router.choices", u64::from(*choices), 0, 1_000);
            let path = "router.active_request_bias";
            problems.non_negative(path, *active_request_bias, 100.0);
        }
        Router::RingHash { ring, .. } => ring.check("router.ring", problems),
        Router::Maglev { maglev, .. } => maglev.check("router.maglev", problems),
        Router::Scored {
            scorers,
            prefix_index,
            ..
        } => {
            scorers.check("router.scorers", problems);
            if let Some(index) = prefix_index {
                index.check("router.prefix_index", problems);
                check_prefix_index(index, scenario, problems);
            }
            let reported = !scenario.signals.is_default();
            if matches!(scorers, Scorers::Weighted { .. }) && !reported {
                problems.push(
                    "router.scorers.policy",
                    "\"weighted\"",
                    "goes by queues and KV caches, which a router only knows by asking",
                    "add [signals] with source = \"reported\"",
                );
            }
        }
        Router::Cheapest { within_ms } => {
            if let Some(within_ms) = within_ms {
                problems.positive("router.within_ms", *within_ms, MOST_MS);
            }
        }
        Router::RoundRobin {}
        | Router::Random {}
        | Router::LeastTokens { .. }
        | Router::Fastest {}
        | Router::Weighted {} => {}
    }
    if let Some(affinity) = &scenario.affinity {
        affinity.check("affinity", problems);
    }
    if let Some(capability) = &scenario.capability {
        capability.check("capability", problems);
    }
    let choices = [("router.hash_on", scenario.router.hash_on())];
    let affinity = scenario.affinity.map(|affinity| affinity.key);
    for (path, key) in choices.into_iter().chain([("affinity.key", affinity)]) {
        if key == Some(KeyOf::User) && !has_users(scenario) {
            problems.push(
                path,
                "\"user\"",
                "goes by users, and this scenario has none",
                "use closed-loop arrivals, sessions or [[populations]], or another key",
            );
        }
    }
}

/// Whether requests are of users that can be told apart.
fn has_users(scenario: &Scenario) -> bool {
    !scenario.regions.is_empty()
        || scenario.clients.is_some()
        || scenario.workload.sessions.is_some()
        || matches!(scenario.workload.arrivals, Arrivals::ClosedLoop { .. })
}

/// A precise index has the blocks of the engines.
fn check_prefix_index(index: &PrefixIndex, scenario: &Scenario, problems: &mut Problems<'_>) {
    let PrefixIndex::Precise { block_size } = index else {
        return;
    };
    for (at, pool) in scenario.pools.iter().enumerate() {
        match pool {
            Pool::Llm(pool) if pool.prefix_caching && pool.block_size == *block_size => {}
            _ => problems.push(
                "router.prefix_index.source",
                "\"precise\"",
                &format!(
                    "needs engines that tell which blocks they store: pools.{at} has no prefix \
                     cache with blocks of {block_size} tokens"
                ),
                "set prefix_caching = true and the same block_size, or use \"approximate\"",
            ),
        }
    }
}

/// A router that compares no loads has no use for reports of them.
fn check_signals_are_used(scenario: &Scenario, problems: &mut Problems<'_>) {
    let compares = match scenario.router {
        Router::LeastRequest { choices, .. } => choices != 1,
        Router::LeastTokens { .. }
        | Router::Scored { .. }
        | Router::Cheapest { .. }
        | Router::Fastest {} => true,
        Router::RingHash { ring, .. } => ring.hash_balance_factor_pct.is_some(),
        Router::Maglev { maglev, .. } => maglev.hash_balance_factor_pct.is_some(),
        Router::RoundRobin {} | Router::Random {} | Router::Weighted {} => false,
    };
    let sheds = scenario
        .admission
        .as_ref()
        .is_some_and(|admission| admission.shedding.is_some());
    if !scenario.signals.is_default() && !compares && !sheds {
        problems.push(
            "signals.source",
            "\"reported\"",
            "has no effect: this router compares no loads",
            "take [signals] away, or use router.policy = \"least_request\"",
        );
    }
}

fn check_tiers(scenario: &Scenario, problems: &mut Problems<'_>) {
    if let Some(slo) = &scenario.slo {
        check_slo(slo, "slo", scenario, problems);
    }
    problems.unique(
        "tiers",
        scenario.tiers.iter().map(|tier| tier.name.as_str()),
    );
    if scenario.tiers.len() > 1_000 {
        problems.push(
            "tiers",
            scenario.tiers.len(),
            "must be 1,000 tiers at most",
            "merge some",
        );
    }
    for (index, tier) in scenario.tiers.iter().enumerate() {
        let path = |field: &str| format!("tiers.{index}.{field}");
        problems.name(&path("name"), &tier.name);
        problems.positive(&path("share"), tier.share, 1e9);
        check_served(tier, index, scenario, problems);
        if let Some(slo) = &tier.slo {
            check_slo(slo, &path("slo"), scenario, problems);
        }
    }
}

/// Some pool must serve what a tier asks for.
fn check_served(tier: &Tier, index: usize, scenario: &Scenario, problems: &mut Problems<'_>) {
    let mut entries = scenario.pools.iter().filter(|pool| pool.role().is_entry());
    if entries.any(|pool| serves(pool, tier)) || scenario.pools.is_empty() {
        return;
    }
    let (field, value) = match &tier.model {
        Some(model) => ("model", format!("{model:?}")),
        None => ("hardware", format!("{:?}", tier.hardware)),
    };
    problems.push(
        &format!("tiers.{index}.{field}"),
        value,
        "is served by no pool",
        "name it in pools.serves, or ask for what there is",
    );
}

fn check_slo(slo: &Slo, at: &str, scenario: &Scenario, problems: &mut Problems<'_>) {
    let bounds = [
        ("ttft_ms", slo.ttft_ms),
        ("tpot_ms", slo.tpot_ms),
        ("e2e_ms", slo.e2e_ms),
    ];
    for (field, bound) in bounds {
        if let Some(bound) = bound {
            problems.positive(&format!("{at}.{field}"), bound, MOST_MS);
        }
    }
    let has_tokens = scenario
        .pools
        .iter()
        .any(|pool| matches!(pool, Pool::Llm(_)));
    if let (Some(bound), false) = (slo.tpot_ms, has_tokens) {
        problems.push(
            &format!("{at}.tpot_ms"),
            bound,
            "bounds nothing: abstract pools make no tokens one by one",
            "bound e2e_ms, or use a pool with engine = \"llm\"",
        );
    }
    if bounds.iter().all(|(_, bound)| bound.is_none()) {
        let remedy = "state ttft_ms, tpot_ms or e2e_ms";
        problems.push(at, "", "must bound something", remedy);
    }
    problems.in_range(&format!("{at}.target"), slo.target, 0.0, 1.0);
    if let Some(availability) = slo.availability {
        problems.in_range(&format!("{at}.availability"), availability, 0.0, 1.0);
    }
}

fn check_pools(scenario: &Scenario, problems: &mut Problems<'_>) {
    if scenario.pools.is_empty() {
        problems.push(
            "pools",
            "[]",
            "must hold at least one pool",
            "add a [[pools]] table",
        );
    }
    problems.unique("pools", scenario.pools.iter().map(Pool::name));
    for (index, pool) in scenario.pools.iter().enumerate() {
        let at = format!("pools.{index}");
        problems.name(&format!("{at}.name"), pool.name());
        let replicas = u64::from(pool.replicas());
        // Nodes may come that are not there at the start.
        let mut groups = scenario.capacity.groups.iter();
        let least = u64::from(!groups.any(|group| group.pool == pool.name()));
        problems.int_in_range(&format!("{at}.replicas"), replicas, least, MOST_REPLICAS);
        let weight = u64::from(pool.weight());
        problems.int_in_range(&format!("{at}.weight"), weight, 1, 1_000);
        match pool {
            Pool::Abstract(pool) => check_abstract(pool, &at, scenario, problems),
            Pool::Llm(pool) => check_llm(pool, &at, problems),
        }
    }
    let replicas = scenario.pools.iter().map(|pool| u64::from(pool.replicas()));
    let all: u64 = replicas.sum();
    if all > MOST_REPLICAS && scenario.pools.len() > 1 {
        let allowed = format!(
            "must have at most {} replicas in all",
            grouped(MOST_REPLICAS)
        );
        problems.push("pools", grouped(all), &allowed, "take some away");
    }
}

fn check_abstract(pool: &AbstractPool, at: &str, scenario: &Scenario, problems: &mut Problems<'_>) {
    let path = |field: &str| format!("{at}.{field}");
    problems.int_in_range(&path("servers"), u64::from(pool.servers), 1, 10_000_000);
    let accelerators = u64::from(pool.accelerators_per_replica);
    problems.int_in_range(&path("accelerators_per_replica"), accelerators, 0, 100_000);
    match (&pool.service, &pool.batch_service) {
        (Some(law), None) => check_law(law, &path("service"), problems),
        (None, Some(batch)) => {
            problems.non_negative(&path("batch_service.fixed_ms"), batch.fixed_ms, MOST_MS);
            problems.non_negative(
                &path("batch_service.per_item_ms"),
                batch.per_item_ms,
                MOST_MS,
            );
            if batch.fixed_ms + batch.per_item_ms == 0.0 {
                let remedy = "give fixed_ms or per_item_ms a value above 0";
                problems.push(&path("batch_service"), "0", "must take some time", remedy);
            }
            if let Some(law) = &batch.variability {
                check_law(law, &path("batch_service.variability"), problems);
            }
        }
        (Some(_), Some(_)) => problems.push(
            &path("batch_service"),
            "",
            "cannot be stated beside service",
            "remove one of the two",
        ),
        (None, None) => problems.push(
            at,
            "",
            "must state service or batch_service",
            "for example service = { law = \"exponential\", mean_ms = 10 }",
        ),
    }
    if pool.discipline == Discipline::ProcessorSharing && pool.batch_service.is_some() {
        problems.push(
            &path("discipline"),
            "processor_sharing",
            "cannot be combined with batch_service",
            "use service, or discipline = \"fcfs\"",
        );
    }
    let can_reject = pool.queue_capacity.is_some();
    refuse_instant_loop(&path("queue_capacity"), can_reject, scenario, problems);
}

/// A closed-loop user who is turned away and does not think comes back at the same instant, for
/// ever.
fn refuse_instant_loop(
    path: &str,
    can_reject: bool,
    scenario: &Scenario,
    problems: &mut Problems<'_>,
) {
    let thinks = !matches!(
        scenario.workload.arrivals,
        Arrivals::ClosedLoop { think: None, .. }
    );
    if can_reject && !thinks {
        problems.push(
            path,
            "",
            "cannot turn away closed-loop users who do not think: they would come back at once",
            "give workload.arrivals.think a law, or take the limit away",
        );
    }
}

fn check_claim(claim: &Claim, at: &str, scenario: &Scenario, problems: &mut Problems<'_>) {
    let path = |field: &str| format!("{at}.{field}");
    problems.name(&path("id"), &claim.id);
    if let Some(variant) = &claim.variant
        && !scenario.variants.contains_key(variant)
    {
        let names = scenario.variants.keys().map(String::as_str);
        let remedy = match nearest(variant, names) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("add a [variants.{variant}] table"),
        };
        let allowed = "must be the name of a [variants] table";
        problems.push(&path("variant"), format!("{variant:?}"), allowed, &remedy);
    }
    let bounds = [&claim.at_most, &claim.at_least, &claim.equals];
    if bounds.iter().filter(|bound| bound.is_some()).count() != 1 {
        problems.push(
            at,
            "",
            "must state exactly one of at_most, at_least and equals",
            "write, for example, at_most = 30",
        );
    }
    if let Some(tolerance) = claim.tolerance_pct {
        problems.non_negative(&path("tolerance_pct"), tolerance, 100.0);
        if claim.equals.is_none() {
            let remedy = "leave it out, or use equals";
            problems.push(
                &path("tolerance_pct"),
                tolerance,
                "only goes with equals",
                remedy,
            );
        }
    }
    if claim.versus.as_ref().is_some_and(BTreeMap::is_empty) {
        let remedy = "say what to change, such as versus = { \"batching.window_ms\" = 0 }";
        problems.push(&path("versus"), "{}", "must change something", remedy);
    }
    for (field, bound) in [
        ("at_most", &claim.at_most),
        ("at_least", &claim.at_least),
        ("equals", &claim.equals),
    ] {
        if let Some(Bound::Number(value)) = bound
            && !value.is_finite()
        {
            let remedy = "give a number or an expression";
            problems.push(&path(field), value, "must be a finite number", remedy);
        }
    }
    if claim.compare.is_some() && claim.versus.is_none() {
        let remedy = "say what to compare with: versus = { \"path\" = value }";
        problems.push(&path("compare"), "", "only goes with versus", remedy);
    }
}
