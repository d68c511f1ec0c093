//! A log may be larger than memory: what is held follows the window of retries and the bounds on
//! what is held, not the length of the log, nor that of what stands in it.

#![allow(clippy::unwrap_used)] // helpers of tests

#[path = "common/counting.rs"]
mod counting;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use counting::measured;
use parquet::basic::{Encoding, Repetition, Type as Physical};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnPath, Type};
use seatrial::observed::infer::Inference;
use seatrial::observed::input::Input;
use seatrial::observed::prometheus::{ScrapeOptions, ScrapeReport, read_scrapes_of};
use seatrial::observed::read::read_input;
use seatrial::observed::write::ObservedWriter;
use seatrial::observed::{
    Blocks, Ending, Observed, ObservedError, ReadOptions, ReadReport, Tokens, read,
};

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

fn options(most_held: usize) -> ReadOptions {
    ReadOptions {
        inference: Inference {
            bytes_per_prompt_token: Some(4.0),
            bytes_per_output_token: Some(4.0),
            ..Inference::default()
        },
        most_held,
        most_held_bytes: 8 << 20,
        most_open_bytes: 16 << 20,
        retry_window_ns: 2_000_000_000,
        ..ReadOptions::default()
    }
}

/// As [`options`], with few bytes.
fn tight() -> ReadOptions {
    ReadOptions {
        most_held_bytes: 1 << 20,
        most_open_bytes: 4 << 20,
        ..options(50_000)
    }
}

/// Reads a log, and returns the most bytes that were held.
fn try_made(
    input: impl Read + Send + Sync + 'static,
    options: &ReadOptions,
) -> (Result<ReadReport, ObservedError>, usize) {
    // One type for all of them: what unpacks is compiled anew for each.
    let input: Box<dyn Read + Send + Sync> = Box::new(input);
    measured(|| {
        let input = Input::new("made".into(), input).unwrap();
        let mut last = 0;
        read_input(input, Path::new("made"), options, &mut |request| {
            assert!(request.t_ns >= last);
            last = request.t_ns;
            Ok(())
        })
    })
}

