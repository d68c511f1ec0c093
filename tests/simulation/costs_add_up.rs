//! Costs, energy and moved bytes come to what a hand calculation gives, and parts add up to wholes.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::common;

use seatrial::experiment::runner::{Control, run_plan};
use serde_json::Value;

/// Two regions; everybody is in the first, and a fifth of the requests goes on to the second.
fn fleet(more: &str) -> String {
    format!(
        "name = \"costs\"\n[run]\nhorizon_s = 3600\nwarmup_s = 0\n\
         [workload]\narrivals = {{ process = \"poisson\", rate_per_s = 8 }}\n\
         prompt_tokens = {{ law = \"constant\", tokens = 1000 }}\n\
         output_tokens = {{ law = \"constant\", tokens = 200 }}\n\
         [[tiers]]\nname = \"premium\"\nshare = 0.25\nslo = {{ e2e_ms = 1200 }}\n\
         [[tiers]]\nname = \"batch\"\nshare = 0.75\ndeadline_ms = 1100\n\
         [[regions]]\nname = \"us\"\nplace = \"us-east-1\"\n\
         [[regions]]\nname = \"eu\"\nplace = \"eu-west-1\"\n\
         [network]\nrtt_ms = {{ \"us/eu\" = 80 }}\n\
         [[populations]]\nname = \"all\"\nregion = \"us\"\n\
         [locality]\npolicy = \"spill_over\"\nfull_at = 5\n\
         [[pools]]\nname = \"a\"\nengine = \"abstract\"\nregion = \"us\"\nservers = 10\n\
         accelerators_per_replica = 4\naccelerator = \"h100-sxm\"\n\
         service = {{ law = \"exponential\", mean_ms = 1000 }}\n\
         [[pools]]\nname = \"b\"\nengine = \"abstract\"\nregion = \"eu\"\nservers = 10\n\
         accelerators_per_replica = 2\naccelerator = \"l40s\"\nreplicas = 2\n\
         service = {{ law = \"exponential\", mean_ms = 1000 }}\n{more}"
    )
}

fn result_of(text: &str) -> Value {
    let outcome = run_plan(common::plan_of(text), Control::default()).unwrap();
    outcome.result.to_json()
}

fn number(value: &Value, path: &str) -> f64 {
    let found = path.split('.').fold(value, |value, key| match value {
        Value::Array(_) => &value[key.parse::<usize>().unwrap()],
        _ => &value[key],
    });
    found.as_f64().unwrap_or_else(|| panic!("{path}: {found}"))
}

fn close(a: f64, b: f64) {
    assert!((a - b).abs() <= 1e-9 * b.abs().max(1e-9), "{a} {b}");
}

fn sum(parts: &Value, key: &str) -> f64 {
    let rows: Vec<&Value> = match parts {
        Value::Object(rows) => rows.values().collect(),
        Value::Array(rows) => rows.iter().collect(),
        other => panic!("{other}"),
    };
    rows.iter().map(|row| row[key].as_f64().unwrap()).sum()
}

#[test]
fn every_way_to_part_a_cost_adds_up() {
    let groups = "[[capacity.groups]]\nname = \"a\"\npool = \"a\"\nmarket = \"reserved\"\n\
                  usd_per_gpu_hour = 2\n[cost]\non_demand_usd_per_gpu_hour = 3\n";
    for more in ["[cost]\non_demand_usd_per_gpu_hour = 3\n", groups] {
        let result = result_of(&fleet(more));
        let cost = &result["cost"];
        // One node of four and two of two, for an hour; those of group `a` are cheaper.
        let usd = if more == groups { 20.0 } else { 24.0 };
        close(number(cost, "usd"), usd);
        close(number(cost, "usd_per_year"), usd * 8760.0);
        close(number(cost, "by_pool.b.usd"), 12.0);
        for parts in ["by_pool", "by_market", "by_region", "by_part", "by_tier"] {
            close(sum(&cost[parts], "usd"), usd);
        }
        // What a million costs follows from what was answered.
        let answered = number(&result, "throughput.requests_per_s") * 3600.0;
        close(
            number(cost, "usd_per_million_requests"),
            usd / answered * 1e6,
        );
        close(
            number(cost, "usd_per_million_output_tokens"),
            usd / answered / 200.0 * 1e6,
        );
        // All requests are alike: tiers pay in each pool by how many it answered of theirs.
        let premium = number(cost, "by_tier.premium.usd") / usd;
        assert!((premium - 0.25).abs() < 0.02, "{premium}");
        // In time by the objective are as many as the tiers' objectives say (batch has none).
        let within = number(cost, "by_tier.premium.usd_per_million_within_objective")
            / number(cost, "by_tier.premium.usd_per_million_requests");
        let attained = number(&result, "slo.0.attained");
        assert!(
            (1.0 / within - attained).abs() < 0.01,
            "{within} {attained}"
        );
    }
}

