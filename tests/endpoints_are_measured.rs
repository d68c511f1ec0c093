//! `seatrial calibrate endpoint` against servers on the loopback interface: what it sends, what it
//! measures of planted times, and what it says of servers that are none.

#![allow(clippy::unwrap_used)] // helpers of tests

mod loopback;

use std::path::Path;
use std::time::Duration;

use assert_cmd::Command;
use serde_json::{Value, json};

use loopback::{Asked, Server, Step, answer, chunk, document, end, event, head, piece, plain};

const NONE: Duration = Duration::ZERO;

/// A small measurement: one length, two loads, three requests a user.
const SMALL: [&str; 6] = [
    "--prompt-tokens=50",
    "--output-tokens=4",
    "--concurrency=1,2",
    "--max-s=60",
    "--timeout-s=20",
    "--json",
];

fn endpoint(url: &str, words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seatrial"));
    command.args(["calibrate", "endpoint", url]).args(words);
    // Whatever this machine has set: neither its key nor its proxy is used.
    command
        .env_remove("OPENAI_API_KEY")
        .env("HTTP_PROXY", "http://127.0.0.1:9");
    command.env("SEATRIAL_TEST_KEY", "hush-hush-42");
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().unwrap();
    (code, text(&output.stdout), text(&output.stderr))
}

/// The small measurement, but for what is said otherwise.
fn small<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let name = |word: &'a str| word.split('=').next();
    let kept = SMALL
        .iter()
        .filter(|own| words.iter().all(|word| name(word) != name(own)));
    kept.chain(words).copied().collect()
}

fn measured(url: &str, words: &[&str]) -> Value {
    let (code, page, said) = endpoint(url, &small(words));
    assert_eq!(code, 0, "{said}");
    serde_json::from_str::<Value>(&page).unwrap()["measured"].clone()
}

/// What is said of a server that cannot be measured; the exit code is 2.
fn refused(url: &str, words: &[&str]) -> String {
    let (code, page, said) = endpoint(url, &small(words));
    assert_eq!(code, 2, "{page}{said}");
    assert!(page.is_empty() && !said.contains("panicked"), "{said}");
    assert_eq!(said.trim().lines().count(), 1, "{said}");
    said
}

#[test]
fn what_is_sent_is_what_is_planned() {
    let server = Server::start(|asked| answer(asked, NONE, NONE));
    let found = measured(&server.url, &["--api-key-env=SEATRIAL_TEST_KEY"]);
    let asked = server.completions();
    // Two probes; then one request of warm-up and three that count for each of three users.
    assert_eq!(asked.len(), 2 + 3 * 4);
    for one in &asked {
        assert_eq!(one.line, "POST /v1/completions HTTP/1.1");
        assert!(
            one.headers
                .to_lowercase()
                .contains("authorization: bearer hush-hush-42")
        );
        assert_eq!(one.body["model"], "m");
        assert_eq!(one.body["stream"], true);
        assert_eq!(one.body["ignore_eos"], true);
        assert_eq!(one.body["stream_options"], json!({ "include_usage": true }));
    }
    // 2 tokens a word and 10 beside: 20 words are 50 tokens.
    assert_eq!(
        found["counting"],
        json!({ "base": 10.0, "per_word": 2.0, "measured": true })
    );
    assert!(
        asked[2..]
            .iter()
            .all(|one| loopback::words(one) == 20 && one.body["max_tokens"] == 4)
    );
    let mut texts: Vec<&str> = asked
        .iter()
        .map(|one| one.body["prompt"].as_str().unwrap())
        .collect();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), asked.len(), "no text is sent twice");
    let rows = found["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (&rows[1]["concurrency"], &rows[1]["requests"]),
        (&json!(2), &json!(6))
    );
    assert_eq!(
        (&rows[0]["prompt_tokens"], &rows[0]["output_tokens"]),
        (&json!(50), &json!(4))
    );
    assert_eq!(found["failures"], json!({}));
    assert!(!found.to_string().contains("hush"), "the key is shown");
}

