//! How much of the device's memory a plan takes, and how decode steps lay out their cache.

use super::measure::MOST_LAUNCHES;
use super::operation::{MemoryWay, NumberType, Operation};
use super::plan::Plan;
use super::record::DeviceFacts;

/// Weights are at least so many bytes, several times any device's cache.
const LEAST_WEIGHTS: u64 = 512 << 20;
/// Inputs and results are at least so many bytes each, and [`TIMES_CACHE`] times the cache.
const LEAST_INPUTS: u64 = 64 << 20;
/// How many times the second-level cache inputs and results are each, so that launches that go
/// through them find nothing in it.
const TIMES_CACHE: u64 = 4;
/// How many times the second-level cache the launches of a sample touch, where they can: less than
/// this, and what a launch reads may be there still from its last turn.
pub const FOOTPRINT: u64 = 2;
/// The most buffers that launches go through in turn: as many as a sample has launches at the most.
const MOST_TURNS: u64 = MOST_LAUNCHES as u64;
/// Buffers begin at multiples of so many bytes.
pub const ALIGN: u64 = 256;

/// Bytes of each buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Weights, keys and values.
    pub weights: u64,
    /// Inputs.
    pub inputs: u64,
    /// Results.
    pub outputs: u64,
    /// Tables, parts of sums, counters.
    pub scratch: u64,
}

impl Sizes {
    /// The sizes for a plan on a device.
    #[must_use]
    pub fn of_plan(plan: &Plan, device: &DeviceFacts) -> Sizes {
        let multiprocessors = u64::from(device.multiprocessors);
        let around = up((TIMES_CACHE * device.l2_bytes).max(LEAST_INPUTS));
        let mut sizes = Sizes {
            weights: LEAST_WEIGHTS,
            inputs: around,
            outputs: around,
            scratch: 4 << 20,
        };
        let operations = || {
            plan.rows
                .iter()
                .map(|row| (&row.operation, row.dtype.map_or(1, NumberType::bytes)))
        };
        for (operation, one) in operations() {
            let [weights, inputs, outputs] = buffers(operation, one);
            sizes.weights = sizes.weights.max(up(weights));
            sizes.inputs = sizes.inputs.max(up(inputs));
            sizes.outputs = sizes.outputs.max(up(outputs));
        }
        for (operation, _) in operations() {
            let need = match *operation {
                Operation::DecodeAttention { heads, .. } => {
                    DecodeLayout::of(operation, sizes.weights, multiprocessors)
                        .map_or(0, |layout| {
                            layout.table_bytes() + layout.partial_bytes(heads)
                        })
                }
                Operation::Rotary { rows, head_dim, .. } => rows * head_dim * 4,
                _ => 0,
            };
            sizes.scratch = sizes.scratch.max(up(need) + 4096);
        }
        sizes
    }

    /// All buffers together, with a reserve for the libraries.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.weights + self.inputs + self.outputs + self.scratch + (300 << 20)
    }
}

/// Buffers that launches go through in turn, and what they touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turns {
    /// How many there are.
    pub count: u64,
    /// Bytes that a launch touches of its own buffer.
    pub each: u64,
    /// Bytes that every launch touches.
    pub shared: u64,
}

impl Turns {
    /// One buffer.
    #[must_use]
    pub const fn one(bytes: u64) -> Turns {
        Turns {
            count: 1,
            each: bytes,
            shared: 0,
        }
    }

    /// As many as fit: of each pair, a buffer takes so many bytes (the first) of so many (the
    /// second).
    #[must_use]
    pub fn fitting(parts: &[(u64, u64)]) -> Turns {
        let fit = parts.iter().map(|(step, all)| all / up(*step).max(1));
        Turns {
            count: fit.min().unwrap_or(1).clamp(1, MOST_TURNS),
            each: parts.iter().map(|(step, _)| step).sum(),
            shared: 0,
        }
    }

    /// The same, with bytes that every launch touches.
    #[must_use]
    pub const fn and(self, shared: u64) -> Turns {
        Turns { shared, ..self }
    }

    /// Which buffer a launch takes.
    #[must_use]
    pub const fn of(&self, launch: u64) -> u64 {
        launch % self.count
    }

