//! Requests written as logs of a real fleet: OTLP/JSON spans, or access logs of Envoy or nginx.
//!
//! What a log cannot say is lost, and the report says so: an access log has milliseconds, bytes
//! instead of tokens and no first token, unless its format string has commands for them.

use std::str::FromStr;

use serde_json::{Value, json};

use super::access_line::line;
use super::error::ObservedError;
use super::record::{Ending, Observed};
use super::template::{ENVOY_DEFAULT, NGINX_TIMED, Template};
use crate::trace::error::shorten;

/// A format that requests are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// OTLP/JSON, a document of up to [`SPANS`] spans a line.
    Otlp,
    /// An access log of Envoy.
    Envoy,
    /// An access log of nginx.
    Nginx,
}

impl ExportFormat {
    /// The name, as on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ExportFormat::Otlp => "otlp",
            ExportFormat::Envoy => "envoy",
            ExportFormat::Nginx => "nginx",
        }
    }
}

impl FromStr for ExportFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<ExportFormat, String> {
        let all = [ExportFormat::Otlp, ExportFormat::Envoy, ExportFormat::Nginx];
        let found = all.into_iter().find(|format| format.name() == text);
        found.ok_or_else(|| "must be otlp, envoy or nginx".to_owned())
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
    /// The format string of an access log, instead of the default one.
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
        let stated = options.log_format.as_deref();
        let template = match options.format {
            ExportFormat::Otlp => None,
            ExportFormat::Envoy => Some(writable(stated.unwrap_or(ENVOY_DEFAULT), true)?),
            ExportFormat::Nginx => Some(writable(stated.unwrap_or(NGINX_TIMED), false)?),
        };
        Ok(Exporter {
            options,
            template,
            spans: Vec::new(),
            written: 0,
        })
    }

    /// Takes the requests' own zero to be 1970: they have dates.
    pub fn count_from_1970(&mut self) {
        self.options.start_ns = 0;
    }

    /// Adds a request, and gives what text there is by now.
    ///
    /// # Errors
    /// When its time is beyond the year 2554, or a value cannot be written by the format string.
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
        let end = request
            .e2e_ns
            .map(|ns| start.checked_add(ns).ok_or_else(far));
        let end = end.transpose()?;
        match &self.template {
            Some(template) => line(
                template,
                request,
                start,
                self.written,
                self.options.bytes_per_token,
            ),
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

    fn span(&self, request: &Observed, start: u64, end: Option<u64>) -> Value {
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
        if let Some(again) = request
            .attempts
            .map(|it| it.saturating_sub(1))
            .filter(|it| *it > 0)
        {
            attributes.push(int("http.request.resend_count", again.into()));
        }
        let mut span = json!({
            "traceId": format!("{number:032x}"),
            "spanId": format!("{number:016x}"),
            "name": "chat",
            "kind": 3,
            "startTimeUnixNano": start.to_string(),
            "attributes": attributes,
            "status": if completed { json!({}) } else { json!({"code": 2}) },
        });
        // A span whose end is not known has none: it is told to be of no length otherwise.
        if let (Some(end), Some(fields)) = (end, span.as_object_mut()) {
            fields.insert("endTimeUnixNano".to_owned(), end.to_string().into());
        }
        span
    }
}

/// A format string that lines are written by, of Envoy's or nginx's as asked for.
fn writable(text: &str, envoy: bool) -> Result<Template, ObservedError> {
    let refuse = |why: String, remedy: &str| ObservedError::Option {
        option: "--log-format",
        value: shorten(text),
        why: why.into(),
        remedy: remedy.into(),
    };
    let server = if envoy { "Envoy" } else { "nginx" };
    let as_configured = format!("write it as in the configuration of {server}");
    let template = Template::new(text).map_err(|why| refuse(why, &as_configured))?;
    match (envoy, template.is_envoy()) {
        (true, false) => Err(refuse(
            "is a format string of nginx".to_owned(),
            "write with --to nginx, or give commands of Envoy such as %START_TIME%",
        )),
        (false, true) => Err(refuse(
            "is a format string of Envoy".to_owned(),
            "write with --to envoy, or give variables of nginx such as $msec",
        )),
        _ => match odd_time(text) {
            Some(argument) => Err(refuse(
                format!("has a START_TIME that is not written as `{argument}`"),
                "leave its argument out, or write %START_TIME(%s.%3f)%",
            )),
            None => Ok(template),
        },
    }
}

/// The argument of a start time that is not written so.
fn odd_time(text: &str) -> Option<&str> {
    const WRITTEN: [&str; 5] = [
        "%Y-%m-%dT%H:%M:%S.%3fZ",
        "%s.%3f",
        "%s%3f",
        "%s%6f",
        "%s%9f",
    ];
    const COMMAND: &str = "%START_TIME(";
    let mut arguments = text.match_indices(COMMAND).filter_map(|(at, _)| {
        let rest = &text[at + COMMAND.len()..];
        rest.split(')').next()
    });
    arguments.find(|argument| !WRITTEN.contains(argument))
}
