//! `seatrial calibrate fit`: measurements are made by simulating servers with known overheads, and the fit
//! finds these again, says which of them it cannot tell apart, and is honest about rows it has not seen.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use assert_cmd::Command;
use seatrial::calibrate::engine::fitted::{Estimate, Fit};
use seatrial::calibrate::engine::judge::{Asked, FitError, fit};
use seatrial::calibrate::engine::measurement::{Measurement, Observed};
use seatrial::calibrate::engine::model::Model;
use seatrial::calibrate::engine::parameter::{Parameter, Values};
use seatrial::calibrate::regression::robust::Loss;
use serde_json::Value;

/// What is planted: fixed, per sequence, per request, per prompt token, and the two factors.
const PLANTED: Values = [1_500.0, 20.0, 12.0, 4.0, 1.3, 1.1];

/// A row without times.
fn row(prompt: u32, output: u32, users: u32) -> Measurement {
    Measurement {
        engine: Some("vllm".to_owned()),
        model: Some("llama-3.1-8b".to_owned()),
        accelerator: Some("h100-sxm".to_owned()),
        tp: Some(1),
        prompt_tokens: Some(prompt),
        output_tokens: Some(output),
        concurrency: Some(users),
        requests: Some(4 * users),
        ttft_ms: Some(1.0),
        tpot_ms: Some(1.0),
        ..Measurement::default()
    }
}

/// Lengths and users that tell all unknowns apart.
fn plan() -> Vec<Measurement> {
    let mut rows = Vec::new();
    for (prompt, output) in [
        (64, 64),
        (256, 32),
        (1_024, 96),
        (4_096, 32),
        (2_048, 128),
        (512, 256),
    ] {
        for users in [1, 4, 16, 64] {
            rows.push(row(prompt, output, users));
        }
    }
    rows
}

/// The rows as a server with these values would have been measured, each time off by its factor.
fn served(
    rows: &[Measurement],
    values: Values,
    off: impl Fn(usize) -> (f64, f64),
) -> Vec<Measurement> {
    let observed = observed(rows);
    let asked: Vec<(usize, Values)> = (0..rows.len()).map(|at| (at, values)).collect();
    let means = Model::new(&observed, &[]).means(&asked);
    let rows = rows.iter().zip(means).enumerate();
    rows.map(|(at, (row, means))| {
        let (means, (ttft, tpot)) = (means.unwrap(), off(at));
        Measurement {
            ttft_ms: Some(means.ttft_ms * ttft),
            tpot_ms: Some(means.tpot_ms * tpot),
            ..row.clone()
        }
    })
    .collect()
}

fn observed(rows: &[Measurement]) -> Vec<Observed> {
    let rows = rows.iter().enumerate();
    rows.map(|(at, row)| row.observed(format!("row {at}")).unwrap())
        .collect()
}

fn asked(held: &[(Parameter, f64)], loss: Loss) -> Asked {
    Asked {
        held: held.iter().copied().collect(),
        loss,
        folds: 5,
        by_row: false,
        changes: Vec::new(),
        source: "a test".to_owned(),
    }
}

fn fitted(rows: &[Measurement], asked: &Asked) -> Fit {
    fit(&observed(rows), &BTreeMap::new(), asked).unwrap()
}

fn of(fit: &Fit, parameter: Parameter) -> &Estimate {
    &fit.parameters[parameter as usize]
}

/// Noise of one or two per cent, the same every time.
fn noise(at: usize) -> (f64, f64) {
    let share = |step: usize| ((at * step % 17) as f64 / 8.0 - 1.0) * 0.01;
    (1.0 + 2.0 * share(5), 1.0 + share(7))
}

/// Rows that somebody has written down wrongly: 5 of 24.
fn wild(at: usize) -> bool {
    at % 5 == 2
}

/// The planted rows with noise, and wild ones among them.
static ROWS: LazyLock<Vec<Measurement>> = LazyLock::new(|| {
    served(&plan(), PLANTED, |at| {
        let (ttft, tpot) = noise(at);
        match wild(at) {
            true => (ttft * 3.0, tpot * 2.0),
            false => (ttft, tpot),
        }
    })
});