    /// As many of these as have [`Turns::enough`], and at least one.
    #[must_use]
    pub fn no_more_than(self, device: &DeviceFacts) -> Turns {
        Turns {
            count: self.count.min(self.enough(device).into()),
            ..self
        }
    }

    /// The launches of a sample that touch enough bytes for each to find nothing in the second-level
    /// cache, [`FOOTPRINT`] times it, or go through all buffers there are; at least 1.
    #[must_use]
    pub fn enough(&self, device: &DeviceFacts) -> u32 {
        let wanted = (FOOTPRINT * device.l2_bytes).saturating_sub(self.shared);
        let launches = wanted
            .div_ceil(self.each.max(1))
            .clamp(1, self.count.max(1));
        u32::try_from(launches).map_or(MOST_LAUNCHES, |launches| launches.min(MOST_LAUNCHES))
    }

    /// Bytes that so many launches touch.
    #[must_use]
    pub fn footprint(&self, launches: u64) -> u64 {
        self.count.min(launches) * self.each + self.shared
    }
}

/// A multiple of [`ALIGN`] that is not below.
#[must_use]
pub fn up(bytes: u64) -> u64 {
    bytes.next_multiple_of(ALIGN)
}

/// Bytes by which what a device gives to a sum over devices lies after what the one before gives.
pub const ALL_REDUCE_SHIFT: u64 = 4096;

/// Bytes of weights, inputs and results of an operation with values of so many bytes.
fn buffers(operation: &Operation, one: u64) -> [u64; 3] {
    match *operation {
        Operation::Launch { .. } => [0; 3],
        Operation::Memory { way, bytes } => match way {
            MemoryWay::Read => [bytes, 0, 0],
            MemoryWay::Write => [0, 0, bytes],
            MemoryWay::Copy => [bytes, 0, bytes],
        },
        Operation::HostToDevice { bytes } => [0, 0, bytes],
        Operation::DeviceToHost { bytes } | Operation::PeerCopy { bytes } => [0, bytes, bytes],
        Operation::AllReduce { devices, values } => {
            let shifts = u64::from(devices) * ALL_REDUCE_SHIFT;
            [0, values * 2 + shifts, values * 2]
        }
        Operation::Gemm { m, n, k } => [n * k * one, m * k * one, m * n * 2],
        Operation::PrefillAttention {
            sequences,
            tokens,
            heads,
            kv_heads,
            head_dim,
            ..
        } => {
            let row = sequences * tokens * head_dim * 2;
            [2 * up(row * kv_heads), row * heads, row * heads]
        }
        Operation::DecodeAttention {
            sequences,
            context,
            heads,
            kv_heads,
            head_dim,
            ..
        } => {
            let pages = context.div_ceil(PAGE);
            let cache = sequences * pages * PAGE * kv_heads * head_dim * 2;
            let row = sequences * heads * head_dim * 2;
            [2 * up(cache), row, row]
        }
        Operation::RmsNorm { rows, width } => {
            let both = 2 * up(rows * width * 2);
            [width * 2, both, both]
        }
        Operation::SiluMul { rows, width } => [0, rows * width * 4, rows * width * 2],
        Operation::Rotary {
            rows,
            heads,
            head_dim,
        } => {
            let all = rows * heads * head_dim * 2;
            [0, all, all]
        }
        // Imported only: this program does not measure them.
        _ => [0; 3],
    }
}

/// Tokens of a page of the cache.
pub const PAGE: u64 = 16;
/// Warps of a block of the decode kernel, each of which takes a page at a time.
const WARPS: u64 = 4;
/// Blocks of the decode kernel that a multiprocessor holds at once.
const BLOCKS: u64 = 2;
/// The most splits of a sequence.
const MOST_SPLITS: u64 = 64;

/// How a decode step lies in memory: keys in the first half of the weights, values in the second,
/// both in pages, of which each sequence has its own, scattered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLayout {
    /// Sequences.
    pub sequences: u64,
    /// Width of a head.
    pub head_dim: u64,
    /// Pages of a sequence.
    pub pages: u64,
    /// Values of a page, of keys or of values.
    pub page_values: u64,
    /// Sets of pages for all sequences.
    pub sets: u64,
    /// Splits of a sequence.
    pub splits: u64,
    /// Pages of a split (the last may have fewer).
    pub pages_per_split: u64,
}

