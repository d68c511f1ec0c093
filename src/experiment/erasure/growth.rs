//! How the work of an erasure grows with the records that a log holds, over the variants of a scenario.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Records in a log, the variant, and what its purges took.
type Point<'a> = (f64, &'a str, &'a Value);

/// A straight line through points, by least squares.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Line {
    slope: f64,
    /// Half of the slope's 95 % interval; none with two points.
    half_width: Option<f64>,
    /// Share of the variance that the line explains.
    r2: Option<f64>,
}

fn fit(points: &[(f64, f64)]) -> Option<Line> {
    let n = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (mx, my) = (mean(|p| p.0), mean(|p| p.1));
    let sxx: f64 = points.iter().map(|p| (p.0 - mx).powi(2)).sum();
    let sxy: f64 = points.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum();
    let syy: f64 = points.iter().map(|p| (p.1 - my).powi(2)).sum();
    if points.len() < 2 || sxx <= 0.0 {
        return None;
    }
    let slope = sxy / sxx;
    let left = (syy - slope * sxy).max(0.0);
    let half_width = (points.len() > 2).then(|| {
        let free = n - 2.0;
        let t = StudentsT::new(0.0, 1.0, free).map_or(f64::NAN, |t| t.inverse_cdf(0.975));
        t * (left / free / sxx).sqrt()
    });
    Some(Line {
        slope,
        half_width,
        r2: (syy > 0.0).then(|| 1.0 - left / syy),
    })
}

/// One kind of work against the records in a log: the exponent of a power law (slope of logarithms), and the
/// growth with each factor of ten (slope against the logarithm of records).
fn growth(points: &[(f64, f64)]) -> Value {
    let logs: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.log10(), *y)).collect();
    let per_decade = fit(&logs);
    let positive = logs.iter().filter(|(_, y)| *y > 0.0);
    let both: Vec<(f64, f64)> = positive.map(|(x, y)| (*x, y.log10())).collect();
    let power = fit(&both).filter(|_| both.len() == logs.len());
    json!({
        "exponent": power.map(|line| line.slope),
        "exponent_half_width": power.and_then(|line| line.half_width),
        "power_law_r2": power.and_then(|line| line.r2),
        "per_decade": per_decade.map(|line| line.slope),
        "per_decade_half_width": per_decade.and_then(|line| line.half_width),
        "log_law_r2": per_decade.and_then(|line| line.r2),
    })
}

/// The sections named, of the scenario itself and its variants, compared by log: those of them whose logs
/// have one rule and differ in the records they hold, three or more over a factor of ten at least. Null without such.
#[must_use]
pub fn growth_of(sections: &[(&str, &Value)]) -> Value {
    // Logs of one name and one rule: others would be compared for what they are, not for their size.
    let mut stores: BTreeMap<(&str, String), Vec<Point<'_>>> = BTreeMap::new();
    for (name, section) in sections {
        let rows = section["stores"].as_array().into_iter().flatten();
        for row in rows.filter(|row| row["purge"]["done"].as_u64() > Some(0)) {
            let records = row["purge"]["records_in_log"].as_f64();
            if let (Some(store), Some(records)) = (row["name"].as_str(), records) {
                let point = (records, *name, &row["purge"]);
                let key = (store, row["lsm"].to_string());
                stores.entry(key).or_default().push(point);
            }
        }
    }
    let mut grown = serde_json::Map::new();
    for ((store, _), mut points) in stores {
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let sizes: BTreeSet<u64> = points.iter().map(|(records, ..)| *records as u64).collect();
        let (first, last) = (points.first(), points.last());
        let wide = first.zip(last).is_some_and(|(a, b)| b.0 >= 10.0 * a.0);
        if sizes.len() < 3 || !wide {
            continue;
        }
        let of = |field: &str| -> Value {
            let found = points.iter();
            let found = found.filter_map(|(x, _, purge)| Some((*x, purge[field].as_f64()?)));
            growth(&found.collect::<Vec<_>>())
        };
        let rows = points.iter().map(|(records, variant, purge)| {
            json!({
                "variant": variant,
                "records": records,
                "done": purge["done"],
                "pending": purge["pending"],
                "runs_searched": purge["runs_searched"],
                "jobs": purge["jobs"],
                "work_bytes": purge["work_bytes"],
            })
        });
        grown.insert(
            store.to_owned(),
            json!({
                "points": rows.collect::<Vec<_>>(),
                "runs_searched": of("runs_searched"),
                "jobs": of("jobs"),
                "work_bytes": of("work_bytes"),
            }),
        );
    }
    match grown.is_empty() {
        true => Value::Null,
        false => Value::Object(grown),
    }
}

