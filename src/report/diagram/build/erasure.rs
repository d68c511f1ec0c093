//! People who ask to be forgotten, and every store that has to forget them.

use super::{Builder, GATEWAYS};
use crate::fleet::erasure::plan::{BackupPlan, CachePlan, DemandPlan, ErasurePlan, LogPlan};
use crate::report::diagram::build::front::shortened;
use crate::report::diagram::graph::{Kind, Node, Way};
use crate::report::number::{count, significant};
use crate::scenario::erasure::{InFlight, OnErase, OnKvErase, Shredding};

/// Seconds of a day.
const DAY_S: f64 = 86_400.0;

impl Builder<'_> {
    /// A lane of its own for them, where there are any.
    pub(super) fn erasures(&mut self) {
        let Some(erasure) = &self.plan.fleet.erasure else {
            return;
        };
        let lane = self.graph.lane("right to be forgotten".to_owned());
        let stores = self.behind_pools();
        let desk = self.desk(erasure, (lane, stores - 1));
        let place = (lane, stores);
        let mut logs = Vec::new();
        for log in &erasure.logs {
            let node = self.log(log, place, erasure.sample);
            self.graph
                .edge(desk, node, Way::Data, vec!["tombstones".to_owned()]);
            logs.push(node);
        }
        if let Some(kv) = &erasure.kv {
            let what = match kv.on_erase {
                OnKvErase::Subject => "the subject's blocks",
                OnKvErase::Reset => "all blocks go",
            };
            let mut node = Node::new(Kind::Store, place, shortened(&kv.name));
            node.lines.push("prefix caches".to_owned());
            self.kept(&mut node, &kv.name);
            let node = self.graph.node(node);
            self.graph
                .edge(desk, node, Way::Data, vec![what.to_owned()]);
        }
        for cache in &erasure.caches {
            self.cache(cache, place, desk);
        }
        for backup in &erasure.backups {
            self.backup(backup, (lane, stores + 1), &logs);
        }
    }

    fn desk(&mut self, erasure: &ErasurePlan, (lane, layer): (usize, usize)) -> usize {
        let mut node = Node::new(Kind::Desk, (lane, layer), "erasure desk".to_owned());
        if let Some(law) = &erasure.verification {
            let seconds = significant(Some(law.mean_ns() / 1e9));
            node.lines.push(format!("checks for {seconds} s"));
        }
        if erasure.in_flight == InFlight::Cancel {
            node.lines.push("gives requests up".to_owned());
        }
        let days = significant(Some(erasure.deadline.as_secs_f64() / DAY_S));
        node.lines.push(format!("due in {days} days"));
        let desk = self.graph.node(node);
        let title = "who asks".to_owned();
        let mut people = Node::new(Kind::Clients, (lane, layer - 1), title);
        let subjects = u64::from(erasure.subjects) * u64::from(erasure.sample);
        people.lines.push(format!("{} people", count(subjects)));
        let people = self.graph.node(people);
        let asked = self
            .figures
            .erasure("requested")
            .and_then(|all| self.figures.a_second(all));
        let label = match (asked, erasure.traffic) {
            (Some(rate), _) => vec![often(rate * f64::from(erasure.sample))],
            (None, true) => {
                let demands = erasure.demands.iter().filter(|demand| demand.per_s > 0.0);
                demands.map(|demand| asks(demand, erasure)).collect()
            }
            (None, false) => vec!["nobody asks".to_owned()],
        };
        self.graph.edge(people, desk, Way::Requests, label);
        desk
    }

    fn log(&mut self, log: &LogPlan, place: (usize, usize), sample: u32) -> usize {
        let mut node = Node::new(Kind::Store, place, shortened(&log.name));
        node.lines.push("request log (LSM)".to_owned());
        let speed = significant(Some(log.rule.bandwidth_mb_per_s));
        node.lines.push(format!("disk {speed} MB/s"));
        if let Some(lag) = log.lag {
            let lag = significant(Some(lag.as_ms_f64()));
            node.lines.push(format!("replicated, {lag} ms"));
        }
        self.kept(&mut node, &log.name);
        let amplification = self.figures.store(&log.name, "write_amplification");
        node.lines
            .extend(amplification.map(|times| format!("writes x {}", significant(Some(times)))));
        let node = self.graph.node(node);
        let when = match log.before_answer {
            true => "before answers",
            false => "after answers",
        };
        match log.pool {
            Some(pool) => {
                let rate = self.asked_of(usize::from(pool));
                let records = rate.map(|rate| format!("{} records/s", significant(Some(rate))));
                let mut label: Vec<String> = records.into_iter().collect();
                label.push(format!("on each, {when}"));
                let from = self.pools[usize::from(pool)];
                self.graph.edge(from, node, Way::Data, label);
            }
            None => {
                for region in 0..self.regions() {
                    let mut label = Vec::new();
                    let own = self.traffic.rate(self.traffic.of_region[region]);
                    let others = log.records_per_s * f64::from(sample);
                    if let Some(rate) = own.map(|rate| rate + others) {
                        label.push(format!("{} records/s", significant(Some(rate))));
                    }
                    label.push(when.to_owned());
                    self.graph
                        .edge(self.gateways[region], node, Way::Data, label);
                }
            }
        }
        debug_assert!(GATEWAYS < place.1);
        node
    }

    fn cache(&mut self, cache: &CachePlan, place: (usize, usize), desk: usize) {
        let mut node = Node::new(Kind::Store, place, shortened(&cache.name));
        node.lines
            .push(format!("kept for {}", span(cache.ttl.as_secs_f64())));
        self.kept(&mut node, &cache.name);
        let node = self.graph.node(node);
        let what = match cache.on_erase {
            OnErase::Invalidate => "the subject's entry",
            OnErase::Expire => "nothing: expires",
        };
        self.graph
            .edge(desk, node, Way::Data, vec![what.to_owned()]);
    }

    fn backup(&mut self, backup: &BackupPlan, place: (usize, usize), logs: &[usize]) {
        let mut node = Node::new(Kind::Store, place, shortened(&backup.name));
        node.lines
            .push(format!("kept for {}", span(backup.retention.as_secs_f64())));
        node.lines.push(match backup.on_erase {
            Shredding::Expire => "expires".to_owned(),
            Shredding::DestroyKey => "keys are destroyed".to_owned(),
        });
        self.kept(&mut node, &backup.name);
        let node = self.graph.node(node);
        if let Some(log) = logs.get(backup.of) {
            let every = format!("a copy every {}", span(backup.interval.as_secs_f64()));
            self.graph.edge(*log, node, Way::Data, vec![every]);
        }
    }

    /// What a run found: how many erasures a store has not done.
    fn kept(&self, node: &mut Node, name: &str) {
        if let Some(pending) = self.figures.store(name, "pending") {
            let pending = significant(Some(pending));
            node.lines.push(format!("{pending} not done"));
        }
    }
}

/// How often somebody asks, as people say it.
fn often(per_s: f64) -> String {
    match per_s {
        rate if rate >= 0.1 => format!("{} erasures/s", significant(Some(rate))),
        rate if rate * DAY_S >= 0.1 => {
            format!("{} erasures a day", significant(Some(rate * DAY_S)))
        }
        rate => format!(
            "{} erasures a year",
            significant(Some(rate * DAY_S * 365.25))
        ),
    }
}

fn asks(demand: &DemandPlan, erasure: &ErasurePlan) -> String {
    let rate = often(demand.per_s * f64::from(erasure.sample));
    match demand.name.as_str() {
        "always" => rate,
        name => format!("{}: {rate}", shortened(name)),
    }
}

/// A time as people say it.
fn span(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s >= 2.0 * DAY_S => (s / DAY_S, "days"),
        s if s >= 7_200.0 => (s / 3_600.0, "h"),
        s if s >= 120.0 => (s / 60.0, "min"),
        s => (s, "s"),
    };
    format!("{} {unit}", significant(Some(value)))
}
