//! Requests written as logs of a real fleet: OTLP/JSON spans, or access logs of Envoy.
//!
//! What a log cannot say is lost, and the report says so: an access log has milliseconds, bytes
//! instead of tokens and no first token, unless its format string has commands for them.

use std::fmt::Write as _;
use std::str::FromStr;

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::error::ObservedError;
use super::record::{Ending, Observed};
use super::template::{ENVOY_DEFAULT, Meaning, Template};
use crate::trace::error::shorten;

/// A format that requests are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// OTLP/JSON, a document of up to [`SPANS`] spans a line.
    Otlp,
    /// An access log of Envoy.
    Envoy,
}

impl ExportFormat {
    /// The name, as on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ExportFormat::Otlp => "otlp",
            ExportFormat::Envoy => "envoy",
        }
    }
}

impl FromStr for ExportFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<ExportFormat, String> {
        let all = [ExportFormat::Otlp, ExportFormat::Envoy];
        let found = all.into_iter().find(|format| format.name() == text);
        found.ok_or_else(|| "must be otlp or envoy".to_owned())
    }
}

/// Spans of one document.
pub const SPANS: usize = 256;

/// How to write logs.
#[derive(Debug, Clone)]
pub struct ExportOptions {
    /// The format.
    pub format: ExportFormat,
    /// When the requests' own zero was, ns since 1970.
    pub start_ns: u64,
    /// Envoy's format string, instead of its default one.
    pub log_format: Option<String>,
    /// Bytes that a token has in an access log.
    pub bytes_per_token: u32,
}

/// Turns requests into the text of a log.
pub struct Exporter {
    options: ExportOptions,
    template: Option<Template>,
    spans: Vec<Value>,
    written: u64,
}

impl Exporter {
    /// An exporter.
    ///
    /// # Errors
    /// When the format string cannot be used.
    pub fn new(options: ExportOptions) -> Result<Exporter, ObservedError> {
        let template = match options.format {
            ExportFormat::Otlp => None,
            ExportFormat::Envoy => {
                let text = options.log_format.as_deref().unwrap_or(ENVOY_DEFAULT);
                let made = Template::new(text).map_err(|why| ObservedError::Option {
                    option: "--log-format",
                    value: shorten(text),
                    why: why.into(),
                    remedy: "write it as in the configuration of Envoy".into(),
                })?;
                Some(made)
            }
        };
        Ok(Exporter {
            options,
            template,
            spans: Vec::new(),
            written: 0,
        })
    }

    /// Adds a request, and gives what text there is by now.
    ///
    /// # Errors
    /// When its time is beyond the year 2554.
    pub fn add(&mut self, request: &Observed) -> Result<String, ObservedError> {
        self.written += 1;
        let far = || ObservedError::Option {
            option: "--start",
            value: self.options.start_ns.to_string().into(),
            why: "takes requests beyond the year 2554".into(),
            remedy: "give an earlier one".into(),
        };
        let start = self.options.start_ns.checked_add(request.t_ns);
        let start = start.ok_or_else(far)?;
        let end = start.checked_add(request.e2e_ns.unwrap_or(0));
        let end = end.ok_or_else(far)?;
        match &self.template {
            Some(template) => Ok(self.line(template, request, start)),
            None => {
                let span = self.span(request, start, end);
                self.spans.push(span);
                Ok(match self.spans.len() >= SPANS {
                    true => self.document(),
                    false => String::new(),
                })
            }
        }
    }

    /// The text that is left.
    pub fn finish(mut self) -> String {
        match self.spans.is_empty() {
            true => String::new(),
            false => self.document(),
        }
    }

    fn document(&mut self) -> String {
        let spans = std::mem::take(&mut self.spans);
        let service = json!({"key": "service.name", "value": {"stringValue": "seatrial"}});
        let document = json!({"resourceSpans": [{
            "resource": {"attributes": [service]},
            "scopeSpans": [{"scope": {"name": "seatrial"}, "spans": spans}],
        }]});
        format!("{document}\n")
    }