#[test]
fn planted_values_are_found_among_wild_rows() {
    let fit = fitted(&ROWS, &asked(&[], Loss::Tukey));
    for parameter in Parameter::ALL {
        let one = of(&fit, parameter);
        let (low, high) = one.interval.unwrap();
        let planted = PLANTED[parameter as usize];
        assert!(low <= one.value && one.value <= high, "{one:?}");
        // Within the interval, or within a fifth: it is one of 95 %, of six unknowns at once.
        let near = (one.value / planted - 1.0).abs() < 0.2;
        assert!(
            near || (low <= planted && planted <= high),
            "{planted}: {one:?}"
        );
    }
    // Together they are right to a per cent or two wherever the rows are not wild.
    for (at, row) in fit.rows.iter().enumerate() {
        let (ttft, tpot) = Fit::errors_pct(row);
        assert_eq!(
            row.weights.0 < 0.5 && row.weights.1 < 0.5,
            wild(at),
            "{at}: {row:?}"
        );
        assert!(
            wild(at) || (ttft.abs() < 6.0 && tpot.abs() < 4.0),
            "{at}: {ttft} {tpot}"
        );
    }
    assert!(of(&fit, Parameter::DecodeTimeFactor).value > 1.0);
    // With squares the wild rows lead.
    let squares = fitted(&ROWS, &asked(&[], Loss::Squares));
    let off = |fit: &Fit| {
        let each =
            Parameter::ALL.map(|one| (of(fit, one).value / PLANTED[one as usize] - 1.0).abs());
        each.iter().sum::<f64>()
    };
    assert!(
        off(&squares) > 2.0 * off(&fit),
        "{} {}",
        off(&squares),
        off(&fit)
    );
}

#[test]
fn what_the_rows_cannot_tell_apart_is_said() {
    // One user: every iteration has one sequence, so that what it and they take is one figure.
    let rows: Vec<Measurement> = [64, 256, 1_024, 2_048]
        .map(|prompt| row(prompt, 64, 1))
        .into();
    let rows = served(&rows, PLANTED, noise);
    let held = [
        (Parameter::PrefillTimeFactor, 1.3),
        (Parameter::DecodeTimeFactor, 1.1),
        (Parameter::PerPromptTokenUs, 4.0),
    ];
    let fit = fitted(&rows, &asked(&held, Loss::Tukey));
    let pair = vec!["fixed_us", "per_seq_us"];
    assert!(fit.confounded.contains(&pair), "{:?}", fit.confounded);
    assert!(fit.condition.is_none_or(|condition| condition > 1_000.0));
    let told = |part: &str| fit.warnings.iter().any(|warning| warning.contains(part));
    assert!(
        told("fixed_us and per_seq_us cannot be told apart"),
        "{:?}",
        fit.warnings
    );
    // What they do together is found all the same.
    let together = of(&fit, Parameter::FixedUs).value + of(&fit, Parameter::PerSeqUs).value;
    assert!((together / 1_520.0 - 1.0).abs() < 0.1, "{together}");
    // And with several users they are told apart.
    let fit = fitted(&ROWS, &asked(&held, Loss::Tukey));
    assert!(!fit.confounded.contains(&pair), "{:?}", fit.confounded);
    assert!((of(&fit, Parameter::PerSeqUs).value / 20.0 - 1.0).abs() < 0.2);
}

#[test]
fn an_unknown_that_moves_nothing_is_said() {
    // With the next iteration planned ahead, an engine of 20 us is hidden behind kernels of 7 ms.
    let rows = served(&plan()[..8], [0.0, 0.0, 12.0, 0.0, 1.0, 1.0], noise);
    let held = [
        (Parameter::PrefillTimeFactor, 1.0),
        (Parameter::DecodeTimeFactor, 1.0),
        (Parameter::PerPromptTokenUs, 0.0),
    ];
    let mut asked = asked(&held, Loss::Huber);
    asked.changes = vec![("pools.0.async_scheduling".to_owned(), "true".to_owned())];
    let fit = fitted(&rows, &asked);
    let told = |part: &str| fit.warnings.iter().any(|warning| warning.contains(part));
    assert!(
        told("fixed_us moves none of these rows"),
        "{:?}",
        fit.warnings
    );
    assert!(fit.profile.async_scheduling);
    assert!((of(&fit, Parameter::PerRequestMs).value - 12.0).abs() < 2.0);
}

