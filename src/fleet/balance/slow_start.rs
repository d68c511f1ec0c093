//! Slow start: how much of its weight a member has that has just come.

use crate::engine::SimDuration;
use crate::scenario::balance::SlowStart;

/// Time is counted as one millisecond at least, as Envoy does.
const LEAST: SimDuration = SimDuration(1_000_000);

/// The rise of a weight over the window.
#[derive(Debug, Clone, Copy)]
pub struct SlowStartRise {
    window: SimDuration,
    exponent: f64,
    least: f64,
}

impl SlowStartRise {
    /// The rise that the scenario describes.
    pub fn new(config: &SlowStart) -> SlowStartRise {
        SlowStartRise {
            window: SimDuration::from_secs_f64(config.window_s),
            exponent: 1.0 / config.aggression,
            least: config.min_weight_pct / 100.0,
        }
    }

    /// How long it lasts.
    pub fn window(&self) -> SimDuration {
        self.window
    }

    /// What the weight is multiplied by so long after the member came (or was found healthy):
    /// `max(min_weight, (time / window)^(1 / aggression))`, and 1 from the window's end on (Envoy,
    /// `SlowStartConfig`).
    pub fn factor(&self, since_start: SimDuration) -> f64 {
        if since_start >= self.window {
            return 1.0;
        }
        let time = since_start.max(LEAST).as_secs_f64() / self.window.as_secs_f64();
        time.powf(self.exponent).max(self.least).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::SlowStartRise;
    use crate::engine::SimDuration;
    use crate::scenario::balance::SlowStart;

    fn factor(aggression: f64, min_weight_pct: f64, at_s: f64) -> f64 {
        let rise = SlowStartRise::new(&SlowStart {
            window_s: 60.0,
            aggression,
            min_weight_pct,
        });
        rise.factor(SimDuration::from_secs_f64(at_s))
    }

    #[test]
    fn the_weight_rises_as_envoy_says() {
        // A straight line, from the least weight on.
        assert_eq!(factor(1.0, 10.0, 0.0), 0.1);
        assert_eq!(factor(1.0, 10.0, 6.0), 0.1);
        assert_eq!(factor(1.0, 10.0, 30.0), 0.5);
        assert_eq!(factor(1.0, 10.0, 60.0), 1.0);
        assert_eq!(factor(1.0, 10.0, 1e6), 1.0);
        // Aggression 2: the square root.
        assert!((factor(2.0, 10.0, 15.0) - 0.5).abs() < 1e-12);
        // Aggression 1/2: the square.
        assert!((factor(0.5, 10.0, 30.0) - 0.25).abs() < 1e-12);
        // The first millisecond counts as one: no weight is ever 0.
        assert!((factor(1.0, 0.0, 0.0) - 1.0 / 60_000.0).abs() < 1e-12);
        assert_eq!(factor(1.0, 100.0, 1.0), 1.0);
    }
}
