//! Axes: which fields of a scenario are changed, and to what.

mod range;

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::range::number;
pub use self::range::{Between, LogRange, Range};
use crate::scenario::Problems;

/// Whole numbers that are looked at one by one.
const FEW: f64 = 12.0;

/// `[[axes]]`: a field and its values, or several fields that change together.
///
/// Give `path` and one of `values`, `range`, `log_range` and `between`; or `zip`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Axis {
    /// The field, by its path in the scenario.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What reports call it. Default: its path, or the paths of its fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A list of values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<Value>>,
    /// Values at equal distances.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
    /// Values at equal ratios.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_range: Option<LogRange>,
    /// Any value between two, drawn by the design.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub between: Option<Between>,
    /// Fields that change together: path to list of values, all of one length.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zip: Option<BTreeMap<String, Vec<Value>>>,
}

/// What an axis sets at a point: one value for each of its paths.
pub type Setting = Vec<Value>;

impl Axis {
    /// The fields that it sets.
    pub fn paths(&self) -> Vec<&str> {
        match (&self.path, &self.zip) {
            (Some(path), _) => vec![path],
            (None, Some(zip)) => zip.keys().map(String::as_str).collect(),
            (None, None) => Vec::new(),
        }
    }

    /// What reports call it.
    pub fn label(&self) -> String {
        match &self.name {
            Some(name) => name.clone(),
            None => self.paths().join(" + "),
        }
    }

    /// The columns it has in the results: its name where it is one field and has one, else paths.
    pub fn columns(&self) -> Vec<String> {
        match (&self.path, &self.name) {
            (Some(_), Some(name)) => vec![name.clone()],
            _ => self.paths().into_iter().map(str::to_owned).collect(),
        }
    }

    /// Its values, where they can be listed.
    pub fn levels(&self) -> Option<Vec<Setting>> {
        let single = |values: Vec<f64>| values.into_iter().map(|it| vec![number(it)]).collect();
        if let Some(values) = &self.values {
            return Some(values.iter().map(|value| vec![value.clone()]).collect());
        }
        if let Some(range) = &self.range {
            return Some(single(range.values()));
        }
        if let Some(range) = &self.log_range {
            return Some(single(range.values()));
        }
        let zip = self.zip.as_ref()?;
        let length = zip.values().map(Vec::len).min()?;
        let level = |at: usize| zip.values().map(|values| values[at].clone()).collect();
        Some((0..length).map(level).collect())
    }

    /// Its values, where they can be listed or are few whole numbers.
    pub fn few_values(&self) -> Option<Vec<Setting>> {
        let few = |it: &&Between| it.whole && it.high - it.low < FEW;
        match self.between.as_ref().filter(few) {
            // Whole numbers by their check, and few.
            Some(it) => Some(
                (it.low as i64..=it.high as i64)
                    .map(|it| vec![json!(it)])
                    .collect(),
            ),
            None => self.levels(),
        }
    }

    /// What it sets at a place from 0 up to 1 along it.
    pub fn at(&self, place: f64) -> Setting {
        if let Some(between) = &self.between {
            return vec![between.at(place)];
        }
        let mut levels = self.levels().unwrap_or_default();
        match Axis::level_at(place, levels.len()) {
            Some(index) => levels.swap_remove(index),
            None => Vec::new(),
        }
    }

    /// Which of `count` equally likely values a place from 0 up to 1 is.
    pub fn level_at(place: f64, count: usize) -> Option<usize> {
        // A place is never below 0, so that the cast cuts off what is behind the point.
        (count > 0).then(|| ((place * count as f64) as usize).min(count - 1))
    }

