//! Records as they lie on disk. Each begins with a version byte; what is of another version, too long, cut or followed
//! by anything does not decode, which is a miss. No length is believed before it was compared with a bound.
//!
//! All integers are little-endian. Version 4 (3 knew no incomplete bodies, 2 gzip alone of the codings, 1 had no hidden
//! fields):
//!
//! ```text
//! head key   version, primary u128, variant u64
//! chunk key  version, object u128, boot u32, counter u64, index u32
//! chunk      version, length u32, bytes
//! head       version, 0, boot u32, counter u64, revision u32, epoch u64, n u64, status u16,
//!            lifetime u64, source u8, initial age u64, received u64, while-revalidate u64, if-error u64, flags u8,
//!            length u64, coding u8 [content coding u8; recoding u8, boot u32, counter u64, revision u32],
//!            body u8 [object u128, count u32, sums (0: its chunk has not come)] or [start u64, end u64],
//!            scopes u32, ids, hidden u32, bytes, fields length u32, status length u32, record to the end
//! variants   version, 1, lists u8, each: names u16, each: length u16, bytes; digests u8, u64s
//! ```
//!
//! foyer adds the checksum over key and value, and compares it before anything is decoded here.

use crate::CHUNK_BYTES;
use crate::fresh::Fresh;
use crate::head::{Body, Chunks, Coding, Head, Recoding};
use crate::hidden::Hidden;
use crate::key::{Chunk, ChunkKey, Entry, HeadKey};
use crate::memo::Memo;
use crate::rare::Rare;
use crate::record::{Record, Stamp};
use crate::variants::Variants;
use bytes::{Buf, BufMut};
use foyer::{Code, Error, ErrorKind, Result};
use http::{HeaderName, StatusCode};
use seawall_http_cache::{ContentCoding, Freshness, LifetimeSource, Timestamp};
use seawall_purge::{BootId, Epoch, Generation, Label, PurgeSeq, ScopeId};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::sync::Arc;

const VERSION: u8 = 4;
/// The longest head or variants record: the longest inline body, as much again for fields, and checksums of 48 GiB in
/// chunks.
pub(crate) const ENTRY_BYTES_MAX: usize = 512 << 10;
const HEAD_KEY_BYTES: usize = 1 + 16 + 8;
const CHUNK_KEY_BYTES: usize = 1 + 16 + 4 + 8 + 4;

const KIND_HEAD: u8 = 0;
const KIND_VARIANTS: u8 = 1;

fn malformed(what: &'static str) -> Error {
    Error::new(ErrorKind::Parse, what)
}

fn put(writer: &mut impl Write, bytes: &[u8]) -> Result<()> {
    writer.write_all(bytes).map_err(Error::io_error)
}

fn get<const N: usize>(reader: &mut impl Read) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    reader.read_exact(&mut bytes).map_err(Error::io_error)?;
    Ok(bytes)
}

fn ended(reader: &mut impl Read) -> bool {
    matches!(reader.read(&mut [0]), Ok(0))
}

impl Code for HeadKey {
    fn encode(&self, writer: &mut impl Write) -> Result<()> {
        let mut out = Vec::with_capacity(HEAD_KEY_BYTES);
        out.put_u8(VERSION);
        out.put_u128_le(self.primary);
        out.put_u64_le(self.variant);
        put(writer, &out)
    }

    fn decode(reader: &mut impl Read) -> Result<Self> {
        let bytes = get::<HEAD_KEY_BYTES>(reader)?;
        let mut rest = &bytes[1..];
        if bytes[0] != VERSION || !ended(reader) {
            return Err(malformed("not a head's key"));
        }
        Ok(Self {
            primary: rest.get_u128_le(),
            variant: rest.get_u64_le(),
        })
    }

    fn estimated_size(&self) -> usize {
        HEAD_KEY_BYTES
    }
}

impl Code for ChunkKey {
    fn encode(&self, writer: &mut impl Write) -> Result<()> {
        let mut out = Vec::with_capacity(CHUNK_KEY_BYTES);
        out.put_u8(VERSION);
        out.put_u128_le(self.object);
        put_generation(&mut out, self.generation);
        out.put_u32_le(self.index);
        put(writer, &out)
    }

    fn decode(reader: &mut impl Read) -> Result<Self> {
        let bytes = get::<CHUNK_KEY_BYTES>(reader)?;
        let mut rest = &bytes[1..];
        if bytes[0] != VERSION || !ended(reader) {
            return Err(malformed("not a chunk's key"));
        }
        Ok(Self {
            object: rest.get_u128_le(),
            generation: Generation {
                boot: BootId(rest.get_u32_le()),
                counter: rest.get_u64_le(),
            },
            index: rest.get_u32_le(),
        })
    }

