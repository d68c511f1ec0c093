//! The single fields of a list: times, events and counts.

use crate::fleet::spot::errors::InputError;
use crate::fleet::spot::recording::{MAX_NODES, MAX_SPAN_SECONDS};
use crate::fleet::spot::rows::{Cell, NS_PER_SECOND, bad, billionths, integer};

/// Nanoseconds in a millisecond.
const NS_PER_MS: u64 = 1_000_000;
/// Seconds in a day.
const S_PER_DAY: u64 = 86_400;
/// Years a date may lie in: from the epoch to what 64-bit nanoseconds after it
/// hold, with room.
const YEARS: std::ops::RangeInclusive<u64> = 1970..=2399;

/// A time in whole milliseconds, as nanoseconds.
pub(crate) fn milliseconds(file: &str, line: usize, cell: Cell<'_>) -> Result<u64, InputError> {
    let limit = MAX_SPAN_SECONDS * 1000;
    integer(cell.text, limit)
        .map(|ms| ms * NS_PER_MS)
        .ok_or_else(|| {
            let allowed = format!("whole milliseconds, 0 to {limit} (ten years)");
            let remedy = "write the time in milliseconds from the start";
            bad(file, line, cell, "time", allowed, remedy)
        })
}

/// A time in decimal seconds, as nanoseconds.
pub(crate) fn seconds(file: &str, line: usize, cell: Cell<'_>) -> Result<u64, InputError> {
    billionths(cell.text, MAX_SPAN_SECONDS * NS_PER_SECOND).ok_or_else(|| {
        let allowed = format!("seconds, 0 to {MAX_SPAN_SECONDS} (ten years), up to nine decimals");
        let remedy = "write the time in seconds from the start";
        bad(file, line, cell, "seconds", allowed, remedy)
    })
}

/// Whether the event is a node joining.
pub(crate) fn joins(file: &str, line: usize, cell: Cell<'_>) -> Result<bool, InputError> {
    match cell.text {
        "add" => Ok(true),
        "remove" => Ok(false),
        _ => {
            let remedy = "write one of the two words in lower case";
            Err(bad(file, line, cell, "event", "add or remove", remedy))
        }
    }
}

/// Checks that a node has a name.
pub(crate) fn name(file: &str, line: usize, cell: Cell<'_>) -> Result<(), InputError> {
    if cell.text.is_empty() {
        return Err(bad(file, line, cell, "node", "any name", "name the node"));
    }
    Ok(())
}

/// A number of nodes.
pub(crate) fn nodes(file: &str, line: usize, cell: Cell<'_>) -> Result<u32, InputError> {
    integer(cell.text, u64::from(MAX_NODES))
        .and_then(|nodes| u32::try_from(nodes).ok())
        .ok_or_else(|| {
            let allowed = format!("whole nodes, 0 to {MAX_NODES}");
            bad(file, line, cell, "count", allowed, "correct the count")
        })
}

/// Nanoseconds from 1970-01-01 to the start of a `YYYY-MM-DD` date.
pub(crate) fn date_ns(file: &str, line: usize, cell: Cell<'_>) -> Result<u64, InputError> {
    days(cell.text)
        .map(|days| days * S_PER_DAY * NS_PER_SECOND)
        .ok_or_else(|| {
            let allowed = "a date YYYY-MM-DD from 1970 to 2399";
            bad(file, line, cell, "date", allowed, "write year-month-day")
        })
}

/// Nanoseconds from midnight to `HH:MM:SS`.
pub(crate) fn clock_ns(file: &str, line: usize, cell: Cell<'_>) -> Result<u64, InputError> {
    let parts = three(cell.text, ':', [2, 2, 2]).filter(|part| part[0] < 24);
    match parts {
        Some([hours, minutes @ ..60, seconds @ ..60]) => {
            Ok(((hours * 60 + minutes) * 60 + seconds) * NS_PER_SECOND)
        }
        _ => {
            let allowed = "a time HH:MM:SS from 00:00:00 to 23:59:59";
            let remedy = "write hours:minutes:seconds with two digits each";
            Err(bad(file, line, cell, "time", allowed, remedy))
        }
    }
}

/// Three numbers of the given digits between separators.
fn three(text: &str, separator: char, digits: [usize; 3]) -> Option<[u64; 3]> {
    let mut numbers = [0; 3];
    let mut parts = text.split(separator);
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next().filter(|part| part.len() == digits)?;
        *number = integer(part, u64::MAX)?;
    }
    parts.next().is_none().then_some(numbers)
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, if it exists.
fn days(text: &str) -> Option<u64> {
    let [year, month, day] = three(text, '-', [4, 2, 2])?;
    if !YEARS.contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    let leap = |y: u64| y.is_multiple_of(4) && (!y.is_multiple_of(100) || y.is_multiple_of(400));
    let length = |m: u64| match m {
        2 => 28 + u64::from(leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if day < 1 || day > length(month) {
        return None;
    }
    let leap_days_before = |y: u64| (y - 1) / 4 - (y - 1) / 100 + (y - 1) / 400;
    let years = 365 * (year - 1970) + leap_days_before(year) - leap_days_before(1970);
    Some(years + (1..month).map(length).sum::<u64>() + day - 1)
}

#[cfg(test)]
mod tests {
    use super::days;

    #[test]
    fn days_agree_with_known_dates() {
        // Unix time of each midnight divided by 86,400.
        for (text, expected) in [
            ("1970-01-01", 0),
            ("2000-02-29", 11_016),
            ("2000-03-01", 11_017),
            ("2021-12-11", 18_972),
            ("2100-03-01", 47_541),
        ] {
            assert_eq!(days(text), Some(expected), "{text}");
        }
        for text in [
            "2021-02-29",
            "2100-02-29",
            "2021-13-01",
            "2021-00-01",
            "21-1-1",
            "2021-04-31",
            "2021-01-00",
            "1969-12-31",
            "2021-01-01-01",
            "+021-01-01",
            "",
        ] {
            assert_eq!(days(text), None, "{text}");
        }
    }
}
