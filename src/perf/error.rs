//! Errors of the performance model: each names the file or card, the field, the value, what is
//! allowed and what to do.

use crate::inputs::note;
use std::path::Path;

/// Why a card, a step model or a memory plan could not be made.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PerfError {
    /// No built-in card bears this name.
    #[error(
        "no {kind} card is named `{name}`{}; the built-in ones are: {known}. \
         To use a card of your own, give its path (with a `/` or ending in `.toml`)",
        nearest_text(nearest.as_deref())
    )]
    UnknownCard {
        /// `model` or `accelerator`.
        kind: &'static str,
        /// The name asked for.
        name: String,
        /// The built-in name nearest to it, if one is near.
        nearest: Option<String>,
        /// All built-in names, joined by commas.
        known: String,
    },
    /// A card's file could not be read.
    #[error(
        "cannot read the {kind} card {file}: {cause}; check the path, which is taken from the folder of the file that names it"
    )]
    Read {
        /// `model` or `accelerator`.
        kind: &'static str,
        /// The file's path.
        file: String,
        /// What the operating system said.
        cause: String,
    },
    /// A card's file is not a valid card.
    #[error("{file}: {message}{}", nearest_text(nearest.as_deref()))]
    Parse {
        /// The file's path, or `built-in NAME`.
        file: String,
        /// What is wrong and where, naming the field.
        message: String,
        /// The allowed name nearest to the wrong one, if one is near.
        nearest: Option<String>,
    },
    /// A value lies outside its range.
    #[error("{file}: `{field}` is {value}, but it must be {allowed}; {remedy}")]
    Field {
        /// The file's path, or the card in words.
        file: String,
        /// The field's name.
        field: &'static str,
        /// Its value.
        value: String,
        /// The allowed range.
        allowed: String,
        /// What to do.
        remedy: String,
    },
    /// No number type bears this name.
    #[error("`{value}` is not a number type{}; allowed: {known}", nearest_text(nearest.as_deref()))]
    UnknownDtype {
        /// The name given.
        value: String,
        /// The nearest number type, if one is near.
        nearest: Option<String>,
        /// All of them, joined by commas.
        known: String,
    },
    /// Weights, activations and reserve leave no room for the KV cache.
    #[error("{0}")]
    DoesNotFit(Box<Shortfall>),
}

/// What a device would have to hold, and what it can.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "{model} with {weight_dtype} weights at tp {tp} does not fit on {accelerator}: it needs {needed_gb:.1} GB \
         per device ({weight_gb:.1} weights + {activation_gb:.1} activations + {reserve_gb:.1} reserve + KV cache) \
         and {available_gb:.1} GB are available (1 GB = 1e9 bytes); {remedy}"
)]
pub struct Shortfall {
    /// The model's name.
    pub model: String,
    /// The accelerator's name.
    pub accelerator: String,
    /// Tensor-parallel devices.
    pub tp: u32,
    /// The weights' number type.
    pub weight_dtype: &'static str,
    /// Weights on each device, in GB.
    pub weight_gb: f64,
    /// Peak activations on each device, in GB.
    pub activation_gb: f64,
    /// Reserve on each device, in GB.
    pub reserve_gb: f64,
    /// All that one device must hold, one KV block included, in GB.
    pub needed_gb: f64,
    /// What one device offers under the utilization asked for, in GB.
    pub available_gb: f64,
    /// The smallest `tp` that fits, or a smaller number type.
    pub remedy: String,
}

/// The text that offers `nearest`, empty if there is none.
fn nearest_text(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |n| format!(" (did you mean `{n}`?)"))
}

/// The candidate nearest to `name` by Jaro-Winkler similarity, if it is at least 0.7.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let lowered = name.to_lowercase();
    let mut best: Option<(f64, &str)> = None;
    for candidate in candidates {
        let score = strsim::jaro_winkler(&lowered, candidate);
        if score >= 0.7 && best.is_none_or(|(s, _)| score > s) {
            best = Some((score, candidate));
        }
    }
    best.map(|(_, c)| c.to_owned())
}

