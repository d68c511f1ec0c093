//! What became of each tier's work that had to wait: its backlog and its deadline.

use serde_json::{Value, json};

use crate::engine::SimTime;
use crate::fleet::backlog::Backlog;
use crate::scenario::resolve::Plan;

use super::result::ratio;
use super::tally::Tally;

/// The backlog of one tier in one run, or in several together.
#[derive(Debug, Clone, Copy)]
pub struct BacklogTally {
    /// Requests present, on average over the measured window; summed over replications.
    pub mean: f64,
    /// The most.
    pub most: u64,
    /// Those that were not over at the end, summed.
    pub at_end: u64,
    /// Answered by their deadline, and not.
    pub deadline: (u64, u64),
}

impl BacklogTally {
    /// That of a run that ended at `now`.
    pub fn of(backlog: &Backlog, now: SimTime) -> BacklogTally {
        let (mean, most, at_end) = backlog.at_end(now);
        BacklogTally {
            mean,
            most,
            at_end,
            deadline: (backlog.by_deadline, backlog.past_deadline),
        }
    }

    /// Adds that of another replication.
    pub fn merge(&mut self, other: &BacklogTally) {
        self.mean += other.mean;
        self.most = self.most.max(other.most);
        self.at_end += other.at_end;
        self.deadline.0 += other.deadline.0;
        self.deadline.1 += other.deadline.1;
    }
}

/// The tiers, as the result has them: where there are several, costs, or deadlines.
pub(super) fn tier_rows(plan: &Plan, tally: &Tally) -> Vec<Value> {
    if !plan.fleet.keeps_account {
        return Vec::new();
    }
    let tiers = plan.fleet.tiers.iter().zip(&tally.backlogs);
    tiers
        .enumerate()
        .map(|(index, (tier, backlog))| {
            let served = tally.served.of_tier(index);
            let deadline_s = tier.deadline.map(|deadline| deadline.as_secs_f64());
            let (kept, missed) = backlog.deadline;
            json!({
                "name": tier.name,
                "requests_per_s": ratio(served.requests as f64, tally.measured_s),
                "backlog_mean": backlog.mean / f64::from(tally.replications),
                "backlog_most": backlog.most,
                "backlog_at_end": backlog.at_end,
                "deadline_s": deadline_s,
                "by_deadline": deadline_s.map(|_| kept),
                "past_deadline": deadline_s.map(|_| missed),
                "by_deadline_share": deadline_s
                    .and_then(|_| ratio(kept as f64, (kept + missed) as f64)),
            })
        })
        .collect()
}
