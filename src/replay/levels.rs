//! Replicas and queues of both sides: as a monitor saw them, and as they were simulated.
//!
//! A minute has the mean of what was found in it, on either side: a monitor looks now and then, and the
//! simulated fleet is looked at when it did, as near as it is looked at. One look a minute is luck, on both
//! sides alike, so that what the simulated nights are apart says how far off luck alone may be. How often a
//! monitor looked that hands over means is not known: those are held against means.

use std::collections::BTreeMap;

use serde::Serialize;

use super::error::ReplayError;
use super::night::{Clock, Night};
use super::series::{Kind, Minutes, Series};
use super::stage::Levels;
use crate::observed::DATED_NS;
use crate::observed::levels::{Level, LevelSample, ObservedLevels};

/// Looks at a simulated night that there are room for, and of a minute at least and at most.
const LOOKS: usize = 2_000;
const OF_MINUTE: (usize, usize) = (4, 60);

/// What was observed of levels, and by what.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Telemetry {
    /// The levels that were given.
    pub observed: Vec<Covered>,
    /// What nobody gave: of replicas and queues.
    pub not_observed: Vec<&'static str>,
    /// What may not be read from what was given.
    pub notes: Vec<String>,
    /// What was observed of each, minute by minute.
    #[serde(skip)]
    pub series: Vec<(Level, Series)>,
    /// When each was looked at.
    #[serde(skip)]
    pub stretches: Stretches,
}

/// When levels were looked at: from one second of the night to another, the same for an instant.
pub type Stretches = BTreeMap<Level, Vec<(f64, f64)>>;

/// A level that was given.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Covered {
    /// The name of its series.
    pub series: &'static str,
    /// The files that tell it.
    pub files: Vec<String>,
    /// The first instant within the log that they tell of, seconds from its start.
    pub from_s: f64,
    /// The last.
    pub to_s: f64,
}

/// How often a simulated night is looked at, seconds.
pub fn look_every_s(minutes: Minutes) -> f64 {
    let looks = (LOOKS / minutes.count.max(1)).clamp(OF_MINUTE.0, OF_MINUTE.1);
    minutes.bin_s / looks as f64
}

/// The means over each minute of what is found where `stretches` has a level looked at, else at every look;
/// in the order of [`Level::ALL`].
pub fn simulated(levels: &Levels, minutes: Minutes, stretches: &Stretches) -> Vec<(Level, Series)> {
    let of = |level: Level| {
        let mut means = Means::new(minutes);
        match stretches.get(&level) {
            Some(stretches) => {
                for within in stretches {
                    if let Some(value) = found_within(levels, level, *within) {
                        means.add(*within, value);
                    }
                }
            }
            None => {
                for (look, found) in levels.looks.iter().enumerate() {
                    let at_s = (look + 1) as f64 * levels.every_s;
                    means.add((at_s, at_s), found[level.index()]);
                }
            }
        }
        (level, means.series(level))
    };
    Level::ALL.into_iter().map(of).collect()
}

/// The mean of the looks after one second up to another, or the one nearest to the latter where there is
/// none; nothing after the last look.
fn found_within(levels: &Levels, level: Level, (from_s, to_s): (f64, f64)) -> Option<f64> {
    // Looks are at whole multiples of a whole number of nanoseconds.
    let looks_until = |second: f64| (second / levels.every_s + 1e-6) as usize;
    let (before, until) = (
        looks_until(from_s),
        looks_until(to_s).min(levels.looks.len()),
    );
    let within = levels.looks.get(before..until).unwrap_or_default();
    if !within.is_empty() {
        let sum: f64 = within.iter().map(|it| it[level.index()]).sum();
        return Some(sum / within.len() as f64);
    }
    let nearest = (to_s / levels.every_s).round().max(1.0) as usize - 1;
    levels.looks.get(nearest).map(|it| it[level.index()])
}

