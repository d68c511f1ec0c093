//! One request as it is joined: its tries, and spans that are views of them.

use super::attempt::{ALLOCATION, Again, Attempt};
use super::record::Ending;

/// One request: its tries so far.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) whole: Attempt,
    /// The tries, or spans, that it is made of.
    pub(super) members: Vec<Member>,
    /// Whether a try of it completed.
    completed: bool,
    /// The end of the last try that ended; the start of the last one without an end.
    ends_ns: u64,
    /// What `members` take, bytes.
    pub(super) members_bytes: usize,
}

/// A try or a span of a request.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) span: Option<Box<str>>,
    pub(super) parent: Option<Box<str>>,
    pub(super) logger: Option<Box<str>>,
    pub(super) start_ns: u64,
    pub(super) end_ns: Option<u64>,
    ending: Ending,
    /// A hash of all that it tells.
    told: u64,
    /// Spans directly within it.
    within: u32,
}

impl Group {
    pub(super) fn of(attempt: Attempt) -> Group {
        let member = Member::of(&attempt);
        Group {
            completed: attempt.ending == Ending::Completed,
            ends_ns: attempt.end_ns.unwrap_or(attempt.start_ns),
            members_bytes: member.bytes(),
            members: vec![member],
            whole: attempt,
        }
    }

    /// What it takes in memory, bytes, with its places in the maps of the joiner.
    pub(super) fn bytes(&self) -> usize {
        let key = self.whole.key.as_ref().map_or(0, |it| it.len());
        let own = size_of::<Group>() - size_of::<Attempt>();
        own + self.whole.bytes() + self.members_bytes + key + 8 * ALLOCATION
    }

    pub(super) fn add(&mut self, member: Member) {
        self.members_bytes += member.bytes();
        self.members.push(member);
    }

    /// Whether an attempt that starts now may belong to it.
    pub(super) fn may_grow(&self, now_ns: u64, window_ns: u64) -> bool {
        if self.whole.key.is_none() || window_ns == 0 {
            return false;
        }
        let wait_ns = if self.completed { 0 } else { window_ns };
        now_ns <= self.ends_ns.saturating_add(wait_ns)
    }

    /// Whether an attempt is one of its members, delivered once more.
    pub(super) fn has(&self, attempt: &Attempt) -> bool {
        match attempt.again {
            Again::BySpan => self.members.iter().any(|member| {
                let times = (member.start_ns, member.end_ns, member.ending);
                let same = times == (attempt.start_ns, attempt.end_ns, attempt.ending);
                same && member.span == attempt.span
            }),
            // A start alone is too little to be known by.
            Again::ByAll if attempt.end_ns.is_none() && attempt.span.is_none() => false,
            Again::ByAll => self.has_one_like(attempt),
            Again::Never => false,
        }
    }

    /// Whether a member tells just what an attempt does.
    pub(super) fn has_one_like(&self, attempt: &Attempt) -> bool {
        let told = attempt.told();
        self.members.iter().any(|member| member.told == told)
    }

    /// The member that an attempt is within: its parent, or what another service logged around it.
    pub(super) fn around(&self, attempt: &Attempt) -> Option<usize> {
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
    pub(super) fn part_of(&self, attempt: &Attempt) -> Option<usize> {
        let named = attempt.span.is_some();
        let mut members = self.members.iter();
        named
            .then(|| members.position(|member| member.parent == attempt.span))
            .flatten()
    }

    pub(super) fn tries_again(&self, attempt: &Attempt, window_ns: u64) -> bool {
        let overlaps = attempt.start_ns < self.ends_ns;
        if self.completed {
            return overlaps && attempt.ending != Ending::Completed;
        }
        attempt.start_ns <= self.ends_ns.saturating_add(window_ns)
    }

    /// Takes in a span that is within one of it.
    pub(super) fn absorb_view(&mut self, outer: usize, attempt: &Attempt) {
        let member = &mut self.members[outer];
        // Two spans of one logger within another are two tries of it.
        member.within += 1;
        let within = member.within;
        let whole = &mut self.whole;
        whole.attempts = whole.attempts.max(within);
        if attempt.ending == Ending::Completed {
            whole.first_token_ns = whole.first_token_ns.or(attempt.first_token_ns);
        }
        fill(whole, attempt);
        self.add(Member::of(attempt));
    }

    /// Takes in another try.
    pub(super) fn absorb_try(&mut self, attempt: &Attempt) {
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
        fill(whole, attempt);
        self.add(Member::of(attempt));
    }
}

/// Takes from another view of a request what it does not know yet.
pub(super) fn fill(whole: &mut Attempt, other: &Attempt) {
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
    pub(super) fn of(attempt: &Attempt) -> Member {
        Member {
            span: attempt.span.clone(),
            parent: attempt.parent.clone(),
            logger: attempt.logger.clone(),
            start_ns: attempt.start_ns,
            end_ns: attempt.end_ns,
            ending: attempt.ending,
            told: attempt.told(),
            within: 0,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let texts = [&self.span, &self.parent, &self.logger];
        let texts = texts.into_iter().flatten().map(|it| it.len() + ALLOCATION);
        // A list that grows has room for as many again.
        2 * size_of::<Member>() + texts.sum::<usize>()
    }

    pub(super) fn holds(&self, attempt: &Attempt) -> bool {
        let (Some(mine), Some(theirs)) = (self.end_ns, attempt.end_ns) else {
            return false;
        };
        self.start_ns <= attempt.start_ns && theirs <= mine
    }
}
