//! The configuration of a horizontal pod autoscaler.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::SimDuration;
use crate::fleet::scaling::metric;

/// A horizontal pod autoscaler, `autoscaling/v2`, with one metric that has a target per pod.
///
/// Defaults are those of Kubernetes: the flags of its controller manager and
/// `pkg/apis/autoscaling/v2/defaults.go`. Kubernetes itself requires `max`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HpaRule {
    /// What the metric should be per pod, in the unit of the metric, 0.001 to 9.2e15; kept to the
    /// nearest thousandth, as Kubernetes does.
    pub target: f64,
    /// How far the metric may be from its target, relative, before anything changes, 0 or more.
    /// Default 0.1 (`--horizontal-pod-autoscaler-tolerance`), which also holds where this is
    /// negative or not finite.
    #[serde(default = "default_tolerance")]
    pub tolerance: f64,
    /// Time from one decision to the next, seconds, above 0. Default 15
    /// (`--horizontal-pod-autoscaler-sync-period`). The caller keeps to it.
    #[serde(default = "default_sync_s")]
    pub sync_s: f64,
    /// Fewest replicas, 1 or more (0 counts as 1). Default 1.
    #[serde(default = "default_min")]
    pub min: u32,
    /// Most replicas, at least `min` (where it is below, it holds and `min` does not). Default
    /// 100, which is KEDA's.
    #[serde(default = "default_max")]
    pub max: u32,
    /// How fast replicas are added.
    #[serde(default)]
    pub scale_up: ScalingRules,
    /// How fast replicas are removed.
    #[serde(default)]
    pub scale_down: ScalingRules,
}

impl HpaRule {
    /// The rule with this target per pod and every default.
    pub fn new(target: f64) -> HpaRule {
        HpaRule {
            target,
            tolerance: default_tolerance(),
            sync_s: default_sync_s(),
            min: default_min(),
            max: default_max(),
            scale_up: ScalingRules::default(),
            scale_down: ScalingRules::default(),
        }
    }
}

fn default_tolerance() -> f64 {
    0.1
}

fn default_sync_s() -> f64 {
    15.0
}

fn default_min() -> u32 {
    1
}

fn default_max() -> u32 {
    100
}

/// How fast replicas change in one direction. What is left out has the default of the direction.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ScalingRules {
    /// How far back recommendations count, seconds, 0 to 3,600 (the most that Kubernetes allows;
    /// more counts as that). Upwards the lowest of them holds, downwards the highest. Default 0
    /// upwards, 300 downwards (`--horizontal-pod-autoscaler-downscale-stabilization`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stabilization_window_s: Option<f64>,
    /// How much may change in which time; an empty list forbids any change (Kubernetes refuses
    /// it). Default 4 pods and 100 percent in 15 s upwards, 100 percent in 15 s downwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policies: Option<Vec<ScalingPolicy>>,
    /// Which policy holds where there are several. Default `max`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub select: Option<SelectPolicy>,
    /// The tolerance of this direction alone, 0 or more. Default the tolerance of the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
}

/// How much may change in which time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScalingPolicy {
    /// What `value` counts.
    pub kind: PolicyKind,
    /// Pods, or percent of the replicas at the start of the period, above 0.
    pub value: u32,
    /// The period, seconds, above 0, at most 1,800 (the most that Kubernetes allows; more counts
    /// as that).
    pub period_s: f64,
}

/// What a policy counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PolicyKind {
    /// Pods.
    Pods,
    /// Percent of the replicas at the start of the period.
    Percent,
}

/// Which of several policies holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SelectPolicy {
    /// The one that allows the largest change.
    Max,
    /// The one that allows the smallest change.
    Min,
    /// None: replicas never change in this direction.
    Disabled,
}

/// `MaxStabilizationWindowSeconds` of `pkg/apis/autoscaling/validation`.
const LONGEST_WINDOW_S: f64 = 3_600.0;
/// `MaxPeriodSeconds` of `pkg/apis/autoscaling/validation`.
const LONGEST_PERIOD_S: f64 = 1_800.0;

const DEFAULT_UP: [ScalingPolicy; 2] = [
    ScalingPolicy {
        kind: PolicyKind::Pods,
        value: 4,
        period_s: 15.0,
    },
    ScalingPolicy {
        kind: PolicyKind::Percent,
        value: 100,
        period_s: 15.0,
    },
];

const DEFAULT_DOWN: [ScalingPolicy; 1] = [ScalingPolicy {
    kind: PolicyKind::Percent,
    value: 100,
    period_s: 15.0,
}];

/// The rules of one direction with every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Limits {
    pub(super) window: SimDuration,
    pub(super) policies: Vec<Limit>,
    pub(super) select: SelectPolicy,
    pub(super) tolerance: f64,
}

/// One policy, its period in simulated time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Limit {
    pub(super) kind: PolicyKind,
    pub(super) value: u32,
    pub(super) period: SimDuration,
}

impl Limits {
    /// How fast `rule` adds replicas.
    pub(super) fn up(rule: &HpaRule) -> Limits {
        Limits::resolve(&rule.scale_up, rule.tolerance, 0.0, &DEFAULT_UP)
    }

    /// How fast `rule` removes replicas.
    pub(super) fn down(rule: &HpaRule) -> Limits {
        Limits::resolve(&rule.scale_down, rule.tolerance, 300.0, &DEFAULT_DOWN)
    }

    fn resolve(
        rules: &ScalingRules,
        tolerance: f64,
        window_s: f64,
        policies: &[ScalingPolicy],
    ) -> Limits {
        let policies = rules.policies.as_deref().unwrap_or(policies);
        let tolerance = rules.tolerance.unwrap_or(tolerance);
        Limits {
            window: seconds(
                rules.stabilization_window_s.unwrap_or(window_s),
                LONGEST_WINDOW_S,
            ),
            policies: policies.iter().map(Limit::of).collect(),
            select: rules.select.unwrap_or(SelectPolicy::Max),
            tolerance: metric::usable(tolerance).unwrap_or(default_tolerance()),
        }
    }

    /// The longest period of any policy.
    pub(super) fn longest_period(&self) -> SimDuration {
        let periods = self.policies.iter().map(|policy| policy.period);
        periods.max().unwrap_or_default()
    }
}

impl Limit {
    fn of(policy: &ScalingPolicy) -> Limit {
        Limit {
            kind: policy.kind,
            value: policy.value,
            period: seconds(policy.period_s, LONGEST_PERIOD_S),
        }
    }
}

/// `value` seconds, at most `longest`; NaN gives no time at all.
fn seconds(value: f64, longest: f64) -> SimDuration {
    SimDuration::from_secs_f64(value.clamp(0.0, longest))
}
