//! What a user writes: a file of criteria.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::experiment::metric::Metric;
use crate::scenario::{Document, Location, Problems, ScenarioError, SourceText};

/// The criteria that are used when none are given.
pub const SHIPPED: &str = include_str!("../../../experiments/reviews/design-card.toml");
/// Most criteria.
const MOST: usize = 200;

/// A file of criteria for `seatrial review`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Criteria {
    /// Short name, for reports.
    pub name: String,
    /// What each dimension counts for in the whole, 0 or more. Default 1.
    #[serde(default)]
    pub weights: BTreeMap<Dimension, f64>,
    /// The criteria.
    pub criteria: Vec<Criterion>,
    /// Where each is written, for errors that show only with a scenario.
    #[serde(skip)]
    pub(super) places: Vec<Location>,
}

/// A dimension of a design.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// Does it carry the traffic, and how much more?
    Capacity,
    /// Where do requests spend their time?
    DataFlow,
    /// What happens when something is lost?
    Reliability,
    /// Are people forgotten in time?
    Privacy,
    /// Could it be had for less?
    Cost,
}

impl Dimension {
    /// All of them, in the order of the card.
    pub const ALL: [Dimension; 5] = [
        Dimension::Capacity,
        Dimension::DataFlow,
        Dimension::Reliability,
        Dimension::Privacy,
        Dimension::Cost,
    ];

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Dimension::Capacity => "capacity",
            Dimension::DataFlow => "data flow",
            Dimension::Reliability => "reliability",
            Dimension::Privacy => "privacy",
            Dimension::Cost => "cost",
        }
    }
}

/// `[[criteria]]`: a figure that is computed, and what it is worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Criterion {
    /// Short name, unique.
    pub id: String,
    /// The dimension that it counts for.
    pub dimension: Dimension,
    /// What the figure is, in words.
    pub text: String,
    /// The run that the metric is of. Default: the scenario as written.
    #[serde(default)]
    pub probe: Probe,
    /// A field of the result, or an expression over such fields, as in claims (so counts
    /// are of one replication). `card.` has figures of the whole fleet, `as_written.` the result of the scenario without the probe.
    pub metric: String,
    /// Whether more of it is better, or less.
    pub better: Better,
    /// The values from which on the score is 2, 3, 4 and 5: rising where more is better, falling where
    /// less is.
    pub cuts: [f64; 4],
    /// What it counts for in its dimension, above 0. Default 1.
    #[serde(default = "one")]
    pub weight: f64,
    /// What happens where the figure cannot be computed. Default `one`.
    #[serde(default)]
    pub when_missing: WhenMissing,
}

/// Which direction is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// More is.
    More,
    /// Less is.
    Less,
}

/// What happens where a figure cannot be computed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhenMissing {
    /// The score is 1: what is not shown is not there.
    #[default]
    One,
    /// The criterion does not count: it is of something that the design need not have.
    LeaveOut,
}

/// The run that a metric is of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Probe {
    // Without braces unknown fields would be let through.
    /// The scenario as written.
    AsWritten {},
    /// With so many times the traffic.
    Traffic {
        /// Above 0, at most 1,000.
        factor: f64,
    },
    /// With something lost a tenth into the measured part of the run, for good; of several, the one
    /// whose loss costs most.
    Loss {
        /// What is lost.
        of: Lost,
        /// Accelerators of a rack, where the scenario names no racks. Default 32.
        #[serde(default = "thirty_two")]
        accelerators: u32,
    },
    /// Without a part of the scenario.
    Without {
        /// The part, by its path.
        field: String,
    },
    /// With other values of fields.
    Set {
        /// Path to value.
        set: BTreeMap<String, Value>,
    },
    /// As written, with `card.headroom`: the most traffic that is carried, in times of what is stated.
    Headroom {},
    /// As written, with `card.cost_over_cheapest`: what it costs over the cheapest fleet like it that
    /// meets all objectives.
    Cheapest {},
}

impl Default for Probe {
    fn default() -> Probe {
        Probe::AsWritten {}
    }
}

impl Probe {
    /// Whether a rack is lost.
    fn is_of_a_rack(&self) -> bool {
        matches!(self, Probe::Loss { of: Lost::Rack, .. })
    }
}

/// What may be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Lost {
    /// A replica, of any pool.
    Node,
    /// The replicas of a rack: one of `[[faults.racks]]`, or as many neighbours of a pool as a rack holds.
    Rack,
    /// A region; all pools where there is only one.
    Region,
}

