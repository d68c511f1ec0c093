//! Probes: what is changed in a scenario to see what becomes of it.

use serde_json::{Value, json};

use super::criteria::{Lost, Probe};
use crate::experiment::runner::Outcome;
use crate::scenario::resolve::Plan;
use crate::scenario::schema::Scenario;
use crate::scenario::workload::Arrivals;
use crate::scenario::{Document, ScenarioError};

/// How far into the measured part of a run something is lost.
const LOST_AT: f64 = 0.1;

/// A changed scenario.
#[derive(Debug, Clone)]
pub struct Trial {
    /// What was changed, in words.
    pub what: String,
    /// The scenario with it.
    pub document: Document,
}

/// Why there is nothing to run, in words.
pub type Missing = String;

/// What of a run was measured, seconds from its start.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    from_s: f64,
    to_s: f64,
}

impl Measured {
    /// Of a run that has ended: from the end of its warm-up, whoever found that, to where its traffic ended,
    /// which with a trace or a number of requests may be before the horizon.
    pub fn of(run: &Outcome) -> Measured {
        let sim = &run.result.sim;
        Measured {
            from_s: sim.warmup_s,
            to_s: sim.horizon_s.min(sim.end_s).max(sim.warmup_s),
        }
    }
}

/// The changed scenarios that a probe asks for; several where one of several things may be lost.
///
/// # Errors
/// Why there are none.
pub fn trials(
    probe: &Probe,
    document: &Document,
    plan: &Plan,
    measured: Measured,
) -> Result<Vec<Trial>, Missing> {
    let trial = |what: String, document: Document| Ok(vec![Trial { what, document }]);
    match probe {
        Probe::AsWritten {} | Probe::Headroom {} | Probe::Cheapest {} => Ok(Vec::new()),
        Probe::Traffic { factor } => {
            let changed = with_traffic(document, &plan.scenario, *factor).map_err(words)?;
            trial(format!("{factor} times the traffic"), changed)
        }
        Probe::Without { field } => {
            if document.locate(field).is_default() {
                return Err(format!("the scenario has no `{field}`"));
            }
            let mut changed = document.clone();
            changed.unset(field).map_err(words)?;
            trial(format!("without {field}"), changed)
        }
        Probe::Set { set } => {
            let mut changed = document.clone();
            for (path, value) in set {
                let value = toml::Value::try_from(value).map_err(words)?;
                changed.set_value(path, value).map_err(words)?;
            }
            let parsed: Scenario = changed.parse_as().map_err(words)?;
            if parsed == plan.scenario {
                return Err("the scenario is so as it is written".to_owned());
            }
            let changes = set.iter().map(|(path, value)| format!("{path} = {value}"));
            trial(changes.collect::<Vec<_>>().join(", "), changed)
        }
        Probe::Loss { of, accelerators } => losses((*of, *accelerators), document, plan, measured),
    }
}

fn words(error: impl std::fmt::Display) -> Missing {
    error.to_string()
}

/// A field of a document by its path, if it is written.
fn at(document: &Document, path: &str) -> Option<Value> {
    let json = document.to_json();
    let found = path.split('.').try_fold(&json, |at, key| match at {
        Value::Array(rows) => rows.get(key.parse::<usize>().ok()?),
        other => other.get(key),
    });
    found.cloned()
}

