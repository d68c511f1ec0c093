//! The worked example, and the identities of a bill under any nodes, rules and prices.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::engine::{SimDuration, SimTime};

const HOUR_NS: u64 = 3_600_000_000_000;
const YEAR: SimTime = SimTime(HOURS_PER_YEAR * HOUR_NS);
const BY_THE_SECOND: BillingRule = BillingRule {
    granularity: SimDuration(1_000_000_000),
    minimum: SimDuration(60_000_000_000),
    from: BilledFrom::Running,
};

fn dollars(whole: i128) -> Nanodollars {
    Nanodollars(whole * 1_000_000_000)
}

/// A year of 97 nodes at one rate.
fn year_of_97(rate_per_node: HourlyRate) -> Bill {
    let mut bill = Bill::new();
    for _ in 0..97 {
        bill.add_at(
            BillKey::default(),
            BY_THE_SECOND,
            (SimTime(0), YEAR),
            rate_per_node,
        )
        .unwrap();
    }
    bill
}

/// 97 nodes x 8 GPUs x $3.20 x 8,760 h = $21,752,832. With 60 % of it spot at $1.20 a GPU-hour costs
/// 0.6 x 1.20 + 0.4 x 3.20 = $2.00, which saves 37.5 %: $8,157,312 a year, and not $4.1M.
#[test]
fn worked_example() {
    let on_demand = HourlyRate::from_usd_per_hour(3.20).unwrap();
    let mixed = HourlyRate::from_usd_per_hour(0.6 * 1.20 + 0.4 * 3.20).unwrap();
    assert_eq!(mixed.as_usd_per_hour(), 2.0);

    let full = year_of_97(on_demand.times(8).unwrap()).total();
    let paid = year_of_97(mixed.times(8).unwrap()).total();
    assert_eq!(full.cost, dollars(21_752_832));
    assert_eq!(paid.cost, dollars(13_595_520));
    assert_eq!(full.cost.checked_sub(paid.cost), Some(dollars(8_157_312)));
    assert_eq!(paid.cost.as_usd() / full.cost.as_usd(), 0.625);
    assert_eq!(full.billed_node_hours(), 97.0 * 8_760.0);
}

#[test]
fn by_hand() {
    // 90.5 s at $36 an hour ($0.01 a second) are billed as 91 s; 5 s are billed as a minute.
    let mut bill = Bill::new();
    let second = 1_000_000_000;
    let (a, b) = (
        BillKey {
            pool: 1,
            market: 0,
            region: 0,
        },
        BillKey {
            pool: 2,
            market: 1,
            region: 0,
        },
    );
    let long = (SimTime(second), SimTime(second + 90_500_000_000));
    let charge = bill.add(a, BY_THE_SECOND, long, 36.0).unwrap();
    assert_eq!(charge.billed, SimDuration(91 * second));
    assert_eq!(charge.cost, Nanodollars(910_000_000));
    let short = (SimTime(0), SimTime(5 * second));
    bill.add(b, BY_THE_SECOND, short, 36.0).unwrap();
    assert_eq!(bill.total().cost, Nanodollars(1_510_000_000));
    assert_eq!(bill.by_pool()[&2].cost, Nanodollars(600_000_000));
    assert_eq!(bill.by_market()[&0].cost, Nanodollars(910_000_000));
    assert_eq!(bill.by_region().len(), 1);
    assert_eq!(bill.lines().count(), 2);
}

#[test]
fn what_is_refused_changes_nothing() {
    let mut bill = Bill::new();
    let key = BillKey::default();
    let backwards = (SimTime(2), SimTime(1));
    let error = bill.add(key, BY_THE_SECOND, backwards, 1.0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a node's interval ends at 1 ns, before it begins at 2 ns"
    );
    for usd in [f64::NAN, -1.0, 2e9] {
        let node = (SimTime(0), SimTime(1));
        assert!(bill.add(key, BY_THE_SECOND, node, usd).is_err());
    }
    assert_eq!(bill, Bill::new());
}

#[test]
fn extremes_fit() {
    let mut bill = Bill::new();
    let rule = BillingRule {
        granularity: SimDuration(u64::MAX),
        minimum: SimDuration(u64::MAX),
        from: BilledFrom::Request,
    };
    let forever = (SimTime(0), SimTime(u64::MAX));
    for _ in 0..10_000 {
        bill.add(BillKey::default(), rule, forever, MAX_USD_PER_HOUR)
            .unwrap();
    }
    assert_eq!(bill.total().billed_node_ns, 10_000 * u128::from(u64::MAX));
}

#[derive(Clone, Debug)]
struct Node {
    key: BillKey,
    rule: BillingRule,
    from: u64,
    lifetime: u64,
    usd_per_node_hour: f64,
}

