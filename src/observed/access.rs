//! A line of an access log, by what its fields mean.

use super::attempt::{Again, Attempt};
use super::envoy::FIRST_BYTE;
use super::error::ObservedError;
use super::http::{asks_model, ending_of_flags, ending_of_status};
use super::intake::{Intake, is_no_id};
use super::meaning::Meaning;
use super::record::Ending;
use super::stamp;

/// Which lines count, and how stamps without a zone are read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rules {
    /// Paths begin with one of these; any path where there are none.
    pub paths: Vec<String>,
    /// Where stamps without a zone were written, s east of UTC.
    pub offset_s: i32,
}

/// A line by the meaning of its fields. `-` is an absent value in all of these logs.
#[derive(Debug)]
pub(super) struct Access<'a> {
    fields: &'a [(Meaning, &'a str)],
}

/// Why a line is skipped, and what is there.
type Skip<'a> = (&'static str, &'a str);

impl<'a> Access<'a> {
    pub(super) fn of(fields: &'a [(Meaning, &'a str)]) -> Access<'a> {
        Access { fields }
    }

    fn get(&self, meaning: Meaning) -> Option<&'a str> {
        let mut fields = self.fields.iter();
        let found = fields.find(|it| it.0 == meaning && !matches!(it.1, "" | "-"))?;
        Some(found.1)
    }

    /// A field of a family such as `Duration(n)`, with its n.
    fn scaled(&self, pick: impl Fn(Meaning) -> Option<i32>) -> Option<(i32, &'a str)> {
        self.fields
            .iter()
            .filter(|it| !matches!(it.1, "" | "-"))
            .find_map(|(meaning, text)| Some((pick(*meaning)?, *text)))
    }

    /// Hands the request of this line over, or counts why it is none.
    pub(super) fn hand_over(
        &self,
        rules: &Rules,
        intake: &mut Intake,
    ) -> Result<(), ObservedError> {
        match self.attempt(rules, intake) {
            Ok(attempt) => intake.take(attempt),
            Err((reason, what)) => {
                intake.skip(reason, what);
                Ok(())
            }
        }
    }

    fn attempt(&self, rules: &Rules, intake: &mut Intake) -> Result<Attempt, Skip<'a>> {
        self.check_kind(rules)?;
        let (start_ns, end_ns, by_second) = self.span(rules, intake)?;
        let mut attempt = Attempt::at(start_ns);
        attempt.end_ns = end_ns;
        let first = self.scaled(|it| match it {
            Meaning::FirstByte(scale) => Some(scale),
            _ => None,
        });
        if let Some((scale, text)) = first {
            let after = stamp::number(text, scale).ok();
            attempt.first_token_ns = after.and_then(|after| start_ns.checked_add(after));
            match attempt.first_token_ns {
                Some(_) => intake.note(FIRST_BYTE),
                None => intake.leave_out("times to first byte that are none", text),
            }
        }
        (attempt.ending, attempt.code) = self.ending(intake)?;
        attempt.bytes_in = self.whole(Meaning::BytesIn, "with a number of bytes that is none")?;
        attempt.bytes_out = self.whole(Meaning::BytesOut, "with a number of bytes that is none")?;
        const TOKENS: &str = "with a number of tokens that is none";
        attempt.prompt = self.whole(Meaning::PromptTokens, TOKENS)?;
        attempt.output = self.whole(Meaning::OutputTokens, TOKENS)?;
        attempt.cached = self.whole(Meaning::CachedTokens, TOKENS)?;
        let tries: Option<u32> =
            self.whole(Meaning::Attempts, "with a number of tries that is none")?;
        // No try at all went to a server where the request was refused before.
        attempt.attempts = tries.unwrap_or(1).max(1);
        // A line is of a request of a client, whatever the proxy tried for it.
        attempt.attempts_told = tries.is_some();
        self.name(&mut attempt, by_second);
        attempt.model = self.get(Meaning::Model).map(Box::from);
        attempt.tenant = self.get(Meaning::Tenant).map(Box::from);
        attempt.session = self.get(Meaning::Session).map(Box::from);
        Ok(attempt)
    }

    /// Puts in what its request and it are known by.
    fn name(&self, attempt: &mut Attempt, by_second: bool) {
        let trace = self.get(Meaning::TraceId).map(trace_of);
        let trace = trace.filter(|id| !is_no_id(id));
        let (request, line) = (self.get(Meaning::RequestId), self.get(Meaning::LineId));
        // A client that tries again sends another request of the same trace; its proxy gives each
        // an id of its own.
        attempt.key = trace.or(request).or(line).map(Box::from);
        let own = line.or(trace.and(request));
        attempt.span = own.map(Box::from);
        // What is refused at once takes 0 ms: a second has room for many tries that are alike.
        if by_second && own.is_none() && attempt.ending != Ending::Completed {
            attempt.again = Again::Never;
        }
    }

    /// Requests to a model are POSTs, on the paths that were asked for.
    fn check_kind(&self, rules: &Rules) -> Result<(), Skip<'a>> {
        let line = self.get(Meaning::RequestLine);
        let mut words = line.unwrap_or("").split(' ');
        let (of_line, path_of_line) = (words.next(), words.next());
        let method = self.get(Meaning::Method).or(line.and(of_line));
        if let Some(method) = method
            && !asks_model(method)
        {
            return Err(("that are no POST: they ask no model", method));
        }
        if rules.paths.is_empty() {
            return Ok(());
        }
        let path = self
            .get(Meaning::Path)
            .or(path_of_line)
            .map(without_host)
            .unwrap_or("");
        let wanted = rules.paths.iter().any(|it| path.starts_with(it.as_str()));
        match wanted {
            true => Ok(()),
            false => Err(("on other paths", path)),
        }
    }

    /// When it came and when it ended, and whether that is known to the second only.
    fn span(
        &self,
        rules: &Rules,
        intake: &mut Intake,
    ) -> Result<(u64, Option<u64>, bool), Skip<'a>> {
        let duration = self.scaled(|it| match it {
            Meaning::Duration(scale) => Some(scale),
            _ => None,
        });
        let duration = match duration {
            None => None,
            Some((scale, text)) => {
                let ns = stamp::number(text, scale).ok().filter(|ns| *ns < 1 << 60);
                Some(ns.ok_or(("with a duration that is none", text))?)
            }
        };
        const FAR: &str = "with a stamp out of range";
        if let Some(start) = self.start(rules, intake)? {
            let (ns, by_second) = (start.ns, start.by_second);
            return Ok(match duration {
                Some(after) => {
                    let end = ns.checked_add(after).ok_or((FAR, start.text))?;
                    (ns, Some(end), by_second)
                }
                None => match self.end(rules, intake)? {
                    Some(end) => (ns, Some(end.ns), by_second && end.by_second),
                    None => (ns, None, by_second),
                },
            });
        }
        let Some(end) = self.end(rules, intake)? else {
            return Err(("without a time", ""));
        };
        let (end, text, by_second) = (end.ns, end.text, end.by_second);
        match duration {
            Some(ns) => {
                let start = end.checked_sub(ns).ok_or((FAR, text))?;
                Ok((start, Some(end), by_second))
            }
            None => {
                intake.leave_out(
                    "starts: without a duration, the time of the line is taken for the arrival",
                    text,
                );
                Ok((end, None, by_second))
            }
        }
    }

    fn start(&self, rules: &Rules, intake: &mut Intake) -> Result<Option<Stamp<'a>>, Skip<'a>> {
        const BAD: &str = "with a start that is no time";
        let number = self.scaled(|it| match it {
            Meaning::StartNumber(scale) => Some(scale),
            _ => None,
        });
        if let Some((scale, text)) = number {
            let ns = stamp::number(text, scale).map_err(|_| (BAD, text))?;
            return Ok(Some(Stamp::of_number(ns, text, scale)));
        }
        let otherwise = || self.get(Meaning::StartOtherwise);
        let Some(text) = self.get(Meaning::Start).or_else(otherwise) else {
            return Ok(None);
        };
        let (ns, zoned) = stamp::iso(text, rules.offset_s).map_err(|_| (BAD, text))?;
        intake.saw_zone(zoned);
        Ok(Some(Stamp::of_date(ns, text)))
    }

    fn end(&self, rules: &Rules, intake: &mut Intake) -> Result<Option<Stamp<'a>>, Skip<'a>> {
        const BAD: &str = "with an end that is no time";
        let number = self.scaled(|it| match it {
            Meaning::EndNumber(scale) => Some(scale),
            _ => None,
        });
        if let Some((scale, text)) = number {
            let ns = stamp::number(text, scale).map_err(|_| (BAD, text))?;
            return Ok(Some(Stamp::of_number(ns, text, scale)));
        }
        if let Some(text) = self.get(Meaning::EndCommon) {
            let ns = stamp::common_log(text).map_err(|_| (BAD, text))?;
            intake.saw_zone(true);
            return Ok(Some(Stamp::of_date(ns, text)));
        }
        let Some(text) = self.get(Meaning::End) else {
            return Ok(None);
        };
        let (ns, zoned) = stamp::iso(text, rules.offset_s).map_err(|_| (BAD, text))?;
        intake.saw_zone(zoned);
        Ok(Some(Stamp::of_date(ns, text)))
    }

    fn ending(&self, intake: &mut Intake) -> Result<(Ending, Option<Box<str>>), Skip<'a>> {
        let flags = self.get(Meaning::Flags);
        let status = self.get(Meaning::Status);
        let code = match status {
            Some(text) => {
                let code = text.parse::<u16>().ok().filter(|code| *code < 600);
                Some(code.ok_or(("with a status that is none", text))?)
            }
            None => None,
        };
        let by_flags = flags.and_then(ending_of_flags);
        let by_status = match code {
            Some(code) => Some(ending_of_status(code).ok_or((
                "with a status that answers nothing: redirects and upgrades",
                status.unwrap_or(""),
            ))?),
            None => None,
        };
        let ending = by_flags.or(by_status).unwrap_or_else(|| {
            let what = flags.unwrap_or("no status and no flags");
            intake.leave_out("endings: they are taken for completed", what);
            Ending::Completed
        });
        let shown = match (status, flags) {
            (Some(status), Some(flags)) => Some(format!("{status} {flags}")),
            (Some(status), None) if status != "200" => Some(status.to_owned()),
            (None, Some(flags)) => Some(flags.to_owned()),
            _ => None,
        };
        Ok((ending, shown.map(String::into_boxed_str)))
    }

    /// A whole number, where the field is there.
    fn whole<T: std::str::FromStr>(
        &self,
        meaning: Meaning,
        reason: &'static str,
    ) -> Result<Option<T>, Skip<'a>> {
        let Some(text) = self.get(meaning) else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| (reason, text))
    }
}

/// A time as a field tells it.
struct Stamp<'a> {
    ns: u64,
    text: &'a str,
    /// Whether it tells nothing below a second.
    by_second: bool,
}

impl<'a> Stamp<'a> {
    fn of_number(ns: u64, text: &'a str, scale: i32) -> Stamp<'a> {
        let by_second = scale >= 9 && !text.contains('.');
        Stamp {
            ns,
            text,
            by_second,
        }
    }

    fn of_date(ns: u64, text: &'a str) -> Stamp<'a> {
        Stamp::of_number(ns, text, 9)
    }
}

/// A path without `https://host`.
fn without_host(path: &str) -> &str {
    match path.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => path,
    }
}

/// The trace of a `traceparent` header: `00-TRACE-SPAN-FLAGS`; other ids as they are.
fn trace_of(text: &str) -> &str {
    let parts: Vec<&str> = text.split('-').collect();
    match parts.as_slice() {
        [version, trace, _, _] if version.len() == 2 && trace.len() == 32 => trace,
        _ => text,
    }
}
