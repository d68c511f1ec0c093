//! Who the requests come from: how unequal clients are, and how bursty each is.

use super::arrivals::renewal::Family;
use super::sample::Sample;
use crate::scenario::workload::ClientMix;
use statrs::distribution::{ContinuousCDF, Normal};

/// Numbers of clients at which the share of the largest is kept.
const RANKS: [u32; 16] = [
    1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000,
];
/// Most clients of a mix.
const MOST_CLIENTS: usize = 100_000;
/// Width of a window, seconds, where the trace has three of them or more.
const WINDOW_S: f64 = 600.0;
/// Gaps of a client in a window from which on its burstiness is told.
const LEAST_GAPS: usize = 30;
/// Gaps of a client in a window that are looked at.
const MOST_GAPS: usize = 400;
/// Probabilities of the knots of burstiness.
const KNOTS: [f64; 9] = [0.0, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 1.0];

/// Requests of each client, the largest first.
pub fn sizes(clients: &[u32]) -> Vec<u64> {
    let count = clients.iter().max().map_or(0, |most| *most as usize + 1);
    let mut sizes = vec![0u64; count];
    for client in clients {
        sizes[*client as usize] += 1;
    }
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    sizes.retain(|size| *size > 0);
    sizes
}

/// The mix of a trace that says who asked; none where it has one client or none.
pub fn fit(sample: &Sample) -> Option<ClientMix> {
    let sizes = sizes(&sample.clients);
    if sizes.len() < 2 || sizes.len() > MOST_CLIENTS || sample.span_s <= 0.0 {
        return None;
    }
    let window_s = match sample.span_s >= 3.0 * WINDOW_S {
        true => WINDOW_S,
        false => sample.span_s.max(1.0),
    };
    let windows = windows_of(sample, window_s);
    let bursts = bursts(&windows);
    let weight: f64 = bursts.iter().map(|burst| burst.weight).sum();
    let weibull: f64 = bursts.iter().filter(|b| b.weibull).map(|b| b.weight).sum();
    let cv = knots(
        bursts
            .iter()
            .map(|burst| (burst.cv, burst.weight))
            .collect(),
    );
    let typical = cv.as_ref().map_or(1.0, |knots| knots[KNOTS.len() / 2].1);
    Some(ClientMix {
        rate_per_s: sample.len() as f64 / sample.span_s,
        clients: sizes.len() as u32,
        shares: shares(&sizes),
        cv: cv.unwrap_or_default(),
        weibull_share: round(if weight > 0.0 { weibull / weight } else { 0.0 }),
        window_s,
        window_rate_cv: round(rate_cv(&windows, sample, window_s, typical)),
        prompt_client_share: round(between(&sample.prompt, &sample.clients)),
        output_client_share: round(between(&sample.output, &sample.clients)),
    })
}

