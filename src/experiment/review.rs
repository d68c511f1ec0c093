//! The design card: five dimensions of a design, scored by computed criteria.
//!
//! A criterion ([`criteria`]) is a metric of a run, and four cuts. The run is the scenario as written, a
//! probe of it ([`probe`]: twice the traffic, a node, rack or region lost, something left out), or what a
//! search finds ([`search`]: how much traffic is carried, what the cheapest fleet like it costs). Figures
//! of a whole fleet that no field of a result has are in its `card` section ([`facts`]). [`score`] turns
//! values into scores: of the worse end of their intervals. Nothing is judged that was not computed: what
//! a scenario says nothing of is scored 1, and the card says so.

mod check;
pub mod criteria;
pub mod error;
pub mod facts;
pub mod probe;
mod run;
pub mod score;
pub mod search;

use serde::Serialize;
use serde_json::Value;

pub use self::criteria::{Criteria, Dimension};
pub use self::error::ReviewError;
pub use self::run::review;
pub use self::score::{Scored, ScoredDimension};

/// The filled-in card.
#[derive(Debug, Clone, Serialize)]
pub struct Card {
    /// Version of the document's shape.
    pub schema: u32,
    /// Name of the scenario.
    pub scenario: String,
    /// What it is about.
    pub description: String,
    /// Seed.
    pub seed: u64,
    /// Replications of each run.
    pub replications: u32,
    /// Confidence of each interval.
    pub confidence: f64,
    /// Name of the criteria.
    pub criteria: String,
    /// Of the whole design, 1 to 5: the mean of the dimensions by their weights.
    pub score: f64,
    /// The dimensions.
    pub dimensions: Vec<ScoredDimension>,
    /// The criteria that cost most, by their names: where to begin.
    pub first: Vec<String>,
    /// Whether all objectives are met as written; none where there are none, or it is not known.
    pub objectives_met: Option<bool>,
    /// Whether that is shown: no interval of a share in time reaches across its target. None where there
    /// are no objectives, or no intervals.
    pub objectives_shown: Option<bool>,
    /// Where the latency goes, milliseconds.
    pub budget: Vec<Value>,
    /// The end-to-end latency that the budget adds up to: mean, and around the 99th percentile.
    pub e2e_ms: [Option<f64>; 2],
    /// What the fleet is, in numbers.
    pub fleet: Vec<Value>,
    /// The fleet drawn in text, with what was measured on its arrows.
    pub diagram: String,
    /// The same for Mermaid.
    pub mermaid: String,
    /// What the scenario assumes, and what the probes do.
    pub assumptions: Vec<String>,
    /// What makes the figures doubtful.
    pub warnings: Vec<String>,
    /// Simulations that were run.
    pub simulations: u64,
}
