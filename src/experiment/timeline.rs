//! What happened when, put together: rows, an account in plain words, and how long it took to
//! recover.

mod folding;

use std::iter::once;
use std::ops::Range;

use serde::Serialize;
use serde_json::{Value, json};

use self::folding::{Told, folded};
use crate::engine::SimTime;
use crate::fleet::faults::{Cause, Change, Effect, Peer, Scope, What};
use crate::fleet::health::State;
use crate::fleet::plan::FleetPlan;
use crate::fleet::request::Outcome;
use crate::fleet::request::Status;
use crate::fleet::timeline::{Bucket, NodeChange, Note, Timeline};
use crate::report::number::{plural, significant};

use super::charts::Mark;

/// Standard deviations by which more requests than allowed must miss the objective before a stretch
/// of time counts as short of it: one late request of eighty is no outage. By choice.
const CHANCE: f64 = 3.0;
/// Sentences of an account at most; what comes after is counted.
const MOST_SENTENCES: usize = 40;
/// A share of the clients of a region that has left it when it is said to have been handed over.
const MOVED: f64 = 0.9;

/// What happened when, of the first replication.
#[derive(Debug, Clone, Serialize)]
pub struct TimelineReport {
    /// Length of a row, seconds.
    pub bucket_s: f64,
    /// What is in a row.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<Value>>,
    /// The account, sentence by sentence.
    pub account: Vec<String>,
    /// How it went.
    pub summary: Summary,
    /// By region: how long after it first left nine of ten tries that went there went elsewhere,
    /// seconds. Part of the regions' own rows.
    #[serde(skip)]
    pub handed_over_s: Vec<Option<f64>>,
    /// Faults and when they were in force: what reports draw.
    #[serde(skip)]
    pub marks: Vec<Mark>,
}

/// How a night went.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// Faults that began, those at stated times and those at random.
    pub faults: u64,
    /// Those that had not ended when the run did: what is said of recovery is said with them on.
    pub faults_not_ended: u64,
    /// Replicas that were dead or hung, the most there were at once.
    pub most_replicas_down: u64,
    /// Requests that were not answered, for whatever reason.
    pub lost: u64,
    /// Requests under way when the run ended that had passed a bound of their objective: they count
    /// where they passed it.
    pub overdue: u64,
    /// Users who were ever hit: of whom a request was not answered, or was hit by a bad deployment.
    pub users_hit: u64,
    /// Tries that were hit by one.
    pub tries_hit: u64,
    /// Time in which fewer requests met their objective than it asks for, by more than chance (three
    /// standard deviations), seconds. Where no
    /// objective is stated a request must be answered.
    pub violation_s: f64,
    /// Of the requests that may miss the objective, how many times as many did.
    pub error_budget_burnt: Option<f64>,
    /// From the end of the last fault that ended until the objective was met for good, seconds; none
    /// where no fault ended, or it never was.
    pub recovery_s: Option<f64>,
    /// Whether it was met for good after the last fault that ended; none where no fault ended.
    pub recovered: Option<bool>,
    /// Tries for each request, the most in any row with ten requests or more.
    pub most_tries_per_request: Option<f64>,
    /// Goodput, the least and the most of any row between warm-up and horizon, requests per second.
    pub goodput_rps: (f64, f64),
}

impl TimelineReport {
    /// Puts together what a run kept; none where it was to keep nothing. A run that has not begun
    /// has a report without rows, so that claims may name its fields.
    pub fn of(timeline: &Timeline, plan: &FleetPlan, end: SimTime) -> Option<TimelineReport> {
        if !timeline.is_on() {
            return None;
        }
        let width_s = timeline.width().as_secs_f64();
        let target = target_of(plan);
        let regions = plan.topology.regions.len();
        let mut columns: Vec<String> = COLUMNS.iter().map(|name| (*name).to_owned()).collect();
        let causes = causes(timeline);
        columns.extend(causes.iter().map(|status| status.name().to_owned()));
        if regions > 1 {
            let names = plan.topology.regions.iter();
            columns.extend(names.map(|region| format!("tries_to_{}", region.name)));
        }
        let rows = timeline
            .buckets()
            .iter()
            .enumerate()
            .map(|(index, bucket)| {
                let mut row = row_of(index as f64 * width_s, bucket);
                row.extend(
                    causes
                        .iter()
                        .map(|status| json!(bucket.ended[status.index()])),
                );
                if regions > 1 {
                    row.extend(timeline.tries_to(index).iter().map(|tries| json!(tries)));
                }
                row
            });
        Some(TimelineReport {
            bucket_s: width_s,
            columns,
            rows: rows.collect(),
            account: account(timeline, plan, end),
            summary: summary(timeline, plan, target),
            handed_over_s: handed_over(timeline, regions),
            marks: marks(timeline, plan),
        })
    }
}

