//! Which region a client's request goes to: DNS behind a global load balancer, or anycast.
//!
//! Resolvers cache answers, so that clients go on to a region for a while after the balancer has
//! taken it out of its answers, and the balancer itself learns late. Nothing happens between
//! requests: a resolver's answer is worked out when one of its clients asks, from the balancer's
//! answers as they were at the moment when the resolver last refreshed.

mod answer;
mod handover;
mod resolvers;
mod view;

use thiserror::Error;

use self::answer::Picker;
pub use self::handover::{expected_share_moved, expected_time_to_move_s};
use self::resolvers::Resolvers;
use self::view::View;
pub(in crate::fleet) use self::view::bit;
use crate::engine::{SimDuration, SimTime, Streams};
use crate::scenario::regions::RttMatrix;
use crate::scenario::steering::{AnswerPolicy, Steering};

/// A region, by its index in the scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegionIndex(pub u16);

/// The client finds no region: its resolver has no answer, or no region announces the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no region is known to the client")]
pub struct NoAnswer;

/// A population of clients, for [`Geo::new`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PopulationPlace {
    /// Its index in the matrix of round-trip times.
    pub index: usize,
    /// Its share of the traffic; shares need not add up to 1.
    pub share: f64,
}

/// How clients find regions. Calls must come in order of time.
#[derive(Debug, Clone)]
pub struct Geo {
    view: View,
    populations: Vec<Population>,
    /// Whether clients follow routes at once (anycast) rather than ask resolvers.
    anycast: bool,
    /// When the balancer hears of the regions' loads next, where it heeds them.
    loads: Option<Reports>,
}

/// Reports that come at multiples of a period, each as soon as somebody looks.
#[derive(Debug, Clone, Copy)]
struct Reports {
    due: SimTime,
    period: SimDuration,
}

impl Reports {
    /// Whether one is due; then the next is due a period on.
    fn are_due(&mut self, now: SimTime) -> bool {
        let due = now >= self.due;
        if due && self.period > SimDuration::ZERO {
            let periods = now.0 / self.period.0 + 1;
            self.due = SimTime(periods.saturating_mul(self.period.0));
        }
        due
    }
}

#[derive(Debug, Clone)]
struct Population {
    share: f64,
    picker: Picker,
    resolvers: Resolvers,
}

impl Geo {
    /// All regions up, all resolvers with an answer of time 0 that expires at a time uniform over
    /// its life. `names` are those of the regions. Returns what is wrong with the configuration;
    /// validation asks first.
    pub fn new(
        config: &Steering,
        names: &[String],
        rtt: &RttMatrix,
        populations: &[PopulationPlace],
        streams: Streams,
    ) -> Result<Geo, String> {
        let seconds = SimDuration::from_secs_f64;
        let (health, delay_s, keep, policy) = match config {
            Steering::Dns(dns) => {
                let keep = match dns.ignore_ttl_share > 0.0 {
                    true => dns.ttl_s.max(dns.ignored_ttl_s),
                    false => dns.ttl_s,
                };
                (dns.health, 0.0, seconds(keep), dns.answer.clone())
            }
            Steering::Anycast(anycast) => {
                let nearest = AnswerPolicy::Nearest {};
                let delay_s = anycast.convergence_s;
                (anycast.health, delay_s, SimDuration::ZERO, nearest)
            }
        };
        let down_after = seconds(health.detection_s() + delay_s);
        let up_after = seconds(health.return_s() + delay_s);
        let loads = matches!(policy, AnswerPolicy::SpillOver { .. }).then_some(Reports {
            due: SimTime::ZERO,
            period: seconds(health.interval_s),
        });
        let view = View::new(names.len(), down_after, up_after, keep, &policy)?;
        let total: f64 = populations.iter().map(|population| population.share).sum();
        let all = populations.iter().enumerate();
        let populations = all.map(|(number, place)| {
            let picker = Picker::new(&policy, names, rtt, place.index)?;
            let mut rng = streams.stream("geo", number as u64, "resolvers");
            let resolvers = match config {
                Steering::Dns(dns) => Resolvers::new(dns, &view, &picker, &mut rng),
                Steering::Anycast(_) => Resolvers::none(),
            };
            Ok(Population {
                share: place.share / total,
                picker,
                resolvers,
            })
        });
        let populations = populations.collect::<Result<_, String>>()?;
        Ok(Geo {
            view,
            populations,
            anycast: matches!(config, Steering::Anycast(_)),
            loads,
        })
    }

