//! Least request of some sampled at random, and by weights where they differ.

use crate::engine::SimRng;
use crate::scenario::balance::LeastRequest;

use super::draw::uniform;
use super::weighted::Edf;

/// Envoy's least-request policy (`least_request_lb`): the power of two choices (Mitzenmacher 2001)
/// with equal weights, a weighted round robin with weights that loads lower otherwise.
///
/// Looking at all members is [`LeastLoaded`](crate::fleet::least::LeastLoaded)'s work.
#[derive(Debug, Clone)]
pub struct LeastRequestChoice {
    members: u32,
    choices: u32,
    bias: f64,
    /// The schedule by weights, from the first choice on that needs it.
    schedule: Option<Edf>,
}

impl LeastRequestChoice {
    /// Over members `0..members`.
    pub fn new(config: &LeastRequest, members: u32) -> LeastRequestChoice {
        LeastRequestChoice {
            members,
            choices: config.choices,
            bias: config.active_request_bias,
            schedule: None,
        }
    }

    /// Allows members up to `members` in all; a schedule by weights starts anew.
    pub fn grow(&mut self, members: u32) {
        self.members = self.members.max(members);
        self.schedule = None;
    }

    /// With equal weights: the least loaded of `choices` eligible members sampled with replacement;
    /// ties stay with the one sampled first. With two members and two choices, one in four chooses
    /// blindly, since both samples are the same member.
    pub fn choose(
        &mut self,
        rng: &mut SimRng,
        load: impl Fn(u32) -> u64,
        eligible: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        // Weights that differ later start a new schedule.
        self.schedule = None;
        let mut best = uniform(self.members, rng, &eligible)?;
        for _ in 1..self.choices {
            let other = uniform(self.members, rng, &eligible)?;
            if load(other) < load(best) {
                best = other;
            }
        }
        Some(best)
    }

    /// With weights that differ (slow start makes them): in turns by
    /// `weight / (load + 1)^active_request_bias`, read when a member is chosen, before the new
    /// request counts. Weights must be above 0.
    pub fn choose_weighted(
        &mut self,
        load: impl Fn(u32) -> u64,
        weight: impl Fn(u32) -> f64,
        eligible: impl Fn(u32) -> bool,
    ) -> Option<u32> {
        let bias = self.bias;
        let lowered = |member: u32| weight(member) / lowering(load(member), bias);
        let members = self.members;
        let schedule = self
            .schedule
            .get_or_insert_with(|| Edf::new(members, lowered));
        schedule.choose(eligible, lowered)
    }
}

/// `(load + 1)^bias`, exact for the usual biases.
fn lowering(load: u64, bias: f64) -> f64 {
    let load = load as f64 + 1.0;
    if bias == 1.0 {
        load
    } else if bias == 0.0 {
        1.0
    } else {
        load.powf(bias)
    }
}