fn read_made(
    input: impl Read + Send + Sync + 'static,
    options: &ReadOptions,
) -> (ReadReport, usize) {
    let (report, peak) = try_made(input, options);
    (report.unwrap(), peak)
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

fn the_length_of_a_log() {
    let mut peaks = Vec::new();
    for lines in [20_000, 200_000] {
        let (report, peak) = read_made(Made::new(lines, envoy_line), &options(2_000));
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
        let (report, peak) = read_made(made, &options(2_000));
        assert_eq!(report.requests, lines, "{}", report.skipped.told());
        peaks.push(peak);
    }
    assert!(peaks[1] < peaks[0] + (2 << 20), "one document: {peaks:?}");
}

/// Conversation n: one request with a long prompt of many blocks.
fn long_prompt(n: u64, out: &mut Vec<u8>) {
    use std::io::Write;
    write!(
        out,
        "{{\"id\": \"{n}\", \"requests\": [{{\"t\": 0, \"in\": 640000, \"out\": 9, \"hash_ids\": [0"
    )
    .unwrap();
    (1..10_000).for_each(|id| write!(out, ",{id}").unwrap());
    out.extend_from_slice(b"]}]}\n");
}

fn the_size_of_records() {
    let mut peaks = Vec::new();
    for lines in [100, 400] {
        let (report, peak) = read_made(Made::new(lines, long_prompt), &tight());
        assert_eq!(report.requests, lines);
        // 80 kB each, 13 to a MiB.
        assert!(report.runs_on_disk >= lines / 14, "{}", report.runs_on_disk);
        peaks.push(peak);
    }
    assert!(peaks[1] < peaks[0] + (4 << 20), "{peaks:?}");

    // Rows are written without the hashes that no column has.
    let folder = tempfile::tempdir().unwrap();
    let blocks = Some(Blocks {
        tokens: 64,
        hashes: vec![7; 10_000],
    });
    let (_, peak) = measured(|| {
        let mut out = ObservedWriter::create(&folder.path().join("o.parquet")).unwrap();
        for t_ns in 0..1_000 {
            let blocks = blocks.clone();
            out.write(&observed(t_ns, blocks)).unwrap();
        }
        out.finish().unwrap();
    });
    assert!(peak < 8 << 20, "{peak}");
}

fn observed(t_ns: u64, blocks: Option<Blocks>) -> Observed {
    let tokens = Tokens {
        count: 9,
        inferred: false,
    };
    Observed {
        t_ns,
        ending: Ending::Completed,
        prompt: tokens,
        output: tokens,
        cached_tokens: None,
        ttft_ns: Some(1),
        e2e_ns: Some(2),
        attempts: Some(1),
        tenant: Some(format!("tenant {}", t_ns % 7)),
        session: None,
        model: None,
        blocks,
    }
}

/// As [`envoy_line`], but the first request lasts ten hours: all others are over before it.
fn behind_a_long_one(n: u64, out: &mut Vec<u8>) {
    match n {
        0 => out.extend_from_slice(
            b"[2026-03-01T00:00:00.000Z] \"POST /v1/completions HTTP/1.1\" 200 - 400 80 36000000 - \
              \"-\" \"load\" \"long\" \"h\" \"u\"\n",
        ),
        _ => envoy_line(n, out),
    }
}

fn what_waits_for_one_that_is_under_way() {
    let mut peaks = Vec::new();
    for lines in [10_000, 50_000] {
        let (report, peak) = read_made(Made::new(lines, behind_a_long_one), &tight());
        assert_eq!(report.read, lines, "{}", report.skipped.told());
        // Nothing comes out before the first one, which is over last.
        assert_eq!(report.joined.put_aside, report.requests);
        assert!(report.requests > lines / 2, "{:?}", report.joined);
        assert!(report.joined.retries > lines / 40, "{:?}", report.joined);
        peaks.push(peak);
    }
    assert!(peaks[1] < peaks[0] + (2 << 20), "{peaks:?}");

    // Where nothing is over, there is nothing to put on disk: the log is refused.
    let ten_hours = |n: u64, out: &mut Vec<u8>| {
        let mut line = Vec::new();
        behind_a_long_one(0, &mut line);
        let line = String::from_utf8(line).unwrap();
        out.extend_from_slice(line.replace("long", &format!("id-{n}")).as_bytes());
    };
    let (refused, peak) = try_made(Made::new(20_000, ten_hours), &tight());
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("more than the 4 MiB"), "{refused}");
    assert!(refused.contains("--retry-window-s"), "{refused}");
    assert!(peak < 16 << 20, "{peak}");
}

/// A result of `vllm bench serve`: piece n of a document that has its columns one after another.
fn bench_piece(rows: u64, n: u64, out: &mut Vec<u8>) {
    use std::io::Write;
    const COLUMNS: [&str; 6] = [
        "input_lens",
        "output_lens",
        "ttfts",
        "itls",
        "start_times",
        "generated_texts",
    ];
    let (column, row) = ((n / rows) as usize, n % rows);
    let before = match (column, row) {
        (0, 0) => "{",
        (_, 0) => "],",
        _ => ",",
    };
    out.extend_from_slice(before.as_bytes());
    if row == 0 {
        write!(out, "\"{}\": [", COLUMNS[column]).unwrap();
    }
    match COLUMNS[column] {
        "input_lens" | "output_lens" => write!(out, "{}", row % 500 + 1),
        "ttfts" => write!(out, "0.25"),
        "itls" => write!(out, "[0.01, 0.01, 0.01, 0.02]"),
        "start_times" => write!(out, "{}.5", row / 10),
        _ => write!(out, "\"what was answered, which is nobody's business\""),
    }
    .unwrap();
    if n + 1 == rows * COLUMNS.len() as u64 {
        out.extend_from_slice(b"]}\n");
    }
}

