//! `run.clock`: what the clock on the wall said, for accounts of what happened when.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{Duration, PrimitiveDateTime};

use super::problems::Problems;

const FORMAT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]");
const SHOWN: &[BorrowedFormatItem<'_>] =
    format_description!("[day padding:none] [month repr:short] [hour]:[minute]");
const SHOWN_TO_THE_SECOND: &[BorrowedFormatItem<'_>] =
    format_description!("[day padding:none] [month repr:short] [hour]:[minute]:[second]");

/// Accounts give times by this clock rather than in seconds. Nothing else depends on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// What it says when the run begins: `"2025-10-19 23:00"`, in whatever time zone.
    pub start: String,
    /// Seconds that go by on it in a second of the run, above 0, at most 1e6: 60 where a minute is a
    /// second. Default 1.
    #[serde(default = "one")]
    pub per_s: f64,
}

impl Clock {
    /// Notes what is wrong with it.
    pub fn check(&self, at: &str, problems: &mut Problems<'_>) {
        problems.positive(&format!("{at}.per_s"), self.per_s, 1e6);
        if self.begins().is_none() {
            problems.push(
                &format!("{at}.start"),
                format!("{:?}", self.start),
                "must be a date and a time of day: \"YYYY-MM-DD HH:MM\"",
                "write it like start = \"2025-10-19 23:00\"",
            );
        }
    }

    fn begins(&self) -> Option<PrimitiveDateTime> {
        PrimitiveDateTime::parse(&self.start, FORMAT).ok()
    }

    /// What it says at an instant of the run, seconds: `20 Oct 02:25`, with seconds where they are
    /// not 0. None where it says nothing, which [`Clock::check`] finds first.
    pub fn says(&self, at_s: f64) -> Option<String> {
        let seconds = (at_s * self.per_s).round();
        let since = (seconds.abs() < 1e15).then(|| Duration::seconds(seconds as i64))?;
        let now = self.begins()?.checked_add(since)?;
        let format = match now.second() {
            0 => SHOWN,
            _ => SHOWN_TO_THE_SECOND,
        };
        now.format(format).ok()
    }
}

fn one() -> f64 {
    1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_dates_and_times() {
        let clock = |per_s| Clock {
            start: "2025-10-19 23:00".to_owned(),
            per_s,
        };
        assert_eq!(clock(1.0).says(2_880.0).unwrap(), "19 Oct 23:48");
        assert_eq!(clock(60.0).says(205.0).unwrap(), "20 Oct 02:25");
        assert_eq!(clock(1.0).says(0.6).unwrap(), "19 Oct 23:00:01");
        assert_eq!(clock(1.0).says(f64::INFINITY), None);
    }
}
