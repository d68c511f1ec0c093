//! How a request ended, by what HTTP and proxies say.

use super::record::Ending;

/// By an HTTP status; none for redirects and upgrades, which answer nothing.
pub(super) fn ending_of_status(status: u16) -> Option<Ending> {
    Some(match status {
        200..=299 => Ending::Completed,
        408 | 504 | 524 => Ending::TimedOut,
        // nginx's and the Application Load Balancer's codes for a client that went away; Envoy
        // logs 0 when nothing was answered.
        0 | 460 | 499 => Ending::Cancelled,
        // 529: overloaded, as some model providers say it.
        400..=498 | 503 | 529 => Ending::Rejected,
        500..=599 => Ending::Failed,
        _ => return None,
    })
}

/// By Envoy's response flags, which tell more than the status; none where they tell nothing.
/// Meanings are those of Envoy's documentation of access logs.
pub(super) fn ending_of_flags(flags: &str) -> Option<Ending> {
    let one = |flag: &str| {
        Some(match flag {
            // The client went away, or reset the stream.
            "DC" | "DR" | "DownstreamConnectionTermination" | "DownstreamRemoteReset" => {
                Ending::Cancelled
            }
            // A circuit breaker, a rate limit, or its service.
            "UO" | "RL" | "RLSE" | "UpstreamOverflow" | "RateLimited" => Ending::Rejected,
            // The overload manager, a configured drop.
            "OM" | "DO" | "OverloadManagerTerminated" | "DropOverload" => Ending::Shed,
            "UT" | "DT" | "SI" | "UMSDR" | "UpstreamRequestTimeout" | "DurationTimeout" => {
                Ending::TimedOut
            }
            "UF"
            | "UC"
            | "UR"
            | "UH"
            | "URX"
            | "NR"
            | "NC"
            | "LR"
            | "LH"
            | "DPE"
            | "UPE"
            | "FI"
            | "IH"
            | "NFCF"
            | "UAEX"
            | "DF"
            | "UpstreamConnectionFailure"
            | "NoHealthyUpstream" => Ending::Failed,
            _ => return None,
        })
    };
    let found = flags.split(',').filter_map(|flag| one(flag.trim()));
    // Several flags: the first of this order says why nothing was answered.
    let order = [
        Ending::Cancelled,
        Ending::TimedOut,
        Ending::Rejected,
        Ending::Shed,
        Ending::Failed,
    ];
    found.min_by_key(|ending| order.iter().position(|it| it == ending))
}

/// Whether a request line asks for an inference: models are asked with POST.
pub(super) fn asks_model(method: &str) -> bool {
    method.eq_ignore_ascii_case("POST")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_say_more_than_the_status() {
        assert_eq!(ending_of_status(200), Some(Ending::Completed));
        assert_eq!(ending_of_status(503), Some(Ending::Rejected));
        assert_eq!(ending_of_status(429), Some(Ending::Rejected));
        assert_eq!(ending_of_status(301), None);
        assert_eq!(ending_of_flags("-"), None);
        assert_eq!(ending_of_flags("UF,URX"), Some(Ending::Failed));
        assert_eq!(ending_of_flags("URX,UT"), Some(Ending::TimedOut));
        assert_eq!(ending_of_flags("DC"), Some(Ending::Cancelled));
    }
}