#[test]
fn planted_times_are_found() {
    let ms = Duration::from_millis;
    let of = |ttft: u64, itl: u64| {
        let server = Server::start(move |asked| answer(asked, ms(ttft), ms(itl)));
        let found = measured(&server.url, &["--concurrency=1", "--output-tokens=6"]);
        let cell = found["cells"][0].clone();
        let mean = |field: &str| cell[field]["mean"].as_f64().unwrap();
        // Both ends are on the client's clock and the pauses lie between them.
        assert!(mean("ttft_ms") >= ttft as f64, "{cell}");
        assert!(mean("e2e_ms") >= (ttft + 5 * itl) as f64, "{cell}");
        assert_eq!(cell["answered"], 3);
        (mean("ttft_ms"), mean("tpot_ms"))
    };
    // Ten times as long each: the other comes out a good deal longer, on a busy machine too.
    let (early, fast) = of(20, 4);
    let (_, slow) = of(20, 40);
    let (late, _) = of(200, 4);
    assert!(slow > 2.0 * fast, "{slow} {fast}");
    assert!(late > 2.0 * early, "{late} {early}");
}

#[test]
fn chats_are_measured_too() {
    let server = Server::start(|asked| {
        let mut steps = answer(asked, NONE, NONE);
        // A role comes first, with no text; a thought is text.
        let role = event(r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#);
        let thought = event(r#"{"choices":[{"delta":{"reasoning_content":"hm"}}]}"#);
        steps.splice(1..1, [role, thought]);
        steps
    });
    let found = measured(&server.url, &["--api=chat", "--plain"]);
    let asked = server.completions();
    assert!(
        asked
            .iter()
            .all(|one| one.line.contains("/v1/chat/completions"))
    );
    assert!(asked.iter().all(|one| one.body.get("ignore_eos").is_none()));
    assert_eq!(found["cells"][0]["answered"], 3);
    assert_eq!(found["rows"].as_array().unwrap().len(), 2);
}

#[test]
fn a_strict_server_is_asked_for_less() {
    let server = Server::start(|asked| {
        let strange = ["ignore_eos", "stream_options"]
            .iter()
            .find(|field| asked.body.get(**field).is_some());
        match strange {
            Some(field) => document(
                400,
                &json!({ "error": { "message": format!("no {field} here") } }),
            ),
            None => answer(asked, NONE, NONE),
        }
    });
    let found = measured(&server.url, &[]);
    assert_eq!(
        found["dialect"],
        json!({ "counts": false, "ignores_eos": false })
    );
    assert_eq!(found["counting"]["measured"], false);
    let notes = found["notes"].to_string();
    assert!(
        notes.contains("does not count tokens") && notes.contains("refuses `ignore_eos`"),
        "{notes}"
    );
    // Pieces of text stand for tokens, words for those of prompts.
    assert_eq!(found["rows"][0]["output_tokens"], 4);
    assert_eq!(found["rows"][0]["prompt_tokens"], 50);
    assert_eq!(server.completions().len(), 4 + 12);
}

#[test]
fn limits_hold_before_anything_is_sent() {
    let server = Server::start(|asked| answer(asked, NONE, NONE));
    let said = refused(&server.url, &["--max-requests=16"]);
    assert!(
        said.contains("17 requests") && said.contains("--max-requests"),
        "{said}"
    );
    let said = refused(&server.url, &["--max-tokens=100"]);
    assert!(said.contains("--max-tokens"), "{said}");
    let (code, page, _) = endpoint(&server.url, &["--dry-run"]);
    assert_eq!(code, 0);
    assert!(page.contains("at most 257 requests"), "{page}");
    assert!(
        page.lines().all(|line| line.chars().count() <= 100),
        "{page}"
    );
    assert!(
        server.asked.lock().unwrap().is_empty(),
        "something was sent"
    );
}

#[test]
fn addresses_that_are_none_are_refused() {
    for (url, part) in [
        ("localhost:8000", "must be http://"),
        ("ftp://localhost", "must be http://"),
        ("http://me:hush-hush-42@localhost", "user name or password"),
        ("http://127.0.0.1:99999", "must be 1 to 65535"),
        ("http://127.0.0.1:0", "must be 1 to 65535"),
    ] {
        let said = refused(url, &[]);
        assert!(said.contains(part) && !said.contains("hush"), "{said}");
    }
    if !cfg!(feature = "https") {
        assert!(refused("https://localhost", &[]).contains("--features https"));
    }
    // Nobody listens at the port of a server that is gone.
    let gone = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let said = refused(&format!("http://{gone}"), &[]);
    assert!(said.contains("no connection"), "{said}");
    let said = refused("http://127.0.0.1:9", &["--timeout-s=0"]);
    assert!(said.contains("--timeout-s 0"), "{said}");
}

#[test]
fn a_server_of_another_kind_is_told() {
    let page = |_: &Asked| plain(200, "text/html", "<html>It works!</html>");
    let said = refused(&Server::bare(page).url, &[]);
    assert!(
        said.contains("It works!") && said.contains("OpenAI-compatible"),
        "{said}"
    );
    let missing = |_: &Asked| plain(404, "text/plain", "no such page");
    let said = refused(&Server::bare(missing).url, &[]);
    assert!(
        said.contains("not found: status 404") && said.contains("/v1/models"),
        "{said}"
    );
    let moved = |_: &Asked| {
        let head = "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n";
        vec![Step::Send(head.as_bytes().to_vec())]
    };
    let said = refused(&Server::bare(moved).url, &[]);
    assert!(said.contains("redirections are not followed"), "{said}");
    let whole = |_: &Asked| document(200, &json!({ "choices": [{ "text": "all at once" }] }));
    let said = refused(&Server::start(whole).url, &[]);
    assert!(
        said.contains("text/event-stream") && said.contains("all at once"),
        "{said}"
    );
}

#[test]
fn a_key_that_is_wrong_is_told_and_not_shown() {
    let server = Server::bare(|asked| {
        let key = asked
            .headers
            .lines()
            .find(|line| line.to_lowercase().starts_with("authorization"));
        let message = format!("wrong key: {}", key.unwrap_or("none"));
        document(401, &json!({ "error": { "message": message } }))
    });
    let said = refused(&server.url, &["--api-key-env=SEATRIAL_TEST_KEY"]);
    assert!(
        said.contains("not authorised") && said.contains("--api-key-env"),
        "{said}"
    );
    assert!(
        said.contains("***") && !said.contains("hush-hush-42"),
        "{said}"
    );
    let said = refused(&server.url, &[]);
    assert!(said.contains("wrong key: none"), "{said}");
}

#[test]
fn a_model_that_is_not_there_is_told() {
    let server = Server::start(|asked| answer(asked, NONE, NONE));
    let said = refused(&server.url, &["--model=gpt-9"]);
    assert!(said.contains("no model `gpt-9`; it has m"), "{said}");
    // One that is listed and not served, too.
    let server = Server::start(|_| {
        document(
            404,
            &json!({ "error": { "message": "The model `m` does not exist." } }),
        )
    });
    let said = refused(&server.url, &[]);
    assert!(said.contains("The model `m` does not exist."), "{said}");
}

/// A server that answers the probes, and the others by a script.
fn after_probes(script: impl Fn(&Asked) -> Vec<Step> + Send + Sync + 'static) -> Server {
    Server::start(move |asked| match asked.number < 2 {
        true => answer(asked, NONE, NONE),
        false => script(asked),
    })
}

#[test]
fn streams_that_go_wrong_are_counted_by_kind() {
    type Script = fn(&Asked) -> Vec<Step>;
    let cases: [(&str, Script); 8] = [
        ("the stream broke off", |asked| {
            vec![head(), piece(asked, "a"), Step::Close]
        }),
        ("the stream broke off", |asked| {
            vec![head(), piece(asked, "a"), end()]
        }),
        ("a malformed event", |asked| {
            vec![head(), piece(asked, "a"), event("{oops"), end()]
        }),
        ("a malformed event", |_| {
            vec![head(), event(r#"{"object":"cat"}"#), end()]
        }),
        ("not UTF-8", |_| {
            vec![head(), chunk(b"data: \"\xff\xfe\"\n\n"), end()]
        }),
        ("the server failed", |_| {
            vec![head(), event(r#"{"error":{"message":"no memory"}}"#), end()]
        }),
        ("the server failed", |_| {
            plain(500, "text/plain", "a traceback")
        }),
        ("an empty answer", |_| vec![head(), event("[DONE]"), end()]),
    ];
    for (words, script) in cases {
        let server = after_probes(script);
        let said = refused(&server.url, &[]);
        assert!(
            said.contains("no load could be measured") && said.contains(words),
            "{words}: {said}"
        );
        // Five in a row are enough: a load is not gone on with against a server that is broken.
        let sent = server.completions().len() - 2;
        assert!(sent <= 4 * 6, "{words}: {sent}");
    }
}

#[test]
fn a_failure_among_many_is_counted_and_the_rest_is_kept() {
    // The loads are of 1 + 40 and of 2 + 80 requests; one of the first's forty fails.
    let server = after_probes(|asked| match asked.number {
        12 => plain(503, "text/plain", "busy"),
        _ => answer(asked, NONE, NONE),
    });
    let found = measured(&server.url, &["--requests-per-user=40"]);
    let failures = json!({ "server_error": { "count": 1, "first": "status 503: `busy`" } });
    assert_eq!(found["failures"], failures);
    assert_eq!(found["cells"][0]["answered"], 39);
    assert_eq!(found["rows"].as_array().unwrap().len(), 2);
}

#[test]
fn a_load_of_which_too_much_fails_is_in_no_row() {
    let server = after_probes(|asked| match asked.number % 3 {
        0 => plain(429, "text/plain", "slower"),
        _ => answer(asked, NONE, NONE),
    });
    let said = refused(&server.url, &[]);
    assert!(
        said.contains("rate limited") && said.contains("no measurements"),
        "{said}"
    );
}

#[test]
fn a_server_that_hangs_meets_the_bound() {
    let server = Server::start(|asked| vec![head(), piece(asked, "a"), Step::Hang]);
    let said = refused(&server.url, &["--timeout-s=0.3"]);
    assert!(
        said.contains("out of time") && said.contains("--timeout-s"),
        "{said}"
    );
    // And that of the whole: the plan is not gone through to its end.
    let server = after_probes(|_| vec![Step::Hang]);
    let said = refused(&server.url, &["--max-s=1.5"]);
    assert!(said.contains("--max-s was over"), "{said}");
    assert!(server.completions().len() < 14);
}

#[test]
fn rows_and_profiles_are_written_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (rows, profile) = (path("rows.jsonl"), path("engine.toml"));
    let ms = Duration::from_millis;
    // A model and a card that the program knows: what an 8B model on an H100 would take at least.
    let server = Server::bare(move |asked| match asked.line.starts_with("GET") {
        true => document(
            200,
            &json!({ "data": [{ "id": "meta-llama/Llama-3.1-8B" }] }),
        ),
        false => answer(asked, ms(30), ms(12)),
    });
    let words = [
        "--prompt-tokens=50,200",
        "--output-tokens=6",
        "--concurrency=1,3",
        "--engine=vllm",
        "--accelerator=h100-sxm",
        "--hold=prefill_time_factor=1",
        "--hold=decode_time_factor=1",
        "--hold=per_prompt_token_us=0",
    ];
    let files = ["--out", &rows, "--profile", &profile];
    let (code, page, said) = endpoint(&server.url, &[&words[..], &files].concat());
    assert_eq!(code, 0, "{said}");
    assert!(
        page.contains("all times are measured, ms") && page.contains("fixed_us"),
        "{page}"
    );
    assert!(
        page.lines().all(|line| line.chars().count() <= 100),
        "{page}"
    );
    assert_eq!(std::fs::read_to_string(&rows).unwrap().lines().count(), 4);
    // The same fit of the rows as of the measurement.
    let mut command = Command::new(env!("CARGO_BIN_EXE_seatrial"));
    command
        .args(["calibrate", "fit", &rows, "--json"])
        .args(&words[5..]);
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let fit: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = std::fs::read_to_string(&profile).unwrap();
    let written: toml::Table = text.parse().unwrap();
    let own = &written["overheads"][0];
    for field in ["fixed_us", "per_seq_us", "per_request_ms"] {
        assert_eq!(
            own[field].as_float(),
            fit["fit"]["profile"][field].as_f64(),
            "{field}"
        );
    }
    assert_eq!(own["provenance"].as_str(), Some("fitted"));
    assert!(own["source"].as_str().unwrap().contains(&server.url));
    // Steps of an 8B model take some 6 ms on an H100: the rest of 12 ms is the engine's.
    let fixed = own["fixed_us"].as_float().unwrap();
    let per_seq = own["per_seq_us"].as_float().unwrap();
    assert!(fixed + 2.0 * per_seq > 1_000.0, "{text}");
}

/// A server of a model that the program knows.
fn of_llama(script: impl Fn(&Asked) -> Vec<Step> + Send + Sync + 'static) -> Server {
    Server::bare(move |asked| match asked.line.starts_with("GET") {
        true => document(
            200,
            &json!({ "data": [{ "id": "meta-llama/Llama-3.1-8B" }] }),
        ),
        false => script(asked),
    })
}

#[test]
fn arguments_are_checked_before_anything_is_sent() {
    let server = of_llama(|asked| answer(asked, NONE, NONE));
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let option = |option: &str, name: &str| format!("{option}={}", path(name));
    let known = [
        "--engine=vllm",
        "--accelerator=h100-sxm",
        "--concurrency=1,2,4",
    ];
    let held = "fixed_us per_seq_us per_request_ms per_prompt_token_us prefill_time_factor \
                decode_time_factor";
    let held: Vec<String> = held
        .split(' ')
        .map(|name| format!("--hold={name}=1"))
        .collect();
    let held: Vec<&str> = held.iter().map(String::as_str).collect();
    let nowhere = ["--out", "--profile", "--svg"].map(|it| option(it, "no/such/folder"));
    let (rows, profile) = (option("--out", "same"), option("--profile", "same"));
    let cases: [(&[&str], &str); 12] = [
        (&["--hold=nonsense"], "must be NAME=VALUE"),
        (&["--set=pools.0.nonsense=1"], "nonsense"),
        (&["--set=pools.0.pp=2"], "are not fitted"),
        (&["--accelerator=h999"], "there is no card for `h999`"),
        (&["--card=gpt-9"], "there is no card for `gpt-9`"),
        (&["--card=llama-3.1-8b", "--tp=3"], "does not divide"),
        (&["--tp=1000"], "could not be fitted"),
        (&["--concurrency=1"], "too few for 6 unknowns"),
        (&[&nowhere[0]], "--out"),
        (&[&nowhere[1]], "--profile"),
        (&[&nowhere[2]], "--svg"),
        (&[&rows, &profile], "is the file of --out, too"),
    ];
    let all_held: (&[&str], &str) = (&held, "all unknowns are held");
    for (words, part) in cases.into_iter().chain([all_held]) {
        let named = |own: &&&str| {
            let name = own.split('=').next();
            words.iter().all(|word| word.split('=').next() != name)
        };
        let own: Vec<&str> = known.iter().filter(named).copied().collect();
        for way in [&[][..], &["--dry-run"]] {
            let said = refused(&server.url, &[&own, words, way].concat());
            assert!(said.contains(part), "{words:?}: {said}");
        }
    }
    // Without an accelerator nothing is fitted, and what is for a fit has no use.
    let said = refused(&server.url, &["--hold=fixed_us=1"]);
    assert!(said.contains("--hold: nothing is fitted without"), "{said}");
    assert!(
        server.asked.lock().unwrap().is_empty(),
        "something was sent"
    );
    // What a dry run would write to is as it was.
    let (code, _, said) = endpoint(
        &server.url,
        &[&known[..], &[&option("--out", "rows"), "--dry-run"]].concat(),
    );
    assert_eq!(code, 0, "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_model_without_a_card_is_told_before_it_is_asked() {
    let server = Server::start(|asked| answer(asked, NONE, NONE));
    let words = [
        "--engine=vllm",
        "--accelerator=h100-sxm",
        "--concurrency=1,2,4",
    ];
    let said = refused(&server.url, &words);
    assert!(
        said.contains("there is no card for `m`") && said.contains("--card"),
        "{said}"
    );
    assert!(server.completions().is_empty(), "it was asked");
}

#[test]
fn what_was_measured_is_shown_where_it_cannot_be_fitted() {
    // Long prompts fail: two loads are left for six unknowns.
    let server = of_llama(
        |asked| match asked.number >= 2 && loopback::words(asked) > 50 {
            true => plain(500, "text/plain", "too long"),
            false => answer(asked, Duration::from_millis(5), Duration::from_millis(5)),
        },
    );
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (rows, profile) = (path("rows.jsonl"), path("engine.toml"));
    let words = [
        "--prompt-tokens=50,200",
        "--output-tokens=4",
        "--concurrency=1,2",
        "--engine=vllm",
        "--accelerator=h100-sxm",
        "--out",
        &rows,
        "--profile",
        &profile,
    ];
    let (code, page, said) = endpoint(&server.url, &words);
    assert_eq!(code, 2, "{page}{said}");
    for part in [
        "TPOT",
        "not fitted: 2 rows",
        "engine.toml: not written",
        "rows.jsonl: written",
    ] {
        let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(page.contains(part), "{part}: {page}");
    }
    assert_eq!(std::fs::read_to_string(&rows).unwrap().lines().count(), 2);
    assert!(!Path::new(&profile).exists());
}

/// An answer in events of so many tokens, one every 5 ms.
fn in_pieces(asked: &Asked, tokens: u64) -> Vec<Step> {
    let count = asked.body["max_tokens"].as_u64().unwrap();
    let mut steps = vec![head()];
    for _ in 0..count.div_ceil(tokens) {
        steps.push(Step::Pause(Duration::from_millis(5)));
        steps.push(piece(asked, " some words"));
    }
    let usage = json!({
        "prompt_tokens": 2 * loopback::words(asked) + 10, "completion_tokens": count,
    });
    let end_of_text = r#"{"choices":[{"index":0,"text":"","finish_reason":"length"}]}"#;
    steps.push(event(end_of_text));
    steps.push(event(&json!({ "choices": [], "usage": usage }).to_string()));
    steps.extend([event("[DONE]"), end()]);
    steps
}

#[test]
fn events_of_several_tokens_are_told() {
    let server = Server::start(|asked| in_pieces(asked, 8));
    let words = ["--output-tokens=32", "--concurrency=1"];
    let found = measured(&server.url, &words);
    let cell = &found["cells"][0];
    assert_eq!(
        (&cell["several_tokens"], &cell["tokens_per_piece"]),
        (&json!(true), &json!(8.0))
    );
    // Three gaps of eight tokens each: the eight of the first event took no part of them.
    let mean = |field: &str| cell[field]["mean"].as_f64().unwrap();
    let off = mean("tpot_ms") - mean("itl_ms") / 8.0;
    assert!(off.abs() < 1e-9, "{cell}");
    assert!(
        found["notes"]
            .to_string()
            .contains("several tokens (up to 8"),
        "{found}"
    );
    let row = &found["rows"][0];
    assert_eq!(row["output_tokens"], 32);
    assert!(
        row["source"]
            .as_str()
            .unwrap()
            .ends_with("8 tokens an event"),
        "{row}"
    );
    let own: Vec<&str> = small(&words)
        .into_iter()
        .filter(|word| *word != "--json")
        .collect();
    let (code, page, said) = endpoint(&server.url, &own);
    assert_eq!(code, 0, "{said}");
    let marked = page.lines().filter(|line| line.contains("* "));
    assert_eq!(marked.count(), 1, "{page}");
    assert!(page.contains("beware: in 1 of 1 loads, marked *"), "{page}");
    // One token an event is as it was.
    let server = Server::start(|asked| in_pieces(asked, 1));
    let found = measured(&server.url, &words);
    assert_eq!(found["cells"][0]["several_tokens"], false);
    assert_eq!(found["notes"], json!([]));
    // All in one event tells no time per token.
    let server = Server::start(|asked| in_pieces(asked, 1_000));
    let said = refused(&server.url, &words);
    assert!(said.contains("came in one event"), "{said}");
}
