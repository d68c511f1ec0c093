//! Checks of `[[capacity.limits]]`.

use super::NodeLimit;
use crate::scenario::fleet::Pool;
use crate::scenario::problems::Problems;
use crate::scenario::schema::Scenario;
use crate::scenario::validate::MOST_REPLICAS;

impl NodeLimit {
    /// Notes everything that is wrong with it.
    pub(super) fn check(
        &self,
        at: &str,
        scenario: &Scenario,
        tiers: &[&str],
        problems: &mut Problems<'_>,
    ) {
        let path = |field: &str| format!("{at}.{field}");
        let pools: Vec<&str> = scenario.pools.iter().map(Pool::name).collect();
        let mut named = |field: &str, name: &str, known: &[&str], list: &str| {
            if !known.contains(&name) {
                let allowed = format!("is not the name of one of {list}");
                let remedy = match known {
                    [] => format!("there are no {list}"),
                    known => format!("name one of {}", known.join(", ")),
                };
                problems.push(&path(field), format!("{name:?}"), &allowed, &remedy);
            }
        };
        match (&self.pool, &self.tier) {
            (Some(pool), None) => named("pool", pool, &pools, "[[pools]]"),
            (None, Some(tier)) => named("tier", tier, tiers, "[[tiers]]"),
            _ => {
                let allowed = "must name a pool or a tier, and not both";
                problems.push(at, "", allowed, "state pool or tier");
            }
        }
        let most = u64::from(self.max_nodes);
        problems.int_in_range(&path("max_nodes"), most, 0, MOST_REPLICAS);
        if self.min_nodes > self.max_nodes {
            let allowed = format!("must be at most max_nodes = {}", self.max_nodes);
            let remedy = "lower it, or raise max_nodes";
            problems.push(&path("min_nodes"), self.min_nodes, &allowed, remedy);
        }
    }
}
