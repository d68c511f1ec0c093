//! `[cost]` in the units of the account: what nodes draw and what moved bytes cost, from the price
//! book where the scenario says nothing.

use std::path::Path;

use crate::fleet::plan::FleetPlan;
use crate::inputs::note;
use crate::money::book::{BookError, INTERNET, Kind, PriceBook};
use crate::money::energy::NodePower;
use crate::perf::AcceleratorCard;
use crate::report::number::significant;
use crate::scenario::cost::{Cost, EgressRule, EnergyRule, StorageRule};
use crate::scenario::fleet::Pool;
use crate::scenario::problems::Problems;
use crate::scenario::schema::Scenario;

use super::LlmFacts;

/// What is known of money beside the prices of nodes.
#[derive(Debug, Clone, Default)]
pub struct MoneyPlan {
    /// What nodes draw, where energy is worked out.
    pub energy: Option<EnergyPlan>,
    /// What moved bytes cost, where they are paid for.
    pub egress: Option<EgressPlan>,
    /// What stored bytes cost, where any are stated.
    pub storage: Option<StoragePlan>,
    /// Figures that a report names: figure, value, origin.
    pub figures: Vec<(String, String, String)>,
}

/// What nodes draw.
#[derive(Debug, Clone)]
pub struct EnergyPlan {
    /// One node, by pool.
    pub nodes: Vec<NodePower>,
    /// Power usage effectiveness.
    pub pue: f64,
    /// US dollars per kWh, where power is paid for apart.
    pub usd_per_kwh: Option<f64>,
    /// Grams of CO2 per kWh, by region.
    pub g_co2_per_kwh: Vec<f64>,
}

/// What moved bytes cost.
#[derive(Debug, Clone)]
pub struct EgressPlan {
    /// Bytes of a prompt token and of an output token.
    pub bytes_per_token: (f64, f64),
    /// US dollars per GB, by the region that sends, then the one that receives.
    pub between: Vec<Vec<f64>>,
    /// US dollars per GB to the internet, by region; none where that is not paid for.
    pub to_clients: Option<Vec<f64>>,
}

/// What stored bytes cost.
#[derive(Debug, Clone, Copy)]
pub struct StoragePlan {
    /// How much, GB.
    pub gb: f64,
    /// US dollars per GB and month.
    pub usd_per_gb_month: f64,
}

/// The price book of a scenario: the shipped one, with the user's laid over it.
pub(super) fn book_of(
    cost: Option<&Cost>,
    base_dir: &Path,
    problems: &mut Problems<'_>,
) -> Option<PriceBook> {
    let shipped = match PriceBook::shipped() {
        Ok(book) => book,
        Err(error) => {
            problems.push("cost", "", &error.to_string(), "");
            return None;
        }
    };
    let Some(file) = cost.and_then(|cost| cost.price_book.as_ref()) else {
        return Some(shipped);
    };
    let path = base_dir.join(file);
    let name = path.display().to_string();
    note(&path);
    let read = std::fs::read_to_string(&path).map_err(|error| error.to_string());
    let own = read.and_then(|text| {
        PriceBook::parse(&name, &text).map_err(|error: BookError| error.to_string())
    });
    match own {
        Ok(own) => Some(shipped.with(own)),
        Err(reason) => {
            let remedy = "give the path of a file of the form of calibration/prices.toml";
            problems.push("cost.price_book", name, &reason, remedy);
            None
        }
    }
}

/// What `[cost]` says of energy and moved bytes.
pub(super) fn money_of(
    scenario: &Scenario,
    fleet: &FleetPlan,
    llm: &[Option<LlmFacts>],
    book: &PriceBook,
    problems: &mut Problems<'_>,
) -> MoneyPlan {
    check_prices(scenario, problems);
    let Some(cost) = &scenario.cost else {
        return MoneyPlan::default();
    };
    let mut reader = Reader {
        scenario,
        book,
        places: places_of(scenario),
        figures: Vec::new(),
        problems,
    };
    let energy = cost.energy.as_ref();
    let energy = energy.and_then(|rule| reader.energy(rule, fleet, llm));
    let egress = cost.egress.as_ref();
    let egress = egress.and_then(|rule| reader.egress(rule));
    let storage = cost.storage.as_ref();
    let storage = storage.and_then(|rule| reader.storage(rule));
    let figures = reader.figures;
    MoneyPlan {
        energy,
        egress,
        storage,
        figures,
    }
}

/// Where regions are, by their cloud names.
fn places_of(scenario: &Scenario) -> Vec<String> {
    match scenario.regions.is_empty() {
        true => vec!["default".to_owned()],
        false => {
            let regions = scenario.regions.iter();
            regions.map(|region| region.place().to_owned()).collect()
        }
    }
}

