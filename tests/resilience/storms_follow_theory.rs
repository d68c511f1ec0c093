//! Storms of retries are as large as theory says, outlive what began them, and end where a budget
//! bounds them; turning work away keeps the rest in time.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)] // helpers of tests

use crate::common;

use common::{e2e_ns, plan_of, run_rows, simulate};
use rayon::prelude::*;
use seatrial::fleet::outcome::RequestRow;
use seatrial::fleet::request::Status;
use seatrial::measure::Interval;
use seatrial::measure::interval::{bonferroni_t_limit, t_quantile};
use seatrial::theory::{Mmck, erlang_b};

/// Probability that any check of a test is rejected though all are right.
const ALPHA: f64 = 1e-3;

/// Mean of independent replications, and its standard error.
fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let t = t_quantile(0.975, values.len() as f64 - 1.0);
    let interval = Interval::from_replications(values, 0.95).unwrap();
    (interval.estimate, interval.half_width / t)
}

// ---- amplification ---------------------------------------------------------------------------

const SERVERS: u64 = 10;

/// Load and retries of a loss system.
#[derive(Clone, Copy)]
struct Loss {
    offered: f64,
    retries: u16,
}

impl Loss {
    /// Tries per request, and the share of requests that are lost in the end, where retries come
    /// so late that they find the servers as if they had never been there: the tries are then a
    /// Poisson stream of the load `a (1 + B + ... + B^k)`, and `B` is Erlang's formula of that.
    fn exact(self) -> (f64, f64) {
        let tries = |b: f64| (0..=self.retries).map(|n| b.powi(n.into())).sum::<f64>();
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..200 {
            let b = (low + high) / 2.0;
            match erlang_b(SERVERS, self.offered * tries(b)).unwrap() > b {
                true => low = b,
                false => high = b,
            }
        }
        (tries(low), low.powi(i32::from(self.retries) + 1))
    }

    /// The same two of one replication, with a mean backoff of so many services.
    fn simulated(self, backoff: f64, replication: u64) -> (f64, f64) {
        // A service lasts 1 ms.
        let settled_s = 10.0 * f64::from(self.retries) * backoff / 1e3;
        let text = format!(
            "name = \"loss\"\n[run]\nwarmup_s = 0\nhorizon_s = {}\n\
             [workload]\narrivals = {{ process = \"poisson\", rate_per_s = {} }}\n\
             [[pools]]\nname = \"p\"\nengine = \"abstract\"\nservers = {SERVERS}\n\
             queue_capacity = 0\nservice = {{ law = \"exponential\", mean_ms = 1 }}\n\
             [clients]\nmax_retries = {}\n\
             backoff = {{ base_ms = {backoff}, multiplier = 1, jitter = \"exponential\" }}\n",
            // Those that are counted meet traffic until their last try.
            2.0 * settled_s + 10.0,
            1e3 * self.offered,
            self.retries,
        );
        let (mut calls, mut tries, mut lost) = (0.0, 0.0, 0.0);
        run_rows(&plan_of(&text), replication, |row| {
            let since_s = row.arrival_ns as f64 / 1e9 - settled_s;
            if (0.0..10.0).contains(&since_s) {
                calls += 1.0;
                tries += f64::from(row.attempts);
                lost += f64::from(u8::from(row.status != "completed"));
            }
        });
        (tries / calls, lost / calls)
    }
}