fn any_node() -> impl Strategy<Value = Node> {
    let key = (0_u32..5, 0_u32..3, 0_u32..4);
    // Short lives, where rounding matters, and any at all.
    let lifetime = prop_oneof![0_u64..300_000_000_000, 0..=u64::MAX / 2];
    let rule = (0_u64..8_000_000_000_000, 0_u64..8_000_000_000_000);
    let price = prop_oneof![0.0_f64..200.0, 0.0..=MAX_USD_PER_HOUR];
    (key, rule, 0..=u64::MAX / 2, lifetime, price).prop_map(
        |((pool, market, region), (granularity, minimum), from, lifetime, usd_per_node_hour)| {
            Node {
                key: BillKey {
                    pool,
                    market,
                    region,
                },
                rule: BillingRule {
                    granularity: SimDuration(granularity),
                    minimum: SimDuration(minimum),
                    from: BilledFrom::Boot,
                },
                from,
                lifetime,
                usd_per_node_hour,
            }
        },
    )
}

fn bill_of(nodes: &[Node]) -> Bill {
    let mut bill = Bill::new();
    for node in nodes {
        let span = (SimTime(node.from), SimTime(node.from + node.lifetime));
        bill.add(node.key, node.rule, span, node.usd_per_node_hour)
            .unwrap();
    }
    bill
}

fn sum(lines: impl Iterator<Item = BillLine>) -> BillLine {
    lines.fold(BillLine::default(), |sum, line| BillLine {
        nodes: sum.nodes + line.nodes,
        lifetime_node_ns: sum.lifetime_node_ns + line.lifetime_node_ns,
        billed_node_ns: sum.billed_node_ns + line.billed_node_ns,
        cost: Nanodollars(sum.cost.0 + line.cost.0),
    })
}

proptest! {
    #[test]
    fn all_sums_are_the_total(nodes in proptest::collection::vec(any_node(), 0..60)) {
        let bill = bill_of(&nodes);
        let total = bill.total();
        let lines = |by: BTreeMap<u32, BillLine>| sum(by.into_values());
        prop_assert_eq!(lines(bill.by_pool()), total);
        prop_assert_eq!(lines(bill.by_market()), total);
        prop_assert_eq!(lines(bill.by_region()), total);
        prop_assert_eq!(sum(bill.lines().map(|(_, line)| line)), total);
        let billed_ns: u128 = nodes
            .iter()
            .map(|node| u128::from(billed(node.rule, SimDuration(node.lifetime)).0))
            .sum();
        prop_assert_eq!(total.billed_node_ns, billed_ns);
        prop_assert_eq!(total.nodes, nodes.len() as u64);
    }

    #[test]
    fn a_node_is_billed_a_multiple_and_enough(node in any_node()) {
        let billed = billed(node.rule, SimDuration(node.lifetime));
        prop_assert!(billed.0 >= node.lifetime && billed >= node.rule.minimum);
        prop_assert_eq!(billed.0 % node.rule.granularity.0.max(1), 0);
        let least = node.lifetime.max(node.rule.minimum.0);
        prop_assert!(billed.0 - least < node.rule.granularity.0.max(1));
    }

    #[test]
    fn a_nodes_cost_is_within_half_a_nanodollar(node in any_node()) {
        let bill = bill_of(std::slice::from_ref(&node));
        let rate = HourlyRate::from_usd_per_hour(node.usd_per_node_hour).unwrap();
        let total = bill.total();
        let exact = u128::from(rate.nanodollars_per_hour()) * total.billed_node_ns;
        let off = (total.cost.0.unsigned_abs() * u128::from(HOUR_NS)).abs_diff(exact);
        prop_assert!(off <= u128::from(HOUR_NS / 2));
    }

    #[test]
    fn order_and_merging_do_not_matter(
        nodes in proptest::collection::vec(any_node(), 0..40), at in 0_usize..40,
    ) {
        let whole = bill_of(&nodes);
        let mut reversed = nodes.clone();
        reversed.reverse();
        prop_assert_eq!(&bill_of(&reversed), &whole);
        let (first, second) = nodes.split_at(at.min(nodes.len()));
        let mut merged = bill_of(first);
        merged.merge(&bill_of(second)).unwrap();
        prop_assert_eq!(&merged, &whole);
    }

    #[test]
    fn a_pools_cost_shares_out_exactly(
        nodes in proptest::collection::vec(any_node(), 1..20),
        tokens in proptest::collection::vec(0_u64..=u64::MAX, 1..20),
    ) {
        let cost = bill_of(&nodes).total().cost;
        let weights: Vec<u128> = tokens.into_iter().map(u128::from).collect();
        prop_assume!(weights.iter().any(|&weight| weight > 0));
        let parts = attribute(cost, &weights).unwrap();
        prop_assert_eq!(parts.iter().map(|part| part.0).sum::<i128>(), cost.0);
    }

    #[test]
    fn no_input_panics(cost in any::<i128>(), ns in any::<u64>(), usd in any::<f64>(), count in any::<u64>()) {
        let cost = Nanodollars(cost);
        let _ = usd_per_million(cost, count);
        let _ = Nanodollars::from_usd(usd);
        let _ = egress_cost(count, usd);
        let _ = storage_cost(count, SimDuration(ns), usd);
        if let Ok(rate) = HourlyRate::from_usd_per_hour(usd) {
            let _ = rate.cost(SimDuration(ns));
        }
        let _ = attribute(cost, &[u128::from(ns), u128::MAX - u128::from(ns), u128::from(count)]);
    }
}
