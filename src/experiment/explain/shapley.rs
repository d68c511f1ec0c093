//! Shapley values from runs with sets of parts taken out. A set is a number whose bits are its parts.
//!
//! Parts are taken out in two stages: those of the second only when all of the first are out. Within a
//! stage all orders count alike (the ordered coalitions of Kalai and Samet, International Journal of
//! Game Theory 16, 1987).

use std::collections::BTreeSet;

/// The parts of each stage, by their bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stages {
    /// Taken out first.
    pub first: u32,
    /// Taken out when all of the first are.
    pub second: u32,
}

impl Stages {
    /// All parts.
    pub fn all(self) -> u32 {
        self.first | self.second
    }

    /// The sets that must be run: those that shares rest on, and each part alone.
    pub fn sets(self) -> Vec<u32> {
        let all = 0..=self.all();
        let needed = all.filter(|set| {
            let early = set & !self.first == 0;
            let late = set & self.first == self.first && set & !self.all() == 0;
            let alone = set & !self.all() == 0 && set.count_ones() == 1;
            early || late || alone
        });
        needed.collect::<BTreeSet<u32>>().into_iter().collect()
    }

    /// What a part is responsible for: how much less the figure is without it, over all orders.
    /// `value(set)` is the figure without a set.
    pub fn share(self, part: u32, value: &dyn Fn(u32) -> f64) -> f64 {
        let bit = 1_u32 << part;
        let (stage, before) = match self.first & bit != 0 {
            true => (self.first, 0),
            false => (self.second, self.first),
        };
        let count = stage.count_ones() as usize;
        let sets = (0..=stage).filter(|set| set & !stage == 0 && set & bit == 0);
        let terms = sets.map(|set| {
            let size = set.count_ones() as usize;
            weight(count, size) * (value(before | set) - value(before | set | bit))
        });
        terms.sum()
    }
}

/// `|S|! (n - |S| - 1)! / n!`, which is 1 over n times the binomial coefficient of n - 1 over |S|.
fn weight(parts: usize, size: usize) -> f64 {
    let mut choose = 1.0;
    for index in 0..size {
        choose *= (parts - 1 - index) as f64 / (index + 1) as f64;
    }
    1.0 / (parts as f64 * choose)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three parts: 5 for the first, 3 for the second whatever else is out; 8 for the second and
    /// third only where both are.
    fn figure(set: u32) -> f64 {
        let out = |part: u32| set & (1 << part) != 0;
        let mut value = 100.0;
        value -= if out(0) { 5.0 } else { 0.0 };
        value -= if out(1) { 3.0 } else { 0.0 };
        value - if out(1) && out(2) { 8.0 } else { 0.0 }
    }

    fn shares(first: u32, second: u32) -> Vec<f64> {
        let stages = Stages { first, second };
        let sets = stages.sets();
        let value = |set: u32| {
            assert!(sets.contains(&set), "{set} is not run");
            figure(set)
        };
        (0..3).map(|part| stages.share(part, &value)).collect()
    }

    #[test]
    fn shares_are_those_of_the_definition_and_add_up() {
        for (first, second, expected) in [
            (0b111, 0, [5.0, 7.0, 4.0]),
            (0, 0b111, [5.0, 7.0, 4.0]),
            // What needs both goes to the one that is taken out last.
            (0b011, 0b100, [5.0, 3.0, 8.0]),
            (0b100, 0b011, [5.0, 11.0, 0.0]),
        ] {
            let found = shares(first, second);
            for (share, expected) in found.iter().zip(expected) {
                assert!((share - expected).abs() < 1e-12, "{found:?} {expected}");
            }
        }
    }

    #[test]
    fn no_more_is_run_than_is_needed() {
        assert_eq!(
            Stages {
                first: 0b111,
                second: 0
            }
            .sets()
            .len(),
            8
        );
        let stages = Stages {
            first: 0b1100,
            second: 0b0011,
        };
        // Four early ones, three more late ones, two alone.
        assert_eq!(stages.sets(), [0, 1, 2, 4, 8, 12, 13, 14, 15]);
    }
}
