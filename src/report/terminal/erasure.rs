//! Erasures: how long people wait to be forgotten, and what that costs.

use serde_json::Value;

use super::page::{Page, WIDTH, add, table};
use crate::experiment::result::RunResult;
use crate::report::number::{count, percent, plural, significant, wrap};

/// A time as people say it: from microseconds to days.
fn spell(seconds: Option<f64>) -> String {
    let Some(seconds) = seconds else {
        return "-".to_owned();
    };
    let (value, unit) = match seconds {
        0.0 => return "0".to_owned(),
        s if s < 1e-3 => (s * 1e6, "us"),
        s if s < 1.0 => (s * 1e3, "ms"),
        s if s < 600.0 => (s, "s"),
        s if s < 36_000.0 => (s / 60.0, "min"),
        s if s < 172_800.0 => (s / 3_600.0, "h"),
        s => (s / 86_400.0, "d"),
    };
    format!("{} {unit}", significant(Some(value)))
}

fn bytes(value: Option<f64>) -> String {
    let Some(value) = value else {
        return "-".to_owned();
    };
    let (size, unit) = match value {
        b if b < 1e3 => (b, "B"),
        b if b < 1e6 => (b / 1e3, "kB"),
        b if b < 1e9 => (b / 1e6, "MB"),
        b if b < 1e12 => (b / 1e9, "GB"),
        b => (b / 1e12, "TB"),
    };
    format!("{} {unit}", significant(Some(size)))
}

/// The section; nothing where there are no erasures.
pub(super) fn erasure(page: &mut Page, result: &RunResult) {
    let section = &result.erasure;
    if section.get("requested").is_none() {
        return;
    }
    page.title("Erasure");
    let whole = |key: &str| section[key].as_u64().unwrap_or(0);
    let mut parts = vec![
        format!("{} done everywhere", count(whole("done"))),
        format!("{} rejected", count(whole("rejected"))),
    ];
    parts.push(format!("{} pending", count(whole("pending"))));
    let text = format!(
        "{} requested = {}",
        count(whole("requested")),
        parts.join(" + ")
    );
    page.line(&format!("  {}", wrap(&text, WIDTH, 4)));
    if whole("sample_one_in") > 1 {
        let text = format!(
            "of one in {} subjects ({} of them), in as small a part of each store: memtable and disk are \
             as stated, of that part",
            count(whole("sample_one_in")),
            count(whole("subjects"))
        );
        page.line(&format!("  {}", wrap(&text, WIDTH, 4)));
    }
    let mut text = format!(
        "deadline of {}: missed by {}, {} undecided; {} resurrected",
        spell(
            section["deadline_days"]
                .as_f64()
                .map(|days| days * 86_400.0)
        ),
        count(whole("deadline_misses")),
        count(whole("undecided")),
        plural(whole("resurrected"), "record"),
    );
    if let Some(slo) = section.get("slo") {
        let within = spell(slo["within_s"].as_f64());
        let attained = percent(slo["attained"].as_f64());
        text.push_str(&format!("; {attained} within the objective of {within}"));
    }
    if whole("cancelled_requests") > 0 {
        let cancelled = plural(whole("cancelled_requests"), "request");
        text.push_str(&format!("; {cancelled} under way given up"));
    }
    page.line(&format!("  {}", wrap(&text, WIDTH, 4)));
    places(page, section);
    logs(page, section);
    growth(page, section);
}

fn places(page: &mut Page, section: &Value) {
    let mut rows = table(&[
        "store",
        "erasures",
        "pending",
        "unseen p50",
        "p99",
        "gone p50",
        "p99",
        "max",
    ]);
    let mut row = |name: &str, of: &Value, begun: u64, pending: u64| {
        let unseen = |key: &str| spell(of["logical_ms"][key].as_f64().map(|ms| ms / 1e3));
        let gone = |key: &str| spell(of["physical_s"][key].as_f64());
        let name: String = name.chars().take(20).collect();
        add(
            &mut rows,
            &[
                name,
                count(begun),
                count(pending),
                unseen("p50"),
                unseen("p99"),
                gone("p50"),
                gone("p99"),
                gone("max"),
            ],
        );
    };
    let whole = |of: &Value, key: &str| of[key].as_u64().unwrap_or(0);
    for store in section["stores"].as_array().into_iter().flatten() {
        let name = store["name"].as_str().unwrap_or("");
        row(name, store, whole(store, "begun"), whole(store, "pending"));
    }
    let accepted = whole(section, "accepted");
    row("everywhere", section, accepted, whole(section, "pending"));
    page.table(&rows);
    let note = "unseen: from the request until no read saw anything of the subject; gone: until the last \
                byte was; with replications of all of them together, and of all regions and logs of a store";
    page.line(&format!("  {}", wrap(note, WIDTH, 2)));
}