/// Why requests were not answered, of all the reasons there were: a column each beside the sums.
fn causes(timeline: &Timeline) -> Vec<Status> {
    let buckets = timeline.buckets();
    let seen = |status: &Status| {
        buckets
            .iter()
            .any(|bucket| bucket.ended[status.index()] > 0)
    };
    let sums = [Status::Completed, Status::TimedOut, Status::Cancelled];
    let all = Status::ALL.into_iter();
    all.filter(|status| !sums.contains(status) && seen(status))
        .collect()
}

const COLUMNS: [&str; 18] = [
    "t_s",
    "arrived",
    "completed",
    "good",
    "rejected",
    "shed",
    "timed_out",
    "failed",
    "cancelled",
    "tries",
    "in_flight",
    "waiting",
    "breakers_open",
    "replicas_down",
    "overdue",
    "breakers_opened",
    "breakers_half_opened",
    "breakers_closed",
];

fn row_of(at_s: f64, bucket: &Bucket) -> Vec<Value> {
    let ended = |outcome| bucket.ended_in(outcome);
    let counts = [
        bucket.arrived,
        ended(Outcome::Completed),
        bucket.good,
        ended(Outcome::Rejected),
        ended(Outcome::Shed),
        ended(Outcome::TimedOut),
        ended(Outcome::Failed),
        ended(Outcome::Cancelled),
        bucket.tries,
        bucket.in_flight,
        bucket.waiting,
        bucket.breakers_open,
        bucket.down,
        bucket.overdue,
        bucket.transitions[0],
        bucket.transitions[1],
        bucket.transitions[2],
    ];
    std::iter::once(json!(at_s))
        .chain(counts.map(|count| json!(count)))
        .collect()
}

/// The share that must meet the objective, of the tier that asks for the most; all but a hundredth
/// where none is stated.
fn target_of(plan: &FleetPlan) -> f64 {
    let targets = plan.tiers.iter().filter_map(|tier| Some(tier.slo?.target));
    targets.reduce(f64::max).unwrap_or(0.99)
}

fn ended_in(bucket: &Bucket) -> u64 {
    bucket.ended.iter().sum()
}

/// Requests of which it is known there whether they met their objective.
fn decided_in(bucket: &Bucket) -> u64 {
    ended_in(bucket) + bucket.overdue
}

/// Whether a stretch of time falls short of the objective, by more than chance makes of a fleet that
/// just meets it.
fn violates(bucket: &Bucket, target: f64) -> bool {
    match decided_in(bucket) {
        // Nothing ends where something is due.
        0 => bucket.in_flight > 0 && bucket.arrived > 0,
        decided => {
            let (all, missed) = (decided as f64, (decided - bucket.good) as f64);
            let allowed = (1.0 - target) * all;
            missed > allowed + CHANCE * (allowed * target).sqrt()
        }
    }
}

