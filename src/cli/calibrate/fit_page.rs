//! A fit as a page.

use crate::calibrate::engine::fitted::{Estimate, Fit, FittedRow, WILD};
use crate::cli::closed_loop::lines;
use crate::report::number::{WIDTH, count, significant, wrap};
use crate::validate::closed_loop::score::Score;

/// Rows of the table of residuals; `--json` has all of them.
const MOST_ROWS: usize = 40;

/// The page.
pub fn page(fit: &Fit) -> String {
    let mut out = heading(fit);
    out.push_str("\nFitted\n");
    out.push_str(&lines(estimates(fit), 1));
    out.push_str("\nErrors: median of the absolute, median of the signed\n");
    out.push_str(&lines(errors(fit), 1));
    let how = format!(
        "not seen: by fits to the other rows in {} parts, {} kept together; standard deviation of an \
         error by the median: TTFT {:.1} %, TPOT {:.1} %",
        fit.folds, fit.together, fit.deviation_pct.0, fit.deviation_pct.1
    );
    out.push_str(&format!("{}\n", wrap(&how, WIDTH, 2)));
    if let Some(repeated) = &fit.repeated {
        let verdict = format!("repeated: {}", repeated.verdict(fit.deviation_pct));
        out.push_str(&format!("{}\n", wrap(&verdict, WIDTH, 2)));
    }
    out.push_str(&match fit.rows.len() > MOST_ROWS {
        true => format!("\nRows, the {MOST_ROWS} worst\n"),
        false => "\nRows, the worst first\n".to_owned(),
    });
    out.push_str(&lines(rows(fit), 1));
    let condition = match fit.condition {
        Some(condition) => format!("condition of the design {condition:.1} (strong from 30 on)"),
        None => "condition of the design: infinite, or of one unknown".to_owned(),
    };
    let strongest = fit.correlations.first();
    let strongest = strongest.map_or_else(String::new, |(one, other, value)| {
        format!("; strongest correlation of estimates: {one} with {other}, {value:.2}")
    });
    let told = format!("{condition}{strongest}");
    out.push_str(&format!("\n{}\n", wrap(&told, WIDTH, 2)));
    for warning in &fit.warnings {
        out.push_str(&format!(
            "{}\n",
            wrap(&format!("beware: {warning}"), WIDTH, 2)
        ));
    }
    if !fit.left_out.is_empty() {
        out.push_str("\nRows left out\n");
        for (reason, rows) in &fit.left_out {
            out.push_str(&format!("  {:>6}  {reason}\n", count(*rows as u64)));
        }
    }
    out
}

fn heading(fit: &Fit) -> String {
    let versions = match fit.versions.as_slice() {
        [] => String::new(),
        some => format!(" {}", some.join(", ")),
    };
    let text = format!(
        "{}{versions} on {}, {}: {} rows, {:?} loss, {} steps; figures are fitted, measured times are \
         of {}",
        fit.engine,
        fit.accelerator,
        fit.models.join(", "),
        count(fit.rows.len() as u64),
        fit.loss,
        fit.steps,
        fit.profile.source
    );
    format!("{}\n", wrap(&text, WIDTH, 2))
}

fn estimates(fit: &Fit) -> Vec<Vec<String>> {
    let head = ["", "value", "95 % from", "to", "unit"];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    table.extend(fit.parameters.iter().map(|one: &Estimate| {
        let interval = one.interval;
        let end = |of: fn((f64, f64)) -> f64| match interval {
            Some(interval) => significant(Some(of(interval))),
            None => "held".to_owned(),
        };
        vec![
            one.name.to_owned(),
            significant(Some(one.value)),
            end(|interval| interval.0),
            end(|interval| interval.1),
            one.unit.to_owned(),
        ]
    }));
    table
}

fn errors(fit: &Fit) -> Vec<Vec<String>> {
    let head = [
        "rows",
        "how many",
        "TTFT |err|",
        "bias",
        "TPOT |err|",
        "bias",
    ];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    let percent =
        |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1} %"));
    let signed =
        |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:+.1} %"));
    let mut push = |name: &str, score: &Score| {
        table.push(vec![
            name.to_owned(),
            count(score.scored as u64),
            percent(score.ttft.median_abs_pct),
            signed(score.ttft.bias_pct),
            percent(score.tpot.median_abs_pct),
            signed(score.tpot.bias_pct),
        ]);
    };
    push("seen", &fit.seen);
    push("not seen", &fit.unseen);
    table
}

/// The rows, the worst first; those that hardly count are marked.
fn rows(fit: &Fit) -> Vec<Vec<String>> {
    let head = [
        "server", "users", "TTFT ms", "fitted", "err", "TPOT ms", "fitted", "err", "",
    ];
    let mut table = vec![head.map(str::to_owned).to_vec()];
    let size = |row: &&FittedRow| {
        let (ttft, tpot) = Fit::errors_pct(row);
        ttft.abs().max(tpot.abs())
    };
    let mut order: Vec<&FittedRow> = fit.rows.iter().collect();
    order.sort_by(|one, other| size(other).total_cmp(&size(one)));
    for row in order.into_iter().take(MOST_ROWS) {
        let (ttft, tpot) = Fit::errors_pct(row);
        let wild = row.weights.0.min(row.weights.1) < WILD;
        // What all rows share is in the heading.
        let server = row.server.replace(&format!("{} ", fit.engine), "");
        let server = server.replace(&format!("{} ", fit.accelerator), "");
        table.push(vec![
            server.split_whitespace().collect::<Vec<_>>().join(" "),
            count(u64::from(row.users)),
            significant(Some(row.ttft_ms.0)),
            significant(Some(row.ttft_ms.1)),
            format!("{ttft:+.1} %"),
            significant(Some(row.tpot_ms.0)),
            significant(Some(row.tpot_ms.1)),
            format!("{tpot:+.1} %"),
            if wild { "wild" } else { "" }.to_owned(),
        ]);
    }
    table
}
