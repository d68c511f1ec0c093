//! The rest of a sheet: approximations, processor sharing, and queues with a bound.

use super::super::{
    Mmck, allen_cunneen, erlang_b, kingman, kingman_bound, mm1_ps_sojourn_variance,
    mmc_ps_mean_sojourn, ps_mean_sojourn, ps_slowdown,
};
use super::{Applied, ERLANG, GROSS, LITTLE, ServiceKind, Sheet, number};

const ALLEN: &str = "Allen 1990, Probability, Statistics, and Queueing Theory, ch. 5";
const KINGMAN: &str = "Kingman 1961, Proc. Cambridge Phil. Soc. 57:902";
const KLEINROCK: &str = "Kleinrock 1967, JACM 14:242";
const COHEN: &str = "Cohen 1979, Acta Informatica 12:245";
const COFFMAN: &str = "Coffman, Muntz & Trotter 1970, JACM 17:123";

impl Sheet {
    /// First come first served without an exact form: Erlang C, Allen-Cunneen and, for one server, Kingman.
    pub(super) fn general(&mut self) {
        let note = "an approximation: exact only for M/M/c and M/G/1";
        let Some(ca2) = self.input.ca2 else { return };
        let (mean, cs2) = (self.input.mean_service_ms, self.cs2);
        let servers = self.input.servers;
        let p_wait = self.erlang_c_row();
        if let Some(row) = self.rows.last_mut() {
            *row = row
                .clone()
                .with_note("of M/M/c at the same load, an input of the approximation");
        }
        let wait = allen_cunneen(servers, self.lambda, mean, ca2, cs2);
        let value = wait.as_ref().ok().copied();
        let row = Applied::try_new(
            "mean wait (Allen-Cunneen)",
            "Wq = C(c, a) / (c mu - lambda) x (ca2 + cs2) / 2",
            format!(
                "{} / ({}) x ({} + {}) / 2",
                p_wait.map_or_else(|| "C".to_owned(), number),
                self.spare_text(),
                number(ca2),
                number(cs2)
            ),
            wait,
            "ms",
            ALLEN,
        );
        self.push(row.with_note(note));
        if servers == 1 {
            self.kingman_rows();
        }
        if let Some(wait) = value {
            self.rows_of_wait(wait, Some(note));
        }
    }

    fn kingman_rows(&mut self) {
        let Some(ca2) = self.input.ca2 else { return };
        let (mean, cs2) = (self.input.mean_service_ms, self.cs2);
        let rho = number(self.rho);
        let row = Applied::try_new(
            "mean wait (Kingman)",
            "Wq = rho / (1 - rho) x (ca2 + cs2) / 2 x E[S]",
            format!(
                "{rho} / (1 - {rho}) x ({} + {}) / 2 x {} ms",
                number(ca2),
                number(cs2),
                number(mean)
            ),
            kingman(self.lambda, mean, ca2, cs2),
            "ms",
            KINGMAN,
        );
        self.push(row.with_note("an approximation for heavy traffic"));
        let interarrival = 1.0 / self.lambda;
        self.push(Applied::try_new(
            "mean wait, upper bound",
            "Wq <= lambda (var A + var S) / (2 (1 - rho))",
            format!(
                "{}/s x ({} ms^2 + {} ms^2) / (2 x (1 - {rho}))",
                number(self.input.lambda_per_s),
                number(ca2 * interarrival * interarrival),
                number(cs2 * mean * mean)
            ),
            kingman_bound(self.lambda, mean, ca2, cs2),
            "ms",
            KINGMAN,
        ));
    }

    /// Processor sharing, without bound, below saturation.
    pub(super) fn sharing(&mut self) {
        let (mean, servers) = (self.input.mean_service_ms, self.input.servers);
        let rho = number(self.rho);
        let note = if self.poisson {
            "holds for any law of service"
        } else {
            "an approximation: exact for Poisson arrivals only"
        };
        let sojourn = if servers == 1 {
            let slowdown = Applied::try_new(
                "slowdown",
                "E[T(x)] / x = 1 / (1 - rho)",
                format!("1 / (1 - {rho})"),
                ps_slowdown(self.lambda, mean),
                "1",
                KLEINROCK,
            );
            self.push(slowdown.with_note(note));
            let sojourn = ps_mean_sojourn(self.lambda, mean);
            let row = Applied::try_new(
                "mean sojourn",
                "W = E[S] / (1 - rho)",
                format!("{} ms / (1 - {rho})", number(mean)),
                sojourn.clone(),
                "ms",
                KLEINROCK,
            );
            self.push(row.with_note(note));
            sojourn
        } else {
            let p_wait = self.erlang_c_row();
            let sojourn = mmc_ps_mean_sojourn(self.lambda, self.mu, servers);
            let row = Applied::try_new(
                "mean sojourn",
                "W = E[S] + C(c, a) / (c mu - lambda)",
                format!(
                    "{} ms + {} / ({})",
                    number(mean),
                    p_wait.map_or_else(|| "C".to_owned(), number),
                    self.spare_text()
                ),
                sojourn.clone(),
                "ms",
                COHEN,
            );
            self.push(row.with_note(note));
            sojourn
        };
        if servers == 1 && self.poisson && self.input.service == ServiceKind::Exponential {
            self.push(Applied::try_new(
                "standard deviation of sojourn",
                "E[S] sqrt((2 + rho) / (2 - rho)) / (1 - rho)",
                format!(
                    "{} ms x sqrt((2 + {rho}) / (2 - {rho})) / (1 - {rho})",
                    number(mean)
                ),
                mm1_ps_sojourn_variance(self.lambda, mean).map(f64::sqrt),
                "ms",
                COFFMAN,
            ));
        }
        if let Ok(sojourn) = sojourn {
            let row = Applied::new(
                "mean number in system",
                "L = lambda W",
                format!(
                    "{}/s x {} ms",
                    number(self.input.lambda_per_s),
                    number(sojourn)
                ),
                self.lambda * sojourn,
                "requests",
                LITTLE,
            );
            self.push(if self.poisson {
                row
            } else {
                row.with_note(note)
            });
        }
    }

