//! `seatrial faults import`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::super::{Failure, Finished};
use super::told::{faults, names, plural, reasons, stamp};
use crate::cli::ending::ends;
use crate::cli::spare::spare;
use crate::report::number::count;
use crate::scenario::resolve::resolve;
use crate::scenario::text::MAX_BYTES;
use crate::scenario::{Document, MOST_S, SourceText, nearest};
use crate::trace::faults::{
    FaultFormat, FaultImport, KubernetesOptions, NodeRule, import_kubernetes_events,
    import_spot_notices, read_records, start_instant,
};

/// Arguments of `faults import`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Standard output gets the file, or with --output one line; standard error says what was read, \
                  what was skipped and why, which replica each node is, and what is assumed."
)]
pub struct ImportArgs {
    /// Output of `kubectl get events -A -o json`, or spot notices, one JSON object a line, or a
    /// timeline (TOML, `[[faults.timeline]]` with `at` and `until` as times); .gz accepted
    pub(super) file: PathBuf,
    /// Its format, kubernetes, spot or timeline, instead of finding it from the content
    #[arg(long, value_parser = FaultFormat::from_str)]
    format: Option<FaultFormat>,
    /// When the simulated run starts, such as 2026-03-01T12:00:00Z
    #[arg(long, value_name = "RFC3339")]
    pub(super) start: String,
    /// Nodes of this name, with * and ?, are the replicas of a pool (may be repeated; the first
    /// that fits counts)
    #[arg(long, value_name = "PATTERN=POOL")]
    pub(super) node: Vec<String>,
    /// Checks that this scenario has the pools, and as many replicas as there are nodes
    #[arg(long, value_name = "SCENARIO.toml")]
    pub(super) scenario: Option<PathBuf>,
    /// Seconds that an evicted replica is gone [default: 300, an assumption]
    #[arg(long, value_name = "SECONDS")]
    pub(super) evicted_for_s: Option<f64>,
    /// Seconds between probes: a replica that fails one hangs for as long [default: 10, that of
    /// periodSeconds]
    #[arg(long, value_name = "SECONDS")]
    pub(super) probe_period_s: Option<f64>,
    /// Seconds that a container stays away after it was last backed off [default: 300, the longest
    /// back-off]
    #[arg(long, value_name = "SECONDS")]
    pub(super) back_off_s: Option<f64>,
    /// Writes to this file instead of standard output
    #[arg(long, short, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
}

pub fn import(args: &ImportArgs) -> Result<Finished, Failure> {
    let rules = rules_of(&args.node)?;
    let start = start_instant(&args.start).map_err(|_| {
        Failure::of(format!(
            "--start {}: must be an RFC 3339 time; write, for example, 2026-03-01T12:00:00Z",
            args.start
        ))
    })?;
    let options = options_of(args)?;
    if let Some(output) = &args.output {
        check_output(output, &args.file)?;
    }
    let name = args.file.display().to_string();
    let text = read_records(&args.file).map_err(Failure::of)?;
    let format = match args.format {
        Some(format) => format,
        None => FaultFormat::of(&text, &name).map_err(Failure::of)?,
    };
    if format == FaultFormat::Timeline {
        return super::timeline::import(args, &text, &name, start);
    }
    if args.node.is_empty() {
        return Err(Failure::of(format!(
            "--node: is needed to tell which replicas the nodes in {name} are; give, for example, \
             --node 'gpu-*=h100'"
        )));
    }
    check_used(args, format)?;
    let import = match format {
        FaultFormat::Kubernetes => import_kubernetes_events(&text, &name, start, &rules, options),
        // A timeline has gone another way.
        FaultFormat::Spot | FaultFormat::Timeline => {
            import_spot_notices(&text, &name, start, &rules)
        }
    };
    let import = import.map_err(|error| match FaultFormat::of(&text, &name) {
        Ok(other) if other != format => Failure::of(format!(
            "--format {}: {name} looks like {}; leave --format out ({error})",
            format.name(),
            other.name()
        )),
        _ => Failure::of(error),
    })?;
    let read = Read {
        args,
        name,
        format,
        rules,
        options,
        import,
    };
    read.check()?;
    let toml = read.toml();
    if toml.len() as u64 > MAX_BYTES {
        return Err(Failure::of(format!(
            "{}: {} faults make more than the 4 MiB that a file of faults may have; keep fewer \
             events in it, or fewer nodes with --node",
            read.name,
            count(read.import.faults.len() as u64)
        )));
    }
    let Some(output) = &args.output else {
        read.tell();
        return Ok(Finished::fine(toml));
    };
    std::fs::write(output, &toml).map_err(|error| {
        Failure::of(format!(
            "{}: cannot write: {error}; check the folder given with --output",
            output.display()
        ))
    })?;
    read.tell();
    Ok(Finished::fine(format!(
        "{}: {} written; a scenario reads it with faults.file, relative to the scenario\n",
        output.display(),
        faults(read.import.faults.len())
    )))
}

