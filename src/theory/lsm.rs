//! Log-structured merge trees: levels, amplification, Bloom filters, and how long a delete takes to be
//! done on disk.
//!
//! Throughout, `T` is the size ratio of neighbouring levels, `L` the number of levels on disk, `M` the
//! size of the memtable and `N` that of all live data, both in one unit.

use super::{TheoryError, at_least_one, non_negative, positive};

/// How runs are merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merging {
    /// One run in each level: what comes down is merged into it.
    Leveled,
    /// Up to T runs in each level, merged into one of the next when there are as many.
    Tiered,
}

fn size_ratio(value: f64) -> Result<f64, TheoryError> {
    if value.is_finite() && value >= 2.0 {
        return Ok(value);
    }
    Err(TheoryError::OutOfRange {
        name: "size ratio",
        value,
        allowed: "finite and 2 or more",
    })
}

/// The number of levels on disk that hold `data`: ceil(log_T(N / M * (T - 1) / T)), at least 1.
///
/// Source: Dayan, Athanassoulis & Idreos 2017 (Monkey), SIGMOD, eq. 1.
///
/// # Errors
/// An argument out of range.
pub fn lsm_levels(data: f64, memtable: f64, ratio: f64) -> Result<u64, TheoryError> {
    let ratio = size_ratio(ratio)?;
    let memtables = positive("data", data)? / positive("memtable", memtable)?;
    let levels = (memtables * (ratio - 1.0) / ratio).ln() / ratio.ln();
    // A whole number that rounding has put a hair above itself is that number.
    Ok((levels - 1e-9).ceil().max(1.0) as u64)
}

/// The least and the most that a byte is written to disk, the log apart.
///
/// Leveled: once by the flush, and in each level between T/2 times (a level that fills from empty to its
/// target is rewritten for each of the T arrivals, at half its size on average) and T + 1 times (every
/// byte that comes down is merged with T bytes below it and written itself). Tiered: once by the flush
/// and at most once in each level, 1 at the least.
///
/// Source: O'Neil, Cheng, Gawlick & O'Neil 1996, Acta Informatica 33:351, sec. 3; Dayan et al. 2017
/// (Monkey), table 1; `RocksDB` wiki, "Leveled Compaction".
///
/// # Errors
/// An argument out of range.
pub fn lsm_write_amplification(
    merging: Merging,
    ratio: f64,
    levels: u64,
) -> Result<(f64, f64), TheoryError> {
    let ratio = size_ratio(ratio)?;
    let levels = at_least_one("levels", levels)? as f64;
    Ok(match merging {
        Merging::Leveled => (
            1.0 + (levels - 1.0) * ratio / 2.0,
            1.0 + levels * (ratio + 1.0),
        ),
        Merging::Tiered => (1.0, 1.0 + levels),
    })
}

/// The most bytes held for each live byte when every level is full: leveled T / (T - 1), since all levels
/// but the last hold 1 / (T - 1) of it and may all be newer versions; tiered T, since all runs of the
/// last level may hold the same keys.
///
/// Source: Dayan & Idreos 2018 (Dostoevsky), SIGMOD, sec. 2; `RocksDB` wiki, "Leveled Compaction" (1.11
/// at T = 10).
///
/// # Errors
/// An argument out of range.
pub fn lsm_space_amplification_bound(merging: Merging, ratio: f64) -> Result<f64, TheoryError> {
    let ratio = size_ratio(ratio)?;
    Ok(match merging {
        Merging::Leveled => ratio / (ratio - 1.0),
        Merging::Tiered => ratio,
    })
}

/// The most runs that a lookup may have to ask: L, or L T when tiered.
///
/// Source: Dayan et al. 2017 (Monkey), table 1.
///
/// # Errors
/// An argument out of range.
pub fn lsm_runs(merging: Merging, ratio: f64, levels: u64) -> Result<f64, TheoryError> {
    let ratio = size_ratio(ratio)?;
    let levels = at_least_one("levels", levels)? as f64;
    Ok(match merging {
        Merging::Leveled => levels,
        Merging::Tiered => levels * ratio,
    })
}