    /// A bound on the number waiting: Erlang B without waiting places, M/M/c/K with them.
    pub(super) fn bounded(&mut self, places: u64) {
        let servers = self.input.servers;
        let exponential = self.input.service == ServiceKind::Exponential;
        if places == 0 {
            let row = Applied::try_new(
                "Erlang B, P(loss)",
                "B(c, a): 1/B(n) = 1 + (n / a) / B(n - 1)",
                format!("B({servers}, {})", number(self.offered)),
                erlang_b(servers, self.offered),
                "1",
                ERLANG,
            );
            let note = if self.poisson {
                "holds for any law of service"
            } else {
                "an approximation: exact for Poisson arrivals only"
            };
            self.push(row.with_note(note));
        }
        let note = match (self.poisson, exponential || places == 0) {
            (true, true) => None,
            (true, false) => Some("an approximation: the service is taken as exponential"),
            (false, true) => Some("an approximation: the arrivals are taken as Poisson"),
            (false, false) => Some(
                "an approximation: the arrivals are taken as Poisson and the service as exponential",
            ),
        };
        let before = self.rows.len();
        self.mmck(places);
        if let Some(note) = note {
            for row in self.rows.iter_mut().skip(before) {
                *row = row.clone().with_note(note);
            }
        }
    }

    fn mmck(&mut self, places: u64) {
        let servers = self.input.servers;
        let capacity = servers.saturating_add(places);
        let queue = match Mmck::new(self.lambda, self.mu, servers, capacity) {
            Ok(queue) => queue,
            Err(error) => {
                return self.push(Applied::missing(
                    "P(loss)",
                    "p_K of M/M/c/K",
                    format!("c = {servers}, K = {capacity}"),
                    "1",
                    GROSS,
                    error.to_string(),
                ));
            }
        };
        let place = format!(
            "c = {servers}, K = {capacity}, a = {}",
            number(self.offered)
        );
        let (loss, queued) = (number(queue.p_loss()), number(queue.mean_queue()));
        let rate = number(self.input.lambda_per_s);
        if places > 0 {
            self.push(Applied::new(
                "P(loss)",
                "p_K of M/M/c/K",
                place.clone(),
                queue.p_loss(),
                "1",
                GROSS,
            ));
        }
        self.push(Applied::new(
            "throughput",
            "X = lambda (1 - p_K)",
            format!("{rate}/s x (1 - {loss})"),
            queue.throughput() * 1000.0,
            "requests/s",
            GROSS,
        ));
        self.push(Applied::new(
            "busy share of servers",
            "X / (c mu)",
            format!(
                "{}/s / ({servers} x {}/s)",
                number(queue.throughput() * 1000.0),
                number(self.mu * 1000.0)
            ),
            queue.utilization(),
            "1",
            GROSS,
        ));
        self.push(Applied::new(
            "mean queue length",
            "Lq = sum (n - c) p_n",
            place,
            queue.mean_queue(),
            "requests",
            GROSS,
        ));
        let accepted = number(queue.throughput() * 1000.0);
        // Requests that share servers do not wait for one; their time in the system is the same.
        if !self.input.processor_sharing {
            self.push(Applied::new(
                "mean wait of accepted",
                "Wq = Lq / X",
                format!("{queued} / {accepted}/s"),
                queue.mean_wait(),
                "ms",
                LITTLE,
            ));
        }
        self.push(Applied::new(
            "mean sojourn of accepted",
            "W = Lq / X + E[S]",
            format!(
                "{queued} / {accepted}/s + {} ms",
                number(self.input.mean_service_ms)
            ),
            queue.mean_sojourn(),
            "ms",
            LITTLE,
        ));
    }
}
