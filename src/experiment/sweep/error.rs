//! Why a sweep cannot be run, gone on with, or put together.

use std::path::Path;

use crate::experiment::runner::RunError;
use crate::scenario::ScenarioError;

/// Why a sweep has no result.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The experiment or its scenario is not valid.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// A point is not a valid scenario, or failed.
    #[error("{source} (at point {point}: {words})")]
    Point {
        /// Its number.
        point: usize,
        /// What it sets.
        words: String,
        /// What is wrong.
        source: Box<RunError>,
    },
    /// A metric names what a point's result has not.
    #[error("{file}: metrics.{name}: {reason} (at point {point}: {words})")]
    Metric {
        /// The experiment.
        file: String,
        /// The metric.
        name: String,
        /// What is wrong.
        reason: String,
        /// The first point where it is.
        point: usize,
        /// What that sets.
        words: String,
    },
    /// A file cannot be read or written.
    #[error("{file}: cannot be {what}: {cause}; {remedy}")]
    File {
        /// The file.
        file: String,
        /// `read`, `written`, `made` or `locked`.
        what: &'static str,
        /// Why.
        cause: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A journal is of something else.
    #[error(
        "{file}: was begun with another {what} ({there}; now {here}), and points of both must not \
         be mixed; go back to that, or begin anew with another --out"
    )]
    Other {
        /// The journal.
        file: String,
        /// What differs.
        what: &'static str,
        /// What the journal has.
        there: String,
        /// What is now.
        here: String,
    },
    /// Two journals are of different things.
    #[error(
        "{file}: is of another {what} ({there}) than {first}, and points of both must not be mixed; name \
         the folders of one sweep alone"
    )]
    Unlike {
        /// The journal.
        file: String,
        /// The one named before it, and what that has.
        first: String,
        /// What differs.
        what: &'static str,
        /// What this one has.
        there: String,
    },
    /// The first line of a journal is not its head.
    #[error("{file}:1: {reason}; {remedy}")]
    Head {
        /// The journal.
        file: String,
        /// What is wrong.
        reason: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// A worker has something else than the process that the sweep was begun by.
    #[error(
        "a worker has another {what} ({here}; the sweep was begun with {there}), so that its points \
         do not belong to it; have the same seatrial and the same files on all nodes"
    )]
    Elsewhere {
        /// What differs.
        what: &'static str,
        /// What the sweep was begun with.
        there: String,
        /// What the worker has.
        here: String,
    },
    /// A line is not one of a journal's.
    #[error("{file}:{line}: is damaged ({reason}); remove the line, and its point is run again")]
    Damaged {
        /// The journal.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// A file that points read changed while they were run.
    #[error(
        "{file}: changed while the sweep ran, so that its points do not belong together; begin anew \
         with another --out"
    )]
    Changed {
        /// The file.
        file: String,
    },
    /// Journals that do not make a whole.
    #[error("{0}")]
    Merge(String),
}

impl SweepError {
    /// A file that cannot be read or written.
    pub(in crate::experiment) fn file(
        path: &Path,
        what: &'static str,
        cause: impl std::fmt::Display,
    ) -> SweepError {
        SweepError::File {
            file: path.display().to_string(),
            what,
            cause: cause.to_string(),
            remedy: match what {
                "read" => "check the path",
                _ => "check the folder and the space left",
            },
        }
    }
}
