//! Clients, gateways and routers.

use super::figures::per_second;
use super::{Builder, CLIENTS, GATEWAYS, MOST_STANDBY, ROUTERS};
use crate::fleet::plan::FleetPlan;
use crate::report::diagram::graph::{Kind, Node, Way};
use crate::report::number::{plural, significant};
use crate::scenario::locality::Locality;
use crate::workload::source::SourcePlan;

impl Builder<'_> {
    /// Clients, and a gateway and a router for each region.
    pub(super) fn front(&mut self) {
        for region in 0..self.regions() {
            let gateway = self.gateway(region);
            let router = self.router(region);
            self.gateways.push(gateway);
            self.routers.push(router);
            let label = self.let_through(region);
            self.graph.edge(gateway, router, Way::Requests, label);
        }
        for population in 0..self.plan.fleet.topology.populations.len() {
            self.clients(population);
        }
    }

    fn gateway(&mut self, region: usize) -> usize {
        let plan = self.plan;
        let there = &plan.fleet.topology.regions[region];
        let title = match there.gateways {
            1 => "gateway".to_owned(),
            many => format!("{many} gateways"),
        };
        let mut node = Node::new(Kind::Gateway, (region, GATEWAYS), title);
        let cost_ms = plan.fleet.gateway_cost.as_ms_f64();
        if cost_ms > 0.0 {
            node.lines.push(format!("{} ms a request", ms(cost_ms)));
        }
        if let Some((rate, _)) = plan.fleet.rate_limit {
            node.lines.push(format!("limit {}", per_second(rate)));
        }
        node.lines
            .extend(admission(plan.scenario.admission.as_ref()));
        if let Some(timeout) = plan.fleet.gateway_timeout {
            let seconds = significant(Some(timeout.as_secs_f64()));
            node.lines.push(format!("gives up after {seconds} s"));
        }
        self.graph.node(node)
    }

    fn router(&mut self, region: usize) -> usize {
        let scenario = &self.plan.scenario;
        let mut node = Node::new(Kind::Router, (region, ROUTERS), "router".to_owned());
        node.lines.push(policy_of(&scenario.router));
        if scenario.affinity.is_some() {
            node.lines.push("sessions stay".to_owned());
        }
        if let Some(signals) = &self.plan.fleet.signals {
            let every = ms(signals.interval.as_ms_f64());
            node.lines.push(format!("loads every {every} ms"));
        }
        if let Some(health) = &scenario.health {
            node.lines.extend(checks(health));
        }
        if self.standby_as_text() {
            node.lines.extend(self.elsewhere_in_words(region));
        }
        self.graph.node(node)
    }

    /// Whether a line of text says what happens when something is down, since it takes too many arrows.
    pub(super) fn standby_as_text(&self) -> bool {
        let regions = self.regions();
        let entries = self.plan.fleet.pools.iter();
        let entries = entries.filter(|pool| pool.role.is_entry()).count();
        entries * (regions - 1) > MOST_STANDBY
    }

    fn elsewhere_in_words(&self, region: usize) -> Option<String> {
        let topology = &self.plan.fleet.topology;
        let next = *topology.by_distance(region as u16).get(1)?;
        let name = &topology.regions[usize::from(next)].name;
        Some(format!("{} {name}", when_elsewhere(&self.plan.fleet)?))
    }

    /// What goes from a gateway to its router.
    fn let_through(&self, region: usize) -> Vec<String> {
        let measured = self.figures.rate_to_region(region);
        let offered = self.traffic.rate(self.traffic.of_region[region]);
        let Some(rate) = measured.or(offered) else {
            return Vec::new();
        };
        let mut label = vec![
            match measured.is_some() && self.plan.fleet.clients.is_some() {
                true => format!("{} tries/s", significant(Some(rate))),
                false => per_second(rate),
            },
        ];
        if measured.is_none() && self.traffic.peak > 1.005 {
            label.push(format!(
                "{} at peak",
                significant(Some(rate * self.traffic.peak))
            ));
        }
        label
    }

    fn clients(&mut self, index: usize) {
        let plan = self.plan;
        let population = &plan.fleet.topology.populations[index];
        let steered = &self.traffic.steered[index];
        let main = (0..steered.len()).max_by(|a, b| {
            // The first of equals.
            steered[*a].total_cmp(&steered[*b]).then(b.cmp(a))
        });
        let title = match plan.scenario.populations.is_empty() {
            true => "clients".to_owned(),
            false => format!("clients {}", population.name),
        };
        let mut node = Node::new(Kind::Clients, (main.unwrap_or(0), CLIENTS), title);
        if index == 0 {
            node.lines.extend(self.source_in_words());
        }
        node.lines
            .extend(self.tries_in_words().filter(|_| index == 0));
        let from = self.graph.node(node);
        let shares = self.traffic.steered[index].clone();
        for (region, share) in shares.into_iter().enumerate() {
            self.arrow_to_gateway(from, (index, region), share);
        }
    }

    /// The arrow from a population to a region's gateways.
    fn arrow_to_gateway(&mut self, from: usize, (population, region): (usize, usize), share: f64) {
        let there = &self.plan.fleet.topology.populations[population];
        let mut label = Vec::new();
        let way = match share > 0.0 {
            true => Way::Requests,
            false => Way::Standby,
        };
        if way == Way::Standby {
            if self.regions() * self.plan.fleet.topology.populations.len() > MOST_STANDBY {
                return;
            }
            label.push("if others are down".to_owned());
        } else {
            let measured = self.figures.rate_of_population(population);
            let offered = self.traffic.rate(there.share);
            label.extend(measured.or(offered).map(|rate| per_second(rate * share)));
        }
        let one_way_ms = there.one_way.get(region).map_or(0.0, |way| way.as_ms_f64());
        if one_way_ms > 0.0 {
            label.push(format!("{} ms away", ms(one_way_ms)));
        }
        self.graph.edge(from, self.gateways[region], way, label);
    }

    fn source_in_words(&self) -> Vec<String> {
        let plan = self.plan;
        let mut lines = Vec::new();
        match &plan.fleet.source {
            SourcePlan::ClosedLoop { users, .. } => {
                lines.push(plural(u64::from(*users), "user"));
                lines.push("each waits for answers".to_owned());
            }
            SourcePlan::Trace { source, .. } => {
                let name = source.path.file_name().map(|name| name.to_string_lossy());
                lines.push("trace".to_owned());
                lines.extend(name.map(|name| shortened(&name)));
            }
            SourcePlan::Observed(arrivals) => {
                lines.push(plural(arrivals.len() as u64, "request"));
                lines.push("as they were observed".to_owned());
            }
            SourcePlan::Drawn { .. } => {
                let name = word_of(&plan.scenario.workload.arrivals, "process");
                lines.extend(name);
            }
        }
        if let Some(sessions) = &plan.session_means {
            let turns = significant(Some(sessions.turns));
            lines.push(format!("sessions of {turns} turns"));
        }
        if let Some((prompt, output)) = plan
            .mean_tokens()
            .filter(|_| plan.llm.iter().any(Option::is_some))
        {
            let (prompt, output) = (prompt.round() as u64, output.round() as u64);
            lines.push(format!("{prompt} + {output} tokens each"));
        }
        lines
    }

    fn tries_in_words(&self) -> Option<String> {
        let clients = self.plan.scenario.clients.as_ref()?;
        match clients.max_retries {
            0 => None,
            retries => Some(format!("retry {retries} times")),
        }
    }
}

