//! `[erasure]`: people who ask to be forgotten, and every place that has to forget them.

mod check;
mod store;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::store::{
    BackupStore, CacheStore, CoLocated, LogPlace, LogStore, LogWrite, OnErase, OnKvErase,
    PrefixStore, Shredding, Store,
};
use super::workload::Law;

/// Deletion requests per million people and year that companies report: DataGrail, "Data Privacy
/// Trends", 859 data subject requests per million identities in 2023 (137 in 2020), of which some are
/// not deletions.
pub const REQUESTS_PER_MILLION_PER_YEAR: f64 = 859.0;
/// The share of deletion requests that are turned down since the person cannot be told: Temu in the
/// United States, 2023 (temu.com/metrics-disclosure): 7.9 %.
pub const REJECTION: f64 = 0.08;
/// One month in which a request is to be answered: GDPR, art. 12 (3), taken as 30 days.
pub const DEADLINE_DAYS: f64 = 30.0;

/// Erasure traffic. A request comes to a gateway, its sender is authenticated, it is put down in the
/// audit log, and every store that may hold data of the subject is told; it is done when the last byte
/// from before it is gone from all of them.
///
/// Times and counts are of the whole run, its warm-up among it.
///
/// Whose request a served request is, is drawn by the name of its session or, without sessions, anew
/// for each: subjects are numbers from 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Erasure {
    /// People whose data the service holds, 1 to 4,000,000,000.
    pub subjects: u64,
    /// One in so many of them is simulated, with its records and erasures, in as small a part of each
    /// store: counts and bytes of this section are of that part. 1 to 1,000,000. Default 1.
    #[serde(default = "one")]
    pub sample_one_in: u32,
    /// Whether the fleet's requests are those of the simulated subjects alone: each of them then leaves a
    /// record. False where they are of all subjects, and one in `sample_one_in` does. Default false.
    #[serde(default)]
    pub requests_are_sampled: bool,
    /// How records are spread over subjects. Default: evenly.
    #[serde(default)]
    pub activity: Activity,
    /// Whether anybody asks to be forgotten: false is the same fleet and stores without erasures, on the
    /// same random numbers. Default true.
    #[serde(default = "yes")]
    pub traffic: bool,
    /// Erasure requests per million people and year (of 365.25 days), 0 to 1e8. Default 859: all data
    /// subject requests that companies reported for 2023 (DataGrail), as if all were erasures.
    #[serde(default = "published_rate")]
    pub requests_per_million_per_year: f64,
    /// Who asks. Default: each subject as likely as any other.
    #[serde(default)]
    pub asked_by: AskedBy,
    /// More requests for a while: a change of policy, a breach, a storm of forged requests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bursts: Vec<Burst>,
    /// Probability that a request is turned down, since its sender is not shown to be the subject; 0 to
    /// 1. Default 0.08 (Temu, 2023).
    #[serde(default = "published_rejection")]
    pub rejection: f64,
    /// From the request until its sender is authenticated. Default: at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification: Option<Law>,
    /// Days within which all is to be gone, above 0, 10,000 at most. Default 30 (GDPR, art. 12 (3)).
    #[serde(default = "published_deadline")]
    pub deadline_days: f64,
    /// An objective of one's own: seconds within which all is to be gone. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slo_s: Option<f64>,
    /// What becomes of the subject's requests that are under way. Default: they finish, and nothing is
    /// kept of them.
    #[serde(default)]
    pub in_flight: InFlight,
    /// A store that cannot be reached is told again after so long, seconds; above 0. Default 30, assumed.
    #[serde(default = "thirty")]
    pub retry_s: f64,
    /// Where data of subjects are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stores: Vec<Store>,
}

/// How records and requests are spread over subjects.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "law", rename_all = "snake_case", deny_unknown_fields)]
pub enum Activity {
    /// Each subject has as many as any other.
    #[default]
    Even,
    /// A few have many: the subject of rank r (from 1) has the part between r and r + 1 of the density
    /// x^-exponent.
    Zipf {
        /// The exponent, above 0, 4 at most.
        exponent: f64,
    },
}

/// Who asks to be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AskedBy {
    /// Each subject as likely as any other.
    #[default]
    Subjects,
    /// Who has more records is more likely, in proportion.
    Activity,
}

/// `[[erasure.bursts]]`: more erasure requests for a while, beside the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Burst {
    /// What it is, unique.
    pub name: String,
    /// When it begins, seconds.
    pub start_s: f64,
    /// How long it lasts, seconds; above 0.
    pub duration_s: f64,
    /// Requests of it a second, of all subjects; above 0, 1e6 at most.
    pub requests_per_s: f64,
    /// How many different people it is about, of all subjects, 1 or more: a storm in the names of a few
    /// repeats them. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subjects: Option<u64>,
    /// Probability that one of it is turned down, 0 to 1. Default: `erasure.rejection`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejection: Option<f64>,
}

/// What becomes of a subject's requests that are under way when it is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InFlight {
    /// They are answered, and no store takes their record.
    #[default]
    Finish,
    /// They are given up at once, and count as cancelled.
    Cancel,
}

fn one() -> u32 {
    1
}

fn yes() -> bool {
    true
}

fn thirty() -> f64 {
    30.0
}

fn published_rate() -> f64 {
    REQUESTS_PER_MILLION_PER_YEAR
}

fn published_rejection() -> f64 {
    REJECTION
}

fn published_deadline() -> f64 {
    DEADLINE_DAYS
}
