//! Engines that let new prompts wait while others decode: to look for them more rarely, or to
//! compute more of them at once.

use super::{Engine, EngineRules};
use crate::engine::SimTime;
use crate::fleet::request::Requests;

impl Engine {
    /// Whether the prompts of the queue are not to be admitted in this iteration.
    pub(super) fn lets_wait(&mut self, rules: &EngineRules, requests: &Requests) -> bool {
        let most = u64::from(rules.prompt_wait_iterations);
        if most == 0 {
            return false;
        }
        if self.decodes == 0 || !self.prefilling.is_empty() || self.waiting.is_empty() {
            self.waits_since = None;
            return false;
        }
        // Who cannot be admitted anyway does not begin to wait: with no seat, or not seen yet.
        if !self.has_seats(rules) || self.comes_late(rules, requests) {
            return false;
        }
        let waits = match rules.prompt_wait_tokens {
            0 => !(self.iteration - self.looked).is_multiple_of(most),
            enough => {
                // The wait is over once, until a prompt is computed.
                let since = *self.waits_since.get_or_insert(self.iteration);
                self.iteration - since < most
                    && self.waiting.prompt_tokens(requests) < u64::from(enough)
            }
        };
        self.held_back |= waits;
        waits
    }

    /// Whether the queue's head came after the iteration was planned.
    pub(super) fn comes_late(&self, rules: &EngineRules, requests: &Requests) -> bool {
        rules.async_scheduling
            && self.waiting.front().is_some_and(|slot| {
                let request = requests.at(slot);
                request.scheduled == SimTime::NEVER && request.queued > self.cutoff
            })
    }
}