#[test]
fn an_unknown_that_rows_bound_on_one_side_only_is_said_to_be_so() {
    // Prompts at what the hardware can do at best: kernels twice as fast would take as long.
    let rows: Vec<Measurement> = [1_024, 2_048, 4_096, 8_192]
        .map(|prompt| row(prompt, 16, 1))
        .into();
    let rows = served(&rows, [0.0, 0.0, 12.0, 0.0, 0.1, 1.0], |_| (1.0, 1.0));
    let held = [
        (Parameter::FixedUs, 0.0),
        (Parameter::PerSeqUs, 0.0),
        (Parameter::PerPromptTokenUs, 0.0),
        (Parameter::DecodeTimeFactor, 1.0),
    ];
    let fit = fitted(&rows, &asked(&held, Loss::Huber));
    let factor = of(&fit, Parameter::PrefillTimeFactor);
    let (low, high) = factor.interval.unwrap();
    assert_eq!(low, Parameter::PrefillTimeFactor.least());
    assert!(0.15 < high && high < 0.99, "{factor:?}");
    // Of the values that fit alike the one nearest to the step model is written.
    assert!(factor.value > high - 0.05, "{factor:?}");
    let told = "prefill_time_factor moves none of these rows between 0.1 and ";
    let mut warnings = fit.warnings.iter();
    assert!(
        warnings.any(|one| one.starts_with(told)),
        "{:?}",
        fit.warnings
    );
    for row in &fit.rows {
        let (ttft, tpot) = Fit::errors_pct(row);
        assert!(ttft.abs() < 1.0 && tpot.abs() < 1.0, "{row:?}");
    }
}

#[test]
fn nothing_gets_below_its_least_value() {
    // Faster than any engine without overheads: all of them would be negative.
    let bare = [0.0, 0.0, 0.0, 0.0, 1.0, 1.0];
    let rows = served(&plan(), bare, |at| {
        let (ttft, tpot) = noise(at);
        (ttft * 0.9, tpot * 0.9)
    });
    let held = [
        (Parameter::PrefillTimeFactor, 1.0),
        (Parameter::DecodeTimeFactor, 1.0),
    ];
    let fit = fitted(&rows, &asked(&held, Loss::Tukey));
    for parameter in &Parameter::ALL[..4] {
        let one = of(&fit, *parameter);
        assert_eq!((one.value, one.at_bound), (0.0, true), "{one:?}");
        assert!(one.interval.unwrap().0 >= 0.0, "{one:?}");
    }
    assert!(
        fit.warnings
            .iter()
            .any(|warning| warning.contains("would have it lower still"))
    );
    // With the factors free they take it up.
    let fit = fitted(&rows, &asked(&[], Loss::Tukey));
    let decode = of(&fit, Parameter::DecodeTimeFactor).value;
    assert!((0.8..0.97).contains(&decode), "{decode}");
}

#[test]
fn errors_on_rows_not_seen_are_honest() {
    let rows = served(&plan(), PLANTED, noise);
    let right = fitted(&rows, &asked(&[], Loss::Tukey));
    // A model without what makes iterations long with many users, and prompts long with many tokens.
    let held = [
        (Parameter::PerSeqUs, 0.0),
        (Parameter::PerPromptTokenUs, 0.0),
        (Parameter::PrefillTimeFactor, 1.0),
        (Parameter::DecodeTimeFactor, 1.0),
    ];
    let wrong = fitted(&rows, &asked(&held, Loss::Tukey));
    let error = |fit: &Fit| {
        let unseen = fit.unseen;
        (
            unseen.ttft.median_abs_pct.unwrap(),
            unseen.tpot.median_abs_pct.unwrap(),
        )
    };
    assert_eq!((right.unseen.scored, wrong.unseen.scored), (24, 24));
    let (right_error, wrong_error) = (error(&right), error(&wrong));
    assert!(
        right_error.0 < 4.0 && right_error.1 < 2.0,
        "{right_error:?}"
    );
    assert!(
        wrong_error.0 > 2.0 * right_error.0,
        "{wrong_error:?} {right_error:?}"
    );
    assert!(
        wrong_error.1 > 2.0 * right_error.1,
        "{wrong_error:?} {right_error:?}"
    );
    assert_eq!((right.folds, right.together), (5, "servers and lengths"));
    // Each row's figure is that of a fit without it: noise put on one row alone moves the fit that has
    // seen it, and not the one that judges it.
    let mut moved = rows.clone();
    moved[5].tpot_ms = moved[5].tpot_ms.map(|ms| ms * 1.04);
    let moved = fitted(&moved, &asked(&[], Loss::Squares));
    let plain = fitted(&rows, &asked(&[], Loss::Squares));
    let unseen = |fit: &Fit| fit.rows[5].unseen_ms.unwrap();
    assert_eq!(unseen(&moved), unseen(&plain));
    assert_ne!(moved.rows[5].tpot_ms.1, plain.rows[5].tpot_ms.1);
}

