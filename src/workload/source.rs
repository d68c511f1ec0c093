//! The stream of requests a run is offered.

use std::sync::Arc;

use rand::RngExt;

use crate::engine::{SimDuration, SimRng, SimTime, Streams};
use crate::trace::{TraceCursor, TraceError, TraceSource};

use super::arrivals::Arrivals;
use super::law::Sampler;
use super::lengths::{LengthLaw, LengthPair};
use super::profile::RateClock;
use super::sessions::{Client, SessionCounts, SessionPlan, Sessions, Turn};
use super::sharing::Sharing;
use crate::fleet::ids::NONE;
use crate::fleet::prefix::Prefix;
use crate::scenario::workload::PrefixSharing;

/// A request that is about to arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// When.
    pub time: SimTime,
    /// Prompt (input) tokens.
    pub prompt_tokens: u32,
    /// Output tokens.
    pub output_tokens: u32,
    /// Index of its tier.
    pub tier: u16,
    /// The user of a closed loop or the session whose turn it is, or [`NONE`].
    pub user: u32,
    /// What its prompt has in common with others'.
    pub prefix: Prefix,
    /// The client of the arrival process that it comes from, from 0, where that has clients.
    pub client: Option<u32>,
}

impl Offered {
    fn turn(time: SimTime, user: u32, (prompt, output, tier, prefix): Turn) -> Offered {
        Offered {
            time,
            prompt_tokens: prompt,
            output_tokens: output,
            tier,
            user,
            prefix,
            client: None,
        }
    }
}

/// How requests come about.
#[derive(Debug, Clone)]
pub enum SourcePlan {
    /// Drawn from an arrival process and laws of length.
    Drawn {
        /// The process.
        arrivals: Arrivals,
        /// A rate that changes over time.
        clock: Option<RateClock>,
        /// Lengths.
        lengths: LengthPair,
    },
    /// A fixed number of users.
    ClosedLoop {
        /// How many.
        users: u32,
        /// Time between an answer and the next request.
        think: Option<Sampler>,
        /// Lengths.
        lengths: LengthPair,
    },
    /// Replayed from a trace.
    Trace {
        /// Where it is.
        source: TraceSource,
        /// Law for prompts in place of the trace's own.
        prompt: Option<LengthLaw>,
        /// Law for outputs in place of the trace's own.
        output: Option<LengthLaw>,
    },
    /// Requests that were observed, in order of their instants, in memory: what a replay holds
    /// beside what it simulates. Instants are the simulation's own, so that faults keep theirs.
    Observed(Arc<[Arrival]>),
}

/// Hashes of a prompt's blocks: equal ones at the start of two prompts are the same text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptBlocks {
    /// A hash for each, in order.
    pub hashes: Arc<[u64]>,
    /// Tokens of a block.
    pub tokens: u32,
}

/// A request that was observed to arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// When, nanoseconds from the start of the simulation.
    pub t_ns: u64,
    /// Prompt tokens.
    pub prompt_tokens: u32,
    /// Output tokens.
    pub output_tokens: u32,
    /// The blocks of its prompt, where that is known.
    pub blocks: Option<PromptBlocks>,
}

/// The stream itself. It is `Clone`, so that a run can be forked in the middle of a trace.
#[derive(Debug, Clone)]
pub struct Source {
    plan: SourcePlan,
    cursor: Option<TraceCursor>,
    /// How many of the observed requests have come.
    came: usize,
    /// Arrivals at or after this instant do not happen.
    horizon: SimTime,
    left: u64,
    operational_ns: f64,
    arrival_rng: SimRng,
    length_rng: SimRng,
    tier_rng: SimRng,
    think_rng: SimRng,
    tier_bounds: Vec<f64>,
    sharing: Sharing,
    sessions: Option<Sessions>,
    /// Whether the arrival process has come to the horizon.
    over: bool,
    failure: Option<String>,
}

