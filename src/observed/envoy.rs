//! Access logs of proxies, line by line: Envoy's and nginx's by a format string, Envoy's as JSON.

use serde_json::Value;

use super::access::{Access, Rules};
use super::error::ObservedError;
use super::input::{Input, Line};
use super::intake::Intake;
use super::meaning::{Meaning, by_name};
use super::template::{NGINX_COMBINED, NGINX_TIMED, Template};

/// What an access log leaves open.
pub(super) const NO_FIRST_TOKEN: &str = "this log has no times to first token";

/// What is taken for the ending where a log has none.
pub(super) const NO_ENDING: &str =
    "this log has no status and no flags: every request is taken to have completed";

/// What a time to the first byte is worth.
pub(super) const FIRST_BYTE: &str = "times to first token are those to the first byte of the answer: a \
                                     server that sends its headers at once, or the whole answer at \
                                     its end, makes them something else";

/// Reads a log by a format string.
pub(super) fn read(
    input: &mut Input,
    template: &Template,
    rules: &Rules,
    intake: &mut Intake,
) -> Result<(), ObservedError> {
    each_line(input, intake, |line, intake| match template.fields(line) {
        Ok(fields) => Access::of(&fields).hand_over(rules, intake),
        Err(_) => {
            intake.skip("lines that do not fit the log format", line);
            Ok(())
        }
    })
}

/// The usual format of an nginx log, by its first line.
pub(super) fn nginx_template(head: &[u8]) -> &'static str {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.lines();
    let line = lines.find(|line| !line.trim().is_empty()).unwrap_or("");
    // `combined` ends in a quoted user agent.
    match line.trim_end().ends_with('"') {
        true => NGINX_COMBINED,
        false => NGINX_TIMED,
    }
}

/// Reads a log of JSON lines, by the names of its keys.
pub(super) fn read_json(
    input: &mut Input,
    rules: &Rules,
    intake: &mut Intake,
) -> Result<(), ObservedError> {
    each_line(input, intake, |line, intake| {
        let parsed = serde_json::from_str::<serde_json::Map<String, Value>>(line);
        let Ok(object) = parsed else {
            intake.skip("lines that are no JSON object", line);
            return Ok(());
        };
        let texts: Vec<(Meaning, String)> = object
            .iter()
            .filter_map(|(key, value)| {
                let text = match value {
                    Value::String(text) => text.clone(),
                    Value::Number(number) => number.to_string(),
                    _ => return None,
                };
                Some((by_name(key), text))
            })
            .collect();
        let fields: Vec<(Meaning, &str)> = texts
            .iter()
            .map(|(it, text)| (*it, text.as_str()))
            .collect();
        Access::of(&fields).hand_over(rules, intake)
    })
}

/// Every line that is text; what is not is counted.
pub(super) fn each_line(
    input: &mut Input,
    intake: &mut Intake,
    mut take: impl FnMut(&str, &mut Intake) -> Result<(), ObservedError>,
) -> Result<(), ObservedError> {
    each_line_and_end(input, intake, |line, _, intake| take(line, intake))
}

/// Every line that is text, and whether it has an end; what is no text is counted.
pub(super) fn each_line_and_end(
    input: &mut Input,
    intake: &mut Intake,
    mut take: impl FnMut(&str, bool, &mut Intake) -> Result<(), ObservedError>,
) -> Result<(), ObservedError> {
    let mut line = Vec::new();
    loop {
        let found = input.next_line(&mut line)?;
        let here = intake.place_now();
        intake.set_place(input.line_read());
        match found {
            Line::End => return Ok(()),
            Line::TooLong => intake.skip("lines longer than 16 MiB", ""),
            Line::Whole => match std::str::from_utf8(&line) {
                Ok(text) if text.trim().is_empty() => {}
                Ok(text) => {
                    // One may stand within, where files were put one after another.
                    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
                    take(text, !input.line_breaks_off(), intake)?;
                }
                Err(_) => intake.skip("lines that are not UTF-8", &String::from_utf8_lossy(&line)),
            },
        }
        intake.return_to(here);
    }
}
