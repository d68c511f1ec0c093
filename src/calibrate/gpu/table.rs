//! Calibrations and plans as pages.

use super::operation::NumberType;
use super::plan::{ASSUMED_LINK_GB_PER_S, Plan, Planned, assumes_link, peak_us};
use super::record::{Calibration, Row};
use crate::perf::{AcceleratorCard, Dtype};
use crate::report::number::{WIDTH, count, percent, plural, significant, wrap};

/// The columns of tables of rows.
pub(super) const COLUMNS: [&str; 7] = [
    "operation",
    "",
    "median us",
    "spread",
    "TFLOP/s",
    "GB/s",
    "of peak",
];

/// Letters of the first column.
const SHAPE: usize = 45;

/// A calibration as a page; shares are of the peaks of `card`, where the device has one.
#[must_use]
pub fn render(calibration: &Calibration, card: Option<&AcceleratorCard>) -> String {
    let device = &calibration.device;
    let mut page = Page::default();
    page.head(calibration);
    match card {
        Some(card) => page.line(&format!(
            "peaks of {}: {} TFLOP/s bf16, {} fp8, {} GB/s ({})",
            card.name,
            significant(Some(card.bf16_dense_tflops)),
            significant(card.fp8_dense_tflops),
            significant(Some(card.bandwidth_gb_per_s)),
            card.source,
        )),
        None => {
            page.line("no accelerator card is known for this device: shares of peaks are left out");
        }
    }
    page.line("");
    page.cells(COLUMNS);
    for row in &calibration.rows {
        let cells = cells(row, device.l2_bytes, card);
        let mut cells = cells.each_ref().map(String::as_str);
        // What is longer than its column has lines of its own.
        if cells[0].chars().count() > SHAPE {
            page.line(cells[0]);
            cells[0] = "";
        }
        page.cells(cells);
    }
    if let Some(beyond) = card.and_then(|card| beyond_peak(&calibration.rows, card)) {
        page.line("");
        page.line(&beyond);
    }
    page.failures(calibration);
    page.text
}

/// What is to be said of rows that compute faster than their card can: clocks above the card's explain a
/// tenth.
#[must_use]
pub fn beyond_peak(rows: &[Row], card: &AcceleratorCard) -> Option<String> {
    let share = |row: &Row| {
        let dtype = row.dtype.map_or(Dtype::Bf16, NumberType::rate);
        row.tflop_per_s.map(|rate| rate / card.peak_tflops(dtype))
    };
    let beyond = rows.iter().filter_map(|row| Some((share(row)?, row)));
    let beyond: Vec<(f64, &Row)> = beyond.filter(|(share, _)| *share > 1.1).collect();
    let most = beyond.iter().max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    Some(format!(
        "beware: {} faster than {} computes ({}: {} of its peak): their times, their sizes or the device are \
         wrong",
        match beyond.len() {
            1 => "1 row is".to_owned(),
            many => format!("{} rows are", count(many as u64)),
        },
        card.name,
        most.1.operation.text(),
        percent(Some(most.0))
    ))
}

/// A plan as a page, with the arithmetic and bytes of each row and the time it is expected to take
/// on a device with the peaks of a card.
#[must_use]
pub fn render_plan(plan: &Plan, card: &AcceleratorCard) -> String {
    let mut page = Page::default();
    page.line(&format!(
        "{}: {} for {} at tp {}; about {} minutes",
        plan.effort.name(),
        plural(plan.rows.len() as u64, "row"),
        plan.models.join(", "),
        plan.tp
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", "),
        significant(Some((plan.expected_s(card) / 6.0).ceil() / 10.0)),
    ));
    page.line(&format!(
        "The minutes, and the time at the peaks, are estimates for {} by its card, not measurements.",
        card.name
    ));
    if plan.rows.iter().any(|row| assumes_link(row, card)) {
        page.line(&format!(
            "assumed: a link of {ASSUMED_LINK_GB_PER_S} GB/s, as PCI Express of the fourth generation \
             has on 16 lanes; the card tells of none."
        ));
    }
    for left_out in &plan.left_out {
        page.line(&format!("left out: {}", wrap(left_out, WIDTH, 10)));
    }
    page.line("");
    page.cells(["operation", "", "at peak us", "", "GFLOP", "MB", ""]);
    for row in &plan.rows {
        let Planned {
            operation, dtype, ..
        } = row;
        let some = |value: f64| (value > 0.0).then_some(value);
        page.cells([
            &operation.text(),
            short(*dtype),
            &at_peak(peak_us(row, card)),
            if assumes_link(row, card) {
                "assumed"
            } else {
                ""
            },
            &significant(some(operation.flops() / 1e9)),
            &significant(some(operation.bytes(*dtype) / 1e6)),
            "",
        ]);
    }
    page.text
}

