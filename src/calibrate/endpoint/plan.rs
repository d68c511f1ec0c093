//! What is sent to a server, and the limits that it stays within.

use serde::Serialize;

/// Requests that find out how the server counts, at most.
pub const PROBES: u32 = 5;
/// Words of the two texts by which tokens of a word are counted.
pub const PROBE_WORDS: [u32; 2] = [64, 256];
/// Tokens that a probe asks for.
pub const PROBE_OUTPUT: u32 = 8;

/// The most that a measurement may do.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Limits {
    /// Requests, those of warm-up and probes included.
    pub max_requests: u64,
    /// Prompt and output tokens of all of them together, as planned.
    pub max_tokens: u64,
    /// Time of it all, seconds: no request begins after it, and none goes on.
    pub max_s: f64,
    /// Time of one request, seconds.
    pub timeout_s: f64,
}

/// One load: so many users with prompts and answers of one length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// Tokens of a prompt.
    pub prompt_tokens: u32,
    /// Tokens of an answer.
    pub output_tokens: u32,
    /// Users.
    pub concurrency: u32,
    /// Requests before those that count.
    pub warmup: u32,
    /// Requests that count.
    pub requests: u32,
}

impl Cell {
    fn all(&self) -> u64 {
        u64::from(self.warmup) + u64::from(self.requests)
    }

    fn tokens(&self) -> u64 {
        self.all() * (u64::from(self.prompt_tokens) + u64::from(self.output_tokens))
    }
}

/// Lengths and users to measure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    /// Tokens of prompts.
    pub prompt_tokens: Vec<u32>,
    /// Tokens of answers.
    pub output_tokens: Vec<u32>,
    /// Numbers of users.
    pub concurrency: Vec<u32>,
    /// Requests of a user that count.
    pub requests_per_user: u32,
    /// Requests of a user before them.
    pub warmup_per_user: u32,
}

/// Everything that is sent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The limits.
    pub limits: Limits,
    /// The loads, those of few users first.
    pub cells: Vec<Cell>,
    /// Requests in all, at most.
    pub requests: u64,
    /// Tokens in all, at most.
    pub tokens: u64,
}

/// A plan that does more than it may.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the plan has {planned} {what}, more than the {allowed} of {option}; take fewer lengths, users or \
     requests of a user, or raise {option}"
)]
pub struct TooMuch {
    what: &'static str,
    planned: u64,
    allowed: u64,
    option: &'static str,
}

impl Plan {
    /// Every pair of lengths at every number of users.
    ///
    /// # Errors
    /// When that is more than the limits allow: nothing is sent then.
    pub fn new(grid: &Grid, limits: Limits) -> Result<Plan, TooMuch> {
        let mut cells = Vec::new();
        for concurrency in &grid.concurrency {
            for output_tokens in &grid.output_tokens {
                for prompt_tokens in &grid.prompt_tokens {
                    cells.push(Cell {
                        prompt_tokens: *prompt_tokens,
                        output_tokens: *output_tokens,
                        concurrency: *concurrency,
                        warmup: concurrency.saturating_mul(grid.warmup_per_user),
                        requests: concurrency.saturating_mul(grid.requests_per_user),
                    });
                }
            }
        }
        cells.sort_by_key(|cell| cell.concurrency);
        let probe = u64::from(PROBES) * u64::from(PROBE_WORDS[1] * 2 + PROBE_OUTPUT);
        let requests = u64::from(PROBES) + cells.iter().map(Cell::all).sum::<u64>();
        let tokens = probe + cells.iter().map(Cell::tokens).sum::<u64>();
        for (what, planned, allowed, option) in [
            ("requests", requests, limits.max_requests, "--max-requests"),
            ("tokens", tokens, limits.max_tokens, "--max-tokens"),
        ] {
            if planned > allowed {
                return Err(TooMuch {
                    what,
                    planned,
                    allowed,
                    option,
                });
            }
        }
        Ok(Plan {
            limits,
            cells,
            requests,
            tokens,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        Grid {
            prompt_tokens: vec![100, 200],
            output_tokens: vec![10],
            concurrency: vec![4, 1],
            requests_per_user: 3,
            warmup_per_user: 1,
        }
    }

    fn limits(max_requests: u64, max_tokens: u64) -> Limits {
        Limits {
            max_requests,
            max_tokens,
            max_s: 10.0,
            timeout_s: 1.0,
        }
    }

    #[test]
    fn all_loads_are_planned_and_counted() {
        let plan = Plan::new(&grid(), limits(1_000, 100_000)).unwrap();
        let users: Vec<u32> = plan.cells.iter().map(|cell| cell.concurrency).collect();
        assert_eq!(users, [1, 1, 4, 4]);
        // 5 users x 4 requests x 2 lengths, and the probes.
        assert_eq!(plan.requests, 40 + 5);
        assert_eq!(plan.tokens, 20 * 110 + 20 * 210 + 5 * 520);
    }

    #[test]
    fn a_plan_beyond_its_limits_is_refused() {
        let error = Plan::new(&grid(), limits(44, 100_000)).unwrap_err();
        assert!(error.to_string().contains("45 requests"), "{error}");
        let error = Plan::new(&grid(), limits(45, 8_999)).unwrap_err();
        assert!(error.to_string().contains("--max-tokens"), "{error}");
    }
}
