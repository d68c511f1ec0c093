//! A graph of a plan, and of its result where it was run.

mod erasure;
mod figures;
mod front;
mod pools;
mod traffic;

use crate::experiment::result::RunResult;
use crate::scenario::resolve::Plan;

use self::figures::Figures;
use self::traffic::Traffic;
use super::graph::Graph;

/// Clients.
const CLIENTS: usize = 0;
/// Gateways.
const GATEWAYS: usize = 1;
/// Routers.
const ROUTERS: usize = 2;
/// Pools that take requests from routers.
const ENTRY: usize = 3;
/// Pools that take over what those have computed.
const DECODE: usize = 4;

/// Pools of a lane and layer that are drawn one by one; what more there are is one box.
const MOST_POOLS: usize = 10;
/// Arrows for what happens only when something is down or full, at most: beyond that a line of text
/// says it.
const MOST_STANDBY: usize = 8;

/// What is being put together.
struct Builder<'a> {
    plan: &'a Plan,
    figures: Figures<'a>,
    traffic: Traffic,
    graph: Graph,
    /// Nodes of the gateways and routers, by region.
    gateways: Vec<usize>,
    routers: Vec<usize>,
    /// The node of each pool; several pools may have one.
    pools: Vec<usize>,
}

/// The fleet of a plan; with `result`, what a run measured in place of what closed forms say.
pub fn graph(plan: &Plan, result: Option<&RunResult>) -> Graph {
    let mut builder = Builder {
        plan,
        figures: Figures::new(plan, result),
        traffic: Traffic::of(plan),
        graph: Graph::new(plan.scenario.name.clone()),
        gateways: Vec::new(),
        routers: Vec::new(),
        pools: Vec::new(),
    };
    builder.lanes();
    builder.front();
    builder.all_pools();
    builder.behind();
    builder.erasures();
    builder.graph.notes = builder.figures.notes(&builder.traffic);
    builder.graph
}

impl Builder<'_> {
    /// A lane for each region.
    fn lanes(&mut self) {
        let named = !self.plan.scenario.regions.is_empty();
        for region in &self.plan.fleet.topology.regions {
            let name = if named {
                format!("region {}", region.name)
            } else {
                String::new()
            };
            self.graph.lane(name);
        }
    }

    fn regions(&self) -> usize {
        self.plan.fleet.topology.regions.len()
    }

    /// The layer of what stands behind the pools.
    fn behind_pools(&self) -> usize {
        match self.plan.fleet.transfer {
            Some(_) => DECODE + 1,
            None => ENTRY + 1,
        }
    }
}
