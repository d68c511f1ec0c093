//! How far simulation moves the number of nodes that closed forms ask for.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde_json::json;

use crate::scenario::Document;
use crate::scenario::resolve::{Plan, resolve};

use super::estimate::nodes_by_theory;
use super::result::RunResult;
use super::runner::{Control, RunError, run_plan};
use super::variants::apply;

/// Times as many nodes as theory asks for that are tried at most, and how many beside.
const AT_MOST: (u32, u32) = (4, 16);

/// Nodes by closed forms and by simulation.
#[derive(Debug, Clone, Serialize)]
pub struct Sizing {
    /// Nodes of the scenario at the start.
    pub stated_nodes: u32,
    /// What closed forms ask for so that all objectives are met at the peak rate (Erlang C, all
    /// nodes as one queue).
    pub theory_nodes: u64,
    /// The fewest with which a simulation meets them, where that was looked for and found.
    pub simulated_nodes: Option<u32>,
    /// How far that is from theory, percent.
    pub moved_pct: Option<f64>,
    /// What was simulated, by nodes: the least share of requests in time over the tiers, and
    /// whether all objectives were met.
    pub tried: Vec<Tried>,
}

/// One number of nodes that was simulated.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Tried {
    /// Nodes.
    pub nodes: u32,
    /// Share of requests in time, of the tier that is worst off.
    pub attained: Option<f64>,
    /// Whether all objectives were met.
    pub met: bool,
}

impl Sizing {
    /// What theory says of a scenario; none where it does not apply.
    pub fn by_theory(plan: &Plan) -> Option<Sizing> {
        let theory_nodes = nodes_by_theory(plan)?;
        let [pool] = &plan.fleet.pools[..] else {
            return None;
        };
        Some(Sizing {
            stated_nodes: pool.at_start,
            theory_nodes,
            simulated_nodes: None,
            moved_pct: None,
            tried: Vec::new(),
        })
    }
}

/// Looks for the fewest nodes with which a simulation of the scenario meets its objectives, beginning
/// where theory does, on the same random numbers. More nodes are taken to never do harm.
///
/// # Errors
/// When a scenario with another number of nodes is not valid, or a run fails.
pub fn by_simulation(
    document: &Document,
    base_dir: &Path,
    plan: &Plan,
    control: Control<'_>,
) -> Result<Option<Sizing>, RunError> {
    let Some(mut sizing) = Sizing::by_theory(plan) else {
        return Ok(None);
    };
    let start = u32::try_from(sizing.theory_nodes).unwrap_or(u32::MAX);
    let limit = start.saturating_mul(AT_MOST.0).saturating_add(AT_MOST.1);
    let mut tried: BTreeMap<u32, Tried> = BTreeMap::new();
    let path = format!("pools.{}.replicas", plan.scenario.pools[0].name());
    let mut met = |nodes: u32| -> Result<bool, RunError> {
        if let Some(known) = tried.get(&nodes) {
            return Ok(known.met);
        }
        if let Some(tell) = control.simulations {
            tell(tried.len() as u64 + 1);
        }
        let changed = BTreeMap::from([(path.clone(), json!(nodes))]);
        let run = || -> Result<RunResult, RunError> {
            let changed = apply(document, &changed)?;
            let plan = resolve(&changed, base_dir)?;
            Ok(run_plan(plan, control)?.result)
        };
        let found = tried_of(nodes, &run()?);
        tried.insert(nodes, found);
        Ok(found.met)
    };
    sizing.simulated_nodes = least((start.max(1), 1), limit, &mut met)?;
    sizing.moved_pct = sizing.simulated_nodes.map(|nodes| {
        let theory = sizing.theory_nodes as f64;
        100.0 * (f64::from(nodes) - theory) / theory
    });
    sizing.tried = tried.into_values().collect();
    Ok(Some(sizing))
}

fn tried_of(nodes: u32, result: &RunResult) -> Tried {
    let bound = || result.slo.iter().filter(|row| row.target.is_some());
    let attained = bound().filter_map(|row| row.attained);
    Tried {
        nodes,
        attained: attained.min_by(f64::total_cmp),
        met: result.partial.is_none() && bound().all(|row| row.met == Some(true)),
    }
}

/// The least number from 1 to `limit` that is met, where all above one that is are: from `start` by
/// steps that begin with `step` and double, then by halves.
pub(super) fn least<E>(
    (start, step): (u32, u32),
    limit: u32,
    met: &mut dyn FnMut(u32) -> Result<bool, E>,
) -> Result<Option<u32>, E> {
    let (mut missed, mut enough) = (0, None);
    let mut step = step.max(1);
    let mut at = start.min(limit);
    loop {
        if met(at)? {
            enough = Some(at);
            if missed > 0 || at == 1 {
                break;
            }
            at = at.saturating_sub(step).max(1);
        } else {
            missed = at;
            if enough.is_some() || at == limit {
                break;
            }
            at = at.saturating_add(step).min(limit);
        }
        step = step.saturating_mul(2);
    }
    let Some(mut most) = enough else {
        return Ok(None);
    };
    while most - missed > 1 {
        let middle = missed + (most - missed) / 2;
        match met(middle)? {
            true => most = middle,
            false => missed = middle,
        }
    }
    Ok(Some(most))
}

#[cfg(test)]
mod tests {
    use super::least;

    #[test]
    fn the_least_is_found_from_anywhere_in_few_tries() {
        for truth in 1..=70_u32 {
            for start in 1..=60 {
                let mut tries = 0;
                let step = if start % 2 == 0 { 1 } else { 16 };
                let found = least((start, step), 64, &mut |nodes| {
                    tries += 1;
                    assert!((1..=64).contains(&nodes));
                    Ok::<bool, ()>(nodes >= truth)
                });
                assert_eq!(found, Ok((truth <= 64).then_some(truth)));
                assert!(tries <= 14, "{tries} from {start} to {truth}");
            }
        }
    }
}
