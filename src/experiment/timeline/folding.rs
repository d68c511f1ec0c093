//! Long accounts made short: what comes and goes is told once, and what gateways, breakers and nodes
//! do between two faults is counted.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::SimTime;
use crate::fleet::faults::{Cause, What};
use crate::fleet::health::State;
use crate::fleet::timeline::{NodeChange, Note};
use crate::report::number::plural;

/// A sentence of an account.
#[derive(Debug, Clone)]
pub(super) struct Told {
    /// When.
    pub(super) at: SimTime,
    /// What it is told from.
    pub(super) note: Option<Note>,
    /// The words.
    pub(super) words: String,
}

/// A fault that begins more often than this is told as one that comes and goes.
const OFTEN: usize = 2;
/// As many like sentences between two faults are told one by one.
const FEW: usize = 2;

/// Folds an account. `clock` says an instant in words.
pub(super) fn folded(told: Vec<Told>, clock: &dyn Fn(SimTime) -> String) -> Vec<Told> {
    let mut out: Vec<Told> = Vec::new();
    let mut between: Vec<Told> = Vec::new();
    for one in come_and_gone(told, clock) {
        match one.note {
            Some(Note::Fault(_)) | None => {
                out.extend(counted(std::mem::take(&mut between), clock));
                out.push(one);
            }
            Some(_) => between.push(one),
        }
    }
    out.extend(counted(between, clock));
    out
}

/// Faults that come and go: the first time is told, with how often and until when.
fn come_and_gone(told: Vec<Told>, clock: &dyn Fn(SimTime) -> String) -> Vec<Told> {
    let mut begins: BTreeMap<Cause, (usize, SimTime)> = BTreeMap::new();
    // A share that changes in steps ends and begins at one instant: it is told step by step.
    let mut stepped: BTreeSet<Cause> = BTreeSet::new();
    for one in &told {
        if let Some(Note::Fault(change)) = &one.note {
            let is_new = !begins.contains_key(&change.cause);
            let seen = begins.entry(change.cause).or_insert((0, one.at));
            if !is_new && matches!(change.what, What::Begin(_)) && seen.1 == one.at {
                stepped.insert(change.cause);
            }
            seen.0 += usize::from(matches!(change.what, What::Begin(_)));
            seen.1 = one.at;
        }
    }
    let mut out = Vec::new();
    let mut told_of: BTreeMap<Cause, bool> = BTreeMap::new();
    for mut one in told {
        let Some(Note::Fault(change)) = &one.note else {
            out.push(one);
            continue;
        };
        let (times, last) = begins.get(&change.cause).copied().unwrap_or((0, one.at));
        let steps = stepped.contains(&change.cause);
        if times <= OFTEN || matches!(change.cause, Cause::Random { .. }) || steps {
            out.push(one);
        } else if !std::mem::replace(told_of.entry(change.cause).or_default(), true) {
            let until = clock(last);
            one.words = format!(
                "{}, and comes and goes {times} times until {until}",
                one.words
            );
            out.push(one);
        }
    }
    out
}

/// What is told between two faults: each kind by itself where there is little of it, else counted.
fn counted(between: Vec<Told>, clock: &dyn Fn(SimTime) -> String) -> Vec<Told> {
    let mut kinds: BTreeMap<u8, Vec<Told>> = BTreeMap::new();
    for one in between {
        kinds.entry(kind_of(&one)).or_default().push(one);
    }
    let mut out: Vec<Told> = Vec::new();
    for (_, all) in kinds {
        match (all.len() > FEW, all.first(), all.last()) {
            (true, Some(first), Some(last)) => out.push(Told {
                at: first.at,
                note: first.note,
                words: format!("to {}: {}", clock(last.at), summed(&all)),
            }),
            _ => out.extend(all),
        }
    }
    out.sort_by_key(|one| one.at);
    out
}

fn kind_of(one: &Told) -> u8 {
    match one.note {
        Some(Note::Fault(_)) | None => 0,
        Some(Note::Health(..)) => 1,
        Some(Note::Ejection(..)) => 2,
        Some(Note::Panic(..)) => 3,
        Some(Note::Breaker(..)) => 4,
        Some(Note::Node(..)) => 5,
    }
}

fn summed(all: &[Told]) -> String {
    let count = |is: &dyn Fn(&Note) -> bool| {
        let notes = all.iter().filter_map(|one| one.note.as_ref());
        notes.filter(|note| is(note)).count() as u64
    };
    let times = |count: u64, words: &str| format!("{words} {}", plural(count, "time"));
    let parts: Vec<(u64, String)> = match all.first().map(kind_of) {
        Some(1) => [(false, "replicas found not well"), (true, "well again")]
            .map(|(well, words)| {
                let found = count(&|note| matches!(note, Note::Health(_, _, is) if *is == well));
                (found, times(found, words))
            })
            .to_vec(),
        Some(2) => [(true, "replicas ejected"), (false, "brought back")]
            .map(|(out, words)| {
                let found = count(&|note| matches!(note, Note::Ejection(_, _, is) if *is == out));
                (found, times(found, words))
            })
            .to_vec(),
        Some(4) => [
            (State::Open, "breakers open"),
            (State::HalfOpen, "try again"),
            (State::Closed, "close"),
        ]
        .map(|(state, words)| {
            let found = count(&|note| matches!(note, Note::Breaker(_, _, is) if *is == state));
            (found, times(found, words))
        })
        .to_vec(),
        Some(5) => {
            let ready = count(&|note| matches!(note, Note::Node(_, NodeChange::Ready)));
            let back = count(&|note| matches!(note, Note::Node(_, NodeChange::GivenBack)));
            let taken = count(&|note| matches!(note, Note::Node(_, NodeChange::Taken(_))));
            vec![
                (ready, format!("{} ready", plural(ready, "node"))),
                (back, format!("{back} given back")),
                (
                    taken,
                    format!("the provider takes some away {}", plural(taken, "time")),
                ),
            ]
        }
        _ => vec![(1, format!("{} more such changes", all.len()))],
    };
    let some = parts.into_iter().filter(|(found, _)| *found > 0);
    some.map(|(_, words)| words).collect::<Vec<_>>().join(", ")
}
