//! What is known of the requests of a night: as a log has them, or as they were simulated.

use std::sync::Arc;

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::error::ReplayError;
use super::lengths::Lacks;
use super::window::{Window, clock_ns, instant_s};
use crate::fleet::outcome::RequestRow;
use crate::fleet::request::{Outcome, Status};
use crate::observed::{DATED_NS, Ending, Observed};
use crate::report::number::plural;
use crate::workload::source::{Arrival, PromptBlocks};

/// One request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Seen {
    /// When it came, ns from the start.
    pub t_ns: u64,
    /// Prompt tokens.
    pub prompt_tokens: u32,
    /// Output tokens.
    pub output_tokens: u32,
    /// From arrival to its first token, ns.
    pub ttft_ns: Option<u64>,
    /// From arrival to the end of its answer, ns.
    pub e2e_ns: Option<u64>,
    /// From arrival to the end of its last try, ns, where no answer was had.
    pub failed_ns: Option<u64>,
    /// How it ended.
    pub ending: Ending,
    /// Tries, one or more; none where the log does not tell.
    pub attempts: Option<u32>,
    /// Its tier, an index; a log knows none.
    pub tier: u16,
}

impl Seen {
    /// A simulated request.
    pub fn of(row: &RequestRow) -> Seen {
        let completed = row.status == Status::Completed.name();
        let since = |stamp: Option<u64>| stamp?.checked_sub(row.arrival_ns).filter(|_| completed);
        Seen {
            t_ns: row.arrival_ns,
            prompt_tokens: row.prompt_tokens,
            output_tokens: row.output_tokens,
            ttft_ns: since(row.first_token_ns),
            e2e_ns: since(row.last_token_ns),
            failed_ns: row
                .ended_ns
                .filter(|_| !completed)
                .and_then(|ended| ended.checked_sub(row.arrival_ns)),
            ending: ending_of(row.status),
            attempts: Some(u32::from(row.attempts).max(1)),
            tier: row.tier,
        }
    }

    /// Whether it had its whole answer.
    pub fn is_answered(&self) -> bool {
        self.ending == Ending::Completed
    }

    /// Mean time per output token after the first, ns.
    pub fn tpot_ns(&self) -> Option<f64> {
        let steps = self
            .output_tokens
            .checked_sub(1)
            .filter(|steps| *steps > 0)?;
        let decode = self.e2e_ns?.checked_sub(self.ttft_ns?)?;
        Some(decode as f64 / f64::from(steps))
    }
}

/// How a request ended by the status of a request file. One that was under way when all else was
/// over has timed out: nobody answered it.
pub fn ending_of(status: &str) -> Ending {
    let known = Status::ALL.iter().find(|it| it.name() == status);
    match known.map(|status| status.outcome()) {
        Some(Outcome::Completed) => Ending::Completed,
        Some(Outcome::Rejected) => Ending::Rejected,
        Some(Outcome::Shed) => Ending::Shed,
        Some(Outcome::Failed) => Ending::Failed,
        Some(Outcome::Cancelled) => Ending::Cancelled,
        Some(Outcome::TimedOut) | None => Ending::TimedOut,
    }
}

/// Lengths that a log did not have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Lengths {
    /// Requests of which a length is what the importer inferred, from bytes or a distribution.
    pub inferred: u64,
    /// Requests whose answer is of a length drawn anew for each simulated night: nothing in the log tells it.
    pub answers_drawn: u64,
    /// Requests of whose prompts the same is so.
    pub prompts_drawn: u64,
}

impl Lengths {
    /// Which lengths are drawn, in words; none where none is.
    pub fn drawn_in_words(&self) -> Option<String> {
        let parts = [
            ("answers", self.answers_drawn),
            ("prompts", self.prompts_drawn),
        ];
        let parts = parts.iter().filter(|part| part.1 > 0);
        let said: Vec<String> = parts
            .map(|(what, many)| format!("the {what} of {}", plural(*many, "request")))
            .collect();
        (!said.is_empty()).then(|| said.join(" and "))
    }
}

/// What a log says of prompts that begin alike.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Reuse {
    /// Requests whose prompts have hashes of their blocks.
    pub with_blocks: u64,
    /// Requests that are said to be of a conversation.
    pub with_session: u64,
    /// Requests of which it says how many prompt tokens a cache had.
    pub with_cached: u64,
    /// Prompt tokens that a cache had.
    pub cached_tokens: u64,
    /// All prompt tokens of the requests of which that is said.
    pub of_tokens: u64,
}

