//! Metrics of claims: fields of a result by path, and arithmetic over them.
//!
//! A path names a field of the JSON result: `latency.e2e_ms.p99`. An element of an array is
//! named by its `name`, `id`, `tier` or `part`, or by its index: `pools.nodes.utilization`,
//! `budget.window.mean_ms`. Operators need spaces around them, since names may hold `-`.

use exmex::Express;
use serde_json::Value;

use crate::measure::of_one;
use crate::scenario::nearest;

/// What a figure holds that no request has given a value.
const NOT_MEASURED: &str = "it was not measured";

/// Keys by which an element of an array may be named.
const NAME_KEYS: [&str; 4] = ["name", "id", "tier", "part"];

/// Why a metric has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetricError {
    /// A path leads nowhere.
    #[error("`{path}` is not a field of the result: {detail}")]
    NoField {
        /// The path.
        path: String,
        /// Where it ends, and what there is instead.
        detail: String,
    },
    /// A field holds no number in this run.
    #[error("`{path}` has no number in this run ({found})")]
    NoNumber {
        /// The path.
        path: String,
        /// What it holds.
        found: String,
    },
    /// The expression cannot be read.
    #[error("cannot read the expression `{expression}`: {reason}; write spaces around operators")]
    BadExpression {
        /// The expression.
        expression: String,
        /// What the parser said.
        reason: String,
    },
    /// What stands before a metric says nothing of which way is better.
    #[error(
        "`{word}:` before `{expression}` is no way to be better; write `less:`, `more:` or neither"
    )]
    NoWay {
        /// What stands there.
        word: String,
        /// The metric.
        expression: String,
    },
    /// The expression has no finite value.
    #[error("`{expression}` is {value}, not a finite number")]
    NotFinite {
        /// The expression.
        expression: String,
        /// Its value.
        value: String,
    },
}

/// A metric ready to be evaluated on any result.
#[derive(Debug, Clone)]
pub struct Metric {
    text: String,
    paths: Vec<String>,
    expression: Option<exmex::FlatEx<f64>>,
}

impl Metric {
    /// Reads a path or an expression.
    ///
    /// # Errors
    /// [`MetricError::BadExpression`] when it is neither.
    pub fn parse(text: &str) -> Result<Metric, MetricError> {
        let bad = |reason: String| MetricError::BadExpression {
            expression: text.to_owned(),
            reason,
        };
        let (rewritten, paths) = name_variables(text);
        if rewritten.trim().is_empty() {
            return Err(bad("it is empty".to_owned()));
        }
        if paths.len() == 1 && text.trim() == paths[0] {
            return Ok(Metric {
                text: text.trim().to_owned(),
                paths,
                expression: None,
            });
        }
        let expression = exmex::FlatEx::<f64>::parse(&rewritten)
            .map_err(|error| bad(named(plain(&error.to_string()), &paths)))?;
        Ok(Metric {
            text: text.to_owned(),
            paths,
            expression: Some(expression),
        })
    }

    /// What was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The path, when the metric is a single field.
    pub fn path(&self) -> Option<&str> {
        self.expression.is_none().then_some(self.text.as_str())
    }

    /// The fields it reads.
    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    /// Whether it is made of the most of something, of which several runs have one in all: no mean of
    /// theirs bounds it.
    pub fn is_of_extremes(&self) -> bool {
        self.paths.iter().any(|path| is_most(path))
    }

    /// The least and the most that it can be: of a single field that is a share, a time, a rate or a
    /// count. Nothing is known of an expression, which may be a difference.
    pub fn possible(&self) -> (f64, f64) {
        let Some(path) = self.path() else {
            return (f64::NEG_INFINITY, f64::INFINITY);
        };
        let begins = |roots: &[&str]| roots.iter().any(|root| path.starts_with(root));
        let name = path.rsplit('.').next().unwrap_or(path);
        let shares = ["attained", "availability", "utilization", "share"];
        if shares
            .iter()
            .any(|it| name == *it || name.ends_with(&format!("_{it}")))
        {
            return (0.0, 1.0);
        }
        match begins(&[
            "latency.",
            "throughput.",
            "requests.",
            "slo.",
            "cost.",
            "budget.",
        ]) {
            true => (0.0, f64::INFINITY),
            false => (f64::NEG_INFINITY, f64::INFINITY),
        }
    }