/// When routers use other regions' replicas; none where they never do.
pub(super) fn when_elsewhere(fleet: &FleetPlan) -> Option<&'static str> {
    match fleet.topology.locality {
        Locality::Local {} => None,
        Locality::Failover {} => Some("on failover:"),
        Locality::SpillOver { .. } => Some("when full:"),
    }
}

/// Milliseconds as people write them.
pub(super) fn ms(value: f64) -> String {
    significant(Some(value))
}

/// A text that is not too long for a box.
pub(super) fn shortened(text: &str) -> String {
    const MOST: usize = 26;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    let kept: String = text.chars().take(MOST - 1).collect();
    format!("{kept}…")
}

/// The word that a policy is chosen by, as people read it.
fn word_of(value: &impl serde::Serialize, tag: &str) -> Option<String> {
    let value = serde_json::to_value(value).ok()?;
    Some(value.get(tag)?.as_str()?.replace('_', " "))
}

fn policy_of(router: &crate::scenario::fleet::Router) -> String {
    use crate::scenario::fleet::Router;
    let word = word_of(router, "policy").unwrap_or_default();
    match router {
        Router::LeastRequest { choices: 0, .. } => format!("{word} of all"),
        Router::LeastRequest { choices, .. } => format!("{word} of {choices}"),
        _ => word,
    }
}

fn admission(admission: Option<&crate::scenario::admission::Admission>) -> Option<String> {
    let admission = admission?;
    let parts = [
        (admission.rate.is_some(), "rate"),
        (admission.concurrency.is_some(), "limit"),
        (admission.waiting_room.is_some(), "waiting room"),
        (admission.shedding.is_some(), "shedding"),
        (admission.by_success.is_some(), "by success"),
        (!admission.tenants.is_empty(), "tenants"),
    ];
    let stated: Vec<&str> = parts.iter().filter(|it| it.0).map(|it| it.1).collect();
    (!stated.is_empty()).then(|| format!("admits: {}", stated.join(", ")))
}

fn checks(health: &crate::scenario::health::HealthRules) -> Option<String> {
    let parts = [
        (health.active.is_some(), "probes"),
        (health.outlier.is_some(), "outliers"),
        (health.breaker.is_some(), "breakers"),
    ];
    let stated: Vec<&str> = parts.iter().filter(|it| it.0).map(|it| it.1).collect();
    (!stated.is_empty()).then(|| stated.join(", "))
}
