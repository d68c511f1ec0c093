//! Fits engine overheads to measured means of time to first token and time per output token.
//!
//! The search goes along one coordinate at a time over a grid, looks around where no step along
//! either helps, and stops where nothing near is better. The loss is the absolute error of logarithms, cut off at a factor of e, so that a
//! few wild rows do not lead. It draws nothing at random, and gives the same result on any number
//! of threads.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::overheads::Overheads;

/// Overheads per iteration that are tried, microseconds.
pub const FIXED_US: [f64; 14] = [
    0.0, 100.0, 250.0, 500.0, 750.0, 1_000.0, 1_500.0, 2_000.0, 2_500.0, 3_000.0, 4_000.0, 5_000.0,
    6_500.0, 8_000.0,
];
/// Overheads per sequence that are tried, microseconds.
pub const PER_SEQ_US: [f64; 10] = [0.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 65.0, 100.0];
/// Overheads per request that are tried, milliseconds.
pub const PER_REQUEST_MS: [f64; 16] = [
    0.0, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 45.0, 65.0, 100.0, 150.0, 250.0, 400.0,
];

/// Overheads per 1,000 prompt tokens that are tried, milliseconds.
pub const PER_1K_TOKENS_MS: [f64; 8] = [0.0, 1.0, 2.0, 4.0, 8.0, 12.0, 20.0, 35.0];

/// What an error of the time to first token counts against one of the time per output token when
/// the overheads of iterations are sought; it decides the overhead per request alone.
const TTFT_WEIGHT: f64 = 0.25;

/// A mean time to first token and a mean time per output token, milliseconds.
pub type Pair = (f64, f64);

/// Simulates row `index` in a variant of it with overheads per iteration and per sequence, and none
/// per request.
pub type Simulate<'a> = dyn Fn(usize, usize, f64, f64) -> Option<Pair> + Sync + 'a;

/// A place on the grid of overheads per iteration and per sequence.
type Place = (usize, usize);

/// Rows to fit to, with what was simulated of them so far: folds share it.
pub struct Fitter<'a> {
    measured: &'a [Pair],
    /// Thousands of tokens of the mean prompt.
    prompts: &'a [f64],
    simulate: &'a Simulate<'a>,
    known: BTreeMap<(usize, usize, Place), Option<Pair>>,
    /// Which variant each row is simulated in.
    variants: Vec<usize>,
}

