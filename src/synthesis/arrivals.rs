//! Which arrival process a trace is most like.
//!
//! Renewal processes (Poisson, Gamma, Weibull gaps), processes that are switched on and off, and
//! Markov-modulated Poisson processes of two and more states, each with and without a rate that changes over the trace, are held against the
//! same gaps by their likelihood; the Bayesian information criterion pays for parameters.

pub mod hidden;
pub mod likelihood;
pub mod renewal;
pub mod switched;

use serde::Serialize;

use self::hidden::Chain;
use self::renewal::Family;
use self::switched::Switched;
use super::sample::Sample;
use super::shape::RateShape;
use crate::scenario::workload::{Arrivals, MmppState};

/// Most gaps that the candidates are held against; of a longer trace so many blocks of gaps, evenly
/// over it.
const MOST_GAPS: usize = 40_000;
const BLOCKS: usize = 8;
/// Most states of a modulated process.
const MOST_STATES: usize = 4;
/// Requests from which on processes with states are tried.
const LEAST_FOR_STATES: usize = 200;

/// A process that was held against a trace.
#[derive(Debug, Clone, Serialize)]
pub struct Candidate {
    /// Its name.
    pub name: String,
    /// Parameters that were fitted.
    pub parameters: usize,
    /// Logarithm of the likelihood of a gap, mean over gaps, natural units (seconds).
    pub log_likelihood_per_gap: f64,
    /// Bayesian information criterion, less is better, as the difference from the best.
    pub bic_above_best: f64,
    /// The process.
    #[serde(skip)]
    pub arrivals: Arrivals,
    /// The rate's shape that goes with it.
    #[serde(skip)]
    pub shape: Option<RateShape>,
    #[serde(skip)]
    bic: f64,
}

/// All candidates, the best first.
pub fn candidates(sample: &Sample) -> Vec<Candidate> {
    let shape = RateShape::of(sample);
    let mut found = Vec::new();
    let shapes: Vec<Option<RateShape>> = match shape {
        Some(shape) => vec![None, Some(shape)],
        None => vec![None],
    };
    for shape in shapes {
        of_shape(sample, shape.as_ref(), &mut found);
    }
    found.sort_by(|a, b| a.bic.total_cmp(&b.bic));
    let best = found.first().map_or(0.0, |first| first.bic);
    for candidate in &mut found {
        candidate.bic_above_best = candidate.bic - best;
    }
    found
}

/// What the candidates are held against: gaps in operational time, and what the change of clock
/// takes from or adds to the logarithm of the likelihood.
struct Evidence {
    gaps: Vec<f64>,
    clock: f64,
    parameters: usize,
    resolution_s: f64,
}

fn evidence(sample: &Sample, shape: Option<&RateShape>, times: &[f64]) -> Evidence {
    let (mut gaps, mut clock) = (Vec::new(), 0.0);
    for (from, upto) in blocks(times.len() - 1) {
        let pairs = times[from..=upto].windows(2);
        gaps.extend(pairs.map(|pair| pair[1] - pair[0]));
        if let Some(shape) = shape {
            let stamps = &sample.t_ns[from + 1..=upto];
            let factor = |t_ns: &u64| shape.factor(*t_ns as f64 / 1e9).max(1e-9).ln();
            clock += stamps.iter().map(factor).sum::<f64>();
        }
    }
    let least = gaps.iter().filter(|gap| **gap > 0.0);
    let least = least.copied().fold(f64::INFINITY, f64::min);
    let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
    Evidence {
        // Shorter than the shortest gap seen nothing can be told.
        resolution_s: least.min(mean * 1e-3).max(mean * 1e-6),
        clock,
        parameters: shape.map_or(0, |shape| shape.factors.len() - 1),
        gaps,
    }
}

