//! Exact reading of stamps and token counts.

use time::{Date, Month, PrimitiveDateTime, Time, UtcOffset};

use super::format::StampKind;

/// Why a value is refused: what it is, and what is allowed instead.
pub(crate) struct Fault {
    pub(crate) why: &'static str,
    pub(crate) allowed: &'static str,
}

const TOKENS: &str = "a whole number of tokens from 1 to 4294967295 (an answer may have 0)";
const NUMBER: &str = "a plain number from 0 to 2^64 ns (584 years)";
const LOCAL: &str = "YYYY-MM-DD HH:MM:SS.fffffff without a zone, from 1970 to 2554";
const ZONED: &str = "YYYY-MM-DD HH:MM:SS, then .fffffff and +HH:MM if any, from 1970 to 2554";

/// Significant digits kept; more would be under 1 ns of any stamp that fits.
const DIGITS: u32 = 30;

/// Reads a stamp into ns: since 1970 for dates, since its own zero for numbers.
pub(crate) fn stamp(text: &str, kind: StampKind) -> Result<u64, Fault> {
    match kind {
        StampKind::Number(scale) => decimal(text, scale).map(|(ns, _)| ns).map_err(|why| Fault {
            why,
            allowed: NUMBER,
        }),
        StampKind::Local => date_time(text, false).map_err(|why| Fault {
            why,
            allowed: LOCAL,
        }),
        StampKind::Zoned => date_time(text, true).map_err(|why| Fault {
            why,
            allowed: ZONED,
        }),
    }
}

/// Reads a number of tokens.
pub(crate) fn tokens(text: &str) -> Result<u32, Fault> {
    let whole = match decimal(text, 0) {
        Ok((_, false)) => Err("is not a whole number"),
        Ok((value, true)) => u32::try_from(value).map_err(|_| "is too large"),
        Err(why) => Err(why),
    };
    whole.map_err(|why| Fault {
        why,
        allowed: TOKENS,
    })
}

/// The fault of an empty prompt.
pub(crate) fn empty_prompt() -> Fault {
    Fault {
        why: "is an empty prompt",
        allowed: TOKENS,
    }
}

/// Reads `text` times 10^`scale`, rounded half up; also whether nothing was rounded.
pub(crate) fn decimal(text: &str, scale: i32) -> Result<(u64, bool), &'static str> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    if digits
        && scale == 0
        && let Ok(value) = text.parse()
    {
        return Ok((value, true));
    }
    let bare = text.trim_start_matches(['-', '+']);
    if ["nan", "inf", "infinity"].contains(&bare.to_ascii_lowercase().as_str()) {
        return Err("is not a finite number");
    }
    let (digits, power) = mantissa(bare.as_bytes()).ok_or("is not a number")?;
    if text.len() > bare.len() + 1 || text.starts_with('+') {
        return Err("is not a number");
    }
    if text.starts_with('-') && digits > 0 {
        return Err("is negative");
    }
    shift(digits, power.saturating_add(scale)).ok_or("is too large")
}

/// Splits a number without a sign into digits and a power of ten.
fn mantissa(text: &[u8]) -> Option<(u128, i32)> {
    let (mut value, mut power, mut kept) = (0u128, 0i32, 0u32);
    let (mut digits, mut point, mut at) = (0usize, false, 0);
    while let Some(&byte) = text.get(at) {
        match byte {
            b'0'..=b'9' => {
                digits += 1;
                if kept < DIGITS {
                    value = value * 10 + u128::from(byte - b'0');
                    kept += u32::from(value > 0);
                    power -= i32::from(point);
                } else {
                    power += i32::from(!point);
                }
            }
            b'.' if !point => point = true,
            b'e' | b'E' if digits > 0 => {
                let exponent = std::str::from_utf8(&text[at + 1..]).ok()?;
                let exponent: i32 = exponent.parse().ok()?;
                return Some((value, power.saturating_add(exponent)));
            }
            _ => return None,
        }
        at += 1;
    }
    (digits > 0).then_some((value, power))
}

fn shift(digits: u128, power: i32) -> Option<(u64, bool)> {
    if digits == 0 {
        return Some((0, true));
    }
    let step = power.unsigned_abs();
    if power >= 0 {
        let value = digits.checked_mul(10u128.checked_pow(step)?)?;
        return u64::try_from(value).ok().map(|ns| (ns, true));
    }
    let Some(unit) = 10u128.checked_pow(step) else {
        return Some((0, false));
    };
    let (value, rest) = (digits / unit, digits % unit);
    let rounded = value + u128::from(rest >= unit - unit / 2);
    u64::try_from(rounded).ok().map(|ns| (ns, rest == 0))
}

