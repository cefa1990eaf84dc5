//! A stored response: one serialised record and a compact index into it.

use crate::fresh::Fresh;
use crate::hidden::Hidden;
use crate::memo::Memo;
use crate::rare::{Rare, Short};
use crate::record::{Record, Stamp};
use crate::sums::Sums;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use seawall_http_cache::{ContentCoding, Freshness, Timestamp};
use seawall_purge::{Generation, Label, ScopeId};
use std::ops::Range;
use std::sync::Arc;

/// Where a copy's body is.
#[derive(Clone, Debug)]
pub enum Body {
    /// Behind the head, in the same record.
    Inline,
    /// These bytes of it alone are held, behind the head: an incomplete response (RFC 9111 §3.3).
    Part(Range<u64>),
    /// By itself.
    Chunks(Box<Chunks>),
}

/// Where the chunks of a longer body are: under the store's chunk keys of (`object`, the head's generation).
#[derive(Clone, Debug)]
pub struct Chunks {
    pub object: u128,
    pub count: u32,
    /// Their checksums as [`crate::CacheStore::put_chunk`] returned them, by index: a chunk that came from a disk is judged
    /// by them. Where one is not known its chunk has never come: the response is incomplete.
    pub sums: Sums,
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
    pub scopes: &'a [ScopeId],
    pub coding: Coding,
    /// Under which the chunks lie, where the body is not inline.
    pub object: u128,
    /// The chunks' checksums, where the body is not inline.
    pub sums: Sums,
}

/// A stored response. Cheap to share; never changed after it was made.
#[derive(Debug)]
pub struct Head {
    pub revision: u32,
    pub status: StatusCode,
    pub length: u64,
    /// What the purges made of it last.
    pub memo: Memo,
    pub(crate) coding: Short,
    pub(crate) fresh: Fresh,
    pub(crate) rare: Option<Box<Rare>>,
    pub(crate) record: Record,
}

/// With the counts of those who share it a head has 128 bytes, which allocators have in stock.
const _: () = assert!(size_of::<Head>() <= 112);

/// The fields of a stored head, taken apart again for the paths that change them.
#[derive(Debug, Clone)]
pub struct HeadFields {
    pub status: StatusCode,
    pub fields: HeaderMap,
    pub upstream_cache_status: Bytes,
}

impl Head {
    /// Serialises `parts`; `inline` is the whole body when it is at most [`crate::INLINE_MAX`] bytes, else `None` (its
    /// chunks are then stored under `parts.object`).
    pub fn new(parts: HeadParts<'_>, inline: Option<&[&[u8]]>) -> Self {
        let body = match inline {
            Some(_) => Body::Inline,
            None => Body::Chunks(Box::new(Chunks {
                object: parts.object,
                count: parts.length.div_ceil(crate::CHUNK_BYTES) as u32,
                sums: parts.sums,
            })),
        };
        let stamp = Stamp {
            generation: parts.generation,
            label: parts.label,
        };
        let record = Record::new(
            stamp,
            parts.scopes,
            parts.status,
            parts.fields,
            parts.upstream_cache_status,
            inline.unwrap_or_default(),
        );
        let (coding, rare) = Rare::of(body, parts.coding, parts.hidden);
        Self {
            revision: parts.revision,
            status: parts.status,
            fresh: Fresh::from(&parts.freshness),
            length: parts.length,
            memo: Memo::default(),
            coding,
            rare,
            record,
        }
    }

    /// The head of an incomplete response of which `bytes` are held, from `start` on; they are at most
    /// [`crate::INLINE_MAX`].
    pub fn incomplete(mut parts: HeadParts<'_>, start: u64, bytes: &[u8]) -> Self {
        let body = Body::Part(start..start + bytes.len() as u64);
        let (_, rare) = Rare::of(body, parts.coding, std::mem::take(&mut parts.hidden));
        Self {
            rare,
            ..Self::new(parts, Some(&[bytes]))
        }
    }

    pub fn generation(&self) -> Generation {
        self.record.generation()
    }

    pub fn label(&self) -> Label {
        self.record.label()
    }

    #[inline]
    pub fn freshness(&self) -> Freshness {
        self.fresh.get()
    }

