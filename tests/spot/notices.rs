//! Warnings before a loss.

use proptest::prelude::*;
use rand::RngExt;
use seatrial::engine::SimTime;
use seatrial::fleet::spot::notice::{NoticeRule, Rebalance};

use super::statistics::*;

const SECOND: u64 = 1_000_000_000;

fn at(seconds: u64) -> SimTime {
    SimTime(seconds * SECOND)
}

fn with_rebalance(lead_s: f64, probability: f64) -> NoticeRule {
    NoticeRule {
        rebalance: Some(Rebalance {
            lead_s,
            probability,
        }),
        ..NoticeRule::aws()
    }
}

#[test]
fn notices_come_as_long_before_the_loss_as_each_provider_says() {
    let mut rng = seeded(1);
    for (rule, notice) in [(NoticeRule::aws(), 120), (NoticeRule::gcp(), 30)] {
        let warnings = rule.warnings(at(1000), at(0), at(0), &mut rng);
        assert_eq!(warnings.notice_at, at(1000 - notice));
        assert_eq!(warnings.rebalance_at, None);
    }
}

#[test]
fn a_certain_rebalance_signal_leads_the_notice_and_may_come_with_it() {
    let mut rng = seeded(1);
    let mut signal = |rule: NoticeRule| rule.warnings(at(1000), at(0), at(0), &mut rng);
    assert_eq!(
        signal(with_rebalance(300.0, 1.0)).rebalance_at,
        Some(at(580))
    );
    let with_notice = signal(with_rebalance(0.0, 1.0));
    assert_eq!(with_notice.rebalance_at, Some(with_notice.notice_at));
    assert_eq!(signal(with_rebalance(300.0, 0.0)).rebalance_at, None);
}

#[test]
fn rebalance_signals_come_with_the_given_probability() {
    let (mut rng, rule) = (seeded(2), with_rebalance(60.0, 0.7));
    let count = 20_000;
    let come = (0..count).filter(|_| {
        rule.warnings(at(1000), at(0), at(0), &mut rng)
            .rebalance_at
            .is_some()
    });
    assert_z(share_z(come.count(), count, 0.7), "signals");
}

#[test]
fn rules_draw_one_number_for_a_signal_and_none_without() {
    for (rule, draws) in [
        (NoticeRule::aws(), 0),
        (with_rebalance(60.0, 0.0), 1),
        (with_rebalance(60.0, 1.0), 1),
    ] {
        let (mut used, mut counted) = (seeded(3), seeded(3));
        let _ = rule.warnings(at(1000), at(0), at(0), &mut used);
        for _ in 0..draws {
            let _: f64 = counted.random();
        }
        assert_eq!(used.random::<u64>(), counted.random::<u64>());
    }
}

proptest! {
    #[test]
    fn warnings_never_come_before_now_or_the_nodes_start(
        loss_s in 0_u64..2000,
        started_s in 0_u64..2000,
        now_s in 0_u64..2000,
        notice_s in 0.0..300.0,
        lead_s in 0.0..600.0,
    ) {
        let rule = NoticeRule { notice_s, ..with_rebalance(lead_s, 1.0) };
        let warnings = rule.warnings(at(loss_s), at(started_s), at(now_s), &mut seeded(4));
        let earliest = at(started_s.max(now_s));
        let rebalance_at = warnings.rebalance_at.unwrap();
        prop_assert!(earliest <= rebalance_at && rebalance_at <= warnings.notice_at);
        // No later than asked for, unless it would have to be in the past.
        prop_assert!(warnings.notice_at <= at(loss_s).max(earliest));
        let in_time = at(loss_s).0 >= earliest.0 + (notice_s * 1e9).ceil() as u64;
        if in_time {
            let lead_ns = at(loss_s).0 - warnings.notice_at.0;
            prop_assert_eq!(lead_ns, (notice_s * 1e9).round() as u64);
        }
    }
}

#[test]
fn rules_are_read_and_checked() {
    let text = r#"{"notice_s":120,"rebalance":{"lead_s":600,"probability":0.5}}"#;
    let rule: NoticeRule = serde_json::from_str(text).unwrap();
    assert_eq!(rule, with_rebalance(600.0, 0.5));
    rule.check().unwrap();
    let rule: NoticeRule = serde_json::from_str(r#"{"notice_s":30}"#).unwrap();
    assert_eq!(rule, NoticeRule::gcp());
    assert!(serde_json::from_str::<NoticeRule>(r#"{"notice_s":30,"x":1}"#).is_err());

    let error = with_rebalance(60.0, 1.5).check().unwrap_err();
    assert_eq!(error.field, "probability");
    assert_eq!(
        with_rebalance(-1.0, 1.0).check().unwrap_err().field,
        "lead_s"
    );
    let rule = NoticeRule {
        notice_s: f64::NAN,
        rebalance: None,
    };
    assert_eq!(rule.check().unwrap_err().field, "notice_s");
}
