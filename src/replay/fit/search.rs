//! The search for the values that fit best.

use rayon::prelude::*;

use super::places::{PRIMES, halton, median, moved};
use super::slopes::{load_of, smoothed};
use super::{BLOCKS, LEAST_BLOCK};
use crate::replay::error::ReplayError;
use crate::replay::features::{self, FEATURES, Features, LEAST_SPREAD, SHARES, TO_FAIL, ToFail};
use crate::replay::least_squares::{Normal, Residuals, loss};
use crate::replay::night::{Night, Seen};
use crate::replay::open::Open;
use crate::replay::stage::{Change, Part, Stage};

/// Places that are looked at before the search.
const FIRST_LOOKS: usize = 16;
/// Steps of a search at most.
const STEPS: usize = 8;
/// Shares of a range by which slopes are found, at least and at most.
const NUDGE: (f64, f64) = (0.02, 0.1);
/// Values that unknowns are tried at beside every whole number of their section.
const KIN_LOOKS: u32 = 6;
/// Steps of all others at every whole number of an unknown.
const PROFILE_STEPS: usize = 2;
/// A loss that much lower is no better.
const NO_BETTER: f64 = 1e-4;

/// Goes over places in the range of what is open, and keeps count.
pub(super) struct Search<'a> {
    stage: &'a Stage,
    pub(super) open: &'a [Open],
    /// The slice that is simulated, and the blocks within it.
    slice: (usize, usize),
    pub(super) blocks: Vec<std::ops::Range<usize>>,
    observed: Vec<Features>,
    /// Tokens/s asked for in each block.
    loads: Vec<f64>,
    spread: [f64; FEATURES.len()],
    budget: usize,
    pub(super) used: usize,
    /// Replications that are simulated of every place.
    pub(super) lucks: u64,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        stage: &'a Stage,
        night: &Night,
        calm: std::ops::Range<usize>,
        lead: usize,
        open: &'a [Open],
        budget: usize,
    ) -> Search<'a> {
        let count = (calm.len() / LEAST_BLOCK).clamp(BLOCKS.0, BLOCKS.1);
        let bound = |block: usize| calm.start + calm.len() * block / count;
        let blocks: Vec<_> = (0..count).map(|it| bound(it)..bound(it + 1)).collect();
        let observed = blocks
            .iter()
            .map(|it| features::of(&night.requests[it.clone()]));
        let mut observed: Vec<Features> = observed.collect();
        let to_fail = ToFail::of(night.requests[calm.clone()].iter(), count);
        observed
            .iter_mut()
            .for_each(|it| it[TO_FAIL] = to_fail.mean);
        let mut spread = FEATURES.map(|(_, spread)| spread);
        spread[TO_FAIL] = to_fail.spread;
        Search {
            stage,
            open,
            slice: (calm.start.saturating_sub(lead), calm.end),
            observed,
            loads: blocks
                .iter()
                .map(|it| load_of(&night.requests[it.clone()]))
                .collect(),
            blocks,
            spread,
            budget,
            used: 0,
            lucks: 1,
        }
    }

    /// What blocks are like at a place (each unknown 0 to 1), with some luck.
    fn simulated(&self, place: &[f64], luck: u64) -> Result<Vec<Features>, ReplayError> {
        let changes: Vec<Change> = self
            .open
            .iter()
            .zip(place)
            .flat_map(|(open, place)| open.changes(open.at(*place)))
            .collect();
        let plan = self.stage.plan(&changes)?;
        let part = Part::Slice(self.slice.0, self.slice.1);
        let requests: Vec<Seen> = self.stage.simulate(&plan, part, luck)?.requests;
        let block = |it: &std::ops::Range<usize>| {
            features::of(&requests[it.start - self.slice.0..it.end - self.slice.0])
        };
        let mut blocks: Vec<Features> = self.blocks.iter().map(block).collect();
        let (first, last) = (self.blocks.first(), self.blocks.last());
        let from = first.map_or(0, |it| it.start - self.slice.0);
        let to = last.map_or(0, |it| it.end - self.slice.0);
        let to_fail = ToFail::of(requests[from..to].iter(), blocks.len()).or_most();
        blocks.iter_mut().for_each(|it| it[TO_FAIL] = Some(to_fail));
        Ok(blocks)
    }

    pub(super) fn simulate_all(
        &mut self,
        places: &[Vec<f64>],
    ) -> Result<Vec<Vec<Features>>, ReplayError> {
        let (this, lucks) = (&*self, self.lucks);
        let all: Result<Vec<Vec<Vec<Features>>>, ReplayError> = places
            .par_iter()
            .map(|it| (0..lucks).map(|luck| this.simulated(it, luck)).collect())
            .collect();
        self.used += places.len() * lucks as usize;
        Ok(all?.iter().map(|of_one| averaged(of_one)).collect())
    }

    /// Observed less simulated, shares over all blocks together.
    pub(super) fn residuals(&self, simulated: &[Features]) -> Residuals {
        pooled(self.block_residuals(simulated))
    }

    /// The same, block by block.
    pub(super) fn block_residuals(&self, simulated: &[Features]) -> Residuals {
        let rows = self.observed.iter().zip(simulated);
        rows.map(|(observed, simulated)| self.difference(observed, simulated))
            .collect()
    }

    /// One less another, in standard deviations; 0 where either is not known.
    fn difference(&self, one: &Features, other: &Features) -> Vec<f64> {
        let pairs = one.iter().zip(other).zip(self.spread);
        pairs
            .map(|((one, other), spread)| match (one, other) {
                (Some(one), Some(other)) => (one - other) / spread,
                _ => 0.0,
            })
            .collect()
    }

    /// Looks at places spread over the bounds, more of them at the low ends, and takes the best.
    pub(super) fn first_looks(&mut self) -> Result<Vec<f64>, ReplayError> {
        let looks = FIRST_LOOKS.min(self.budget / 4).max(1) as u32;
        let places: Vec<Vec<f64>> = (1..=looks)
            .map(|look| {
                let all = 0..self.open.len();
                // Low ends are where most overheads are.
                all.map(|unknown| halton(look, PRIMES[unknown % PRIMES.len()]).powi(2))
                    .collect()
            })
            .collect();
        let simulated = self.simulate_all(&places)?;
        let losses = simulated.iter().map(|it| loss(&self.residuals(it)));
        let best = losses.zip(places).min_by(|a, b| a.0.total_cmp(&b.0));
        Ok(best.map_or_else(|| vec![0.5; self.open.len()], |(_, place)| place))
    }

    /// Goes down from a place until no step helps; whole numbers by trying all, at first together
    /// with what goes with them.
    pub(super) fn descend(
        &mut self,
        mut place: Vec<f64>,
        first: bool,
    ) -> Result<Vec<f64>, ReplayError> {
        if first {
            place = self.whole_numbers(place, true)?;
        }
        for _ in 0..2 {
            place = self.steps(place)?;
            let before = place.clone();
            place = self.whole_numbers(place, false)?;
            if place == before {
                break;
            }
        }
        Ok(place)
    }

    pub(super) fn steps(&mut self, mut place: Vec<f64>) -> Result<Vec<f64>, ReplayError> {
        let mut here = self.simulate_all(std::slice::from_ref(&place))?.remove(0);
        let mut best = loss(&self.residuals(&here));
        let mut damping = 1e-3;
        for _ in 0..STEPS {
            // The last steps, on more luck, are few and taken in any case.
            if self.lucks == 1 && self.used + 2 * self.open.len() + 4 > self.budget {
                break;
            }
            let normal = Normal::new(&self.residuals(&here), &self.slopes(&place)?);
            // Three lengths of step at once: which is right is not known before.
            let tries: Vec<Vec<f64>> = [damping, 30.0 * damping, 1_000.0 * damping]
                .into_iter()
                .map(|damping| moved(&place, &normal.step(&place, damping)))
                .collect();
            let simulated = self.simulate_all(&tries)?;
            let losses = simulated.iter().map(|it| loss(&self.residuals(it)));
            let found = losses.enumerate().min_by(|a, b| a.1.total_cmp(&b.1));
            let Some((at, least)) = found.filter(|(_, least)| *least < best) else {
                break;
            };
            damping = (damping * [0.3, 10.0, 300.0][at]).clamp(1e-6, 1e3);
            let gain = (best - least) / best.max(1e-12);
            (place, here, best) = (tries[at].clone(), simulated[at].clone(), least);
            if gain < NO_BETTER {
                break;
            }
        }
        Ok(place)
    }

    /// How the simulated side moves with each unknown, by a nudge both ways, smoothed over the blocks;
    /// not with whole numbers.
    pub(super) fn slopes(&mut self, place: &[f64]) -> Result<Vec<Residuals>, ReplayError> {
        let mut places = Vec::new();
        for (unknown, open) in self.open.iter().enumerate() {
            // In proportion, and wide enough that it shows beside what is random.
            let nudge = (0.2 * place[unknown]).clamp(NUDGE.0, NUDGE.1);
            for by in [-nudge, nudge] {
                let mut near = place.to_vec();
                if !open.whole {
                    near[unknown] = (near[unknown] + by).clamp(0.0, 1.0);
                }
                places.push(near);
            }
        }
        let simulated = self.simulate_all(&places)?;
        let slopes = (0..self.open.len()).map(|unknown| {
            let (low, high) = (&simulated[2 * unknown], &simulated[2 * unknown + 1]);
            let apart = places[2 * unknown + 1][unknown] - places[2 * unknown][unknown];
            let known = |one: Option<f64>, other: Option<f64>, spread: f64| {
                Some((one? - other?) / spread / apart).filter(|slope| slope.is_finite())
            };
            // What was not observed tells nothing: a slope of it would hold the unknown where it is.
            let sides = self.observed.iter().zip(high.iter().zip(low));
            let slopes = sides.map(|(observed, (high, low))| {
                std::array::from_fn(|at| {
                    observed[at].and_then(|_| known(high[at], low[at], self.spread[at]))
                })
            });
            pooled(smoothed(&slopes.collect::<Vec<_>>(), &self.loads))
        });
        Ok(slopes.collect())
    }

    pub(super) fn whole_numbers(
        &mut self,
        mut place: Vec<f64>,
        with_kin: bool,
    ) -> Result<Vec<f64>, ReplayError> {
        for unknown in 0..self.open.len() {
            if self.open[unknown].whole {
                let losses = match with_kin {
                    true => self.losses_with_kin(&place, unknown)?,
                    false => self.profile(&place, unknown)?,
                };
                let best = losses.into_iter().min_by(|a, b| a.1.total_cmp(&b.1));
                place = best.map_or(place, |(best, _)| best);
            }
        }
        Ok(place)
    }

    /// The place with each whole number of an unknown.
    fn with_whole(&self, place: &[f64], unknown: usize) -> Vec<Vec<f64>> {
        let open = &self.open[unknown];
        let places = open.numbers().map(|number| {
            let mut near = place.to_vec();
            near[unknown] = open.place(number);
            near
        });
        places.collect()
    }

    fn losses(&mut self, places: Vec<Vec<f64>>) -> Result<Vec<(Vec<f64>, f64)>, ReplayError> {
        let simulated = self.simulate_all(&places)?;
        let losses = simulated.iter().map(|it| loss(&self.residuals(it)));
        let losses: Vec<f64> = losses.collect();
        Ok(places.into_iter().zip(losses).collect())
    }

    /// Every whole number of an unknown, with the unknowns of its section set anew, and the loss
    /// there: a number of retries cannot be told with a wrong backoff.
    fn losses_with_kin(
        &mut self,
        place: &[f64],
        unknown: usize,
    ) -> Result<Vec<(Vec<f64>, f64)>, ReplayError> {
        let section = |at: usize| self.open[at].path.split('.').next();
        let kin: Vec<usize> = (0..self.open.len())
            .filter(|at| !self.open[*at].whole && section(*at) == section(unknown))
            .collect();
        let mut places = self.with_whole(place, unknown);
        if !kin.is_empty() {
            for near in places.clone() {
                for look in 0..KIN_LOOKS {
                    let share = (f64::from(look) + 0.5) / f64::from(KIN_LOOKS);
                    let mut near = near.clone();
                    kin.iter().for_each(|at| near[*at] = share * share);
                    places.push(near);
                }
            }
        }
        self.losses(places)
    }

    /// Every whole number of an unknown, all others moved some steps to where they fit it better (with
    /// the slopes of this place), and the loss there.
    pub(super) fn profile(
        &mut self,
        place: &[f64],
        unknown: usize,
    ) -> Result<Vec<(Vec<f64>, f64)>, ReplayError> {
        let slopes = self.slopes(place)?;
        let places = self.with_whole(place, unknown);
        let mut simulated = self.simulate_all(&places)?;
        let mut better = places.clone();
        let losses = |simulated: &[Vec<Features>], this: &Self| -> Vec<f64> {
            let all = simulated.iter().map(|it| loss(&this.residuals(it)));
            all.collect()
        };
        let mut least = losses(&simulated, self);
        let mut places = places;
        for _ in 0..PROFILE_STEPS {
            let here = places.iter().zip(&simulated);
            let stepped = here.map(|(near, simulated)| {
                let normal = Normal::new(&self.residuals(simulated), &slopes);
                moved(near, &normal.step(near, 1e-3))
            });
            places = stepped.collect();
            simulated = self.simulate_all(&places)?;
            for (at, found) in losses(&simulated, self).into_iter().enumerate() {
                if found < least[at] {
                    (better[at], least[at]) = (places[at].clone(), found);
                }
            }
        }
        Ok(better.into_iter().zip(least).collect())
    }

    /// Takes the noise of each feature from how it differs from block to block at a place.
    pub(super) fn weigh(&mut self, place: &[f64]) -> Result<(), ReplayError> {
        let here = self.simulate_all(&[place.to_vec()])?.remove(0);
        // What all blocks tell together does not differ from block to block.
        for feature in (0..FEATURES.len()).filter(|it| *it != TO_FAIL) {
            let pairs = self.observed.iter().zip(&here);
            let apart = pairs.filter_map(|(one, other)| Some(one[feature]? - other[feature]?));
            let apart: Vec<f64> = apart.collect();
            if apart.len() < 3 {
                continue;
            }
            // About the middle: what is off in all blocks alike is no noise, but what a fit has not
            // got right yet.
            let middle = median(apart.clone());
            let from_it: Vec<f64> = apart.iter().map(|it| (it - middle).abs()).collect();
            // Both would be the standard deviation, were it normal; rare shares are the same in most
            // blocks, and only the mean says more of them.
            let mean = from_it.iter().sum::<f64>() / from_it.len() as f64;
            let spread = (1.482_6 * median(from_it)).max(1.253_3 * mean);
            self.spread[feature] = spread.max(LEAST_SPREAD);
        }
        Ok(())
    }
}

/// The features of some kinds of luck, on average; of those that are known.
fn averaged(lucks: &[Vec<Features>]) -> Vec<Features> {
    let blocks = lucks.first().map_or(0, Vec::len);
    let mean = |block: usize, feature: usize| {
        let known = lucks.iter().filter_map(|luck| luck[block][feature]);
        let (sum, count) = known.fold((0.0, 0_u32), |(sum, count), it| (sum + it, count + 1));
        (count > 0).then(|| sum / f64::from(count))
    };
    (0..blocks)
        .map(|block| std::array::from_fn(|feature| mean(block, feature)))
        .collect()
}

/// The same with shares as they are over all blocks.
fn pooled(mut rows: Residuals) -> Residuals {
    for feature in SHARES {
        let sum: f64 = rows.iter().map(|row| row[feature]).sum();
        let mean = sum / rows.len().max(1) as f64;
        rows.iter_mut().for_each(|row| row[feature] = mean);
    }
    rows
}
