//! Which points are to be run: of points that set the same, one is run for all.

use std::collections::BTreeMap;

use super::design::Point;
use super::journal::Points;
use super::point::Found;

/// Points to be run, each with the points that set the same and so are found with it. Designs that
/// draw points may draw one twice where axes have few values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pending(BTreeMap<usize, Vec<usize>>);

impl Pending {
    /// What is to be run of the points of the given numbers, and what is known without running it:
    /// points that set what one that is there sets.
    pub fn of(points: &[Point], mine: &[usize], there: &Points) -> (Pending, Vec<(usize, Found)>) {
        let mut known: BTreeMap<String, &Found> = BTreeMap::new();
        for (index, found) in there {
            if let Some(point) = points.get(*index) {
                known.insert(settings(point), found);
            }
        }
        let mut firsts: BTreeMap<String, usize> = BTreeMap::new();
        let mut pending = Pending::default();
        let mut copies = Vec::new();
        for index in mine.iter().filter(|index| !there.contains_key(index)) {
            let set = settings(&points[*index]);
            if let Some(found) = known.get(&set) {
                copies.push((*index, (*found).clone()));
                continue;
            }
            let first = *firsts.entry(set).or_insert(*index);
            let others = pending.0.entry(first).or_default();
            if first != *index {
                others.push(*index);
            }
        }
        (pending, copies)
    }

    /// How many are to be run.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many more are found with them.
    pub fn others(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// The points to be run, in their order.
    pub fn points(&self) -> impl Iterator<Item = usize> {
        self.0.keys().copied()
    }

    /// What was found at a point, for every point that it is found for.
    pub fn found(&self, index: usize, found: &Found) -> Vec<(usize, Found)> {
        let others = self.0.get(&index).into_iter().flatten().copied();
        let all = std::iter::once(index).chain(others);
        all.map(|index| (index, found.clone())).collect()
    }
}

/// What a point sets, as text.
fn settings(point: &Point) -> String {
    // Plain values always serialise.
    serde_json::to_string(&point.settings).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn points(values: &[u64]) -> Vec<Point> {
        let point = |(index, value): (usize, &u64)| Point {
            index,
            settings: vec![vec![json!(value)]],
            places: vec![0.5],
        };
        values.iter().enumerate().map(point).collect()
    }

    fn found(digest: &str) -> Found {
        Found {
            digest: digest.to_owned(),
            exact: false,
            partial: None,
            metrics: Vec::new(),
        }
    }

    #[test]
    fn of_points_that_set_the_same_one_is_run() {
        let points = points(&[1, 2, 1, 3, 2, 1]);
        let there = Points::from([(1, found("b"))]);
        let (pending, copies) = Pending::of(&points, &[0, 1, 2, 3, 4, 5], &there);
        assert_eq!(copies, [(4, found("b"))]);
        assert_eq!(pending.points().collect::<Vec<_>>(), [0, 3]);
        assert_eq!((pending.len(), pending.others()), (2, 2));
        let all = [(0, found("a")), (2, found("a")), (5, found("a"))];
        assert_eq!(pending.found(0, &found("a")), all);
        assert_eq!(pending.found(3, &found("c")), [(3, found("c"))]);
    }

    #[test]
    fn points_of_other_shards_are_not_found_here() {
        let (pending, copies) = Pending::of(&points(&[1, 1, 1]), &[1], &Points::new());
        assert!(copies.is_empty());
        assert_eq!(pending.found(1, &found("a")), [(1, found("a"))]);
    }
}
