//! The Trace Event Format: one JSON object with an array of events, each on a line of its own.
//!
//! Fields by phase, as the format's definition has them: every event has `name`, `ph`, `ts`, `pid`
//! and `tid`; a complete event (`X`) has `dur`; nestable asynchronous ones (`b`, `e`) have `cat` and
//! `id`; counters (`C`) have numbers in `args`; instants (`i`) have a scope `s`; metadata (`M`) name
//! processes and threads. Stamps are microseconds; ours have three decimals, which are nanoseconds.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use crate::engine::SimTime;
use crate::outputs::Output;

/// Why a trace could not be written.
#[derive(Debug, thiserror::Error)]
pub enum PerfettoError {
    /// The name says neither.
    #[error("--perfetto {0}: must end in .json or .json.gz; rename it")]
    Extension(String),
    /// The file could not be written.
    #[error("{0}: cannot write: {1}; check the folder and the space left")]
    Write(String, String),
    /// There is nothing in the window.
    #[error(
        "--window {from_s}..{to_s}: must begin before it ends and before the run does, at {end_s} s \
         at the latest; give seconds of simulated time, such as 30..35"
    )]
    Window {
        /// Its beginning, seconds.
        from_s: f64,
        /// Its end, seconds.
        to_s: f64,
        /// The end of the run at the latest, seconds.
        end_s: f64,
    },
}

/// A trace that events are written to as they come.
pub(super) struct TraceFile {
    path: String,
    out: Output,
    /// Events written, and how many there may be.
    events: u64,
    most: u64,
    /// Events that were left out since the file was full, and the time of the first.
    left_out: u64,
    full_at: Option<SimTime>,
    failed: Option<PerfettoError>,
}

/// Microseconds with their nanoseconds.
fn us(ns: u64) -> String {
    format!("{}.{:03}", ns / 1_000, ns % 1_000)
}

