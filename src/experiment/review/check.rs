//! Refuses criteria of what no result and no scenario has, before anything runs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::criteria::{Criteria, Criterion, Probe};
use super::error::ReviewError;
use super::facts::facts;
use crate::experiment::metric::Metric;
use crate::experiment::variants::{apply, before_it_begins};
use crate::scenario::resolve::{Plan, resolve};
use crate::scenario::schema::Scenario;
use crate::scenario::{Document, Problem, ScenarioError, nearest};

/// Sections that every result has: what leads nowhere in them is a mistake.
const ALWAYS_THERE: [&str; 4] = ["card", "latency", "throughput", "sim"];

/// Figures of the card that one probe alone finds, and what that probe is called.
const FOUND: [(&str, &str); 2] = [("headroom", "headroom"), ("cost_over_cheapest", "cheapest")];

/// Refuses criteria of what no result and no scenario has, before anything runs.
///
/// # Errors
/// [`ReviewError::Criterion`], of the first that is wrong.
pub fn check(
    criteria: &Criteria,
    document: &Document,
    base_dir: &Path,
    plan: &Plan,
) -> Result<(), ReviewError> {
    let mut result = before_it_begins(plan)?;
    let mut card = facts(&result);
    for (field, _) in FOUND {
        card[field] = Value::Null;
    }
    result["card"] = card;
    let known = Known::of_scenarios();
    for (criterion, place) in criteria.criteria.iter().zip(&criteria.places) {
        let refused = |(field, reason): (&'static str, String)| ReviewError::Criterion {
            place: place.clone(),
            id: criterion.id.clone(),
            field,
            reason,
        };
        if let Some(wrong) = found_elsewhere(criterion) {
            return Err(refused(wrong));
        }
        let metric = of_metric(&criterion.metric, &result);
        metric.map_err(|reason| refused(("metric", reason)))?;
        let wrong = match &criterion.probe {
            Probe::Without { field } => known.taken_out(field, document),
            Probe::Set { set } => known.set(set, document, base_dir),
            _ => None,
        };
        if let Some(wrong) = wrong {
            return Err(refused(wrong));
        }
    }
    Ok(())
}

/// Why a criterion's metric is not found by its probe.
fn found_elsewhere(criterion: &Criterion) -> Option<(&'static str, String)> {
    let metric = Metric::parse(&criterion.metric).ok()?;
    let paths = metric.paths();
    let has = |field: &str| paths.iter().any(|path| *path == format!("card.{field}"));
    let own = match criterion.probe {
        Probe::Headroom {} => "headroom",
        Probe::Cheapest {} => "cheapest",
        _ => "",
    };
    let mut found = FOUND.into_iter();
    let (field, name) = found.find(|(field, name)| has(field) && *name != own)?;
    Some((
        "probe",
        format!("`card.{field}` is found by probe = {{ kind = \"{name}\" }} alone"),
    ))
}

fn of_metric(text: &str, result: &Value) -> Result<(), String> {
    let metric = Metric::parse(text).map_err(|error| error.to_string())?;
    for path in metric.paths() {
        let path = path.strip_prefix("as_written.").unwrap_or(path);
        let head = path.split('.').next().unwrap_or_default();
        if result.get(head).is_some() && !ALWAYS_THERE.contains(&head) {
            continue;
        }
        let found = Metric::parse(path).and_then(|it| it.check_fields(result));
        found.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Names of fields that some scenario may have.
struct Known {
    /// At the top.
    sections: BTreeSet<String>,
    /// Anywhere.
    fields: BTreeSet<String>,
}

impl Known {
    fn of_scenarios() -> Known {
        let schema = schemars::schema_for!(Scenario);
        let mut fields = BTreeSet::new();
        collect(schema.as_value(), &mut fields);
        let sections = schema.get("properties").and_then(Value::as_object);
        Known {
            sections: sections
                .into_iter()
                .flat_map(|it| it.keys().cloned())
                .collect(),
            fields,
        }
    }

    /// Whether no scenario has a section by the name that a path begins with.
    fn leads_nowhere(&self, path: &str) -> Option<String> {
        let head = path.split('.').next().unwrap_or_default();
        (!self.sections.contains(head)).then(|| {
            format!(
                "`{path}` is no field of a scenario; `seatrial schema` lists them, with their meaning"
            )
        })
    }

    /// What is wrong with taking a field out. One that this scenario has not is only not there.
    fn taken_out(&self, path: &str, document: &Document) -> Option<(&'static str, String)> {
        if let Some(reason) = self.leads_nowhere(path) {
            return Some(("probe", reason));
        }
        let last = path.rsplit('.').next().unwrap_or_default();
        if !document.locate(path).is_default() {
            let mut without = document.clone();
            without.unset(path).ok()?;
            let needed = without.parse_as::<Scenario>().err()?;
            return Some((
                "probe",
                format!("`{path}` is what no scenario is without: {needed}"),
            ));
        }
        if self.fields.contains(last) {
            return None;
        }
        // A pool of another scenario is a name, too: only what looks like a slip is refused.
        let meant = nearest(last, self.fields.iter().map(String::as_str))?;
        let reason = format!("`{path}` is no field of a scenario; did you mean `{meant}`?");
        Some(("probe", reason))
    }

    /// What is wrong with setting fields. What this scenario is not made for (a field of another policy,
    /// a pool that it lacks) is told on the card; what no scenario takes is refused.
    fn set(
        &self,
        set: &BTreeMap<String, Value>,
        document: &Document,
        base_dir: &Path,
    ) -> Option<(&'static str, String)> {
        let wrong = |reason: String| Some(("probe.set", reason));
        if let Some(reason) = set.keys().find_map(|path| self.leads_nowhere(path)) {
            return wrong(reason);
        }
        let changed = apply(document, set).ok()?;
        let problems = |error: ScenarioError| error.into_problems().unwrap_or_default();
        let problems = match changed.parse_as::<Scenario>() {
            Err(error) => problems(error)
                .into_iter()
                .filter(|it| !self.is_of_others(it))
                .collect(),
            Ok(_) => resolve(&changed, base_dir)
                .err()
                .map(problems)
                .unwrap_or_default(),
        };
        let own = problems.into_iter().find(|it| it.location.is_override())?;
        let Problem {
            field,
            value,
            allowed,
            remedy,
            ..
        } = own;
        let value = if value.is_empty() {
            value
        } else {
            format!(" = {value}")
        };
        let remedy = if remedy.is_empty() {
            remedy
        } else {
            format!("; {remedy}")
        };
        wrong(format!("{field}{value}: {allowed}{remedy}"))
    }

    /// Whether a field is unknown here only, and known in other scenarios.
    fn is_of_others(&self, problem: &Problem) -> bool {
        let last = problem.field.rsplit('.').next().unwrap_or_default();
        problem.is_unknown_field() && self.fields.contains(last)
    }
}

/// The names of all properties within a schema.
fn collect(schema: &Value, names: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Object(properties)) = fields.get("properties") {
                names.extend(properties.keys().cloned());
            }
            fields.values().for_each(|value| collect(value, names));
        }
        Value::Array(all) => all.iter().for_each(|value| collect(value, names)),
        _ => {}
    }
}
