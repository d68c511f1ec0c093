//! A scaler at work: what it measured, and what it makes of it.

use std::collections::VecDeque;

use crate::engine::{SimDuration, SimTime};
use crate::fleet::scaling::forecast::{ForecastRule, ForecastScore, Scores};
use crate::fleet::scaling::hpa::{Hpa, PodMetrics};
use crate::fleet::scaling::keda::Keda;
use crate::fleet::scaling::predictive::Predictive;
use crate::fleet::scaling::schedule::Schedule;
use crate::fleet::scaling::target::{Measure, TargetTracker};
use crate::scenario::scaling::{ScalePolicy, Scaler as Rule, Signal};

/// What was measured at an instant.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Of each node that was ready.
    pub values: Vec<f64>,
    /// Of all of them, where that is not their sum: nodes or none, it is there.
    pub total: Option<f64>,
    /// Nodes that were not ready yet.
    pub unready: u32,
    /// Requests of its tiers that had arrived at the fleet until then.
    pub arrived: u64,
}

#[derive(Debug, Clone)]
enum Machine {
    Hpa(Box<Hpa>),
    Keda(Box<Keda>),
    Target(Box<TargetTracker>),
    Schedule(Schedule),
    Predictive(Box<Predictive>, Box<ForecastScore>),
}

/// A scaler of one group, or of those of a pool.
#[derive(Debug, Clone)]
pub struct Scaler {
    /// What it measures.
    pub signal: Signal,
    machine: Machine,
    interval: SimDuration,
    delay: SimDuration,
    /// For KEDA: how often it polls and syncs, and when next.
    poll: (SimDuration, SimTime),
    sync: (SimDuration, SimTime),
    next_sample: SimTime,
    /// Measurements that are not known yet.
    coming: VecDeque<(SimTime, Sample)>,
    /// For forecasts: requests that had arrived when the last bucket ended, and the look ahead.
    arrived: u64,
    steps_ahead: u32,
    /// The most nodes that it may ask for.
    pub most: u32,
    /// Times at which what it asks for changed.
    pub changes: u64,
    /// Times at which `[[capacity.limits]]` gave it something else.
    pub limited: u64,
}

impl Scaler {
    /// A scaler that has measured nothing yet.
    pub fn new(rule: &Rule) -> Scaler {
        let seconds = SimDuration::from_secs_f64;
        let (mut poll, mut sync) = (SimDuration::ZERO, SimDuration::ZERO);
        let mut steps_ahead = 0;
        let (machine, interval_s) = match &rule.policy {
            ScalePolicy::Hpa(hpa) => (Machine::Hpa(Box::new(Hpa::new(hpa.clone()))), hpa.sync_s),
            ScalePolicy::Keda(keda) => {
                (poll, sync) = (seconds(keda.poll_s), seconds(keda.hpa.sync_s));
                let machine = Machine::Keda(Box::new(Keda::new(keda.clone())));
                (machine, common_s(keda.poll_s, keda.hpa.sync_s))
            }
            ScalePolicy::Target(target) => {
                let tracker = TargetTracker::new(target.clone());
                (Machine::Target(Box::new(tracker)), rule.interval_s)
            }
            ScalePolicy::Scheduled(schedule) => {
                (Machine::Schedule(Schedule::new(schedule)), rule.interval_s)
            }
            ScalePolicy::Predictive(predictive) => {
                let season = match &predictive.forecaster {
                    ForecastRule::SeasonalNaive(naive) => naive.season,
                    ForecastRule::HoltWinters(winters) => winters.season,
                };
                steps_ahead = (predictive.lead_s / predictive.bucket_s).ceil().max(1.0) as u32;
                let score = Box::new(ForecastScore::new(season));
                let machine = Predictive::new(predictive.clone());
                (
                    Machine::Predictive(Box::new(machine), score),
                    predictive.bucket_s,
                )
            }
        };
        Scaler {
            signal: rule.signal,
            interval: seconds(interval_s),
            delay: match &rule.policy {
                // A clock is not measured, and arrivals are counted where they come.
                ScalePolicy::Scheduled(_) | ScalePolicy::Predictive(_) => SimDuration::ZERO,
                _ => seconds(rule.scrape_delay_s),
            },
            // The first bucket of arrivals ends when it is over.
            next_sample: match &rule.policy {
                ScalePolicy::Predictive(rule) => SimTime::ZERO + seconds(rule.bucket_s),
                _ => SimTime::ZERO,
            },
            machine,
            poll: (poll, SimTime::ZERO),
            sync: (sync, SimTime::ZERO),
            coming: VecDeque::new(),
            arrived: 0,
            steps_ahead,
            most: rule.policy.most().unwrap_or(u32::MAX),
            changes: 0,
            limited: 0,
        }
    }

