//! Storage of up to a million entries in blocks, since a growing vector would need twice the
//! memory.

use std::ops::{Index, IndexMut};

use super::Entry;

/// Entries in a block.
const BLOCK: usize = 4096;
/// The number that marks an unused slot.
const NONE: u32 = u32::MAX;

/// Entries by number.
#[derive(Debug, Default)]
pub(super) struct Slots {
    blocks: Vec<Vec<Entry>>,
}

impl Slots {
    /// Appends an entry and returns its number.
    pub(super) fn push(&mut self, entry: Entry) -> u32 {
        if self.blocks.last().is_none_or(|block| block.len() == BLOCK) {
            // A shop with few orders does not need a whole block.
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
