//! A line of an access log, written by a format string.

use std::fmt::Write as _;

use time::OffsetDateTime;

use super::error::ObservedError;
use super::meaning::Meaning;
use super::record::{Ending, Observed};
use super::template::Template;
use crate::trace::error::shorten;

/// A millisecond, ns.
const MS: u64 = 1_000_000;

/// The line of the `number`-th request, which came at `start` (ns since 1970), with its end.
///
/// Durations are to the millisecond before. An end is written as the start to the millisecond
/// before and the duration: so the start can be told by who knows end and duration, as an access
/// log of nginx has them.
///
/// # Errors
/// When a value cannot be told from what stands around it in the format string.
pub(super) fn line(
    template: &Template,
    request: &Observed,
    start: u64,
    number: u64,
    bytes_per_token: u32,
) -> Result<String, ObservedError> {
    let (status, flags) = status_of(request.ending, template.is_envoy());
    let completed = request.ending == Ending::Completed;
    let end = match request.e2e_ns {
        Some(ns) => Some(start / MS * MS + ns / MS * MS),
        // Without a duration the time of the line is that of the arrival, where it has no other.
        None => (!template.tells_start()).then_some(start / MS * MS),
    };
    let bytes = |tokens: u32| (u64::from(tokens) * u64::from(bytes_per_token)).to_string();
    let value = |meaning: Meaning| {
        use Meaning as M;
        match meaning {
            M::Start => iso(start, true),
            M::StartNumber(scale) => epoch(start, scale),
            M::End => end.and_then(|end| iso(end, false)),
            M::EndNumber(scale) => end.and_then(|end| epoch(end, scale)),
            M::EndCommon => end.and_then(common_log),
            M::Status => Some(status.to_owned()),
            M::Flags => Some(flags.to_owned()),
            M::BytesIn => Some(bytes(request.prompt.count)),
            M::BytesOut if completed => Some(bytes(request.output.count)),
            M::BytesOut => Some("0".to_owned()),
            M::Duration(scale) => request.e2e_ns.and_then(|ns| epoch(ns, scale)),
            M::FirstByte(scale) => request.ttft_ns.and_then(|ns| epoch(ns, scale)),
            M::RequestId | M::LineId => Some(format!("{number:032x}")),
            M::Method => Some("POST".to_owned()),
            M::RequestLine => Some("POST /v1/chat/completions HTTP/1.1".to_owned()),
            M::Path => Some("/v1/chat/completions".to_owned()),
            M::Attempts => request.attempts.map(|it| it.to_string()),
            M::PromptTokens => Some(request.prompt.count.to_string()),
            M::OutputTokens if completed => Some(request.output.count.to_string()),
            M::CachedTokens => request.cached_tokens.map(|it| it.to_string()),
            M::Model => request.model.clone(),
            M::Tenant => request.tenant.clone(),
            M::Session => request.session.clone(),
            _ => None,
        }
    };
    let written = template.render(&value);
    let mut written = written.map_err(|odd| ObservedError::Option {
        option: "--log-format",
        value: shorten(&odd)
            .chars()
            .flat_map(char::escape_debug)
            .collect::<String>()
            .into(),
        why: format!("a value of request {number} cannot be told from what stands around it")
            .into(),
        remedy: "put quotes around its field in the format string, or leave the field out".into(),
    })?;
    written.push('\n');
    Ok(written)
}

/// Status and flags. nginx has no flags, so its status alone must tell what it can.
fn status_of(ending: Ending, envoy: bool) -> (&'static str, &'static str) {
    match (ending, envoy) {
        (Ending::Completed, _) => ("200", "-"),
        (Ending::Rejected, _) => ("503", "UO"),
        (Ending::Shed, _) => ("503", "OM"),
        (Ending::TimedOut, _) => ("504", "UT"),
        (Ending::Failed, true) => ("503", "UF"),
        (Ending::Failed, false) => ("502", "-"),
        (Ending::Cancelled, true) => ("0", "DC"),
        (Ending::Cancelled, false) => ("499", "-"),
    }
}

fn date(ns: u64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ns)).ok()
}

/// `2016-04-15T20:17:00.310Z`, to the millisecond before as Envoy writes it, or
/// `2016-04-15T20:17:00+00:00`, to the second before as nginx does.
fn iso(ns: u64, with_ms: bool) -> Option<String> {
    let when = date(ns)?;
    let mut text = String::new();
    // Writing to a text cannot fail.
    let _ = write!(
        text,
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
        when.year(),
        u8::from(when.month()),
        when.day(),
        when.hour(),
        when.minute(),
        when.second(),
    );
    let _ = match with_ms {
        true => write!(text, ".{:03}Z", when.millisecond()),
        false => write!(text, "+00:00"),
    };
    Some(text)
}

/// `15/Apr/2016:20:17:00 +0000`, to the second before.
fn common_log(ns: u64) -> Option<String> {
    let when = date(ns)?;
    let month = when.month().to_string();
    Some(format!(
        "{:02}/{}/{:04}:{:02}:{:02}:{:02} +0000",
        when.day(),
        &month[..3],
        when.year(),
        when.hour(),
        when.minute(),
        when.second()
    ))
}

/// ns in units of 10^`scale` ns, to the millisecond before.
fn epoch(ns: u64, scale: i32) -> Option<String> {
    let ms = ns / MS;
    Some(match scale {
        9 => format!("{}.{:03}", ms / 1000, ms % 1000),
        6 => ms.to_string(),
        3 => (ms * 1000).to_string(),
        0 => (ms * MS).to_string(),
        _ => return None,
    })
}
