//! A timeline written by hand, taken over with its times in seconds from the start of a run.

use time::OffsetDateTime;

use super::super::{Failure, Finished};
use super::import::ImportArgs;
use super::told::{faults, reasons, stamp};
use crate::trace::faults::import_timeline;

pub(super) fn import(
    args: &ImportArgs,
    text: &str,
    name: &str,
    start: OffsetDateTime,
) -> Result<Finished, Failure> {
    let unused = [
        ("--node", !args.node.is_empty()),
        ("--scenario", args.scenario.is_some()),
        ("--evicted-for-s", args.evicted_for_s.is_some()),
        ("--probe-period-s", args.probe_period_s.is_some()),
        ("--back-off-s", args.back_off_s.is_some()),
    ];
    if let Some((option, _)) = unused.iter().find(|it| it.1) {
        return Err(Failure::of(format!(
            "{option}: does nothing with a timeline, whose entries say what they befall; remove it"
        )));
    }
    let (import, toml) = import_timeline(text, name, start).map_err(Failure::of)?;
    if import.faults.is_empty() {
        let skipped = match import.skipped.is_empty() {
            true => "it has no entry".to_owned(),
            false => reasons(&import.skipped),
        };
        return Err(Failure::of(format!(
            "{name}: holds no fault after --start {}: {skipped}; give an earlier start",
            args.start
        )));
    }
    let toml = format!(
        "# {} of {} (timeline), in seconds from {}.\n\n{toml}",
        faults(import.faults.len()),
        name.replace(char::is_control, " "),
        args.start
    );
    let Some(output) = &args.output else {
        return Ok(Finished::fine(toml));
    };
    std::fs::write(output, &toml).map_err(|error| {
        Failure::of(format!(
            "{}: cannot write: {error}; check the folder given with --output",
            output.display()
        ))
    })?;
    let span = match import.span {
        Some((first, last)) => format!(", {} to {}", stamp(first), stamp(last)),
        None => String::new(),
    };
    let cut = match import.cut_at_start {
        0 => String::new(),
        cut => format!(", {cut} under way at the start"),
    };
    let skipped = match import.skipped.is_empty() {
        true => String::new(),
        false => format!("; skipped: {}", reasons(&import.skipped)),
    };
    Ok(Finished::fine(format!(
        "{}: {} written{span}{cut}{skipped}; a scenario reads it with faults.file, relative to \
         the scenario\n",
        output.display(),
        faults(import.faults.len())
    )))
}