#[test]
fn retries_multiply_load_as_the_fixed_point_of_erlangs_formula_says() {
    let systems = [(6.0, 1), (9.0, 1), (9.0, 3), (14.0, 2), (20.0, 1)];
    let replications = 12_u64;
    let limit = bonferroni_t_limit(ALPHA, 2 * systems.len(), replications as f64 - 1.0);
    let mut failures = String::new();
    for (offered, retries) in systems {
        let system = Loss { offered, retries };
        let exact = system.exact();
        // That retries come late is an approximation, whose error falls as one over the backoff:
        // twice the longer less the shorter takes it away, to the square of that.
        let pairs: Vec<(f64, f64)> = (0..replications)
            .into_par_iter()
            .map(|replication| {
                let short = system.simulated(100.0, 2 * replication);
                let long = system.simulated(200.0, 2 * replication + 1);
                (2.0 * long.0 - short.0, 2.0 * long.1 - short.1)
            })
            .collect();
        let tries: Vec<f64> = pairs.iter().map(|pair| pair.0).collect();
        let lost: Vec<f64> = pairs.iter().map(|pair| pair.1).collect();
        for (what, values, exact) in [("tries", tries, exact.0), ("lost", lost, exact.1)] {
            let (mean, error) = mean_and_error(&values);
            let z = (mean - exact) / error;
            let told = format!(
                "a {offered} k {retries} {what}: exact {exact:.5} found {mean:.5} +- {error:.5} \
                 z {z:+.2} of {limit:.2}\n"
            );
            print!("{told}");
            if z.abs() > limit {
                failures.push_str(&told);
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn the_sooner_clients_try_again_the_more_often_they_do() {
    // Who tries again at once finds the servers as full as they were: more tries than the fixed
    // point has, and the fewer more the longer they wait.
    let system = Loss {
        offered: 9.0,
        retries: 3,
    };
    let replications = 24_u64;
    let excess = |backoff: f64| -> Vec<f64> {
        let tries = (0..replications).into_par_iter();
        let tries = tries.map(|replication| system.simulated(backoff, replication).0);
        tries.map(|tries| tries - system.exact().0).collect()
    };
    let limit = bonferroni_t_limit(ALPHA, 3, replications as f64 - 1.0);
    let all = [0.3, 3.0, 30.0].map(excess);
    println!("{:?}", all.each_ref().map(|values| mean_and_error(values)));
    let (soonest, error) = mean_and_error(&all[0]);
    assert!(soonest > limit * error, "{soonest} +- {error}");
    for pair in all.windows(2) {
        // The same requests come in both.
        let less = pair[0].iter().zip(&pair[1]).map(|(soon, late)| soon - late);
        let (less, error) = mean_and_error(&less.collect::<Vec<f64>>());
        assert!(less > limit * error, "{less} +- {error}");
    }
}

#[test]
fn where_every_try_comes_too_late_each_retry_is_work_for_nobody() {
    for retries in [0_u64, 1, 3, 7] {
        let (rows, mut simulation) = simulate(&format!(
            "name = \"late\"\n[run]\nhorizon_s = 5\nwarmup_s = 0\n\
             [workload]\narrivals = {{ process = \"poisson\", rate_per_s = 20 }}\n\
             [[pools]]\nname = \"p\"\nengine = \"abstract\"\nservers = 1000\n\
             service = {{ law = \"deterministic\", mean_ms = 100 }}\n\
             [clients]\ntry_timeout_ms = 60\nmax_retries = {retries}\n"
        ));
        assert!(rows.len() > 50);
        assert!(rows.iter().all(|row| row.status == "timed_out"));
        let made = (retries + 1) * rows.len() as u64;
        let tries = simulation.world.meters.tries.clone();
        assert_eq!(tries.made, made);
        assert_eq!(tries.given_up, made);
        assert_eq!(tries.answered_for_nobody, made);
        // All of it was worked on, though only what fell into the time of arrivals is metered.
        let busy_ns = simulation.world.pool_meter(0).busy_ns;
        assert!(busy_ns <= u128::from(made) * 100_000_000);
        assert!(busy_ns >= u128::from(made - made / 5) * 100_000_000);
    }
}

// ---- metastable failure ------------------------------------------------------------------------

/// Ten servers of 100 ms, 70 % of them needed; clients wait a second and try again up to three
/// times.
fn fleet(trigger: &str, budget: &str) -> String {
    format!(
        "name = \"metastable\"\n[run]\nhorizon_s = 400\nwarmup_s = 0\n\
         [workload]\narrivals = {{ process = \"poisson\", rate_per_s = 70 }}\n\
         [[pools]]\nname = \"p\"\nengine = \"abstract\"\nservers = 10\n\
         service = {{ law = \"erlang\", mean_ms = 100, stages = 8 }}\n\
         [clients]\ntry_timeout_ms = 1000\nmax_retries = 3\nbackoff = {{ base_ms = 100 }}\n\
         {budget}{trigger}"
    )
}

/// Of the requests that arrived between two times: how many, and how many were answered.
fn answered(rows: &[RequestRow], from_s: u64, until_s: u64) -> (usize, usize) {
    let within = |row: &&RequestRow| (from_s..until_s).contains(&(row.arrival_ns / 1_000_000_000));
    let arrived = rows.iter().filter(within);
    let done = arrived.clone().filter(|row| row.status == "completed");
    (arrived.count(), done.count())
}

const SPIKE: &str =
    "[[faults.timeline]]\nat_s = 60\nfor_s = 10\nkind = \"traffic_spike\"\nfactor = 4\n";
const DROP: &str = "[[faults.timeline]]\nat_s = 60\nfor_s = 10\nkind = \"brown_out\"\n\
                    share = 0.8\ntarget = { pool = \"p\" }\n";

#[test]
fn a_storm_of_retries_outlives_its_trigger_and_a_budget_ends_it() {
    let budgets = [
        "retry_budget = { policy = \"envoy\", budget_pct = 20 }\n",
        "retry_budget = { policy = \"grpc\", max_tokens = 10, token_ratio = 0.1 }\n",
        "retry_budget = { policy = \"ratio\", ratio = 0.1, min_retries_per_s = 0 }\n",
    ];
    let calm = simulate(&fleet("", "")).0;
    let (arrived, done) = answered(&calm, 0, 400);
    assert!(arrived > 26_000);
    assert_eq!(done, arrived);
    for trigger in [SPIKE, DROP] {
        let storm = simulate(&fleet(trigger, "")).0;
        let (arrived, done) = answered(&storm, 0, 55);
        assert_eq!(done, arrived);
        // The trigger is over at 70 s. For more than thirty times as long nobody is answered,
        // though no more comes than before.
        let (arrived, done) = answered(&storm, 71, 390);
        assert!(arrived > 20_000);
        assert_eq!(done, 0, "{trigger}");
        for budget in budgets {
            let text = fleet(trigger, budget);
            let bounded = simulate(&text).0;
            let (arrived, done) = answered(&bounded, 0, 55);
            assert_eq!(done, arrived);
            let (arrived, done) = answered(&bounded, 300, 400);
            println!("{trigger}{budget}{done} of {arrived}");
            assert!(arrived > 6_000);
            assert_eq!(done, arrived, "{text}");
        }
        // Without retries at all it drains as a queue does.
        let once = fleet(trigger, "").replace("max_retries = 3", "max_retries = 0");
        let (arrived, done) = answered(&simulate(&once).0, 300, 400);
        assert_eq!(done, arrived);
    }
}

// ---- shedding ------------------------------------------------------------------------------------

/// Completions per second of requests within the objective of two seconds, from 100 s to 300 s, and
/// the share of those in time. Ten servers of 100 ms.
fn goodput(load: f64, bound: &str, replication: u64) -> (f64, f64) {
    let text = format!(
        "name = \"shedding\"\n[run]\nhorizon_s = 300\nwarmup_s = 0\n\
         [workload]\narrivals = {{ process = \"poisson\", rate_per_s = {} }}\n\
         [[pools]]\nname = \"p\"\nengine = \"abstract\"\nservers = 10\n\
         service = {{ law = \"exponential\", mean_ms = 100 }}\n{bound}\n",
        100.0 * load
    );
    let (mut good, mut done) = (0.0, 0.0);
    run_rows(&plan_of(&text), replication, |row| {
        let ended_s = row.last_token_ns.map_or(0, |ns| ns / 1_000_000_000);
        if row.status == "completed" && (100..300).contains(&ended_s) {
            done += 1.0;
            good += f64::from(u8::from(e2e_ns(row) <= 2_000_000_000));
        }
    });
    (good / 200.0, good / done)
}

#[test]
fn turning_work_away_keeps_the_rest_in_time_however_much_comes() {
    let bounds = [
        "queue_capacity = 20",
        "[health]\nlimits = { max_requests = 30 }",
    ];
    let loads = [1.0, 1.5, 2.0, 3.0];
    let replications = 12_u64;
    let checks = bounds.len() * loads.len();
    let limit = bonferroni_t_limit(ALPHA, checks, replications as f64 - 1.0);
    for load in loads {
        // Both are M/M/10/30: what is let in, all of it is in time.
        let exact = Mmck::new(100.0 * load, 10.0, 10, 30).unwrap().throughput();
        assert!(exact > 95.0);
        for bound in bounds {
            let runs = (0..replications).into_par_iter();
            let runs: Vec<(f64, f64)> = runs.map(|at| goodput(load, bound, at)).collect();
            let in_time: Vec<f64> = runs.iter().map(|run| run.1).collect();
            let (share, _) = mean_and_error(&in_time);
            assert!(share > 0.9999, "{share}");
            let good: Vec<f64> = runs.iter().map(|run| run.0).collect();
            let (mean, error) = mean_and_error(&good);
            let z = (mean - exact * share) / error;
            println!("{load} {bound:?}: exact {exact:.3} found {mean:.3} +- {error:.3} z {z:+.2}");
            assert!(z.abs() < limit, "{load} {bound}: {mean} of {exact}, z {z}");
        }
    }
    // Where all is let in nobody is in time, though the servers do as much.
    for load in [1.5, 2.0, 3.0] {
        assert_eq!(goodput(load, "", 0), (0.0, 0.0));
    }
}

#[test]
fn what_is_shed_is_counted_as_shed() {
    let (_, simulation) = simulate(
        "name = \"shed\"\n[run]\nhorizon_s = 5\nwarmup_s = 0\n[workload]\n\
         arrivals = { process = \"constant\", rate_per_s = 100 }\n\
         [[pools]]\nname = \"p\"\nengine = \"abstract\"\n\
         service = { law = \"deterministic\", mean_ms = 100 }\n\
         [health]\nlimits = { max_requests = 3 }\n",
    );
    let meters = &simulation.world.meters;
    let [done, shed] = [Status::Completed, Status::ShedLimit].map(|s| meters.ended[s.index()]);
    assert_eq!(done + shed, meters.arrived);
    // One leaves each 100 ms, and one takes its place.
    assert!((50..=53).contains(&done), "{done}");
}