    fn estimated_size(&self) -> usize {
        CHUNK_KEY_BYTES
    }
}

impl Code for Chunk {
    fn encode(&self, writer: &mut impl Write) -> Result<()> {
        put(writer, &[VERSION])?;
        put(writer, &(self.0.len() as u32).to_le_bytes())?;
        put(writer, &self.0)
    }

    fn decode(reader: &mut impl Read) -> Result<Self> {
        let [version, length @ ..] = get::<5>(reader)?;
        let length = u64::from(u32::from_le_bytes(length));
        if version != VERSION || length > CHUNK_BYTES {
            return Err(malformed("not a chunk"));
        }
        let mut bytes = vec![0; length as usize];
        reader.read_exact(&mut bytes).map_err(Error::io_error)?;
        if !ended(reader) {
            return Err(malformed("a chunk with something behind it"));
        }
        Ok(Self(bytes.into()))
    }

    fn estimated_size(&self) -> usize {
        self.0.len() + 5
    }
}

impl Code for Entry {
    fn encode(&self, writer: &mut impl Write) -> Result<()> {
        match self {
            Self::Head(head) => {
                put(writer, &index_of(head))?;
                let (pieces, ..) = head.record.pieces();
                pieces.iter().try_for_each(|piece| put(writer, piece))
            }
            Self::Variants(variants) => put(writer, &encode_variants(variants)),
        }
    }

    fn decode(reader: &mut impl Read) -> Result<Self> {
        let mut bytes = Vec::new();
        reader
            .take(ENTRY_BYTES_MAX as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(Error::io_error)?;
        if bytes.len() > ENTRY_BYTES_MAX {
            return Err(malformed("a record that is too long"));
        }
        decode_entry(&bytes).ok_or_else(|| malformed("not a head or variants"))
    }

    fn estimated_size(&self) -> usize {
        match self {
            Self::Head(head) => {
                let sums = match head.body() {
                    Body::Inline | Body::Part(_) => 0,
                    Body::Chunks(chunks) => chunks.sums.len(),
                };
                // the index without its lists is 148 bytes at most
                let lists = 8 * (sums + head.scopes().len()) + head.hidden().bytes().len();
                150 + lists + head.record.len()
            }
            Self::Variants(variants) => {
                let (lists, digests) = variants.parts();
                let names = lists.iter().flat_map(|names| names.iter());
                let bytes: usize = names.map(|name| 2 + name.as_str().len()).sum();
                4 + lists.len() * 2 + bytes + digests.len() * 8
            }
        }
    }
}

/// Whether the record can be written as its decoder wants it.
pub(crate) fn encodable(entry: &Entry) -> bool {
    entry.estimated_size() <= ENTRY_BYTES_MAX
        && match entry {
            Entry::Head(head) => match head.body() {
                Body::Inline | Body::Part(_) => true,
                Body::Chunks(chunks) => chunks.sums.len() == chunks.count as usize,
            },
            Entry::Variants(variants) => variants.parts().0.iter().all(|names| {
                u16::try_from(names.len()).is_ok()
                    && names
                        .iter()
                        .all(|n| u16::try_from(n.as_str().len()).is_ok())
            }),
        }
}

fn put_generation(out: &mut Vec<u8>, generation: Generation) {
    out.put_u32_le(generation.boot.0);
    out.put_u64_le(generation.counter);
}

fn get_generation(rest: &mut &[u8]) -> Option<Generation> {
    Some(Generation {
        boot: BootId(rest.try_get_u32_le().ok()?),
        counter: rest.try_get_u64_le().ok()?,
    })
}

/// `count` integers, if so many are there.
fn get_u64s(rest: &mut &[u8], count: usize) -> Option<impl Iterator<Item = u64> + use<>> {
    let bytes = rest.split_off(..count.checked_mul(8)?)?.to_vec();
    Some((0..count).map(move |i| {
        let mut eight = [0; 8];
        eight.copy_from_slice(&bytes[i * 8..i * 8 + 8]);
        u64::from_le_bytes(eight)
    }))
}

/// Everything of a head but its record.
fn index_of(head: &Head) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    out.put_u8(VERSION);
    out.put_u8(KIND_HEAD);
    put_generation(&mut out, head.generation());
    out.put_u32_le(head.revision);
    out.put_u64_le(head.label().0.epoch.0);
    out.put_u64_le(head.label().0.n);
    out.put_u16_le(head.status.as_u16());
    let freshness = head.freshness();
    out.put_u64_le(freshness.lifetime);
    out.put_u8(source_code(freshness.source));
    out.put_u64_le(freshness.initial_age);
    out.put_u64_le(freshness.received.0);
    out.put_u64_le(freshness.stale_while_revalidate);
    out.put_u64_le(freshness.stale_if_error);
    out.put_u8(u8::from(freshness.no_cache) | u8::from(freshness.must_revalidate) << 1);
    out.put_u64_le(head.length);
    match head.coding() {
        Coding::AsIs => out.put_u8(0),
        Coding::Negotiable => out.put_u8(1),
        Coding::Decodable(coding) => {
            out.put_u8(2);
            out.put_u8(content_coding_code(coding));
        }
        Coding::Recoded(recoding, generation, revision) => {
            out.put_u8(3);
            out.put_u8(match recoding {
                Recoding::Identity => 0,
                Recoding::To(coding) => content_coding_code(coding),
            });
            put_generation(&mut out, generation);
            out.put_u32_le(revision);
        }
    }
    match head.body() {
        Body::Inline => out.put_u8(0),
        Body::Part(held) => {
            out.put_u8(2);
            out.put_u64_le(held.start);
            out.put_u64_le(held.end);
        }
        Body::Chunks(chunks) => {
            out.put_u8(1);
            out.put_u128_le(chunks.object);
            out.put_u32_le(chunks.count);
            for sum in chunks.sums.raw() {
                out.put_u64_le(sum);
            }
        }
    }
    out.put_u32_le(head.scopes().len() as u32);
    for id in head.scopes() {
        out.put_u64_le(id.0);
    }
    let hidden = head.hidden().bytes();
    out.put_u32_le(hidden.len() as u32);
    out.put_slice(hidden);
    let (_, lines_len, status_len) = head.record.pieces();
    out.put_u32_le(lines_len);
    out.put_u32_le(status_len);
    out
}

