//! Designs: which points an experiment has.

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::axis::{Axis, Setting};
use super::schema::{Experiment, MOST_POINTS};
use crate::engine::Streams;
use crate::scenario::Problems;

/// Most points of a Sobol sequence, as the generator has it.
const MOST_SOBOL: u64 = 1 << 16;

/// `[design]`: which points there are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Design {
    /// All combinations of the axes' values, the last axis changing fastest.
    Grid {},
    /// Points that have, along every axis, one in each of as many equal stretches (McKay, Beckman
    /// and Conover, Technometrics 21, 1979).
    LatinHypercube {
        /// How many, 2 to 1,000,000.
        points: u64,
    },
    /// The Sobol sequence by the direction numbers of Joe and Kuo, Owen-scrambled (Burley, Journal of
    /// Computer Graphics Techniques 9, 2020): even along many axes at once.
    Sobol {
        /// How many, 2 to 65,536; powers of 2 are the most even.
        points: u64,
    },
    /// Two independent sets A and B of a Sobol sequence of twice the axes, and for each axis the
    /// points of A with that axis from B: what Sobol indices are estimated from (Saltelli et al.,
    /// Computer Physics Communications 181, 2010). Makes `base_points * (axes + 2)` points.
    Saltelli {
        /// Points of A, a power of 2, 8 to 65,536.
        base_points: u64,
    },
}

impl Default for Design {
    fn default() -> Self {
        Design::Grid {}
    }
}

/// A point: what every axis sets.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// Its number, from 0.
    pub index: usize,
    /// What each axis sets.
    pub settings: Vec<Setting>,
    /// Where it is along each axis, from 0 up to 1.
    pub places: Vec<f64>,
}

impl Point {
    /// Paths and the values they are set to.
    pub fn overrides<'a>(&'a self, axes: &'a [Axis]) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let axes = axes.iter().zip(&self.settings);
        axes.flat_map(|(axis, setting)| axis.paths().into_iter().zip(setting))
    }

    /// What is set, in words: `a = 1, b = 2`.
    pub fn words(&self, axes: &[Axis]) -> String {
        let pairs = self
            .overrides(axes)
            .map(|(path, value)| format!("{path}={value}"));
        pairs.collect::<Vec<_>>().join(" ")
    }
}

impl Design {
    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Design::Grid {} => "grid",
            Design::LatinHypercube { .. } => "Latin hypercube",
            Design::Sobol { .. } => "Sobol sequence",
            Design::Saltelli { .. } => "Saltelli's design",
        }
    }

    /// How many points it has.
    pub fn count(&self, axes: &[Axis]) -> u64 {
        match *self {
            Design::Grid {} => axes
                .iter()
                .map(|axis| axis.levels().map_or(0, |levels| levels.len() as u64))
                .fold(1, u64::saturating_mul),
            Design::LatinHypercube { points } | Design::Sobol { points } => points,
            Design::Saltelli { base_points } => base_points.saturating_mul(axes.len() as u64 + 2),
        }
    }

    /// Notes everything that is wrong with it.
    pub fn check(&self, axes: &[Axis], problems: &mut Problems<'_>) {
        match *self {
            Design::Grid {} => {
                for (index, _) in axes.iter().enumerate().filter(|it| it.1.between.is_some()) {
                    let allowed = "needs a design that draws points: a grid has listed values only";
                    let remedy = "give `range` or `values`, or another [design]";
                    problems.push(&format!("axes.{index}.between"), "", allowed, remedy);
                }
            }
            Design::LatinHypercube { points } => {
                problems.int_in_range("design.points", points, 2, MOST_POINTS);
            }
            Design::Sobol { points } => {
                problems.int_in_range("design.points", points, 2, MOST_SOBOL);
            }
            Design::Saltelli { base_points } => {
                let fine = problems.int_in_range("design.base_points", base_points, 8, MOST_SOBOL);
                if fine && !base_points.is_power_of_two() {
                    let allowed = "must be a power of 2: only then is the sequence balanced";
                    let remedy = format!("make it {}", base_points.next_power_of_two());
                    problems.push("design.base_points", base_points, allowed, &remedy);
                }
            }
        }
        let count = self.count(axes);
        if problems.is_empty() && count > MOST_POINTS {
            let allowed = format!("makes more than {MOST_POINTS} points");
            let remedy = "take values away, or draw points: design.kind = \"sobol\"";
            problems.push("axes", count, &allowed, remedy);
        }
    }
}

/// The points of an experiment, in their order.
pub fn points(experiment: &Experiment) -> Vec<Point> {
    let axes = &experiment.axes;
    let places: Vec<Vec<f64>> = match experiment.design {
        Design::Grid {} => return grid(axes),
        Design::LatinHypercube { points } => latin_hypercube(axes.len(), points, experiment.seed),
        Design::Sobol { points } => {
            let row = |index| sobol_row(index, axes.len(), experiment.seed);
            (0..points).map(row).collect()
        }
        Design::Saltelli { base_points } => {
            let rows = (0..base_points).flat_map(|index| {
                let row = sobol_row(index, 2 * axes.len(), experiment.seed);
                let (a, b) = row.split_at(axes.len());
                let mixed = (0..axes.len()).map(|axis| {
                    let mut row = a.to_vec();
                    row[axis] = b[axis];
                    row
                });
                let own = [a.to_vec(), b.to_vec()];
                own.into_iter().chain(mixed.collect::<Vec<_>>())
            });
            rows.collect()
        }
    };
    let rows = places.into_iter().enumerate();
    let points = rows.map(|(index, places)| Point {
        index,
        settings: axes
            .iter()
            .zip(&places)
            .map(|(axis, place)| axis.at(*place))
            .collect(),
        places,
    });
    points.collect()
}

