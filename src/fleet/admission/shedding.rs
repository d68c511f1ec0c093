//! Whom to turn away when the replicas are loaded.

use rand::RngExt;

use crate::engine::SimRng;
use crate::scenario::admission::{LoadSignal, Shedding};

/// The load signal, gathered replica by replica from what the gateway last heard of each.
#[derive(Debug, Clone)]
pub struct Load {
    signal: LoadSignal,
    sum: f64,
    replicas: u32,
}

impl Load {
    /// Of no replica yet.
    pub fn new(signal: LoadSignal) -> Load {
        Load {
            signal,
            sum: 0.0,
            replicas: 0,
        }
    }

    /// Adds a replica with so many requests waiting and such a share (0 to 1) of its KV cache in
    /// use.
    pub fn add(&mut self, waiting: u32, kv_use: f64) {
        let waiting = f64::from(waiting);
        self.sum += match self.signal {
            LoadSignal::Saturation { queue_depth, kv } => (waiting / queue_depth).max(kv_use / kv),
            LoadSignal::KvUse {} => kv_use,
            LoadSignal::Queue { limit } => waiting / limit,
        };
        self.replicas += 1;
    }

    /// Adds a replica of which nothing recent is known: it counts as fully used (llm-d).
    pub fn add_stale(&mut self) {
        self.sum += 1.0;
        self.replicas += 1;
    }

    /// The mean over the replicas; 1 without any, since there is nobody to serve.
    pub fn signal(&self) -> f64 {
        if self.replicas == 0 {
            return 1.0;
        }
        self.sum / f64::from(self.replicas)
    }
}

/// Decides whom to turn away.
#[derive(Debug, Clone)]
pub struct Shedder {
    rule: Rule,
}

#[derive(Debug, Clone)]
enum Rule {
    /// By tier: nothing at the first signal or below, everything from the second on. None for a
    /// tier that is never shed.
    ByTier(Vec<Option<(f64, f64)>>),
    Probabilistic {
        exponent: f64,
        factor: f64,
    },
}

impl Shedder {
    /// `tiers` are the names of the scenario's tiers by index.
    pub fn new(config: &Shedding, tiers: &[&str]) -> Shedder {
        let rule = match config {
            Shedding::ByTier { tiers: shed, .. } => {
                let ramp = |name: &&str| {
                    let tier = shed.iter().find(|tier| tier.tier == *name)?;
                    Some((tier.above, tier.all_from.unwrap_or(tier.above)))
                };
                Rule::ByTier(tiers.iter().map(ramp).collect())
            }
            Shedding::Probabilistic {
                exponent, factor, ..
            } => Rule::Probabilistic {
                exponent: *exponent,
                factor: *factor,
            },
        };
        Shedder { rule }
    }

    /// The probability, 0 to 1, that a request of this tier and priority is turned away.
    pub fn probability(&self, tier: u32, priority: i32, signal: f64) -> f64 {
        match &self.rule {
            Rule::ByTier(ramps) => match ramps.get(tier as usize) {
                Some(&Some((above, all_from))) => {
                    if signal <= above {
                        0.0
                    } else if signal >= all_from {
                        1.0
                    } else {
                        (signal - above) / (all_from - above)
                    }
                }
                _ => 0.0,
            },
            Rule::Probabilistic { exponent, factor } => {
                if priority >= 0 {
                    return 0.0;
                }
                (signal.max(0.0).powf(*exponent) * factor).min(1.0)
            }
        }
    }

    /// Whether a request is turned away. Draws only where that is not certain.
    pub fn sheds(&self, tier: u32, priority: i32, signal: f64, rng: &mut SimRng) -> bool {
        let probability = self.probability(tier, priority, signal);
        probability >= 1.0 || (probability > 0.0 && rng.random::<f64>() < probability)
    }
}
