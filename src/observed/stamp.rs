//! Stamps as logs write them.

use time::{Date, Month, PrimitiveDateTime, Time, UtcOffset};

use crate::trace::parse::{date_time, decimal};

/// A number of 10^`scale` ns, exact.
pub(super) fn number(text: &str, scale: i32) -> Result<u64, &'static str> {
    decimal(text.trim(), scale).map(|(ns, _)| ns)
}

/// A date and time of ISO 8601 in ns since 1970; one without a zone is `offset_s` east of UTC.
/// Also tells whether it had a zone.
pub(super) fn iso(text: &str, offset_s: i32) -> Result<(u64, bool), &'static str> {
    let text = text.trim();
    let ns = match basic_zone(text) {
        Some(at) => date_time(&format!("{}:{}", &text[..at], &text[at..]), true)?,
        None => date_time(text, true)?,
    };
    let clock = text.split_once([' ', 'T']).map_or("", |(_, clock)| clock);
    let zoned = clock.contains(['+', '-', 'Z']);
    if zoned {
        return Ok((ns, true));
    }
    let east = i128::from(offset_s) * 1_000_000_000;
    let ns = u64::try_from(i128::from(ns) - east).map_err(|_| "is too early or too late")?;
    Ok((ns, false))
}

/// Where the minutes begin of a zone without a colon, as `strftime` writes it: `+0530`.
fn basic_zone(text: &str) -> Option<usize> {
    let at = text.len().checked_sub(5)?;
    let (sign, digits) = text.get(at..)?.split_at_checked(1)?;
    let is_zone = matches!(sign, "+" | "-") && digits.bytes().all(|it| it.is_ascii_digit());
    (is_zone && text[..at].contains(':')).then_some(at + 3)
}

/// The time of the common log format, `08/Nov/2010:14:16:18 -0600`, in ns since 1970.
pub(super) fn common_log(text: &str) -> Result<u64, &'static str> {
    const NOT: &str = "is not a time like 08/Nov/2010:14:16:18 -0600";
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let mut parts = text.trim().split(['/', ':', ' ']);
    let mut part = || parts.next().ok_or(NOT);
    let day: u8 = part()?.parse().map_err(|_| NOT)?;
    let name = part()?;
    let month = MONTHS.iter().position(|it| *it == name).ok_or(NOT)?;
    let month = Month::try_from(month as u8 + 1).map_err(|_| NOT)?;
    let year: i32 = part()?.parse().map_err(|_| NOT)?;
    let mut two = || part()?.parse::<u8>().map_err(|_| NOT);
    let (hour, minute, second) = (two()?, two()?, two()?);
    let zone = parts.next().ok_or(NOT)?;
    let offset = hours_minutes(zone).ok_or(NOT)?;
    let date = Date::from_calendar_date(year, month, day).map_err(|_| "has no such day")?;
    let clock = Time::from_hms(hour, minute, second).map_err(|_| "has no such time of day")?;
    let offset = UtcOffset::from_whole_seconds(offset).map_err(|_| NOT)?;
    let when = PrimitiveDateTime::new(date, clock).assume_offset(offset);
    u64::try_from(when.unix_timestamp_nanos()).map_err(|_| "is too early or too late")
}

/// An offset from UTC, `+0530`, `+05:30` or `Z`, in s.
pub(crate) fn hours_minutes(text: &str) -> Option<i32> {
    if text == "Z" {
        return Some(0);
    }
    let sign = match text.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let digits: String = text[1..].chars().filter(|c| *c != ':').collect();
    if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes): (i32, i32) = (digits[..2].parse().ok()?, digits[2..].parse().ok()?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_obeyed() {
        assert_eq!(iso("1970-01-01T00:00:01Z", 3600), Ok((1_000_000_000, true)));
        assert_eq!(iso("1970-01-01 01:00:01", 3600), Ok((1_000_000_000, false)));
        assert_eq!(
            iso("1970-01-01T01:00:01+01:00", 0).unwrap().0,
            1_000_000_000
        );
        assert_eq!(
            iso("1970-01-01T06:30:01.5+0530", 0),
            Ok((3_601_500_000_000, true))
        );
        for bad in ["+0530", "é+0530", "1970-01-01T00:00:01+0é"] {
            assert!(iso(bad, 0).is_err(), "{bad}");
        }
        assert!(iso("1970-01-01 00:00:00", 1).is_err());
        assert_eq!(common_log("01/Jan/1970:01:00:01 +0100"), Ok(1_000_000_000));
        assert!(common_log("01/Foo/1970:01:00:01 +0100").is_err());
        assert!(common_log("01/Jan/1970:01:00:01").is_err());
        assert_eq!(hours_minutes("-05:30"), Some(-19_800));
        assert_eq!(hours_minutes("+1"), None);
        assert_eq!(hours_minutes("+é12"), None);
    }
}