impl Reuse {
    fn of(log: &[Observed]) -> Reuse {
        let cached = log.iter().filter(|it| it.cached_tokens.is_some());
        let sum = |of: &dyn Fn(&Observed) -> u32| -> u64 {
            cached.clone().map(|it| u64::from(of(it))).sum()
        };
        let count = |is: &dyn Fn(&Observed) -> bool| log.iter().filter(|it| is(it)).count() as u64;
        Reuse {
            with_blocks: count(&|it| it.blocks.is_some()),
            with_session: count(&|it| it.session.is_some()),
            with_cached: count(&|it| it.cached_tokens.is_some()),
            cached_tokens: sum(&|it| it.cached_tokens.unwrap_or(0)),
            of_tokens: sum(&|it| it.prompt.count),
        }
    }
}

/// Where the time of a night begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Its time 0 in the stamps of the log, ns.
    pub zero_ns: u64,
    /// Whether stamps are dates, since 1970.
    pub dated: bool,
    /// Whether somebody said where time 0 is.
    pub stated: bool,
}

/// A night as it was observed.
#[derive(Debug, Clone)]
pub struct Night {
    /// Its requests, in order of arrival.
    pub requests: Vec<Seen>,
    /// Where its time 0 is, ns since 1970, where the log has dates.
    pub zero_ns: Option<u64>,
    /// Where its time begins in the stamps of the log.
    pub clock: Clock,
    /// What lengths rest on.
    pub lengths: Lengths,
    /// What is not known of each request, whatever stands there in its place.
    pub lacks: Vec<Lacks>,
    /// What it says of prompts that begin alike.
    pub reuse: Reuse,
    /// The blocks of each prompt; nothing where no request has any.
    blocks: Vec<Option<PromptBlocks>>,
    /// Requests left out since they came before the start.
    pub before_start: u64,
}

impl Night {
    /// Puts a log in order. `start` is where time 0 is, as on the command line: an instant of the
    /// log. By default it is the log's own zero, or its first request where it has dates.
    ///
    /// # Errors
    /// When nothing is in it.
    pub fn of(mut log: Vec<Observed>, start: Option<&str>) -> Result<Night, ReplayError> {
        log.sort_by_key(|request| request.t_ns);
        let first = log.first().map_or(0, |request| request.t_ns);
        let dated = first >= DATED_NS;
        let zero = match (start, dated) {
            (None, false) => 0,
            (None, true) => first,
            (Some(text), dated) => start_ns(text, dated)?,
        };
        let all = log.len() as u64;
        let last = log.last().map_or(0, |request| request.t_ns);
        log.retain(|request| request.t_ns >= zero);
        let before_start = all - log.len() as u64;
        if log.is_empty() {
            let Some(start) = start.filter(|_| all > 0) else {
                let allowed = "must have a request, and the log has none";
                return Err(ReplayError::option(
                    "--trace",
                    "(empty)",
                    allowed,
                    "check the file",
                ));
            };
            let allowed = format!(
                "must be before the last of the {all} requests of the log, {}",
                at(last, dated)
            );
            let remedy = "leave it out for the start of the log";
            return Err(ReplayError::option("--start", start, allowed, remedy));
        }
        let lacks = lacks(&log);
        let lengths = Lengths {
            inferred: count_of(&log, &lacks, |request, lacks| {
                request.prompt.inferred && !lacks.prompt || request.output.inferred && !lacks.output
            }),
            answers_drawn: count_of(&log, &lacks, |_, lacks| lacks.output),
            prompts_drawn: count_of(&log, &lacks, |_, lacks| lacks.prompt),
        };
        let reuse = Reuse::of(&log);
        let blocks = match reuse.with_blocks {
            0 => Vec::new(),
            _ => log.iter().map(blocks_of).collect(),
        };
        // Where some are told, the others were tried once: a log joins the tries that it has.
        let tries_told = log.iter().any(|it| it.attempts.is_some());
        let usual = usual(&log);
        let requests = log.iter().map(|request| {
            // What stands for lengths that are drawn anew.
            let or = |count: u32, usual: u32| if count == 0 { usual } else { count };
            Seen {
                t_ns: request.t_ns - zero,
                prompt_tokens: or(request.prompt.count, usual.0),
                output_tokens: or(request.output.count, usual.1),
                ttft_ns: request
                    .ttft_ns
                    .filter(|_| request.ending == Ending::Completed),
                e2e_ns: request
                    .e2e_ns
                    .filter(|_| request.ending == Ending::Completed),
                failed_ns: request
                    .e2e_ns
                    .filter(|_| request.ending != Ending::Completed),
                ending: request.ending,
                attempts: tries_told.then(|| request.attempts.unwrap_or(1).max(1)),
                tier: 0,
            }
        });
        Ok(Night {
            requests: requests.collect(),
            zero_ns: dated.then_some(zero),
            clock: Clock {
                zero_ns: zero,
                dated,
                stated: start.is_some(),
            },
            lengths,
            lacks,
            reuse,
            blocks,
            before_start,
        })
    }

