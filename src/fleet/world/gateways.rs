//! The gateway replicas: each decides by itself, on what it knows itself.

use rand::RngExt;

use crate::engine::{EventQueue, SimRng, SimTime};
use crate::fleet::balance::SlowStartRise;
use crate::fleet::event::Event;
use crate::fleet::health::watch::{Reason, Watch};
use crate::fleet::health::{Level as Hosts, PriorityLoad};
use crate::fleet::ids::ReplicaId;
use crate::fleet::plan::FleetPlan;
use crate::fleet::router::{Loads, Router, RouterRule, Wanted, weight_of};
use crate::fleet::signals::{SignalMeter, Signals};
use crate::scenario::fleet::Router as RouterPolicy;
use crate::scenario::health::HealthRules;
use crate::scenario::locality::Locality;
use crate::scenario::roles::Role;

use super::World;

/// What a gateway replica knows of the replicas of one region.
#[derive(Debug, Clone)]
struct Level {
    region: u16,
    /// Over the replicas that requests enter at, by group of requests.
    entry: Vec<Router>,
    /// Over those that go on with what others began, where there are any.
    decode: Vec<Router>,
    /// The replicas that requests enter at.
    members: Vec<ReplicaId>,
    /// Whether health is not believed there.
    panics: bool,
}

/// One gateway replica.
#[derive(Debug, Clone)]
struct Front {
    region: u16,
    /// The regions whose replicas it uses, its own first.
    levels: Vec<Level>,
    /// Whether a region whose health is not believed gets nothing at all.
    fails_on_panic: bool,
    /// How traffic is shared among them, where health decides that.
    load: Option<PriorityLoad>,
    rng: SimRng,
    /// What replicas have told it, where it asks them.
    signals: Option<Signals>,
    /// What it believes of their health, where it looks.
    watch: Option<Box<Watch>>,
}

/// All of them, and how requests are spread over them.
#[derive(Debug, Clone)]
pub(super) struct Gateways {
    fronts: Vec<Front>,
    /// The first gateway replica of each region, and how many there are.
    of_region: Vec<(u16, u16)>,
    spread: SimRng,
    /// Load at each replica, where gateways ask for it.
    present: Vec<u64>,
    locality: Locality,
    /// Reused by what counts the hosts of levels.
    hosts: Vec<Hosts>,
    /// Gateways that have begun or ceased to disbelieve the health of a region, until told.
    panics: Vec<(u16, u16, bool)>,
}

impl Gateways {
    pub fn new(plan: &FleetPlan) -> Gateways {
        let topology = &plan.topology;
        let mut fronts = Vec::new();
        let mut of_region = Vec::new();
        for (region, there) in (0_u16..).zip(&topology.regions) {
            of_region.push((fronts.len() as u16, there.gateways));
            for place in 0..there.gateways {
                let index = fronts.len() as u16;
                fronts.push(Front::new(plan, region, index, (place, there.gateways)));
            }
        }
        let mut gateways = Gateways {
            fronts,
            of_region,
            spread: plan.streams.stream("gateway", 0, "spread"),
            present: vec![0; plan.signals.map_or(0, |_| plan.replicas() as usize)],
            locality: topology.locality,
            hosts: Vec::new(),
            panics: Vec::new(),
        };
        for gateway in 0..gateways.fronts.len() as u16 {
            gateways.judge(gateway, SimTime::ZERO);
        }
        gateways
    }

    /// How many there are.
    pub fn count(&self) -> u16 {
        self.fronts.len() as u16
    }

    /// The gateway replica that a request comes to in a region.
    #[inline]
    pub fn pick(&mut self, region: u16) -> u16 {
        match self.of_region[usize::from(region)] {
            (first, 1) => first,
            (first, count) => first + self.spread.random_range(0..u32::from(count)) as u16,
        }
    }

    /// The region of a gateway replica.
    #[inline]
    pub fn region(&self, gateway: u16) -> u16 {
        self.fronts[usize::from(gateway)].region
    }

    /// The routers of a gateway replica over the replicas of that role in a region it uses, by
    /// group of requests.
    #[inline]
    pub fn routers(&mut self, gateway: u16, role: Role, region: u16) -> &mut [Router] {
        let front = &mut self.fronts[usize::from(gateway)];
        let at = match front.levels.len() {
            1 => 0,
            _ => front.level_of(region).unwrap_or(0),
        };
        let level = &mut front.levels[at];
        match role {
            Role::Decode => &mut level.decode,
            Role::Mixed | Role::Prefill => &mut level.entry,
        }
    }

