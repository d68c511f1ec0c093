//! The client of a server: asks for its models, sends a request, stamps the texts as they come.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use ureq::Agent;
use ureq::Body;
use ureq::http::Response;

use super::chunk::excerpt;
use super::outcome::{Answer, Failed, Kind};
use super::stream::Stream;

/// The most of an answer that is read, bytes.
const MOST_BYTES: u64 = 64 << 20;
/// What is said of requests out of time.
const TOO_LONG: &str = "longer than a request may take (--timeout-s), or than was left (--max-s)";
/// Time to connect, at most.
const CONNECT: Duration = Duration::from_secs(10);

/// Which of the two ways of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// `/v1/completions`: a text is gone on with.
    Completions,
    /// `/v1/chat/completions`: a message is answered, within the model's template.
    Chat,
}

/// What a server understands beside the plain request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Dialect {
    /// `stream_options.include_usage`: the tokens are counted in the last event.
    pub counts: bool,
    /// `ignore_eos`: answers are as long as asked for (an extension of all four engines).
    pub ignores_eos: bool,
}

/// What to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The prompt.
    pub text: String,
    /// Tokens of the answer.
    pub output_tokens: u32,
}

/// Where and how a server is asked.
#[derive(Debug, Clone)]
pub struct Client {
    agent: Agent,
    base: String,
    key: Option<String>,
    api: Api,
}

/// Why an address is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not `http://host...`.
    #[error("`{0}`: must be http://HOST[:PORT][/PATH], such as http://localhost:8000")]
    NotHttp(String),
    /// A port that there is not, which would be taken for that of the scheme.
    #[error("{url}: the port `{port}` must be 1 to 65535, or left out with its colon")]
    Port {
        /// The address.
        url: String,
        /// What stands for the port.
        port: String,
    },
    /// The path of one of the ways of asking.
    #[error(
        "`{0}`: ends in a path that is added to the address; give the server alone, such as \
         http://localhost:8000, and choose between completions and chat by --api"
    )]
    Asking(String),
    /// `https://` in a program without it.
    #[error(
        "{0}: this program was built without TLS; build it with `cargo build --release --features \
         https`, or reach the server by http, such as through an SSH tunnel"
    )]
    NoTls(String),
    /// A name or a key in the address.
    #[error(
        "the address has a user name or password in it: take them out, and give a key in an environment \
         variable (--api-key-env)"
    )]
    Secret,
    /// The key has a line break or the like in it.
    #[error("the key in {0} is no text that fits a header: it must be visible ASCII characters")]
    Key(String),
}

/// The address that paths are added to: it ends in `/v1`.
fn base_of(url: &str) -> Result<String, AddressError> {
    let rest = match url.split_once("://") {
        Some(("http", rest)) => rest,
        Some(("https", rest)) if cfg!(feature = "https") => rest,
        Some(("https", _)) => return Err(AddressError::NoTls(url.to_owned())),
        _ => return Err(AddressError::NotHttp(url.to_owned())),
    };
    let host = rest.split('/').next().unwrap_or_default();
    if host.contains('@') {
        return Err(AddressError::Secret);
    }
    if host.is_empty() || rest.contains(['?', '#', ' ']) {
        return Err(AddressError::NotHttp(url.to_owned()));
    }
    // An address of the sixth version has colons of its own, within brackets.
    let after = host.rfind(']').map_or(host, |end| &host[end + 1..]);
    if let Some((_, port)) = after.rsplit_once(':') {
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || !port.parse::<u16>().is_ok_and(|port| port > 0) {
            let (url, port) = (url.to_owned(), port.to_owned());
            return Err(AddressError::Port { url, port });
        }
    }
    let plain = url.trim_end_matches('/');
    let path = rest[host.len()..].trim_end_matches('/');
    if ["/completions", "/models"]
        .iter()
        .any(|end| path.ends_with(end))
    {
        return Err(AddressError::Asking(url.to_owned()));
    }
    Ok(match plain.ends_with("/v1") {
        true => plain.to_owned(),
        false => format!("{plain}/v1"),
    })
}

