//! A stored response: one serialised record and a compact index into it.

use crate::hidden::Hidden;
use crate::memo::Memo;
use crate::sums::Sums;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use seawall_http_cache::{ContentCoding, Freshness, Timestamp};
use seawall_purge::{Generation, Label, ScopeId};
use std::ops::Range;

/// Where a copy's body is.
#[derive(Clone, Debug)]
pub enum Body {
    /// Behind the head, in the same record.
    Inline,
    /// These bytes of it alone are held, behind the head: an incomplete response (RFC 9111 §3.3).
    Part(Range<u64>),
    /// Under the store's chunk keys of (`object`, the head's generation). `sums` are the chunks' checksums as
    /// [`crate::CacheStore::put_chunk`] returned them, by index: a chunk that came from a disk is judged by them. Where one is not known its chunk has never
    /// come: the response is incomplete.
    Chunks {
        object: u128,
        count: u32,
        sums: Sums,
    },
}

/// What the edge may do about a copy's content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Delivered as it is to everybody.
    AsIs,
    /// Plain text that clients who accept a coding get coded, from a copy of its own.
    Negotiable,
    /// Came in this coding; clients who do not accept it get it decoded, from a copy of its own.
    Decodable(ContentCoding),
    /// Made here of the negotiable or decodable copy with this generation and revision.
    Recoded(Recoding, Generation, u32),
}

/// What was made of a copy's content here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Recoding {
    To(ContentCoding),
    /// The coding that it came in was undone.
    Identity,
}

impl Recoding {
    /// All that may lie beside a copy of this coding.
    pub(crate) fn all_of(coding: Coding) -> &'static [Self] {
        match coding {
            Coding::Negotiable => &[
                Self::To(ContentCoding::Brotli),
                Self::To(ContentCoding::Zstd),
                Self::To(ContentCoding::Gzip),
            ],
            Coding::Decodable(_) => &[Self::Identity],
            Coding::AsIs | Coding::Recoded(..) => &[],
        }
    }
}

/// What a head is made from. `fields` are the fields as they go out: end-to-end ones only, `Date` included, no `Age`.
#[derive(Debug)]
pub struct HeadParts<'a> {
    pub generation: Generation,
    /// Counts refreshments (304) of one generation.
    pub revision: u32,
    pub label: Label,
    pub status: StatusCode,
    pub fields: &'a HeaderMap,
    /// What `fields` were before they were changed for clients.
    pub hidden: Hidden,
    /// `Cache-Status` members of the tiers behind this node, without this node's own.
    pub upstream_cache_status: &'a [u8],
    pub freshness: Freshness,
    pub length: u64,
    pub scopes: Box<[ScopeId]>,
    pub coding: Coding,
    /// Under which the chunks lie, where the body is not inline.
    pub object: u128,
    /// The chunks' checksums, where the body is not inline.
    pub sums: Sums,
}

/// A stored response. Cheap to share; never changed after it was made.
#[derive(Debug)]
pub struct Head {
    pub generation: Generation,
    pub revision: u32,
    pub label: Label,
    pub status: StatusCode,
    pub freshness: Freshness,
    pub length: u64,
    pub body: Body,
    pub scopes: Box<[ScopeId]>,
    pub coding: Coding,
    /// What its fields were before they were changed for clients.
    pub hidden: Hidden,
    /// What the purges made of it last.
    pub memo: Memo,
    pub(crate) fields_len: u32,
    pub(crate) status_len: u32,
    pub(crate) record: Bytes,
}

/// The fields of a stored head, taken apart again for the paths that change them.
#[derive(Debug, Clone)]
pub struct HeadFields {
    pub status: StatusCode,
    pub fields: HeaderMap,
    pub upstream_cache_status: Bytes,
}

pub(crate) const CACHE_STATUS: &[u8] = b"cache-status: ";

impl Head {
    /// Serialises `parts`; `inline` is the whole body when it is at most [`crate::INLINE_MAX`] bytes, else `None` (its
    /// chunks are then stored under `parts.object`).
    pub fn new(parts: HeadParts<'_>, inline: Option<&[&[u8]]>) -> Self {
        let inline_len = inline.map_or(0, |b| b.iter().map(|p| p.len()).sum::<usize>());
        let estimate: usize = parts
            .fields
            .iter()
            .map(|(n, v)| n.as_str().len() + v.len() + 4)
            .sum::<usize>()
            + 64;
        let mut record =
            BytesMut::with_capacity(estimate + parts.upstream_cache_status.len() + 16 + inline_len);
        record.put_slice(b"HTTP/1.1 ");
        record.put_slice(parts.status.as_str().as_bytes());
        record.put_u8(b' ');
        record.put_slice(parts.status.canonical_reason().unwrap_or("").as_bytes());
        record.put_slice(b"\r\n");
        for (name, value) in parts.fields {
            record.put_slice(name.as_str().as_bytes());
            record.put_slice(b": ");
            record.put_slice(value.as_bytes());
            record.put_slice(b"\r\n");
        }
        let fields_len = record.len();
        record.put_slice(CACHE_STATUS);
        if !parts.upstream_cache_status.is_empty() {
            record.put_slice(parts.upstream_cache_status);
            record.put_slice(b", ");
        }
        let status_len = record.len() - fields_len;
        for part in inline.unwrap_or_default() {
            record.put_slice(part);
        }
        let body = match inline {
            Some(_) => Body::Inline,
            None => Body::Chunks {
                object: parts.object,
                count: parts.length.div_ceil(crate::CHUNK_BYTES) as u32,
                sums: parts.sums,
            },
        };
        // a record lives long: what the estimate left over is given back
        let record = if record.capacity() > record.len() + record.len() / 16 {
            Bytes::copy_from_slice(&record)
        } else {
            record.freeze()
        };
        Self {
            generation: parts.generation,
            revision: parts.revision,
            label: parts.label,
            status: parts.status,
            freshness: parts.freshness,
            length: parts.length,
            body,
            scopes: parts.scopes,
            coding: parts.coding,
            hidden: parts.hidden,
            memo: Memo::default(),
            fields_len: fields_len as u32,
            status_len: status_len as u32,
            record,
        }
    }

