//! What a spot node costs, exactly.

use std::path::Path;

use crate::engine::SimTime;
use crate::fleet::spot::errors::{InputError, RuleError, check_range};
use crate::fleet::spot::recording::{MAX_OBSERVATIONS, MAX_SPAN_SECONDS, ReadReport, read_text};
use crate::fleet::spot::rows::{Line, NS_PER_SECOND, Row, bad, billionths, exactly, lines};

/// Highest accepted price of one node, dollars per hour. A choice of this crate:
/// above any node on offer, and small enough that a bill over all of simulated
/// time fits 64 bits of nano-dollars.
pub const MAX_USD_PER_HOUR: u64 = 1000;
/// Nano-dollars in a dollar.
const NANO_USD: f64 = 1e9;
/// Nanoseconds in an hour.
const NS_PER_HOUR: u128 = 3_600_000_000_000;
/// The columns of a price file.
const COLUMNS: &str = "seconds,usd_per_hour";

/// A price that holds from an instant on.
#[derive(Clone, Copy, Debug)]
struct Step {
    from_ns: u64,
    nano_usd_per_hour: u64,
    /// Cost of all time before, nano-dollars times nanoseconds per hour.
    before: u128,
}

/// The spot price of one node over simulated time: steps, the last of which
/// holds for ever.
#[derive(Clone, Debug)]
pub struct Prices {
    /// Times strictly rise and the first is 0.
    steps: Vec<Step>,
    report: ReadReport,
}

impl Prices {
    /// One price for ever, dollars per hour, 0 to 1000, rounded to the nearest
    /// nano-dollar per hour.
    ///
    /// # Errors
    /// `RuleError` when it is out of range.
    pub fn constant(usd_per_hour: f64) -> Result<Self, RuleError> {
        let range = (0.0, MAX_USD_PER_HOUR as f64);
        check_range("usd_per_hour", usd_per_hour, range, "0 to 1000")?;
        let nano_usd_per_hour = (usd_per_hour * NANO_USD).round() as u64;
        let steps = [(0, nano_usd_per_hour)];
        Ok(Self::from_steps(&steps, ReadReport::default()))
    }

    /// Reads a price file; see [`Prices::parse`].
    ///
    /// # Errors
    /// As [`Prices::parse`], or when the file cannot be read or is too large.
    pub fn read(path: &Path) -> Result<Self, InputError> {
        let file = path.display().to_string();
        let text = read_text(path, &file)?;
        Self::parse(&file, &text)
    }

    /// Reads prices from text; `file` only names it in errors. The first row is
    /// `seconds,usd_per_hour`; the next one's time is 0, and times rise
    /// strictly, up to ten years. Prices are 0 to 1000. Both have at most nine
    /// decimals and are taken exactly. Blank lines and lines starting with `#`
    /// hold no data and are counted in the report.
    ///
    /// # Errors
    /// `InputError` naming the place, the value, what is allowed and the remedy.
    pub fn parse(file: &str, text: &str) -> Result<Self, InputError> {
        let mut steps: Vec<(u64, u64)> = Vec::new();
        let mut report = ReadReport::default();
        for line in lines(text) {
            let row = match line {
                Line::Row(row) => row,
                Line::Blank => {
                    report.blank_lines += 1;
                    continue;
                }
                Line::Comment => {
                    report.comment_lines += 1;
                    continue;
                }
            };
            if report.header_lines == 0 {
                check_header(file, &row)?;
                report.header_lines = 1;
                continue;
            }
            let step = read_step(file, &row, steps.last().map(|step| step.0))?;
            steps.push(step);
            if steps.len() > MAX_OBSERVATIONS {
                return Err(wrong_length(file, &steps));
            }
        }
        if steps.is_empty() {
            return Err(wrong_length(file, &steps));
        }
        report.rows = steps.len();
        Ok(Self::from_steps(&steps, report))
    }

    /// Adds up what each step costs.
    fn from_steps(prices: &[(u64, u64)], report: ReadReport) -> Self {
        let mut steps: Vec<Step> = Vec::with_capacity(prices.len());
        for &(from_ns, nano_usd_per_hour) in prices {
            let before = steps.last().map_or(0, |last| last.cost_until(from_ns));
            steps.push(Step {
                from_ns,
                nano_usd_per_hour,
                before,
            });
        }
        Self { steps, report }
    }

    /// The price at an instant, nano-dollars per hour.
    #[must_use]
    pub fn nano_usd_per_hour_at(&self, time: SimTime) -> u64 {
        self.step(time).map_or(0, |step| step.nano_usd_per_hour)
    }

