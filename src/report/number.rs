//! Numbers and lines as people read them.

/// Columns of a page.
pub const WIDTH: usize = 100;

/// A whole number with its digits in groups of three: `19,366`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// So many of something: `1 request`, `2 requests`, `3 tries`.
pub fn plural(value: u64, one: &str) -> String {
    let many = match (value, one.strip_suffix('y')) {
        (1, _) => one.to_owned(),
        (_, Some(stem)) => format!("{stem}ies"),
        (_, None) => format!("{one}s"),
    };
    format!("{} {many}", count(value))
}

/// A number with about four significant digits, thousands in groups; `-` for none.
pub fn significant(value: Option<f64>) -> String {
    let Some(value) = value else {
        return "-".to_owned();
    };
    let size = value.abs();
    if value == 0.0 {
        return "0".to_owned();
    }
    if !value.is_finite() {
        return value.to_string();
    }
    if !(1e-4..1e15).contains(&size) {
        return format!("{value:.3e}");
    }
    let sign = if value < 0.0 { "-" } else { "" };
    if size >= 999.95 {
        return format!("{sign}{}", count(size.round() as u64));
    }
    let decimals = (3 - size.log10().floor() as i32).clamp(1, 7) as usize;
    let text = format!("{size:.decimals$}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{sign}{text}")
}

/// A number with four significant digits and what it counts in: `1.235 M`, `12.35 k`. Below 10,000 it is
/// as [`significant`] has it.
pub fn shortened(value: Option<f64>) -> String {
    let size = value.map_or(0.0, f64::abs);
    let steps = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    let step = steps.iter().find(|(unit, _)| size >= *unit);
    match step.filter(|_| (1e4..1e15).contains(&size)) {
        Some((unit, letter)) => format!("{} {letter}", significant(value.map(|it| it / unit))),
        None => significant(value),
    }
}

/// A share as a percentage: `0.934` is `93.4 %`.
pub fn percent(share: Option<f64>) -> String {
    match share {
        None => "-".to_owned(),
        // Nearly all is not all: a share below 1 is never shown as 100 %.
        Some(share) if (0.9995..1.0).contains(&share) => format!("{:.3} %", share * 100.0),
        Some(share) => format!("{:.1} %", share * 100.0),
    }
}

/// A bar of `width` characters of which a share is filled, in eighths.
pub fn bar(share: f64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    let mut out = "█".repeat(eighths / 8);
    out.push_str(EIGHTHS[eighths % 8]);
    out
}

/// Wraps a text at `width` columns, the lines after the first indented by `indent` spaces.
pub fn wrap(text: &str, width: usize, indent: usize) -> String {
    let mut out = String::new();
    let mut column = indent;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > indent && column + 1 + length > width {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            column = indent;
        } else if column > indent {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out
}

/// A number with all of its digits, in few characters however large or small it is.
pub fn in_full(value: f64) -> String {
    match value.abs() {
        size if size >= 1e15 || (size > 0.0 && size < 1e-6) => format!("{value:e}"),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(count(0), "0");
        assert_eq!(count(19_366), "19,366");
        assert_eq!(significant(Some(13.2)), "13.2");
        assert_eq!(significant(Some(1234.6)), "1,235");
        assert_eq!(significant(Some(-0.01234)), "-0.01234");
        assert_eq!(significant(None), "-");
        assert_eq!(percent(Some(0.99999)), "99.999 %");
        assert_eq!(percent(Some(1.0)), "100.0 %");
        assert_eq!(bar(0.5, 4), "██");
        assert_eq!(wrap("aa bb cc", 7, 2), "aa bb\n  cc");
    }
}
