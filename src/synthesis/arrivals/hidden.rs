//! Markov-modulated Poisson processes, fitted as hidden Markov models of counts.
//!
//! Arrivals are counted in short bins; rates and transitions come from expectation maximisation
//! (Baum et al. 1970, scaled as by Rabiner 1989) with Poisson emissions, from several starts.

/// Bins at most: a longer trace is fitted on its beginning.
const MOST_BINS: usize = 60_000;
/// Bins of a mean gap.
const BINS_PER_GAP: f64 = 3.0;
/// Steps of each start, and of the best one after that.
const STEPS: (usize, usize) = (8, 60);
/// Gain of the logarithm of the likelihood, per bin, below which it has arrived.
const ARRIVED: f64 = 1e-7;

/// A Markov-modulated Poisson process.
#[derive(Debug, Clone, PartialEq)]
pub struct Chain {
    /// Rates of the states, per second.
    pub rates: Vec<f64>,
    /// Mean stays, seconds.
    pub stays: Vec<f64>,
    /// Probabilities of the states that follow.
    pub next: Vec<Vec<f64>>,
}

impl Chain {
    /// The likeliest chain of so many states for gaps (seconds, in order); none where there is too
    /// little to tell states apart.
    pub fn fit(gaps: &[f64], states: usize) -> Option<Chain> {
        let span: f64 = gaps.iter().sum();
        let width = span / gaps.len() as f64 / BINS_PER_GAP;
        if width <= 0.0 || !width.is_finite() {
            return None;
        }
        let bins = ((span / width) as usize + 1).min(MOST_BINS);
        let mut counts = vec![0u32; bins];
        let mut at = 0.0;
        for gap in gaps {
            at += gap;
            if let Some(count) = counts.get_mut((at / width) as usize) {
                *count += 1;
            }
        }
        let starts = [3.0, 10.0, 40.0].into_iter();
        let fits = starts.map(|spread| {
            let mut model = Model::start(states, spread, bins);
            let likelihood = model.climb(&counts, STEPS.0);
            (likelihood, model)
        });
        let (_, mut model) = fits.max_by(|a, b| a.0.total_cmp(&b.0))?;
        model.climb(&counts, STEPS.1);
        model.chain(width)
    }

    /// The same with a long-run mean rate of `rate_per_s`: rates are told better than stays, so of
    /// two states the stays give way; of more the rates are scaled.
    #[must_use]
    pub fn with_mean_rate(mut self, rate_per_s: f64) -> Chain {
        if let ([a, b], [first, second]) = (&self.rates[..], &self.stays[..]) {
            let share = (rate_per_s - b) / (a - b);
            if (0.01..0.99).contains(&share) {
                let round = first + second;
                self.stays = vec![share * round, (1.0 - share) * round];
                return self;
            }
        }
        let factor = rate_per_s / self.mean_rate();
        if factor.is_finite() {
            for rate in &mut self.rates {
                *rate *= factor;
            }
        }
        self
    }

    /// Share of time in each state.
    pub fn shares(&self) -> Vec<f64> {
        let visits = crate::workload::modulated::visits(&self.next, self.rates.len());
        let times: Vec<f64> = visits.iter().zip(&self.stays).map(|(v, s)| v * s).collect();
        let total: f64 = times.iter().sum();
        times.into_iter().map(|time| time / total).collect()
    }

    fn mean_rate(&self) -> f64 {
        let shares = self.shares();
        shares.iter().zip(&self.rates).map(|(s, r)| s * r).sum()
    }

    /// The same with its states in order of their rates, the highest first.
    #[must_use]
    pub fn busiest_first(&self) -> Chain {
        let mut order: Vec<usize> = (0..self.rates.len()).collect();
        order.sort_by(|a, b| self.rates[*b].total_cmp(&self.rates[*a]));
        let row = |from: &usize| order.iter().map(|to| self.next[*from][*to]).collect();
        Chain {
            rates: order.iter().map(|state| self.rates[*state]).collect(),
            stays: order.iter().map(|state| self.stays[*state]).collect(),
            next: order.iter().map(row).collect(),
        }
    }
}

/// A hidden Markov model with Poisson counts; rates per bin.
struct Model {
    rates: Vec<f64>,
    transitions: Vec<Vec<f64>>,
    begin: Vec<f64>,
}

impl Model {
    /// Rates around the mean of 1 / `BINS_PER_GAP`, each `spread` times the next lower; the slower
    /// states last longer.
    fn start(states: usize, spread: f64, bins: usize) -> Model {
        let mean = 1.0 / BINS_PER_GAP;
        let middle = (states - 1) as f64 / 2.0;
        let longest = (bins as f64 / 50.0).max(4.0);
        let rates = (0..states).map(|k| mean * spread.powf(k as f64 - middle));
        let row = |from: usize| {
            let stay = longest
                .powf(1.0 - 0.6 * from as f64 / states as f64)
                .max(3.0);
            let leave = 1.0 / stay / (states - 1) as f64;
            let to = |to: usize| match to == from {
                true => 1.0 - 1.0 / stay,
                false => leave,
            };
            (0..states).map(to).collect()
        };
        Model {
            rates: rates.collect(),
            transitions: (0..states).map(row).collect(),
            begin: vec![1.0 / states as f64; states],
        }
    }