/// A time at the peaks: below a microsecond no more than that is told, since no launch is as short.
fn at_peak(us: f64) -> String {
    match us {
        _ if us <= 0.0 => "-".to_owned(),
        _ if us < 1.0 => "<1".to_owned(),
        _ => significant(Some(us)),
    }
}

/// The share of a card's peak that a row reaches: of arithmetic or of bandwidth, whichever is more.
#[must_use]
pub fn share_of_peak(row: &Row, card: &AcceleratorCard) -> Option<f64> {
    let dtype = row.dtype.map_or(Dtype::Bf16, NumberType::rate);
    let on_device = !matches!(
        row.operation.name(),
        "host_to_device"
            | "device_to_host"
            | "peer_copy"
            | "all_reduce"
            | "all_gather"
            | "reduce_scatter"
    );
    let shares = [
        row.tflop_per_s.map(|rate| rate / card.peak_tflops(dtype)),
        row.gb_per_s.map(|rate| rate / card.bandwidth_gb_per_s),
    ];
    let most = shares.into_iter().flatten().reduce(f64::max);
    most.filter(|_| on_device)
}

/// Marks of spreads that are no percentiles'.
const RANGE: &str = "r";
const DEVIATION: &str = "d";

/// How far the samples of a row are spread, over its median, and the mark of where that is from.
fn spread(row: &Row) -> (Option<f64>, &'static str) {
    let told = row.spread.as_ref();
    let range = told.and_then(|told| Some(told.max_us? - told.min_us?));
    let deviation = told.map(|told| 2.0 * told.std_us);
    let percentiles = row.p90_us.zip(row.p10_us).map(|(p90, p10)| p90 - p10);
    let over = |us: f64| Some(us / row.median_us);
    match (percentiles, range, deviation) {
        (Some(us), _, _) => (over(us), ""),
        (_, Some(us), _) => (over(us), RANGE),
        (_, _, Some(us)) => (over(us), DEVIATION),
        _ => (None, ""),
    }
}

/// The cells of a row, as [`COLUMNS`] calls them.
pub(super) fn cells(row: &Row, l2_bytes: u64, card: Option<&AcceleratorCard>) -> [String; 7] {
    let (spread, of) = spread(row);
    let share = card.and_then(|card| share_of_peak(row, card));
    let star = if row.in_cache(l2_bytes) { "*" } else { "" };
    let mark = if row.drifted { " ~" } else { "" };
    [
        row.operation.text(),
        short(row.dtype).to_owned(),
        significant(Some(row.median_us)),
        format!("{}{of}{mark}", percent(spread)),
        significant(row.tflop_per_s),
        significant(row.gb_per_s),
        format!("{}{star}", percent(share)),
    ]
}

