//! The tries of one request, joined.
//!
//! Attempts come by start. Those that share a key are tries of one request if an earlier one did
//! not complete and this one starts within a window after it ended (a retry), or if they overlap
//! and one of them did not complete (a hedge); a span within another is a view of the same try.
//! After a request that completed, its key begins another one: the next call of a conversation.
//!
//! Requests come out by arrival, so those that are over wait for one before them that is not. Where
//! that takes more memory than it may, they are put aside, on disk where there are many, and come
//! out at the end, as do all that are over later. Those that are not over are held in memory: a log with more of them than fit is refused.

use std::collections::{BTreeMap, VecDeque};

use super::attempt::{Again, Attempt};
use super::error::ObservedError;
use super::group::{Group, Member, fill};
use super::record::Ending;
use super::report::Joined;
use super::skew::Skews;
use super::sort::{Merge, Sorter};
use crate::trace::error::Text;

/// Records of one request: a key that a whole log shares is none that tells requests apart.
const MOST_MEMBERS: usize = 256;

/// When a request came, and its number in the log.
type Place = (u64, u64);

/// Joins tries; it holds the requests of the window, so that they come out by arrival.
#[derive(Debug)]
pub struct Joiner {
    name: Text,
    window_ns: u64,
    limits: Limits,
    open: BTreeMap<Place, Group>,
    /// What `open` takes, bytes.
    bytes: usize,
    /// More bytes than this are looked through for requests that are over.
    relieve_at: usize,
    by_key: BTreeMap<Box<str>, Place>,
    ready: VecDeque<Attempt>,
    /// Requests that are over and come after one that was not when they were put here; once there
    /// are any, all that follow.
    late: Option<Sorter>,
    rest: Option<Merge>,
    pub(super) joined: Joined,
    /// Tries that tell just what one before does, and might be that one, delivered twice.
    pub(super) alike: u64,
    pub(super) skews: Skews,
}

/// How much of a log is held in memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Records to be sorted; more are sorted on disk.
    pub held: usize,
    /// Bytes of them; also of requests that are over and wait for one that is not.
    pub held_bytes: usize,
    /// Bytes of requests that are not over; a log with more is refused.
    pub open_bytes: usize,
}

impl Joiner {
    /// Joins tries that start within so long after the one before ended; with 0, none. `name`
    /// stands for the log in errors.
    pub(super) fn new(name: Text, window_ns: u64, limits: Limits) -> Joiner {
        Joiner {
            name,
            window_ns,
            limits,
            open: BTreeMap::new(),
            bytes: 0,
            relieve_at: limits.held_bytes,
            by_key: BTreeMap::new(),
            ready: VecDeque::new(),
            late: None,
            rest: None,
            joined: Joined::default(),
            alike: 0,
            skews: Skews::default(),
        }
    }

    /// Takes the next attempt by start.
    ///
    /// # Errors
    /// When more requests are under way at once than are held in memory, or what waits for them
    /// cannot be put on disk.
    pub(super) fn push(&mut self, mut attempt: Attempt) -> Result<(), ObservedError> {
        // Nothing is counted of what failed: that is not known, and another try may tell it.
        if attempt.ending != Ending::Completed {
            attempt.prompt = attempt.prompt.filter(|tokens| *tokens > 0);
            attempt.bytes_in = attempt.bytes_in.filter(|bytes| *bytes > 0);
        }
        let now_ns = attempt.start_ns;
        self.release(Some(now_ns))?;
        self.join(attempt);
        self.joined.most_held = self.joined.most_held.max(self.open.len() as u64);
        match self.bytes > self.relieve_at {
            true => self.relieve(now_ns),
            false => Ok(()),
        }
    }

    /// Finds the request that an attempt belongs to, or begins one.
    fn join(&mut self, attempt: Attempt) {
        let key = attempt.key.clone().filter(|_| self.window_ns > 0);
        let found = key.as_ref().and_then(|key| self.by_key.get(key)).copied();
        if let Some(place) = found
            && let Some(group) = self.open.get_mut(&place)
            && group.members.len() < MOST_MEMBERS
        {
            if group.has(&attempt) {
                self.joined.twice += 1;
                return;
            }
            if attempt.again == Again::Never && group.has_one_like(&attempt) {
                self.alike += 1;
            }
            if let Some(inner) = group.part_of(&attempt) {
                self.joined.within += 1;
                self.surround(place, inner, attempt);
                return;
            }
            let before = group.bytes();
            if let Some(outer) = group.around(&attempt) {
                let inner = Member::of(&attempt);
                self.skews.note(&group.members[outer], &inner);
                self.joined.within += 1;
                group.absorb_view(outer, &attempt);
                self.bytes = self.bytes - before + group.bytes();
                return;
            }
            if group.tries_again(&attempt, self.window_ns) {
                group.absorb_try(&attempt);
                self.bytes = self.bytes - before + group.bytes();
                return;
            }
        }
        let place = (attempt.start_ns, attempt.number);
        if let Some(key) = key {
            self.by_key.insert(key, place);
        }
        self.put_in(place, Group::of(attempt));
    }