/// Lays what files say over the minutes of a night.
///
/// # Errors
/// When a file's clock is another than the log's, it tells of another time, or two tell of the same.
pub fn lay_out(
    files: &[ObservedLevels],
    night: &Night,
    minutes: Minutes,
) -> Result<Telemetry, ReplayError> {
    let span_s = night.span_ns() as f64 / 1e9;
    let mut notes = Vec::new();
    for file in files {
        let (from_s, to_s) = seconds(file, night)?;
        if to_s < 0.0 || from_s > span_s {
            return Err(elsewhere(file, (from_s, to_s), span_s));
        }
        check_width(file, minutes)?;
        let told = file.notes.iter();
        notes.extend(told.map(|note| format!("{}: {note}", file.file)));
    }
    let mut observed = Vec::new();
    let mut series = Vec::new();
    let mut stretches = Stretches::new();
    for level in Level::ALL {
        let tell = files.iter().filter(|it| it.levels.contains_key(&level));
        let tell: Vec<&ObservedLevels> = tell.collect();
        check_apart(level, &tell, night.clock)?;
        let mut means = Means::new(minutes);
        let mut covered: Option<(f64, f64)> = None;
        for file in &tell {
            for sample in file.levels.get(&level).into_iter().flatten() {
                let (from_s, to_s) = stretch(sample, night.clock);
                if to_s < 0.0 || from_s > span_s {
                    continue;
                }
                let within = (from_s.max(0.0), to_s.min(span_s));
                means.add(within, sample.value);
                stretches.entry(level).or_default().push(within);
                let so_far = covered.unwrap_or(within);
                covered = Some((so_far.0.min(within.0), so_far.1.max(within.1)));
            }
        }
        let Some((from_s, to_s)) = covered else {
            continue;
        };
        observed.push(Covered {
            series: level.name(),
            files: tell.iter().map(|it| it.file.clone()).collect(),
            from_s,
            to_s,
        });
        series.push((level, means.series(level)));
    }
    let tells = |level: Level| series.iter().any(|(it, _)| *it == level);
    let mut not_observed = Vec::new();
    not_observed.extend((!tells(Level::Replicas)).then_some("replicas"));
    let queue = tells(Level::Waiting) || tells(Level::Queue);
    not_observed.extend((!queue).then_some("queue"));
    Ok(Telemetry {
        observed,
        not_observed,
        notes,
        series,
        stretches,
    })
}

/// A sample in seconds of the night.
fn stretch(sample: &LevelSample, clock: Clock) -> (f64, f64) {
    (at_s(sample.from_ns, clock), at_s(sample.to_ns, clock))
}

/// A stamp of a file in seconds of the night.
fn at_s(ns: u64, clock: Clock) -> f64 {
    let zero_ns = match (ns >= DATED_NS, clock.dated) {
        // Its seconds count from where the replay was said to start.
        (false, true) => 0,
        _ => clock.zero_ns,
    };
    (i128::from(ns) - i128::from(zero_ns)) as f64 / 1e9
}

/// From where to where a file tells, in seconds of the night.
fn seconds(file: &ObservedLevels, night: &Night) -> Result<(f64, f64), ReplayError> {
    let (from_ns, to_ns) = file.span_ns();
    let (dated, clock) = (from_ns >= DATED_NS, night.clock);
    if dated && !clock.dated {
        let allowed =
            "must be of the log's clock: it has dates, and the log counts from a zero of its own";
        let remedy = "give a log with dates, or times of the series that count from the same zero";
        return Err(refused(&file.file, allowed, remedy));
    }
    if !dated && clock.dated && !clock.stated {
        let allowed = "must be of the log's clock: its times count from 0, and the log has dates";
        let remedy = "say with --start which time of the log its 0 is";
        return Err(refused(&file.file, allowed, remedy));
    }
    Ok((at_s(from_ns, clock), at_s(to_ns, clock)))
}

/// Refuses means over more than what is compared: what came and went within one would be seen on one side
/// only.
fn check_width(file: &ObservedLevels, minutes: Minutes) -> Result<(), ReplayError> {
    let widest_s = file.widest_s();
    // Widths are whole nanoseconds, stretches need not be.
    if widest_s <= minutes.bin_s * (1.0 + 1e-6) {
        return Ok(());
    }
    let allowed = format!(
        "must have a value for each stretch that is compared, of {} s, and has means over {widest_s} s",
        minutes.bin_s
    );
    let remedy =
        format!("compare by longer ones with --bin {widest_s}, or give the scrapes themselves");
    Err(refused(&file.file, &allowed, &remedy))
}

fn refused(file: &str, allowed: &str, remedy: &str) -> ReplayError {
    ReplayError::option("--observed-series", file, allowed, remedy)
}

/// A file that tells of another time.
fn elsewhere(file: &ObservedLevels, (from_s, to_s): (f64, f64), span_s: f64) -> ReplayError {
    let allowed = format!(
        "must tell of the time of the log, which is 0 s to {span_s:.0} s from its start, and tells of \
         {from_s:.0} s to {to_s:.0} s"
    );
    let remedy = "give the series of that night; where it is off by whole hours, one of the two is in \
                  another time zone";
    refused(&file.file, &allowed, remedy)
}

