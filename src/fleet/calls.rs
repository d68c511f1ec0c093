//! What clients want: a call, however often it tries. Each try is a
//! [`Request`](super::request::Request) at the fleet.

use rand::RngExt;
use smallvec::SmallVec;

use crate::engine::{SimDuration, SimRng, SimTime, Streams, Timer};
use crate::scenario::tries::{RetryOn, Sign};
use crate::workload::Sampler;

use super::gate::Permits;
use super::ids::NONE;
use super::outcome::Ending;
use super::prefix::Prefix;
use super::request::{Outcome, Status};
use super::retry::{Backoff, Budget};
use super::slab::Slab;
use super::topology::PopulationPlan;

/// What clients do about what fails.
#[derive(Debug, Clone)]
pub struct ClientPlan {
    /// When a call is given up.
    pub timeout: Option<SimDuration>,
    /// When a try is given up that has not been answered.
    pub try_timeout: Option<SimDuration>,
    /// When a try is given up whose first token has not come.
    pub first_token_timeout: Option<SimDuration>,
    /// How long users wait for what.
    pub patience: Option<(Sampler, Sign)>,
    /// Tries after the first at most.
    pub max_retries: u16,
    /// What is tried again.
    pub retry_on: Vec<RetryOn>,
    /// How long after.
    pub backoff: Backoff,
    /// What bounds retries and hedges, untouched.
    pub budget: Budget,
    /// Another try after so long, and how many of them.
    pub hedge: Option<(SimDuration, u16)>,
    /// Whether replicas learn of tries that were given up.
    pub propagate_cancel: bool,
}

impl ClientPlan {
    /// Whether a try that ended so is tried again, if there are retries left.
    pub fn retries(&self, status: Status) -> bool {
        let kind = match status.outcome() {
            Outcome::Completed | Outcome::Cancelled => return false,
            // It would be too long for ever.
            Outcome::Rejected if status == Status::RejectedTooLong => return false,
            Outcome::Rejected => RetryOn::Rejected,
            Outcome::Shed => RetryOn::Shed,
            Outcome::TimedOut => RetryOn::TimedOut,
            Outcome::Failed => RetryOn::Failed,
        };
        self.retry_on.contains(&kind)
    }
}

/// Why a try is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is the first.
    First,
    /// The one before failed.
    Retry,
    /// The one before is slow.
    Hedge,
}

/// A call in flight.
#[derive(Debug, Clone)]
pub struct Call {
    /// Serial number, from 0 in order of arrival.
    pub serial: u64,
    /// When its first try began.
    pub arrival: SimTime,
    /// Prompt tokens.
    pub prompt_tokens: u32,
    /// Output tokens.
    pub output_tokens: u32,
    /// Tier.
    pub tier: u16,
    /// The user of a closed loop or the session whose turn it is, or [`NONE`].
    pub user: u32,
    /// What its prompt has in common with others'.
    pub prefix: Prefix,
    /// The population that its client is of, and which of its users that is.
    pub population: u16,
    /// See there.
    pub who: u32,
    /// Its tenant.
    pub tenant: u32,
    /// When it should be done, or [`SimTime::NEVER`].
    pub due: SimTime,
    /// Tries made, hedges among them.
    pub tries: u16,
    /// Of these: retries, and hedges.
    pub retries: u16,
    /// See there.
    pub hedges: u16,
    /// Slots of the tries under way that it waits for.
    pub live: SmallVec<[u32; 2]>,
    /// The delay before the last retry.
    pub backoff: SimDuration,
    /// When it is given up.
    pub deadline: Option<Timer>,
    /// When its user leaves.
    pub leaves: Option<Timer>,
    /// When it tries again.
    pub retry: Option<Timer>,
    /// When it tries beside.
    pub hedge: Option<Timer>,
}

impl Call {
    /// What is known of it at its end.
    pub fn ending(&self) -> Ending {
        Ending {
            serial: self.serial,
            arrival: self.arrival,
            tier: self.tier,
            population: self.population,
            tenant: self.tenant,
            tries: self.tries,
        }
    }
}

