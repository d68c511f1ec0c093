//! The claims and what became of them.

use super::page::{Page, WIDTH};
use crate::experiment::claims::{Judgement, Verdict, short};
use crate::experiment::result::RunResult;
use crate::report::number::wrap;

/// The claims and what became of them.
pub(super) fn claims(page: &mut Page, result: &RunResult) {
    if result.claims.is_empty() {
        return;
    }
    page.title("Claims");
    for claim in &result.claims {
        let about = match &claim.variant {
            Some(variant) => format!(" (variant {variant})"),
            None => String::new(),
        };
        let verdict = claim.verdict.name().to_uppercase();
        page.line(&format!("  {verdict:<10} {}{about}", claim.id));
        page.line(&format!("      {}", wrap(&claim.text, WIDTH, 6)));
        page.line(&format!("      {}", wrap(&observation(claim), WIDTH, 6)));
        if !claim.why.is_empty() {
            page.line(&format!("      {}", wrap(&claim.why, WIDTH, 6)));
        }
    }
    let of = |verdict: Verdict| {
        let count = result
            .claims
            .iter()
            .filter(|claim| claim.verdict == verdict)
            .count();
        format!("{count} {}", verdict.name())
    };
    let verdicts = [
        Verdict::Holds,
        Verdict::Fails,
        Verdict::Impossible,
        Verdict::Untested,
    ];
    page.line(&format!("  in all: {}", verdicts.map(of).join(", ")));
}

fn observation(claim: &Judgement) -> String {
    let unit = if claim.metric.starts_with("percent change of") {
        " %"
    } else {
        ""
    };
    let number = |value: Option<f64>| match value {
        Some(value) => format!("{}{unit}", short(value)),
        None => "nothing".to_owned(),
    };
    let relation = claim.relation.replace('_', " ");
    let mut text = format!(
        "{}: observed {}, claimed {relation} {}",
        claim.metric,
        number(claim.observed),
        number(claim.expected)
    );
    if let Some(tolerance) = claim.tolerance_pct.filter(|percent| *percent > 0.0) {
        text.push_str(&format!(" within {} %", short(tolerance)));
    }
    if let Some(counterfactual) = claim.counterfactual {
        text.push_str(&format!(" (counterfactual {})", short(counterfactual)));
    }
    text
}
