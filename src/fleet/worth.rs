//! What a replica is worth to a router that goes by cost or latency: what it costs, and how long a
//! request takes there.

use std::ops::Range;

/// What is known of one of several like replicas.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Worth {
    /// Its price, US dollars per hour.
    pub usd_per_hour: f64,
    /// Requests that it works on at once.
    pub seats: u32,
    /// How long a request of mean lengths takes there alone, nanoseconds.
    pub alone_ns: f64,
    /// The same when all seats are taken.
    pub full_ns: f64,
}

impl Worth {
    /// How long a request is expected to take beside `others` that are there already: as the seats
    /// are taken, from `alone_ns` to `full_ns`; those without a seat wait their turn.
    pub fn expected_ns(&self, others: u64) -> f64 {
        let seats = f64::from(self.seats.max(1));
        let present = others as f64 + 1.0;
        if present > seats {
            return self.full_ns * present / seats;
        }
        let taken = match self.seats {
            0 | 1 => 1.0,
            _ => (present - 1.0) / (seats - 1.0),
        };
        self.alone_ns + (self.full_ns - self.alone_ns) * taken
    }

    /// What a request costs there when all seats are taken, US dollars.
    pub fn usd_per_request(&self) -> f64 {
        self.usd_per_hour / 3.6e12 * self.full_ns / f64::from(self.seats.max(1))
    }
}

/// Replicas that are alike: those of a group of nodes, or of a pool.
#[derive(Debug, Clone, PartialEq)]
pub struct WorthClass {
    /// Their pool.
    pub pool: u16,
    /// Which replicas, over all pools.
    pub replicas: Range<u32>,
    /// What one is worth.
    pub worth: Worth,
}

#[cfg(test)]
mod tests {
    use super::Worth;

    #[test]
    fn the_expected_time_by_hand() {
        // A batch of five: alone 1 s, in a full batch 3 s.
        let engine = Worth {
            usd_per_hour: 36.0,
            seats: 5,
            alone_ns: 1e9,
            full_ns: 3e9,
        };
        assert_eq!(engine.expected_ns(0), 1e9);
        assert_eq!(engine.expected_ns(2), 2e9);
        assert_eq!(engine.expected_ns(4), 3e9);
        // Five more: two turns.
        assert_eq!(engine.expected_ns(9), 6e9);
        // A cent a second, five requests in three seconds.
        assert!((engine.usd_per_request() - 0.006).abs() < 1e-12);
        // One server at a time: each waits for those before it.
        let server = Worth {
            seats: 1,
            alone_ns: 2e9,
            full_ns: 2e9,
            ..engine
        };
        assert_eq!(server.expected_ns(0), 2e9);
        assert_eq!(server.expected_ns(3), 8e9);
    }
}
