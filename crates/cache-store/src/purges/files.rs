//! The two files of a node's log of purges, as bytes.
//!
//! `purges.log`: a header (magic, version, lineage, epoch, the position it begins after, the term of that position),
//! then one record per purge, each with its length and checksum. `purges.table`: a table as it stood at some position, and
//! where the terms of the log up to there begin, with a checksum over all of it. Numbers are little-endian.

use seawall_purge::branch::{Branch, TERMS_MAX};
use seawall_purge::lineage::{Held, TermStart};
use seawall_purge::record::SCOPES_MAX;
use seawall_purge::table::{Dump, DumpShard};
use seawall_purge::{Epoch, Purge, PurgeSeq, ScopeId, Strength};
use xxhash_rust::xxh3::xxh3_64;

const LOG_MAGIC: [u8; 4] = *b"SWPL";
const TABLE_MAGIC: [u8; 4] = *b"SWPT";
const LOG_VERSION: u8 = 1;
/// Tables of version 1 tell no terms but that of their position.
const TABLE_VERSIONS: std::ops::RangeInclusive<u8> = 1..=2;
/// Bytes of the header of `purges.log`: magic, version, lineage, epoch, n, term, checksum.
pub(super) const HEADER_BYTES: usize = 4 + 1 + 16 + 8 + 8 + 8 + 8;
/// Bytes of a record without scopes: n, term, time, strength, number of scopes.
const RECORD_BYTES_MIN: usize = 8 + 8 + 8 + 1 + 4;
const RECORD_BYTES_MAX: usize = RECORD_BYTES_MIN + 8 * SCOPES_MAX;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) lineage: u128,
    /// The records that follow come after this position.
    pub(super) after: Held,
}

pub(super) fn write_header(header: &Header) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES);
    out.extend(LOG_MAGIC);
    out.push(LOG_VERSION);
    out.extend(header.lineage.to_le_bytes());
    held(&mut out, header.after);
    seal(out)
}

pub(super) fn read_header(bytes: &[u8]) -> Option<Header> {
    let mut bytes = unseal(bytes.get(..HEADER_BYTES)?)?;
    (version(&mut bytes, LOG_MAGIC)? == LOG_VERSION).then_some(())?;
    Some(Header {
        lineage: u128::from_le_bytes(take(&mut bytes)?),
        after: read_held(&mut bytes)?,
    })
}

pub(super) fn write_record(out: &mut Vec<u8>, purge: &Purge) {
    let mut payload = Vec::with_capacity(RECORD_BYTES_MIN + 8 * purge.scopes.len());
    payload.extend(purge.at.n.to_le_bytes());
    payload.extend(purge.term.to_le_bytes());
    payload.extend(purge.appended_ms.to_le_bytes());
    payload.push(u8::from(purge.strength == Strength::Soft));
    payload.extend((purge.scopes.len() as u32).to_le_bytes());
    for scope in &purge.scopes {
        payload.extend(scope.0.to_le_bytes());
    }
    out.extend((payload.len() as u32).to_le_bytes());
    out.extend(xxh3_64(&payload).to_le_bytes());
    out.extend(payload);
}

/// The next record, and what follows it. `None`: the end, or nothing that can be read.
pub(super) fn read_record(mut bytes: &[u8], epoch: Epoch) -> Option<(Purge, &[u8])> {
    let length = u32::from_le_bytes(take(&mut bytes)?) as usize;
    let sum = u64::from_le_bytes(take(&mut bytes)?);
    if !(RECORD_BYTES_MIN..=RECORD_BYTES_MAX).contains(&length) || bytes.len() < length {
        return None;
    }
    let (mut payload, rest) = bytes.split_at(length);
    if xxh3_64(payload) != sum {
        return None;
    }
    let n = u64::from_le_bytes(take(&mut payload)?);
    let term = u64::from_le_bytes(take(&mut payload)?);
    let appended_ms = u64::from_le_bytes(take(&mut payload)?);
    let strength = match take::<1>(&mut payload)? {
        [0] => Strength::Hard,
        [1] => Strength::Soft,
        _ => return None,
    };
    let count = u32::from_le_bytes(take(&mut payload)?) as usize;
    if payload.len() != count * 8 {
        return None;
    }
    let mut scopes = Vec::with_capacity(count);
    while !payload.is_empty() {
        scopes.push(ScopeId(u64::from_le_bytes(take(&mut payload)?)));
    }
    let purge = Purge {
        at: PurgeSeq::new(epoch, n),
        term,
        appended_ms,
        strength,
        scopes,
        pace: None,
    };
    Some((purge, rest))
}

