//! The shipped prices, what a file may not hold, and lookups.

use proptest::prelude::*;

use super::*;
use crate::engine::SimDuration;
use crate::money::bill::{BilledFrom, BillingRule};

/// The accelerator cards that prices may name.
const PARTS: &str = "a100-pcie-80gb a100-sxm-40gb a100-sxm-80gb a10g a30 b200-sxm b300-sxm gaudi3 gb200-nvl72 \
    gb300-nvl72 h100-pcie h100-sxm h200-sxm inferentia2 l4 l40s mi300x mi325x mi355x \
    rtx-4090 rtx-pro-6000 tpu-v5e tpu-v5p tpu-v6e trainium2";

const GOOD: &str = r#"
[[compute]]
provider = "own"
part = "h100-sxm"
region = "here"
gpus_per_node = 8
on_demand_usd_per_gpu_hour = 3.2
spot_usd_per_gpu_hour = 1.2
source = "the published answer"
as_of = "2026-01"
"#;

fn is_part(name: &str) -> bool {
    PARTS.split(' ').any(|part| part == name)
}

fn shipped() -> PriceBook {
    PriceBook::shipped().unwrap()
}

fn message(text: &str) -> String {
    PriceBook::parse("my.toml", text).unwrap_err().to_string()
}

#[test]
fn shipped_prices_name_known_parts_and_say_where_they_are_from() {
    let book = shipped();
    assert!(book.all_compute().len() >= 25);
    for entry in book.all_compute() {
        assert!(is_part(&entry.part), "{}", entry.part);
        assert!(entry.as_of.starts_with("202"), "{}", entry.as_of);
    }
    for entry in book.all_reserved() {
        assert!(entry.part == "*" || is_part(&entry.part));
    }
    let power = book.power().unwrap();
    assert_eq!((power.pue, power.idle_share_of_tdp), (1.2, 0.15));
    let assumed = book.assumed();
    assert!(assumed.contains(&String::from("egress aws/*/internet")));
    assert!(assumed.contains(&String::from("power")));
    assert!(!assumed.contains(&String::from("billing aws")));
    assert!(!assumed.contains(&String::from("compute aws/h100-sxm/us-east-1")));
}

#[test]
fn shipped_prices_are_the_cited_ones() {
    let book = shipped();
    let p5 = book.compute("aws", "h100-sxm", "us-east-1").unwrap();
    // p5.48xlarge: 55.04 and, in use1-az2, 19.2531 a node-hour.
    assert_eq!(p5.on_demand_usd_per_gpu_hour * 8.0, 55.04);
    assert!((p5.spot_usd_per_gpu_hour.unwrap() * 8.0 - 19.2531).abs() < 1e-9);
    assert!((p5.spot_discount().unwrap() - 0.6502).abs() < 1e-4);
    let tpu = book.compute("gcp", "tpu-v6e", "us-central1").unwrap();
    assert_eq!(tpu.on_demand_usd_per_gpu_hour, 2.7);
    // Anywhere at a provider with one price for all regions.
    let azure = book.compute("azure", "h100-sxm", "eastus").unwrap();
    assert_eq!(azure.on_demand_usd_per_gpu_hour, 12.25);
    let rented = book
        .reserved("rental", "h100-sxm", Some(3), Upfront::None)
        .unwrap();
    assert_eq!(rented.rate_usd_per_gpu_hour(100.0), 1.3);
    let owned = book
        .reserved("own-neocloud", "b200-sxm", None, Upfront::Owned)
        .unwrap();
    assert_eq!(owned.rate_usd_per_gpu_hour(100.0), 2.34);
    let saved = book
        .reserved("aws", "h200-sxm", Some(1), Upfront::None)
        .unwrap();
    assert_eq!(saved.rate_usd_per_gpu_hour(8.0), 6.0);
}

#[test]
fn spot_at_the_on_demand_price_is_remarked() {
    let remarks = shipped().remarks();
    assert_eq!(remarks.len(), 1, "{remarks:?}");
    assert!(remarks[0].contains("aws/h100-sxm/ca-central-1"));
    assert!(remarks[0].contains("no spare capacity"));
    let dear = GOOD.replace("= 1.2", "= 4.0");
    let book = PriceBook::parse("my.toml", &dear).unwrap();
    assert!(book.remarks()[0].contains("above on-demand"));
    assert!(
        PriceBook::parse("my.toml", GOOD)
            .unwrap()
            .remarks()
            .is_empty()
    );
}