/// The share of absent keys that a Bloom filter lets pass with `bits_per_key` bits (0 or more) and the
/// best number of hashes: exp(-bits (ln 2)^2).
///
/// Source: Bloom 1970, CACM 13:422; Dayan et al. 2017 (Monkey), eq. 2.
///
/// # Errors
/// An argument out of range.
pub fn bloom_false_positive(bits_per_key: f64) -> Result<f64, TheoryError> {
    let bits = non_negative("bits per key", bits_per_key)?;
    Ok((-bits * std::f64::consts::LN_2.powi(2)).exp())
}

/// Blocks read on average by a lookup of a key that is nowhere, over `runs` runs with equal filters: one
/// for each false positive.
///
/// Source: Dayan et al. 2017 (Monkey), sec. 2.
///
/// # Errors
/// An argument out of range.
pub fn absent_lookup_blocks(runs: f64, bits_per_key: f64) -> Result<f64, TheoryError> {
    Ok(non_negative("runs", runs)? * bloom_false_positive(bits_per_key)?)
}

/// The same with as many bits in all, given to the levels so that the sum of false positives is least:
/// T^(T/(T-1)) / (T - 1) exp(-bits (ln 2)^2) leveled, T - 1 times that tiered, whatever the number of
/// levels. It holds where no level goes without a filter (`bits_per_key` above about 1.5).
///
/// Source: Dayan et al. 2017 (Monkey), sec. 4.3.
///
/// # Errors
/// An argument out of range.
pub fn monkey_absent_lookup_blocks(
    merging: Merging,
    ratio: f64,
    bits_per_key: f64,
) -> Result<f64, TheoryError> {
    let ratio = size_ratio(ratio)?;
    let tiered = ratio.powf(ratio / (ratio - 1.0)) * bloom_false_positive(bits_per_key)?;
    Ok(match merging {
        Merging::Leveled => tiered / (ratio - 1.0),
        Merging::Tiered => tiered,
    })
}

/// How long a tombstone takes, in expectation and without a deadline, until it has come to the last
/// level: as long as it takes to write what fills the levels above it, M T^(L-1) / rate, and T times that
/// when tiered. There is no bound: it never comes there when writes stop.
///
/// `ingest_rate` is in units of `memtable` per unit of time, above 0.
///
/// Source: Sarkar, Papon, Staratzis & Athanassoulis 2020 (Lethe), SIGMOD, sec. 3.
///
/// # Errors
/// An argument out of range.
pub fn delete_persistence(
    merging: Merging,
    memtable: f64,
    ratio: f64,
    levels: u64,
    ingest_rate: f64,
) -> Result<f64, TheoryError> {
    let ratio = size_ratio(ratio)?;
    let levels = at_least_one("levels", levels)? as f64;
    let above = positive("memtable", memtable)? * ratio.powf(levels - 1.0);
    let leveled = above / positive("ingest rate", ingest_rate)?;
    Ok(match merging {
        Merging::Leveled => leveled,
        Merging::Tiered => leveled * ratio,
    })
}

/// How long a tombstone may stay in the first of `stages` stages above the last level so that all of them
/// together take `threshold`, when each may take T times as long as the one before:
/// d_1 = D (T - 1) / (T^n - 1), d_i = T d_(i-1).
///
/// Source: Sarkar et al. 2020 (Lethe), SIGMOD, sec. 4.1 (FADE), whose L - 1 levels above the last are the
/// n stages here.
///
/// # Errors
/// An argument out of range.
pub fn fade_first_ttl(threshold: f64, ratio: f64, stages: u64) -> Result<f64, TheoryError> {
    let ratio = size_ratio(ratio)?;
    let stages = at_least_one("stages", stages)? as f64;
    Ok(positive("threshold", threshold)? * (ratio - 1.0) / (ratio.powf(stages) - 1.0))
}

