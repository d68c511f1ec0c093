//! `seatrial trace fit` finds the generator that a trace came from, and for real traces one that
//! keeps what they are like, or says what it does not keep.

#![allow(clippy::unwrap_used, clippy::panic)] // helpers of tests

use std::path::{Path, PathBuf};

use seatrial::scenario::resolve::traffic;
use seatrial::scenario::workload::{Arrivals, ClientMix, Lengths, PrefixReuse, PrefixSharing};
use seatrial::scenario::{Document, SourceText};
use seatrial::synthesis::judge::{Kept, judge};
use seatrial::synthesis::sample::Sample;
use seatrial::synthesis::{Fit, Order, Span, fit, make};
use seatrial::trace::TraceSource;

/// Standard normal quantile of a two-sided error of 1 % over ten checks: what a sound fit stays
/// within, in standard errors, in all checks of a test together.
const Z: f64 = 3.29;

fn document(text: &str) -> Document {
    Document::parse(SourceText::new("generator.toml", text)).unwrap()
}

/// A trace of a workload, in a folder that goes with it.
fn traced(workload: &str, hours: f64, name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join(name);
    let order = Order {
        span: Span::Hours(hours),
        rate_scale: 1.0,
        seed: 7,
    };
    let text = format!("name = \"known\"\n[workload]\n{workload}\n");
    make(&document(&text), Path::new(""), order, &out).unwrap();
    (folder, out)
}

fn fitted(path: &Path) -> Fit {
    fit(&TraceSource::open(path).unwrap()).unwrap()
}

/// The workload that a fit wrote.
fn workload(fit: &Fit) -> seatrial::scenario::workload::Workload {
    traffic(&document(&fit.toml), Path::new(""))
        .unwrap()
        .workload
}

fn near(what: &str, found: f64, truth: f64, standard_error: f64) {
    let apart = (found - truth).abs() / standard_error;
    assert!(
        apart < Z,
        "{what}: {found} is {apart:.1} standard errors from {truth}"
    );
}

fn row<'a>(statistics: &'a [Kept], name: &str) -> &'a Kept {
    let found = statistics.iter().find(|row| row.name == name);
    found.unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn a_gamma_process_is_recovered_with_its_lengths() {
    let (_folder, path) = traced(
        "arrivals = { process = \"gamma\", rate_per_s = 5, cv = 2 }\n\
         prompt_tokens = { law = \"lognormal\", mean_tokens = 1000, cv = 1 }\n\
         output_tokens = { law = \"exponential\", mean_tokens = 200 }\n\
         length_rank_correlation = 0.5",
        1.0,
        "known.csv",
    );
    let fit = fitted(&path);
    let n = fit.requests as f64;
    let found = workload(&fit);
    let Arrivals::Gamma { rate_per_s, cv } = found.arrivals else {
        panic!("{:?}", fit.arrivals);
    };
    assert!(found.profile.is_none(), "{:?}", fit.arrivals);
    near("rate", rate_per_s, 5.0, 5.0 * 2.0 / n.sqrt());
    // Of the shape k = 1/cv^2 the information is psi'(k) - 1/k a gap; psi'(0.25) = 17.198.
    let of_shape = (1.0 / (n * (17.198 - 4.0))).sqrt();
    near("cv", cv, 2.0, of_shape * 0.5 * 2.0_f64.powi(3));
    let Some(Lengths::Lognormal {
        mean_tokens, cv, ..
    }) = found.prompt_tokens
    else {
        panic!("{:?}", fit.prompt);
    };
    let sigma = 2.0_f64.ln().sqrt();
    let found_sigma = (cv * cv).ln_1p().sqrt();
    near("sigma", found_sigma, sigma, sigma / (2.0 * n).sqrt());
    let mu = mean_tokens.ln() - found_sigma * found_sigma / 2.0;
    let truth = 1000.0_f64.ln() - sigma * sigma / 2.0;
    near("mu", mu, truth, sigma / n.sqrt());
    let Some(Lengths::Exponential { mean_tokens, .. }) = found.output_tokens else {
        panic!("{:?}", fit.output);
    };
    near("mean output", mean_tokens, 200.0, 200.0 / n.sqrt());
    let correlation = found.length_rank_correlation;
    near("correlation", correlation, 0.5, 1.0 / n.sqrt());
    // One second of the busiest is a matter of luck.
    for kept in fit
        .statistics
        .iter()
        .filter(|it| it.name != "peak / mean second")
    {
        assert!(!kept.verdict.starts_with("off"), "{kept:?}");
    }
}

