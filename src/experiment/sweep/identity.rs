//! What a sweep is of: the head of its journal. Points are put together only where it is the same.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::SweepError;
use super::schema::Experiment;

/// Version of the journal's format.
pub const SCHEMA: u32 = 2;
/// The sources and data that this program was built of, as a hash: two programs of one version need
/// not find the same.
pub const SOURCES: &str = env!("SEATRIAL_SOURCES");

/// The part of the points that one process runs: those whose number leaves `index` when it is
/// divided by `of`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenShard")]
pub struct Shard {
    /// From 0.
    pub index: u32,
    /// How many there are.
    pub of: u32,
}

/// A part as a file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenShard {
    index: u32,
    of: u32,
}

impl TryFrom<WrittenShard> for Shard {
    type Error = String;

    fn try_from(it: WrittenShard) -> Result<Shard, String> {
        format!("{}/{}", it.index, it.of).parse()
    }
}

impl Shard {
    /// Whether a point is in it.
    pub fn has(self, point: usize) -> bool {
        point % (self.of as usize) == self.index as usize
    }
}

impl std::str::FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Shard, String> {
        let wrong = || {
            format!(
                "must be I/N with I from 0 to N - 1 and N at most 100,000, such as 0/3, 1/3 and 2/3; \
                 not {text:?}"
            )
        };
        let (index, of) = text.split_once('/').ok_or_else(wrong)?;
        let (index, of) = (index.parse(), of.parse());
        match (index, of) {
            (Ok(index), Ok(of)) if index < of && of <= 100_000 => Ok(Shard { index, of }),
            _ => Err(wrong()),
        }
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

/// A file that points read, by its name without folders (they differ between machines) and content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileHash {
    /// Its name.
    pub file: String,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
}

/// The head of a journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Version of the format.
    pub schema: u32,
    /// The version of the program.
    pub seatrial: String,
    /// The sources that the program was built of; empty where an earlier program did not say.
    #[serde(default)]
    pub sources: String,
    /// What was asked for.
    pub experiment: Experiment,
    /// Name of the scenario.
    pub scenario: String,
    /// SHA-256 of the scenario with all that is set at every point, hexadecimal.
    pub scenario_sha256: String,
    /// Every other file that any point reads.
    pub files: Vec<FileHash>,
    /// How many points there are in all.
    pub points: u64,
    /// Confidence of intervals.
    pub confidence: f64,
    /// The part that the journal is of; none for all.
    pub shard: Option<Shard>,
}

impl Header {
    /// Whether points of the two may be put together.
    ///
    /// # Errors
    /// [`SweepError::Other`] with the first thing that differs.
    pub fn same(&self, here: &Header, file: &Path) -> Result<(), SweepError> {
        let parts = |header: &Header| {
            [
                ("version of the format", header.schema.to_string()),
                ("version of seatrial", header.seatrial.clone()),
                ("build of seatrial", header.sources.clone()),
                ("experiment", short(&measured(&header.experiment))),
                ("scenario", start_of(&header.scenario_sha256)),
                ("number of points", header.points.to_string()),
                ("confidence", header.confidence.to_string()),
            ]
        };
        let theirs = here;
        for ((what, there), (_, here)) in parts(self).into_iter().zip(parts(theirs)) {
            if there != here {
                let named = |header: &Header, hash: String| match what {
                    "experiment" => format!("{} {hash}", header.experiment.name),
                    "scenario" => format!("{} {hash}", header.experiment.scenario),
                    _ => hash,
                };
                return Err(other(file, what, named(self, there), named(theirs, here)));
            }
        }
        if self.files != here.files {
            let only = |a: &Header, b: &Header| {
                let found = a.files.iter().find(|file| !b.files.contains(file));
                found.map_or("none".to_owned(), |it| {
                    format!("{} {}", it.file, start_of(&it.sha256))
                })
            };
            return Err(other(
                file,
                "file that is read",
                only(self, here),
                only(here, self),
            ));
        }
        Ok(())
    }
}

fn other(file: &Path, what: &'static str, there: String, here: String) -> SweepError {
    SweepError::Other {
        file: file.display().to_string(),
        what,
        there,
        here,
    }
}

/// An experiment as far as it decides what is measured: what counts as good may be changed later.
fn measured(experiment: &Experiment) -> Experiment {
    let mut bare = experiment.clone();
    bare.description.clear();
    // The scenario itself is compared, wherever it is.
    bare.scenario.clear();
    for row in &mut bare.metrics {
        (row.goal, row.at_most, row.at_least) = (None, None, None);
    }
    bare
}

/// The first digits of a hash.
fn short(experiment: &Experiment) -> String {
    let text = serde_json::to_string(experiment).unwrap_or_default();
    sha256(text.as_bytes()).chars().take(12).collect()
}

/// SHA-256 of bytes, hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The hashes of files, in the order of their names.
///
/// # Errors
/// [`SweepError::File`] for one that cannot be read.
pub fn hashes(files: &BTreeSet<PathBuf>) -> Result<Vec<FileHash>, SweepError> {
    let hashed = files.iter().map(|path| {
        let failed = |error: std::io::Error| SweepError::file(path, "read", error);
        let mut input = BufReader::new(File::open(path).map_err(failed)?);
        let mut hash = Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        loop {
            match input.read(&mut buffer).map_err(failed)? {
                0 => break,
                read => hash.update(&buffer[..read]),
            }
        }
        let name = path.file_name().unwrap_or_default();
        Ok(FileHash {
            file: name.to_string_lossy().into_owned(),
            sha256: hex(&hash.finalize()),
        })
    });
    let mut hashed = hashed.collect::<Result<Vec<FileHash>, SweepError>>()?;
    hashed.sort();
    // One file by two paths is one file.
    hashed.dedup();
    Ok(hashed)
}

/// The start of a hash, for messages; a damaged file may have a shorter one.
pub(in crate::experiment) fn start_of(hash: &str) -> String {
    hash.chars().take(12).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_read_and_part_the_points() {
        let shards: Vec<Shard> = ["0/3", "1/3", "2/3"]
            .iter()
            .map(|it| it.parse().unwrap())
            .collect();
        for point in 0..20 {
            assert_eq!(shards.iter().filter(|shard| shard.has(point)).count(), 1);
        }
        for bad in ["3/3", "0/0", "1", "-1/3", "a/b", "0/100001"] {
            assert!(bad.parse::<Shard>().is_err(), "{bad}");
        }
    }

    #[test]
    fn hashes_are_those_of_the_standard() {
        // FIPS 180-2, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), expected);
    }
}
