//! `[[capacity.scalers]]`: who asks for more nodes, and gives them back.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::capacity::NodeGroup;
use super::problems::Problems;
use super::validate::{MOST_REPLICAS, MOST_S};
use crate::fleet::scaling::forecast::ForecastRule;
use crate::fleet::scaling::hpa::HpaRule;
use crate::fleet::scaling::keda::KedaRule;
use crate::fleet::scaling::predictive::PredictiveRule;
use crate::fleet::scaling::schedule::ScheduleRule;
use crate::fleet::scaling::target::TargetRule;

/// Who decides how many nodes a group has. It sees what a metrics server would: values that were
/// true a while ago.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scaler {
    /// The group of nodes. Give this or `pool`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The pool, all of whose groups it scales together: a group with `share` has that share of the
    /// nodes wanted, one with `nodes` has these, and the one with neither has the rest. So a mix of
    /// spot and on-demand nodes stays a mix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// What is measured. Default `in_flight`.
    #[serde(default)]
    pub signal: Signal,
    /// Whose requests count, for `signal = "backlog"` and forecasts: names of tiers. Default: those
    /// that the group's pool may serve.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<String>,
    /// How old a measurement is when it is acted on, seconds, 0 or more. Default 15, a common
    /// interval of scrapes.
    #[serde(default = "fifteen")]
    pub scrape_delay_s: f64,
    /// How often it decides, seconds, 1 or more, where its policy says nothing of that. Default 15.
    #[serde(default = "fifteen")]
    pub interval_s: f64,
    /// How it decides.
    pub policy: ScalePolicy,
}

/// What a scaler measures, of each node of its group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// Requests at a node, those that wait there among them (concurrency).
    #[default]
    InFlight,
    /// Requests that wait at a node.
    Queue,
    /// The share of a node's KV cache that is in use, 0 to 1.
    KvUse,
    /// Requests of the scaler's tiers that have come to the fleet and are not over, wherever they
    /// are, for each node of the group: what brings the first node back where there are none, as
    /// long as clients try again or a waiting room holds requests (else they fail at once, and
    /// there is no backlog).
    Backlog,
}

/// How a scaler decides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ScalePolicy {
    /// The horizontal pod autoscaler of Kubernetes.
    Hpa(HpaRule),
    /// KEDA: to none and back, and the horizontal pod autoscaler between one and the most.
    Keda(KedaRule),
    /// A target for each node, with pauses after every change.
    Target(TargetRule),
    /// By the clock.
    Scheduled(ScheduleRule),
    /// For the highest of the arrivals that are forecast for the time until new nodes are ready.
    Predictive(PredictiveRule),
}

impl ScalePolicy {
    /// The most nodes that it ever wants, where it says so.
    pub fn most(&self) -> Option<u32> {
        Some(match self {
            ScalePolicy::Hpa(rule) => rule.max,
            ScalePolicy::Keda(rule) => rule.max,
            ScalePolicy::Target(rule) => rule.max,
            ScalePolicy::Predictive(rule) => rule.max,
            ScalePolicy::Scheduled(rule) => {
                rule.entries.iter().map(|entry| entry.replicas).max()?
            }
        })
    }
}

impl Scaler {
    /// Whether it asks for nodes of a group.
    pub fn covers(&self, group: &NodeGroup) -> bool {
        self.group.as_ref() == Some(&group.name) || self.pool.as_ref() == Some(&group.pool)
    }

    /// The group or the pool that it is of.
    pub fn of(&self) -> &str {
        let of = self.group.as_deref().or(self.pool.as_deref());
        of.unwrap_or("")
    }

