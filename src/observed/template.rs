//! Format strings of access logs, Envoy's (`%DURATION%`) and nginx's (`$request_time`), and lines
//! taken apart by them.

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

/// Envoy's default format: see "Default Format String" of its documentation of access logs.
pub(super) const ENVOY_DEFAULT: &str = "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" \"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"";

/// nginx's predefined `combined`, and with the times that people add to it.
pub(super) const NGINX_TIMED: &str = "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \"$http_user_agent\" $request_time $upstream_response_time";
/// nginx's predefined `combined`.
pub(super) const NGINX_COMBINED: &str = "$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" \"$http_user_agent\"";

/// A format string, ready to take lines apart.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(String),
    Field(Meaning),
}

impl Template {
    /// Prepares a format string; one with `%` is Envoy's, one with `$` nginx's.
    pub(super) fn new(format: &str) -> Result<Template, String> {
        let mut pieces = if format.contains('%') {
            envoy_pieces(format)?
        } else {
            nginx_pieces(format)?
        };
        if let Some(Piece::Text(text)) = pieces.last_mut() {
            *text = text.trim_end_matches("\\n").trim_end().to_owned();
            if text.is_empty() {
                pieces.pop();
            }
        }
        let neighbours = pieces.windows(2);
        for pair in neighbours {
            if let [Piece::Field(_), Piece::Field(_)] = pair {
                return Err("has two fields with nothing between them to tell them apart".into());
            }
        }
        let fields: Vec<Meaning> = pieces
            .iter()
            .filter_map(|piece| match piece {
                Piece::Field(meaning) => Some(*meaning),
                Piece::Text(_) => None,
            })
            .collect();
        use Meaning as M;
        let timed = fields.iter().any(|it| {
            matches!(
                it,
                M::Start | M::StartNumber(_) | M::End | M::EndNumber(_) | M::EndCommon
            )
        });
        if !timed {
            return Err("has no time: %START_TIME%, $msec or $time_local is needed".into());
        }
        Ok(Template { pieces })
    }

    /// Whether there is a field for the first byte of an answer.
    pub(super) fn tells_first_byte(&self) -> bool {
        let mut pieces = self.pieces.iter();
        pieces.any(|piece| matches!(piece, Piece::Field(Meaning::FirstByte(_))))
    }

    /// Writes a line; a field that is not known is `-`.
    pub(super) fn render(&self, value: &dyn Fn(Meaning) -> Option<String>) -> String {
        let one = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Field(meaning) => value(*meaning).unwrap_or_else(|| "-".to_owned()),
        };
        self.pieces.iter().map(one).collect()
    }

    /// Takes a line apart; the error is the byte, from 1, where it no longer fits.
    pub(super) fn fields<'a>(&self, line: &'a str) -> Result<Vec<(Meaning, &'a str)>, usize> {
        let mut found = Vec::with_capacity(self.pieces.len());
        let mut at = 0;
        for (index, piece) in self.pieces.iter().enumerate() {
            let rest = &line[at..];
            match piece {
                Piece::Text(text) => {
                    if !rest.starts_with(text.as_str()) {
                        return Err(at + 1);
                    }
                    at += text.len();
                }
                Piece::Field(meaning) => {
                    let length = match self.pieces.get(index + 1) {
                        Some(Piece::Text(next)) => rest.find(next.as_str()).ok_or(at + 1)?,
                        _ => rest.len(),
                    };
                    found.push((*meaning, &rest[..length]));
                    at += length;
                }
            }
        }
        // What follows a format that ends in text is of a longer one.
        if at < line.trim_end().len() {
            return Err(at + 1);
        }
        Ok(found)
    }
}

/// Pieces of a format string of Envoy's: `%COMMAND(ARGUMENT):LENGTH%`, `%%` for a per cent.
fn envoy_pieces(format: &str) -> Result<Vec<Piece>, String> {
    let (mut pieces, mut text) = (Vec::new(), String::new());
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('%') {
            text.push('%');
            rest = after;
            continue;
        }
        let end = command_end(rest);
        let Some(end) = end else {
            return Err("has a `%` that begins a command but none that ends it".into());
        };
        if !text.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut text)));
        }
        pieces.push(Piece::Field(envoy_meaning(&rest[..end])));
        rest = &rest[end + 1..];
    }
    text.push_str(rest);
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