fn summary(timeline: &Timeline, plan: &FleetPlan, target: f64) -> Summary {
    let width_s = timeline.width().as_secs_f64();
    let buckets = timeline.buckets();
    let completed = Status::Completed.index();
    let all: u64 = buckets.iter().map(ended_in).sum();
    let answered: u64 = buckets.iter().map(|bucket| bucket.ended[completed]).sum();
    let good: u64 = buckets.iter().map(|bucket| bucket.good).sum();
    let decided: u64 = buckets.iter().map(decided_in).sum();
    let bad = buckets
        .iter()
        .filter(|bucket| violates(bucket, target))
        .count();
    let (start, horizon) = (plan.warmup.as_secs_f64(), plan.horizon.as_secs_f64());
    let whole = buckets.iter().enumerate().filter(|(index, _)| {
        let at = *index as f64 * width_s;
        at >= start && at + width_s <= horizon
    });
    let rates: Vec<f64> = whole
        .map(|(_, bucket)| bucket.good as f64 / width_s)
        .collect();
    let last_end = timeline.last_fault_end().map(SimTime::as_secs_f64);
    let recovery = last_end.map(|at| recovery_s(timeline, target, at, horizon));
    let amplification = buckets
        .iter()
        .filter(|bucket| bucket.arrived >= 10)
        .map(|bucket| bucket.tries as f64 / bucket.arrived as f64)
        .reduce(f64::max);
    Summary {
        faults: timeline.faults(),
        faults_not_ended: timeline.faults_in_force(),
        most_replicas_down: buckets.iter().map(|bucket| bucket.down).max().unwrap_or(0),
        lost: all - answered,
        overdue: buckets.iter().map(|bucket| bucket.overdue).sum(),
        users_hit: timeline.users_hit(),
        tries_hit: timeline.tries_hit(),
        violation_s: bad as f64 * width_s,
        error_budget_burnt: (target < 1.0 && decided > 0)
            .then(|| (decided - good) as f64 / decided as f64 / (1.0 - target)),
        recovery_s: recovery.flatten(),
        recovered: recovery.map(|recovery| recovery.is_some()),
        most_tries_per_request: amplification,
        goodput_rps: (
            rates.iter().copied().reduce(f64::min).unwrap_or(0.0),
            rates.iter().copied().reduce(f64::max).unwrap_or(0.0),
        ),
    }
}

/// How long after `from_s` the objective was met for good; none where it never was before arrivals
/// stopped.
fn recovery_s(timeline: &Timeline, target: f64, from_s: f64, horizon_s: f64) -> Option<f64> {
    let width_s = timeline.width().as_secs_f64();
    let after = timeline.buckets().iter().enumerate().filter(|(index, _)| {
        let at = *index as f64 * width_s;
        at + width_s > from_s && at < horizon_s
    });
    let mut bad = after.filter(|(_, bucket)| violates(bucket, target));
    let last_bad = bad.next_back().map(|(index, _)| index);
    let recovered_s = match last_bad {
        None => return Some(0.0),
        Some(index) => (index + 1) as f64 * width_s,
    };
    (recovered_s < horizon_s).then(|| (recovered_s - from_s).max(0.0))
}

// ---- in words --------------------------------------------------------------------------------

fn account(timeline: &Timeline, plan: &FleetPlan, end: SimTime) -> Vec<String> {
    let (notes, untold) = timeline.notes();
    let mut told: Vec<Told> = Vec::new();
    let mut dead = Vec::new();
    for (at, note) in notes {
        let words = match note {
            Note::Fault(change) if stays_down(&mut dead, change, plan) => {
                let there = scope_in_words(change.scope, plan);
                format!("one of the faults of {there} ends; it stays down")
            }
            note => note_in_words(note, plan),
        };
        told.push(Told {
            at: *at,
            note: Some(*note),
            words,
        });
    }
    for (at, region) in departures(timeline) {
        if let Some(seconds) = handed_over_s(timeline, at, region) {
            let name = &plan.topology.regions[usize::from(region)].name;
            let when = SimTime(at.0 + (seconds * 1e9) as u64);
            told.push(Told {
                at: when.min(end),
                note: None,
                words: format!(
                    "{:.0} % of the tries that went to {name} go elsewhere now, {seconds:.0} s \
                     after it left",
                    MOVED * 100.0
                ),
            });
        }
    }
    told.sort_by_key(|one| one.at);
    let mut sentences: Vec<String> = grouped(&told, plan);
    if sentences.len() > MOST_SENTENCES {
        told = folded(told, &|at| clock(at, plan));
        sentences = grouped(&told, plan);
    }
    let more = told.len().saturating_sub(MOST_SENTENCES) as u64 + untold;
    let kept = sentences.len().min(MOST_SENTENCES);
    let dropped = (sentences.len() - kept) as u64;
    sentences.truncate(kept);
    if dropped + untold > 0 && more > 0 {
        sentences.push(format!("and {} more changes", dropped + untold));
    }
    sentences
}

