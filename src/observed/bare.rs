//! Traces that have nothing but arrivals and lengths, read as requests.

use std::path::Path;

use super::attempt::Attempt;
use super::error::ObservedError;
use super::intake::Intake;
use super::record::{Blocks, Ending};
use crate::trace::{RecordReader, TraceFormat};

/// Reads a trace of any format; none finds it from the content.
pub(super) fn read(
    path: &Path,
    format: Option<TraceFormat>,
    intake: &mut Intake,
) -> Result<(), ObservedError> {
    let mut reader = RecordReader::open(path, format)?.any_order();
    while let Some(record) = reader.next_record()? {
        intake.set_place(reader.line());
        let mut attempt = Attempt::at(record.t_ns);
        attempt.attempts_told = false;
        attempt.prompt = Some(record.prompt_tokens);
        attempt.output = Some(record.output_tokens);
        attempt.output_is_whole = true;
        if record.failed {
            attempt.ending = Ending::Failed;
            attempt.code = Some("no answer".into());
        }
        attempt.blocks = record.hashes.map(|hashes| Blocks {
            tokens: record.hashed_tokens,
            hashes: hashes.to_vec(),
        });
        intake.take(attempt)?;
    }
    Ok(())
}