impl Source {
    /// Opens the stream. `tier_shares` need not sum to 1.
    pub fn new(
        mut plan: SourcePlan,
        streams: Streams,
        horizon: SimTime,
        max_requests: u64,
        tier_shares: &[f64],
        sharing: Option<PrefixSharing>,
        sessions: Option<SessionPlan>,
    ) -> Result<Source, TraceError> {
        let cursor = match &plan {
            SourcePlan::Trace { source, .. } => Some(source.cursor()?),
            _ => None,
        };
        if let SourcePlan::Drawn { arrivals, .. } = &mut plan {
            arrivals.begin(streams);
        }
        let total: f64 = tier_shares.iter().sum();
        let tier_bounds = tier_shares
            .iter()
            .scan(0.0, |sum, share| {
                *sum += share / total;
                Some(*sum)
            })
            .collect();
        Ok(Source {
            plan,
            cursor,
            came: 0,
            horizon,
            left: max_requests,
            operational_ns: 0.0,
            arrival_rng: streams.stream("workload", 0, "arrivals"),
            length_rng: streams.stream("workload", 0, "lengths"),
            tier_rng: streams.stream("workload", 0, "tiers"),
            think_rng: streams.stream("workload", 0, "think times"),
            tier_bounds,
            sharing: Sharing::new(sharing, streams),
            sessions: sessions.map(|plan| Sessions::new(plan, streams)),
            over: false,
            failure: None,
        })
    }

    /// What went wrong with the trace while it was being read, if anything did.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Users of a closed loop, 0 for open arrivals.
    pub fn users(&self) -> u32 {
        match &self.plan {
            SourcePlan::ClosedLoop { users, .. } => *users,
            _ => 0,
        }
    }

    /// Whether requests come from users or sessions, one after the other.
    pub fn has_users(&self) -> bool {
        self.users() > 0 || self.sessions.is_some()
    }

    /// The next request of open arrivals, `None` when there are no more.
    pub fn next_offered(&mut self) -> Option<Offered> {
        if self.left == 0 || self.over {
            return None;
        }
        let (mut hashes, mut client) = (None, None);
        let (time, prompt_tokens, output_tokens) = match &mut self.plan {
            SourcePlan::ClosedLoop { .. } => return None,
            SourcePlan::Observed(arrivals) => {
                let arrival = arrivals.get(self.came)?;
                let time = SimTime(arrival.t_ns);
                if time >= self.horizon {
                    self.over = true;
                    return None;
                }
                self.came += 1;
                let blocks = arrival.blocks.as_ref();
                hashes = blocks.map(|it| (Arc::clone(&it.hashes), it.tokens));
                (time, arrival.prompt_tokens, arrival.output_tokens)
            }
            SourcePlan::Drawn {
                arrivals,
                clock,
                lengths,
            } => {
                self.operational_ns += arrivals.gap_ns(&mut self.arrival_rng);
                let real_ns = match clock {
                    Some(clock) => clock.real_ns(self.operational_ns),
                    None => self.operational_ns,
                };
                // `as` saturates, so a rate that has died out gives an instant that never comes.
                let time = SimTime(real_ns.round() as u64);
                if time >= self.horizon {
                    self.over = true;
                    return None;
                }
                let (prompt, output) = match arrivals.clients() {
                    Some(clients) => {
                        client = Some(clients.last());
                        let rank = |within| clients.length_ranks(within);
                        lengths.sample_by(&mut self.length_rng, rank)
                    }
                    None => lengths.sample(&mut self.length_rng),
                };
                (time, prompt, output)
            }
            SourcePlan::Trace { prompt, output, .. } => {
                let record = match self.cursor.as_mut()?.next_record() {
                    Ok(record) => record?,
                    Err(error) => {
                        self.failure = Some(error.to_string());
                        return None;
                    }
                };
                let time = SimTime(record.t_ns);
                if time >= self.horizon {
                    self.over = true;
                    return None;
                }
                let rng = &mut self.length_rng;
                // Two draws whatever is asked for, so that a law for one moves none of the other.
                let mut draw = |law: &Option<LengthLaw>, own: u32| {
                    let probability = rng.random::<f64>();
                    law.as_ref().map_or(own, |law| law.quantile(probability))
                };
                hashes = record.hashes.map(|it| (it, record.hashed_tokens));
                let prompt = draw(prompt, record.prompt_tokens);
                let output = draw(output, record.output_tokens);
                (time, prompt, output)
            }
        };
        self.left -= 1;
        let tier = self.draw_tier();
        if let Some(sessions) = &mut self.sessions {
            let (user, turn) = sessions.start(prompt_tokens, output_tokens, tier);
            return Some(Offered::turn(time, user, turn));
        }
        Some(Offered {
            time,
            prompt_tokens,
            output_tokens,
            tier,
            user: NONE,
            prefix: self.sharing.next(hashes, prompt_tokens),
            client,
        })
    }