fn the_length_of_one_document() {
    let mut peaks = Vec::new();
    for rows in [2_000, 130_000] {
        let pieces = rows * 6;
        let made = Made::new(pieces, move |n, out: &mut Vec<u8>| {
            bench_piece(rows, n, out);
        });
        let (report, peak) = read_made(made, &options(2_000));
        assert_eq!(report.format.name(), "vllm-bench");
        assert_eq!(report.requests, rows, "{}", report.skipped.told());
        assert_eq!(report.with_e2e, rows);
        peaks.push(peak);
    }
    assert!(peaks[1] < peaks[0] + (8 << 20), "{peaks:?}");

    // What has to be held whole has a limit, and is refused beyond it with the remedy.
    let item = |n: u64, out: &mut Vec<u8>| {
        if n == 0 {
            out.extend_from_slice(
                b"{\"resourceSpans\": [{\"scopeSpans\": [{\"spans\": [{\"name\": \"",
            );
        }
        out.extend_from_slice(&[b'x'; 1 << 16]);
    };
    let row = |n: u64, out: &mut Vec<u8>| {
        if n == 0 {
            out.extend_from_slice(b"t_ns,ending,prompt_tokens,output_tokens\n0,\"completed,1,1\n");
        }
        (0..100).for_each(|_| out.extend_from_slice(b"0,completed,1,1\n"));
    };
    let key = |n: u64, out: &mut Vec<u8>| {
        if n == 0 {
            out.extend_from_slice(b"{\"input_lens\": [1], \"");
        }
        out.extend_from_slice(&[b'x'; 1 << 16]);
    };
    let refusals = [
        try_made(Made::new(400, item), &options(10)),
        try_made(Made::new(40_000, row), &options(10)),
        try_made(Made::new(400, key), &options(10)),
    ];
    for (refused, peak) in refusals {
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("longer than 16 MiB"), "{refused}");
        assert!(peak < 72 << 20, "{peak}");
    }
    // What is read past may have any length.
    let texts = |n: u64, out: &mut Vec<u8>| {
        if n == 0 {
            out.extend_from_slice(
                b"{\"input_lens\": [1], \"start_times\": [1], \"generated_texts\": [\"",
            );
        }
        out.extend_from_slice(&[b'x'; 1 << 16]);
        if n == 399 {
            out.extend_from_slice(b"\"], \"output_lens\": [3]}");
        }
    };
    let (report, peak) = read_made(Made::new(400, texts), &options(10));
    assert_eq!(report.requests, 1);
    assert!(peak < 1 << 20, "{peak}");
}

/// Scrape n, 15 s after the one before.
fn scrape(n: u64, out: &mut Vec<u8>) {
    use std::io::Write;
    writeln!(out, "# scrape {}", 1_772_366_400 + n * 15).unwrap();
    for engine in 0..20 {
        let labels = format!("engine=\"{engine}\"");
        writeln!(out, "vllm:num_requests_running{{{labels}}} 3").unwrap();
        writeln!(out, "vllm:request_success_total{{{labels}}} {n}").unwrap();
        for le in ["0.1", "1.0", "+Inf"] {
            let name = "vllm:time_to_first_token_seconds_bucket";
            writeln!(out, "{name}{{{labels},le=\"{le}\"}} {n}").unwrap();
        }
    }
}

fn scrapes() {
    let read = |input: Input| -> Result<ScrapeReport, ObservedError> {
        let options = ScrapeOptions {
            bin_ns: 60_000_000_000,
            every_ns: None,
            offset_s: 0,
        };
        read_scrapes_of(input, &options)
    };
    let mut peaks = Vec::new();
    for scrapes in [40, 1_000] {
        let input = Made::new(scrapes, scrape);
        let (report, peak) = measured(|| read(Input::new("made".into(), input).unwrap()));
        assert_eq!(report.unwrap().scrapes, scrapes);
        peaks.push(peak);
    }
    // Some 250 minutes more.
    assert!(peaks[1] < peaks[0] + (2 << 20), "{peaks:?}");

    let series = |n: u64, out: &mut Vec<u8>| {
        use std::io::Write;
        writeln!(out, "vllm:num_requests_running{{engine=\"{n:040}\"}} 3").unwrap();
    };
    let input = Made::new(1_000_000, series);
    let (refused, peak) = measured(|| read(Input::new("made".into(), input).unwrap()));
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.contains("one scrape is longer than 64 MiB"),
        "{refused}"
    );
    assert!(peak < 128 << 20, "{peak}");
}