/// What a parser says of a value of the wrong type, without the names of types.
fn in_plain_words(reason: &str) -> String {
    let Some((found, expected)) = reason
        .strip_prefix("invalid type: ")
        .or(reason.strip_prefix("invalid value: "))
        .and_then(|rest| rest.split_once(", expected "))
    else {
        return reason.to_owned();
    };
    let allowed = match expected {
        "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" => "text in quotes",
        other => other,
    };
    format!("{found} is not {allowed}")
}

/// Shapes a TOML error: names the line, keeps the reason, and finds the allowed name nearest to an
/// unknown one.
pub(crate) fn parse_error(file: &str, text: &str, error: &toml::de::Error) -> PerfError {
    let line = error.span().map(|s| {
        text.get(..s.start)
            .map_or(1, |head| head.matches('\n').count() + 1)
    });
    let reason = &in_plain_words(error.message().trim());
    let message = line.map_or_else(
        || reason.to_owned(),
        |n| match text.lines().nth(n - 1) {
            Some(said) if reason.starts_with("missing field") || said.trim().is_empty() => {
                reason.to_owned()
            }
            Some(said) => format!("line {n} (`{}`): {reason}", said.trim()),
            None => reason.to_owned(),
        },
    );
    let mut quoted = reason.split('`').skip(1).step_by(2);
    let nearest_name = match quoted.next() {
        Some(wrong) if reason.starts_with("unknown") => nearest(wrong, quoted),
        _ => None,
    };
    PerfError::Parse {
        file: file.to_owned(),
        message,
        nearest: nearest_name,
    }
}

/// The text of a card: a built-in one by name, or a file by path (a value with a `/` or ending in
/// `.toml`, taken from `base_dir`). Returns what to call the card's file in errors, and its text.
///
/// # Errors
/// [`PerfError::UnknownCard`] and [`PerfError::Read`].
pub(crate) fn card_text(
    kind: &'static str,
    builtin: &[(&'static str, &'static str)],
    name_or_path: &str,
    base_dir: &Path,
) -> Result<(String, String), PerfError> {
    if name_or_path.contains('/') || name_or_path.ends_with(".toml") {
        let path = base_dir.join(name_or_path);
        let file = path.display().to_string();
        note(&path);
        return match std::fs::read_to_string(&path) {
            Ok(text) => Ok((file, text)),
            Err(cause) => Err(PerfError::Read {
                kind,
                file,
                cause: cause.to_string(),
            }),
        };
    }
    let names = || builtin.iter().map(|(n, _)| *n);
    builtin
        .iter()
        .find(|(n, _)| *n == name_or_path)
        .map(|(n, text)| (format!("built-in {kind} card {n}"), (*text).to_owned()))
        .ok_or_else(|| PerfError::UnknownCard {
            kind,
            name: name_or_path.to_owned(),
            nearest: nearest(name_or_path, names()),
            known: names().collect::<Vec<_>>().join(", "),
        })
}

/// Checks that `value` is finite and lies in (`low`, `high`] (`low` itself is allowed if `closed`).
pub(crate) fn check_range(
    file: &str,
    field: &'static str,
    value: f64,
    (low, high, closed): (f64, f64, bool),
) -> Result<(), PerfError> {
    let above = if closed { value >= low } else { value > low };
    if value.is_finite() && above && value <= high {
        return Ok(());
    }
    let bound = if closed { "at least" } else { "above" };
    let allowed = if high.is_finite() {
        format!("{bound} {low} and at most {high}")
    } else {
        format!("{bound} {low} and finite")
    };
    Err(PerfError::Field {
        file: file.to_owned(),
        field,
        value: value.to_string(),
        allowed,
        remedy: format!("correct `{field}`"),
    })
}
