//! `[workload]`: when requests arrive and how long they are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod clients;
mod reuse;

pub use clients::ClientMix;
pub use reuse::PrefixReuse;

/// When requests arrive and how long their prompts and outputs are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// The arrival process.
    pub arrivals: Arrivals,
    /// A factor on the arrival rate over time. Default: none, the rate is constant.
    /// Not allowed with closed-loop and trace arrivals.
    pub profile: Option<Profile>,
    /// Prompt (input) tokens of a request. Default: the trace's own with trace arrivals,
    /// otherwise 512 for every request.
    pub prompt_tokens: Option<Lengths>,
    /// Output tokens of a request. Default: the trace's own with trace arrivals, otherwise 128.
    pub output_tokens: Option<Lengths>,
    /// Rank correlation (of the Gaussian copula) between prompt and output tokens, -1 to 1.
    /// Default 0: independent, as real traces nearly are. Needs both lengths drawn from a law.
    #[serde(default)]
    pub length_rank_correlation: f64,
    /// What prompts have in common, for pools with `prefix_caching`. Default: what the trace's own
    /// hashes say (Mooncake `hash_ids`, a hash for each 512 tokens), else nothing.
    pub prefix: Option<PrefixSharing>,
    /// Sessions of several turns: arrivals are then those of sessions, and prompt and output tokens
    /// those of their first turns. Not with closed-loop and trace arrivals, nor with `prefix`.
    /// Default: none, each request is on its own.
    pub sessions: Option<Sessions>,
    /// Arrivals stop after this many requests. Default: no limit but the horizon.
    pub max_requests: Option<u64>,
}

/// Sessions (conversations, agents): each turn's prompt is all that was said before and something
/// new. With `prefix_caching` the blocks of the former are found if they are still there; no token
/// is made. A turn that is turned away ends its session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sessions {
    /// How many turns a session has.
    pub turns: Turns,
    /// Time from the last token of an answer to the next turn of its session.
    pub think: Law,
    /// New prompt tokens of the turns after the first. Default: as `workload.prompt_tokens`.
    pub prompt_tokens: Option<Lengths>,
    /// Output tokens of the turns after the first. Default: as `workload.output_tokens`.
    pub output_tokens: Option<Lengths>,
    /// First tokens of every session's first prompt, the same for all and beside
    /// `workload.prompt_tokens`, 0 to 1,000,000. Default 0.
    #[serde(default)]
    pub system_prompt_tokens: u32,
    /// A session ends when prompt and output of its next turn would be longer than this together;
    /// its first turn comes whatever its length. Above `system_prompt_tokens`, at most
    /// 1,073,741,824. Default: no limit; a turn too long for the engine is then turned away.
    pub max_context_tokens: Option<u32>,
}

/// How many turns a session has.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "law", rename_all = "snake_case", deny_unknown_fields)]
pub enum Turns {
    /// The same number for all.
    Constant {
        /// Turns, 1 or more.
        turns: u32,
    },
    /// After each turn another with the same probability.
    Geometric {
        /// Mean turns of a session, at least 1.
        mean_turns: f64,
    },
}

/// What prompts have in common. No token is made: blocks of the same tokens have the same name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "sharing", rename_all = "snake_case", deny_unknown_fields)]
pub enum PrefixSharing {
    /// Nothing, whatever the trace says.
    None {},
    /// Each request belongs to one of some groups, drawn at random, whose first tokens (a system
    /// prompt, a document) are the same.
    Groups {
        /// Number of groups, 1 to 1,000,000,000.
        groups: u32,
        /// First tokens in common.
        tokens: u32,
        /// How unequal the groups are: the r-th has a share in proportion to 1 / r^x. Default 0:
        /// all alike.
        #[serde(default)]
        zipf_exponent: f64,
    },
    /// Whole prompts are repeated in turn: request i has the prompt of request i mod `distinct`.
    Repeated {
        /// Distinct prompts, 1 or more.
        distinct: u32,
    },
    /// Some prompts go on from an earlier one: by how often, how far back and how deep.
    Reuse(PrefixReuse),
}

/// The arrival process of requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "process", rename_all = "snake_case", deny_unknown_fields)]
pub enum Arrivals {
    /// Independent exponential gaps.
    Poisson {
        /// Mean rate, requests per second.
        rate_per_s: f64,
    },
    /// Independent Gamma gaps of a given coefficient of variation.
    Gamma {
        /// Mean rate, requests per second.
        rate_per_s: f64,
        /// Coefficient of variation of the gaps (1 is Poisson, above 1 bursty), 0.01 to 100.
        cv: f64,
    },
    /// Independent Weibull gaps of a given coefficient of variation.
    Weibull {
        /// Mean rate, requests per second.
        rate_per_s: f64,
        /// Coefficient of variation of the gaps, 0.05 to 20.
        cv: f64,
    },
    /// Equal gaps.
    Constant {
        /// Rate, requests per second.
        rate_per_s: f64,
    },
    /// Bursts: Poisson while on, silent (or slow) while off, both lasting exponential times.
    OnOff {
        /// Rate while on, requests per second.
        on_rate_per_s: f64,
        /// Mean length of an on period, seconds.
        on_mean_s: f64,
        /// Mean length of an off period, seconds.
        off_mean_s: f64,
        /// Rate while off, requests per second. Default 0.
        #[serde(default)]
        off_rate_per_s: f64,
        /// Gaps on a clock that runs at the rate of the period, in mean gaps: `[probability, gap]`
        /// knots, straight between them; only their ratios count. Default: Poisson.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        gap_knots: Vec<(f64, f64)>,
    },
    /// A Markov-modulated Poisson process: states visited in turn, each for an exponential time.
    Mmpp {
        /// The states, visited in order and round again unless they say what comes next.
        states: Vec<MmppState>,
    },
    /// Many clients, each with a rate and bursts of its own.
    Clients(ClientMix),
    /// A fixed number of users, each waiting for its answer and thinking before the next request.
    ClosedLoop {
        /// Number of users.
        users: u32,
        /// Think time between an answer and the next request. Default: none; a user whose request
        /// is turned away as too long then comes back after 1 s.
        #[serde(default)]
        think: Option<Law>,
    },
    /// The requests of a trace, at their own instants.
    Trace {
        /// The file, relative to the scenario; .gz accepted; format found from its content.
        path: String,
        /// Factor on the rate: 2 replays twice as fast. Default 1.
        #[serde(default = "one")]
        rate_scale: f64,
        /// Skips what comes before this instant of the trace, seconds. Default 0.
        #[serde(default)]
        from_s: f64,
        /// Ends before this instant of the trace, seconds. Default: the whole trace.
        to_s: Option<f64>,
        /// Spreads stamps that are quantised (Mooncake: about 3 s) over their quantum.
        /// Default `none`.
        #[serde(default)]
        dejitter: Dejitter,
    },
}