#[test]
fn billing_becomes_a_rule() {
    let book = shipped();
    let second = 1_000_000_000;
    assert_eq!(
        book.billing("aws").unwrap().rule(),
        BillingRule {
            granularity: SimDuration(second),
            minimum: SimDuration(60 * second),
            from: BilledFrom::Running,
        }
    );
    assert_eq!(book.billing("aws").unwrap().kind, Kind::Documented);
    let unknown = book.billing("somebody-else").unwrap();
    assert_eq!(unknown.rule().from, BilledFrom::Request);
}

#[test]
fn the_most_exact_egress_wins() {
    let book = shipped();
    let usd = |from, to| book.egress("aws", from, to).unwrap().usd_per_gb;
    assert_eq!(usd("us-east-1", INTERNET), 0.09);
    assert_eq!(usd("us-east-1", SAME_REGION), 0.01);
    assert_eq!(usd("us-east-1", "eu-west-1"), 0.02);
    assert_eq!(usd("us-east-1", "us-east-2"), 0.01);
    // `*` is any region, not the internet.
    let error = book.egress("lambda", "here", SAME_REGION).unwrap_err();
    assert!(error.to_string().contains("egress lambda/here/same-region"));
    assert_eq!(
        book.storage("aws", "object").unwrap().usd_per_gb_month,
        0.023
    );
    assert_eq!(book.carbon("us-east4").unwrap().g_co2_per_kwh, 323.05);
    assert_eq!(book.carbon("nowhere").unwrap().g_co2_per_kwh, 480.0);
}

#[test]
fn a_price_that_is_not_there_names_the_nearest() {
    let message = shipped()
        .compute("AWS", "h100-sxm", "eu-west-1")
        .unwrap_err()
        .to_string();
    assert!(
        message.starts_with("no price book entry for compute AWS/h100-sxm/eu-west-1: the nearest are aws/h100-sxm/eu-north-1, "),
        "{message}"
    );
    assert!(
        message.ends_with("more); name one of them, or add a [[compute]] entry to a price file")
    );
    let empty = PriceBook::default().carbon("here").unwrap_err().to_string();
    assert_eq!(
        empty,
        "no price book entry for carbon here: it has none at all, or add a [[carbon]] entry to a price file"
    );
}

#[test]
fn bad_values_are_named_with_their_line() {
    assert_eq!(
        message(&GOOD.replace("= 3.2", "= -3.2")),
        "my.toml:7: on_demand_usd_per_gpu_hour of compute own/h100-sxm/here is -3.2, but must be above 0 and at \
         most 1000: give US dollars per accelerator and hour, not per node or per month"
    );
    assert!(message(&GOOD.replace("= 3.2", "= nan")).contains("is NaN"));
    assert!(message(&GOOD.replace("= 1.2", "= inf")).starts_with("my.toml:8: spot_usd"));
    assert!(message(&GOOD.replace("= 8", "= 0")).starts_with("my.toml:6: gpus_per_node"));
    assert!(message(&GOOD.replace("\"here\"", "\"over there\"")).starts_with("my.toml:5: region"));
    assert!(message(&GOOD.replace("the published answer", " ")).starts_with("my.toml:9: source"));
    for date in [
        "soon",
        "2026-13",
        "2026-1",
        "2026/2027/2028",
        "",
        "2026-01-01-01",
        "/",
    ] {
        let text = GOOD.replace("\"2026-01\"", &format!("\"{date}\""));
        assert!(message(&text).starts_with("my.toml:10: as_of"), "{date}");
    }
    for date in ["2026", "2026-01-31", "2025/2026-04"] {
        let text = GOOD.replace("\"2026-01\"", &format!("\"{date}\""));
        assert!(PriceBook::parse("my.toml", &text).is_ok(), "{date}");
    }
}