#[test]
fn fits_are_the_same_on_any_number_of_threads() {
    let one = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            fitted(
                &ROWS[..12],
                &asked(&[(Parameter::DecodeTimeFactor, 1.1)], Loss::Tukey),
            )
        })
    };
    assert_eq!(one(1), one(3));
}

#[test]
fn too_few_rows_and_rows_of_several_engines_are_refused() {
    let rows = observed(&ROWS[..2]);
    let error = fit(&rows, &BTreeMap::new(), &asked(&[], Loss::Tukey)).unwrap_err();
    assert!(
        matches!(
            error,
            FitError::Few {
                rows: 2,
                values: 4,
                unknowns: 6,
                ..
            }
        ),
        "{error}"
    );
    let mut other = ROWS[3].clone();
    other.engine = Some("sglang".to_owned());
    let rows = observed(&[&ROWS[..], &[other]].concat());
    let error = fit(&rows, &BTreeMap::new(), &asked(&[], Loss::Tukey)).unwrap_err();
    let said = error.to_string();
    assert!(
        said.contains("sglang, vllm") && said.contains("--engine"),
        "{said}"
    );
    let all: Vec<(Parameter, f64)> = Parameter::ALL.map(|one| (one, one.start())).into();
    let error = fit(
        &observed(&ROWS),
        &BTreeMap::new(),
        &asked(&all, Loss::Tukey),
    )
    .unwrap_err();
    assert_eq!(error, FitError::NothingFree);
}

