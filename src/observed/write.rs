//! What an import writes: requests as a trace, and as they were observed.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder};

use super::error::ObservedError;
use super::record::{Ending, Observed};
use super::series::{ObservedBin, ObservedSeries};
use crate::report::columns::{Column, Columns, ParquetGroups};
use crate::trace::HASHED_TOKENS;

/// Columns of the file of observed requests, in order.
///
/// | column | unit | meaning |
/// |---|---|---|
/// | `t_ns` | ns | arrival, since 1970 where the log has dates, else since its own zero |
/// | `ending` | | `completed`, `rejected`, `shed`, `timed_out`, `failed` or `cancelled` |
/// | `prompt_tokens`, `output_tokens` | tokens | lengths; of a request that failed, what it would have had |
/// | `prompt_inferred`, `output_inferred` | true, false | whether the log did not have them |
/// | `cached_tokens` | tokens | prompt tokens that a cache had |
/// | `ttft_ns` | ns | from arrival to the first token |
/// | `e2e_ns` | ns | from arrival to the end, of all tries |
/// | `attempts` | | tries, 1 or more |
/// | `tenant`, `session`, `model` | | as the log has them |
pub const COLUMNS: [&str; 13] = [
    "t_ns",
    "ending",
    "prompt_tokens",
    "prompt_inferred",
    "output_tokens",
    "output_inferred",
    "cached_tokens",
    "ttft_ns",
    "e2e_ns",
    "attempts",
    "tenant",
    "session",
    "model",
];

/// Rows that are held before a Parquet row group is written.
const GROUP: usize = 100_000;

/// A file that appears under its name only once it is whole; `.gz` compresses.
pub struct Whole {
    file: Option<Box<dyn Write + Send>>,
    part: PathBuf,
    name: PathBuf,
}

impl Whole {
    /// Opens it under another name.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(name: &Path) -> Result<Whole, ObservedError> {
        let failed = |fault: &dyn std::fmt::Display| {
            ObservedError::write(&name.display().to_string(), fault)
        };
        // A link, a pipe or a device is written to, not replaced.
        let in_place = std::fs::symlink_metadata(name).is_ok_and(|kind| !kind.is_file());
        let mut part = name.as_os_str().to_owned();
        if !in_place {
            part.push(".partial");
        }
        let part = PathBuf::from(part);
        let file = BufWriter::new(File::create(&part).map_err(|fault| failed(&fault))?);
        let packed = name.extension().is_some_and(|ending| ending == "gz");
        let file: Box<dyn Write + Send> = if packed {
            Box::new(
                GzBuilder::new()
                    .mtime(0)
                    .write(file, Compression::default()),
            )
        } else {
            Box::new(file)
        };
        Ok(Whole {
            file: Some(file),
            part,
            name: name.to_owned(),
        })
    }

    fn failed(&self, fault: &dyn std::fmt::Display) -> ObservedError {
        ObservedError::write(&self.name.display().to_string(), fault)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), ObservedError> {
        let written = match &mut self.file {
            Some(file) => file.write_all(bytes),
            None => Ok(()),
        };
        written.map_err(|fault| self.failed(&fault))
    }

    /// Gives it its name.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(&mut self) -> Result<(), ObservedError> {
        let flushed = match self.file.take() {
            Some(mut file) => file.flush(),
            None => Ok(()),
        };
        flushed.map_err(|fault| self.failed(&fault))?;
        if self.part != self.name {
            std::fs::rename(&self.part, &self.name).map_err(|fault| self.failed(&fault))?;
        }
        Ok(())
    }
}

impl Write for Whole {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match &mut self.file {
            Some(file) => file.write(bytes),
            None => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match &mut self.file {
            Some(file) => file.flush(),
            None => Ok(()),
        }
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        // Not finished: what there is of it is worth nothing.
        if self.file.take().is_some() && self.part != self.name {
            let _ = std::fs::remove_file(&self.part);
        }
    }
}

/// Writes requests as a trace: CSV, or with a name in `.jsonl` the lines of Mooncake, with the
/// prompts' hashes.
pub struct TraceWriter {
    out: Whole,
    lines: bool,
    origin_ns: Option<u64>,
}

