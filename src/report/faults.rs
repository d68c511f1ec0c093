//! The faults of a scenario, as a table and as JSON.

mod words;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use self::words::{faults, kind_in_words, of_clients, place, seconds, table, with_replicas};
use super::number::{WIDTH, count, significant, wrap};
use crate::experiment::timeline::scope_in_words;
use crate::fleet::faults::{Scope, scope_of, shared_of};
use crate::fleet::plan::FaultPlan;
use crate::scenario::Document;
use crate::scenario::faults::{
    Component, RandomFaults, RandomPreset, Target, TimeBetweenFailures, TimedFault,
};
use crate::scenario::resolve::Plan;
use crate::workload::Sampler;

/// All faults of a scenario.
#[derive(Debug, Clone, Serialize)]
pub struct FaultList {
    /// Version of this document.
    pub schema: u32,
    /// The scenario's name.
    pub scenario: String,
    /// Requests arrive until then, seconds.
    pub horizon_s: f64,
    /// Those at stated times, in order of their beginning.
    pub timeline: Vec<Stated>,
    /// Those at random times, in the order of the scenario.
    pub random: Vec<AtRandom>,
}

/// A fault at a stated time.
#[derive(Debug, Clone, Serialize)]
pub struct Stated {
    /// When it begins, seconds.
    pub at_s: f64,
    /// When it ends, seconds; none where it never does.
    pub until_s: Option<f64>,
    /// Its name in scenarios.
    pub kind: &'static str,
    /// What happens, in words.
    pub what: String,
    /// What it befalls, in words.
    pub target: String,
    /// Replicas among what it befalls; none of clients.
    pub replicas: Option<u64>,
    /// Whether it begins before the horizon.
    pub within_horizon: bool,
    /// Where it is written.
    pub written: String,
}

/// Faults at random times.
#[derive(Debug, Clone, Serialize)]
pub struct AtRandom {
    /// Name.
    pub name: String,
    /// What fails.
    pub component: Component,
    /// What a failure does, by its name in scenarios.
    pub kind: &'static str,
    /// What a failure does, in words.
    pub what: String,
    /// Whose components, in words.
    pub target: String,
    /// Replicas that fail together count as one group.
    pub groups: u64,
    /// Components of all groups: any takes its group down.
    pub components: u64,
    /// Mean time that one component is up between failures, hours.
    pub mtbf_h: f64,
    /// Mean time to repair, seconds.
    pub mttr_s: f64,
    /// Law of the time between failures.
    pub distribution: TimeBetweenFailures,
    /// Failures expected before the horizon: rate times components times horizon.
    pub expected: f64,
    /// The same where a group that is down does not fail, by the long-run rate.
    pub expected_with_repairs: f64,
    /// How `expected` comes about.
    pub formula: String,
    /// How `expected_with_repairs` comes about.
    pub formula_with_repairs: String,
    /// Where it is written.
    pub written: String,
}

impl FaultList {
    /// The faults of a plan; `document` is its scenario and `file` its file of faults.
    ///
    /// # Errors
    /// When a fault names what is not there; resolving a scenario finds it first.
    pub fn new(
        plan: &Plan,
        document: &Document,
        file: Option<&Document>,
    ) -> Result<FaultList, String> {
        let mut list = FaultList {
            schema: 1,
            scenario: plan.scenario.name.clone(),
            horizon_s: plan.fleet.horizon.as_secs_f64(),
            timeline: Vec::new(),
            random: Vec::new(),
        };
        let Some(faults) = &plan.fleet.faults else {
            return Ok(list);
        };
        // Those of the scenario come first, those of its file after them.
        let written = |kind: &str, index: usize, own: usize| match index.checked_sub(own) {
            None => place(document, &format!("faults.{kind}.{index}")),
            Some(of_file) => file.map_or_else(String::new, |file| {
                place(file, &format!("faults.{kind}.{of_file}"))
            }),
        };
        let own = &plan.scenario.faults;
        for (index, fault) in faults.faults.timeline.iter().enumerate() {
            let written = written("timeline", index, own.timeline.len());
            list.timeline.push(stated(fault, plan, faults, written)?);
        }
        list.timeline.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
        for (index, random) in faults.faults.random.iter().enumerate() {
            let written = written("random", index, own.random.len());
            list.random.push(at_random(random, plan, faults, written)?);
        }
        Ok(list)
    }

