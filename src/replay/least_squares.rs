//! Robust least squares over blocks: normal equations, steps within bounds, and how far estimates
//! move when other blocks had been observed.

use nalgebra::{DMatrix, DVector};
use rand::RngExt;
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::engine::Streams;

/// Residuals above so many standard deviations count by their size rather than by its square
/// (P. J. Huber, *Robust Estimation of a Location Parameter*, Ann. Math. Stat. 35, 1964).
const HUBER: f64 = 2.5;
/// Draws of the bootstrap.
const DRAWS: usize = 400;

/// A block of residuals (observed less simulated), in standard deviations; what is not known is 0.
pub type Residuals = Vec<Vec<f64>>;

/// The sum over all residuals of Huber's loss.
pub fn loss(residuals: &Residuals) -> f64 {
    let one = |z: &f64| match z.abs() {
        small if small <= HUBER => 0.5 * z * z,
        large => HUBER * (large - 0.5 * HUBER),
    };
    residuals.iter().flatten().map(one).sum()
}

/// How much the loss moves with residuals, squared, over all of them: each by its size, up to where it counts
/// by that rather than by its square.
pub fn squares(residuals: &Residuals) -> f64 {
    let all = residuals.iter().flatten();
    all.map(|z| z.abs().min(HUBER).powi(2)).sum()
}

fn huber_weight(z: f64) -> f64 {
    if z.abs() <= HUBER {
        1.0
    } else {
        HUBER / z.abs()
    }
}

/// The normal equations of each block: of a linear model of the residuals around a place.
pub struct Normal {
    blocks: Vec<(DMatrix<f64>, DVector<f64>)>,
    unknowns: usize,
}

impl Normal {
    /// `slopes[unknown]` is how the simulated side moves with each unknown, laid out as residuals.
    pub fn new(residuals: &Residuals, slopes: &[Residuals]) -> Normal {
        let unknowns = slopes.len();
        let blocks = residuals.iter().enumerate().map(|(block, row)| {
            let mut a = DMatrix::zeros(unknowns, unknowns);
            let mut g = DVector::zeros(unknowns);
            for (at, z) in row.iter().enumerate() {
                let weight = huber_weight(*z);
                for i in 0..unknowns {
                    let slope = slopes[i][block][at];
                    g[i] += weight * slope * z;
                    for j in 0..unknowns {
                        a[(i, j)] += weight * slope * slopes[j][block][at];
                    }
                }
            }
            (a, g)
        });
        Normal {
            blocks: blocks.collect(),
            unknowns,
        }
    }

    fn sum(&self, count: impl Fn(usize) -> f64) -> (DMatrix<f64>, DVector<f64>) {
        let mut a = DMatrix::zeros(self.unknowns, self.unknowns);
        let mut g = DVector::zeros(self.unknowns);
        for (block, (block_a, block_g)) in self.blocks.iter().enumerate() {
            a += block_a * count(block);
            g += block_g * count(block);
        }
        (a, g)
    }

    /// The step of Levenberg and Marquardt from `place` (each unknown 0 to 1), within the bounds.
    pub fn step(&self, place: &[f64], damping: f64) -> Vec<f64> {
        let (a, g) = self.sum(|_| 1.0);
        let mut free: Vec<usize> = (0..self.unknowns)
            // At a bound, and pressed against it.
            .filter(|i| !(place[*i] <= 0.0 && g[*i] < 0.0 || place[*i] >= 1.0 && g[*i] > 0.0))
            .collect();
        let mut delta = vec![0.0; self.unknowns];
        free.retain(|i| a[(*i, *i)] > 1e-12);
        if free.is_empty() {
            return delta;
        }
        let size = free.len();
        let mut part = DMatrix::from_fn(size, size, |i, j| a[(free[i], free[j])]);
        for i in 0..size {
            part[(i, i)] *= 1.0 + damping;
        }
        let right = DVector::from_fn(size, |i, _| g[free[i]]);
        if let Some(solution) = solve(part, &right) {
            for (i, unknown) in free.iter().enumerate() {
                // No further than a quarter of the range: the model is linear nearby.
                delta[*unknown] = solution[i].clamp(-0.25, 0.25);
            }
        }
        delta
    }

    /// Where the estimates might as well be: other blocks drawn with replacement, the linear model
    /// solved again (B. Efron, Annals of Statistics 7, 1979), the moves widened for few blocks by
    /// Student's t. A row for each draw.
    pub fn moves(&self, streams: Streams) -> Vec<Vec<f64>> {
        let count = self.blocks.len();
        let spare = count.saturating_sub(self.unknowns).max(1) as f64;
        let wide = (count as f64 / spare).sqrt() * widening(spare);
        let mut rng = streams.stream("replay", 0, "bootstrap");
        (0..DRAWS)
            .map(|_| {
                let mut drawn = vec![0.0; count];
                for _ in 0..count {
                    drawn[rng.random_range(0..count)] += 1.0;
                }
                let (mut a, g) = self.sum(|block| drawn[block]);
                let ridge = 1e-9 * a.trace().max(1e-9);
                for i in 0..self.unknowns {
                    a[(i, i)] += ridge;
                }
                let moved = solve(a, &g);
                let moved = moved.unwrap_or_else(|| DVector::zeros(self.unknowns));
                moved.iter().map(|by| by * wide).collect()
            })
            .collect()
    }

    /// Whether nothing depends on an unknown.
    pub fn is_idle(&self, unknown: usize) -> bool {
        let (a, _) = self.sum(|_| 1.0);
        a[(unknown, unknown)] <= 1e-12
    }

    /// How much two unknowns stand for one another, -1 to 1: the correlation of their errors.
    pub fn correlation(&self, i: usize, j: usize) -> f64 {
        let (mut a, _) = self.sum(|_| 1.0);
        let ridge = 1e-12 * a.trace().max(1e-12);
        for k in 0..self.unknowns {
            a[(k, k)] += ridge;
        }
        let inverse = a.try_inverse();
        inverse.map_or(1.0, |it| it[(i, j)] / (it[(i, i)] * it[(j, j)]).sqrt())
    }
}

fn solve(a: DMatrix<f64>, right: &DVector<f64>) -> Option<DVector<f64>> {
    let found = a.cholesky()?.solve(right);
    found.iter().all(|value| value.is_finite()).then_some(found)
}

/// How much wider Student's t is than the normal distribution, at 95 %.
fn widening(freedom: f64) -> f64 {
    let t = StudentsT::new(0.0, 1.0, freedom);
    t.map_or(1.0, |t| t.inverse_cdf(0.975) / 1.959_964)
}