fn seatrial(words: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_seatrial"))
        .args(words)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

fn write_rows(path: &Path, rows: &[Measurement]) {
    let lines = rows
        .iter()
        .map(|row| serde_json::to_string(row).unwrap() + "\n");
    std::fs::write(path, lines.collect::<String>()).unwrap();
}

#[test]
fn a_profile_is_written_and_a_scenario_runs_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (rows, profile, svg) = (path("rows.jsonl"), path("engine.toml"), path("fit.svg"));
    write_rows(Path::new(&rows), &ROWS[..16]);
    let words = [
        "--out",
        &profile,
        "--svg",
        &svg,
        "--hold",
        "decode_time_factor=1.1",
    ];
    let (code, page, said) = seatrial(&[&["calibrate", "fit", &rows], &words[..]].concat());
    assert_eq!(code, 0, "{said}");
    assert!(
        page.lines().all(|line| line.chars().count() <= 100),
        "{page}"
    );
    for part in [
        "decode_time_factor",
        "held",
        "not seen",
        "wild",
        "condition of the design",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let picture = std::fs::read_to_string(&svg).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("measured mean TTFT, ms"));
    // One circle a row at least for each of the two times.
    assert!(picture.matches("<circle").count() >= 2 * 10, "{picture}");
    let (code, shown, said) = seatrial(&["calibrate", "show", &profile]);
    assert_eq!(code, 0, "{said}");
    assert!(
        shown.contains("vllm on h100-sxm") && shown.contains("fitted"),
        "{shown}"
    );
    let (_, page, _) = seatrial(&["calibrate", "show", &profile, "--json"]);
    let page: Value = serde_json::from_str(&page).unwrap();
    let own = &page["overheads"][0];
    let number = |field: &str| own[field].as_f64().unwrap();
    let scenario = |lines: &str| {
        format!(
            "name = \"a\"\nrun.horizon_s = 20\nworkload.arrivals = {{ process = \"poisson\", rate_per_s = 4 }}\n\
             workload.prompt_tokens = {{ law = \"constant\", tokens = 500 }}\nworkload.output_tokens = {{ law = \"constant\", tokens = 40 }}\n[[pools]]\nname = \"p\"\n\
             engine = \"llm\"\nmodel = \"llama-3.1-8b\"\naccelerator = \"h100-sxm\"\n{lines}\n"
        )
    };
    let run = |name: &str, lines: &str| {
        let file = path(name);
        std::fs::write(&file, scenario(lines)).unwrap();
        let (code, page, said) = seatrial(&["run", &file, "--json", "--omit-timing"]);
        assert_eq!(code, 0, "{said}");
        serde_json::from_str::<Value>(&page).unwrap()
    };
    let by_profile = run("a.toml", "engine_profile = \"engine.toml\"");
    let stated = format!(
        "overhead_fixed_us = {}\noverhead_per_seq_us = {}\nrequest_overhead_ms = {}\n\
         overhead_per_prompt_token_us = {}\nprefill_time_factor = {}\ndecode_time_factor = 1.1",
        number("fixed_us"),
        number("per_seq_us"),
        number("per_request_ms"),
        number("per_prompt_token_us"),
        number("prefill_time_factor")
    );
    let by_hand = run("b.toml", &stated);
    assert_eq!(by_profile["digest"], by_hand["digest"]);
    assert_ne!(by_profile["digest"], run("c.toml", "")["digest"]);
    let told = by_profile["provenance"].to_string();
    assert!(told.contains("fitted"), "{told}");
    // Of another model than those that it was fitted to it is told.
    assert!(shown.contains("(llama-3.1-8b)"), "{shown}");
    let warned = |page: &Value| {
        page["warnings"]
            .to_string()
            .contains("fitted to llama-3.1-8b")
    };
    assert!(!warned(&by_profile));
    let other = scenario("engine_profile = \"engine.toml\"").replace("llama-3.1-8b", "qwen3-32b");
    let file = path("other.toml");
    std::fs::write(&file, other).unwrap();
    let (code, page, said) = seatrial(&["run", &file, "--json", "--omit-timing"]);
    assert_eq!(code, 0, "{said}");
    assert!(warned(&serde_json::from_str(&page).unwrap()), "{page}");
    // What the pool states stands, and the rest is of the profile.
    let one = "overhead_fixed_us = 9000\nengine_profile = \"engine.toml\"";
    let slower = run("d.toml", one);
    let tpot = |page: &Value| page["latency"]["tpot_ms"]["mean"].as_f64().unwrap();
    assert!(tpot(&slower) > tpot(&by_profile) + 5.0);
}

#[test]
fn a_profile_of_another_accelerator_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.toml");
    let text = "name = \"a\"\nworkload.arrivals = { process = \"poisson\", rate_per_s = 4 }\n[[pools]]\n\
                name = \"p\"\nengine = \"llm\"\nmodel = \"llama-3.1-8b\"\naccelerator = \"h100-sxm\"\n\
                engine_profile = \"engine.toml\"\n";
    std::fs::write(&file, text).unwrap();
    let run = || {
        let (code, _, said) = seatrial(&["run", file.to_str().unwrap()]);
        assert_eq!(code, 2);
        said
    };
    let said = run();
    assert!(
        said.contains("engine_profile") && said.contains("cannot be read"),
        "{said}"
    );
    let entry = "[[overheads]]\nengine = \"vllm\"\nsystem = \"b200_sxm\"\nfixed_us = 1\nper_seq_us = 1\n\
                 per_request_ms = 1\nrows = 1\nsource = \"x\"\n";
    std::fs::write(folder.path().join("engine.toml"), entry).unwrap();
    let said = run();
    assert!(said.contains("has none (vllm on b200_sxm)"), "{said}");
    let twice = entry.replace("b200_sxm", "h100_sxm");
    std::fs::write(folder.path().join("engine.toml"), format!("{twice}{twice}")).unwrap();
    assert!(run().contains("has several"));
    let wrong = twice.replace("fixed_us = 1", "decode_time_factor = 0\nfixed_us = 1");
    std::fs::write(folder.path().join("engine.toml"), wrong).unwrap();
    assert!(run().contains("decode_time_factor"));
}

