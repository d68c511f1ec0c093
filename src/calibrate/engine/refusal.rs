//! Why rows cannot be fitted, the reason that can be mended first.

use std::collections::BTreeMap;

/// Why rows cannot be fitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FitError {
    /// Rows of several engines or accelerators.
    #[error(
        "the rows are of several {what}: {found}; a profile is of one engine on one accelerator: name \
         it by {option}"
    )]
    Several {
        /// `engines` or `accelerators`.
        what: &'static str,
        /// Which.
        found: String,
        /// The option that chooses.
        option: &'static str,
    },
    /// No row was given.
    #[error(
        "there are no rows to fit to; measure some by `seatrial calibrate endpoint URL --out FILE`, or \
         write them down (see calibration/README.md)"
    )]
    Nothing,
    /// All rows were left out for one reason.
    #[error("{reason}: all {rows} rows are left out for it; {remedy}")]
    AllLeftOut {
        /// The reason.
        reason: String,
        /// Rows.
        rows: usize,
        /// What to do.
        remedy: &'static str,
    },
    /// Too few of them.
    #[error(
        "{rows} rows, {values} means, are too few for {unknowns} unknowns ({left_out}); measure more \
         concurrencies and lengths, or hold unknowns by --hold NAME=VALUE"
    )]
    Few {
        /// Rows.
        rows: usize,
        /// Means.
        values: usize,
        /// Unknowns.
        unknowns: usize,
        /// What was left out, in words.
        left_out: String,
    },
    /// No unknown is left.
    #[error("all unknowns are held; leave at least one to be fitted")]
    NothingFree,
    /// The simulation.
    #[error("{0}; hold unknowns by --hold NAME=VALUE, or see which rows are unlike the others")]
    Simulation(String),
}

/// Refuses where no row is left: for one reason, with what to do about it.
pub(super) fn refuse_none(rows: usize, left_out: &BTreeMap<String, usize>) -> Result<(), FitError> {
    if rows > 0 {
        return Ok(());
    }
    let mut reasons = left_out.iter();
    match (reasons.next(), reasons.next()) {
        (None, _) => Err(FitError::Nothing),
        (Some((reason, rows)), None) => Err(FitError::AllLeftOut {
            reason: reason.clone(),
            rows: *rows,
            remedy: remedy(reason),
        }),
        // Of several reasons all are told, with their numbers of rows.
        _ => Ok(()),
    }
}

/// Refuses fewer means than unknowns.
pub(super) fn refuse_few(
    rows: usize,
    unknowns: usize,
    left_out: &BTreeMap<String, usize>,
) -> Result<(), FitError> {
    if 2 * rows >= unknowns.max(2) {
        return Ok(());
    }
    let reasons = left_out.iter().map(|(why, rows)| format!("{rows}: {why}"));
    let reasons: Vec<String> = reasons.collect();
    Err(FitError::Few {
        rows,
        values: 2 * rows,
        unknowns,
        left_out: match reasons.as_slice() {
            [] => "none were left out".to_owned(),
            some => format!("left out are {}", some.join("; ")),
        },
    })
}

/// What to do about a reason for which rows are left out.
fn remedy(reason: &str) -> &'static str {
    match reason {
        "another engine" => "name the engine of the rows by --engine, or leave the option out",
        "another accelerator" => {
            "name the accelerator of the rows by --accelerator, or leave the option out"
        }
        "another model" => "name the model of the rows by --model, or leave the option out",
        "another tensor parallelism" => "give that of the rows by --tp, or leave the option out",
        "the client is not known" => {
            "give rows of which the number of users and the lengths are known (see calibration/README.md)"
        }
        _ => "correct the rows, or what --set says of them",
    }
}
