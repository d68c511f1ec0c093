//! Random lives of nodes and random events of pools, each from a stream of its
//! own.

use rand::{Rng, RngExt, SeedableRng};
use rand_distr::{Distribution, Weibull};

use crate::engine::SimRng;
use crate::engine::SimTime;
use crate::fleet::spot::interruption::Interruption;

/// Nanoseconds in an hour.
const NS_PER_HOUR: f64 = 3.6e12;

/// A random length of time with a Weibull law; exponential when the shape is 1.
///
/// Drawn by inversion of one uniform number, so that with equal streams a law
/// with a shorter mean shortens every single draw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life(Weibull<f64>);

impl Life {
    /// Exponential with a rate, per hour; `None` for a rate of 0: no end.
    fn exponential(per_hour: f64) -> Option<Self> {
        if per_hour > 0.0 {
            Weibull::new(1.0 / per_hour, 1.0).ok().map(Self)
        } else {
            None
        }
    }

    /// Weibull with a mean, hours, and a shape.
    fn weibull(mean_h: f64, shape: f64) -> Option<Self> {
        // Mean = scale * gamma(1 + 1/shape).
        let scale_h = mean_h / gamma(1.0 + 1.0 / shape);
        Weibull::new(scale_h, shape).ok().map(Self)
    }

    /// The law of one node's life apart from events of the pool; `None` when
    /// nothing ends it.
    pub fn of(rule: &Interruption) -> Option<Self> {
        match rule {
            Interruption::Hazard { per_node_hour }
            | Interruption::PoolLoss { per_node_hour, .. } => Self::exponential(*per_node_hour),
            Interruption::Weibull { mean_h, shape } => Self::weibull(*mean_h, *shape),
            Interruption::None {} | Interruption::Trace { .. } => None,
        }
    }

    /// A moment strictly after `from`, in whole nanoseconds; `None` when it lies
    /// beyond the end of simulated time.
    pub fn end(&self, from: SimTime, rng: &mut SimRng) -> Option<SimTime> {
        let ns = (self.0.sample(rng) * NS_PER_HOUR).round();
        // The cast saturates; lengths beyond 64 bits never end.
        let ns = Some((ns as u64).max(1)).filter(|&ns| ns < u64::MAX)?;
        from.0.checked_add(ns).map(SimTime)
    }
}

/// A generator of streams that are independent of each other and of every
/// other seed's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Streams([u8; 32]);

impl Streams {
    /// Takes a fresh seed from `rng`.
    pub fn new(rng: &mut SimRng) -> Self {
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        Self(seed)
    }

    /// The stream of a pair of numbers: no two pairs share one.
    pub fn of(&self, high: u32, low: u32) -> SimRng {
        self.wide((u64::from(high) << 32) | u64::from(low))
    }

    /// The stream of one wide number.
    pub fn wide(&self, stream: u64) -> SimRng {
        let mut rng = SimRng::from_seed(self.0);
        rng.set_stream(stream);
        rng
    }
}

/// The events that strike a whole pool.
///
/// Their times do not depend on which nodes are held, and whether an event
/// takes a node depends on that event and that node only.
#[derive(Clone, Debug)]
pub(crate) struct PoolEvents {
    gap: Life,
    share: f64,
    gaps: SimRng,
    hits: Streams,
    /// The next event: when, and its number from 0.
    next: Option<(SimTime, u32)>,
    /// Events already taken that may lie after a node that starts now, because
    /// the market was asked ahead of time.
    taken: Vec<(SimTime, u32)>,
}

impl PoolEvents {
    /// The events of a law, if it has any.
    pub fn new(rule: &Interruption, rng: &mut SimRng) -> Option<Self> {
        let (gaps, hits) = (Streams::new(rng), Streams::new(rng));
        let Interruption::PoolLoss {
            per_hour, share, ..
        } = rule
        else {
            return None;
        };
        let gap = Life::exponential(*per_hour)?;
        let mut gaps = gaps.wide(0);
        let next = gap.end(SimTime(0), &mut gaps).map(|at| (at, 0));
        Some(Self {
            gap,
            share: *share,
            gaps,
            hits,
            next,
            taken: Vec::new(),
        })
    }

    /// When the next event comes.
    pub fn next_at(&self) -> Option<SimTime> {
        self.next.map(|event| event.0)
    }

    /// Takes the next event and remembers it.
    pub fn take(&mut self) -> Option<(SimTime, u32)> {
        let event = self.next?;
        self.taken.push(event);
        self.advance();
        Some(event)
    }

    /// Drops the events up to `now` that met an empty pool.
    pub fn skip_until(&mut self, now: SimTime) {
        while self.next.is_some_and(|event| event.0 <= now) {
            self.advance();
        }
    }

    /// Forgets taken events up to `now`, and finds the first later one that
    /// takes a node starting now.
    pub fn already_doomed(&mut self, node: u32, now: SimTime) -> Option<SimTime> {
        self.taken.retain(|event| event.0 > now);
        let mut later = self.taken.iter();
        later.find(|event| self.hits(event.1, node)).map(|e| e.0)
    }

    /// Whether an event takes a node.
    pub fn hits(&self, event: u32, node: u32) -> bool {
        // A uniform number below 1 makes share 1 certain and share 0 impossible.
        self.hits.of(event, node).random::<f64>() < self.share
    }

    fn advance(&mut self) {
        self.next = self.next.and_then(|(at, number)| {
            let later = self.gap.end(at, &mut self.gaps)?;
            // The number repeats after 2^32 events, far beyond any run.
            Some((later, number.wrapping_add(1)))
        });
    }
}

/// The gamma function for 1 <= x <= 11, to about 1e-14 relative.
///
/// Lanczos' approximation with g = 7 and nine terms, coefficients as published
/// by P. Godfrey ("A note on the computation of the convergent Lanczos complex
/// gamma approximation", 2001).
fn gamma(x: f64) -> f64 {
    const G: f64 = 7.0;
    const FIRST: f64 = 0.999_999_999_999_809_9;
    const TERMS: [f64; 8] = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let x = x - 1.0;
    let mut sum = FIRST;
    let mut denominator = x;
    for term in TERMS {
        denominator += 1.0;
        sum += term / denominator;
    }
    let t = x + G + 0.5;
    (2.0 * std::f64::consts::PI).sqrt() * t.powf(x + 0.5) * (-t).exp() * sum
}

#[cfg(test)]
mod tests {
    use super::gamma;

    #[test]
    fn gamma_agrees_with_factorials_and_half_integers() {
        let root_pi = std::f64::consts::PI.sqrt();
        let known = [
            (1.0, 1.0),
            (2.0, 1.0),
            (3.0, 2.0),
            (6.0, 120.0),
            (11.0, 3_628_800.0),
            (1.5, root_pi / 2.0),
            (2.5, root_pi * 0.75),
            (5.5, root_pi * 945.0 / 32.0),
        ];
        for (x, expected) in known {
            assert!((gamma(x) / expected - 1.0).abs() < 1e-13, "gamma({x})");
        }
        // Recurrence between the tabled points.
        for x in [1.1, 1.37, 2.9, 7.25] {
            assert!((gamma(x + 1.0) / (x * gamma(x)) - 1.0).abs() < 1e-13);
        }
    }
}
