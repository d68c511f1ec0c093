//! The tries of one request, joined.
//!
//! Attempts come by start. Those that share a key are tries of one request if an earlier one did
//! not complete and this one starts within a window after it ended (a retry), or if they overlap
//! and one of them did not complete (a hedge); a span within another is a view of the same try.
//! After a request that completed, its key begins another one: the next call of a conversation.

use std::collections::{BTreeMap, VecDeque};

use super::attempt::Attempt;
use super::record::Ending;
use super::report::{Joined, SkewEstimate};

/// Records of one request: a key that a whole log shares is none that tells requests apart.
const MOST_MEMBERS: usize = 256;
/// Pairs of spans whose clocks are compared, of each two services.
const PAIRS_KEPT: usize = 1024;

/// Joins tries; it holds the requests of the window, so that they come out by arrival.
#[derive(Debug)]
pub struct Joiner {
    window_ns: u64,
    open: BTreeMap<(u64, u64), Group>,
    by_key: BTreeMap<Box<str>, (u64, u64)>,
    ready: VecDeque<Attempt>,
    pub(super) joined: Joined,
    skews: BTreeMap<(Box<str>, Box<str>), Leads>,
}

/// One request: its tries so far.
#[derive(Debug)]
struct Group {
    whole: Attempt,
    /// The tries, or spans, that it is made of.
    members: Vec<Member>,
    /// Whether a try of it completed.
    completed: bool,
    /// The end of the last try that ended; the start of the last one without an end.
    ends_ns: u64,
}

#[derive(Debug)]
struct Member {
    span: Option<Box<str>>,
    parent: Option<Box<str>>,
    logger: Option<Box<str>>,
    start_ns: u64,
    end_ns: Option<u64>,
    /// Spans directly within it.
    within: u32,
}

#[derive(Debug, Default)]
struct Leads {
    pairs: u64,
    impossible: u64,
    leads_ns: Vec<i64>,
}

impl Joiner {
    /// Joins tries that start within so long after the one before ended; with 0, none.
    pub fn new(window_ns: u64) -> Joiner {
        Joiner {
            window_ns,
            open: BTreeMap::new(),
            by_key: BTreeMap::new(),
            ready: VecDeque::new(),
            joined: Joined::default(),
            skews: BTreeMap::new(),
        }
    }

    /// Takes the next attempt by start.
    pub fn push(&mut self, attempt: Attempt) {
        self.release(Some(attempt.start_ns));
        let key = attempt.key.clone().filter(|_| self.window_ns > 0);
        let found = key.as_ref().and_then(|key| self.by_key.get(key)).copied();
        if let Some(place) = found
            && let Some(group) = self.open.get_mut(&place)
            && group.members.len() < MOST_MEMBERS
        {
            if let Some(inner) = group.part_of(&attempt) {
                self.joined.within += 1;
                self.surround(place, inner, attempt);
                return;
            }
            if let Some(outer) = group.around(&attempt) {
                let inner = Member::of(&attempt);
                note_skew(&mut self.skews, &group.members[outer], &inner);
                self.joined.within += 1;
                group.absorb_view(outer, attempt);
                return;
            }
            if group.tries_again(&attempt, self.window_ns) {
                group.absorb_try(attempt);
                return;
            }
        }
        let place = (attempt.start_ns, attempt.number);
        if let Some(key) = key {
            self.by_key.insert(key, place);
        }
        self.open.insert(place, Group::of(attempt));
        self.joined.most_held = self.joined.most_held.max(self.open.len() as u64);
    }

    /// A span around what was taken for the request: its clock is behind, so that it came later.
    fn surround(&mut self, place: (u64, u64), inner: usize, outer: Attempt) {
        let Some(group) = self.open.remove(&place) else {
            return;
        };
        let new_place = (outer.start_ns, outer.number);
        if let Some(key) = outer.key.clone() {
            self.by_key.insert(key, new_place);
        }
        let mut around = Group::of(outer);
        if let Some(member) = group.members.get(inner) {
            note_skew(&mut self.skews, &around.members[0], member);
        }
        around.whole.first_token_ns = around.whole.first_token_ns.or(group.whole.first_token_ns);
        fill(&mut around.whole, &group.whole);
        around.members.extend(group.members);
        self.open.insert(new_place, around);
    }

    /// The next request, by arrival; none until more attempts came.
    pub fn pop(&mut self) -> Option<Attempt> {
        self.ready.pop_front()
    }

    /// No attempt will follow: all requests are ready.
    pub fn finish(&mut self) {
        self.release(None);
    }

    /// What comparing clocks found.
    pub fn skew(&self) -> Vec<SkewEstimate> {
        let one = |((against, of), leads): (&(Box<str>, Box<str>), &Leads)| {
            let mut sorted = leads.leads_ns.clone();
            sorted.sort_unstable();
            let median = sorted.get(sorted.len() / 2).copied().unwrap_or(0);
            SkewEstimate {
                of: of.to_string(),
                against: against.to_string(),
                pairs: leads.pairs,
                impossible: leads.impossible,
                lead_ms: median as f64 / 1e6,
            }
        };
        self.skews.iter().map(one).collect()
    }

    /// Moves what no later attempt can belong to out, in order of arrival.
    fn release(&mut self, now_ns: Option<u64>) {
        while let Some(entry) = self.open.first_entry() {
            let group = entry.get();
            if now_ns.is_some_and(|now| group.may_grow(now, self.window_ns)) {
                return;
            }
            let place = *entry.key();
            let group = entry.remove();
            if let Some(key) = &group.whole.key
                && self.by_key.get(key) == Some(&place)
            {
                self.by_key.remove(key);
            }
            let tries = group.whole.attempts;
            if tries > 1 {
                self.joined.requests += 1;
                self.joined.retries += u64::from(tries - 1);
            }
            self.ready.push_back(group.whole);
        }
    }
}

