//! What the balancer believes of the regions, now and a while ago.

use std::collections::VecDeque;

use super::RegionIndex;
use crate::engine::{SimDuration, SimTime};
use crate::scenario::regions::MOST_REGIONS;
use crate::scenario::steering::AnswerPolicy;

/// What answers rest on, from an instant on: regions as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answers {
    at: SimTime,
    /// Regions that count as up.
    pub(super) up: u64,
    /// Regions that do not count as saturated.
    pub(super) open: u64,
}

impl Answers {
    pub(super) fn is_up(self, region: RegionIndex) -> bool {
        self.up & bit(region) != 0
    }
}

/// A region as one of 64 bits.
pub(in crate::fleet) fn bit(region: RegionIndex) -> u64 {
    1_u64.checked_shl(u32::from(region.0)).unwrap_or(0)
}

/// The balancer's beliefs, and those of the time that some cache may still remember.
#[derive(Debug, Clone)]
pub(super) struct View {
    regions: Vec<Belief>,
    down_after: SimDuration,
    up_after: SimDuration,
    /// Loads at which a region becomes saturated, and no longer is.
    spill: Option<(f64, f64)>,
    /// Oldest first; the first is in force at every instant that is asked for.
    history: VecDeque<Answers>,
    keep: SimDuration,
    next_turn: SimTime,
}

#[derive(Debug, Clone, Copy)]
struct Belief {
    is_up: bool,
    counts_as_up: bool,
    /// When the belief follows the truth; never while both agree.
    turns_at: SimTime,
    saturated: bool,
}

impl View {
    pub(super) fn new(
        regions: usize,
        down_after: SimDuration,
        up_after: SimDuration,
        keep: SimDuration,
        policy: &AnswerPolicy,
    ) -> Result<View, String> {
        if regions == 0 || regions > MOST_REGIONS {
            return Err(format!(
                "{regions} regions; must be 1 to {MOST_REGIONS} regions"
            ));
        }
        let belief = Belief {
            is_up: true,
            counts_as_up: true,
            turns_at: SimTime::NEVER,
            saturated: false,
        };
        let all = u64::MAX >> (MOST_REGIONS - regions);
        let first = Answers {
            at: SimTime::ZERO,
            up: all,
            open: all,
        };
        Ok(View {
            regions: vec![belief; regions],
            down_after,
            up_after,
            spill: match policy {
                AnswerPolicy::SpillOver {
                    full_at,
                    free_below,
                } => Some((*full_at, *free_below)),
                _ => None,
            },
            history: VecDeque::from([first]),
            keep,
            next_turn: SimTime::NEVER,
        })
    }

    /// What answers rest on now, that is at the last instant advanced to.
    pub(super) fn now(&self) -> Answers {
        self.at(SimTime::NEVER)
    }

    /// What they rested on at an instant, no longer ago than `keep`.
    pub(super) fn at(&self, at: SimTime) -> Answers {
        let after = self.history.partition_point(|answers| answers.at <= at);
        // The first entry is in force before it, too: it is the oldest that is asked for.
        self.history[after.saturating_sub(1)]
    }

    pub(super) fn next_turn(&self) -> Option<SimTime> {
        (self.next_turn < SimTime::NEVER).then_some(self.next_turn)
    }

    /// Lets beliefs turn that turn by `now`, each at its own instant.
    pub(super) fn advance(&mut self, now: SimTime) {
        while self.next_turn <= now && self.next_turn < SimTime::NEVER {
            let at = self.next_turn;
            for region in &mut self.regions {
                if region.turns_at == at {
                    region.counts_as_up = region.is_up;
                    region.turns_at = SimTime::NEVER;
                }
            }
            self.note(at);
            self.find_next_turn();
        }
    }

    pub(super) fn region_down(&mut self, region: RegionIndex, now: SimTime) {
        let after = self.down_after;
        self.turn(region, false, now, after);
    }

    pub(super) fn region_up(&mut self, region: RegionIndex, now: SimTime) {
        let after = self.up_after;
        self.turn(region, true, now, after);
    }

    fn turn(&mut self, region: RegionIndex, up: bool, now: SimTime, after: SimDuration) {
        self.advance(now);
        let Some(belief) = self.regions.get_mut(usize::from(region.0)) else {
            return;
        };
        if belief.is_up == up {
            return;
        }
        belief.is_up = up;
        belief.turns_at = match belief.counts_as_up == up {
            // It is back as it was believed to be: nobody noticed.
            true => SimTime::NEVER,
            false => now + after,
        };
        self.find_next_turn();
        self.advance(now);
    }

    pub(super) fn report_load(&mut self, region: RegionIndex, load: f64, now: SimTime) {
        self.advance(now);
        let Some((full_at, free_below)) = self.spill else {
            return;
        };
        let Some(belief) = self.regions.get_mut(usize::from(region.0)) else {
            return;
        };
        let saturated = match belief.saturated {
            true => load >= free_below,
            false => load >= full_at,
        };
        if saturated != belief.saturated {
            belief.saturated = saturated;
            self.note(now);
        }
    }

    fn find_next_turn(&mut self) {
        let turns = self.regions.iter().map(|region| region.turns_at);
        self.next_turn = turns.min().unwrap_or(SimTime::NEVER);
    }

    /// Writes down what answers rest on from an instant on, and forgets what no cache remembers.
    fn note(&mut self, at: SimTime) {
        let mut answers = Answers { at, up: 0, open: 0 };
        for (index, region) in self.regions.iter().enumerate() {
            answers.up |= u64::from(region.counts_as_up) << index;
            answers.open |= u64::from(!region.saturated) << index;
        }
        match self.history.back_mut() {
            Some(last) if last.at == at => *last = answers,
            _ => self.history.push_back(answers),
        }
        let remembered = SimTime(at.0.saturating_sub(self.keep.0));
        while self.history.get(1).is_some_and(|it| it.at <= remembered) {
            self.history.pop_front();
        }
    }

    /// How many instants are remembered.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.history.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SimTime {
        SimTime(seconds * 1_000_000_000)
    }

    #[test]
    fn what_no_cache_remembers_is_forgotten() {
        let keep = SimDuration(60_000_000_000);
        let policy = AnswerPolicy::SpillOver {
            full_at: 0.9,
            free_below: 0.7,
        };
        let none = SimDuration::ZERO;
        let mut view = View::new(2, none, none, keep, &policy).unwrap();
        for second in 0..10_000 {
            let load = if second % 2 == 0 { 1.0 } else { 0.1 };
            view.report_load(RegionIndex(0), load, at(second));
            assert!(view.remembered() <= 62, "{}", view.remembered());
            if second >= 60 {
                let before = view.at(at(second - 60));
                assert_eq!(before.open & 1, second % 2, "at {second}");
            }
        }
    }

    #[test]
    fn a_region_that_is_not_there_changes_nothing() {
        let none = SimDuration::ZERO;
        let policy = AnswerPolicy::Nearest {};
        let mut view = View::new(64, none, none, none, &policy).unwrap();
        view.region_down(RegionIndex(64), at(1));
        assert_eq!(view.now().up, u64::MAX);
        view.region_down(RegionIndex(63), at(2));
        assert_eq!(view.now().up, u64::MAX >> 1);
        assert!(View::new(65, none, none, none, &policy).is_err());
    }
}
