//! How fast the simulator is, in CPU time of one thread: `cargo bench --bench simulation`.
//!
//! Each line is the best of five runs, since whatever else runs on the machine only slows it down.
#![allow(clippy::print_stdout, clippy::expect_used)]

use std::path::Path;
use std::sync::Arc;

use seatrial::experiment::speed::{SHIPPED, hold_ns, time};
use seatrial::scenario::resolve::resolve;
use seatrial::scenario::{Document, SourceText};

const RUNS: u32 = 5;

fn main() {
    for pending in [100, 10_000, 1_000_000] {
        let ns = hold_ns(pending, RUNS);
        println!("event queue, {pending} pending: {ns:.0} ns a pop and a push");
    }
    for (name, text) in SHIPPED {
        let document = Document::parse(SourceText::new(name, text)).expect("valid TOML");
        let plan = resolve(&document, Path::new("")).expect("a valid scenario");
        let speed = time(name, &Arc::new(plan.fleet), RUNS).expect("no trace to open");
        println!(
            "{name}: {:.2} million requests/CPU-second, {:.0} ns an event, {:.1} events a request",
            speed.requests_per_cpu_s / 1e6,
            speed.ns_per_event,
            speed.events as f64 / speed.requests as f64
        );
    }
}
