//! Checks what a pool says of speculative decoding.

use crate::scenario::fleet::{LlmPool, Scheduler};
use crate::scenario::problems::{Problems, grouped};
use crate::scenario::roles::Role;

/// Most tokens drafted for a sequence.
const MOST_DRAFT_TOKENS: u64 = 64;

/// Notes what is wrong with it.
pub(super) fn check_speculative(pool: &LlmPool, at: &str, problems: &mut Problems<'_>) {
    let Some(speculative) = &pool.speculative else {
        return;
    };
    if pool.role == Role::Prefill {
        let allowed =
            "does nothing in a pool with role = \"prefill\", which makes first tokens only";
        problems.push(&format!("{at}.speculative"), "", allowed, "take it away");
    }
    let path = |field: &str| format!("{at}.speculative.{field}");
    let drafts = u64::from(speculative.draft_tokens);
    if problems.int_in_range(&path("draft_tokens"), drafts, 1, MOST_DRAFT_TOKENS) {
        let (seqs, budget) = (
            u64::from(pool.max_num_seqs),
            u64::from(pool.max_num_batched_tokens),
        );
        let rows = seqs * (drafts + 1);
        if rows > budget {
            problems.push(
                &format!("{at}.max_num_batched_tokens"),
                grouped(budget),
                &format!(
                    "must be at least {}, max_num_seqs x (draft_tokens + 1): the tokens that an \
                     iteration verifies",
                    grouped(rows)
                ),
                "raise it, or lower max_num_seqs or draft_tokens",
            );
        }
    }
    problems.in_range(&path("acceptance"), speculative.acceptance, 0.0, 1.0);
    if let Some(us) = speculative.draft_us_per_token {
        problems.non_negative(&path("draft_us_per_token"), us, 1e9);
    }
    match (&speculative.draft_model, speculative.draft_us_per_token) {
        (Some(_), Some(us)) => problems.push(
            &path("draft_us_per_token"),
            us,
            "cannot be stated beside draft_model, whose steps are timed by its card",
            "remove one of the two",
        ),
        (None, None) => problems.push(
            &format!("{at}.speculative"),
            "",
            "must state draft_model or draft_us_per_token",
            "for example draft_model = \"llama-3.1-8b\", or draft_us_per_token = 0 for drafts \
             that take no time",
        ),
        _ => {}
    }
    if pool.scheduler == Scheduler::VllmV0 {
        let allowed = "is not an option of `vllm_v0`";
        problems.push(
            &format!("{at}.speculative"),
            "",
            allowed,
            "take it away, or use scheduler = \"vllm_v1\"",
        );
    }
}