/// A Parquet file of requests that share a tenant, a name of so many bytes: it is written once.
fn of_one_tenant(path: &Path, bytes: usize, encoding: Option<Encoding>) {
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(encoding.is_none())
        .set_dictionary_page_size_limit(64 << 20);
    let properties = match encoding {
        Some(encoding) => properties.set_column_encoding(ColumnPath::from("tenant"), encoding),
        None => properties,
    };
    let field = |name, physical| {
        let field = Type::primitive_type_builder(name, physical);
        let field = field.with_repetition(Repetition::REQUIRED);
        Arc::new(field.build().unwrap())
    };
    let fields = [
        field("t_ns", Physical::INT64),
        field("ending", Physical::BYTE_ARRAY),
        field("tenant", Physical::BYTE_ARRAY),
    ];
    let schema = Type::group_type_builder("rows").with_fields(fields.to_vec());
    let schema = Arc::new(schema.build().unwrap());
    let file = std::fs::File::create(path).unwrap();
    let properties = Arc::new(properties.build());
    let mut writer = SerializedFileWriter::new(file, schema, properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let tenant = ByteArray::from(vec![b'x'; bytes]);
    let mut number = 0;
    while let Some(mut column) = group.next_column().unwrap() {
        match column.untyped() {
            ColumnWriter::Int64ColumnWriter(out) => {
                out.write_batch(&[1; ROWS], None, None).unwrap();
            }
            ColumnWriter::ByteArrayColumnWriter(out) => {
                let text = [ByteArray::from("completed"), tenant.clone()][number].clone();
                number += 1;
                out.write_batch(&vec![text; ROWS], None, None).unwrap();
            }
            _ => {}
        }
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
}

const ROWS: usize = 50;

/// A text that many rows share is long in each of them, once unpacked.
fn texts_that_rows_share() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("o.parquet");
    for encoding in [None, Some(Encoding::DELTA_BYTE_ARRAY)] {
        of_one_tenant(&path, 8 << 20, encoding);
        let length = std::fs::metadata(&path).unwrap().len();
        assert!(length < 32 << 20, "{length}");
        let options = options(10);
        let (refused, peak) = measured(|| read(&path, &options, &mut |_| Ok(())));
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("50 of more than 1 MiB"), "{refused}");
        assert!(peak < 96 << 20, "{encoding:?}: {peak}");
        of_one_tenant(&path, (16 << 20) + 1, encoding);
        let (refused, peak) = measured(|| read(&path, &options, &mut |_| Ok(())));
        let refused = refused.unwrap_err().to_string();
        assert!(
            refused.contains("line 1: one text is longer than 16 MiB"),
            "{refused}"
        );
        assert!(peak < 96 << 20, "{encoding:?}: {peak}");
    }
}

/// Formats that are opened by name.
fn files() {
    use std::io::Write;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let measure = |rows: u64| {
        let options = options(2_000);
        let (report, peak) = measured(|| read(&path, &options, &mut |_| Ok(())));
        assert_eq!(report.unwrap().requests, rows);
        peak
    };
    let mut peaks = [Vec::new(), Vec::new()];
    for rows in [20_000, 80_000] {
        let parquet = folder.path().join("o.parquet");
        let mut out = ObservedWriter::create(&parquet).unwrap();
        for t_ns in 0..rows {
            out.write(&observed(t_ns, None)).unwrap();
        }
        out.finish().unwrap();
        std::fs::rename(parquet, &path).unwrap();
        peaks[0].push(measure(rows));
        let mut trace = std::fs::File::create(&path)
            .map(std::io::BufWriter::new)
            .unwrap();
        writeln!(trace, "arrival_ns,prompt_tokens,output_tokens").unwrap();
        (0..rows).for_each(|ns| writeln!(trace, "{ns},5,5").unwrap());
        trace.into_inner().unwrap();
        peaks[1].push(measure(rows));
    }
    for peaks in peaks {
        assert!(peaks[1] < peaks[0] + (2 << 20), "{peaks:?}");
    }
}

// One test: others at the same time would be counted with it.
#[test]
fn memory_does_not_follow_what_a_log_holds() {
    the_length_of_a_log();
    the_size_of_records();
    what_waits_for_one_that_is_under_way();
    the_length_of_one_document();
    scrapes();
    files();
    texts_that_rows_share();
}
