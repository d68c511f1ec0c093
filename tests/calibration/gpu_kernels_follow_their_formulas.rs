//! The kernel sources, run on a CPU by an emulator of threads, warps, shared memory and tensor
//! cores (`tests/kernels`), give what references in 64 bits give; and they compile by NVRTC.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // helpers of tests; what is skipped is said

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use seatrial::calibrate::gpu::lab::sources;
use seatrial::calibrate::gpu::numbers::{filled, from_bf16, from_e4m3, to_bf16};
use seatrial::calibrate::gpu::operation::NumberType;
use seatrial::calibrate::gpu::reference::{attention, compare, rms_norm, rotate, silu_mul};
use tempfile::TempDir;

const EMULATOR: &str = include_str!("../kernels/emulator.hpp");
const MAIN: &str = include_str!("../kernels/main.cpp");
const BF16: NumberType = NumberType::Bf16;

/// A program that runs the kernels of a file, for heads of a width and so many halves of a warp's
/// queries; none without a compiler.
fn emulated(file: &str, width: u64, halves: u64) -> Option<PathBuf> {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| TempDir::new().unwrap()).path();
    let kind = file.trim_end_matches(".cu").to_uppercase();
    let (_, source) = sources()
        .into_iter()
        .find(|(name, _)| *name == file)
        .unwrap();
    let text = format!(
        "{EMULATOR}\n#define {kind}\n#define D {width}\n#define HALVES {halves}\n{source}\n{MAIN}"
    );
    let program = folder.join(format!("{kind}{width}x{halves}"));
    let main = program.with_extension("cpp");
    std::fs::write(&main, text).unwrap();
    let flags = ["-std=c++17", "-O1", "-w", "-fno-strict-aliasing", "-o"];
    let compiler = Command::new("c++")
        .args(flags)
        .args([&program, &main])
        .output();
    match compiler {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{file}: {said}");
            Some(program)
        }
        Err(error) => {
            eprintln!("SKIPPED: {file} is not run on the CPU, for there is no c++ ({error})");
            None
        }
    }
}

fn values(count: u64, seed: u32) -> Vec<u16> {
    let value = |index| to_bf16(filled(BF16, index, seed) as f32);
    (0..count).map(value).collect()
}

fn numbers(bits: &[u16]) -> Vec<f64> {
    bits.iter()
        .map(|bits| f64::from(from_bf16(*bits)))
        .collect()
}

fn write<T: Copy>(folder: &Path, name: &str, values: &[T], bytes: impl Fn(T) -> Vec<u8>) {
    let all: Vec<u8> = values.iter().flat_map(|value| bytes(*value)).collect();
    std::fs::write(folder.join(name), all).unwrap();
}

fn put(folder: &Path, name: &str, values: &[u16]) {
    write(folder, name, values, |v| v.to_le_bytes().to_vec());
}

fn get(folder: &Path, name: &str) -> Vec<f64> {
    let bytes = std::fs::read(folder.join(name)).unwrap();
    let pairs = bytes.chunks_exact(2);
    let bits: Vec<u16> = pairs.map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
    numbers(&bits)
}

fn run(program: &Path, kernel: &str, folder: &Path, words: &[String]) {
    let output = Command::new(program)
        .arg(kernel)
        .arg(folder)
        .args(words)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{kernel} {words:?}: {said}");
}

fn near(what: &str, got: &[f64], wanted: &[f64], tolerance: f64) {
    assert_eq!(got.len(), wanted.len(), "{what}");
    let pairs: Vec<_> = got.iter().copied().zip(wanted.iter().copied()).collect();
    let checked = compare(&pairs, tolerance);
    assert!(checked.max_error <= tolerance, "{what}: {checked:?}");
}

/// What scores are multiplied by: large enough that some keys weigh more than others.
fn scale(width: u64) -> f64 {
    4.0 / (width as f64).sqrt()
}

fn log2_scale(width: u64) -> String {
    ((scale(width) * std::f64::consts::LOG2_E) as f32).to_string()
}

