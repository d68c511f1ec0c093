//! Engines that let new prompts wait while others decode: to look for them more rarely, or to
//! compute more of them at once.

use super::{Engine, EngineRules};
use crate::fleet::request::Requests;

impl Engine {
    /// Whether the prompts of the queue are not to be admitted in this iteration.
    pub(super) fn lets_wait(&mut self, rules: &EngineRules, requests: &Requests) -> bool {
        let most = u64::from(rules.prompt_wait_iterations);
        let free = self.decodes == 0 || !self.prefilling.is_empty() || self.waiting.is_empty();
        if most == 0 || free {
            self.waits_since = None;
            return false;
        }
        let waits = match rules.prompt_wait_tokens {
            0 => (self.iteration - self.looked) % most != 0,
            enough => {
                let since = *self.waits_since.get_or_insert(self.iteration);
                self.iteration - since < most
                    && self.waiting.prompt_tokens(requests) < u64::from(enough)
            }
        };
        if !waits {
            self.waits_since = None;
        }
        self.held_back |= waits;
        waits
    }
}
