//! A model of the objective over the combinations of knobs: which ones are worth a look.
//!
//! A Gaussian process (Rasmussen and Williams 2006, chapters 2 and 5) of the logarithm of the objective,
//! with the Matérn 5/2 kernel; its length scale is the one of a few with the greatest marginal
//! likelihood. The next to be looked at is the one with the greatest expected improvement over the best
//! known (Jones, Schonlau and Welch, J. Global Optim. 13, 1998); more at once are found by believing the
//! model of each before (Ginsbourger, Le Riche and Carraro 2010). Nothing here is random.

use nalgebra::{Cholesky, DMatrix, DVector, Dyn};
use statrs::distribution::{Continuous, ContinuousCDF, Normal};

use crate::experiment::sweep::axis::Setting;

/// Length scales that are tried, in widths of a knob.
const SCALES: [f64; 6] = [0.15, 0.3, 0.5, 1.0, 2.0, 4.0];
/// Values of a knob that are tried beside that of the best.
const NEIGHBOURS: usize = 8;
/// Variance of what the model does not know of a look, over the variance of all.
const NUGGET: f64 = 1e-4;
/// Of combinations without any design that will do, the logarithm of the objective is beyond the greatest
/// known by so many standard deviations.
const BEYOND: f64 = 1.0;

/// Combinations as points of a cube: knobs with numbers by their rank, others by a corner for each value.
pub fn points(kinds: &[Vec<Setting>]) -> Vec<Vec<f64>> {
    let knobs = kinds.first().map_or(0, Vec::len);
    let mut points = vec![Vec::new(); kinds.len()];
    for knob in 0..knobs {
        let mut values: Vec<&Setting> = Vec::new();
        for kind in kinds {
            if !values.contains(&&kind[knob]) {
                values.push(&kind[knob]);
            }
        }
        let number = |setting: &Setting| match setting.as_slice() {
            [value] => value.as_f64(),
            _ => None,
        };
        let numbers: Option<Vec<f64>> = values.iter().map(|it| number(it)).collect();
        match numbers {
            Some(mut numbers) => {
                numbers.sort_by(f64::total_cmp);
                let last = (numbers.len().max(2) - 1) as f64;
                for (point, kind) in points.iter_mut().zip(kinds) {
                    let value = number(&kind[knob]).unwrap_or(f64::NAN);
                    let rank = numbers.iter().position(|it| *it == value).unwrap_or(0);
                    point.push(rank as f64 / last);
                }
            }
            None => {
                for (point, kind) in points.iter_mut().zip(kinds) {
                    let corner = |it: &&Setting| f64::from(u8::from(**it == kind[knob]));
                    // Any two values are as far apart as the ends of a knob of numbers.
                    let half = std::f64::consts::FRAC_1_SQRT_2;
                    point.extend(values.iter().map(|it| corner(it) * half));
                }
            }
        }
    }
    points
}

/// So many combinations far from one another, the one in the middle first: each next is the one that is
/// farthest from those before.
pub fn spread(points: &[Vec<f64>], many: usize) -> Vec<usize> {
    let dimensions = points.first().map_or(0, Vec::len);
    let middle: Vec<f64> = (0..dimensions)
        .map(|at| points.iter().map(|it| it[at]).sum::<f64>() / points.len().max(1) as f64)
        .collect();
    let nearest = |to: &[f64]| {
        let all = points.iter().enumerate();
        all.min_by(|a, b| squared(a.1, to).total_cmp(&squared(b.1, to)))
    };
    let Some((first, _)) = nearest(&middle) else {
        return Vec::new();
    };
    let mut chosen = vec![first];
    let mut gap: Vec<f64> = points
        .iter()
        .map(|it| squared(it, &points[first]))
        .collect();
    while chosen.len() < many.min(points.len()) {
        // Of equals the first, so that there is one answer.
        let next = gap
            .iter()
            .enumerate()
            .fold(0, |best, (at, it)| match *it > gap[best] {
                true => at,
                false => best,
            });
        chosen.push(next);
        for (gap, point) in gap.iter_mut().zip(points) {
            *gap = gap.min(squared(point, &points[next]));
        }
    }
    chosen
}

/// Those that differ from one in a single knob, of each knob the nearest few.
pub fn neighbours(kinds: &[Vec<Setting>], points: &[Vec<f64>], of: usize) -> Vec<usize> {
    let mut found = Vec::new();
    for knob in 0..kinds[of].len() {
        let alone = |kind: &Vec<Setting>| {
            let pairs = kind.iter().zip(&kinds[of]).enumerate();
            pairs
                .into_iter()
                .all(|(at, (a, b))| (at == knob) != (a == b))
        };
        let others = (0..kinds.len()).filter(|at| alone(&kinds[*at]));
        let mut others: Vec<usize> = others.collect();
        let far = |at: &usize| squared(&points[*at], &points[of]);
        // A stable sort: of equals the first.
        others.sort_by(|a, b| far(a).total_cmp(&far(b)));
        found.extend(others.into_iter().take(NEIGHBOURS));
    }
    found
}