fn decode_entry(mut rest: &[u8]) -> Option<Entry> {
    if rest.try_get_u8().ok()? != VERSION {
        return None;
    }
    match rest.try_get_u8().ok()? {
        KIND_HEAD => Some(Entry::Head(Arc::new(decode_head(rest)?))),
        KIND_VARIANTS => Some(Entry::Variants(Arc::new(decode_variants(rest)?))),
        _ => None,
    }
}

/// `rest` is what follows the kind.
fn decode_head(mut rest: &[u8]) -> Option<Head> {
    let rest = &mut rest;
    let generation = get_generation(rest)?;
    let revision = rest.try_get_u32_le().ok()?;
    let epoch = Epoch(rest.try_get_u64_le().ok()?);
    let label = Label(PurgeSeq::new(epoch, rest.try_get_u64_le().ok()?));
    let status = StatusCode::from_u16(rest.try_get_u16_le().ok()?).ok()?;
    let mut freshness = Freshness {
        lifetime: rest.try_get_u64_le().ok()?,
        source: source_of(rest.try_get_u8().ok()?)?,
        initial_age: rest.try_get_u64_le().ok()?,
        received: Timestamp(rest.try_get_u64_le().ok()?),
        stale_while_revalidate: rest.try_get_u64_le().ok()?,
        stale_if_error: rest.try_get_u64_le().ok()?,
        no_cache: false,
        must_revalidate: false,
    };
    let flags = rest.try_get_u8().ok()?;
    if flags > 3 {
        return None;
    }
    freshness.no_cache = flags & 1 != 0;
    freshness.must_revalidate = flags & 2 != 0;
    let length = rest.try_get_u64_le().ok()?;
    let coding = match rest.try_get_u8().ok()? {
        0 => Coding::AsIs,
        1 => Coding::Negotiable,
        2 => Coding::Decodable(content_coding_of(rest.try_get_u8().ok()?)?),
        3 => {
            let recoding = match rest.try_get_u8().ok()? {
                0 => Recoding::Identity,
                code => Recoding::To(content_coding_of(code)?),
            };
            Coding::Recoded(recoding, get_generation(rest)?, rest.try_get_u32_le().ok()?)
        }
        _ => return None,
    };
    let body = match rest.try_get_u8().ok()? {
        0 => Body::Inline,
        1 => {
            let object = rest.try_get_u128_le().ok()?;
            let count = rest.try_get_u32_le().ok()?;
            if u64::from(count) != length.div_ceil(CHUNK_BYTES) {
                return None;
            }
            let sums = get_u64s(rest, count as usize)?.collect();
            Body::Chunks(Box::new(Chunks {
                object,
                count,
                sums,
            }))
        }
        2 => {
            let held = rest.try_get_u64_le().ok()?..rest.try_get_u64_le().ok()?;
            if held.start >= held.end || held.end > length {
                return None;
            }
            Body::Part(held)
        }
        _ => return None,
    };
    let scopes = rest.try_get_u32_le().ok()? as usize;
    let scopes: Vec<ScopeId> = get_u64s(rest, scopes)?.map(ScopeId).collect();
    let hidden = rest.try_get_u32_le().ok()? as usize;
    let hidden = Hidden::from_bytes(rest.split_off(..hidden)?);
    let lines_len = rest.try_get_u32_le().ok()?;
    let status_len = rest.try_get_u32_le().ok()?;
    let stamp = Stamp { generation, label };
    let record = Record::of_whole(stamp, &scopes, rest, lines_len, status_len)?;
    let inline_wanted = match &body {
        Body::Inline => length,
        Body::Part(held) => held.end - held.start,
        Body::Chunks(_) => 0,
    };
    if record.inline().len() as u64 != inline_wanted {
        return None;
    }
    let (coding, rare) = Rare::of(body, coding, hidden);
    Some(Head {
        revision,
        status,
        fresh: Fresh::from(&freshness),
        length,
        memo: Memo::default(),
        coding,
        rare,
        record,
    })
}

