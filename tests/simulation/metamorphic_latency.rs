//! Relations between runs that must hold exactly, whatever the numbers are: what is added to a hop
//! is added to every latency, what is scaled scales, and a change in one place moves nothing else.

use crate::common;

use common::{e2e_ns, rows_of};
use seatrial::fleet::outcome::RequestRow;
use seatrial::measure::{ks_distance_two, ks_limit};

const ABSTRACT: &str = r#"
[[pools]]
name = "p"
engine = "abstract"
servers = 2
replicas = 3
service = { law = "lognormal", mean_ms = 20, scv = 2 }
"#;

const LLM: &str = r#"
[[pools]]
name = "p"
engine = "llm"
replicas = 2
model = "llama-3.1-8b"
accelerator = "h100-sxm"
kv_blocks = 300
max_num_seqs = 16
"#;

fn scenario(more: &str, pool: &str) -> String {
    format!(
        "name = \"m\"\n{more}\n[run]\nwarmup_s = 0\nhorizon_s = 30\n[workload]\n\
         arrivals = {{ process = \"gamma\", rate_per_s = 100, cv = 2 }}\n\
         prompt_tokens = {{ law = \"lognormal\", mean_tokens = 200, cv = 1, max_tokens = 1000 }}\n\
         output_tokens = {{ law = \"exponential\", mean_tokens = 30, max_tokens = 300 }}\n{pool}"
    )
}

fn total_ns(rows: &[RequestRow]) -> Vec<u64> {
    rows.iter().map(e2e_ns).collect()
}

#[test]
fn what_is_added_to_a_fixed_hop_is_added_to_every_latency() {
    for pool in [ABSTRACT, LLM] {
        let base = total_ns(&rows_of(&scenario("", pool)));
        assert!(base.len() > 1_000);
        let server = |field: &str| pool.replace("kv_blocks", &format!("{field}\nkv_blocks"));
        // What a server does before and after its engine, where the pool has one.
        for (field, ns) in [
            ("request_overhead_ms = 2.5", 2_500_000),
            ("response_overhead_ms = 1.75", 1_750_000),
        ] {
            let turn = "router = { policy = \"round_robin\" }";
            let plain = rows_of(&scenario(turn, pool));
            let more = rows_of(&scenario(turn, &server(field)));
            let ns = if pool == LLM { ns } else { 0 };
            for (one, two) in plain.iter().zip(&more) {
                assert_eq!(e2e_ns(two), e2e_ns(one) + ns, "{field}");
                let first = |row: &RequestRow| row.first_token_ns.map(|at| at - row.arrival_ns);
                assert_eq!(first(two), first(one).map(|at| at + ns), "{field}");
            }
        }
        for (field, ns) in [
            ("network.to_replica_ms = 7.25", 7_250_000),
            ("network.from_replica_ms = 3.5", 3_500_000),
            ("gateway.cost_ms = 1.125", 1_125_000),
        ] {
            // Round robin does not look at answers, which an added hop delays for other policies.
            let turn = "router = { policy = \"round_robin\" }";
            let plain = total_ns(&rows_of(&scenario(turn, pool)));
            let more = total_ns(&rows_of(&scenario(&format!("{turn}\n{field}"), pool)));
            let moved: Vec<u64> = plain.iter().map(|latency| latency + ns).collect();
            assert_eq!(more, moved, "{field}");
        }
    }
}

#[test]
fn a_constant_service_that_grows_by_l_with_idle_servers_adds_l() {
    let pool = |ms: f64| {
        format!(
            "[[pools]]\nname = \"p\"\nengine = \"abstract\"\nservers = 10000\n\
             service = {{ law = \"deterministic\", mean_ms = {ms} }}"
        )
    };
    let short = total_ns(&rows_of(&scenario("", &pool(5.0))));
    let long = total_ns(&rows_of(&scenario("", &pool(6.5))));
    assert!(
        short
            .iter()
            .zip(&long)
            .all(|(short, long)| short + 1_500_000 == *long)
    );
}

