//! What is told of an import: in the file it makes, and on standard error.

use std::collections::{BTreeMap, BTreeSet};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::import::Read;
use crate::report::number::{WIDTH, count, significant, wrap};
use crate::trace::faults::{FaultFormat, SPOT_NOTICE_S};

/// Names that are listed in a message.
const MOST_NAMES: usize = 20;

impl Read<'_> {
    /// What the records do not say.
    fn assumptions(&self) -> Vec<String> {
        let seconds = |value: f64| significant(Some(value));
        let mut all = match self.format {
            FaultFormat::Kubernetes => vec![
                format!(
                    "an evicted replica is gone for {} s (--evicted-for-s)",
                    seconds(self.options.evicted_for_s)
                ),
                format!(
                    "one that is backed off is gone until {} s after its last such event \
                     (--back-off-s)",
                    seconds(self.options.back_off_s)
                ),
                format!(
                    "one whose probe failed hangs until {} s after its last such event \
                     (--probe-period-s)",
                    seconds(self.options.probe_period_s)
                ),
                "a node that is not ready has crashed; without a later NodeReady it never comes \
                 back"
                    .to_owned(),
            ],
            FaultFormat::Timeline => Vec::new(),
            FaultFormat::Spot => vec![format!(
                "an instance is gone {SPOT_NOTICE_S} s after its notice, at once where it \
                 hibernates, and does not come back"
            )],
        };
        all.push(
            "replica numbers go by the names of the nodes in these records; nodes without a \
             record have none"
                .to_owned(),
        );
        all
    }

    pub(super) fn toml(&self) -> String {
        let mut out = String::new();
        let from = format!(
            "{} of {} ({}), in seconds from {}. Assumed:",
            faults(self.import.faults.len()),
            self.name.replace(char::is_control, " "),
            self.format.name(),
            self.args.start
        );
        for line in wrap(&from, WIDTH - 2, 0).lines() {
            out.push_str(&format!("# {line}\n"));
        }
        for assumption in self.assumptions() {
            let text = wrap(&assumption, WIDTH - 4, 2);
            out.push_str(&format!("# - {}\n", text.replace('\n', "\n# ")));
        }
        out.push('\n');
        out.push_str(self.import.to_toml().trim_end());
        out.push('\n');
        out
    }

    /// What was read, for who started it: standard output has the file.
    #[allow(clippy::print_stderr)]
    pub(super) fn tell(&self) {
        let import = &self.import;
        let span = match import.span {
            Some((first, last)) => format!(", {} to {}", stamp(first), stamp(last)),
            None => String::new(),
        };
        let made = faults(import.faults.len());
        let read = self.records(import.read);
        eprintln!("{}: {read} read ({}){span}", self.name, self.format.name());
        let say = |text: &str| eprintln!("  {}", wrap(text, WIDTH - 2, 4));
        say(&match import.cut_at_start {
            0 => made,
            cut => format!("{made}, {} of them under way at the start", count(cut)),
        });
        if !import.skipped.is_empty() {
            say(&format!("skipped: {}", reasons(&import.skipped)));
        }
        if import.without_instant > 0 {
            say(&format!(
                "left out: {} that a merged event counts without saying when",
                plural(import.without_instant, "occurrence")
            ));
        }
        let nodes = import
            .nodes
            .iter()
            .map(|((pool, replica), node)| format!("{node} is replica {replica} of {pool}"));
        say(&format!("nodes: {}", some(nodes, import.nodes.len())));
        let known: BTreeSet<&String> = import.nodes.values().collect();
        let rest: BTreeSet<String> = import
            .seen
            .iter()
            .filter(|node| !known.contains(node) && !self.rules.iter().any(|rule| rule.fits(node)))
            .cloned()
            .collect();
        if !rest.is_empty() {
            say(&format!("nodes that no --node fits: {}", names(&rest)));
        }
        eprintln!("  assumed:");
        for assumption in self.assumptions() {
            eprintln!("  - {}", wrap(&assumption, WIDTH - 4, 4));
        }
    }
}

pub(super) fn faults(number: usize) -> String {
    plural(number as u64, "fault")
}

pub(super) fn plural(number: u64, one: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {one}{ending}", count(number))
}

/// Reasons with how often each.
pub(super) fn reasons(skipped: &BTreeMap<String, u64>) -> String {
    let each = skipped
        .iter()
        .map(|(reason, times)| format!("{} \"{reason}\"", count(*times)));
    each.collect::<Vec<_>>().join(", ")
}

pub(super) fn names(names: &BTreeSet<String>) -> String {
    some(names.iter().map(|name| format!("`{name}`")), names.len())
}

/// The first of a list of `all`.
pub(super) fn some(each: impl Iterator<Item = String>, all: usize) -> String {
    let text = each.take(MOST_NAMES).collect::<Vec<_>>().join(", ");
    match all.checked_sub(MOST_NAMES) {
        None | Some(0) => text,
        Some(more) => format!("{text} and {more} more"),
    }
}

pub(super) fn stamp(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_else(|_| at.to_string())
}
