//! Lines of slots: who came after whom.

/// No slot.
const NONE: u32 = u32::MAX;

/// The neighbours of every slot in whatever line it stands; a slot stands in one line at most.
#[derive(Debug, Clone, Default)]
pub(super) struct Links(Vec<(u32, u32)>);

/// The ends of one line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    first: u32,
    last: u32,
}

impl Default for Line {
    fn default() -> Self {
        Line {
            first: NONE,
            last: NONE,
        }
    }
}

impl Line {
    pub fn first(&self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }

    pub fn last(&self) -> Option<u32> {
        (self.last != NONE).then_some(self.last)
    }

    pub fn push(&mut self, links: &mut Links, slot: u32) {
        let at = slot as usize;
        if at >= links.0.len() {
            links.0.resize(at + 1, (NONE, NONE));
        }
        links.0[at] = (self.last, NONE);
        match self.last() {
            Some(last) => links.0[last as usize].1 = slot,
            None => self.first = slot,
        }
        self.last = slot;
    }

    /// Takes out a slot that stands in this line.
    pub fn remove(&mut self, links: &mut Links, slot: u32) {
        let (before, behind) = links.0[slot as usize];
        if before == NONE {
            self.first = behind;
        } else {
            links.0[before as usize].1 = behind;
        }
        if behind == NONE {
            self.last = before;
        } else {
            links.0[behind as usize].0 = before;
        }
    }
}