fn rules_of(nodes: &[String]) -> Result<Vec<NodeRule>, Failure> {
    let rules = nodes.iter().map(|text| {
        let refuse = |why: &str| {
            Failure::of(format!(
                "--node {text}: {why}; write, for example, 'gpu-*=h100'"
            ))
        };
        let Some((pattern, pool)) = text.split_once('=') else {
            return Err(refuse("must be PATTERN=POOL"));
        };
        if pattern.is_empty() {
            return Err(refuse("the pattern must not be empty"));
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if !(1..=64).contains(&pool.len()) || !pool.bytes().all(plain) {
            let why = "the pool must have a name of 1 to 64 letters (a to z), digits, `_` and `-`";
            return Err(refuse(why));
        }
        Ok(NodeRule {
            pattern: pattern.to_owned(),
            pool: pool.to_owned(),
        })
    });
    rules.collect()
}

fn options_of(args: &ImportArgs) -> Result<KubernetesOptions, Failure> {
    let stated = |name: &str, value: Option<f64>, default: f64| match value {
        Some(value) if !(value > 0.0 && value <= MOST_S) => Err(Failure::of(format!(
            "--{name} {value}: must be above 0 and at most 100,000,000; give a length in seconds"
        ))),
        other => Ok(other.unwrap_or(default)),
    };
    let default = KubernetesOptions::default();
    Ok(KubernetesOptions {
        evicted_for_s: stated("evicted-for-s", args.evicted_for_s, default.evicted_for_s)?,
        probe_period_s: stated(
            "probe-period-s",
            args.probe_period_s,
            default.probe_period_s,
        )?,
        back_off_s: stated("back-off-s", args.back_off_s, default.back_off_s)?,
    })
}

/// Options that would do nothing are refused.
fn check_used(args: &ImportArgs, format: FaultFormat) -> Result<(), Failure> {
    let stated = [
        ("evicted-for-s", args.evicted_for_s),
        ("probe-period-s", args.probe_period_s),
        ("back-off-s", args.back_off_s),
    ];
    match stated
        .iter()
        .find_map(|(name, value)| Some((name, (*value)?)))
    {
        Some((name, value)) if format == FaultFormat::Spot => Err(Failure::of(format!(
            "--{name} {value}: does nothing with spot notices, only with events of Kubernetes; \
             remove it"
        ))),
        _ => Ok(()),
    }
}

fn check_output(output: &Path, input: &Path) -> Result<(), Failure> {
    let shown = output.display();
    if output.extension().is_some_and(|ending| ending == "gz") {
        return Err(Failure::of(format!(
            "--output {shown}: a file of faults is not compressed; give a name without .gz"
        )));
    }
    spare(&[input], &[("--output", Some(output))])?;
    ends("--output", Some(output), &[".toml"])
}

/// What was read.
pub(super) struct Read<'a> {
    pub(super) args: &'a ImportArgs,
    pub(super) name: String,
    pub(super) format: FaultFormat,
    pub(super) rules: Vec<NodeRule>,
    pub(super) options: KubernetesOptions,
    pub(super) import: FaultImport,
}

