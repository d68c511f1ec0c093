//! `seatrial calibrate endpoint` against servers on the loopback interface that are none, or that fail:
//! what is said of each, and what is kept of the rest.

#![allow(clippy::unwrap_used)] // helpers of tests

use crate::loopback;

use serde_json::json;

use loopback::client::{measured, refused};
use loopback::{
    Asked, NONE, Server, Step, answer, chunk, document, end, event, head, piece, plain,
};

#[test]
fn addresses_that_are_none_are_refused() {
    for (url, part) in [
        ("localhost:8000", "must be http://"),
        ("ftp://localhost", "must be http://"),
        ("http://me:hush-hush-42@localhost", "user name or password"),
        ("http://127.0.0.1:99999", "must be 1 to 65535"),
        ("http://127.0.0.1:0", "must be 1 to 65535"),
        (
            "http://127.0.0.1:9/v1/completions",
            "choose between completions and chat by --api",
        ),
        (
            "http://127.0.0.1:9/v1/chat/completions/",
            "give the server alone",
        ),
    ] {
        let said = refused(url, &[]);
        assert!(said.contains(part) && !said.contains("hush"), "{said}");
    }
    // A host may have such a name.
    let said = refused("http://completions.invalid/", &["--max-s", "5"]);
    assert!(!said.contains("give the server alone"), "{said}");
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
        said.contains("out of time: longer than a request may take (--timeout-s)"),
        "{said}"
    );
    // And that of the whole: the plan is not gone through to its end.
    let server = after_probes(|_| vec![Step::Hang]);
    let said = refused(&server.url, &["--max-s=1.5"]);
    assert!(said.contains("--max-s was over"), "{said}");
    assert!(server.completions().len() < 14);
}
