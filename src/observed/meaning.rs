//! What the fields of access logs mean, by the names that Envoy, nginx and people give them.

use strsim::damerau_levenshtein;

/// What a field of an access log means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// When the request came, ISO 8601.
    Start,
    /// When the request came, a number of 10^n ns since 1970.
    StartNumber(i32),
    /// When the line was written, ISO 8601.
    End,
    /// When the line was written, a number of 10^n ns since 1970.
    EndNumber(i32),
    /// A time that is the start only where nothing else says when that was: shippers of logs put their own
    /// in its place.
    StartOtherwise,
    /// When the line was written, `08/Nov/2010:14:16:18 -0600`.
    EndCommon,
    /// HTTP status.
    Status,
    /// Envoy's response flags.
    Flags,
    /// Bytes of the request.
    BytesIn,
    /// Bytes of the answer.
    BytesOut,
    /// From start to end, a number of 10^n ns.
    Duration(i32),
    /// From start to the first byte of the answer that came from behind, a number of 10^n ns.
    FirstByte(i32),
    /// An id that tries of one request share.
    RequestId,
    /// An id that the server makes for each line.
    LineId,
    /// The id of a trace.
    TraceId,
    /// `POST`.
    Method,
    /// `POST /path HTTP/1.1`.
    RequestLine,
    /// Path with its query.
    Path,
    /// Tries that the proxy made.
    Attempts,
    /// Prompt tokens.
    PromptTokens,
    /// Output tokens.
    OutputTokens,
    /// Prompt tokens that a cache had.
    CachedTokens,
    /// The model.
    Model,
    /// Who asks.
    Tenant,
    /// The conversation.
    Session,
    /// Nothing of interest.
    Other,
}

/// What a command of Envoy's means; the error says why it cannot be read.
pub(super) fn envoy_meaning(command: &str) -> Result<Meaning, String> {
    use Meaning as M;
    let (name, argument) = match command.split_once('(') {
        Some((name, rest)) => (name, rest.rsplit_once(')').map_or(rest, |it| it.0)),
        None => (command.split(':').next().unwrap_or(command), ""),
    };
    Ok(match name {
        "START_TIME" => match argument {
            "%s" => M::StartNumber(9),
            "%s.%3f" | "%s.%6f" | "%s.%9f" | "%s.%f" => M::StartNumber(9),
            "%s%3f" => M::StartNumber(6),
            "%s%6f" => M::StartNumber(3),
            "%s%9f" => M::StartNumber(0),
            argument if argument.is_empty() || is_iso(argument) => M::Start,
            other => {
                return Err(format!(
                    "has a START_TIME that is written as `{other}`: %Y-%m-%dT%H:%M:%S%z, %s.%3f \
                     and no argument are read"
                ));
            }
        },
        "RESPONSE_CODE" => M::Status,
        "RESPONSE_FLAGS" | "RESPONSE_FLAGS_LONG" => M::Flags,
        "BYTES_RECEIVED" => M::BytesIn,
        "BYTES_SENT" => M::BytesOut,
        "DURATION" => M::Duration(6),
        "RESPONSE_DURATION" => M::FirstByte(6),
        "TRACE_ID" => M::TraceId,
        "UPSTREAM_REQUEST_ATTEMPT_COUNT" => M::Attempts,
        "REQ" | "RESP" => header_meaning(argument),
        "DYNAMIC_METADATA" | "METADATA" => by_name(argument.rsplit(':').next().unwrap_or("")),
        other => match slip(other) {
            Some(meant) => {
                return Err(format!(
                    "has the command %{other}%, which Envoy has not: did you mean %{meant}%?"
                ));
            }
            None => M::Other,
        },
    })
}

/// Commands of Envoy that are read here, and long enough for a slip in them to be told from other commands.
const ENVOY_READ: [&str; 12] = [
    "START_TIME",
    "RESPONSE_CODE",
    "RESPONSE_FLAGS",
    "RESPONSE_FLAGS_LONG",
    "BYTES_RECEIVED",
    "BYTES_SENT",
    "DURATION",
    "RESPONSE_DURATION",
    "TRACE_ID",
    "UPSTREAM_REQUEST_ATTEMPT_COUNT",
    "DYNAMIC_METADATA",
    "METADATA",
];
/// Letters that a slip has wrong at most; commands that look like those above differ by more.
const SLIP: usize = 2;

/// The command that was meant by one that is hardly another. All others may be: extensions have their own.
fn slip(command: &str) -> Option<&'static str> {
    let near = |read: &&str| damerau_levenshtein(command, read) <= SLIP;
    ENVOY_READ.into_iter().find(near)
}

/// Whether a pattern of `strftime` writes ISO 8601: a date, then a time of day.
fn is_iso(pattern: &str) -> bool {
    let date = ["%Y-%m-%d", "%F"];
    let rest = date.iter().find_map(|date| pattern.strip_prefix(date));
    let clock = rest.and_then(|rest| rest.strip_prefix(['T', ' ']));
    clock.is_some_and(|clock| clock.starts_with("%H:%M:") || clock.starts_with("%T"))
}

