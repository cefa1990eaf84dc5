//! The stamp of a disk's directory: what its files were written under, with a checksum.

use bytes::{Buf, BufMut};
use seawall_purge::BootId;
use std::fs::File;
use std::io;
use std::path::Path;
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: &[u8; 8] = b"SEAWDISK";
const FORMAT: u32 = 1;
const STAMP_BYTES: usize = 8 + 4 + 16 + 16 + 8 + 8 + 4 + 8;

/// What the files in a directory were written under. Files under any other stamp are never read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The purge log that the copies are judged by.
    pub(crate) lineage: u128,
    /// The minima log that knows which heads are dead. It tells this node's directories from another's, too.
    pub(crate) minima: u128,
    /// Which keys lie on this disk rather than on another one.
    pub(crate) placement: u64,
    pub(crate) bytes: u64,
    /// The last run that had the disk in use.
    pub(crate) boot: BootId,
}

pub(crate) fn encode_stamp(stamp: Stamp) -> Vec<u8> {
    let mut out = Vec::with_capacity(STAMP_BYTES);
    out.put_slice(MAGIC);
    out.put_u32_le(FORMAT);
    out.put_u128_le(stamp.lineage);
    out.put_u128_le(stamp.minima);
    out.put_u64_le(stamp.placement);
    out.put_u64_le(stamp.bytes);
    out.put_u32_le(stamp.boot.0);
    let sum = xxh3_64(&out);
    out.put_u64_le(sum);
    out
}

pub(crate) fn read_stamp(directory: &Path) -> Result<Option<Stamp>, &'static str> {
    let file = match File::open(directory.join(super::directory::STAMP)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(_) => return Err("their stamp cannot be read"),
    };
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(file, 4096), &mut bytes)
        .map_err(|_| "their stamp cannot be read")?;
    decode_stamp(&bytes).map(Some)
}

fn decode_stamp(bytes: &[u8]) -> Result<Stamp, &'static str> {
    const DAMAGED: &str = "their stamp is damaged";
    let rest = bytes.strip_prefix(MAGIC).ok_or(DAMAGED)?;
    if rest.get(..4).ok_or(DAMAGED)? != FORMAT.to_le_bytes() {
        return Err("they are of another version");
    }
    if bytes.len() != STAMP_BYTES {
        return Err(DAMAGED);
    }
    let (signed, mut sum) = bytes.split_at(STAMP_BYTES - 8);
    let mut rest = &signed[12..];
    let mut read = || -> Option<Stamp> {
        (sum.try_get_u64_le().ok()? == xxh3_64(signed)).then_some(())?;
        Some(Stamp {
            lineage: rest.try_get_u128_le().ok()?,
            minima: rest.try_get_u128_le().ok()?,
            placement: rest.try_get_u64_le().ok()?,
            bytes: rest.try_get_u64_le().ok()?,
            boot: BootId(rest.try_get_u32_le().ok()?),
        })
    };
    read().ok_or(DAMAGED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written_and_any_changed_bit_is_noticed() {
        let stamp = Stamp {
            lineage: 1 << 100,
            minima: 5,
            placement: 6,
            bytes: 1 << 40,
            boot: BootId(7),
        };
        let bytes = encode_stamp(stamp);
        assert_eq!(decode_stamp(&bytes), Ok(stamp));
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(decode_stamp(&changed).is_err(), "bit {bit}");
        }
        for cut in 0..bytes.len() {
            assert!(decode_stamp(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        // as another version writes it
        let mut other = bytes;
        other[MAGIC.len()] += 1;
        let signed = STAMP_BYTES - 8;
        let sum = xxh3_64(&other[..signed]);
        other[signed..].copy_from_slice(&sum.to_le_bytes());
        assert!(decode_stamp(&other).is_err());
    }
}