    pub fn body(&self) -> &Body {
        self.rare.as_ref().map_or(&Body::Inline, |rare| &rare.body)
    }

    /// What it can be purged by.
    pub fn scopes(&self) -> &[ScopeId] {
        self.record.scopes()
    }

    pub fn coding(&self) -> Coding {
        Rare::coding(self.coding, self.rare.as_deref())
    }

    /// What its fields were before they were changed for clients.
    pub fn hidden(&self) -> &Hidden {
        static NOTHING: Hidden = Hidden::nothing();
        self.rare.as_ref().map_or(&NOTHING, |rare| &rare.hidden)
    }

    /// This head with all of a short body, of which a part was held.
    pub fn completed(&self, body: &[u8]) -> Self {
        let parts = self.fields();
        let inline = [body];
        Self::new(
            HeadParts {
                generation: self.generation(),
                revision: self.revision.wrapping_add(1),
                label: self.label(),
                status: self.status,
                fields: &parts.fields,
                hidden: self.hidden().clone(),
                upstream_cache_status: &parts.upstream_cache_status,
                freshness: self.freshness(),
                length: body.len() as u64,
                scopes: self.scopes(),
                coding: self.coding(),
                object: 0,
                sums: Sums::default(),
            },
            Some(&inline),
        )
    }

    /// Whether some of the body has never come.
    pub fn is_incomplete(&self) -> bool {
        match self.body() {
            Body::Inline => false,
            Body::Part(_) => true,
            Body::Chunks(chunks) => chunks.sums.known() < chunks.sums.len(),
        }
    }

    /// Status line and fields, each line ended, without the empty one: in two pieces.
    pub fn serialised(&self) -> [&[u8]; 2] {
        self.record.lines()
    }

    /// Names, in lower case, and values of the fields; those of one name in their order.
    pub fn lines(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let pieces = self.serialised().into_iter();
        // a status line has no colon
        pieces
            .flat_map(|lines| lines.split(|&b| b == b'\n'))
            .filter_map(|line| {
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
        self.record.cache_status_prefix()
    }

    /// What of the body lies beside the head; empty where it is in chunks.
    pub fn inline(&self) -> &[u8] {
        self.record.inline()
    }

    /// The same, with the head that holds it.
    pub fn inline_body(self: &Arc<Self>) -> Bytes {
        Bytes::from_owner(Inline(self.clone()))
    }

    /// How recent it is among copies that all match a request (RFC 9111 §4.1, §4): by `Date`, where there is none by when
    /// it was received; of the same second the one that was made last here.
    pub(crate) fn recency(&self) -> (Timestamp, Generation) {
        let received = self.freshness().received;
        let date = self
            .field("date")
            .and_then(|date| Timestamp::parse_http_date(date, received));
        (date.unwrap_or(received), self.generation())
    }

    /// Bytes this head holds, for the store's accounting: the record, the index and foyer's own overhead.
    pub fn weight(&self) -> usize {
        let sums = match self.body() {
            Body::Inline | Body::Part(_) => 0,
            Body::Chunks(chunks) => size_of::<Chunks>() + chunks.sums.len() * size_of::<u64>(),
        };
        let rare = self.rare.as_ref().map_or(0, |_| size_of::<Rare>());
        self.record.weight() + rare + sums + self.hidden().bytes().len() + size_of::<Self>() + 160
    }

    /// The fields as the next server sent them: [`Self::fields`] without the changes for clients. To judge, to merge and
    /// to ask by.
    pub fn original_fields(&self) -> HeadFields {
        let mut parts = self.fields();
        self.hidden().restore(&mut parts.fields);
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
        HeadFields {
            status: self.status,
            fields,
            upstream_cache_status: Bytes::copy_from_slice(self.record.upstream_cache_status()),
        }
    }
}

/// What of the body lies beside it.
impl AsRef<[u8]> for Head {
    fn as_ref(&self) -> &[u8] {
        self.inline()
    }
}

/// Holds a head for the body that lies beside it.
struct Inline(Arc<Head>);

impl AsRef<[u8]> for Inline {
    fn as_ref(&self) -> &[u8] {
        self.0.inline()
    }
}