    /// As a JSON document.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }

    /// As a page.
    pub fn render(&self) -> String {
        let (stated, random) = (self.timeline.len() as u64, self.random.len() as u64);
        let mut parts = Vec::new();
        if stated > 0 {
            parts.push(format!("{} at stated times", faults(stated)));
        }
        match random {
            0 => {}
            1 => parts.push("1 kind of component that fails at random".to_owned()),
            more => parts.push(format!(
                "{} kinds of components that fail at random",
                count(more)
            )),
        }
        if parts.is_empty() {
            parts.push("nothing breaks".to_owned());
        }
        let title = format!(
            "{}: {}; requests arrive for {} s",
            self.scenario,
            parts.join(", "),
            seconds(self.horizon_s)
        );
        let mut out = format!("{}\n", wrap(&title, WIDTH, 2));
        if stated > 0 {
            out.push_str("\nAt stated times\n");
            out.push_str(&self.table_of_stated());
            let late = self
                .timeline
                .iter()
                .filter(|row| !row.within_horizon)
                .count();
            if late > 0 {
                out.push_str(&format!(
                    "  {} at or after {} s: no request arrives any more\n",
                    match late {
                        1 => "1 begins".to_owned(),
                        more => format!("{} begin", count(more as u64)),
                    },
                    seconds(self.horizon_s)
                ));
            }
        }
        if random > 0 {
            out.push_str("\nAt random times\n");
            out.push_str(&self.table_of_random());
            for row in &self.random {
                out.push_str(&format!("  {}\n", wrap(&row.account(), WIDTH, 4)));
            }
        }
        out
    }

    fn table_of_stated(&self) -> String {
        let rows = self.timeline.iter().map(|row| {
            let length = row.until_s.map(|until| until - row.at_s);
            [
                seconds(row.at_s),
                length.map_or_else(|| "for ever".to_owned(), seconds),
                row.what.clone(),
                with_replicas(&row.target, row.replicas),
                row.written.clone(),
            ]
        });
        table(
            ["at s", "for s", "what", "target", "written"],
            rows,
            &[0, 1],
        )
    }

    fn table_of_random(&self) -> String {
        let rows = self.random.iter().map(|row| {
            [
                row.name.clone(),
                row.what.clone(),
                row.target.clone(),
                format!("{} {}", count(row.components), row.named()),
                significant(Some(row.expected)),
                row.written.clone(),
            ]
        });
        let titles = [
            "name",
            "what",
            "target",
            "components",
            "expected",
            "written",
        ];
        table(titles, rows, &[3, 4])
    }
}

impl AtRandom {
    fn named(&self) -> &'static str {
        match (self.component, self.components) {
            (Component::Gpu, 1) => "GPU",
            (Component::Gpu, _) => "GPUs",
            (Component::Node, 1) => "node",
            (Component::Node, _) => "nodes",
            (Component::Switch, 1) => "switch",
            (Component::Switch, _) => "switches",
            (Component::Rack, 1) => "rack",
            (Component::Rack, _) => "racks",
            (Component::Region, 1) => "region",
            (Component::Region, _) => "regions",
        }
    }

    /// How many failures are expected, and why.
    fn account(&self) -> String {
        let mut text = format!("{}: {}", self.name, self.formula);
        // Where repairs take next to nothing the two are the same.
        if self.expected_with_repairs < 0.99 * self.expected {
            text.push_str(&format!("; {}", self.formula_with_repairs));
        }
        if let TimeBetweenFailures::Weibull { shape } = self.distribution {
            let new = match shape < 1.0 {
                true => "more of them early, as all begin new",
                false => "fewer of them early, as all begin new",
            };
            text.push_str(&format!("; Weibull of shape {shape}: {new}"));
        }
        text
    }
}