fn round(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

fn shares(sizes: &[u64]) -> Vec<(u32, f64)> {
    let total: u64 = sizes.iter().sum();
    let clients = sizes.len() as u32;
    let mut pairs: Vec<(u32, f64)> = Vec::new();
    let below = RANKS.iter().copied().filter(|rank| *rank < clients);
    for rank in below {
        let top: u64 = sizes[..rank as usize].iter().sum();
        let share = (top as f64 / total as f64 * 1e6).round() / 1e6;
        let rises = pairs.last().is_none_or(|before| before.1 < share);
        if rises && share < 1.0 {
            pairs.push((rank, share));
        }
    }
    pairs.push((clients, 1.0));
    pairs
}

/// Stamps, seconds, by client and window.
fn windows_of(sample: &Sample, window_s: f64) -> Vec<Vec<Vec<f64>>> {
    let clients = sample
        .clients
        .iter()
        .max()
        .map_or(0, |most| *most as usize + 1);
    let mut windows: Vec<Vec<Vec<f64>>> = vec![Vec::new(); clients];
    for (t_ns, client) in sample.t_ns.iter().zip(&sample.clients) {
        let t_s = *t_ns as f64 / 1e9;
        let index = (t_s / window_s) as usize;
        let own = &mut windows[*client as usize];
        if own.len() <= index {
            own.resize(index + 1, Vec::new());
        }
        own[index].push(t_s);
    }
    windows
}

struct Burst {
    cv: f64,
    weibull: bool,
    weight: f64,
}

/// How bursty each client is in each window that has enough requests of it.
fn bursts(windows: &[Vec<Vec<f64>>]) -> Vec<Burst> {
    let full = windows
        .iter()
        .flatten()
        .filter(|stamps| stamps.len() > LEAST_GAPS);
    let of = |stamps: &Vec<f64>| {
        let gaps: Vec<f64> = stamps.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let gaps = &gaps[..gaps.len().min(MOST_GAPS)];
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        if mean <= 0.0 {
            return None;
        }
        let least = gaps.iter().copied().filter(|gap| *gap > 0.0);
        let resolution = least.fold(mean * 1e-3, f64::min).max(mean * 1e-6);
        let gamma = Family::Gamma.fit(gaps, resolution);
        let weibull = Family::Weibull.fit(gaps, resolution);
        let is_weibull = weibull.1 > gamma.1;
        Some(Burst {
            cv: round(if is_weibull { weibull.0 } else { gamma.0 }),
            weibull: is_weibull,
            weight: stamps.len() as f64,
        })
    };
    full.filter_map(of).collect()
}

fn knots(mut values: Vec<(f64, f64)>) -> Option<Vec<(f64, f64)>> {
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total: f64 = values.iter().map(|value| value.1).sum();
    let last = values.len().checked_sub(1)?;
    let mut upto = Vec::with_capacity(values.len());
    let mut sum = 0.0;
    for (_, weight) in &values {
        sum += weight;
        upto.push(sum / total);
    }
    let at = |p: &f64| {
        let index = upto.partition_point(|share| share < p).min(last);
        (*p, values[index].0)
    };
    Some(KNOTS.iter().map(at).collect())
}

/// How much a client's rate differs from window to window beyond what its gaps alone make of it.
fn rate_cv(windows: &[Vec<Vec<f64>>], sample: &Sample, window_s: f64, cv: f64) -> f64 {
    let whole = (sample.span_s / window_s).floor() as usize;
    if whole < 3 {
        return 0.0;
    }
    let (mut sum, mut weight) = (0.0, 0.0);
    for own in windows {
        let counts = (0..whole).map(|w| own.get(w).map_or(0.0, |stamps| stamps.len() as f64));
        let counts: Vec<f64> = counts.collect();
        let mean = counts.iter().sum::<f64>() / whole as f64;
        if mean < 10.0 {
            continue;
        }
        let squares = counts.iter().map(|c| (c - mean) * (c - mean)).sum::<f64>();
        let variance = squares / (whole - 1) as f64;
        sum += mean * (variance - cv * cv * mean) / (mean * mean);
        weight += mean;
    }
    match weight > 0.0 {
        true => (sum / weight).max(0.0).sqrt().min(10.0),
        false => 0.0,
    }
}

/// Share of the variance of normal scores of lengths that lies between clients (one-way analysis
/// of variance), 0 to 1.
fn between(lengths: &[u32], clients: &[u32]) -> f64 {
    let Ok(normal) = Normal::new(0.0, 1.0) else {
        return 0.0;
    };
    let ranks = crate::trace::stats::ranks(lengths);
    let count = lengths.len() as f64;
    let groups = clients.iter().max().map_or(0, |most| *most as usize + 1);
    let (mut sums, mut sizes) = (vec![0.0; groups], vec![0.0; groups]);
    let mut squares = 0.0;
    for (rank, client) in ranks.iter().zip(clients) {
        let score = normal.inverse_cdf((rank - 0.5) / count);
        sums[*client as usize] += score;
        sizes[*client as usize] += 1.0;
        squares += score * score;
    }
    let own = sums.iter().zip(&sizes).filter(|(_, size)| **size > 0.0);
    let (explained, used) = own.fold((0.0, 0.0), |(explained, used), (sum, size)| {
        (explained + sum * sum / size, used + 1.0)
    });
    if used >= count || squares <= 0.0 {
        return 0.0;
    }
    let within = (squares - explained) / (count - used);
    let between = (explained - (used - 1.0) * within) / count;
    (between / (between + within)).clamp(0.0, 1.0)
}