#[test]
fn files_of_all_kinds_are_read_and_bad_rows_refused() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let refused = |words: &[&str]| {
        let (code, _, said) = seatrial(&[&["calibrate", "fit"], words].concat());
        assert_eq!(code, 2, "{said}");
        said
    };
    let head =
        "engine,model,accelerator,tp,prompt_tokens,output_tokens,concurrency,ttft_ms,tpot_ms\n";
    let said = refused(&[&write("a.csv", &head.replace("tpot_ms", "tpot"))]);
    assert!(
        said.contains("`tpot` is not known (nearest: `tpot_ms`)"),
        "{said}"
    );
    let line = "vllm,llama-3.1-8b,h100-sxm,1,100,50,4,30,0\n";
    let said = refused(&[&write("b.csv", &format!("{head}{line}"))]);
    assert!(
        said.contains("line 2, field `tpot_ms`") && said.contains("above 0"),
        "{said}"
    );
    let line = "vllm,llama-3.1-8b,h100-sxm,1,100,50,4,slow,7\n";
    let said = refused(&[&write("c.csv", &format!("{head}{line}"))]);
    assert!(said.contains("line 2, column `ttft_ms`"), "{said}");
    let said = refused(&[&write("d.jsonl", "{\"engine\": \"vllm\", \"users\": 3}\n")]);
    assert!(
        said.contains("line 1") && said.contains("`users`"),
        "{said}"
    );
    let said = refused(&[&write("e.jsonl", "{\"engine\": \"vllm\"}\n")]);
    assert!(
        said.contains("field `model`") && said.contains("missing"),
        "{said}"
    );
    // The field is named, whatever is wrong with it.
    let with = |change: &dyn Fn(&mut Value)| {
        let mut line = serde_json::to_value(&ROWS[0]).unwrap();
        change(&mut line);
        line.to_string()
    };
    let text = with(&|line| line["tpot_ms"] = "x".into());
    let said = refused(&[&write("j.jsonl", &text)]);
    assert!(said.contains("line 1, field `tpot_ms`"), "{said}");
    let text = with(&|line| line["prompt_tokens"] = 0.into());
    let said = refused(&[&write("k.jsonl", &text)]);
    assert!(said.contains("from 1 to 4,000,000"), "{said}");
    let text = with(&|line| line["ttft_ms"] = 1e300.into());
    let said = refused(&[&write("l.jsonl", &text)]);
    assert!(said.contains("`1e300`"), "{said}");
    let text = with(&|_| {}).replacen('{', "{\"ttft_ms\":1.0,", 1);
    let said = refused(&[&write("m.jsonl", &text)]);
    assert!(said.contains("field `ttft_ms` is there twice"), "{said}");
    // What came at a rate, or failed, is not so many users.
    let served = include_str!("../data/import/vllm-bench-serve.json");
    for (from, to, part) in [
        ("\"inf\"", "5.0", "field `request_rate`"),
        (
            "\"failed\": 0",
            "\"failed\": 1",
            "at most 5 % of the requests",
        ),
    ] {
        assert!(served.contains(from));
        let said = refused(&[&write("n.json", &served.replacen(from, to, 1))]);
        assert!(said.contains(part), "{said}");
    }
    let both = serde_json::to_string(&Measurement {
        batch: Some(4),
        ..ROWS[0].clone()
    })
    .unwrap();
    let said = refused(&[&write("f.jsonl", &both)]);
    assert!(said.contains("field `batch`"), "{said}");
    let fine = folder.path().join("fine.jsonl");
    write_rows(&fine, &ROWS);
    let fine = fine.to_str().unwrap();
    for (hold, part) in [
        ("decode", "must be NAME=VALUE"),
        ("decode_factor=1", "nearest: `decode_time_factor`"),
        ("decode_time_factor=0", "0.1 to 100"),
        ("fixed_us=-1", "0 to 1"),
    ] {
        let said = refused(&[fine, "--hold", hold]);
        assert!(said.contains(part), "{hold}: {said}");
    }
    let twice = ["--hold", "fixed_us=1", "--hold", "fixed_us=2"];
    let said = refused(&[&[fine], &twice[..]].concat());
    assert!(said.contains("fixed_us is held twice"), "{said}");
    let said = refused(&[fine, fine]);
    assert!(said.contains("it is named twice"), "{said}");
    let said = refused(&[fine, "--set", "pools.0.overhead_fixed_us=3"]);
    assert!(said.contains("--hold fixed_us=VALUE"), "{said}");
    let said = refused(&[fine, "--set", "pools.0.pp=2"]);
    assert!(said.contains("are not fitted"), "{said}");
    let said = refused(&[fine, "--engine", "sglang"]);
    assert!(
        said.contains("error: another engine: all 24 rows") && said.contains("--engine"),
        "{said}"
    );
    for (name, text) in [("g.csv", ""), ("h.jsonl", " \n"), ("i.csv", head)] {
        let said = refused(&[&write(name, text)]);
        assert!(
            said.contains(name) && said.contains("has no rows"),
            "{said}"
        );
    }
}

