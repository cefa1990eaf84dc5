//! Reading field sections.

use super::table::{Entry, Table};
use super::{TABLE_BYTES, Undecodable, huffman, integer, statics};

/// One connection's decoder. Every block has to pass through it, in order.
pub(crate) struct Decoder {
    table: Table,
    /// Where strings are decoded.
    name: Vec<u8>,
    value: Vec<u8>,
}

/// A string of more bytes than this, decoded, is in no head that is answered; the buffers do not keep more.
const STRING_BYTES_KEPT: usize = 4096;

impl Default for Decoder {
    fn default() -> Self {
        Self {
            table: Table::new(TABLE_BYTES),
            name: Vec::new(),
            value: Vec::new(),
        }
    }
}

impl Decoder {
    /// Reads a whole block and gives each field to `field`, in order. After an error the connection has to end.
    pub(crate) fn decode(
        &mut self,
        mut block: &[u8],
        mut field: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), Undecodable> {
        let mut first = true;
        while let Some(&byte) = block.first() {
            match byte {
                0x80.. => {
                    let index = integer::take(&mut block, 7)?;
                    let (name, value) = entry(&self.table, index)?;
                    field(name, value);
                }
                0x40..=0x7f => {
                    self.literal(&mut block, 6)?;
                    field(&self.name, &self.value);
                    self.table.insert(Entry::new(&self.name, &self.value));
                }
                0x20..=0x3f => {
                    // RFC 7541 §4.2: before all fields
                    let size = integer::take(&mut block, 5)?;
                    if !first || size > TABLE_BYTES {
                        return Err(Undecodable("the table's size changes as it must not"));
                    }
                    self.table.resize(size);
                    continue;
                }
                0x00..=0x1f => {
                    self.literal(&mut block, 4)?;
                    field(&self.name, &self.value);
                }
            }
            first = false;
        }
        for buffer in [&mut self.name, &mut self.value] {
            if buffer.capacity() > STRING_BYTES_KEPT {
                *buffer = Vec::new();
            }
        }
        Ok(())
    }

    /// Reads a literal into `name` and `value`; `prefix` bits have the index of its name.
    fn literal(&mut self, block: &mut &[u8], prefix: u32) -> Result<(), Undecodable> {
        let index = integer::take(block, prefix)?;
        self.name.clear();
        if index == 0 {
            string(block, &mut self.name)?;
        } else {
            self.name.extend_from_slice(entry(&self.table, index)?.0);
        }
        self.value.clear();
        string(block, &mut self.value)
    }
}

fn entry(table: &Table, index: usize) -> Result<(&[u8], &[u8]), Undecodable> {
    let place = index.checked_sub(1);
    if let Some((name, value)) = place.and_then(|place| statics::ENTRIES.get(place)) {
        return Ok((name.as_bytes(), value.as_bytes()));
    }
    place
        .and_then(|place| table.get(place.checked_sub(statics::ENTRIES.len())?))
        .map(|entry| (entry.name(), entry.value()))
        .ok_or(Undecodable("an index stands for nothing"))
}

fn string(block: &mut &[u8], out: &mut Vec<u8>) -> Result<(), Undecodable> {
    let coded = block.first().is_some_and(|byte| byte & 0x80 != 0);
    let len = integer::take(block, 7)?;
    let (text, rest) = block
        .split_at_checked(len)
        .ok_or(Undecodable("the block ends within a string"))?;
    *block = rest;
    if !coded {
        out.extend_from_slice(text);
    } else if !huffman::decode(text, out) {
        return Err(Undecodable("a string is no Huffman code"));
    }
    Ok(())
}
