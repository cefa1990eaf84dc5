//! The dynamic table (RFC 7541 §2.3.2, §4).

use std::collections::VecDeque;

/// What each entry counts besides its name and its value (RFC 7541 §4.1).
pub(crate) const ENTRY_BYTES: usize = 32;

pub(super) struct Entry {
    /// The name, and its value behind it.
    bytes: Box<[u8]>,
    name: usize,
}

impl Entry {
    pub(super) fn new(name: &[u8], value: &[u8]) -> Self {
        Self {
            bytes: [name, value].concat().into(),
            name: name.len(),
        }
    }

    pub(super) fn name(&self) -> &[u8] {
        &self.bytes[..self.name]
    }

    pub(super) fn value(&self) -> &[u8] {
        &self.bytes[self.name..]
    }

    fn size(&self) -> usize {
        self.bytes.len() + ENTRY_BYTES
    }
}

/// Entries, oldest first. Its size never exceeds what it may be.
pub(super) struct Table {
    entries: VecDeque<Entry>,
    size: usize,
    size_max: usize,
}

impl Table {
    pub(super) fn new(size_max: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            size: 0,
            size_max,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn size_max(&self) -> usize {
        self.size_max
    }

    /// The entry that came in as the `age`th before now; the newest is 0.
    pub(super) fn get(&self, age: usize) -> Option<&Entry> {
        let index = self.entries.len().checked_sub(age + 1)?;
        self.entries.get(index)
    }

    /// Puts `entry` in, and removes the oldest as far as it has to. One that is too large leaves the table empty
    /// (RFC 7541 §4.4). Says how many were removed, and whether the entry is in.
    pub(super) fn insert(&mut self, entry: Entry) -> (usize, bool) {
        let size = entry.size();
        let removed = self.shrink(self.size_max.saturating_sub(size));
        let fits = size <= self.size_max;
        if fits {
            self.size += size;
            self.entries.push_back(entry);
        }
        (removed, fits)
    }

    /// From now on the table has at most `size_max`. Says how many entries were removed.
    pub(super) fn resize(&mut self, size_max: usize) -> usize {
        self.size_max = size_max;
        self.shrink(size_max)
    }

    fn shrink(&mut self, size: usize) -> usize {
        let mut removed = 0;
        while self.size > size {
            let Some(oldest) = self.entries.pop_front() else {
                break;
            };
            self.size -= oldest.size();
            removed += 1;
        }
        removed
    }
}
