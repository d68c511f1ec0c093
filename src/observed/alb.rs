//! Access logs of an AWS Application Load Balancer: fields by position, separated by blanks, some
//! in quotes.
//!
//! `request_creation_time` is when the balancer received the request, `time` when it had answered.
//! `target_processing_time` ends with the headers of the answer, so it is no time to first token.

use super::access::{Access, Rules};
use super::envoy::each_line;
use super::error::ObservedError;
use super::input::Input;
use super::intake::Intake;
use super::meaning::Meaning;

/// Positions of fields, and what they mean.
const FIELDS: [(usize, Meaning); 8] = [
    (1, Meaning::End),
    (8, Meaning::Status),
    (10, Meaning::BytesIn),
    (11, Meaning::BytesOut),
    (12, Meaning::RequestLine),
    (17, Meaning::TraceId),
    (21, Meaning::Start),
    (3, Meaning::Other),
];

/// Positions of the three processing times, s; -1 where there was none.
const TIMES: std::ops::Range<usize> = 5..8;

pub(super) fn read(
    input: &mut Input,
    rules: &Rules,
    intake: &mut Intake,
) -> Result<(), ObservedError> {
    each_line(input, intake, |line, intake| {
        let parts = split(line);
        // Entries before 2018 end with the trace id.
        if parts.len() < 18 {
            intake.skip("lines with fewer fields than an entry has", line);
            return Ok(());
        }
        let mut fields: Vec<(Meaning, &str)> = FIELDS
            .iter()
            .filter_map(|(at, meaning)| Some((*meaning, *parts.get(*at)?)))
            .collect();
        let spent;
        let starts = fields
            .iter()
            .any(|it| it.0 == Meaning::Start && it.1 != "-");
        if starts {
            // Both stamps are there: the time between them is the duration.
        } else {
            let times = parts[TIMES].iter().map(|it| it.parse::<f64>());
            let known: Vec<f64> = times.flatten().filter(|s| *s >= 0.0).collect();
            if !known.is_empty() {
                spent = known.iter().sum::<f64>().to_string();
                fields.push((Meaning::Duration(9), spent.as_str()));
            }
        }
        Access::of(&fields).hand_over(rules, intake)
    })
}

/// Fields separated by single blanks; blanks within quotes separate nothing.
fn split(line: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = line.trim_end();
    while !rest.is_empty() {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => match quoted.find("\" ") {
                Some(end) => (&quoted[..end], &quoted[end + 2..]),
                None => (quoted.strip_suffix('"').unwrap_or(quoted), ""),
            },
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        parts.push(part);
        rest = after;
    }
    parts
}
