//! One of two results that are compared: of a scenario that is run now, or of a folder that an
//! earlier run wrote.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::error::Category;

use crate::experiment::runner::Outcome;

/// Version of the file of replications.
const SCHEMA: u32 = 1;

/// A result by replication, as `run --out` writes it beside the result.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replications {
    /// Version of the format.
    pub schema: u32,
    /// Digest of the run that they are of.
    pub digest: String,
    /// Whether nothing in them is random.
    pub exact: bool,
    /// Confidence of intervals.
    pub confidence: f64,
    /// The result of each, without those of variants.
    pub replications: Vec<Value>,
}

impl Replications {
    /// Those of an outcome.
    pub fn of(outcome: &Outcome) -> Replications {
        let bare = outcome.replications.iter().map(|run| {
            let mut run = run.clone();
            if let Value::Object(fields) = &mut run {
                fields.remove("variants");
            }
            run
        });
        Replications {
            schema: SCHEMA,
            digest: outcome.result.digest.clone(),
            exact: outcome.plan.is_certain(),
            confidence: outcome.plan.scenario.run.confidence,
            replications: bare.collect(),
        }
    }
}

/// A result with its replications.
#[derive(Debug, Clone)]
pub struct Side {
    /// What it is of.
    pub label: String,
    /// The result as one document.
    pub document: Value,
    /// The same for each replication.
    pub replications: Vec<Value>,
    /// Whether nothing in it is random.
    pub exact: bool,
    /// Confidence of intervals.
    pub confidence: f64,
}

/// Why a result of an earlier run cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {reason}")]
pub struct SideError {
    file: String,
    reason: String,
}

impl Side {
    /// The result of a scenario.
    pub fn of(label: String, outcome: Outcome) -> Side {
        Side {
            label,
            exact: outcome.plan.is_certain(),
            confidence: outcome.plan.scenario.run.confidence,
            document: outcome.document,
            replications: outcome.replications,
        }
    }

    /// The result that `run --out` wrote to a folder.
    ///
    /// # Errors
    /// [`SideError`] for a file that cannot be read, or two that are not of one run.
    pub fn read(folder: &Path) -> Result<Side, SideError> {
        let read = |name: &str| {
            let path = folder.join(name);
            let fail = |reason: String| SideError {
                file: path.display().to_string(),
                reason: format!("{reason}; give a folder that `run --out` wrote, or a scenario"),
            };
            match std::fs::read_to_string(&path) {
                Ok(text) => Ok((text, path)),
                Err(error) => Err(fail(format!("cannot be read: {error}"))),
            }
        };
        let damaged = |path: &Path, error: serde_json::Error| SideError {
            file: path.display().to_string(),
            reason: match error.classify() {
                Category::Syntax | Category::Eof => format!(
                    "is cut off or damaged at line {}; run its scenario again",
                    error.line()
                ),
                _ => "is not of a result of this version; run its scenario again".to_owned(),
            },
        };
        let (text, path) = read("result.json")?;
        let document: Value = serde_json::from_str(&text).map_err(|error| damaged(&path, error))?;
        let digest = document.get("digest").and_then(Value::as_str);
        let Some(digest) = digest else {
            return Err(SideError {
                file: path.display().to_string(),
                reason: "is no result: it has no digest; run its scenario again".to_owned(),
            });
        };
        let schema = document.get("schema").and_then(Value::as_u64);
        if schema != Some(u64::from(SCHEMA)) {
            let found = schema.map_or("none".to_owned(), |it| it.to_string());
            return Err(SideError {
                file: path.display().to_string(),
                reason: format!(
                    "its schema is {found}, and {SCHEMA} is read here; run its scenario again"
                ),
            });
        }
        let (text, path) = read("replications.json")?;
        let parts: Replications =
            serde_json::from_str(&text).map_err(|error| damaged(&path, error))?;
        if parts.schema != SCHEMA || digest != parts.digest {
            return Err(SideError {
                file: path.display().to_string(),
                reason: "is not of the run that result.json is of; run its scenario again"
                    .to_owned(),
            });
        }
        let (there, stated) = (
            parts.replications.len() as u64,
            document.get("replications"),
        );
        if stated.and_then(Value::as_u64) != Some(there) {
            return Err(SideError {
                file: path.display().to_string(),
                reason: format!(
                    "has {there} replications, and result.json is of another number of them; run its \
                     scenario again"
                ),
            });
        }
        Ok(Side {
            label: folder.display().to_string(),
            document,
            replications: parts.replications,
            exact: parts.exact,
            confidence: parts.confidence,
        })
    }

    /// The seed of its random numbers.
    pub fn seed(&self) -> Option<u64> {
        self.document.get("seed")?.as_u64()
    }

    /// The name of its scenario.
    pub fn scenario(&self) -> &str {
        let name = self.document.get("scenario");
        // A document with its scenario in it has the name there.
        let within = name.and_then(|scenario| scenario.get("name"));
        within.or(name).and_then(Value::as_str).unwrap_or("")
    }

    /// The digest of its events.
    pub fn digest(&self) -> &str {
        self.document
            .get("digest")
            .and_then(Value::as_str)
            .unwrap_or("")
    }
}