impl TraceFile {
    /// The name of the file.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn create(
        path: &Path,
        most: u64,
        about: &Value,
    ) -> Result<TraceFile, PerfettoError> {
        let name = path.display().to_string();
        if ![".json", ".json.gz"].iter().any(|end| name.ends_with(end)) {
            return Err(PerfettoError::Extension(name));
        }
        let failed = |error: std::io::Error| PerfettoError::Write(name.clone(), error.to_string());
        let mut out = Output::create(path).map_err(failed)?;
        let head = format!("{{\"displayTimeUnit\":\"ms\",\"otherData\":{about},\"traceEvents\":[");
        out.write_all(head.as_bytes()).map_err(failed)?;
        Ok(TraceFile {
            path: name,
            out,
            events: 0,
            most,
            left_out: 0,
            full_at: None,
            failed: None,
        })
    }

    /// Room for so many events, which belong together.
    fn has_room(&mut self, events: u64, at: SimTime) -> bool {
        let room = self.events + events <= self.most;
        if !room {
            self.left_out += events;
            self.full_at.get_or_insert(at);
        }
        room
    }

    fn put(&mut self, event: &str) {
        if self.failed.is_some() {
            return;
        }
        let comma = if self.events == 0 { "\n" } else { ",\n" };
        self.events += 1;
        let written = self
            .out
            .write_all(comma.as_bytes())
            .and_then(|()| self.out.write_all(event.as_bytes()));
        if let Err(error) = written {
            self.failed = Some(PerfettoError::Write(self.path.clone(), error.to_string()));
        }
    }

    fn metadata(&mut self, (pid, tid): (u64, u64), what: &str, name: &str) {
        let args = json!({ "name": name });
        self.put(&format!(
            "{{\"name\":\"{what}\",\"ph\":\"M\",\"ts\":0,\"pid\":{pid},\"tid\":{tid},\"args\":{args}}}"
        ));
    }

    pub(super) fn name_process(&mut self, pid: u64, name: &str) {
        self.metadata((pid, 0), "process_name", name);
    }

    pub(super) fn name_thread(&mut self, track: (u64, u64), name: &str) {
        self.metadata(track, "thread_name", name);
    }

    /// Something that was done from one instant to another.
    pub(super) fn complete(
        &mut self,
        (pid, tid): (u64, u64),
        (from, to): (SimTime, SimTime),
        name: &str,
        args: &Value,
    ) {
        if !self.has_room(1, from) {
            return;
        }
        let (ts, dur) = (us(from.0), us((to - from).0));
        let name = Value::from(name);
        self.put(&format!(
            "{{\"name\":{name},\"cat\":\"step\",\"ph\":\"X\",\"ts\":{ts},\"dur\":{dur},\"pid\":{pid},\
             \"tid\":{tid},\"args\":{args}}}"
        ));
    }

    /// Numbers that are so from now on.
    pub(super) fn counter(&mut self, pid: u64, at: SimTime, name: &str, args: &Value) {
        if !self.has_room(1, at) {
            return;
        }
        let (ts, name) = (us(at.0), Value::from(name));
        self.put(&format!(
            "{{\"name\":{name},\"ph\":\"C\",\"ts\":{ts},\"pid\":{pid},\"tid\":0,\"args\":{args}}}"
        ));
    }

    /// Something that happened to all.
    pub(super) fn instant(&mut self, pid: u64, at: SimTime, name: &str) {
        if !self.has_room(1, at) {
            return;
        }
        let (ts, name) = (us(at.0), Value::from(name));
        self.put(&format!(
            "{{\"name\":{name},\"cat\":\"fault\",\"ph\":\"i\",\"ts\":{ts},\"pid\":{pid},\"tid\":0,\
             \"s\":\"g\",\"args\":{{}}}}"
        ));
    }

    /// A tree of asynchronous events: the first holds the others, which follow one another.
    pub(super) fn tree(&mut self, pid: u64, id: u64, spans: &[Span<'_>]) {
        let [whole, parts @ ..] = spans else { return };
        if !self.has_room(2 * spans.len() as u64, whole.from) {
            return;
        }
        self.asynchronous((pid, id), "b", whole.from, whole.name, &whole.args);
        for part in parts {
            self.asynchronous((pid, id), "b", part.from, part.name, &part.args);
            self.asynchronous((pid, id), "e", part.to, part.name, &json!({}));
        }
        self.asynchronous((pid, id), "e", whole.to, whole.name, &json!({}));
    }

    fn asynchronous(
        &mut self,
        (pid, id): (u64, u64),
        phase: &str,
        at: SimTime,
        name: &str,
        args: &Value,
    ) {
        let (ts, name) = (us(at.0), Value::from(name));
        self.put(&format!(
            "{{\"name\":{name},\"cat\":\"request\",\"ph\":\"{phase}\",\"id\":\"{id:#x}\",\"ts\":{ts},\
             \"pid\":{pid},\"tid\":0,\"args\":{args}}}"
        ));
    }

    /// Ends the file; a sentence where events were left out.
    pub(super) fn finish(mut self) -> Result<Option<String>, PerfettoError> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        let path = self.path.clone();
        let failed = |error: std::io::Error| PerfettoError::Write(path.clone(), error.to_string());
        self.out.write_all(b"\n]}\n").map_err(failed)?;
        self.out.finish().map_err(failed)?;
        Ok(self.full_at.map(|at| {
            format!(
                "{}: full after {} events: {} more from {} s on were left out; choose a shorter --window",
                self.path,
                self.events,
                self.left_out,
                at.as_secs_f64()
            )
        }))
    }
}

/// One event of a tree.
#[derive(Debug, Clone)]
pub(super) struct Span<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// When it began.
    pub(super) from: SimTime,
    /// When it ended, `from` or later.
    pub(super) to: SimTime,
    /// What is known of it.
    pub(super) args: Value,
}
