//! Captured graphs: iterations of few tokens are padded to a size that was captured.

/// The largest size that engines capture.
pub const MOST_CAPTURED: u32 = 512;

/// Up to which number of tokens iterations run from captured graphs; 0 for none.
///
/// The sizes are vLLM's (`cudagraph_capture_sizes` since 0.11): 1, 2, 4, then every 8 to 256, then
/// every 16.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CapturedGraphs {
    most: u32,
}

impl CapturedGraphs {
    /// Graphs of up to `most` tokens.
    #[must_use]
    pub fn up_to(most: u32) -> Self {
        Self { most }
    }

    /// Tokens that the kernels of an iteration of `tokens` tokens work on.
    #[must_use]
    pub fn rows(self, tokens: f64) -> f64 {
        if tokens > f64::from(self.most) || tokens <= 2.0 {
            return tokens;
        }
        let step = match tokens {
            few if few <= 4.0 => 4.0,
            some if some <= 256.0 => 8.0,
            _ => 16.0,
        };
        let padded = (tokens / step).ceil() * step;
        // The largest one captured may not be a multiple.
        padded.min(f64::from(self.most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iterations_are_padded_to_the_sizes_of_vllm() {
        let graphs = CapturedGraphs::up_to(512);
        for (tokens, rows) in [
            (1.0, 1.0),
            (2.0, 2.0),
            (3.0, 4.0),
            (5.0, 8.0),
            (8.0, 8.0),
            (35.0, 40.0),
            (250.0, 256.0),
            (257.0, 272.0),
            (500.0, 512.0),
            (513.0, 513.0),
        ] {
            assert_eq!(graphs.rows(tokens), rows, "{tokens}");
        }
        assert_eq!(CapturedGraphs::default().rows(35.0), 35.0);
    }
}