    /// What arrives.
    pub fn arrivals(&self) -> Arc<[Arrival]> {
        let all = self.requests.iter().enumerate();
        let arrivals = all.map(|(place, request)| Arrival {
            t_ns: request.t_ns,
            prompt_tokens: request.prompt_tokens,
            output_tokens: request.output_tokens,
            blocks: self.blocks.get(place).cloned().flatten(),
        });
        arrivals.collect()
    }

    /// From time 0 to the last arrival, ns.
    pub fn span_ns(&self) -> u64 {
        self.requests.last().map_or(0, |request| request.t_ns)
    }

    /// The numbers of the requests that came within a window.
    pub fn within(&self, window: &Window) -> std::ops::Range<usize> {
        let at = |ns: u64| self.requests.partition_point(|request| request.t_ns < ns);
        at(window.from_ns())..at(window.to_ns())
    }
}

/// The lengths in the middle of those of the requests of which both are there, by the answer; 1 of none.
fn usual(log: &[Observed]) -> (u32, u32) {
    let both = log
        .iter()
        .filter(|it| it.prompt.count > 0 && it.output.count > 0);
    let mut known: Vec<(u32, u32)> = both.map(|it| (it.prompt.count, it.output.count)).collect();
    known.sort_unstable_by_key(|it| (it.1, it.0));
    known.get(known.len() / 2).copied().unwrap_or((1, 1))
}

/// What is not known of each request: what the log lacks and has of others, and what an importer drew for
/// those that failed. What it inferred of their prompts from bytes is as good as of the others, which
/// are inferred then, too.
fn lacks(log: &[Observed]) -> Vec<Lacks> {
    let answered = || log.iter().filter(|it| it.ending == Ending::Completed);
    if !answered().any(|it| it.prompt.count > 0 && it.output.count > 0) {
        return vec![Lacks::default(); log.len()];
    }
    let logged = answered().filter(|it| !it.prompt.inferred).count();
    let has_prompts = 2 * logged > answered().count();
    let of = |request: &Observed| {
        let failed = request.ending != Ending::Completed;
        let lacks = |count: u32, drawn: bool| count == 0 || failed && drawn;
        Lacks {
            prompt: lacks(request.prompt.count, request.prompt.inferred && has_prompts),
            output: lacks(request.output.count, request.output.inferred),
        }
    };
    log.iter().map(of).collect()
}

fn count_of(log: &[Observed], lacks: &[Lacks], is: impl Fn(&Observed, Lacks) -> bool) -> u64 {
    let both = log.iter().zip(lacks);
    both.filter(|(request, lacks)| is(request, **lacks)).count() as u64
}

fn blocks_of(request: &Observed) -> Option<PromptBlocks> {
    let blocks = request.blocks.as_ref()?;
    Some(PromptBlocks {
        hashes: Arc::from(blocks.hashes.as_slice()),
        tokens: blocks.tokens,
    })
}

/// An instant of the log, as people write it.
fn at(ns: u64, dated: bool) -> String {
    let date = OffsetDateTime::from_unix_timestamp_nanos(i128::from(ns)).ok();
    let date = date.and_then(|date| date.format(&Rfc3339).ok());
    match date.filter(|_| dated) {
        Some(date) => date,
        None => format!("at {} s", ns as f64 / 1e9),
    }
}

/// Where time 0 is, in the stamps of the log.
fn start_ns(text: &str, dated: bool) -> Result<u64, ReplayError> {
    let ns = match dated {
        // Times of the clock count from 1970, as the stamps of logs with dates do.
        true => clock_ns(text),
        false => {
            let at_s = instant_s(text, None).filter(|at_s| (0.0..=1e10).contains(at_s));
            at_s.map(|at_s| (at_s * 1e9).round() as u64)
        }
    };
    ns.ok_or_else(|| {
        let allowed = match dated {
            true => "must be a time with its zone such as 2025-11-18T11:00:00Z: the log has dates",
            false => "must be seconds (300), minutes (5m) or hours (1h) of the log's own time",
        };
        let remedy = "leave it out for the start of the log";
        ReplayError::option("--start", text, allowed, remedy)
    })
}
