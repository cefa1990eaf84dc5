//! Writing field sections.
//!
//! A field goes into the table when it is sent for the second time: what differs from answer to answer never gets there, and
//! needs no list of names.

use super::table::{ENTRY_BYTES, Entry, Table};
use super::{TABLE_BYTES, huffman, integer, statics};
use bytes::{BufMut as _, BytesMut};
use std::collections::VecDeque;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Fields that were sent lately and are not in the table, by their hash.
const SEEN: usize = 32;

/// One connection's encoder. What it writes has to be sent, in order.
pub(crate) struct Encoder {
    table: Table,
    /// Of the table's entries, oldest first.
    hashes: VecDeque<u32>,
    seen: [u32; SEEN],
    /// The lowest size that the other side has asked for since the last block, which has to be told.
    told: Option<usize>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self {
            table: Table::new(TABLE_BYTES),
            hashes: VecDeque::new(),
            seen: [0; SEEN],
            told: None,
        }
    }
}

impl Encoder {
    /// The other side's table has room for so many bytes (`SETTINGS_HEADER_TABLE_SIZE`).
    pub(crate) fn resize(&mut self, size: usize) {
        let size = size.min(TABLE_BYTES);
        if size == self.table.size_max() && self.told.is_none() {
            return;
        }
        self.told = Some(self.told.map_or(size, |lowest| lowest.min(size)));
        let removed = self.table.resize(size);
        self.hashes.drain(..removed);
    }

    /// Begins a block (RFC 7541 §4.2).
    pub(crate) fn begin(&mut self, out: &mut BytesMut) {
        let Some(lowest) = self.told.take() else {
            return;
        };
        let size = self.table.size_max();
        if lowest < size {
            integer::put(out, 0x20, 5, lowest);
        }
        integer::put(out, 0x20, 5, size);
    }

    /// A response's `:status`, which comes first.
    pub(crate) fn status(status: u16, out: &mut BytesMut) {
        match statics::status(status) {
            Some(index) => integer::put(out, 0x80, 7, index),
            None => {
                // by the name's index (8), without a place in the table
                integer::put(out, 0x00, 4, 8);
                out.put_u8(3);
                for place in [100, 10, 1] {
                    out.put_u8(b'0' + (status / place % 10) as u8);
                }
            }
        }
    }

    /// A field; its name is in lower case.
    pub(crate) fn field(&mut self, name: &[u8], value: &[u8], out: &mut BytesMut) {
        let statics = statics::name(name);
        if name == b"set-cookie" {
            // nobody behind the client may index it either (RFC 7541 §7.1.3)
            return literal(out, (0x10, 4), statics, name, value, false);
        }
        let hash = xxh3_64_with_seed(value, xxh3_64(name)) as u32;
        if let Some(index) = self.find(hash, name, value) {
            return integer::put(out, 0x80, 7, index);
        }
        // a field of half the table would push out too much
        let large = 2 * (name.len() + value.len() + ENTRY_BYTES) > self.table.size_max();
        let seen = &mut self.seen[hash as usize % SEEN];
        if large || *seen != hash {
            *seen = hash;
            return literal(out, (0x00, 4), statics, name, value, false);
        }
        literal(out, (0x40, 6), statics, name, value, true);
        let (removed, is_in) = self.table.insert(Entry::new(name, value));
        self.hashes.drain(..removed);
        if is_in {
            self.hashes.push_back(hash);
        }
    }

    fn find(&self, hash: u32, name: &[u8], value: &[u8]) -> Option<usize> {
        let (older, newer) = self.hashes.as_slices();
        let place = match newer.iter().position(|&known| known == hash) {
            Some(place) => older.len() + place,
            None => older.iter().position(|&known| known == hash)?,
        };
        let age = self.table.len() - 1 - place;
        let entry = self.table.get(age)?;
        let same = entry.name() == name && entry.value() == value;
        same.then_some(statics::ENTRIES.len() + 1 + age)
    }
}

/// `kind`: the bits that say how it is represented, and how many are left for the name's index. `once`: it goes into the
/// table, so that its coding is paid for once.
fn literal(
    out: &mut BytesMut,
    (high, prefix): (u8, u32),
    index: Option<usize>,
    name: &[u8],
    value: &[u8],
    once: bool,
) {
    match index {
        Some(index) => integer::put(out, high, prefix, index),
        None => {
            out.put_u8(high);
            string(out, name, once);
        }
    }
    string(out, value, once);
}

fn string(out: &mut BytesMut, text: &[u8], once: bool) {
    let coded = if once { huffman::len(text) } else { text.len() };
    if coded < text.len() {
        integer::put(out, 0x80, 7, coded);
        huffman::encode(text, out);
    } else {
        integer::put(out, 0x00, 7, text.len());
        out.put_slice(text);
    }
}
