//! Given the step-time tables and the stated rules of another simulator (Vidur), the engine makes
//! the same batches in the same order, and every request has the same stamps.
//!
//! What is set up to be comparable: no gateway cost, hops or window; Vidur's blocks, batch cap,
//! watermark and token budget; its scheduler `vllm` is `vllm_v0` with a padded budget here, its
//! `sarathi` is `sarathi`. What differs and does not show in these runs: Vidur keeps one block free
//! for every running sequence even where it needs none (nothing is preempted here), and counts the
//! token that a prompt yields as in the cache one iteration earlier (its `sum_decode_kv` is the
//! context here plus one a sequence, which the tables below are asked with). Durations: the formula
//! on the tables gives each of Vidur's to 1e-6; stamps are then compared with Vidur's own durations,
//! since the tables are rounded and their error adds up over a run.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)] // helpers of tests

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use seatrial::fleet::Simulation;
use seatrial::fleet::outcome::RequestRow;
use seatrial::fleet::plan::EnginePlan;
use seatrial::fleet::simulation::Hooks;
use seatrial::perf::{DecodePiece, PrefillChunk, StepTimes};
use seatrial::scenario::resolve::resolve;
use seatrial::scenario::{Document, SourceText};

/// Relative difference at which two times are the same.
const SAME: f64 = 1e-6;

fn data() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/vidur");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("SKIPPED: {} is not there", folder.display());
    None
}

fn rows(path: &Path) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let records = reader.records();
    records
        .map(|record| record.unwrap().iter().map(str::to_owned).collect())
        .collect()
}

fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

/// One batch: prompts as `(chunk, processed)`, decoding sequences, their context, milliseconds.
#[derive(Debug, Clone, PartialEq)]
struct Batch {
    prefills: Vec<(u32, u32)>,
    decodes: u32,
    decode_kv: u64,
    ms: f64,
    /// When it began, by Vidur's clock; 0 here.
    start_ns: f64,
}

/// Vidur's step times: its tables, and its formula.
#[derive(Debug)]
struct VidurSteps {
    /// Sum of the operations of one layer by rounded tokens.
    token_ops: BTreeMap<u32, f64>,
    /// By sequences and rounded mean context.
    decode: BTreeMap<(u32, u64), f64>,
    /// By rounded context, then by the first chunk size of a stretch.
    prefill: BTreeMap<u64, BTreeMap<u32, f64>>,
    layers: f64,
    grouped: bool,
    /// Nanoseconds that each iteration is given: Vidur's own, once the formula has been compared
    /// with them. The tables are rounded to a nanosecond an operation, and what that leaves after
    /// a thousand iterations in a row is not to be taken for a difference in scheduling.
    given_ns: Vec<f64>,
    seen: Mutex<Vec<Batch>>,
}

fn up(value: u64, to: u64) -> u64 {
    value.div_ceil(to) * to
}

impl VidurSteps {
    fn load(folder: &Path, layers: f64, given_ns: Vec<f64>) -> VidurSteps {
        let mut ops = csv::Reader::from_path(folder.join("token_ops.csv")).unwrap();
        let names = ops.headers().unwrap().clone();
        let mut token_ops = BTreeMap::new();
        for row in ops.records() {
            let row = row.unwrap();
            let mut sum = 0.0;
            for (name, value) in names.iter().zip(row.iter()).skip(1) {
                // Two all-reduces a layer, each with the launch skew that Vidur adds.
                sum += match name.starts_with("all_reduce") {
                    true => 2.0 * (number::<f64>(value) + 0.02),
                    false => number::<f64>(value),
                };
            }
            token_ops.insert(number(&row[0]), sum);
        }
        let decode = rows(&folder.join("attn_decode.csv"));
        let decode = decode
            .iter()
            .map(|row| ((number(&row[0]), number(&row[1])), number(&row[2])));
        let mut prefill: BTreeMap<u64, BTreeMap<u32, f64>> = BTreeMap::new();
        for row in rows(&folder.join("attn_prefill_steps.csv")) {
            let stretch = prefill.entry(number(&row[0])).or_default();
            stretch.insert(number(&row[1]), number(&row[2]));
        }
        VidurSteps {
            token_ops,
            decode: decode.collect(),
            prefill,
            layers,
            grouped: true,
            given_ns,
            seen: Mutex::new(Vec::new()),
        }
    }

    fn ms(&self, prefills: &[(u32, u32)], decodes: u32, decode_kv: u64) -> f64 {
        let tokens: u32 = prefills.iter().map(|prefill| prefill.0).sum::<u32>() + decodes;
        let factor = |several: bool| if several && self.grouped { 1.1 } else { 1.0 };
        let mut layer = self.token_ops[&(up(u64::from(tokens), 8) as u32)];
        if decodes > 0 {
            let mean = up(decode_kv / u64::from(decodes), 64);
            layer += self.decode[&(decodes, mean)] * factor(decodes > 1);
        }
        if !prefills.is_empty() {
            let processed = prefills.iter().map(|prefill| up(u64::from(prefill.1), 64));
            let squares: f64 = prefills
                .iter()
                .map(|prefill| f64::from(prefill.0).powi(2))
                .sum();
            let chunk = squares.sqrt().round_ties_even() as u32;
            let stretches = &self.prefill[&processed.sum::<u64>()];
            let (_, ms) = stretches.range(..=chunk).next_back().unwrap();
            layer += ms * factor(prefills.len() > 1);
        }
        layer * self.layers
    }
}

