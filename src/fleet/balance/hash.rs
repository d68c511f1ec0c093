//! A hash of keys that is the same on every platform and in every version.

/// The increment of `SplitMix64`: 2^64 over the golden ratio, odd.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// The hash of a 64-bit key: one output of `SplitMix64` with the key as its state (Steele, Lea,
/// Flood, OOPSLA 2014). A bijection, so that different keys never collide.
pub fn hash_key(key: u64) -> u64 {
    let mixed = key.wrapping_add(GAMMA);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The hash of a key within one of many families of hashes, numbered by `family`.
pub fn hash_in(family: u64, key: u64) -> u64 {
    hash_key(hash_key(family) ^ key)
}

#[cfg(test)]
mod tests {
    use super::{hash_in, hash_key};

    #[test]
    fn hashes_are_those_of_splitmix64() {
        // The first three outputs of SplitMix64 from state 0.
        let gamma = super::GAMMA;
        assert_eq!(hash_key(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(hash_key(gamma), 0x6e78_9e6a_a1b9_65f4);
        assert_eq!(hash_key(gamma.wrapping_mul(2)), 0x06c4_5d18_8009_454f);
    }

    #[test]
    fn one_bit_of_the_key_changes_half_of_the_hash() {
        // Each of 64 x 1,000 pairs differs in Binomial(64, 1/2) bits: the mean within 5 errors.
        let mut flipped = 0_u64;
        for key in 0..1_000_u64 {
            for bit in 0..64 {
                let pair = hash_in(7, key) ^ hash_in(7, key ^ (1 << bit));
                flipped += u64::from(pair.count_ones());
            }
        }
        let mean = flipped as f64 / 64_000.0;
        let error = 4.0 / 64_000_f64.sqrt();
        assert!((mean - 32.0).abs() < 5.0 * error, "{mean}");
    }
}