/// What the cells of some rows and their marks mean, of those marks that are there.
pub(super) fn marks(rows: &[&Row], l2_bytes: u64, card: Option<&AcceleratorCard>) -> String {
    let marked = |mark: &str| rows.iter().any(|row| spread(row).1 == mark);
    let mut text = "Spread: from the 10th to the 90th percentile, over the median".to_owned();
    if marked(RANGE) {
        text.push_str(&format!("; {RANGE}: from the least to the greatest"));
    }
    if marked(DEVIATION) {
        text.push_str(&format!("; {DEVIATION}: twice the standard deviation"));
    }
    if rows.iter().any(|row| row.drifted) {
        text.push_str("; ~: halves of the samples differ by more than 3 %");
    }
    text.push_str(". Rates: of the least arithmetic and bytes.");
    if rows.iter().any(|row| row.in_cache(l2_bytes)) {
        text.push_str(" *: inputs were in the second-level cache.");
    }
    if let Some(card) = card {
        text.push_str(&format!(" Peaks: those of {}.", card.name));
    }
    text
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(&wrap(line.trim_end(), WIDTH, 0));
        self.text.push('\n');
    }

    /// The device, and what was called on it; of imports, where they come from.
    fn head(&mut self, calibration: &Calibration) {
        let device = &calibration.device;
        let rows = plural(calibration.rows.len() as u64, "row");
        let Some(import) = &calibration.import else {
            self.line(&format!(
                "{}: compute capability {}, {} multiprocessors at up to {} MHz, {} GiB, {} MiB of \
                 L2",
                device.name,
                device.compute_capability,
                device.multiprocessors,
                device.clock_mhz,
                significant(Some(device.memory_bytes as f64 / f64::from(1 << 30))),
                device.l2_bytes >> 20,
            ));
            let driver = device.driver.as_deref();
            let driver = driver.map_or_else(String::new, |version| format!(" {version}"));
            self.line(&format!(
                "driver{driver} for CUDA {}, cuBLASLt {}, NVRTC {}; {}, {rows}",
                device.driver_cuda,
                calibration.software.cublaslt,
                calibration.software.nvrtc,
                calibration.plan.effort,
            ));
            return;
        };
        let software = calibration.software.framework.as_deref();
        self.line(&format!(
            "{}, {}: imported from {} ({rows} of {} measurements)",
            device.name,
            software.unwrap_or("software not told"),
            import.source,
            count(import.read),
        ));
    }

    fn cells(&mut self, [what, dtype, median, spread, flops, bytes, share]: [&str; 7]) {
        let line = format!(
            "{what:<SHAPE$} {dtype:<4} {median:>10} {spread:>8} {flops:>8} {bytes:>8} {share:>8}"
        );
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn failures(&mut self, calibration: &Calibration) {
        self.line("");
        self.line(
            "Times are medians; spread is from the 10th to the 90th percentile, over the median; \
             ~ marks rows whose halves differ by more than 3 %, also when measured again. Rates \
             are of the least arithmetic and bytes an operation needs. * marks rows that find their \
             inputs in the second-level cache, as kernels between those of a layer do (all that they \
             touched is less than twice its size).",
        );
        let marked = |mark: &str| calibration.rows.iter().any(|row| spread(row).1 == mark);
        if marked(RANGE) || marked(DEVIATION) {
            self.line(&format!(
                "Where percentiles are not told, spread is from the least to the greatest ({RANGE}), or \
                 else twice the standard deviation ({DEVIATION})."
            ));
        }
        let prompts = |row: &Row| row.operation.name() == "prefill_attention";
        if calibration.import.is_none() && calibration.rows.iter().any(prompts) {
            self.line(
                "Attention is this program's own, after FlashAttention-2 and FlashDecoding: a \
                 reference, not what engines run. Of prompts, FlashAttention-3 reaches up to 740 \
                 TFLOP/s on an H100 (fp16, arXiv:2407.08608).",
            );
        }
        if calibration.failures.is_empty() {
            return;
        }
        self.line("");
        self.line("Not measured:");
        for failure in &calibration.failures {
            let text = format!(
                "{} {}: {}",
                failure.operation.text(),
                short(failure.dtype),
                failure.reason
            );
            self.text
                .push_str(&format!("  {}\n", wrap(&text, WIDTH, 4)));
        }
    }
}

fn short(dtype: Option<NumberType>) -> &'static str {
    match dtype {
        None => "-",
        Some(NumberType::Bf16) => "bf16",
        Some(NumberType::Fp8E4m3) => "fp8",
        Some(NumberType::Fp8Block) => "fp8b",
        Some(NumberType::Nvfp4) => "nvf4",
        Some(NumberType::Mxfp4) => "mxf4",
        Some(NumberType::Int8) => "int8",
    }
}
