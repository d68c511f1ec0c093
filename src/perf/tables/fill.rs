//! What a shape lacks between its measurements, after the example of its neighbours.
//!
//! Between two measurements of a shape others of its kind were measured: where they all rise above
//! the line between the same two points (a library changes its kernel at that number of rows, or
//! the work grows with the square), so does this one.

/// So many of the nearest neighbours are asked: few enough to be alike, and enough that one badly
/// chosen kernel does not decide.
const NEIGHBOURS: usize = 25;

/// A row of times at the points of an axis.
pub(super) trait Row {
    /// Weights of the measurements before a gap, the nearest first, and of those after it, by each
    /// of which [`Row::level`] may be taken.
    const LEVELS: &'static [&'static [f64]];

    /// The times; NaN where nothing was measured.
    fn times(&self) -> &[f64];

    /// The time at a place by the line between two measurements, as it is read where nobody knows
    /// better.
    fn line(&self, ends: [usize; 2], at: usize) -> f64;

    /// The time at a place where it is worked as well as at some measurements, by their weights,
    /// which are 1 together.
    fn level(&self, points: &[(usize, f64)], at: usize) -> f64;
}

/// The times of a row, the gaps between its measurements filled after the example of other rows,
/// each with how far it is: with each 1 more it counts for e times less. None where there is no gap;
/// what lies before the first measurement or after the last stays empty.
pub(super) fn filled<R: Row>(own: &R, neighbours: impl Fn() -> Vec<(f64, R)>) -> Option<Vec<f64>> {
    let gaps = gaps(own.times());
    if gaps.is_empty() {
        return None;
    }
    let mut nearest = neighbours();
    nearest.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut whole = own.times().to_vec();
    for gap in gaps {
        whole[gap.at] = gap.time(own, &nearest);
    }
    Some(whole)
}

/// A place between measurements that has none.
struct Gap {
    at: usize,
    /// The places measured before it, the nearest first.
    before: Vec<usize>,
    /// Those after it.
    after: Vec<usize>,
}

impl Gap {
    /// The time here: what the row itself says, times what neighbours usually take over what they
    /// say by themselves. Of the ways to say it the one by which neighbours agree best is taken:
    /// where single measurements are off by chance, more of them say more.
    fn time<R: Row>(&self, own: &R, nearest: &[(f64, R)]) -> f64 {
        let ends = [self.before[0], self.after[0]];
        let line = |row: &R| row.line(ends, self.at);
        let mut best = self.usual(nearest, &ends, line);
        let mut read = line(own);
        for weights in R::LEVELS {
            let points = self.points(weights);
            let places: Vec<usize> = points.iter().map(|(place, _)| *place).collect();
            let level = |row: &R| row.level(&points, self.at);
            let found = self.usual(nearest, &places, level);
            if found.1 < best.1 {
                (best, read) = (found, level(own));
            }
        }
        read * best.0
    }

    /// The measurements around, with their weights.
    fn points(&self, weights: &[f64]) -> Vec<(usize, f64)> {
        let side = |places: &[usize]| -> Vec<(usize, f64)> {
            let pairs = places.iter().zip(weights);
            pairs.map(|(place, weight)| (*place, *weight)).collect()
        };
        let mut points = side(&self.before);
        points.extend(side(&self.after));
        let sum: f64 = points.iter().map(|(_, weight)| weight).sum();
        for (_, weight) in &mut points {
            *weight /= sum;
        }
        points
    }

    /// The median of what neighbours take here over what is read of them, the nearer counting more,
    /// and the mean distance from it in logarithms: how far they disagree. 1, and no limit to it,
    /// where no neighbour was measured here and at the places that are read.
    fn usual<R: Row>(
        &self,
        nearest: &[(f64, R)],
        places: &[usize],
        read: impl Fn(&R) -> f64,
    ) -> (f64, f64) {
        let ratio = |(far, other): &(f64, R)| {
            let times = other.times();
            let measured = |place: &usize| times.get(*place).is_some_and(|us| us.is_finite());
            let all = measured(&self.at) && places.iter().all(measured);
            all.then(|| (times[self.at] / read(other), (-far).exp()))
        };
        let found = nearest.iter().filter_map(ratio).take(NEIGHBOURS);
        let mut ratios: Vec<(f64, f64)> = found.collect();
        if ratios.is_empty() {
            return (1.0, f64::INFINITY);
        }
        ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
        let usual = weighted_median(&ratios);
        let apart = ratios.iter().map(|(ratio, _)| (ratio / usual).ln().abs());
        (usual, apart.sum::<f64>() / ratios.len() as f64)
    }
}

/// The value at which half of the weight is reached; values are sorted.
fn weighted_median(sorted: &[(f64, f64)]) -> f64 {
    let half = sorted.iter().map(|(_, weight)| weight).sum::<f64>() / 2.0;
    let mut reached = 0.0;
    for (value, weight) in sorted {
        reached += weight;
        if reached >= half {
            return *value;
        }
    }
    sorted.last().map_or(1.0, |(value, _)| *value)
}

