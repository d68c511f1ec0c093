//! What a router may go by beside loads: keys, sessions, and what pools can serve.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::balance::Affinity;
use super::problems::Problems;

/// What a hash or a session goes by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyOf {
    /// The session (conversation) that a request is of; a request without one is on its own.
    #[default]
    Session,
    /// The first tokens of its prompt (the first 16): requests of one prefix group are alike.
    Prefix,
    /// The user who made it.
    User,
}

/// `[affinity]`: requests with the same key stay at the replica that the first of them went to, as
/// long as it may be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SessionAffinity {
    /// What is kept together. Default `session`.
    #[serde(default)]
    pub key: KeyOf,
    /// How long it is remembered, seconds.
    pub ttl_s: f64,
    /// Most that is remembered; what was used longest ago goes first. Default 1,000,000.
    #[serde(default = "one_million")]
    pub max_entries: u32,
    /// Whether every request starts the time anew; if not, it runs from the first. Default true.
    #[serde(default = "yes")]
    pub sliding: bool,
}

impl SessionAffinity {
    /// The table that it is kept in.
    pub fn table(&self) -> Affinity {
        Affinity {
            ttl_s: self.ttl_s,
            max_entries: self.max_entries,
            sliding: self.sliding,
        }
    }

    /// Notes what is wrong with it.
    pub fn check(&self, at: &str, problems: &mut Problems<'_>) {
        self.table().check(at, problems);
    }
}

/// `[capability]`: routers look at which pools can serve a request, beside what tiers demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Capability {
    /// Requests go only to pools whose longest context holds their prompt and so many output
    /// tokens: how long the answer gets, a router cannot know. What fits nowhere goes anywhere, and
    /// is turned away there. 0 to 10,000,000. Default 1,024.
    #[serde(default = "one_thousand")]
    pub reserve_output_tokens: u32,
}

impl Capability {
    /// Notes what is wrong with it.
    pub fn check(&self, at: &str, problems: &mut Problems<'_>) {
        let path = format!("{at}.reserve_output_tokens");
        let reserve = u64::from(self.reserve_output_tokens);
        problems.int_in_range(&path, reserve, 0, 10_000_000);
    }
}

fn one_million() -> u32 {
    1_000_000
}
fn one_thousand() -> u32 {
    1_024
}
fn yes() -> bool {
    true
}