#[test]
fn unknown_fields_and_broken_text_are_refused() {
    let unknown = message(&GOOD.replace("gpus_per_node", "gpus"));
    assert!(
        unknown.starts_with("my.toml:6: unknown field `gpus`, expected one of `provider`"),
        "{unknown}"
    );
    assert!(message("[[computes]]\n").contains("unknown field `computes`"));
    assert!(message("\n[[compute]\n").starts_with("my.toml:2"));
    assert!(message(&GOOD.replace("= 8", "= -8")).contains("my.toml:6"));
    assert!(message(&GOOD.replace("= 3.2", "= \"3.2\"")).contains("my.toml:7"));
    assert!(message("[[compute]]\nprovider = \"a\"\n").contains("missing field `part`"));
}

#[test]
fn duplicates_are_refused() {
    assert_eq!(
        message(&format!("{GOOD}{GOOD}")),
        "my.toml:12: compute own/h100-sxm/here was given before on line 2: remove one of the two"
    );
}

#[test]
fn reserved_entries_are_whole() {
    let entry = |extra: &str| {
        format!("[[reserved]]\nprovider = \"a\"\npart = \"b\"\nsource = \"c\"\n{extra}\n")
    };
    let good = |extra: &str| PriceBook::parse("my.toml", &entry(extra)).is_ok();
    assert!(good("upfront = \"all\"\nterm_years = 1\ndiscount = 0.4"));
    assert!(good("upfront = \"owned\"\nusd_per_gpu_hour = 1.3"));
    assert!(!good("upfront = \"all\"\ndiscount = 0.4"));
    assert!(!good("upfront = \"owned\"\nterm_years = 1\ndiscount = 0.4"));
    assert!(!good("upfront = \"all\"\nterm_years = 1"));
    assert!(!good(
        "upfront = \"all\"\nterm_years = 1\ndiscount = 0.4\nusd_per_gpu_hour = 2.0"
    ));
    assert!(!good("upfront = \"all\"\nterm_years = 1\ndiscount = 40.0"));
    assert!(!good("upfront = \"some\"\nterm_years = 1\ndiscount = 0.4"));
}

#[test]
fn later_books_replace_and_add() {
    let text = GOOD
        .replace("\"own\"", "\"aws\"")
        .replace("\"here\"", "\"us-east-1\"");
    let own = PriceBook::parse("own.toml", GOOD).unwrap();
    let cheaper = PriceBook::parse("cheaper.toml", &text).unwrap();
    let before = shipped();
    let book = before.clone().with(cheaper).with(own);
    assert_eq!(book.all_compute().len(), before.all_compute().len() + 1);
    let p5 = book.compute("aws", "h100-sxm", "us-east-1").unwrap();
    assert_eq!(p5.on_demand_usd_per_gpu_hour, 3.2);
    assert_eq!(p5.kind, Kind::Assumed);
    assert!(book.compute("own", "h100-sxm", "here").is_ok());
    // What was not given stays.
    assert_eq!(book.power(), before.power());
    assert_eq!(book.billing("aws"), before.billing("aws"));
    let greener = PriceBook::parse(
        "power.toml",
        "[power]\npue = 1.1\nidle_share_of_tdp = 0.1\nsource = \"own meter\"\nkind = \"documented\"\n",
    )
    .unwrap();
    assert_eq!(book.with(greener).power().unwrap().pue, 1.1);
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*") {
        let _ = PriceBook::parse("my.toml", &text);
    }

    #[test]
    fn no_damaged_file_panics(at in any::<prop::sample::Index>(), with in "[\\x00-\\x7f]{0,3}") {
        let text = SHIPPED.1;
        let mut at = at.index(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let damaged = format!("{}{with}{}", &text[..at], &text[at..]);
        if let Err(error) = PriceBook::parse("my.toml", &damaged) {
            prop_assert!(error.to_string().starts_with("my.toml:"));
        }
    }

    #[test]
    fn what_is_accepted_can_be_used(usd in any::<f64>(), gpus in any::<i64>()) {
        let text = GOOD.replace("= 3.2", &format!("= {usd:?}")).replace("= 8", &format!("= {gpus}"));
        if let Ok(book) = PriceBook::parse("my.toml", &text) {
            let entry = book.compute("own", "h100-sxm", "here").unwrap();
            let rate = crate::money::bill::HourlyRate::from_usd_per_hour(entry.on_demand_usd_per_gpu_hour);
            prop_assert!(rate.unwrap().times(entry.gpus_per_node).is_ok());
        }
    }
}
