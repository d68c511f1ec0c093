//! How much is measured: row counts, batches and contexts, and for how long.

/// How much is measured, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// Few row counts: about half a minute.
    Quick,
    /// Many: about four minutes.
    Full,
}

impl Effort {
    /// The name in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Full => "full",
        }
    }

    /// Time that a capture is to take in all, seconds.
    #[must_use]
    pub const fn whole_s(self) -> f64 {
        match self {
            Self::Quick => 30.0,
            Self::Full => 240.0,
        }
    }

    /// The fewest samples of a row.
    #[must_use]
    pub const fn least_samples(self) -> u32 {
        match self {
            Self::Quick => 6,
            Self::Full => 10,
        }
    }

    pub(super) fn rows(self) -> &'static [u64] {
        match self {
            Self::Quick => &[1, 16, 64, 256, 1024, 4096],
            Self::Full => &[
                1, 2, 4, 8, 16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048,
                3072, 4096, 8192, 16_384,
            ],
        }
    }

    pub(super) fn small_rows(self) -> &'static [u64] {
        match self {
            Self::Quick => &[1, 64, 4096],
            Self::Full => &[1, 8, 64, 256, 1024, 4096, 16_384],
        }
    }

    pub(super) fn prompts(self) -> &'static [(u64, u64)] {
        match self {
            Self::Quick => &[(1, 512), (1, 2048), (1, 8192)],
            Self::Full => &[
                (1, 128),
                (1, 256),
                (1, 512),
                (1, 1024),
                (1, 2048),
                (1, 4096),
                (1, 8192),
                (1, 16_384),
                (4, 128),
                (4, 512),
                (4, 2048),
                (16, 128),
                (16, 512),
                (16, 2048),
            ],
        }
    }

    pub(super) fn batches(self) -> &'static [u64] {
        match self {
            Self::Quick => &[1, 16, 64],
            Self::Full => &[1, 2, 4, 8, 16, 32, 64, 128, 256],
        }
    }

    pub(super) fn contexts(self) -> &'static [u64] {
        match self {
            Self::Quick => &[1024, 8192],
            Self::Full => &[128, 512, 1024, 2048, 4096, 8192, 32_768],
        }
    }
}
