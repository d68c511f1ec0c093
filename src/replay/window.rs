//! A stretch of a night.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::error::ReplayError;

/// A stretch of a night, seconds from its start; the end is not within.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Window {
    /// Where it begins.
    pub from_s: f64,
    /// Where it ends.
    pub to_s: f64,
}

const ALLOWED: &str = "must be FROM..TO, each in seconds from the start of the log (600, 600s), \
                       minutes (10m), hours (1.5h), or a time such as 2025-11-18T11:20:00Z where \
                       the log has dates";

impl Window {
    /// Reads `FROM..TO`. `zero_ns` is the start of the log in ns since 1970, where it has dates.
    ///
    /// # Errors
    /// When it is no window, or an empty one.
    pub fn parse(option: &str, text: &str, zero_ns: Option<u64>) -> Result<Window, ReplayError> {
        let remedy = "write it like 0..10m";
        let refuse = || ReplayError::option(option, text, ALLOWED, remedy);
        let (from, to) = text.split_once("..").ok_or_else(refuse)?;
        let from_s = instant_s(from.trim(), zero_ns).ok_or_else(refuse)?;
        let to_s = instant_s(to.trim(), zero_ns).ok_or_else(refuse)?;
        if !(from_s >= 0.0 && to_s > from_s && to_s <= 1e10) {
            let allowed = "must begin at 0 or later and end after it begins";
            return Err(ReplayError::option(option, text, allowed, remedy));
        }
        Ok(Window { from_s, to_s })
    }

    /// Whether an instant is within, ns from the start.
    pub fn holds(&self, t_ns: u64) -> bool {
        let t_s = t_ns as f64 / 1e9;
        t_s >= self.from_s && t_s < self.to_s
    }

    /// How long it is, seconds.
    pub fn length_s(&self) -> f64 {
        self.to_s - self.from_s
    }
}

/// An instant in seconds from `zero_ns`, as people write it; times of the clock only where that is known.
pub(super) fn instant_s(text: &str, zero_ns: Option<u64>) -> Option<f64> {
    let scaled = |number: &str, factor: f64| Some(number.parse::<f64>().ok()? * factor);
    let units = [("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3_600.0)];
    let stated = units.into_iter().find_map(|(unit, factor)| {
        let number = text.strip_suffix(unit)?;
        scaled(number.trim(), factor)
    });
    let seconds = stated.or_else(|| scaled(text, 1.0));
    if let Some(seconds) = seconds {
        return seconds.is_finite().then_some(seconds);
    }
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let from_zero = at.unix_timestamp_nanos() - i128::from(zero_ns?);
    Some(from_zero as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_in_their_units() {
        let window = |text: &str| Window::parse("--calm", text, Some(1_000_000_000_000_000_000));
        let is = |text: &str, from_s: f64, to_s: f64| {
            assert_eq!(window(text).unwrap(), Window { from_s, to_s }, "{text}");
        };
        is("0..600", 0.0, 600.0);
        is("1.5m .. 1h", 90.0, 3_600.0);
        is("2001-09-09T01:46:40Z..2001-09-09T01:47:40Z", 0.0, 60.0);
        for text in ["600", "10..5", "-1..5", "a..b", "0..inf", "0..NaN", ".."] {
            let message = window(text).unwrap_err().to_string();
            assert!(
                message.contains("--calm") && message.contains("must"),
                "{message}"
            );
        }
        assert!(Window::parse("--calm", "2001-09-09T01:46:40Z..1h", None).is_err());
    }
}
