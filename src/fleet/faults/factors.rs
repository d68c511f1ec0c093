//! Factors that come and go.

use smallvec::SmallVec;

/// The factors in force, sorted, so that their product depends on which they are and not on the
/// order in which they came. Nothing is divided out: a factor that goes leaves no rounding behind.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Factors(SmallVec<[f64; 2]>);

impl Factors {
    /// Adds a factor.
    pub(super) fn add(&mut self, factor: f64) {
        let at = self.0.partition_point(|other| *other < factor);
        self.0.insert(at, factor);
    }

    /// Takes one of that value away, if there is one.
    pub(super) fn remove(&mut self, factor: f64) {
        if let Some(at) = self.0.iter().position(|other| *other == factor) {
            self.0.remove(at);
        }
    }

    /// The product, 1 of none.
    pub(super) fn product(&self) -> f64 {
        self.0.iter().product()
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