    /// The request a closed-loop user makes at `time`, or the next turn of a session; `None` when
    /// arrivals are over.
    pub fn user_request(&mut self, user: u32, time: SimTime) -> Option<Offered> {
        let over = self.left == 0 || time >= self.horizon;
        if let Some(sessions) = &mut self.sessions {
            if over {
                sessions.cut(user);
                return None;
            }
            self.left -= 1;
            let turn = sessions.turn(user)?;
            return Some(Offered::turn(time, user, turn));
        }
        if over {
            return None;
        }
        let SourcePlan::ClosedLoop { lengths, .. } = &self.plan else {
            return None;
        };
        let (prompt_tokens, output_tokens) = lengths.sample(&mut self.length_rng);
        self.left -= 1;
        Some(Offered {
            time,
            prompt_tokens,
            output_tokens,
            tier: self.draw_tier(),
            user,
            prefix: self.sharing.next(None, prompt_tokens),
            client: None,
        })
    }

    /// A request beside the arrival process like one of it, at `time`: where that began a session,
    /// this one begins another.
    pub fn beside(&mut self, offered: &Offered, time: SimTime) -> Offered {
        match &mut self.sessions {
            Some(sessions) => {
                let first = (offered.prompt_tokens, offered.output_tokens);
                let (user, turn) = sessions.start_beside(first, offered.tier);
                Offered::turn(time, user, turn)
            }
            None => Offered {
                time,
                ..offered.clone()
            },
        }
    }

    /// A request of the arrival process does not come after all, nor what would have followed it.
    pub fn never_came(&mut self, offered: &Offered) {
        if let Some(sessions) = &mut self.sessions {
            sessions.never_came(offered.user);
        }
    }

    /// How long a closed-loop user thinks before the next request.
    pub fn think_time(&mut self) -> SimDuration {
        match &self.plan {
            SourcePlan::ClosedLoop {
                think: Some(law), ..
            } => law.sample(&mut self.think_rng),
            _ => SimDuration::ZERO,
        }
    }

    /// A request of a user ended: the time until that user's next one, if there is one. Who is
    /// turned away and does not think waits for `back_off`.
    pub fn ended(
        &mut self,
        user: u32,
        answered: bool,
        back_off: SimDuration,
    ) -> Option<SimDuration> {
        if let Some(sessions) = &mut self.sessions {
            return sessions.turn_ended(user, answered);
        }
        match self.think_time() {
            SimDuration::ZERO if !answered => Some(back_off),
            pause => Some(pause),
        }
    }

    /// The client whose session it is, once it is known; none where that is no session.
    pub fn session_client(&self, session: u32) -> Option<Client> {
        self.sessions.as_ref()?.client(session)
    }

    /// Keeps whose session it is. Without effect where that is no session.
    pub fn session_is_of(&mut self, session: u32, client: Client) {
        if let Some(sessions) = &mut self.sessions {
            sessions.is_of(session, client);
        }
    }

    /// What became of sessions, where there are any.
    pub fn session_counts(&self) -> Option<SessionCounts> {
        self.sessions.as_ref().map(Sessions::counts)
    }

    fn draw_tier(&mut self) -> u16 {
        if self.tier_bounds.len() < 2 {
            return 0;
        }
        let draw = self.tier_rng.random::<f64>();
        let index = self.tier_bounds.partition_point(|&bound| bound <= draw);
        index.min(self.tier_bounds.len() - 1) as u16
    }
}
