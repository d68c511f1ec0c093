//! `seatrial calibrate endpoint` against servers on the loopback interface: what it sends, and what it
//! measures of planted times.

#![allow(clippy::unwrap_used)] // helpers of tests

use crate::loopback;

use std::time::Duration;

use serde_json::json;

use loopback::client::{endpoint, measured, refused, small};
use loopback::{Asked, NONE, Server, Step, answer, document, end, event, head, piece};

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
