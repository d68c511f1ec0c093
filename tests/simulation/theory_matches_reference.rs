//! Every row of a table of queueing reference values, computed elsewhere, against `seatrial::theory`.
//!
//! `SEATRIAL_QUEUEING_REFERENCE` names another table in the same format to hold it against.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use seatrial::theory::{
    BatchingWindow, BulkService, ErlangA, Jackson, MachineRepair, Md1, Mdc, Mg1, Mh21, Mmc, Mmck,
    Retrial, TheoryError, batch_arrivals_mean_in_system, breakdown_mean_in_system, erlang_b,
    jsq2_mean_in_system, mg1_vacation_wait, mm1_feedback, mm1_ps_sojourn_variance,
    mmc_ps_mean_sojourn, priority_waits_mmc, ps_conditional_sojourn, ps_mean_sojourn,
    supermarket_mean_sojourn,
};

/// The tolerance of a row that states none.
const DEFAULT_TOLERANCE: f64 = 1e-9;

/// Families that must be expressible.
const MUST_HAVE: [&str; 15] = [
    "M/M/1",
    "M/M/c",
    "M/M/c/K",
    "M/M/c/c (Erlang B)",
    "M/M/c+M (Erlang A)",
    "M/D/1",
    "M/D/c",
    "M/G/1",
    "M/H2/1",
    "M/M/1-PS",
    "M/G/1-PS",
    "M/M/1 non-preemptive priority",
    "closed M/M/c//N (machine repair)",
    "supermarket model JSQ(2), n->inf",
    "batching window (first-arrival timer, size cap, free server)",
];

#[derive(Debug)]
struct Row {
    family: String,
    params: String,
    metric: String,
    value: f64,
    tolerance: f64,
}

fn rows() -> Vec<Row> {
    let path = std::env::var_os("SEATRIAL_QUEUEING_REFERENCE").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/queueing_reference.csv"),
        PathBuf::from,
    );
    let mut reader =
        csv::Reader::from_path(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    reader
        .deserialize::<BTreeMap<String, String>>()
        .map(|record| {
            let record = record.unwrap();
            let tolerance = record.get("tol").map_or("", |text| text.trim());
            Row {
                family: record["family"].clone(),
                params: record["params"].clone(),
                metric: record["metric"].clone(),
                value: record["value"].parse().unwrap(),
                tolerance: if tolerance.is_empty() {
                    DEFAULT_TOLERANCE
                } else {
                    tolerance.parse().unwrap()
                },
            }
        })
        .collect()
}

/// The parameters of a row: `lam=0.8;mu=1` and the like.
struct Params(BTreeMap<String, String>);

impl Params {
    fn new(text: &str) -> Self {
        Self(
            text.split(';')
                .filter_map(|pair| pair.split_once('='))
                .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
                .collect(),
        )
    }

    fn text(&self, key: &str) -> &str {
        self.0
            .get(key)
            .unwrap_or_else(|| panic!("no parameter {key} in {:?}", self.0))
    }

    fn f(&self, key: &str) -> f64 {
        self.text(key).parse().unwrap()
    }

    fn u(&self, key: &str) -> u64 {
        self.text(key).parse().unwrap()
    }

    fn list(&self, key: &str) -> Vec<f64> {
        self.text(key)
            .split(',')
            .map(|item| item.trim().parse().unwrap())
            .collect()
    }

    /// `lam1`, `lam2`, ... as far as they go.
    fn numbered(&self, key: &str) -> Vec<f64> {
        (1..)
            .map_while(|k| self.0.get(&format!("{key}{k}")))
            .map(|text| text.parse().unwrap())
            .collect()
    }

    /// The squared coefficient of variation: exact where the law is uniform, since tables round it.
    fn scv(&self) -> f64 {
        let uniform = self
            .0
            .get("law")
            .and_then(|law| law.strip_prefix("U("))
            .and_then(|rest| rest.strip_suffix(')'))
            .and_then(|ends| ends.split_once(','));
        match uniform {
            Some((low, high)) => {
                let (low, high): (f64, f64) = (low.parse().unwrap(), high.parse().unwrap());
                (high - low).powi(2) / 12.0 / ((low + high) / 2.0).powi(2)
            }
            None => self.f("scv"),
        }
    }

    /// `name=value` inside the free text of `law`.
    fn in_law(&self, name: &str) -> Option<f64> {
        self.0
            .get("law")?
            .split_whitespace()
            .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
            .map(|text| text.parse().unwrap())
    }
}

/// The level in a metric such as `Wq_q0.99`.
fn level(metric: &str, prefix: &str) -> Option<f64> {
    metric
        .strip_prefix(prefix)?
        .strip_prefix("_q")?
        .parse()
        .ok()
}

type Computed = Result<Option<f64>, TheoryError>;