/// Refuses files that tell of one level at the same time: which is right, or whether they are to be added,
/// cannot be known.
fn check_apart(level: Level, files: &[&ObservedLevels], clock: Clock) -> Result<(), ReplayError> {
    let of = |file: &ObservedLevels| -> Option<(f64, f64)> {
        let samples = file.levels.get(&level)?;
        let (first, last) = (samples.first()?, samples.last()?);
        Some((stretch(first, clock).0, stretch(last, clock).1))
    };
    for (place, one) in files.iter().enumerate() {
        for other in &files[..place] {
            let (Some(a), Some(b)) = (of(one), of(other)) else {
                continue;
            };
            if a.0 < b.1 && b.0 < a.1 {
                let allowed = format!(
                    "must not tell of {} at times that {} tells of, too",
                    level.name(),
                    other.file
                );
                let remedy = "give one file of all replicas, or files one after another";
                return Err(refused(&one.file, &allowed, remedy));
            }
        }
    }
    Ok(())
}

/// Means over minutes, each value by the time it is of.
struct Means {
    minutes: Minutes,
    sums: Vec<(f64, f64)>,
}

impl Means {
    fn new(minutes: Minutes) -> Means {
        Means {
            minutes,
            sums: vec![(0.0, 0.0); minutes.count],
        }
    }

    /// Adds what was so on average from one second to another, or at an instant: that counts to the minute
    /// which it ends, if it is between two.
    fn add(&mut self, (from_s, to_s): (f64, f64), value: f64) {
        let bin_s = self.minutes.bin_s;
        let last = self.minutes.count - 1;
        if to_s <= from_s {
            let minute = ((to_s / bin_s).ceil() - 1.0).max(0.0) as usize;
            let sum = &mut self.sums[minute.min(last)];
            *sum = (sum.0 + value, sum.1 + 1.0);
            return;
        }
        let first = ((from_s / bin_s) as usize).min(last);
        for minute in first..=last {
            let begins_s = minute as f64 * bin_s;
            let within_s = to_s.min(begins_s + bin_s) - from_s.max(begins_s);
            if within_s <= 0.0 {
                break;
            }
            let sum = &mut self.sums[minute];
            *sum = (sum.0 + value * within_s, sum.1 + within_s);
        }
    }

    fn series(self, level: Level) -> Series {
        let means = self.sums.into_iter();
        Series {
            name: level.name().to_owned(),
            kind: match level {
                Level::Replicas | Level::Running => Kind::Level,
                Level::Waiting | Level::Queue => Kind::Queue,
                Level::KvUsage => Kind::Share,
            },
            values: means
                .map(|(sum, weight)| (weight > 0.0).then(|| sum / weight))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_simulated_is_looked_at_when_a_monitor_looked() {
        // Looks at 10 s, 20 s, ... 60 s, and a level that is as high as it is late.
        let levels = Levels {
            every_s: 10.0,
            looks: (1..=6).map(|look| [f64::from(look); 5]).collect(),
        };
        let minutes = Minutes {
            bin_s: 30.0,
            count: 3,
        };
        let values = |stretches: &[(f64, f64)]| {
            let all = Stretches::from([(Level::Running, stretches.to_vec())]);
            let found = simulated(&levels, minutes, &all);
            found[Level::Running.index()].1.values.clone()
        };
        // An instant has the look nearest to it, a stretch the mean of those within it.
        assert_eq!(values(&[(21.0, 21.0)]), [Some(2.0), None, None]);
        assert_eq!(
            values(&[(0.0, 30.0), (30.0, 50.0), (50.0, 60.0)]),
            [Some(2.0), Some((4.5 * 2.0 + 6.0) / 3.0), None]
        );
        // Less than from one look to the next; before the first; after the last.
        assert_eq!(values(&[(22.0, 24.0)]), [Some(2.0), None, None]);
        assert_eq!(values(&[(0.0, 1.0)]), [Some(1.0), None, None]);
        assert_eq!(values(&[(88.0, 89.0)]), [None, None, None]);
        // What was not observed is looked at all the time.
        let found = simulated(&levels, minutes, &Stretches::new());
        assert_eq!(found[0].1.values, [Some(2.0), Some(5.0), None]);
    }

    #[test]
    fn a_value_counts_to_the_minutes_it_is_of() {
        let minutes = Minutes {
            bin_s: 60.0,
            count: 3,
        };
        let mut means = Means::new(minutes);
        means.add((30.0, 90.0), 4.0);
        means.add((90.0, 120.0), 10.0);
        // At the end of a minute: of that minute.
        let mut instants = Means::new(minutes);
        instants.add((60.0, 60.0), 2.0);
        instants.add((60.5, 60.5), 6.0);
        instants.add((120.0, 120.0), 8.0);
        let values = |means: Means| means.series(Level::Queue).values;
        assert_eq!(values(means), [Some(4.0), Some(7.0), None]);
        assert_eq!(values(instants), [Some(2.0), Some(7.0), None]);
    }
}