/// Reads a date and time of day into ns since 1970 in UTC; a stamp without a zone is in UTC.
pub(crate) fn date_time(text: &str, zoned: bool) -> Result<u64, &'static str> {
    const NOT: &str = "is not a date and time";
    let (date, rest) = text.split_once([' ', 'T']).ok_or(NOT)?;
    let (clock, zone) = match rest.find(['+', '-', 'Z']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    if !zoned && !zone.is_empty() {
        return Err("has a zone");
    }
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let [year, month, day] = whole(date, '-', [4, 2, 2]).ok_or(NOT)?;
    let [hour, minute, second] = whole(clock, ':', [2, 2, 2]).ok_or(NOT)?;
    let month = u8::try_from(month).map_err(|_| NOT)?;
    let month = Month::try_from(month).map_err(|_| "has no such month")?;
    let year = i32::try_from(year).map_err(|_| NOT)?;
    let date = Date::from_calendar_date(year, month, byte(day)).map_err(|_| "has no such day")?;
    let nanos = nanos(fraction).ok_or("has a bad fraction")?;
    let clock = Time::from_hms_nano(byte(hour), byte(minute), byte(second), nanos)
        .map_err(|_| "has no such time of day")?;
    let zone = offset(zone).ok_or("has a bad zone")?;
    let when = PrimitiveDateTime::new(date, clock).assume_offset(zone);
    u64::try_from(when.unix_timestamp_nanos()).map_err(|_| "is too early or too late")
}

/// Three whole numbers of exactly these widths, `sep` between them.
fn whole(text: &str, sep: char, widths: [usize; 3]) -> Option<[u32; 3]> {
    let mut parts = text.split(sep);
    let mut out = [0; 3];
    for (slot, width) in out.iter_mut().zip(widths) {
        let part = parts.next()?;
        let digits = part.bytes().all(|b| b.is_ascii_digit());
        *slot = (digits && part.len() == width).then(|| part.parse().ok())??;
    }
    parts.next().is_none().then_some(out)
}

/// A two-digit number as a byte; anything else becomes a value that every range check refuses.
fn byte(value: u32) -> u8 {
    u8::try_from(value).unwrap_or(u8::MAX)
}

fn nanos(fraction: &str) -> Option<u32> {
    let digits = fraction.bytes().all(|b| b.is_ascii_digit());
    let width = u32::try_from(fraction.len()).ok()?;
    if !digits || !(1..=9).contains(&width) {
        return None;
    }
    Some(fraction.parse::<u32>().ok()? * 10u32.pow(9 - width))
}

fn offset(zone: &str) -> Option<UtcOffset> {
    if zone.is_empty() || zone == "Z" {
        return Some(UtcOffset::UTC);
    }
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let two = |text: &str| {
        let fits = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        fits.then(|| text.parse::<i8>().ok()).flatten()
    };
    UtcOffset::from_hms(sign * two(hours)?, sign * two(minutes)?, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ns(text: &str, scale: i32) -> Result<u64, &'static str> {
        decimal(text, scale).map(|(value, _)| value)
    }

    #[test]
    fn decimals_are_exact() {
        assert_eq!(ns("0.1", 9), Ok(100_000_000));
        assert_eq!(ns("1700000000.123456789", 9), Ok(1_700_000_000_123_456_789));
        assert_eq!(ns("1.2e-05", 9), Ok(12_000));
        assert_eq!(ns("0.0000000005", 9), Ok(1));
        assert_eq!(ns("0.00000000049999", 9), Ok(0));
        assert_eq!(ns("-0.0", 9), Ok(0));
        assert_eq!(ns("18446744073709551615", 0), Ok(u64::MAX));
        assert_eq!(ns("1e-400", 9), Ok(0));
    }

    #[test]
    fn bad_decimals_say_why() {
        assert_eq!(ns("18446744073709551616", 0), Err("is too large"));
        assert_eq!(ns("1e999999999999", 9), Err("is not a number"));
        assert_eq!(ns("-1", 9), Err("is negative"));
        assert_eq!(ns("NaN", 9), Err("is not a finite number"));
        assert_eq!(ns("-inf", 9), Err("is not a finite number"));
        for text in ["", ".", "1.2.3", "--1", "+1", "0x10", "1_000", "e5", "1e"] {
            assert_eq!(ns(text, 9), Err("is not a number"), "{text}");
        }
    }

    #[test]
    fn dates_keep_100_ns_and_obey_zones() {
        let at = |text| date_time(text, true);
        assert_eq!(at("1970-01-01 00:00:01.0000001"), Ok(1_000_000_100));
        assert_eq!(at("1970-01-01 00:00:01+00:00"), Ok(1_000_000_000));
        assert_eq!(at("1970-01-01T02:00:01.5+02:00"), Ok(1_500_000_000));
        assert_eq!(date_time("1970-01-01 00:00:01Z", false), Err("has a zone"));
        assert_eq!(at("2023-02-30 00:00:00"), Err("has no such day"));
        assert_eq!(at("2023-13-01 00:00:00"), Err("has no such month"));
        assert_eq!(at("2023-02-01 24:00:00"), Err("has no such time of day"));
        assert_eq!(at("2023-02-01 00:00:00."), Err("has a bad fraction"));
        assert_eq!(at("1969-02-01 00:00:00"), Err("is too early or too late"));
    }
}
