//! What prompts have in common.

use rand::RngExt;
use rand_distr::{Distribution, Zipf};

use crate::engine::{SimRng, Streams};
use crate::fleet::prefix::Prefix;
use crate::scenario::workload::PrefixSharing;

/// Draws what the prompt of each request begins with.
#[derive(Debug, Clone)]
pub struct Sharing {
    rule: Option<PrefixSharing>,
    rng: SimRng,
    /// Requests so far.
    count: u64,
}

impl Sharing {
    /// By a scenario's rule, or by the trace's own hashes where there is none.
    pub fn new(rule: Option<PrefixSharing>, streams: Streams) -> Sharing {
        Sharing {
            rule,
            rng: streams.stream("workload", 0, "prefix groups"),
            count: 0,
        }
    }

    /// The prefix of the next request, whose trace has these hashes, each of so many tokens.
    pub fn next(&mut self, hashes: Option<(std::sync::Arc<[u64]>, u32)>) -> Prefix {
        let own = self.count;
        self.count += 1;
        match &self.rule {
            None => match hashes {
                Some((hashes, hashed_tokens)) => Prefix::Hashes {
                    hashes,
                    stretch_tokens: hashed_tokens,
                    own,
                },
                None => Prefix::own(own),
            },
            Some(PrefixSharing::None {}) => Prefix::own(own),
            Some(PrefixSharing::Groups {
                groups,
                tokens,
                zipf_exponent,
            }) => {
                let most = f64::from(*groups);
                // A draw for every request, so that the groups alone move no other number.
                let shared = match Zipf::new(most, *zipf_exponent) {
                    Ok(law) if *zipf_exponent > 0.0 => law.sample(&mut self.rng) as u64 - 1,
                    _ => self.rng.random_range(0..u64::from(*groups)),
                };
                Prefix::Group {
                    shared,
                    shared_tokens: *tokens,
                    own,
                }
            }
            Some(PrefixSharing::Repeated { distinct }) => Prefix::own(own % u64::from(*distinct)),
        }
    }
}
