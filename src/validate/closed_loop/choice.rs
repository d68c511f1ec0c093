//! What is chosen for a server beside its overheads: whose measured kernels stand for its own, and
//! whether its engine plans an iteration while one runs.

use crate::calibrate::OverheadTable;

use super::case::Case;
use super::row::Row;

/// Whose kernels may stand for an engine's.
pub const KERNELS: [&str; 3] = ["vllm", "trtllm", "sglang"];

/// A choice, as a number: two for each of the kernels.
pub const CHOICES: usize = 2 * KERNELS.len();

/// The choice of an engine's own kernels.
pub fn own(backend: &str, overlaps: bool) -> Option<usize> {
    let index = KERNELS.iter().position(|name| *name == backend)?;
    Some(2 * index + usize::from(overlaps))
}

/// Servers that are given the same kernels and overheads per request.
pub fn kernel_key(row: &Row) -> String {
    format!("{} {}", row.card(), row.precision)
}

/// Whether an engine with this scheduler can plan ahead.
pub fn may_overlap(case: &Case) -> bool {
    case.server.scheduler.as_deref() != Some("vllm_v0")
}

/// A case with a choice made.
pub fn chosen(case: &Case, choice: usize) -> Case {
    let mut case = case.clone();
    if let Some(kernels) = KERNELS.get(choice / 2) {
        case.server.kernel_backend = Some((*kernels).to_owned());
    }
    if may_overlap(&case) {
        case.server.async_scheduling = Some(choice % 2 == 1);
    }
    case
}

/// A row's case with what a table of overheads says of it.
pub fn by_table(row: &Row, case: &Case, table: &OverheadTable) -> Case {
    let mut case = case.clone();
    let Some(entry) = table.entry(&row.backend, &row.system) else {
        return case;
    };
    let own = entry.model(&kernel_key(row));
    if let Some(kernels) = own.and_then(|own| own.kernels.as_ref()) {
        case.server.kernel_backend = Some(kernels.clone());
    }
    if may_overlap(&case) {
        case.server.async_scheduling = Some(entry.async_scheduling);
    }
    case
}
