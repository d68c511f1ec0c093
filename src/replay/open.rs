//! What a scenario leaves open: fields that a fit may set, and between which bounds.

use serde::Serialize;

use super::error::ReplayError;
use super::night::Seen;
use super::stage::{Change, Stage};
use crate::observed::Ending;
use crate::scenario::clients::RetryBudget;
use crate::scenario::tries::{Clients, RetryOn};

/// Whole numbers are tried one by one: not more of them than this.
const MOST_WHOLE: f64 = 24.0;

/// A field that a fit may set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Open {
    /// Its path, with `*` for all language-model pools.
    pub path: String,
    /// The paths that it stands for.
    #[serde(skip)]
    paths: Vec<String>,
    /// The least it may be.
    pub low: f64,
    /// The most it may be.
    pub high: f64,
    /// Whether it must be a whole number.
    pub whole: bool,
    /// Between which whole numbers the log leaves it.
    #[serde(skip)]
    told: Option<(f64, f64)>,
    /// Whether those that gave up told it.
    #[serde(skip)]
    is_last: bool,
}

/// How often clients try again at most.
const MAX_RETRIES: &str = "clients.max_retries";

/// The most retries that are looked at where the log shows no more.
const MOST_RETRIES: f64 = 8.0;

/// The longest first wait between tries that is looked at where nobody says more, ms.
const MOST_BASE_MS: f64 = 10_000.0;

/// Sections that no fit may touch, and why.
const NOT_OPEN: [(&str, &str); 4] = [
    ("slo", "is what both nights are judged by"),
    ("run", "says how a night is simulated"),
    ("workload", "is the log's"),
    (
        "faults",
        "is what happened that night, and calm minutes do not tell it",
    ),
];

impl Open {
    /// Reads several, each `PATH=LOW..HIGH`.
    ///
    /// # Errors
    /// As [`Open::parse`], and when two are of one field.
    pub fn all(texts: &[String], stage: &Stage) -> Result<Vec<Open>, ReplayError> {
        let mut all: Vec<Open> = Vec::new();
        for text in texts {
            let open = Open::parse(text, stage)?;
            let fields = open.fields(stage);
            let other = all.iter().find(|other| {
                let theirs = other.fields(stage);
                fields.iter().any(|field| theirs.contains(field))
            });
            if let Some(other) = other {
                let allowed = format!("is a field that --fit {} opens, too", other.path);
                let remedy = "open each field once";
                return Err(ReplayError::option("--fit", text, allowed, remedy));
            }
            all.push(open);
        }
        Ok(all)
    }

    /// The fields that it stands for, pools by their number.
    fn fields(&self, stage: &Stage) -> Vec<String> {
        let json = stage.document().to_json();
        let pools = json.get("pools").and_then(|pools| pools.as_array());
        let number = |name: &str| {
            let mut pools = pools.into_iter().flatten();
            pools.position(|pool| pool.get("name").is_some_and(|it| it == name))
        };
        let one = |path: &String| {
            let named = path
                .strip_prefix("pools.")
                .and_then(|it| it.split_once('.'));
            let numbered = named.and_then(|(name, rest)| Some((number(name)?, rest)));
            numbered.map_or_else(|| path.clone(), |(at, rest)| format!("pools.{at}.{rest}"))
        };
        self.paths.iter().map(one).collect()
    }

    /// Reads `PATH=LOW..HIGH`.
    ///
    /// # Errors
    /// When it is no such text, or the scenario has no such field, or not with these values.
    pub fn parse(text: &str, stage: &Stage) -> Result<Open, ReplayError> {
        let refuse = |allowed: &str| {
            let remedy = "write it like pools.*.overhead_fixed_us=0..5000";
            ReplayError::option("--fit", text, allowed, remedy)
        };
        let words = "must be PATH=LOW..HIGH with two numbers, the second above the first";
        let (path, range) = text.split_once('=').ok_or_else(|| refuse(words))?;
        let (low, high) = range.split_once("..").ok_or_else(|| refuse(words))?;
        let number = |text: &str| {
            let number: Option<f64> = text.trim().parse().ok();
            number
                .filter(|number| number.is_finite())
                .ok_or_else(|| refuse(words))
        };
        let (low, high) = (number(low)?, number(high)?);
        if low >= high {
            return Err(refuse(words));
        }
        Open::new(path.trim(), low, high, stage)
    }