impl StepTimes for VidurSteps {
    fn step_ns(&self, prefill: &[PrefillChunk], decodes: u32, context: u64) -> f64 {
        let prefills: Vec<(u32, u32)> = prefill
            .iter()
            .map(|chunk| (chunk.tokens, chunk.context))
            .collect();
        let decode_kv = context + u64::from(decodes);
        let ms = self.ms(&prefills, decodes, decode_kv);
        let mut seen = self.seen.lock().unwrap();
        seen.push(Batch {
            prefills,
            decodes,
            decode_kv,
            ms,
            start_ns: 0.0,
        });
        let given = self.given_ns.get(seen.len() - 1);
        given.copied().unwrap_or(ms * 1e6)
    }

    /// A piece for every iteration, so that each is seen.
    fn decode_piece(&self, decodes: u32, context: u64) -> DecodePiece {
        DecodePiece {
            base_ns: self.step_ns(&[], decodes, context),
            per_context_ns: 0.0,
            until_context: context + 1,
        }
    }
}

struct Setup {
    run: &'static str,
    tables: &'static str,
    layers: f64,
    tp: u32,
    kv_blocks: u64,
    replicas: usize,
    scheduler: &'static str,
}

fn scenario(setup: &Setup) -> String {
    let mut text = "name = \"vidur\"\n[workload]\narrivals = { process = \"trace\", path = \"trace.csv\" }\n[run]\nhorizon_s = 100000\n[router]\npolicy = \"round_robin\"\n".to_owned();
    // A pool for each replica, so that each has step times of its own to be read out.
    for index in 0..setup.replicas {
        text.push_str(&format!(
            "[[pools]]\nname = \"r{index}\"\nengine = \"llm\"\nmodel = \"{}\"\naccelerator = \"a100-sxm-80gb\"\ntp = {}\nkv_blocks = {}\nmax_num_seqs = 128\nwatermark = 0.01\n{}\n",
            if setup.layers > 40.0 { "llama-2-70b" } else { "llama-3.1-8b" },
            setup.tp,
            setup.kv_blocks,
            setup.scheduler
        ));
        if setup.layers > 40.0 {
            text.push_str("max_model_len = 4096\n");
        }
    }
    text
}

fn simulate(folder: &Path, setup: &Setup) -> (Vec<RequestRow>, Vec<Vec<Batch>>) {
    let dir = tempfile::tempdir().unwrap();
    let mut trace = "arrival_ns,prompt_tokens,output_tokens\n".to_owned();
    for row in rows(&folder.join(setup.run).join("requests.csv")) {
        let arrival_ns = (number::<f64>(&row[1]) * 1e9).round() as u64;
        trace.push_str(&format!("{arrival_ns},{},{}\n", row[2], row[3]));
    }
    std::fs::write(dir.path().join("trace.csv"), trace).unwrap();
    let document = Document::parse(SourceText::new("vidur.toml", scenario(setup))).unwrap();
    let plan = resolve(&document, dir.path()).unwrap_or_else(|error| panic!("{error}"));
    let mut fleet = plan.fleet;
    fleet.record_requests = true;
    let mut steps = Vec::new();
    let theirs = wanted_batches(folder, setup);
    for (pool, theirs) in fleet.pools.iter_mut().zip(theirs) {
        let given_ns = given_ns(&theirs);
        let tables = folder.join(setup.tables);
        let times = Arc::new(VidurSteps::load(&tables, setup.layers, given_ns));
        steps.push(Arc::clone(&times));
        if let EnginePlan::Llm { step, rules } = &mut pool.engine {
            *step = times;
            // Vidur floors the watermark.
            rules.watermark_blocks = (0.01 * setup.kv_blocks as f64) as u64;
        }
    }
    let mut found = Vec::new();
    let mut simulation = Simulation::new(Arc::new(fleet)).unwrap();
    simulation.run(
        u64::MAX,
        &mut Hooks {
            stop: None,
            progress: &mut |_| {},
            rows: &mut |rows| found.extend_from_slice(rows),
            audit: &mut |_| {},
        },
    );
    simulation.check().unwrap();
    found.sort_by_key(|row| row.id);
    let batches = steps
        .iter()
        .map(|steps| std::mem::take(&mut *steps.seen.lock().unwrap()));
    (found, batches.collect())
}

