//! Nodes: where each group's places are among the replicas, and what it is made of.

use std::path::Path;
use std::sync::Arc;

use crate::engine::SimDuration;
use crate::fleet::capacity::plan::{
    CapacityPlan, GroupPlan, LimitPlan, NodePrice, Part, ScalerPlan, StartPlan,
};
use crate::fleet::plan::FleetPlan;
use crate::fleet::spot::availability::Availability;
use crate::fleet::spot::interruption::Interruption;
use crate::fleet::spot::prices::Prices;
use crate::fleet::transfer::TransferPlan;
use crate::money::bill::{BilledFrom, BillingRule, HourlyRate};
use crate::money::book::{BookError, Compute, PriceBook, Upfront};
use crate::scenario::capacity::{Market, NodeGroup, NodeLimit, NodeStart, OnNotice, PriceOf};
use crate::scenario::cost::Cost;
use crate::scenario::problems::Problems;
use crate::scenario::roles::SharedBy;
use crate::scenario::scaling::Scaler;
use crate::scenario::schema::Scenario;
use crate::scenario::workload::Law;
use crate::workload::Sampler;

use super::money::origin;
use super::{LlmFacts, serves};

/// The places of a group among the replicas of all pools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::scenario) struct Places {
    /// Its pool.
    pub pool: usize,
    /// Its first replica.
    pub first: u32,
    /// Nodes at the start.
    pub at_start: u32,
    /// Nodes at most.
    pub slots: u32,
}

/// The places of all groups; a pool's replicas are those of its groups, in their order.
pub(in crate::scenario) fn places_of(scenario: &Scenario) -> Vec<Places> {
    let groups = &scenario.capacity.groups;
    let pool_of = |group: &NodeGroup| {
        let named = scenario.pools.iter().position(|it| it.name() == group.pool);
        named.unwrap_or(0)
    };
    let mut at_start: Vec<u32> = Vec::new();
    for group in groups {
        let pool = &scenario.pools[pool_of(group)];
        let stated = |group: &NodeGroup| group.stated_nodes(pool.replicas());
        let others = groups.iter().filter(|it| it.pool == group.pool);
        let taken: u32 = others.filter_map(stated).sum();
        let rest = pool.replicas().saturating_sub(taken);
        at_start.push(stated(group).unwrap_or(rest));
    }
    let slots: Vec<u32> = groups
        .iter()
        .zip(&at_start)
        .map(|(group, own)| {
            let scaler_of = |group: &NodeGroup| {
                let mut scalers = scenario.capacity.scalers.iter();
                scalers.find(|it| it.covers(group))
            };
            let scaled_of = |group: &NodeGroup| {
                let most = scaler_of(group).and_then(|it| it.policy.most());
                part_of(group).of(most.unwrap_or(0))
            };
            let scaler = scaler_of(group);
            let lent = borrowers(groups, &group.name, &at_start, &scaled_of);
            let most = (*own).max(scaled_of(group)).saturating_add(lent);
            // Those on their way out hold a place until they are gone.
            let changes = group.market == Market::Spot || scaler.is_some() || lent > 0;
            let places = match changes {
                true => most.saturating_mul(2),
                false => most,
            };
            match group.market {
                Market::Reserved => *own,
                _ => group.max_nodes.unwrap_or(places),
            }
        })
        .collect();
    let mut first = 0;
    let mut places = vec![None; groups.len()];
    for (index, pool) in scenario.pools.iter().enumerate() {
        let mut bought = false;
        for (at, group) in groups.iter().enumerate() {
            if pool_of(group) == index {
                places[at] = Some(Places {
                    pool: index,
                    first,
                    at_start: at_start[at],
                    slots: slots[at],
                });
                first += slots[at];
                bought = true;
            }
        }
        if !bought {
            first += pool.replicas();
        }
    }
    places.into_iter().flatten().collect()
}

/// The most nodes that those groups may want which fall back on a group, and those that fall back on
/// them.
fn borrowers(
    groups: &[NodeGroup],
    lender: &str,
    at_start: &[u32],
    scaled_of: &dyn Fn(&NodeGroup) -> u32,
) -> u32 {
    let mut names = vec![lender];
    let mut seen = 0;
    let mut lent = 0_u32;
    // Each group falls back on one: a walk of a tree, whose circles are refused elsewhere.
    while let Some(name) = names.get(seen).copied() {
        seen += 1;
        for (group, own) in groups.iter().zip(at_start) {
            let falls = group.on_loss.fall_back_on.as_deref() == Some(name);
            if falls && !names.contains(&group.name.as_str()) {
                lent = lent.saturating_add((*own).max(scaled_of(group)));
                names.push(&group.name);
            }
        }
    }
    lent
}

