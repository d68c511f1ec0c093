//! The exact likelihood of gaps under a Markov-modulated Poisson process.

use super::hidden::Chain;

/// Terms of the exponential's series after scaling to a norm of at most a half.
const TERMS: usize = 14;

/// Logarithm of the likelihood of gaps (seconds): with generator `Q` and rates `R`, a gap `g` takes
/// the row vector of probabilities by `exp((Q - R) g) R` (Fischer and Meier-Hellstern 1993).
pub fn log_likelihood(chain: &Chain, gaps: &[f64]) -> f64 {
    let states = chain.rates.len();
    let mut generator = vec![0.0; states * states];
    for from in 0..states {
        for to in 0..states {
            generator[from * states + to] = match from == to {
                true => -1.0 / chain.stays[from] - chain.rates[from],
                false => chain.next[from][to] / chain.stays[from],
            };
        }
    }
    // An arrival finds a state in proportion to its time and its rate.
    let shares = chain.shares();
    let mut now: Vec<f64> = shares
        .iter()
        .zip(&chain.rates)
        .map(|(s, r)| s * r)
        .collect();
    normalise(&mut now);
    let mut total = 0.0;
    for gap in gaps {
        let passed = exponential(&generator, states, *gap);
        let into = |to: usize| {
            let ways = (0..states).map(|from| now[from] * passed[from * states + to]);
            ways.sum::<f64>() * chain.rates[to]
        };
        now = (0..states).map(into).collect();
        total += normalise(&mut now);
    }
    total
}

/// Makes shares of numbers; the logarithm of their sum.
fn normalise(shares: &mut [f64]) -> f64 {
    let sum = shares.iter().sum::<f64>();
    if sum.is_nan() || sum <= 1e-290 {
        // So unlikely that the numbers run out: all states may follow.
        let count = shares.len() as f64;
        shares.fill(1.0 / count);
        return 1e-290_f64.ln();
    }
    shares.iter_mut().for_each(|share| *share /= sum);
    sum.ln()
}

/// `exp(matrix time)` by scaling and squaring.
fn exponential(matrix: &[f64], size: usize, time: f64) -> Vec<f64> {
    let row = |row: usize| {
        let row = &matrix[row * size..(row + 1) * size];
        row.iter().map(|x| x.abs()).sum::<f64>()
    };
    let norm = (0..size).map(row).fold(0.0, f64::max) * time;
    let squarings = match norm > 0.5 {
        true => (norm / 0.5).log2().ceil().min(60.0) as i32,
        false => 0,
    };
    let scale = time / 2.0_f64.powi(squarings);
    let scaled: Vec<f64> = matrix.iter().map(|x| x * scale).collect();
    let mut sum = identity(size);
    let mut term = identity(size);
    for n in 1..=TERMS {
        term = product(&term, &scaled, size);
        term.iter_mut().for_each(|x| *x /= n as f64);
        sum.iter_mut().zip(&term).for_each(|(s, t)| *s += t);
    }
    for _ in 0..squarings {
        sum = product(&sum, &sum, size);
    }
    sum
}

fn identity(size: usize) -> Vec<f64> {
    let one = |index: usize| f64::from(u8::from(index / size == index % size));
    (0..size * size).map(one).collect()
}

fn product(a: &[f64], b: &[f64], size: usize) -> Vec<f64> {
    let mut out = vec![0.0; size * size];
    for row in 0..size {
        for through in 0..size {
            let left = a[row * size + through];
            for column in 0..size {
                out[row * size + column] += left * b[through * size + column];
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_rate_is_poisson() {
        let chain = Chain {
            rates: vec![2.0, 2.0],
            stays: vec![1.0, 5.0],
            next: vec![vec![0.0, 1.0], vec![1.0, 0.0]],
        };
        let gaps = [0.1, 3.0, 0.0, 40.0];
        let exact: f64 = gaps.iter().map(|gap| 2.0_f64.ln() - 2.0 * gap).sum();
        assert!((log_likelihood(&chain, &gaps) - exact).abs() < 1e-9);
    }
}
