//! Checks of regions, populations, steering, health and faults.

use crate::scenario::fleet::Pool;
use crate::scenario::problems::Problems;
use crate::scenario::resolve::layout_of;
use crate::scenario::schema::Scenario;
use crate::scenario::suggest::nearest;

use super::MOST_MS;

pub(super) fn check_topology(scenario: &Scenario, problems: &mut Problems<'_>) {
    let network = &scenario.network;
    let times = [
        ("network.connect_timeout_ms", network.connect_timeout_ms),
        ("network.retransmit_ms", network.retransmit_ms),
    ];
    for (path, time) in times {
        if let Some(time) = time {
            problems.positive(path, time, MOST_MS);
        }
    }
    let names: Vec<&str> = scenario
        .regions
        .iter()
        .map(|region| region.name.as_str())
        .collect();
    if names.is_empty() {
        check_without_regions(scenario, problems);
    } else {
        let stated = network.round_trips();
        stated.check(
            "network",
            &scenario.regions,
            &scenario.populations,
            problems,
        );
        if scenario.gateway.replicas != 1 {
            problems.push(
                "gateway.replicas",
                scenario.gateway.replicas,
                "is of a fleet without regions",
                "state gateways of each [[regions]]",
            );
        }
        let gateways = scenario
            .regions
            .iter()
            .map(|region| u64::from(region.gateways));
        let all: u64 = gateways.sum();
        if all > 1_000 {
            let allowed = "must have 1,000 gateway replicas in all at most";
            problems.push("regions", all, allowed, "take some away");
        }
    }
    if let Some(steering) = &scenario.steering {
        steering.check("steering", &names, problems);
    }
    scenario.locality.check("locality", names.len(), problems);
    check_regions_of_pools(scenario, &names, problems);
    check_admission(scenario, problems);
    check_store(scenario, problems);
    if let Some(health) = &scenario.health {
        health.check("health", problems);
    }
    if !scenario.capacity.is_default() {
        scenario.capacity.check("capacity", scenario, problems);
        // Where it is wrong, nobody knows how many places there are.
        if !problems.is_empty() {
            return;
        }
    }
    scenario
        .faults
        .check("faults", &layout_of(scenario), problems);
}

fn check_admission(scenario: &Scenario, problems: &mut Problems<'_>) {
    let names: Vec<&str> = match scenario.tiers.is_empty() {
        true => vec!["default"],
        false => scenario
            .tiers
            .iter()
            .map(|tier| tier.name.as_str())
            .collect(),
    };
    let mut limited = false;
    for (index, tier) in scenario.tiers.iter().enumerate() {
        let path = |field: &str| format!("tiers.{index}.{field}");
        if let Some(rate) = &tier.rate {
            rate.check(&path("rate"), problems);
        }
        if let Some(limit) = &tier.concurrency {
            limit.check(&path("concurrency"), problems);
            limited = true;
        }
        for (at, quota) in tier.quotas.iter().enumerate() {
            quota.check(&path(&format!("quotas.{at}")), problems);
        }
        problems.positive(&path("weight"), tier.weight, 1e6);
        if let Some(deadline) = tier.deadline_ms {
            problems.positive(&path("deadline_ms"), deadline, MOST_MS);
        }
    }
    let Some(admission) = &scenario.admission else {
        return;
    };
    admission.check("admission", &names, problems);
    limited |= admission.concurrency.is_some();
    if admission.waiting_room.is_some() && !limited {
        problems.push(
            "admission.waiting_room",
            "",
            "has nobody in it without a limit on what is under way",
            "state admission.concurrency, or take it away",
        );
    }
    if admission.shedding.is_some() && scenario.signals.is_default() {
        problems.push(
            "admission.shedding",
            "",
            "goes by queues and KV caches, which a gateway only knows by asking",
            "add [signals] with source = \"reported\"",
        );
    }
    for (index, tenant) in admission.tenants.iter().enumerate() {
        let path = format!("admission.tenants.{index}.share");
        problems.positive(&path, tenant.share, 1e9);
    }
}

/// A shared store holds blocks of one size, of one model.
fn check_store(scenario: &Scenario, problems: &mut Problems<'_>) {
    let Some(store) = &scenario.kv_store else {
        return;
    };
    store.check("kv_store", problems);
    let kind = |pool: &Pool| match pool {
        Pool::Llm(pool) if pool.prefix_caching => {
            Some((pool.model.clone(), pool.block_size, pool.kv_dtype.clone()))
        }
        _ => None,
    };
    let kinds: Vec<_> = scenario.pools.iter().map(kind).collect();
    let alike = kinds.windows(2).all(|pair| pair[0] == pair[1]);
    if kinds.iter().any(Option::is_none) || !alike {
        problems.push(
            "kv_store",
            "",
            "needs pools of one model, with prefix_caching = true, the same block_size and the \
             same kv_dtype",
            "make them alike, or take the store away",
        );
    }
}

fn check_without_regions(scenario: &Scenario, problems: &mut Problems<'_>) {
    let stated = [
        ("populations", !scenario.populations.is_empty()),
        ("steering", scenario.steering.is_some()),
        ("network.rtt_ms", !scenario.network.rtt_ms.is_empty()),
        ("network.rtt_table", scenario.network.rtt_table.is_some()),
        (
            "network.inter_az_rtt_ms",
            scenario.network.inter_az_rtt_ms.is_some(),
        ),
    ];
    for (path, stated) in stated {
        if stated {
            let remedy = "add [[regions]], or take it away";
            problems.push(path, "", "has no effect without regions", remedy);
        }
    }
}

fn check_regions_of_pools(scenario: &Scenario, names: &[&str], problems: &mut Problems<'_>) {
    for (index, pool) in scenario.pools.iter().enumerate() {
        let path = format!("pools.{index}.region");
        match pool.region() {
            Some(name) if !names.contains(&name) => {
                let remedy = match nearest(name, names.iter().copied()) {
                    Some(near) => format!("did you mean {near:?}?"),
                    None => "name one of [[regions]], or add it there".to_owned(),
                };
                let allowed = "is not the name of one of [[regions]]";
                problems.push(&path, format!("{name:?}"), allowed, &remedy);
            }
            None if names.len() > 1 => problems.push(
                &path,
                "",
                "must be stated where there are several regions",
                "name one of [[regions]]",
            ),
            _ => {}
        }
    }
    // Whoever comes to a region's gateways must find somebody there, or be sent elsewhere.
    let served = |name: &&str| {
        let mut pools = scenario.pools.iter();
        pools.any(|pool: &Pool| {
            pool.role().is_entry() && pool.region().is_none_or(|region| region == *name)
        })
    };
    if scenario.locality.is_default()
        && let Some(empty) = names.iter().find(|name| !served(name))
    {
        problems.push(
            "regions",
            format!("{empty:?}"),
            "has no pool that takes requests, and its gateways use no others",
            "add a pool there, or state locality.policy = \"failover\"",
        );
    }
}