#[test]
fn poisson_and_weibull_are_told_apart() {
    for (arrivals, name) in [
        ("{ process = \"poisson\", rate_per_s = 5 }", "poisson"),
        (
            "{ process = \"weibull\", rate_per_s = 5, cv = 2.5 }",
            "weibull",
        ),
    ] {
        let (_folder, path) = traced(&format!("arrivals = {arrivals}"), 0.5, "known.csv");
        let fit = fitted(&path);
        assert_eq!(fit.arrivals[0].name, name, "{:?}", fit.arrivals);
    }
}

#[test]
fn a_changing_rate_is_recovered() {
    let (_folder, path) = traced(
        "arrivals = { process = \"poisson\", rate_per_s = 5 }\n\
         profile = { shape = \"points\", points = [[0, 0.1], [1800, 2], [3600, 0.4]] }",
        1.0,
        "known.csv",
    );
    let fit = fitted(&path);
    let best = &fit.arrivals[0].name;
    assert!(best.ends_with("rate by window"), "{:?}", fit.arrivals);
    assert_eq!(row(&fit.statistics, "dispersion, 60 s").verdict, "kept");
}

#[test]
fn an_on_off_process_is_recovered() {
    let (_folder, path) = traced(
        "arrivals = { process = \"on_off\", on_rate_per_s = 20, on_mean_s = 10, off_mean_s = 30 }",
        3.0,
        "known.csv",
    );
    let fit = fitted(&path);
    let Arrivals::OnOff {
        on_rate_per_s,
        on_mean_s,
        off_mean_s,
        off_rate_per_s,
        gap_knots,
    } = workload(&fit).arrivals
    else {
        panic!("{:?}", fit.arrivals);
    };
    let cycles = 3.0 * 3600.0 / 40.0;
    near(
        "on rate",
        on_rate_per_s,
        20.0,
        20.0 / (cycles * 200.0_f64).sqrt() * 2.0,
    );
    near("on time", on_mean_s, 10.0, 10.0 / f64::sqrt(cycles));
    near("off time", off_mean_s, 30.0, 30.0 / f64::sqrt(cycles));
    assert!(off_rate_per_s < 0.05, "{off_rate_per_s}");
    assert!(gap_knots.is_empty(), "{gap_knots:?}");
}

#[test]
fn clients_are_recovered() {
    let (_folder, path) = traced(
        "arrivals = { process = \"clients\", rate_per_s = 20, clients = 40, \
         shares = [[1, 0.3], [5, 0.6], [40, 1.0]], cv = [[0, 1.5], [1, 2.5]], weibull_share = 0, \
         window_s = 600, window_rate_cv = 0.3, prompt_client_share = 0.5, output_client_share = 0 }\n\
         prompt_tokens = { law = \"lognormal\", mean_tokens = 800, cv = 1 }\n\
         output_tokens = { law = \"exponential\", mean_tokens = 200 }",
        2.0,
        "known.csv",
    );
    let fit = fitted(&path);
    let Arrivals::Clients(ClientMix {
        clients,
        shares,
        cv,
        weibull_share,
        prompt_client_share,
        output_client_share,
        ..
    }) = workload(&fit).arrivals
    else {
        panic!("{:?}", fit.toml);
    };
    assert_eq!(clients, 40);
    assert!((shares[0].1 - 0.3).abs() < 0.08, "{shares:?}");
    let middle = cv.iter().find(|knot| knot.0 == 0.5).unwrap().1;
    assert!((middle - 2.0).abs() < 0.3, "{cv:?}");
    assert!(weibull_share < 0.35, "{weibull_share}");
    assert!(
        (prompt_client_share - 0.5).abs() < 0.2,
        "{prompt_client_share}"
    );
    assert!(output_client_share < 0.05, "{output_client_share}");
    for name in [
        "share of top client",
        "share of top 5",
        "prompt p50",
        "rate",
    ] {
        let kept = row(&fit.statistics, name);
        assert!(!kept.verdict.starts_with("off"), "{kept:?}");
    }
}

