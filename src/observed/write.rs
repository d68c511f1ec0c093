//! What an import writes: requests as a trace, and as they were observed.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::error::ObservedError;
use super::record::Observed;
use crate::outputs::Output;
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
/// | `attempts` | | tries, 1 or more; empty where the log does not tell |
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

/// Rows that are held before a Parquet row group is written, and bytes of them.
const GROUP: usize = 100_000;
const GROUP_BYTES: usize = 32 << 20;

/// A file that appears under its name only once it is whole; `.gz` compresses.
pub struct Whole {
    file: Option<Output>,
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
        let file = File::create(&part).map_err(|fault| failed(&fault))?;
        Ok(Whole {
            file: Some(Output::to(file, name)),
            part,
            name: name.to_owned(),
        })
    }

    fn failed(&self, fault: &dyn std::fmt::Display) -> ObservedError {
        ObservedError::write(&self.name.display().to_string(), fault)
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), ObservedError> {
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
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        let beside = self.part != self.name;
        let done = file.finish().and_then(|()| match beside {
            true => std::fs::rename(&self.part, &self.name),
            false => Ok(()),
        });
        if done.is_err() && beside {
            // The error that is reported is the one that came first.
            let _ = std::fs::remove_file(&self.part);
        }
        done.map_err(|fault| self.failed(&fault))
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
    held_bytes: usize,
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
            held_bytes: 0,
        })
    }

    /// Writes a request.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, request: &Observed) -> Result<(), ObservedError> {
        let texts = [&request.tenant, &request.session, &request.model];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        self.held_bytes += size_of::<Observed>() + texts;
        self.held.push(Observed {
            t_ns: request.t_ns,
            tenant: request.tenant.clone(),
            session: request.session.clone(),
            model: request.model.clone(),
            // No column has them, and they may be long.
            blocks: None,
            ..*request
        });
        let most = match self.sink {
            Sink::Csv(_) => 1024,
            Sink::Parquet(_) => GROUP,
        };
        if self.held.len() >= most || self.held_bytes >= GROUP_BYTES {
            self.empty()?;
        }
        Ok(())
    }

    fn empty(&mut self) -> Result<(), ObservedError> {
        let table = columns(&self.held);
        self.held.clear();
        self.held_bytes = 0;
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
        int(&|row| row.attempts.map(u64::from)),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_finished_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().join("t.csv");
        let mut out = Whole::create(&name).unwrap();
        out.put(b"a row\n").unwrap();
        // Something that cannot be replaced has taken its name meanwhile.
        std::fs::create_dir(&name).unwrap();
        let refused = out.finish().unwrap_err().to_string();
        assert!(refused.contains("t.csv"), "{refused}");
        drop(out);
        let left = std::fs::read_dir(folder.path()).unwrap();
        let left: Vec<PathBuf> = left.map(|it| it.unwrap().path()).collect();
        assert_eq!(left, [name]);
    }
}
