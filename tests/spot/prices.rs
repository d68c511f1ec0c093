//! Prices and bills.

use proptest::prelude::*;
use seatrial::engine::SimTime;
use seatrial::fleet::spot::prices::Prices;

use super::statistics::hours;

fn parse(rows: &str) -> Result<Prices, String> {
    let text = format!("seconds,usd_per_hour\n{rows}");
    Prices::parse("prices.csv", &text).map_err(|error| error.to_string())
}

#[test]
fn the_price_at_an_instant_is_that_of_the_last_row_before() {
    let prices = parse("0,1.5\n3600,2.000000001\r\n\n# note\n7200.5,0\n").unwrap();
    assert_eq!(prices.at(SimTime(0)), 1.5);
    assert_eq!(
        prices.nano_usd_per_hour_at(SimTime(hours(1.0).0 - 1)),
        1_500_000_000
    );
    assert_eq!(prices.nano_usd_per_hour_at(hours(1.0)), 2_000_000_001);
    assert_eq!(prices.nano_usd_per_hour_at(SimTime(7_200_500_000_000)), 0);
    assert_eq!(prices.at(SimTime(u64::MAX)), 0.0);
    let report = prices.report();
    let counts = (
        report.rows,
        report.header_lines,
        report.blank_lines,
        report.comment_lines,
    );
    assert_eq!(counts, (3, 1, 1, 1));
}

#[test]
fn costs_are_exact() {
    let prices = parse("0,1.5\n3600,2.5\n").unwrap();
    assert_eq!(prices.cost_nano_usd(hours(0.0), hours(1.0)), 1_500_000_000);
    assert_eq!(prices.cost_nano_usd(hours(0.5), hours(2.0)), 3_250_000_000);
    assert_eq!(prices.cost_nano_usd(hours(2.0), hours(1.0)), 0);
    assert_eq!(prices.cost_nano_usd(hours(1.0), hours(1.0)), 0);
    let constant = Prices::constant(1.2).unwrap();
    // A year of 8,760 hours.
    assert_eq!(
        constant.cost_nano_usd(hours(0.0), hours(8760.0)),
        10_512_000_000_000
    );
}

#[test]
fn the_largest_bill_does_not_overflow() {
    let prices = Prices::constant(1000.0).unwrap();
    let cost = prices.cost_nano_usd(SimTime(0), SimTime(u64::MAX));
    // 1e12 nano-dollars an hour over 2^64 - 1 ns.
    assert_eq!(
        cost,
        (1e12_f64 as u128 * u128::from(u64::MAX) / 3_600_000_000_000) as u64
    );
}

proptest! {
    #[test]
    fn costs_of_the_parts_add_up_to_the_cost_of_the_whole(
        prices in prop::collection::vec((1_u64..9_000_000_000_000, 0_u64..1_000_000_000_000), 0..8),
        first in 0_u64..1_000_000_000_000,
        mut cuts in prop::collection::vec(0_u64..40_000_000_000_000, 2..12),
    ) {
        let decimal = |n: u64| format!("{}.{:09}", n / 1_000_000_000, n % 1_000_000_000);
        let mut rows = format!("0,{}\n", decimal(first));
        let mut steps = vec![(0_u64, first)];
        for (gap, price) in prices {
            let from = steps.last().unwrap().0 + gap;
            rows.push_str(&format!("{},{}\n", decimal(from), decimal(price)));
            steps.push((from, price));
        }
        let prices = parse(&rows).unwrap();
        cuts.sort_unstable();
        let parts: u64 = cuts.windows(2)
            .map(|pair| prices.cost_nano_usd(SimTime(pair[0]), SimTime(pair[1])))
            .sum();
        let (from, to) = (cuts[0], cuts[cuts.len() - 1]);
        let whole = prices.cost_nano_usd(SimTime(from), SimTime(to));
        prop_assert_eq!(parts, whole);

        // Within one nano-dollar of the exact sum, made another way.
        let ends = steps.iter().skip(1).map(|step| step.0).chain([u64::MAX]);
        let exact: u128 = steps.iter().zip(ends).map(|(step, end)| {
            let overlap = end.min(to).saturating_sub(step.0.max(from));
            u128::from(overlap) * u128::from(step.1)
        }).sum();
        let difference = u128::from(whole) * 3_600_000_000_000;
        prop_assert!(difference.abs_diff(exact) < 3_600_000_000_000);
    }
}

#[test]
fn faulty_prices_are_refused_with_their_place_and_remedy() {
    for (rows, said) in [
        ("0,1\n60,2\n30,1\n", "prices.csv:4:1: seconds is \"30\""),
        ("0,1\n60,2\n60,1\n", "prices.csv:4:1: seconds is \"60\""),
        ("5,1\n", "prices.csv:2:1: seconds is \"5\""),
        ("0, -1\n", "prices.csv:2:4: usd_per_hour is \"-1\""),
        ("0,1000.1\n", "allowed: 0 to 1000, up to nine decimals"),
        ("0,1.0000000001\n", "usd_per_hour is \"1.0000000001\""),
        ("0,1.\n", "usd_per_hour is \"1.\""),
        ("0,\n", "prices.csv:2:3: usd_per_hour is empty"),
        ("0,NaN\n", "write the price of one node in dollars per hour"),
        ("0,1\n60\n", "prices.csv:3:1: the row has 1 fields"),
        ("0,1,2\n", "the row has 3 fields"),
        ("99999999999999999999,1\n", "seconds is"),
        ("", "number of prices is 0"),
    ] {
        let error = parse(rows).unwrap_err();
        assert!(error.contains(said), "{rows:?}: {error}");
    }
    let error = Prices::parse("prices.csv", "0,1\n")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("the first row does not read `seconds,usd_per_hour`"),
        "{error}"
    );
    assert!(Prices::constant(-0.1).is_err());
    assert!(Prices::constant(f64::INFINITY).is_err());
    let error = Prices::read("/nowhere/prices.csv".as_ref())
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("/nowhere/prices.csv: cannot be read"),
        "{error}"
    );
}