    /// A field of a stage, between two values.
    ///
    /// # Errors
    /// When the scenario has no such field, or not with these values.
    pub fn new(path: &str, low: f64, high: f64, stage: &Stage) -> Result<Open, ReplayError> {
        let section = path.split('.').next().unwrap_or_default().trim();
        if let Some((section, why)) = NOT_OPEN.iter().find(|it| it.0 == section) {
            let allowed = format!("must be of the fleet or its clients: `{section}` {why}");
            let remedy = "state it in the scenario, or with --set";
            return Err(ReplayError::option("--fit", path, allowed, remedy));
        }
        let mut open = Open {
            path: path.to_owned(),
            paths: expand(path, stage)?,
            low,
            high,
            whole: false,
            told: None,
            is_last: false,
        };
        // A number with a fraction is refused where whole ones are asked for.
        let middle = (low + high) / 2.0;
        let between = if middle.fract() == 0.0 {
            middle + 0.5
        } else {
            middle
        };
        if stage.plan(&open.changes(between.min(high))).is_err() {
            open.whole = true;
            (open.low, open.high) = (low.ceil(), high.floor());
            if open.low >= open.high {
                let value = format!("{path}={low}..{high}");
                let allowed =
                    "must have two whole numbers between its bounds, as it takes whole ones";
                return Err(ReplayError::option("--fit", value, allowed, "widen it"));
            }
        }
        for value in [open.low, open.high] {
            stage
                .plan(&open.changes(value))
                .map_err(|error| match error {
                    ReplayError::Scenario { source, .. } => ReplayError::Scenario {
                        context: format!("--fit {path}: at {value}: "),
                        source,
                    },
                    other => other,
                })?;
        }
        if open.whole && open.high - open.low > MOST_WHOLE {
            let allowed =
                format!("must have {MOST_WHOLE} whole numbers between its bounds at most");
            let value = format!("{path}={low}..{high}");
            return Err(ReplayError::option("--fit", value, allowed, "narrow it"));
        }
        Ok(open)
    }

    /// What it takes to set it.
    pub fn changes(&self, value: f64) -> Vec<Change> {
        let text = match self.whole {
            true => format!("{value:.0}"),
            // A TOML float, that reads back as it is.
            false => format!("{value:?}"),
        };
        self.paths
            .iter()
            .map(|path| (path.clone(), text.clone()))
            .collect()
    }

    /// A place between the bounds, 0 to 1, as a value.
    pub fn at(&self, place: f64) -> f64 {
        let value = self.low + (self.high - self.low) * place;
        match (self.whole, self.told) {
            (false, _) => value,
            (true, None) => value.round(),
            (true, Some((low, high))) => value.round().clamp(low, high),
        }
    }

    /// The whole numbers that it may be.
    pub fn numbers(&self) -> impl Iterator<Item = f64> {
        let (low, high) = self.told.unwrap_or((self.low, self.high));
        (low as i64..=high as i64).map(|number| number as f64)
    }

    /// Leaves of the numbers of retries only those that a log does not contradict: who tried so often may, and
    /// where one of the window gave up after as many tries as any of the log had, that was the last. What
    /// ends a request otherwise (the time that clients wait in all, a budget of retries, what is not tried
    /// again) tells no most; `others` are the paths that are open beside it.
    ///
    /// # Errors
    /// When more tries were seen than its bounds permit.
    pub fn told_by(
        &mut self,
        window: &[Seen],
        all: &[Seen],
        clients: &Clients,
        others: &[String],
    ) -> Result<(), ReplayError> {
        let tries = |it: &Seen| it.attempts.unwrap_or(0);
        let most = |of: &[Seen]| of.iter().map(tries).max().unwrap_or(0);
        let seen = most(window);
        if self.path != MAX_RETRIES || clients.hedge.is_some() || seen == 0 {
            return Ok(());
        }
        let least = f64::from(seen - 1);
        if least > self.high {
            let value = format!("{}={}..{}", self.path, self.low, self.high);
            let allowed =
                format!("must reach {least}: a request of the calm window was tried {seen} times");
            return Err(ReplayError::option("--fit", value, allowed, "widen it"));
        }
        let gave_up = |it: &Seen| {
            tries(it) == seen && !matches!(it.ending, Ending::Completed | Ending::Cancelled)
        };
        let ends_otherwise = |path: &String| {
            let fields = ["timeout_ms", "retry_budget", "retry_on", "hedge"];
            fields.iter().any(|it| path.contains(it))
        };
        let is_last = seen > 1
            && least >= self.low
            && most(all) == seen
            && window.iter().any(gave_up)
            && clients.timeout_ms.is_none()
            && matches!(clients.retry_budget, RetryBudget::None {})
            && RetryOn::ALL.iter().all(|it| clients.retry_on.contains(it))
            && !others.iter().any(ends_otherwise);
        let low = least.max(self.low);
        self.told = Some((low, if is_last { low } else { self.high }));
        self.is_last = is_last;
        Ok(())
    }

