//! Rules read from configuration: what is left out has its default, what is unknown is refused.

use seatrial::fleet::scaling::forecast::{ForecastRule, HoltWintersRule, Seasonality};
use seatrial::fleet::scaling::hpa::{HpaRule, ScalingRules};
use seatrial::fleet::scaling::target::TargetRule;
use serde::Deserialize;
use serde::de::value::{Error, MapDeserializer};

fn read<'a, T: Deserialize<'a>, V>(fields: &[(&'a str, V)]) -> Result<T, Error>
where
    V: Copy + serde::de::IntoDeserializer<'a, Error>,
{
    T::deserialize(MapDeserializer::new(fields.iter().copied()))
}

#[test]
fn what_is_left_out_has_its_default() {
    let rule: HpaRule = read(&[("target", 0.8)]).unwrap();
    assert_eq!(rule, HpaRule::new(0.8));
    let rules: ScalingRules = read::<_, f64>(&[]).unwrap();
    assert_eq!(rules, ScalingRules::default());
    let rule: HoltWintersRule = read(&[("season", 24_u32)]).unwrap();
    assert_eq!(rule, HoltWintersRule::new(24));
    assert_eq!((rule.alpha, rule.beta, rule.gamma), (0.3, 0.1, 0.1));
    assert_eq!(rule.seasonality, Seasonality::Additive);
}

#[test]
fn what_is_unknown_is_refused() {
    let misspelt = read::<HpaRule, _>(&[("target", 0.8), ("tolerence", 0.1)]).unwrap_err();
    assert!(misspelt.to_string().contains("unknown field `tolerence`"));
    let unknown = read::<ForecastRule, _>(&[("method", "oracle")]).unwrap_err();
    assert!(unknown.to_string().contains("unknown variant `oracle`"));
}

#[test]
fn what_has_no_default_is_asked_for() {
    let missing = read::<HpaRule, f64>(&[]).unwrap_err();
    assert!(missing.to_string().contains("missing field `target`"));
    let missing = read::<TargetRule, _>(&[("measure", "total")]).unwrap_err();
    assert!(missing.to_string().contains("missing field `target`"));
}