/// Beside nodes that are bought one by one, all others have a price too.
fn check_prices(scenario: &Scenario, problems: &mut Problems<'_>) {
    let groups = &scenario.capacity.groups;
    let cost = scenario.cost.as_ref();
    let priced = cost.is_some_and(|cost| cost.on_demand_usd_per_gpu_hour.is_some());
    if groups.is_empty() || priced {
        return;
    }
    for (index, pool) in scenario.pools.iter().enumerate() {
        if !groups.iter().any(|group| group.pool == pool.name()) {
            let allowed = "is of no group of nodes and has no price, where others have one";
            let remedy = "state cost.on_demand_usd_per_gpu_hour, or [[capacity.groups]] for it";
            problems.push(&format!("pools.{index}.name"), pool.name(), allowed, remedy);
        }
    }
}

/// Where a figure of the price book comes from.
pub(super) fn origin(kind: Kind, source: &str, as_of: Option<&str>) -> String {
    let word = match kind {
        Kind::Documented => "imported",
        Kind::Assumed => "assumed",
    };
    match as_of {
        Some(date) => format!("{word}: {source}, {date}"),
        None => format!("{word}: {source}"),
    }
}

/// Reads the rules of `[cost]`, and notes where each figure comes from.
struct Reader<'a, 'p, 'd> {
    scenario: &'a Scenario,
    book: &'a PriceBook,
    places: Vec<String>,
    figures: Vec<(String, String, String)>,
    problems: &'p mut Problems<'d>,
}

/// The origin of what a scenario states.
const GIVEN: &str = "given: scenario";

