//! Files that are written while a scenario is simulated by those who look on: intervals, and a window
//! for Perfetto's viewer.

use std::path::Path;

use super::Failure;
use super::run::RunArgs;
use crate::engine::{SimDuration, SimTime};
use crate::fleet::observer::{Observer, Observers};
use crate::report::perfetto::{Perfetto, Window};
use crate::report::series::{Series, usual_interval_s};
use crate::scenario::Document;
use crate::scenario::resolve::{Plan, resolve};

/// Who looks on.
#[derive(Default)]
pub(super) struct Onlookers {
    series: Option<Series>,
    perfetto: Option<Perfetto>,
}

impl Onlookers {
    /// Those that the arguments ask for; their files are empty.
    pub(super) fn open(
        args: &RunArgs,
        document: &Document,
        folder: &Path,
    ) -> Result<Onlookers, Failure> {
        let mut onlookers = Onlookers::default();
        if args.series.is_none() && args.perfetto.is_none() {
            return Ok(onlookers);
        }
        let plan = resolve(document, folder).map_err(Failure::of)?;
        if let Some(path) = &args.series {
            check(&plan, "--series", path)?;
            let usual = usual_interval_s(&plan);
            let interval_s = args.series_interval.unwrap_or(usual);
            let series = Series::create(path, &plan, interval_s);
            onlookers.series = Some(series.map_err(Failure::of)?);
        }
        if let (Some(path), Some(window)) = (&args.perfetto, args.window) {
            check(&plan, "--perfetto", path)?;
            let perfetto = Perfetto::create(path, &plan, window);
            onlookers.perfetto = Some(perfetto.map_err(Failure::of)?);
        }
        Ok(onlookers)
    }

    /// Whether there are any.
    pub(super) fn are_any(&self) -> bool {
        self.series.is_some() || self.perfetto.is_some()
    }

    /// As one.
    pub(super) fn observers(&mut self) -> Observers<'_> {
        let series = self.series.as_mut().map(|it| it as &mut dyn Observer);
        let perfetto = self.perfetto.as_mut().map(|it| it as &mut dyn Observer);
        Observers(series.into_iter().chain(perfetto).collect())
    }

    /// Closes the files.
    #[allow(clippy::print_stderr)] // what was left out is said beside the page
    pub(super) fn finish(self) -> Result<(), Failure> {
        if let Some(series) = self.series {
            series.finish().map_err(Failure::of)?;
        }
        if let Some(perfetto) = self.perfetto
            && let Some(full) = perfetto.finish().map_err(Failure::of)?
        {
            eprintln!("warning: {full}");
        }
        Ok(())
    }
}

/// Files are of one replication, and must not be what the scenario reads.
fn check(plan: &Plan, option: &str, path: &Path) -> Result<(), Failure> {
    let replications = plan.scenario.run.replications;
    if replications > 1 {
        return Err(Failure::of(format!(
            "{option} {}: needs one replication, but run.replications is {replications}; set it to 1",
            path.display()
        )));
    }
    super::run::check_not_the_trace(plan, option, path)
}

/// A window of simulated time: `30..35`.
pub(super) fn window_of(text: &str) -> Result<Window, String> {
    let instant = |text: &str| -> Option<SimTime> {
        let seconds: f64 = text.trim().parse().ok()?;
        // A century is more than any run has.
        (0.0..=3.2e9)
            .contains(&seconds)
            .then(|| SimTime::ZERO + SimDuration::from_secs_f64(seconds))
    };
    let ends = text
        .split_once("..")
        .map(|(from, to)| (instant(from), instant(to)));
    match ends {
        Some((Some(from), Some(to))) if from < to => Ok(Window { from, to }),
        _ => Err(
            "must be FROM..TO in seconds of simulated time, FROM before TO, such as 30..35"
                .to_owned(),
        ),
    }
}
