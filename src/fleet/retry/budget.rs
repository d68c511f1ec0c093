//! How many retries (and hedges) all requests of one client or cluster may make together.

use crate::engine::SimTime;
use crate::engine::time::NS_PER_S;
use crate::scenario::clients::RetryBudget as Config;

/// A retry budget at work, whatever its policy. What a policy does not use it ignores, so that a
/// caller reports everything: [`Budget::on_request`] for each first attempt, then
/// [`Budget::try_retry`] before each retry or hedge and [`Budget::on_retry_end`] when that one is
/// over, and the outcome of every attempt.
#[derive(Debug, Clone)]
pub struct Budget {
    kind: Kind,
    outstanding: u64,
    granted: u64,
    refused: u64,
}

#[derive(Debug, Clone)]
enum Kind {
    Unlimited,
    Envoy { share: f64, least: u64 },
    MaxRetries { limit: u64 },
    Grpc(Throttle),
    Ratio(TokenWindow),
}

impl Budget {
    /// The budget of a configuration, untouched.
    pub fn new(config: &Config) -> Budget {
        let kind = match *config {
            Config::None {} => Kind::Unlimited,
            Config::Envoy {
                budget_pct,
                min_retry_concurrency,
            } => Kind::Envoy {
                share: budget_pct / 100.0,
                least: u64::from(min_retry_concurrency),
            },
            Config::MaxRetries { limit } => Kind::MaxRetries {
                limit: u64::from(limit),
            },
            Config::Grpc {
                max_tokens,
                token_ratio,
            } => Kind::Grpc(Throttle::new(max_tokens, token_ratio)),
            Config::Ratio {
                ratio,
                min_retries_per_s,
                ttl_s,
            } => Kind::Ratio(TokenWindow::new(ratio, min_retries_per_s, ttl_s)),
        };
        Budget {
            kind,
            outstanding: 0,
            granted: 0,
            refused: 0,
        }
    }

    /// A request makes its first attempt.
    pub fn on_request(&mut self, now: SimTime) {
        if let Kind::Ratio(window) = &mut self.kind {
            window.deposit(now);
        }
    }

    /// Whether a retry or hedge may be made now; if so it is taken from the budget.
    ///
    /// `load` is the number of requests active and pending, retries among them.
    pub fn try_retry(&mut self, now: SimTime, load: u64) -> bool {
        let allowed = match &mut self.kind {
            Kind::Unlimited => true,
            // Envoy, `resource_manager_impl.h`: the share is cut to a whole number.
            Kind::Envoy { share, least } => {
                self.outstanding < (*least).max((*share * load as f64) as u64)
            }
            Kind::MaxRetries { limit } => self.outstanding < *limit,
            Kind::Grpc(throttle) => throttle.allows(),
            Kind::Ratio(window) => window.try_withdraw(now),
        };
        if allowed {
            self.outstanding += 1;
            self.granted += 1;
        } else {
            self.refused += 1;
        }
        allowed
    }

    /// A retry or hedge that [`Budget::try_retry`] allowed is over, however it ended. Returns false
    /// when none was outstanding; the count then stays at zero.
    pub fn on_retry_end(&mut self) -> bool {
        let held = self.outstanding > 0;
        self.outstanding -= u64::from(held);
        held
    }

    /// An attempt succeeded.
    pub fn on_success(&mut self) {
        if let Kind::Grpc(throttle) = &mut self.kind {
            throttle.on_success();
        }
    }

    /// An attempt failed in a way that is worth a retry.
    pub fn on_failure(&mut self) {
        if let Kind::Grpc(throttle) = &mut self.kind {
            throttle.on_failure();
        }
    }

    /// Retries and hedges under way.
    pub fn outstanding(&self) -> u64 {
        self.outstanding
    }

    /// Retries and hedges allowed so far.
    pub fn granted(&self) -> u64 {
        self.granted
    }

    /// Retries and hedges refused so far.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

/// Tokens of gRPC's throttling, in thousandths.
#[derive(Debug, Clone, Copy)]
struct Throttle {
    tokens: u64,
    most: u64,
    gain: u64,
}

const MILLI: u64 = 1_000;

impl Throttle {
    fn new(max_tokens: u32, token_ratio: f64) -> Throttle {
        let most = u64::from(max_tokens) * MILLI;
        Throttle {
            tokens: most,
            most,
            gain: milli(token_ratio),
        }
    }

    fn allows(&self) -> bool {
        2 * self.tokens > self.most
    }

    fn on_success(&mut self) {
        self.tokens = self.most.min(self.tokens + self.gain);
    }

    fn on_failure(&mut self) {
        self.tokens = self.tokens.saturating_sub(MILLI);
    }
}

/// Thousandths of a decimal number, digits after the third cut off. The product is rounded before
/// it is cut: 0.29 has no exact binary form, and 1,000 times it is below 290.
fn milli(value: f64) -> u64 {
    let scaled = value * MILLI as f64;
    let nearest = scaled.round();
    let near = (scaled - nearest).abs() < 1e-6;
    (if near { nearest } else { scaled.floor() }) as u64
}

/// Slices of Finagle's window (`TokenBucket.newLeakyBucket`).
const SLICES: usize = 10;

/// Deposits less withdrawals of the last while, in ten slices, and a reserve beside them.
#[derive(Debug, Clone, Copy)]
struct TokenWindow {
    slices: [i64; SLICES],
    sum: i64,
    slice_ns: u64,
    /// Number of the slice that `now` was in last.
    current: u64,
    reserve: i64,
    deposit: i64,
    withdrawal: i64,
}

/// What a request deposits; a retry costs this divided by the ratio (Finagle's `ScaleFactor`).
const DEPOSIT: i64 = 1_000;

impl TokenWindow {
    fn new(ratio: f64, min_retries_per_s: u32, ttl_s: u32) -> TokenWindow {
        // Without deposits a retry costs 1, and without a reserve none is ever there.
        let (deposit, withdrawal) = if ratio > 0.0 {
            (DEPOSIT, ((DEPOSIT as f64 / ratio) as i64).max(1))
        } else {
            (0, 1)
        };
        let reserve = i64::from(min_retries_per_s)
            .saturating_mul(i64::from(ttl_s))
            .saturating_mul(withdrawal);
        TokenWindow {
            slices: [0; SLICES],
            sum: 0,
            slice_ns: (u64::from(ttl_s) * NS_PER_S / SLICES as u64).max(1),
            current: 0,
            reserve,
            deposit,
            withdrawal,
        }
    }

    fn deposit(&mut self, now: SimTime) {
        self.add(now, self.deposit);
    }

    fn try_withdraw(&mut self, now: SimTime) -> bool {
        self.roll(now);
        let enough = self.sum.saturating_add(self.reserve) >= self.withdrawal;
        if enough {
            self.add(now, -self.withdrawal);
        }
        enough
    }

    fn add(&mut self, now: SimTime, amount: i64) {
        self.roll(now);
        let slice = &mut self.slices[(self.current % SLICES as u64) as usize];
        *slice = slice.saturating_add(amount);
        self.sum = self.sum.saturating_add(amount);
    }

    /// Forgets the slices that have passed out of the window.
    fn roll(&mut self, now: SimTime) {
        let slice = now.0 / self.slice_ns;
        let passed = slice.saturating_sub(self.current).min(SLICES as u64);
        for step in 1..=passed {
            let index = ((self.current + step) % SLICES as u64) as usize;
            self.sum -= self.slices[index];
            self.slices[index] = 0;
        }
        self.current = self.current.max(slice);
    }
}