impl Client {
    /// A client of the server at `url`, with or without `/v1`. The key is sent as a bearer token, and
    /// shown nowhere. Proxies of the environment are not used, and redirections not followed.
    ///
    /// # Errors
    /// The address is none, or `key` cannot be sent; `key_name` says where it is from.
    pub fn new(
        url: &str,
        api: Api,
        key: Option<String>,
        key_name: &str,
        users: u32,
    ) -> Result<Client, AddressError> {
        let visible = |key: &String| key.bytes().all(|byte| (0x21..0x7f).contains(&byte));
        if !key.as_ref().is_none_or(visible) {
            return Err(AddressError::Key(key_name.to_owned()));
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT))
            .max_idle_connections(users as usize)
            .max_idle_connections_per_host(users as usize)
            .user_agent(concat!("seatrial/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Client {
            agent: config.new_agent(),
            base: base_of(url)?,
            key,
            api,
        })
    }

    /// The address that paths are added to.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The models that the server says it has.
    ///
    /// # Errors
    /// What went wrong; a server of another kind has no such list.
    pub fn models(&self, within: Duration) -> Result<Vec<String>, Failed> {
        let url = format!("{}/models", self.base);
        let mut request = self.agent.get(&url);
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let request = request.config().timeout_global(Some(within)).build();
        let response = request.call().map_err(|error| self.failed(error))?;
        let response = self.accepted(response)?;
        let body = self.text(response)?;
        let listed: Option<Vec<String>> =
            serde_json::from_str::<Value>(&body).ok().and_then(|value| {
                let models = value.get("data")?.as_array()?;
                let id = |model: &Value| Some(model.get("id")?.as_str()?.to_owned());
                models.iter().map(id).collect()
            });
        listed.ok_or_else(|| {
            let detail = format!("{url} lists no models: {}", self.hidden(&excerpt(&body)));
            Failed::new(Kind::NotAStream, detail)
        })
    }

    /// Sends a request and follows its stream.
    ///
    /// # Errors
    /// What went wrong, by kind.
    #[allow(clippy::disallowed_methods)] // a measurement of a server, no simulated result
    pub fn ask(
        &self,
        model: &str,
        question: &Question,
        dialect: Dialect,
        within: Duration,
    ) -> Result<Answer, Failed> {
        let (path, body) = self.request(model, question, dialect);
        let mut request = self
            .agent
            .post(format!("{}{path}", self.base))
            .header("content-type", "application/json")
            .header("accept", "text/event-stream");
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let request = request.config().timeout_global(Some(within)).build();
        let begun = Instant::now();
        let response = request
            .send(body.as_bytes())
            .map_err(|error| self.failed(error))?;
        let response = self.accepted(response)?;
        let kind = response.headers().get("content-type");
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or("");
        if !kind.starts_with("text/event-stream") {
            let kind = kind.to_owned();
            let body = self.text(response)?;
            let detail = format!(
                "the answer is `{kind}` and not `text/event-stream`: {}",
                self.hidden(&excerpt(&body))
            );
            return Err(Failed::new(Kind::NotAStream, detail));
        }
        let mut stream = Stream::default();
        let mut reader = response.into_body().into_reader().take(MOST_BYTES);
        let mut buffer = [0_u8; 16 << 10];
        loop {
            let count = match reader.read(&mut buffer) {
                Ok(count) => count,
                // What broke off after the end of the answer took nothing away.
                Err(_) if stream.done => 0,
                Err(error) => return Err(self.broken(&error)),
            };
            let now_ms = begun.elapsed().as_secs_f64() * 1e3;
            if count == 0 {
                return stream.answer(now_ms).map_err(|failed| self.shown(&failed));
            }
            let taken = stream.take(&buffer[..count], now_ms);
            taken.map_err(|failed| self.shown(&failed))?;
        }
    }

    fn request(&self, model: &str, question: &Question, dialect: Dialect) -> (&str, String) {
        let mut body = json!({
            "model": model,
            "max_tokens": question.output_tokens,
            "temperature": 0,
            "stream": true,
        });
        let path = match self.api {
            Api::Completions => {
                body["prompt"] = json!(question.text);
                "/completions"
            }
            Api::Chat => {
                body["messages"] = json!([{ "role": "user", "content": question.text }]);
                "/chat/completions"
            }
        };
        if dialect.counts {
            body["stream_options"] = json!({ "include_usage": true });
        }
        if dialect.ignores_eos {
            body["ignore_eos"] = json!(true);
        }
        (path, body.to_string())
    }

    /// The response, unless its status says that there is none.
    fn accepted(&self, response: Response<Body>) -> Result<Response<Body>, Failed> {
        let status = response.status().as_u16();
        let kind = match status {
            200..=299 => return Ok(response),
            401 | 403 => Kind::Unauthorized,
            404 => Kind::NotFound,
            408 | 504 => Kind::Timeout,
            429 => Kind::RateLimited,
            500.. => Kind::ServerError,
            _ => Kind::Refused,
        };
        // What a failing server says is for people: if it breaks off, its status is enough.
        let body = self.text(response).unwrap_or_default();
        let message = serde_json::from_str::<Value>(&body).ok().and_then(|value| {
            let message = value.pointer("/error/message").or(value.get("message"))?;
            Some(format!("`{}`", message.as_str()?))
        });
        let said = message.unwrap_or_else(|| excerpt(&body));
        let to = match status {
            300..=399 => "redirections are not followed: give the address that it leads to; ",
            _ => "",
        };
        let detail = format!("status {status}: {to}{}", self.hidden(&said));
        Err(Failed::new(kind, detail))
    }

    /// A body that is no stream.
    fn text(&self, response: Response<Body>) -> Result<String, Failed> {
        let mut bytes = Vec::new();
        let reader = response.into_body().into_reader();
        let mut reader = reader.take(1 << 20);
        reader
            .read_to_end(&mut bytes)
            .map_err(|error| self.broken(&error))?;
        String::from_utf8(bytes)
            .map_err(|_| Failed::new(Kind::NotUtf8, "the body of the answer is not UTF-8"))
    }

    fn broken(&self, error: &io::Error) -> Failed {
        let timed_out = matches!(
            error.kind(),
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock
        ) || error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<ureq::Error>())
            .is_some_and(|inner| matches!(inner, ureq::Error::Timeout(_)));
        match timed_out {
            true => Failed::new(Kind::Timeout, TOO_LONG),
            false => Failed::new(Kind::Cut, self.hidden(&error.to_string())),
        }
    }

    fn failed(&self, error: ureq::Error) -> Failed {
        match error {
            ureq::Error::Timeout(ureq::Timeout::Connect) => {
                let detail = format!("no connection within {} s", CONNECT.as_secs());
                Failed::new(Kind::Timeout, detail)
            }
            ureq::Error::Timeout(_) => Failed::new(Kind::Timeout, TOO_LONG),
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
                Failed::new(Kind::Timeout, TOO_LONG)
            }
            other => Failed::new(Kind::Connection, self.hidden(&other.to_string())),
        }
    }

    /// A text without the key, which a server may send back.
    fn hidden(&self, text: &str) -> String {
        match &self.key {
            Some(key) if !key.is_empty() => text.replace(key, "***"),
            _ => text.to_owned(),
        }
    }

    fn shown(&self, failed: &Failed) -> Failed {
        Failed::new(failed.kind, self.hidden(&failed.detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_with_and_without_their_version() {
        let base = |url: &str| base_of(url).map_err(|error| error.to_string());
        for url in [
            "http://a:8000",
            "http://a:8000/",
            "http://a:8000/v1",
            "http://a:8000/v1/",
        ] {
            assert_eq!(base(url).as_deref(), Ok("http://a:8000/v1"));
        }
        assert_eq!(base("http://a/proxy").as_deref(), Ok("http://a/proxy/v1"));
        for url in ["a:8000", "ftp://a", "http://", "http://a?x=1", ""] {
            assert!(base(url).unwrap_err().contains("must be http://"), "{url}");
        }
        for port in ["", "0", "65536", "99999", "-1", "+80", "80a"] {
            let said = base(&format!("http://a:{port}/v1")).unwrap_err();
            assert!(said.contains("must be 1 to 65535"), "{said}");
        }
        for host in ["a:65535", "[::1]", "[::1]:8000"] {
            assert!(base(&format!("http://{host}/v1")).is_ok(), "{host}");
        }
        assert!(base("http://[::1]:99999").is_err());
        let secret = base("http://me:hush@a/").unwrap_err();
        assert!(!secret.contains("hush"), "{secret}");
    }
}