    /// The one router of a gateway replica over the replicas of that role.
    #[inline]
    pub fn plain_router(&mut self, gateway: u16, role: Role) -> &mut Router {
        let level = &mut self.fronts[usize::from(gateway)].levels[0];
        match role {
            Role::Decode => &mut level.decode[0],
            Role::Mixed | Role::Prefill => &mut level.entry[0],
        }
    }

    /// Notes in all routers of a gateway replica that know a replica.
    #[inline]
    pub fn each_router(
        &mut self,
        gateway: u16,
        (role, region): (Role, u16),
        replica: ReplicaId,
        mut act: impl FnMut(&mut Router),
    ) {
        match self.routers(gateway, role, region) {
            [only] => act(only),
            all => {
                let know = all.iter_mut().filter(|router| router.has(replica));
                know.for_each(act);
            }
        }
    }

    /// Notes how old the load is that a replica was chosen by.
    pub fn note_choice(&mut self, gateway: u16, replica: ReplicaId, now: SimTime) {
        if let Some(signals) = &mut self.fronts[usize::from(gateway)].signals {
            signals.chosen(replica, now);
        }
    }

    /// How old the loads were that routers went by, where they are told of them.
    pub fn signal_meter(&self) -> Option<SignalMeter> {
        let mut fronts = self
            .fronts
            .iter()
            .filter_map(|front| front.signals.as_ref());
        let mut sum = *fronts.next()?.meter();
        fronts.for_each(|signals| sum.merge(signals.meter()));
        Some(sum)
    }

    /// Notes in all routers of all gateway replicas that know a replica.
    pub fn everywhere(&mut self, replica: ReplicaId, mut act: impl FnMut(&mut Router)) {
        let levels = self.fronts.iter_mut().flat_map(|front| &mut front.levels);
        let routers = levels.flat_map(|level| level.entry.iter_mut().chain(&mut level.decode));
        let know = routers.filter(|router| router.has(replica));
        know.for_each(&mut act);
    }

    /// Chooses where a request of a group enters the fleet.
    #[inline]
    pub fn choose(
        &mut self,
        gateway: u16,
        group: usize,
        wanted: &Wanted<'_>,
        now: SimTime,
    ) -> Option<ReplicaId> {
        let front = &mut self.fronts[usize::from(gateway)];
        let fails_on_panic = front.fails_on_panic;
        let level = match front.levels.len() {
            1 => &mut front.levels[0],
            _ => front.choose_level(self.locality, group),
        };
        if fails_on_panic && level.panics {
            return None;
        }
        level.entry[group].choose(wanted, now)
    }

    /// What a gateway replica believes of the replicas' health, where it looks.
    #[inline]
    pub fn watch(&mut self, gateway: u16) -> Option<&mut Watch> {
        self.fronts[usize::from(gateway)].watch.as_deref_mut()
    }

    /// What a gateway replica knows of each replica's queue and cache; nothing where the last answer
    /// is several questions old.
    pub fn known_loads(
        &self,
        gateway: u16,
        now: SimTime,
    ) -> impl Iterator<Item = Option<(u32, f64)>> + '_ {
        let front = &self.fronts[usize::from(gateway)];
        let replicas = front.levels[0].members.iter();
        replicas.map(move |replica| {
            let signals = front.signals.as_ref()?;
            let reading = signals.recent(*replica, now)?;
            Some((reading.detail.waiting, reading.detail.kv_usage))
        })
    }

    /// Lets a gateway replica act on what it believes of a replica.
    pub fn heed(&mut self, gateway: u16, replica: ReplicaId, now: SimTime) {
        self.judge(gateway, now);
        let front = &mut self.fronts[usize::from(gateway)];
        for level in 0..front.levels.len() {
            front.heed(level, replica, now);
        }
    }

    /// Which gateways have begun or ceased to disbelieve the health of a region since this was last
    /// asked.
    pub fn take_panics(&mut self) -> Vec<(u16, u16, bool)> {
        std::mem::take(&mut self.panics)
    }

    /// Works out anew which regions get how much, and whether one is in panic.
    fn judge(&mut self, gateway: u16, now: SimTime) {
        let front = &mut self.fronts[usize::from(gateway)];
        let (Some(load), Some(watch)) = (&mut front.load, &front.watch) else {
            return;
        };
        self.hosts.clear();
        let unwell = Reason::Unhealthy as u8 | Reason::Ejected as u8;
        let gone = Reason::Draining as u8;
        for level in &front.levels {
            let against = level.members.iter().map(|id| watch.against(*id));
            let there = against.filter(|against| against & gone == 0);
            let (mut hosts, mut healthy) = (0, 0);
            for against in there {
                hosts += 1;
                healthy += u32::from(against & unwell == 0);
            }
            self.hosts.push(Hosts { hosts, healthy });
        }
        load.update(&self.hosts);
        for at in 0..front.levels.len() {
            let panics = front.load.as_ref().is_some_and(|load| load.in_panic(at));
            if std::mem::replace(&mut front.levels[at].panics, panics) != panics {
                self.panics.push((gateway, front.levels[at].region, panics));
                let members = front.levels[at].members.clone();
                for replica in members {
                    front.heed(at, replica, now);
                }
            }
        }
    }

    /// See [`Watch::check_idle`].
    ///
    /// # Errors
    /// What is held.
    pub fn check_idle(&self) -> Result<(), String> {
        let mut watches = self.fronts.iter().filter_map(|front| front.watch.as_ref());
        watches.try_for_each(|watch| watch.check_idle())
    }

    /// See [`Router::total_outstanding`].
    pub fn total_outstanding(&self) -> u64 {
        let levels = self.fronts.iter().flat_map(|front| &front.levels);
        let routers = levels.flat_map(|level| level.entry.iter().chain(&level.decode));
        routers.map(Router::total_outstanding).sum()
    }
}