/// What a header means: the first of `NAME?ALTERNATIVE`.
fn header_meaning(argument: &str) -> Meaning {
    let name = argument
        .split('?')
        .next()
        .unwrap_or("")
        .to_ascii_lowercase();
    match name.as_str() {
        ":method" => Meaning::Method,
        ":path" | "x-envoy-original-path" => Meaning::Path,
        "x-request-id" => Meaning::RequestId,
        "traceparent" | "x-b3-traceid" | "x-amzn-trace-id" => Meaning::TraceId,
        // The gateway API's inference extension, and Envoy AI Gateway.
        "x-gateway-model-name" | "x-ai-eg-model" | "x-model" => Meaning::Model,
        "x-tenant-id" | "x-tenant" => Meaning::Tenant,
        "x-session-id" | "x-conversation-id" => Meaning::Session,
        _ => Meaning::Other,
    }
}

/// What a variable of nginx's means.
pub(super) fn nginx_meaning(name: &str) -> Meaning {
    use Meaning as M;
    match name {
        "time_local" => M::EndCommon,
        "time_iso8601" => M::End,
        "msec" => M::EndNumber(9),
        "request" => M::RequestLine,
        "request_method" => M::Method,
        "request_uri" | "uri" => M::Path,
        "status" => M::Status,
        "body_bytes_sent" | "bytes_sent" => M::BytesOut,
        "request_length" | "content_length" => M::BytesIn,
        "request_time" => M::Duration(9),
        "request_id" => M::LineId,
        _ => match name.strip_prefix("http_") {
            Some(header) => header_meaning(&header.replace('_', "-")),
            None => M::Other,
        },
    }
}

/// What a name means that people give to a field: of metadata, or a key of a JSON log.
pub(super) fn by_name(name: &str) -> Meaning {
    use Meaning as M;
    let name = name.to_ascii_lowercase().replace(['-', ' '], "_");
    match name.as_str() {
        "start_time" | "time" | "timestamp" => M::Start,
        "@timestamp" => M::StartOtherwise,
        "method" | "request_method" => M::Method,
        "path" | "request_path" | "x_envoy_origin_path" | "x_envoy_original_path" => M::Path,
        "response_code" | "status" | "status_code" => M::Status,
        "response_flags" => M::Flags,
        "bytes_received" => M::BytesIn,
        "bytes_sent" => M::BytesOut,
        "duration" | "duration_ms" => M::Duration(6),
        "response_duration" => M::FirstByte(6),
        "request_id" | "x_request_id" => M::RequestId,
        "trace_id" | "traceparent" => M::TraceId,
        "upstream_request_attempt_count" => M::Attempts,
        "llm_input_token" | "gen_ai.usage.input_tokens" | "prompt_tokens" | "input_tokens" => {
            M::PromptTokens
        }
        "llm_output_token"
        | "gen_ai.usage.output_tokens"
        | "completion_tokens"
        | "output_tokens" => M::OutputTokens,
        "llm_cached_input_token" | "gen_ai.usage.cached_input_tokens" | "cached_tokens" => {
            M::CachedTokens
        }
        "gen_ai.request.model" | "model" | "model_name_override" | "request_model" => M::Model,
        "tenant" | "tenant_id" | "x_tenant_id" => M::Tenant,
        "session_id" | "session.id" | "conversation_id" => M::Session,
        _ => M::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_told_from_commands_that_are_not_read() {
        for (written, meant) in [
            ("RESPONSE_DURATON", "RESPONSE_DURATION"),
            ("DURATON", "DURATION"),
            (
                "UPSTREAM_REQUEST_ATTEMPT_CUONT",
                "UPSTREAM_REQUEST_ATTEMPT_COUNT",
            ),
            ("BYTES_RECIEVED", "BYTES_RECEIVED"),
        ] {
            assert_eq!(slip(written), Some(meant), "{written}");
        }
        // Of the documentation's `Command Operators`, those that look most like what is read.
        for other in [
            "START_TIME_LOCAL",
            "EMIT_TIME",
            "RESPONSE_CODE_DETAILS",
            "RESPONSE_TX_DURATION",
            "REQUEST_DURATION",
            "REQUEST_TX_DURATION",
            "COMMON_DURATION",
            "ROUNDTRIP_DURATION",
            "BYTES_RETRANSMITTED",
            "PACKETS_RETRANSMITTED",
            "REQUEST_HEADERS_BYTES",
            "UPSTREAM_METADATA",
            "CLUSTER_METADATA",
            "STREAM_ID",
            "UNIQUE_ID",
            "CONNECTION_ID",
            "TRAILER",
            "CEL",
            "PROTOCOL",
            "UPSTREAM_HOST",
            "UPSTREAM_REMOTE_ADDRESS",
            "DOWNSTREAM_REMOTE_ADDRESS",
        ] {
            assert_eq!(slip(other), None, "{other}");
        }
    }
}