/// One state of a Markov-modulated Poisson process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MmppState {
    /// Arrival rate in this state, requests per second; may be 0.
    pub rate_per_s: f64,
    /// Mean time spent in this state at a visit, seconds.
    pub mean_s: f64,
    /// Probabilities of the states that follow, in the order of the list: as many as there are
    /// states, its own 0, in all 1. Stated by all states or by none. Default: the next of the list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<f64>,
}

/// What to do with quantised trace stamps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dejitter {
    /// Leave them as they are.
    #[default]
    None,
    /// Spread the requests of one stamp uniformly until the next stamp.
    Uniform,
}

/// A factor on the arrival rate over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "shape", rename_all = "snake_case", deny_unknown_fields)]
pub enum Profile {
    /// Knots joined by straight lines (or steps), the last value holding on.
    Points {
        /// `[time_s, factor]` pairs, times rising from 0.
        points: Vec<(f64, f64)>,
        /// Joins the knots by steps rather than lines. Default false.
        #[serde(default)]
        step: bool,
        /// Repeats the knots with this period, seconds. Default: no repetition.
        period_s: Option<f64>,
    },
    /// A sudden rise for a while.
    Spike {
        /// When it begins, seconds.
        start_s: f64,
        /// How long it lasts, seconds.
        duration_s: f64,
        /// The factor while it lasts.
        factor: f64,
    },
    /// A straight rise (or fall) from factor 1 to another factor, which then holds.
    Ramp {
        /// When it begins, seconds.
        start_s: f64,
        /// When it has arrived, seconds.
        end_s: f64,
        /// The factor at the end.
        factor: f64,
    },
    /// A day: a cosine around 1.
    Diurnal {
        /// Length of a day, seconds. Default 86,400.
        #[serde(default = "day_s")]
        period_s: f64,
        /// Peak is `1 + amplitude`, trough `1 - amplitude`; 0 to 1.
        amplitude: f64,
        /// When the peak comes, seconds after the start.
        peak_s: f64,
    },
}

/// The law of a number of tokens. A draw is rounded to the nearest whole token, at least 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "law", rename_all = "snake_case", deny_unknown_fields)]
pub enum Lengths {
    /// Always the same.
    Constant {
        /// Tokens.
        tokens: u32,
    },
    /// Lognormal by its mean and coefficient of variation.
    Lognormal {
        /// Mean tokens before any truncation.
        mean_tokens: f64,
        /// Standard deviation over mean.
        cv: f64,
        /// The law is truncated here (its probability is spread over what is left).
        max_tokens: Option<u32>,
    },
    /// Exponential by its mean.
    Exponential {
        /// Mean tokens before any truncation.
        mean_tokens: f64,
        /// The law is truncated here (its probability is spread over what is left).
        max_tokens: Option<u32>,
    },
    /// An empirical law by quantile knots, straight between them.
    Quantiles {
        /// `[probability, tokens]` pairs, both rising, from probability 0 to 1.
        knots: Vec<(f64, f64)>,
    },
    /// The trace's own (trace arrivals only).
    Trace {},
}

/// The law of a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "law", rename_all = "snake_case", deny_unknown_fields)]
pub enum Law {
    /// Exponential.
    Exponential {
        /// Mean, milliseconds.
        mean_ms: f64,
    },
    /// Always the same.
    Deterministic {
        /// Milliseconds.
        mean_ms: f64,
    },
    /// Erlang: the sum of `stages` exponentials (squared coefficient of variation 1/stages).
    Erlang {
        /// Mean of the whole, milliseconds.
        mean_ms: f64,
        /// Number of stages, 1 to 1,000.
        stages: u32,
    },
    /// Two exponential branches with balanced means, by the squared coefficient of variation.
    Hyperexponential {
        /// Mean, milliseconds.
        mean_ms: f64,
        /// Squared coefficient of variation, above 1.
        scv: f64,
    },
    /// Lognormal.
    Lognormal {
        /// Mean, milliseconds.
        mean_ms: f64,
        /// Squared coefficient of variation, above 0.
        scv: f64,
    },
    /// Uniform between two bounds.
    Uniform {
        /// Lowest, milliseconds.
        low_ms: f64,
        /// Highest, milliseconds.
        high_ms: f64,
    },
    /// An empirical law by quantile knots, straight between them.
    Quantiles {
        /// `[probability, milliseconds]` pairs, both rising, from probability 0 to 1.
        knots_ms: Vec<(f64, f64)>,
    },
}

fn one() -> f64 {
    1.0
}

fn day_s() -> f64 {
    86_400.0
}