pub(super) fn write_table(lineage: u128, term: u64, dump: &Dump) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(TABLE_MAGIC);
    out.push(*TABLE_VERSIONS.end());
    out.extend(lineage.to_le_bytes());
    let at = dump.at;
    held(&mut out, Held { at, term });
    out.extend((dump.terms.len() as u32).to_le_bytes());
    for start in &dump.terms {
        out.extend(start.first.to_le_bytes());
        out.extend(start.term.to_le_bytes());
    }
    out.extend((dump.shards.len() as u32).to_le_bytes());
    for shard in &dump.shards {
        out.extend(shard.hard_floor.to_le_bytes());
        // 0 is no position of a purge: no floor
        let (n, appended_ms) = shard.soft_floor.unwrap_or_default();
        out.extend(n.to_le_bytes());
        out.extend(appended_ms.to_le_bytes());
        out.extend((shard.hard.len() as u32).to_le_bytes());
        out.extend((shard.soft.len() as u32).to_le_bytes());
        out.extend((shard.earlier.len() as u32).to_le_bytes());
        for (scope, n) in &shard.hard {
            out.extend(scope.0.to_le_bytes());
            out.extend(n.to_le_bytes());
        }
        for (scope, n, appended_ms) in shard.soft.iter().chain(&shard.earlier) {
            out.extend(scope.0.to_le_bytes());
            out.extend(n.to_le_bytes());
            out.extend(appended_ms.to_le_bytes());
        }
    }
    seal(out)
}

/// Lineage, term of the last record, the table.
pub(super) fn read_table(bytes: &[u8]) -> Option<(u128, u64, Dump)> {
    let mut bytes = unseal(bytes)?;
    let bytes = &mut bytes;
    let version = version(bytes, TABLE_MAGIC)?;
    if !TABLE_VERSIONS.contains(&version) {
        return None;
    }
    let lineage = u128::from_le_bytes(take(bytes)?);
    let Held { at, term } = read_held(bytes)?;
    let number = |bytes: &mut &[u8]| take(bytes).map(u64::from_le_bytes);
    let count = |bytes: &mut &[u8]| take(bytes).map(u32::from_le_bytes);
    let terms = if version == 1 {
        Branch::after(Held { at, term }).starts()
    } else {
        let starts = count(bytes)? as usize;
        let start = |bytes: &mut &[u8]| {
            let (first, term) = (number(bytes)?, number(bytes)?);
            Some(TermStart { first, term })
        };
        let known = starts <= TERMS_MAX;
        known.then(|| (0..starts).map(|_| start(bytes)).collect::<Option<_>>())??
    };
    let mut shards = Vec::new();
    for _ in 0..count(bytes)? {
        let hard_floor = number(bytes)?;
        let soft_floor = (number(bytes)?, number(bytes)?);
        let (hards, softs, earlier) = (count(bytes)?, count(bytes)?, count(bytes)?);
        let mut shard = DumpShard {
            hard_floor,
            soft_floor: (soft_floor.0 > 0).then_some(soft_floor),
            ..DumpShard::default()
        };
        for _ in 0..hards {
            shard.hard.push((ScopeId(number(bytes)?), number(bytes)?));
        }
        let soft =
            |bytes: &mut &[u8]| Some((ScopeId(number(bytes)?), number(bytes)?, number(bytes)?));
        for _ in 0..softs {
            shard.soft.push(soft(bytes)?);
        }
        for _ in 0..earlier {
            shard.earlier.push(soft(bytes)?);
        }
        shards.push(shard);
    }
    bytes
        .is_empty()
        .then_some((lineage, term, Dump { at, terms, shards }))
}

fn held(out: &mut Vec<u8>, held: Held) {
    out.extend(held.at.epoch.0.to_le_bytes());
    out.extend(held.at.n.to_le_bytes());
    out.extend(held.term.to_le_bytes());
}

fn read_held(bytes: &mut &[u8]) -> Option<Held> {
    let epoch = Epoch(u64::from_le_bytes(take(bytes)?));
    Some(Held {
        at: PurgeSeq::new(epoch, u64::from_le_bytes(take(bytes)?)),
        term: u64::from_le_bytes(take(bytes)?),
    })
}

/// The version of a file that begins with `magic`.
fn version(bytes: &mut &[u8], magic: [u8; 4]) -> Option<u8> {
    let [version] = (take::<4>(bytes)? == magic).then(|| take::<1>(bytes))??;
    Some(version)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*first)
}

fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = xxh3_64(&bytes);
    bytes.extend(sum.to_le_bytes());
    bytes
}

fn unseal(bytes: &[u8]) -> Option<&[u8]> {
    let (content, sum) = bytes.split_last_chunk::<8>()?;
    (xxh3_64(content) == u64::from_le_bytes(*sum)).then_some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_the_version_before_knows_the_term_of_its_position_alone() {
        let at = PurgeSeq::new(Epoch(11), 40);
        let terms = [(3, 70), (40, 71)].map(|(first, term)| TermStart { first, term });
        let dump = Dump {
            at,
            terms: terms.to_vec(),
            shards: vec![DumpShard::default()],
        };
        let bytes = write_table(7, 71, &dump);
        assert_eq!(read_table(&bytes), Some((7, 71, dump.clone())));
        // without what was added: magic, version, lineage, epoch, n and term stand before it
        let mut before = unseal(&bytes).unwrap().to_vec();
        before[4] = 1;
        before.drain(45..45 + 4 + 2 * 16);
        let known = Dump {
            terms: terms[1..].to_vec(),
            ..dump
        };
        assert_eq!(read_table(&seal(before)), Some((7, 71, known)));
    }
}
