//! The tables that come with the program.

use std::io::Read;
use std::sync::OnceLock;

use super::{KernelBackend, KernelTables};
use crate::perf::error::{PerfError, nearest};

/// One file: system, framework, packed text, and the tables once they were asked for.
struct Entry {
    system: &'static str,
    backend: KernelBackend,
    packed: &'static [u8],
    tables: OnceLock<Option<KernelTables>>,
}

macro_rules! entries {
    ($($system:literal),* $(,)?) => {
        [$(
            entries!(@one $system, Trtllm, "-trtllm"),
            entries!(@one $system, Vllm, "-vllm"),
            entries!(@one $system, Sglang, "-sglang"),
        )*]
    };
    (@one $system:literal, $backend:ident, $suffix:literal) => {
        Entry {
            system: $system,
            backend: KernelBackend::$backend,
            packed: include_bytes!(concat!(
                "../../../calibration/kernels/", $system, $suffix, ".csv.gz"
            )),
            tables: OnceLock::new(),
        }
    };
}

static BUILTIN: [Entry; 24] = entries![
    "a100_sxm", "b200_sxm", "b300_sxm", "gb200", "gb300", "h100_sxm", "h200_sxm", "l40s",
];

/// The tables of a system and framework; none if there is no such file.
pub(super) fn tables(system: &str, backend: KernelBackend) -> Option<&'static KernelTables> {
    let entry = BUILTIN
        .iter()
        .find(|entry| entry.system == system && entry.backend == backend)?;
    entry.tables.get_or_init(|| unpack(entry.packed)).as_ref()
}

/// The systems, sorted.
pub(super) fn systems() -> impl Iterator<Item = &'static str> {
    BUILTIN.iter().step_by(3).map(|entry| entry.system)
}

fn unpack(packed: &[u8]) -> Option<KernelTables> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(packed)
        .read_to_string(&mut text)
        .ok()?;
    KernelTables::parse(&text).ok()
}

/// Checks that a card names a system that has tables.
pub(crate) fn check_system(file: &str, system: &str) -> Result<(), PerfError> {
    if systems().any(|known| known == system) {
        return Ok(());
    }
    let known: Vec<_> = systems().collect();
    Err(PerfError::Field {
        file: file.to_owned(),
        field: "kernels",
        value: format!("{system:?}"),
        allowed: format!("one of {}", known.join(", ")),
        remedy: nearest(system, known.iter().copied()).map_or_else(
            || "leave it out: the roofline is used then".to_owned(),
            |name| format!("did you mean `{name}`?"),
        ),
    })
}