#[test]
fn scaling_every_time_by_k_scales_every_result_by_k() {
    let scaled = |k: f64, arrivals: &str, service: &str| {
        rows_of(&format!(
            "name = \"m\"\nnetwork.to_replica_ms = {}\ngateway.cost_ms = {}\n[run]\nwarmup_s = 0\n\
             horizon_s = {}\n[workload]\narrivals = {{ {arrivals}, rate_per_s = {} }}\n\
             [[pools]]\nname = \"p\"\nengine = \"abstract\"\nservers = 2\n\
             service = {{ {service}, mean_ms = {} }}",
            k * 2.0,
            k * 0.5,
            k * 50.0,
            100.0 / k,
            k * 18.0
        ))
    };
    // Binary powers of a constant law scale to the nanosecond.
    let one = scaled(1.0, "process = \"constant\"", "law = \"deterministic\"");
    let four = scaled(4.0, "process = \"constant\"", "law = \"deterministic\"");
    assert!(one.len() > 4_000);
    assert!(
        one.iter()
            .zip(&four)
            .all(|(one, four)| 4 * e2e_ns(one) == e2e_ns(four))
    );
    // Random ones are rounded to whole nanoseconds, so a sum over a busy period drifts a little.
    let one = scaled(1.0, "process = \"poisson\"", "law = \"exponential\"");
    let four = scaled(4.0, "process = \"poisson\"", "law = \"exponential\"");
    assert_eq!(one.len(), four.len());
    for (one, four) in one.iter().zip(&four) {
        let drift = (4 * e2e_ns(one)).abs_diff(e2e_ns(four));
        assert!(drift < 10_000, "{drift} ns on {} ns", e2e_ns(four));
    }
}

#[test]
fn a_second_identical_pool_at_twice_the_rate_leaves_the_distribution() {
    let run = |pools: u32, rate: u32, seed: u32| {
        let pool = |index| {
            format!(
                "[[pools]]\nname = \"p{index}\"\nengine = \"abstract\"\n\
                 service = {{ law = \"exponential\", mean_ms = 10 }}"
            )
        };
        let pools: Vec<String> = (0..pools).map(pool).collect();
        let rows = rows_of(&format!(
            "name = \"m\"\nrouter = {{ policy = \"random\" }}\n[run]\nseed = {seed}\nwarmup_s = 0\n\
             horizon_s = 4000\n[workload]\narrivals = {{ process = \"poisson\", rate_per_s = {rate} }}\n\
             {}",
            pools.join("\n")
        ));
        // Every fortieth request: near enough to independent at half load for the limit to hold.
        let far_apart = rows.iter().skip(1_000).step_by(40);
        far_apart
            .map(|row| e2e_ns(row) as f64)
            .collect::<Vec<f64>>()
    };
    let (mut one, mut two) = (run(1, 50, 1), run(2, 100, 2));
    let size = (one.len() * two.len()) as f64 / (one.len() + two.len()) as f64;
    let distance = ks_distance_two(&mut one, &mut two);
    assert!(one.len() > 4_000);
    assert!(distance < ks_limit(size, 1e-4), "{distance}");
    // The check has teeth: a busier queue is told apart.
    let mut busier = run(1, 60, 3);
    assert!(ks_distance_two(&mut one, &mut busier) > ks_limit(size, 1e-4));
}

#[test]
fn a_change_in_one_place_moves_no_other_draws() {
    let stamps = |rows: &[RequestRow]| rows.iter().map(|row| row.arrival_ns).collect::<Vec<_>>();
    let prompts =
        |rows: &[RequestRow]| rows.iter().map(|row| row.prompt_tokens).collect::<Vec<_>>();
    let base = rows_of(&scenario("", ABSTRACT));
    for more in [
        "router = { policy = \"random\" }",
        "tiers = [{ name = \"a\" }, { name = \"b\" }]",
        "batching.window_ms = 3",
        "gateway.cost_ms = 1",
    ] {
        let changed = rows_of(&scenario(more, ABSTRACT));
        assert_eq!(stamps(&base), stamps(&changed), "{more}");
        assert_eq!(prompts(&base), prompts(&changed), "{more}");
    }
    let text = scenario("", ABSTRACT).replace("mean_tokens = 30", "mean_tokens = 60");
    let longer = rows_of(&text);
    assert_eq!(stamps(&base), stamps(&longer));
    assert_eq!(prompts(&base), prompts(&longer));
    let other = rows_of(&scenario("", ABSTRACT).replace("[run]", "[run]\nseed = 2"));
    assert_ne!(stamps(&base), stamps(&other));
}
