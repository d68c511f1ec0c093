//! Settings that were measured several times: by how much such rows differ is what no fit explains.

use serde::Serialize;

use super::measurement::Observed;
use super::model::LEAST_SCALE;

/// The least standard deviation that a fit tells, percent.
const FLOOR_PCT: f64 = 100.0 * LEAST_SCALE;
/// A fit whose errors are so many times what repeated rows differ by lacks something that the engine
/// does; below it, errors are mostly those of measuring.
const MUCH: f64 = 2.0;

/// What rows of the same setting differ by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Repeated {
    /// Settings with several rows.
    pub settings: usize,
    /// Their rows.
    pub rows: usize,
    /// The pooled standard deviations of TTFT and TPOT about the mean of their setting, percent of it.
    pub deviation_pct: (f64, f64),
}

impl Repeated {
    /// Of some rows; none where every setting is there once.
    #[must_use]
    pub fn of(observed: &[Observed], rows: &[usize]) -> Option<Repeated> {
        let settings = settings(observed, rows);
        let mut found = Repeated {
            settings: 0,
            rows: 0,
            deviation_pct: (0.0, 0.0),
        };
        let mut squares = [0.0; 2];
        for setting in settings.iter().filter(|rows| rows.len() > 1) {
            found.settings += 1;
            found.rows += setting.len();
            let of = |time: fn(&Observed) -> f64| -> Vec<f64> {
                setting
                    .iter()
                    .map(|at| time(&observed[rows[*at]]))
                    .collect()
            };
            let times = [of(|row| row.case.ttft_ms), of(|row| row.case.tpot_ms)];
            for (sum, times) in squares.iter_mut().zip(times) {
                let mean = times.iter().sum::<f64>() / times.len() as f64;
                *sum += times
                    .iter()
                    .map(|ms| (ms / mean - 1.0).powi(2))
                    .sum::<f64>();
            }
        }
        let free = found
            .rows
            .checked_sub(found.settings)
            .filter(|free| *free > 0)?;
        let [ttft, tpot] = squares.map(|sum| 100.0 * (sum / free as f64).sqrt());
        found.deviation_pct = (ttft, tpot);
        Some(found)
    }

    /// What they say of a fit with standard deviations of its errors, percent, in a sentence.
    #[must_use]
    pub fn verdict(&self, errors_pct: (f64, f64)) -> String {
        // What is below the floor of deviations is none.
        let one = |name: &str, error: f64, pure: f64| match error > MUCH * pure.max(FLOOR_PCT) {
            true if pure > 0.0 => format!(
                "{name} {error:.1} % against {pure:.1} %, {:.1} times as much: the model lacks \
                 something",
                error / pure
            ),
            true => format!("{name} {error:.1} % against none: the model lacks something"),
            false => format!("{name} {error:.1} % against {pure:.1} %: as good as they allow"),
        };
        format!(
            "{} rows are of {} settings that were measured several times, and differ within one by TTFT \
             {:.1} %, TPOT {:.1} % (standard deviation): no fit can do better. Errors of this one: {}; \
             {}",
            self.rows,
            self.settings,
            self.deviation_pct.0,
            self.deviation_pct.1,
            one("TTFT", errors_pct.0, self.deviation_pct.0),
            one("TPOT", errors_pct.1, self.deviation_pct.1),
        )
    }
}

/// The places of rows by their setting: one server, lengths, users and requests. In the order in which
/// settings come first.
#[must_use]
pub fn settings(observed: &[Observed], rows: &[usize]) -> Vec<Vec<usize>> {
    let mut found: Vec<Vec<usize>> = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let own = &observed[*row];
        let same = found.iter_mut().find(|setting| {
            let first = setting.first().map(|first| &observed[rows[*first]]);
            first.is_some_and(|first| is_same(first, own))
        });
        match same {
            Some(setting) => setting.push(at),
            None => found.push(vec![at]),
        }
    }
    found
}

fn is_same(one: &Observed, other: &Observed) -> bool {
    let (a, b) = (&one.case, &other.case);
    (&one.server, &one.version) == (&other.server, &other.version)
        && (a.users, a.prompt, a.output, a.requests) == (b.users, b.prompt, b.output, b.requests)
        && a.server == b.server
}