#[test]
fn energy_is_that_of_busy_and_idle_time() {
    let result = result_of(&fleet(
        "[cost.energy]\nidle_w_per_gpu = 100\nhost_w_per_gpu = 50\npue = 1.5\nusd_per_kwh = 0.2\n",
    ));
    let energy = &result["cost"]["energy"];
    // The TDP of an H100 is 700 W, that of an L40S 350 W.
    let busy = |pool: usize| number(&result, &format!("pools.{pool}.utilization"));
    let kw = |busy: f64, watts: f64, gpus: f64| {
        1.5 * gpus * (50.0 + busy * watts + (1.0 - busy) * 100.0) / 1e3
    };
    let (a, b) = (kw(busy(0), 700.0, 4.0), kw(busy(1), 350.0, 4.0));
    let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-6 * b, "{a} {b}");
    near(number(energy, "by_pool.a.kw"), a);
    near(number(energy, "by_pool.b.kw"), b);
    near(number(energy, "kw"), a + b);
    near(number(energy, "usd_per_year"), (a + b) * 0.2 * 8760.0);
    // Northern Virginia and Ireland, as the price book has them.
    near(
        number(energy, "kg_co2_per_hour"),
        (a * 323.05 + b * 290.0) / 1e3,
    );
    // Nobody has a price.
    assert!(result["cost"]["usd"].is_null());
}

#[test]
fn bytes_that_leave_a_region_are_those_of_what_was_answered() {
    let result = result_of(&fleet(
        "[cost.egress]\nprovider = \"aws\"\nbytes_per_prompt_token = 4\nbytes_per_output_token = 100\n",
    ));
    let egress = &result["cost"]["egress"];
    let away = number(&result, "pools.1.completed");
    let all = away + number(&result, "pools.0.completed");
    assert!(away > 1000.0 && away < all / 2.0, "{away} {all}");
    let gb = |requests: f64, tokens: f64, bytes: f64| requests * tokens * bytes / 1e9;
    // Prompts there and answers back at $0.02, answers to clients at $0.09.
    close(number(egress, "ways.0.gb_per_hour"), gb(away, 1000.0, 4.0));
    close(number(egress, "ways.1.gb_per_hour"), gb(away, 200.0, 100.0));
    let out = number(egress, "ways.2.gb_per_hour");
    assert!((out / gb(all, 200.0, 100.0) - 1.0).abs() < 0.01);
    let usd = 0.02 * (gb(away, 1000.0, 4.0) + gb(away, 200.0, 100.0)) + 0.09 * out;
    close(number(egress, "usd_per_hour"), usd);
}

#[test]
fn a_tier_has_a_backlog_and_a_deadline() {
    let result = result_of(&fleet(""));
    // Little's law: as many are there on average as come a second times how long they stay.
    let rate = number(&result, "tiers.1.requests_per_s");
    let stay = number(&result, "latency.e2e_ms.mean") / 1e3;
    let backlog = number(&result, "tiers.1.backlog_mean");
    assert!((backlog / (rate * stay) - 1.0).abs() < 0.02, "{backlog}");
    assert_eq!(number(&result, "tiers.1.backlog_at_end"), 0.0);
    // 1 - exp(-1.1) of those that wait for nobody, a little less for the rest and for the way.
    let kept = number(&result, "tiers.1.by_deadline_share");
    assert!((0.55..0.667).contains(&kept), "{kept}");
    let counted = number(&result, "tiers.1.by_deadline") + number(&result, "tiers.1.past_deadline");
    assert_eq!(counted, number(&result, "slo.1.counted"));
    assert!(result["tiers"][0]["by_deadline"].is_null());
}

