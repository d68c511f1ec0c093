//! The text format of Prometheus: one sample a line.

use super::stamp;

/// One sample: `name{label="value"} value timestamp`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sample<'a> {
    /// Name of the metric.
    pub name: &'a str,
    /// What is within the braces, as it is written.
    pub labels: &'a str,
    /// The value.
    pub value: f64,
    /// When, ns since 1970.
    pub at_ns: Option<u64>,
}

impl<'a> Sample<'a> {
    /// Reads a line that is no comment; none where it is no sample.
    pub(super) fn of(line: &'a str) -> Option<Sample<'a>> {
        let line = line.trim();
        let (name, labels, rest) = match line.find('{') {
            Some(open) => {
                let close = closing(line, open)?;
                (&line[..open], &line[open + 1..close], &line[close + 1..])
            }
            None => {
                let (name, rest) = line.split_once([' ', '\t'])?;
                (name, "", rest)
            }
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        if name.is_empty() || !name.chars().all(plain) {
            return None;
        }
        // What follows is an exemplar of OpenMetrics.
        let rest = rest.split(" # ").next().unwrap_or(rest);
        let mut words = rest.split_whitespace();
        let value = match words.next()? {
            "+Inf" => f64::INFINITY,
            "-Inf" => f64::NEG_INFINITY,
            text => text.parse().ok()?,
        };
        let at_ns = match words.next() {
            Some(text) => Some(stamp_ns(text)?),
            None => None,
        };
        words.next().is_none().then_some(Sample {
            name,
            labels,
            value,
            at_ns,
        })
    }

    /// The value of a label; escapes are left as they are.
    pub(super) fn label(&self, name: &str) -> Option<&'a str> {
        let mut rest = self.labels;
        loop {
            let (key, after) = rest.split_once("=\"")?;
            let end = quote_end(after)?;
            if key.trim_matches([',', ' ']) == name {
                return Some(&after[..end]);
            }
            rest = &after[end + 1..];
        }
    }

    /// The labels without one of them: what identifies the series that a bucket belongs to.
    pub(super) fn labels_without(&self, name: &str) -> String {
        let mut kept = Vec::new();
        let mut rest = self.labels;
        while let Some((key, after)) = rest.split_once("=\"") {
            let Some(end) = quote_end(after) else {
                break;
            };
            let key = key.trim_matches([',', ' ']);
            if key != name {
                kept.push(format!("{key}=\"{}\"", &after[..end]));
            }
            rest = &after[end + 1..];
        }
        kept.join(",")
    }
}

/// A stamp in ns: whole ms in the text format of Prometheus, s with a fraction or without in
/// OpenMetrics. Whole numbers are s where that is a date from 2001 on that as ms would be none
/// (10^9 s are in 2001, 10^11 s in the year 5138, and as many ms in 1973), else ms.
fn stamp_ns(text: &str) -> Option<u64> {
    let whole = text.parse::<u64>();
    let in_ms = whole.is_ok_and(|it| !(1_000_000_000..100_000_000_000).contains(&it));
    stamp::number(text, if in_ms { 6 } else { 9 }).ok()
}

/// Where a quoted text ends: at a quote that no backslash escapes.
fn quote_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at),
            _ => {}
        }
    }
    None
}

/// Where the braces close that open at `open`; those in quotes do not count.
fn closing(line: &str, open: usize) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in line.bytes().enumerate().skip(open + 1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_taken_apart() {
        let line = r#"vllm:e2e_request_latency_seconds_bucket{le="0.3",model_name="a}\"b"} 7.0 1700000000123"#;
        let sample = Sample::of(line).unwrap();
        assert_eq!(sample.label("le"), Some("0.3"));
        assert_eq!(sample.label("model_name"), Some(r#"a}\"b"#));
        assert_eq!(sample.labels_without("le"), r#"model_name="a}\"b""#);
        let at_ns = Some(1_700_000_000_123_000_000);
        assert_eq!((sample.value, sample.at_ns), (7.0, at_ns));
        let line = r##"a_bucket{le="1"} 7 1700000000.123 # {trace_id="x"} 0.5 1700000000.1"##;
        assert_eq!(Sample::of(line).unwrap().at_ns, at_ns, "OpenMetrics");
        for (stamp, s) in [
            ("1700000000", 1_700_000_000),
            ("15000", 15),
            ("30.0", 30),
            ("3e1", 30),
            ("0", 0),
            ("999999999000", 999_999_999),
        ] {
            let line = format!("up 1 {stamp}");
            let at_ns = Sample::of(&line).unwrap().at_ns;
            assert_eq!(at_ns, Some(s * 1_000_000_000), "{stamp}");
        }
        assert_eq!(Sample::of("up 1").unwrap().value, 1.0);
        for bad in [
            "",
            "up",
            "up one",
            "a b 1",
            "x{ 1",
            "x{a=\"b} 1",
            "up 1 2 3",
            "é 1",
        ] {
            assert!(Sample::of(bad).is_none(), "{bad}");
        }
    }
}