/// Vidur's own iterations, by replica.
fn wanted_batches(folder: &Path, setup: &Setup) -> Vec<Vec<Batch>> {
    let mut wanted = vec![Vec::new(); setup.replicas];
    for row in rows(&folder.join(setup.run).join("iterations.csv")) {
        let prefills = row[4].split('|').filter(|part| !part.is_empty());
        let pair = |part: &str| {
            let (chunk, processed) = part.split_once(':').unwrap();
            (number(chunk), number(processed))
        };
        wanted[number::<usize>(&row[1])].push(Batch {
            prefills: prefills.map(pair).collect(),
            decodes: number(&row[5]),
            decode_kv: number(&row[6]),
            ms: number::<f64>(&row[3]) * 1e3,
            start_ns: number::<f64>(&row[2]) * 1e9,
        });
    }
    wanted
}

/// Whole nanoseconds from each iteration to the next where one follows the other without a pause,
/// so that rounding does not add up; else its duration.
fn given_ns(batches: &[Batch]) -> Vec<f64> {
    let next = batches.iter().skip(1).map(|batch| batch.start_ns);
    let ends = next.chain(std::iter::once(f64::INFINITY));
    let each = batches.iter().zip(ends).map(|(batch, next)| {
        let (own, gap) = (batch.ms * 1e6, next - batch.start_ns);
        if (gap - own).abs() < 2.0 { gap } else { own }
    });
    each.collect()
}

fn check(setup: &Setup) {
    let Some(folder) = data() else { return };
    let (found, batches) = simulate(&folder, setup);
    let wanted = wanted_batches(&folder, setup);
    let mut count = 0;
    for (replica, (ours, theirs)) in batches.iter().zip(&wanted).enumerate() {
        for (index, (our, their)) in ours.iter().zip(theirs).enumerate() {
            let at = format!("{}, replica {replica}, iteration {index}", setup.run);
            assert_eq!(our.prefills, their.prefills, "{at}");
            assert_eq!(our.decodes, their.decodes, "{at}");
            assert_eq!(our.decode_kv, their.decode_kv, "{at}");
            assert!(
                (our.ms / their.ms - 1.0).abs() < SAME,
                "{at}: {our:?} {their:?}"
            );
        }
        assert_eq!(ours.len(), theirs.len(), "{}: iterations", setup.run);
        count += ours.len();
    }
    let per_request = rows(&folder.join(setup.run).join("per_request.csv"));
    assert_eq!(found.len(), per_request.len());
    // A replay begins with the first request.
    let requests = rows(&folder.join(setup.run).join("requests.csv"));
    let begin: f64 = number(&requests[0][1]);
    let mut worst: f64 = 0.0;
    for (our, their) in found.iter().zip(&per_request) {
        let s = |ns: Option<u64>| ns.unwrap() as f64 / 1e9;
        let arrival = s(Some(our.arrival_ns));
        for (ours, theirs) in [
            (begin + s(our.scheduled_ns), &their[2]),
            (begin + s(our.first_token_ns), &their[3]),
            (begin + s(our.last_token_ns), &their[4]),
            (s(our.first_token_ns) - arrival, &their[5]),
            (s(our.last_token_ns) - arrival, &their[6]),
        ] {
            let theirs: f64 = number(theirs);
            worst = worst.max((ours / theirs - 1.0).abs());
        }
        assert_eq!(our.replica.unwrap(), number::<u32>(&their[1]));
    }
    println!(
        "{}: {count} iterations and {} requests alike, times within {worst:.1e}",
        setup.run,
        found.len()
    );
    assert!(worst < SAME, "{}: {worst}", setup.run);
}

const VLLM: &str = "scheduler = \"vllm_v0\"\npadded_budget = true\nmax_num_batched_tokens = 4096";

#[test]
fn an_8b_model_under_vllm_makes_the_same_batches() {
    check(&Setup {
        run: "A_8b_tp1_vllm",
        tables: "tables_8b_a100_tp1",
        layers: 32.0,
        tp: 1,
        kv_blocks: 30_208,
        replicas: 1,
        scheduler: VLLM,
    });
}

#[test]
fn an_8b_model_under_sarathi_makes_the_same_batches() {
    check(&Setup {
        run: "B_8b_tp1_sarathi512",
        tables: "tables_8b_a100_tp1",
        layers: 32.0,
        tp: 1,
        kv_blocks: 30_208,
        replicas: 1,
        scheduler: "scheduler = \"sarathi\"\nmax_num_batched_tokens = 512",
    });
}

#[test]
fn a_70b_model_on_four_devices_makes_the_same_batches() {
    check(&Setup {
        run: "C_70b_tp4_vllm",
        tables: "tables_70b_a100_tp4",
        layers: 80.0,
        tp: 4,
        kv_blocks: 32_768,
        replicas: 1,
        scheduler: VLLM,
    });
}

#[test]
fn four_replicas_behind_a_round_robin_make_the_same_batches() {
    check(&Setup {
        run: "D_8b_x4_rr_vllm",
        tables: "tables_8b_a100_tp1",
        layers: 32.0,
        tp: 1,
        kv_blocks: 30_208,
        replicas: 4,
        scheduler: VLLM,
    });
}
