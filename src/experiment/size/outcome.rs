//! The answer of a sizing.

use serde::Serialize;
use serde_json::{Value, json};

use super::schema::Constraint;
use super::theory::Asked;
use super::verdict::{Standing, Verdict};
use crate::experiment::runner::Unsettled;
use crate::experiment::variants::Overrides;

/// The answer: one for each case.
#[derive(Debug, Clone, Serialize)]
pub struct SizeOutcome {
    /// Name of the sizing.
    pub name: String,
    /// What it is about.
    pub description: String,
    /// The metric of which the least was wanted.
    pub objective: String,
    /// The knob that was looked for by halves.
    pub more_helps: Option<String>,
    /// Names and paths of the knobs, in their order.
    pub knobs: Vec<(String, Vec<String>)>,
    /// The cases.
    pub cases: Vec<CaseOutcome>,
}

/// The answer for a case.
#[derive(Debug, Clone, Serialize)]
pub struct CaseOutcome {
    /// Its name; empty for the scenario itself.
    pub case: String,
    /// What it is.
    pub text: String,
    /// Fleets like it.
    pub parts: u32,
    /// What had to be met.
    pub constraints: Vec<Constraint>,
    /// How sure it is that all designs said to meet the constraints do.
    pub confidence: f64,
    /// The confidence of each interval that makes for that.
    pub confidence_each: f64,
    /// The best design that is shown to meet all constraints.
    pub winner: Option<Design>,
    /// The best of another kind; of the only kind, the next more.
    pub runner_up: Option<Design>,
    /// The design with the next less of the winner, which is not shown to meet them.
    pub one_less: Option<Design>,
    /// What keeps the winner from being less: the constraint that the design with the next less is
    /// farthest from, or the one with the least margin where there is no such design.
    pub binding: Option<Standing>,
    /// Why the design with the next less is not enough, where no bound has to do with it: then there is no
    /// binding constraint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<String>,
    /// Whether that one is missed there, rather than not known to be met.
    pub one_less_is_missed: Option<bool>,
    /// What closed forms ask for, where they apply.
    pub theory: Vec<Asked>,
    /// Designs that were looked at, each by its last look.
    pub tried: Vec<Tried>,
    /// Events simulated. A look that has begun is finished, so that they may be more than the budget.
    pub events: u64,
    /// Events that the budget allowed.
    pub budget_events: u64,
    /// Combinations of the other knobs that were not looked at, since a model expects nothing of them.
    #[serde(skip_serializing_if = "is_none")]
    pub left_out: usize,
    /// Why the search ended before it was done, if it did.
    pub cut_short: Option<String>,
    /// What makes the answer doubtful.
    pub doubts: Vec<String>,
    /// Why there is no winner, if there is none.
    pub why_none: Option<String>,
}

/// A design that was decided on.
#[derive(Debug, Clone, Serialize)]
pub struct Design {
    /// What it sets.
    pub settings: Overrides,
    /// The number of the knob looked for by halves, where it is one.
    pub level: Option<f64>,
    /// That number for all fleets like it.
    pub level_in_all: Option<f64>,
    /// The objective.
    pub objective: Option<f64>,
    /// The objective for all fleets like it.
    pub objective_in_all: Option<f64>,
    /// Replications of its last look.
    pub replications: u32,
    /// Whether nothing in it is random.
    pub exact: bool,
    /// Why its runs show nothing of the long run, if they do not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsettled: Option<Unsettled>,
    /// Whether it meets all constraints.
    pub verdict: Verdict,
    /// One by one.
    pub constraints: Vec<Standing>,
    /// Digest of the event streams of its last look.
    pub digest: String,
}

/// A design that was looked at.
#[derive(Debug, Clone, Serialize)]
pub struct Tried {
    /// What it sets.
    pub settings: Overrides,
    /// The number of the knob looked for by halves, where it is one.
    pub level: Option<f64>,
    /// Which combination of the others it is.
    pub kind: usize,
    /// The objective.
    pub objective: Option<f64>,
    /// By constraint.
    pub values: Vec<Option<f64>>,
    /// Replications of its last look.
    pub replications: u32,
    /// Whether it meets all constraints.
    pub verdict: Verdict,
}

impl SizeOutcome {
    /// As a JSON document.
    pub fn to_json(&self) -> Value {
        let mut document = json!(self);
        document["schema"] = json!(1);
        document["seatrial"] = json!(env!("CARGO_PKG_VERSION"));
        document
    }

    /// Whether there is an answer to every case.
    pub fn all_found(&self) -> bool {
        self.cases.iter().all(|case| case.winner.is_some())
    }
}

fn is_none(left_out: &usize) -> bool {
    *left_out == 0
}
