//! Who fails, by how long the answer would have been.

use rand::RngExt;
use rand_distr::StandardNormal;

use super::STRETCH;
use crate::engine::Streams;
use crate::replay::night::Night;

/// Parts of equal shares that lengths are put into, by the length of their answers.
pub(super) const PARTS: usize = 16;
/// Stretches before and after one that tell who fails in it.
const NEAR: usize = 4;
/// What ranks of requests differ by: of a uniform distribution.
const SPREAD_OF_RANK: f64 = 0.288_675;
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

    /// The law of a stretch in one night: by its own share, and by the power that it and those beside it tell.
    /// They tell it as well as so many can, so that in each night it is another one.
    pub(super) fn law_at(&self, at: usize, streams: &Streams) -> Law {
        let near = at.saturating_sub(NEAR)..(at + NEAR + 1).min(self.all.len());
        let mixed: Vec<usize> = near.filter(|at| self.all[*at].unknown > 0).collect();
        let luck = |at: usize| -> f64 {
            let luck: f64 = streams
                .stream("replay", at as u64, "ranks of lengths")
                .sample(StandardNormal);
            luck * SPREAD_OF_RANK * self.all[at].known.sqrt()
        };
        let observed: f64 = mixed.iter().map(|at| self.all[*at].ranks + luck(*at)).sum();
        self.laws.fails[self.place(at, &mixed, observed)]
    }

    /// Where the law is of a stretch by which the ranks of `mixed` come to what was observed.
    fn place(&self, at: usize, mixed: &[usize], observed: f64) -> usize {
        let expected = |power: usize| -> f64 {
            let all = mixed.iter().map(|at| self.all[*at]);
            all.map(|it| it.known * self.laws.rank_of_known[Laws::place(it.unknown, power)])
                .sum()
        };
        // The more long ones fail, the lower the ranks of the others: the first that expects no more.
        let power = (0..POWERS).find(|power| expected(*power) <= observed);
        Laws::place(self.all[at].unknown, power.unwrap_or(POWERS - 1))
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

    #[test]
    fn who_fails_by_length_is_told_by_those_that_do_not() {
        // Of one in ten the longest fail; the others are of lower ranks for it.
        for hidden in [-1.0, 0.0, 1.0, 3.0] {
            let fails = fails(10, hidden);
            assert!((fails.iter().sum::<f64>() / PARTS as f64 - 0.1).abs() < 1e-6);
            let one = Stretch {
                unknown: 10,
                known: 90.0,
                ranks: 90.0 * rank_of_known(&fails) + 1e-9,
            };
            let stretches = Stretches {
                all: vec![one; 3],
                laws: Laws::new(),
            };
            let place = stretches.place(1, &[0, 1, 2], 3.0 * one.ranks);
            assert_eq!(stretches.laws.fails[place], fails, "{hidden}");
        }
    }

    #[test]
    fn what_few_tell_is_another_law_every_night() {
        let powers = |known: f64| -> f64 {
            let one = Stretch {
                unknown: 20,
                known,
                ranks: 0.45 * known,
            };
            let stretches = Stretches {
                all: vec![one; 9],
                laws: Laws::new(),
            };
            let longest = (0..40).map(|replication| {
                let law = stretches.law_at(
                    4,
                    &Streams {
                        seed: 1,
                        replication,
                    },
                );
                law[PARTS - 1]
            });
            let longest: Vec<f64> = longest.collect();
            let (low, high) = longest
                .iter()
                .fold((1.0_f64, 0.0_f64), |it, at| (it.0.min(*at), it.1.max(*at)));
            high - low
        };
        assert!(powers(20.0) > 0.3, "{}", powers(20.0));
        assert!(powers(20_000.0) < 0.1, "{}", powers(20_000.0));
    }
}