/// 2^64 over the golden ratio.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// What is known of a try beside the request that it is.
#[derive(Debug, Clone, Copy)]
pub struct Try {
    /// The slot of its call; [`NONE`] once it was given up.
    pub call: u32,
    /// Why it was made.
    pub why: Why,
    /// Whether its replica was told to drop it, and will when it can.
    pub dropped: bool,
    /// Whether the router that chose its replica counts it.
    pub counted: bool,
    /// Its tenant.
    pub tenant: u32,
    /// When it should be done, or [`SimTime::NEVER`].
    pub deadline: SimTime,
    /// Whether it waits at its gateway, and the places it holds there.
    pub waits: bool,
    /// See there.
    pub permits: Permits,
    /// The population that its client is of.
    pub population: u16,
    /// The region it was sent to.
    pub region: u16,
    /// How long it took to come to its gateway.
    pub outward: SimDuration,
    /// How long its answer waited for its record.
    pub logged: SimDuration,
    /// When its answer came back to its gateway.
    pub back_at: SimTime,
    /// How it ended, while the news is on its way back.
    pub failed: Option<Status>,
    /// How it ended at its gateway, while that is on its way to the client.
    pub ended: Option<Status>,
    /// The replica that its gateway is to hear from how it ended; [`NONE`] where it is not.
    pub asked: u32,
    /// Whether it holds a place of its gateway's limits.
    pub has_place: bool,
    /// When it is given up for want of its last token, and of its first; and when its gateway gives
    /// it up.
    pub timers: [Option<Timer>; 3],
}

impl Try {
    /// A try of a call that has just begun.
    pub fn new(call: u32, why: Why) -> Try {
        Try {
            call,
            why,
            dropped: false,
            counted: false,
            tenant: 0,
            deadline: SimTime::NEVER,
            waits: false,
            permits: Permits::default(),
            population: 0,
            region: 0,
            outward: SimDuration::ZERO,
            logged: SimDuration::ZERO,
            back_at: SimTime::NEVER,
            failed: None,
            ended: None,
            asked: NONE,
            has_place: false,
            timers: [None; 3],
        }
    }

    /// Whether its call waits for it no more.
    pub fn is_given_up(&self) -> bool {
        self.call == NONE
    }
}

/// All calls in flight, and what is known of their tries by slot of the request.
#[derive(Debug, Clone)]
pub struct Calls {
    /// The calls.
    pub slab: Slab<Call>,
    tries: Vec<Try>,
    /// Tries under way that somebody waits for.
    pub waited_for: u64,
    /// What bounds retries and hedges.
    pub budget: Budget,
    backoff_rng: SimRng,
    patience_rng: SimRng,
    who_rng: SimRng,
    streams: Streams,
}

impl Calls {
    /// No calls yet.
    pub fn new(plan: &ClientPlan, streams: Streams) -> Calls {
        Calls {
            slab: Slab::new(),
            tries: Vec::new(),
            waited_for: 0,
            budget: plan.budget.clone(),
            backoff_rng: streams.stream("clients", 0, "backoff"),
            patience_rng: streams.stream("clients", 0, "patience"),
            who_rng: streams.stream("clients", 0, "populations"),
            streams,
        }
    }

    /// Notes a try at the slot of its request.
    pub fn begin(&mut self, slot: u32, attempt: Try) {
        let at = slot as usize;
        if at >= self.tries.len() {
            self.tries.resize(at + 1, Try::new(NONE, Why::First));
        }
        self.tries[at] = attempt;
    }

    /// The try at a slot.
    pub fn attempt(&self, slot: u32) -> &Try {
        &self.tries[slot as usize]
    }

    /// The try at a slot, to change.
    pub fn attempt_mut(&mut self, slot: u32) -> &mut Try {
        &mut self.tries[slot as usize]
    }