    /// Notes everything that is wrong with it.
    pub fn check(&self, at: &str, problems: &mut Problems<'_>) {
        let kinds = [
            ("values", self.values.is_some()),
            ("range", self.range.is_some()),
            ("log_range", self.log_range.is_some()),
            ("between", self.between.is_some()),
            ("zip", self.zip.is_some()),
        ];
        let given: Vec<&str> = kinds.iter().filter(|it| it.1).map(|it| it.0).collect();
        if given.len() != 1 {
            let allowed = "must have one of `values`, `range`, `log_range`, `between` and `zip`";
            problems.push(at, given.join(", "), allowed, "give exactly one of them");
            return;
        }
        if self.path.is_some() == self.zip.is_some() {
            let allowed = "must have `path`, or `zip` with the paths in it";
            problems.push(at, "", allowed, "give exactly one of them");
            return;
        }
        if let Some(name) = &self.name {
            problems.name(&format!("{at}.name"), name);
        }
        if let Some(zip) = &self.zip {
            check_zip(zip, at, problems);
        }
        let fine = match (&self.range, &self.log_range, &self.between) {
            (Some(range), _, _) => range.check(&format!("{at}.range"), problems),
            (_, Some(range), _) => range.check(&format!("{at}.log_range"), problems),
            (_, _, Some(between)) => between.check(&format!("{at}.between"), problems),
            _ => true,
        };
        if fine && let Some(levels) = self.levels() {
            let place = format!("{at}.{}", given[0]);
            if levels.is_empty() {
                problems.push(&place, "", "must have a value", "add one");
            }
            let mut seen = BTreeSet::new();
            for level in &levels {
                if !seen.insert(json!(level).to_string()) {
                    let value = shown(level);
                    problems.push(&place, value, "is there twice", "take one of them away");
                }
            }
        }
    }
}

fn check_zip(zip: &BTreeMap<String, Vec<Value>>, at: &str, problems: &mut Problems<'_>) {
    let lengths: BTreeSet<usize> = zip.values().map(Vec::len).collect();
    if zip.len() < 2 || lengths.len() != 1 {
        let found: Vec<String> = zip
            .iter()
            .map(|(path, values)| format!("{path}: {}", values.len()))
            .collect();
        let allowed = "must be two paths or more with lists of one length";
        let remedy = "give all lists as many values; a single field is `path` with `values`";
        problems.push(&format!("{at}.zip"), found.join(", "), allowed, remedy);
    }
}

/// A setting in words: its values, separated by commas.
pub fn shown(setting: &[Value]) -> String {
    let value = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    setting.iter().map(value).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(text: &str) -> Axis {
        toml::from_str(text).unwrap()
    }

    fn values(text: &str) -> String {
        json!(axis(text).levels().unwrap().concat()).to_string()
    }

    #[test]
    fn ranges_have_both_ends_and_no_noise() {
        assert_eq!(
            values("range = { from = 0.1, to = 0.5, step = 0.1 }"),
            "[0.1,0.2,0.3,0.4,0.5]"
        );
        assert_eq!(
            values("range = { from = 4, to = 1, step = -1 }"),
            "[4,3,2,1]"
        );
        assert_eq!(
            values("range = { from = 0, to = 1, count = 5 }"),
            "[0,0.25,0.5,0.75,1]"
        );
        assert_eq!(
            values("log_range = { from = 1, to = 1024, count = 6 }"),
            "[1,4,16,64,256,1024]"
        );
        let whole = "log_range = { from = 1, to = 100, count = 5, whole = true }";
        assert_eq!(values(whole), "[1,3,10,32,100]");
    }

    #[test]
    fn fields_that_are_zipped_change_together() {
        let zipped = axis("zip = { tp = [8, 4], replicas = [1, 2] }");
        assert_eq!(zipped.paths(), ["replicas", "tp"]);
        assert_eq!(json!(zipped.levels()).to_string(), "[[1,8],[2,4]]");
        assert_eq!(shown(&zipped.at(0.7)), "2, 4");
    }

    #[test]
    fn places_lead_to_every_value_alike() {
        let whole = axis("between = { low = 3, high = 6, whole = true }");
        let mut counts = BTreeMap::new();
        for index in 0..4_000 {
            let value = whole.at(f64::from(index) / 4_000.0);
            *counts.entry(shown(&value)).or_insert(0) += 1;
        }
        let expected = ["3", "4", "5", "6"].map(|value| (value.to_owned(), 1_000));
        assert_eq!(counts, BTreeMap::from(expected));
        let log = axis("between = { low = 1, high = 10_000, log = true }");
        assert_eq!(shown(&log.at(0.5)), "100.0");
        assert_eq!(shown(&axis("values = ['a', 'b']").at(0.999)), "b");
    }
}
