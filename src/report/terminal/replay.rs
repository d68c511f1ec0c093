//! The page of a replay.

use super::page::{Page, WIDTH, add, table};
use crate::replay::Outcome;
use crate::replay::score::{Pair, Score};
use crate::replay::what_if::{Figures, WhatIf};
use crate::replay::window::Window;
use crate::replay::words::{self, span, window};
use crate::report::number::{count, percent, plural, significant, wrap};

/// Columns of a picture.
const COLUMNS: usize = 60;
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The page.
pub fn render(outcome: &Outcome) -> String {
    let mut page = Page(String::new());
    head(&mut page, outcome);
    verdict(&mut page, outcome);
    fitted(&mut page, outcome);
    side_by_side(&mut page, outcome);
    scores(&mut page, outcome);
    quantiles(&mut page, outcome);
    what_ifs(&mut page, outcome);
    assumptions(&mut page, outcome);
    page.0
}

fn text(page: &mut Page, text: &str) {
    page.line(&format!("  {}", wrap(text, WIDTH, 2)));
}

fn head(page: &mut Page, outcome: &Outcome) {
    let log = &outcome.log;
    page.line(&wrap(
        &format!(
            "{}: seed {}, {} over {}, replayed {} times",
            outcome.scenario,
            outcome.seed,
            plural(log.requests, "request"),
            span(log.span_s),
            outcome.nights
        ),
        WIDTH,
        0,
    ));
    for note in words::notes(outcome) {
        page.item(&note);
    }
}

fn verdict(page: &mut Page, outcome: &Outcome) {
    page.title("Verdict");
    text(page, &words::verdict(outcome));
    for score in outcome.scores.iter().filter(|score| !score.fits) {
        page.item(&words::failing(score));
    }
    for quantile in outcome.quantiles.iter().filter(|it| !it.fits) {
        page.item(&words::failing_quantile(quantile));
    }
    for said in [words::not_judged(outcome), words::few_nights(outcome)] {
        said.iter().for_each(|said| text(page, said));
    }
}

fn fitted(page: &mut Page, outcome: &Outcome) {
    let fit = &outcome.fit;
    page.title("Fitted to the calm window");
    if fit.parameters.is_empty() {
        text(page, &words::fitted(outcome));
        fit.left.iter().for_each(|left| page.item(left));
        return;
    }
    let mut table = table(&["field", "value", "from", "to", "note"]);
    for parameter in &fit.parameters {
        let (low, high) = parameter.interval;
        add(
            &mut table,
            &[
                parameter.open.path.clone(),
                significant(Some(parameter.value)),
                significant(Some(low)),
                significant(Some(high)),
                parameter.note.clone().unwrap_or_default(),
            ],
        );
    }
    page.table(&table);
    text(page, &format!("({})", words::fitted(outcome)));
    for alike in &fit.alike {
        page.item(&alike.says);
    }
    fit.left.iter().for_each(|left| page.item(left));
}

/// Observed above simulated, on one scale.
fn side_by_side(page: &mut Page, outcome: &Outcome) {
    page.title("Observed (o) above simulated (s)");
    let together = outcome.minutes.count.div_ceil(COLUMNS).max(1);
    for pair in &outcome.pairs {
        let seen = columns(outcome, together, &|minute| pair.seen(minute));
        let made = columns(outcome, together, &|minute| pair.mean(minute));
        let all = seen.iter().chain(&made).flatten();
        let most = all.copied().fold(0.0, f64::max);
        if pair.observed.is_some() {
            picture(page, pair, "o", &seen, most);
        }
        picture(page, pair, "s", &made, most);
    }
    let columns = outcome.minutes.count.div_ceil(together);
    let mut marks = vec![' '; columns];
    let mut mark = |window: &Window, with: char| {
        let width_s = together as f64 * outcome.minutes.bin_s;
        for (column, place) in marks.iter_mut().enumerate() {
            let middle_s = (column as f64 + 0.5) * width_s;
            if middle_s >= window.from_s && middle_s < window.to_s {
                *place = with;
            }
        }
    };
    mark(&outcome.calm, 'c');
    if let Some(incident) = &outcome.incident {
        mark(incident, '!');
    }
    let marks: String = marks.into_iter().collect();
    page.line(&format!("  {:<16} {marks}", ""));
    text(
        page,
        &format!(
            "(A column is {}; c: the calm window{}.)",
            span(together as f64 * outcome.minutes.bin_s),
            match outcome.incident {
                Some(_) => ", !: the incident",
                None => "",
            }
        ),
    );
}