/// Replicas that a pool has places for.
pub(in crate::scenario) fn slots_of(scenario: &Scenario, pool: usize) -> u32 {
    let places = places_of(scenario);
    let of_pool = || places.iter().filter(|it| it.pool == pool);
    match of_pool().next() {
        None => scenario.pools[pool].replicas(),
        Some(_) => of_pool().map(|it| it.slots).sum(),
    }
}

/// Puts the groups of a scenario into the plan of its fleet.
pub(super) fn add_capacity(
    scenario: &Scenario,
    fleet: &mut FleetPlan,
    llm: &[Option<LlmFacts>],
    (book, base_dir): (&PriceBook, &Path),
    problems: &mut Problems<'_>,
) {
    if scenario.capacity.groups.is_empty() {
        return;
    }
    let mut plan = CapacityPlan::default();
    let groups = scenario.capacity.groups.iter().zip(places_of(scenario));
    for (index, (group, places)) in groups.enumerate() {
        let at = format!("capacity.groups.{index}");
        let pool = &fleet.pools[places.pool];
        let facts = llm[places.pool].as_ref();
        let cost = scenario.cost.as_ref();
        let named = scenario.pools[places.pool].accelerator();
        let devices = f64::from(pool.accelerators_per_replica);
        let priced = match &group.price_series {
            Some(file) => series_of(&base_dir.join(file), &at, problems),
            None => {
                let found = price_of(group, cost, (facts, named), book, &at, problems);
                found.and_then(|(usd, billing, source)| {
                    let price = fixed(usd * devices, &at, problems)?;
                    Some((price, billing, source))
                })
            }
        };
        let Some((price, billing, price_source)) = priced else {
            continue;
        };
        let weights = weights_of(&group.start, facts, pool.accelerators_per_replica);
        let Some(start) = start_of(&group.start, weights, &at, problems) else {
            continue;
        };
        let link = link_of(group, facts, llm, &at, problems);
        let availability = availability_of(&group.interruption, base_dir, &at, problems);
        let named = |name: &String| {
            let mut groups = scenario.capacity.groups.iter();
            groups.position(|it| it.name == *name).map(|it| it as u16)
        };
        plan.groups.push(GroupPlan {
            name: group.name.clone(),
            pool: places.pool as u16,
            region: pool.region,
            market: group.market,
            first: places.first,
            slots: places.slots,
            at_start: places.at_start,
            price,
            price_source,
            billing,
            interruption: group.interruption.clone(),
            availability,
            notice: group.notice,
            on_notice: group.on_notice,
            drain: group.drain_s.map(SimDuration::from_secs_f64),
            link,
            fall_back_on: group.on_loss.fall_back_on.as_ref().and_then(named),
            retry: SimDuration::from_secs_f64(group.on_loss.retry_s),
            never: group.on_loss.never,
            refusal_probability: group.refusal_probability,
            start,
        });
    }
    for scaler in &scenario.capacity.scalers {
        let groups = (0_u16..).zip(&scenario.capacity.groups);
        let covered = groups.filter(|(_, group)| scaler.covers(group));
        let mut parts: Vec<(u16, Part)> = covered
            .map(|(index, group)| match scaler.pool {
                Some(_) => (index, part_of(group)),
                None => (index, Part::Rest),
            })
            .collect();
        // The rest is what the others leave.
        parts.sort_by_key(|(_, part)| *part == Part::Rest);
        plan.scalers.push(ScalerPlan {
            rule: scaler.clone(),
            parts,
            tiers: tiers_of(scaler, scenario, fleet),
        });
    }
    let limits = scenario.capacity.limits.iter();
    plan.limits = limits.map(|limit| limit_of(limit, scenario)).collect();
    fleet.capacity = Some(Arc::new(plan));
}

/// A group's part of the nodes of its pool.
fn part_of(group: &NodeGroup) -> Part {
    match (group.nodes, group.share) {
        (Some(nodes), _) => Part::Fixed(nodes),
        (None, Some(share)) => Part::Share(share),
        (None, None) => Part::Rest,
    }
}

/// Whose requests count for a scaler of a pool's nodes, by tier.
fn tiers_of(scaler: &Scaler, scenario: &Scenario, fleet: &FleetPlan) -> Vec<u16> {
    let mut groups = scenario.capacity.groups.iter();
    let group = groups.find(|group| scaler.covers(group));
    let mut pools = scenario.pools.iter();
    let pool = group.and_then(|group| pools.find(|pool| pool.name() == group.pool));
    let counts = |name: &str| {
        let tier = scenario.tiers.iter().find(|tier| tier.name == name);
        match scaler.tiers.is_empty() {
            // A fleet without tiers has one that anybody serves.
            true => tier.is_none_or(|tier| pool.is_some_and(|pool| serves(pool, tier))),
            false => scaler.tiers.iter().any(|it| it == name),
        }
    };
    let tiers = (0_u16..).zip(&fleet.tiers);
    let counted = tiers.filter(|(_, tier)| counts(&tier.name));
    counted.map(|(index, _)| index).collect()
}

