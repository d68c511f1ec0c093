//! Records that a log takes beside those of simulated requests: made in the regions at random instants, the
//! same for the logs of all of them.
//!
//! Nothing of it is scheduled: a log draws what has come by the time that somebody looks at it.

use rand_distr::{Distribution, Exp1};

use crate::engine::{SimDuration, SimRng, SimTime, Streams};
use crate::fleet::lsm::Subject;

use super::subjects::Subjects;

/// What a region makes.
#[derive(Debug, Clone)]
struct Origin {
    rng: SimRng,
    mean_gap_ns: f64,
    /// When the next is made.
    next: SimTime,
    /// From there to this log.
    lag: SimDuration,
    /// Nothing comes from there at the moment.
    cut: bool,
    /// What could not come before then comes then.
    free_from: SimTime,
    /// Times in which nothing was made, rising; the last may not be over yet.
    pauses: Vec<(SimTime, SimTime)>,
}

impl Origin {
    fn gap(&mut self) -> SimDuration {
        let gap: f64 = Exp1.sample(&mut self.rng);
        SimDuration((gap * self.mean_gap_ns) as u64)
    }

    /// When the next comes to the log, if it is known to be made.
    fn comes(&self, end: SimTime) -> Option<SimTime> {
        if self.cut || self.next >= end {
            return None;
        }
        Some((self.next + self.lag).max(self.free_from))
    }

    /// Whether something made then was never made: its region was down.
    fn is_paused(&self, at: SimTime) -> bool {
        let mut pauses = self.pauses.iter();
        pauses.any(|(from, to)| *from <= at && at < *to)
    }
}

/// The records of one log.
#[derive(Debug, Clone, Default)]
pub(super) struct Feed {
    origins: Vec<Origin>,
    end: SimTime,
}

impl Feed {
    /// `lags` has the way from each region whose records the log takes; `per_s` are made in each until
    /// `end`.
    pub(super) fn new(
        per_s: f64,
        end: SimTime,
        store: u64,
        lags: impl Iterator<Item = (u16, SimDuration)>,
        streams: Streams,
    ) -> Feed {
        let origin = |(region, lag): (u16, SimDuration)| {
            let id = store << 16 | u64::from(region);
            let mut origin = Origin {
                rng: streams.stream("erasure feed", id, "records"),
                mean_gap_ns: 1e9 / per_s,
                next: SimTime::ZERO,
                lag,
                cut: false,
                free_from: SimTime::ZERO,
                pauses: Vec::new(),
            };
            origin.next = SimTime::ZERO + origin.gap();
            origin
        };
        let origins = match per_s > 0.0 {
            true => lags.map(origin).collect(),
            false => Vec::new(),
        };
        Feed { origins, end }
    }

    /// Whether anything will come.
    pub(super) fn is_over(&self) -> bool {
        self.origins.iter().all(|origin| origin.next >= self.end)
    }

    /// The next record that comes by `now`: when, whose, and when it was made; and whether in another region.
    pub(super) fn next(
        &mut self,
        now: SimTime,
        subjects: &Subjects,
    ) -> Option<(SimTime, Subject, SimTime, bool)> {
        let end = self.end;
        loop {
            let origins = self.origins.iter().enumerate();
            let coming = origins.filter_map(|(at, origin)| Some((origin.comes(end)?, at)));
            let (comes, at) = coming.min()?;
            if comes > now {
                return None;
            }
            let origin = self.origins.get_mut(at)?;
            let made = origin.next;
            // Drawn whether it is made or not: the logs of all regions go on alike.
            let subject = subjects.active(&mut origin.rng);
            origin.next = made + origin.gap();
            if !origin.is_paused(made) {
                return Some((comes, subject, made, origin.lag > SimDuration::ZERO));
            }
        }
    }

    /// Whether what region `at` makes can come, and whether it makes anything, from `now` on.
    pub(super) fn set(&mut self, at: usize, cut: bool, makes: bool, now: SimTime) {
        let Some(origin) = self.origins.get_mut(at) else {
            return;
        };
        if origin.cut && !cut {
            origin.free_from = now;
        }
        origin.cut = cut;
        let paused = origin
            .pauses
            .last()
            .is_some_and(|(_, to)| *to == SimTime::NEVER);
        match (paused, makes) {
            (false, false) => origin.pauses.push((now, SimTime::NEVER)),
            (true, true) => {
                if let Some((_, to)) = origin.pauses.last_mut() {
                    *to = now;
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAMS: Streams = Streams {
        seed: 9,
        replication: 0,
    };

    fn feed(lags: &[u64]) -> Feed {
        let lags = (0_u16..).zip(lags.iter().map(|lag| SimDuration(*lag)));
        Feed::new(1e6, SimTime(10_000_000), 0, lags, STREAMS)
    }

    fn all(feed: &mut Feed, until: u64) -> Vec<(SimTime, Subject, SimTime, bool)> {
        let subjects = Subjects::new(50, 1, 0.0, STREAMS);
        std::iter::from_fn(|| feed.next(SimTime(until), &subjects)).collect()
    }

    /// Records of a region, by when they are made.
    fn made(
        rows: &[(SimTime, Subject, SimTime, bool)],
        elsewhere: bool,
    ) -> Vec<(SimTime, Subject)> {
        let of = rows.iter().filter(|row| row.3 == elsewhere);
        of.map(|row| (row.2, row.1)).collect()
    }

    #[test]
    fn logs_of_all_regions_take_the_same_records() {
        let mut here = feed(&[0, 300]);
        let first = all(&mut here, 1_000_000);
        let rest = all(&mut here, u64::MAX - 1);
        let here = [first, rest].concat();
        assert!(here.is_sorted_by_key(|row| row.0) && here.len() > 15_000);
        let there = all(&mut feed(&[300, 0]), u64::MAX - 1);
        assert_eq!(made(&here, false), made(&there, true));
        assert_eq!(made(&here, true), made(&there, false));
        assert!(
            here.iter()
                .all(|row| row.0 == row.2 + SimDuration(if row.3 { 300 } else { 0 }))
        );
    }

    #[test]
    fn what_was_cut_off_comes_when_the_way_is_free() {
        let whole = all(&mut feed(&[0, 300]), u64::MAX - 1);
        let mut feed = feed(&[0, 300]);
        let mut rows = all(&mut feed, 2_000_000);
        feed.set(1, true, true, SimTime(2_000_000));
        rows.extend(all(&mut feed, 5_000_000));
        feed.set(1, false, true, SimTime(5_000_000));
        rows.extend(all(&mut feed, u64::MAX - 1));
        assert_eq!(made(&rows, true), made(&whole, true));
        let late = rows
            .iter()
            .filter(|row| row.3 && row.0 == SimTime(5_000_000));
        assert!(late.count() > 2_500);
    }

    #[test]
    fn a_region_that_is_down_makes_nothing_wherever_one_looks() {
        let paused = |lags: &[u64]| {
            let mut feed = feed(lags);
            let mut rows = all(&mut feed, 2_000_000);
            feed.set(0, false, false, SimTime(2_000_000));
            rows.extend(all(&mut feed, 4_000_000));
            feed.set(0, false, true, SimTime(4_000_000));
            rows.extend(all(&mut feed, u64::MAX - 1));
            rows
        };
        let (here, there) = (paused(&[0, 300]), paused(&[300, 0]));
        let here = made(&here, false);
        assert!(
            here.iter()
                .all(|(at, _)| at.0 < 2_000_000 || at.0 >= 4_000_000)
        );
        assert_eq!(here, made(&there, true));
    }
}
