//! First come, first served, request by request and to the nanosecond: the waits of one server
//! follow Lindley's recursion, those of several the recursion of Kiefer and Wolfowitz.

#![allow(clippy::unwrap_used, clippy::panic)]

use crate::common;

use common::rows_of;

const ARRIVALS: [&str; 4] = [
    r#"{ process = "poisson", rate_per_s = 90 }"#,
    r#"{ process = "gamma", rate_per_s = 90, cv = 3 }"#,
    r#"{ process = "constant", rate_per_s = 90 }"#,
    r#"{ process = "on_off", on_rate_per_s = 300, on_mean_s = 0.5, off_mean_s = 1.5 }"#,
];

const SERVICES: [&str; 4] = [
    r#"{ law = "exponential", mean_ms = MEAN }"#,
    r#"{ law = "lognormal", mean_ms = MEAN, scv = 4 }"#,
    r#"{ law = "deterministic", mean_ms = MEAN }"#,
    r#"{ law = "hyperexponential", mean_ms = MEAN, scv = 9 }"#,
];

fn holds_for(servers: usize) {
    for seed in [1, 2, 77] {
        for arrivals in ARRIVALS {
            for service in SERVICES {
                let service = service.replace("MEAN", &(10 * servers).to_string());
                let text = format!(
                    "name = \"queue\"\n[run]\nseed = {seed}\nhorizon_s = 30\n\
                     [workload]\narrivals = {arrivals}\n[[pools]]\nname = \"pool\"\n\
                     engine = \"abstract\"\nservers = {servers}\nservice = {service}\n"
                );
                let rows = rows_of(&text);
                assert!(rows.len() > 500, "{} requests\n{text}", rows.len());
                // When each server is free next, soonest first.
                let mut free = vec![0u64; servers];
                let mut waited = 0;
                for row in &rows {
                    let begins = row.scheduled_ns.unwrap();
                    assert_eq!(row.queued_ns, Some(row.arrival_ns));
                    let expected = row.arrival_ns.max(free[0]);
                    assert_eq!(begins, expected, "request {} of\n{text}", row.id);
                    waited += usize::from(begins > row.arrival_ns);
                    free[0] = row.last_token_ns.unwrap();
                    free.sort_unstable();
                }
                assert!(waited > rows.len() / 20 || service.contains("deterministic"));
            }
        }
    }
}

#[test]
fn waits_of_one_server_follow_lindley() {
    holds_for(1);
}

#[test]
fn waits_of_three_servers_follow_kiefer_and_wolfowitz() {
    holds_for(3);
}

#[test]
fn waits_follow_lindley_in_its_own_form() {
    let rows = rows_of(
        "name = \"queue\"\n[run]\nseed = 5\nhorizon_s = 100\n[workload]\n\
         arrivals = { process = \"poisson\", rate_per_s = 95 }\n[[pools]]\nname = \"pool\"\n\
         engine = \"abstract\"\nservice = { law = \"erlang\", mean_ms = 10, stages = 3 }\n",
    );
    for pair in rows.windows(2) {
        let (one, next) = (&pair[0], &pair[1]);
        let wait = one.scheduled_ns.unwrap() - one.arrival_ns;
        let service = one.last_token_ns.unwrap() - one.scheduled_ns.unwrap();
        let gap = next.arrival_ns - one.arrival_ns;
        let next_wait = next.scheduled_ns.unwrap() - next.arrival_ns;
        assert_eq!(next_wait, (wait + service).saturating_sub(gap));
    }
}