    /// Steps of expectation maximisation; the logarithm of the likelihood before the last.
    fn climb(&mut self, counts: &[u32], steps: usize) -> f64 {
        let mut before = f64::NEG_INFINITY;
        for _ in 0..steps {
            let now = self.step(counts);
            if !now.is_finite() || now - before < ARRIVED * counts.len() as f64 {
                return now;
            }
            before = now;
        }
        before
    }

    /// How likely each count is in each state: `table[count * states + state]`.
    fn emissions(&self, most: u32) -> Vec<f64> {
        let mut table = Vec::new();
        let mut ln_factorial = 0.0;
        for count in 0..=most {
            ln_factorial += f64::from(count.max(1)).ln();
            for rate in &self.rates {
                let ln = f64::from(count) * rate.max(1e-12).ln() - rate - ln_factorial;
                // A floor keeps a path through every bin.
                table.push(ln.exp().max(1e-200));
            }
        }
        table
    }

    #[allow(clippy::needless_range_loop)] // the indices are those of matrices
    fn step(&mut self, counts: &[u32]) -> f64 {
        let states = self.rates.len();
        let most = counts.iter().copied().max().unwrap_or(0);
        let table = self.emissions(most);
        let emission = |bin: usize| {
            let at = counts[bin] as usize * states;
            &table[at..at + states]
        };
        let (forward, scales, likelihood) = self.forward(counts.len(), &emission);
        // Backwards, gathering what is expected of each state and passage.
        let (mut backward, mut earlier) = (vec![1.0; states], vec![0.0; states]);
        let mut passages = vec![vec![0.0; states]; states];
        let (mut time, mut arrivals) = (vec![0.0; states], vec![0.0; states]);
        for bin in (0..counts.len()).rev() {
            let here = &forward[bin * states..(bin + 1) * states];
            for state in 0..states {
                let share = here[state] * backward[state];
                time[state] += share;
                arrivals[state] += share * f64::from(counts[bin]);
                if bin == 0 {
                    self.begin[state] = share;
                }
            }
            if bin == 0 {
                break;
            }
            let (seen, scale) = (emission(bin), scales[bin]);
            let before = &forward[(bin - 1) * states..bin * states];
            earlier.fill(0.0);
            for from in 0..states {
                for to in 0..states {
                    let way = self.transitions[from][to] * seen[to] * backward[to] / scale;
                    earlier[from] += way;
                    passages[from][to] += before[from] * way;
                }
            }
            std::mem::swap(&mut backward, &mut earlier);
        }
        for state in 0..states {
            self.rates[state] = (arrivals[state] / time[state].max(1e-12)).max(1e-9);
            let leaving: f64 = passages[state].iter().sum();
            if leaving > 0.0 {
                self.transitions[state] = passages[state].iter().map(|p| p / leaving).collect();
            }
        }
        likelihood
    }

    /// Probabilities of the states given the bins so far, what each bin was scaled by, and the
    /// logarithm of the likelihood.
    fn forward<'a>(
        &self,
        bins: usize,
        emission: &impl Fn(usize) -> &'a [f64],
    ) -> (Vec<f64>, Vec<f64>, f64) {
        let states = self.rates.len();
        let mut forward = Vec::with_capacity(bins * states);
        let mut scales = Vec::with_capacity(bins);
        let mut likelihood = 0.0;
        let (mut now, mut next) = (self.begin.clone(), vec![0.0; states]);
        for bin in 0..bins {
            if bin > 0 {
                next.fill(0.0);
                for (share, row) in now.iter().zip(&self.transitions) {
                    for (into, way) in next.iter_mut().zip(row) {
                        *into += share * way;
                    }
                }
                std::mem::swap(&mut now, &mut next);
            }
            for (share, seen) in now.iter_mut().zip(emission(bin)) {
                *share *= seen;
            }
            let scale = now.iter().sum::<f64>().max(1e-300);
            now.iter_mut().for_each(|share| *share /= scale);
            forward.extend_from_slice(&now);
            scales.push(scale);
            likelihood += scale.ln();
        }
        (forward, scales, likelihood)
    }

    /// In continuous time, for bins of `width` seconds.
    fn chain(&self, width: f64) -> Option<Chain> {
        let states = self.rates.len();
        let mut chain = Chain {
            rates: self.rates.iter().map(|rate| rate / width).collect(),
            stays: Vec::new(),
            next: Vec::new(),
        };
        for (state, row) in self.transitions.iter().enumerate() {
            let stay = row[state].clamp(1e-6, 1.0 - 1e-9);
            chain.stays.push(-width / stay.ln());
            let leaving: f64 = row.iter().sum::<f64>() - row[state];
            let to = |to: usize| match (to == state, leaving > 0.0) {
                (true, _) => 0.0,
                (false, true) => row[to] / leaving,
                (false, false) => 1.0 / (states - 1) as f64,
            };
            chain.next.push((0..states).map(to).collect());
        }
        let sound = chain
            .rates
            .iter()
            .chain(&chain.stays)
            .all(|x| x.is_finite());
        sound.then_some(chain)
    }
}