/// Stretches of the gaps, first and last stamp: all of them, or blocks evenly over the trace.
fn blocks(gaps: usize) -> Vec<(usize, usize)> {
    if gaps <= MOST_GAPS {
        return vec![(0, gaps)];
    }
    let (size, apart) = (MOST_GAPS / BLOCKS, gaps / BLOCKS);
    let begin = |block: usize| block * apart + (apart - size) / 2;
    (0..BLOCKS)
        .map(|block| (begin(block), begin(block) + size))
        .collect()
}

fn of_shape(sample: &Sample, shape: Option<&RateShape>, found: &mut Vec<Candidate>) {
    let times = match shape {
        Some(shape) => shape.operational_s(&sample.t_ns),
        None => sample.t_ns.iter().map(|t_ns| *t_ns as f64 / 1e9).collect(),
    };
    let evidence = evidence(sample, shape, &times);
    let rate_per_s = sample.len() as f64 / sample.span_s;
    let with = match shape {
        Some(_) => ", rate by window",
        None => "",
    };
    let mut add = |name: &str, parameters: usize, log_likelihood: f64, arrivals: Arrivals| {
        let count = evidence.gaps.len() as f64;
        let total = log_likelihood + evidence.clock;
        let parameters = parameters + evidence.parameters;
        found.push(Candidate {
            name: format!("{name}{with}"),
            parameters,
            log_likelihood_per_gap: total / count,
            bic_above_best: 0.0,
            arrivals,
            shape: shape.cloned(),
            bic: parameters as f64 * count.ln() - 2.0 * total,
        });
    };
    let poisson = Family::Exponential.log_likelihood(&evidence.gaps, 1.0, evidence.resolution_s);
    add("poisson", 1, poisson, Arrivals::Poisson { rate_per_s });
    for (family, name) in [(Family::Gamma, "gamma"), (Family::Weibull, "weibull")] {
        let (cv, log_likelihood) = family.fit(&evidence.gaps, evidence.resolution_s);
        let arrivals = match family {
            Family::Weibull => Arrivals::Weibull { rate_per_s, cv },
            _ => Arrivals::Gamma { rate_per_s, cv },
        };
        add(name, 2, log_likelihood, arrivals);
    }
    if sample.len() < LEAST_FOR_STATES {
        return;
    }
    if let Some(switched) = Switched::fit(&evidence.gaps, evidence.resolution_s) {
        let (parameters, arrivals) = (switched.parameters(), switched.arrivals(rate_per_s));
        let name = "on-off with bursts";
        add(name, parameters, switched.log_likelihood, arrivals);
    }
    let mut best = f64::INFINITY;
    for states in 2..=MOST_STATES {
        let Some(chain) = Chain::fit(&evidence.gaps, states) else {
            break;
        };
        let chain = chain.with_mean_rate(rate_per_s);
        let log_likelihood = likelihood::log_likelihood(&chain, &evidence.gaps);
        let parameters = states * states;
        let cost = parameters as f64 * (evidence.gaps.len() as f64).ln() - 2.0 * log_likelihood;
        let name = match states {
            2 => "on-off".to_owned(),
            _ => format!("mmpp of {states} states"),
        };
        add(&name, parameters, log_likelihood, arrivals_of(&chain));
        // One more state that does not pay is the last.
        if cost >= best {
            break;
        }
        best = cost;
    }
}

/// A chain as a process of a workload, beginning in its busiest state: a trace begins with a
/// request.
fn arrivals_of(chain: &Chain) -> Arrivals {
    let chain = chain.busiest_first();
    if let [on, off] = chain.rates[..] {
        return Arrivals::OnOff {
            on_rate_per_s: on,
            on_mean_s: chain.stays[0],
            off_mean_s: chain.stays[1],
            off_rate_per_s: off,
            gap_knots: Vec::new(),
        };
    }
    let states = chain.rates.iter().zip(&chain.stays).zip(&chain.next);
    let states = states.map(|((rate, stay), next)| MmppState {
        rate_per_s: *rate,
        mean_s: *stay,
        next: next.clone(),
    });
    Arrivals::Mmpp {
        states: states.collect(),
    }
}
