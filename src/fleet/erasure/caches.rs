//! Caches by subject: one entry each, kept for so long after it was written.

use std::collections::VecDeque;

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use crate::engine::SimTime;
use crate::fleet::lsm::Subject;
use crate::scenario::erasure::OnErase;

use super::plan::CachePlan;

/// The cache of a region. Memory follows what it holds.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    pub(super) plan: CachePlan,
    pub(super) region: u16,
    /// Its meter.
    pub(super) row: u16,
    /// When each subject's entry was written.
    written: HashMap<Subject, SimTime, FxBuildHasher>,
    /// Up to when each subject was erased here.
    erased: HashMap<Subject, SimTime, FxBuildHasher>,
    /// What was written in order of time; some have been written anew.
    order: VecDeque<(SimTime, Subject)>,
}

impl Cache {
    pub(super) fn new(plan: &CachePlan, region: u16, row: u16) -> Cache {
        Cache {
            plan: plan.clone(),
            region,
            row,
            written: HashMap::default(),
            erased: HashMap::default(),
            order: VecDeque::new(),
        }
    }

    /// An entry is written anew, of what began at `made`: not where that is to be forgotten.
    pub(super) fn write(&mut self, subject: Subject, made: SimTime, now: SimTime) {
        if self
            .erased
            .get(&subject)
            .is_some_and(|until| made <= *until)
        {
            return;
        }
        self.expire(now);
        self.written.insert(subject, now);
        self.order.push_back((now, subject));
    }

    fn expire(&mut self, now: SimTime) {
        while let Some(&(at, subject)) = self.order.front() {
            if at + self.plan.ttl > now {
                return;
            }
            self.order.pop_front();
            if self.written.get(&subject) == Some(&at) {
                self.written.remove(&subject);
            }
        }
    }

    /// A subject is erased; when the last of it is gone. An entry that is left to expire may be
    /// overwritten before: that is when it is gone at the latest.
    pub(super) fn erase(&mut self, subject: Subject, stamp: SimTime, now: SimTime) -> SimTime {
        let until = self.erased.entry(subject).or_insert(stamp);
        *until = (*until).max(stamp);
        self.expire(now);
        match (self.plan.on_erase, self.written.get(&subject)) {
            (OnErase::Expire, Some(&at)) => at + self.plan.ttl,
            (OnErase::Invalidate, Some(_)) => {
                self.written.remove(&subject);
                now
            }
            (_, None) => now,
        }
    }

    /// Entries it holds.
    #[cfg(test)]
    pub(super) fn entries(&self) -> usize {
        self.written.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::SimDuration;

    fn cache(on_erase: OnErase) -> Cache {
        let plan = CachePlan {
            name: "answers".to_owned(),
            ttl: SimDuration(100),
            on_erase,
        };
        Cache::new(&plan, 0, 0)
    }

    #[test]
    fn entries_go_when_their_time_is_over() {
        let mut cache = cache(OnErase::Expire);
        cache.write(Subject(1), SimTime(10), SimTime(10));
        cache.write(Subject(2), SimTime(50), SimTime(50));
        cache.write(Subject(1), SimTime(60), SimTime(60));
        assert_eq!(cache.entries(), 2);
        assert_eq!(
            cache.erase(Subject(1), SimTime(70), SimTime(70)),
            SimTime(160)
        );
        assert_eq!(
            cache.erase(Subject(2), SimTime(149), SimTime(149)),
            SimTime(150)
        );
        // Gone by itself, and never there.
        assert_eq!(
            cache.erase(Subject(2), SimTime(150), SimTime(150)),
            SimTime(150)
        );
        assert_eq!(
            cache.erase(Subject(9), SimTime(151), SimTime(151)),
            SimTime(151)
        );
        assert_eq!(
            cache.erase(Subject(1), SimTime(161), SimTime(161)),
            SimTime(161)
        );
        assert_eq!(cache.entries(), 0);
    }

    #[test]
    fn entries_go_at_once_where_they_are_invalidated() {
        let mut cache = cache(OnErase::Invalidate);
        cache.write(Subject(1), SimTime(10), SimTime(10));
        assert_eq!(
            cache.erase(Subject(1), SimTime(20), SimTime(20)),
            SimTime(20)
        );
        assert_eq!(cache.entries(), 0);
        // An entry of later is another one, and is not taken by the end of the first one's time.
        cache.write(Subject(1), SimTime(30), SimTime(30));
        cache.write(Subject(2), SimTime(115), SimTime(115));
        assert_eq!(cache.entries(), 2);
    }
}
