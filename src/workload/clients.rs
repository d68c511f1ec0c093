//! Arrivals of many clients, each with a rate and bursts of its own.
//!
//! A client's gaps are drawn in units of its own mean and stretched by the rate of the windows that
//! they pass through, so that its mean rate is kept whatever the laws of gaps are. Each client has
//! streams of its own: another client, or another law for it, moves none of the others.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::engine::{SimRng, Streams};
use crate::scenario::workload::ClientMix;
use rand::RngExt;
use rand_distr::{Distribution, Gamma, LogNormal};
use statrs::function::gamma::ln_gamma;

use super::arrivals::{UnitGap, weibull_shape};
use super::client_lengths::ClientLengths;
use super::law::Knots;

/// The clients, and which of them comes next.
#[derive(Debug, Clone)]
pub struct Clients {
    mix: ClientMix,
    shares: Vec<f64>,
    cv: Knots,
    lengths: Option<ClientLengths>,
    /// `(instant in ns as bits, client)`: the bits of numbers that are not negative are ordered as
    /// they are.
    pending: BinaryHeap<Reverse<(u64, u32)>>,
    list: Vec<Client>,
    now_ns: f64,
    last: u32,
}

#[derive(Debug, Clone)]
struct Client {
    gaps: SimRng,
    windows: SimRng,
    /// Mean rate, per ns.
    rate: f64,
    window_end_ns: f64,
    /// Rate of the present window, per ns.
    here: f64,
    gap: UnitGap,
    cv: f64,
    weibull: bool,
}

impl Clients {
    /// Prepares a mix, or says what is wrong with it.
    pub fn new(mix: &ClientMix) -> Result<Clients, String> {
        let flat = [(0.0, 1.0), (1.0, 1.0)];
        let cv = match mix.cv.is_empty() {
            true => Knots::new(&flat)?,
            false => Knots::new(&mix.cv)?,
        };
        Ok(Clients {
            shares: shares_of(mix)?,
            mix: mix.clone(),
            cv,
            lengths: None,
            pending: BinaryHeap::new(),
            list: Vec::new(),
            now_ns: 0.0,
            last: 0,
        })
    }

    /// Draws the clients from the streams of a run: each begins somewhere in a gap.
    pub fn begin(&mut self, streams: Streams) {
        let ways = (self.mix.prompt_client_share, self.mix.output_client_share);
        self.lengths = ClientLengths::new(&self.shares, ways, streams);
        self.list.clear();
        self.pending.clear();
        for (index, share) in self.shares.clone().into_iter().enumerate() {
            let id = index as u64;
            let mut client = Client {
                gaps: streams.stream("client", id, "gaps"),
                windows: streams.stream("client", id, "windows"),
                rate: share * self.mix.rate_per_s / 1e9,
                window_end_ns: 0.0,
                here: 0.0,
                gap: UnitGap::Exponential,
                cv: 1.0,
                weibull: false,
            };
            self.enter_window(&mut client);
            let left = residual(client.cv, client.weibull, &mut client.gaps);
            let at_ns = self.pass(&mut client, 0.0, left);
            self.list.push(client);
            self.pending.push(Reverse((at_ns.to_bits(), index as u32)));
        }
    }

    /// The gap to the next arrival of any client, nanoseconds.
    pub fn gap_ns(&mut self) -> f64 {
        let Some(Reverse((bits, index))) = self.pending.pop() else {
            return f64::INFINITY;
        };
        let at_ns = f64::from_bits(bits);
        let mut client = self.list[index as usize].clone();
        let unit = client.gap.sample(&mut client.gaps);
        let next_ns = self.pass(&mut client, at_ns, unit);
        self.list[index as usize] = client;
        self.pending.push(Reverse((next_ns.to_bits(), index)));
        self.last = index;
        let gap = at_ns - self.now_ns;
        self.now_ns = at_ns;
        gap
    }

    /// The client of the last arrival, from 0 for the largest.
    pub fn last(&self) -> u32 {
        self.last
    }

    /// How likely a length is below that of the last arrival, over all clients, where `within` says
    /// it of its own client: of its prompt and its output.
    pub fn length_ranks(&self, within: (f64, f64)) -> (f64, f64) {
        match &self.lengths {
            Some(lengths) => lengths.ranks(self.last as usize, within),
            None => within,
        }
    }