    /// The head of an incomplete response of which `bytes` are held, from `start` on; they are at most
    /// [`crate::INLINE_MAX`].
    pub fn incomplete(parts: HeadParts<'_>, start: u64, bytes: &[u8]) -> Self {
        let body = Body::Part(start..start + bytes.len() as u64);
        Self {
            body,
            ..Self::new(parts, Some(&[bytes]))
        }
    }

    /// This head with all of a short body, of which a part was held.
    pub fn completed(&self, body: &[u8]) -> Self {
        let parts = self.fields();
        let inline = [body];
        Self::new(
            HeadParts {
                generation: self.generation,
                revision: self.revision.wrapping_add(1),
                label: self.label,
                status: self.status,
                fields: &parts.fields,
                hidden: self.hidden.clone(),
                upstream_cache_status: &parts.upstream_cache_status,
                freshness: self.freshness.clone(),
                length: body.len() as u64,
                scopes: self.scopes.clone(),
                coding: self.coding,
                object: 0,
                sums: Sums::default(),
            },
            Some(&inline),
        )
    }

    /// Whether some of the body has never come.
    pub fn is_incomplete(&self) -> bool {
        match &self.body {
            Body::Inline => false,
            Body::Part(_) => true,
            Body::Chunks { sums, .. } => sums.known() < sums.len(),
        }
    }

    /// Status line and fields, each line ended, without the empty one.
    pub fn serialised(&self) -> &[u8] {
        &self.record[..self.fields_len as usize]
    }

    /// Names, in lower case, and values of the fields, in their order.
    pub fn lines(&self) -> impl Iterator<Item = (&str, &[u8])> {
        // behind the status line
        let lines = self.serialised().split(|&b| b == b'\n').skip(1);
        lines.filter_map(|line| {
            let colon = line.iter().position(|&b| b == b':')?;
            let name = std::str::from_utf8(&line[..colon]).ok()?;
            Some((name, line[colon + 1..].trim_ascii()))
        })
    }

    /// The first value of the field `name`, in lower case.
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.lines()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// `cache-status: ` and the members of the tiers behind, ready for this node's own member; the line is not ended.
    pub fn cache_status_prefix(&self) -> &[u8] {
        &self.record[self.fields_len as usize..(self.fields_len + self.status_len) as usize]
    }

    /// What of the body lies beside the head; empty where it is in chunks.
    pub fn inline_body(&self) -> Bytes {
        self.record
            .slice((self.fields_len + self.status_len) as usize..)
    }

    /// How recent it is among copies that all match a request (RFC 9111 §4.1, §4): by `Date`, where there is none by when
    /// it was received; of the same second the one that was made last here.
    pub(crate) fn recency(&self) -> (Timestamp, Generation) {
        let date = self
            .field("date")
            .and_then(|date| Timestamp::parse_http_date(date, self.freshness.received));
        (date.unwrap_or(self.freshness.received), self.generation)
    }

    /// Bytes this head holds, for the store's accounting: the record, the index and foyer's own overhead.
    pub fn weight(&self) -> usize {
        let sums = match &self.body {
            Body::Inline | Body::Part(_) => 0,
            Body::Chunks { sums, .. } => sums.len() * size_of::<u64>(),
        };
        self.record.len()
            + self.scopes.len() * size_of::<ScopeId>()
            + sums
            + self.hidden.bytes().len()
            + size_of::<Self>()
            + 160
    }

    /// The fields as the next server sent them: [`Self::fields`] without the changes for clients. To judge, to merge and
    /// to ask by.
    pub fn original_fields(&self) -> HeadFields {
        let mut parts = self.fields();
        self.hidden.restore(&mut parts.fields);
        parts
    }

    /// Takes the record apart. What was serialised here parses; a field that does not is left out.
    pub fn fields(&self) -> HeadFields {
        let mut fields = HeaderMap::with_capacity(16);
        for (name, value) in self.lines() {
            if let (Ok(name), Ok(value)) = (
                HeaderName::from_bytes(name.as_bytes()),
                HeaderValue::from_bytes(value),
            ) {
                fields.append(name, value);
            }
        }
        let prefix = &self.cache_status_prefix()[CACHE_STATUS.len()..];
        let members = prefix.strip_suffix(b", ").unwrap_or(prefix);
        HeadFields {
            status: self.status,
            fields,
            upstream_cache_status: Bytes::copy_from_slice(members),
        }
    }
}
