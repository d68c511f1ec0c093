//! A log may be larger than memory: what is held follows the window of retries and the bound on
//! sorting, not the length of the log.

#![allow(clippy::unwrap_used)] // helpers of tests
#![allow(unsafe_code)] // a global allocator that counts

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use seatrial::observed::infer::Inference;
use seatrial::observed::input::Input;
use seatrial::observed::read::read_input;
use seatrial::observed::{ReadOptions, ReadReport};

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, keeping count of the bytes that are held.
struct Counting;

fn took(bytes: usize) {
    let held = HELD.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(held, Ordering::Relaxed);
}

// SAFETY: every call is passed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        took(layout.size());
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        took(size);
        // SAFETY: as promised by the caller.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A log that is made while it is read: `line` writes the n-th line.
struct Made<F> {
    line: F,
    next: u64,
    lines: u64,
    text: Vec<u8>,
    at: usize,
}

impl<F: FnMut(u64, &mut Vec<u8>)> Made<F> {
    fn new(lines: u64, line: F) -> Self {
        Made {
            line,
            next: 0,
            lines,
            text: Vec::new(),
            at: 0,
        }
    }
}

impl<F: FnMut(u64, &mut Vec<u8>)> Read for Made<F> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.text.len() {
            if self.next == self.lines {
                return Ok(0);
            }
            self.text.clear();
            self.at = 0;
            (self.line)(self.next, &mut self.text);
            self.next += 1;
        }
        let taken = into.len().min(self.text.len() - self.at);
        into[..taken].copy_from_slice(&self.text[self.at..self.at + taken]);
        self.at += taken;
        Ok(taken)
    }
}

/// Reads a log and returns the most bytes that were held beyond those at the start.
fn read_made(input: impl Read + Send + Sync + 'static, most_held: usize) -> (ReadReport, usize) {
    let options = ReadOptions {
        inference: Inference {
            bytes_per_prompt_token: Some(4.0),
            bytes_per_output_token: Some(4.0),
            ..Inference::default()
        },
        most_held,
        retry_window_ns: 2_000_000_000,
        ..ReadOptions::default()
    };
    let before = HELD.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let input = Input::new("made".into(), input).unwrap();
    let mut last = 0;
    let report = read_input(input, Path::new("made"), &options, &mut |request| {
        assert!(request.t_ns >= last);
        last = request.t_ns;
        Ok(())
    });
    (report.unwrap(), PEAK.load(Ordering::Relaxed) - before)
}

/// Line n of an access log: 100 requests a second, written when they end, so out of order; each
/// thirtieth is refused and tried again a second later.
fn envoy_line(n: u64, out: &mut Vec<u8>) {
    use std::io::Write;
    let refused = n % 30 == 7;
    let again = n > 100 && (n - 100) % 30 == 7;
    let duration = if refused { 1 } else { n * 7_919 % 20_000 };
    let ends_ms = n * 10;
    let start = ends_ms.saturating_sub(duration);
    let id = if again { n - 100 } else { n };
    let (code, flags) = if refused { (503, "UO") } else { (200, "-") };
    let (day, ms) = (start / 86_400_000, start % 86_400_000);
    let (hour, minute) = (ms / 3_600_000, ms / 60_000 % 60);
    writeln!(
        out,
        "[2026-03-{:02}T{hour:02}:{minute:02}:{:02}.{:03}Z] \"POST /v1/completions HTTP/1.1\" {code} {flags} 400 80 {duration} - \"-\" \"load\" \"{id:x}\" \"h\" \"u\"",
        day + 1, ms / 1000 % 60, ms % 1000
    )
    .unwrap();
}

/// One document of OTLP over `lines` lines, each a span.
fn otlp_line(lines: u64, n: u64, out: &mut Vec<u8>) {
    use std::io::Write;
    if n == 0 {
        out.extend_from_slice(b"{\"resourceSpans\": [{\"scopeSpans\": [{\"spans\": [\n");
    }
    let start = 1_772_366_400_000_000_000_u64 + n * 10_000_000;
    writeln!(
        out,
        "{{\"traceId\": \"{n:032x}\", \"spanId\": \"{n:016x}\", \"startTimeUnixNano\": \"{start}\", \"endTimeUnixNano\": \"{}\", \"attributes\": [{{\"key\": \"gen_ai.usage.input_tokens\", \"value\": {{\"intValue\": \"9\"}}}}, {{\"key\": \"gen_ai.usage.output_tokens\", \"value\": {{\"intValue\": \"4\"}}}}]}}{}",
        start + 500_000_000,
        if n + 1 == lines { "]}]}]}" } else { "," }
    )
    .unwrap();
}

// One test: others at the same time would be counted with it.
#[test]
fn memory_does_not_follow_the_length_of_a_log() {
    let mut peaks = Vec::new();
    for lines in [20_000, 200_000] {
        let (report, peak) = read_made(Made::new(lines, envoy_line), 2_000);
        assert_eq!(report.read, lines);
        assert!(report.out_of_order > lines / 2, "{}", report.out_of_order);
        assert_eq!(report.runs_on_disk, lines / 2_000);
        assert!(report.joined.retries > lines / 40, "{:?}", report.joined);
        // 100 requests a second, held for at most 20 s and the window of 2 s; those of the first
        // 20 s begin in a bunch.
        assert!(report.joined.most_held < 3_000, "{:?}", report.joined);
        peaks.push(peak);
    }
    // Ten times the lines: a few more files to merge, each with a buffer.
    assert!(peaks[1] < peaks[0] + (2 << 20), "{peaks:?}");
    assert!(peaks[1] < 16 << 20, "{peaks:?}");

    let mut peaks = Vec::new();
    for lines in [5_000, 50_000] {
        let made = Made::new(lines, move |n, out: &mut Vec<u8>| otlp_line(lines, n, out));
        let (report, peak) = read_made(made, 2_000);
        assert_eq!(report.requests, lines, "{}", report.skipped.told());
        peaks.push(peak);
    }
    assert!(peaks[1] < peaks[0] + (2 << 20), "one document: {peaks:?}");
}
