//! A server on the loopback interface that answers as it is told: a script of bytes and pauses for every
//! request.

#![allow(dead_code, clippy::unwrap_used)] // helpers of tests, not all of which are used in each

pub mod client;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// No pause.
pub const NONE: Duration = Duration::ZERO;

/// A step of an answer.
pub enum Step {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Waits.
    Pause(Duration),
    /// Waits until the server is dropped.
    Hang,
    /// Breaks the connection off.
    Close,
}

/// A request.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `GET /v1/models`.
    pub line: String,
    /// Headers, as they came.
    pub headers: String,
    /// The body; null where there was none.
    pub body: Value,
    /// Requests of completions before it.
    pub number: usize,
}

/// A server, for as long as it is there.
pub struct Server {
    /// Its address.
    pub url: String,
    /// What was asked of it.
    pub asked: Arc<Mutex<Vec<Asked>>>,
    over: Arc<AtomicBool>,
}

type Script = dyn Fn(&Asked) -> Vec<Step> + Send + Sync;

impl Server {
    /// Starts a server that lists a model `m`, and answers completions by a script.
    pub fn start(script: impl Fn(&Asked) -> Vec<Step> + Send + Sync + 'static) -> Server {
        Server::bare(
            move |asked| match asked.line.starts_with("GET /v1/models") {
                true => document(200, &json!({ "object": "list", "data": [{ "id": "m" }] })),
                false => script(asked),
            },
        )
    }

    /// Starts a server that answers everything by a script.
    pub fn bare(script: impl Fn(&Asked) -> Vec<Step> + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = Server {
            url,
            asked: Arc::default(),
            over: Arc::default(),
        };
        let script: Arc<Script> = Arc::new(script);
        let (asked, over) = (Arc::clone(&server.asked), Arc::clone(&server.over));
        let completions = Arc::new(AtomicUsize::new(0));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                let script = Arc::clone(&script);
                let (asked, over) = (Arc::clone(&asked), Arc::clone(&over));
                let completions = Arc::clone(&completions);
                std::thread::spawn(move || serve(stream, &*script, &asked, &over, &completions));
            }
        });
        server
    }

    /// Requests of completions so far.
    pub fn completions(&self) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap();
        let posts = asked.iter().filter(|one| one.line.starts_with("POST"));
        posts.cloned().collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn serve(
    stream: TcpStream,
    script: &Script,
    asked: &Mutex<Vec<Asked>>,
    over: &AtomicBool,
    completions: &AtomicUsize,
) {
    let _ = stream.set_nodelay(true);
    let Ok(mut out) = stream.try_clone() else {
        return;
    };
    let mut reader = BufReader::new(stream);
    while let Some(mut request) = read(&mut reader) {
        if request.line.starts_with("POST") {
            request.number = completions.fetch_add(1, Ordering::Relaxed);
        }
        asked.lock().unwrap().push(request.clone());
        for step in script(&request) {
            match step {
                Step::Send(bytes) => {
                    if out.write_all(&bytes).and_then(|()| out.flush()).is_err() {
                        return;
                    }
                }
                Step::Pause(time) => std::thread::sleep(time),
                Step::Hang => {
                    while !over.load(Ordering::Relaxed) {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    return;
                }
                Step::Close => {
                    let _ = out.shutdown(std::net::Shutdown::Both);
                    return;
                }
            }
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    reader
        .read_line(&mut line)
        .ok()
        .filter(|count| *count > 0)?;
    let mut headers = String::new();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader
            .read_line(&mut header)
            .ok()
            .filter(|count| *count > 0)?;
        if header.trim().is_empty() {
            break;
        }
        let lowered = header.to_lowercase();
        if let Some(value) = lowered.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        headers.push_str(&header);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked {
        line: line.trim().to_owned(),
        headers,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
        number: 0,
    })
}

/// A whole response of JSON.
pub fn document(status: u16, body: &Value) -> Vec<Step> {
    plain(status, "application/json", &body.to_string())
}

/// A whole response.
pub fn plain(status: u16, kind: &str, body: &str) -> Vec<Step> {
    let head = format!(
        "HTTP/1.1 {status} Said\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    vec![Step::Send(head.into_bytes())]
}

/// The head of a stream of events.
pub fn head() -> Step {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
                transfer-encoding: chunked\r\n\r\n";
    Step::Send(head.as_bytes().to_vec())
}

/// A chunk of a body.
pub fn chunk(bytes: &[u8]) -> Step {
    let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
    framed.extend_from_slice(bytes);
    framed.extend_from_slice(b"\r\n");
    Step::Send(framed)
}

/// An event.
pub fn event(data: &str) -> Step {
    chunk(format!("data: {data}\n\n").as_bytes())
}

/// The end of a body.
pub fn end() -> Step {
    Step::Send(b"0\r\n\r\n".to_vec())
}

/// A piece of text, in the shape of the API that was asked.
pub fn piece(asked: &Asked, text: &str) -> Step {
    let choice = match asked.line.contains("/chat/") {
        true => json!({ "index": 0, "delta": { "content": text }, "finish_reason": null }),
        false => json!({ "index": 0, "text": text, "finish_reason": null }),
    };
    event(&json!({ "id": "c", "choices": [choice] }).to_string())
}

/// Words of the prompt that was sent.
pub fn words(asked: &Asked) -> usize {
    let text = asked.body["prompt"].as_str();
    let text = text.or(asked.body["messages"][0]["content"].as_str());
    text.unwrap_or_default().split_whitespace().count()
}

/// A whole answer: the first text after `ttft`, one every `itl` after it, as many as asked for, and the
/// count of the tokens where it is asked for: two for every word of the prompt, and 10.
pub fn answer(asked: &Asked, ttft: Duration, itl: Duration) -> Vec<Step> {
    let mut steps = vec![head()];
    let count = asked.body["max_tokens"].as_u64().unwrap();
    for number in 0..count {
        steps.push(Step::Pause(if number == 0 { ttft } else { itl }));
        steps.push(piece(asked, " word"));
    }
    steps.push(event(
        r#"{"choices":[{"index":0,"text":"","delta":{},"finish_reason":"length"}]}"#,
    ));
    if asked.body["stream_options"]["include_usage"] == true {
        let usage = json!({
            "prompt_tokens": 2 * words(asked) + 10, "completion_tokens": count,
        });
        steps.push(event(&json!({ "choices": [], "usage": usage }).to_string()));
    }
    steps.push(event("[DONE]"));
    steps.push(end());
    steps
}