#[test]
fn attention_of_prompts_is_causal_and_exact() {
    for (width, halves) in [(64, 1), (64, 2), (128, 1), (128, 2)] {
        let Some(program) = emulated("prefill.cu", width, halves) else {
            return;
        };
        for [sequences, tokens, heads, kv_heads] in
            [[1, 1, 1, 1], [2, 65, 4, 2], [1, 130, 2, 1], [1, 200, 1, 1]]
        {
            let folder = TempDir::new().unwrap();
            let folder = folder.path();
            let rows = sequences * tokens;
            let q = values(rows * heads * width, 1);
            let k = values(rows * kv_heads * width, 2);
            let v = values(rows * kv_heads * width, 3);
            for (name, bits) in [("q", &q), ("k", &k), ("v", &v)] {
                put(folder, name, bits);
            }
            let mut words: Vec<String> = [sequences, tokens, heads, kv_heads]
                .iter()
                .map(ToString::to_string)
                .collect();
            words.push(log2_scale(width));
            run(&program, "prefill", folder, &words);
            let (q, k, v) = (numbers(&q), numbers(&k), numbers(&v));
            let mut wanted = Vec::new();
            for (index, query) in q.chunks(width as usize).enumerate() {
                let (row, head) = (index as u64 / heads, index as u64 % heads);
                let at = |key: u64, column: u64| {
                    let token = row / tokens * tokens + key;
                    let kv_head = head * kv_heads / heads;
                    ((token * kv_heads + kv_head) * width + column) as usize
                };
                let (key, value) = (|a, b| k[at(a, b)], |a, b| v[at(a, b)]);
                wanted.extend(attention(
                    query,
                    row % tokens + 1,
                    scale(width),
                    &key,
                    &value,
                ));
            }
            let what = format!("{width} x {halves}: {words:?}");
            near(&what, &get(folder, "out"), &wanted, 0.02);
        }
    }
}

#[test]
fn attention_of_decode_steps_joins_pages_warps_and_splits() {
    for width in [64, 128] {
        let Some(program) = emulated("decode.cu", width, 1) else {
            return;
        };
        // Sequences, context, heads, key/value heads, pages of a split.
        for [sequences, context, heads, kv_heads, per_split] in [
            [1, 1, 1, 1, 4],
            [2, 77, 6, 2, 8],
            [1, 300, 16, 1, 4],
            [2, 513, 8, 1, 12],
            [1, 500, 12, 1, 32],
        ] {
            let folder = TempDir::new().unwrap();
            let folder = folder.path();
            let pages: u64 = u64::div_ceil(context, 16);
            let all = sequences * pages;
            let q = values(sequences * heads * width, 1);
            let k = values(all * kv_heads * 16 * width, 2);
            let v = values(all * kv_heads * 16 * width, 3);
            for (name, bits) in [("q", &q), ("k", &k), ("v", &v)] {
                put(folder, name, bits);
            }
            // Pages in another order than they are used in.
            let table: Vec<u32> = (0..all).map(|page| ((page * 7 + 3) % all) as u32).collect();
            let table = if all.is_multiple_of(7) {
                (0..all).rev().map(|page| page as u32).collect()
            } else {
                table
            };
            write(folder, "table", &table, |v| v.to_le_bytes().to_vec());
            let splits = pages.div_ceil(per_split);
            let mut words: Vec<String> = [sequences, context, heads, kv_heads, splits, per_split]
                .iter()
                .map(ToString::to_string)
                .collect();
            words.push(log2_scale(width));
            run(&program, "decode", folder, &words);
            let (q, k, v) = (numbers(&q), numbers(&k), numbers(&v));
            let mut wanted = Vec::new();
            for (index, query) in q.chunks(width as usize).enumerate() {
                let (sequence, head) = (index as u64 / heads, index as u64 % heads);
                let at = |key: u64, column: u64| {
                    let page = u64::from(table[(sequence * pages + key / 16) as usize]);
                    let kv_head = head * kv_heads / heads;
                    (((page * kv_heads + kv_head) * 16 + key % 16) * width + column) as usize
                };
                let (key, value) = (|a, b| k[at(a, b)], |a, b| v[at(a, b)]);
                wanted.extend(attention(query, context, scale(width), &key, &value));
            }
            let what = format!("{width}: {words:?}");
            near(&what, &get(folder, "out"), &wanted, 0.02);
        }
    }
}

#[test]
fn buffers_are_filled_with_the_numbers_that_checks_expect() {
    let Some(program) = emulated("pointwise.cu", 1, 1) else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let words = ["1001", "5"].map(str::to_owned);
    run(&program, "fill", folder.path(), &words);
    let wanted: Vec<f64> = (0..2002).map(|index| filled(BF16, index, 5)).collect();
    assert_eq!(get(folder.path(), "bf16"), wanted);
    let bytes = std::fs::read(folder.path().join("e4m3")).unwrap();
    assert_eq!(bytes.len(), 4004);
    for (bits, index) in bytes.iter().zip(0..) {
        let wanted = filled(NumberType::Fp8E4m3, index, 5);
        assert_eq!(f64::from(from_e4m3(*bits)), wanted, "{index}");
    }
}