/// The fields that [`growth_of`] may have of these sections, without values: of the logs that three or more
/// have.
#[must_use]
pub fn growth_fields(sections: &[&Value]) -> Value {
    let mut logs: BTreeMap<(&str, String), u32> = BTreeMap::new();
    for section in sections {
        let stores = section["stores"].as_array().into_iter().flatten();
        let stores = stores.filter(|store| store["kind"] == "request_log");
        for store in stores {
            let name = store["name"].as_str().unwrap_or_default();
            *logs.entry((name, store["lsm"].to_string())).or_default() += 1;
        }
    }
    let fields = logs.into_iter().filter(|(_, sections)| *sections >= 3);
    let fields = fields.map(|((name, _), _)| {
        let kinds = ["runs_searched", "jobs", "work_bytes"];
        let kinds = kinds.map(|kind| (kind.to_owned(), growth(&[])));
        (name.to_owned(), Value::Object(kinds.into_iter().collect()))
    });
    Value::Object(fields.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(records: f64, work: f64) -> Value {
        json!({"stores": [{"name": "log", "kind": "request_log",
            "purge": {"done": 3, "records_in_log": records, "runs_searched": records.log10(), "jobs": 2.0, "work_bytes": work}}]})
    }

    #[test]
    fn logarithms_and_powers_are_told_apart() {
        let sizes = [1e4, 1e5, 1e6, 1e7, 1e8];
        let of = |law: &dyn Fn(f64) -> f64| {
            let sections = sizes.map(|n| section(n, law(n)));
            let named: Vec<(&str, &Value)> = sections.iter().map(|it| ("v", it)).collect();
            growth_of(&named)["log"]["work_bytes"].clone()
        };
        let number = |value: &Value, field: &str| value[field].as_f64().unwrap();
        let root = of(&|n: f64| 3.0 * n.sqrt());
        assert!((number(&root, "exponent") - 0.5).abs() < 1e-9);
        assert!(number(&root, "exponent_half_width") < 1e-6);
        let logarithmic = of(&|n: f64| 7.0 + 2.0 * n.log10());
        assert!((number(&logarithmic, "per_decade") - 2.0).abs() < 1e-9);
        assert!((number(&logarithmic, "log_law_r2") - 1.0).abs() < 1e-9);
        assert!(number(&logarithmic, "exponent") < 0.1);
    }

    #[test]
    fn logs_of_another_rule_are_another_matter() {
        let mut sections = [1e4, 1e5, 1e6].map(|n| section(n, 1.0));
        let named = |sections: &[Value; 3]| {
            let named: Vec<(&str, &Value)> = sections.iter().map(|it| ("v", it)).collect();
            let all: Vec<&Value> = sections.iter().collect();
            (growth_of(&named), growth_fields(&all))
        };
        let (grown, fields) = named(&sections);
        assert!(grown["log"].is_object() && fields["log"].is_object());
        sections[1]["stores"][0]["lsm"] = json!({"size_ratio": 4});
        let (grown, fields) = named(&sections);
        assert_eq!((grown, fields), (Value::Null, json!({})));
    }

    #[test]
    fn too_few_or_too_near_say_nothing() {
        let (a, b, c) = (section(1e4, 1.0), section(2e4, 1.0), section(4e4, 1.0));
        assert_eq!(growth_of(&[("a", &a), ("b", &b)]), Value::Null);
        assert_eq!(growth_of(&[("a", &a), ("b", &b), ("c", &c)]), Value::Null);
    }
}
