//! `seatrial calibrate fit` ends at the best fit that there is near, or says that it has not; intervals
//! are around their estimates, and what the fit does not describe is told.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::collections::BTreeMap;

use seatrial::calibrate::engine::beware::{MOST_MEDIAN_PCT, warnings};
use seatrial::calibrate::engine::fitted::Fit;
use seatrial::calibrate::engine::judge::{Asked, fit};
use seatrial::calibrate::engine::measurement::{Measurement, Observed};
use seatrial::calibrate::engine::parameter::Parameter;
use seatrial::calibrate::regression::robust::Loss;

/// A row of one server.
fn row(prompt: u32, output: u32, users: u32, (ttft_ms, tpot_ms): (f64, f64)) -> Measurement {
    Measurement {
        engine: Some("vllm".to_owned()),
        model: Some("llama-3.1-8b".to_owned()),
        accelerator: Some("h100-sxm".to_owned()),
        tp: Some(1),
        prompt_tokens: Some(prompt),
        output_tokens: Some(output),
        concurrency: Some(users),
        requests: Some(2 * users),
        ttft_ms: Some(ttft_ms),
        tpot_ms: Some(tpot_ms),
        ..Measurement::default()
    }
}

/// A server whose prompts do not wait for one another, as no engine of the simulator's: its users do not
/// move TTFT, so that no values of the unknowns describe it. `noise` is a share of each time.
fn unlike(noise: f64, seed: usize) -> Vec<Measurement> {
    let mut rows = Vec::new();
    for users in [1, 4, 8] {
        for output in [16, 64] {
            for prompt in [64, 512, 2_048] {
                let off = |step: usize| {
                    let at = rows.len() * 7 + seed * 5;
                    1.0 + noise * ((at * step % 17) as f64 / 8.0 - 1.0)
                };
                let ttft = 15.0 + 0.043 * f64::from(prompt);
                let tpot = 10.0 + 0.2 * f64::from(users);
                let times = (ttft * off(3), tpot * off(11));
                rows.push(row(prompt, output, users, times));
            }
        }
    }
    rows
}

fn fitted(rows: &[Measurement], held: &[(Parameter, f64)], loss: Loss) -> Fit {
    let rows = rows.iter().enumerate();
    let observed: Vec<Observed> = rows
        .map(|(at, row)| row.observed(format!("row {at}")).unwrap())
        .collect();
    let asked = Asked {
        held: held.iter().copied().collect(),
        loss,
        folds: 2,
        by_row: false,
        changes: Vec::new(),
        source: "a test".to_owned(),
    };
    fit(&observed, &BTreeMap::new(), &asked).unwrap()
}

/// What squares cost: the sum of the squared relative errors of all times.
fn squares(fit: &Fit) -> f64 {
    let each = fit.rows.iter().map(|row| {
        let (ttft, tpot) = Fit::errors_pct(row);
        (ttft / 100.0).powi(2) + (tpot / 100.0).powi(2)
    });
    each.sum()
}

/// One unknown more cannot make a fit worse: whatever one is held at, all free do better.
#[test]
fn no_fit_with_an_unknown_held_is_better_than_one_without() {
    let rows = unlike(0.01, 0);
    let free = fitted(&rows, &[], Loss::Squares);
    assert!(free.settled, "{} steps", free.steps);
    for held in [
        (Parameter::PrefillTimeFactor, 0.5),
        (Parameter::PrefillTimeFactor, 0.3),
        (Parameter::DecodeTimeFactor, 0.5),
        (Parameter::PerRequestMs, 10.0),
    ] {
        let other = fitted(&rows, &[held], Loss::Squares);
        // But for a thousandth, which the order of events in a simulation moves.
        assert!(
            squares(&free) <= squares(&other) * 1.001,
            "{held:?}: {} against {}",
            squares(&other),
            squares(&free)
        );
    }
}

/// Whatever the rows and the loss, and though the fit be wrong.
#[test]
fn intervals_are_around_their_estimates() {
    for (seed, noise, loss) in [
        (0, 0.01, Loss::Squares),
        (0, 0.01, Loss::Tukey),
        (1, 0.1, Loss::Huber),
        (2, 0.4, Loss::Tukey),
    ] {
        let fit = fitted(&unlike(noise, seed), &[], loss);
        for (one, parameter) in fit.parameters.iter().zip(Parameter::ALL) {
            let (low, high) = one.interval.unwrap();
            assert!(
                low <= one.value && one.value <= high,
                "{seed} {loss:?}: {one:?}"
            );
            assert!(low >= parameter.least() && high <= parameter.most());
        }
    }
}

/// A profile that does not describe its own rows is not handed over without a word.
#[test]
fn what_a_fit_does_not_describe_is_told() {
    let fit = fitted(&unlike(0.01, 0), &[], Loss::Squares);
    let error = fit.unseen.ttft.median_abs_pct.unwrap();
    let error = error.max(fit.seen.ttft.median_abs_pct.unwrap());
    assert!(error > MOST_MEDIAN_PCT, "{error}");
    let told = |what: &str| {
        let of = format!("does not describe {what}: ");
        fit.warnings.iter().find(|said| said.contains(&of))
    };
    let said = told("TTFT").unwrap();
    assert!(said.contains(&format!("{error:.1} % off")), "{said}");
    let tpot = fit.unseen.tpot.median_abs_pct.unwrap();
    assert_eq!(told("TPOT").is_some(), tpot >= MOST_MEDIAN_PCT, "{tpot}");
    // It is in the profile, too.
    assert!(
        fit.to_toml()
            .unwrap()
            .contains("# beware: the fit does not describe TTFT")
    );
    // And so is a search that was given up.
    let mut given_up = fit.clone();
    given_up.settled = false;
    let said = warnings(&given_up, &[], 6);
    assert!(
        said.iter().any(|said| said.contains("has not settled")),
        "{said:?}"
    );
    assert!(
        !fit.warnings
            .iter()
            .any(|said| said.contains("has not settled"))
    );
}
