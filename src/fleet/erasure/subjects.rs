//! Whose data it is: subjects, how active each is, and whose request a request is.
//!
//! Nothing is remembered of subjects: whose a request is, is worked out from its name whenever somebody
//! asks.

use rand::RngExt;

use crate::engine::{SimRng, Streams};
use crate::fleet::lsm::Subject;

/// The golden ratio: multiples of it spread neighbours far apart.
const GOLDEN: f64 = 0.618_033_988_749_894_9;

/// All simulated subjects, by how active they are.
#[derive(Debug, Clone)]
pub struct Subjects {
    count: u64,
    sample: u64,
    /// Drawn once for a replication: names give other subjects in another.
    salt: u64,
    /// Exponent of the law of activity; 0 where all are alike.
    exponent: f64,
    /// The subject of rank r has the number r times this, modulo their count: keys of active ones do not
    /// stand together.
    step: u64,
    /// And rank = number times this.
    back: u64,
    /// What [`Self::mass`] comes to over all ranks.
    total: f64,
}

impl Subjects {
    /// So many, 1 or more, one in `sample` of all.
    #[must_use]
    pub fn new(count: u32, sample: u32, exponent: f64, streams: Streams) -> Subjects {
        let count = u64::from(count.max(1));
        let mut step = ((count as f64 * GOLDEN) as u64).max(1);
        while gcd(step, count) != 1 {
            step += 1;
        }
        let mut subjects = Subjects {
            count,
            sample: u64::from(sample.max(1)),
            salt: streams.stream("erasure", 0, "subjects").random(),
            exponent,
            step,
            back: inverse(step, count),
            total: 1.0,
        };
        subjects.total = subjects.mass(count as f64);
        subjects
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whose request it is that has this name; none of the simulated ones' where it is sampled out.
    #[inline]
    #[must_use]
    pub fn of(&self, name: u64) -> Option<Subject> {
        let drawn = mix(name ^ self.salt);
        if self.sample > 1 && !mix(drawn).is_multiple_of(self.sample) {
            return None;
        }
        Some(self.at((drawn >> 11) as f64 / (1_u64 << 53) as f64))
    }

    /// The subject at `drawn`, 0 to 1, of the law of activity.
    fn at(&self, drawn: f64) -> Subject {
        let last = self.count - 1;
        let rank = if self.exponent == 0.0 {
            (drawn * self.count as f64) as u64
        } else {
            self.place(drawn * self.total) as u64
        };
        self.numbered(rank.min(last))
    }

    fn numbered(&self, rank: u64) -> Subject {
        Subject((rank * self.step % self.count) as u32)
    }

    /// What ranks below `rank` have of all activity, times the total: the density (x + 1)^-exponent up to
    /// there.
    fn mass(&self, rank: f64) -> f64 {
        let s = self.exponent;
        if s == 0.0 {
            rank
        } else if (s - 1.0).abs() < 1e-9 {
            (rank + 1.0).ln()
        } else {
            ((rank + 1.0).powf(1.0 - s) - 1.0) / (1.0 - s)
        }
    }

    /// Where the mass comes to that.
    fn place(&self, mass: f64) -> f64 {
        let s = self.exponent;
        if (s - 1.0).abs() < 1e-9 {
            mass.exp() - 1.0
        } else {
            (mass * (1.0 - s) + 1.0).max(0.0).powf(1.0 / (1.0 - s)) - 1.0
        }
    }

    /// One of `among` people, each as likely, or of all. Who those are depends on `group`.
    pub fn any(&self, among: Option<u32>, group: u64, rng: &mut SimRng) -> Subject {
        let most = among.map_or(self.count, |among| u64::from(among).min(self.count));
        let drawn = rng.random_range(0..most.max(1));
        match among {
            // Neighbours in rank, who are spread over all numbers.
            Some(_) => {
                let first = mix(self.salt.rotate_left(17) ^ group) % self.count;
                self.numbered((first + drawn) % self.count)
            }
            None => Subject(drawn as u32),
        }
    }

    /// One by activity.
    pub fn active(&self, rng: &mut SimRng) -> Subject {
        let drawn = rng.random();
        self.at(drawn)
    }

    /// Whole records of each, `mean` on average, by activity: all together as many as whole numbers can
    /// be. In the order of subjects, those without any left out. Where the mean is small others have the
    /// records in each of several `log`s.
    pub fn records(&self, mean: f64, log: u64) -> impl Iterator<Item = (Subject, u32)> + '_ {
        let scale = mean * self.count as f64 / self.total;
        let offset = 0.5 + (log as f64 * GOLDEN).fract();
        let upto = move |rank: u64| (scale * self.mass(rank as f64) + offset).floor() as u64;
        (0..self.count).filter_map(move |number| {
            let rank = (u128::from(number) * u128::from(self.back) % u128::from(self.count)) as u64;
            let records = upto(rank + 1) - upto(rank);
            let records = u32::try_from(records).unwrap_or(u32::MAX);
            (records > 0).then_some((Subject(number as u32), records))
        })
    }

