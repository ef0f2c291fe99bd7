//! Where a million entries stand: in blocks, since a vector that doubles would hold them twice while
//! it grows.

use std::ops::{Index, IndexMut};

use super::Entry;

/// Entries in a block.
const BLOCK: usize = 4096;
/// The number that no entry has.
const NONE: u32 = u32::MAX;

/// Entries by number.
#[derive(Debug, Default)]
pub(super) struct Slots {
    blocks: Vec<Vec<Entry>>,
}

impl Slots {
    /// Puts an entry at the end and returns its number.
    pub(super) fn push(&mut self, entry: Entry) -> u32 {
        if self.blocks.last().is_none_or(|block| block.len() == BLOCK) {
            // A shop of a few orders needs no whole block.
            let room = if self.blocks.is_empty() { 0 } else { BLOCK };
            self.blocks.push(Vec::with_capacity(room));
        }
        let before = (self.blocks.len() - 1) * BLOCK;
        let Some(block) = self.blocks.last_mut() else {
            return NONE;
        };
        block.push(entry);
        u32::try_from(before + block.len() - 1).unwrap_or(NONE)
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Entry> {
        let slot = slot as usize;
        self.blocks.get(slot / BLOCK)?.get(slot % BLOCK)
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Entry> {
        let slot = slot as usize;
        self.blocks.get_mut(slot / BLOCK)?.get_mut(slot % BLOCK)
    }
}

impl Index<u32> for Slots {
    type Output = Entry;

    fn index(&self, slot: u32) -> &Entry {
        &self.blocks[slot as usize / BLOCK][slot as usize % BLOCK]
    }
}

impl IndexMut<u32> for Slots {
    fn index_mut(&mut self, slot: u32) -> &mut Entry {
        &mut self.blocks[slot as usize / BLOCK][slot as usize % BLOCK]
    }
}