impl Reader<'_, '_, '_> {
    fn figure(&mut self, name: String, value: String, origin: String) {
        self.figures.push((name, value, origin));
    }

    fn energy(
        &mut self,
        rule: &EnergyRule,
        fleet: &FleetPlan,
        llm: &[Option<LlmFacts>],
    ) -> Option<EnergyPlan> {
        let power = self.book.power();
        let of_book = power.map(|power| origin(power.kind, &power.source, power.as_of.as_deref()));
        let pue = rule.pue.or(power.map(|power| power.pue));
        let idle_share = power.map(|power| power.idle_share_of_tdp);
        let (Some(pue), Some(idle_share)) = (pue, idle_share) else {
            let allowed = "needs what the price book lacks";
            let remedy = "state pue and idle_w_per_gpu, or give a price book with [power]";
            self.problems.push("cost.energy", "", allowed, remedy);
            return None;
        };
        let from = |own: bool| match (own, &of_book) {
            (false, Some(source)) => source.clone(),
            _ => GIVEN.to_owned(),
        };
        let value = significant(Some(pue));
        self.figure("PUE".to_owned(), value, from(rule.pue.is_some()));
        let parts: Vec<&str> = self
            .scenario
            .pools
            .iter()
            .filter_map(Pool::accelerator)
            .collect();
        for part in rule.busy_w_by_part.keys() {
            if !parts.contains(&part.as_str()) {
                let allowed = "is no accelerator of a pool";
                let remedy = format!("name one of {}", parts.join(", "));
                let at = format!("cost.energy.busy_w_by_part.{part}");
                self.problems.push(&at, part, allowed, &remedy);
            }
        }
        let mut nodes = Vec::new();
        for (index, pool) in fleet.pools.iter().enumerate() {
            let at = format!("pools.{index}.name");
            let facts = llm.get(index).and_then(Option::as_ref);
            let named = self.scenario.pools[index].accelerator();
            let part = facts.map_or(named, |facts| Some(&facts.accelerator.name));
            let of_part = part.and_then(|part| rule.busy_w_by_part.get(part).copied());
            let given = of_part.or(rule.busy_w_per_gpu);
            let Some(busy) = given.or(tdp_of(named, facts)) else {
                let allowed = "has no accelerator of which a card says the TDP";
                let remedy = "state cost.energy.busy_w_per_gpu, or busy_w_by_part";
                self.problems.push(&at, &pool.name, allowed, remedy);
                continue;
            };
            let idle = rule.idle_w_per_gpu.unwrap_or(idle_share * busy);
            let devices = f64::from(pool.accelerators_per_replica);
            let host = rule.host_w_per_gpu;
            match NodePower::new((host + idle) * devices, (host + busy) * devices) {
                Ok(node) => nodes.push(node),
                Err(error) => {
                    let remedy = "change [cost.energy]";
                    self.problems
                        .push(&at, &pool.name, &error.to_string(), remedy);
                }
            }
            let watts = |watts| significant(Some(watts));
            let busy_from = match given {
                Some(_) => GIVEN,
                None => "assumed: the TDP of its card, an upper bound",
            };
            let idle_from = from(rule.idle_w_per_gpu.is_some());
            self.figure(
                format!("{}: power of an accelerator", pool.name),
                format!("{} W busy, {} W idle", watts(busy), watts(idle)),
                format!("busy {busy_from}; idle {idle_from}"),
            );
        }
        Some(EnergyPlan {
            nodes,
            pue,
            usd_per_kwh: rule.usd_per_kwh,
            g_co2_per_kwh: self.carbon(rule),
        })
    }

    /// Grams of CO2 per kWh, by region.
    fn carbon(&mut self, rule: &EnergyRule) -> Vec<f64> {
        let mut all = Vec::new();
        for place in self.places.clone() {
            let (grams, source) = match (rule.g_co2_per_kwh, self.book.carbon(&place)) {
                (Some(grams), _) => (grams, GIVEN.to_owned()),
                (None, Ok(entry)) => (
                    entry.g_co2_per_kwh,
                    origin(entry.kind, &entry.source, entry.as_of.as_deref()),
                ),
                (None, Err(error)) => {
                    let remedy = "state g_co2_per_kwh, or give a price book with an entry for it";
                    self.problems
                        .push("cost.energy", "", &error.to_string(), remedy);
                    continue;
                }
            };
            let value = format!("{} g CO2 per kWh", significant(Some(grams)));
            self.figure(format!("region {place}: electricity"), value, source);
            all.push(grams);
        }
        all
    }

    fn egress(&mut self, rule: &EgressRule) -> Option<EgressPlan> {
        let places = self.places.clone();
        let mut between = Vec::new();
        for from in &places {
            let mut row = Vec::new();
            for to in &places {
                row.push(match from == to {
                    true => 0.0,
                    false => self.price_of_bytes(&rule.provider, from, to)?,
                });
            }
            between.push(row);
        }
        let to_clients = match rule.to_clients {
            true => {
                let mut prices = Vec::new();
                for from in &places {
                    prices.push(self.price_of_bytes(&rule.provider, from, INTERNET)?);
                }
                Some(prices)
            }
            false => None,
        };
        let value = format!(
            "{} of a prompt token, {} of an output token",
            rule.bytes_per_prompt_token, rule.bytes_per_output_token
        );
        let source = "assumed: as [cost.egress] states, or its defaults".to_owned();
        self.figure("bytes moved".to_owned(), value, source);
        Some(EgressPlan {
            bytes_per_token: (rule.bytes_per_prompt_token, rule.bytes_per_output_token),
            between,
            to_clients,
        })
    }

    fn storage(&mut self, rule: &StorageRule) -> Option<StoragePlan> {
        match self.book.storage(&rule.provider, &rule.class) {
            Ok(entry) => {
                let usd_per_gb_month = entry.usd_per_gb_month;
                let value = format!("${} per GB and month", significant(Some(usd_per_gb_month)));
                let source = origin(entry.kind, &entry.source, entry.as_of.as_deref());
                let name = format!("stored bytes, {} of {}", rule.class, rule.provider);
                self.figure(name, value, source);
                Some(StoragePlan {
                    gb: rule.gb,
                    usd_per_gb_month,
                })
            }
            Err(error) => {
                let remedy = "name one of the price book, or give one with [[storage]]";
                let value = format!("{}/{}", rule.provider, rule.class);
                self.problems
                    .push("cost.storage.class", value, &error.to_string(), remedy);
                None
            }
        }
    }

    fn price_of_bytes(&mut self, provider: &str, from: &str, to: &str) -> Option<f64> {
        match self.book.egress(provider, from, to) {
            Ok(entry) => {
                let usd = entry.usd_per_gb;
                let value = format!("${} per GB", significant(Some(usd)));
                let source = origin(entry.kind, &entry.source, entry.as_of.as_deref());
                self.figure(format!("bytes from {from} to {to}"), value, source);
                Some(usd)
            }
            Err(error) => {
                let remedy = "name a provider of the price book, or give one with [[egress]]";
                let allowed = error.to_string();
                self.problems
                    .push("cost.egress.provider", provider, &allowed, remedy);
                None
            }
        }
    }
}

/// What a busy accelerator draws by its card, watts, where there is one.
fn tdp_of(named: Option<&str>, facts: Option<&LlmFacts>) -> Option<f64> {
    match (facts, named) {
        (Some(facts), _) => facts.accelerator.tdp_w,
        (None, Some(name)) => {
            // Any name will do for an abstract pool; some are those of shipped cards.
            let shipped = AcceleratorCard::names().any(|card| card == name);
            let card = shipped.then(|| AcceleratorCard::load(name, Path::new("")).ok());
            card.flatten()?.tdp_w
        }
        (None, None) => None,
    }
}