impl Read<'_> {
    pub(super) fn records(&self, number: u64) -> String {
        let one = match self.format {
            FaultFormat::Kubernetes => "event",
            FaultFormat::Spot => "notice",
            FaultFormat::Timeline => "entry",
        };
        plural(number, one)
    }

    fn check(&self) -> Result<(), Failure> {
        let import = &self.import;
        if !import.seen.is_empty() {
            self.check_rules()?;
        }
        if import.faults.is_empty() {
            return Err(Failure::of(self.nothing_left()));
        }
        let farthest = import
            .faults
            .iter()
            .map(|fault| fault.at_s)
            .fold(0.0, f64::max);
        if farthest > MOST_S {
            return Err(Failure::of(format!(
                "--start {}: a fault begins {} s after it, at most 100,000,000 are allowed; give \
                 the start of the run",
                self.args.start,
                count(farthest as u64)
            )));
        }
        match &self.args.scenario {
            Some(scenario) => self.check_scenario(scenario),
            None => Ok(()),
        }
    }

    /// Every rule must be the first that fits some node.
    fn check_rules(&self) -> Result<(), Failure> {
        let rule_of = |node: &String| self.rules.iter().position(|rule| rule.fits(node));
        let used: BTreeSet<usize> = self.import.seen.iter().filter_map(rule_of).collect();
        for (index, rule) in self.rules.iter().enumerate() {
            if used.contains(&index) {
                continue;
            }
            let any = self.import.seen.iter().any(|node| rule.fits(node));
            let (why, remedy) = match any {
                true => (
                    "fits only nodes that an earlier --node fits, too".to_owned(),
                    "put it first, or remove it",
                ),
                false => (
                    format!(
                        "fits no node of {}; its nodes are {}",
                        self.name,
                        names(&self.import.seen)
                    ),
                    "correct the pattern, where * is any text and ? any one character, or remove \
                     it",
                ),
            };
            return Err(Failure::of(format!(
                "--node {}={}: {why}; {remedy}",
                rule.pattern, rule.pool
            )));
        }
        Ok(())
    }

    /// Why there is no fault.
    fn nothing_left(&self) -> String {
        let import = &self.import;
        let over = ["over before the start", "gone before the start"];
        let over = over.iter().any(|why| import.skipped.contains_key(*why));
        let skipped = match import.skipped.is_empty() {
            true => String::new(),
            false => format!(" ({})", reasons(&import.skipped)),
        };
        match import.span {
            Some((first, last)) if over => format!(
                "--start {}: is after all that {} tells of, {} to {}{skipped}; give an earlier \
                 start",
                self.args.start,
                self.name,
                stamp(first),
                stamp(last)
            ),
            _ => format!(
                "{}: holds no fault: {} read, none of them left{skipped}; give a file with faults \
                 of nodes or pods",
                self.name,
                self.records(import.read)
            ),
        }
    }

    /// The scenario must have the pools, and a replica for every node.
    fn check_scenario(&self, path: &Path) -> Result<(), Failure> {
        let source = SourceText::load(path).map_err(Failure::of)?;
        let mut document = Document::parse(source).map_err(Failure::of)?;
        // The file of faults is about to be made: it may be missing.
        let _ = document.unset("faults.file");
        let folder = path.parent().unwrap_or(Path::new(""));
        let plan = resolve(&document, folder).map_err(Failure::of)?;
        let shown = path.display();
        for rule in &self.rules {
            let pool = plan.fleet.pools.iter().find(|pool| pool.name == rule.pool);
            let option = format!("--node {}={}", rule.pattern, rule.pool);
            let Some(pool) = pool else {
                let known: BTreeSet<String> = plan
                    .fleet
                    .pools
                    .iter()
                    .map(|pool| pool.name.clone())
                    .collect();
                let remedy = match nearest(&rule.pool, known.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "use one of these".to_owned(),
                };
                return Err(Failure::of(format!(
                    "{option}: there is no pool `{}` in {shown}; its pools are {}; {remedy}",
                    rule.pool,
                    names(&known)
                )));
            };
            let nodes = self.import.nodes.keys().filter(|it| it.0 == rule.pool);
            let most = nodes.map(|it| it.1.saturating_add(1)).max().unwrap_or(0);
            if most > pool.replicas {
                return Err(Failure::of(format!(
                    "{option}: {} nodes with events for the {} of pool `{}` in {shown}; narrow \
                     the pattern, or set pools.{}.replicas",
                    count(u64::from(most)),
                    plural(u64::from(pool.replicas), "replica"),
                    rule.pool,
                    rule.pool
                )));
            }
        }
        Ok(())
    }
}
