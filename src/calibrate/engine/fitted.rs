//! A fit, as it is shown and written.

use std::collections::BTreeMap;

use serde::Serialize;

use super::repeated::Repeated;
use crate::calibrate::regression::robust::Loss;
use crate::calibrate::{OverheadEntry, OverheadTable};
use crate::validate::closed_loop::score::Score;

/// A row counts as wild below this weight.
pub const WILD: f64 = 0.5;

/// One unknown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// Which.
    pub name: &'static str,
    /// Of what it is.
    pub unit: &'static str,
    /// Its value.
    pub value: f64,
    /// 95 % interval, which the value is in, and the values beside it that move no row; absent where it
    /// was held.
    pub interval: Option<(f64, f64)>,
    /// Whether it was held and not fitted.
    pub held: bool,
    /// Whether it is at its least value: the rows would have it lower still.
    pub at_bound: bool,
}

/// One row, measured and fitted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FittedRow {
    /// Where it is from.
    pub place: String,
    /// The server and the lengths.
    pub server: String,
    /// Users.
    pub users: u32,
    /// Measured and fitted mean TTFT, milliseconds.
    pub ttft_ms: (f64, f64),
    /// The same of TPOT.
    pub tpot_ms: (f64, f64),
    /// Weights of the two, 0 to 1.
    pub weights: (f64, f64),
    /// TTFT and TPOT by the fit that has not seen the row; absent where there was none.
    pub unseen_ms: Option<(f64, f64)>,
}

/// A fit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fit {
    /// The engine.
    pub engine: String,
    /// Its versions.
    pub versions: Vec<String>,
    /// The accelerator.
    pub accelerator: String,
    /// Models.
    pub models: Vec<String>,
    /// The loss.
    pub loss: Loss,
    /// The unknowns.
    pub parameters: Vec<Estimate>,
    /// Standard deviations of errors by the median of their sizes, of TTFT and TPOT, percent.
    pub deviation_pct: (f64, f64),
    /// What rows of the same setting differ by; absent where each setting is there once.
    pub repeated: Option<Repeated>,
    /// Parts of the cross-validation, and what stayed together in it.
    pub folds: usize,
    /// `servers and lengths`, `settings` or `rows`.
    pub together: &'static str,
    /// Errors on rows that the fit has seen.
    pub seen: Score,
    /// Errors on rows that it has not.
    pub unseen: Score,
    /// Largest condition index of the scaled design; absent where it is infinite or there is one unknown.
    pub condition: Option<f64>,
    /// Correlations of estimates, the strongest first.
    pub correlations: Vec<(&'static str, &'static str, f64)>,
    /// Sets of unknowns that the rows cannot tell apart.
    pub confounded: Vec<Vec<&'static str>>,
    /// What to beware of.
    pub warnings: Vec<String>,
    /// The rows.
    pub rows: Vec<FittedRow>,
    /// Rows that were left out, by reason.
    pub left_out: BTreeMap<String, usize>,
    /// Steps of the search.
    pub steps: usize,
    /// Whether the search ended where no step helps, and not because of their number.
    pub settled: bool,
    /// The profile.
    pub profile: OverheadEntry,
}

impl Fit {
    /// The profile as a file: a table of overheads with what the fit is worth in its comments.
    ///
    /// # Errors
    /// The TOML library, which writes plain tables always.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let table = OverheadTable {
            overheads: vec![self.profile.clone()],
        };
        let body = toml::to_string(&table)?;
        let mut out = String::from(
            "# Engine profile, fitted by `seatrial calibrate fit`: see calibration/README.md. A pool \
             uses it by\n# engine_profile = \"THIS FILE\".\n#\n",
        );
        let pct =
            |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1} %"));
        for (on, score) in [("seen", &self.seen), ("not seen", &self.unseen)] {
            out.push_str(&format!(
                "# median absolute error on {} rows {on}: TTFT {}, TPOT {}\n",
                score.scored,
                pct(score.ttft.median_abs_pct),
                pct(score.tpot.median_abs_pct)
            ));
        }
        if let Some(repeated) = &self.repeated {
            let (ttft, tpot) = repeated.deviation_pct;
            out.push_str(&format!(
                "# {} rows are of {} settings that were measured several times; they differ by TTFT \
                 {ttft:.1} %, TPOT {tpot:.1} % (standard deviation)\n",
                repeated.rows, repeated.settings
            ));
        }
        for one in &self.parameters {
            let value = one.value;
            out.push_str(&match one.interval {
                Some((low, high)) => format!(
                    "# {}: {value:.4}, 95 % interval {low:.4} to {high:.4}\n",
                    one.name
                ),
                None => format!("# {}: {value:.4}, held\n", one.name),
            });
        }
        for warning in &self.warnings {
            out.push_str(&format!("# beware: {warning}\n"));
        }
        Ok(format!("{out}\n{body}"))
    }

    /// Relative errors of TTFT and TPOT of a row, percent.
    pub fn errors_pct(row: &FittedRow) -> (f64, f64) {
        let error = |(measured, fitted): (f64, f64)| (fitted / measured - 1.0) * 100.0;
        (error(row.ttft_ms), error(row.tpot_ms))
    }
}