fn stated(
    fault: &TimedFault,
    plan: &Plan,
    faults: &FaultPlan,
    written: String,
) -> Result<Stated, String> {
    let fleet = &plan.fleet;
    let scope = scope_of_target(fault.target.as_ref(), faults)?;
    Ok(Stated {
        at_s: fault.at_s,
        until_s: fault.end_s(),
        kind: fault.fault.name(),
        what: kind_in_words(&fault.fault, faults, fleet)?,
        target: match (scope, of_clients(&fault.fault)) {
            (Scope::Fleet, true) => "all clients".to_owned(),
            _ => scope_in_words(scope, fleet),
        },
        replicas: (!of_clients(&fault.fault)).then(|| replicas_of(fault.target.as_ref(), faults)),
        within_horizon: fault.at_s < fleet.horizon.as_secs_f64(),
        written,
    })
}

fn at_random(
    random: &RandomFaults,
    plan: &Plan,
    faults: &FaultPlan,
    written: String,
) -> Result<AtRandom, String> {
    let missing = |what: &str| format!("random faults {:?} state no {what}", random.name);
    let groups = shared_of(random, &faults.layout, &faults.faults.racks)?;
    let mtbf_h = random
        .mean_up_h()
        .ok_or_else(|| missing("mtbf_h or preset"))?;
    let mttr_s = match (&random.mttr, random.mttr_s) {
        (Some(law), _) => Sampler::new(law)?.mean_ns() / 1e9,
        (None, Some(seconds)) => seconds,
        (None, None) => return Err(missing("mttr or mttr_s")),
    };
    let horizon_s = plan.fleet.horizon.as_secs_f64();
    let mut by_size: BTreeMap<u32, u64> = BTreeMap::new();
    for group in &groups {
        *by_size.entry(group.components).or_default() += 1;
    }
    let each = by_size
        .iter()
        .map(|(size, groups)| (f64::from(*size), *groups as f64));
    let components: u64 = groups.iter().map(|group| u64::from(group.components)).sum();
    let expected = components as f64 / (mtbf_h * 3600.0) * horizon_s;
    let with_repairs: f64 = each
        .map(|(size, groups)| groups * horizon_s / (mtbf_h * 3600.0 / size + mttr_s))
        .sum();
    let number = |value: f64| significant(Some(value));
    let rate = match random.preset {
        Some(RandomPreset::GpuH100Llama3) => {
            format!("1/{} h (preset gpu_h100_llama3)", number(mtbf_h))
        }
        None => format!("1/{} h", number(mtbf_h)),
    };
    let formula = format!(
        "rate x components x horizon = {rate} x {} x {} h = {} failures",
        count(components),
        number(horizon_s / 3600.0),
        number(expected)
    );
    let formula_with_repairs = format!(
        "{} where a group does not fail while it is repaired: horizon / (1 / rate / components of \
         a group + {} s), summed over {}",
        number(with_repairs),
        number(mttr_s),
        match groups.len() {
            1 => "1 group".to_owned(),
            more => format!("{} groups", count(more as u64)),
        }
    );
    Ok(AtRandom {
        name: random.name.clone(),
        component: random.component,
        kind: random.fault.name(),
        what: kind_in_words(&random.fault, faults, &plan.fleet)?,
        target: scope_in_words(
            scope_of_target(random.target.as_ref(), faults)?,
            &plan.fleet,
        ),
        groups: groups.len() as u64,
        components,
        mtbf_h,
        mttr_s,
        distribution: random.distribution,
        expected,
        expected_with_repairs: with_repairs,
        formula,
        formula_with_repairs,
        written,
    })
}

fn scope_of_target(target: Option<&Target>, faults: &FaultPlan) -> Result<Scope, String> {
    scope_of(target, &faults.layout, &faults.faults.racks)
        .ok_or_else(|| format!("{target:?} is not there"))
}

fn replicas_of(target: Option<&Target>, faults: &FaultPlan) -> u64 {
    match target {
        None => u64::from(faults.layout.replicas()),
        Some(target) => {
            let ranges = faults.layout.replicas_of(target, &faults.faults.racks);
            ranges
                .into_iter()
                .map(|range| u64::from(range.end - range.start))
                .sum()
        }
    }
}
