//! What a run is measured by: histograms, batch means, warm-up, latency budget, intervals.
