//! Who asks to be forgotten, and when.

use rand::RngExt;
use rand_distr::{Distribution, Exp1};

use crate::engine::{SimDuration, SimRng, SimTime, Streams};
use crate::fleet::lsm::Subject;

use super::plan::DemandPlan;
use super::subjects::Subjects;

/// One stream of requests at random instants (a Poisson process while it lasts).
#[derive(Debug, Clone)]
pub(super) struct Demand {
    plan: DemandPlan,
    index: u64,
    times: SimRng,
    who: SimRng,
    verdicts: SimRng,
}

impl Demand {
    pub(super) fn new(plan: &DemandPlan, index: u64, streams: Streams) -> Demand {
        Demand {
            plan: plan.clone(),
            index,
            times: streams.stream("erasure demand", index, "times"),
            who: streams.stream("erasure demand", index, "who"),
            verdicts: streams.stream("erasure demand", index, "verdicts"),
        }
    }

    /// When the first comes.
    pub(super) fn first(&mut self) -> Option<SimTime> {
        self.after(self.plan.from)
    }

    /// When the next comes after one that came at `at`.
    pub(super) fn after(&mut self, at: SimTime) -> Option<SimTime> {
        if self.plan.per_s <= 0.0 {
            return None;
        }
        let gap: f64 = Exp1.sample(&mut self.times);
        let gap_ns = gap / self.plan.per_s * 1e9;
        // Beyond what a time can hold there is no next one.
        if gap_ns >= u64::MAX as f64 {
            return None;
        }
        let next = at.saturating_add(SimDuration(gap_ns as u64));
        (next < self.plan.to).then_some(next)
    }

    /// Whom it is about, and whether its sender will be shown to be that.
    pub(super) fn request(&mut self, subjects: &Subjects, by_activity: bool) -> (Subject, bool) {
        let subject = match self.plan.among {
            None if by_activity => subjects.active(&mut self.who),
            among => subjects.any(among, self.index, &mut self.who),
        };
        let drawn: f64 = self.verdicts.random();
        (subject, drawn >= self.plan.rejection)
    }
}
