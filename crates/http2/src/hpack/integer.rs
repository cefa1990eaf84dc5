//! Integers with a prefix (RFC 7541 §5.1).

use super::Undecodable;
use bytes::{BufMut as _, BytesMut};

/// Bytes behind the prefix: four hold 28 bits, more than any length or index that means something here.
const BYTES_MAX: u32 = 4;

/// Takes an integer whose first byte has `prefix` bits of it.
pub(super) fn take(block: &mut &[u8], prefix: u32) -> Result<usize, Undecodable> {
    let full = (1 << prefix) - 1;
    let value = usize::from(byte(block)?) & full;
    if value < full {
        return Ok(value);
    }
    let mut more = 0;
    for index in 0..BYTES_MAX {
        let next = byte(block)?;
        more |= usize::from(next & 0x7f) << (7 * index);
        if next & 0x80 == 0 {
            return Ok(full + more);
        }
    }
    Err(Undecodable("an integer is too long"))
}

fn byte(block: &mut &[u8]) -> Result<u8, Undecodable> {
    let (first, rest) = block
        .split_first()
        .ok_or(Undecodable("the block ends within a field"))?;
    *block = rest;
    Ok(*first)
}

/// Writes `value`; `high` has the bits before the prefix.
#[inline]
pub(super) fn put(out: &mut BytesMut, high: u8, prefix: u32, value: usize) {
    let full = (1 << prefix) - 1;
    if value < full {
        out.put_u8(high | value as u8);
        return;
    }
    out.put_u8(high | full as u8);
    let mut rest = value - full;
    while rest >= 0x80 {
        out.put_u8(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}
