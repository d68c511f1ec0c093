//! `seatrial calibrate endpoint` with a fit: what is checked before anything is sent, and what is written
//! after it.

#![allow(clippy::unwrap_used)] // helpers of tests

use crate::loopback;

use std::path::Path;
use std::time::Duration;

use assert_cmd::Command;
use serde_json::{Value, json};

use loopback::client::{endpoint, refused};
use loopback::{Asked, NONE, Server, Step, answer, document, plain};

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
    let cases: [(&[&str], &str); 14] = [
        (&["--concurrency=1,2,1"], "--concurrency: 1 is there twice"),
        (
            &["--api-key-env=SEATRIAL_NO_SUCH_KEY"],
            "the environment has no such variable",
        ),
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
