//! Routers that go by cost or latency send requests where a hand calculation says.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::common;

use common::{e2e_ns, rows_of};

/// A dear fast node, a cheap slow one, and one that is slower yet and dear; requests once a second.
fn fleet(router: &str, every_s: f64, more: &str) -> String {
    let pool = |name: &str, ms: u32, usd: f64| {
        format!(
            "[[pools]]\nname = \"{name}\"\nengine = \"abstract\"\nservers = 2\n\
             service = {{ law = \"deterministic\", mean_ms = {ms} }}\n\
             [[capacity.groups]]\nname = \"{name}\"\npool = \"{name}\"\nusd_per_gpu_hour = {usd}\n"
        )
    };
    format!(
        "name = \"worth\"\n[run]\nhorizon_s = 40\nwarmup_s = 0\n\
         [workload]\narrivals = {{ process = \"constant\", rate_per_s = {} }}\n\
         [router]\n{router}\n{}{}{}{more}",
        1.0 / every_s,
        pool("fast", 1000, 10.0),
        pool("cheap", 3000, 1.0),
        pool("dear", 4000, 20.0),
    )
}

fn pools_of(text: &str) -> Vec<String> {
    let pools = ["fast", "cheap", "dear"];
    let rows = rows_of(text);
    assert!(rows.iter().all(|row| row.status == "completed"));
    rows.iter()
        .map(|row| pools[usize::from(row.pool.unwrap())].to_owned())
        .collect()
}

fn count(pools: &[String], name: &str) -> usize {
    pools.iter().filter(|pool| *pool == name).count()
}

#[test]
fn the_cheapest_with_a_seat_is_taken_and_then_the_next() {
    // Three seconds on two servers: requests every two seconds always find a cheap one.
    let calm = pools_of(&fleet("policy = \"cheapest\"", 2.0, ""));
    assert_eq!(count(&calm, "cheap"), calm.len());
    // Every second, it is full for one of three: the next cheapest is the fast one.
    let busy = pools_of(&fleet("policy = \"cheapest\"", 1.0, ""));
    assert_eq!(
        &busy[..6],
        ["cheap", "cheap", "fast", "cheap", "cheap", "fast"]
    );
    assert_eq!(count(&busy, "dear"), 0);
    // Ten times as fast: all are full, and the one that is fastest then is taken.
    let storm = pools_of(&fleet("policy = \"cheapest\"", 0.1, ""));
    assert_eq!(
        &storm[..6],
        ["cheap", "cheap", "fast", "fast", "dear", "dear"]
    );
    assert!(count(&storm, "fast") > count(&storm, "cheap"));
    assert!(count(&storm, "cheap") > count(&storm, "dear"));
}

#[test]
fn the_cheapest_within_a_bound_waits_where_that_is_no_matter() {
    // Six seconds are two turns at the cheap one: four requests there, then the others.
    let within = |ms: u32| {
        pools_of(&fleet(
            &format!("policy = \"cheapest\"\nwithin_ms = {ms}"),
            0.1,
            "",
        ))
    };
    let six = within(6000);
    assert_eq!(&six[..5], ["cheap", "cheap", "cheap", "cheap", "fast"]);
    // Two seconds are too few for any but the fast one, and for that with two turns.
    let two = within(2000);
    assert_eq!(&two[..4], ["fast", "fast", "fast", "fast"]);
}

#[test]
fn the_fastest_is_taken_with_what_is_there_and_the_way() {
    let calm = pools_of(&fleet("policy = \"fastest\"", 2.0, ""));
    assert_eq!(count(&calm, "fast"), calm.len());
    // Expected times at the fast one with 0 to 6 others: 1, 1, 1.5, 2, 2.5, 3, 3.5 s; the cheap one
    // takes 3.
    let busy = pools_of(&fleet("policy = \"fastest\"", 0.001, "").replace(
        "rate_per_s = 1000 }",
        "rate_per_s = 1000 }\nmax_requests = 8",
    ));
    assert_eq!(
        &busy[..8],
        [
            "fast", "fast", "fast", "fast", "fast", "cheap", "cheap", "fast"
        ]
    );
    // A way of two seconds there and back makes it the third choice.
    let far = "[[regions]]\nname = \"here\"\n[[regions]]\nname = \"there\"\n\
               [network]\nrtt_ms = { \"here/there\" = 2500 }\n\
               [[populations]]\nname = \"all\"\nregion = \"here\"\n\
               [locality]\npolicy = \"spill_over\"\nfull_at = 1000\n";
    let text = fleet("policy = \"fastest\"", 2.0, far)
        .replace(
            "name = \"fast\"\nengine",
            "name = \"fast\"\nregion = \"there\"\nengine",
        )
        .replace(
            "name = \"cheap\"\nengine",
            "name = \"cheap\"\nregion = \"here\"\nengine",
        )
        .replace(
            "name = \"dear\"\nengine",
            "name = \"dear\"\nregion = \"here\"\nengine",
        );
    let far = pools_of(&text);
    assert_eq!(count(&far, "cheap"), far.len());
}

#[test]
fn by_latency_all_nodes_together_are_faster_than_any_alone() {
    let mean = |router: &str, text: &dyn Fn(String) -> String| {
        let rows = rows_of(&text(fleet(router, 0.4, "")));
        rows.iter().map(e2e_ns).sum::<u64>() as f64 / rows.len() as f64
    };
    let same = |text| text;
    let fastest = mean("policy = \"fastest\"", &same);
    for other in ["round_robin", "random", "least_request"] {
        assert!(
            fastest < mean(&format!("policy = \"{other}\""), &same),
            "{other}"
        );
    }
    // More requests than the fast node can do: with the others nobody waits for long.
    assert!(fastest < 2.5e9, "{fastest}");
}

#[test]
fn what_it_goes_by_must_be_known() {
    let text = "name = \"x\"\n[workload]\narrivals = { process = \"poisson\", rate_per_s = 1 }\n\
                [router]\npolicy = \"cheapest\"\n[[pools]]\nname = \"p\"\nengine = \"abstract\"\n\
                service = { law = \"exponential\", mean_ms = 10 }\n";
    let error = common::refusal(text);
    assert!(error.contains("pools.p.name"), "{error}");
    assert!(error.contains("no price"), "{error}");
    let bad = text.replace("\"cheapest\"", "\"cheapest\"\nwithin_ms = 0");
    assert!(common::refusal(&bad).contains("router.within_ms"));
}
