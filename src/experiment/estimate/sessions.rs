//! What sessions offer on average, and what there is of them at once.

use super::{Sheet, row};
use crate::experiment::theory::{mean_tokens, offered};
use crate::report::number::{count, significant};
use crate::scenario::resolve::Plan;

/// Sessions by closed forms, where there are any.
pub(super) fn session_sheet(plan: &Plan) -> Option<Sheet> {
    let sessions = plan.fleet.sessions.as_ref()?;
    let means = plan.session_means.as_ref()?;
    let turns = means.turns;
    let rate = offered(plan)?.0 / turns;
    let think_s = sessions.think.mean_ns() / 1e9;
    let thinking = rate * (turns - 1.0) * think_s;
    let number = |value: f64| significant(Some(value));
    let mut rows = vec![
        row(
            "sessions begin",
            "",
            String::new(),
            Some(rate),
            "sessions/s",
        ),
        row("mean turns", "", String::new(), Some(turns), "turns"),
        row(
            "sessions that think at once",
            "rate x (turns - 1) x think time, by Little's law",
            format!(
                "{} x {} x {} s",
                number(rate),
                number(turns - 1.0),
                number(think_s)
            ),
            Some(thinking),
            "sessions",
        ),
    ];
    // Abstract servers know nothing of tokens.
    if plan.llm.iter().any(Option::is_some) {
        let (history, new) = (means.history_tokens, means.new_tokens);
        let (prompt, _) = mean_tokens(plan)?;
        rows.push(row(
            "mean tokens said before a turn that is not the first",
            "",
            String::new(),
            Some(history),
            "tokens",
        ));
        rows.push(row(
            "mean new prompt tokens of a turn",
            "",
            String::new(),
            Some(new),
            "tokens",
        ));
        rows.push(row(
            "most of the prompt tokens that a prefix cache finds",
            "1 - new prompt tokens / prompt tokens",
            format!("1 - {} / {}", number(new), number(prompt)),
            Some(1.0 - new / prompt),
            "1",
        ));
        rows.push(row(
            "KV tokens to keep for those who think",
            "sessions that think x tokens said before",
            format!("{} x {}", number(thinking), number(history)),
            Some(thinking * history),
            "tokens",
        ));
    }
    let which = match means.drawn {
        0 => "means over all turns of whole sessions".to_owned(),
        drawn => format!(
            "means over all turns of {} sessions drawn, since max_context_tokens may end some before \
             their last one",
            count(drawn)
        ),
    };
    Some(Sheet {
        title: "Sessions".to_owned(),
        note: Some(format!(
            "{which}: those that a turn turned away or the end of the run ends have fewer; what is \
             still in a cache when a turn comes, and how long turns take, needs a run"
        )),
        rows,
    })
}