/// Where the per cent is that ends a command. An argument may hold others, and a length may follow
/// it: `%START_TIME(%s.%3f)%`, `%REQ(X-REQUEST-ID):8%`.
fn command_end(rest: &str) -> Option<usize> {
    let first = rest.find('%')?;
    if rest.find('(').is_none_or(|open| open > first) {
        return Some(first);
    }
    rest.match_indices(')').find_map(|(at, _)| {
        let after = &rest[at + 1..];
        let length = after.strip_prefix(':').map_or(0, |digits| {
            1 + digits.bytes().take_while(u8::is_ascii_digit).count()
        });
        after[length..].starts_with('%').then_some(at + 1 + length)
    })
}

/// What a command of Envoy's means.
fn envoy_meaning(command: &str) -> Meaning {
    use Meaning as M;
    let (name, argument) = match command.split_once('(') {
        Some((name, rest)) => (name, rest.rsplit_once(')').map_or(rest, |it| it.0)),
        None => (command.split(':').next().unwrap_or(command), ""),
    };
    match name {
        "START_TIME" => match argument {
            "%s" => M::StartNumber(9),
            "%s.%3f" | "%s.%6f" | "%s.%9f" | "%s.%f" => M::StartNumber(9),
            "%s%3f" => M::StartNumber(6),
            "%s%6f" => M::StartNumber(3),
            "%s%9f" => M::StartNumber(0),
            _ => M::Start,
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
        _ => M::Other,
    }
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

/// Pieces of a format string of nginx's: `$variable` or `${variable}`.
fn nginx_pieces(format: &str) -> Result<Vec<Piece>, String> {
    let (mut pieces, mut text) = (Vec::new(), String::new());
    let mut rest = format;
    while let Some(at) = rest.find('$') {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let (name, after) = match rest.strip_prefix('{') {
            Some(braced) => braced
                .split_once('}')
                .ok_or("has a `${` that nothing closes")?,
            None => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                rest.split_at(end.unwrap_or(rest.len()))
            }
        };
        if name.is_empty() {
            return Err("has a `$` without a name".into());
        }
        if !text.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut text)));
        }
        pieces.push(Piece::Field(nginx_meaning(name)));
        rest = after;
    }
    text.push_str(rest);
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

/// What a variable of nginx's means.
fn nginx_meaning(name: &str) -> Meaning {
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
        "request_id" => M::RequestId,
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
    fn the_default_formats_are_taken_apart() {
        let envoy = Template::new(ENVOY_DEFAULT).unwrap();
        let line = r#"[2016-04-15T20:17:00.310Z] "POST /api/v1/locations HTTP/2" 204 - 154 0 226 100 "10.0.35.28" "nsq2http" "cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2" "locations" "tcp://10.0.2.1:80""#;
        let fields = envoy.fields(line).unwrap();
        let of = |meaning| fields.iter().find(|it| it.0 == meaning).unwrap().1;
        assert_eq!(of(Meaning::Start), "2016-04-15T20:17:00.310Z");
        assert_eq!(of(Meaning::Path), "/api/v1/locations");
        assert_eq!(of(Meaning::Duration(6)), "226");
        assert_eq!(
            of(Meaning::RequestId),
            "cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2"
        );
        assert_eq!(envoy.fields(&line[..60]), Err(60));

        let nginx = Template::new(NGINX_TIMED).unwrap();
        let line = r#"66.249.71.173 - - [08/Nov/2010:14:16:18 -0600] "POST /v1/completions HTTP/1.1" 200 6569 "-" "curl/8" 0.640 0.640"#;
        let fields = nginx.fields(line).unwrap();
        assert!(fields.contains(&(Meaning::EndCommon, "08/Nov/2010:14:16:18 -0600")));
        assert!(fields.contains(&(Meaning::Duration(9), "0.640")));
    }

    #[test]
    fn commands_have_arguments_with_per_cents_and_lengths() {
        let format = "%START_TIME(%s.%3f)% %REQ(X-REQUEST-ID):8% %DYNAMIC_METADATA(io.envoy.ai_gateway:llm_input_token)% 100%%\n";
        let template = Template::new(format).unwrap();
        let fields = template.fields("1700000000.123 abcdefgh 17 100%").unwrap();
        assert_eq!(fields[0], (Meaning::StartNumber(9), "1700000000.123"));
        assert_eq!(fields[1], (Meaning::RequestId, "abcdefgh"));
        assert_eq!(fields[2], (Meaning::PromptTokens, "17"));
    }

    #[test]
    fn formats_that_cannot_be_used_are_refused() {
        for format in [
            "%START_TIME",
            "%START_TIME%%%%DURATION%",
            "%DURATION%",
            "$status",
            "$ a",
        ] {
            let refused = Template::new(format).is_err();
            assert_eq!(refused, format != "%START_TIME%%%%DURATION%", "{format}");
        }
        assert!(Template::new("%START_TIME%%DURATION%").is_err());
        assert!(Template::new("${time_local").is_err());
    }
}