#[test]
fn prompts_that_go_on_are_recovered() {
    let (_folder, path) = traced(
        "arrivals = { process = \"poisson\", rate_per_s = 2 }\n\
         prompt_tokens = { law = \"lognormal\", mean_tokens = 8000, cv = 1, max_tokens = 60000 }\n\
         prefix = { sharing = \"reuse\", root_tokens = 512, probability = [[0, 0.1], [4096, 0.6]], \
         depth = [[0, 0.2], [1, 1.0]], distance = [[0, 1], [1, 200]] }",
        1.0,
        "known.jsonl.gz",
    );
    let fit = fitted(&path);
    let Some(PrefixSharing::Reuse(PrefixReuse { root_tokens, .. })) = workload(&fit).prefix else {
        panic!("{}", fit.toml);
    };
    assert_eq!(root_tokens, 512);
    for name in [
        "stretches found",
        "prompts that go on",
        "stretches used once",
    ] {
        let kept = row(&fit.statistics, name);
        assert!(!kept.verdict.starts_with("off"), "{kept:?}");
    }
}

/// One Gamma process with the lengths of another generator.
fn one_gamma(fit: &Fit, cv: f64) -> Vec<Kept> {
    let source = TraceSource::open(Path::new(&fit.trace)).unwrap();
    let sample = Sample::read(&source).unwrap();
    let rate = sample.len() as f64 / sample.span_s;
    let text = format!(
        "name = \"gamma\"\n[workload]\n\
         arrivals = {{ process = \"gamma\", rate_per_s = {rate:?}, cv = {cv:?} }}\n"
    );
    let traffic = traffic(&document(&text), Path::new("")).unwrap();
    judge(&sample, &traffic).unwrap()
}

#[test]
fn code_completions_are_on_and_off() {
    let fit = fitted(Path::new("traces/azure-2023-code.csv.gz"));
    let found = workload(&fit);
    assert!(
        matches!(
            found.arrivals,
            Arrivals::OnOff { .. } | Arrivals::Mmpp { .. }
        ),
        "{:?}",
        fit.arrivals
    );
    // Of how dispersed arrivals are over 1, 10 and 60 s, the sum of the logarithms of what it is off by.
    let off = |rows: &[Kept]| -> f64 {
        let names = ["dispersion, 1 s", "dispersion, 10 s", "dispersion, 60 s"];
        let each = names.iter().map(|name| {
            let kept = row(rows, name);
            (kept.synthetic.unwrap() / kept.original.unwrap())
                .ln()
                .abs()
        });
        each.sum()
    };
    let distance = |rows: &[Kept]| row(rows, "gaps, KS distance").synthetic.unwrap();
    // The likeliest Gamma (shape 0.231), and that of the gaps' own moments, whose distance is worse.
    let likeliest = one_gamma(&fit, 1.0 / 0.231_f64.sqrt());
    let moments = one_gamma(&fit, 13.15);
    assert!(
        distance(&fit.statistics) < 0.06,
        "{}",
        distance(&fit.statistics)
    );
    assert!(distance(&fit.statistics) < distance(&likeliest) / 3.0);
    assert!(distance(&fit.statistics) < distance(&moments) / 3.0);
    assert!(
        off(&fit.statistics) < off(&likeliest) / 2.0,
        "{}",
        off(&fit.statistics)
    );
}

