//! Regions, populations and faults.

use std::path::Path;

use super::capacity::slots_of;
use crate::engine::SimDuration;
use crate::fleet::geo::PopulationPlace;
use crate::fleet::topology::{PopulationPlan, RegionPlan, SteeringPlan, Topology};
use crate::scenario::error::ScenarioError;
use crate::scenario::faults::{Faults, Layout, PoolPlace};
use crate::scenario::fleet::Pool;
use crate::scenario::problems::Problems;
use crate::scenario::regions::{Population, RttMatrix, RttTable};
use crate::scenario::schema::Scenario;
use crate::scenario::text::Document;

/// The index of a pool's region.
pub(super) fn region_of(scenario: &Scenario, pool: &Pool) -> u16 {
    let name = pool.region();
    let mut regions = scenario.regions.iter();
    let at = regions.position(|region| Some(region.name.as_str()) == name);
    at.unwrap_or(0) as u16
}

/// Where everything is. The scenario has been checked.
pub(super) fn topology_of(scenario: &Scenario, problems: &mut Problems<'_>) -> Option<Topology> {
    if scenario.regions.is_empty() {
        return Some(Topology::single(scenario.gateway.replicas));
    }
    // Clients that are not said to be anywhere are in the first region.
    let first = scenario.regions[0].name.clone();
    let home = [Population {
        name: "default".to_owned(),
        region: Some(first),
        rtt_ms: None,
        access_rtt_ms: 0.0,
        share: 1.0,
        users: 1_000_000,
    }];
    let populations = match scenario.populations.is_empty() {
        true => &home[..],
        false => &scenario.populations,
    };
    let stated = scenario.network.round_trips();
    let table = match RttTable::shipped() {
        Ok(table) => table,
        Err(reason) => {
            problems.push("network.rtt_table", "", &reason, "");
            return None;
        }
    };
    let matrix = match RttMatrix::new(&scenario.regions, populations, &stated, &table) {
        Ok(matrix) => matrix,
        Err(missing) => {
            problems.push("network.rtt_ms", "", &missing.to_string(), "");
            return None;
        }
    };
    let half = |rtt_ms: f64| SimDuration::from_ms_f64(rtt_ms / 2.0);
    let count = scenario.regions.len();
    let total: f64 = populations.iter().map(|population| population.share).sum();
    let plans = populations.iter().enumerate().map(|(at, population)| {
        let one_way = (0..count).map(|region| half(matrix.from_population_ms(at, region)));
        PopulationPlan {
            name: population.name.clone(),
            share: population.share / total,
            users: population.users,
            one_way: one_way.collect(),
        }
    });
    let plans: Vec<PopulationPlan> = plans.collect();
    let places = plans
        .iter()
        .enumerate()
        .map(|(index, plan)| PopulationPlace {
            index,
            share: plan.share,
        });
    let places = places.collect();
    let pairs = (0..count * count).map(|pair| (pair / count, pair % count));
    let between = pairs.map(|(a, b)| match a == b {
        // Hops within a region are `to_replica_ms` and `from_replica_ms`.
        true => SimDuration::ZERO,
        false => half(matrix.between_ms(a, b)),
    });
    let between = between.collect();
    let regions = scenario.regions.iter().map(|region| RegionPlan {
        name: region.name.clone(),
        gateways: region.gateways as u16,
    });
    Some(Topology {
        regions: regions.collect(),
        between,
        locality: scenario.locality,
        populations: plans,
        steering: Some(SteeringPlan {
            steering: scenario.steering.clone().unwrap_or_default(),
            matrix,
            places,
        }),
    })
}

/// What faults may name.
pub(in crate::scenario) fn layout_of(scenario: &Scenario) -> Layout {
    let mut first_replica = 0_u32;
    let pools = scenario.pools.iter().enumerate().map(|(index, pool)| {
        let replicas = slots_of(scenario, index);
        let place = PoolPlace {
            name: pool.name().to_owned(),
            first_replica,
            replicas,
            accelerators_per_replica: pool.accelerators_per_replica(),
            region: (!scenario.regions.is_empty()).then(|| region_of(scenario, pool)),
        };
        first_replica = first_replica.saturating_add(replicas);
        place
    });
    let pools = pools.collect();
    let regions = scenario.regions.iter();
    let populations = scenario.populations.iter();
    Layout {
        pools,
        regions: regions.map(|region| region.name.clone()).collect(),
        populations: populations.map(|it| it.name.clone()).collect(),
    }
}

/// All faults: those of the scenario and those of its file.
pub(super) fn faults_of(
    scenario: &Scenario,
    layout: &Layout,
    base_dir: &Path,
    document: &Document,
) -> Result<Faults, ScenarioError> {
    let mut faults = scenario.faults.clone();
    let Some(file) = faults.file.take() else {
        return Ok(faults);
    };
    let (text, more) = Faults::load(&base_dir.join(&file))?;
    let mut problems = Problems::new(&text);
    if let Some(other) = &more.file {
        let remedy = "write its faults into this file";
        problems.push(
            "faults.file",
            format!("{other:?}"),
            "cannot be in a file of faults",
            remedy,
        );
    }
    more.check("faults", layout, &mut problems);
    problems.finish()?;
    let beside = more.random.iter().map(|random| &random.name);
    for (index, name) in beside.enumerate() {
        if faults.random.iter().any(|random| random.name == *name) {
            let mut problems = Problems::new(&text);
            let path = format!("faults.random.{index}.name");
            let allowed = "is the name of a fault of the scenario, too";
            problems.push(&path, format!("{name:?}"), allowed, "rename one of them");
            problems.finish()?;
        }
    }
    faults.extend(more);
    // Together they must fit, too: overlaps of the same target.
    let mut problems = Problems::new(document);
    faults.check("faults", layout, &mut problems);
    problems.finish()?;
    Ok(faults)
}
