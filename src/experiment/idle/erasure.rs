//! Settings of `[erasure]` that change nothing.

use super::Idle;
use crate::scenario::erasure::{Activity, AskedBy};
use crate::scenario::resolve::Plan;
use crate::scenario::schema::Scenario;

impl Idle {
    pub(super) fn of_erasure(&mut self, scenario: &Scenario, plan: &Plan) {
        let Some(erasure) = &scenario.erasure else {
            return;
        };
        let even = erasure.activity == Activity::Even;
        let stated = erasure.asked_by == AskedBy::Activity;
        let why = "all subjects are as active as any other";
        self.note(even && stated, "erasure.asked_by", why);
        let whole = erasure.sample_one_in == 1 && erasure.requests_are_sampled;
        let why = "erasure.sample_one_in is 1: all requests are of simulated subjects";
        self.note(whole, "erasure.requests_are_sampled", why);
        for (index, burst) in erasure.bursts.iter().enumerate() {
            let late = burst.start_s >= plan.fleet.horizon.as_secs_f64();
            let path = format!("erasure.bursts.{index}");
            self.note(late, &path, "it begins after the horizon");
        }
    }
}