/// The groups that a limit is of.
fn limit_of(limit: &NodeLimit, scenario: &Scenario) -> LimitPlan {
    let tier = scenario
        .tiers
        .iter()
        .find(|it| Some(&it.name) == limit.tier.as_ref());
    let counts = |group: &NodeGroup| {
        let pool = scenario.pools.iter().find(|it| it.name() == group.pool);
        let served = pool
            .zip(tier)
            .is_some_and(|(pool, tier)| serves(pool, tier));
        limit.pool.as_ref() == Some(&group.pool) || served
    };
    let groups = (0_u16..).zip(&scenario.capacity.groups);
    let counted = groups.filter(|(_, group)| counts(group));
    LimitPlan {
        groups: counted.map(|(index, _)| index).collect(),
        min: limit.min_nodes,
        max: limit.max_nodes,
    }
}

/// Time billed to the nanosecond, from when a node is asked for.
const TO_THE_NANOSECOND: BillingRule = BillingRule {
    granularity: SimDuration::ZERO,
    minimum: SimDuration::ZERO,
    from: BilledFrom::Request,
};

/// A node's price that stays as it is.
fn fixed(usd_per_node_hour: f64, at: &str, problems: &mut Problems<'_>) -> Option<NodePrice> {
    let rate = HourlyRate::from_usd_per_hour(usd_per_node_hour);
    if rate.is_err() {
        let allowed = "is more than any node costs";
        let remedy = "state US dollars per accelerator and hour";
        problems.push(at, usd_per_node_hour, allowed, remedy);
    }
    rate.ok().map(NodePrice::Fixed)
}

/// A node's price as a file has it.
fn series_of(
    path: &Path,
    at: &str,
    problems: &mut Problems<'_>,
) -> Option<(NodePrice, BillingRule, String)> {
    match Prices::read(path) {
        Ok(prices) => {
            let rows = prices.report().rows;
            let source = format!("imported: {rows} prices of {}", path.display());
            let price = NodePrice::Series(Arc::new(prices));
            Some((price, TO_THE_NANOSECOND, source))
        }
        Err(error) => {
            problems.push(&format!("{at}.price_series"), "", &error.to_string(), "");
            None
        }
    }
}

/// What an accelerator of a group costs an hour, how its time is billed, and who says so.
fn price_of(
    group: &NodeGroup,
    cost: Option<&Cost>,
    (facts, named): (Option<&LlmFacts>, Option<&str>),
    book: &PriceBook,
    at: &str,
    problems: &mut Problems<'_>,
) -> Option<(f64, BillingRule, String)> {
    let exact = TO_THE_NANOSECOND;
    if let Some(usd) = group.usd_per_gpu_hour {
        return Some((
            usd,
            exact,
            "assumed: as [[capacity.groups]] states".to_owned(),
        ));
    }
    if let Some(of) = &group.price {
        let accelerator = facts.map_or(named, |facts| Some(&facts.accelerator.name));
        let Some(part) = of.part.as_deref().or(accelerator) else {
            let allowed = "must name a part: the pool names no accelerator";
            problems.push(&format!("{at}.price.part"), "", allowed, "state one");
            return None;
        };
        return match looked_up(group.market, of, part, book) {
            Ok(Some(priced)) => Some(priced),
            Ok(None) => {
                let allowed = "has no spot price in the book";
                let remedy = "state usd_per_gpu_hour, or another region";
                problems.push(&format!("{at}.price"), "", allowed, remedy);
                None
            }
            Err(error) => {
                problems.push(&format!("{at}.price"), "", &error.to_string(), "");
                None
            }
        };
    }
    let usd = cost.and_then(|cost| match group.market {
        Market::Spot => cost
            .spot_usd_per_gpu_hour
            .or(cost.on_demand_usd_per_gpu_hour),
        Market::OnDemand | Market::Reserved => cost.on_demand_usd_per_gpu_hour,
    });
    let Some(usd) = usd else {
        let allowed = "has no price";
        let remedy = "state usd_per_gpu_hour, price or price_series of the group, or [cost]";
        problems.push(at, "", allowed, remedy);
        return None;
    };
    Some((usd, exact, "assumed: as [cost] states".to_owned()))
}