    /// When it looks next: to measure, or at what was measured.
    pub fn next_at(&self) -> SimTime {
        let known = self.coming.front().map_or(SimTime::NEVER, |(at, _)| *at);
        known.min(self.next_sample)
    }

    /// Whether it measures now.
    pub fn measures(&self, now: SimTime) -> bool {
        now >= self.next_sample
    }

    /// Something was measured; it is known in time.
    pub fn measured(&mut self, sample: Sample, now: SimTime) {
        self.coming.push_back((now + self.delay, sample));
        self.next_sample = now + self.interval;
    }

    /// What it wants of a group of `current` nodes, from what is known by now; none where that is
    /// nothing new.
    pub fn decide(&mut self, current: u32, now: SimTime) -> Option<u32> {
        let mut wanted = None;
        while self.coming.front().is_some_and(|(at, _)| *at <= now) {
            let (_, sample) = self.coming.pop_front()?;
            wanted = self
                .look(&sample, wanted.unwrap_or(current), now)
                .or(wanted);
        }
        wanted.filter(|wanted| *wanted != current)
    }

    fn look(&mut self, sample: &Sample, current: u32, now: SimTime) -> Option<u32> {
        let total = sample.total.unwrap_or_else(|| sample.values.iter().sum());
        match &mut self.machine {
            Machine::Hpa(hpa) => {
                let mut pods = PodMetrics::from_values(&sample.values);
                pods.add_unready(sample.unready);
                Some(hpa.recommend(now, current, &pods))
            }
            Machine::Keda(keda) => {
                let mut wanted = None;
                if is_due(&mut self.poll, now) {
                    wanted = keda.poll(now, current, total);
                }
                if is_due(&mut self.sync, now) && wanted.is_none() && current > 0 {
                    wanted = Some(keda.sync(now, current, total));
                }
                wanted
            }
            Machine::Target(tracker) => {
                let mean = match sample.values.len() {
                    0 => 0.0,
                    nodes => total / nodes as f64,
                };
                let metric = match tracker.rule().measure {
                    Measure::Total => total,
                    Measure::Average => mean,
                };
                Some(tracker.recommend(now, current, metric))
            }
            Machine::Schedule(schedule) => schedule.desired(now),
            Machine::Predictive(predictive, score) => {
                let came = sample.arrived.saturating_sub(self.arrived);
                self.arrived = sample.arrived;
                let rate = came as f64 / self.interval.as_secs_f64();
                score.observe(rate);
                predictive.end_bucket(now, rate);
                if let Some(forecast) = predictive.forecast(self.steps_ahead) {
                    score.forecast(self.steps_ahead, forecast);
                }
                Some(predictive.recommend(now, current))
            }
        }
    }

    /// How good its forecasts were, where it makes any.
    pub fn scores(&self) -> Option<Scores> {
        match &self.machine {
            Machine::Predictive(_, score) => Some(score.scores()),
            _ => None,
        }
    }
}

/// Whether it is time again for something that is done every so often.
fn is_due((every, next): &mut (SimDuration, SimTime), now: SimTime) -> bool {
    let due = now >= *next;
    if due {
        // From one time to the next, whatever the delay of what is known.
        let late = SimDuration((now - *next).0.checked_rem(every.0).unwrap_or(0));
        *next = now + *every;
        next.0 -= late.0;
    }
    due
}

/// The longest time that both are whole multiples of, to the millisecond, seconds; at least one.
fn common_s(a: f64, b: f64) -> f64 {
    let (mut a, mut b) = ((a * 1e3).round() as u64, (b * 1e3).round() as u64);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a.max(1_000) as f64 / 1e3
}
