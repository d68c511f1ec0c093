//! How long DNS takes to move clients away from a region that is down.

use crate::scenario::steering::Dns;

/// Expected share of resolvers that have moved `since_down_s` seconds after their region went
/// down. Expiry is uniform over an answer's life, so that t seconds after detection min(1, t/TTL)
/// of those that heed the TTL have asked again, and as many of the others by the TTL that they go
/// by; some never do.
pub fn expected_share_moved(dns: &Dns, since_down_s: f64) -> f64 {
    let since = since_down_s - dns.health.detection_s();
    let part = |ttl_s: f64| (since / ttl_s).clamp(0.0, 1.0);
    let heed = (1.0 - dns.ignore_ttl_share - dns.never_refresh_share).max(0.0);
    heed * part(dns.ttl_s) + dns.ignore_ttl_share * part(dns.ignored_ttl_s)
}

/// When that share reaches `share`, seconds after the region went down; `None` where it never does.
pub fn expected_time_to_move_s(dns: &Dns, share: f64) -> Option<f64> {
    let detection = dns.health.detection_s();
    let longest = match dns.ignore_ttl_share > 0.0 {
        true => dns.ttl_s.max(dns.ignored_ttl_s),
        false => dns.ttl_s,
    };
    let (mut early, mut late) = (detection, detection + longest);
    // Rounding must not make a share unreachable that is reached at the very end.
    if expected_share_moved(dns, late) + 1e-12 < share {
        return None;
    }
    for _ in 0..100 {
        let middle = f64::midpoint(early, late);
        match expected_share_moved(dns, middle) < share {
            true => early = middle,
            false => late = middle,
        }
    }
    Some(late)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nine_in_ten_with_the_defaults_take_detection_and_nine_tenths_of_the_ttl() {
        let dns = Dns::default();
        let time = expected_time_to_move_s(&dns, 0.9).unwrap();
        assert!((time - (90.0 + 54.0)).abs() < 1e-9, "{time}");
        assert_eq!(expected_share_moved(&dns, 90.0), 0.0);
        assert_eq!(expected_share_moved(&dns, 1e6), 1.0);
    }

    #[test]
    fn those_who_never_ask_again_are_never_moved() {
        let dns = Dns {
            never_refresh_share: 0.2,
            ignore_ttl_share: 0.3,
            ..Dns::default()
        };
        assert_eq!(expected_time_to_move_s(&dns, 0.9), None);
        let time = expected_time_to_move_s(&dns, 0.65).unwrap();
        assert!((time - (90.0 + 1_800.0)).abs() < 1e-6, "{time}");
    }
}