/// The places between measurements that have none.
fn gaps(times: &[f64]) -> Vec<Gap> {
    let measured: Vec<usize> = (0..times.len())
        .filter(|at| times[*at].is_finite())
        .collect();
    let (Some(first), Some(last)) = (measured.first(), measured.last()) else {
        return Vec::new();
    };
    let empty = (*first..*last).filter(|at| !times[*at].is_finite());
    empty
        .map(|at| {
            let (before, after) = measured.split_at(measured.partition_point(|it| *it < at));
            Gap {
                at,
                before: before.iter().rev().copied().collect(),
                after: after.to_vec(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: [f64; 4] = [1.0, 2.0, 4.0, 8.0];

    struct Straight<'a>(&'a [f64]);

    impl Row for Straight<'_> {
        const LEVELS: &'static [&'static [f64]] = &[];

        fn times(&self) -> &[f64] {
            self.0
        }

        fn line(&self, [a, b]: [usize; 2], at: usize) -> f64 {
            self.0[a] + (self.0[b] - self.0[a]) * (X[at] - X[a]) / (X[b] - X[a])
        }

        fn level(&self, points: &[(usize, f64)], _: usize) -> f64 {
            points
                .iter()
                .map(|(place, weight)| weight * self.0[*place])
                .sum()
        }
    }

    /// The same, whose level is read by two measurements on either side, too.
    struct Level<'a>(Straight<'a>);

    impl Row for Level<'_> {
        const LEVELS: &'static [&'static [f64]] = &[&[0.5, 0.5]];

        fn times(&self) -> &[f64] {
            self.0.times()
        }

        fn line(&self, ends: [usize; 2], _: usize) -> f64 {
            (self.0.0[ends[0]] + self.0.0[ends[1]]) / 2.0
        }

        fn level(&self, points: &[(usize, f64)], at: usize) -> f64 {
            self.0.level(points, at)
        }
    }

    #[test]
    fn a_gap_follows_the_line_where_nobody_knows_better() {
        let none = Vec::new;
        let whole = filled(&Straight(&[1.0, f64::NAN, 4.0, f64::NAN]), none).unwrap();
        assert_eq!(whole[1], 2.0);
        // After the last measurement nothing is made up.
        assert!(whole[3].is_nan());
        assert!(filled(&Straight(&[1.0, 2.0, 4.0, f64::NAN]), none).is_none());
        assert!(filled(&Straight(&[f64::NAN; 4]), none).is_none());
    }

    #[test]
    fn a_gap_follows_the_median_of_the_nearest() {
        // All of them take half more at the second point than the line says, but one.
        let [a, b, c] = [
            [2.0, 6.0, 8.0, 9.0],
            [1.0, 3.0, 4.0, 9.0],
            [1.0, 80.0, 4.0, 9.0],
        ];
        let own = [10.0, f64::NAN, 40.0, 80.0];
        let others = |far: [f64; 3]| {
            let each = far.into_iter().zip([&a, &b, &c]);
            each.map(|(far, row)| (far, Straight(row))).collect()
        };
        let whole = filled(&Straight(&own), || others([0.1, 0.2, 0.3])).unwrap();
        assert_eq!(whole[1], 20.0 * 1.5);
        assert_eq!([whole[0], whole[2], whole[3]], [10.0, 40.0, 80.0]);
        // One that is very near counts more than two that are far.
        let whole = filled(&Straight(&own), || others([3.0, 3.0, 0.1])).unwrap();
        assert_eq!(whole[1], 20.0 * 40.0);
    }

    #[test]
    fn where_single_measurements_are_off_more_of_them_are_read() {
        // Of each row one measurement beside the gap is off, another one of each.
        let rows = [
            [1.0, 2.0, 1.0, 1.0, 1.0],
            [1.0, 1.0, 1.0, 2.0, 1.0],
            [1.0, 0.5, 1.0, 1.0, 1.0],
        ];
        let others = || rows.iter().map(|row| (0.0, Level(Straight(row)))).collect();
        let own = [1.0, 1.0, f64::NAN, 3.0, 1.0];
        let whole = filled(&Level(Straight(&own)), others).unwrap();
        // By two the line would be 2, and by four it is 1.5; neighbours take 0.8 of that.
        assert!((whole[2] - 1.5 * 0.8).abs() < 1e-12, "{whole:?}");
    }

    #[test]
    fn weighted_medians_are_where_half_is_reached() {
        assert_eq!(weighted_median(&[(1.0, 1.0), (2.0, 1.0), (3.0, 1.0)]), 2.0);
        assert_eq!(weighted_median(&[(1.0, 5.0), (2.0, 1.0), (3.0, 1.0)]), 1.0);
        assert_eq!(weighted_median(&[(7.0, 1e-300)]), 7.0);
    }
}
