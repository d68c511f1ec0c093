//! A running digest of what happened, to compare two runs by.

/// Folds 64-bit words into 64 bits. Each step is a bijection of the state for a given word, and
/// different words give different states, so a single changed event always shows; it is a
/// fingerprint for equality, not a cryptographic hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Digest(0x9e37_79b9_7f4a_7c15)
    }
}

impl Digest {
    /// Folds one word in.
    #[inline]
    pub fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0xd6e8_feb8_6659_fd93);
    }

    /// The digest so far.
    pub fn value(self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    /// The digest as 16 hexadecimal digits.
    pub fn hex(self) -> String {
        format!("{:016x}", self.value())
    }
}