    /// Notes what is wrong with it. `groups` are the names of all groups.
    pub fn check(
        &self,
        at: &str,
        (groups, pools): (&[&str], &[&str]),
        tiers: &[&str],
        problems: &mut Problems<'_>,
    ) {
        let path = |field: &str| format!("{at}.{field}");
        for (index, tier) in self.tiers.iter().enumerate() {
            if !tiers.contains(&tier.as_str()) {
                let allowed = "is not the name of one of [[tiers]]";
                let remedy = format!("name one of {}", tiers.join(", "));
                let field = path(&format!("tiers.{index}"));
                problems.push(&field, format!("{tier:?}"), allowed, &remedy);
            }
        }
        let forecasts = matches!(self.policy, ScalePolicy::Predictive(_));
        if !self.tiers.is_empty() && self.signal != Signal::Backlog && !forecasts {
            let allowed = "count only for signal = \"backlog\" and predictive policies";
            let remedy = "state signal = \"backlog\", or take tiers away";
            problems.push(&path("tiers"), self.tiers.join(", "), allowed, remedy);
        }
        let mut named = |field: &str, name: &str, known: &[&str], list: &str| {
            if !known.contains(&name) {
                let allowed = format!("is not the name of one of {list}");
                let remedy = match known {
                    [] => format!("there are no {list}"),
                    known => format!("name one of {}", known.join(", ")),
                };
                problems.push(&path(field), format!("{name:?}"), &allowed, &remedy);
            }
        };
        match (&self.group, &self.pool) {
            (Some(group), None) => named("group", group, groups, "[[capacity.groups]]"),
            (None, Some(pool)) => named("pool", pool, pools, "the pools of [[capacity.groups]]"),
            _ => {
                let allowed = "must name a group or a pool, and not both";
                problems.push(at, "", allowed, "state group or pool");
            }
        }
        problems.in_range(&path("scrape_delay_s"), self.scrape_delay_s, 0.0, MOST_S);
        problems.in_range(&path("interval_s"), self.interval_s, 1.0, MOST_S);
        let path = |field: &str| format!("{at}.policy.{field}");
        let bounds = |least: u32, most: u32, problems: &mut Problems<'_>| {
            problems.int_in_range(&path("max"), most.into(), 1, MOST_REPLICAS);
            if least > most {
                let allowed = format!("must be at most max = {most}");
                problems.push(&path("min"), least, &allowed, "lower it, or raise max");
            }
        };
        match &self.policy {
            ScalePolicy::Hpa(rule) => {
                check_hpa(rule, &path(""), problems);
                bounds(rule.min, rule.max, problems);
            }
            ScalePolicy::Keda(rule) => {
                problems.in_range(&path("poll_s"), rule.poll_s, 1.0, MOST_S);
                problems.in_range(&path("cooldown_s"), rule.cooldown_s, 0.0, MOST_S);
                check_hpa(&rule.hpa, &path("hpa."), problems);
                bounds(rule.min, rule.max, problems);
            }
            ScalePolicy::Target(rule) => {
                problems.positive(&path("target"), rule.target, 1e12);
                for (field, pause_s) in [
                    ("scale_up_cooldown_s", rule.scale_up_cooldown_s),
                    ("scale_down_cooldown_s", rule.scale_down_cooldown_s),
                ] {
                    problems.in_range(&path(field), pause_s, 0.0, MOST_S);
                }
                bounds(rule.min, rule.max, problems);
            }
            ScalePolicy::Scheduled(rule) => {
                problems.in_range(&path("period_s"), rule.period_s, 1.0, MOST_S);
                check_schedule(rule, &path("entries"), problems);
            }
            ScalePolicy::Predictive(rule) => {
                problems.in_range(&path("bucket_s"), rule.bucket_s, 1.0, MOST_S);
                problems.in_range(&path("lead_s"), rule.lead_s, 0.0, MOST_S);
                problems.positive(&path("per_replica_per_s"), rule.per_replica_per_s, 1e12);
                problems.in_range(&path("headroom"), rule.headroom, 0.0, 100.0);
                let delay_s = rule.scale_down_delay_s;
                problems.in_range(&path("scale_down_delay_s"), delay_s, 0.0, MOST_S);
                check_forecast(&rule.forecaster, &path("forecaster"), problems);
                bounds(rule.min, rule.max, problems);
            }
        }
    }
}

fn check_hpa(rule: &HpaRule, at: &str, problems: &mut Problems<'_>) {
    problems.positive(&format!("{at}target"), rule.target, 1e12);
    problems.in_range(&format!("{at}sync_s"), rule.sync_s, 1.0, MOST_S);
    problems.in_range(&format!("{at}tolerance"), rule.tolerance, 0.0, 1.0);
}

fn check_schedule(rule: &ScheduleRule, at: &str, problems: &mut Problems<'_>) {
    if rule.entries.is_empty() {
        let remedy = "write entries = [{ at_s = 28800, replicas = 20 }]";
        problems.push(at, "[]", "must hold one at least", remedy);
    }
    for (index, entry) in rule.entries.iter().enumerate() {
        let path = |field: &str| format!("{at}.{index}.{field}");
        problems.in_range(&path("at_s"), entry.at_s, 0.0, MOST_S);
        let replicas = u64::from(entry.replicas);
        problems.int_in_range(&path("replicas"), replicas, 0, MOST_REPLICAS);
        if rule.repeats && entry.at_s >= rule.period_s {
            let allowed = format!("must be before the end of the period, {} s", rule.period_s);
            let remedy = "lower it, raise period_s, or state repeats = false";
            problems.push(&path("at_s"), entry.at_s, &allowed, remedy);
        }
    }
}

fn check_forecast(rule: &ForecastRule, at: &str, problems: &mut Problems<'_>) {
    let season = match rule {
        ForecastRule::SeasonalNaive(rule) => rule.season,
        ForecastRule::HoltWinters(rule) => {
            for (field, share) in [
                ("alpha", rule.alpha),
                ("beta", rule.beta),
                ("gamma", rule.gamma),
            ] {
                problems.in_range(&format!("{at}.{field}"), share, 0.0, 1.0);
            }
            rule.season
        }
    };
    problems.int_in_range(&format!("{at}.season"), u64::from(season), 1, 1_000_000);
}

fn fifteen() -> f64 {
    15.0
}