fn logs(page: &mut Page, section: &Value) {
    let stores = section["stores"].as_array().into_iter().flatten();
    for log in stores.filter(|store| store["kind"] == "request_log") {
        let number = |path: &str| log.pointer(path).and_then(Value::as_f64);
        let law = |key: &str| log["theory"][key].as_f64();
        let name = log["name"].as_str().unwrap_or("");
        let mut text = format!(
            "{name}: {} of {} each on average, {} records; {} levels (theory {}), written x{} (theory {} \
             to {}, deadlines apart), held x{} (theory at most {}), {} blocks a lookup",
            plural(log["logs"].as_u64().unwrap_or(0), "log"),
            bytes(
                number("/held_bytes")
                    .zip(number("/logs"))
                    .map(|(held, logs)| held / logs)
            ),
            count(log["records"].as_u64().unwrap_or(0)),
            significant(number("/levels")),
            significant(law("levels")),
            significant(number("/write_amplification")),
            significant(law("write_amplification_least")),
            significant(law("write_amplification_most")),
            significant(number("/space_amplification")),
            significant(law("space_amplification_most")),
            significant(number("/read_amplification")),
        );
        text.push_str(&format!(
            "; disk at work {} of the time",
            percent(number("/disk_share"))
        ));
        page.line(&format!("  {}", wrap(&text, WIDTH, 4)));
        let late = log["dropped_late"].as_u64().unwrap_or(0);
        let mut text = format!(
            "{name}: a purge found {} records on average, searched {} runs and went through {} jobs; its \
             share of what they read and wrote is {}",
            significant(number("/purge/records")),
            significant(number("/purge/runs_searched")),
            significant(number("/purge/jobs")),
            bytes(number("/purge/work_bytes")),
        );
        text.push_str(&format!(
            "; {} by compactions for deadlines, {} from before an erasure dropped",
            format_args!("{} MB/s a log", significant(number("/erasure_mb_per_s"))),
            plural(late, "record"),
        ));
        page.line(&format!("  {}", wrap(&text, WIDTH, 4)));
        let text = match law("persistence_bound_s") {
            Some(bound) => format!(
                "{name}: its rule gives a purge {}, and the longest took {}; without it theory expects {}, with no \
                 bound",
                spell(Some(bound)),
                spell(number("/purge/longest_s")),
                spell(law("persistence_expected_s"))
            ),
            None => format!(
                "{name}: nothing hurries a purge: theory expects {}, with no bound (delete_persistence_s \
                 bounds it)",
                spell(law("persistence_expected_s"))
            ),
        };
        page.line(&format!("  {}", wrap(&text, WIDTH, 4)));
    }
}

/// The work of a purge against the records in a log, over the variants.
fn growth(page: &mut Page, section: &Value) {
    let stores = section["growth"].as_object().into_iter().flatten();
    for (name, growth) in stores {
        let mut rows = table(&[
            "variant",
            "records held",
            "purges",
            "pending",
            "runs searched",
            "jobs",
            "work a purge",
        ]);
        for point in growth["points"].as_array().into_iter().flatten() {
            add(
                &mut rows,
                &[
                    point["variant"].as_str().unwrap_or("").to_owned(),
                    count(point["records"].as_f64().unwrap_or(0.0).round() as u64),
                    count(point["done"].as_u64().unwrap_or(0)),
                    count(point["pending"].as_u64().unwrap_or(0)),
                    significant(point["runs_searched"].as_f64()),
                    significant(point["jobs"].as_f64()),
                    bytes(point["work_bytes"].as_f64()),
                ],
            );
        }
        page.line(&format!(
            "  work of a purge in {name} against the records n that it held, of those done"
        ));
        page.table(&rows);
        for (what, field, unit) in [
            ("runs searched", "runs_searched", ""),
            ("jobs", "jobs", ""),
            ("bytes", "work_bytes", " B"),
        ] {
            let fitted = &growth[field];
            let number = |key: &str| significant(fitted[key].as_f64());
            let text = format!(
                "{what}: n^{} (95 % +- {}), or {}{unit} more for each factor of ten (logarithm explains {} of \
                 it)",
                number("exponent"),
                number("exponent_half_width"),
                number("per_decade"),
                percent(fitted["log_law_r2"].as_f64()),
            );
            page.line(&format!("  {}", wrap(&text, WIDTH, 4)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_read_well() {
        assert_eq!(spell(Some(0.000_25)), "250 us");
        assert_eq!(spell(Some(0.25)), "250 ms");
        assert_eq!(spell(Some(90.0)), "90 s");
        assert_eq!(spell(Some(3_600.0)), "60 min");
        assert_eq!(spell(Some(86_400.0)), "24 h");
        assert_eq!(spell(Some(2_592_000.0)), "30 d");
        assert_eq!(spell(None), "-");
        assert_eq!(bytes(Some(12_359_745.6)), "12.36 MB");
    }
}