fn grid(axes: &[Axis]) -> Vec<Point> {
    let levels: Vec<Vec<Setting>> = axes
        .iter()
        .map(|axis| axis.levels().unwrap_or_default())
        .collect();
    let count: usize = levels.iter().map(Vec::len).product();
    let point = |index: usize| {
        let (mut settings, mut places) = (Vec::new(), Vec::new());
        let mut rest = index;
        for levels in levels.iter().rev() {
            let level = rest % levels.len();
            rest /= levels.len();
            settings.push(levels[level].clone());
            places.push(level as f64 / levels.len() as f64);
        }
        settings.reverse();
        places.reverse();
        Point {
            index,
            settings,
            places,
        }
    };
    (0..count).map(point).collect()
}

/// A row of the Sobol sequence. The generator has all dimensions that [`super::schema::MOST_AXES`] asks for.
fn sobol_row(index: u64, dimensions: usize, seed: u64) -> Vec<f64> {
    // Both are within their ranges by [`Design::check`] and [`Experiment::read`].
    let (index, seed) = (index as u32, seed as u32);
    let place = |dimension: usize| f64::from(sobol_burley::sample(index, dimension as u32, seed));
    (0..dimensions).map(place).collect()
}

fn latin_hypercube(axes: usize, points: u64, seed: u64) -> Vec<Vec<f64>> {
    let streams = Streams {
        seed,
        replication: 0,
    };
    let mut rows = vec![Vec::with_capacity(axes); points as usize];
    for axis in 0..axes {
        let mut rng = streams.stream("sweep", axis as u64, "latin hypercube");
        let mut order: Vec<u64> = (0..points).collect();
        order.shuffle(&mut rng);
        for (row, stretch) in rows.iter_mut().zip(order) {
            row.push((stretch as f64 + unit(&mut rng)) / points as f64);
        }
    }
    rows
}

/// A number from 0 up to 1.
fn unit(rng: &mut impl Rng) -> f64 {
    rng.random()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn experiment(design: &str, axes: usize) -> Experiment {
        let mut text = format!("name = 'x'\nscenario = 'x.toml'\ndesign = {design}\n");
        for axis in 0..axes {
            text += &format!("[[axes]]\npath = 'p{axis}'\nbetween = {{ low = 0, high = 1 }}\n");
        }
        text += "[[metrics]]\nname = 'm'\nmetric = 'm'\n";
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn a_grid_has_every_combination_once() {
        let mut experiment = experiment("{ kind = 'grid' }", 3);
        for (axis, count) in experiment.axes.iter_mut().zip([2, 3, 4]) {
            axis.between = None;
            axis.values = Some((0..count).map(Value::from).collect());
        }
        let points = points(&experiment);
        assert_eq!(experiment.design.count(&experiment.axes), 24);
        let mut all: Vec<String> = points.iter().map(|it| it.words(&experiment.axes)).collect();
        assert_eq!(all[1], "p0=0 p1=0 p2=1");
        assert_eq!(all[23], "p0=1 p1=2 p2=3");
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 24);
    }

    #[test]
    fn a_latin_hypercube_has_one_point_in_every_stretch() {
        let points = points(&experiment("{ kind = 'latin_hypercube', points = 37 }", 5));
        for axis in 0..5 {
            let mut stretches: Vec<u64> = points
                .iter()
                .map(|point| (point.places[axis] * 37.0) as u64)
                .collect();
            stretches.sort_unstable();
            assert_eq!(stretches, (0..37).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_sobol_sequence_is_even_along_each_axis_and_in_the_first_plane() {
        let points = points(&experiment("{ kind = 'sobol', points = 64 }", 8));
        for axis in 0..8 {
            let mut stretches: Vec<u64> = points
                .iter()
                .map(|point| (point.places[axis] * 64.0) as u64)
                .collect();
            stretches.sort_unstable();
            assert_eq!(stretches, (0..64).collect::<Vec<_>>());
        }
        // The first two dimensions are a (0, 6, 2)-net: every elementary box has one point.
        for bits in 0..=6 {
            let (wide, high) = (f64::from(1 << bits), f64::from(1 << (6 - bits)));
            let mut boxes: Vec<(u64, u64)> = points
                .iter()
                .map(|it| ((it.places[0] * wide) as u64, (it.places[1] * high) as u64))
                .collect();
            boxes.sort_unstable();
            boxes.dedup();
            assert_eq!(boxes.len(), 64, "boxes of {wide} by {high}");
        }
    }

    #[test]
    fn saltellis_points_differ_from_those_of_a_along_one_axis() {
        let experiment = experiment("{ kind = 'saltelli', base_points = 8 }", 3);
        let points = points(&experiment);
        assert_eq!(
            points.len() as u64,
            experiment.design.count(&experiment.axes)
        );
        for row in points.chunks(5) {
            let (a, b) = (&row[0].places, &row[1].places);
            for (axis, mixed) in row[2..].iter().enumerate() {
                for other in 0..3 {
                    let from = if other == axis { b } else { a };
                    assert_eq!(mixed.places[other], from[other]);
                }
            }
        }
    }
}
