//! Prompts that go on from earlier ones.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How prompts go on from earlier ones. They are cut into stretches of 512 tokens, as in a
/// Mooncake trace. All begin with the same `root_tokens`. A prompt is then wholly new, or it repeats
/// the first stretches of one of the prompts before it, and goes on with new ones. Lengths are not
/// touched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrefixReuse {
    /// First tokens that all prompts have in common, in whole stretches of 512. Default 0.
    #[serde(default)]
    pub root_tokens: u32,
    /// `[tokens, probability]` pairs: how likely a prompt of at least so many tokens repeats more
    /// than the root of an earlier one. Tokens rise from 0.
    pub probability: Vec<(u32, f64)>,
    /// What share of a prompt's stretches after the root is repeated, where any is:
    /// `[probability, share]` knots, shares 0 to 1. At least one stretch is.
    pub depth: Vec<(f64, f64)>,
    /// How many requests back that prompt is: `[probability, requests]` knots, 1 to 65,536. One
    /// near there is taken that is long enough, if there is one.
    pub distance: Vec<(f64, f64)>,
}
