//! The formulas that apply to one queue, as rows with the numbers put in.

pub use super::applied::{Applied, number};

use super::{Md1, Mdc, Mg1, Mmc, TheoryError, square_root_staffing};

mod more;
#[cfg(test)]
mod tests;

const GROSS: &str =
    "Gross, Shortle, Thompson & Harris, Fundamentals of Queueing Theory, 4th ed., ch. 2";
const ERLANG: &str = "Erlang 1917";
const LITTLE: &str = "Little 1961";
const POLLACZEK: &str = "Pollaczek 1930, Khinchin 1932";
const CROMMELIN: &str = "Crommelin 1932; Tijms, A First Course in Stochastic Models, ch. 9";
const FRANX: &str = "Franx 2001, Operations Research Letters 29:221";
const HALFIN: &str = "Halfin & Whitt 1981, Operations Research 29:567";

/// The quantiles that a sheet lists, and their names.
const LEVELS: [(f64, &str); 4] = [(0.5, "p50"), (0.9, "p90"), (0.95, "p95"), (0.99, "p99")];

/// The law of the service time, as far as formulas tell laws apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceKind {
    /// Exponential: the squared coefficient of variation is 1, whatever the input says.
    Exponential,
    /// Constant: the squared coefficient of variation is 0, whatever the input says.
    Deterministic,
    /// Any other law, by its squared coefficient of variation.
    Other,
}

/// One queue to write a sheet for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QueueingInput {
    /// Arrivals per second, above 0.
    pub lambda_per_s: f64,
    /// Servers (places where a request runs at full speed), 1 or more.
    pub servers: u64,
    /// Mean service time in milliseconds, above 0.
    pub mean_service_ms: f64,
    /// Squared coefficient of variation of independent interarrival times, 0 or more; 1 means Poisson
    /// arrivals. `None` where it is not known or the gaps depend on one another: then nothing is said of
    /// waits.
    pub ca2: Option<f64>,
    /// Squared coefficient of variation of service times, 0 or more.
    pub cs2: f64,
    /// The law of the service time.
    pub service: ServiceKind,
    /// Places to wait in, beside those in service; `None` for a queue without bound.
    pub queue_capacity: Option<u64>,
    /// Whether requests share the servers evenly instead of waiting for one.
    pub processor_sharing: bool,
}

/// Every formula that applies to the queue, numbers put in, times in ms and rates per second.
///
/// A queue that gets more work than it can do and has no bound ends with a row that says so; arguments out
/// of range end in one that names them. Neither has a value.
#[must_use]
pub fn queueing(input: &QueueingInput) -> Vec<Applied> {
    let mut sheet = Sheet::new(input);
    if let Err(error) = sheet.check() {
        return vec![Applied::missing(
            "input",
            "",
            "",
            "1",
            "",
            error.to_string(),
        )];
    }
    sheet.load();
    match input.queue_capacity {
        Some(_) if input.ca2.is_none() => sheet.unknown_arrivals(),
        Some(places) => sheet.bounded(places),
        None if sheet.rho >= 1.0 => sheet.unstable(),
        None if sheet.input.ca2.is_none() => sheet.unknown_arrivals(),
        None if input.processor_sharing => sheet.sharing(),
        None => sheet.waiting(),
    }
    sheet.staffing();
    sheet.rows
}

struct Sheet {
    input: QueueingInput,
    /// Arrivals per ms.
    lambda: f64,
    /// One server's rate per ms.
    mu: f64,
    /// Squared coefficient of variation of service.
    cs2: f64,
    /// Erlangs.
    offered: f64,
    rho: f64,
    poisson: bool,
    rows: Vec<Applied>,
}

/// The quantile function of a law.
type Quantile<'a> = &'a dyn Fn(f64) -> Result<f64, TheoryError>;

impl Sheet {
    fn new(input: &QueueingInput) -> Self {
        let lambda = input.lambda_per_s / 1000.0;
        let offered = lambda * input.mean_service_ms;
        Self {
            input: *input,
            lambda,
            mu: 1.0 / input.mean_service_ms,
            cs2: match input.service {
                ServiceKind::Exponential => 1.0,
                ServiceKind::Deterministic => 0.0,
                ServiceKind::Other => input.cs2,
            },
            offered,
            rho: offered / input.servers as f64,
            poisson: input.ca2.is_some_and(|ca2| (ca2 - 1.0).abs() < 1e-9),
            rows: Vec::new(),
        }
    }

