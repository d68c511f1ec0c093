//! `seatrial calibrate endpoint` as a test calls it.

use assert_cmd::Command;
use serde_json::Value;

/// A small measurement: one length, two loads, three requests a user.
pub const SMALL: [&str; 6] = [
    "--prompt-tokens=50",
    "--output-tokens=4",
    "--concurrency=1,2",
    "--max-s=60",
    "--timeout-s=20",
    "--json",
];

pub fn endpoint(url: &str, words: &[&str]) -> (i32, String, String) {
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
pub fn small<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let name = |word: &'a str| word.split('=').next();
    let kept = SMALL
        .iter()
        .filter(|own| words.iter().all(|word| name(word) != name(own)));
    kept.chain(words).copied().collect()
}

pub fn measured(url: &str, words: &[&str]) -> Value {
    let (code, page, said) = endpoint(url, &small(words));
    assert_eq!(code, 0, "{said}");
    serde_json::from_str::<Value>(&page).unwrap()["measured"].clone()
}

/// What is said of a server that cannot be measured; the exit code is 2.
pub fn refused(url: &str, words: &[&str]) -> String {
    let (code, page, said) = endpoint(url, &small(words));
    assert_eq!(code, 2, "{page}{said}");
    assert!(page.is_empty() && !said.contains("panicked"), "{said}");
    assert_eq!(said.trim().lines().count(), 1, "{said}");
    said
}
