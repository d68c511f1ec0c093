//! How clients differ in the lengths of their requests.

use rand::RngExt;
use statrs::distribution::{ContinuousCDF, Normal};

use crate::engine::{SimRng, Streams};

/// Points of a distribution function that is kept as a table, from -`REACH` to `REACH`.
const POINTS: usize = 4096;
/// Normal scores beyond this do not come up in 10^15 draws.
const REACH: f64 = 8.0;

/// Normal scores of clients, and the law of the scores of all requests together: a request's is
/// `sqrt(share) z + sqrt(1 - share) n`, with `z` of its client. Passing it through the law of all
/// makes its rank uniform over all requests exactly, however unequal the clients are.
#[derive(Debug, Clone)]
pub struct ClientLengths {
    prompt: Side,
    output: Side,
}

#[derive(Debug, Clone)]
struct Side {
    share: f64,
    scores: Vec<f64>,
    /// Distribution function of the scores of requests.
    table: Vec<f64>,
}

impl ClientLengths {
    /// Gives clients of those shares of the requests their scores; none where clients are alike.
    pub fn new(shares: &[f64], ways: (f64, f64), streams: Streams) -> Option<ClientLengths> {
        if ways == (0.0, 0.0) {
            return None;
        }
        let normal = Normal::new(0.0, 1.0).ok()?;
        let side = |share: f64, purpose: &str| {
            let rng = streams.stream("workload", 0, purpose);
            Side::new(share, shares, &normal, rng)
        };
        Some(ClientLengths {
            prompt: side(ways.0, "prompts of clients"),
            output: side(ways.1, "outputs of clients"),
        })
    }

    /// Ranks over all requests of a prompt and an output that have those ranks within a client.
    pub fn ranks(&self, client: usize, within: (f64, f64)) -> (f64, f64) {
        let prompt = self.prompt.rank(client, within.0);
        (prompt, self.output.rank(client, within.1))
    }
}

impl Side {
    fn new(share: f64, shares: &[f64], normal: &Normal, mut rng: SimRng) -> Side {
        let mut order: Vec<usize> = (0..shares.len()).collect();
        for index in (1..order.len()).rev() {
            order.swap(index, rng.random_range(0..=index));
        }
        // Each client has the middle of its stretch of all ranks, in random order.
        let mut scores = vec![0.0; shares.len()];
        let mut below = 0.0;
        for client in order {
            let middle: f64 = below + shares[client] / 2.0;
            scores[client] = normal.inverse_cdf(middle.clamp(1e-12, 1.0 - 1e-12));
            below += shares[client];
        }
        let (between, within) = (share.sqrt(), (1.0 - share).sqrt());
        let table = (0..POINTS).map(|point| {
            let score = REACH * (2.0 * point as f64 / (POINTS - 1) as f64 - 1.0);
            let clients = scores.iter().zip(shares);
            let below = clients.map(|(z, weight)| match within > 0.0 {
                true => weight * normal.cdf((score - between * z) / within),
                false => weight * f64::from(u8::from(score >= between * z)),
            });
            below.sum::<f64>()
        });
        Side {
            share,
            table: table.collect(),
            scores,
        }
    }

    fn rank(&self, client: usize, within: f64) -> f64 {
        let Ok(normal) = Normal::new(0.0, 1.0) else {
            return within;
        };
        if self.share == 0.0 {
            return within;
        }
        let own = normal.inverse_cdf(within.clamp(1e-15, 1.0 - 1e-15));
        let score = self.share.sqrt() * self.scores[client] + (1.0 - self.share).sqrt() * own;
        let place = (score + REACH) / (2.0 * REACH) * (POINTS - 1) as f64;
        let place = place.clamp(0.0, (POINTS - 1) as f64);
        let left = (place as usize).min(POINTS - 2);
        let (low, high) = (self.table[left], self.table[left + 1]);
        (low + (high - low) * (place - left as f64)).clamp(0.0, 1.0)
    }
}