fn mmc(queue: &Mmc, metric: &str) -> Computed {
    if let Some(q) = level(metric, "Wq") {
        return queue.wait_quantile(q).map(Some);
    }
    if let Some(q) = level(metric, "W") {
        return queue.sojourn_quantile(q).map(Some);
    }
    Ok(match metric {
        "L" => Some(queue.mean_in_system()),
        "Lq" => Some(queue.mean_queue()),
        "W" => Some(queue.mean_sojourn()),
        "Wq" => Some(queue.mean_wait()),
        "Var(W)" => Some(queue.sojourn_variance()),
        "Var(Wq)" => Some(queue.wait_variance()),
        "utilization" | "rho" => Some(queue.utilization()),
        "ErlangC_P(wait)" | "P(wait)" => Some(queue.p_wait()),
        "AsymVar(L)" => queue.asymptotic_variance_of_number(),
        _ => None,
    })
}

fn mmck(p: &Params, metric: &str) -> Computed {
    let queue = Mmck::new(p.f("lam"), p.f("mu"), p.u("c"), p.u("K"))?;
    Ok(match metric {
        "blocking" => Some(queue.p_loss()),
        "L" => Some(queue.mean_in_system()),
        "Lq" => Some(queue.mean_queue()),
        "throughput" => Some(queue.throughput()),
        "utilization" => Some(queue.utilization()),
        "Wq_accepted" => Some(queue.mean_wait()),
        "W_accepted" => Some(queue.mean_sojourn()),
        _ => None,
    })
}

fn mdc(p: &Params, servers: u64, metric: &str) -> Computed {
    let queue = Mdc::new(p.f("lam"), p.f("ES"), servers)?;
    if let Some(q) = level(metric, "Wq") {
        return queue.wait_quantile(q).map(Some);
    }
    if let Some(q) = level(metric, "W") {
        return queue.sojourn_quantile(q).map(Some);
    }
    Ok(match metric {
        "Wq" => Some(queue.mean_wait()),
        "Lq" => Some(queue.mean_queue()),
        "W" => Some(queue.mean_sojourn()),
        "P(wait)" => Some(queue.p_wait()),
        _ => None,
    })
}

fn mh21(p: &Params, metric: &str) -> Computed {
    let queue = match (p.in_law("p"), p.in_law("mu1"), p.in_law("mu2")) {
        (Some(share), Some(mu1), Some(mu2)) => Mh21::new(p.f("lam"), share, mu1, mu2)?,
        _ => Mh21::balanced(p.f("lam"), p.f("ES"), p.f("scv"))?,
    };
    if let Some(q) = level(metric, "Wq") {
        return queue.wait_quantile(q).map(Some);
    }
    if let Some(q) = level(metric, "W") {
        return queue.sojourn_quantile(q).map(Some);
    }
    Ok(match metric {
        "Wq" => Some(queue.mean_wait()),
        "W" => Some(queue.mean_sojourn()),
        _ => None,
    })
}

fn sharing(p: &Params, metric: &str) -> Computed {
    let (lambda, mean) = (p.f("lam"), p.f("ES"));
    match metric {
        "W" => ps_mean_sojourn(lambda, mean).map(Some),
        "E[T(x)]" => ps_conditional_sojourn(lambda, mean, p.f("size")).map(Some),
        _ => Ok(None),
    }
}

fn batches(p: &Params, metric: &str) -> Computed {
    let window = BatchingWindow::new(p.f("lam"), p.f("window_s"), p.u("max_batch"))?;
    Ok(match metric {
        "mean_batch" => Some(window.mean_batch()),
        "P(close_by_size)" => Some(window.p_close_by_size()),
        "mean_wait_per_request_s" => Some(window.mean_wait()),
        _ => None,
    })
}