impl TraceWriter {
    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(path: &Path) -> Result<TraceWriter, ObservedError> {
        let name = path.display().to_string();
        let lines = name.ends_with(".jsonl") || name.ends_with(".jsonl.gz");
        let mut out = Whole::create(path)?;
        if !lines {
            out.put(b"arrival_ns,prompt_tokens,output_tokens,prompt_inferred,output_inferred\n")?;
        }
        Ok(TraceWriter {
            out,
            lines,
            origin_ns: None,
        })
    }

    /// Writes a request; arrivals are counted from the first one's.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, request: &Observed) -> Result<(), ObservedError> {
        let origin = *self.origin_ns.get_or_insert(request.t_ns);
        let after = request.t_ns.saturating_sub(origin);
        let (prompt, output) = (request.prompt, request.output);
        if !self.lines {
            let row = format!(
                "{after},{},{},{},{}\n",
                prompt.count, output.count, prompt.inferred, output.inferred
            );
            return self.out.put(row.as_bytes());
        }
        let mut row = format!(
            "{{\"timestamp\": {}.{:06}, \"input_length\": {}, \"output_length\": {}",
            after / 1_000_000,
            after % 1_000_000,
            prompt.count,
            output.count
        );
        if let Some(blocks) = &request.blocks {
            let ids: Vec<String> = blocks.hashes.iter().map(u64::to_string).collect();
            row.push_str(&format!(", \"hash_ids\": [{}]", ids.join(", ")));
            if blocks.tokens != HASHED_TOKENS {
                row.push_str(&format!(", \"block_size\": {}", blocks.tokens));
            }
        }
        row.push_str("}\n");
        self.out.put(row.as_bytes())
    }

    /// Writes what is left; only then the file has its name.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> Result<(), ObservedError> {
        self.out.finish()
    }
}

/// Writes observed requests: see [`COLUMNS`].
pub struct ObservedWriter {
    name: String,
    sink: Sink,
    held: Vec<Observed>,
}

enum Sink {
    Csv(Whole),
    Parquet(Box<ParquetGroups<Whole>>),
}

impl ObservedWriter {
    /// Opens a file; with a name in `.parquet` it is Parquet, else CSV.
    ///
    /// # Errors
    /// When it cannot be written, or its name ends in none of `.csv`, `.csv.gz` and `.parquet`.
    pub fn create(path: &Path) -> Result<ObservedWriter, ObservedError> {
        let name = path.display().to_string();
        let kinds = [".csv", ".csv.gz", ".parquet"];
        if !kinds.iter().any(|ending| name.ends_with(ending)) {
            return Err(ObservedError::Option {
                option: "--observed",
                value: name.into(),
                why: "must end in .csv, .csv.gz or .parquet".into(),
                remedy: "rename it".into(),
            });
        }
        let mut out = Whole::create(path)?;
        let sink = if name.ends_with(".parquet") {
            let groups = ParquetGroups::new(out, &columns(&[]), "observed");
            let groups = groups.map_err(|fault| ObservedError::write(&name, &fault))?;
            Sink::Parquet(Box::new(groups))
        } else {
            out.put(format!("{}\n", COLUMNS.join(",")).as_bytes())?;
            Sink::Csv(out)
        };
        Ok(ObservedWriter {
            name,
            sink,
            held: Vec::new(),
        })
    }

    /// Writes a request.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, request: &Observed) -> Result<(), ObservedError> {
        self.held.push(request.clone());
        let most = match self.sink {
            Sink::Csv(_) => 1024,
            Sink::Parquet(_) => GROUP,
        };
        if self.held.len() >= most {
            self.empty()?;
        }
        Ok(())
    }

    fn empty(&mut self) -> Result<(), ObservedError> {
        let table = columns(&self.held);
        self.held.clear();
        let failed = |fault: &dyn std::fmt::Display| ObservedError::write(&self.name, fault);
        match &mut self.sink {
            Sink::Csv(out) => {
                let text = table.rows_as_csv().map_err(|fault| failed(&fault))?;
                out.put(&text)
            }
            Sink::Parquet(groups) => groups.write(&table).map_err(|fault| failed(&fault)),
        }
    }

    /// Writes what is left; only then the file has its name.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> Result<(), ObservedError> {
        if !self.held.is_empty() {
            self.empty()?;
        }
        let mut out = match self.sink {
            Sink::Csv(out) => out,
            Sink::Parquet(groups) => groups
                .finish()
                .map_err(|fault| ObservedError::write(&self.name, &fault))?,
        };
        out.finish()
    }
}

