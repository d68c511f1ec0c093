//! Fault timelines from what clusters and clouds recorded: Kubernetes events and AWS spot notices.
//!
//! Both give entries of `[[faults.timeline]]`, as TOML text that a scenario can hold or name with
//! `faults.file`. Instants are counted from a start that the caller states.

mod kubernetes;
mod nodes;
mod source;
mod spot;
mod timeline;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use thiserror::Error;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub use self::kubernetes::{KubernetesOptions, import_kubernetes_events};
pub use self::nodes::NodeRule;
pub use self::source::{FaultFormat, MAX_RECORD_BYTES, read_records};
pub use self::spot::{SPOT_NOTICE_S, import_spot_notices};
pub use self::timeline::import_timeline;
use super::error::{Text, shorten};
use crate::scenario::faults::{FaultKind, Target, TimedFault};

/// Why records of faults were refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
#[allow(missing_docs)] // the fields are what the messages below say
pub enum FaultImportError {
    /// The file cannot be read as text.
    #[error("faults `{name}`: {why}; {remedy}")]
    Unreadable {
        name: Text,
        why: Text,
        remedy: &'static str,
    },
    /// Neither of the formats.
    #[error(
        "faults `{name}`, line {line}: `{first}` begins neither events of Kubernetes (the output of `kubectl get events -o json`) nor spot notices (one JSON object a line, with `action` or `detail-type`) nor a timeline (`[[faults.timeline]]`); if it is one of them, say so with --format kubernetes, spot or timeline"
    )]
    UnknownFormat {
        name: Text,
        line: usize,
        first: Text,
    },
    /// Not JSON.
    #[error(
        "faults `{name}`, line {line}, byte {column}: not valid JSON ({detail}); write the file anew"
    )]
    Json {
        name: Text,
        line: usize,
        column: usize,
        detail: Text,
    },
    /// JSON of something else.
    #[error("faults `{name}`: {found}; expected {expected}")]
    Shape {
        name: Text,
        found: Text,
        expected: &'static str,
    },
    /// A value that is not allowed.
    #[error(
        "faults `{name}`, {what} {number}, {field}: `{value}` is not allowed; allowed: {allowed}; correct or remove this {what}"
    )]
    Value {
        name: Text,
        what: &'static str,
        number: usize,
        field: &'static str,
        value: Text,
        allowed: &'static str,
    },
    /// The start is no instant.
    #[error("start `{value}` is not allowed; allowed: an RFC 3339 time, 2026-03-01T12:00:00Z")]
    Start { value: Text },
    /// A rule that cannot be used.
    #[error("rule {number} for nodes, {field}: must not be empty; give a pattern and a pool")]
    Rule { number: usize, field: &'static str },
}

/// What an import found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FaultImport {
    /// The faults, in order of time.
    pub faults: Vec<TimedFault>,
    /// Records read.
    pub read: u64,
    /// Records that became no fault, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// All nodes that the records tell of, those that no rule fits among them.
    pub seen: BTreeSet<String>,
    /// From the first to the last instant that the records tell of.
    pub span: Option<(OffsetDateTime, OffsetDateTime)>,
    /// Nodes by pool and replica: the first node of a pool in order of its name is replica 0.
    pub nodes: BTreeMap<(String, u32), String>,
    /// Faults that began before the start and are cut there.
    pub cut_at_start: u64,
    /// Occurrences that the records count without an instant: they have the first and the last.
    pub without_instant: u64,
}

impl FaultImport {
    fn skip(&mut self, reason: &str, records: u64) {
        if records > 0 {
            *self.skipped.entry(reason.to_owned()).or_default() += records;
        }
    }

    /// Widens the span by an instant.
    fn tells_of(&mut self, at: OffsetDateTime) {
        let (first, last) = self.span.unwrap_or((at, at));
        self.span = Some((first.min(at), last.max(at)));
    }

    /// Adds a fault from one instant to another, both in ns from the start; `None`: for ever.
    fn add(&mut self, from_ns: i128, to_ns: Option<i128>, target: Target, fault: FaultKind) {
        if to_ns.is_some_and(|to| to <= 0) {
            self.skip("over before the start", 1);
            return;
        }
        self.cut_at_start += u64::from(from_ns < 0);
        let begin_ns = from_ns.max(0);
        let seconds = |ns: i128| ns as f64 / 1e9;
        self.faults.push(TimedFault {
            at_s: seconds(begin_ns),
            for_s: to_ns.map(|to| seconds(to - begin_ns)),
            until_s: None,
            target: Some(target),
            fault,
        });
    }

    /// Faults in order of time, then of target; equal ones (of several pods of a node) once.
    fn finish(mut self) -> FaultImport {
        let key = |fault: &TimedFault| {
            let target = fault.target.clone().unwrap_or_default();
            let length = fault.for_s.map(f64::to_bits);
            (target.pool, target.replica, fault.fault.name(), length)
        };
        self.faults.sort_by(|a, b| {
            let by_time = a.at_s.total_cmp(&b.at_s);
            by_time.then_with(|| key(a).cmp(&key(b)))
        });
        let before = self.faults.len();
        self.faults.dedup();
        self.skip("the same fault again", (before - self.faults.len()) as u64);
        self
    }

    /// The faults as TOML, one `[[faults.timeline]]` each, with the nodes named.
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        for fault in &self.faults {
            // Writing to a text cannot fail.
            let _ = self.write_entry(&mut out, fault);
        }
        out
    }

    fn write_entry(&self, out: &mut String, fault: &TimedFault) -> std::fmt::Result {
        let target = fault.target.clone().unwrap_or_default();
        let pool = target.pool.unwrap_or_default();
        let replica = target.replica.unwrap_or_default();
        let quoted = toml::Value::String(pool.clone());
        if let Some(node) = self.nodes.get(&(pool, replica)) {
            let node: String = node.chars().filter(|it| !it.is_control()).collect();
            writeln!(out, "# {node}")?;
        }
        writeln!(out, "[[faults.timeline]]")?;
        writeln!(out, "at_s = {:?}", fault.at_s)?;
        if let Some(length) = fault.for_s {
            writeln!(out, "for_s = {length:?}")?;
        }
        writeln!(out, "kind = \"{}\"", fault.fault.name())?;
        writeln!(out, "target = {{ pool = {quoted}, replica = {replica} }}")?;
        if let FaultKind::Drain { notice_s } = &fault.fault {
            writeln!(out, "notice_s = {notice_s:?}")?;
        }
        writeln!(out)
    }
}

/// Reads the instant from which faults are counted.
///
/// # Errors
/// When it is no RFC 3339 time.
pub fn start_instant(text: &str) -> Result<OffsetDateTime, FaultImportError> {
    OffsetDateTime::parse(text, &Rfc3339).map_err(|_| FaultImportError::Start {
        value: shorten(text),
    })
}

/// What a JSON error says, in terms of the whole file.
fn json_error(name: &str, error: &serde_json::Error, line: Option<usize>) -> FaultImportError {
    let text = error.to_string();
    // The place is said once.
    let detail = text.split(" at line ").next().unwrap_or_default();
    FaultImportError::Json {
        name: name.into(),
        line: line.unwrap_or_else(|| error.line()),
        column: error.column(),
        detail: detail.into(),
    }
}