#[test]
fn bytes_are_read_copied_and_written_each_once() {
    let Some(program) = emulated("pointwise.cu", 1, 1) else {
        return;
    };
    // 192 threads: whole rounds of four chunks each, some more, and a last one.
    for chunks in [1_u64, 191, 768, 2000] {
        let folder = TempDir::new().unwrap();
        let folder = folder.path();
        let from = values(chunks * 8, 1);
        put(folder, "from", &from);
        run(&program, "bytes", folder, &["77".to_owned()]);
        assert_eq!(get(folder, "copied"), numbers(&from));
        let all_xor = |bytes: &[u8]| {
            let words = bytes.chunks_exact(4);
            words.fold(0, |all, b| {
                all ^ u32::from_le_bytes([b[0], b[1], b[2], b[3]])
            })
        };
        let [marks, sent, written] =
            ["marks", "from", "written"].map(|name| std::fs::read(folder.join(name)).unwrap());
        assert_eq!(all_xor(&marks), all_xor(&sent));
        for (chunk, words) in (0_u32..).zip(written.chunks_exact(16)) {
            let wanted = [77, 77 ^ chunk, 78, 77 ^ 0x5bd1_e995].map(u32::to_le_bytes);
            assert_eq!(words, wanted.concat());
        }
    }
}

#[test]
fn norms_activations_and_rotations_are_exact() {
    let Some(program) = emulated("pointwise.cu", 1, 1) else {
        return;
    };
    for (rows, width, threads) in [(2_u64, 264_u64, 32_u64), (1, 1000, 64), (3, 64, 32)] {
        let folder = TempDir::new().unwrap();
        let folder = folder.path();
        let [x, residual] = [1, 2].map(|seed| values(rows * width, seed));
        let weight = values(width, 3);
        for (name, bits) in [("x", &x), ("residual", &residual), ("weight", &weight)] {
            put(folder, name, bits);
        }
        let words = [rows, width / 8, threads].map(|word| word.to_string());
        run(&program, "rms_norm", folder, &words);
        let both = numbers(&x).into_iter().zip(numbers(&residual));
        let sums: Vec<u16> = both.map(|(a, b)| to_bf16((a + b) as f32)).collect();
        let sums = numbers(&sums);
        assert_eq!(get(folder, "sum"), sums);
        let weight = numbers(&weight);
        let wanted = sums.chunks(width as usize);
        let wanted: Vec<f64> = wanted.flat_map(|row| rms_norm(row, &weight)).collect();
        near("rms_norm", &get(folder, "out"), &wanted, 0.006);
    }
    for (rows, width) in [(2_u64, 264_u64), (1, 4096)] {
        let folder = TempDir::new().unwrap();
        let folder = folder.path();
        let x = values(rows * width * 2, 1);
        put(folder, "x", &x);
        let words = [rows, width / 8].map(|word| word.to_string());
        run(&program, "silu_mul", folder, &words);
        let mut wanted = Vec::new();
        for row in numbers(&x).chunks(2 * width as usize) {
            let (gate, up) = row.split_at(width as usize);
            wanted.extend(gate.iter().zip(up).map(|(gate, up)| silu_mul(*gate, *up)));
        }
        near("silu_mul", &get(folder, "out"), &wanted, 0.006);
    }
    for (rows, heads, width) in [(3_u64, 5_usize, 128_usize), (2, 70, 64)] {
        let folder = TempDir::new().unwrap();
        let folder = folder.path();
        let x = values(rows * (heads * width) as u64, 1);
        put(folder, "x", &x);
        let angle = |row: u64, pair: usize| row as f64 * 0.7 + pair as f64 * 0.1;
        let mut table = Vec::new();
        for row in 0..rows {
            table.extend((0..width / 2).map(|pair| angle(row, pair).cos() as f32));
            table.extend((0..width / 2).map(|pair| angle(row, pair).sin() as f32));
        }
        write(folder, "angles", &table, |v| v.to_le_bytes().to_vec());
        let words = [rows.to_string(), heads.to_string(), width.to_string()];
        run(&program, "rotary", folder, &words);
        let x = numbers(&x);
        let mut wanted = vec![0.0; x.len()];
        for (index, head) in x.chunks(width).enumerate() {
            for pair in 0..width / 2 {
                let row = (index / heads) as u64;
                let turned = rotate(head[pair], head[pair + width / 2], angle(row, pair));
                wanted[index * width + pair] = turned[0];
                wanted[index * width + pair + width / 2] = turned[1];
            }
        }
        near("rotary", &get(folder, "out"), &wanted, 0.006);
    }
}