/// The scenario with so many times the traffic: rates, or users of a closed loop (in whole users).
///
/// # Errors
/// When a field cannot be set.
pub fn with_traffic(
    document: &Document,
    scenario: &Scenario,
    factor: f64,
) -> Result<Document, ScenarioError> {
    let mut changed = document.clone();
    let mut set = |field: &str, value: f64| {
        let path = format!("workload.arrivals.{field}");
        changed.set_value(&path, toml::Value::Float(value))
    };
    match &scenario.workload.arrivals {
        Arrivals::Poisson { rate_per_s }
        | Arrivals::Gamma { rate_per_s, .. }
        | Arrivals::Weibull { rate_per_s, .. }
        | Arrivals::Constant { rate_per_s } => set("rate_per_s", rate_per_s * factor)?,
        Arrivals::Clients(mix) => set("rate_per_s", mix.rate_per_s * factor)?,
        Arrivals::OnOff {
            on_rate_per_s,
            off_rate_per_s,
            ..
        } => {
            set("on_rate_per_s", on_rate_per_s * factor)?;
            set("off_rate_per_s", off_rate_per_s * factor)?;
        }
        Arrivals::Mmpp { states } => {
            for (index, state) in states.iter().enumerate() {
                set(
                    &format!("states.{index}.rate_per_s"),
                    state.rate_per_s * factor,
                )?;
            }
        }
        Arrivals::Trace { rate_scale, .. } => set("rate_scale", rate_scale * factor)?,
        Arrivals::ClosedLoop { users, .. } => {
            let users = (f64::from(*users) * factor).round().max(1.0);
            let path = "workload.arrivals.users";
            changed.set_value(path, toml::Value::Integer(users as i64))?;
        }
    }
    Ok(changed)
}

fn losses(
    (of, accelerators): (Lost, u32),
    document: &Document,
    plan: &Plan,
    measured: Measured,
) -> Result<Vec<Trial>, Missing> {
    let at_s = measured.from_s + LOST_AT * (measured.to_s - measured.from_s);
    let scenario = &plan.scenario;
    let lost: Vec<(String, Vec<Value>)> = match of {
        Lost::Node => {
            let pools = scenario.pools.iter();
            let one = |name: &str| {
                let target = json!({ "pool": name, "replica": 0 });
                (format!("a node of {name} lost"), vec![target])
            };
            pools.map(|pool| one(pool.name())).collect()
        }
        Lost::Rack if !scenario.faults.racks.is_empty() => {
            let racks = scenario.faults.racks.iter();
            let one = |name: &str| (format!("rack {name} lost"), vec![json!({ "rack": name })]);
            racks.map(|rack| one(&rack.name)).collect()
        }
        Lost::Rack => neighbours(plan, accelerators),
        Lost::Region if scenario.regions.len() > 1 => {
            let regions = scenario.regions.iter();
            let one = |name: &str| {
                (
                    format!("region {name} lost"),
                    vec![json!({ "region": name })],
                )
            };
            regions.map(|region| one(&region.name)).collect()
        }
        Lost::Region => {
            let pools = scenario.pools.iter();
            let all = pools.map(|pool| json!({ "pool": pool.name() })).collect();
            vec![("the only region lost".to_owned(), all)]
        }
    };
    let with = |(what, targets): (String, Vec<Value>)| {
        let document = with_crashes(document, at_s, targets)?;
        let what = format!(
            "{what} at {} s",
            crate::report::number::significant(Some(at_s))
        );
        Ok(Trial { what, document })
    };
    lost.into_iter().map(with).collect()
}

/// Racks of one pool each, as no rack is stated: so many accelerators of neighbours.
fn neighbours(plan: &Plan, accelerators: u32) -> Vec<(String, Vec<Value>)> {
    let pools = plan.fleet.pools.iter();
    let one = |pool: &crate::fleet::plan::PoolPlan| {
        let fit = accelerators / pool.accelerators_per_replica.max(1);
        let many = fit.clamp(1, pool.at_start.max(1));
        let targets = (0..many).map(|replica| json!({ "pool": pool.name, "replica": replica }));
        let nodes = crate::report::number::plural(u64::from(many), "node");
        (
            format!("a rack of {nodes} of {} lost", pool.name),
            targets.collect(),
        )
    };
    pools.map(one).collect()
}

/// The scenario with crashes beside the faults it has.
fn with_crashes(document: &Document, at_s: f64, targets: Vec<Value>) -> Result<Document, Missing> {
    let written = at(document, "faults.timeline");
    let mut timeline = match written {
        Some(Value::Array(rows)) => rows,
        _ => Vec::new(),
    };
    let crashes = targets.into_iter();
    timeline
        .extend(crashes.map(|target| json!({ "at_s": at_s, "kind": "crash", "target": target })));
    let timeline = toml::Value::try_from(timeline).map_err(words)?;
    let mut changed = document.clone();
    changed
        .set_value("faults.timeline", timeline)
        .map_err(words)?;
    Ok(changed)
}
