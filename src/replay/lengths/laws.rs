//! Who fails, by how long the answer would have been.

use rand::RngExt;

use super::STRETCH;
use crate::engine::Streams;
use crate::replay::night::Night;

/// Parts of equal shares that lengths are put into, by the length of their answers.
pub(super) const PARTS: usize = 16;
/// Stretches before and after one that tell who fails in it.
const NEAR: usize = 4;
/// What ranks of requests differ by: of a uniform distribution.
const SPREAD_OF_RANK: f64 = 0.288_675;
/// How far from 0 a power is before anything is known of it: a standard deviation.
const LIKELY_POWER: f64 = 1.5;
/// Powers that are looked at, -6 to 6 by quarters.
const POWERS: usize = 49;
/// How likely each part is to be that of one that is not known.
pub(super) type Law = [f64; PARTS];

/// What is known of the lengths of a stretch.
#[derive(Debug, Clone, Copy, Default)]
struct Stretch {
    /// In hundredths, how many are not known; no less than one where any is.
    unknown: usize,
    /// How many are.
    known: f64,
    /// The sum of their ranks, 0 to 1, among those of calm minutes.
    ranks: f64,
}

/// All of them, and the laws that they may follow.
#[derive(Debug, Default)]
pub(super) struct Stretches {
    all: Vec<Stretch>,
    laws: Laws,
}

impl Stretches {
    pub(super) fn of(night: &Night, known: &[(u32, u32)]) -> Stretches {
        let parts = night
            .requests
            .chunks(STRETCH)
            .zip(night.lacks.chunks(STRETCH));
        let all = parts.map(|(requests, lacks)| {
            let missing = lacks.iter().filter(|it| it.output).count();
            let told = requests.iter().zip(lacks).filter(|it| !it.1.output);
            let ranks = told.map(|(request, _)| {
                let low = known.partition_point(|it| it.1 < request.output_tokens);
                let high = known.partition_point(|it| it.1 <= request.output_tokens);
                // One of many that are alike is in their middle.
                (low + high) as f64 / (2 * known.len()) as f64
            });
            Stretch {
                unknown: (missing * 100).div_ceil(lacks.len().max(1)).min(100),
                known: (lacks.len() - missing) as f64,
                ranks: ranks.sum(),
            }
        });
        Stretches {
            all: all.collect(),
            laws: Laws::new(),
        }
    }

    /// The law of a stretch in one night: by its own share, and by a power as likely as what it and those beside
    /// it tell makes it. Where few are there to tell it that is little: a power is taken to be about 0 then, and
    /// is another one in each night.
    pub(super) fn law_at(&self, at: usize, streams: &Streams) -> Law {
        let near = at.saturating_sub(NEAR)..(at + NEAR + 1).min(self.all.len());
        let mixed = || self.all[near.clone()].iter().filter(|it| it.unknown > 0);
        let observed: f64 = mixed().map(|it| it.ranks).sum();
        let variance = SPREAD_OF_RANK.powi(2) * mixed().map(|it| it.known).sum::<f64>().max(1.0);
        let likelihood = |place: usize| -> f64 {
            let each = mixed()
                .map(|it| it.known * self.laws.rank_of_known[Laws::place(it.unknown, place)]);
            let apart = observed - each.sum::<f64>();
            (-0.5 * apart * apart / variance - 0.5 * (power(place) / LIKELY_POWER).powi(2)).exp()
        };
        let all: [f64; POWERS] = std::array::from_fn(likelihood);
        let mut rng = streams.stream("replay", at as u64, "who fails");
        let mut left = rng.random::<f64>() * all.iter().sum::<f64>();
        let place = all.iter().position(|share| {
            left -= share;
            left < 0.0
        });
        // Of none likely, which no numbers make so, those that lengths do not tell.
        self.laws.fails[Laws::place(self.all[at].unknown, place.unwrap_or(POWERS / 2))]
    }
}

/// The laws of all shares and powers.
#[derive(Debug, Default)]
struct Laws {
    fails: Vec<Law>,
    rank_of_known: Vec<f64>,
}