    /// The region that a client's request goes to. Clients are told apart by any key; those of one
    /// key share a resolver. O(1) but for the regions that an answer passes over.
    pub fn choose(
        &mut self,
        population: u16,
        client_key: u64,
        now: SimTime,
    ) -> Result<RegionIndex, NoAnswer> {
        self.view.advance(now);
        let population = self.populations.get_mut(usize::from(population));
        let Population {
            picker, resolvers, ..
        } = population.ok_or(NoAnswer)?;
        if self.anycast {
            return picker.route(self.view.now()).ok_or(NoAnswer);
        }
        let resolver = resolvers.of_client(client_key);
        let region = resolvers.ask(resolver, now, &self.view, picker);
        region.ok_or(NoAnswer)
    }

    /// A region goes down. Without effect where it is down.
    pub fn region_down(&mut self, region: RegionIndex, now: SimTime) {
        self.view.region_down(region, now);
    }

    /// A region returns. Without effect where it is up.
    pub fn region_up(&mut self, region: RegionIndex, now: SimTime) {
        self.view.region_up(region, now);
    }

    /// Whether the balancer is to be told of the loads of all regions now: it asks with its health
    /// checks, where answers rest on them.
    pub fn loads_are_due(&mut self, now: SimTime) -> bool {
        self.loads.as_mut().is_some_and(|loads| loads.are_due(now))
    }

    /// What the balancer is told of a region's load, in the terms of `full_at`: as stale as the
    /// caller makes it. Only `spill_over` heeds it.
    pub fn report_load(&mut self, region: RegionIndex, load: f64, now: SimTime) {
        self.view.report_load(region, load, now);
    }

    /// Whether the resolvers of a population get answers. Without effect where that is so already.
    /// When they get answers again, those whose answer has expired ask at once. O(resolvers).
    pub fn set_dns_outage(&mut self, population: u16, out: bool, now: SimTime) {
        self.view.advance(now);
        if let Some(population) = self.populations.get_mut(usize::from(population)) {
            let Population {
                picker, resolvers, ..
            } = population;
            resolvers.set_outage(out, now, &self.view, picker);
        }
    }

    /// Whether the balancer (or the network) counts a region as up.
    pub fn counts_as_up(&mut self, region: RegionIndex, now: SimTime) -> bool {
        self.view.advance(now);
        self.view.now().is_up(region)
    }

    /// When the balancer's view of a region changes next, if nothing else happens; a good time to
    /// look at [`Geo::share_of_resolvers_on`].
    pub fn next_turn(&self) -> Option<SimTime> {
        self.view.next_turn()
    }

    /// The share of the traffic of all populations whose resolver names a region: "DNS has moved
    /// 90 % of the clients". O(resolvers).
    pub fn share_of_resolvers_on(&mut self, region: RegionIndex, now: SimTime) -> f64 {
        let all = 0..self.populations.len();
        all.map(|population| {
            let here = self.share_of_population_on(population as u16, region, now);
            self.populations[population].share * here
        })
        .sum()
    }

    /// As [`Geo::share_of_resolvers_on`], of one population. O(resolvers).
    pub fn share_of_population_on(
        &mut self,
        population: u16,
        region: RegionIndex,
        now: SimTime,
    ) -> f64 {
        self.view.advance(now);
        let Some(population) = self.populations.get_mut(usize::from(population)) else {
            return 0.0;
        };
        let Population {
            picker, resolvers, ..
        } = population;
        if self.anycast {
            let here = picker.route(self.view.now()) == Some(region);
            return f64::from(u8::from(here));
        }
        resolvers.share_on(region, now, &self.view, picker)
    }
}

/// A number that is uniform over 0 to 1 as keys vary, the same each time for the same key and salt
/// (the finaliser of splitmix64, Steele, Lea, Flood, OOPSLA 2014).
pub(super) fn unit_of(key: u64, salt: u64) -> f64 {
    const TO_UNIT: f64 = 1.0 / (1_u64 << 53) as f64;
    (mix(key ^ mix(salt)) >> 11) as f64 * TO_UNIT
}

fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
