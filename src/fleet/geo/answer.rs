//! Which region an answer names.

use super::RegionIndex;
use super::view::{Answers, bit};
use crate::scenario::regions::RttMatrix;
use crate::scenario::steering::AnswerPolicy;

/// The balancer's policy for one population of clients.
#[derive(Debug, Clone)]
pub(super) struct Picker {
    /// All regions, the best first: the nearest, or the primary.
    order: Vec<RegionIndex>,
    rule: Rule,
}

#[derive(Debug, Clone)]
enum Rule {
    /// The first that is up.
    First,
    /// The first that is up and not saturated.
    FirstOpen,
    /// At random, by weights in the order of the scenario.
    Weighted(Vec<f64>),
}

impl Picker {
    pub(super) fn new(
        policy: &AnswerPolicy,
        names: &[String],
        rtt: &RttMatrix,
        population: usize,
    ) -> Result<Picker, String> {
        if rtt.regions() != names.len() {
            return Err("round-trip times are of other regions".to_owned());
        }
        let index = |name: &String| {
            let index = names.iter().position(|other| other == name);
            let index = index.and_then(|index| u16::try_from(index).ok());
            index.ok_or_else(|| format!("region {name:?} is not there"))
        };
        let mut order: Vec<RegionIndex> = (0..names.len() as u16).map(RegionIndex).collect();
        let far = |region: &RegionIndex| rtt.from_population_ms(population, usize::from(region.0));
        // The sort is stable: of two as near, the one named first.
        order.sort_by(|a, b| far(a).total_cmp(&far(b)));
        let rule = match policy {
            AnswerPolicy::Nearest {} => Rule::First,
            AnswerPolicy::SpillOver { .. } => Rule::FirstOpen,
            AnswerPolicy::Weighted { weights } => {
                let mut by_index = vec![0.0; names.len()];
                for (name, weight) in weights {
                    by_index[usize::from(index(name)?)] = *weight;
                }
                Rule::Weighted(by_index)
            }
            AnswerPolicy::Standby { order: stated } => {
                let stated = stated.iter().map(|name| index(name).map(RegionIndex));
                order = stated.collect::<Result<_, String>>()?;
                Rule::First
            }
        };
        Ok(Picker { order, rule })
    }

    /// The region of an answer given when `answers` were in force; `unit` is a random number from
    /// 0 to 1. Where no region counts as up, all do.
    pub(super) fn pick(&self, answers: Answers, unit: f64) -> RegionIndex {
        let up = match answers.up {
            0 => u64::MAX,
            some => some,
        };
        let open = up & answers.open;
        let picked = match &self.rule {
            Rule::First => None,
            Rule::FirstOpen => self.first(open),
            Rule::Weighted(weights) => by_weight(weights, up, unit),
        };
        let otherwise = picked.or_else(|| self.first(up));
        otherwise.unwrap_or(RegionIndex(0))
    }

    /// Where the network takes a packet: to the nearest that announces the address.
    pub(super) fn route(&self, answers: Answers) -> Option<RegionIndex> {
        self.first(answers.up)
    }

    fn first(&self, among: u64) -> Option<RegionIndex> {
        let mut order = self.order.iter();
        order.find(|region| among & bit(**region) != 0).copied()
    }
}

fn by_weight(weights: &[f64], among: u64, unit: f64) -> Option<RegionIndex> {
    let all = (0_u16..).map(RegionIndex).zip(weights);
    let there = all.filter(|(region, weight)| among & bit(*region) != 0 && **weight > 0.0);
    let total: f64 = there.clone().map(|(_, weight)| weight).sum();
    let mut left = unit * total;
    let mut last = None;
    for (region, weight) in there {
        last = Some(region);
        if left < *weight {
            break;
        }
        left -= weight;
    }
    last
}
