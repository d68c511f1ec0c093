//! The example that the library's documentation begins with.

use std::path::Path;

use seatrial::experiment::runner::{Control, run_scenario};
use seatrial::scenario::{Document, SourceText};

/// The example, line by line.
fn example() -> Result<(), Box<dyn std::error::Error>> {
    let text = r#"
        name = "two-servers"
        workload.arrivals = { process = "poisson", rate_per_s = 150 }
        [[pools]]
        name = "servers"
        engine = "abstract"
        servers = 2
        service = { law = "exponential", mean_ms = 10 }
    "#;
    let document = Document::parse(SourceText::new("two-servers.toml", text))?;
    let outcome = run_scenario(&document, Path::new(""), Control::default())?;
    let mean_ms = outcome.result.latency.e2e_ms.mean.unwrap_or(0.0);
    assert!((mean_ms - 22.86).abs() < 2.0); // M/M/2 at 75 % load
    Ok::<(), Box<dyn std::error::Error>>(())
}

#[test]
fn the_example_of_the_documentation_runs() {
    example().unwrap();
    // What runs here is what stands there.
    let here = include_str!("the_library_runs_its_example.rs");
    let here: Vec<&str> = here.lines().map(str::trim).collect();
    let there = include_str!("../../src/lib.rs");
    let mut fences = there
        .lines()
        .enumerate()
        .filter(|(_, line)| *line == "//! ```");
    let (first, _) = fences.next().unwrap();
    let (last, _) = fences.next().unwrap();
    let lines = there.lines().skip(first + 1).take(last - first - 1);
    let mut compared = 0;
    for line in lines {
        let line = line
            .trim_start_matches("//!")
            .trim()
            .trim_start_matches("# ");
        let known = line.is_empty() || here.contains(&line);
        assert!(known, "src/lib.rs has {line:?}, which is not run here");
        compared += usize::from(!line.is_empty());
    }
    assert!(compared >= 15, "{compared}");
}