#[test]
fn a_series_of_prices_and_a_book_of_ones_own_are_billed() {
    let dir = tempfile::tempdir().unwrap();
    let prices = dir.path().join("prices.csv");
    std::fs::write(&prices, "seconds,usd_per_hour\n0,10\n900,20\n").unwrap();
    let book = dir.path().join("book.toml");
    std::fs::write(
        &book,
        "[[compute]]\nprovider = \"me\"\npart = \"l40s\"\nregion = \"*\"\ngpus_per_node = 2\n\
         on_demand_usd_per_gpu_hour = 1.25\nsource = \"a contract\"\nas_of = \"2026\"\n\
         [[billing]]\nprovider = \"me\"\ngranularity_s = 7200\nminimum_s = 7200\n\
         billed_from = \"request\"\nsource = \"a contract\"\nkind = \"documented\"\n",
    )
    .unwrap();
    let result = result_of(&fleet(&format!(
        "[cost]\nprice_book = {book:?}\n\
         [[capacity.groups]]\nname = \"a\"\npool = \"a\"\nmarket = \"spot\"\nprice_series = {prices:?}\n\
         [[capacity.groups]]\nname = \"b\"\npool = \"b\"\nprice = {{ provider = \"me\", region = \"x\" }}\n"
    )));
    let cost = &result["cost"];
    // A quarter of an hour at $10, the rest at $20; two nodes of two for two hours at $1.25.
    close(number(cost, "by_pool.a.usd"), 2.5 + 15.0);
    close(number(cost, "by_pool.b.usd"), 2.0 * 2.0 * 2.0 * 1.25);
    let origin = |figure: &str| {
        let all = result["provenance"].as_array().unwrap();
        let found = all.iter().find(|it| it["figure"] == figure).unwrap();
        found["origin"].as_str().unwrap().to_owned()
    };
    assert!(origin("a: price").contains("2 prices of"));
    assert!(origin("b: price").contains("a contract"));
}

#[test]
fn stored_bytes_are_paid_for_by_the_month() {
    let result = result_of(&fleet(
        "[cost]\non_demand_usd_per_gpu_hour = 3\n\
         storage = { provider = \"aws\", class = \"object\", gb = 1000 }\n",
    ));
    let cost = &result["cost"];
    // 1,000 GB at $0.023 a month, twelve times a year.
    close(number(cost, "storage.usd_per_year"), 1000.0 * 0.023 * 12.0);
    let total = number(cost, "usd_per_year") + 276.0;
    close(number(cost, "total_usd_per_year"), total);
}

#[test]
fn what_has_no_price_is_refused() {
    let refused = |more: &str, what: &str| {
        let error = common::refusal(&fleet(more));
        assert!(error.contains(what), "{error}");
    };
    refused(
        "[[capacity.groups]]\nname = \"a\"\npool = \"a\"\nusd_per_gpu_hour = 2\n[cost.energy]\n",
        "pools.b.name",
    );
    refused(
        "[[capacity.groups]]\nname = \"a\"\npool = \"a\"\n",
        "has no price",
    );
    refused("[cost]\n", "states nothing");
    refused("[cost]\nspot_share = 0.5\n", "needs both prices");
    refused("[cost]\nprice_book = \"nowhere.toml\"\n", "nowhere.toml");
    refused("[cost.egress]\nprovider = \"nobody\"\n", "nobody");
    let storage = |class: &str, gb: f64| {
        format!("[cost.storage]\nprovider = \"aws\"\nclass = \"{class}\"\ngb = {gb}\n")
    };
    refused(&storage("tape", 1.0), "tape");
    refused(&storage("object", -1.0), "cost.storage.gb");
    refused(
        "[[capacity.groups]]\nname = \"a\"\npool = \"a\"\nusd_per_gpu_hour = 2\n\
         price_series = \"p.csv\"\nmarket = \"spot\"\n",
        "cannot be stated beside usd_per_gpu_hour",
    );
}
