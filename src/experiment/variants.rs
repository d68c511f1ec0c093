//! Variants of a scenario: the named ones, and the counterfactuals that its claims ask for.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::engine::Ended;
use crate::fleet::Simulation;
use crate::scenario::resolve::{Plan, resolve};
use crate::scenario::schema::{Bound, Claim, Scenario};
use crate::scenario::{Document, Problems, ScenarioError};

use super::claims::relation;
use super::erasure::growth_fields;
use super::metric::Metric;
use super::result::RunResult;
use super::runner::{RunError, with_scenario};
use super::tally::Tally;

/// Overrides: path to value.
pub type Overrides = BTreeMap<String, Value>;

/// The overrides of a claim (its variant's and its own), and those of its counterfactual.
pub fn overrides(claim: &Claim, scenario: &Scenario) -> (Overrides, Option<Overrides>) {
    let variant = claim
        .variant
        .as_ref()
        .and_then(|name| scenario.variants.get(name));
    let mut with = variant.cloned().unwrap_or_default();
    with.extend(claim.with.clone());
    let versus = claim.versus.as_ref().map(|versus| {
        let mut both = with.clone();
        both.extend(versus.clone());
        both
    });
    (with, versus)
}

/// A name for a set of overrides, the same for equal ones; none for no overrides at all.
pub fn key(overrides: &Overrides) -> Option<String> {
    (!overrides.is_empty()).then(|| json!(overrides).to_string())
}

/// The plans of a scenario's variants and of all counterfactuals that its claims ask for, each
/// once, by [`key`].
///
/// # Errors
/// When a metric cannot be read, or overrides do not make a valid scenario.
pub fn variants(
    document: &Document,
    base_dir: &Path,
    plan: &Plan,
) -> Result<BTreeMap<String, Plan>, RunError> {
    check_expressions(document, plan)?;
    let mut plans = BTreeMap::new();
    let mut add = |place: String, at: &str, changed: &Overrides| -> Result<(), RunError> {
        let Some(key) = key(changed).filter(|key| !plans.contains_key(key)) else {
            return Ok(());
        };
        let failed = |source: ScenarioError| RunError::Scenario {
            context: format!("{}: {place}, with {key}: ", document.locate(at)),
            source: Box::new(source),
        };
        let changed = apply(document, changed).map_err(failed)?;
        let variant = resolve(&changed, base_dir).map_err(failed)?;
        plans.insert(key, variant);
        Ok(())
    };
    for (name, changed) in &plan.scenario.variants {
        let place = format!("variants.{name}");
        add(place.clone(), &place, changed)?;
    }
    for (index, claim) in plan.scenario.claims.iter().enumerate() {
        let (with, versus) = overrides(claim, &plan.scenario);
        for (field, changed) in [("with", Some(&with)), ("versus", versus.as_ref())] {
            if let Some(changed) = changed {
                let at = format!("claims.{index}.{field}");
                add(format!("claims.{}", claim.id), &at, changed)?;
            }
        }
    }
    check_fields(document, plan, &plans)?;
    Ok(plans)
}

/// Refuses metrics and bounds that name fields which no run of the scenario can have, by looking
/// at the result of a run that has not begun.
fn check_fields(
    document: &Document,
    plan: &Plan,
    plans: &BTreeMap<String, Plan>,
) -> Result<(), RunError> {
    let scenario = &plan.scenario;
    if scenario.claims.is_empty() {
        return Ok(());
    }
    let mut base = before_it_begins(plan)?;
    let mut variants = serde_json::Map::new();
    for (name, changed) in &scenario.variants {
        let variant = key(changed).and_then(|key| plans.get(&key));
        if let Some(variant) = variant {
            variants.insert(name.clone(), before_it_begins(variant)?);
        }
    }
    let sections = std::iter::once(&base["erasure"]);
    let sections = sections.chain(variants.values().map(|variant| &variant["erasure"]));
    let growth = growth_fields(&sections.collect::<Vec<_>>());
    if growth.as_object().is_some_and(|logs| !logs.is_empty()) {
        base["erasure"]["growth"] = growth;
    }
    base["variants"] = Value::Object(variants);
    let mut problems = Problems::new(document);
    for (index, claim) in scenario.claims.iter().enumerate() {
        let (with, _) = overrides(claim, scenario);
        let own = match key(&with).and_then(|key| plans.get(&key)) {
            Some(plan) => Some(before_it_begins(plan)?),
            None => None,
        };
        let mut check = |field: &str, text: &str| {
            let Ok(metric) = Metric::parse(text) else {
                return;
            };
            if let Err(error) = metric.check_fields(own.as_ref().unwrap_or(&base)) {
                let path = format!("claims.{index}.{field}");
                problems.push(&path, format!("{text:?}"), &error.to_string(), "");
            }
        };
        check("metric", &claim.metric);
        let (relation, bound) = relation(claim);
        if let Some(Bound::Expression(text)) = bound {
            check(relation.name(), text);
        }
    }
    Ok(problems.finish()?)
}

/// The result of a run that has not begun: its fields, without measurements.
pub(super) fn before_it_begins(plan: &Plan) -> Result<Value, RunError> {
    let mut simulation = Simulation::new(Arc::new(plan.fleet.clone()))?;
    let tally = Tally::of(&mut simulation, Ended::End);
    Ok(with_scenario(
        &RunResult::new(plan, &tally, &[[None; 5]; 4]),
        plan,
    ))
}

/// The plans of a scenario's named variants alone.
///
/// # Errors
/// When overrides do not make a valid scenario.
pub fn named_variants(
    document: &Document,
    base_dir: &Path,
    plan: &Plan,
) -> Result<Vec<(String, Plan)>, ScenarioError> {
    let variants = plan.scenario.variants.iter();
    variants
        .map(|(name, changed)| {
            let changed = apply(document, changed)?;
            Ok((name.clone(), resolve(&changed, base_dir)?))
        })
        .collect()
}

/// The document with its overrides.
///
/// # Errors
/// A path that leads nowhere.
pub fn apply(document: &Document, overrides: &Overrides) -> Result<Document, ScenarioError> {
    let mut changed = document.clone();
    for (path, value) in overrides {
        match toml::Value::try_from(value) {
            Ok(value) => changed.set_value(path, value)?,
            // TOML has no null: it takes the field away.
            Err(_) => changed.unset(path)?,
        }
    }
    Ok(changed)
}

/// Refuses metrics and bounds that cannot be read, before anything runs.
fn check_expressions(document: &Document, plan: &Plan) -> Result<(), ScenarioError> {
    let mut problems = Problems::new(document);
    for (index, claim) in plan.scenario.claims.iter().enumerate() {
        let mut check = |field: &str, text: &str| {
            if let Err(error) = Metric::parse(text) {
                let path = format!("claims.{index}.{field}");
                problems.push(&path, format!("{text:?}"), &error.to_string(), "");
            }
        };
        check("metric", &claim.metric);
        let (relation, bound) = relation(claim);
        if let Some(Bound::Expression(text)) = bound {
            check(relation.name(), text);
        }
    }
    problems.finish()
}
