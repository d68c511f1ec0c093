//! The end of a search: the values, their intervals, and what to know of them.

use super::search::Search;
use super::{Alike, Fit, Fitted};
use crate::engine::Streams;
use crate::measure::quantile_of_sorted;
use crate::replay::error::ReplayError;
use crate::replay::least_squares::{Normal, Residuals, loss, squares};
use crate::replay::open::Open;

/// At the end every place is simulated with so many kinds of luck, whose features are averaged: what they are
/// by chance is the same in every replay of a scenario, and adds an eighth to the variance of what is found.
const LUCKS: u64 = 8;
/// Rounds of the last steps at most, each with all whole numbers looked at again: with another of these
/// the others move on.
const ROUNDS: usize = 3;
/// Above this correlation of their estimates two unknowns are hardly told apart: what is known of either alone
/// is then less than half of what would be if the other were known (the interval is 2.3 times as wide).
const ALIKE: f64 = 0.9;

impl Search<'_> {
    pub(super) fn finish(mut self, mut place: Vec<f64>) -> Result<Fit, ReplayError> {
        // What was best of many places on one kind of luck is so by luck, too.
        self.lucks = LUCKS;
        self.weigh(&place)?;
        for _ in 0..ROUNDS {
            place = self.steps(place)?;
            let before = place.clone();
            place = self.whole_numbers(place, false)?;
            if place == before {
                break;
            }
        }
        let here = self.simulate_all(std::slice::from_ref(&place))?.remove(0);
        let residuals = self.block_residuals(&here);
        // What another eight kinds of luck would make of the loss.
        let luck = (2.0 * squares(&self.residuals(&here)) / self.lucks as f64).sqrt();
        let normal = Normal::new(&residuals, &self.slopes(&place)?);
        let streams = Streams {
            seed: 1,
            replication: 0,
        };
        let mut moves = normal.moves(streams);
        let mut parameters = Vec::new();
        for (unknown, open) in self.open.iter().enumerate() {
            let mut fitted = Fitted {
                open: open.clone(),
                value: open.at(place[unknown]),
                interval: (open.low, open.high),
                note: None,
            };
            if open.whole {
                moves.iter_mut().for_each(|row| row[unknown] = 0.0);
            } else if normal.is_idle(unknown) {
                fitted.note = Some("nothing in the window depends on it".to_owned());
            } else {
                fitted.interval = interval(&moves, unknown, open, place[unknown]);
                fitted.note = self.note_on(&normal, unknown, place[unknown]);
            }
            parameters.push(fitted);
        }
        for (unknown, fitted) in parameters.iter_mut().enumerate() {
            if fitted.open.whole {
                (fitted.interval, fitted.note) =
                    self.interval_of_whole(&place, unknown, &residuals, luck)?;
            }
        }
        let draws = moves.iter().map(|row| {
            let values = self.open.iter().zip(place.iter().zip(row));
            values
                .map(|(open, (place, by))| open.at((place + by).clamp(0.0, 1.0)))
                .collect()
        });
        let alike = self.alike(&normal);
        let known = residuals.iter().flatten().filter(|z| **z != 0.0).count();
        Ok(Fit {
            alike,
            left: Vec::new(),
            draws: draws.collect(),
            parameters,
            requests: self.blocks.iter().map(ExactSizeIterator::len).sum(),
            blocks: self.blocks.len(),
            simulations: self.used,
            misfit: 2.0 * loss(&residuals) / known.max(1) as f64,
        })
    }

    /// Whether two unknowns are hardly told apart, by the correlation of their estimates.
    fn are_alike(&self, normal: &Normal, one: usize, other: usize) -> Option<f64> {
        let is_told = |at: usize| !self.open[at].whole && !normal.is_idle(at);
        let correlation = normal.correlation(one, other);
        (is_told(one) && is_told(other) && correlation.abs() > ALIKE).then_some(correlation)
    }

    /// All pairs that are hardly told apart.
    fn alike(&self, normal: &Normal) -> Vec<Alike> {
        let all = self.open.len();
        let pairs = (0..all).flat_map(|one| (one + 1..all).map(move |other| (one, other)));
        let alike = pairs.filter_map(|(one, other)| {
            let correlation = self.are_alike(normal, one, other)?;
            let paths = [one, other].map(|at| self.open[at].path.clone());
            let says = format!(
                "the window hardly tells {} from {}: their estimates have a correlation of {correlation:.2}, \
                 beyond {ALIKE}; only what the two do together is known, and intervals of either may be too \
                 narrow. State one of the two in the scenario.",
                paths[0], paths[1]
            );
            Some(Alike {
                paths,
                correlation,
                says,
            })
        });
        alike.collect()
    }

    fn note_on(&self, normal: &Normal, unknown: usize, place: f64) -> Option<String> {
        let mut others = (0..self.open.len()).filter(|other| *other != unknown);
        let twin = others.find(|other| self.are_alike(normal, unknown, *other).is_some());
        match twin {
            Some(twin) => Some(format!("hardly told from {}", self.open[twin].path)),
            None if place <= 1e-6 => Some("at its lower bound".to_owned()),
            None if place >= 1.0 - 1e-6 => Some("at its upper bound".to_owned()),
            None => None,
        }
    }

    /// The whole numbers that fit about as well: those within what chance makes of the loss.
    fn interval_of_whole(
        &mut self,
        place: &[f64],
        unknown: usize,
        residuals: &Residuals,
        luck: f64,
    ) -> Result<((f64, f64), Option<String>), ReplayError> {
        let losses = self.profile(place, unknown)?;
        let known = residuals.iter().flatten().filter(|z| **z != 0.0).count();
        let least = losses.iter().map(|it| it.1).fold(f64::INFINITY, f64::min);
        let most = losses.iter().map(|it| it.1).fold(0.0, f64::max);
        // Half of the 95 % quantile of chi-squared with one degree of freedom, times the dispersion; and two
        // standard deviations of what is luck of the simulated side: each number draws its own.
        let chance = 1.92 * (2.0 * least / known.max(1) as f64).max(1.0);
        let near = least + chance + 2.0 * luck;
        let open = &self.open[unknown];
        let good = losses.iter().filter(|it| it.1 <= near);
        let values: Vec<f64> = good.map(|(place, _)| open.at(place[unknown])).collect();
        // What the search ended at is within, though a step beside it looked better.
        let here = open.at(place[unknown]);
        let low = values.iter().copied().fold(here, f64::min);
        let high = values.iter().copied().fold(here, f64::max);
        let idle = most - least < 1e-9;
        let note = match (open.is_told(), idle) {
            (true, _) => Some("as often as those tried that gave up".to_owned()),
            (false, true) => Some("nothing in the window depends on it".to_owned()),
            (false, false) => None,
        };
        Ok(((low, high), note))
    }
}

/// A 95 % interval: where the bootstrap moves an unknown, and the same around the estimate. The two
/// differ where the search stopped short of the best place.
fn interval(moves: &[Vec<f64>], unknown: usize, open: &Open, place: f64) -> (f64, f64) {
    let mut by: Vec<f64> = moves.iter().map(|row| row[unknown]).collect();
    by.sort_unstable_by(f64::total_cmp);
    let mean = by.iter().sum::<f64>() / by.len().max(1) as f64;
    let at = |share: f64| quantile_of_sorted(&by, share).unwrap_or(0.0);
    let low = place + at(0.025).min(at(0.025) - mean);
    let high = place + at(0.975).max(at(0.975) - mean);
    (open.at(low.clamp(0.0, 1.0)), open.at(high.clamp(0.0, 1.0)))
}
