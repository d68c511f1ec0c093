//! One stream of random numbers per (component, id, purpose).
//!
//! A change in one component then moves no other's numbers, so that two designs can be compared
//! on the same luck. The generator is ChaCha with 8 rounds, a named and portable algorithm;
//! `rand`, `rand_distr` and `rand_chacha` are pinned in `Cargo.toml`, and a test pins the first
//! outputs.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// The generator of every stream.
pub type SimRng = ChaCha8Rng;

/// Fills the half of the 256-bit key that seed and replication leave open ("seatrial streams").
const KEY_TAIL: [u8; 16] = *b"seatrial streams";

/// Where streams come from: one seed, one replication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streams {
    /// The seed the user gave.
    pub seed: u64,
    /// The index of the independent replication, 0 for the first.
    pub replication: u64,
}

impl Streams {
    /// The stream of one component's one purpose.
    ///
    /// Seed and replication make the key of the cipher, and a hash of the names selects its
    /// stream, so different names give non-overlapping sequences unless their hashes collide.
    pub fn stream(&self, component: &str, id: u64, purpose: &str) -> SimRng {
        let mut key = [0u8; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..16].copy_from_slice(&self.replication.to_le_bytes());
        key[16..].copy_from_slice(&KEY_TAIL);
        let mut rng = SimRng::from_seed(key);
        rng.set_stream(stream_number(component, id, purpose));
        rng
    }
}

/// FNV-1a over the names (with separators), then a finaliser that spreads every bit.
fn stream_number(component: &str, id: u64, purpose: &str) -> u64 {
    let bytes = component
        .bytes()
        .chain([0])
        .chain(id.to_le_bytes())
        .chain([0])
        .chain(purpose.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // The finaliser of splitmix64 (Steele, Lea, Flood, OOPSLA 2014).
    let mixed = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