impl Front {
    fn new(plan: &FleetPlan, region: u16, index: u16, (place, places): (u16, u16)) -> Front {
        let topology = &plan.topology;
        let source = match plan.signals {
            None => Loads::Own,
            Some(rule) => Loads::Told {
                and_own: rule.count_own,
            },
        };
        let used = match topology.locality {
            Locality::Local {} => vec![region],
            Locality::Failover {} | Locality::SpillOver { .. } => topology.by_distance(region),
        };
        let rise = plan.health.and_then(|health| health.slow_start);
        let rule = RouterRule {
            policy: plan.router,
            loads: source,
            affinity: plan.affinity.map(|affinity| affinity.table()),
        };
        let away_ns = |pool: u16| {
            let pool = usize::from(pool);
            (plan.hop_to(region, pool) + plan.hop_back(region, pool)).0 as f64
        };
        let router = |region: u16, role: &dyn Fn(Role) -> bool, group: usize, number: u64| {
            let chosen = |pool: usize| {
                let there = &plan.pools[pool];
                there.region == region && role(there.role) && plan.groups.has(group, pool)
            };
            let mut members = members_of(plan, &chosen);
            // Each counts from another replica on: who see none loaded do not all choose the same.
            let first = members.len() * usize::from(place) / usize::from(places);
            members.rotate_left(first);
            let (members, weights) = members.into_iter().unzip();
            Router::new(&rule, members, weights, plan.streams, number)
                .with_worth(&plan.worth, &away_ns)
                .with_slow_start(rise.as_ref().map(SlowStartRise::new))
        };
        let step = 2 * u64::from(topology.gateways());
        let groups = step * topology.regions.len() as u64;
        let levels = (0_u64..).zip(used).map(|(level, region)| {
            // The first two numbers are those of a fleet with one gateway replica.
            let number = 2 * u64::from(index) + level * step;
            let by_group = |role: &dyn Fn(Role) -> bool, number: u64| {
                let numbers = (0..plan.groups.count()).zip((number..).step_by(groups as usize));
                numbers
                    .map(|(group, number)| router(region, role, group, number))
                    .collect()
            };
            let here = |pool: usize| {
                let there = &plan.pools[pool];
                there.region == region && there.role.is_entry()
            };
            let members = members_of(plan, &here).into_iter();
            Level {
                region,
                entry: by_group(&|role| role.is_entry(), number),
                decode: by_group(&|role| role == Role::Decode, number + 1),
                members: members.map(|(id, _)| id).collect(),
                panics: false,
            }
        });
        let levels: Vec<Level> = levels.collect();
        let pools = (0_u16..).zip(&plan.pools);
        let pools: Vec<u16> = pools
            .flat_map(|(at, pool)| std::iter::repeat_n(at, pool.replicas as usize))
            .collect();
        // A drain is announced: gateways heed it though they look at nothing else.
        let announced = plan.faults.as_ref().map(|_| HealthRules::default());
        let watch = plan.health.or(announced);
        let watch = watch.map(|rules| Watch::new(&rules, &pools, index, plan.streams));
        let priorities = plan.health.map(|rules| rules.priorities);
        Front {
            region,
            levels,
            fails_on_panic: plan
                .health
                .is_some_and(|health| health.priorities.fail_traffic_on_panic),
            load: priorities.map(|priorities| PriorityLoad::new(&priorities, &[])),
            rng: plan.streams.stream("gateway", u64::from(index), "levels"),
            signals: plan.signals.map(|rule| {
                let replicas = plan.replicas() as usize;
                Signals::new(rule, index, topology.gateways(), replicas, plan.streams)
            }),
            watch: watch.map(Box::new),
        }
    }