    /// Whether it can have a finite value: one that reads no field has the same in every result.
    ///
    /// # Errors
    /// [`MetricError::NotFinite`].
    pub fn check_constant(&self) -> Result<(), MetricError> {
        match self.paths.is_empty() {
            true => self.evaluate(&Value::Null).map(|_| ()),
            false => Ok(()),
        }
    }

    /// Whether every field it reads is there, and can hold a number.
    ///
    /// # Errors
    /// The first field that is not, or cannot.
    pub fn check_fields(&self, result: &Value) -> Result<(), MetricError> {
        for path in &self.paths {
            match number_at(result, path) {
                // A figure that has not been measured is one that can be.
                Err(MetricError::NoNumber { found, .. }) if found == NOT_MEASURED => {}
                other => {
                    other?;
                }
            }
        }
        Ok(())
    }

    /// Its value on a result.
    ///
    /// # Errors
    /// When a field is missing or holds no number, or the value is not finite.
    pub fn evaluate(&self, result: &Value) -> Result<f64, MetricError> {
        self.of(|path| number_at(result, path))
    }

    /// Its value on the result of all replications together, `whole`, given each one's own: of fields that
    /// are counts, which add up over replications, it takes the mean of one; of others (the most of
    /// something, a mean, a quantile, a share) what all of them say together.
    ///
    /// # Errors
    /// As [`Metric::evaluate`] on `whole`.
    pub fn of_all(&self, whole: &Value, each: &[Value]) -> Result<f64, MetricError> {
        self.of(|path| {
            let value = number_at(whole, path)?;
            let own: Option<Vec<f64>> = each.iter().map(|one| number_at(one, path).ok()).collect();
            Ok(match own {
                Some(own) if !is_most(path) && !is_flag(whole, path) => of_one(value, &own),
                _ => value,
            })
        })
    }

    /// Its value, given those of its fields.
    fn of(&self, field: impl Fn(&str) -> Result<f64, MetricError>) -> Result<f64, MetricError> {
        let values = self.paths.iter().map(|path| field(path));
        let values = values.collect::<Result<Vec<f64>, _>>()?;
        let value = match &self.expression {
            None => values[0],
            Some(expression) => {
                // Variables were named v00, v01, ... and exmex wants them in that order.
                expression
                    .eval(&values)
                    .map_err(|error| MetricError::BadExpression {
                        expression: self.text.clone(),
                        reason: error.to_string(),
                    })?
            }
        };
        if value.is_finite() {
            return Ok(value);
        }
        Err(MetricError::NotFinite {
            expression: self.text.clone(),
            value: value.to_string(),
        })
    }
}

/// Whether a field is a yes or no, which no number of replications adds up.
fn is_flag(result: &Value, path: &str) -> bool {
    let found = path
        .split('.')
        .try_fold(result, |here, segment| step(here, segment));
    found.is_some_and(Value::is_boolean)
}

/// Whether a field is the most of something.
fn is_most(path: &str) -> bool {
    // Settings are what they are in every replication.
    if path.split('.').any(|part| part == "scenario") {
        return false;
    }
    let name = path.rsplit('.').next().unwrap_or(path);
    name.split('_')
        .any(|word| ["max", "most", "peak"].contains(&word))
}

/// What the parser said, without what it shows of its own insides (addresses among it).
fn plain(message: &str) -> String {
    let end = message.find(", Operator {").unwrap_or(message.len());
    let message = &message[..end];
    message.strip_prefix("wlog ").unwrap_or(message).to_owned()
}

/// What the parser said, with paths where it has the variables that stand for them.
fn named(message: String, paths: &[String]) -> String {
    let variables = paths.iter().enumerate();
    variables.fold(message, |message, (index, path)| {
        message.replace(&format!("v{index:03}"), path)
    })
}

