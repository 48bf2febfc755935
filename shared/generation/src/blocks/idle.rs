//! The blocks that nobody holds, by how long that has been so.

const NONE: u32 = u32::MAX;

/// A list through all blocks' numbers: any member leaves it in constant time, and nothing is allocated.
pub(super) struct Idle {
    links: Vec<Link>,
    oldest: u32,
    newest: u32,
    len: usize,
}

#[derive(Clone, Copy)]
struct Link {
    older: u32,
    newer: u32,
}

impl Idle {
    pub(super) fn new(blocks: usize) -> Self {
        Self { links: vec![Link { older: NONE, newer: NONE }; blocks], oldest: NONE, newest: NONE, len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Adds a block that is not in the list.
    pub(super) fn push(&mut self, block: u32) {
        self.links[block as usize] = Link { older: self.newest, newer: NONE };
        match self.newest {
            NONE => self.oldest = block,
            newest => self.links[newest as usize].newer = block,
        }
        self.newest = block;
        self.len += 1;
    }

    /// Takes out a block that is in the list.
    pub(super) fn remove(&mut self, block: u32) {
        let Link { older, newer } = self.links[block as usize];
        match older {
            NONE => self.oldest = newer,
            older => self.links[older as usize].newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            newer => self.links[newer as usize].older = older,
        }
        self.len -= 1;
    }

    pub(super) fn pop_oldest(&mut self) -> Option<u32> {
        let oldest = Some(self.oldest).filter(|&oldest| oldest != NONE)?;
        self.remove(oldest);
        Some(oldest)
    }

    /// From the oldest to the newest.
    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        let some = |block: u32| Some(block).filter(|&block| block != NONE);
        std::iter::successors(some(self.oldest), move |&block| some(self.links[block as usize].newer))
    }
}