    /// Whether those that gave up leave one number alone.
    pub fn is_told(&self) -> bool {
        self.is_last
    }

    /// A value as a place between the bounds.
    pub fn place(&self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }
}

/// The language-model pools in place of `*`.
fn expand(path: &str, stage: &Stage) -> Result<Vec<String>, ReplayError> {
    let Some(rest) = path.strip_prefix("pools.*.") else {
        return Ok(vec![path.to_owned()]);
    };
    let paths: Vec<String> = llm_pools(stage)
        .iter()
        .map(|(index, _)| format!("pools.{index}.{rest}"))
        .collect();
    if paths.is_empty() {
        let allowed = "names the language-model pools, and the scenario has none";
        return Err(ReplayError::option(
            "--fit",
            path,
            allowed,
            "name a field that it has",
        ));
    }
    Ok(paths)
}

fn llm_pools(stage: &Stage) -> Vec<(usize, serde_json::Value)> {
    let json = stage.document().to_json();
    let pools = json
        .get("pools")
        .and_then(|pools| pools.as_array())
        .cloned();
    let pools = pools.unwrap_or_default().into_iter().enumerate();
    let is_llm = |pool: &serde_json::Value| pool.get("engine").is_some_and(|it| it == "llm");
    pools.filter(|(_, pool)| is_llm(pool)).collect()
}

/// What a scenario leaves open where nobody says what is, of what it does not state: the fixed overhead of
/// the engine, the way there and back, and retries, where requests of the calm window were tried again.
/// What an engine adds for each sequence is hardly told apart from its fixed overhead by some minutes of a
/// log, so that it is open only where somebody asks. Also what is left as it is since the window does not tell
/// it, in words.
///
/// # Errors
/// When the scenario cannot be changed there.
pub fn by_default(stage: &Stage, calm: &[Seen]) -> Result<(Vec<Open>, Vec<String>), ReplayError> {
    let json = stage.document().to_json();
    let states = |pointer: &str| json.pointer(pointer).is_some();
    let pools = llm_pools(stage);
    let pools_state = |field: &str| {
        let mut pools = pools.iter();
        pools.any(|(_, pool)| pool.get(field).is_some() || pool.get("engine_profile").is_some())
    };
    let mut open = Vec::new();
    let mut add = |path: &str, low: f64, high: f64| -> Result<(), ReplayError> {
        open.push(Open::new(path, low, high, stage)?);
        Ok(())
    };
    if !pools.is_empty() && !pools_state("overhead_fixed_us") {
        add("pools.*.overhead_fixed_us", 0.0, 20_000.0)?;
    }
    if !states("/gateway/cost_ms") {
        add("gateway.cost_ms", 0.0, 500.0)?;
    }
    let clients = stage.plan(&[])?.scenario.clients.unwrap_or_default();
    // What a scenario states that waits are at most bounds the first of them, too.
    let most_base_ms = clients
        .backoff
        .max_ms
        .unwrap_or(MOST_BASE_MS)
        .min(MOST_BASE_MS);
    let tried = calm.iter().filter_map(|it| it.attempts).max().unwrap_or(1);
    let most_retries = f64::from(tried.saturating_sub(1)).clamp(MOST_RETRIES, MOST_WHOLE);
    let retries = [
        ("/clients/max_retries", MAX_RETRIES, (0.0, most_retries)),
        (
            "/clients/backoff/base_ms",
            "clients.backoff.base_ms",
            (f64::min(1.0, 0.1 * most_base_ms), most_base_ms),
        ),
    ];
    let retries = retries.into_iter().filter(|it| !states(it.0));
    let again = |request: &Seen| request.attempts.is_some_and(|tries| tries > 1);
    if calm.iter().any(again) {
        for (_, path, (low, high)) in retries {
            add(path, low, high)?;
        }
        return Ok((open, Vec::new()));
    }
    let left: Vec<String> = retries
        .map(|(_, path, _)| match path {
            MAX_RETRIES => format!("{path} at {}", clients.max_retries),
            _ => format!("{path} at {}", clients.backoff.base_ms),
        })
        .collect();
    let why = match calm.iter().any(|request| request.attempts.is_some()) {
        true => "no request of the calm window that is fitted to was tried again",
        false => "the log does not tell how often a request was tried",
    };
    let said = format!(
        "not fitted, and left as the scenario has it: {} ({why}); state what clients do, or name a field with \
         --fit",
        left.join(", ")
    );
    Ok((open, if left.is_empty() { left } else { vec![said] }))
}
