//! Values that are not allowed: all at once, in the order of their lines.

#![allow(clippy::unwrap_used, clippy::panic)]

use seatrial::scenario::{Document, Problems, ScenarioError, SourceText};

const TEXT: &str = r#"low = 0
high = 2.5

[[pools]]
name = "nodes"
servers = 0

[[pools]]
name = "nodes"

[[claims]]
id = "c"

[[claims]]
id = "c"
"#;

fn document() -> Document {
    Document::parse(SourceText::new("s.toml", TEXT)).unwrap()
}

fn shown(check: impl Fn(&mut Problems<'_>)) -> Vec<String> {
    let document = document();
    let mut problems = Problems::new(&document);
    check(&mut problems);
    match problems.finish() {
        Ok(()) => Vec::new(),
        Err(ScenarioError::Invalid(list)) => list.iter().map(ToString::to_string).collect(),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn none() {
    let list = shown(|problems| {
        assert!(problems.positive("high", 2.5, 1e12));
        assert!(problems.positive("high", 1e12, 1e12));
        assert!(problems.non_negative("low", 0.0, 1e12));
        assert!(problems.in_range("high", 2.5, 2.5, 2.5));
        assert!(problems.int_in_range("low", 0, 0, 0));
        assert!(problems.name("pools.0.name", "a-Z_09"));
        assert!(problems.unique("pools", ["a", "b"].into_iter()));
        assert!(problems.is_empty());
    });
    assert!(list.is_empty());
}

#[test]
fn numbers_that_are_none_or_out_of_range() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1.0] {
        let list = shown(|problems| {
            assert!(!problems.positive("high", value, 1e12));
            assert!(!problems.non_negative("high", value, 1e12));
            assert!(!problems.in_range("high", value, 0.0, 1.0));
        });
        assert_eq!(list.len(), 3, "{value}");
        assert!(list[0].starts_with("s.toml:2: high = "), "{list:?}");
        assert!(list[0].len() < 150, "{list:?}");
    }
    let list = shown(|problems| {
        assert!(!problems.positive("high", 0.0, 1e9));
        assert!(!problems.positive("high", f64::NAN, f64::INFINITY));
        assert!(!problems.positive("high", f64::INFINITY, f64::INFINITY));
        assert!(!problems.in_range("high", -1234.5, -0.5, 0.5));
    });
    assert_eq!(
        list[0],
        "s.toml:2: high = 0: must be above 0 and at most 1,000,000,000; change it to a value in this range"
    );
    assert!(list[1].contains("high = nan") && list[1].contains("give a finite number"));
    assert!(list[2].contains("high = inf"));
    assert!(list[3].contains("high = -1,234.5: must be -0.5 to 0.5"));
}

#[test]
fn sorted_by_line_with_overrides_last() {
    let mut document = document();
    document.set("low", "7").unwrap();
    let mut problems = Problems::new(&document);
    problems.push("low", 7, "must be 0", "");
    problems.int_in_range("pools.0.servers", 0, 1, 1_000_000);
    problems.positive("pools.1.rate", 0.0, 1.0);
    problems.push("high", 2.5, "must be 1", "lower it");
    let error = problems.finish().unwrap_err();
    assert_eq!(
        error.to_string(),
        "s.toml:2: high = 2.5: must be 1; lower it\n\
         s.toml:6: pools.0.servers = 0: must be 1 to 1,000,000; change it to a value in this range\n\
         s.toml:8 (default): pools.1.rate = 0: must be above 0 and at most 1; change it to a value in this range\n\
         --set low = 7: must be 0"
    );
}

#[test]
fn elements_go_by_name() {
    let text = TEXT.replacen("\"nodes\"", "\"first\"", 1);
    let document = Document::parse(SourceText::new("s.toml", text)).unwrap();
    let mut problems = Problems::new(&document);
    problems.int_in_range("pools.0.servers", 0, 1, 5);
    let message = problems.finish().unwrap_err().to_string();
    assert!(
        message.starts_with("s.toml:6: pools.first.servers = 0: "),
        "{message}"
    );
}

#[test]
fn names() {
    let long = "a".repeat(65);
    for bad in ["", "a b", "a.b", "é", "a\n", long.as_str()] {
        let list = shown(|problems| {
            assert!(!problems.name("pools.0.name", bad));
        });
        assert_eq!(list.len(), 1);
        assert!(
            list[0].starts_with("s.toml:5: pools.0.name = \""),
            "{list:?}"
        );
        assert!(!list[0].contains('\n'));
    }
}

#[test]
fn names_given_twice() {
    let list = shown(|problems| {
        assert!(!problems.unique("pools", ["nodes", "nodes"].into_iter()));
        assert!(!problems.unique("claims", ["c", "c"].into_iter()));
    });
    assert_eq!(
        list,
        [
            "s.toml:9: pools.1.name = \"nodes\": is already the name of `pools.0` (s.toml:5); rename one of them",
            "s.toml:15: claims.1.id = \"c\": is already the name of `claims.0` (s.toml:12); rename one of them",
        ]
    );
}
