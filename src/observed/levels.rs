//! How many replicas, and how long the queues: what no log of requests has, as a monitor saw it.
//!
//! Read from what `trace import --series` makes of scrapes (a row a bin), from what `run --series` writes
//! (a row an interval, pool and metric), or from scrapes themselves. A column of
//! one's own will do: `start_ns` and one of the levels.

mod bins;
mod intervals;
mod table;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::error::ObservedError;
use super::format::ObservedFormat;
use super::input::Input;
use super::prometheus::{ScrapeOptions, ScrapeReport, read_scrapes_of};

/// Something that there is so much of at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Replicas that are there and answer (of scrapes: that were scraped).
    Replicas,
    /// Requests that wait, at replicas and at gateways.
    Waiting,
    /// Requests that wait at replicas.
    Queue,
    /// Requests that run at replicas.
    Running,
    /// Share of the KV blocks in use, 0 to 1, on average over replicas.
    KvUsage,
}

impl Level {
    /// All of them.
    pub const ALL: [Level; 5] = [
        Level::Replicas,
        Level::Waiting,
        Level::Queue,
        Level::Running,
        Level::KvUsage,
    ];

    /// Its name among the series of a replay.
    pub fn name(self) -> &'static str {
        match self {
            Level::Replicas => "replicas",
            Level::Waiting => "waiting",
            Level::Queue => "queue",
            Level::Running => "running",
            Level::KvUsage => "kv usage",
        }
    }

    /// Its place in [`Level::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }
}

/// One look at a level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LevelSample {
    /// Where the stretch begins that it is the mean of, ns on the file's clock.
    pub from_ns: u64,
    /// Where it ends; the same where it is of an instant.
    pub to_ns: u64,
    /// How much there was.
    pub value: f64,
}

/// What a file says of levels.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedLevels {
    /// The file.
    pub file: String,
    /// Samples of each level, in order of time; of none there are none.
    pub levels: BTreeMap<Level, Vec<LevelSample>>,
    /// What may not be read from them.
    pub notes: Vec<String>,
}

impl ObservedLevels {
    /// From the first sample to the last, ns on the file's clock.
    pub fn span_ns(&self) -> (u64, u64) {
        let all = || self.levels.values().flatten();
        let from = all().map(|it| it.from_ns).min().unwrap_or(0);
        let to = all().map(|it| it.to_ns).max().unwrap_or(0);
        (from, to)
    }

    /// The longest stretch that a value is the mean of, seconds; 0 where all are of instants.
    pub fn widest_s(&self) -> f64 {
        let all = self.levels.values().flatten();
        let widest_ns = all.map(|it| it.to_ns.saturating_sub(it.from_ns)).max();
        widest_ns.unwrap_or(0) as f64 / 1e9
    }
}

/// Reads a file of levels: CSV (gzipped or not), Parquet, or scrapes, which are put into bins of `bin_ns`.
///
/// # Errors
/// When it cannot be read, has none of the known columns, or a row of it is not what it must be.
pub fn read_levels(path: &Path, bin_ns: u64) -> Result<ObservedLevels, ObservedError> {
    let mut input = Input::open(path)?;
    let name = input.name().clone();
    if ObservedFormat::of_head(input.head()) == Some(ObservedFormat::Prometheus) {
        let options = ScrapeOptions {
            bin_ns,
            every_ns: None,
            offset_s: 0,
        };
        let report = read_scrapes_of(input, &options)?;
        return of_scrapes(name.to_string(), &report);
    }
    let mut rows = Rows::Nothing;
    table::each_row(&mut input, path, |row| {
        if let Rows::Nothing = rows {
            rows = Rows::of(row)?;
        }
        match &mut rows {
            Rows::Nothing => Ok(()),
            Rows::Bins(bins) => bins.take(row),
            Rows::Intervals(intervals) => intervals.take(row),
        }
    })?;
    let levels = match rows {
        Rows::Nothing => BTreeMap::new(),
        Rows::Bins(bins) => bins.finish(),
        Rows::Intervals(intervals) => intervals.finish(),
    };
    found(name.to_string(), levels, Vec::new())
}

/// Rows of one of the two layouts.
enum Rows {
    Nothing,
    Bins(bins::Bins),
    Intervals(intervals::Intervals),
}

impl Rows {
    fn of(row: &table::Row<'_>) -> Result<Rows, ObservedError> {
        if intervals::COLUMNS.iter().all(|name| row.has(name)) {
            return Ok(Rows::Intervals(intervals::Intervals::default()));
        }
        if row.has(bins::START) && bins::COLUMNS.iter().any(|(name, _)| row.has(name)) {
            bins::refuse_slips(row)?;
            return Ok(Rows::Bins(bins::Bins::default()));
        }
        let allowed = format!(
            "has columns {}; allowed: {} with one of {} (as `trace import --series` writes), or {} (as \
             `run --series` does)",
            row.columns(),
            bins::START,
            bins::COLUMNS.map(|it| it.0).join(", "),
            intervals::COLUMNS.join(", ")
        );
        Err(row.refuse(
            &allowed,
            "name its columns so, or give the scrapes themselves",
        ))
    }
}

fn of_scrapes(file: String, report: &ScrapeReport) -> Result<ObservedLevels, ObservedError> {
    let series = &report.series;
    let of = |pick: &dyn Fn(usize) -> Option<f64>| -> Vec<LevelSample> {
        let all = 0..series.bins.len();
        all.filter_map(|place| {
            let from_ns = series
                .start_ns
                .saturating_add((place as u64).saturating_mul(series.bin_ns));
            Some(LevelSample {
                from_ns,
                to_ns: from_ns.saturating_add(series.bin_ns),
                value: pick(place)?,
            })
        })
        .collect()
    };
    let levels = BTreeMap::from([
        (Level::Replicas, of(&|at| series.bins[at].replicas)),
        (Level::Queue, of(&|at| series.bins[at].waiting)),
        (Level::Running, of(&|at| series.bins[at].running)),
        (Level::KvUsage, of(&|at| series.bins[at].kv_usage)),
    ]);
    let mut notes = series.notes.clone();
    for (what, skips) in [("skipped", &report.skipped), ("left out", &report.left_out)] {
        if skips.total() > 0 {
            notes.push(format!("{what}: {}", skips.told()));
        }
    }
    found(file, levels, notes)
}

/// What was found, if that is anything.
fn found(
    file: String,
    mut levels: BTreeMap<Level, Vec<LevelSample>>,
    notes: Vec<String>,
) -> Result<ObservedLevels, ObservedError> {
    levels.retain(|_, samples| !samples.is_empty());
    if levels.is_empty() {
        return Err(ObservedError::Levels {
            path: file.as_str().into(),
            detail: "has no value of replicas, waiting, running or kv_usage in any row".into(),
            remedy: "a log of requests tells none: give what a monitor saw, such as scrapes of \
                     Prometheus"
                .into(),
        });
    }
    Ok(ObservedLevels {
        file,
        levels,
        notes,
    })
}