    fn put_in(&mut self, place: Place, group: Group) {
        self.bytes += group.bytes();
        self.open.insert(place, group);
    }

    fn take_out(&mut self, place: Place) -> Option<Group> {
        let group = self.open.remove(&place)?;
        self.bytes -= group.bytes();
        if let Some(key) = &group.whole.key
            && self.by_key.get(key) == Some(&place)
        {
            self.by_key.remove(key);
        }
        Some(group)
    }

    /// A span around what was taken for the request: its clock is behind, so that it came later.
    fn surround(&mut self, place: (u64, u64), inner: usize, outer: Attempt) {
        let Some(group) = self.take_out(place) else {
            return;
        };
        let new_place = (outer.start_ns, outer.number);
        if let Some(key) = outer.key.clone() {
            self.by_key.insert(key, new_place);
        }
        let mut around = Group::of(outer);
        if let Some(member) = group.members.get(inner) {
            self.skews.note(&around.members[0], member);
        }
        around.whole.first_token_ns = around.whole.first_token_ns.or(group.whole.first_token_ns);
        fill(&mut around.whole, &group.whole);
        around.members.extend(group.members);
        around.members_bytes += group.members_bytes;
        self.put_in(new_place, around);
    }

    /// The next request, by arrival; none until more attempts came.
    ///
    /// # Errors
    /// When what was put on disk cannot be read again.
    pub(super) fn pop(&mut self) -> Result<Option<Attempt>, ObservedError> {
        if let Some(next) = self.ready.pop_front() {
            return Ok(Some(next));
        }
        self.rest.as_mut().and_then(Iterator::next).transpose()
    }

    /// No attempt will follow: all requests are ready.
    ///
    /// # Errors
    /// When something cannot be put on disk.
    pub(super) fn finish(&mut self) -> Result<(), ObservedError> {
        self.release(None)?;
        self.rest = self.late.take().map(Sorter::finish).transpose()?;
        Ok(())
    }

    /// Moves what no later attempt can belong to out, in order of arrival.
    fn release(&mut self, now_ns: Option<u64>) -> Result<(), ObservedError> {
        while let Some((place, group)) = self.open.first_key_value() {
            if now_ns.is_some_and(|now| group.may_grow(now, self.window_ns)) {
                return Ok(());
            }
            let place = *place;
            let Some(group) = self.take_out(place) else {
                return Ok(());
            };
            self.count(&group.whole);
            match &mut self.late {
                None => self.ready.push_back(group.whole),
                Some(late) => {
                    self.joined.put_aside += 1;
                    late.push(group.whole)?;
                }
            }
        }
        Ok(())
    }

    /// Puts what is over on disk, and refuses a log of which the rest does not fit in memory.
    fn relieve(&mut self, now_ns: u64) -> Result<(), ObservedError> {
        let over = |group: &Group| !group.may_grow(now_ns, self.window_ns);
        let places = self.open.iter().filter(|(_, group)| over(group));
        let places: Vec<Place> = places.map(|(place, _)| *place).collect();
        for place in places {
            let Some(group) = self.take_out(place) else {
                continue;
            };
            self.count(&group.whole);
            self.joined.put_aside += 1;
            let Limits {
                held, held_bytes, ..
            } = self.limits;
            let late = &mut self.late;
            late.get_or_insert_with(|| Sorter::new(held, held_bytes))
                .push(group.whole)?;
        }
        if self.bytes > self.limits.open_bytes {
            return Err(ObservedError::TooManyOpen {
                path: self.name.clone(),
                count: self.open.len(),
                limit_mib: self.limits.open_bytes >> 20,
            });
        }
        // Looking again only once as much has come: each request is looked at a few times at most.
        let again = self.bytes.saturating_mul(2).min(self.limits.open_bytes);
        self.relieve_at = again.max(self.limits.held_bytes);
        Ok(())
    }

    fn count(&mut self, request: &Attempt) {
        if request.attempts > 1 {
            self.joined.requests += 1;
            self.joined.retries += u64::from(request.attempts - 1);
        }
    }
}