    fn check(&self) -> Result<(), TheoryError> {
        super::positive("lambda_per_s", self.input.lambda_per_s)?;
        super::positive("mean_service_ms", self.input.mean_service_ms)?;
        super::non_negative("ca2", self.input.ca2.unwrap_or(0.0))?;
        super::non_negative("cs2", self.input.cs2)?;
        super::erlang::servers_in_range(self.input.servers)?;
        Ok(())
    }

    /// `10 x 0.5/s - 4/s`: c mu - lambda in words.
    fn spare_text(&self) -> String {
        format!(
            "{} x {}/s - {}/s",
            self.input.servers,
            number(self.mu * 1000.0),
            number(self.input.lambda_per_s)
        )
    }

    fn push(&mut self, row: Applied) {
        self.rows.push(row);
    }

    fn load(&mut self) {
        let (rate, mean) = (
            number(self.input.lambda_per_s),
            number(self.input.mean_service_ms),
        );
        self.push(Applied::new(
            "offered load",
            "a = lambda E[S]",
            format!("{rate}/s x {mean} ms"),
            self.offered,
            "Erlang",
            GROSS,
        ));
        self.push(Applied::new(
            "utilization",
            "rho = a / c",
            format!("{} / {}", number(self.offered), self.input.servers),
            self.rho,
            "1",
            GROSS,
        ));
        self.push(Applied::new(
            "capacity",
            "c / E[S]",
            format!("{} / {mean} ms", self.input.servers),
            self.input.servers as f64 * self.mu * 1000.0,
            "requests/s",
            GROSS,
        ));
    }

    fn unknown_arrivals(&mut self) {
        let row = Applied::missing(
            "mean wait",
            "",
            "",
            "ms",
            GROSS,
            "no closed form for these arrivals: their gaps are not independent draws of one law",
        );
        self.push(row);
    }

    fn unstable(&mut self) {
        let row = Applied::missing(
            "mean wait",
            "",
            format!("rho = {}", number(self.rho)),
            "ms",
            GROSS,
            "unstable: the load is at or above what the servers can do, so that the queue grows without \
             bound and no steady state exists",
        );
        self.push(row);
    }

    fn staffing(&mut self) {
        let a = number(self.offered);
        self.push(Applied::try_new(
            "square-root staffing",
            "c = ceil(a + beta sqrt(a)), beta = 1",
            format!("{a} + 1 x sqrt({a})"),
            square_root_staffing(self.offered, 1.0).map(|servers| servers as f64),
            "servers",
            HALFIN,
        ));
        self.push(Applied::new(
            "staffing margin",
            "beta = (c - a) / sqrt(a)",
            format!("({} - {a}) / sqrt({a})", self.input.servers),
            (self.input.servers as f64 - self.offered) / self.offered.sqrt(),
            "1",
            HALFIN,
        ));
    }

    /// Quantile rows of the wait or of the sojourn.
    fn quantiles(&mut self, what: &str, formula: &str, source: &'static str, quantile: Quantile) {
        for (level, name) in LEVELS {
            self.push(Applied::try_new(
                format!("{name} {what}"),
                formula.to_owned(),
                level.to_string(),
                quantile(level),
                "ms",
                source,
            ));
        }
    }

    /// Mean sojourn and Little's law from a mean wait in ms.
    fn rows_of_wait(&mut self, wait: f64, note: Option<&str>) {
        let mean = self.input.mean_service_ms;
        let rate = number(self.input.lambda_per_s);
        let rows = [
            Applied::new(
                "mean sojourn",
                "W = Wq + E[S]",
                format!("{} ms + {} ms", number(wait), number(mean)),
                wait + mean,
                "ms",
                GROSS,
            ),
            Applied::new(
                "mean queue length",
                "Lq = lambda Wq",
                format!("{rate}/s x {} ms", number(wait)),
                self.lambda * wait,
                "requests",
                LITTLE,
            ),
            Applied::new(
                "mean number in system",
                "L = lambda W",
                format!("{rate}/s x {} ms", number(wait + mean)),
                self.lambda * (wait + mean),
                "requests",
                LITTLE,
            ),
        ];
        for row in rows {
            self.push(match note {
                Some(note) => row.with_note(note),
                None => row,
            });
        }
    }