/// What changed, in words: `region east leaves`.
pub(crate) fn note_in_words(note: &Note, plan: &FleetPlan) -> String {
    match note {
        Note::Fault(change) => fault_in_words(change.cause, change.scope, change.what, plan),
        Note::Health(gateway, replica, well) => {
            let verb = if *well { "well again" } else { "not well" };
            format!(
                "gateway {gateway} finds {} {verb}",
                replica_name(plan, replica.0)
            )
        }
        Note::Ejection(gateway, replica, out) => {
            let verb = if *out { "ejects" } else { "brings back" };
            format!("gateway {gateway} {verb} {}", replica_name(plan, replica.0))
        }
        Note::Panic(gateway, region, panics) => {
            let name = &plan.topology.regions[usize::from(*region)].name;
            let verb = if *panics {
                "no longer believes"
            } else {
                "believes"
            };
            format!("gateway {gateway} {verb} the health of region {name}'s replicas")
        }
        Note::Node(group, change) => node_in_words(*group, *change, plan),
        Note::Breaker(gateway, index, state) => {
            let verb = match state {
                State::Open => "opens",
                State::HalfOpen => "tries again (half-open)",
                State::Closed => "closes",
            };
            format!("gateway {gateway}: breaker {index} {verb}")
        }
    }
}

/// The faults that are told of, with their ends.
fn marks(timeline: &Timeline, plan: &FleetPlan) -> Vec<Mark> {
    let mut open: Vec<(Cause, Scope, usize)> = Vec::new();
    let mut marks: Vec<Mark> = Vec::new();
    for (at, note) in timeline.notes().0 {
        let Note::Fault(change) = note else { continue };
        match change.what {
            What::Begin(effect) => {
                open.push((change.cause, change.scope, marks.len()));
                let there = scope_in_words(change.scope, plan);
                marks.push(Mark {
                    what: format!("{}, {there}", effect_in_words(effect, plan)),
                    from_s: at.as_secs_f64(),
                    to_s: None,
                });
            }
            What::End(_) => {
                let of_it =
                    |it: &(Cause, Scope, usize)| (it.0, it.1) == (change.cause, change.scope);
                if let Some(found) = open.iter().position(of_it) {
                    let (_, _, mark) = open.swap_remove(found);
                    marks[mark].to_s = Some(at.as_secs_f64());
                }
            }
        }
    }
    marks
}

fn node_in_words(group: u16, change: NodeChange, plan: &FleetPlan) -> String {
    let groups = plan.capacity.as_ref().map(|it| &it.groups);
    let name = groups.map_or("", |it| it[usize::from(group)].name.as_str());
    match change {
        NodeChange::Ready => format!("group {name}: a node is ready"),
        NodeChange::GivenBack => format!("group {name}: a node is given back"),
        NodeChange::Taken(nodes) => {
            format!(
                "group {name}: the provider is taking {} away",
                plural(nodes.into(), "node")
            )
        }
    }
}

/// An instant in words: what the clock on the wall says, or seconds.
fn clock(at: SimTime, plan: &FleetPlan) -> String {
    let at_s = at.as_secs_f64();
    let says = plan.clock.as_ref().and_then(|clock| clock.says(at_s));
    says.unwrap_or_else(|| format!("{at_s:.1} s"))
}

/// Like sentences of one instant become one.
fn grouped(told: &[Told], plan: &FleetPlan) -> Vec<String> {
    let mut sentences: Vec<String> = Vec::new();
    let mut index = 0;
    while index < told.len() {
        let Told { at, words, .. } = &told[index];
        let head = words.split_whitespace().take(3).collect::<Vec<_>>();
        let like = told[index..]
            .iter()
            .take_while(
                |Told {
                     at: other,
                     words: more,
                     ..
                 }| {
                    other.0 < at.0 + 1_000_000_000
                        && more
                            .split_whitespace()
                            .take(1)
                            .eq(head.iter().take(1).copied())
                        && (more.starts_with("gateway") || more.starts_with("group"))
                },
            )
            .count();
        let time = match plan.clock {
            Some(_) => clock(*at, plan),
            None => format!("at {}", clock(*at, plan)),
        };
        if like > 4 {
            sentences.push(format!(
                "{time} {words}, and {} more such changes within a second",
                like - 1
            ));
            index += like;
        } else {
            sentences.push(format!("{time} {words}"));
            index += 1;
        }
    }
    sentences
}