#[test]
fn results_of_other_tools_are_rows() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for (at, row) in ROWS[..8].iter().enumerate() {
        let (prompt, output) = (row.prompt_tokens.unwrap(), row.output_tokens.unwrap());
        let requests = row.requests.unwrap();
        let result = serde_json::json!({
            "date": "20261101-101010", "backend": "vllm", "model_id": "meta-llama/Llama-3.1-8B",
            "max_concurrency": row.concurrency, "completed": requests,
            "total_input_tokens": prompt * requests, "total_output_tokens": output * requests,
            "mean_ttft_ms": row.ttft_ms, "mean_tpot_ms": row.tpot_ms,
        });
        let path = folder.path().join(format!("{at}.json"));
        std::fs::write(&path, result.to_string()).unwrap();
        files.push(path.to_str().unwrap().to_owned());
    }
    let given = ["--accelerator", "h100-sxm", "--tp", "1", "--json"];
    let mut words = vec!["calibrate", "fit"];
    words.extend(files.iter().map(String::as_str));
    let (code, _, said) = seatrial(&[&words[..], &given[2..]].concat());
    assert_eq!(code, 2);
    assert!(said.contains("field `accelerator`"), "{said}");
    let (code, page, said) = seatrial(&[&words[..], &given[..]].concat());
    assert_eq!(code, 0, "{said}");
    let page: Value = serde_json::from_str(&page).unwrap();
    assert_eq!(page["fit"]["rows"].as_array().unwrap().len(), 8);
    // A rate is no number of users.
    let text = std::fs::read_to_string(&files[0])
        .unwrap()
        .replace("\"max_concurrency\":1", "\"x\":1");
    std::fs::write(&files[0], text).unwrap();
    let (code, _, said) = seatrial(&[&words[..], &given[..]].concat());
    assert_eq!(code, 2);
    assert!(
        said.contains("max_concurrency") && said.contains("seatrial validate"),
        "{said}"
    );
}

#[test]
fn a_batch_is_measured_once() {
    // All at once, and none after them: as many requests as users, with or without the word.
    let mut batch = row(256, 32, 8);
    batch.requests = None;
    batch.concurrency = None;
    batch.batch = Some(8);
    let mut loop_of_one = row(256, 32, 8);
    loop_of_one.requests = Some(8);
    let rows = served(&[batch, loop_of_one], PLANTED, |_| (1.0, 1.0));
    assert_eq!(rows[0].ttft_ms, rows[1].ttft_ms);
    assert_eq!(rows[0].tpot_ms, rows[1].tpot_ms);
}

/// Real servers, judged on lengths not seen.
#[test]
fn a_real_engine_is_fitted() {
    let table = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/calibration/measured/vllm-gpt-oss-120b-h200.csv"
    );
    let words = ["calibrate", "fit", table, "--json"];
    let (code, page, said) = seatrial(&words);
    assert_eq!(code, 0, "{said}");
    let page: Value = serde_json::from_str(&page).unwrap();
    let unseen = &page["fit"]["unseen"];
    let error = |what: &str| unseen[what]["median_abs_pct"].as_f64().unwrap();
    println!(
        "36 rows not seen: TTFT {:.1} %, TPOT {:.1} %",
        error("ttft"),
        error("tpot")
    );
    assert_eq!(unseen["scored"], 36);
    assert!(error("ttft") < 10.0 && error("tpot") < 5.0, "{unseen}");
}
