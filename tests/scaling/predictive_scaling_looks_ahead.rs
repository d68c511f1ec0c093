//! Predictive scaling: the highest forecast up to the lead, headroom, and the delay downwards.

use seatrial::engine::{NS_PER_S, SimTime};
use seatrial::fleet::scaling::forecast::{ForecastRule, HoltWintersRule, SeasonalNaiveRule};
use seatrial::fleet::scaling::predictive::{Predictive, PredictiveRule};

fn at(seconds: u64) -> SimTime {
    SimTime(seconds * NS_PER_S)
}

/// Forecasts repeat six buckets of 60 s; a replica serves 10 a second.
fn rule(lead_s: f64) -> PredictiveRule {
    PredictiveRule {
        forecaster: ForecastRule::SeasonalNaive(SeasonalNaiveRule { season: 6 }),
        bucket_s: 60.0,
        lead_s,
        per_replica_per_s: 10.0,
        headroom: 0.0,
        min: 1,
        max: 50,
        scale_down_delay_s: 0.0,
    }
}

/// A scaler that has seen one season, so that now is second 360 and that is ahead again.
fn seen(rule: PredictiveRule, demand_per_s: [f64; 6]) -> Predictive {
    let mut predictive = Predictive::new(rule);
    for (demand, end) in demand_per_s.into_iter().zip((60..=360).step_by(60)) {
        predictive.end_bucket(at(end), demand);
    }
    predictive
}

const DEMAND_PER_S: [f64; 6] = [20.0, 30.0, 90.0, 40.0, 35.0, 10.0];

#[test]
fn the_highest_bucket_up_to_the_lead_counts() {
    // The bucket that begins exactly at the end of the lead counts: from then on a replica
    // asked for now serves it.
    for (lead_s, peak) in [
        (0.0, 20.0),
        (59.0, 20.0),
        (60.0, 30.0),
        (119.0, 30.0),
        (120.0, 90.0),
    ] {
        let predictive = seen(rule(lead_s), DEMAND_PER_S);
        assert_eq!(predictive.peak_per_s(at(360)), Some(peak), "{lead_s}");
    }
    // Between two ends of buckets, time goes on: 30 s later the lead reaches 30 s further.
    let predictive = seen(rule(100.0), DEMAND_PER_S);
    assert_eq!(predictive.peak_per_s(at(360)), Some(30.0));
    assert_eq!(predictive.peak_per_s(at(390)), Some(90.0));
    // And what has passed no longer counts.
    let predictive = seen(rule(0.0), DEMAND_PER_S);
    assert_eq!(predictive.peak_per_s(at(360 + 4 * 60)), Some(35.0));
}

#[test]
fn headroom_and_capacity_make_replicas_of_it() {
    let mut rule = rule(120.0);
    assert_eq!(seen(rule.clone(), DEMAND_PER_S).proposal(at(360)), Some(9));
    // 90 x 1.1 / 10 = 9.9; 90 x 1.25 / 10 = 11.25.
    for (headroom, expected) in [(0.1, 10), (0.25, 12), (f64::NAN, 9), (-1.0, 9)] {
        rule.headroom = headroom;
        let predictive = seen(rule.clone(), DEMAND_PER_S);
        assert_eq!(predictive.proposal(at(360)), Some(expected));
    }
    rule.max = 5;
    assert_eq!(seen(rule.clone(), DEMAND_PER_S).recommend(at(360), 2), 5);
    for capacity in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        rule.per_replica_per_s = capacity;
        assert_eq!(seen(rule.clone(), DEMAND_PER_S).proposal(at(360)), None);
    }
}

#[test]
fn without_a_forecast_nothing_changes() {
    let mut predictive = Predictive::new(rule(60.0));
    assert_eq!(predictive.recommend(at(0), 7), 7);
    assert_eq!(predictive.recommend(at(0), 0), 1);
    assert_eq!(predictive.recommend(at(0), 90), 50);
    for end in [60, 120, 180, 240, 300] {
        predictive.end_bucket(at(end), 100.0);
        assert_eq!(predictive.recommend(at(end), 7), 7);
    }
    predictive.end_bucket(at(360), 100.0);
    assert_eq!(predictive.recommend(at(360), 7), 10);
}

#[test]
fn fewer_replicas_wait_for_the_delay_and_the_most_of_it_holds() {
    let mut rule = rule(0.0);
    rule.scale_down_delay_s = 120.0;
    let mut predictive = seen(rule, [20.0, 40.0, 20.0, 20.0, 20.0, 20.0]);
    // Wanted from second 360 on: 2, 4, 2, 2, 2, 2.
    assert_eq!(predictive.recommend(at(360), 9), 9);
    assert_eq!(predictive.recommend(at(420), 9), 9);
    assert_eq!(predictive.recommend(at(480), 9), 4);
    // The delay begins anew.
    assert_eq!(predictive.recommend(at(540), 4), 4);
    assert_eq!(predictive.recommend(at(659), 4), 4);
    assert_eq!(predictive.recommend(at(660), 4), 2);
}

#[test]
fn a_need_for_all_of_them_starts_the_delay_anew() {
    let mut rule = rule(0.0);
    rule.scale_down_delay_s = 120.0;
    let mut predictive = seen(rule, [20.0, 20.0, 90.0, 20.0, 20.0, 20.0]);
    assert_eq!(predictive.recommend(at(360), 9), 9);
    assert_eq!(predictive.recommend(at(420), 9), 9);
    assert_eq!(predictive.recommend(at(480), 9), 9);
    assert_eq!(predictive.recommend(at(540), 9), 9);
    assert_eq!(predictive.recommend(at(659), 9), 9);
    assert_eq!(predictive.recommend(at(660), 9), 2);
}

#[test]
fn a_delay_never_brings_replicas_back() {
    let mut rule = rule(0.0);
    rule.scale_down_delay_s = 120.0;
    let mut predictive = seen(rule, [40.0, 20.0, 20.0, 20.0, 20.0, 20.0]);
    assert_eq!(predictive.recommend(at(360), 9), 9);
    // Something else took six meanwhile; 4 were wanted at most, 2 are now.
    assert_eq!(predictive.recommend(at(480), 3), 3);
}

#[test]
fn a_demand_is_never_forecast_below_nothing() {
    let mut rule = rule(0.0);
    rule.forecaster = ForecastRule::HoltWinters(HoltWintersRule::new(3));
    // Falls by 10 a bucket, to 0: the trend goes on below it.
    let predictive = seen(rule, [50.0, 40.0, 30.0, 20.0, 10.0, 0.0]);
    assert_eq!(predictive.peak_per_s(at(360)), Some(0.0));
    assert_eq!(predictive.proposal(at(360)), Some(0));
}

#[test]
fn a_bucket_without_length_gives_no_forecast() {
    for bucket_s in [0.0, -1.0, f64::NAN] {
        let mut rule = rule(60.0);
        rule.bucket_s = bucket_s;
        assert_eq!(seen(rule, DEMAND_PER_S).proposal(at(360)), None);
    }
}

#[test]
fn an_endless_lead_ends() {
    let mut rule = rule(f64::INFINITY);
    rule.bucket_s = 1e-9;
    let predictive = seen(rule, DEMAND_PER_S);
    assert_eq!(predictive.peak_per_s(at(360)), Some(90.0));
}