impl DecodeLayout {
    /// The layout of a decode step over so many bytes of weights; none of another operation.
    #[must_use]
    pub fn of(operation: &Operation, weights: u64, multiprocessors: u64) -> Option<DecodeLayout> {
        let Operation::DecodeAttention {
            sequences,
            context,
            kv_heads,
            head_dim,
            ..
        } = *operation
        else {
            return None;
        };
        let pages = context.div_ceil(PAGE);
        let page_values = PAGE * kv_heads * head_dim;
        let set_bytes = sequences * pages * page_values * 2;
        let sets = (weights / 2 / set_bytes.max(1)).clamp(1, MOST_TURNS);
        let splits = splits(sequences * kv_heads, pages, BLOCKS * multiprocessors);
        let pages_per_split = pages.div_ceil(splits).next_multiple_of(WARPS);
        Some(DecodeLayout {
            sequences,
            head_dim,
            pages,
            page_values,
            sets,
            splits: pages.div_ceil(pages_per_split),
            pages_per_split,
        })
    }

    /// Bytes of the table of pages of all sets.
    #[must_use]
    pub fn table_bytes(&self) -> u64 {
        up(self.sets * self.sequences * self.pages * 4)
    }

    /// Bytes of the parts of sums, and of their marks after them.
    #[must_use]
    pub fn partial_bytes(&self, heads: u64) -> u64 {
        let parts = self.sequences * heads * self.splits;
        up(parts * self.head_dim * 4) + up(parts * 8)
    }
}

/// How many splits keep the multiprocessors busiest: the fewest that fill their rounds of blocks
/// nearly as well as any number does.
fn splits(blocks: u64, pages: u64, at_once: u64) -> u64 {
    let most = pages.div_ceil(2 * WARPS).clamp(1, MOST_SPLITS);
    let fill = |splits: u64| {
        let rounds = (blocks * splits) as f64 / at_once.max(1) as f64;
        rounds / rounds.ceil()
    };
    let best = (1..=most).map(fill).fold(0.0, f64::max);
    (1..=most).find(|n| fill(*n) >= 0.9 * best).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_fill_the_device() {
        // One sequence with 8 heads on 264 places: as many splits as keep every warp two pages.
        assert_eq!(splits(8, 512, 264), 30);
        // 64 sequences with 8 heads fill two rounds by themselves.
        assert_eq!(splits(512, 512, 264), 1);
        assert_eq!(splits(8, 1, 264), 1);
    }

    #[test]
    fn launches_go_through_more_than_the_cache_holds() {
        let device = DeviceFacts {
            l2_bytes: 50 << 20,
            ..DeviceFacts::default()
        };
        // A quarter of a mebibyte each: 400 launches touch 100 MiB.
        let turns = Turns::fitting(&[(1 << 18, 512 << 20)]);
        assert_eq!((turns.count, turns.enough(&device)), (2_048, 400));
        assert!(turns.footprint(400) >= 2 * device.l2_bytes);
        assert_eq!(turns.no_more_than(&device).count, 400);
        // What every launch touches counts once.
        assert_eq!(turns.and(99 << 20).enough(&device), 4);
        // Too few bytes for any number of launches, too few buffers, or none to go through.
        assert_eq!(Turns::fitting(&[(2_560, 512 << 20)]).enough(&device), 2_048);
        assert_eq!(Turns::fitting(&[(8 << 20, 64 << 20)]).enough(&device), 8);
        assert_eq!(Turns::one(1 << 30).enough(&device), 1);
        assert_eq!(Turns::one(0).enough(&device), 1);
    }

    #[test]
    fn a_layout_covers_all_pages() {
        for (sequences, context) in [(1, 1), (1, 8192), (3, 77), (64, 1025), (1, 32_768)] {
            let operation = Operation::DecodeAttention {
                sequences,
                context,
                heads: 8,
                kv_heads: 1,
                head_dim: 128,
                kv: None,
                window: 0,
            };
            let layout = DecodeLayout::of(&operation, 1 << 30, 132).unwrap();
            assert!(layout.splits * layout.pages_per_split >= layout.pages);
            assert!((layout.splits - 1) * layout.pages_per_split < layout.pages);
            assert!(layout.pages * PAGE >= context);
            let cache = layout.sets * sequences * layout.pages * layout.page_values * 2;
            assert!(2 * cache <= 1 << 30, "{layout:?}");
        }
    }
}
