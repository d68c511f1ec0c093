//! Sorted files, runs of them, and the levels that runs are in.

use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use crate::engine::SimTime;

use super::record::{Segment, Subject, Tombstone};

/// A file: segments and tombstones in the order of subjects.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SortedFile {
    /// Never used twice in a store; files of one merge have rising ones.
    pub(super) id: u64,
    /// Segments by subject.
    pub(super) segments: Vec<Segment>,
    /// Tombstones by subject, one for each at most.
    pub(super) tombstones: Vec<Tombstone>,
    /// Entries, tombstones among them.
    pub(super) entries: u64,
    /// Bytes, those of tombstones among them.
    pub(super) bytes: u64,
    /// Bytes of tombstones.
    pub(super) tombstone_bytes: u64,
    /// When the tombstone longest in the store was written.
    pub(super) oldest_tombstone: Option<SimTime>,
    first: Subject,
    last: Subject,
}

impl SortedFile {
    /// A file of what is sorted; `None` when there is nothing.
    pub(super) fn new(id: u64, segments: Vec<Segment>, tombstones: Vec<Tombstone>) -> Option<Self> {
        let firsts = [
            segments.first().map(|s| s.subject),
            tombstones.first().map(|t| t.subject),
        ];
        let lasts = [
            segments.last().map(|s| s.subject),
            tombstones.last().map(|t| t.subject),
        ];
        let first = firsts.into_iter().flatten().min()?;
        let last = lasts.into_iter().flatten().max()?;
        let tombstone_bytes = tombstones.iter().map(|t| t.bytes).sum::<u64>();
        let entries = segments.iter().map(|s| u64::from(s.records)).sum::<u64>()
            + tombstones.iter().map(|t| u64::from(t.entries)).sum::<u64>();
        Some(Self {
            id,
            entries,
            bytes: segments.iter().map(|s| s.bytes).sum::<u64>() + tombstone_bytes,
            tombstone_bytes,
            oldest_tombstone: tombstones.iter().map(|t| t.written).min(),
            first,
            last,
            segments,
            tombstones,
        })
    }

    /// From the first subject to the last.
    pub(super) fn range(&self) -> RangeInclusive<Subject> {
        self.first..=self.last
    }

    /// The segments of `subject`.
    pub(super) fn of(&self, subject: Subject) -> &[Segment] {
        &self.segments[self.place_of(subject)]
    }

    fn place_of(&self, subject: Subject) -> Range<usize> {
        let from = self.segments.partition_point(|s| s.subject < subject);
        // A subject has few of them.
        let own = self.segments[from..].iter();
        from..from + own.take_while(|s| s.subject == subject).count()
    }

    /// The tombstone of `subject`.
    pub(super) fn tombstone(&self, subject: Subject) -> Option<&Tombstone> {
        let at = self
            .tombstones
            .binary_search_by_key(&subject, |t| t.subject)
            .ok()?;
        self.tombstones.get(at)
    }

    /// Parts the segments of `subject` at `stamp`, in place. Totals stay as they are.
    pub(super) fn split(&mut self, subject: Subject, stamp: SimTime) {
        let place = self.place_of(subject);
        let own = self.segments[place.clone()].iter();
        let parts: Vec<Segment> = own.flat_map(|segment| segment.split(stamp)).collect();
        self.segments.splice(place, parts);
    }
}

/// What a search among many files goes by. It is kept beside them: each step would wait for memory else.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Span {
    first: Subject,
    last: Subject,
    bytes: u64,
}

impl Span {
    fn of(file: &SortedFile) -> Self {
        Self {
            first: file.first,
            last: file.last,
            bytes: file.bytes,
        }
    }
}

/// Files that do not overlap, in order.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Run {
    files: Vec<Arc<SortedFile>>,
    /// Those of the files, in their order.
    spans: Vec<Span>,
    bytes: u64,
    /// Files that have tombstones.
    with_tombstones: usize,
}

impl Run {
    fn new(files: Vec<SortedFile>) -> Self {
        let mut run = Self::default();
        run.splice(0..0, files.into_iter().map(Arc::new).collect());
        run
    }

