//! The number of nodes that closed forms ask for, and how far simulation moves it.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use crate::common;

use std::path::Path;

use seatrial::experiment::runner::Control;
use seatrial::experiment::sizing::{Sizing, by_simulation};
use seatrial::scenario::{Document, SourceText};

/// Nodes of one server, 100 ms of exponential service, a hundred requests a second; 99 % within half a
/// second.
fn fleet(router: &str, more: &str) -> String {
    format!(
        "name = \"sizing\"\n[run]\nhorizon_s = 2000\nwarmup_s = 100\n\
         [workload]\narrivals = {{ process = \"poisson\", rate_per_s = 100 }}\n{more}\
         [slo]\ne2e_ms = 500\ntarget = 0.98\n[router]\n{router}\n\
         [[pools]]\nname = \"p\"\nengine = \"abstract\"\nreplicas = 20\n\
         service = {{ law = \"exponential\", mean_ms = 100 }}\n"
    )
}

fn sizing(text: &str) -> Option<Sizing> {
    let document = Document::parse(SourceText::new("test.toml", text)).unwrap();
    let plan = common::plan_of(text);
    by_simulation(&document, Path::new(""), &plan, Control::default()).unwrap()
}

#[test]
fn one_queue_is_what_theory_takes_it_for_and_blind_routing_is_not() {
    // One node with all servers is M/M/c exactly: simulated alike.
    let one =
        fleet("policy = \"random\"", "").replace("replicas = 20", "replicas = 1\nservers = 12");
    let theory = sizing(&one).unwrap();
    assert_eq!((theory.theory_nodes, theory.simulated_nodes), (1, Some(1)));
    // Sent to any node at random, each is a queue by itself: M/M/1 with 98 % within 500 ms needs
    // mu - lambda = ln(50) / 0.5 = 7.82, so lambda <= 2.18 a node: 46 nodes.
    let random = sizing(&fleet("policy = \"random\"", "")).unwrap();
    let least = sizing(&fleet("policy = \"least_request\"\nchoices = 0", "")).unwrap();
    assert_eq!(random.theory_nodes, least.theory_nodes);
    let nodes = random.simulated_nodes.unwrap();
    assert!((44..=48).contains(&nodes), "{random:?}");
    // To the one with the least there, it is near what theory asks for.
    let nodes = least.simulated_nodes.unwrap();
    let theory = least.theory_nodes as u32;
    assert!((theory..=theory + 3).contains(&nodes), "{least:?}");
    assert!(least.moved_pct.unwrap() >= 0.0 && random.moved_pct.unwrap() > 100.0);
    // What was tried is told, and is met from the answer on.
    for tried in &random.tried {
        assert_eq!(tried.met, tried.nodes >= random.simulated_nodes.unwrap());
    }
}

#[test]
fn theory_goes_by_the_peak_of_a_profile() {
    let profile = "[workload.profile]\nshape = \"points\"\n\
                   points = [[0, 1], [900, 1], [1000, 2], [1100, 1]]\n";
    let flat = sizing(&fleet("policy = \"least_request\"\nchoices = 0", "")).unwrap();
    let peaked = sizing(&fleet("policy = \"least_request\"\nchoices = 0", profile)).unwrap();
    assert!(
        peaked.theory_nodes > 18 && flat.theory_nodes < 15,
        "{peaked:?} {flat:?}"
    );
    // It does not last: fewer nodes will do.
    assert!(u64::from(peaked.simulated_nodes.unwrap()) < peaked.theory_nodes);
}

#[test]
fn where_theory_does_not_apply_there_is_no_answer() {
    let shared = fleet("policy = \"random\"", "").replace(
        "engine = \"abstract\"",
        "engine = \"abstract\"\ndiscipline = \"processor_sharing\"",
    );
    assert!(sizing(&shared).is_none());
    let unmet = fleet("policy = \"random\"", "").replace("e2e_ms = 500", "e2e_ms = 100");
    assert!(sizing(&unmet).is_none());
}
