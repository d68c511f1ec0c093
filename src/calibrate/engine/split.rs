//! Rows not seen: how they are split, and what the fits to the others say of them.

use std::collections::BTreeMap;

use super::judge::Asked;
use super::measurement::Observed;
use super::model::Model;
use super::parameter::{Parameter, Values};
use super::repeated::settings;
use super::solve::{Start, solve};
use crate::calibrate::fit::folds;
use crate::calibrate::regression::robust::Loss;
use crate::validate::closed_loop::simulate::Means;

/// How rows are split for cross-validation.
pub struct Split {
    /// The part of each row, in their order.
    pub fold_of: Vec<usize>,
    /// Parts.
    pub folds: usize,
    /// What stays together: `rows` alone, those of the same `settings`, or `servers and lengths`.
    pub together: &'static str,
    /// Rows, by their place among those fitted, that stay together.
    pub clusters: Vec<Vec<usize>>,
}

impl Split {
    /// Of rows, by their places among those observed.
    pub fn of(observed: &[Observed], rows: &[usize], asked: &Asked) -> Split {
        let servers: Vec<String> = rows
            .iter()
            .map(|row| observed[*row].server.clone())
            .collect();
        let mut clusters: BTreeMap<&String, Vec<usize>> = BTreeMap::new();
        for (at, server) in servers.iter().enumerate() {
            clusters.entry(server).or_default().push(at);
        }
        let clusters: Vec<Vec<usize>> = clusters.into_values().collect();
        let by_row = asked.by_row || clusters.len() < 2;
        let settings = settings(observed, rows);
        let keys: Vec<String> = match by_row {
            true => keys_of(&settings, rows.len()),
            false => servers,
        };
        let distinct = match by_row {
            true => settings.len(),
            false => clusters.len(),
        };
        let count = asked.folds.min(distinct);
        Split {
            fold_of: folds(&keys, count),
            folds: count,
            together: match by_row {
                true if settings.len() < rows.len() => "settings",
                true => "rows",
                false => "servers and lengths",
            },
            clusters,
        }
    }
}

/// A key for each row, the same for rows of one setting: a fit that has seen one of them has seen all.
/// Padded, so that they are in order as texts.
fn keys_of(settings: &[Vec<usize>], rows: usize) -> Vec<String> {
    let mut keys = vec![String::new(); rows];
    for (number, setting) in settings.iter().enumerate() {
        for row in setting {
            keys[*row] = format!("{number:09}");
        }
    }
    keys
}

/// What the fits to the other parts say of each row, in order, none where a part could not be left out, or
/// its row not be simulated; and the unknowns of each of these fits.
pub fn cross_validate(
    model: &mut Model<'_>,
    rows: &[usize],
    split: &Split,
    free: &[Parameter],
    starts: &[Start],
    loss: Loss,
) -> (Vec<Option<Means>>, Vec<Values>) {
    let mut unseen = vec![None; rows.len()];
    let mut found = Vec::new();
    for fold in 0..split.folds {
        let (out, within): (Vec<usize>, Vec<usize>) =
            (0..rows.len()).partition(|at| split.fold_of[*at] == fold);
        let within: Vec<usize> = within.iter().map(|at| rows[*at]).collect();
        if 2 * within.len() < free.len() {
            continue;
        }
        let Ok(solved) = solve(model, &within, free, starts, loss) else {
            continue;
        };
        found.push(solved.values);
        let asked: Vec<(usize, Values)> = out.iter().map(|at| (rows[*at], solved.values)).collect();
        for (at, means) in out.iter().zip(model.means(&asked)) {
            unseen[*at] = means.ok();
        }
    }
    (unseen, found)
}