/// Regions that died, and when.
fn departures(timeline: &Timeline) -> Vec<(SimTime, u16)> {
    let (notes, _) = timeline.notes();
    let left = notes.iter().filter_map(|(at, note)| match note {
        Note::Fault(change) => match (change.scope, change.what) {
            (Scope::Region(region), What::Begin(Effect::Crash)) => Some((*at, region.0)),
            (
                Scope::Region(region),
                What::Begin(Effect::Partition {
                    from: Peer::Clients,
                }),
            ) => Some((*at, region.0)),
            _ => None,
        },
        _ => None,
    });
    left.collect()
}

/// How long after each region first left its tries went elsewhere, seconds.
fn handed_over(timeline: &Timeline, regions: usize) -> Vec<Option<f64>> {
    let left = departures(timeline);
    let first = (0..regions).map(|at| left.iter().find(|it| usize::from(it.1) == at));
    first
        .map(|left| left.and_then(|(at, region)| handed_over_s(timeline, *at, *region)))
        .collect()
}

/// How long until the tries that went to a region go elsewhere, seconds.
fn handed_over_s(timeline: &Timeline, from: SimTime, region: u16) -> Option<f64> {
    let width = timeline.width();
    let share = |index: usize| -> Option<f64> {
        let tries = timeline.tries_to(index);
        let all: u64 = tries.iter().sum();
        (all >= 10).then(|| tries[usize::from(region)] as f64 / all as f64)
    };
    let at = (from.0 / width.0) as usize;
    let before = (0..at).rev().find_map(share)?;
    if before == 0.0 {
        return None;
    }
    let after = at + 1..timeline.buckets().len();
    let moved = after
        .filter_map(|index| Some((index, share(index)?)))
        .find(|(_, share)| *share <= (1.0 - MOVED) * before)?;
    let when = (moved.0 + 1) as f64 * width.as_secs_f64();
    Some(when - from.as_secs_f64())
}

/// Whether a crash ends of what another holds dead; `dead` is what crashes in force befall.
fn stays_down(dead: &mut Vec<Scope>, change: &Change, plan: &FleetPlan) -> bool {
    match change.what {
        What::Begin(Effect::Crash) => {
            dead.push(change.scope);
            false
        }
        What::End(Effect::Crash) => {
            if let Some(index) = dead.iter().position(|scope| *scope == change.scope) {
                dead.swap_remove(index);
            }
            dead.iter().any(|scope| holds(*scope, change.scope, plan))
        }
        _ => false,
    }
}

/// Whether all that one scope names another names too.
fn holds(outer: Scope, inner: Scope, plan: &FleetPlan) -> bool {
    let ranges = replicas_of(outer, plan);
    let is_held = |inner: Range<u32>| {
        let mut outer = ranges.iter();
        outer.any(|outer| outer.start <= inner.start && inner.end <= outer.end)
    };
    outer == inner || {
        let inner = replicas_of(inner, plan);
        !inner.is_empty() && inner.into_iter().all(is_held)
    }
}

/// The replicas of a scope, in stretches; none of one that is of clients.
fn replicas_of(scope: Scope, plan: &FleetPlan) -> Vec<Range<u32>> {
    let of_pool = |at: usize| {
        let first: u32 = plan.pools[..at].iter().map(|pool| pool.replicas).sum();
        first..first + plan.pools[at].replicas
    };
    match scope {
        Scope::Replicas { first, count } => once(first..first + count).collect(),
        Scope::Pool(pool) => once(of_pool(usize::from(pool.0))).collect(),
        Scope::Region(region) => {
            let pools = plan.pools.iter().enumerate();
            let there = pools.filter(|(_, pool)| pool.region == region.0);
            there.map(|(at, _)| of_pool(at)).collect()
        }
        Scope::Rack(rack) => {
            let Some(faults) = &plan.faults else {
                return Vec::new();
            };
            let members = faults.faults.racks[rack as usize].members.iter();
            let stretches = members.filter_map(|member| {
                let named = plan.pools.iter().position(|pool| pool.name == member.pool);
                let first = of_pool(named?).start + member.first_replica;
                Some(first..first + member.replicas)
            });
            stretches.collect()
        }
        Scope::Fleet => once(0..plan.replicas()).collect(),
        Scope::Population(_) => Vec::new(),
    }
}