    /// First come first served, without bound, below saturation.
    fn waiting(&mut self) {
        match (self.poisson, self.input.service, self.input.servers) {
            (true, ServiceKind::Exponential, _) => self.mmc(),
            (true, ServiceKind::Deterministic, _) => self.mdc(),
            (true, ServiceKind::Other, 1) => self.mg1(),
            _ => self.general(),
        }
    }

    fn erlang_c_row(&mut self) -> Option<f64> {
        let result = super::erlang_c(self.input.servers, self.offered);
        let value = result.as_ref().ok().copied();
        self.push(Applied::try_new(
            "Erlang C, P(wait)",
            "C(c, a) = B / (1 - rho (1 - B))",
            format!("C({}, {})", self.input.servers, number(self.offered)),
            result,
            "1",
            ERLANG,
        ));
        value
    }

    fn mmc(&mut self) {
        let Ok(queue) = Mmc::new(self.lambda, self.mu, self.input.servers) else {
            return self.unstable();
        };
        self.erlang_c_row();
        self.push(Applied::new(
            "mean wait",
            "Wq = C(c, a) / (c mu - lambda)",
            format!("{} / ({})", number(queue.p_wait()), self.spare_text()),
            queue.mean_wait(),
            "ms",
            GROSS,
        ));
        for (level, name) in LEVELS {
            self.push(Applied::try_new(
                format!("{name} wait"),
                "max(0, ln(C / (1 - q)) / (c mu - lambda))",
                format!(
                    "max(0, ln({} / {}) / ({}))",
                    number(queue.p_wait()),
                    number(1.0 - level),
                    self.spare_text()
                ),
                queue.wait_quantile(level),
                "ms",
                GROSS,
            ));
        }
        self.quantiles(
            "sojourn",
            "t where 1 - e^(-mu t) - C mu (e^(-mu t) - e^(-theta t)) / (theta - mu), theta = \
             c mu - lambda, is q",
            GROSS,
            &|level| queue.sojourn_quantile(level),
        );
        self.rows_of_wait(queue.mean_wait(), None);
    }

    fn mdc(&mut self) {
        let mean = self.input.mean_service_ms;
        let queue = match Mdc::new(self.lambda, mean, self.input.servers) {
            Ok(queue) => queue,
            Err(_) => return self.general(),
        };
        self.push(Applied::new(
            "P(wait)",
            "1 - (c - a) / prod (1 - z_k), z^c = e^(a (z - 1))",
            format!("c = {}, a = {}", self.input.servers, number(self.offered)),
            queue.p_wait(),
            "1",
            CROMMELIN,
        ));
        let wait = if self.input.servers == 1 {
            let wait = Md1::new(self.lambda, mean).map_or(queue.mean_wait(), |one| one.mean_wait());
            let rho = number(self.rho);
            self.push(Applied::new(
                "mean wait",
                "Wq = rho D / (2 (1 - rho))",
                format!("{rho} x {} ms / (2 x (1 - {rho}))", number(mean)),
                wait,
                "ms",
                POLLACZEK,
            ));
            wait
        } else {
            self.push(Applied::new(
                "mean wait",
                "Wq = (sum 1 / (1 - z_k) - (c (c - 1) - a^2) / (2 (c - a))) / lambda",
                format!("c = {}, a = {}", self.input.servers, number(self.offered)),
                queue.mean_wait(),
                "ms",
                CROMMELIN,
            ));
            queue.mean_wait()
        };
        self.quantiles("wait", "t where Franx's P(Wq <= t) is q", FRANX, &|level| {
            queue.wait_quantile(level)
        });
        self.quantiles(
            "sojourn",
            "D + t where Franx's P(Wq <= t) is q",
            FRANX,
            &|level| queue.sojourn_quantile(level),
        );
        self.rows_of_wait(wait, None);
    }

    fn mg1(&mut self) {
        let Ok(queue) = Mg1::new(self.lambda, self.input.mean_service_ms, self.cs2) else {
            return self.unstable();
        };
        let rho = number(self.rho);
        self.push(Applied::new(
            "mean wait",
            "Wq = rho (1 + cs2) E[S] / (2 (1 - rho))",
            format!(
                "{rho} x (1 + {}) x {} ms / (2 x (1 - {rho}))",
                number(self.cs2),
                number(self.input.mean_service_ms)
            ),
            queue.mean_wait(),
            "ms",
            POLLACZEK,
        ));
        self.rows_of_wait(queue.mean_wait(), None);
    }
}
