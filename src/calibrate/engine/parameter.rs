//! The unknowns of an engine.

use serde::Serialize;

use crate::perf::KernelFactors;

/// How many there are.
pub const COUNT: usize = 6;

/// Values of all unknowns, in the order of [`Parameter::ALL`].
pub type Values = [f64; COUNT];

/// What an engine adds to the kernels, or makes of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Parameter {
    /// Of every iteration, microseconds.
    FixedUs,
    /// Of every sequence of an iteration, microseconds.
    PerSeqUs,
    /// Of a request before its first token, milliseconds.
    PerRequestMs,
    /// Of every prompt token of an iteration, microseconds.
    PerPromptTokenUs,
    /// What kernels of prompts take, divided by what the step model says.
    PrefillTimeFactor,
    /// The same of kernels of decodes.
    DecodeTimeFactor,
}

impl Parameter {
    /// All of them, in order.
    pub const ALL: [Parameter; COUNT] = [
        Parameter::FixedUs,
        Parameter::PerSeqUs,
        Parameter::PerRequestMs,
        Parameter::PerPromptTokenUs,
        Parameter::PrefillTimeFactor,
        Parameter::DecodeTimeFactor,
    ];

    /// Its name in profiles.
    pub fn name(self) -> &'static str {
        match self {
            Parameter::FixedUs => "fixed_us",
            Parameter::PerSeqUs => "per_seq_us",
            Parameter::PerRequestMs => "per_request_ms",
            Parameter::PerPromptTokenUs => "per_prompt_token_us",
            Parameter::PrefillTimeFactor => "prefill_time_factor",
            Parameter::DecodeTimeFactor => "decode_time_factor",
        }
    }

    /// What it is of, for people.
    pub fn unit(self) -> &'static str {
        match self {
            Parameter::FixedUs => "us per iteration",
            Parameter::PerSeqUs => "us per sequence of it",
            Parameter::PerRequestMs => "ms per request",
            Parameter::PerPromptTokenUs => "us per prompt token",
            Parameter::PrefillTimeFactor | Parameter::DecodeTimeFactor => "x the step model",
        }
    }

    /// The parameter of a name.
    pub fn named(name: &str) -> Option<Parameter> {
        Parameter::ALL.into_iter().find(|own| own.name() == name)
    }

    /// The least value that is sought: an engine takes no time away, and a kernel that takes less
    /// than a tenth is another one.
    pub fn least(self) -> f64 {
        match self {
            Parameter::PrefillTimeFactor | Parameter::DecodeTimeFactor => KernelFactors::LEAST,
            _ => 0.0,
        }
    }

    /// The greatest value that is simulated.
    pub fn most(self) -> f64 {
        match self {
            Parameter::PrefillTimeFactor | Parameter::DecodeTimeFactor => KernelFactors::MOST,
            _ => 1e7,
        }
    }

    /// Where the search begins: what pools assume beside measured kernels.
    pub fn start(self) -> f64 {
        match self {
            Parameter::FixedUs => super::super::ASSUMED.fixed_us,
            Parameter::PerSeqUs => super::super::ASSUMED.per_seq_us,
            Parameter::PerRequestMs | Parameter::PerPromptTokenUs => 0.0,
            Parameter::PrefillTimeFactor | Parameter::DecodeTimeFactor => 1.0,
        }
    }

    /// The difference over which its effect is taken: large beside what the order of events in a
    /// simulation does, small beside what engines have.
    pub fn difference(self) -> f64 {
        match self {
            Parameter::FixedUs => 500.0,
            Parameter::PerSeqUs => 10.0,
            Parameter::PerRequestMs => 10.0,
            Parameter::PerPromptTokenUs => 3.0,
            Parameter::PrefillTimeFactor | Parameter::DecodeTimeFactor => 0.1,
        }
    }
}

/// Where the search begins.
pub fn start() -> Values {
    Parameter::ALL.map(Parameter::start)
}
