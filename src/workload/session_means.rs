//! How many turns sessions have on average, and how long those are, for estimates.
//!
//! Of sessions that have all their turns this is known in closed form. Where a longest context ends
//! some before their last turn it is the mean of sessions drawn, by the rules of [`Sessions`] and
//! from streams of their own: the same for every seed of a run, whose numbers it does not move.

use crate::engine::Streams;

use super::lengths::LengthPair;
use super::sessions::{SessionPlan, Sessions};

/// Turns that are drawn, about: the mean of a thousand tokens is then known to a per cent or so.
const TURNS: f64 = 1e5;
/// Sessions that are drawn, at least and at most.
const SESSIONS: (f64, f64) = (200.0, 2e4);
/// After so many turns no further session is drawn.
const MOST_TURNS: u64 = 2_000_000;

/// Means over the turns of all sessions, as far as they are answered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SessionMeans {
    /// Turns of a session.
    pub turns: f64,
    /// Prompt tokens of a turn: all that was said before, and what is new.
    pub prompt_tokens: f64,
    /// Output tokens of a turn.
    pub output_tokens: f64,
    /// Prompt tokens of a turn that neither the turns before it nor the system prompt had.
    pub new_tokens: f64,
    /// Tokens said before a turn that is not the first, the system prompt included; 0 without any.
    pub history_tokens: f64,
    /// Sessions drawn for this; 0 where it is known in closed form.
    pub drawn: u64,
}

impl SessionMeans {
    /// Of whole sessions whose first turns have those lengths.
    pub fn of_whole(plan: &SessionPlan, first: &LengthPair) -> SessionMeans {
        let (prompt_tokens, output_tokens) = plan.mean_tokens(first.means());
        SessionMeans {
            turns: plan.turns.mean(),
            prompt_tokens,
            output_tokens,
            new_tokens: plan.mean_new_tokens(first.means().0),
            history_tokens: plan.mean_history_tokens(first.means()),
            drawn: 0,
        }
    }

    /// Of sessions that end at their longest context, if not before.
    pub fn of_limited(plan: &SessionPlan, first: &LengthPair) -> SessionMeans {
        let streams = Streams {
            seed: 0,
            replication: 0,
        };
        let mut first_rng = streams.stream("estimate", 0, "first turns");
        let mut sessions = Sessions::new(plan.clone(), streams);
        let (mut turns, mut drawn) = (0u64, 0);
        let (mut prompts, mut outputs, mut history) = (0.0, 0.0, 0.0);
        let system = f64::from(plan.system_prompt_tokens);
        for _ in 0..sessions_for(plan) {
            let (prompt, output) = first.sample(&mut first_rng);
            let (number, mut turn) = sessions.start(prompt, output, 0);
            drawn += 1;
            let mut said = 0.0;
            loop {
                let (prompt, output, ..) = turn;
                turns += 1;
                prompts += f64::from(prompt);
                outputs += f64::from(output);
                history += said;
                said = f64::from(prompt) + f64::from(output);
                if sessions.turn_ended(number, true).is_none() {
                    break;
                }
                let Some(next) = sessions.turn(number) else {
                    break;
                };
                turn = next;
            }
            if turns >= MOST_TURNS {
                break;
            }
        }
        let count = turns as f64;
        SessionMeans {
            turns: count / drawn as f64,
            prompt_tokens: prompts / count,
            output_tokens: outputs / count,
            new_tokens: (prompts - history - system * drawn as f64) / count,
            history_tokens: match turns > drawn {
                true => history / (turns - drawn) as f64,
                false => 0.0,
            },
            drawn,
        }
    }
}

/// Sessions that have about [`TURNS`] turns in all.
fn sessions_for(plan: &SessionPlan) -> u64 {
    let (new, output) = plan.lengths.means();
    let fit = f64::from(plan.max_context_tokens) / (new + output).max(1.0) + 1.0;
    let each = plan.turns.mean().min(fit);
    // `as` saturates, and the bounds are small.
    (TURNS / each).clamp(SESSIONS.0, SESSIONS.1) as u64
}
