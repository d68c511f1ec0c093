//! A progress bar on standard error, if that is a terminal.

use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Units of the bar per simulation.
const STEPS: f64 = 1_000.0;

/// Progress over several simulations.
pub struct Progress {
    bar: ProgressBar,
    /// Millionths of a step.
    millionths: AtomicU64,
}

impl Progress {
    /// A bar of no length yet. It draws on standard error, and only on a terminal.
    pub fn new(label: &str) -> Progress {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
        let template = "{prefix} {wide_bar} {percent:>3} % {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(label.to_owned());
        Progress {
            bar,
            millionths: AtomicU64::new(0),
        }
    }

    /// How many simulations there are.
    pub fn expect(&self, simulations: u64) {
        self.bar.set_length((simulations as f64 * STEPS) as u64);
    }

    /// A share of one simulation was done.
    pub fn advance(&self, share: f64) {
        // Whole steps only, and what is left of them next time: of many small shares none is lost.
        let fresh = (share * STEPS * 1e6) as u64;
        let before = self.millionths.fetch_add(fresh, Ordering::Relaxed);
        self.bar
            .inc((before + fresh) / 1_000_000 - before / 1_000_000);
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