fn replica_name(plan: &FleetPlan, replica: u32) -> String {
    let mut first = 0;
    for pool in &plan.pools {
        if replica < first + pool.replicas {
            return format!("replica {} of {}", replica - first, pool.name);
        }
        first += pool.replicas;
    }
    format!("replica {replica}")
}

/// What a fault befalls: `pool nodes`.
pub(crate) fn scope_in_words(scope: Scope, plan: &FleetPlan) -> String {
    match scope {
        Scope::Replicas { first, count: 1 } => replica_name(plan, first),
        Scope::Replicas { first, count } => {
            let last = replica_name(plan, first + count - 1);
            let last = last.trim_start_matches("replica ");
            let name = replica_name(plan, first);
            let number = name.split_whitespace().nth(1).unwrap_or_default();
            format!("replicas {number} to {last}")
        }
        Scope::Pool(pool) => format!("pool {}", plan.pools[usize::from(pool.0)].name),
        Scope::Region(region) => {
            format!(
                "region {}",
                plan.topology.regions[usize::from(region.0)].name
            )
        }
        Scope::Rack(rack) => match &plan.faults {
            Some(faults) => format!("rack {}", faults.faults.racks[rack as usize].name),
            None => format!("rack {rack}"),
        },
        Scope::Population(at) => {
            format!(
                "population {}",
                plan.topology.populations[usize::from(at)].name
            )
        }
        Scope::Fleet => "the whole fleet".to_owned(),
    }
}

fn fault_in_words(cause: Cause, scope: Scope, what: What, plan: &FleetPlan) -> String {
    let there = scope_in_words(scope, plan);
    let chance = match cause {
        Cause::Timeline(_) => "",
        Cause::Random { .. } => " (by chance)",
    };
    let words = match what {
        What::Begin(Effect::Crash) => match scope {
            Scope::Region(_) => format!("{there} leaves"),
            Scope::Replicas { count: 2.., .. } => format!("{there} die"),
            _ => format!("{there} dies"),
        },
        What::End(Effect::Crash) => match scope {
            Scope::Replicas { count: 2.., .. } => format!("{there} are back"),
            _ => format!("{there} is back"),
        },
        What::Begin(effect) => format!("{} begins, {there}", effect_in_words(effect, plan)),
        What::End(effect) => format!("{} ends, {there}", effect_in_words(effect, plan)),
    };
    format!("{words}{chance}")
}

/// What a fault does: `a brown-out of 50 %`.
pub(crate) fn effect_in_words(effect: Effect, plan: &FleetPlan) -> String {
    match effect {
        Effect::Crash => "a crash".to_owned(),
        Effect::Hang => "a hang".to_owned(),
        Effect::Slow { factor } => format!("work {factor} times as slow"),
        Effect::PacketLoss { probability } => {
            format!("loss of {} of messages", share_in_words(probability))
        }
        Effect::Partition { from } => match from {
            Peer::Gateways => "a partition from the gateways".to_owned(),
            Peer::Clients => "a partition from the clients".to_owned(),
            Peer::Region(other) => {
                let name = &plan.topology.regions[usize::from(other.0)].name;
                format!("a partition from {name}")
            }
        },
        Effect::BrownOut { share } => format!("a brown-out of {}", share_in_words(share)),
        Effect::BadDeploy { share, .. } => format!("a bad deployment to {}", share_in_words(share)),
        Effect::ControlPlaneLoss => "the loss of the control plane".to_owned(),
        Effect::LaunchRefusal => "a refusal of launches".to_owned(),
        Effect::DnsOutage => "an outage of DNS".to_owned(),
        Effect::TrafficSpike { factor } => format!("traffic of {factor} times"),
        Effect::Draining { .. } => "a drain".to_owned(),
    }
}

/// A share as people write it: `7 %`.
pub(crate) fn share_in_words(share: f64) -> String {
    format!("{} %", significant(Some(share * 100.0)))
}
