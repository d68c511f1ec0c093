//! What is chosen for a server beside its overheads: whose measured kernels stand for its own,
//! whether its engine plans an iteration while one runs, and what a prompt token adds to one.

use crate::calibrate::OverheadTable;

use super::case::Case;
use super::row::Row;

/// Whose kernels may stand for an engine's.
pub const KERNELS: [&str; 3] = ["vllm", "trtllm", "sglang"];

/// Microseconds of an iteration per prompt token that are tried.
pub const PER_PROMPT_TOKEN_US: [f64; 6] = [0.0, 2.0, 5.0, 10.0, 16.0, 25.0];

/// Choices at one overhead per prompt token: two for each of the kernels.
const PLAIN: usize = 2 * KERNELS.len();

/// A choice, as a number.
pub const CHOICES: usize = PLAIN * PER_PROMPT_TOKEN_US.len();

/// Whose kernels a choice takes.
pub fn kernels(choice: usize) -> Option<&'static str> {
    KERNELS.get(choice % PLAIN / 2).copied()
}

/// What a prompt token adds to an iteration in a choice, microseconds.
pub fn per_prompt_token_us(choice: usize) -> f64 {
    let found = PER_PROMPT_TOKEN_US.get(choice / PLAIN);
    found.copied().unwrap_or_default()
}

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
    if let Some(kernels) = kernels(choice) {
        case.server.kernel_backend = Some(kernels.to_owned());
    }
    case.server.overhead_per_prompt_token_us = Some(per_prompt_token_us(choice));
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
    let per_token_us = own.map_or(entry.per_prompt_token_us, |own| own.per_prompt_token_us);
    case.server.overhead_per_prompt_token_us = Some(per_token_us);
    case.server.prefill_time_factor = Some(entry.prefill_time_factor);
    case.server.decode_time_factor = Some(entry.decode_time_factor);
    if let Some(kernels) = own.and_then(|own| own.kernels.as_ref()) {
        case.server.kernel_backend = Some(kernels.clone());
    }
    if may_overlap(&case) {
        case.server.async_scheduling = Some(entry.async_scheduling);
    }
    case
}