    /// How long the next retry of a call waits.
    pub fn back_off(&mut self, plan: &ClientPlan, call: u32) -> SimDuration {
        let call = self.slab.at_mut(call);
        let number = u32::from(call.retries) + 1;
        call.backoff = plan
            .backoff
            .delay(number, call.backoff, &mut self.backoff_rng);
        call.backoff
    }

    /// The population that a client is of, and which of its users that is. `weight` is a factor on
    /// the populations' shares at the moment. Two numbers are drawn, whatever they say.
    pub fn who(
        &mut self,
        populations: &[PopulationPlan],
        weight: impl Fn(u16) -> f64,
    ) -> (u16, u32) {
        let (drawn, user): (f64, f64) = (self.who_rng.random(), self.who_rng.random());
        let at = population_at(drawn, populations, weight);
        let users = populations[usize::from(at)].users;
        (at, (user * f64::from(users)) as u32)
    }

    /// The population that a user of a closed loop is of, the same each time. Drawn from a stream
    /// of the user's own: nothing has to be remembered of millions of users.
    pub fn home(&self, user: u32, populations: &[PopulationPlan]) -> u16 {
        if populations.len() < 2 {
            return 0;
        }
        let mut rng = self.streams.stream("user", u64::from(user), "population");
        population_at(rng.random(), populations, |_| 1.0)
    }

    /// The tenant that user `who` of a population is with: one of those with these shares, or else
    /// the tier. A user stays with a tenant; users are spread over them as evenly as whole users
    /// can be (by multiples of the golden ratio).
    pub fn tenant(shares: &[f64], tier: u16, (population, who): (u16, u32)) -> u32 {
        match shares {
            [] => u32::from(tier),
            [_] => 0,
            shares => {
                let number = u64::from(who) + (u64::from(population) << 32);
                let place = number.wrapping_mul(GOLDEN) >> 11;
                let total: f64 = shares.iter().sum();
                let mut left = place as f64 / (1_u64 << 53) as f64 * total;
                let mut at = 0;
                while at + 1 < shares.len() && left >= shares[at] {
                    left -= shares[at];
                    at += 1;
                }
                at as u32
            }
        }
    }

    /// How long a user waits.
    pub fn patience(&mut self, law: &Sampler) -> SimDuration {
        law.sample(&mut self.patience_rng)
    }
}

/// Where a number drawn from 0 to 1 falls among the shares of populations.
fn population_at(drawn: f64, populations: &[PopulationPlan], weight: impl Fn(u16) -> f64) -> u16 {
    let mut at = 0;
    if populations.len() > 1 {
        let share = |at: usize| populations[at].share * weight(at as u16);
        let total: f64 = (0..populations.len()).map(share).sum();
        let mut left = drawn * total;
        while at + 1 < populations.len() && left >= share(at) {
            left -= share(at);
            at += 1;
        }
    }
    at as u16
}

/// What became of the tries. Counts are of the whole run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TryMeter {
    /// Tries made.
    pub made: u64,
    /// Of these: because another failed.
    pub retries: u64,
    /// Of these: beside one that was slow.
    pub hedges: u64,
    /// Retries and hedges that the budget did not allow.
    pub refused: u64,
    /// Tries given up while they were under way.
    pub given_up: u64,
    /// Tries by how they ended at the fleet, those given up among them.
    pub ended: [u64; Status::COUNT],
    /// Of those given up: answered in full all the same.
    pub answered_for_nobody: u64,
    /// Output tokens that nobody got: made by tries that were given up or failed.
    pub wasted_output_tokens: u64,
}

impl TryMeter {
    /// Adds what another replication counted.
    pub fn merge(&mut self, other: &TryMeter) {
        self.made += other.made;
        self.retries += other.retries;
        self.hedges += other.hedges;
        self.refused += other.refused;
        self.given_up += other.given_up;
        for (mine, theirs) in self.ended.iter_mut().zip(other.ended) {
            *mine += theirs;
        }
        self.answered_for_nobody += other.answered_for_nobody;
        self.wasted_output_tokens += other.wasted_output_tokens;
    }
}