/// Replaces each distinct path by a variable `vNNN` and returns the paths in that order.
fn name_variables(text: &str) -> (String, Vec<String>) {
    let mut rewritten = String::new();
    let mut paths: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let in_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if first.is_ascii_digit() {
            // A number, with its exponent, is copied as it stands.
            let end = rest
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '.'))
                .unwrap_or(rest.len());
            rewritten.push_str(&rest[..end]);
            rest = &rest[end..];
        } else if first.is_ascii_alphabetic() || first == '_' {
            let end = rest.find(|c| !in_name(c)).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            if after.trim_start().starts_with('(') {
                rewritten.push_str(name);
            } else {
                let known = paths.iter().position(|path| path == name);
                let index = known.unwrap_or_else(|| {
                    paths.push(name.to_owned());
                    paths.len() - 1
                });
                rewritten.push_str(&format!("v{index:03}"));
            }
            rest = after;
        } else {
            rewritten.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    (rewritten, paths)
}

fn number_at(result: &Value, path: &str) -> Result<f64, MetricError> {
    let mut here = result;
    for (depth, segment) in path.split('.').enumerate() {
        here = step(here, segment).ok_or_else(|| {
            let before: Vec<&str> = path.split('.').take(depth).collect();
            MetricError::NoField {
                path: path.to_owned(),
                detail: missing(here, segment, &before.join(".")),
            }
        })?;
    }
    match here {
        Value::Number(number) => number.as_f64().ok_or_else(|| MetricError::NoNumber {
            path: path.to_owned(),
            found: number.to_string(),
        }),
        Value::Bool(value) => Ok(f64::from(u8::from(*value))),
        other => Err(MetricError::NoNumber {
            path: path.to_owned(),
            found: match other {
                Value::Null => NOT_MEASURED.to_owned(),
                Value::Object(_) => "it is a group of fields".to_owned(),
                Value::Array(_) => "it is a list".to_owned(),
                _ => "it is a text".to_owned(),
            },
        }),
    }
}

fn step<'a>(here: &'a Value, segment: &str) -> Option<&'a Value> {
    match here {
        Value::Object(fields) => fields.get(segment),
        Value::Array(items) => items
            .iter()
            .find(|item| element_name(item) == Some(segment))
            .or_else(|| items.get(segment.parse::<usize>().ok()?)),
        _ => None,
    }
}

fn element_name(item: &Value) -> Option<&str> {
    NAME_KEYS
        .iter()
        .find_map(|key| item.get(key).and_then(Value::as_str))
}

/// Parts of a result that only some scenarios have, and what brings them.
const OPTIONAL_PARTS: [(&str, &str); 4] = [
    (
        "timeline",
        "it has one where clients, health, admission, regions or faults are stated ([clients] \
         with nothing in it will do)",
    ),
    (
        "requests.tries",
        "it has them where clients, health, admission, regions or faults are stated ([clients] \
         with nothing in it will do)",
    ),
    (
        "requests.sessions",
        "it has them where workload.sessions is stated",
    ),
    ("cost", "it has one where [cost] is stated"),
];

fn missing(here: &Value, segment: &str, before: &str) -> String {
    let names: Vec<&str> = match here {
        Value::Object(fields) => fields.keys().map(String::as_str).collect(),
        Value::Array(items) => items.iter().filter_map(element_name).collect(),
        _ => return format!("`{before}` has no parts"),
    };
    let place = if before.is_empty() {
        "the result".to_owned()
    } else {
        format!("`{before}`")
    };
    if names.is_empty() {
        let how = match before {
            "cost" => "; it has figures where [cost] states prices",
            _ => "",
        };
        return format!("{place} is empty in this scenario{how}");
    }
    let part = match before {
        "" => segment.to_owned(),
        before => format!("{before}.{segment}"),
    };
    if let Some((_, how)) = OPTIONAL_PARTS.iter().find(|(path, _)| *path == part) {
        return format!("{place} has no `{segment}`; {how}");
    }
    match nearest(segment, names.iter().copied()) {
        Some(near) => format!("{place} has no `{segment}`; did you mean `{near}`?"),
        None => format!("{place} has no `{segment}`; it has {}", names.join(", ")),
    }
}
