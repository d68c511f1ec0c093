//! The part of a report that is of one run.

use super::folder::RunFolder;
use super::{Part, budget, cost, latency, pools, provenance, summary, timeline};

/// The part of a run.
pub(super) fn part(run: &RunFolder, id: String, name: &str) -> Part {
    let sections = [
        summary::section(run),
        summary::claims(run),
        latency::section(run, &id),
        budget::section(run, &id),
        timeline::section(run, &id),
        pools::section(run, &id),
        cost::section(run, &id),
        provenance::section(run),
    ];
    Part {
        id,
        title: name.to_owned(),
        kind: "run",
        sections: sections.into_iter().flatten().collect(),
    }
}
