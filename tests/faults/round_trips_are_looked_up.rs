//! Round-trip times are the same both ways, stated before shipped, and never made up.

#![allow(clippy::unwrap_used, clippy::panic)]

use serde::Deserialize;

use seatrial::scenario::regions::{Population, Region, RoundTrips, RttFrom, RttMatrix, RttTable};
use seatrial::scenario::{Document, Problems, ScenarioError, SourceText};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    #[serde(default)]
    network: RoundTrips,
    regions: Vec<Region>,
    #[serde(default)]
    populations: Vec<Population>,
}

fn read(text: &str) -> Result<Part, ScenarioError> {
    let document = Document::parse(SourceText::new("s.toml", text))?;
    let part: Part = document.parse_as()?;
    let mut problems = Problems::new(&document);
    let Part {
        network,
        regions,
        populations,
    } = &part;
    network.check("network", regions, populations, &mut problems);
    problems.finish().map(|()| part)
}

fn matrix(text: &str) -> RttMatrix {
    let part = read(text).unwrap_or_else(|error| panic!("{error}"));
    let table = RttTable::shipped().unwrap();
    RttMatrix::new(&part.regions, &part.populations, &part.network, &table).unwrap()
}

const STATED: &str = r#"
[network]
inter_az_rtt_ms = 0.5
[network.rtt_ms]
"us/eu" = 80
"asia/us" = 210
"eu/asia" = 240

[[regions]]
name = "us"
[[regions]]
name = "eu"
gateways = 3
[[regions]]
name = "asia"

[[populations]]
name = "berlin"
region = "eu"
access_rtt_ms = 20
share = 2

[[populations]]
name = "ships"
rtt_ms = { us = 600, eu = 610, asia = 620 }
"#;

#[test]
fn stated_times_are_the_same_both_ways() {
    let matrix = matrix(STATED);
    let times = [[0.5, 80.0, 210.0], [80.0, 0.5, 240.0], [210.0, 240.0, 0.5]];
    for (a, row) in times.iter().enumerate() {
        for (b, expected) in row.iter().enumerate() {
            assert_eq!(matrix.between_ms(a, b), *expected);
            assert_eq!(matrix.between_ms(a, b), matrix.between_ms(b, a));
        }
    }
    assert_eq!(matrix.between_from(0, 1), RttFrom::Stated);
    assert_eq!(matrix.between_from(1, 1), RttFrom::StatedWithin);
    let from = |population| [0, 1, 2].map(|region| matrix.from_population_ms(population, region));
    assert_eq!(from(0), [100.0, 20.5, 260.0]);
    assert_eq!(from(1), [600.0, 610.0, 620.0]);
    assert_eq!(matrix.regions(), 3);
}

#[test]
fn the_shipped_table_is_used_when_it_is_named() {
    let text = r#"
network = { rtt_table = "aws-2017", rtt_ms = { "us/eu-west-1" = 70 } }
[[regions]]
name = "us"
place = "us-east-1"
[[regions]]
name = "eu-west-1"
[[regions]]
name = "eu-central-1"
[[populations]]
name = "tokyo"
region = "ap-northeast-1"
"#;
    let part = read(text);
    // Tokyo to Frankfurt is not in the table, and is not made up.
    let message = part.unwrap_err().to_string();
    for word in [
        "network.rtt_ms",
        "\"ap-northeast-1\"",
        "\"eu-central-1\"",
        "round-trip",
    ] {
        assert!(message.contains(word), "no {word} in: {message}");
    }
    let own = text.replace(
        "\"us/eu-west-1\" = 70",
        "\"us/eu-west-1\" = 70, \"eu-central-1/ap-northeast-1\" = 225",
    );
    let matrix = matrix(&own);
    assert_eq!(matrix.between_ms(1, 0), 70.0);
    assert_eq!(matrix.between_from(1, 0), RttFrom::Stated);
    assert_eq!(matrix.between_ms(2, 1), 19.6);
    assert_eq!(matrix.between_from(2, 1), RttFrom::Table);
    assert_eq!(matrix.between_ms(0, 2), 88.7);
    assert_eq!(matrix.between_ms(0, 0), 1.0);
    assert_eq!(matrix.between_from(0, 0), RttFrom::AssumedWithin);
    assert_eq!(matrix.from_population_ms(0, 0), 145.0);
    assert_eq!(matrix.from_population_ms(0, 2), 225.0);
    assert_eq!(matrix.from_population_from(0, 2), RttFrom::Stated);
}

#[test]
fn without_the_tables_name_nothing_comes_from_it() {
    let text = "[[regions]]\nname = \"us-east-1\"\n[[regions]]\nname = \"us-west-2\"\n";
    let message = read(text).unwrap_err().to_string();
    assert!(
        message.contains("\"us-east-1\" and \"us-west-2\""),
        "{message}"
    );
    assert!(message.contains("rtt_table = \"aws-2017\""), "{message}");
}

#[test]
fn the_shipped_table_says_what_it_is() {
    let table = RttTable::shipped().unwrap();
    assert_eq!(
        (table.name.as_str(), table.measured.as_str()),
        ("aws-2017", "2017")
    );
    assert!(!table.source.is_empty() && table.note.contains("Old"));
    assert_eq!(table.between("eu-west-1", "us-east-1"), Ok(80.5));
    assert_eq!(table.between("us-east-1", "eu-west-1"), Ok(80.5));
    let missing = table.between("sa-east-1", "eu-west-1").unwrap_err();
    let message = missing.to_string();
    assert!(
        message.contains("sa-east-1") && message.contains("eu-west-1"),
        "{message}"
    );
    let within = table.inter_az;
    assert!(within.low_ms <= within.rtt_ms && within.rtt_ms <= within.high_ms);
    assert_eq!(table.places().len(), 8);
}

#[track_caller]
fn refused(from: &str, to: &str, parts: &[&str]) {
    assert!(STATED.contains(from), "{from}");
    let message = read(&STATED.replacen(from, to, 1)).unwrap_err().to_string();
    for part in parts {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
}

#[test]
fn what_is_refused() {
    refused(
        "\"us/eu\" = 80",
        "\"us/eu\" = -1",
        &["us/eu", "must be 0 to"],
    );
    refused("\"us/eu\" = 80", "\"us-eu\" = 80", &["joined by `/`"]);
    refused(
        "\"us/eu\" = 80",
        "\"us/us\" = 80",
        &["two different regions"],
    );
    refused(
        "\"us/eu\" = 80",
        "\"us/euu\" = 80",
        &["did you mean \"eu\"?"],
    );
    refused(
        "\"us/eu\" = 80",
        "\"us/eu\" = 80\n\"eu/us\" = 81",
        &["is stated as"],
    );
    refused("\"us/eu\" = 80", "", &["between \"us\" and \"eu\""]);
    refused(
        "inter_az_rtt_ms = 0.5",
        "rtt_table = \"aws\"",
        &["\"aws-2017\""],
    );
    refused("name = \"asia\"", "name = \"us\"", &["is already the name"]);
    refused("gateways = 3", "gateways = 0", &["gateways", "1 to 1,000"]);
    refused("share = 2", "share = 0", &["share"]);
    refused("region = \"eu\"", "", &["must state region or rtt_ms"]);
    refused(
        "region = \"eu\"",
        "region = \"mars\"",
        &["\"mars\" and \"us\""],
    );
    refused(
        "us = 600, ",
        "",
        &["populations.ships.rtt_ms", "to region \"us\""],
    );
    refused(
        "rtt_ms = {",
        "region = \"us\"\nrtt_ms = {",
        &["cannot state region beside rtt_ms"],
    );
}
