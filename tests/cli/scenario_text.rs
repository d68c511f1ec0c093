//! Reading files and TOML: what cannot be read says why, and where.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use seatrial::scenario::{Document, ScenarioError, SourceText, nearest};

fn parse(text: &str) -> Result<Document, ScenarioError> {
    Document::parse(SourceText::new("s.toml", text))
}

fn syntax(text: &str) -> String {
    let error = parse(text).unwrap_err();
    assert!(matches!(error, ScenarioError::Syntax { .. }), "{error:?}");
    error.to_string()
}

fn loaded(bytes: &[u8]) -> Result<SourceText, ScenarioError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.toml");
    std::fs::write(&path, bytes).unwrap();
    SourceText::load(&path)
}

fn not_loaded(bytes: &[u8]) -> String {
    let error = loaded(bytes).unwrap_err();
    assert!(matches!(error, ScenarioError::NotReadable { .. }));
    error.to_string()
}

#[test]
fn syntax_errors_give_line_and_column() {
    let message = syntax("a = 1\nb = \n");
    assert!(message.starts_with("s.toml:2:"), "{message}");
    assert!(message.contains("not valid TOML: "), "{message}");
    let message = syntax("a = \"é\" x\n");
    assert!(message.starts_with("s.toml:1:9: "), "{message}");
    let message = syntax("a = [1,\n2\n");
    assert!(!message.contains('\n'), "{message}");
}

#[test]
fn duplicate_keys_are_named() {
    let message = syntax("[a]\nb = 1\nb = 2\n");
    assert!(message.starts_with("s.toml:3:1: "), "{message}");
    assert!(message.contains("`b` is given twice"), "{message}");
    let message = syntax("[a]\n[b]\n[a]\n");
    assert!(message.starts_with("s.toml:3:"), "{message}");
}

#[test]
fn deep_nesting_is_refused() {
    let deep = 100_000;
    syntax(&format!("{}a = 1\n", "a.".repeat(deep)));
    syntax(&format!("a = {}{}\n", "[".repeat(deep), "]".repeat(deep)));
    syntax(&format!(
        "a = {}1{}\n",
        "{a=".repeat(deep),
        "}".repeat(deep)
    ));
}

#[test]
fn byte_order_mark_and_crlf_change_nothing() {
    let plain = parse("a = 1\n[t]\nb = 'x'\n").unwrap();
    let other = loaded(b"\xef\xbb\xbfa = 1\r\n[t]\r\nb = 'x'\r\n").unwrap();
    let other = Document::parse(SourceText::new("s.toml", other.text)).unwrap();
    assert_eq!(plain, other);
    assert_eq!(other.locate("t.b").to_string(), "s.toml:3");
}

#[test]
fn invalid_utf8_gives_line_and_byte() {
    let message = not_loaded(b"a = 1\nb = \"\xff\"\n");
    assert!(
        message.contains("not UTF-8 text: line 2, byte 6 of the line"),
        "{message}"
    );
    assert!(message.contains("save the file as UTF-8"), "{message}");
    let message = not_loaded(b"\xff\xfea\0");
    assert!(message.contains("line 1, byte 1"), "{message}");
}

#[test]
fn an_empty_file_is_an_empty_document() {
    let source = loaded(b"").unwrap();
    let document = Document::parse(source).unwrap();
    assert_eq!(document.effective_toml(), "");
    assert_eq!(document.to_json(), serde_json::json!({}));
}

#[test]
fn huge_files_are_refused() {
    let limit = 4 * 1024 * 1024;
    assert!(loaded(&vec![b'\n'; limit]).is_ok());
    let message = not_loaded(&vec![b'\n'; limit + 1]);
    assert!(message.contains("larger than 4 MiB"), "{message}");
}

#[cfg(unix)]
#[test]
fn endless_files_are_refused() {
    let error = SourceText::load(Path::new("/dev/zero")).unwrap_err();
    assert!(error.to_string().contains("larger than 4 MiB"), "{error}");
}

#[test]
fn missing_files_and_directories() {
    let folder = tempfile::tempdir().unwrap();
    let error = SourceText::load(folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("is a directory; give the path of a file"),
        "{error}"
    );
    let path = folder.path().join("none.toml");
    let error = SourceText::load(&path).unwrap_err().to_string();
    assert!(
        error.contains("none.toml: there is no such file; check"),
        "{error}"
    );
}

#[test]
fn locations() {
    let text = "# c\nname = 1\n\n[a.b]\nc = [\n  1,\n  { d = 2 },\n]\n\n[[p]]\nname = 'x'\n\n[[p]]\nname = 'y'\nq.r = 1\n";
    let mut document = parse(text).unwrap();
    let cases = [
        ("name", "s.toml:2"),
        ("a", "s.toml:4"),
        ("a.b", "s.toml:4"),
        ("a.b.c.0", "s.toml:6"),
        ("a.b.c.1.d", "s.toml:7"),
        ("a.b.z", "s.toml:4 (default)"),
        ("p", "s.toml:10"),
        ("p.y", "s.toml:13"),
        ("p.1.q.r", "s.toml:15"),
        ("p.y.z.w", "s.toml:13 (default)"),
        ("z", "s.toml (default)"),
        ("name.z", "s.toml:2 (default)"),
        ("", "s.toml (default)"),
    ];
    for (path, wanted) in cases {
        assert_eq!(document.locate(path).to_string(), wanted, "{path}");
    }
    document.set("p.y.q.r", "5").unwrap();
    assert_eq!(document.locate("p.1.q.r").to_string(), "--set p.y.q.r");
    assert_eq!(document.locate("p.1.q").to_string(), "s.toml:15");
    assert_eq!(document.pretty_path("p.1.q.zz"), "p.y.q.zz");
    assert_eq!(document.pretty_path("a.b.c.1.d"), "a.b.c.1.d");
}

#[test]
fn effective_toml_reads_back_equal() {
    let text = "s = \"a\\nb\\u0001\"\nbig = 9223372036854775807\nf = 1.0\nsmall = 1e-300\nd = 2024-01-02T03:04:05Z\nn = [nan, inf, -inf]\nempty = {}\nnone = []\n'odd key.x' = 1\n[t]\nb = true\n[[p]]\nname = 'x'\nin = { a = [1, 2], b = { c = 1 } }\n[[p]]\nname = 'y'\n";
    let mut document = parse(text).unwrap();
    document.set("t.new.field", "[1, {a = 2}]").unwrap();
    let again = parse(&document.effective_toml()).unwrap();
    assert_eq!(document.to_json(), again.to_json());
    assert_eq!(document.effective_toml(), again.effective_toml());
    let json = document.to_json();
    assert_eq!(json["d"], "2024-01-02T03:04:05Z");
    assert_eq!(json["n"][1], "inf");
    assert_eq!(json["t"]["new"]["field"][1]["a"], 2);
}

#[test]
fn nearest_names() {
    let names = ["servers", "service", "replicas", "queue_capacity"];
    let near = |wanted| nearest(wanted, names.into_iter());
    assert_eq!(near("servrs"), Some("servers"));
    assert_eq!(near("SERVERS"), Some("servers"));
    assert_eq!(near("replica"), Some("replicas"));
    assert_eq!(near("queue_cap"), Some("queue_capacity"));
    assert_eq!(near("zzz"), None);
    assert_eq!(near(""), None);
    assert_eq!(near(&"servers".repeat(1000)), None);
    assert_eq!(nearest("x", std::iter::empty()), None);
}