impl<'a> Fitter<'a> {
    /// Rows by what was measured of them and the thousands of tokens of their prompts, and how to simulate one.
    pub fn new(measured: &'a [Pair], prompts: &'a [f64], simulate: &'a Simulate<'a>) -> Fitter<'a> {
        Fitter {
            measured,
            prompts,
            simulate,
            known: BTreeMap::new(),
            variants: vec![0; measured.len()],
        }
    }

    /// Puts some rows into a variant.
    pub fn set_variant(&mut self, rows: &[usize], variant: usize) {
        for row in rows {
            if let Some(own) = self.variants.get_mut(*row) {
                *own = variant;
            }
        }
    }

    /// The overheads that fit some of the rows best, and the loss there.
    pub fn fit(&mut self, rows: &[usize]) -> (Overheads, f64) {
        let (at, loss) = self.place(rows);
        (self.overheads(rows, at), loss)
    }

    /// The overheads of a place, with the overhead per request that fits some of the rows best.
    pub fn overheads(&self, rows: &[usize], at: Place) -> Overheads {
        let ((per_request_ms, per_1k_tokens_ms), _) = self.per_request(rows, at);
        Overheads {
            fixed_us: FIXED_US[at.0],
            per_seq_us: PER_SEQ_US[at.1],
            per_request_ms,
            per_1k_tokens_ms,
        }
    }

    /// The place that fits some of the rows best, and the loss there.
    pub fn place(&mut self, rows: &[usize]) -> (Place, f64) {
        let mut at = (3, 2);
        let mut best = self.loss(rows, at);
        loop {
            let before = at;
            let along_fixed = (0..FIXED_US.len()).map(|fixed| (fixed, at.1));
            (at, best) = self.best_of(rows, along_fixed.collect(), (at, best));
            let along_per_seq = (0..PER_SEQ_US.len()).map(|per_seq| (at.0, per_seq));
            (at, best) = self.best_of(rows, along_per_seq.collect(), (at, best));
            if at == before {
                // More of one makes up for less of the other: look across the valley, too.
                let near =
                    |index: usize, most: usize| index.saturating_sub(3)..(index + 4).min(most);
                let around = near(at.0, FIXED_US.len()).flat_map(|fixed| {
                    near(at.1, PER_SEQ_US.len()).map(move |per_seq| (fixed, per_seq))
                });
                (at, best) = self.best_of(rows, around.collect(), (at, best));
            }
            if at == before {
                break;
            }
        }
        (at, best)
    }

    /// The best of some places and of the one before.
    fn best_of(
        &mut self,
        rows: &[usize],
        places: Vec<Place>,
        before: (Place, f64),
    ) -> (Place, f64) {
        places.into_iter().fold(before, |best, place| {
            let loss = self.loss(rows, place);
            match loss < best.1 {
                true => (place, loss),
                false => best,
            }
        })
    }

    /// How far the rows are from what was measured at a place.
    pub fn loss(&mut self, rows: &[usize], at: Place) -> f64 {
        self.ensure(rows, at);
        let tpots = rows.iter().filter_map(|row| {
            let (_, simulated) = self.simulated(*row, at)?;
            Some(log_error(self.measured[*row].1, simulated))
        });
        mean(tpots) + TTFT_WEIGHT * self.per_request(rows, at).1
    }

    /// The overheads per request and per 1,000 prompt tokens that fit best, and the error of the
    /// time to first token with them.
    fn per_request(&self, rows: &[usize], at: Place) -> ((f64, f64), f64) {
        let known: Vec<(f64, f64, f64)> = rows
            .iter()
            .filter_map(|row| {
                let (simulated, _) = self.simulated(*row, at)?;
                Some((self.measured[*row].0, simulated, *self.prompts.get(*row)?))
            })
            .collect();
        let mut best = ((0.0, 0.0), f64::INFINITY);
        for by_token in PER_1K_TOKENS_MS {
            for added in PER_REQUEST_MS {
                let ttfts = known.iter().map(|(measured, simulated, prompt)| {
                    log_error(*measured, simulated + added + by_token * prompt)
                });
                let error = mean(ttfts);
                if error < best.1 {
                    best = ((added, by_token), error);
                }
            }
        }
        best
    }

    fn simulated(&self, row: usize, at: Place) -> Option<Pair> {
        let variant = *self.variants.get(row)?;
        *self.known.get(&(row, variant, at))?
    }

    /// Simulates what is not known yet, in parallel.
    fn ensure(&mut self, rows: &[usize], at: (usize, usize)) {
        let missing: Vec<(usize, usize)> = rows
            .iter()
            .filter_map(|row| Some((*row, *self.variants.get(*row)?)))
            .filter(|(row, variant)| !self.known.contains_key(&(*row, *variant, at)))
            .collect();
        let simulate = self.simulate;
        let found: Vec<Option<Pair>> = missing
            .par_iter()
            .map(|(row, variant)| simulate(*row, *variant, FIXED_US[at.0], PER_SEQ_US[at.1]))
            .collect();
        for ((row, variant), pair) in missing.into_iter().zip(found) {
            self.known.insert((row, variant, at), pair);
        }
    }
}

fn log_error(measured: f64, simulated: f64) -> f64 {
    (simulated / measured).ln().abs().min(1.0)
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    match count {
        0 => 0.0,
        _ => sum / f64::from(count),
    }
}

/// Which fold each row belongs to: rows with the same key stay together, so that a server is never
/// judged by a fit to itself at another concurrency.
pub fn folds(keys: &[String], count: usize) -> Vec<usize> {
    let mut distinct: Vec<&String> = keys.iter().collect();
    distinct.sort_unstable();
    distinct.dedup();
    let places: BTreeMap<&String, usize> = distinct
        .into_iter()
        .enumerate()
        .map(|(index, key)| (key, index % count.max(1)))
        .collect();
    keys.iter()
        .map(|key| places.get(key).copied().unwrap_or(0))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_overheads_of_synthetic_rows_are_found() {
        // Row i: i + 1 sequences, 10 ms of kernels per iteration, 50 ms of prefill.
        let simulate = |row: usize, _: usize, fixed: f64, per_seq: f64| {
            let step = 10.0 + (fixed + per_seq * (row as f64 * 20.0 + 1.0)) / 1e3;
            Some((50.0 + step, step))
        };
        let measured: Vec<Pair> = (0..20)
            .filter_map(|row| simulate(row, 0, 2_000.0, 15.0))
            .map(|(ttft, tpot)| (ttft + 20.0, tpot))
            .collect();
        let rows: Vec<usize> = (0..20).collect();
        let (found, loss) = Fitter::new(&measured, &[1.0; 20], &simulate).fit(&rows);
        assert_eq!(
            (found.fixed_us, found.per_seq_us, found.per_request_ms),
            (2_000.0, 15.0, 20.0)
        );
        assert!(loss < 1e-9, "{loss}");
    }

    #[test]
    fn rows_of_one_server_stay_in_one_fold() {
        let keys = ["b", "a", "b", "c", "a"].map(str::to_owned);
        assert_eq!(folds(&keys, 2), [1, 0, 1, 0, 0]);
        assert_eq!(folds(&[], 5), Vec::<usize>::new());
    }
}