impl Laws {
    fn new() -> Laws {
        let places = (0..=100).flat_map(|share| (0..POWERS).map(move |at| (share, at)));
        let fails: Vec<Law> = places.map(|(share, at)| fails(share, power(at))).collect();
        Laws {
            rank_of_known: fails.iter().map(rank_of_known).collect(),
            fails,
        }
    }

    fn place(unknown: usize, power: usize) -> usize {
        unknown * POWERS + power
    }
}

/// The powers that are looked at: from all of the shortest fail to all of the longest do.
fn power(at: usize) -> f64 {
    (at as f64 - (POWERS / 2) as f64) / 4.0
}

/// The rank of those that are known on average.
fn rank_of_known(fails: &Law) -> f64 {
    let known = || fails.iter().map(|share| 1.0 - share);
    let ranks: f64 = known()
        .enumerate()
        .map(|(part, share)| share * rank(part))
        .sum();
    ranks / known().sum::<f64>().max(1e-9)
}

fn rank(part: usize) -> f64 {
    (part as f64 + 0.5) / PARTS as f64
}

/// The share of each part that is not known, where so many hundredths of all are not.
fn fails(share: usize, power: f64) -> Law {
    let share = share as f64 / 100.0;
    if share <= 0.0 || share >= 1.0 {
        return [share.max(1e-9); PARTS];
    }
    let at = |level: f64| -> Law {
        std::array::from_fn(|part| {
            let odds = power * (rank(part) / (1.0 - rank(part))).ln();
            1.0 / (1.0 + (-level - odds).exp())
        })
    };
    let (mut low, mut high) = (-100.0, 100.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        match at(middle).iter().sum::<f64>() / (PARTS as f64) < share {
            true => low = middle,
            false => high = middle,
        }
    }
    at(0.5 * (low + high))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How likely the longest part is to fail, on average over nights, and the least and most of it.
    fn longest(one: Stretch) -> (f64, f64, f64) {
        let stretches = Stretches {
            all: vec![one; 9],
            laws: Laws::new(),
        };
        let nights = (0..200).map(|replication| {
            let streams = Streams {
                seed: 1,
                replication,
            };
            stretches.law_at(4, &streams)[PARTS - 1]
        });
        let all: Vec<f64> = nights.collect();
        let (low, high) = all
            .iter()
            .fold((1.0_f64, 0.0_f64), |it, at| (it.0.min(*at), it.1.max(*at)));
        (all.iter().sum::<f64>() / all.len() as f64, low, high)
    }

    #[test]
    fn shares_are_as_they_are_stated() {
        for hidden in [-3.0, 0.0, 1.0, 3.0] {
            let fails = fails(10, hidden);
            assert!((fails.iter().sum::<f64>() / PARTS as f64 - 0.1).abs() < 1e-6);
        }
        assert!(fails(10, 2.0)[PARTS - 1] > 0.4 && fails(10, 2.0)[0] < 0.01);
    }

    #[test]
    fn who_fails_by_length_is_told_by_those_that_do_not() {
        for hidden in [-1.0, 0.0, 1.0, 3.0] {
            let fails = fails(30, hidden);
            let (mean, ..) = longest(Stretch {
                unknown: 30,
                known: 7_000.0,
                ranks: 7_000.0 * rank_of_known(&fails),
            });
            let off = (mean - fails[PARTS - 1]).abs();
            assert!(off < 0.05, "{hidden}: {mean}, {}", fails[PARTS - 1]);
        }
    }

    #[test]
    fn what_few_tell_is_another_law_every_night() {
        let told = |known: f64| {
            longest(Stretch {
                unknown: 20,
                known,
                ranks: 0.45 * known,
            })
        };
        let (_, low, high) = told(20.0);
        assert!(high - low > 0.3, "{low} to {high}");
        let (_, low, high) = told(20_000.0);
        assert!(high - low < 0.1, "{low} to {high}");
        // Where one of a hundred fails nothing is known of whom: long ones as often as short ones.
        let (mean, ..) = longest(Stretch {
            unknown: 1,
            known: 99.0,
            ranks: 49.5,
        });
        assert!((0.005..0.06).contains(&mean), "{mean}");
    }
}