    /// The long-run mean rate of all together, per second.
    pub fn mean_rate_per_s(&self) -> f64 {
        self.mix.rate_per_s
    }

    /// Shares of the clients, largest first where `shares` says so; in all 1.
    pub fn shares(&self) -> &[f64] {
        &self.shares
    }

    /// When `unit` mean gaps have passed since `at_ns`.
    fn pass(&self, client: &mut Client, mut at_ns: f64, mut unit: f64) -> f64 {
        loop {
            let area = client.here * (client.window_end_ns - at_ns);
            if area >= unit || !area.is_finite() {
                return at_ns + unit / client.here;
            }
            unit -= area;
            at_ns = client.window_end_ns;
            self.enter_window(client);
        }
    }

    /// Draws what the next window of a client is like.
    fn enter_window(&self, client: &mut Client) {
        client.window_end_ns += self.mix.window_s * 1e9;
        let cv = self.cv.quantile(client.windows.random::<f64>());
        let weibull = client.windows.random::<f64>() < self.mix.weibull_share;
        let gap = match weibull {
            true => UnitGap::weibull(cv),
            false => UnitGap::gamma(cv),
        };
        // Both exist for every cv that is allowed.
        client.gap = gap.unwrap_or(UnitGap::Exponential);
        (client.cv, client.weibull) = (cv, weibull);
        let variance = (self.mix.window_rate_cv * self.mix.window_rate_cv).ln_1p();
        let factor = match LogNormal::new(-variance / 2.0, variance.sqrt()) {
            Ok(law) if variance > 0.0 => law.sample(&mut client.windows),
            _ => 1.0,
        };
        client.here = client.rate * factor.max(1e-9);
    }
}

/// What is left of the gap that an instant falls into, in mean gaps: a uniform part of a gap drawn
/// in proportion to its length. A client that began with a whole gap would come in a burst.
fn residual(cv: f64, weibull: bool, rng: &mut SimRng) -> f64 {
    let longer = if weibull {
        // The power `shape` of Weibull gaps drawn in proportion to length is Gamma of 1 + 1/shape.
        let shape = weibull_shape(cv);
        let power = Gamma::new(1.0 + 1.0 / shape, 1.0).map_or(1.0, |law| law.sample(rng));
        (power.ln() / shape - ln_gamma(1.0 + 1.0 / shape)).exp()
    } else {
        // Gamma gaps drawn so are Gamma of a shape one higher.
        let shape = 1.0 / (cv * cv);
        Gamma::new(shape + 1.0, 1.0 / shape).map_or(1.0, |law| law.sample(rng))
    };
    longer * rng.random::<f64>()
}

/// The share of each client.
fn shares_of(mix: &ClientMix) -> Result<Vec<f64>, String> {
    let count = mix.clients;
    if count == 0 {
        return Err("needs at least one client".to_owned());
    }
    let Some(&(first, top)) = mix.shares.first() else {
        return Ok(vec![1.0 / f64::from(count); count as usize]);
    };
    if first != 1 {
        return Err("must begin with the largest client, n = 1".to_owned());
    }
    let rises = mix
        .shares
        .windows(2)
        .all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1);
    if !rises
        || mix
            .shares
            .iter()
            .any(|pair| !(pair.1 > 0.0 && pair.1 <= 1.0))
    {
        return Err("must rise, with shares above 0 and at most 1".to_owned());
    }
    let mut points = mix.shares.clone();
    if let Some(&(last, share)) = points.last() {
        if last > count {
            return Err(format!("has n = {last}, more than the {count} clients"));
        }
        if last == count && (share - 1.0).abs() > 1e-6 || last < count && share >= 1.0 {
            return Err("must reach 1 with the last client, and not before".to_owned());
        }
        if last < count {
            points.push((count, 1.0));
        }
    }
    let mut shares = vec![top];
    for pair in points.windows(2) {
        let ((from, low), (to, high)) = (pair[0], pair[1]);
        let (from_ln, to_ln) = (f64::from(from).ln(), f64::from(to).ln());
        for k in from + 1..=to {
            let part = (f64::from(k).ln() - f64::from(k - 1).ln()) / (to_ln - from_ln);
            shares.push((high - low) * part);
        }
    }
    let total: f64 = shares.iter().sum();
    Ok(shares.into_iter().map(|share| share / total).collect())
}
