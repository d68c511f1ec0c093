//! What both sides did, minute by minute.

use serde::Serialize;

use super::night::Seen;
use crate::measure::quantile_of_sorted;
use crate::observed::Ending;
use crate::scenario::schema::Slo;

/// Requests of a minute of which a median is taken at least, and a 99th percentile.
const LEAST: (usize, usize) = (5, 40);

/// The series of tries.
pub(super) const TRIES: &str = "tries";

/// What a series counts by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Requests that came in the minute and something became of, a second.
    Rate,
    /// Milliseconds.
    Latency,
    /// How many there were.
    Level,
    /// How many waited.
    Queue,
    /// A share, 0 to 1.
    Share,
}

/// One series, a value for each minute; none where it is not known.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its name.
    pub name: String,
    /// What it counts by.
    pub kind: Kind,
    /// Its values.
    pub values: Vec<Option<f64>>,
}

/// Minutes of a night.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Minutes {
    /// Length of one, seconds.
    pub bin_s: f64,
    /// How many.
    pub count: usize,
}

impl Minutes {
    /// Minutes of a night of a length, or shorter ones where there would be few.
    pub fn of(span_s: f64, stated_s: Option<f64>) -> Minutes {
        let nice = [0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0];
        let short = nice.into_iter().find(|bin| span_s / bin <= 60.0);
        let bin_s = stated_s.or(short).unwrap_or(60.0);
        Minutes {
            bin_s,
            count: ((span_s / bin_s).floor() as usize) + 1,
        }
    }

    /// Which one an instant is in, ns.
    pub fn at(&self, t_ns: u64) -> usize {
        ((t_ns as f64 / 1e9 / self.bin_s) as usize).min(self.count - 1)
    }
}

/// How a request is judged: by the objective of its tier.
pub type Objectives = [Option<Slo>];

/// Whether a request was answered within the objective of its tier. A bound on what is not known
/// of it is taken to be met.
pub fn is_good(request: &Seen, tier: u16, objectives: &Objectives) -> bool {
    let Some(slo) = objectives.get(usize::from(tier)).copied().flatten() else {
        return request.is_answered();
    };
    let within = |bound: Option<f64>, ns: Option<f64>| match (bound, ns) {
        (Some(bound), Some(ns)) => ns / 1e6 <= bound,
        _ => true,
    };
    request.is_answered()
        && within(slo.ttft_ms, request.ttft_ns.map(|ns| ns as f64))
        && within(slo.tpot_ms, request.tpot_ns())
        && within(slo.e2e_ms, request.e2e_ns.map(|ns| ns as f64))
}

/// The series that the requests of one side tell. `tiers` has the tier of each.
pub fn of_requests(
    requests: &[Seen],
    tiers: &[u16],
    objectives: &Objectives,
    minutes: Minutes,
) -> Vec<Series> {
    let mut by_minute: Vec<Vec<usize>> = vec![Vec::new(); minutes.count];
    for (index, request) in requests.iter().enumerate() {
        by_minute[minutes.at(request.t_ns)].push(index);
    }
    let rate = |name: &str, counts: &dyn Fn(usize) -> f64| Series {
        name: name.to_owned(),
        kind: Kind::Rate,
        values: by_minute
            .iter()
            .map(|all| Some(all.iter().map(|at| counts(*at)).sum::<f64>() / minutes.bin_s))
            .collect(),
    };
    let one = |is: bool| f64::from(u8::from(is));
    let good = |at: usize| one(is_good(&requests[at], tiers[at], objectives));
    let mut all = vec![rate("arrivals", &|_| 1.0), rate("goodput", &good)];
    let told = requests.iter().any(|request| request.attempts.is_some());
    let tries = rate(TRIES, &|at| requests[at].attempts.map_or(0.0, f64::from));
    all.push(match told {
        true => tries,
        false => Series {
            values: vec![None; minutes.count],
            ..tries
        },
    });
    for ending in Ending::ALL
        .into_iter()
        .filter(|it| *it != Ending::Completed)
    {
        let ended = |at: usize| one(requests[at].ending == ending);
        all.push(rate(ending.name(), &ended));
    }
    let ms = |ns: Option<u64>| ns.map(|ns| ns as f64 / 1e6);
    let ttft = |at: usize| ms(requests[at].ttft_ns);
    let tpot = |at: usize| requests[at].tpot_ns().map(|ns| ns / 1e6);
    let e2e = |at: usize| ms(requests[at].e2e_ns);
    let latencies: [(&str, Of<'_>, f64); 5] = [
        ("ttft p50", &ttft, 0.5),
        ("ttft p99", &ttft, 0.99),
        ("tpot p50", &tpot, 0.5),
        ("e2e p50", &e2e, 0.5),
        ("e2e p99", &e2e, 0.99),
    ];
    for (name, of, q) in latencies {
        let values = by_minute.iter().map(|all| quantile(all, of, q));
        all.push(Series {
            name: name.to_owned(),
            kind: Kind::Latency,
            values: values.collect(),
        });
    }
    all.push(in_flight(requests, minutes));
    all
}

/// A latency of a request, by its place.
type Of<'a> = &'a dyn Fn(usize) -> Option<f64>;

fn quantile(all: &[usize], of: Of<'_>, q: f64) -> Option<f64> {
    let mut values: Vec<f64> = all.iter().filter_map(|at| of(*at)).collect();
    let least = if q > 0.9 { LEAST.1 } else { LEAST.0 };
    if values.len() < least {
        return None;
    }
    values.sort_unstable_by(f64::total_cmp);
    quantile_of_sorted(&values, q)
}

/// Requests that were being answered, on average over each minute: those that never were leave no
/// end in a log.
fn in_flight(requests: &[Seen], minutes: Minutes) -> Series {
    let mut sums = vec![0.0; minutes.count];
    for request in requests {
        let Some(e2e_ns) = request.e2e_ns else {
            continue;
        };
        let from = request.t_ns as f64 / 1e9 / minutes.bin_s;
        let to = (request.t_ns + e2e_ns) as f64 / 1e9 / minutes.bin_s;
        let last = (to.floor() as usize).min(minutes.count - 1);
        for (bin, sum) in sums
            .iter_mut()
            .enumerate()
            .take(last + 1)
            .skip(from as usize)
        {
            let within = to.min(bin as f64 + 1.0) - from.max(bin as f64);
            *sum += within.max(0.0);
        }
    }
    Series {
        name: "being answered".to_owned(),
        kind: Kind::Level,
        values: sums.into_iter().map(Some).collect(),
    }
}
