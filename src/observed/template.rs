//! Format strings of access logs, Envoy's (`%DURATION%`) and nginx's (`$request_time`), and lines
//! taken apart by them.

use super::meaning::{Meaning, envoy_meaning, nginx_meaning};

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
    is_envoy: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Text(String),
    Field(Meaning),
}

impl Template {
    /// Prepares a format string; one with `%` is Envoy's, one with `$` nginx's.
    pub(super) fn new(format: &str) -> Result<Template, String> {
        let is_envoy = format.contains('%');
        let mut pieces = match is_envoy {
            true => envoy_pieces(format)?,
            false => nginx_pieces(format)?,
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
        Ok(Template { pieces, is_envoy })
    }

    /// Whether it is Envoy's, not nginx's.
    pub(super) fn is_envoy(&self) -> bool {
        self.is_envoy
    }

    /// Whether there is a field for the first byte of an answer.
    pub(super) fn tells_first_byte(&self) -> bool {
        let mut pieces = self.pieces.iter();
        pieces.any(|piece| matches!(piece, Piece::Field(Meaning::FirstByte(_))))
    }

    /// Whether there is a field for when a request came.
    pub(super) fn tells_start(&self) -> bool {
        let starts = |it: &Meaning| {
            matches!(
                it,
                Meaning::Start | Meaning::StartNumber(_) | Meaning::StartOtherwise
            )
        };
        let mut pieces = self.pieces.iter();
        pieces.any(|piece| matches!(piece, Piece::Field(meaning) if starts(meaning)))
    }

    /// How finely stamps of nginx's say when a request ended.
    pub(super) fn resolution_of_ends(&self) -> &'static str {
        let of_number = |it: &Piece| matches!(it, Piece::Field(Meaning::EndNumber(_)));
        match self.pieces.iter().any(of_number) {
            true => "1 ms",
            false => "1 s",
        }
    }

    /// Whether there is a field for how a request ended.
    pub(super) fn tells_ending(&self) -> bool {
        let mut pieces = self.pieces.iter();
        pieces.any(|piece| matches!(piece, Piece::Field(Meaning::Status | Meaning::Flags)))
    }

    /// Writes a line; a field that is not known is `-`. The error is a value that could not be told
    /// from what stands around it.
    pub(super) fn render(
        &self,
        value: &dyn Fn(Meaning) -> Option<String>,
    ) -> Result<String, String> {
        let one = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Field(meaning) => value(*meaning).unwrap_or_else(|| "-".to_owned()),
        };
        let parts: Vec<String> = self.pieces.iter().map(one).collect();
        let line = parts.concat();
        let fields = self.fields(&line).unwrap_or_default();
        let mut fields = fields.into_iter();
        for (piece, part) in self.pieces.iter().zip(parts) {
            let Piece::Field(_) = piece else {
                continue;
            };
            let read = fields.next().map(|(_, text)| text);
            if read != Some(part.as_str()) || part.contains(char::is_control) {
                return Err(part);
            }
        }
        Ok(line)
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
            pieces.push(Piece::Text(envoy_text(std::mem::take(&mut text))?));
        }
        pieces.push(Piece::Field(envoy_meaning(&rest[..end])?));
        rest = &rest[end + 1..];
    }
    text.push_str(rest);
    if !text.is_empty() {
        pieces.push(Piece::Text(envoy_text(text)?));
    }
    Ok(pieces)
}

/// Text between commands; the error says which variable of nginx's stands in it, which Envoy would write as
/// it is.
fn envoy_text(text: String) -> Result<String, String> {
    let names = text.split('$').skip(1).map(|after| {
        let after = after.trim_start_matches('{');
        let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        &after[..end.unwrap_or(after.len())]
    });
    let mut variables = names.filter(|name| nginx_meaning(name) != Meaning::Other);
    match variables.next() {
        None => Ok(text),
        Some(name) => Err(format!(
            "has `${name}`, a variable of nginx's, among commands of Envoy's (%DURATION%): it is of one of the two"
        )),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_nginx_are_no_text_of_envoys() {
        for format in [
            "%START_TIME% $status",
            "%START_TIME% ${request_time}s %DURATION%",
        ] {
            let error = Template::new(format).unwrap_err();
            assert!(error.contains("a variable of nginx's"), "{error}");
        }
        assert!(Template::new("%START_TIME% costs $5 or $other").is_ok());
    }

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
        assert!(Template::new("%START_TIME(%d.%m.%Y %H:%M)%").is_err());
        assert!(Template::new("%START_TIME(%Y-%m-%dT%H:%M:%S%z)%").is_ok());
    }

    #[test]
    fn a_line_that_could_not_be_read_back_is_not_written() {
        let template = Template::new("%START_TIME% %REQ(X-TENANT-ID)% %DURATION%").unwrap();
        let with = |tenant: &str| {
            template.render(&|meaning| match meaning {
                Meaning::Tenant => Some(tenant.to_owned()),
                Meaning::Start => Some("now".to_owned()),
                _ => None,
            })
        };
        assert_eq!(with("acme"), Ok("now acme -".to_owned()));
        assert_eq!(with("acme inc"), Err("acme inc".to_owned()));
        assert_eq!(with("a\nb"), Err("a\nb".to_owned()));
    }
}