/// The age at which a tombstone has to leave stage `stage` (0 for the first) under FADE: the sum of the
/// times of the stages up to it, D (T^(i+1) - 1) / (T^n - 1). That of the last stage is the threshold.
///
/// Source: as for [`fade_first_ttl`].
///
/// # Errors
/// An argument out of range; a stage that is not below `stages` gives the threshold.
pub fn fade_deadline(
    threshold: f64,
    ratio: f64,
    stages: u64,
    stage: u64,
) -> Result<f64, TheoryError> {
    let first = fade_first_ttl(threshold, ratio, stages)?;
    let held = (stage + 1).min(stages) as f64;
    Ok(first * (ratio.powf(held) - 1.0) / (ratio - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * b.abs().max(1.0)
    }

    #[test]
    fn levels_by_hand() {
        // 1 TB over 64 MB: 15,625 memtables, log10(14,062.5) = 4.148.
        assert_eq!(lsm_levels(1e6, 64.0, 10.0).unwrap(), 5);
        // 10/9 of a memtable times 10, 100, ...: exactly whole logarithms.
        for levels in 1..6_i32 {
            let data = 10_f64.powi(levels) * 10.0 / 9.0;
            assert_eq!(lsm_levels(data, 1.0, 10.0).unwrap(), levels as u64);
            assert_eq!(
                lsm_levels(data * 1.01, 1.0, 10.0).unwrap(),
                levels as u64 + 1
            );
        }
        assert_eq!(lsm_levels(0.5, 1.0, 2.0).unwrap(), 1);
        assert!(lsm_levels(1.0, 1.0, 1.5).is_err());
        assert!(lsm_levels(0.0, 1.0, 10.0).is_err());
    }

    #[test]
    fn amplification_by_hand() {
        let leveled = lsm_write_amplification(Merging::Leveled, 10.0, 3).unwrap();
        assert!(near(leveled.0, 11.0) && near(leveled.1, 34.0));
        let tiered = lsm_write_amplification(Merging::Tiered, 10.0, 3).unwrap();
        assert!(near(tiered.0, 1.0) && near(tiered.1, 4.0));
        let space = |merging| lsm_space_amplification_bound(merging, 10.0).unwrap();
        assert!(near(space(Merging::Leveled), 10.0 / 9.0));
        assert!(near(space(Merging::Tiered), 10.0));
        assert!(near(lsm_runs(Merging::Leveled, 4.0, 3).unwrap(), 3.0));
        assert!(near(lsm_runs(Merging::Tiered, 4.0, 3).unwrap(), 12.0));
    }

    #[test]
    fn filters_by_hand() {
        assert!((bloom_false_positive(10.0).unwrap() - 0.008_19).abs() < 1e-5);
        assert!(near(bloom_false_positive(0.0).unwrap(), 1.0));
        assert!((absent_lookup_blocks(5.0, 10.0).unwrap() - 0.040_96).abs() < 1e-4);
        assert!(bloom_false_positive(-1.0).is_err());
    }

    /// Monkey's closed form is the least sum that many levels with as many bits can have.
    #[test]
    fn monkey_is_the_best_split_of_the_bits() {
        let (ratio, bits, levels) = (4.0_f64, 8.0, 20);
        // p_i = p_last / T^(L - i); bits of a level of n keys: -n ln p / (ln 2)^2. Sizes 1, 1/T, ...
        let closed = monkey_absent_lookup_blocks(Merging::Leveled, ratio, bits).unwrap();
        let last = closed * (ratio - 1.0) / ratio;
        let (mut keys, mut spent, mut sum) = (0.0, 0.0, 0.0);
        for up in 0..levels {
            let share = ratio.powi(-up);
            let p = last * share;
            keys += share;
            spent += -share * p.ln() / std::f64::consts::LN_2.powi(2);
            sum += p;
        }
        assert!((spent / keys / bits - 1.0).abs() < 1e-6, "{}", spent / keys);
        assert!((sum / closed - 1.0).abs() < 1e-6);
        assert!(closed < absent_lookup_blocks(5.0, bits).unwrap());
        let tiered = monkey_absent_lookup_blocks(Merging::Tiered, ratio, bits).unwrap();
        assert!(near(tiered, closed * 3.0));
    }

    #[test]
    fn deletes_by_hand() {
        // 64 MB, T = 10, 4 levels, 1 MB/s: 64,000 s, and ten times that when tiered.
        let time = |merging| delete_persistence(merging, 64.0, 10.0, 4, 1.0).unwrap();
        assert!(near(time(Merging::Leveled), 64_000.0));
        assert!(near(time(Merging::Tiered), 640_000.0));
        // D = 111 over three stages at T = 10: 1, 10, 100.
        assert!(near(fade_first_ttl(111.0, 10.0, 3).unwrap(), 1.0));
        for (stage, age) in [(0, 1.0), (1, 11.0), (2, 111.0), (3, 111.0)] {
            assert!(near(fade_deadline(111.0, 10.0, 3, stage).unwrap(), age));
        }
        assert!(delete_persistence(Merging::Leveled, 64.0, 10.0, 4, 0.0).is_err());
        assert!(fade_first_ttl(1.0, 10.0, 0).is_err());
    }
}
