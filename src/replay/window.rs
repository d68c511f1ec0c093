//! A stretch of a night.

use super::error::ReplayError;
use crate::observed::stamp_of;

/// A stretch of a night, seconds from its start; the end is not within.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Window {
    /// Where it begins.
    pub from_s: f64,
    /// Where it ends.
    pub to_s: f64,
}

const ALLOWED: &str = "must be FROM..TO, each in seconds from the start of the log (600, 600s), \
                       minutes (10m), hours (1.5h), or a time with its zone such as \
                       2025-11-18T11:20:00Z where the log has dates";

/// A window by the clock may begin so long before the log does, seconds: people give the full minute, and
/// nothing of the log is before its start.
const EARLY_S: f64 = 60.0;

/// The last second that a window may end at: three centuries.
const LAST_S: f64 = 1e10;

impl Window {
    /// Reads `FROM..TO`. `zero_ns` is the start of the log in ns since 1970, where it has dates.
    ///
    /// # Errors
    /// When it is no window, or an empty one.
    pub fn parse(option: &str, text: &str, zero_ns: Option<u64>) -> Result<Window, ReplayError> {
        let remedy = "write it like 0..10m";
        let refuse = || ReplayError::option(option, text, ALLOWED, remedy);
        let (from, to) = text.split_once("..").ok_or_else(refuse)?;
        let (from, to) = (from.trim(), to.trim());
        let from_s = instant_s(from, zero_ns).ok_or_else(refuse)?;
        let to_s = instant_s(to, zero_ns).ok_or_else(refuse)?;
        let by_clock = from.contains(':');
        let from_s = match by_clock && (-EARLY_S..0.0).contains(&from_s) {
            true => 0.0,
            false => from_s,
        };
        if by_clock && from_s < 0.0 {
            let allowed = format!(
                "must begin with the log, and begins {:.0} s before it",
                -from_s
            );
            let remedy = "begin it where the log begins, or at 0; in another time zone, write that";
            return Err(ReplayError::option(option, text, allowed, remedy));
        }
        if to_s > LAST_S {
            let allowed = format!("must end within {LAST_S:e} s, longer than any log");
            return Err(ReplayError::option(option, text, allowed, remedy));
        }
        if !(from_s >= 0.0 && to_s > from_s) {
            let allowed = "must begin at 0 or later and end after it begins";
            return Err(ReplayError::option(option, text, allowed, remedy));
        }
        Ok(Window { from_s, to_s })
    }

    /// Whether an instant is within, ns from the start.
    pub fn holds(&self, t_ns: u64) -> bool {
        (self.from_ns()..self.to_ns()).contains(&t_ns)
    }

    /// Where it begins, to the nanosecond.
    pub fn from_ns(&self) -> u64 {
        (self.from_s * 1e9).round() as u64
    }

    /// Where it ends, to the nanosecond.
    pub fn to_ns(&self) -> u64 {
        (self.to_s * 1e9).round() as u64
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
    let from_zero = i128::from(clock_ns(text)?) - i128::from(zero_ns?);
    Some(from_zero as f64 / 1e9)
}

/// A date and time with a zone, ns since 1970; the seconds may be left out.
pub(super) fn clock_ns(text: &str) -> Option<u64> {
    let zoned = |text: &str| stamp_of(text).filter(|(_, zoned)| *zoned).map(|(ns, _)| ns);
    zoned(text).or_else(|| {
        let at = text.find(':')?;
        let (minutes, zone) = text.split_at_checked(at + 3)?;
        zoned(&format!("{minutes}:00{zone}"))
    })
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
        // The first request came a little after the minute, and the log begins with it.
        let log = Some(1_000_000_000_250_000_000);
        let minute = |text: &str| Window::parse("--calm", text, log);
        for text in [
            "2001-09-09T01:46:40Z..2001-09-09T01:47:40.25Z",
            "2001-09-09 01:46Z..2001-09-09 01:47:40.25Z",
            "2001-09-09T03:46:40+02:00 .. 60",
        ] {
            let (from_s, to_s) = (0.0, 60.0);
            assert_eq!(minute(text).unwrap(), Window { from_s, to_s }, "{text}");
        }
        let early = minute("2001-09-09T01:40:00Z..2001-09-09T01:50:00Z");
        let message = early.unwrap_err().to_string();
        assert!(message.contains("begins 400 s before it"), "{message}");
        // Without a zone nobody knows when it is.
        assert!(minute("2001-09-09T01:46:40..2001-09-09T01:47:40").is_err());
        // What begins with a request has it.
        for t_ns in [123_456_789, 1_000_000_007, 86_400_000_000_001] {
            let window = Window {
                from_s: t_ns as f64 / 1e9,
                to_s: 1e9,
            };
            assert!(window.holds(t_ns) && !window.holds(t_ns - 1), "{t_ns}");
        }
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