fn encode_variants(variants: &Variants) -> Vec<u8> {
    let (lists, digests) = variants.parts();
    let mut out = Vec::with_capacity(256);
    out.put_u8(VERSION);
    out.put_u8(KIND_VARIANTS);
    out.put_u8(lists.len() as u8);
    for names in lists {
        out.put_u16_le(names.len() as u16);
        for name in names.iter() {
            out.put_u16_le(name.as_str().len() as u16);
            out.put_slice(name.as_str().as_bytes());
        }
    }
    out.put_u8(digests.len() as u8);
    for &digest in digests {
        out.put_u64_le(digest);
    }
    out
}

fn decode_variants(mut rest: &[u8]) -> Option<Variants> {
    let rest = &mut rest;
    let lists = (0..rest.try_get_u8().ok()?)
        .map(|_| {
            (0..rest.try_get_u16_le().ok()?)
                .map(|_| {
                    let length = usize::from(rest.try_get_u16_le().ok()?);
                    HeaderName::from_bytes(rest.split_off(..length)?).ok()
                })
                .collect::<Option<Arc<[HeaderName]>>>()
        })
        .collect::<Option<VecDeque<_>>>()?;
    let digests = usize::from(rest.try_get_u8().ok()?);
    let digests = get_u64s(rest, digests)?.collect();
    if !rest.is_empty() {
        return None;
    }
    Variants::from_parts(lists, digests)
}

fn content_coding_code(coding: ContentCoding) -> u8 {
    match coding {
        ContentCoding::Gzip => 1,
        ContentCoding::Brotli => 2,
        ContentCoding::Zstd => 3,
    }
}

fn content_coding_of(code: u8) -> Option<ContentCoding> {
    Some(match code {
        1 => ContentCoding::Gzip,
        2 => ContentCoding::Brotli,
        3 => ContentCoding::Zstd,
        _ => return None,
    })
}

fn source_code(source: LifetimeSource) -> u8 {
    match source {
        LifetimeSource::Override => 0,
        LifetimeSource::SMaxage => 1,
        LifetimeSource::MaxAge => 2,
        LifetimeSource::Expires => 3,
        LifetimeSource::Default => 4,
        LifetimeSource::Heuristic => 5,
        LifetimeSource::None => 6,
        LifetimeSource::TargetedSMaxage => 7,
        LifetimeSource::TargetedMaxAge => 8,
    }
}

fn source_of(code: u8) -> Option<LifetimeSource> {
    Some(match code {
        0 => LifetimeSource::Override,
        1 => LifetimeSource::SMaxage,
        2 => LifetimeSource::MaxAge,
        3 => LifetimeSource::Expires,
        4 => LifetimeSource::Default,
        5 => LifetimeSource::Heuristic,
        6 => LifetimeSource::None,
        7 => LifetimeSource::TargetedSMaxage,
        8 => LifetimeSource::TargetedMaxAge,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