impl Group {
    fn of(attempt: Attempt) -> Group {
        Group {
            completed: attempt.ending == Ending::Completed,
            ends_ns: attempt.end_ns.unwrap_or(attempt.start_ns),
            members: vec![Member::of(&attempt)],
            whole: attempt,
        }
    }

    /// Whether an attempt that starts now may belong to it.
    fn may_grow(&self, now_ns: u64, window_ns: u64) -> bool {
        if self.whole.key.is_none() || window_ns == 0 {
            return false;
        }
        let wait_ns = if self.completed { 0 } else { window_ns };
        now_ns <= self.ends_ns.saturating_add(wait_ns)
    }

    /// The member that an attempt is within: its parent, or what another service logged around it.
    fn around(&self, attempt: &Attempt) -> Option<usize> {
        let by_name = self.members.iter().position(|member| {
            let parent = attempt.parent.as_ref();
            parent.is_some() && member.span.as_ref() == parent
        });
        by_name.or_else(|| {
            self.members
                .iter()
                .position(|member| member.logger != attempt.logger && member.holds(attempt))
        })
    }

    /// The member that is a part of an attempt, by its parent's name.
    fn part_of(&self, attempt: &Attempt) -> Option<usize> {
        let named = attempt.span.is_some();
        let mut members = self.members.iter();
        named
            .then(|| members.position(|member| member.parent == attempt.span))
            .flatten()
    }

    fn tries_again(&self, attempt: &Attempt, window_ns: u64) -> bool {
        let overlaps = attempt.start_ns < self.ends_ns;
        if self.completed {
            return overlaps && attempt.ending != Ending::Completed;
        }
        attempt.start_ns <= self.ends_ns.saturating_add(window_ns)
    }

    /// Takes in a span that is within one of it.
    fn absorb_view(&mut self, outer: usize, attempt: Attempt) {
        let member = &mut self.members[outer];
        // Two spans of one logger within another are two tries of it.
        member.within += 1;
        let within = member.within;
        let whole = &mut self.whole;
        whole.attempts = whole.attempts.max(within);
        if attempt.ending == Ending::Completed || whole.first_token_ns.is_none() {
            whole.first_token_ns = whole.first_token_ns.or(attempt.first_token_ns);
        }
        fill(whole, &attempt);
        self.members.push(Member::of(&attempt));
    }

    /// Takes in another try.
    fn absorb_try(&mut self, attempt: Attempt) {
        let whole = &mut self.whole;
        whole.attempts = whole.attempts.saturating_add(attempt.attempts);
        let completes = attempt.ending == Ending::Completed;
        let ends_ns = attempt.end_ns.unwrap_or(attempt.start_ns);
        // The answer is that of the try that completed, else of the last to end.
        if !self.completed && (completes || ends_ns >= self.ends_ns) {
            whole.ending = attempt.ending;
            whole.code.clone_from(&attempt.code);
            whole.first_token_ns = attempt.first_token_ns;
            whole.end_ns = attempt.end_ns;
            whole.output = attempt.output;
            whole.bytes_out = attempt.bytes_out;
            self.ends_ns = ends_ns;
        }
        self.completed |= completes;
        fill(whole, &attempt);
        self.members.push(Member::of(&attempt));
    }
}

/// Takes from another view of a request what it does not know yet.
fn fill(whole: &mut Attempt, other: &Attempt) {
    whole.prompt = whole.prompt.or(other.prompt);
    whole.cached = whole.cached.or(other.cached);
    whole.bytes_in = whole.bytes_in.or(other.bytes_in);
    if whole.ending == Ending::Completed && other.ending == Ending::Completed {
        whole.output = whole.output.or(other.output);
    }
    let texts = [
        (&mut whole.tenant, &other.tenant),
        (&mut whole.session, &other.session),
        (&mut whole.model, &other.model),
    ];
    for (mine, theirs) in texts {
        if mine.is_none() {
            mine.clone_from(theirs);
        }
    }
    if whole.blocks.is_none() {
        whole.blocks.clone_from(&other.blocks);
    }
}

impl Member {
    fn of(attempt: &Attempt) -> Member {
        Member {
            span: attempt.span.clone(),
            parent: attempt.parent.clone(),
            logger: attempt.logger.clone(),
            start_ns: attempt.start_ns,
            end_ns: attempt.end_ns,
            within: 0,
        }
    }

    fn holds(&self, attempt: &Attempt) -> bool {
        let (Some(mine), Some(theirs)) = (self.end_ns, attempt.end_ns) else {
            return false;
        };
        self.start_ns <= attempt.start_ns && theirs <= mine
    }
}

/// Compares the clocks of two services that logged a span and the one within it.
fn note_skew(skews: &mut BTreeMap<(Box<str>, Box<str>), Leads>, outer: &Member, inner: &Member) {
    let (Some(against), Some(of)) = (&outer.logger, &inner.logger) else {
        return;
    };
    let (Some(outer_end), Some(inner_end)) = (outer.end_ns, inner.end_ns) else {
        return;
    };
    if against == of {
        return;
    }
    let leads = skews.entry((against.clone(), of.clone())).or_default();
    leads.pairs += 1;
    let before = i128::from(inner.start_ns) - i128::from(outer.start_ns);
    let after = i128::from(inner_end) - i128::from(outer_end);
    leads.impossible += u64::from(before < 0 || after > 0);
    if leads.leads_ns.len() < PAIRS_KEPT
        && let Ok(lead) = i64::try_from((before + after) / 2)
    {
        leads.leads_ns.push(lead);
    }
}