/// The combinations that are worth a look: at most `many`, each expected to improve on the best by more
/// than a share of `worth`. `known` has the objectives of those looked at, none where no design will do.
pub fn worth_a_look(
    points: &[Vec<f64>],
    known: &[(usize, Option<f64>)],
    many: usize,
    worth: f64,
) -> Vec<usize> {
    let Some(mut told) = scaled(known) else {
        return Vec::new();
    };
    let best = told.iter().map(|it| it.1).fold(f64::INFINITY, f64::min);
    let mut chosen = Vec::new();
    while chosen.len() < many {
        let Some(process) = Process::fitted(points, &told) else {
            break;
        };
        let fresh = (0..points.len()).filter(|at| !told.iter().any(|it| it.0 == *at));
        let expected = fresh.map(|at| {
            let (mean, deviation) = process.at(&points[at]);
            (at, mean, improvement(best, mean, deviation))
        });
        let next = expected.fold(None, |next: Option<(usize, f64, f64)>, it| match next {
            Some(known) if known.2 >= it.2 => Some(known),
            _ => Some(it),
        });
        match next.filter(|it| it.2 > worth) {
            Some((at, mean, _)) => {
                chosen.push(at);
                told.push((at, mean));
            }
            None => break,
        }
    }
    chosen
}

/// Whether there is anything for a model to go by.
pub fn is_known(known: &[(usize, Option<f64>)]) -> bool {
    known.iter().any(|it| it.1.is_some_and(f64::is_finite))
}

/// Logarithms of what is known; where an objective is not above 0, shares of the widest difference.
/// None where no objective is known.
fn scaled(known: &[(usize, Option<f64>)]) -> Option<Vec<(usize, f64)>> {
    let objectives = known
        .iter()
        .filter_map(|it| it.1.filter(|it| it.is_finite()));
    let low = objectives.clone().fold(f64::INFINITY, f64::min);
    let high = objectives.clone().fold(f64::NEG_INFINITY, f64::max);
    let widest = if high > low { high - low } else { 1.0 };
    let scale = |it: f64| if low > 0.0 { it.ln() } else { it / widest };
    let found: Vec<f64> = objectives.map(scale).collect();
    let greatest = found.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (_, deviation) = moments(&found)?;
    let beyond = greatest + BEYOND * deviation.max(0.1);
    let told = known.iter().map(|(at, objective)| {
        let found = objective.filter(|it| it.is_finite());
        (*at, found.map_or(beyond, scale))
    });
    Some(told.collect())
}

fn moments(values: &[f64]) -> Option<(f64, f64)> {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|it| (it - mean) * (it - mean)).sum();
    (!values.is_empty()).then(|| (mean, (squares / count).sqrt()))
}

fn squared(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// Matérn 5/2.
fn kernel(squared: f64, scale: f64) -> f64 {
    let r = (5.0 * squared).sqrt() / scale;
    (1.0 + r + r * r / 3.0) * (-r).exp()
}

/// The expected improvement of a normal variate on the best, in the unit of the logarithm.
fn improvement(best: f64, mean: f64, deviation: f64) -> f64 {
    let Ok(normal) = Normal::new(0.0, 1.0) else {
        return 0.0;
    };
    if deviation <= 0.0 {
        return (best - mean).max(0.0);
    }
    let z = (best - mean) / deviation;
    (best - mean) * normal.cdf(z) + deviation * normal.pdf(z)
}

/// A Gaussian process that has seen some points.
struct Process<'a> {
    seen: Vec<&'a [f64]>,
    scale: f64,
    mean: f64,
    variance: f64,
    factor: Cholesky<f64, Dyn>,
    weights: DVector<f64>,
}