    /// The price at an instant, dollars per hour, to the precision of a float.
    #[must_use]
    pub fn at(&self, time: SimTime) -> f64 {
        self.nano_usd_per_hour_at(time) as f64 / NANO_USD
    }

    /// What one node costs from `from` to just before `to`, nano-dollars; 0
    /// when `to` is not later.
    ///
    /// The bill of all time up to an instant is exact, then rounded down to
    /// whole nano-dollars; this is the difference of two such bills. So it is
    /// within one nano-dollar of the exact cost, and the costs of the parts of
    /// any split add up to the cost of the whole exactly.
    #[must_use]
    pub fn cost_nano_usd(&self, from: SimTime, to: SimTime) -> u64 {
        let bill = self.bill_nano_usd(to);
        // Bills never fall with time; a reversed range gives 0.
        bill.saturating_sub(self.bill_nano_usd(from))
    }

    /// What was read and what was passed over; all 0 for a constant price.
    #[must_use]
    pub fn report(&self) -> &ReadReport {
        &self.report
    }

    /// The bill of one node from time 0 to an instant, rounded down,
    /// nano-dollars.
    fn bill_nano_usd(&self, time: SimTime) -> u64 {
        let cost = self.step(time).map_or(0, |step| step.cost_until(time.0));
        // At most 1000 dollars an hour for 2^64 ns, 5.2e18: never saturates.
        u64::try_from(cost / NS_PER_HOUR).unwrap_or(u64::MAX)
    }

    /// The step that holds at an instant.
    fn step(&self, time: SimTime) -> Option<&Step> {
        let count = self.steps.partition_point(|step| step.from_ns <= time.0);
        self.steps.get(count.checked_sub(1)?)
    }
}

impl Step {
    /// Cost of all time before an instant of this step, nano-dollars times
    /// nanoseconds per hour; at most 1e12 * 2^64, far below 2^128.
    fn cost_until(&self, ns: u64) -> u128 {
        let within_ns = ns.saturating_sub(self.from_ns);
        self.before + u128::from(self.nano_usd_per_hour) * u128::from(within_ns)
    }
}

/// Checks the row that names the columns and with them the units.
fn check_header(file: &str, row: &Row<'_>) -> Result<(), InputError> {
    let names: Vec<&str> = row.cells.iter().map(|cell| cell.text).collect();
    if names.join(",") == COLUMNS {
        return Ok(());
    }
    Err(InputError::Syntax {
        file: file.to_owned(),
        line: row.line,
        column: 1,
        problem: format!("the first row does not read `{COLUMNS}`"),
        remedy: "put that row first; it states the units",
    })
}

/// One row's time, nanoseconds, and price, nano-dollars per hour.
fn read_step(file: &str, row: &Row<'_>, last_ns: Option<u64>) -> Result<(u64, u64), InputError> {
    let [time, price] = exactly(file, row, COLUMNS)?;
    let longest_ns = MAX_SPAN_SECONDS * NS_PER_SECOND;
    let Some(ns) = billionths(time.text, longest_ns) else {
        let allowed = format!("0 to {MAX_SPAN_SECONDS} (ten years), up to nine decimals");
        let remedy = "write the time in seconds from the start";
        return Err(bad(file, row.line, time, "seconds", allowed, remedy));
    };
    let in_order = last_ns.map_or(ns == 0, |last_ns| ns > last_ns);
    if !in_order {
        let allowed = "0 in the first row of prices, later than the row above in the others";
        let remedy = "sort the rows, one per time, and state the price at 0";
        return Err(bad(file, row.line, time, "seconds", allowed, remedy));
    }
    let Some(nano_usd) = billionths(price.text, MAX_USD_PER_HOUR * NS_PER_SECOND) else {
        let allowed = format!("0 to {MAX_USD_PER_HOUR}, up to nine decimals");
        let remedy = "write the price of one node in dollars per hour";
        return Err(bad(file, row.line, price, "usd_per_hour", allowed, remedy));
    };
    Ok((ns, nano_usd))
}

/// No prices, or more than are accepted.
fn wrong_length(file: &str, steps: &[(u64, u64)]) -> InputError {
    InputError::Size {
        file: file.to_owned(),
        what: "number of prices",
        found: steps.len().to_string(),
        allowed: format!("1 to {MAX_OBSERVATIONS}"),
        remedy: "give the price at second 0, then one row per change",
    }
}
