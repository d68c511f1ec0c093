//! Finds what a scenario leaves open, on a window in which all was well.
//!
//! The simulator is in the loop, with the same arrivals and on the same random numbers each time:
//! quantiles of latencies and shares of blocks of requests are held against those observed
//! (simulated moments: D. McFadden, Econometrica 57, 1989), by robust least squares with slopes
//! from finite differences. What was not simulated is not known: the number of simulations is
//! bounded, and said.

mod ending;
mod places;
mod search;
mod slopes;

use serde::Serialize;

use self::search::Search;
use super::error::ReplayError;
use super::night::Night;
use super::open::Open;
use super::stage::{Change, Stage};

/// Requests of a block at least.
const LEAST_BLOCK: usize = 50;
/// Blocks at least, and at most.
const BLOCKS: (usize, usize) = (8, 30);

/// A parameter that was fitted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fitted {
    /// What was open.
    #[serde(flatten)]
    pub open: Open,
    /// The value that fits best.
    pub value: f64,
    /// A 95 % interval.
    pub interval: (f64, f64),
    /// What to know of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Two parameters that do nearly the same to what was observed: what one is too low, the other makes up for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alike {
    /// The two.
    pub paths: [String; 2],
    /// The correlation of their estimates, -1 to 1.
    pub correlation: f64,
    /// The same in words.
    pub says: String,
}

/// What a fit found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fit {
    /// The parameters.
    pub parameters: Vec<Fitted>,
    /// Requests that it was fitted to.
    pub requests: usize,
    /// Blocks that they were put into.
    pub blocks: usize,
    /// Simulations it took.
    pub simulations: usize,
    /// Mean square of what is left, in squares of what differs from block to block: about 1.
    pub misfit: f64,
    /// Pairs of parameters that the window hardly tells apart.
    pub alike: Vec<Alike>,
    /// What was left as the scenario has it, and why, in words.
    pub left: Vec<String>,
    /// Other values that fit about as well: each a row of values, one per parameter.
    #[serde(skip)]
    pub draws: Vec<Vec<f64>>,
}

impl Fit {
    /// Nothing was open.
    pub fn nothing() -> Fit {
        Fit {
            parameters: Vec::new(),
            requests: 0,
            blocks: 0,
            simulations: 0,
            misfit: 0.0,
            alike: Vec::new(),
            left: Vec::new(),
            draws: Vec::new(),
        }
    }

    /// What it takes to set what was found.
    pub fn changes(&self) -> Vec<Change> {
        let all = self.parameters.iter();
        all.flat_map(|it| it.open.changes(it.value)).collect()
    }

    /// The same for another set of values that fits about as well; 0 is the best.
    pub fn draw(&self, number: usize) -> Vec<Change> {
        if number == 0 || self.draws.is_empty() {
            return self.changes();
        }
        let values = &self.draws[number % self.draws.len()];
        let all = self.parameters.iter().zip(values);
        all.flat_map(|(it, value)| it.open.changes(*value))
            .collect()
    }
}

/// Fits what is `open` to the requests `calm` (numbers of the night), with `budget` simulations at
/// most. What came `lead` before them is simulated, too, and not compared.
///
/// # Errors
/// When there are too few requests, or simulations fail.
pub fn fit(
    stage: &Stage,
    night: &Night,
    calm: std::ops::Range<usize>,
    lead: usize,
    open: &[Open],
    budget: usize,
) -> Result<Fit, ReplayError> {
    if open.is_empty() {
        return Ok(Fit::nothing());
    }
    if calm.len() < LEAST_BLOCK * BLOCKS.0 {
        let least = LEAST_BLOCK * BLOCKS.0;
        let allowed = format!("must hold {least} requests or more to fit to");
        let remedy = "widen it, or leave nothing open with --no-fit";
        return Err(ReplayError::option("--calm", calm.len(), allowed, remedy));
    }
    let mut search = Search::new(stage, night, calm, lead, open, budget);
    let mut place = search.first_looks()?;
    place = search.descend(place, true)?;
    search.weigh(&place)?;
    place = search.descend(place, true)?;
    search.weigh(&place)?;
    search.finish(place)
}