#[test]
fn conversations_keep_what_they_are_like() {
    let fit = fitted(Path::new("traces/azure-2023-conv.csv.gz"));
    for name in [
        "rate",
        "inter-arrival CV",
        "prompt p50",
        "output p50",
        "rank correlation",
    ] {
        assert_eq!(row(&fit.statistics, name).verdict, "kept", "{name}");
    }
    assert!(row(&fit.statistics, "gaps, KS distance").synthetic.unwrap() < 0.03);
    assert_eq!(fit.prompt[0].name, "quantiles");
    assert!(fit.quantum.is_none());
}

#[test]
fn stamps_in_steps_are_noticed() {
    let fit = fitted(Path::new("traces/mooncake-conversation.jsonl.gz"));
    let quantum = fit.quantum.unwrap();
    assert!((quantum.step_s - 3.0).abs() < 0.01, "{quantum:?}");
    for name in [
        "stretches found",
        "prompts that go on",
        "rate",
        "inter-arrival CV",
    ] {
        let kept = row(&fit.statistics, name);
        assert!(!kept.verdict.starts_with("off"), "{kept:?}");
    }
}

#[test]
fn strange_traces_are_fitted_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("strange.csv");
    let fit_of = |rows: &str| {
        std::fs::write(
            &path,
            format!("arrival_ns,prompt_tokens,output_tokens\n{rows}"),
        )
        .unwrap();
        fit(&TraceSource::open(&path).unwrap())
    };
    let refused = |rows: &str| fit_of(rows).unwrap_err().to_string();
    assert!(refused("5,1,1\n").contains("at one instant"));
    assert!(refused(&"5,1,1\n".repeat(300)).contains("at one instant"));
    let two = fit_of("0,10,10\n1000000000,10,10\n").unwrap();
    assert!(two.toml.contains("constant"), "{}", two.toml);
    let clock: String = (0..2_000)
        .map(|i| format!("{},100,1\n", i * 1_000_000_000u64))
        .collect();
    let clock = fit_of(&clock).unwrap();
    assert!(clock.quantum.is_none());
    assert!(
        row(&clock.statistics, "inter-arrival CV")
            .synthetic
            .unwrap()
            < 0.1
    );
    // Two bursts and nothing between them.
    let bursts: String = (0..2_000u64)
        .map(|i| {
            format!(
                "{},{},1\n",
                i % 1_000 / 500 + i / 1_000 * 3_600_000_000_000,
                i + 1
            )
        })
        .collect();
    fit_of(&bursts).unwrap();
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(12))]
    #[test]
    fn whatever_is_fitted_can_be_drawn_from(
        gaps in proptest::collection::vec((0u64..5_000_000_000, 1u32..70_000, 1u32..5_000, 0u8..4), 2..300)
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("any.csv");
        let mut text = "arrival_ns,prompt_tokens,output_tokens,client\n".to_owned();
        let mut at = 0;
        for (gap, prompt, output, client) in &gaps {
            at += gap;
            text.push_str(&format!("{at},{prompt},{output},{client}\n"));
        }
        std::fs::write(&path, text).unwrap();
        let source = TraceSource::open(&path).unwrap();
        match fit(&source) {
            Ok(fit) => {
                let order = Order { span: Span::Requests(50), rate_scale: 2.0, seed: 1 };
                let out = folder.path().join("out.csv");
                let made = make(&document(&fit.toml), Path::new(""), order, &out).unwrap();
                proptest::prop_assert_eq!(made.requests, 50);
            }
            Err(error) => proptest::prop_assert!(error.to_string().contains("at one instant")),
        }
    }
}