    /// What an audit log calls a subject: a pseudonym, the same in all of a run.
    #[must_use]
    pub fn alias(&self, subject: Subject) -> String {
        let name = mix(mix(u64::from(subject.0) ^ self.salt) ^ 0x5ea7_41a1);
        format!("{name:016x}")
    }
}

/// The finaliser of `SplitMix64` (Steele, Lea, Flood, OOPSLA 2014).
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The inverse of `a` modulo `m`, which have no common factor (extended Euclid).
fn inverse(a: u64, m: u64) -> u64 {
    let (mut r0, mut r1) = (i128::from(m), i128::from(a % m.max(1)));
    let (mut t0, mut t1) = (0_i128, 1_i128);
    while r1 != 0 {
        let q = r0 / r1;
        (r0, r1) = (r1, r0 - q * r1);
        (t0, t1) = (t1, t0 - q * t1);
    }
    t0.rem_euclid(i128::from(m)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAMS: Streams = Streams {
        seed: 5,
        replication: 0,
    };

    #[test]
    fn everyone_has_one_number_and_whole_records() {
        for count in [1, 2, 3, 10, 97, 1_000] {
            for exponent in [0.0, 0.7, 1.0, 1.5] {
                let subjects = Subjects::new(count, 1, exponent, STREAMS);
                let mut seen: Vec<u32> = (0..u64::from(count))
                    .map(|rank| subjects.numbered(rank).0)
                    .collect();
                seen.sort_unstable();
                assert_eq!(seen, (0..count).collect::<Vec<_>>());
                let records: Vec<_> = subjects.records(25.0, 0).collect();
                assert!(records.is_sorted_by_key(|(subject, _)| *subject));
                let all: u64 = records.iter().map(|(_, records)| u64::from(*records)).sum();
                assert_eq!(all, 25 * u64::from(count));
                let most = records.iter().map(|(_, records)| *records).max().unwrap();
                let of_first = records.iter().find(|(s, _)| *s == subjects.numbered(0));
                assert_eq!(of_first.unwrap().1, most);
            }
        }
    }

    #[test]
    fn draws_follow_the_law_and_names_keep_their_subject() {
        let subjects = Subjects::new(100, 1, 1.1, STREAMS);
        let many = 200_000_u64;
        let mut seen = [0_u32; 100];
        for name in 0..many {
            seen[subjects.of(name).unwrap().0 as usize] += 1;
        }
        for rank in [0_u64, 1, 10, 99] {
            let share =
                (subjects.mass(rank as f64 + 1.0) - subjects.mass(rank as f64)) / subjects.total;
            let found = f64::from(seen[subjects.numbered(rank).0 as usize]) / many as f64;
            // Five standard deviations of a binomial share.
            let error = 5.0 * (share * (1.0 - share) / many as f64).sqrt();
            assert!(
                (found - share).abs() < error,
                "rank {rank}: {found} for {share}"
            );
        }
        assert_eq!(subjects.of(77), subjects.of(77));
    }

    #[test]
    fn a_sample_is_one_in_so_many() {
        let subjects = Subjects::new(1_000, 50, 0.0, STREAMS);
        let found = (0..500_000_u64)
            .filter(|name| subjects.of(*name).is_some())
            .count();
        assert!((9_500..10_500).contains(&found), "{found}");
    }

    #[test]
    fn a_storm_is_about_few() {
        let subjects = Subjects::new(10_000, 1, 0.0, STREAMS);
        let mut rng = STREAMS.stream("test", 0, "storm");
        let mut seen: Vec<u32> = (0..2_000)
            .map(|_| subjects.any(Some(7), 0, &mut rng).0)
            .collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 7);
    }
}
