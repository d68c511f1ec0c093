//! seatrial: a deterministic discrete-event simulator of a whole LLM serving fleet.
//!
//! A *sea trial* is how a ship is proven before it sails. A scenario (one TOML file) describes the
//! traffic and the fleet that is to carry it; a run gives latencies, utilisation, costs, and a
//! verdict on every claim the scenario makes. The same scenario and seed give the same bytes.
//!
//! ```
//! use std::path::Path;
//! use seatrial::experiment::runner::{Control, run_scenario};
//! use seatrial::scenario::{Document, SourceText};
//!
//! let text = r#"
//!     name = "two-servers"
//!     workload.arrivals = { process = "poisson", rate_per_s = 150 }
//!     [[pools]]
//!     name = "servers"
//!     engine = "abstract"
//!     servers = 2
//!     service = { law = "exponential", mean_ms = 10 }
//! "#;
//! let document = Document::parse(SourceText::new("two-servers.toml", text))?;
//! let outcome = run_scenario(&document, Path::new(""), Control::default())?;
//! let mean_ms = outcome.result.latency.e2e_ms.mean.unwrap_or(0.0);
//! assert!((mean_ms - 22.86).abs() < 2.0); // M/M/2 at 75 % load
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The house
//!
//! | Module | What it knows |
//! |---|---|
//! | [`cli`] | one file per subcommand: raw text in, a validated plan out |
//! | [`scenario`] | what a user writes; [`scenario::resolve`] checks it as a whole and makes a plan |
//! | [`engine`] | the kernel, which knows nothing of fleets: time, event queue, random streams, run loop |
//! | [`fleet`] | the simulated system, one noun per file; [`fleet::world`] says who talks to whom |
//! | [`perf`] | how long an iteration takes and what fits the memory: cards, roofline, floors |
//! | [`workload`] | arrivals and lengths, streamed |
//! | [`trace`] | formats of traces, in and out |
//! | [`synthesis`] | a generator for a trace, and traces of any length from generators |
//! | [`theory`] | closed forms that simulated fleets are held against |
//! | [`inputs`] | which files were read |
//! | [`outputs`] | files that are written to their last byte |
//! | [`measure`] | histograms, intervals, warm-up, latency budget, objectives |
//! | [`money`] | prices, bills in whole nano-dollars, energy |
//! | [`observed`] | what logs and monitors tell of a real fleet |
//! | [`replay`] | an observed night, simulated beside what was observed of it |
//! | [`experiment`] | replications, claims with counterfactuals, estimates |
//! | [`calibrate`] | what is measured, imported or fitted: kernels of a GPU, model cards, engine overheads |
//! | [`validate`] | measured runs in, and how far a simulated run is from them |
//! | [`report`] | the terminal page, sheets, files of requests |
//!
//! New here? Read [`fleet::event`] (what can happen), then [`fleet::world`], then any component.

pub mod calibrate;
pub mod cli;
pub mod engine;
pub mod experiment;
pub mod fleet;
pub mod inputs;
pub mod measure;
pub mod money;
pub mod observed;
pub mod outputs;
pub mod perf;
pub mod replay;
pub mod report;
pub mod scenario;
pub mod synthesis;
pub mod theory;
pub mod trace;
pub mod validate;
pub mod workload;
