//! Pools, and what stands behind them: nodes that are bought, and stores of KV.

use super::figures::per_second;
use super::front::{ms, shortened, when_elsewhere};
use super::{Builder, DECODE, ENTRY, MOST_POOLS};
use crate::fleet::capacity::plan::GroupPlan;
use crate::fleet::plan::{EnginePlan, ServicePlan};
use crate::report::diagram::graph::{Kind, Node, Way};
use crate::report::number::{percent, plural, significant};
use crate::scenario::fleet::Pool;
use crate::scenario::roles::Role;

impl Builder<'_> {
    /// All pools, and the arrows to them.
    pub(super) fn all_pools(&mut self) {
        let pools = self.plan.fleet.pools.len();
        let mut drawn = vec![[0; 2]; self.regions()];
        let mut rest: Vec<[Option<usize>; 2]> = vec![[None; 2]; self.regions()];
        for index in 0..pools {
            let pool = &self.plan.fleet.pools[index];
            let (lane, decodes) = (
                usize::from(pool.region),
                usize::from(pool.role == Role::Decode),
            );
            let many = self.alike(index) > MOST_POOLS;
            drawn[lane][decodes] += 1;
            let node = match rest[lane][decodes] {
                Some(node) => {
                    self.add_to_rest(node, index);
                    node
                }
                None if many && drawn[lane][decodes] == MOST_POOLS => {
                    let node = self.rest_of_pools(index);
                    rest[lane][decodes] = Some(node);
                    node
                }
                None => self.pool(index),
            };
            self.pools.push(node);
        }
        for region in 0..self.regions() {
            self.arrows_of_router(region);
        }
        self.handovers();
    }

    /// Pools of a region that have the same layer.
    fn alike(&self, index: usize) -> usize {
        let own = &self.plan.fleet.pools[index];
        let decodes = |role: Role| role == Role::Decode;
        let pools = self.plan.fleet.pools.iter();
        let alike =
            pools.filter(|it| it.region == own.region && decodes(it.role) == decodes(own.role));
        alike.count()
    }

    fn place(&self, index: usize) -> (usize, usize) {
        let pool = &self.plan.fleet.pools[index];
        let layer = match pool.role {
            Role::Decode => DECODE,
            Role::Mixed | Role::Prefill => ENTRY,
        };
        (usize::from(pool.region), layer)
    }

    fn rest_of_pools(&mut self, index: usize) -> usize {
        let more = (self.alike(index) + 1 - MOST_POOLS) as u64;
        let title = format!("{} more", plural(more, "pool"));
        let node = Node::new(Kind::Pool, self.place(index), title);
        let node = self.graph.node(node);
        self.add_to_rest(node, index);
        node
    }

    fn add_to_rest(&mut self, node: usize, index: usize) {
        const MOST_NAMES: usize = 6;
        let name = &self.plan.fleet.pools[index].name;
        let lines = &mut self.graph.nodes[node].lines;
        match lines.len() {
            0..MOST_NAMES => lines.push(shortened(name)),
            MOST_NAMES => lines.push("…".to_owned()),
            _ => {}
        }
    }

    fn pool(&mut self, index: usize) -> usize {
        let plan = self.plan;
        let pool = &plan.fleet.pools[index];
        let title = match pool.role {
            Role::Mixed => format!("pool {}", pool.name),
            role => format!("pool {} ({})", pool.name, role.name()),
        };
        let mut node = Node::new(Kind::Pool, self.place(index), title);
        node.lines = self.what_replicas_are(index);
        if let Some(bound) = self.figures.bound(index) {
            node.lines
                .push(format!("by hardware {}/s", significant(Some(bound))));
        }
        if self.figures.is_measured() {
            let busy = self.figures.utilization(index);
            // An engine is at work as soon as it has one request: that says nothing of its load.
            node.load = match pool.engine {
                EnginePlan::Abstract { .. } => busy,
                EnginePlan::Llm { .. } => {
                    let done = self.figures.done(index);
                    let capacity = self.figures.capacity(index);
                    done.zip(capacity).map(|(done, most)| done / most)
                }
            };
            node.lines.push(format!("busy {}", percent(busy)));
            let kv = self.figures.kv_peak(index);
            node.lines
                .extend(kv.map(|share| format!("KV at most {}", percent(Some(share)))));
            let cached = self.figures.cached_share(index);
            node.lines
                .extend(cached.map(|share| format!("cached {}", percent(Some(share)))));
        } else {
            let asked = self.asked_of(index);
            let capacity = self.figures.capacity(index);
            node.load = asked.zip(capacity).map(|(asked, most)| asked / most);
        }
        self.graph.node(node)
    }

    /// What its replicas are, in a few lines.
    fn what_replicas_are(&self, index: usize) -> Vec<String> {
        let pool = &self.plan.fleet.pools[index];
        let mut lines = Vec::new();
        match (&pool.engine, &self.plan.scenario.pools[index]) {
            (
                EnginePlan::Abstract {
                    servers, service, ..
                },
                _,
            ) => {
                let kind = match service {
                    ServicePlan::Single(_) => "server",
                    ServicePlan::Shared(_) => "shared server",
                    ServicePlan::Batch(_) => "batch server",
                };
                let each = plural(u64::from(*servers), kind);
                lines.push(format!("{} x {each}", pool.at_start));
            }
            (EnginePlan::Llm { .. }, written) => {
                let facts = self.plan.llm.get(index).and_then(Option::as_ref);
                let model = facts.map_or("", |facts| facts.model.name.as_str());
                lines.push(format!("{} x {}", pool.at_start, shortened(model)));
                let card = facts.map_or("", |facts| facts.accelerator.name.as_str());
                let each = pool.accelerators_per_replica;
                lines.push(format!("on {each} {} each", shortened(card)));
                if let Pool::Llm(llm) = written {
                    lines.extend(llm.kv_tiers.iter().map(|tier| {
                        format!(
                            "KV in {}: {} GB",
                            shortened(&tier.name),
                            significant(Some(tier.capacity_gb))
                        )
                    }));
                }
            }
        }
        let window = &self.plan.scenario.batching;
        if window.window_ms > 0.0 {
            lines.push(format!(
                "{} ms window, {} at most",
                ms(window.window_ms),
                window.max_batch
            ));
        }
        lines
    }

    /// Requests a second that are asked of a pool as long as all is well.
    pub(super) fn asked_of(&self, index: usize) -> Option<f64> {
        let fleet = &self.plan.fleet;
        if fleet.pools[index].role == Role::Decode {
            let to: f64 = (0..fleet.pools.len())
                .map(|from| self.handed_over(from, index))
                .sum();
            return self.traffic.rate(to);
        }
        self.traffic.rate(
            self.traffic
                .of_pool
                .iter()
                .map(|shares| shares[index])
                .sum(),
        )
    }

    /// The share of all requests that a prefill pool hands to a decode pool: by replicas and weight.
    fn handed_over(&self, from: usize, to: usize) -> f64 {
        let pools = &self.plan.fleet.pools;
        if pools[from].role != Role::Prefill || pools[to].role != Role::Decode {
            return 0.0;
        }
        let weight =
            |it: &crate::fleet::plan::PoolPlan| f64::from(it.at_start) * f64::from(it.weight);
        let all: f64 = self.plan.fleet.pools_of(Role::Decode).map(weight).sum();
        let own: f64 = self.traffic.of_pool.iter().map(|shares| shares[from]).sum();
        match all > 0.0 {
            true => own * weight(&pools[to]) / all,
            false => 0.0,
        }
    }

    /// The arrows from a region's router.
    fn arrows_of_router(&mut self, region: usize) {
        let router = self.routers[region];
        let mut drawn: Vec<usize> = Vec::new();
        for index in 0..self.plan.fleet.pools.len() {
            let share = self.traffic.of_pool[region][index];
            let node = self.pools[index];
            if !self.plan.fleet.pools[index].role.is_entry() || drawn.contains(&node) {
                continue;
            }
            if share > 0.0 {
                drawn.push(node);
                let label = self.label_to_pool(region, index);
                self.graph.edge(router, node, Way::Requests, label);
            } else if let Some(when) = when_elsewhere(&self.plan.fleet)
                && !self.standby_as_text()
            {
                drawn.push(node);
                let hop = self.plan.fleet.hop_to(region as u16, index).as_ms_f64();
                let label = vec![
                    when.trim_end_matches(':').to_owned(),
                    format!("{} ms away", ms(hop)),
                ];
                self.graph.edge(router, node, Way::Standby, label);
            }
        }
    }

    /// What is written on the arrow from a router to a pool.
    fn label_to_pool(&self, region: usize, index: usize) -> Vec<String> {
        let node = self.pools[index];
        let of_node =
            || (0..self.plan.fleet.pools.len()).filter(|it| self.pools.get(*it) == Some(&node));
        let sum = |of: &dyn Fn(usize) -> Option<f64>| of_node().map(of).sum::<Option<f64>>();
        let mut label = Vec::new();
        let done = sum(&|it| self.figures.done(it));
        let asked = sum(&|it| self.traffic.rate(self.traffic.of_pool[region][it]));
        match (done, asked) {
            (Some(done), _) => label.push(format!("{} answered/s", significant(Some(done)))),
            (None, Some(asked)) => label.push(per_second(asked)),
            (None, None) => {}
        }
        let capacity = sum(&|it| self.figures.capacity(it));
        if let Some(capacity) = capacity {
            label.push(format!("of about {}/s", significant(Some(capacity))));
        }
        label
    }

    /// The arrows from prefill pools to decode pools.
    fn handovers(&mut self) {
        let Some(transfer) = &self.plan.fleet.transfer else {
            return;
        };
        let link = format!(
            "KV, {} GB/s a link",
            significant(Some(transfer.bytes_per_ns))
        );
        for from in 0..self.pools.len() {
            for to in 0..self.pools.len() {
                let share = self.handed_over(from, to);
                let (a, b) = (self.pools[from], self.pools[to]);
                if share == 0.0 || self.graph.edges.iter().any(|it| (it.from, it.to) == (a, b)) {
                    continue;
                }
                let mut label = Vec::new();
                match self.figures.is_measured() {
                    true => {
                        let busy = self.figures.link_busy();
                        label.extend(busy.map(|it| format!("links busy {}", percent(Some(it)))));
                    }
                    false => {
                        label.extend(self.traffic.rate(share).map(per_second));
                        let capacity = self.figures.capacity(to);
                        label.extend(
                            capacity.map(|it| format!("of about {}/s", significant(Some(it)))),
                        );
                    }
                }
                label.push(link.clone());
                self.graph.edge(a, b, Way::Data, label);
            }
        }
    }

    /// What stands behind the pools.
    pub(super) fn behind(&mut self) {
        let groups = self.plan.fleet.capacity.as_ref().map(|it| it.groups.len());
        for group in 0..groups.unwrap_or(0) {
            self.group(group);
        }
        self.kv_store();
    }

    fn group(&mut self, index: usize) {
        let Some(capacity) = &self.plan.fleet.capacity else {
            return;
        };
        let group = &capacity.groups[index];
        let pool = self.pools[usize::from(group.pool)];
        let place = (self.graph.nodes[pool].lane, self.behind_pools());
        let mut node = Node::new(Kind::Supply, place, format!("nodes {}", group.name));
        node.lines = bought(group);
        if let Some(lender) = group
            .fall_back_on
            .and_then(|it| capacity.groups.get(usize::from(it)))
        {
            node.lines
                .push(format!("if lost: {}", shortened(&lender.name)));
        }
        let is_scaled = |it: &crate::fleet::capacity::plan::ScalerPlan| {
            it.parts
                .iter()
                .any(|(group, _)| usize::from(*group) == index)
        };
        if capacity.scalers.iter().any(is_scaled) {
            node.lines.push("scaled".to_owned());
        }
        let label = match self.figures.nodes(index) {
            Some((ready, lost)) => vec![
                format!("{} nodes ready", significant(Some(ready))),
                format!("{} lost", significant(Some(lost as f64))),
            ],
            None => vec![format!(
                "{} of {}",
                group.at_start,
                plural(u64::from(group.slots), "node")
            )],
        };
        let node = self.graph.node(node);
        self.graph.edge(node, pool, Way::Data, label);
    }

    /// The store that replicas share: one, or one in each region.
    fn kv_store(&mut self) {
        let Some(store) = self.plan.scenario.kv_store else {
            return;
        };
        let apart = store.region_lag_ms.is_none() && self.regions() > 1;
        let lanes: Vec<usize> = match apart {
            true => (0..self.regions()).collect(),
            false if self.regions() > 1 => vec![self.graph.lane(String::new())],
            false => vec![0],
        };
        for (region, lane) in lanes.into_iter().enumerate() {
            let place = (lane, self.behind_pools());
            let mut node = Node::new(Kind::Store, place, "KV store".to_owned());
            node.lines
                .push(format!("{} GB", significant(Some(store.capacity_gb))));
            node.lines
                .push(format!("found after {} ms", ms(store.lag_ms)));
            if let Some(lag) = store.region_lag_ms.filter(|_| self.regions() > 1) {
                node.lines.push(format!("elsewhere after {} ms", ms(lag)));
            }
            let node = self.graph.node(node);
            let label = vec![
                format!(
                    "{} GB/s a replica",
                    significant(Some(store.bandwidth_gb_per_s))
                ),
                format!("{} ms to begin", ms(store.latency_ms)),
            ];
            let mut joined: Vec<usize> = Vec::new();
            for index in 0..self.pools.len() {
                let here = !apart || usize::from(self.plan.fleet.pools[index].region) == region;
                let pool = self.pools[index];
                if here && !joined.contains(&pool) {
                    joined.push(pool);
                    self.graph.edge(pool, node, Way::Exchange, label.clone());
                }
            }
        }
    }
}

fn bought(group: &GroupPlan) -> Vec<String> {
    let market = group.market.name().replace('_', " ");
    let usd = group.price.usd_per_hour_at_start();
    let price = format!("${usd:.2} an hour each");
    vec![market, price]
}