    fn span(&self, request: &Observed, start: u64, end: u64) -> Value {
        let number = self.written;
        let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
        let int =
            |key: &str, value: u64| json!({"key": key, "value": {"intValue": value.to_string()}});
        let mut attributes = vec![
            text("gen_ai.operation.name", "chat"),
            text("gen_ai.provider.name", "seatrial"),
        ];
        for (key, value) in [
            ("gen_ai.request.model", &request.model),
            ("gen_ai.conversation.id", &request.session),
            ("tenant.id", &request.tenant),
        ] {
            attributes.extend(value.as_ref().map(|value| text(key, value)));
        }
        attributes.push(int(
            "gen_ai.usage.input_tokens",
            request.prompt.count.into(),
        ));
        let completed = request.ending == Ending::Completed;
        if completed {
            attributes.push(int(
                "gen_ai.usage.output_tokens",
                request.output.count.into(),
            ));
        } else {
            attributes.push(text("error.type", request.ending.name()));
        }
        if let Some(cached) = request.cached_tokens {
            attributes.push(int("gen_ai.usage.cache_read.input_tokens", cached.into()));
        }
        if let Some(ttft) = request.ttft_ns {
            let seconds = ttft as f64 / 1e9;
            let value = json!({"doubleValue": seconds});
            attributes.push(json!({"key": "gen_ai.response.time_to_first_chunk", "value": value}));
        }
        if request.attempts > 1 {
            let again = u64::from(request.attempts - 1);
            attributes.push(int("http.request.resend_count", again));
        }
        json!({
            "traceId": format!("{number:032x}"),
            "spanId": format!("{number:016x}"),
            "name": "chat",
            "kind": 3,
            "startTimeUnixNano": start.to_string(),
            "endTimeUnixNano": end.to_string(),
            "attributes": attributes,
            "status": if completed { json!({}) } else { json!({"code": 2}) },
        })
    }

    fn line(&self, template: &Template, request: &Observed, start: u64) -> String {
        let (status, flags) = match request.ending {
            Ending::Completed => ("200", "-"),
            Ending::Rejected => ("503", "UO"),
            Ending::Shed => ("503", "OM"),
            Ending::TimedOut => ("504", "UT"),
            Ending::Failed => ("503", "UF"),
            Ending::Cancelled => ("0", "DC"),
        };
        let completed = request.ending == Ending::Completed;
        let ms = |ns: u64| (ns / 1_000_000).to_string();
        let bytes =
            |tokens: u32| (u64::from(tokens) * u64::from(self.options.bytes_per_token)).to_string();
        let value = |meaning: Meaning| {
            use Meaning as M;
            match meaning {
                M::Start => iso_ms(start),
                M::StartNumber(scale) => epoch(start, scale),
                M::Status => Some(status.to_owned()),
                M::Flags => Some(flags.to_owned()),
                M::BytesIn => Some(bytes(request.prompt.count)),
                M::BytesOut if completed => Some(bytes(request.output.count)),
                M::BytesOut => Some("0".to_owned()),
                M::Duration(_) => request.e2e_ns.map(ms),
                M::FirstByte(_) => request.ttft_ns.map(ms),
                M::RequestId => Some(format!("{:032x}", self.written)),
                M::Method => Some("POST".to_owned()),
                M::Path => Some("/v1/chat/completions".to_owned()),
                M::Attempts => Some(request.attempts.to_string()),
                M::PromptTokens => Some(request.prompt.count.to_string()),
                M::OutputTokens if completed => Some(request.output.count.to_string()),
                M::CachedTokens => request.cached_tokens.map(|it| it.to_string()),
                M::Model => request.model.clone(),
                M::Tenant => request.tenant.clone(),
                M::Session => request.session.clone(),
                _ => None,
            }
        };
        format!("{}\n", template.render(&value))
    }
}

/// `2016-04-15T20:17:00.310Z`, to the millisecond before.
fn iso_ms(ns: u64) -> Option<String> {
    let when = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ns)).ok()?;
    let mut text = String::new();
    // Writing to a text cannot fail.
    let _ = write!(
        text,
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        when.year(),
        u8::from(when.month()),
        when.day(),
        when.hour(),
        when.minute(),
        when.second(),
        when.millisecond()
    );
    Some(text)
}

/// ns since 1970 in units of 10^`scale` ns, to the millisecond before.
fn epoch(ns: u64, scale: i32) -> Option<String> {
    let ms = ns / 1_000_000;
    Some(match scale {
        9 => format!("{}.{:03}", ms / 1000, ms % 1000),
        6 => ms.to_string(),
        3 => (ms * 1000).to_string(),
        0 => (ms * 1_000_000).to_string(),
        _ => return None,
    })
}