    pub(super) fn files(&self) -> &[Arc<SortedFile>] {
        &self.files
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether what searches go by is what the files have.
    pub(super) fn is_indexed(&self) -> bool {
        let spans = self.files.iter().map(|file| Span::of(file));
        self.spans.iter().copied().eq(spans)
    }

    /// Those with tombstones; at no cost where there are none.
    pub(super) fn tombstone_files(&self) -> impl Iterator<Item = &Arc<SortedFile>> {
        let files = if self.with_tombstones > 0 {
            self.files.as_slice()
        } else {
            &[]
        };
        files.iter().filter(|file| !file.tombstones.is_empty())
    }

    /// The file that may hold `subject`.
    pub(super) fn file_for(&self, subject: Subject) -> Option<&Arc<SortedFile>> {
        self.files.get(self.index_for(subject)?)
    }

    fn index_for(&self, subject: Subject) -> Option<usize> {
        let at = self.spans.partition_point(|span| span.last < subject);
        (self.spans.get(at)?.first <= subject).then_some(at)
    }

    /// Where the files are that overlap a range of subjects.
    fn overlap(&self, range: &RangeInclusive<Subject>) -> Range<usize> {
        let from = self
            .spans
            .partition_point(|span| span.last < *range.start());
        let rest = &self.spans[from..];
        from..from + rest.partition_point(|span| span.first <= *range.end())
    }

    /// The files that overlap a range of subjects.
    pub(super) fn overlapping(&self, range: &RangeInclusive<Subject>) -> &[Arc<SortedFile>] {
        &self.files[self.overlap(range)]
    }

    /// Their bytes.
    pub(super) fn overlapped_bytes(&self, range: &RangeInclusive<Subject>) -> u64 {
        let spans = &self.spans[self.overlap(range)];
        spans.iter().map(|span| span.bytes).sum()
    }

    /// Parts the segments of `subject` at `stamp`; whether there was one to part.
    pub(super) fn split(&mut self, subject: Subject, stamp: SimTime) -> bool {
        let at = self.index_for(subject);
        let Some(file) = at.and_then(|at| self.files.get_mut(at)) else {
            return false;
        };
        let parts = file.of(subject).iter().any(|s| s.straddles(stamp));
        if parts {
            Arc::make_mut(file).split(subject, stamp);
        }
        parts
    }

    /// Where the files of an input are: they are neighbours.
    fn place(&self, input: &Input) -> Range<usize> {
        let from = self.spans.partition_point(|span| span.first < input.from);
        let rest = self.files.get(from..).unwrap_or(&[]);
        let many = rest.iter().take_while(|file| input.has(file)).count();
        from..from + many
    }

    fn splice(&mut self, place: Range<usize>, files: Vec<Arc<SortedFile>>) {
        for file in &files {
            self.bytes += file.bytes;
            self.with_tombstones += usize::from(!file.tombstones.is_empty());
        }
        let spans = files.iter().map(|file| Span::of(file));
        self.spans.splice(place.clone(), spans);
        for file in self.files.splice(place, files) {
            self.bytes -= file.bytes;
            self.with_tombstones -= usize::from(!file.tombstones.is_empty());
        }
    }
}

/// Files that a compaction takes from one level: in each run that has some, neighbours.
#[derive(Debug, Clone)]
pub(super) struct Input {
    pub(super) level: usize,
    /// The first subject of any of them.
    from: Subject,
    /// Their identifiers, sorted.
    ids: Vec<u64>,
}

impl Input {
    pub(super) fn new<'a>(level: usize, files: impl Iterator<Item = &'a Arc<SortedFile>>) -> Self {
        let mut input = Self {
            level,
            from: Subject(u32::MAX),
            ids: Vec::new(),
        };
        for file in files {
            input.from = input.from.min(file.first);
            input.ids.push(file.id);
        }
        input.ids.sort_unstable();
        input
    }

    pub(super) fn has(&self, file: &SortedFile) -> bool {
        self.ids.binary_search(&file.id).is_ok()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

/// Runs, the oldest first; at most one below level 0 where compaction is leveled.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Level {
    pub(super) runs: Vec<Run>,
}

impl Level {
    pub(super) fn bytes(&self) -> u64 {
        self.runs.iter().map(Run::bytes).sum()
    }

    /// How many files it has.
    pub(super) fn count(&self) -> usize {
        self.runs.iter().map(|run| run.files.len()).sum()
    }

    /// All files, those of the newest run first.
    pub(super) fn files(&self) -> impl Iterator<Item = &Arc<SortedFile>> {
        self.runs.iter().rev().flat_map(|run| run.files.iter())
    }

    /// The files of an input, those of the newest run first.
    pub(super) fn taken<'a>(
        &'a self,
        input: &'a Input,
    ) -> impl Iterator<Item = &'a Arc<SortedFile>> {
        let runs = self.runs.iter().rev();
        runs.flat_map(|run| run.files.get(run.place(input)).unwrap_or(&[]))
    }

    /// Takes the files of an input out.
    pub(super) fn remove(&mut self, input: &Input) {
        for run in &mut self.runs {
            run.splice(run.place(input), Vec::new());
        }
        self.runs.retain(|run| !run.files.is_empty());
    }

    /// Puts files that are to be neighbours among those of the only run.
    pub(super) fn insert(&mut self, files: Vec<Arc<SortedFile>>) {
        let Some(first) = files.first().map(|file| file.first) else {
            return;
        };
        if self.runs.is_empty() {
            self.runs.push(Run::default());
        }
        if let Some(run) = self.runs.last_mut() {
            let at = run.spans.partition_point(|span| span.first < first);
            run.splice(at..at, files);
        }
    }

    /// Adds a newest run.
    pub(super) fn push(&mut self, files: Vec<SortedFile>) {
        if !files.is_empty() {
            self.runs.push(Run::new(files));
        }
    }
}
