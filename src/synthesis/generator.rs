//! A generator as text: a scenario of which only the fleet is a stand-in.

use serde::Serialize;

use crate::scenario::workload::{Arrivals, Lengths, PrefixSharing, Profile};

/// What a generator says, in the order in which it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Generator {
    /// Its name.
    pub name: String,
    /// What it is, for people.
    pub description: String,
    /// What was assumed or is not known.
    pub assumptions: Vec<String>,
    /// Length of the trace it was fitted to, seconds.
    pub horizon_s: f64,
    /// The arrival process.
    pub arrivals: Arrivals,
    /// How the rate changes.
    pub profile: Option<Profile>,
    /// Lengths of prompts.
    pub prompt: Lengths,
    /// Lengths of outputs.
    pub output: Lengths,
    /// Their rank correlation, 0 for none.
    pub correlation: f64,
    /// What prompts have in common.
    pub prefix: Option<PrefixSharing>,
}

/// The fleet of a generator: one server for each request that is likely to be there.
const STAND_IN: &str = "\
# A stand-in, so that `seatrial run` takes this file as it is: put a fleet of your own here.
[[pools]]
name = \"stand-in\"
engine = \"abstract\"
servers = 1_000_000
service = { law = \"deterministic\", mean_ms = 1_000 }
";
/// Prompts that share something need somebody who asks what.
const BY_PREFIX: &str = "\
[router]
policy = \"maglev\"
hash_on = \"prefix\"

";

impl Generator {
    /// The text. Numbers have six significant digits.
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        let mut line = |text: &str| {
            out.push_str(text);
            out.push('\n');
        };
        line(&format!("name = {}", quoted(&self.name)));
        line(&format!("description = {}", quoted(&self.description)));
        if !self.assumptions.is_empty() {
            line("assumptions = [");
            for assumption in &self.assumptions {
                line(&format!("    {},", quoted(assumption)));
            }
            line("]");
        }
        line("");
        line("[run]");
        line(&format!("horizon_s = {}", inline(&self.horizon_s)));
        line("");
        line("[workload]");
        line(&format!("arrivals = {}", inline(&self.arrivals)));
        if let Some(profile) = &self.profile {
            line(&format!("profile = {}", inline(profile)));
        }
        line(&format!("prompt_tokens = {}", inline(&self.prompt)));
        line(&format!("output_tokens = {}", inline(&self.output)));
        if self.correlation != 0.0 {
            let correlation = inline(&self.correlation);
            line(&format!("length_rank_correlation = {correlation}"));
        }
        if let Some(prefix) = &self.prefix {
            line(&format!("prefix = {}", inline(prefix)));
        }
        line("");
        if self.prefix.is_some() {
            out.push_str(BY_PREFIX);
        }
        out.push_str(STAND_IN);
        out
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A value in one line.
fn inline(value: &impl Serialize) -> String {
    // Every value of a workload is one of TOML.
    let value = toml::Value::try_from(value);
    value.map_or_else(|_| "{}".to_owned(), |value| rounded(value).to_string())
}

fn rounded(value: toml::Value) -> toml::Value {
    match value {
        toml::Value::Float(number) => toml::Value::Float(six_digits(number)),
        toml::Value::Array(list) => list.into_iter().map(rounded).collect::<Vec<_>>().into(),
        toml::Value::Table(table) => {
            let fields = table.into_iter().map(|(key, value)| (key, rounded(value)));
            toml::Value::Table(fields.collect())
        }
        other => other,
    }
}

/// A number to six significant digits.
pub(super) fn six_digits(number: f64) -> f64 {
    format!("{number:.5e}").parse().unwrap_or(number)
}