impl Criteria {
    /// Those that are shipped.
    ///
    /// # Errors
    /// Never, which a test shows.
    pub fn shipped() -> Result<Criteria, ScenarioError> {
        let source = SourceText::new("(shipped criteria)", SHIPPED);
        Criteria::read(&Document::parse(source)?)
    }

    /// Reads criteria and checks them as a whole.
    ///
    /// # Errors
    /// [`ScenarioError`] with everything that is wrong.
    pub fn read(document: &Document) -> Result<Criteria, ScenarioError> {
        let mut read: Criteria = document.parse_as()?;
        let mut problems = Problems::new(document);
        problems.name("name", &read.name);
        for (dimension, weight) in &read.weights {
            let name = serde_json::to_value(dimension).unwrap_or_default();
            let path = format!("weights.{}", name.as_str().unwrap_or_default());
            problems.non_negative(&path, *weight, 1e6);
        }
        // A whole is of dimensions that have criteria.
        let counted = |it: &Criterion| read.weight(it.dimension) > 0.0;
        if !read.criteria.is_empty() && !read.criteria.iter().any(counted) {
            let remedy = "give one of the dimensions that have criteria a weight above 0";
            let allowed = "must not be 0 for all dimensions that have criteria";
            problems.push("weights", "", allowed, remedy);
        }
        let many = read.criteria.len();
        if many == 0 || many > MOST {
            let allowed = format!("must be 1 to {MOST} criteria");
            problems.push(
                "criteria",
                many,
                &allowed,
                "write at least one [[criteria]]",
            );
        }
        problems.unique("criteria", read.criteria.iter().map(|it| it.id.as_str()));
        for (index, criterion) in read.criteria.iter().enumerate() {
            let at = format!("criteria.{index}");
            criterion.check(&at, &mut problems);
            let size = format!("{at}.probe.accelerators");
            if !criterion.probe.is_of_a_rack() && !document.locate(&size).is_default() {
                let allowed = "is the size of a rack, and the loss is of none";
                problems.push(&size, "", allowed, "leave it out, or lose of = \"rack\"");
            }
        }
        problems.finish()?;
        let places = 0..read.criteria.len();
        read.places = places
            .map(|index| document.locate(&format!("criteria.{index}")))
            .collect();
        Ok(read)
    }

    /// What a dimension counts for.
    pub fn weight(&self, dimension: Dimension) -> f64 {
        self.weights.get(&dimension).copied().unwrap_or(1.0)
    }
}

impl Criterion {
    fn check(&self, at: &str, problems: &mut Problems<'_>) {
        let path = |field: &str| format!("{at}.{field}");
        problems.name(&path("id"), &self.id);
        problems.positive(&path("weight"), self.weight, 1e6);
        if let Err(error) = Metric::parse(&self.metric) {
            let shown = format!("{:?}", self.metric);
            problems.push(&path("metric"), shown, &error.to_string(), "");
        }
        let ordered = self.cuts.windows(2).all(|pair| match self.better {
            Better::More => pair[0] < pair[1],
            Better::Less => pair[0] > pair[1],
        });
        if !ordered || !self.cuts.iter().all(|cut| cut.is_finite()) {
            let allowed = match self.better {
                Better::More => "must be four finite numbers that rise, as more is better",
                Better::Less => "must be four finite numbers that fall, as less is better",
            };
            let shown = format!("{:?}", self.cuts);
            problems.push(
                &path("cuts"),
                shown,
                allowed,
                "order them, or change `better`",
            );
        }
        match &self.probe {
            Probe::Traffic { factor } => {
                problems.positive(&path("probe.factor"), *factor, 1e3);
            }
            Probe::Loss { accelerators, .. } => {
                let most = u64::from(*accelerators);
                problems.int_in_range(&path("probe.accelerators"), most, 1, 1_000_000);
            }
            Probe::Set { set } if set.is_empty() => {
                let remedy = "name a field, or leave the probe out";
                problems.push(&path("probe.set"), "{}", "must change something", remedy);
            }
            Probe::Set { set } => {
                for (field, _) in set.iter().filter(|(_, value)| has_null(value)) {
                    let allowed = format!("`{field}` is, or holds, no finite number");
                    let remedy = "give finite numbers, or leave the field out";
                    problems.push(&path("probe.set"), "", &allowed, remedy);
                }
            }
            _ => {}
        }
    }
}

/// Whether a value holds what no TOML file says: what was read of a number that is not finite.
fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(all) => all.iter().any(has_null),
        Value::Object(fields) => fields.values().any(has_null),
        _ => false,
    }
}

fn one() -> f64 {
    1.0
}

fn thirty_two() -> u32 {
    32
}
