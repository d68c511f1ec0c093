//! Merging: newer over older, what is covered is left out.

use crate::engine::SimTime;

use super::file::SortedFile;
use super::purge::Erased;
use super::record::{Segment, Subject, Tombstone};
use super::rule::Keys;

/// What merging goes by.
pub(super) struct Terms<'a> {
    pub(super) keys: Keys,
    /// Records older than this are kept in groups.
    pub(super) settled: SimTime,
    /// What has been erased: groups do not cross these times.
    pub(super) erased: &'a Erased,
    /// Bytes at which a file is closed; none for a single file.
    pub(super) file_bytes: Option<u64>,
}

/// What comes of a merge.
#[derive(Debug, Clone, Default)]
pub(super) struct Merged {
    pub(super) files: Vec<SortedFile>,
    /// Segments that are in no file any more.
    pub(super) reclaimed: Vec<Segment>,
    /// Bytes of tombstones that are in no file any more.
    pub(super) tombstone_bytes: u64,
    /// Bytes of the files.
    pub(super) bytes: u64,
}

/// Merges segments and tombstones that were gathered from the newest source to the oldest, each in the
/// order of subjects. `held_below` says whether an older source that takes no part may hold a subject:
/// a tombstone is needed as long as one may. Files are numbered from `next_id` on.
pub(super) fn merge(
    mut segments: Vec<Segment>,
    mut tombstones: Vec<Tombstone>,
    terms: &Terms<'_>,
    held_below: &dyn Fn(Subject) -> bool,
    next_id: &mut u64,
) -> Merged {
    // Stable, so that the newest source of each subject stays first; fast on what is sorted in stretches.
    segments.sort_by_key(|segment| segment.subject);
    tombstones.sort_by_key(|tombstone| tombstone.subject);
    let mut merged = Merged::default();
    let mut open = Output::default();
    let (mut segments, mut tombstones) = (&segments[..], &tombstones[..]);
    loop {
        let next = [
            segments.first().map(|s| s.subject),
            tombstones.first().map(|t| t.subject),
        ];
        let Some(subject) = next.into_iter().flatten().min() else {
            break;
        };
        let many = segments.iter().take_while(|s| s.subject == subject).count();
        let (of, rest) = segments.split_at(many);
        segments = rest;
        let many = tombstones
            .iter()
            .take_while(|t| t.subject == subject)
            .count();
        let (covers, rest) = tombstones.split_at(many);
        tombstones = rest;
        let cover = widest(covers);
        let from = open.segments.len();
        for segment in of {
            if cover.is_some_and(|cover| segment.newest <= cover.stamp) {
                merged.reclaimed.push(*segment);
            } else {
                open.segments.push(*segment);
            }
        }
        if open.segments.len() > from + 1 {
            match terms.keys {
                Keys::Replaced => keep_latest(&mut open.segments, from, &mut merged.reclaimed),
                Keys::Appended => group(&mut open.segments, from, terms),
            }
        }
        open.bytes += open.segments[from..].iter().map(|s| s.bytes).sum::<u64>();
        let mut kept = 0;
        if let Some(cover) = cover
            && held_below(subject)
        {
            kept = cover.bytes;
            open.bytes += kept;
            open.tombstones.push(cover);
        }
        merged.tombstone_bytes += covers.iter().map(|t| t.bytes).sum::<u64>() - kept;
        if terms.file_bytes.is_some_and(|most| open.bytes >= most) {
            open.close(next_id, &mut merged);
        }
    }
    open.close(next_id, &mut merged);
    merged
}

#[derive(Default)]
struct Output {
    segments: Vec<Segment>,
    tombstones: Vec<Tombstone>,
    bytes: u64,
}

impl Output {
    fn close(&mut self, next_id: &mut u64, merged: &mut Merged) {
        merged.bytes += self.bytes;
        let Output {
            segments,
            tombstones,
            ..
        } = std::mem::take(self);
        if let Some(file) = SortedFile::new(*next_id, segments, tombstones) {
            *next_id += 1;
            merged.files.push(file);
        }
    }
}

/// The tombstone that reaches furthest, as old as the oldest: its deadline is that of all it stands for.
fn widest(covers: &[Tombstone]) -> Option<Tombstone> {
    // The newest source comes first, and `max_by_key` takes the last of equals.
    let mut cover = *covers.iter().rev().max_by_key(|cover| cover.stamp)?;
    cover.written = covers
        .iter()
        .fold(cover.written, |written, other| written.min(other.written));
    Some(cover)
}

/// Leaves the latest of the records from `from` on; of equally late ones the one written last.
fn keep_latest(segments: &mut Vec<Segment>, from: usize, reclaimed: &mut Vec<Segment>) {
    let mut latest = from;
    for at in from..segments.len() {
        if segments[at].newest > segments[latest].newest {
            latest = at;
        }
    }
    let kept = segments[latest];
    let rest = segments[from..].iter().enumerate();
    reclaimed.extend(rest.filter(|(at, _)| from + at != latest).map(|(_, s)| *s));
    segments.truncate(from);
    segments.push(kept);
}

/// Puts what nothing will tell apart into one segment, from `from` on, and the rest in order of time.
fn group(segments: &mut Vec<Segment>, from: usize, terms: &Terms<'_>) {
    let subject = segments[from].subject;
    segments[from..].sort_by_key(|segment| (segment.oldest, segment.newest));
    let stamps = terms.erased.stamps(subject);
    let mut last = from;
    for at in from + 1..segments.len() {
        let (a, b) = (segments[last], segments[at]);
        let settled = a.newest < terms.settled && b.newest < terms.settled;
        let apart = stamps
            .iter()
            .any(|stamp| (a.newest <= *stamp) != (b.newest <= *stamp));
        match a.records.checked_add(b.records) {
            Some(records) if settled && !apart => {
                segments[last] = Segment {
                    subject,
                    records,
                    bytes: a.bytes + b.bytes,
                    oldest: a.oldest.min(b.oldest),
                    newest: a.newest.max(b.newest),
                };
            }
            _ => {
                last += 1;
                segments[last] = b;
            }
        }
    }
    segments.truncate(last + 1);
}
