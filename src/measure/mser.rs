//! Where the warm-up of a run ends: MSER-5.

/// Observations in a batch at first.
const BATCH: u64 = 5;
/// Batches kept at most; reaching this many, pairs merge.
const MOST: usize = 8192;
/// Batches below which nothing is said.
const LEAST: usize = 10;

/// The truncation rule MSER-5 (White, "An effective truncation heuristic for bias reduction in
/// simulation output", Simulation 69(6), 1997): of the means of batches of 5, delete as many at
/// the start as make the standard error of the mean of the rest least.
///
/// Memory is bounded: at 8192 batches neighbours merge, so that over 40 960 observations the
/// batches hold 10, 20, ... observations.
#[derive(Debug, Clone)]
pub struct Mser5 {
    means: Vec<f64>,
    size: u64,
    open_sum: f64,
    open_count: u64,
}

/// What MSER-5 says of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mser5Result {
    /// Observations at the start that belong to the warm-up.
    pub observations_to_delete: u64,
    /// False when the series is too short to say: fewer than 10 batches, or the best truncation
    /// found in the first half is at its end.
    pub converged: bool,
}

impl Default for Mser5 {
    fn default() -> Mser5 {
        Mser5 {
            means: Vec::new(),
            size: BATCH,
            open_sum: 0.0,
            open_count: 0,
        }
    }
}

impl Mser5 {
    /// No observations.
    pub fn new() -> Mser5 {
        Mser5::default()
    }

    /// Takes the next observation, in any unit; it must be finite.
    #[inline]
    pub fn push(&mut self, value: f64) {
        debug_assert!(value.is_finite());
        self.open_sum += value;
        self.open_count += 1;
        if self.open_count == self.size {
            self.close();
        }
    }

    /// Observations taken.
    pub fn count(&self) -> u64 {
        self.means.len() as u64 * self.size + self.open_count
    }

    /// How many observations to delete at the start. Observations short of a last batch are
    /// not looked at; of equally good truncations the shortest is taken.
    pub fn truncation(&self) -> Mser5Result {
        let batches = self.means.len();
        if batches < LEAST {
            return Mser5Result {
                observations_to_delete: 0,
                converged: false,
            };
        }
        let half = batches / 2;
        let (mut best, mut least) = (half, f64::INFINITY);
        // From the end to the start, with the mean and the sum of squares of what is kept.
        let (mut kept, mut mean, mut squares) = (0.0, 0.0, 0.0);
        for (start, value) in self.means.iter().enumerate().rev() {
            kept += 1.0;
            let apart = value - mean;
            mean += apart / kept;
            squares += apart * (value - mean);
            let error = squares / (kept * kept);
            if start <= half && error <= least {
                least = error;
                best = start;
            }
        }
        Mser5Result {
            observations_to_delete: best as u64 * self.size,
            converged: best < half,
        }
    }

    #[cold]
    fn close(&mut self) {
        self.means.push(self.open_sum / self.size as f64);
        self.open_sum = 0.0;
        self.open_count = 0;
        if self.means.len() == MOST {
            let pairs = self.means.chunks_exact(2);
            self.means = pairs.map(|pair| (pair[0] + pair[1]) / 2.0).collect();
            self.size *= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ripple(i: u64) -> f64 {
        // A fixed scatter between -1 and 1.
        (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }

    #[test]
    fn an_obvious_transient_goes() {
        let mut mser = Mser5::new();
        for i in 0..2000 {
            let transient = if i < 300 { 50.0 } else { 0.0 };
            mser.push(100.0 + transient + ripple(i));
        }
        let result = mser.truncation();
        assert!(result.converged);
        let deleted = result.observations_to_delete;
        assert!((300..=400).contains(&deleted), "{deleted}");
    }

    #[test]
    fn a_decaying_transient_goes() {
        let mut mser = Mser5::new();
        for i in 0..10_000 {
            mser.push(10.0 - 10.0 * (-(i as f64) / 200.0).exp() + ripple(i));
        }
        let result = mser.truncation();
        assert!(result.converged);
        assert!((300..=2000).contains(&result.observations_to_delete));
    }

    #[test]
    fn a_steady_series_keeps_everything() {
        let mut mser = Mser5::new();
        for _ in 0..1000 {
            mser.push(3.0);
        }
        let result = mser.truncation();
        assert_eq!((result.observations_to_delete, result.converged), (0, true));
    }

    #[test]
    fn a_trend_does_not_converge() {
        let mut mser = Mser5::new();
        for i in 0..1000 {
            mser.push(f64::from(i));
        }
        let result = mser.truncation();
        assert_eq!(
            (result.observations_to_delete, result.converged),
            (500, false)
        );
    }

    #[test]
    fn too_short_a_series_does_not_converge() {
        let mut mser = Mser5::new();
        for _ in 0..49 {
            mser.push(1.0);
        }
        assert!(!mser.truncation().converged);
        assert_eq!(mser.count(), 49);
    }

    #[test]
    fn a_long_series_stays_bounded() {
        let mut mser = Mser5::new();
        for i in 0..500_000 {
            let transient = if i < 20_000 { 5.0 } else { 0.0 };
            mser.push(transient + ripple(i));
        }
        assert!(mser.means.len() < MOST);
        assert_eq!(mser.count(), 500_000);
        let result = mser.truncation();
        assert!(result.converged);
        assert!((20_000..21_000).contains(&result.observations_to_delete));
    }
}