/// A price of the book, how time is billed there, and where both come from; none where the market is
/// not in the book.
fn looked_up(
    market: Market,
    of: &PriceOf,
    part: &str,
    book: &PriceBook,
) -> Result<Option<(f64, BillingRule, String)>, BookError> {
    let rule = book.billing(&of.provider)?.rule();
    let compute = || book.compute(&of.provider, part, &of.region);
    let of_compute =
        |compute: &Compute| origin(compute.kind, &compute.source, Some(compute.as_of.as_str()));
    let found = match market {
        Market::Spot => {
            let compute = compute()?;
            let usd = compute.spot_usd_per_gpu_hour;
            usd.map(|usd| (usd, of_compute(compute)))
        }
        Market::OnDemand => {
            let compute = compute()?;
            Some((compute.on_demand_usd_per_gpu_hour, of_compute(compute)))
        }
        Market::Reserved => {
            let upfront = of.upfront.unwrap_or(Upfront::None);
            let years = match upfront {
                Upfront::Owned => of.term_years,
                _ => Some(of.term_years.unwrap_or(1)),
            };
            let term = book.reserved(&of.provider, part, years, upfront)?;
            let source = origin(term.kind, &term.source, term.as_of.as_deref());
            Some(match term.usd_per_gpu_hour {
                Some(usd) => (usd, source),
                // A discount on what is paid without a term.
                None => {
                    let compute = compute()?;
                    let usd = term.rate_usd_per_gpu_hour(compute.on_demand_usd_per_gpu_hour);
                    (usd, format!("{source}; of {}", of_compute(compute)))
                }
            })
        }
    };
    Ok(found.map(|(usd, source)| (usd, rule, source)))
}

/// The link that KV leaves the nodes of a group by, where it does.
fn link_of(
    group: &NodeGroup,
    facts: Option<&LlmFacts>,
    llm: &[Option<LlmFacts>],
    at: &str,
    problems: &mut Problems<'_>,
) -> Option<TransferPlan> {
    let OnNotice::Migrate {
        bandwidth_gb_per_s,
        latency_ms,
    } = group.on_notice
    else {
        return None;
    };
    let alike = |facts: &LlmFacts| {
        llm.iter().all(|other| {
            let other = other.as_ref();
            other.is_some_and(|it| it.model == facts.model && it.dtypes.kv == facts.dtypes.kv)
        })
    };
    let Some(facts) = facts.filter(|facts| alike(facts)) else {
        let allowed =
            "moves KV, and needs all pools to be engine = \"llm\" with one model and kv_dtype";
        let remedy = "state policy = \"hand_over\", which computes it again";
        problems.push(
            &format!("{at}.on_notice.policy"),
            "\"migrate\"",
            allowed,
            remedy,
        );
        return None;
    };
    Some(TransferPlan {
        bytes_per_token: facts.model.kv_bytes_per_token(facts.dtypes.kv),
        bytes_per_ns: bandwidth_gb_per_s,
        latency: SimDuration::from_ms_f64(latency_ms),
        shared_by: SharedBy::Replica,
    })
}

/// The size of the weights that a node loads, GB.
fn weights_of(start: &NodeStart, facts: Option<&LlmFacts>, devices: u32) -> f64 {
    let own = facts.map(|facts| facts.memory.weight_gb_per_device * f64::from(devices));
    start.weights.gb.or(own).unwrap_or(0.0)
}

fn start_of(
    start: &NodeStart,
    weights_gb: f64,
    at: &str,
    problems: &mut Problems<'_>,
) -> Option<StartPlan> {
    let mut law = |law: &Law, field: &str| match Sampler::new(law) {
        Ok(law) => Some(law),
        Err(reason) => {
            problems.push(&format!("{at}.start.{field}"), "", &reason, "change it");
            None
        }
    };
    let provision = match &start.provision {
        Some(provision) => Some(law(provision, "provision")?),
        None => None,
    };
    let variability = match &start.weights.variability {
        Some(variability) => Some(law(variability, "weights.variability")?),
        None => None,
    };
    let boot = law(&start.boot, "boot")?;
    let phases = vec![
        law(&start.image_pull, "image_pull")?,
        law(&start.warm_up, "warm_up")?,
    ];
    Some(StartPlan {
        provision,
        boot,
        phases,
        weights: SimDuration::from_secs_f64(weights_gb / start.weights.gb_per_s),
        variability,
    })
}

/// The recording of how many nodes could be had, where the rule names one.
fn availability_of(
    rule: &Interruption,
    base_dir: &Path,
    at: &str,
    problems: &mut Problems<'_>,
) -> Option<Arc<Availability>> {
    let (Interruption::Trace { file, .. }, Some(options)) = (rule, rule.trace_options()) else {
        return None;
    };
    match Availability::read(&base_dir.join(file), &options) {
        Ok(availability) => Some(Arc::new(availability)),
        Err(error) => {
            problems.push(
                &format!("{at}.interruption.file"),
                "",
                &error.to_string(),
                "",
            );
            None
        }
    }
}