/// What `theory` makes of a row; `None` when it has no formula for it.
fn compute(row: &Row) -> Computed {
    let p = Params::new(&row.params);
    let metric = row.metric.as_str();
    match row.family.as_str() {
        "M/M/1" => mmc(&Mmc::new(p.f("lam"), p.f("mu"), 1)?, metric),
        "M/M/c" => mmc(&Mmc::new(p.f("lam"), p.f("mu"), p.u("c"))?, metric),
        "M/M/c/K" => mmck(&p, metric),
        "M/M/c/c (Erlang B)" if metric == "blocking" => erlang_b(p.u("c"), p.f("a")).map(Some),
        "M/M/c+M (Erlang A)" => {
            let queue = ErlangA::new(p.f("lam"), p.f("mu"), p.u("c"), p.f("theta"))?;
            Ok(match metric {
                "P(abandon)" => Some(queue.p_abandon()),
                "P(wait)" => Some(queue.p_wait()),
                "Lq" => Some(queue.mean_queue()),
                _ => None,
            })
        }
        "M/D/1" => match (metric, Md1::new(p.f("lam"), p.f("ES"))?) {
            ("Wq", queue) => Ok(Some(queue.mean_wait())),
            ("E[Wq^2]", queue) => Ok(Some(queue.wait_second_moment())),
            _ => mdc(&p, 1, metric),
        },
        "M/D/c" => mdc(&p, p.u("c"), metric),
        "M/G/1" => {
            let queue = Mg1::new(p.f("lam"), p.f("ES"), p.scv())?;
            Ok(match metric {
                "Wq" => Some(queue.mean_wait()),
                "W" => Some(queue.mean_sojourn()),
                _ => None,
            })
        }
        "M/H2/1" => mh21(&p, metric),
        "M/M/1-PS" if metric == "Var(W)" => {
            mm1_ps_sojourn_variance(p.f("lam"), p.f("ES")).map(Some)
        }
        "M/M/1-PS" | "M/G/1-PS" => sharing(&p, metric),
        "M/M/c-PS" if metric == "W" => {
            mmc_ps_mean_sojourn(p.f("lam"), p.f("mu"), p.u("c")).map(Some)
        }
        "M/M/1 non-preemptive priority" => {
            let waits = priority_waits_mmc(1, p.f("mu"), &p.numbered("lam"))?;
            Ok(match metric {
                "Wq_high" => waits.first().copied(),
                "Wq_low" => waits.last().copied(),
                _ => None,
            })
        }
        "M/M/1 multiple vacations" if metric == "Wq" => {
            mg1_vacation_wait(p.f("lam"), 1.0 / p.f("mu"), 1.0, p.f("EV"), p.f("scvV")).map(Some)
        }
        "M/M/1 retrial (classical)" => {
            let queue = Retrial::new(p.f("lam"), p.f("mu"), p.f("theta"))?;
            Ok(match metric {
                "mean_orbit" => Some(queue.mean_orbit),
                "P(busy)" => Some(queue.p_busy),
                _ => None,
            })
        }
        "M/M/1 with breakdowns (fail busy or idle, exp)" if metric == "L" => {
            breakdown_mean_in_system(p.f("lam"), p.f("mu"), p.f("fail"), p.f("repair")).map(Some)
        }
        "M/M[1,b]/1 bulk service" => {
            let queue = BulkService::new(p.f("lam"), p.f("mu"), p.u("b"))?;
            Ok(match metric {
                "Wq" => Some(queue.mean_wait()),
                "W" => Some(queue.mean_sojourn()),
                _ => None,
            })
        }
        "M[k]/M/1 batch arrivals" if metric == "L" => {
            batch_arrivals_mean_in_system(p.f("lam"), p.f("mu"), p.u("k")).map(Some)
        }
        "Jackson tandem" => {
            let tandem = Jackson::tandem(p.f("lam"), &p.list("mu"))?;
            Ok(match metric {
                "L" => Some(tandem.mean_in_system()),
                "W" => Some(tandem.mean_sojourn()),
                _ => None,
            })
        }
        "Jackson with feedback" => {
            let queue = mm1_feedback(p.f("gamma"), p.f("mu"), p.f("p_back"))?;
            Ok(match metric {
                "L" => Some(queue.mean_in_system),
                "W_total" => Some(queue.mean_sojourn),
                _ => None,
            })
        }
        "closed M/M/c//N (machine repair)" => {
            let system = MachineRepair::new(p.u("N"), p.f("Z"), p.f("mu"), p.u("c"))?;
            Ok(match metric {
                "throughput" => Some(system.throughput()),
                "W" => Some(system.mean_sojourn()),
                "L" => Some(system.mean_in_system()),
                _ => None,
            })
        }
        "JSQ 2 servers (exact)" if metric == "L" && p.u("n") == 2 => {
            jsq2_mean_in_system(p.f("lam"), p.f("mu")).map(Some)
        }
        "batching window (first-arrival timer, size cap, free server)" => batches(&p, metric),
        family if family.starts_with("supermarket model") && metric == "W" => {
            supermarket_mean_sojourn(p.f("lam"), p.f("mu"), p.u("d")).map(Some)
        }
        _ => Ok(None),
    }
}

#[test]
fn theory_matches_the_reference_table() {
    let rows = rows();
    assert!(!rows.is_empty(), "the table is empty");
    let mut checked: BTreeMap<&str, usize> = BTreeMap::new();
    let mut not_expressible: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut wrong = Vec::new();
    let mut worst = 0.0_f64;
    for row in &rows {
        match compute(row) {
            Ok(Some(value)) => {
                // Relative, so that a small value is held to as many digits as a large one.
                let off = (value - row.value).abs() / row.value.abs().max(f64::MIN_POSITIVE);
                worst = worst.max(off / row.tolerance);
                if off.is_nan() || off > row.tolerance {
                    wrong.push(format!("{row:?}: theory gives {value}, off by {off:.2e}"));
                }
                *checked.entry(&row.family).or_default() += 1;
            }
            Ok(None) => {
                not_expressible.insert((&row.family, &row.metric));
            }
            Err(error) => wrong.push(format!("{row:?}: {error}")),
        }
    }
    for (family, count) in &checked {
        println!("checked {count:3} of {family}");
    }
    for (family, metric) in &not_expressible {
        println!("not expressible: {metric} of {family}");
    }
    println!("worst: {worst:.3} of the tolerance");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let own_table = std::env::var_os("SEATRIAL_QUEUEING_REFERENCE").is_none();
    for family in MUST_HAVE {
        if own_table || rows.iter().any(|row| row.family == family) {
            assert!(
                checked.contains_key(family),
                "no row of {family} was checked"
            );
        }
    }
}