    fn level_of(&self, region: u16) -> Option<usize> {
        self.levels.iter().position(|level| level.region == region)
    }

    fn choose_level(&mut self, locality: Locality, group: usize) -> &mut Level {
        let levels = &self.levels;
        let chosen = match (locality, &self.load) {
            (Locality::SpillOver { full_at }, _) => {
                let free = |level: &Level| level.entry[group].load_per_member() < full_at;
                levels.iter().position(free)
            }
            (Locality::Failover {}, Some(load)) => Some(load.choose(&mut self.rng)),
            _ => Some(0),
        };
        // Where nobody can serve it, or all are full, it is for the nearest that can.
        let can = |at: usize| levels[at].entry[group].has_eligible();
        let at = match chosen.filter(|at| can(*at)) {
            Some(at) => at,
            None => (0..levels.len()).find(|at| can(*at)).unwrap_or(0),
        };
        &mut self.levels[at]
    }

    /// Lets the routers of a region know whether a replica may be chosen.
    fn heed(&mut self, level: usize, replica: ReplicaId, now: SimTime) {
        let against = self
            .watch
            .as_ref()
            .map_or(0, |watch| watch.against(replica));
        let level = &mut self.levels[level];
        let unwell = Reason::Unhealthy as u8 | Reason::Ejected as u8;
        let counts = match level.panics {
            true => against & !unwell,
            false => against,
        };
        for router in level.entry.iter_mut().chain(&mut level.decode) {
            if router.has(replica) {
                router.set_eligible(replica, counts == 0, now);
            }
        }
    }
}

/// The replicas of some pools, with their weights.
fn members_of(plan: &FleetPlan, chosen: &dyn Fn(usize) -> bool) -> Vec<(ReplicaId, u32)> {
    let pools = plan.pools.iter().enumerate();
    let places = pools.flat_map(|(index, pool)| {
        let place = chosen(index).then_some(pool.weight);
        std::iter::repeat_n(place, pool.replicas as usize)
    });
    let all = (0..).map(ReplicaId).zip(places);
    all.filter_map(|(id, weight)| Some((id, weight?))).collect()
}

impl World {
    /// A request comes to a replica, or leaves it.
    pub(super) fn note_present(
        &mut self,
        replica: ReplicaId,
        prompt_tokens: u32,
        comes: bool,
        queue: &mut EventQueue<Event>,
    ) {
        if self.gateways.present.is_empty() {
            return;
        }
        let weight = weight_of(&self.plan.router, prompt_tokens);
        let present = &mut self.gateways.present[replica.0 as usize];
        *present = match comes {
            true => *present + weight,
            false => *present - weight,
        };
        for front in &mut self.gateways.fronts {
            if let Some(signals) = &mut front.signals {
                signals.changed(replica, queue);
            }
        }
    }

    /// A gateway replica asks the replicas for their load.
    pub(super) fn ask_replicas(&mut self, gateway: u16, queue: &mut EventQueue<Event>) {
        // Nobody is left who could be sent anywhere.
        if self.is_over() {
            return;
        }
        let front = &mut self.gateways.fronts[usize::from(gateway)];
        let present = &self.gateways.present;
        let gate = self.plan.gate.as_ref();
        let sheds = gate.is_some_and(|gate| gate.admission.shedding.is_some());
        let details = sheds || matches!(self.plan.router, RouterPolicy::Scored { .. });
        let now = queue.now();
        if let Some(signals) = &mut front.signals {
            let answer = |replica: ReplicaId| {
                let faults = self.faults.as_deref();
                if !faults.is_none_or(|faults| faults.answers(replica)) {
                    return None;
                }
                let load = present[replica.0 as usize];
                let detail = match details {
                    true => self.replicas[replica.0 as usize].signals(&self.requests, now),
                    false => Default::default(),
                };
                // What it has in its cache changes with every iteration.
                Some((load, detail, details && load > 0))
            };
            signals.ask(answer, queue);
        }
        self.reports_seen(gateway, queue);
    }

    /// Answers have come to a gateway replica.
    pub(super) fn reports_seen(&mut self, gateway: u16, queue: &EventQueue<Event>) {
        let front = &mut self.gateways.fronts[usize::from(gateway)];
        let Some(signals) = &mut front.signals else {
            return;
        };
        while let Some((replica, reading)) = signals.next_answer(queue.now()) {
            for level in &mut front.levels {
                for router in level.entry.iter_mut().chain(&mut level.decode) {
                    if router.has(replica) {
                        router.told(replica, reading.load, &reading.detail);
                    }
                }
            }
        }
    }
}