fn columns(rows: &[Observed]) -> Columns {
    let int = |pick: &dyn Fn(&Observed) -> Option<u64>| {
        let all = rows
            .iter()
            .map(|row| pick(row).and_then(|it| i64::try_from(it).ok()));
        Column::Int(all.collect())
    };
    let text =
        |pick: &dyn Fn(&Observed) -> Option<String>| Column::Text(rows.iter().map(pick).collect());
    let yes = |pick: &dyn Fn(&Observed) -> bool| {
        Column::Bool(rows.iter().map(|row| Some(pick(row))).collect())
    };
    let values = [
        int(&|row| Some(row.t_ns)),
        text(&|row| Some(row.ending.name().to_owned())),
        int(&|row| Some(u64::from(row.prompt.count))),
        yes(&|row| row.prompt.inferred),
        int(&|row| Some(u64::from(row.output.count))),
        yes(&|row| row.output.inferred),
        int(&|row| row.cached_tokens.map(u64::from)),
        int(&|row| row.ttft_ns),
        int(&|row| row.e2e_ns),
        int(&|row| Some(u64::from(row.attempts))),
        text(&|row| row.tenant.clone()),
        text(&|row| row.session.clone()),
        text(&|row| row.model.clone()),
    ];
    let mut table = Columns::default();
    for (name, column) in COLUMNS.into_iter().zip(values) {
        table.push(name, column);
    }
    table
}

/// Files of series.
pub struct SeriesFile;

impl SeriesFile {
    /// Writes series as CSV, or with a name in `.parquet` as Parquet: a row a bin.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(path: &Path, series: &ObservedSeries) -> Result<(), ObservedError> {
        let name = path.display().to_string();
        let failed = |fault: &dyn std::fmt::Display| ObservedError::write(&name, fault);
        let table = series_columns(series);
        let bytes = match name.ends_with(".parquet") {
            true => table.to_parquet("series").map_err(|fault| failed(&fault))?,
            false => table.to_csv().map_err(|fault| failed(&fault))?,
        };
        let mut out = Whole::create(path)?;
        out.put(&bytes)?;
        out.finish()
    }
}

/// Quantiles that series are written with.
const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99)];

/// Columns: `start_ns`, counts, then for each latency and quantile the edges that it lies between
/// (`ttft_p99_low_ns`, `ttft_p99_high_ns`, empty where the bucket has no upper edge), then gauges.
fn series_columns(series: &ObservedSeries) -> Columns {
    let bins = &series.bins;
    let int = |pick: &dyn Fn(&ObservedBin) -> Option<u64>| {
        let all = bins
            .iter()
            .map(|bin| pick(bin).and_then(|it| i64::try_from(it).ok()));
        Column::Int(all.collect())
    };
    let float =
        |pick: &dyn Fn(&ObservedBin) -> Option<f64>| Column::Float(bins.iter().map(pick).collect());
    let mut table = Columns::default();
    let starts = (0..bins.len() as u64).map(|place| {
        let ns = series.start_ns.saturating_add(place * series.bin_ns);
        i64::try_from(ns).ok()
    });
    table.push("start_ns", Column::Int(starts.collect()));
    table.push("arrived", int(&|bin| bin.arrived));
    for ending in Ending::ALL {
        table.push(ending.name(), int(&|bin| Some(bin.ended_as(ending))));
    }
    table.push("retries", int(&|bin| Some(bin.retries)));
    table.push("prompt_tokens", int(&|bin| Some(bin.prompt_tokens)));
    table.push("output_tokens", int(&|bin| Some(bin.output_tokens)));
    for latency in ["ttft", "e2e"] {
        let of = |bin: &ObservedBin| match latency {
            "ttft" => bin.ttft.clone(),
            _ => bin.e2e.clone(),
        };
        for (name, q) in QUANTILES {
            let low = |bin: &ObservedBin| of(bin).quantile(q).map(|it| it.low_ns);
            let high = |bin: &ObservedBin| of(bin).quantile(q).and_then(|it| it.high_ns);
            table.push(format!("{latency}_{name}_low_ns"), int(&low));
            table.push(format!("{latency}_{name}_high_ns"), int(&high));
        }
        table.push(
            format!("{latency}_mean_ns"),
            float(&|bin| of(bin).mean_ns()),
        );
    }
    table.push("running", float(&|bin| bin.running));
    table.push("waiting", float(&|bin| bin.waiting));
    table.push("kv_usage", float(&|bin| bin.kv_usage));
    table.push("replicas", float(&|bin| bin.replicas));
    table
}