impl<'a> Process<'a> {
    /// With the scale that is likeliest; none where nothing can be fitted.
    fn fitted(points: &'a [Vec<f64>], told: &[(usize, f64)]) -> Option<Process<'a>> {
        let all = SCALES
            .iter()
            .filter_map(|scale| Process::with(points, told, *scale));
        let best = all.fold(None, |best: Option<(f64, Process<'a>)>, it| match best {
            Some(known) if known.0 >= it.0 => Some(known),
            _ => Some(it),
        });
        best.map(|(_, process)| process)
    }

    /// With that scale, and its logarithmic marginal likelihood (the variance put in at its best).
    fn with(
        points: &'a [Vec<f64>],
        told: &[(usize, f64)],
        scale: f64,
    ) -> Option<(f64, Process<'a>)> {
        let seen: Vec<&[f64]> = told.iter().map(|(at, _)| points[*at].as_slice()).collect();
        let many = seen.len();
        let (mean, _) = moments(&told.iter().map(|it| it.1).collect::<Vec<_>>())?;
        let values = DVector::from_iterator(many, told.iter().map(|it| it.1 - mean));
        let matrix = DMatrix::from_fn(many, many, |a, b| {
            let noise = if a == b { NUGGET } else { 0.0 };
            kernel(squared(seen[a], seen[b]), scale) + noise
        });
        let factor = Cholesky::new(matrix)?;
        let weights = factor.solve(&values);
        let variance = (values.dot(&weights) / many as f64).max(1e-12);
        let spread: f64 = (0..many).map(|at| factor.l_dirty()[(at, at)].ln()).sum();
        let likelihood = -0.5 * many as f64 * variance.ln() - spread;
        let process = Process {
            seen,
            scale,
            mean,
            variance,
            factor,
            weights,
        };
        Some((likelihood, process))
    }

    /// Mean and standard deviation at a point.
    fn at(&self, point: &[f64]) -> (f64, f64) {
        let each = self
            .seen
            .iter()
            .map(|it| kernel(squared(it, point), self.scale));
        let near = DVector::from_iterator(self.seen.len(), each);
        let mean = self.mean + near.dot(&self.weights);
        let known = near.dot(&self.factor.solve(&near));
        (mean, (self.variance * (1.0 - known).max(0.0)).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn grid(side: usize) -> Vec<Vec<Setting>> {
        let both = (0..side).flat_map(|a| (0..side).map(move |b| (a, b)));
        both.map(|(a, b)| vec![vec![json!(a)], vec![json!(b)]])
            .collect()
    }

    #[test]
    fn words_are_as_far_apart_as_the_ends_of_numbers() {
        let kinds: Vec<Vec<Setting>> = vec![
            vec![vec![json!("a")], vec![json!(1)]],
            vec![vec![json!("b")], vec![json!(1)]],
            vec![vec![json!("a")], vec![json!(100)]],
        ];
        let points = points(&kinds);
        assert!((squared(&points[0], &points[1]) - 1.0).abs() < 1e-12);
        assert!((squared(&points[0], &points[2]) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn first_looks_are_far_apart_and_all_different() {
        let points = points(&grid(9));
        let mut chosen = spread(&points, 5);
        assert_eq!(points[chosen[0]], [0.5, 0.5]);
        let corners = chosen[1..]
            .iter()
            .filter(|at| points[**at].iter().all(|it| it.fract() == 0.0));
        assert_eq!(corners.count(), 4);
        chosen = spread(&points, 1_000);
        chosen.sort_unstable();
        assert_eq!(chosen, (0..81).collect::<Vec<_>>());
    }

    /// What is known after a search: eight looks far apart, then what the model leads to.
    fn searched(
        points: &[Vec<f64>],
        worth: f64,
        cost: &dyn Fn(usize) -> Option<f64>,
    ) -> Vec<(usize, Option<f64>)> {
        let look = |at: usize| (at, cost(at));
        let mut known: Vec<_> = spread(points, 8).into_iter().map(look).collect();
        loop {
            let next = worth_a_look(points, &known, 4, worth);
            if next.is_empty() {
                return known;
            }
            known.extend(next.into_iter().map(look));
        }
    }

    fn least(costs: impl Iterator<Item = Option<f64>>) -> f64 {
        costs.flatten().fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn the_least_of_a_smooth_surface_is_found_in_few_looks() {
        let points = points(&grid(20));
        // A slanted bowl with its least at (0.74, 0.26); the second is below 0, like a profit's negative.
        for bottom in [100.0, -50.0] {
            let cost = |at: usize| {
                let (x, y) = (points[at][0] - 0.74, points[at][1] - 0.26);
                Some(bottom + 80.0 * x * x + 50.0 * y * y + 40.0 * x * y)
            };
            let known = searched(&points, 0.002, &cost);
            let all = least((0..points.len()).map(cost));
            assert_eq!(least(known.iter().map(|it| it.1)), all, "{known:?}");
            assert!(known.len() <= 60, "{} looks of 400", known.len());
        }
        assert!(!is_known(&[(0, None), (1, Some(f64::INFINITY))]));
    }

    #[test]
    fn what_will_not_do_is_kept_away_from() {
        let points = points(&grid(10));
        // Nothing does where x is above a half; it is cheapest just before.
        let cost = |at: usize| (points[at][0] <= 0.5).then(|| 200.0 - 100.0 * points[at][0]);
        let known = searched(&points, 0.005, &cost);
        let all = least((0..points.len()).map(cost));
        assert_eq!(least(known.iter().map(|it| it.1)), all);
        assert!(known.len() <= 60, "{} looks of 100", known.len());
    }

    #[test]
    fn neighbours_differ_in_one_knob_and_are_the_nearest() {
        let kinds = grid(9);
        let points = points(&kinds);
        let mut found = neighbours(&kinds, &points, 4 * 9 + 4);
        found.sort_unstable();
        let mut wanted: Vec<usize> = [0, 1, 2, 3, 5, 6, 7, 8]
            .iter()
            .flat_map(|at| [at * 9 + 4, 4 * 9 + at])
            .collect();
        wanted.sort_unstable();
        assert_eq!(found, wanted);
    }
}