fn columns(
    outcome: &Outcome,
    together: usize,
    of: &dyn Fn(usize) -> Option<f64>,
) -> Vec<Option<f64>> {
    let minutes: Vec<usize> = (0..outcome.minutes.count).collect();
    let mean = |minutes: &[usize]| {
        let values: Vec<f64> = minutes.iter().filter_map(|it| of(*it)).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    minutes.chunks(together).map(mean).collect()
}

fn picture(page: &mut Page, pair: &Pair, side: &str, values: &[Option<f64>], most: f64) {
    let drawn: String = values.iter().map(|value| level(*value, most)).collect();
    let name = match side {
        "s" if pair.observed.is_some() => "",
        _ => pair.name(),
    };
    let own = values.iter().flatten().copied().fold(0.0, f64::max);
    page.line(&format!(
        "  {name:<14} {side} {drawn} most {}",
        significant(Some(own))
    ));
}

fn level(value: Option<f64>, most: f64) -> char {
    match value {
        None => '·',
        Some(value) if value <= 0.0 || most <= 0.0 => ' ',
        Some(value) => {
            let level = (value / most * LEVELS.len() as f64).ceil() as usize;
            LEVELS[level.clamp(1, LEVELS.len()) - 1]
        }
    }
}

fn scores(page: &mut Page, outcome: &Outcome) {
    for stretch in &outcome.stretches {
        let of_it = outcome.scores.iter();
        let of_it: Vec<&Score> = of_it.filter(|it| it.stretch == stretch.name).collect();
        if of_it.is_empty() {
            continue;
        }
        let windows: Vec<String> = stretch.windows.iter().map(window).collect();
        page.title(&format!(
            "How far off, {} ({})",
            stretch.name,
            windows.join(", ")
        ));
        let header = [
            "series",
            "observed",
            "simulated",
            "bias",
            "may be",
            "error",
            "may be",
            "",
        ];
        let mut table = table(&header);
        for score in of_it {
            add(
                &mut table,
                &[
                    score.series.clone(),
                    significant(Some(score.observed)),
                    significant(Some(score.simulated)),
                    significant(Some(score.bias)),
                    significant(score.bias_limit),
                    percent(score.nrmse),
                    percent(Some(score.limit)),
                    if score.fits { "fits" } else { "DOES NOT FIT" }.to_owned(),
                ],
            );
        }
        page.table(&table);
    }
    text(page, &format!("({})", words::SCORES));
}

fn quantiles(page: &mut Page, outcome: &Outcome) {
    if outcome.quantiles.is_empty() {
        return;
    }
    page.title("Quantiles of all requests");
    let mut table = table(&[
        "latency",
        "stretch",
        "quantile",
        "observed ms",
        "simulated ms",
        "error %",
        "may be",
        "",
    ]);
    for row in &outcome.quantiles {
        add(
            &mut table,
            &[
                row.latency.to_owned(),
                row.stretch.to_owned(),
                format!("p{:.0}", row.quantile * 100.0),
                significant(Some(row.observed_ms)),
                significant(Some(row.simulated_ms)),
                format!("{:+.1}", row.error_pct),
                row.may_be_factor
                    .map_or_else(|| "-".to_owned(), |it| format!("{it:.2}")),
                if row.fits { "fits" } else { "DOES NOT FIT" }.to_owned(),
            ],
        );
    }
    page.table(&table);
    text(page, &format!("({})", words::QUANTILES));
}

fn what_ifs(page: &mut Page, outcome: &Outcome) {
    if outcome.what_ifs.is_empty() {
        return;
    }
    page.title("What if");
    if !outcome.fits() {
        text(page, words::DOUBTFUL);
    }
    for one in &outcome.what_ifs {
        page.item(&in_words(one));
        figures(page, "as it was", &one.before);
        figures(page, "changed", &one.after);
    }
    text(page, &format!("({})", words::WHAT_IFS));
}

fn in_words(one: &WhatIf) -> String {
    let net = match one.net {
        Some((low, high)) => format!(
            "; saved less lost, the mean of nights, 95 %: {} to {}",
            significant(Some(low)),
            significant(Some(high))
        ),
        None => String::new(),
    };
    format!(
        "{}: {} saved, {} lost{net}",
        one.change,
        plural(one.saved, "request"),
        count(one.lost)
    )
}

fn figures(page: &mut Page, name: &str, figures: &Figures) {
    text(
        page,
        &format!(
            "{name}: {} within the objective, {} answered, {} tries a request, p99 of TTFT {} ms, of E2E \
             {} ms",
            count(figures.good),
            count(figures.answered),
            significant(figures.tries_per_request),
            significant(figures.ttft_p99_ms),
            significant(figures.e2e_p99_ms)
        ),
    );
}

fn assumptions(page: &mut Page, outcome: &Outcome) {
    page.title("Assumptions");
    for assumption in &outcome.assumptions {
        page.item(assumption);
    }
}
